import pytest
import torch
from helpers import assert_drawn, some

from dcgan_utils.data.duplicates import Pair
from dcgan_utils.plots import files, style

NAMES = [f"{number}$^.jpg" for number in range(11)] + ["モネ 🎨 with quite a long name.jpg"]


def figures(images):
    n = len(images)
    names = NAMES[:n]
    yield files.captioned(images, names, title="Some", description="some images")
    yield files.file_sizes(range(1000, 1000 + n), images, names)
    yield files.file_sizes([500] * n, images, names)
    yield files.dimensions([(40, 30)] * n, {"PNG": n}, {"RGB": 1, "P": n - 1})
    yield files.dimensions([(40 + i, 30 - i) for i in range(n)], {"PNG": n}, {"RGB": n})
    pair = Pair(0, n - 1, 2, exact=False)
    yield files.duplicate_pairs(images, [pair], names, title="Pairs")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "images",
    [some(), some(1), torch.full((4, 3, 32, 32), 200, dtype=torch.uint8)],
    ids=["noise", "one", "flat"],
)
def test_every_figure_is_drawn_and_described(images):
    for figure in figures(images):
        assert_drawn(figure)


def test_the_extremes_of_the_file_sizes_are_named():
    figure = files.file_sizes([5000, 1000, 9000], some(3), ["mid", "small", "large"])
    assert "smallest 1 kB (small), median 5 kB (mid), largest 9 kB (large)" in figure.get_label()


def test_names_are_no_formulas_and_long_ones_are_cut():
    figure = files.captioned(some(2), ["a$^.jpg", "x" * 99], title="t", description="d")
    formula, long = (axes.get_title() for axes in figure.axes[:2])
    assert formula == "a$^.jpg"
    assert long.startswith("…")
    assert len(long) == 22
    assert style.show(figure).data


def test_the_name_of_a_duplicate_keeps_its_distance():
    names = ["a" * 50 + "1.jpg", "b" * 50 + "2.jpg"]
    figure = files.duplicate_pairs(some(2), [Pair(0, 1, 4, exact=False)], names, title="t")
    assert figure.axes[1].get_title().endswith("2.jpg: 4 bits off")
