import numpy as np
import pytest
import torch
from helpers import assert_drawn, some

from dcgan_utils.data import statistics
from dcgan_utils.plots import pixels


def figures(images):
    gathered = statistics.statistics([images])
    per_colour, over_colours = gathered.per_colour(), gathered.over_colours()
    yield pixels.statistics_in_colour(per_colour, over_colours)
    yield pixels.statistics_of_each_colour(per_colour)
    yield pixels.channel_histograms({"one": gathered.histogram})
    yield pixels.channel_histograms({"one": gathered.histogram, "two": gathered.histogram})
    yield pixels.horizon(per_colour["mean"], statistics.find_horizon(per_colour["mean"]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "images",
    [some(), some(1), torch.full((4, 3, 32, 32), 200, dtype=torch.uint8)],
    ids=["noise", "one", "flat"],
)
def test_every_figure_is_drawn_and_described(images):
    for figure in figures(images):
        assert_drawn(figure)


def test_a_tower_of_white_has_its_share_written():
    histogram = np.ones((3, 256))
    histogram[:, 255] = 245
    figure = pixels.channel_histograms({"one": histogram})
    assert [text.get_text() for text in figure.axes[0].texts] == ["255: 49 %"]
