import numpy as np
import pytest
import torch
from helpers import assert_drawn, some

from dcgan_utils.metrics import embed
from dcgan_utils.plots import clusters, style


def figures(images):
    n = len(images)
    rng, groups = np.random.default_rng(0), np.arange(n) % 3
    points, names = rng.normal(size=(n, 2)), ["a", "b", "c"]
    yield clusters.cluster_sizes([n, 3, 1], what="pixels")
    yield clusters.scatter_plane(points, groups, names, title="Plane", axis_names=("x", "y"))
    yield clusters.scatter_plane(points, groups, names, title="Plane")
    yield clusters.thumbnails(points, images, groups, title="Thumbnails")
    many = [f"cluster {number}" for number in range(100)]
    yield clusters.scatter_plane(points, groups, many, title="Plane of a hundred clusters")
    yield clusters.cluster_sizes(range(100, 0, -1), what="pixels")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "images",
    [some(), some(1), torch.full((4, 3, 32, 32), 200, dtype=torch.uint8)],
    ids=["noise", "one", "flat"],
)
def test_every_figure_is_drawn_and_described(images):
    for figure in figures(images):
        assert_drawn(figure)


@pytest.mark.filterwarnings("error")
def test_figures_of_vectors_are_drawn():
    vectors = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    components = embed.principal_components(vectors, 12)
    explained = clusters.explained_variance(components, marked=[1, 4])
    assert "1 explain" in explained.get_label()
    table = embed.choose_k(vectors, range(2, 6))
    chosen = clusters.choose_k(table, chosen=3)
    for figure in (explained, chosen):
        assert style.show(figure).data
    assert f"greatest at {table['silhouette'].idxmax()}" in chosen.get_label()


@pytest.mark.parametrize("n", [1, 50, 2000])
def test_thumbnails_cover_no_other(n):
    points = np.random.default_rng(0).normal(size=(n, 2))
    points[: n // 2] = points[0]  # a crowd
    places = clusters._free_places(points, 26, 21)
    assert len(set(places.values())) == len(places)
    assert all(0 <= x < 26 and 0 <= y < 21 for x, y in places.values())
    assert len(places) >= min(n, 29) * 0.5
    exact = (points - points.min(0)) / np.maximum(np.ptp(points, axis=0), 1e-9) * (25, 20)
    for number, place in places.items():
        assert np.linalg.norm(exact[number] - place) < 4
