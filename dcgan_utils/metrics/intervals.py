"""Differences between groups of runs, with pooled variances, and looks at a growing study."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LEVEL = 0.05  # of a one-sided test
LEAST = 1e-12  # a smaller relative spread is rounding


@dataclass(frozen=True)
class Difference:
    """A difference between means, with what a test of it needs.

    Attributes
    ----------
    value : float
        The difference.
    error : float
        Its standard error. It is infinite if no arm has two runs, or if all runs of each arm are
        the same, such as shares that have reached 0: their spread says nothing about other runs.
    freedom : float
        Degrees of freedom of Student's t.
    level : float
        Of a one-sided test. The interval leaves out this much on each side.
    """

    value: float
    error: float
    freedom: float
    level: float = LEVEL

    @property
    def interval(self) -> tuple[float, float]:
        """The confidence interval, of the level ``1 - 2 * level``."""
        from scipy import stats

        if not np.isfinite(self.error):
            return -np.inf, np.inf
        half = float(stats.t.isf(self.level, self.freedom)) * self.error
        return self.value - half, self.value + half

    def errors_beyond(self, threshold: float, side: int) -> float:
        """Return by how many standard errors it lies above (``side`` 1) or below (-1) a value."""
        return side * (self.value - threshold) / self.error if np.isfinite(self.error) else 0.0

    def p_value(self, threshold: float, side: int) -> float:
        """Return the p-value of the test that it lies above (``side`` 1) or below (-1) a value."""
        from scipy import stats

        if not np.isfinite(self.error):
            return 1.0
        return float(stats.t.sf(self.errors_beyond(threshold, side), self.freedom))


@dataclass(frozen=True)
class Arms:
    """The means of several arms of a study, and the pooled variance of each kind of arm.

    Attributes
    ----------
    means : dict of float
    counts : dict of int
        Number of runs.
    kinds : dict
        Arms of one kind are assumed to vary alike.
    variances : dict of float
        By kind; NaN where no arm has two runs.
    """

    means: Mapping[str, float]
    counts: Mapping[str, int]
    kinds: Mapping[str, Hashable]
    variances: Mapping[Hashable, float]

    @classmethod
    def of(cls, values: Mapping[str, Sequence[float]], kinds: Mapping[str, Hashable]) -> Arms:
        """Return the arms of a study from one number per run."""
        arrays = {arm: np.asarray(numbers, dtype=float) for arm, numbers in values.items()}
        variances = {}
        for kind in dict.fromkeys(kinds[arm] for arm in arrays):
            own = [array for arm, array in arrays.items() if kinds[arm] == kind]
            freedom = sum(len(array) - 1 for array in own)
            squares = sum(((array - array.mean()) ** 2).sum() for array in own)
            variances[kind] = squares / freedom if freedom else np.nan
        means = {arm: float(array.mean()) for arm, array in arrays.items()}
        return cls(means, {arm: len(array) for arm, array in arrays.items()}, kinds, variances)

    def freedom(self, kind: Hashable) -> int:
        """Return the degrees of freedom of a kind's variance."""
        return sum(count - 1 for arm, count in self.counts.items() if self.kinds[arm] == kind)

    def difference(self, weights: Mapping[str, float], *, level: float = LEVEL) -> Difference:
        """Return the weighted sum of the means; weights that add up to 0 make it a difference.

        The degrees of freedom are Satterthwaite's (1946, "An approximate distribution of
        estimates of variance components", Biometrics Bulletin 2).
        """
        value = sum(weight * self.means[arm] for arm, weight in weights.items())
        parts: dict[Hashable, float] = {}
        for arm, weight in weights.items():
            kind = self.kinds[arm]
            part = weight**2 * self.variances[kind] / self.counts[arm]
            parts[kind] = parts.get(kind, 0.0) + part
        variance = sum(parts.values())
        size = max(abs(self.means[arm]) for arm in weights)
        if not variance > (LEAST * size) ** 2:  # NaN too
            return Difference(value, np.inf, np.nan, level)
        freedom = variance**2 / sum(part**2 / self.freedom(kind) for kind, part in parts.items())
        return Difference(value, float(np.sqrt(variance)), freedom, level)


# --- Looks at a growing study ---


@lru_cache
def look_levels(looks: tuple[int, ...], level: float = LEVEL) -> tuple[float, ...]:
    """Return the level of a one-sided test at each look, so that all together have ``level``.

    The level is spent as O'Brien and Fleming's boundary spends it: little at the first looks. At
    a share t of the runs, ``2 - 2 Phi(z / sqrt(t))`` is spent, with ``z`` so that the last look
    has spent all.

    Source: Lan and DeMets 1983, "Discrete sequential boundaries for clinical trials", Biometrika
    70, 659-663.

    Parameters
    ----------
    looks
        Increasing numbers of runs per arm.
    """
    from scipy import optimize, stats

    shares = np.array(looks) / looks[-1]
    spent = 2 * stats.norm.sf(stats.norm.isf(level / 2) / np.sqrt(shares))
    correlation = np.sqrt(np.minimum.outer(shares, shares) / np.maximum.outer(shares, shares))
    bounds: list[float] = []
    for number, so_far in enumerate(spent, start=1):
        normal = stats.multivariate_normal(cov=correlation[:number, :number])

        def excess(bound: float, normal=normal, so_far=so_far) -> float:
            return 1 - normal.cdf([*bounds, bound], rng=0) - so_far

        bounds.append(float(optimize.brentq(excess, 0, 10)))
    return tuple(float(stats.norm.sf(bound)) for bound in bounds)


def half_width(values: Sequence[float]) -> float:
    """Return half the width of Student's t interval (95 %) for the mean of an arm.

    It is infinite for one value, and where all values are the same but for rounding.
    """
    from scipy import stats

    numbers = np.asarray(values, dtype=float)
    if len(numbers) < 2 or np.ptp(numbers) <= LEAST * np.abs(numbers).max():
        return np.inf
    quantile = stats.t.ppf(0.975, len(numbers) - 1)
    return float(quantile * numbers.std(ddof=1) / np.sqrt(len(numbers)))
