import numpy as np
import pytest
from helpers import groups
from scipy.special import expit
from sklearn import model_selection

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.metrics.modes import classifier, classifier_accuracy, mode_coverage

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


def test_labels_that_the_features_do_not_know_are_reported_by_the_accuracy():
    real, which = groups()
    labels = np.random.default_rng(7).permutation(np.repeat(NAMES, 30))
    assert classifier_accuracy(real, labels, seed=0) < 0.6
    assert classifier_accuracy(real, NAMES[which], seed=0) == 1


def test_too_few_kinds_or_images_are_reported():
    real, _ = groups()
    with pytest.raises(NotEnoughData, match="two classes"):
        mode_coverage(real, ["one"] * 90, real)
    with pytest.raises(NotEnoughData, match="two images of each"):
        classifier_accuracy(real, ["one"] * 89 + ["two"], seed=0)


def drawn_of_two(common, rare, real=(50, 50)):
    """Return the mode coverage where so many of two kinds are drawn."""
    vectors = np.outer([-1, 1], np.ones(60))
    names = np.repeat(["common", "rare"], real)
    return mode_coverage(
        vectors.repeat(real, axis=0), names, vectors.repeat([common, rare], axis=0)
    )


@pytest.mark.parametrize(("rare", "covered"), [(49, 0.5), (50, 1), (51, 1)])
def test_a_kind_counts_from_a_tenth_of_its_share(rare, covered):
    assert drawn_of_two(1000 - rare, rare)["mode_coverage"] == covered


def test_the_share_is_that_among_the_real_images():
    assert drawn_of_two(97, 3, real=(75, 25))["mode_coverage"] == 1
    assert drawn_of_two(98, 2, real=(75, 25))["mode_coverage"] == 0.5


def test_the_entropy_is_relative_to_that_of_the_real_images():
    three_to_one = 0.75 * np.log(4 / 3) + 0.25 * np.log(4)
    assert drawn_of_two(30, 10)["mode_entropy"] == pytest.approx(three_to_one / np.log(2))
    found = drawn_of_two(20, 20, real=(75, 25))["mode_entropy"]
    assert found == pytest.approx(np.log(2) / three_to_one)


def test_the_classifier_standardises_and_is_held_back_by_a_hundredth():
    vectors = np.array([[4.0], [10.0]]).repeat(100, axis=0)
    weight = classifier().fit(vectors, [0] * 100 + [1] * 100)[-1].coef_.item()
    assert weight == pytest.approx(0.01 * 200 * expit(-weight), rel=1e-3)


def test_who_names_the_commonest_kind_is_right_on_one_of_the_kinds():
    accuracy = classifier_accuracy(np.zeros((60, 2)), ["common"] * 50 + ["rare"] * 10, seed=0)
    assert accuracy == 0.5


@pytest.mark.parametrize(("rarest", "parts"), [(20, 5), (5, 5), (4, 4), (2, 2)])
def test_a_classifier_is_tested_on_five_parts_or_as_many_as_the_rarest_kind(
    monkeypatch, rarest, parts
):
    seen = []

    def cross_val_score(classifier, vectors, labels, *, cv, scoring):
        seen.append((cv.n_splits, cv.shuffle, cv.random_state, scoring))
        return np.array([0.5, 1])

    monkeypatch.setattr(model_selection, "cross_val_score", cross_val_score)
    labels = ["common"] * 20 + ["rare"] * rarest
    assert classifier_accuracy(np.zeros((len(labels), 2)), labels, seed=7) == 0.75
    assert seen == [(parts, True, 7, "balanced_accuracy")]
