"""How the contest between the two networks stands, read from the losses alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

WINDOW = 10  # epochs; single ones jump
DIVERGED = 0.8


def equilibrium_losses(real_label: float, fake_label: float) -> dict[str, float]:
    """Return both losses at the equilibrium, where generated and real images are alike.

    The best that the discriminator can then say, of every image, is the mean of its two
    labels. With labels 1 and 0 that is 1/2, and its loss is 2 log 2 = 1.39, the value of the
    minimax game at its solution (Goodfellow et al. 2014, theorem 1).

    Returns
    -------
    dict of float
        ``discriminator`` (sum of its two losses), ``generator``, and ``verdict``, the
        probability that the discriminator then gives.
    """
    probability = (real_label + fake_label) / 2

    def cross_entropy(label: float) -> float:
        return -label * math.log(probability) - (1 - label) * math.log(1 - probability)

    return {
        "discriminator": cross_entropy(real_label) + cross_entropy(fake_label),
        "generator": cross_entropy(real_label),
        "probability": probability,
    }


def discriminator_advantage(
    d_loss: ArrayLike, *, real_label: float, fake_label: float
) -> np.ndarray:
    """Return how far the discriminator has won: 0 at the balance, 1 if it is always right.

    Its loss on the scale between what it is where nobody can tell the images apart (see
    `equilibrium_losses`) and the least that its labels allow, their entropy.

    Parameters
    ----------
    d_loss
        The discriminator's loss, real and generated together, one a epoch.
    real_label, fake_label
        Its labels, 0 to 1.

    Returns
    -------
    numpy.ndarray
        At most 1; negative where the discriminator is worse than a guess.
    """
    balance = equilibrium_losses(real_label, fake_label)["discriminator"]
    least = sum(
        -p * math.log(p) for label in (real_label, fake_label) for p in (label, 1 - label) if p > 0
    )
    return (balance - np.asarray(d_loss, float)) / (balance - least)


def divergence_epoch(leads: ArrayLike, *, window: int = WINDOW) -> int | None:
    """Return the epoch from which on the two losses have parted for good, or None.

    The second study ended its training when "the losses began to diverge more and more". Here
    they have parted once the discriminator's `discriminator_advantage`, as a mean over a window of epochs, is 0.8
    or more and stays so to the end: it then wins without effort, and the generator's
    loss rises because nothing that it tries is believed.

    Parameters
    ----------
    leads
        One an epoch, from the first.
    window
        Epochs in the mean; before so many are over, nothing has parted.

    Notes
    -----
    It says that the contest is over, not that the images get worse from there. More epochs may
    yet bring the losses together again, and the answer then changes.
    """
    leads = np.asarray(leads, float)
    if len(leads) < window:
        return None
    apart = np.convolve(leads, np.full(window, 1 / window), "valid") >= DIVERGED
    if not apart[-1]:
        return None
    together = np.flatnonzero(~apart)
    return window + (int(together[-1]) + 1 if len(together) else 0)
