"""The first study's claims about the noise, tested on runs.

Each claim is stated as a comparison of paired runs (same seed, all else equal), together with the
prediction of theory (see `dcgan_utils.study.theory`). The verdict follows from confidence
intervals: confirmed, refuted, undecided if an interval does not exclude either, or not tested if
runs are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_utils.core.seeds import stream
from dcgan_utils.gan import priors
from dcgan_utils.gan.priors import Normal, Prior
from dcgan_utils.metrics.intervals import Interval, paired

if TYPE_CHECKING:
    import pandas as pd


CONFIRMED, REFUTED = "confirmed", "refuted"
UNDECIDED, NOT_TESTED = "undecided", "not tested"
VERDICTS = (CONFIRMED, REFUTED, UNDECIDED, NOT_TESTED)
NEGLIGIBLE = 0.1  # of the value for N(0, 1): a smaller difference counts as none
MUCH = 0.25  # of the value for N(0, 1): what "much" means
REFERENCE = "normal(0, 1)"
GAMMA = "gamma(2, 1)"
STANDARDIZED = f"standardized({GAMMA})"


@dataclass(frozen=True)
class Claim:
    """A claim of the study, the prediction of theory, the measurement, and the verdict."""

    letter: str
    study: str
    prediction: str
    measured: str
    verdict: str


# --- Verdicts ---


def _is_larger(intervals: Iterable[Interval], *, than: float) -> list[str]:
    return [
        CONFIRMED if i.low > than else REFUTED if i.high < than else UNDECIDED for i in intervals
    ]


def _are_alike(intervals: Iterable[Interval], *, within: float) -> list[str]:
    return [
        CONFIRMED
        if -within < i.low and i.high < within
        else REFUTED
        if i.low > within or i.high < -within
        else UNDECIDED
        for i in intervals
    ]


def _not(verdicts: list[str]) -> list[str]:
    opposite = {CONFIRMED: REFUTED, REFUTED: CONFIRMED, UNDECIDED: UNDECIDED}
    return [opposite[verdict] for verdict in verdicts]


def _every(verdicts: list[str]) -> str:
    """Return the verdict on 'all of them'."""
    if REFUTED in verdicts:
        return REFUTED
    return UNDECIDED if UNDECIDED in verdicts else CONFIRMED


def _some(verdicts: list[str]) -> str:
    """Return the verdict on 'at least one of them'."""
    if CONFIRMED in verdicts:
        return CONFIRMED
    return UNDECIDED if UNDECIDED in verdicts else REFUTED


# --- The claims ---


def _is_mostly_within(prior: Prior) -> bool:
    """Return whether a prior is symmetric about 0 and mostly within (-1, 1)."""
    if prior.mean != 0 or abs(prior.skewness) > 0:  # the skewness of t(3) is NaN
        return False
    z = prior.sample(200, 100, generator=stream(0, "within"))
    return (z.abs() <= 1).float().mean().item() > 0.5


def _is_shifted(prior: Prior) -> bool:
    return isinstance(prior, Normal) and prior.mean != 0


def _is_scaled(prior: Prior) -> bool:
    return isinstance(prior, Normal) and prior.mean == 0 and prior.std != 1


def _is_wide(prior: Prior) -> bool:
    return _is_scaled(prior) and prior.std >= 10


@dataclass(frozen=True)
class _Runs:
    """The table of runs, by prior."""

    table: pd.DataFrame

    def specs(self, matches: Callable[[Prior], bool]) -> list[str]:
        return [spec for spec in self.table["noise"].unique() if matches(priors.parse(spec))]

    def have(self, *groups: list[str]) -> bool:
        """Return whether there are runs of each group of priors, and of N(0, 1)."""
        return all(groups) and REFERENCE in set(self.table["noise"])

    def mean(self, specs: list[str], metric: str) -> pd.Series:
        """Return the mean over some priors, indexed by seed; NaN if a prior lacks the seed."""
        wide = self.table.pivot_table(index="seed", columns="noise", values=metric)
        return wide.reindex(columns=specs).mean(axis=1, skipna=False)

    def differences(self, specs: list[str], others: list[str], metric: str) -> dict[str, Interval]:
        """Return for each prior, by label, how it differs from the mean over others."""
        other = self.mean(others, metric)
        return {
            _label(spec): paired(self.mean([spec], metric), other, comparisons=len(specs))
            for spec in specs
        }

    def reference(self, metric: str) -> float:
        """Return the absolute value for N(0, 1); a KID near 0 may be negative."""
        return abs(float(self.mean([REFERENCE], metric).mean()))


def _label(spec: str) -> str:
    return priors.parse(spec).label


def judge(table: pd.DataFrame) -> list[Claim]:
    """Test the study's claims on runs.

    Parameters
    ----------
    table
        One row per run: ``noise`` (a spec), ``seed``, and ``kid``, ``layout_repetition`` and
        ``sharpness`` from `evaluation.evaluate`. The runs must not differ in anything else.

    Returns
    -------
    list of Claim
        Each with the numbers behind its verdict, or with the runs that it lacks.

    Notes
    -----
    The study gives no numbers, so the thresholds are our choice: a difference of less than a
    tenth of the value for N(0, 1) counts as none, and a quarter or more as "much". For repeated
    layouts, the tenth is of all images. The intervals of one claim hold together in 95 of 100
    studies, but not those of all claims together.
    """
    runs = _Runs(table)
    return [test(runs) for test in (_symmetric, _repeats, _shift, _variance, _blur, _cure)]


def _claim(
    letter: str,
    study: str,
    prediction: str,
    found: dict[str, Interval],
    verdict: Callable[[], str],
    *,
    what: str,
    needed: str,
) -> Claim:
    if not found:
        return Claim(
            letter, study, prediction, f"Nothing: this takes runs with {needed}.", NOT_TESTED
        )
    numbers = "; ".join(f"{name} {interval}" for name, interval in found.items())
    return Claim(letter, study, prediction, f"{what}: {numbers}", verdict())


def _symmetric(runs: _Runs) -> Claim:
    within = runs.specs(_is_mostly_within)
    others = runs.specs(lambda prior: not _is_mostly_within(prior))
    found = runs.differences(others, within, "kid") if runs.have(within, others) else {}
    return _claim(
        "a",
        "Symmetric noise that lies mostly within (-1, 1), such as U(-1, 1) and N(0, 1), gives the "
        "best images.",
        "Not for that reason. What counts is |mean| / std: N(0, 100) lies mostly outside, and "
        "standardized Gamma(2, 1) is not symmetric; both should be as good.",
        found,
        lambda: _every(_is_larger(found.values(), than=NEGLIGIBLE * runs.reference("kid"))),
        what=f"Difference in KID to the average of {', '.join(map(_label, within))}",
        needed="N(0, 1) and noise that is not symmetric or not mostly within (-1, 1)",
    )


def _repeats(runs: _Runs) -> Claim:
    gammas = runs.specs(lambda prior: str(prior) == GAMMA)
    found = runs.differences(gammas, [REFERENCE], "layout_repetition") if runs.have(gammas) else {}
    return _claim(
        "b",
        "With Gamma(2, 1) the images often repeat.",
        "Yes: |mean| / std is 1.41, and only a third of the first layer's variance is left for "
        "the differences between images.",
        found,
        lambda: _every(_is_larger(found.values(), than=NEGLIGIBLE)),
        what="Difference to N(0, 1) in the share of images whose layout repeats",
        needed="N(0, 1) and Gamma(2, 1)",
    )


def _shift(runs: _Runs) -> Claim:
    shifted = runs.specs(_is_shifted)
    found = runs.differences(shifted, [REFERENCE], "kid") if runs.have(shifted) else {}
    return _claim(
        "c",
        "Another mean can make normal noise much worse.",
        "Yes: a mean does not cancel in BatchNorm. With |mean| / std = 1 half of the variance is "
        "left.",
        found,
        lambda: _some(_is_larger(found.values(), than=MUCH * runs.reference("kid"))),
        what="Difference in KID to N(0, 1)",
        needed="N(0, 1) and normal noise with another mean",
    )


def _variance(runs: _Runs) -> Claim:
    scaled = runs.specs(_is_scaled)
    found = runs.differences(scaled, [REFERENCE], "kid") if runs.have(scaled) else {}
    return _claim(
        "d",
        "Another variance does not matter much. (The study adds that the difference can be seen: "
        "that is claim e.)",
        "It does not matter at all: the scale cancels in the first BatchNorm of the architecture "
        "dcgan, in the images and in the gradients.",
        found,
        lambda: _every(_are_alike(found.values(), within=MUCH * runs.reference("kid"))),
        what="Difference in KID to N(0, 1)",
        needed="N(0, 1) and normal noise with mean 0 and another variance",
    )


def _blur(runs: _Runs) -> Claim:
    wide = runs.specs(_is_wide)
    found = runs.differences(wide, [REFERENCE], "sharpness") if runs.have(wide) else {}

    def verdict() -> str:
        least = NEGLIGIBLE * runs.reference("sharpness")
        return _every(_is_larger([-difference for difference in found.values()], than=least))

    return _claim(
        "e",
        "With a large variance, N(0, 100), the images are more blurred.",
        "No: the scale cancels.",
        found,
        verdict,
        what="Difference in sharpness (real images: 1) to N(0, 1)",
        needed="N(0, 1) and normal noise with mean 0 and a variance of 100 or more",
    )


def _cure(runs: _Runs) -> Claim:
    gamma = runs.specs(lambda prior: str(prior) == GAMMA)
    standardized = runs.specs(lambda prior: str(prior) == STANDARDIZED)
    found: dict[str, Interval] = {}
    if runs.have(gamma, standardized):
        kid = runs.mean(standardized, "kid")
        for spec in (GAMMA, REFERENCE):
            found[f"to {_label(spec)}"] = paired(kid, runs.mean([spec], "kid"), comparisons=2)

    def verdict() -> str:
        least = NEGLIGIBLE * runs.reference("kid")
        to_gamma, to_reference = found.values()
        is_better = _is_larger([-to_gamma], than=least)
        return _every(is_better + _not(_is_larger([to_reference], than=least)))

    return _claim(
        "f",
        "(Ours, not the study's.) Standardising cures Gamma(2, 1).",
        "Yes: with mean 0, the differences between images keep all of the variance; the remaining "
        "skewness does not matter.",
        found,
        verdict,
        what="Difference in KID of standardized Gamma(2, 1)",
        needed="N(0, 1), Gamma(2, 1) and standardized(gamma(2, 1))",
    )


def as_markdown(claims: Iterable[Claim]) -> str:
    """Return claims as Markdown, one paragraph per claim, with the verdict at its end."""
    return "\n\n".join(
        f"**({claim.letter}) {claim.study}**<br>\n*Predicted:* {claim.prediction}<br>\n"
        f"*Measured:* {claim.measured.rstrip('.')}.<br>\n**Verdict: {claim.verdict}.**"
        for claim in claims
    )


def as_table(claims: Iterable[Claim]) -> str:
    """Return claims and verdicts as a Markdown table."""
    rows = (
        f"| ({claim.letter}) {claim.study.replace('|', '&#124;')} | **{claim.verdict}** |"
        for claim in claims
    )
    return "\n".join(["| claim of the first study | verdict |", "|---|---|", *rows])
