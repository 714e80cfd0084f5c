"""Figures: arrays and tables in, one `Figure` out, in the house style.

Each figure carries its alternative text as its label; :func:`show` hands both to the
notebook, and so the HTML page has them too. The generator is blue and the discriminator
orange, as in the second study; the real pictures' side is green.
"""

from __future__ import annotations

import base64
import contextlib
import io
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import style
from matplotlib.figure import Figure
from PIL import Image, ImageOps, ImageSequence

from dcgan_utils.errors import NotMeaningful
from dcgan_utils.noise import Prior
from dcgan_utils.pictures import as_image, in_rows
from dcgan_utils.progress import in_jupyterlab

if TYPE_CHECKING:
    import ipywidgets as widgets
    import pandas as pd
    from IPython import display
    from matplotlib.axes import Axes

__all__ = [
    "animation",
    "distance_over_epochs",
    "image_grid",
    "kid_by_name",
    "labelled_grids",
    "layers",
    "losses",
    "losses_overlaid",
    "new_figure",
    "noise_density",
    "or_say_why",
    "palette",
    "picture_rows",
    "probabilities",
    "quality_over_epochs",
    "samples_over_epochs",
    "show",
    "slider",
    "spread_overlaid",
]

BLUE, ORANGE, GREEN, GREY = "#2b6cb0", "#d9730d", "#2f855a", "#6b7280"
# Seaborn's style as matplotlib brings it along: importing seaborn takes two seconds.
STYLE = style.library["seaborn-v0_8-whitegrid"] | {
    "axes.edgecolor": "#c4c7cc",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "figure.facecolor": "white",
    "font.size": 10,
    "grid.color": "#eceef1",
    "legend.frameon": False,
    "patch.edgecolor": "white",
    "patch.force_edgecolor": True,
}
WIDTH = 8.0  # inches, of every figure
DPI = 120


def new_figure(height: float) -> Figure:
    """Return an empty figure of the house's width, so many inches high."""
    return Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")


def show(figure: Figure) -> display.Image:
    """Return a figure with its alternative text, for the end of a notebook cell.

    As PNG, or as JPEG where that is smaller: a page of photographs would grow tenfold.
    """
    from IPython import display

    buffer, photo = io.BytesIO(), io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # of a file name: its letter becomes a box
        figure.savefig(buffer, format="png", bbox_inches="tight", pad_inches=0.08)
    with Image.open(buffer) as drawn:
        drawn.convert("RGB").save(photo, "JPEG", quality=88, subsampling=0)
    smaller = min(buffer.getvalue(), photo.getvalue(), key=len)
    return display.Image(smaller, alt=figure.get_label())


@contextlib.contextmanager
def or_say_why() -> Iterator[None]:
    """Show the reason in place of a figure, if there is too little for its analysis."""
    from IPython import display

    try:
        yield
    except NotMeaningful as reason:
        display.display(display.Markdown(f"*{reason}*"))


def animation(path: Path, description: str, *, width: int = 480) -> display.HTML:
    """Return an animated GIF for the notebook, recoded as WebP to keep the page small.

    Of a long one every n-th frame is shown, about 60 in all, and the last.
    """
    from html import escape

    from IPython import display

    buffer = io.BytesIO()
    with Image.open(path) as gif:
        durations, frames, step = [], [], -(-gif.n_frames // 60)
        for number, frame in enumerate(ImageSequence.Iterator(gif), start=1):
            if number % step == 0 or number == gif.n_frames:
                durations.append(frame.info.get("duration", 120))
                frames.append(ImageOps.contain(frame.convert("RGB"), (width, width)))
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        quality=70,
        method=2,
    )
    data = base64.b64encode(buffer.getvalue()).decode()
    return display.HTML(
        f'<img src="data:image/webp;base64,{data}" width="{width}" alt="{escape(description)}">'
    )


def _tiles(images: torch.Tensor, columns: int) -> np.ndarray:
    """Lay uint8 pictures ``(n, 3, H, W)`` out in rows with white gaps: ``(h, w, 3)``."""
    return in_rows(images, columns, gap=max(2, images.shape[-1] // 32)).numpy()


def _draw_tiles(axes: Axes, images: torch.Tensor, columns: int) -> None:
    axes.imshow(_tiles(images, columns), interpolation="nearest")
    axes.set_axis_off()


def slider(images: torch.Tensor, names: Sequence[str]) -> widgets.VBox | None:
    """Return pictures under a slider in JupyterLab; nothing where nobody could move it.

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, H, W)``.
    names
        One a picture, shown beside the slider.
    """
    if not in_jupyterlab():
        return None
    import ipywidgets as widgets

    pictures = []
    for image in images:
        buffer = io.BytesIO()
        enlarged = as_image(image).resize((256, 256), 0)
        enlarged.save(buffer, "PNG")
        pictures.append(buffer.getvalue())
    seen = widgets.Image(value=pictures[len(pictures) // 2], format="png")
    place = widgets.SelectionSlider(
        options=[(name, number) for number, name in enumerate(names)],
        value=len(pictures) // 2,
        layout={"width": "360px"},
    )
    place.observe(lambda change: setattr(seen, "value", pictures[change["new"]]), "value")
    return widgets.VBox([place, seen])


def image_grid(images: torch.Tensor, *, title: str, description: str, columns: int = 8) -> Figure:
    """Draw pictures in rows, pixel values as they are: nothing is stretched.

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, H, W)``.
    title, description
        Title above, and alternative text.
    columns
        Pictures in a row.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    with mpl.rc_context(STYLE):
        figure = new_figure(WIDTH * rows / columns + 0.35)
        axes = figure.subplots()
        _draw_tiles(axes, images, columns)
        axes.set_title(title)
    figure.set_label(description)
    return figure


def labelled_grids(
    grids: Mapping[str, torch.Tensor], *, title: str, description: str, columns: int = 4
) -> Figure:
    """Draw several sets of pictures side by side, each under its name, two or three in a row."""
    beside = min(len(grids), 3 if len(grids) not in (2, 4) else 2)
    down = -(-len(grids) // beside)
    rows = max(-(-len(images) // columns) for images in grids.values())
    with mpl.rc_context(STYLE):
        figure = new_figure(down * (WIDTH / beside * rows / columns + 0.3) + 0.4)
        panels = figure.subplots(down, beside, squeeze=False).flatten()
        for axes in panels:
            axes.set_axis_off()
        for axes, (name, images) in zip(panels, grids.items(), strict=False):
            _draw_tiles(axes, images, columns)
            axes.set_title(name)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    figure.set_label(description)
    return figure


def samples_over_epochs(samples: Mapping[int, torch.Tensor], *, columns: int = 8) -> Figure:
    """Draw the same latent vectors at several epochs: a row an epoch, a column a vector.

    Parameters
    ----------
    samples
        Epoch to uint8 pictures ``(n, 3, H, W)``, all from the same vectors.
    columns
        How many of the vectors are shown.
    """
    columns = min(columns, *(len(images) for images in samples.values()))
    return picture_rows(
        {f"{epoch}": images[:columns] for epoch, images in samples.items()},
        side="epoch",
        title="The same latent vectors as the training goes on",
        description=f"Pictures generated from {columns} fixed latent vectors, one column each, "
        f"after epochs {', '.join(map(str, samples))}, one row each.",
    )


def picture_rows(
    rows: Mapping[str, torch.Tensor], *, title: str, description: str, side: str = ""
) -> Figure:
    """Draw pictures in rows, each under its name at the left; short rows end in white.

    Parameters
    ----------
    rows
        Name to uint8 pictures ``(n, 3, H, W)``, all of one size.
    title, description
        Title above, and alternative text.
    side
        What the names are.
    """
    columns = max(len(images) for images in rows.values())
    white = [
        torch.full((columns - len(images), *images.shape[1:]), 255, dtype=torch.uint8)
        for images in rows.values()
    ]
    pictures = torch.cat([part for row in zip(rows.values(), white, strict=True) for part in row])
    with mpl.rc_context(STYLE):
        figure = new_figure(WIDTH * len(rows) / columns + 0.4)
        axes = figure.subplots()
        canvas = _tiles(pictures, columns)
        axes.imshow(canvas, interpolation="nearest")
        step = canvas.shape[0] / len(rows)
        axes.set_yticks([step * (row + 0.5) for row in range(len(rows))], list(rows))
        axes.set_xticks([])
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_ylabel(side)
        axes.set_title(title)
    figure.set_label(description)
    return figure


def noise_density(prior: Prior, sample: torch.Tensor) -> Figure:
    """Draw a prior's density with a histogram of drawn coordinates over it.

    Parameters
    ----------
    prior
        The noise prior.
    sample
        Latent vectors, ``(n, noise_size)``.
    """
    noise_size = sample.shape[1]
    values = sample.flatten().numpy()
    low, high = np.quantile(values, [0.001, 0.999])  # heavy tails would flatten the rest
    values = values[(values >= low) & (values <= high)]
    with mpl.rc_context(STYLE):
        figure = new_figure(2.9)
        axes = figure.subplots()
        if prior.discrete:
            atoms, counts = np.unique(values, return_counts=True)
            axes.bar(atoms, counts / counts.sum(), width=0.2, color=BLUE, alpha=0.35, label="drawn")
            exact = prior.density(atoms, noise_size=noise_size)
            axes.plot(atoms, exact, "o", color=BLUE, label="exact")
            axes.set_ylabel("probability")
        else:
            look = {"color": BLUE, "alpha": 0.35, "lw": 0, "label": "drawn"}
            axes.hist(values, bins=80, density=True, **look)
            x = np.linspace(low - 0.05 * (high - low), high + 0.05 * (high - low), 800)
            density = prior.density(x, noise_size=noise_size)
            axes.plot(x, density, color=BLUE, lw=1.8, label="exact")
            axes.set_ylabel("density")
        axes.axvline(prior.mean, color=ORANGE, lw=1.5, ls="--", label="mean")
        axes.set_xlabel("value of one coordinate of the latent vector")
        axes.set_title(f"The noise: {prior.label}")
        axes.legend()
    figure.set_label(
        f"Density of {prior.label}, with mean {prior.mean:.3g} and standard deviation "
        f"{prior.std:.3g}, over a histogram of drawn coordinates."
    )
    return figure


def layers(table: pd.DataFrame, *, start: str, title: str, color: str) -> Figure:
    """Draw a network as a row of blocks: as high as the field's side, as wide as its channels.

    Parameters
    ----------
    table
        From `networks.layer_table`; only layers that change the shape become a block.
    start
        Shape of the input, such as ``"100"`` or ``"3 × 64 × 64"``.
    title, color
        Title of the figure, colour of the blocks.
    """
    shapes = [start, *table["output"]]
    names = ["input", *table["layer"]]
    kept = [i for i in range(len(shapes)) if i == 0 or shapes[i] != shapes[i - 1]]
    with mpl.rc_context(STYLE):
        figure = new_figure(2.6)
        axes = figure.subplots()
        x = lowest = 0.0
        for position, index in enumerate(kept):
            channels, side = _channels_and_side(shapes[index])
            width, height = 0.25 + 0.11 * np.log2(channels), 0.25 + 0.42 * np.log2(side)
            axes.add_patch(
                mpl.patches.Rectangle(
                    (x, -height / 2),
                    width,
                    height,
                    fc=color,
                    alpha=0.25 + 0.5 * (position % 2) / 2,
                    ec=color,
                )
            )
            lowest = min(lowest, -height / 2)
            label = shapes[index].replace(" ", "")
            axes.text(x + width / 2, -height / 2 - 0.15, label, ha="center", va="top", fontsize=8)
            if position:
                name = names[index].split(",")[0].replace(" ", "\n")
                axes.text(x - 0.35, 1.75, name, ha="center", va="bottom", fontsize=7, color=GREY)
                axes.annotate(
                    "", (x - 0.06, 0), (x - 0.64, 0), arrowprops={"arrowstyle": "->", "color": GREY}
                )
            x += width + 0.7
        axes.set_xlim(-0.3, x - 0.4)
        axes.set_ylim(lowest - 0.4, 2.4)
        axes.set_axis_off()
        axes.set_title(title)
    trail = ", ".join(shapes[index].replace(" ", "") for index in kept)
    figure.set_label(f"{title}: the shapes from input to output are {trail}.")
    return figure


def _channels_and_side(shape: str) -> tuple[int, int]:
    numbers = [int(number) for number in shape.split(" × ")] if shape else [1]
    return numbers[0], numbers[-1] if len(numbers) > 1 else 1


def losses(
    history: pd.DataFrame, *, expected: Mapping[str, float], parted: int | None = None
) -> Figure:
    """Draw both losses by epoch, with the values they have when neither network wins.

    Parameters
    ----------
    history
        A run's history.
    expected
        ``discriminator`` and ``generator``: the losses at the equilibrium.
    parted
        The epoch from which on they have parted for good, if they have.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(3.2)
        axes = figure.subplots()
        curves = {
            "discriminator": (history["d_loss_real"] + history["d_loss_fake"], ORANGE),
            "generator": (history["g_loss"], BLUE),
        }
        for name, (values, color) in curves.items():
            axes.plot(history["epoch"], values, color=color, lw=1.6, label=name)
            axes.axhline(expected[name], color=color, lw=1, ls=":", label=f"{name}, if balanced")
        if parted is not None:
            axes.axvline(parted, color=GREY, lw=1, ls="--", label="parted for good")
        _by_epoch(axes, "loss", "Losses of both networks")
        axes.set_ylim(bottom=0)
        axes.legend(ncols=2)
    first, last = history.iloc[0], history.iloc[-1]
    figure.set_label(
        f"Line chart of the losses over {int(last['epoch'])} epochs: the discriminator's goes "
        f"from {first['d_loss_real'] + first['d_loss_fake']:.2f} to "
        f"{last['d_loss_real'] + last['d_loss_fake']:.2f}, the generator's from "
        f"{first['g_loss']:.2f} to {last['g_loss']:.2f}."
        + (f" From epoch {parted} on they have parted for good." if parted else "")
    )
    return figure


def kid_by_name(values: pd.Series, *, floor: float) -> Figure:
    """Draw KID as one bar a name, in the order given.

    Parameters
    ----------
    values
        KID, indexed by name.
    floor
        KID of real pictures against real ones.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(1.1 + 0.32 * len(values))
        axes = figure.subplots()
        places = range(len(values))
        axes.barh(places, values, color=BLUE, alpha=0.75, height=0.6)
        for place, value in zip(places, values, strict=True):
            axes.text(max(value, 0), place, f" {value:.3f}", va="center", fontsize=9)
        axes.margins(x=0.1)  # room for the last number
        axes.set_yticks(places, values.index)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.axvline(floor, color=GREEN, lw=1, ls=":", label="real against real")
        axes.set_xlabel("KID")
        axes.set_title("Distance to the collection: shorter is better")
        _legend_below(figure, axes)
    listed = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
    figure.set_label(f"Bar chart of KID: {listed}; real pictures have {floor:.3f}.")
    return figure


def distance_over_epochs(apart: pd.Series, *, others: float | None = None) -> Figure:
    """Draw how far generated pictures are from one picture, by epoch.

    Parameters
    ----------
    apart
        Levels (0..255), indexed by epoch.
    others
        How far other pictures of the collection are, if there are any.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(2.8)
        axes = figure.subplots()
        axes.plot(apart.index, apart, color=BLUE, lw=1.6, label="generated")
        if others is not None:
            axes.axhline(others, color=GREEN, lw=1, ls=":", label="other pictures")
        _by_epoch(axes, "levels of 255", "Distance to the original")
        axes.set_ylim(bottom=0)
        axes.legend()
    figure.set_label(
        f"Line chart. The distance of generated pictures to the original goes from "
        f"{apart.iloc[0]:.1f} to {apart.iloc[-1]:.1f} levels."
        + (f" Other pictures are {others:.1f} away." if others is not None else "")
    )
    return figure


def quality_over_epochs(table: pd.DataFrame, *, floor: float) -> Figure:
    """Draw KID and diversity by epoch; the best epoch is marked.

    Parameters
    ----------
    table
        ``kid`` and ``diversity`` indexed by epoch, as `quality.over_epochs` returns it.
    floor
        KID of real pictures against real ones.
    """
    best = table["kid"].idxmin()
    with mpl.rc_context(STYLE):
        figure = new_figure(3.0)
        left, right = figure.subplots(1, 2)
        left.plot(table.index, table["kid"], "o-", color=BLUE, lw=1.6, ms=4)
        left.plot(best, table["kid"][best], "o", color=ORANGE, ms=9, label=f"best: epoch {best}")
        left.axhline(floor, color=GREEN, lw=1, ls=":", label="real against real")
        _by_epoch(left, "KID", "Distance to the collection")
        left.legend()
        right.plot(table.index, table["diversity"], "o-", color=BLUE, lw=1.6, ms=4)
        right.axhline(1, color=GREEN, lw=1, ls=":", label="the real pictures")
        _by_epoch(right, "relative to real", "Diversity")
        right.set_ylim(bottom=0)
        right.legend()
    figure.set_label(
        f"Two line charts by epoch. KID goes from {table['kid'].iloc[0]:.3f} to "
        f"{table['kid'].iloc[-1]:.3f}, its best is {table['kid'][best]:.3f} at epoch {best}; real "
        f"pictures have {floor:.3f}. Diversity ends at {table['diversity'].iloc[-1]:.2f} of theirs."
    )
    return figure


def probabilities(history: pd.DataFrame, *, real_label: float, fake_label: float) -> Figure:
    """Draw D(x) and D(G(z)) by epoch, with the labels towards which they are pulled."""
    with mpl.rc_context(STYLE):
        figure = new_figure(3.0)
        axes = figure.subplots()
        axes.plot(history["epoch"], history["d_real"], color=GREEN, lw=1.6, label="D(x), real")
        axes.plot(
            history["epoch"], history["d_fake"], color=BLUE, lw=1.6, label="D(G(z)), generated"
        )
        axes.axhline(real_label, color=GREEN, lw=1, ls=":", label="label of real")
        axes.axhline(fake_label, color=BLUE, lw=1, ls=":", label="label of generated")
        _by_epoch(axes, "probability of being real", "What the discriminator says")
        axes.set_ylim(0, 1)
        axes.legend(ncols=2)
    last = history.iloc[-1]
    figure.set_label(
        f"Line chart of the discriminator's verdicts: at the end {last['d_real']:.2f} on real and "
        f"{last['d_fake']:.2f} on generated pictures."
    )
    return figure


def _by_epoch(axes: Axes, quantity: str, title: str) -> None:
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_ylabel(quantity)
    axes.set_title(title)


def losses_overlaid(histories: Mapping[str, pd.DataFrame], *, unit: str = "epoch") -> Figure:
    """Draw the losses of several runs over one another, one panel a network.

    Parameters
    ----------
    histories
        A history under each name. Where it has several rows an epoch, of several seeds, the
        line is their mean and a band reaches from the smallest to the largest.
    unit
        What their column ``epoch`` counts.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(3.4)
        left, right = figure.subplots(1, 2)
        for (name, history), color in zip(histories.items(), palette(histories), strict=True):
            history = history.assign(d_loss=history["d_loss_real"] + history["d_loss_fake"])
            _line_with_band(left, history, "d_loss", color=color, label=name)
            _line_with_band(right, history, "g_loss", color=color, label=name)
        for axes, name in ((left, "Discriminator"), (right, "Generator")):
            _by_epoch(axes, "loss", name)
            axes.set_xlabel(unit)
        _legend_below(figure, left)
    figure.set_label(_overlay_text("Losses of discriminator and generator", histories))
    return figure


def spread_overlaid(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how much the samples of several runs differ from one another, epoch by epoch.

    Parameters
    ----------
    histories
        As for `losses_overlaid`.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(3.2)
        axes = figure.subplots()
        for (name, history), color in zip(histories.items(), palette(histories), strict=True):
            _line_with_band(axes, history, "sample_spread", color=color, label=name)
        axes.axhline(1, color=GREEN, lw=1, ls=":", label="the real pictures")
        _by_epoch(axes, "spread, relative to real", "How different the samples are")
        axes.set_ylim(bottom=0)
        _legend_below(figure, axes)
    figure.set_label(_overlay_text("Spread of the samples relative to real pictures", histories))
    return figure


def _line_with_band(axes: Axes, history: pd.DataFrame, column: str, **look: Any) -> None:
    by_epoch = history.groupby("epoch")[column]
    mean = by_epoch.mean()
    axes.plot(mean.index, mean, lw=1.5, **look)
    band = {"color": look["color"], "alpha": 0.15, "lw": 0}
    axes.fill_between(mean.index, by_epoch.min(), by_epoch.max(), **band)


def _legend_below(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8)


def palette(names: Collection[str]) -> list:
    """Return a colour for each of several names, told apart by the colour-blind up to ten."""
    import seaborn as sns

    return sns.color_palette("colorblind" if len(names) <= 10 else "husl", len(names))


def _overlay_text(what: str, items: Mapping[str, pd.DataFrame]) -> str:
    return f"Line chart. {what} by epoch, one line each for {', '.join(items)}."
