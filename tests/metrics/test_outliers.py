"""Which images stand out: each measure, its threshold, and what it must not name."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.data.painted import paint_scene
from dcgan_utils.metrics.outliers import describe_outliers, find_outliers, modified_z

NAMES = [f"{number:02d}.png" for number in range(40)]


@pytest.fixture(scope="module")
def scenes():
    """Return 24 paintings at 64 px."""
    painted = [np.array(paint_scene(index, size=64)[0]) for index in range(1, 25)]
    return torch.from_numpy(np.stack(painted)).permute(0, 3, 1, 2).contiguous()


def found(images, vectors=None):
    """Return the kinds of what is found, by name; without vectors, no image is isolated."""
    vectors = np.zeros((len(images), 2)) if vectors is None else vectors
    table = find_outliers(images, NAMES[: len(images)], vectors)
    return {name: [*rows["what"]] for name, rows in table.groupby("image")}


def test_the_score_is_that_of_iglewicz_and_hoaglin():
    values = np.array([2.1, 2.6, 2.4, 2.5, 2.3, 2.1, 2.3, 2.6, 8.2, 8.3])  # median 2.45, MAD 0.15
    scores = modified_z(values)
    assert scores[8] == pytest.approx(0.6745 * (8.2 - 2.45) / 0.15)
    assert modified_z(-values)[8] == pytest.approx(-scores[8])
    rng = np.random.default_rng(0)
    assert modified_z(rng.normal(7, 3, 100_000)).std() == pytest.approx(1, abs=0.02)


def test_where_most_values_are_the_same_nothing_stands_out():
    assert modified_z(np.array([1.0, 1, 1, 1, 9])).tolist() == [0] * 5


def test_paintings_among_their_own_do_not_stand_out(scenes):
    assert found(scenes) == {}


def test_a_dark_a_blurred_and_a_blank_one_do(scenes):
    images = scenes.clone()
    images[3] = images[3] // 12
    images[7] = torch.from_numpy(gaussian_filter(images[7].numpy(), (0, 4, 4)))
    images[9] = 180
    assert found(images) == {
        "03.png": ["dark"], "07.png": ["blurred"], "09.png": ["blurred"]
    }  # fmt: skip


def flat(levels):
    """Return flat images of these levels, with the same checks in each."""
    checks = torch.tensor([[0, 9], [9, 0]]).repeat(4, 4)
    return (torch.tensor(levels)[:, None, None, None] + checks.expand(3, -1, -1)).to(torch.uint8)


@pytest.mark.parametrize(("level", "dark"), [(71, False), (70, True)])
def test_dark_begins_at_a_modified_z_score_of_three_and_a_half(level, dark):
    levels = [90, 93, 96, 99, 100, 101, 104, 107, 110, level]  # median 99.5, MAD 5.5
    scores = modified_z(np.array(levels) + 4.5)
    assert (scores[-1] < -3.5) == dark
    assert (found(flat(levels)) == {"09.png": ["dark"]}) == dark


def test_bright_images_are_not_dark_and_sharp_ones_not_blurred(scenes):
    images = scenes.clone()
    images[0] = 255 - (images[0] // 12)
    images[1] = torch.randint(0, 256, images[1].shape, generator=torch.Generator().manual_seed(0))
    kinds = found(images)
    assert "dark" not in kinds.get("00.png", [])
    assert "01.png" not in kinds


def test_far_is_measured_to_the_fifth_neighbour():
    """Four copies do not hide an image that nobody else resembles; five do."""
    vectors = np.random.default_rng(0).normal(size=(30, 8))
    images = torch.full((30, 3, 4, 4), 100, dtype=torch.uint8)
    for copies in (1, 4, 5, 6):
        alone = vectors.copy()
        alone[:copies] = 20
        expected = [] if copies > 5 else NAMES[:copies]
        assert sorted(found(images, alone)) == expected
        assert {kind for kinds in found(images, alone).values() for kind in kinds} <= {
            "far from all others"
        }


def test_the_table_says_why_the_most_unusual_first(scenes):
    images = scenes.clone()
    images[3], images[5] = images[3] // 12, images[5] // 20
    table = find_outliers(images, NAMES[:24], np.zeros((24, 2)))
    assert [*table["image"]] == ["05.png", "03.png"]
    assert table["score"].is_monotonic_decreasing
    first = table.iloc[0]
    assert first["value"] == pytest.approx(images[5].double().mean().item())
    assert first["why"] == f"brightness {first['value']:.0f} of 255, usual {first['median']:.0f}"
    text = describe_outliers(table, 24)
    assert text.startswith("What stands out of 24 images: **2** dark, **0** blurred, **0** far")


@pytest.mark.parametrize("n", [9, 10])
def test_among_few_images_nothing_stands_out(scenes, n):
    images = scenes[:n].clone()
    images[0] //= 20
    if n == 9:
        with pytest.raises(NotEnoughData, match="at least 10 images"):
            found(images)
    else:
        assert found(images) == {"00.png": ["dark"]}
