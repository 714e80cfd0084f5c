from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from dcgan_utils.gan import priors
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.study import claims
from dcgan_utils.study.claims import judge

PROTOCOL = Path(__file__).parents[2] / "reports" / "noise-study"
ARMS = {
    "normal": ("normal(0, 1)", "channel"),
    "uniform": ("uniform(-1, 1)", "channel"),
    "gamma": ("gamma(2, 1)", "channel"),
    "minus": ("normal(-1, 1)", "channel"),
    "plus": ("normal(1, 1)", "channel"),
    "small": ("normal(0, 0.1)", "channel"),
    "large": ("normal(0, 10)", "channel"),
    "standardized": ("standardized(gamma(2, 1))", "channel"),
    "unit": ("gamma(2, 1)", "unit"),
}
SAME = {"kid": 0.2, "share_between_images": 1.0, "sharpness": 0.8}
THEORY = {
    **{arm: {} for arm in ("normal", "uniform", "small", "large", "standardized", "unit")},
    "gamma": {"kid": 0.6, "share_between_images": 0.4},
    "minus": {"kid": 0.4, "share_between_images": 0.6},
    "plus": {"kid": 0.4, "share_between_images": 0.6},
}


def runs(seeds=5, noise=0.03, leave_out=(), **changes):
    """Return a table of runs that theory would expect, some of them changed."""
    rows = []
    for arm, (spec, first_norm) in ARMS.items():
        values = SAME | THEORY[arm] | changes.get(arm, {})
        for seed in range(0 if arm in leave_out else seeds):
            rng = np.random.default_rng([seed, *arm.encode()])
            own = {
                name: value * np.exp(noise * rng.normal())
                if name in claims.LOGARITHMIC
                else value + noise * rng.normal()
                for name, value in values.items()
            }
            rows.append({"noise": spec, "first_norm": first_norm, "seed": seed} | own)
    return pd.DataFrame(rows)


def verdicts(table, **looks):
    return {claim.letter: claim.verdict for claim in judge(table, **looks)}


# --- What is claimed ---


def test_theory_s_predictions_are_the_verdicts_on_what_theory_expects():
    found = verdicts(runs())
    assert found == dict.fromkeys(["a1", "b1", "b2", "c", "d1", "d2", "f", "g"], "confirmed") | {
        "a2": "refuted",
        "a3": "refuted",
        "e": "refuted",
    }


@pytest.mark.parametrize(
    ("changes", "letter", "verdict"),
    [
        # Where the study was right and theory wrong, and the other way round.
        ({"standardized": {"kid": 0.3}}, "a2", "confirmed"),
        ({"large": {"kid": 0.3}}, "a3", "confirmed"),
        ({"large": {"sharpness": 0.5}}, "e", "confirmed"),
        ({"small": {"kid": 0.1}}, "a1", "refuted"),
        ({"gamma": {"share_between_images": 1.0}}, "b1", "refuted"),
        ({"minus": {"kid": 0.9}}, "b2", "refuted"),
        ({"plus": {"kid": 0.2}}, "c", "refuted"),
        ({"large": {"kid": 0.4}}, "d1", "refuted"),
        ({"small": {"kid": 0.3}}, "d2", "refuted"),
        ({"small": {"kid": 0.13}}, "d2", "refuted"),
        ({"standardized": {"kid": 0.5}}, "f", "refuted"),
        ({"gamma": {"kid": 0.2}}, "f", "refuted"),
        ({"unit": {"kid": 0.5}}, "g", "refuted"),
        ({"gamma": {"kid": 0.2}}, "g", "refuted"),
    ],
)
def test_a_claim_fails_if_one_of_its_arms_fails(changes, letter, verdict):
    assert verdicts(runs(**changes))[letter] == verdict


# Each threshold, from both sides: the arms in question lie a little beyond it, then before it.
THRESHOLDS = [
    ("a1", ("large",), "kid", 0.2 / 1.25, +1),  # N(0, 1) has less than 1.25 times its KID
    ("a2", ("standardized",), "kid", 0.2 * 1.1, +1),
    ("a3", ("large",), "kid", 0.2 * 1.1, +1),
    ("b1", ("gamma",), "share_between_images", 0.75, -1),
    ("b2", ("gamma",), "kid", 0.4, +1),
    ("c", ("plus", "minus"), "kid", 0.2 * 1.25, +1),
    ("d1", ("plus", "minus"), "kid", 0.2 * 1.1, +1),
    ("d2", ("small",), "kid", 0.2 * 1.25, -1),
    ("d2", ("large",), "kid", 0.2 * 0.8, +1),
    ("e", ("large",), "sharpness", 0.8 / 1.1, -1),
    ("f", ("standardized",), "kid", 0.2 * 1.25, -1),
    ("f", ("gamma",), "kid", 0.2 * 1.1, +1),
    ("g", ("unit",), "kid", 0.2 * 1.25, -1),
    ("g", ("gamma",), "kid", 0.2 * 1.1, +1),
]


@pytest.mark.parametrize(("letter", "arms", "measure", "threshold", "side"), THRESHOLDS)
def test_what_is_asked_for_is_the_threshold(letter, arms, measure, threshold, side):
    for beyond, verdict in ((side, "confirmed"), (-side, "refuted")):
        value = threshold * (1 + 0.02 * beyond)
        table = runs(seeds=4, noise=1e-4, **{arm: {measure: value} for arm in arms})
        assert verdicts(table)[letter] == verdict


def test_every_arm_of_a_claim_is_needed():
    for arm in ARMS:
        found = verdicts(runs(leave_out=[arm]))
        expected = {q.letter for q in claims.questions() if claims.arm_of(*ARMS[arm]) in q.arms}
        assert {letter for letter, v in found.items() if v == "not tested"} == expected != set()


def test_the_arms_are_the_study_s_seven_and_two_cures():
    named = {arm for question in claims.questions() for arm in question.arms}
    assert named == {claims.arm_of(*arm) for arm in ARMS.values()}
    for arm in named:
        spec, _, norm = arm.partition(", first_norm ")
        config = TrainConfig.resolve(noise=spec, first_norm=norm or "channel")
        assert claims.arm_of(config.noise, config.first_norm) == arm, "as it stands in a table"


# --- Verdicts ---


def found_at(errors, level=0.05):
    """Return the verdict on two tests whose estimates lie so many standard errors beyond."""
    tests = [claims.Test("x", "a", ("b",), side, 0.0) for side in (1, -1)][: len(errors)]
    return claims._verdict(
        {
            test: claims.Difference(test.side * beyond, 1.0, 1e6, level)
            for test, beyond in zip(tests, errors, strict=True)
        },
        level,
    )


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ([1.65], "confirmed"), ([1.64], "leaning"), ([1.01], "leaning"), ([0.99], "undecided"),
        ([-0.99], "undecided"), ([-1.01], "leaning"), ([-1.64], "leaning"), ([-1.65], "refuted"),
        ([1.65, 1.65], "confirmed"), ([1.64, 9], "leaning"), ([0.99, 9], "undecided"),
        ([-1.65, 9], "leaning"), ([-1.95, 9], "leaning"), ([-1.97, 9], "refuted"),
    ],
)  # fmt: skip
def test_all_tests_confirm_and_one_refutes_at_a_corrected_level(errors, verdict):
    assert found_at(errors) == verdict


def test_a_smaller_level_asks_for_more():
    assert found_at([3.0], level=0.00137) == "confirmed"
    assert found_at([2.9], level=0.00137) == "leaning"


def test_one_seed_decides_nothing():
    found = verdicts(runs(seeds=1))
    assert set(found.values()) == {"undecided"}


@pytest.mark.parametrize("kid", [0.0, -0.01, 1e-4])
def test_a_kid_without_a_logarithm_counts_as_a_thousandth(kid):
    assert claims.scaled("kid", kid) == pytest.approx(np.log(1e-3))


def test_reasons_are_sentences_with_numbers():
    by_letter = {claim.letter: claim for claim in judge(runs())}
    reason = by_letter["b1"].reason
    assert reason.startswith("the share between images of Gamma(2, 1) is -0.6")
    assert reason.endswith("below -0.25 was asked for.")
    reason = by_letter["c"].reason
    assert "times the KID of N(0, 1) [" in reason
    assert "above 1.25 was asked for. This is the closest of 2 tests." in reason
    leaning = {c.letter: c for c in judge(runs(seeds=3, noise=0.15, plus={"kid": 0.29}))}["c"]
    assert (leaning.verdict, "so it leans to" in leaning.reason) == ("leaning", True)


@pytest.mark.slow
def test_false_confirmations_are_rare():
    """At the threshold itself a claim is confirmed in 5 of 100 studies, one test or several."""
    rng, confirmed = np.random.default_rng(0), 0
    arms = runs(seeds=3, noise=0)
    at = {"normal(1, 1)": 0.25, "normal(-1, 1)": 0.6}  # one at 1.25 times, one far beyond
    base = arms["noise"].map(at).fillna(arms["kid"])
    question = next(q for q in claims.questions() if q.letter == "c")
    for _ in range(200):
        table = arms.assign(kid=base * np.exp(0.1 * rng.normal(size=len(arms))))
        confirmed += claims.verdict_of(question, claims.Runs(table))[0] == "confirmed"
    assert confirmed / 200 == pytest.approx(0.05, abs=0.03)


# --- Looks ---


@pytest.mark.parametrize(("seeds", "used"), [(3, 3), (4, 3), (5, 5), (7, 5), (8, 8), (9, 8)])
def test_a_study_is_judged_at_its_looks(seeds, used):
    found = claims.Runs.at_look(runs(seeds=seeds), (3, 5, 8))
    assert sorted(found.table["seed"].unique()) == list(range(used))
    assert found.level == dict(zip((3, 5, 8), claims.look_levels((3, 5, 8)), strict=True))[used]


def test_before_the_first_look_nothing_is_decided():
    table = runs(seeds=2)
    assert claims.Runs.at_look(table, (3, 5)).level == 0
    assert set(verdicts(table, looks=(3, 5)).values()) <= {"leaning", "undecided"}


def test_a_seed_counts_when_all_of_its_arms_are_there():
    table = runs(seeds=4)
    broken = table[(table["seed"] != 1) | (table["first_norm"] == "channel")]
    assert sorted(claims.Runs.at_look(broken, (3,)).table["seed"].unique()) == [0, 2, 3]


# --- The numbers behind them ---


def test_every_test_has_a_row_and_its_exact_permutation_test():
    table = claims.test_table(runs(seeds=4))
    row = table[(table["claim"] == "c") & (table["one"] == "N(1, 1)")].iloc[0]
    assert row["found"] == pytest.approx(2, rel=0.1)
    assert row["low"] < row["found"] < row["high"]
    assert row["permutation p"] == pytest.approx(1 / 70), "of 8 runs, 4 lie far above the others"
    assert len(table) == sum(len(question.tests) for question in claims.questions())


def test_the_permutation_test_is_of_what_is_asked_for():
    """Clearly above 1, and clearly below the 1.25 that is asked for."""
    table = claims.test_table(runs(seeds=4, noise=1e-3, plus={"kid": 0.24}))
    row = table[(table["claim"] == "c") & (table["one"] == "N(1, 1)")].iloc[0]
    assert row["permutation p"] == 1
    assert row["p"] > 0.99


def test_priors_with_mean_0_have_a_variance_of_their_own():
    table = runs(seeds=6, noise=0.01)
    rng = np.random.default_rng(0)
    shifted = [priors.parse(noise).mean != 0 for noise in table["noise"]]
    factors = np.exp(np.where(shifted, 0.4, 0) * rng.normal(size=len(table)))
    found = claims.Runs(table.assign(kid=table["kid"] * factors)).in_measure("kid")
    assert found.variances[True] ** 0.5 == pytest.approx(0.01, rel=0.3)
    assert found.variances[False] ** 0.5 == pytest.approx(0.4, rel=0.3)
    assert [arm for arm, kind in found.kinds.items() if kind] == [
        claims.arm_of(*ARMS[arm]) for arm in ("normal", "uniform", "small", "large", "standardized")
    ]


def test_one_run_cannot_be_permuted():
    assert claims.test_table(runs(seeds=1))["permutation p"].iloc[0] != 0
    assert claims.test_table(runs(seeds=1))["permutation p"].isna().any()


def test_one_difference_has_one_interval():
    table = claims.test_table(runs())
    by_pair = table.groupby(["measure", "one", "other"])[["low", "high"]].nunique()
    assert (by_pair == 1).all(axis=None)
    assert len(by_pair) < len(table), "some pairs occur in several claims"


@pytest.mark.slow
def test_the_power_table_lists_what_is_not_decided():
    table = claims.power_table(runs(seeds=3, noise=0.1, plus={"kid": 0.29}, minus={"kid": 0.29}))
    assert "a2" not in table.index or table.loc["a2", "verdict"] in ("leaning", "undecided")
    assert int(table.loc["c", "seeds"]) in claims.SIZES
    assert claims.power_table(runs()).empty


@pytest.mark.parametrize("seeds", [4, 8, 16])
def test_power_is_that_of_the_noncentral_t_distribution(seeds):
    from scipy import stats

    one = runs(seeds=1, noise=0, large={"kid": 0.24})
    factors = np.exp([-0.1, 0, 0.1])  # so that means are exact, and the deviation is 0.1
    exact = pd.concat(
        one.assign(seed=seed, kid=one["kid"] * factor) for seed, factor in enumerate(factors)
    )
    test = claims.Test("kid", "normal(0, 10)", ("normal(0, 1)",), 1, 1.1)
    freedom = 5 * (seeds - 1)  # of the five priors with mean 0
    beyond = np.log(1.2 / 1.1) / (0.1 * np.sqrt(2 / seeds))
    expected = stats.nct.sf(stats.t.isf(0.05, freedom), freedom, beyond)
    found = claims._power(claims.Question("x", "", "", (test,)), claims.Runs(exact), seeds)
    assert found == pytest.approx(expected, abs=0.08)


def test_the_seeds_needed_are_the_fewest_with_enough_power(monkeypatch):
    monkeypatch.setattr(claims, "_power", lambda question, found, n: n / 20)
    question, found = claims.questions()[0], claims.Runs(runs())
    assert claims._seeds_needed(question, found) == "16"
    monkeypatch.setattr(claims, "_power", lambda question, found, n: 0.79)
    assert claims._seeds_needed(question, found) == "more than 96"
    assert claims._seeds_needed(question, claims.Runs(runs(seeds=1))).startswith("unknown")


# --- The protocol ---


def test_the_protocol_s_claims_are_those_of_the_package():
    theirs = PROTOCOL / "claims.yaml"
    ours = Path(claims.__file__).with_name("claims.yaml")
    assert theirs.read_text("utf-8") == ours.read_text("utf-8")


def test_the_protocol_names_every_claim_and_threshold():
    text = (PROTOCOL / "PROTOCOL.md").read_text("utf-8")
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("|")}
    for question in claims.questions():
        for test in question.tests:
            threshold = "1 / 1.1" if question.letter == "e" else f"{abs(test.threshold):g}"
            if question.letter == "g":
                assert "the same with `first_norm: unit`" in rows["g"]
            elif test.threshold != 1:  # "above that of each other"
                assert threshold in rows[question.letter], question.letter


@pytest.mark.parametrize("collection", ["monet", "plein_air"])
def test_the_grids_train_the_arms_of_the_protocol(collection):
    grid = yaml.safe_load((PROTOCOL / f"{collection}.yaml").read_text("utf-8"))
    arms = {(str(prior), "channel") for prior in priors.parse_list(", ".join(grid["noises"]))}
    arms |= {(str(priors.parse(own["noise"])), own["first_norm"]) for own in grid["also"]}
    assert arms == set(ARMS.values())
    assert (grid["seeds"], grid["looks"]) == ([3, 4, 5, 6, 7, 8, 9, 10], [3, 5, 8])
    assert grid["parameters"]["batch_size"] == 16


def test_claims_in_markdown():
    text = claims.as_markdown(judge(runs()))
    assert "**(c) Another mean makes the images much worse.**" in text
    assert "**Confirmed**: " in text
    assert "<details" not in text


def test_claims_that_are_not_tested_are_folded():
    table = runs()
    text = claims.as_markdown(judge(table[table["noise"].isin(["normal(0, 1)", "gamma(2, 1)"])]))
    shown, folded = text.split("<details")
    assert "**(b1)" in shown
    assert "**(c)" not in shown
    assert "9 claims are not tested</summary>" in folded
    assert "- (c) Another mean makes the images much worse. Here there are no runs with" in folded
