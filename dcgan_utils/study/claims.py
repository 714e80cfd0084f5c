"""The claims about the noise, judged on runs.

``claims.yaml`` lists the claims: what the study says, what theory predicts, and the conditions that
decide. A condition compares arms in a measure; an arm is a prior with a first BatchNorm. The
verdict follows from one-sided tests of all conditions (see `judge`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from dcgan_utils.gan import priors
from dcgan_utils.metrics.intervals import LEVEL, Arms, Difference, look_levels

if TYPE_CHECKING:
    import pandas as pd


CONFIRMED, REFUTED = "confirmed", "refuted"
LEANING, UNDECIDED, NOT_TESTED = "leaning", "undecided", "not tested"
VERDICTS = (CONFIRMED, REFUTED, LEANING, UNDECIDED, NOT_TESTED)
REFERENCE = "normal(0, 1)"
LOGARITHMIC = ("kid", "sharpness")  # measures compared as ratios; others as differences
SMALLEST = 1e-3  # a KID below this counts as this, since it has no logarithm
NONE = 1.1  # a ratio within a tenth counts as none
WORDS = {"kid": "KID", "share_between_images": "share between images", "sharpness": "sharpness"}


def arm_of(noise: str, first_norm: str) -> str:
    """Return the name of an arm in ``claims.yaml``: the prior, and an unusual first BatchNorm."""
    return noise if first_norm == "channel" else f"{noise}, first_norm {first_norm}"


def arm_label(arm: str) -> str:
    """Return an arm in mathematical notation."""
    spec, _, norm = arm.partition(", first_norm ")
    label = priors.parse(spec).label
    return f"{label}, BatchNorm per {norm}" if norm else label


def scaled(measure: str, values: Any) -> Any:
    """Return values of a measure on the scale on which they are compared."""
    return np.log(np.maximum(values, SMALLEST)) if measure in LOGARITHMIC else values


# --- What decides ---


@dataclass(frozen=True)
class Test:
    """One one-sided test: arms compared in a measure with a threshold.

    Attributes
    ----------
    measure : str
        A column of the table of runs.
    one : str
        The arm in question.
    others : tuple of str
        The arms with whose mean it is compared.
    side : int
        1 if it should lie above the threshold, -1 if below.
    threshold : float
        A ratio if the measure is logarithmic, else a difference.
    """

    measure: str
    one: str
    others: tuple[str, ...]
    side: int
    threshold: float

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms that it names."""
        return self.one, *self.others

    @property
    def weights(self) -> dict[str, float]:
        """The weights of the arms in the difference."""
        return {self.one: 1.0} | dict.fromkeys(self.others, -1 / len(self.others))

    @property
    def limit(self) -> float:
        """The threshold on the scale on which the measure is compared."""
        return float(scaled(self.measure, self.threshold))

    @property
    def asked_for(self) -> str:
        """What it asks for, such as ``above 1.25``."""
        return f"{'above' if self.side > 0 else 'below'} {self.threshold:g}"


@dataclass(frozen=True)
class Question:
    """A claim before it is judged: what the study says, what theory predicts, and its tests."""

    letter: str
    study: str
    theory: str
    tests: tuple[Test, ...]

    @property
    def arms(self) -> list[str]:
        """The arms that all of its tests name."""
        return list(dict.fromkeys(arm for test in self.tests for arm in test.arms))


@lru_cache
def questions() -> tuple[Question, ...]:
    """Return the claims of ``claims.yaml``."""
    text = resources.files("dcgan_utils.study").joinpath("claims.yaml").read_text("utf-8")
    content = yaml.safe_load(text)
    named = content["priors"]
    return tuple(
        Question(
            claim["letter"],
            claim["study"],
            claim["theory"],
            tuple(test for condition in claim["conditions"] for test in _tests(condition, named)),
        )
        for claim in content["claims"]
    )


def _tests(condition: Mapping[str, Any], named: Mapping[str, list[str]]) -> Iterable[Test]:
    """Yield the tests of a condition: each prior with each other, above and below."""

    def expand(names: Sequence[str]) -> list[str]:
        return [arm for name in names for arm in named[name]]

    for one in expand(condition["each"]):
        if "to_mean_of" in condition:
            opponents = [tuple(expand(condition["to_mean_of"]))]
        else:
            opponents = [(other,) for other in expand(condition["to"]) if other != one]
        for others in opponents:
            for name, side in (("above", 1), ("below", -1)):
                if name in condition:
                    yield Test(condition["measure"], one, others, side, condition[name])


# --- Runs ---


@dataclass(frozen=True)
class Runs:
    """The runs that are judged, and the level of each test.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per run: ``noise``, ``first_norm``, ``seed``, and measures.
    level : float
        Of each one-sided test.
    """

    table: pd.DataFrame
    level: float = LEVEL

    @classmethod
    def at_look(cls, table: pd.DataFrame, looks: Sequence[int]) -> Runs:
        """Return the runs of the latest look of a study, with its level.

        Only complete seeds count, those of which all arms have a run. Before the first look the
        level is 0: nothing is decided. Without looks, all runs are judged once.
        """
        if not looks:
            return cls(table)
        arms = len(_arms(table))
        complete = [seed for seed, runs in table.groupby("seed") if len(_arms(runs)) == arms]
        reached = [number for number in looks if number <= len(complete)]
        if not reached:
            return cls(table, 0.0)
        levels = dict(zip(looks, look_levels(tuple(looks)), strict=True))
        return cls(table[table["seed"].isin(complete[: reached[-1]])], levels[reached[-1]])

    @cached_property
    def arms(self) -> list[str]:
        """The arms that have runs."""
        return list(_arms(self.table))

    @cached_property
    def _by_measure(self) -> dict[str, Arms]:
        return {}

    def values(self, measure: str, arm: str) -> np.ndarray:
        """Return a measure of the runs of an arm, on the scale on which it is compared."""
        own = [arm_of(*pair) == arm for pair in _pairs(self.table)]
        return scaled(measure, self.table.loc[own, measure].to_numpy(dtype=float))

    def in_measure(self, measure: str) -> Arms:
        """Return means and pooled variances of all arms; priors with mean 0 are one kind."""
        if measure not in self._by_measure:
            values = {arm: self.values(measure, arm) for arm in self.arms}
            kinds = {arm: _prior(arm).mean == 0 for arm in values}
            self._by_measure[measure] = Arms.of(values, kinds)
        return self._by_measure[measure]

    def difference(self, test: Test) -> Difference:
        """Return the difference that a test is about."""
        return self.in_measure(test.measure).difference(test.weights, level=self.level)


def _prior(arm: str) -> priors.Prior:
    return priors.parse(arm.partition(", first_norm ")[0])


def _pairs(table: pd.DataFrame) -> zip:
    return zip(table["noise"], table["first_norm"], strict=True)


def _arms(table: pd.DataFrame) -> dict[str, None]:
    return dict.fromkeys(arm_of(*pair) for pair in _pairs(table))


# --- Verdicts ---


@dataclass(frozen=True)
class Claim:
    """A claim with its verdict.

    Attributes
    ----------
    letter, study, theory : str
        See `Question`.
    verdict : str
        One of `VERDICTS`.
    reason : str
        One sentence with the numbers of the test that was hardest to pass.
    """

    letter: str
    study: str
    theory: str
    verdict: str
    reason: str


def judge(table: pd.DataFrame, *, looks: Sequence[int] = ()) -> list[Claim]:
    """Judge the claims on runs.

    Each test is one-sided. A claim is *confirmed* if all of its tests are significant
    (intersection-union; Berger 1982, "Multiparameter hypothesis testing and acceptance sampling",
    Technometrics 24), and *refuted* if the opposite of one of them is, at the level divided by
    their number (Bonferroni). Else it is *leaning* if all estimates lie more than a standard error
    on its side of the threshold, or one more than a standard error on the other side, and
    *undecided* if neither. It is *not tested* without runs of all its arms.

    Parameters
    ----------
    table
        One row per run: ``noise`` (a spec), ``first_norm``, ``seed``, and the measures from
        `evaluation.evaluate`. The runs must not differ in anything else.
    looks
        Numbers of seeds at which the study is judged; the level is spent over them.

    Notes
    -----
    The thresholds are our choice, since the study gives no numbers. Each claim is wrongly
    confirmed in at most 5 of 100 studies, but not all claims together.
    """
    runs = Runs.at_look(table, looks)
    return [_judged(question, runs) for question in questions()]


def _judged(question: Question, runs: Runs) -> Claim:
    missing = [arm_label(arm) for arm in question.arms if arm not in runs.arms]
    known = question.letter, question.study, question.theory
    if missing:
        return Claim(*known, NOT_TESTED, f"there are no runs with {', '.join(missing)}.")
    verdict, test = verdict_of(question, runs)
    more = (
        f" This is the closest of {len(question.tests)} tests." if len(question.tests) > 1 else ""
    )
    return Claim(*known, verdict, f"{_sentence(test, runs, verdict)}{more}")


def verdict_of(question: Question, runs: Runs) -> tuple[str, Test]:
    """Return the verdict on a claim, and the test that was hardest to pass."""
    found = {test: runs.difference(test) for test in question.tests}
    beyond = {test: d.errors_beyond(test.limit, test.side) for test, d in found.items()}
    return _verdict(found, runs.level), min(beyond, key=beyond.get)


def _verdict(found: Mapping[Test, Difference], level: float) -> str:
    """Return the verdict on a claim from the differences that its tests are about."""
    if all(d.p_value(test.limit, test.side) < level for test, d in found.items()):
        return CONFIRMED
    if any(d.p_value(test.limit, -test.side) < level / len(found) for test, d in found.items()):
        return REFUTED
    worst = min(d.errors_beyond(test.limit, test.side) for test, d in found.items())
    return LEANING if abs(worst) > 1 else UNDECIDED


def _sentence(test: Test, runs: Runs, verdict: str) -> str:
    """Say in one sentence what was found, and what was asked for."""
    difference = runs.difference(test)
    what, one = WORDS[test.measure], arm_label(test.one)
    other = " and ".join(map(arm_label, test.others))
    if test.measure in LOGARITHMIC:
        found = f"{one} has {np.exp(difference.value):.2f} times the {what} of {other}"
    else:
        found = f"the {what} of {one} is {difference.value:+.2f} from that of {other}"
    leans = difference.errors_beyond(test.limit, test.side) > 0
    towards = f", so it leans to {'yes' if leans else 'no'}" if verdict == LEANING else ""
    interval = interval_text(test.measure, difference)
    return f"{found} {interval}; {test.asked_for} was asked for{towards}."


def interval_text(measure: str, difference: Difference) -> str:
    """Return the interval of a difference, such as ``[2.0, 2.6]``; for ratios, of the ratio."""
    if not np.isfinite(difference.error):
        return "(no interval: it takes runs that vary)"
    low, high = difference.interval
    if not np.isfinite(low):
        return "(no interval before the first look)"
    if measure in LOGARITHMIC:
        return f"[{np.exp(low):.2f}, {np.exp(high):.2f}]"
    return f"[{low:+.2f}, {high:+.2f}]"


# --- The numbers behind the verdicts ---


def test_table(table: pd.DataFrame, *, looks: Sequence[int] = ()) -> pd.DataFrame:
    """Return one row for each test of each claim that has its runs.

    Returns
    -------
    pandas.DataFrame
        ``claim``, ``measure``, ``one``, ``other``, ``found`` with ``low`` and ``high`` (ratios or
        differences), ``asked for``, ``p``, the p-value of Student's t, and ``permutation p``, that
        of an exact permutation test of the same hypothesis.
    """
    import pandas as pd

    runs = Runs.at_look(table, looks)
    rows = []
    for question in questions():
        for test in question.tests if set(question.arms) <= set(runs.arms) else ():
            difference = runs.difference(test)
            back = np.exp if test.measure in LOGARITHMIC else float
            low, high = difference.interval
            rows.append(
                {
                    "claim": question.letter,
                    "measure": test.measure,
                    "one": arm_label(test.one),
                    "other": " and ".join(map(arm_label, test.others)),
                    "found": back(difference.value),
                    "low": back(low),
                    "high": back(high),
                    "asked for": test.asked_for,
                    "p": difference.p_value(test.limit, test.side),
                    "permutation p": permutation_p(test, runs),
                }
            )
    return pd.DataFrame(rows)


def permutation_p(test: Test, runs: Runs) -> float:
    """Return the p-value of a permutation test: exact, up to 20,000 ways to share the runs out.

    It is NaN for a side of one run.
    """
    from scipy import stats

    one = runs.values(test.measure, test.one) - test.limit
    others = np.concatenate([runs.values(test.measure, arm) for arm in test.others])
    if min(len(one), len(others)) < 2:
        return np.nan
    result = stats.permutation_test(
        (one, others),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        n_resamples=20_000,
        alternative="greater" if test.side > 0 else "less",
        vectorized=True,
        rng=0,
    )
    return float(result.pvalue)


SIZES = (3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96)
POWER = 0.8
STUDIES = 200  # simulated for each number of seeds


def power_table(table: pd.DataFrame, *, looks: Sequence[int] = ()) -> pd.DataFrame:
    """Return for each claim that is not decided how many seeds would probably decide it.

    Studies are simulated with the means and variances that were found, and judged once, at 5 %.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``claim``: its ``verdict``, and ``seeds``, the smallest number that decides it in
        80 of 100 studies; ``more than 96`` if an estimate lies too close to what is asked for, and
        ``unknown`` as long as there are no two seeds that vary.
    """
    import pandas as pd

    runs, rows = Runs.at_look(table, looks), {}
    for question in questions():
        if not set(question.arms) <= set(runs.arms):
            continue
        verdict, _ = verdict_of(question, runs)
        if verdict not in (CONFIRMED, REFUTED):
            rows[question.letter] = {"verdict": verdict, "seeds": _seeds_needed(question, runs)}
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["verdict", "seeds"])
    return frame.rename_axis("claim")


def _seeds_needed(question: Question, runs: Runs) -> str:
    if not all(np.isfinite(runs.difference(test).error) for test in question.tests):
        return "unknown"
    place = bisect_left(SIZES, True, key=lambda n: _power(question, runs, n) >= POWER)
    return str(SIZES[place]) if place < len(SIZES) else f"more than {SIZES[-1]}"


def _power(question: Question, runs: Runs, seeds: int) -> float:
    """Return the share of simulated studies with this many seeds that decide a claim."""
    rng, decided = np.random.default_rng(0), 0
    found = {test.measure: runs.in_measure(test.measure) for test in question.tests}
    for _ in range(STUDIES):
        drawn = {measure: _draw_study(arms, seeds, rng) for measure, arms in found.items()}
        differences = {
            test: drawn[test.measure].difference(test.weights) for test in question.tests
        }
        decided += _verdict(differences, LEVEL) in (CONFIRMED, REFUTED)
    return decided / STUDIES


def _draw_study(arms: Arms, seeds: int, rng: np.random.Generator) -> Arms:
    """Return the means and variances of another study, with as many seeds of each arm."""
    counts = dict.fromkeys(arms.means, seeds)
    variances = {}
    for kind, variance in arms.variances.items():
        freedom = (seeds - 1) * sum(arms.kinds[arm] == kind for arm in counts)
        variances[kind] = variance * rng.chisquare(freedom) / freedom
    means = {
        arm: rng.normal(mean, np.sqrt(arms.variances[arms.kinds[arm]] / seeds))
        for arm, mean in arms.means.items()
    }
    return Arms(means, counts, arms.kinds, variances)


# --- In Markdown ---


def as_markdown(claims: Iterable[Claim]) -> str:
    """Return claims as Markdown, one paragraph per claim; those that are not tested are folded."""
    claims = list(claims)
    tested = [claim for claim in claims if claim.verdict != NOT_TESTED]
    paragraphs = [
        f"**({claim.letter}) {claim.study}**<br>\n*Theory:* {claim.theory}<br>\n"
        f"**{claim.verdict.capitalize()}**: {claim.reason}"
        for claim in tested
    ]
    if others := [one for one in claims if one not in tested]:
        listed = "\n".join(
            f"- ({claim.letter}) {claim.study} Here {claim.reason}" for claim in others
        )
        summary = f"<summary>{len(others)} claims are not tested</summary>"
        paragraphs.append(f'<details class="more">{summary}\n\n{listed}\n\n</details>')
    return "\n\n".join(paragraphs)
