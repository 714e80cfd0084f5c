import numpy as np
import pandas as pd
import pytest
import torch
from helpers import groups
from sklearn import model_selection

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.metrics import embed

pytestmark = pytest.mark.usefixtures("no_warnings")


def test_kmeans_finds_groups_the_largest_first():
    vectors, which = groups((20, 40, 30))
    found = embed.kmeans(vectors, 3)
    assert found.k == 3
    assert found.sizes.tolist() == [40, 30, 20]
    assert pd.crosstab(found.labels, which).to_numpy().tolist() == [
        [0, 40, 0],
        [0, 0, 30],
        [20, 0, 0],
    ]
    for label in range(3):
        members = found.members(label)
        np.testing.assert_allclose(found.centres[label], vectors[members].mean(0), atol=1e-4)
        assert (np.diff(found.distances[members]) >= 0).all(), "nearest first"


def test_the_same_seed_gives_the_same_clusters():
    vectors = np.random.default_rng(0).normal(size=(200, 20)).astype(np.float32)
    one, again, other = (embed.kmeans(vectors, 10, seed=seed) for seed in (5, 5, 2**40))
    np.testing.assert_array_equal(one.labels, again.labels)
    np.testing.assert_array_equal(one.centres, again.centres)
    assert (one.labels != other.labels).any()


@pytest.mark.parametrize(("n", "distinct"), [(1, 1), (2, 2), (9, 9), (12, 1), (12, 3)])
def test_there_are_no_more_clusters_than_different_vectors(n, distinct):
    vectors = np.eye(distinct, 4 if distinct < 4 else distinct, dtype=np.float32)
    found = embed.kmeans(np.resize(vectors, (n, vectors.shape[1])), 10)
    assert found.k == distinct
    assert found.sizes.sum() == n
    assert (found.sizes > 0).all()


def test_evenness():
    assert embed.evenness([5, 5, 5]) == pytest.approx(1)
    assert embed.evenness([7]) == 1
    assert embed.evenness([10, 0]) == 0
    # Shares 1/2, 1/4, 1/4 have an entropy of 1.5 bits, of at most log2(3).
    assert embed.evenness([2, 1, 1]) == pytest.approx(1.5 / np.log2(3))


def test_the_criteria_know_the_right_number():
    table = embed.choose_k(groups()[0], range(2, 7))
    assert table.index.tolist() == [2, 3, 4, 5, 6]
    assert table["silhouette"].idxmax() == 3
    assert (np.diff(table["inertia"]) < 0).all()
    assert table["evenness"].between(0, 1).all()


def test_the_criteria_survive_a_lonely_outlier_among_many():
    vectors = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)
    vectors[0] = 1000
    table = embed.choose_k(vectors, [2])
    assert table.loc[2, "silhouette"] > 0.9


def test_too_many_clusters_are_left_out():
    assert embed.choose_k(np.eye(5, dtype=np.float32)).index.tolist() == [2, 3, 4]


@pytest.mark.parametrize("vectors", [np.eye(1), np.eye(2), np.ones((50, 3))])
def test_too_little_to_choose_from_is_reported(vectors):
    with pytest.raises(NotEnoughData, match="at least 3 different images"):
        embed.choose_k(vectors)


def test_mean_images():
    images = (
        torch.tensor([0, 10, 100, 101], dtype=torch.uint8).reshape(4, 1, 1, 1).expand(4, 3, 2, 2)
    )
    means = embed.mean_images(images, np.array([1, 1, 0, 0]))
    assert means.shape == (2, 3, 2, 2)
    assert means[:, 0, 0, 0].tolist() == [100, 5]


def test_agreement_with_labels():
    vectors, which = groups()
    known = pd.DataFrame({"group": which, "noise": np.arange(len(which)) % 2})
    known["partly"] = known["group"].where(np.arange(len(which)) > 5)
    table = embed.agreement({"three": embed.kmeans(vectors, 3)}, known)
    assert table.loc["group", "three"] == table.loc["partly", "three"] == 1
    assert abs(table.loc["noise", "three"]) < 0.1


# --- Separability --------------------------------------------------------------------------


def test_separability():
    rng = np.random.default_rng(0)
    one, same, shifted = rng.normal(size=(3, 100, 20))
    assert embed.separability(one, shifted + 3).min() == 1
    assert embed.separability(one, same).mean() == pytest.approx(0.5, abs=0.1)
    between = embed.separability(one, shifted + 0.3).mean()
    assert 0.6 < between < 1
    assert len(embed.separability(one[:10], shifted[:20])) == 5


def test_a_set_and_its_copy_are_worse_than_chance():
    vectors = np.random.default_rng(0).normal(size=(100, 20))
    assert embed.separability(vectors, vectors).max() < 0.4


def test_halves_of_one_set_are_told_apart_by_chance_only():
    vectors = np.random.default_rng(0).normal(size=(200, 20))
    found = embed.separability_of_halves(vectors, times=8)
    assert found.shape == (8,)
    assert found.mean() == pytest.approx(0.5, abs=0.06)
    assert np.ptp(found) > 0
    with pytest.raises(NotEnoughData, match="10 images of each"):
        embed.separability_of_halves(vectors[:19])


def test_few_images_cannot_be_told_apart():
    with pytest.raises(NotEnoughData, match="here: 9 and 20"):
        embed.separability(np.eye(9, 20), np.eye(20))


# --- The numbers written out ---------------------------------------------------------------


def divided(labels):
    return embed.Clustering(np.array(labels), np.zeros((max(labels) + 1, 1)), np.zeros(1))


@pytest.mark.parametrize(
    ("labels", "index"),
    [([0, 0, 1, 1], 1), ([1, 1, 0, 0], 1), ([0, 0, 1, 2], 4 / 7), ([0, 1, 0, 1], -1 / 2)],
)
def test_agreement_is_the_rand_index_adjusted_for_chance(labels, index):
    known = pd.DataFrame({"kind": ["a", "a", "b", "b"]})
    found = embed.agreement({"by k-means": divided(labels)}, known)
    assert found.loc["kind", "by k-means"] == pytest.approx(index)


def test_the_criteria_are_written_out():
    found = embed.choose_k(np.array([[0.0], [2], [10], [12], [14]]), [2]).loc[2]
    assert found["inertia"] == pytest.approx(1 + 1 + 4 + 0 + 4)
    nearer, farther = np.array([2, 2, 3, 2, 3]), np.array([12, 10, 9, 11, 13])
    assert found["silhouette"] == pytest.approx(np.mean(1 - nearer / farther))
    shares = np.array([2 / 5, 3 / 5])
    assert found["evenness"] == pytest.approx(-(shares * np.log2(shares)).sum())


@pytest.mark.parametrize(("levels", "mean"), [((100, 101, 101), 101), ((100, 100, 101), 100)])
def test_mean_images_are_rounded(levels, mean):
    images = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2)
    assert embed.mean_images(images, np.zeros(3, int)).unique().tolist() == [mean]


def test_distances_are_those_to_the_own_centre():
    found = embed.kmeans(np.array([[0.0, 0], [6, 8], [100, 0]]), 2)
    assert found.distances.tolist() == pytest.approx([5, 5, 0])
    assert found.members(0).tolist() == [0, 1]


def test_two_sets_are_told_apart_by_the_area_under_the_curve_of_five_folds(monkeypatch):
    asked = []

    def cross_val_score(classifier, vectors, which, *, cv, scoring):
        asked.append((which.tolist(), cv.n_splits, cv.shuffle, cv.random_state, scoring))
        return np.zeros(5)

    monkeypatch.setattr(model_selection, "cross_val_score", cross_val_score)
    embed.separability(np.zeros((10, 2)), np.zeros((12, 2)), seed=3)
    assert asked == [([0] * 10 + [1] * 12, 5, True, 3, "roc_auc")]


@pytest.mark.parametrize(("n", "half"), [(60, 30), (1000, 500), (3000, 500)])
def test_halves_are_those_of_a_thousand_at_most(monkeypatch, n, half):
    sizes = []

    def separability(one, other, *, seed):
        assert not {*one[:, 0]} & {*other[:, 0]}
        sizes.append((len(one), len(other)))
        return np.array([0.25, 0.75])

    monkeypatch.setattr(embed, "separability", separability)
    found = embed.separability_of_halves(np.arange(float(n))[:, None])
    assert found.tolist() == [0.5] * 5
    assert sizes == [(half, half)] * 5
