import numpy as np
import pytest
from scipy import stats

from dcgan_utils.metrics.intervals import Arms, Difference, half_width, look_levels

ONE, TWO = [1.0, 2.0, 3.0], [4.0, 4.5, 8.0, 5.5]


def two_arms(kinds=("a", "a")):
    return Arms.of({"one": ONE, "two": TWO}, dict(zip(("one", "two"), kinds, strict=True)))


def test_arms_of_one_kind_are_compared_by_students_t():
    found = two_arms().difference({"two": 1, "one": -1})
    reference = stats.ttest_ind(TWO, ONE)  # equal variances
    assert found.value == pytest.approx(3.5)
    assert found.freedom == pytest.approx(5)
    assert found.p_value(0, 1) == pytest.approx(reference.pvalue / 2)
    low, high = found.interval
    assert (low, high) == pytest.approx(tuple(reference.confidence_interval(0.9)))


def test_arms_of_two_kinds_are_compared_by_welch_s_test():
    found = two_arms(("a", "b")).difference({"two": 1, "one": -1})
    reference = stats.ttest_ind(TWO, ONE, equal_var=False)
    assert found.freedom == pytest.approx(reference.df)
    assert found.p_value(0, 1) == pytest.approx(reference.pvalue / 2)


def test_a_variance_is_pooled_over_all_arms_of_a_kind():
    arms = Arms.of({"x": [0, 2], "y": [0, 4], "z": [9, 9.5]}, {"x": 1, "y": 1, "z": 2})
    assert arms.variances == pytest.approx({1: (2 + 8) / 2, 2: 0.125})
    assert (arms.freedom(1), arms.freedom(2)) == (2, 1)


def test_a_mean_over_arms_has_a_smaller_error():
    arms = Arms.of({"x": [0, 2], "y": [0, 4], "z": [1, 3]}, dict.fromkeys("xyz", 0))
    found = arms.difference({"x": 1, "y": -0.5, "z": -0.5})
    assert found.value == -1
    assert found.error == pytest.approx(np.sqrt((2 + 8 + 2) / 3 * (1 + 0.25 + 0.25) / 2))


def test_the_sides_of_a_test():
    found = Difference(2.0, 1.0, 10, level=0.05)
    assert found.errors_beyond(0.5, 1) == 1.5
    assert found.errors_beyond(0.5, -1) == -1.5
    assert found.p_value(0.5, 1) + found.p_value(0.5, -1) == pytest.approx(1)
    assert found.p_value(0.5, 1) < 0.5
    low, high = found.interval
    assert found.p_value(low, 1) == pytest.approx(0.05), "interval and test agree"
    assert found.p_value(high, -1) == pytest.approx(0.05)


@pytest.mark.parametrize(
    "values",
    [
        {"x": [1.0], "y": [2.0]},
        {"x": [1.0, 1.0], "y": [0.0, 0.0]},
        {"x": [0.1] * 3, "y": [0.3] * 3},
    ],
    ids=["one run", "all alike", "alike but for rounding"],
)
def test_runs_that_do_not_vary_decide_nothing(values):
    found = Arms.of(values, dict.fromkeys("xy", 0)).difference({"x": 1, "y": -1})
    assert found.interval == (-np.inf, np.inf)
    assert (found.p_value(0, 1), found.p_value(0, -1)) == (1, 1)
    assert found.errors_beyond(0, 1) == 0


def test_the_interval_of_one_sided_tests_holds_in_90_of_100_studies():
    rng, held = np.random.default_rng(0), 0
    for _ in range(2000):
        arms = Arms.of({"x": rng.normal(0, 1, 3), "y": rng.normal(1, 3, 3)}, {"x": 0, "y": 1})
        low, high = arms.difference({"y": 1, "x": -1}).interval
        held += low < 1 < high
    assert held / 2000 == pytest.approx(0.9, abs=0.03)


# --- Looks ---


def test_the_bounds_of_three_equal_looks_are_the_published_ones():
    # Lan and DeMets' form of O'Brien and Fleming's bounds, one-sided 0.025.
    bounds = stats.norm.isf(look_levels((1, 2, 3), 0.025))
    assert bounds == pytest.approx([3.7103, 2.5114, 1.9930], abs=1e-3)


def test_one_look_spends_everything():
    assert look_levels((5,)) == pytest.approx([0.05], rel=1e-6)


def test_three_looks_together_keep_the_level():
    looks = (3, 5, 8)
    levels = np.array(look_levels(looks))
    assert (np.diff(levels) > 0).all()
    runs = np.random.default_rng(0).normal(size=(40_000, 8))
    means = np.stack([runs[:, :look].sum(axis=1) / look**0.5 for look in looks], axis=1)
    crossed = (means > stats.norm.isf(levels)).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=0.005)


def test_the_interval_of_one_arm_is_students_t():
    half = half_width(ONE)
    assert half == pytest.approx(stats.t.interval(0.95, 2, 0, 1 / np.sqrt(3))[1])
    assert half_width([1.0]) == half_width([0.1, 0.1, 0.1 + 1e-17]) == np.inf
