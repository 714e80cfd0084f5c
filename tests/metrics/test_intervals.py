import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dcgan_utils.metrics.intervals import Interval, half_width, paired


def test_a_seed_that_only_one_side_has_does_not_count():
    one = pd.Series([1.0, 2.0, 4.0], index=[0, 1, 2])
    other = pd.Series([0.0, 1.5, 9.0], index=[0, 1, 7])
    interval = paired(one, other)
    assert (interval.difference, interval.pairs) == (0.75, 2)
    assert str(paired(one, other[[7]])) == "no seed in common"


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = alone = 0
    for _ in range(400):
        sides = [paired(pd.Series(rng.normal(size=3)), pd.Series(rng.normal(size=3)),
                        comparisons=4) for _ in range(4)]  # fmt: skip
        held += all(side.low < 0 < side.high for side in sides)
        alone += sides[0].low < 0 < sides[0].high
    assert held / 400 == pytest.approx(0.95, abs=0.03)
    assert alone > held


VALUES = pd.Series([1.0, 2.0, 4.0, 9.0])


@pytest.mark.parametrize(("comparisons", "level"), [(1, 0.975), (2, 0.9875), (5, 0.995)])
def test_the_width_is_student_s_written_out(comparisons, level):
    deviation = np.sqrt(((VALUES - 4) ** 2).sum() / 3)
    expected = stats.t.ppf(level, 3) * deviation / 2
    assert half_width(VALUES, comparisons=comparisons) == pytest.approx(expected)
    interval = paired(VALUES, 0 * VALUES, comparisons=comparisons)
    assert (interval.low, interval.high) == pytest.approx((4 - expected, 4 + expected))


def test_three_seeds_widen_by_the_quantile_of_the_books():
    assert half_width(pd.Series([0.0, 1, 2])) == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)


def test_the_difference_is_the_first_side_less_the_second():
    assert paired(VALUES, VALUES - 3).difference == 3
    assert paired(VALUES - 3, VALUES).difference == -3


def test_the_sides_can_be_exchanged():
    assert -Interval(2, 1, 4, 5) == Interval(-2, -4, -1, 5)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.25], "+0.250 (one seed)"),
        ([0.25, 0.25], "+0.250 (the same for all seeds)"),
        ([-0.1, -0.2, -0.3], "-0.200 [-0.448, +0.048]"),
    ],
)
def test_an_interval_is_written_with_its_ends(values, text):
    interval = paired(pd.Series(values), pd.Series(0.0, index=range(len(values))))
    assert str(interval) == text


def test_one_value_and_equal_ones_know_no_width():
    assert half_width(VALUES[:1]) == np.inf
    for values in (VALUES[:1], 0 * VALUES):
        assert (paired(values, 0 * values).low, paired(values, 0 * values).high) == (
            -np.inf,
            np.inf,
        )


@pytest.mark.parametrize("difference", [0.0, 0.1, 0.7, 0.95])
def test_equal_differences_decide_nothing_whatever_the_rounding(difference):
    seeds = [0, 1, 2]
    interval = paired(pd.Series(difference, seeds), pd.Series([0.0, 0.0, 0.0], seeds))
    assert not np.isfinite([interval.low, interval.high]).any()
    assert "the same for all seeds" in str(interval)
