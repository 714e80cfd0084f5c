"""The balance between the two networks, read from their losses alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

WINDOW = 10  # epochs; single epochs fluctuate
DIVERGED = 0.8


def equilibrium_losses(real_label: float, fake_label: float) -> dict[str, float]:
    """Return both losses at the equilibrium, where generated images cannot be told from real ones.

    The discriminator's best output, for every image, is then the mean of its two labels. With
    labels 1 and 0 that is 1/2, and its loss is 2 log 2 = 1.39, the value of the minimax game at
    its solution (Goodfellow et al. 2014, theorem 1).

    Returns
    -------
    dict of float
        ``discriminator`` (sum of its two losses), ``generator``, and ``probability``, the
        discriminator's output.
    """
    probability = (real_label + fake_label) / 2

    def cross_entropy(label: float) -> float:
        return -label * math.log(probability) - (1 - label) * math.log(1 - probability)

    return {
        "discriminator": cross_entropy(real_label) + cross_entropy(fake_label),
        "generator": cross_entropy(real_label),
        "probability": probability,
    }


def describe_equilibrium(real_label: float, fake_label: float) -> str:
    """Describe in Markdown what `equilibrium_losses` returns."""
    expected = equilibrium_losses(real_label, fake_label)
    return (
        f"With the labels {real_label:g} and {fake_label:g}, and generated images that cannot be "
        f"told from real ones, the best output for every image is "
        f"**{expected['probability']:.3g}**. At this equilibrium the loss is "
        f"**{expected['discriminator']:.2f}** for the discriminator and "
        f"**{expected['generator']:.2f}** for the generator. A discriminator loss far below that "
        "means that the discriminator wins."
    )


def discriminator_advantage(
    d_loss: ArrayLike, *, real_label: float, fake_label: float
) -> np.ndarray:
    """Return the discriminator's advantage: 0 at the equilibrium, 1 if it is always right.

    This is its loss, on a scale from the loss at the equilibrium (see `equilibrium_losses`) to the
    smallest loss that its labels allow, their entropy.

    Parameters
    ----------
    d_loss
        The discriminator's loss, the sum over real and generated images, one per epoch.
    real_label, fake_label
        Its labels, 0 to 1.

    Returns
    -------
    numpy.ndarray
        At most 1; negative where the discriminator is worse than guessing.
    """
    balance = equilibrium_losses(real_label, fake_label)["discriminator"]
    least = sum(
        -p * math.log(p) for label in (real_label, fake_label) for p in (label, 1 - label) if p > 0
    )
    return (balance - np.asarray(d_loss, float)) / (balance - least)


def divergence_epoch(advantages: ArrayLike, *, window: int = WINDOW) -> int | None:
    """Return the epoch from which on the two losses have diverged, or None.

    The second study ended its training when "the losses began to diverge more and more". Here
    they have diverged once the `discriminator_advantage`, averaged over a window of epochs, is
    0.8 or more and stays so to the end: the discriminator then wins without effort, and the
    generator's loss rises because the discriminator believes none of its images.

    Parameters
    ----------
    advantages
        One per epoch, from the first epoch on.
    window
        Epochs in the average; before that many epochs, nothing has diverged.

    Notes
    -----
    Diverged losses do not mean that the images get worse. More epochs may bring the losses
    together again, and then the answer changes.
    """
    advantages = np.asarray(advantages, float)
    if len(advantages) < window:
        return None
    wins = np.convolve(advantages, np.full(window, 1 / window), "valid") >= DIVERGED
    if not wins[-1]:
        return None
    contested = np.flatnonzero(~wins)
    return window + (int(contested[-1]) + 1 if len(contested) else 0)
