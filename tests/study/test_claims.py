import numpy as np
import pandas as pd

from dcgan_utils.study import claims
from dcgan_utils.study.claims import CONFIRMED, REFUTED, UNDECIDED, judge

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


def test_what_jumps_about_is_mostly_not_decided_and_hardly_ever_confirmed():
    found = [verdict for c in range(50) for verdict in verdicts(runs(noise=0.1, chance=c)).values()]
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
    assert all(found[letter].measured.startswith("Not tested") for letter in "bef")


def test_claims_are_written_for_a_notebook():
    text = claims.as_markdown(judge(runs()))
    assert text.count("**Verdict: ") == 6
    assert text.startswith("**(a) Symmetric noise")


def test_what_did_not_run_is_said():
    table = runs()
    missing = {claim.letter: claim for claim in judge(table[table["noise"] != NOISES["gamma"]])}
    assert "takes runs with N(0, 1) and Gamma(2, 1)" in missing["b"].measured
    assert missing["b"].verdict == UNDECIDED
    without = judge(table[table["noise"] != claims.REFERENCE])
    assert {claim.verdict for claim in without} == {UNDECIDED}
    assert all(claim.measured.startswith("Not tested") for claim in without)


def test_which_noises_are_mostly_within_one():
    found = {
        str(prior)
        for prior in claims.noise.parse_list(
            "uniform, normal, N(0, 0.01), N(0, 100), N(1, 1), gamma, standardized(gamma), "
            "student_t(3), bernoulli, laplace"
        )
        if claims._is_mostly_within(prior)
    }
    assert found == {
        "uniform(-1, 1)", "normal(0, 1)", "normal(0, 0.1)", "student_t(3)", "bernoulli(0.5)",
        "laplace(0, 1)",
    }  # fmt: skip
