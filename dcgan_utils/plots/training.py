"""Figures of one training: noise, networks, losses, quality; the house style is that of `plots`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

from dcgan_utils.gan.priors import Prior
from dcgan_utils.plots.style import BLUE, GREEN, GREY, ORANGE, STYLE, label_epoch_axis, new_figure

if TYPE_CHECKING:
    import pandas as pd


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


def network_diagram(table: pd.DataFrame, *, start: str, title: str, color: str) -> Figure:
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
    history: pd.DataFrame, *, expected: Mapping[str, float], diverged: int | None = None
) -> Figure:
    """Draw both losses by epoch, with the values they have when neither network wins.

    Parameters
    ----------
    history
        A run's history.
    expected
        ``discriminator`` and ``generator``: the losses at the equilibrium.
    diverged
        The epoch from which on they have diverged for good, if they have.
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
        if diverged is not None:
            axes.axvline(diverged, color=GREY, lw=1, ls="--", label="diverged for good")
        label_epoch_axis(axes, "loss", "Losses of both networks")
        axes.set_ylim(bottom=0)
        axes.legend(ncols=2)
    first, last = history.iloc[0], history.iloc[-1]
    figure.set_label(
        f"Line chart of the losses over {int(last['epoch'])} epochs: the discriminator's goes "
        f"from {first['d_loss_real'] + first['d_loss_fake']:.2f} to "
        f"{last['d_loss_real'] + last['d_loss_fake']:.2f}, the generator's from "
        f"{first['g_loss']:.2f} to {last['g_loss']:.2f}."
        + (f" From epoch {diverged} on they have diverged for good." if diverged else "")
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
        label_epoch_axis(axes, "probability of being real", "What the discriminator says")
        axes.set_ylim(0, 1)
        axes.legend(ncols=2)
    last = history.iloc[-1]
    figure.set_label(
        f"Line chart of the discriminator's verdicts: at the end {last['d_real']:.2f} on real and "
        f"{last['d_fake']:.2f} on generated images."
    )
    return figure


def quality_over_epochs(table: pd.DataFrame, *, floor: float) -> Figure:
    """Draw KID and diversity by epoch; the best epoch is marked.

    Parameters
    ----------
    table
        ``kid`` and ``diversity`` indexed by epoch, as `evaluation.evaluate_epochs` returns it.
    floor
        KID of real images against real ones.
    """
    best = table["kid"].idxmin()
    with mpl.rc_context(STYLE):
        figure = new_figure(3.0)
        left, right = figure.subplots(1, 2)
        left.plot(table.index, table["kid"], "o-", color=BLUE, lw=1.6, ms=4)
        left.plot(best, table["kid"][best], "o", color=ORANGE, ms=9, label=f"best: epoch {best}")
        left.axhline(floor, color=GREEN, lw=1, ls=":", label="real against real")
        label_epoch_axis(left, "KID", "Distance to the collection")
        left.legend()
        right.plot(table.index, table["diversity"], "o-", color=BLUE, lw=1.6, ms=4)
        right.axhline(1, color=GREEN, lw=1, ls=":", label="the real images")
        label_epoch_axis(right, "relative to real", "Diversity")
        right.set_ylim(bottom=0)
        right.legend()
    figure.set_label(
        f"Two line charts by epoch. KID goes from {table['kid'].iloc[0]:.3f} to "
        f"{table['kid'].iloc[-1]:.3f}, its best is {table['kid'][best]:.3f} at epoch {best}; real "
        f"images have {floor:.3f}. Diversity ends at {table['diversity'].iloc[-1]:.2f} of theirs."
    )
    return figure


def distance_over_epochs(apart: pd.Series, *, others: float | None = None) -> Figure:
    """Draw how far generated images are from one image, by epoch.

    Parameters
    ----------
    apart
        Levels (0..255), indexed by epoch.
    others
        How far other images of the collection are, if there are any.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(2.8)
        axes = figure.subplots()
        axes.plot(apart.index, apart, color=BLUE, lw=1.6, label="generated")
        if others is not None:
            axes.axhline(others, color=GREEN, lw=1, ls=":", label="other images")
        label_epoch_axis(axes, "levels of 255", "Distance to the original")
        axes.set_ylim(bottom=0)
        axes.legend()
    figure.set_label(
        f"Line chart. The distance of generated images to the original goes from "
        f"{apart.iloc[0]:.1f} to {apart.iloc[-1]:.1f} levels."
        + (f" Other images are {others:.1f} away." if others is not None else "")
    )
    return figure
