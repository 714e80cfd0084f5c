import numpy as np
import pytest
from helpers import groups

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.metrics.modes import classifier_accuracy, mode_coverage

NAMES = np.array(["harbour", "garden", "bridge"])


def covered(chosen, n=90):
    """Return the mode coverage of vectors of the chosen groups alone."""
    real, which = groups()
    new, kind = groups(sizes=(3 * n, 3 * n, 3 * n), seed=1)
    generated = np.concatenate([new[kind == k][:count] for k, count in chosen.items()])
    return mode_coverage(real, NAMES[which], generated)


def test_all_kinds_alike_are_all_covered():
    found = covered({0: 40, 1: 30, 2: 20})
    assert found["mode_coverage"] == 1
    assert found["mode_entropy"] == pytest.approx(1, abs=0.02)


def test_missing_kinds_are_missed():
    found = covered({0: 60, 2: 60})
    assert found["mode_coverage"] == pytest.approx(2 / 3)
    assert 0.5 < found["mode_entropy"] < 0.8
    assert covered({1: 60})["mode_entropy"] == 0


def test_a_kind_that_hardly_occurs_counts_as_missing():
    assert covered({0: 150, 1: 150, 2: 2})["mode_coverage"] == pytest.approx(2 / 3)


def test_labels_that_the_features_do_not_know_are_told_by_the_accuracy():
    real, which = groups()
    labels = np.random.default_rng(7).permutation(np.repeat(NAMES, 30))
    assert classifier_accuracy(real, labels, seed=0) < 0.6
    assert classifier_accuracy(real, NAMES[which], seed=0) == 1


def test_too_few_kinds_or_images_are_told():
    real, _ = groups()
    with pytest.raises(NotEnoughData, match="two kinds"):
        mode_coverage(real, ["one"] * 90, real)
    with pytest.raises(NotEnoughData, match="two images of each"):
        classifier_accuracy(real, ["one"] * 89 + ["two"], seed=0)
