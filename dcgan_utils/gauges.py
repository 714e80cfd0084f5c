"""How the contest between the two networks stands, read from the losses alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["WINDOW", "advantage", "balanced_losses", "parted_at"]

WINDOW = 10  # epochs; single ones jump
PARTED = 0.8


def balanced_losses(real_label: float, fake_label: float) -> dict[str, float]:
    """Return both losses at the equilibrium, where generated and real pictures are alike.

    The best that the discriminator can then say, of every picture, is the mean of its two
    labels. With labels 1 and 0 that is 1/2, and its loss is 2 log 2 = 1.39, the value of the
    minimax game at its solution (Goodfellow et al. 2014, theorem 1).

    Returns
    -------
    dict of float
        ``discriminator`` (sum of its two losses), ``generator``, and ``verdict``, the
        probability that the discriminator then gives.
    """
    verdict = (real_label + fake_label) / 2

    def cross_entropy(label: float) -> float:
        return -label * math.log(verdict) - (1 - label) * math.log(1 - verdict)

    return {
        "discriminator": cross_entropy(real_label) + cross_entropy(fake_label),
        "generator": cross_entropy(real_label),
        "verdict": verdict,
    }


def advantage(d_loss: ArrayLike, *, real_label: float, fake_label: float) -> np.ndarray:
    """Return how far the discriminator has won: 0 at the balance, 1 if it is always right.

    Its loss on the scale between what it is where nobody can tell the pictures apart (see
    `balanced_losses`) and the least that its labels allow, their entropy.

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
    balance = balanced_losses(real_label, fake_label)["discriminator"]
    least = sum(
        -p * math.log(p) for label in (real_label, fake_label) for p in (label, 1 - label) if p > 0
    )
    return (balance - np.asarray(d_loss, float)) / (balance - least)


def parted_at(advantages: ArrayLike) -> int | None:
    """Return the epoch from which on the two losses have parted for good, or None.

    The second study ended its training when "the losses began to diverge more and more". Here
    they have parted once the discriminator's `advantage`, as a mean over the last ten epochs,
    is 0.8 or more and stays so to the end: it then wins without effort, and the generator's
    loss rises because nothing that it tries is believed.

    Parameters
    ----------
    advantages
        One an epoch, from the first.

    Notes
    -----
    It says that the contest is over, not that the pictures get worse from there; on few
    pictures their quality often improves for long after. More epochs may yet bring the losses
    together again, and the answer then changes.
    """
    sums = np.cumsum([0.0, *np.asarray(advantages, float)])
    ends = np.arange(1, len(sums))
    starts = np.maximum(ends - WINDOW, 0)
    apart = (sums[ends] - sums[starts]) / (ends - starts) >= PARTED
    if not apart.any() or not apart[-1]:
        return None
    together = np.flatnonzero(~apart)
    return int(together[-1]) + 2 if len(together) else 1
