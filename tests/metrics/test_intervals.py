import numpy as np
import pandas as pd
import pytest

from dcgan_utils.metrics.intervals import paired


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
