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
from dcgan_utils.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    Figure,
    draw_line,
    hide_axes,
    label_epoch_axis,
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
    look = {"color": BLUE, "alpha": 0.35, "label": "sampled"}
    if prior.discrete:
        x, counts = np.unique(values, return_counts=True)
        axes.bar(x, counts / counts.sum(), width=0.2, **look)
    else:
        axes.hist(values, bins=80, density=True, lw=0, **look)
        margin = 0.05 * (high - low)
        x = np.linspace(low - margin, high + margin, 800)
    density = prior.density(x, noise_size=sample.shape[1])
    axes.plot(x, density, "o" if prior.discrete else "-", color=BLUE, lw=1.8, label="exact")
    axes.axvline(prior.mean, color=ORANGE, lw=1.5, ls="--", label="mean")
    axes.set(xlabel="value of one latent coordinate", title=f"The noise: {prior.label}")
    axes.set_ylabel("probability" if prior.discrete else "density")
    axes.legend()
    return figure.describe(
        f"Density of {prior.label}, with mean {prior.mean:.3g} and standard deviation "
        f"{prior.std:.3g}, over a histogram of sampled coordinates."
    )


@styled
def network_diagram(table: pd.DataFrame, *, start: str, title: str, color: str) -> Figure:
    """Draw a network as a row of blocks: height for the feature map's side, width for channels.

    Parameters
    ----------
    table
        From `networks.layer_table`; only layers that change the shape become a block.
    start
        Shape of the input, such as ``"100"`` or ``"3 × 64 × 64"``.
    """
    shapes = [start, *table["output"]]
    changed = table[[shape != before for shape, before in zip(shapes[1:], shapes, strict=False)]]
    blocks = [("", start), *zip(changed["layer"], changed["output"], strict=True)]
    figure = Figure(2.6)
    axes = figure.subplots()
    x = lowest = 0.0
    for position, (layer, shape) in enumerate(blocks):
        if layer:
            _draw_layer(axes, x, layer.split(",")[0])
        width, height = _draw_block(axes, x, shape, color, alpha=0.25 + 0.25 * (position % 2))
        lowest = min(lowest, -height / 2)
        x += width + 0.7
    axes.set(xlim=(-0.3, x - 0.4), ylim=(lowest - 0.4, 2.4), title=title)
    hide_axes(axes)
    trail = ", ".join(shape.replace(" ", "") for _, shape in blocks)
    return figure.describe(f"{title}: the shapes from input to output are {trail}.")


def _draw_block(axes: Axes, x: float, shape: str, color: str, alpha: float) -> tuple[float, float]:
    """Draw a feature map to the right of x, its shape below; return its width and height."""
    channels, *sides = (int(number) for number in shape.split(" × ") if number)
    width, height = 0.25 + 0.11 * np.log2(channels), 0.25 + 0.42 * np.log2((sides or [1])[-1])
    block = Rectangle((x, -height / 2), width, height, fc=color, alpha=alpha, ec=color)
    axes.add_patch(block)
    place = x + width / 2, -height / 2 - 0.15
    axes.text(*place, shape.replace(" ", ""), ha="center", va="top", fontsize=8)
    return width, height


def _draw_layer(axes: Axes, x: float, name: str) -> None:
    """Draw the arrow that leads to x, and the layer's name above it."""
    look = {"ha": "center", "va": "bottom", "fontsize": 7, "color": GREY}
    axes.text(x - 0.35, 1.75, name.replace(" ", "\n"), **look)
    arrow = {"arrowstyle": "->", "color": GREY}
    axes.annotate("", (x - 0.06, 0), (x - 0.64, 0), arrowprops=arrow)


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
        axes.axhline(expected[name], color=color, lw=1, ls=":", label=f"{name}, equilibrium")
    if diverged is not None:
        axes.axvline(diverged, color=GREY, lw=1, ls="--", label="losses diverged")
    label_epoch_axis(axes, "loss", "Losses of both networks")
    axes.set_ylim(bottom=0)
    axes.legend(ncols=2)
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
    figure = Figure(3.0)
    axes = figure.subplots()
    epochs = history["epoch"]
    draw_line(axes, epochs, history["d_real"], color=GREEN, label="D(x), real")
    draw_line(axes, epochs, history["d_fake"], color=BLUE, label="D(G(z)), generated")
    axes.axhline(real_label, color=GREEN, lw=1, ls=":", label="label of real")
    axes.axhline(fake_label, color=BLUE, lw=1, ls=":", label="label of generated")
    label_epoch_axis(axes, "probability of being real", "Output of the discriminator")
    axes.set_ylim(0, 1)
    axes.legend(ncols=2)
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
    figure = Figure(2.4)
    figure.set_layout_engine("none")  # it would take half of the time, each time
    room = {"left": 0.05, "right": 0.985, "top": 0.9, "bottom": 0.29, "wspace": 0.22}
    losses, outputs, share = figure.subplots(1, 3, gridspec_kw=room)
    draw_line(losses, x, d_loss, color=ORANGE, label="discriminator")
    draw_line(losses, x, history["g_loss"], color=BLUE, label="generator")
    losses.axhline(expected["discriminator"], color=ORANGE, lw=1, ls=":")
    losses.axhline(expected["generator"], color=BLUE, lw=1, ls=":")
    draw_line(outputs, x, history["d_real"], color=GREEN, label="D(x), real")
    draw_line(outputs, x, history["d_fake"], color=BLUE, label="D(G(z)), generated")
    outputs.axhline(expected["probability"], color=GREY, lw=1, ls=":")
    draw_line(share, x, history[_SHARE], color=BLUE, label="generated")
    share.axhline(1, color=GREEN, lw=1, ls=":", label="real")
    titles = "Losses (dotted: equilibrium)", "Output of the discriminator", "Share between images"
    for axes, title in zip((losses, outputs, share), titles, strict=True):
        axes.set(xlabel="epoch", xlim=(0, epochs))
        axes.set_title(title, fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_ylim(0, 1 if axes is outputs else None)
        axes.legend(loc="upper left", bbox_to_anchor=(-0.06, -0.24), ncols=2, fontsize=8)
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
    figure = Figure(3.0)
    left, right = figure.subplots(1, 2)
    left.plot(table.index, kid, "o-", color=BLUE, lw=1.6, ms=4)
    left.plot(best, kid[best], "o", color=ORANGE, ms=9, label=f"best: epoch {best}")
    left.axhline(baseline, color=GREEN, lw=1, ls=":", label="real-vs-real baseline")
    label_epoch_axis(left, "KID", "Distance to the collection")
    right.plot(table.index, diversity, "o-", color=BLUE, lw=1.6, ms=4)
    right.axhline(1, color=GREEN, lw=1, ls=":", label="real images")
    label_epoch_axis(right, "relative to real", "Diversity")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.legend()
    return figure.describe(
        f"Two line charts by epoch. KID goes from {kid.iloc[0]:.3f} to {kid.iloc[-1]:.3f}; its "
        f"best is {kid[best]:.3f} at epoch {best}, and the real-vs-real baseline is "
        f"{baseline:.3f}. Diversity ends at {diversity.iloc[-1]:.2f} of that of real images."
    )


@styled
def distance_over_epochs(distances: pd.Series, *, others: float | None = None) -> Figure:
    """Draw the RMSE of levels (0..255) between generated images and one image over the epochs.

    `others` is that of other images of the collection, if there are any.
    """
    figure = Figure(2.8)
    axes = figure.subplots()
    draw_line(axes, distances.index, distances, color=BLUE, label="generated")
    if others is not None:
        axes.axhline(others, color=GREEN, lw=1, ls=":", label="other images")
    label_epoch_axis(axes, "RMSE (0-255)", "Distance to the original")
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure.describe(
        f"Line chart. The RMSE between generated images and the original goes from "
        f"{distances.iloc[0]:.1f} to {distances.iloc[-1]:.1f} levels of 255."
        + (f" For other images it is {others:.1f}." if others is not None else "")
    )
