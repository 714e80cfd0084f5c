"""Confidence intervals for differences between paired runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """The mean of paired differences, and its confidence interval.

    Attributes
    ----------
    difference : float
        The mean over the pairs.
    low, high : float
        Student's t interval. It is infinite if there is one pair only, or if all differences are
        the same, such as those of shares that have reached 0 or 1.
    pairs : int
        Number of seeds that both sides share.
    """

    difference: float
    low: float
    high: float
    pairs: int

    def __neg__(self) -> Interval:
        """Return the interval with the sides exchanged."""
        return Interval(-self.difference, -self.high, -self.low, self.pairs)

    def __str__(self) -> str:
        """Return, for example, ``+0.021 [-0.003, +0.045]``."""
        if not self.pairs:
            return "no seed in common"
        if self.pairs == 1:
            return f"{self.difference:+.3f} (one seed)"
        if not np.isfinite(self.low):
            return f"{self.difference:+.3f} (the same for all seeds)"
        return f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired(one: pd.Series, other: pd.Series, *, comparisons: int = 1) -> Interval:
    """Return the mean difference ``one - other`` over the seeds that both share.

    Parameters
    ----------
    one, other
        One number per seed, indexed by seed.
    comparisons
        Number of intervals in the same family. Each is widened so that all of them hold in 95
        of 100 studies (Bonferroni).

    Notes
    -----
    Student's t assumes normal differences, which a few seeds can neither show nor refute. A
    bootstrap over the seeds would be too confident: its interval cannot reach beyond the observed
    values, and three values are all on the same side of the true median one time in four.
    """
    differences = (one - other).dropna()
    half = half_width(differences, comparisons=comparisons)
    mean = float(differences.mean())
    return Interval(mean, mean - half, mean + half, len(differences))


def half_width(values: pd.Series, *, comparisons: int = 1) -> float:
    """Return half the width of Student's t interval for the mean.

    It is infinite for one value, and where all values are the same but for rounding: then their
    spread says nothing about that of other seeds.
    """
    from scipy import stats

    if len(values) < 2 or np.ptp(values) <= 1e-12 * np.abs(values).max():
        return np.inf
    quantile = stats.t.ppf(1 - (1 - LEVEL) / comparisons / 2, len(values) - 1)
    return float(quantile * values.std(ddof=1) / np.sqrt(len(values)))
