import numpy as np
import pandas as pd
import pytest

from dcgan_utils.gan.priors import parse
from dcgan_utils.metrics.intervals import Interval
from dcgan_utils.study import claims
from dcgan_utils.study.claims import CONFIRMED, NOT_TESTED, REFUTED, UNDECIDED, judge

NOISES = {
    "uniform": "uniform(-1, 1)",
    "normal": "normal(0, 1)",
    "small": "normal(0, 0.1)",
    "large": "normal(0, 10)",
    "shifted": "normal(1, 1)",
    "gamma": "gamma(2, 1)",
    "cured": "standardized(gamma(2, 1))",
}
SAME = {"kid": 0.2, "layout_repetition": 0.05, "sharpness": 0.8}


def runs(seeds=4, noise=0.002, chance=0, **other):
    """Return runs in which all noises are alike but for those given, and chance."""
    rng = np.random.default_rng(chance)
    rows = []
    for name, spec in NOISES.items():
        for seed in range(seeds):
            values = SAME | other.get(name, {})
            jumps = {measure: value + noise * rng.normal() for measure, value in values.items()}
            rows.append({"noise": spec, "seed": seed} | jumps)
    return pd.DataFrame(rows)


def verdicts(table):
    return {claim.letter: claim.verdict for claim in judge(table)}


def test_what_theory_predicts_leads_to_its_verdicts():
    table = runs(
        shifted={"kid": 0.35, "layout_repetition": 0.3},
        gamma={"kid": 0.5, "layout_repetition": 0.6},
    )
    decided = [REFUTED, CONFIRMED, CONFIRMED, CONFIRMED, REFUTED, CONFIRMED]
    assert verdicts(table) == dict(zip("abcdef", decided, strict=True))


def test_what_the_study_says_leads_to_the_opposite_ones():
    worse = {"kid": 0.4, "layout_repetition": 0.4, "sharpness": 0.3}
    table = runs(large=worse, shifted=worse, gamma=worse, cured=worse)
    decided = [CONFIRMED, CONFIRMED, CONFIRMED, REFUTED, CONFIRMED, REFUTED]
    assert verdicts(table) == dict(zip("abcdef", decided, strict=True))


@pytest.mark.slow
def test_what_jumps_about_is_mostly_not_decided_and_hardly_ever_confirmed():
    found = [verdict for c in range(25) for verdict in verdicts(runs(noise=0.1, chance=c)).values()]
    assert found.count(UNDECIDED) > 0.8 * len(found)
    assert found.count(CONFIRMED) < 0.04 * len(found)


def test_one_seed_decides_nothing():
    table = runs(seeds=1, gamma={"kid": 9, "layout_repetition": 1}, shifted={"kid": 9})
    assert set(verdicts(table).values()) == {UNDECIDED}
    assert all("one seed" in claim.measured for claim in judge(table))


def test_a_difference_that_counts_as_none_confirms_nothing():
    slightly = {"kid": 0.21, "layout_repetition": 0.08, "sharpness": 0.77}
    found = verdicts(runs(large=slightly, shifted=slightly, gamma=slightly, cured=slightly))
    decided = [REFUTED, REFUTED, REFUTED, CONFIRMED, REFUTED, REFUTED]
    assert found == dict(zip("abcdef", decided, strict=True))


def test_shares_that_have_reached_their_end_decide_nothing():
    table = runs().assign(layout_repetition=1.0)
    claim = {claim.letter: claim for claim in judge(table)}["b"]
    assert claim.verdict == UNDECIDED
    assert "the same for all seeds" in claim.measured


def test_the_claims_are_about_the_study_s_own_noises():
    table = runs().replace({NOISES["gamma"]: "gamma(9, 0.5)", NOISES["large"]: "normal(0, 1.1)"})
    found = {claim.letter: claim for claim in judge(table)}
    assert {found[letter].verdict for letter in "bef"} == {NOT_TESTED}


def test_claims_are_written_for_a_notebook():
    text = claims.as_markdown(judge(runs()))
    assert text.count("**Verdict: ") == 6
    assert text.startswith("**(a) Symmetric noise")


def test_what_did_not_run_is_said():
    table = runs()
    missing = {claim.letter: claim for claim in judge(table[table["noise"] != NOISES["gamma"]])}
    assert "takes runs with N(0, 1) and Gamma(2, 1)" in missing["b"].measured
    assert missing["b"].verdict == NOT_TESTED
    without = judge(table[table["noise"] != claims.REFERENCE])
    assert {claim.verdict for claim in without} == {NOT_TESTED}
    assert all("takes runs with N(0, 1)" in claim.measured for claim in without)


def test_which_noises_are_mostly_within_one():
    found = {
        str(prior)
        for prior in claims.priors.parse_list(
            "uniform, normal, N(0, 0.01), N(0, 100), N(1, 1), gamma, standardized(gamma), "
            "student_t(3), bernoulli, laplace"
        )
        if claims._is_mostly_within(prior)
    }
    assert found == {
        "uniform(-1, 1)", "normal(0, 1)", "normal(0, 0.1)", "student_t(3)", "bernoulli(0.5)",
        "laplace(0, 1)",
    }  # fmt: skip


# --- Each claim, number by number ----------------------------------------------------------

ALL = NOISES | {"down": "normal(-1, 1)", "larger": "normal(0, 100)"}
TEN = {"kid": 10.0, "layout_repetition": 0.0, "sharpness": 10.0}


@pytest.fixture
def judged(monkeypatch):
    """Return a function that judges means of known half-widths; a tenth of 10 is 1."""

    def judged(half, changes, noises=ALL, usual=TEN):
        def paired(one, other, *, comparisons=1):
            mean = float((one - other).mean())
            return Interval(mean, mean - half, mean + half, 5)

        monkeypatch.setattr(claims, "paired", paired)
        rows = [
            {"noise": ALL[name], "seed": seed, **usual, **changes.get(name, {})}
            for name in noises
            for seed in range(2)
        ]
        return {claim.letter: claim for claim in judge(pd.DataFrame(rows))}

    return judged


MEASURES = {"a": "kid", "b": "layout_repetition", "c": "kid", "d": "kid", "e": "sharpness"}


@pytest.mark.parametrize(
    ("letter", "noise", "difference", "half", "verdict"),
    [
        ("a", "gamma", 2, 0.99, CONFIRMED),
        ("a", "gamma", 2, 1, UNDECIDED),
        ("a", "gamma", 2, 1.01, UNDECIDED),
        ("a", "gamma", 0, 0.99, REFUTED),
        ("a", "gamma", 0, 1, UNDECIDED),
        ("a", "gamma", -9, 0.5, REFUTED),
        ("b", "gamma", 0.2, 0.09, CONFIRMED),
        ("b", "gamma", 0.1, 0, UNDECIDED),
        ("b", "gamma", 0.2, 0.11, UNDECIDED),
        ("b", "gamma", 0, 0.09, REFUTED),
        ("b", "gamma", 0, 0.1, UNDECIDED),
        ("b", "gamma", -0.9, 0.05, REFUTED),
        ("c", "shifted", 3.5, 0.99, CONFIRMED),
        ("c", "shifted", 3.5, 1, UNDECIDED),
        ("c", "shifted", 3.5, 1.01, UNDECIDED),
        ("c", "shifted", 1.5, 0.99, REFUTED),
        ("c", "shifted", 1.5, 1, UNDECIDED),
        ("c", "shifted", -9, 0.5, REFUTED),
        ("d", "large", 1.5, 0.99, CONFIRMED),
        ("d", "large", 1.5, 1, UNDECIDED),
        ("d", "large", -1.5, 0.99, CONFIRMED),
        ("d", "large", -1.5, 1, UNDECIDED),
        ("d", "large", 3.5, 0.99, REFUTED),
        ("d", "large", 3.5, 1, UNDECIDED),
        ("d", "large", -3.5, 0.99, REFUTED),
        ("d", "large", -3.5, 1, UNDECIDED),
        ("d", "large", 0, 2.51, UNDECIDED),
        ("e", "large", -2, 0.99, CONFIRMED),
        ("e", "large", -2, 1, UNDECIDED),
        ("e", "large", -2, 1.01, UNDECIDED),
        ("e", "large", 0, 0.99, REFUTED),
        ("e", "large", 0, 1, UNDECIDED),
        ("e", "large", 9, 0.5, REFUTED),
    ],
)
def test_a_verdict_turns_where_the_interval_leaves_the_zone(
    judged, letter, noise, difference, half, verdict
):
    measure = MEASURES[letter]
    changes = {noise: {measure: TEN[measure] + difference}}
    assert judged(half, changes, noises=["normal", noise])[letter].verdict == verdict


@pytest.mark.parametrize(
    ("gamma", "cured", "half", "verdict"),
    [
        (12, 10, 0.99, CONFIRMED),
        (12, 10, 1, UNDECIDED),
        (10, 10, 0.99, REFUTED),
        (10, 10, 1, UNDECIDED),
        (9, 10, 0.5, REFUTED),
        (20, 12, 0.99, REFUTED),
        (20, 12, 1, UNDECIDED),
        (20, 10, 0.99, CONFIRMED),
        (20, 10, 1, UNDECIDED),
        (20, 5, 0.5, CONFIRMED),
    ],
)
def test_a_cure_is_better_than_gamma_and_no_worse_than_the_normal_one(
    judged, gamma, cured, half, verdict
):
    changes = {"gamma": {"kid": gamma}, "cured": {"kid": cured}}
    noises = ["normal", "gamma", "cured"]
    assert judged(half, changes, noises)["f"].verdict == verdict


@pytest.mark.parametrize(
    ("letter", "noise", "difference", "verdict"),
    [
        ("a", "gamma", 2, CONFIRMED),
        ("a", "gamma", 0, REFUTED),
        ("c", "shifted", 4, CONFIRMED),
        ("d", "large", 0, CONFIRMED),
        ("d", "large", -4, REFUTED),
    ],
)
def test_the_zones_are_as_wide_where_the_usual_kid_is_below_zero(
    judged, letter, noise, difference, verdict
):
    found = judged(
        0.5,
        {noise: {"kid": difference - 10.0}},
        noises=["normal", noise],
        usual=TEN | {"kid": -10.0},
    )
    assert found[letter].verdict == verdict


@pytest.mark.parametrize(
    ("letter", "values", "noises", "one", "all_"),
    [
        ("a", {"kid": 20}, ["large", "shifted", "gamma"], REFUTED, CONFIRMED),
        ("c", {"kid": 20}, ["shifted", "down"], CONFIRMED, CONFIRMED),
        ("d", {"kid": 20}, ["small", "large"], REFUTED, REFUTED),
        ("e", {"sharpness": 5}, ["large", "larger"], REFUTED, CONFIRMED),
    ],
)
def test_every_noise_named_must_agree_but_for_another_mean_that_can_be_worse(
    judged, letter, values, noises, one, all_
):
    ran = ["normal", *noises]
    assert {judged(0.5, {name: values}, ran)[letter].verdict for name in noises} == {one}
    assert judged(0.5, dict.fromkeys(noises, values), ran)[letter].verdict == all_


def changed(before, after):
    return {letter for letter in before if before[letter].measured != after[letter].measured}


def test_every_claim_looks_at_all_noises_that_it_names_and_no_other(judged):
    before, moved = judged(0.5, {}), {measure: value + 3 for measure, value in TEN.items()}
    assert {name: "".join(sorted(changed(before, judged(0.5, {name: moved})))) for name in ALL} == {
        "uniform": "a",
        "normal": "abcdef",
        "small": "ad",
        "large": "ade",
        "larger": "ade",
        "shifted": "ac",
        "down": "ac",
        "gamma": "abf",
        "cured": "af",
    }


def test_every_claim_looks_at_its_own_measure(judged):
    before = judged(0.5, {})
    for measure, letters in (("kid", "acdf"), ("layout_repetition", "b"), ("sharpness", "e")):
        moved = {name: {measure: 3.0} for name in ("gamma", "large", "shifted")}
        assert changed(before, judged(0.5, moved)) == {*letters}, measure


def test_the_best_are_compared_with_the_mean_of_the_symmetric_ones(judged):
    changes = {"uniform": {"kid": 20.0}, "small": {"kid": 0.0}}
    said = judged(0.5, changes)["a"].measured
    assert said.startswith("Difference in KID to the average of U(-1, 1), N(0, 1), N(0, 0.01): ")
    assert "Gamma(2, 1) +0.000 [-0.500, +0.500]" in said


def test_the_intervals_of_a_claim_hold_together(monkeypatch):
    asked = []

    def paired(one, other, *, comparisons=1):
        asked.append(comparisons)
        return Interval(0, -1, 1, 5)

    monkeypatch.setattr(claims, "paired", paired)
    judge(pd.DataFrame([{"noise": spec, "seed": 0, **TEN} for spec in ALL.values()]))
    a, b, c, d, e, f = [6] * 6, [1], [2] * 2, [3] * 3, [2] * 2, [2] * 2
    assert asked == [*a, *b, *c, *d, *e, *f]


@pytest.mark.parametrize(
    ("spec", "within", "shifted", "scaled", "wide"),
    [
        ("uniform(-1.9, 1.9)", True, False, False, False),
        ("uniform(-2.1, 2.1)", False, False, False, False),
        ("uniform(0, 1)", False, False, False, False),
        ("normal(0, 1)", True, False, False, False),
        ("normal(0.1, 1)", False, True, False, False),
        ("normal(-1, 3)", False, True, False, False),
        ("normal(0, 9.9)", False, False, True, False),
        ("normal(0, 10)", False, False, True, True),
        ("normal(0, 0.1)", True, False, True, False),
        ("normal(5, 10)", False, True, False, False),
        ("gamma(2, 1)", False, False, False, False),
    ],
)
def test_which_noises_a_claim_is_about(spec, within, shifted, scaled, wide):
    prior = parse(spec)
    assert claims._is_mostly_within(prior) == within
    assert claims._is_shifted(prior) == shifted
    assert claims._is_scaled(prior) == scaled
    assert claims._is_wide(prior) == wide


def test_only_seeds_of_all_noises_compared_count():
    table = pd.DataFrame(
        [{"noise": spec, "seed": seed, **TEN} for spec in NOISES.values() for seed in range(4)]
    )
    table = table[(table["noise"] != NOISES["uniform"]) | (table["seed"] > 0)]
    read = claims._Runs(table)
    pair = [NOISES["uniform"], NOISES["normal"]]
    assert read.mean(pair, "kid").dropna().index.tolist() == [1, 2, 3]
    assert read.reference("kid") == 10
