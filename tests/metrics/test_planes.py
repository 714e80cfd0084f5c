import numpy as np
import pytest
import torch
from helpers import groups

from dcgan_utils.core.cache import ensure_numba_dir
from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.core.files import data_dir
from dcgan_utils.metrics.embed import principal_components, umap_embedding

pytestmark = pytest.mark.usefixtures("no_warnings")


def test_components_give_the_vectors_back():
    vectors = np.random.default_rng(0).normal(size=(30, 12)).astype(np.float32) * np.arange(1, 13)
    found = principal_components(vectors, 100)
    assert found.explained.sum() == pytest.approx(1, abs=1e-5)
    assert (np.diff(found.explained) <= 0).all()
    rows = np.array([3, 7])
    np.testing.assert_allclose(found.reconstruct(rows, 12), vectors[rows], atol=1e-3)
    errors = [((found.reconstruct(np.arange(30), n) - vectors) ** 2).sum() for n in range(13)]
    assert (np.diff(errors) < 0).all()
    np.testing.assert_allclose(found.at(0, 0), vectors.mean(0), atol=1e-4)
    moved = (found.at(0, 2) - found.mean) @ found.directions[0]
    assert moved == pytest.approx(2 * found.scores[:, 0].std(), rel=1e-3)


def test_components_are_written_out():
    """The scales stay: the first axis has nine times the variance of the second."""
    vectors = np.array([[8.0, 7], [2, 7], [5, 8], [5, 6]])
    found = principal_components(vectors.astype(np.float32), 2)
    assert found.mean == pytest.approx([5, 7])
    assert np.abs(found.directions) == pytest.approx(np.eye(2), abs=1e-6)
    assert found.explained == pytest.approx([0.9, 0.1])
    np.testing.assert_allclose(found.scores, (vectors - [5, 7]) @ found.directions.T, atol=1e-6)
    deviation = np.sqrt(18 / 4)
    assert np.abs(found.at(0, 2) - found.mean) == pytest.approx([2 * deviation, 0], abs=1e-5)
    first = found.reconstruct(np.array([0, 2]), 1)
    np.testing.assert_allclose(first, [[8, 7], [5, 7]], atol=1e-5)


def test_there_are_fewer_components_than_images():
    assert principal_components(np.eye(5, 50), 100).scores.shape == (5, 4)


# --- UMAP ----------------------------------------------------------------------------------

compiled = pytest.mark.slow  # by numba, for seconds


@pytest.fixture
def umap_uncompiled(monkeypatch):
    """Leave two functions of UMAP uncompiled: for few vectors that is eight seconds faster."""
    ensure_numba_dir()
    from umap import umap_

    for name in ("fast_knn_indices", "smooth_knn_dist"):
        monkeypatch.setattr(umap_, name, getattr(umap_, name).py_func)


@compiled
@pytest.mark.usefixtures("umap_uncompiled")
@pytest.mark.parametrize("n_components", [2, 3])
def test_umap_keeps_groups_together(n_components):
    vectors, which = groups()
    embedding = umap_embedding(vectors, n_components)
    assert embedding.shape == (len(vectors), n_components)
    assert np.isfinite(embedding).all()
    distances = np.linalg.norm(embedding[:, None] - embedding, axis=2)
    nearest = distances.argsort(1)[:, 1:6]
    assert (which[nearest] == which[:, None]).mean() > 0.95


@compiled
@pytest.mark.usefixtures("umap_uncompiled")
def test_umap_is_repeatable_and_kept():
    vectors, _ = groups()
    first = umap_embedding(vectors, seed=3)
    (kept,) = (data_dir() / ".cache").glob("umap-*")
    written = kept.stat().st_mtime_ns
    np.testing.assert_array_equal(umap_embedding(vectors, seed=3), first)
    assert kept.stat().st_mtime_ns == written
    kept.unlink()
    np.testing.assert_array_equal(umap_embedding(vectors, seed=3), first)


@compiled
@pytest.mark.usefixtures("umap_uncompiled")
def test_umap_leaves_the_threads_of_pytorch_alone():
    before = torch.get_num_threads()
    umap_embedding(groups()[0])
    assert torch.get_num_threads() == before


@compiled
@pytest.mark.usefixtures("umap_uncompiled")
@pytest.mark.parametrize("n", [3, 4, 5, 9])
def test_umap_of_few_images(n):
    vectors = np.random.default_rng(n).normal(size=(n, 6)).astype(np.float32)
    for n_components in (2, 3):
        assert umap_embedding(vectors, n_components, n_neighbors=2).shape == (
            n,
            n_components,
        )


@pytest.mark.parametrize("vectors", [np.eye(1), np.eye(15), np.ones((100, 3))])
def test_umap_refuses_fewer_images_than_neighbours(vectors):
    with pytest.raises(NotEnoughData, match="15 nearest neighbours; different images here"):
        umap_embedding(vectors.astype(np.float32))


@pytest.mark.parametrize("vectors", [np.eye(1), np.eye(2), np.ones((50, 3))])
def test_components_of_too_little_are_refused(vectors):
    with pytest.raises(NotEnoughData, match="at least 3 different images"):
        principal_components(vectors, 2)
