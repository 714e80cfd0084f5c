"""How far paired runs are apart, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean of paired differences, and how sure it is.

    Attributes
    ----------
    difference : float
        The mean over the pairs.
    low, high : float
        Student's t interval; infinite where it says nothing: with one pair, or where all
        differences are the same, as those of shares that have reached 0 or 1.
    pairs : int
        Seeds that both sides have.
    """

    difference: float
    low: float
    high: float
    pairs: int

    def __neg__(self) -> Interval:
        """Return the same with the sides exchanged."""
        return Interval(-self.difference, -self.high, -self.low, self.pairs)

    def __str__(self) -> str:
        """Return such as ``+0.021 [-0.003, +0.045]``."""
        if not self.pairs:
            return "no seed in common"
        if self.pairs == 1:
            return f"{self.difference:+.3f} (one seed)"
        if not np.isfinite(self.low):
            return f"{self.difference:+.3f} (the same for all seeds)"
        return f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired(one: pd.Series, other: pd.Series, *, comparisons: int = 1) -> Interval:
    """Return how much larger one side is than the other, over the seeds that both have.

    Parameters
    ----------
    one, other
        A number a seed, indexed by seed.
    comparisons
        How many such intervals are to hold together: each is widened so that all hold in 95 of
        100 studies (Bonferroni).

    Notes
    -----
    Student's t takes the differences as normal, which a few seeds can neither show nor refute.
    A bootstrap over the seeds would claim too much: its interval cannot reach beyond the
    values seen, and of three values all lie on the same side of the truth one time in four.
    """
    differences = (one - other).dropna()
    half = half_width(differences, comparisons=comparisons) or np.inf
    mean = float(differences.mean())
    return Interval(mean, mean - half, mean + half, len(differences))


def half_width(values: pd.Series, *, comparisons: int = 1) -> float:
    """Return half the width of Student's t interval for the mean; infinite for one value."""
    from scipy import stats

    if len(values) < 2:
        return np.inf
    reach = stats.t.ppf(1 - (1 - LEVEL) / comparisons / 2, len(values) - 1)
    return float(reach * values.std(ddof=1) / np.sqrt(len(values)))
