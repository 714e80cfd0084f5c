"""The equilibrium between the two networks, and how far their losses are from it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

WINDOW = 10  # epochs in the moving average: single epochs fluctuate
DIVERGED = 0.8  # the discriminator's advantage from which on the losses count as diverged


def equilibrium_losses(real_label: float, fake_label: float) -> dict[str, float]:
    """Return the losses at the equilibrium, where D cannot distinguish real and generated images.

    The discriminator's optimal output is then the same for every image: the mean of its two
    labels. With labels 1 and 0 it is 1/2, and the discriminator's loss is 2 log 2 = 1.39, the
    value of the minimax game at its solution (Goodfellow et al. 2014, theorem 1).

    Returns
    -------
    dict of float
        The losses ``discriminator`` (the sum of its two) and ``generator``, and ``probability``,
        the discriminator's output D(x) for every image.
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
    """Describe the equilibrium (`equilibrium_losses`) in Markdown."""
    expected = equilibrium_losses(real_label, fake_label)
    return (
        f"With the labels {real_label:g} and {fake_label:g}, and generated images that are "
        "indistinguishable from real ones, the best output for every image is "
        f"**{expected['probability']:.3g}**. At this equilibrium the loss is "
        f"**{expected['discriminator']:.2f}** for the discriminator and "
        f"**{expected['generator']:.2f}** for the generator. A discriminator loss far below that "
        "means that the discriminator wins."
    )


def discriminator_advantage(
    d_loss: ArrayLike, *, real_label: float, fake_label: float
) -> np.ndarray:
    """Return the discriminator's advantage: 0 at the equilibrium, 1 if it is always right.

    This is its loss, rescaled linearly from the loss at the equilibrium (`equilibrium_losses`) to
    the smallest loss that its labels allow, their entropy.

    Parameters
    ----------
    d_loss
        The discriminator's loss, the sum over real and generated images; one value per epoch.
    real_label, fake_label
        The discriminator's labels, 0 to 1.

    Returns
    -------
    numpy.ndarray
        At most 1; negative where the discriminator is worse than guessing.
    """
    import numpy as np

    equilibrium = equilibrium_losses(real_label, fake_label)["discriminator"]
    smallest = sum(
        -p * math.log(p) for label in (real_label, fake_label) for p in (label, 1 - label) if p > 0
    )
    return (equilibrium - np.asarray(d_loss, float)) / (equilibrium - smallest)


def divergence_epoch(advantages: ArrayLike, *, window: int = WINDOW) -> int | None:
    """Return the epoch after which the two losses have diverged, or None.

    The second study stopped training when "the losses began to diverge more and more". Here the
    losses have diverged once the `discriminator_advantage`, averaged over a window of epochs,
    reaches 0.8 and stays there to the end: the discriminator wins easily, and the generator's
    loss rises because the discriminator rejects all of its images.

    Parameters
    ----------
    advantages
        One value of `discriminator_advantage` per epoch, from the first epoch on.
    window
        Epochs in the moving average; with fewer epochs the result is None.

    Notes
    -----
    Diverged losses do not mean that the images get worse. More epochs may bring the losses
    together again, and then the result changes.
    """
    import numpy as np

    advantages = np.asarray(advantages, float)
    if len(advantages) < window:
        return None
    means = np.convolve(advantages, np.full(window, 1 / window), "valid")
    wins = means >= DIVERGED - 1e-9  # a mean of exactly that may come out a little smaller
    if not wins[-1]:
        return None
    contested = np.flatnonzero(~wins)
    return window + (int(contested[-1]) + 1 if len(contested) else 0)
