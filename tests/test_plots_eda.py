import io

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan_utils import clusters, pixels, plots, plots_eda
from dcgan_utils.seeds import stream


def some(n=12, side=32):
    return torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=stream(0, "x"))


NAMES = [f"picture $ {number} with quite a long name.jpg" for number in range(12)]


def figures(images):
    n = len(images)
    names, rng = NAMES[:n], np.random.default_rng(0)
    gathered = pixels.statistics([images])
    per_colour, over_colours = gathered.per_colour(), gathered.over_colours()
    groups = np.arange(n) % 3
    yield plots_eda.captioned(images, names, title="Some", description="some pictures")
    yield plots_eda.file_sizes(range(1000, 1000 + n), images, names)
    yield plots_eda.file_sizes([500] * n, images, names)
    yield plots_eda.dimensions([(40, 30)] * n, {"PNG": n}, {"RGB": 1, "P": n - 1})
    yield plots_eda.dimensions([(40 + i, 30 - i) for i in range(n)], {"PNG": n}, {"RGB": n})
    yield plots_eda.duplicates(images, [pixels.Pair(0, n - 1, 2, exact=False)], names)
    yield plots_eda.statistics_in_colour(per_colour, over_colours)
    yield plots_eda.statistics_of_each_colour(per_colour)
    yield plots_eda.channel_histograms({"one": gathered.histogram})
    yield plots_eda.channel_histograms({"one": gathered.histogram, "two": gathered.histogram})
    yield plots_eda.horizon(per_colour["mean"], pixels.find_horizon(per_colour["mean"]))
    yield plots_eda.cluster_sizes([n, 3, 1], what="pixels")
    yield plots_eda.plane(
        rng.normal(size=(n, 2)), groups, ["a", "b", "c"], title="Plane", axis_names=("x", "y")
    )
    yield plots_eda.plane(rng.normal(size=(n, 2)), groups, ["a", "b", "c"], title="Plane")
    yield plots_eda.thumbnails(rng.normal(size=(n, 2)), images, groups, title="Thumbnails")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "images",
    [some(), some(1), torch.full((4, 3, 32, 32), 200, dtype=torch.uint8)],
    ids=["noise", "one", "flat"],
)
def test_every_figure_is_drawn_and_described(images):
    for figure in figures(images):
        shown = plots.show(figure)
        pixels_shown = np.asarray(Image.open(io.BytesIO(shown.data)).convert("L"))
        assert pixels_shown.shape[1] == pytest.approx(plots.WIDTH * plots.DPI, rel=0.35)
        assert pixels_shown.std() > 3
        assert len(figure.get_label()) > 10
        assert figure.get_label().endswith((".", "pictures"))


@pytest.mark.filterwarnings("error")
def test_figures_of_vectors_are_drawn():
    vectors = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    components = clusters.principal_components(vectors, 12)
    explained = plots_eda.explained(components, marked=[1, 4])
    assert "1 explain" in explained.get_label()
    table = clusters.choose_k(vectors, range(2, 6))
    chosen = plots_eda.choose_k(table, chosen=3)
    for figure in (explained, chosen):
        assert plots.show(figure).data
    assert f"greatest at {table['silhouette'].idxmax()}" in chosen.get_label()


def test_the_extremes_of_the_file_sizes_are_named():
    figure = plots_eda.file_sizes([5000, 1000, 9000], some(3), ["mid", "small", "large"])
    assert "smallest 1 kB (small), median 5 kB (mid), largest 9 kB (large)" in figure.get_label()


def test_colours_tell_groups_apart():
    for count in (1, 10, 30, 100):
        colours = plots_eda.group_colours(count)
        assert len(set(colours)) == count
        assert all(len(colour) == 7 for colour in colours)


@pytest.mark.parametrize("n", [1, 50, 2000])
def test_thumbnails_cover_no_other(n):
    points = np.random.default_rng(0).normal(size=(n, 2))
    points[: n // 2] = points[0]  # a crowd
    places = plots_eda._free_places(points, 26, 21)
    assert len(set(places.values())) == len(places)
    assert all(0 <= x < 26 and 0 <= y < 21 for x, y in places.values())
    assert len(places) >= min(n, 29) * 0.5
    exact = (points - points.min(0)) / np.maximum(np.ptp(points, axis=0), 1e-9) * (25, 20)
    for number, place in places.items():
        assert np.linalg.norm(exact[number] - place) < 4


def test_long_names_are_cut_and_no_formulas():
    figure = plots_eda.captioned(some(1), [NAMES[0] * 3], title="t", description="d")
    caption = figure.axes[0].get_title()
    assert len(caption) < 30
    assert r"\$" not in NAMES[0]
    assert plots.show(figure).data
