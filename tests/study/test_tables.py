import numpy as np
import pandas as pd
import pytest

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.study import claims, compare, schedule


def numbers(**by_noise):
    """Return a table of runs with the given KIDs, one per seed."""
    specs = {"normal": "normal(0, 1)", "gamma": "gamma(2, 1)", "uniform": "uniform(-1, 1)"}
    rows = [
        {"noise": specs[name], "first_norm": "channel", "label": name, "seed": seed, "kid": kid}
        for name, kids in by_noise.items()
        for seed, kid in enumerate(kids)
    ]
    return pd.DataFrame(rows)


def test_differences_are_those_by_which_the_claims_are_judged():
    table = numbers(normal=[0.1, 0.12, 0.11], gamma=[0.3, 0.36, 0.2], uniform=[0.1, 0.13, 0.1])
    found = compare.differences(table, "kid")
    assert list(found.index) == ["Gamma(2, 1)", "U(-1, 1)"]
    runs = claims.Runs(table)
    for arm, row in zip(("gamma(2, 1)", "uniform(-1, 1)"), found.itertuples(), strict=True):
        difference = runs.difference(claims.Test("kid", arm, ("normal(0, 1)",), 1, 1.0))
        assert row.found == pytest.approx(np.exp(difference.value))
        assert (row.low, row.high) == pytest.approx(tuple(np.exp(difference.interval)))
    assert found["decided"].tolist() == [True, False]
    assert found["runs"].tolist() == [3, 3]


def test_a_share_is_compared_by_difference():
    table = numbers(normal=[0.9, 1.0, 0.95], gamma=[0.3, 0.5, 0.4])
    table = table.rename(columns={"kid": "share_between_images"})
    row = compare.differences(table, "share_between_images").iloc[0]
    assert row["found"] == pytest.approx(-0.55)
    assert row["low"] < -0.55 < row["high"] < 0
    assert row["decided"]


def test_one_seed_decides_nothing():
    row = compare.differences(numbers(normal=[0.1], gamma=[9.0]), "kid").iloc[0]
    assert not row["decided"]
    assert row["found"] == pytest.approx(90)
    assert row[["low", "high"]].isna().all()


@pytest.mark.parametrize("table", [numbers(gamma=[1, 2]), numbers(normal=[1, 2])])
def test_without_two_priors_there_is_nothing_to_compare(table):
    with pytest.raises(NotEnoughData, match=r"N\(0, 1\) and with another"):
        compare.differences(table, "kid")


def test_where_a_comparison_stands_is_said():
    table = numbers(normal=[0.1, 0.2, 0.3], gamma=[0.3, 0.4, 0.5])
    assert compare.describe_look(table, ()) == (
        "Seeds of each arm: normal 3, gamma 3. Each test is one-sided, at 5 %."
    )
    assert "nothing is judged yet" in compare.describe_look(table, (4, 5))
    level = claims.look_levels((2, 4))[0]
    text = compare.describe_look(table, (2, 4))
    assert f"this look is at 2, with one-sided tests at {level:.2%}." in text


def test_what_the_numbers_rest_on_is_reported():
    table = numbers(normal=[0.1]).assign(extractor="lite0", generated=30, real=60)
    baseline = {"generated": 20, "real": 40, "classifier_accuracy": 0.9}
    anchors = pd.DataFrame.from_dict({compare.BASELINE: baseline}, orient="index")
    said = compare.describe_samples(table, anchors, "subject")
    assert "30 generated images of each run against 60 real ones (first row: 20 against 40)" in said
    assert "the label 'subject'" in said
    assert "right on 90%" in said
    assert "label" not in compare.describe_samples(table, anchors, None)


def test_means_and_intervals_over_the_seeds_stand_below_the_anchors():
    table = numbers(normal=[0.1, 0.3], gamma=[0.5])
    anchors = pd.DataFrame({"kid": [0.0, 0.32]}, index=[compare.BASELINE, "grey"])
    means = compare.over_seeds(table, anchors, compare.CLOSENESS)
    assert list(means.index) == ["real-vs-real baseline", "grey", "normal", "gamma"]
    assert means["kid"].tolist() == ["0.000", "0.320", "0.200 ± 1.271", "0.500"]
    assert means["seeds"].tolist() == ["", "", "2", "1"]


def test_large_numbers_are_written_without_decimals_and_unknown_ones_not_at_all():
    written = [compare._number(value) for value in (0.12345, 9.9994, 44850.0, np.nan)]
    assert written == ["0.123", "9.999", "44,850", ""]


def test_every_measure_says_which_direction_is_good_and_where_it_misleads():
    names = (*compare.CLOSENESS, *compare.VARIETY)
    assert set(compare.READING) == set(names)
    table = compare.reading(compare.VARIETY)
    assert table.loc["share between images", "good"] == "near 1"


def test_what_a_grid_can_decide_is_said_by_the_number_of_its_seeds():
    arm = {"collection": "a", "architecture": "dcgan", "first_norm": "channel", "failed": ""}
    noises, seeds = ("normal", "normal", "gamma", "gamma"), (0, 1, 0, 1)
    rows = [arm | {"noise": n, "seed": s} for n, s in zip(noises, seeds, strict=True)]
    text = schedule.describe_grid(pd.DataFrame(rows))
    assert text.startswith("**4 of 4 trainings are finished.** Each of 2 arms has 2 seeds.")
    assert "nothing can be decided" not in text
    rows[3]["failed"] = "out of memory"
    text = schedule.describe_grid(pd.DataFrame(rows))
    assert "**3 of 4 trainings are finished.** Each of 2 arms has 1 to 2 seeds." in text
    assert "With one seed nothing can be decided" in text
    for row in rows:
        row["failed"] = "no disk"
    assert schedule.describe_grid(pd.DataFrame(rows)).endswith("There is nothing to compare.")
