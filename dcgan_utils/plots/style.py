"""Figures: arrays and tables in, one `Figure` out, in the house style.

Each figure carries its alternative text as its label; :func:`show` hands both to the
notebook, and so the HTML page has them too. The generator is blue and the discriminator
orange, as in the second study; the real images' side is green.
"""

from __future__ import annotations

import base64
import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import style
from matplotlib.figure import Figure
from PIL import Image, ImageOps, ImageSequence

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.core.files import ensure_dir, write_bytes
from dcgan_utils.data.decode import as_image, make_grid
from dcgan_utils.notebook import in_jupyterlab

if TYPE_CHECKING:
    import ipywidgets as widgets
    from IPython import display
    from matplotlib.axes import Axes


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
    "text.parse_math": False,  # two dollar signs in a file's name are no formula
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


def save_figure(shown: display.Image, path: Path) -> display.Image:
    """Write what `show` returned beside the tables, as ``.png`` or ``.jpg``, and return it."""
    ensure_dir(path.parent)
    write_bytes(path.with_name(f"{path.name}.{shown.format.replace('jpeg', 'jpg')}"), shown.data)
    return shown


@contextlib.contextmanager
def skip_if_not_enough_data() -> Iterator[None]:
    """Show the reason in place of a figure, if there is too little for its analysis."""
    from IPython import display

    try:
        yield
    except NotEnoughData as reason:
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
    """Lay uint8 images ``(n, 3, H, W)`` out in rows with white gaps: ``(h, w, 3)``."""
    return make_grid(images, columns, gap=max(2, images.shape[-1] // 32)).numpy()


def _draw_tiles(axes: Axes, images: torch.Tensor, columns: int) -> None:
    axes.imshow(_tiles(images, columns), interpolation="nearest")
    axes.set_axis_off()


def slider(images: torch.Tensor, names: Sequence[str]) -> widgets.VBox | None:
    """Return encoded under a slider in JupyterLab; nothing where nobody could move it.

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, H, W)``.
    names
        One an image, shown beside the slider.
    """
    if not in_jupyterlab():
        return None
    import ipywidgets as widgets

    encoded = []
    for image in images:
        buffer = io.BytesIO()
        enlarged = as_image(image).resize((256, 256), 0)
        enlarged.save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    seen = widgets.Image(value=encoded[len(encoded) // 2], format="png")
    place = widgets.SelectionSlider(
        options=[(name, number) for number, name in enumerate(names)],
        value=len(encoded) // 2,
        layout={"width": "360px"},
    )
    place.observe(lambda change: setattr(seen, "value", encoded[change["new"]]), "value")
    return widgets.VBox([place, seen])


def image_grid(images: torch.Tensor, *, title: str, description: str, columns: int = 8) -> Figure:
    """Draw images in rows, pixel values as they are: nothing is stretched.

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, H, W)``.
    title, description
        Title above, and alternative text.
    columns
        Images in a row.
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
    """Draw several sets of images side by side, each under its name, two or three in a row."""
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
        suptitle_left(figure, title)
    figure.set_label(description)
    return figure


def samples_over_epochs(samples: Mapping[int, torch.Tensor]) -> Figure:
    """Draw the same latent vectors at several epochs: a row an epoch, a column a vector.

    Parameters
    ----------
    samples
        Epoch to uint8 images ``(n, 3, H, W)``, all from the same vectors; the first eight of
        these are shown.
    """
    columns = min(8, *(len(images) for images in samples.values()))
    return image_rows(
        {f"{epoch}": images[:columns] for epoch, images in samples.items()},
        side="epoch",
        title="The same latent vectors as the training goes on",
        description=f"Images generated from {columns} fixed latent vectors, one column each, "
        f"after epochs {', '.join(map(str, samples))}, one row each.",
    )


def image_rows(
    rows: Mapping[str, torch.Tensor], *, title: str, description: str, side: str = ""
) -> Figure:
    """Draw images in rows, each under its name at the left; short rows end in white.

    Parameters
    ----------
    rows
        Name to uint8 images ``(n, 3, H, W)``, all of one size.
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
    filled = torch.cat([part for row in zip(rows.values(), white, strict=True) for part in row])
    with mpl.rc_context(STYLE):
        figure = new_figure(WIDTH * len(rows) / columns + 0.4)
        axes = figure.subplots()
        canvas = _tiles(filled, columns)
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


def suptitle_left(figure: Figure, title: str) -> None:
    """Put a title over all of a figure's axes, at the left as theirs are."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)


def label_epoch_axis(axes: Axes, quantity: str, title: str) -> None:
    """Give axes a title, whole epochs to the right and a quantity upwards."""
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_ylabel(quantity)
    axes.set_title(title)


def palette(count: int) -> list[str]:
    """Return so many colours as ``#rrggbb``, told apart by the colour-blind up to ten."""
    import seaborn as sns

    return sns.color_palette("colorblind" if count <= 10 else "husl", count).as_hex()
