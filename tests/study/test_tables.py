import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.core.seeds import stream
from dcgan_utils.metrics.intervals import Interval
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


def test_what_the_numbers_rest_on_is_reported():
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
    assert list(means.index) == ["real-vs-real baseline", "normal", "gamma"]
    assert means["kid"].tolist() == ["0.250", "0.200 ± 1.271", "0.500"]
    assert means["seeds"].tolist() == ["", "2", "1"]


def test_the_intervals_of_differences_are_written_out():
    usual = np.arange(10.0, 17)
    values = {"gamma": usual**1.5 % 5, "uniform": usual**2.5 % 7 - 3}
    table = numbers(normal=usual, **{name: usual + apart for name, apart in values.items()})
    found, rng = compare.differences(table, "kid", seed=3), stream(3, "pairs")
    for name, apart in values.items():
        row, mean = found.loc[name], apart.mean()
        half = stats.t.ppf(1 - 0.025 / 2, 6) * apart.std(ddof=1) / np.sqrt(7)
        means = apart[torch.randint(7, (10_000, 7), generator=rng).numpy()].mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        assert row.drop("decided").to_dict() == pytest.approx({
            "difference": mean, "low": mean - half, "high": mean + half, "bootstrap_low": low,
            "bootstrap_high": high, "pairs": 7,
        })  # fmt: skip


@pytest.mark.parametrize(
    ("difference", "decided"),
    [(1.01, True), (1, False), (0.99, False), (-0.99, False), (-1, False), (-1.01, True)],
)
def test_what_leaves_zero_out_is_decided(monkeypatch, difference, decided):
    def paired(one, other, *, comparisons):
        return Interval(difference, difference - 1, difference + 1, 2)

    monkeypatch.setattr(compare.intervals, "paired", paired)
    found = compare.differences(numbers(normal=[0.1, 0.2], gamma=[0.3, 0.4]), "kid")
    assert found.loc["gamma", "decided"] == decided
