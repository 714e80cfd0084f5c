"""What the first study claims about the noise, and what the runs say to it.

Each claim is put as a comparison of two sides of paired runs (same seed, all else equal), with
what theory predicts beside it (see `prediction`). The verdict is computed, and is one of three:
where the interval does not decide, neither do we.
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


CONFIRMED, REFUTED, UNDECIDED = "confirmed", "refuted", "not decided"
NEGLIGIBLE = 0.1  # of the value for N(0, 1): a smaller difference counts as none
MUCH = 0.25  # likewise: what "much" means
REFERENCE = "normal(0, 1)"
GAMMA = "gamma(2, 1)"
CURED = f"standardized({GAMMA})"


@dataclass(frozen=True)
class Claim:
    """A sentence of the study, what theory says to it, what was measured, and the verdict."""

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
    turned = {CONFIRMED: REFUTED, REFUTED: CONFIRMED, UNDECIDED: UNDECIDED}
    return [turned[verdict] for verdict in verdicts]


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
    """Tell whether a prior is symmetric about 0 and mostly within (-1, 1)."""
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
    """The table of runs, read by noise."""

    table: pd.DataFrame

    def which(self, fits: Callable[[Prior], bool]) -> list[str]:
        return [spec for spec in self.table["noise"].unique() if fits(priors.parse(spec))]

    def of(self, specs: list[str], metric: str) -> pd.Series:
        """Return the mean over some noises, indexed by seed; only where all of them ran."""
        wide = self.table.pivot_table(index="seed", columns="noise", values=metric)
        return wide.reindex(columns=specs).mean(axis=1, skipna=False)

    def against(self, specs: list[str], others: list[str], metric: str) -> dict[str, Interval]:
        other = self.of(others, metric)
        return {
            _label(spec): paired(self.of([spec], metric), other, comparisons=len(specs))
            for spec in specs
        }

    def usual(self, metric: str) -> float:
        """Return the size of what N(0, 1) has; a KID near its floor may be negative."""
        return abs(float(self.of([REFERENCE], metric).mean()))


def _label(spec: str) -> str:
    return priors.parse(spec).label


def judge(table: pd.DataFrame) -> list[Claim]:
    """Hold the study's claims against runs.

    Parameters
    ----------
    table
        One row a run: ``noise`` (a spec), ``seed``, and ``kid``, ``layout_repetition``,
        ``sharpness`` as `evaluation.evaluate` returns them. The runs differ in nothing else.

    Returns
    -------
    list of Claim
        Each with the numbers behind its verdict. A claim whose noises did not run says so.

    Notes
    -----
    A difference of less than a tenth of N(0, 1)'s value (of repeated layouts: of all images)
    counts as none, a quarter and more as much: our choice, as the study names no numbers. The
    intervals of one claim hold together in 95 of 100 studies; those of all claims do not.
    """
    runs = _Runs(table)
    return [look(runs) for look in (_symmetric, _repeats, _shift, _variance, _blur, _cure)]


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
            letter, study, prediction, f"Not tested: it takes runs with {needed}.", UNDECIDED
        )
    numbers = "; ".join(f"{name} {interval}" for name, interval in found.items())
    return Claim(letter, study, prediction, f"{what}: {numbers}", verdict())


def _has(runs: _Runs, *groups: list[str]) -> bool:
    return all(groups) and REFERENCE in set(runs.table["noise"])


def _symmetric(runs: _Runs) -> Claim:
    within = runs.which(_is_mostly_within)
    others = [spec for spec in runs.which(lambda prior: True) if spec not in within]
    found = runs.against(others, within, "kid") if _has(runs, within, others) else {}

    def verdict() -> str:
        least = NEGLIGIBLE * runs.usual("kid")
        return _every(_is_larger(found.values(), than=least))

    return _claim(
        "a",
        "Symmetric noise that lies mostly within (-1, 1), such as U(-1, 1) and N(0, 1), gives the "
        "best images.",
        "Not for that reason. What counts is |mean| / std: N(0, 100) lies mostly outside, and "
        "standardized Gamma(2, 1) is not symmetric; both should be as good.",
        found,
        verdict,
        what=f"KID less the mean of {', '.join(map(_label, within))}",
        needed="N(0, 1) and some noise that is not like it",
    )


def _repeats(runs: _Runs) -> Claim:
    gammas = runs.which(lambda prior: str(prior) == GAMMA)
    found = runs.against(gammas, [REFERENCE], "layout_repetition") if _has(runs, gammas) else {}
    return _claim(
        "b",
        "With Gamma(2, 1) the images often repeat.",
        "Yes: |mean| / std is 1.41, and only a third of the first layer's variance is left for "
        "the differences between images.",
        found,
        lambda: _every(_is_larger(found.values(), than=NEGLIGIBLE)),
        what="Share of images whose layout repeats, less that of N(0, 1)",
        needed="N(0, 1) and Gamma(2, 1)",
    )


def _shift(runs: _Runs) -> Claim:
    shifted = runs.which(_is_shifted)
    found = runs.against(shifted, [REFERENCE], "kid") if _has(runs, shifted) else {}

    def verdict() -> str:
        much = MUCH * runs.usual("kid")
        return _some(_is_larger(found.values(), than=much))

    return _claim(
        "c",
        "Another mean can make normal noise much worse.",
        "Yes: a mean does not cancel in BatchNorm. With |mean| / std = 1 half of the variance is "
        "left.",
        found,
        verdict,
        what="KID less that of N(0, 1)",
        needed="N(0, 1) and normal noise of another mean",
    )


def _variance(runs: _Runs) -> Claim:
    scaled = runs.which(_is_scaled)
    found = runs.against(scaled, [REFERENCE], "kid") if _has(runs, scaled) else {}
    return _claim(
        "d",
        "Another variance does not matter much. (The study adds that the difference can be seen: "
        "that is claim e.)",
        "It matters not at all: the scale cancels in the first BatchNorm of the architecture "
        "dcgan, in the images and in the gradients.",
        found,
        lambda: _every(_are_alike(found.values(), within=MUCH * runs.usual("kid"))),
        what="KID less that of N(0, 1)",
        needed="N(0, 1) and normal noise of mean 0 and another variance",
    )


def _blur(runs: _Runs) -> Claim:
    wide = runs.which(_is_wide)
    found = runs.against(wide, [REFERENCE], "sharpness") if _has(runs, wide) else {}

    def verdict() -> str:
        least = NEGLIGIBLE * runs.usual("sharpness")
        return _every(_is_larger([-i for i in found.values()], than=least))

    return _claim(
        "e",
        "With a large variance, N(0, 100), the images are more blurred.",
        "No: the scale cancels.",
        found,
        verdict,
        what="Sharpness (real images: 1) less that of N(0, 1)",
        needed="N(0, 1) and normal noise of mean 0 and a variance of 100 or more",
    )


def _cure(runs: _Runs) -> Claim:
    cured, gamma = runs.which(lambda prior: str(prior) == CURED), [GAMMA]
    found: dict[str, Interval] = {}
    if _has(runs, cured, runs.which(lambda prior: str(prior) == GAMMA)):
        for others in (gamma, [REFERENCE]):
            pair = runs.of(cured, "kid"), runs.of(others, "kid")
            found[f"less {_label(others[0])}"] = paired(*pair, comparisons=2)

    def verdict() -> str:
        least = NEGLIGIBLE * runs.usual("kid")
        than_gamma, than_reference = found.values()
        better = _is_larger([-than_gamma], than=least)
        return _every(better + _not(_is_larger([than_reference], than=least)))

    return _claim(
        "f",
        "(Ours, not the study's.) Standardising cures Gamma(2, 1).",
        "Yes: with mean 0 nothing is taken from the differences between images; the skewness "
        "that stays does not matter.",
        found,
        verdict,
        what="KID of standardized Gamma(2, 1)",
        needed="N(0, 1), Gamma(2, 1) and standardized(gamma(2, 1))",
    )


def as_markdown(claims: Iterable[Claim]) -> str:
    """Write claims for a notebook: a paragraph each, the verdict at its end."""
    return "\n\n".join(
        f"**({claim.letter}) {claim.study}**<br>\n*Predicted:* {claim.prediction}<br>\n"
        f"*Measured:* {claim.measured.rstrip('.')}.<br>\n**Verdict: {claim.verdict}.**"
        for claim in claims
    )


def as_table(claims: Iterable[Claim]) -> str:
    """Write claims and verdicts alone as a Markdown table."""
    rows = (
        f"| ({claim.letter}) {claim.study.replace('|', '&#124;')} | **{claim.verdict}** |"
        for claim in claims
    )
    return "\n".join(["| claim of the first study | verdict |", "|---|---|", *rows])
