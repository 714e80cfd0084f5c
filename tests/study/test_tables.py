import pandas as pd
import pytest

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.study import compare


def numbers(**by_noise):
    """Return a table of runs with the given KIDs, one a seed."""
    specs = {"normal": "normal(0, 1)", "gamma": "gamma(2, 1)", "uniform": "uniform(-1, 1)"}
    rows = [
        {"noise": specs[name], "label": name, "seed": seed, "kid": kid}
        for name, kids in by_noise.items()
        for seed, kid in enumerate(kids)
    ]
    return pd.DataFrame(rows)


def test_differences_are_paired_by_seed():
    table = compare.differences(
        numbers(normal=[0.1, 0.5, 0.9], gamma=[0.21, 0.6, 0.99], uniform=[0.2, 0.3, 1.0]), "kid"
    )
    assert list(table.index) == ["gamma", "uniform"]
    assert table.loc["gamma", "difference"] == pytest.approx(0.1)
    assert table.loc["gamma", "decided"]
    assert not table.loc["uniform", "decided"]
    row = table.loc["uniform"]
    assert row["low"] < row["bootstrap_low"] < row["difference"] < row["bootstrap_high"]
    assert row["bootstrap_high"] < row["high"]


def test_one_seed_decides_nothing():
    row = compare.differences(numbers(normal=[0.1], gamma=[9.0]), "kid").loc["gamma"]
    assert not row["decided"]
    assert row["difference"] == pytest.approx(8.9)
    assert row[["low", "high", "bootstrap_low", "bootstrap_high"]].isna().all()


def test_without_a_common_seed_there_is_nothing_to_compare():
    with pytest.raises(NotEnoughData, match="same seed"):
        compare.differences(numbers(gamma=[1, 2]), "kid")
    table = numbers(normal=[0.1, 0.2], gamma=[0.3, 0.4])
    table.loc[table["label"] == "gamma", "seed"] += 5
    with pytest.raises(NotEnoughData, match="same seed"):
        compare.differences(table, "kid")


def test_what_the_numbers_rest_on_is_told():
    table = numbers(normal=[0.1, 0.2, 0.3], gamma=[0.3, 0.4], uniform=[0.2])
    assert compare.describe_seeds(table) == (
        "Seeds in common with N(0, 1): gamma: 2, uniform: 1. **With one seed nothing can be "
        "decided** (uniform)."
    )
    assert "no run with N(0, 1)" in compare.describe_seeds(numbers(gamma=[1]))
    table = table.assign(extractor="lite0", generated=30, real=60)
    floor = {"generated": 20, "real": 40, "classifier_accuracy": 0.9}
    kinds = pd.Series(["sea", "land"], name="subject")
    said = compare.describe_samples(table, floor, kinds)
    assert "30 generated images of each run against 60 real ones" in said
    assert "the label 'subject': 2" in said
    assert "right on 90%" in said
    assert "label" not in compare.describe_samples(table, floor, None)


def test_means_and_intervals_over_the_seeds_stand_below_the_floor():
    table = numbers(normal=[0.1, 0.3], gamma=[0.5])
    means = compare.over_seeds(table, {"kid": 0.25}, compare.CLOSENESS)
    assert list(means.index) == ["real against real", "normal", "gamma"]
    assert means["kid"].tolist() == ["0.250", "0.200 ± 1.271", "0.500"]
    assert means["seeds"].tolist() == ["", "2", "1"]
