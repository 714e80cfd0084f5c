"""Figures of one training: noise, networks, losses, quality.

A `history` is that of a run: one row per epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from dcgan_utils.gan.priors import Prior
from dcgan_utils.plots.looks import prior_color
from dcgan_utils.plots.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SMALL,
    Figure,
    draw_line,
    draw_panels,
    hide_axes,
    is_narrow,
    label_epoch_axis,
    label_lines,
    set_title,
    styled,
)
from dcgan_utils.runs.run import require_epochs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@styled
def noise_density(prior: Prior, sample: torch.Tensor) -> Figure:
    """Draw a prior's density over a histogram of sampled latent vectors ``(n, noise_size)``."""
    values = sample.flatten().numpy()
    low, high = np.quantile(values, [0.001, 0.999])  # heavy tails would flatten the rest
    values = values[(values >= low) & (values <= high)]
    figure = Figure(2.9)
    axes = figure.subplots()
    color = prior_color(prior)
    look = {"color": color, "alpha": 0.35}
    if prior.discrete:
        x, counts = np.unique(values, return_counts=True)
        axes.bar(x, counts / counts.sum(), width=0.2, **look)
    else:
        axes.hist(values, bins=80, density=True, lw=0, **look)
        margin = 0.05 * (high - low)
        x = np.linspace(low - margin, high + margin, 800)
    density = prior.density(x, noise_size=sample.shape[1])
    axes.plot(x, density, "o" if prior.discrete else "-", color=color, lw=1.8)
    axes.axvline(prior.mean, color=INK, lw=1.5, ls="--")
    axes.set(xlabel="value of one latent coordinate", ylim=(0, None))
    axes.set_ylabel("probability" if prior.discrete else "density")
    line = "Points" if prior.discrete else "Line"
    note = f"{line}: exact. Filled: sampled. Dashed: the mean, {prior.mean:.3g}."
    set_title(axes, f"The noise: {prior.label}", note)
    return figure.describe(
        f"Density of {prior.label}, with mean {prior.mean:.3g} and standard deviation "
        f"{prior.std:.3g}, over a histogram of sampled coordinates."
    )


@styled
def network_diagram(
    table: pd.DataFrame,
    *,
    start: str,
    title: str,
    color: str,
    source: torch.Tensor | None = None,
    result: torch.Tensor | float | None = None,
) -> Figure:
    """Draw a network as a row of feature maps, with their layers, from top to bottom if narrow.

    Parameters
    ----------
    table
        From `networks.layer_table`.
    start
        Shape of the input, such as ``"100"`` or ``"3 × 64 × 64"``.
    source, result
        What goes in and comes out, to be drawn at the ends: an image, uint8, shape ``(3, H, W)``; a
        latent vector, shape ``(n,)``; or a probability.
    """
    whole = _blocks(table, start)
    blocks = whole[1:] if source is not None else whole
    figure = Figure(0.9 * len(blocks) + 1.2 if is_narrow() else 3.4)
    axes = figure.subplots()
    ends = [end for end in (source, result) if end is not None]
    count = len(blocks) + len(ends)
    scale = 0.9 / max(_side(shape) for _, shape in blocks)  # of a place, which is one wide
    for place, end in ((0, source), (count - 1, result)):
        if end is not None:
            _draw_end(axes, _place(place), end)
    for place, (layers, shape) in enumerate(blocks, start=source is not None):
        _draw_block(axes, _place(place), layers, shape, color, scale)
    for place in range(1, count):
        _draw_arrow(axes, place)
    across = (-0.55, 3.1) if is_narrow() else (-0.55, count - 0.45)
    axes.set(
        xlim=across, ylim=(0.45 - count, 0.7) if is_narrow() else (-0.95 if ends else -0.75, 1.75)
    )
    axes.set_aspect("equal")
    hide_axes(axes)
    note = "Blocks are feature maps, their height to scale, their width the channels (logarithmic)"
    set_title(axes, title, note)
    trail = ", ".join(shape.replace(" ", "") for _, shape in whole)
    return figure.describe(f"{title}: the shapes from input to output are {trail}.")


def _blocks(table: pd.DataFrame, start: str) -> list[tuple[list[str], str]]:
    """Return the layers up to each change of the shape, and the shape; the input has no layers."""
    blocks: list[tuple[list[str], str]] = [([], start)]
    for layer, shape in zip(table["layer"], table["output"], strict=True):
        if shape != blocks[-1][1]:
            blocks.append(([], shape))
        blocks[-1][0].append(layer)
    return blocks


def _place(number: int) -> tuple[float, float]:
    """Return the middle of a place in the row; a narrow figure has a column."""
    return (0, -number) if is_narrow() else (number, 0)


def _side(shape: str) -> int:
    """Return the side of a feature map in pixels; that of a vector is 1."""
    _, *sides = shape.split(" × ")
    return int(sides[-1]) if sides else 1


def _draw_block(
    axes: Axes, middle: tuple[float, float], layers: list[str], shape: str, color: str, scale: float
) -> None:
    """Draw a feature map with its shape and its layers."""
    x, y = middle
    channels = int(shape.split(" × ")[0])
    width, height = 0.08 + 0.06 * np.log2(channels), max(0.04, _side(shape) * scale)
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(Rectangle(corner, width, height, fc=color, alpha=0.45, ec=color))
    shape = shape.replace(" ", "")
    look = {"fontsize": SMALL, "linespacing": 1.15}
    if is_narrow():
        text = (
            ", ".join(layers)
            .replace("stride 2, ", "stride 2,\n")
            .replace("stride 1, ", "stride 1,\n")
        )
        axes.text(x + 0.6, y, f"{shape}\n{text}".strip(), va="center", **look)
        return
    axes.text(x, -0.55, shape, ha="center", va="top", **look)
    text = "\n".join(layers).replace("ConvTranspose", "Conv\nTranspose").replace(", ", "\n")
    text = text.replace(" ", "\n").replace("stride\n", "stride ")
    axes.text(x, 0.55, text, ha="center", va="bottom", **look | {"color": GREY})


def _draw_end(axes: Axes, middle: tuple[float, float], end: torch.Tensor | float) -> None:
    """Draw what goes into a network or comes out: an image, a vector or a probability."""
    x, y = middle
    if isinstance(end, float):
        text, box = f"{end:.2f}", None
        axes.text(x, y, text, ha="center", va="center", fontsize=13)
        caption = "probability\nof being real"
    elif end.ndim == 3:
        box = (x - 0.45, x + 0.45, y - 0.45, y + 0.45)
        caption = "image\n" + "×".join(map(str, end.shape))
        axes.imshow(end.permute(1, 2, 0).numpy(), interpolation="none", extent=box)
    else:
        box, caption = (x - 0.08, x + 0.08, y - 0.45, y + 0.45), f"vector of\n{len(end)} numbers"
        stripes = end.numpy()[:, None]
        axes.imshow(stripes, "gray", interpolation="none", extent=box, aspect="auto")
    place = (x + 0.6, y) if is_narrow() else (x, -0.55)
    look = {"va": "center"} if is_narrow() else {"va": "top", "ha": "center"}
    axes.text(*place, caption, fontsize=SMALL, **look)


def _draw_arrow(axes: Axes, place: int) -> None:
    """Draw the arrow that leads to a place."""
    (x0, y0), (x1, y1) = _place(place - 1), _place(place)
    start, end = (0.47, 0.53) if is_narrow() else (0.42, 0.58)
    tip, tail = ((x0 + (x1 - x0) * part, y0 + (y1 - y0) * part) for part in (end, start))
    arrow = {"arrowstyle": "->", "color": GREY, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", tip, tail, arrowprops=arrow)


@styled
def losses(
    history: pd.DataFrame, *, expected: Mapping[str, float], diverged: int | None = None
) -> Figure:
    """Draw both losses over the epochs, and those `expected` of both networks at the equilibrium.

    `diverged` is the epoch from which on they have diverged, if they have.
    """
    require_epochs(history)
    curves = {
        "discriminator": (history["d_loss_real"] + history["d_loss_fake"], ORANGE),
        "generator": (history["g_loss"], BLUE),
    }
    figure = Figure(3.2)
    axes = figure.subplots()
    for name, (values, color) in curves.items():
        draw_line(axes, history["epoch"], values, color=color, label=name)
        axes.axhline(expected[name], color=color, lw=1, ls=":")
    label_epoch_axis(axes, "loss", "")
    last = history["epoch"].iloc[-1]
    axes.set(ylim=(0, None), xlim=(1, max(2, last)))
    if diverged is not None:
        axes.axvspan(diverged, last, color=GREY, alpha=0.15, lw=0)
        place = ((diverged + last) / 2, 0.97)
        look = {
            "ha": "center",
            "va": "top",
            "fontsize": SMALL,
            "transform": axes.get_xaxis_transform(),
        }
        axes.text(*place, "the discriminator\nwins", **look)
    set_title(axes, "Losses of both networks", "Dotted: the loss of each at the equilibrium")
    label_lines(axes)
    trends = ", ".join(
        f"the {name}'s from {values.iloc[0]:.2f} to {values.iloc[-1]:.2f}"
        for name, (values, _) in curves.items()
    )
    return figure.describe(
        f"Line chart of the losses over {int(history['epoch'].iloc[-1])} epochs: {trends}."
        + (f" From epoch {diverged} on they have diverged." if diverged is not None else "")
    )


@styled
def probabilities(history: pd.DataFrame, *, real_label: float, fake_label: float) -> Figure:
    """Draw D(x) and D(G(z)) over the epochs, with the labels that the discriminator is taught."""
    require_epochs(history)
    figure = Figure(3.2)
    axes = figure.subplots()
    epochs = history["epoch"]
    draw_line(axes, epochs, history["d_real"], color=INK, label="D(x), real")
    draw_line(axes, epochs, history["d_fake"], color=BLUE, label="D(G(z)),\ngenerated")
    axes.axhline(real_label, color=INK, lw=1, ls=":")
    axes.axhline(fake_label, color=BLUE, lw=1, ls=":")
    label_epoch_axis(axes, "probability of being real", "")
    axes.set(ylim=(0, 1), xlim=(1, max(2, epochs.iloc[-1])))
    axes.axhline(0.5, color=GREY, lw=0.8, ls="--")
    axes.annotate(
        "it cannot tell", (1, 0.5), (4, 2), textcoords="offset points", fontsize=SMALL, color=GREY
    )
    note = "Dotted: what it is taught. The farther apart the lines, the surer it is."
    set_title(axes, "Output of the discriminator", note)
    label_lines(axes)
    last = history.iloc[-1]
    return figure.describe(
        f"Line chart of the discriminator's output: at the end D(x) is {last['d_real']:.2f} for "
        f"real and D(G(z)) {last['d_fake']:.2f} for generated images."
    )


# Of a history; it is empty, without columns, until the first epoch is complete.
_SO_FAR = ["epoch", "d_loss_real", "d_loss_fake", "g_loss", "d_real", "d_fake"]
_SHARE = "share_between_images"


@styled
def training_so_far(history: pd.DataFrame, *, epochs: int, expected: Mapping[str, float]) -> Figure:
    """Draw how a training of ``epochs`` epochs goes; the history may still be empty.

    Side by side: the losses and the discriminator's outputs, with those `expected` at the
    equilibrium, and the share between images, which is 1 for the real ones.
    """
    history = history.reindex(columns=[*_SO_FAR, _SHARE])
    d_loss, x = history["d_loss_real"] + history["d_loss_fake"], history["epoch"]
    figure = Figure(6.9 if is_narrow() else 2.4)
    figure.set_layout_engine("none")  # it would take half of the time, each time
    room = {"left": 0.05, "right": 0.985, "top": 0.9, "bottom": 0.29, "wspace": 0.22}
    if is_narrow():
        room = {"left": 0.12, "right": 0.96, "top": 0.96, "bottom": 0.1, "hspace": 0.75}
    rows, columns = (3, 1) if is_narrow() else (1, 3)
    losses, outputs, share = figure.subplots(rows, columns, gridspec_kw=room)
    draw_line(losses, x, d_loss, color=ORANGE, label="discriminator")
    draw_line(losses, x, history["g_loss"], color=BLUE, label="generator")
    losses.axhline(expected["discriminator"], color=ORANGE, lw=1, ls=":")
    losses.axhline(expected["generator"], color=BLUE, lw=1, ls=":")
    draw_line(outputs, x, history["d_real"], color=INK, label="D(x), real")
    draw_line(outputs, x, history["d_fake"], color=BLUE, label="D(G(z)), generated")
    outputs.axhline(expected["probability"], color=GREY, lw=1, ls=":")
    draw_line(share, x, history[_SHARE], color=BLUE, label="generated")
    share.axhline(1, color=INK, lw=1, ls=":", label="real")
    titles = "Losses (dotted: equilibrium)", "Output of the discriminator", "Share between images"
    for axes, title in zip((losses, outputs, share), titles, strict=True):
        axes.set(xlabel="epoch", xlim=(0, epochs))
        axes.set_title(title, fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_ylim(0, 1 if axes is outputs else None)
        axes.legend(
            loc="upper left", bbox_to_anchor=(-0.1, -0.24), ncols=2, columnspacing=0.9,
            handlelength=1.2, handletextpad=0.4,
        )  # fmt: skip
    if history.empty:
        return figure.describe("Three line charts of the training, still empty.")
    last = history.iloc[-1]
    return figure.describe(
        f"Three line charts up to epoch {last['epoch']:.0f}: the losses are "
        f"{d_loss.iloc[-1]:.2f} for the discriminator and {last['g_loss']:.2f} for the generator; "
        f"D(x) is {last['d_real']:.2f} for real images and D(G(z)) {last['d_fake']:.2f} for "
        f"generated ones; the share between images is {last[_SHARE]:.2f}."
    )


@styled
def quality_over_epochs(table: pd.DataFrame, *, baseline: float) -> Figure:
    """Draw KID and diversity over the epochs (`evaluate_epochs`), and mark the best epoch.

    `baseline` is the KID between real images.
    """
    best, kid, diversity = table["kid"].idxmin(), table["kid"], table["diversity"]
    figure, (left, right) = draw_panels(2, 3.0)
    left.plot(table.index, kid, "o-", color=BLUE, lw=1.6, ms=4)
    left.plot(best, kid[best], "o", color=ORANGE, ms=9)
    left.annotate(
        f"best: epoch {best}", (best, kid[best]), (0, -14), textcoords="offset points",
        fontsize=SMALL, ha="center", va="top",
    )  # fmt: skip
    left.axhline(baseline, color=INK, lw=1, ls=":", label="real\nvs real")
    label_epoch_axis(left, "KID", "KID, lower is better")
    left.set_ylim(bottom=min(0, kid.min()))
    right.plot(table.index, diversity, "o-", color=BLUE, lw=1.6, ms=4)
    right.axhline(1, color=INK, lw=1, ls=":", label="real")
    label_epoch_axis(right, "relative to real", "Diversity, best near 1")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        label_lines(axes)
    return figure.describe(
        f"Two line charts by epoch. KID goes from {kid.iloc[0]:.3f} to {kid.iloc[-1]:.3f}; its "
        f"best is {kid[best]:.3f} at epoch {best}, and the real-vs-real baseline is "
        f"{baseline:.3f}. Diversity ends at {diversity.iloc[-1]:.2f} of that of real images."
    )


# RMSE, and what the eye makes of it: 30 and 20 dB of peak signal-to-noise ratio.
EYE = {8.1: "below: flaws as in a good JPEG", 25.5: "above: flaws plainly seen"}


@styled
def distance_over_epochs(distances: pd.Series, *, others: float | None = None) -> Figure:
    """Draw the RMSE of levels (0..255) between generated images and one image over the epochs.

    `others` is that of other images of the collection, if there are any.
    """
    figure = Figure(3.2)
    axes = figure.subplots()
    draw_line(axes, distances.index, distances, color=BLUE, label="generated")
    if others is not None:
        axes.axhline(others, color=INK, lw=1, ls=":", label="other images")
    label_epoch_axis(axes, "RMSE (0-255)", "")
    axes.set(ylim=(0, None), xlim=(distances.index[0], None))
    for level, text in EYE.items():
        axes.axhline(level, color=GREY, lw=0.8, ls="--")
        below = text.startswith("below")
        look = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
        look |= {"va": "top" if below else "bottom", "fontsize": SMALL, "color": GREY}
        axes.annotate(text, (0, level), (4, -2 if below else 2), **look)
    set_title(axes, "Distance to the original, lower is better")
    label_lines(axes)
    return figure.describe(
        f"Line chart. The RMSE between generated images and the original goes from "
        f"{distances.iloc[0]:.1f} to {distances.iloc[-1]:.1f} levels of 255."
        + (f" For other images it is {others:.1f}." if others is not None else "")
    )
