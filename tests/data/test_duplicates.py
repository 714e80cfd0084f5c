import io

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan_utils.data import duplicates
from dcgan_utils.data.duplicates import MOST_BITS, Pair, duplicate_table, find_duplicates


def blobs(n, side=64, seed=0):
    """Return smooth images that differ in structure, as photographs do."""
    coarse = torch.from_numpy(np.random.default_rng(seed).uniform(0, 255, (n, 3, 6, 6)))
    smooth = torch.nn.functional.interpolate(coarse, side, mode="bicubic")
    return smooth.clamp(0, 255).to(torch.uint8)


def as_jpeg(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)


def test_exact_and_near_duplicates_are_found():
    images = blobs(8)
    images = torch.cat([images, images[2:3], as_jpeg(images[5], 40)[None], images[2:3]])
    pairs = find_duplicates(images)
    assert [(p.first, p.second, p.exact) for p in pairs] == [
        (2, 8, True),
        (2, 10, True),
        (5, 9, False),
    ]
    assert pairs[2].bits <= MOST_BITS


def test_different_images_are_no_duplicates():
    assert find_duplicates(blobs(300)) == []


def test_the_same_shape_in_another_colour_is_no_duplicate():
    flat = torch.tensor([[250, 0, 0], [0, 0, 250], [0, 250, 0]], dtype=torch.uint8)
    assert find_duplicates(flat[:, :, None, None].expand(-1, -1, 32, 32)) == []


def test_of_equal_images_all_but_one_repeat():
    pairs = find_duplicates(blobs(1).expand(600, -1, -1, -1))
    assert [(p.first, p.second) for p in pairs] == [(0, second) for second in range(1, 600)]


def test_one_image_repeats_nothing():
    assert find_duplicates(blobs(1)) == []


# --- Thresholds ----------------------------------------------------------------------------


@pytest.fixture
def hashed(monkeypatch):
    """Return a function that decides in how many bits hashes differ from that of zeros."""

    def hashed(*bits):
        hashes = np.array([[1.0] * n + [-1.0] * (64 - n) for n in bits], np.float32)
        monkeypatch.setattr(duplicates, "_perceptual_hashes", lambda images: hashes)

    return hashed


def greys(*levels):
    return torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32)


@pytest.mark.parametrize(("bits", "near"), [(0, True), (5, True), (6, True), (7, False)])
def test_near_hashes_differ_in_six_bits_at_most(hashed, bits, near):
    hashed(0, bits)
    expected = [Pair(0, 1, bits, exact=False)] if near else []
    assert find_duplicates(greys(100, 101)) == expected


@pytest.mark.parametrize(("level", "near"), [(140, True), (141, False), (60, True), (59, False)])
def test_near_colours_differ_by_forty_levels_at_most(hashed, level, near):
    hashed(0, 0)
    assert bool(find_duplicates(greys(100, level))) == near


@pytest.mark.parametrize(("cell", "near"), [(4, True), (8, False)])
def test_colours_are_compared_on_a_raster_of_four_by_four(hashed, cell, near):
    hashed(0, 0)
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    images = greys(100, 100).int()
    images[1] += 41 * ((x // cell + y // cell) % 2 * 2 - 1)
    assert bool(find_duplicates(images.to(torch.uint8))) == near


def test_each_image_is_paired_with_the_nearest_earlier_one_and_the_most_alike_come_first(hashed):
    hashed(0, 3, 4, 20, 20)
    assert find_duplicates(greys(100, 101, 102, 200, 200)) == [
        Pair(3, 4, 0, exact=True),
        Pair(1, 2, 1, exact=False),
        Pair(0, 1, 3, exact=False),
    ]


def test_the_table_names_both_images_and_how_alike_they_are():
    pairs = [Pair(0, 2, 0, exact=True), Pair(1, 3, 4, exact=False)]
    table = duplicate_table(pairs, ["a.png", "b.png", "c.png", "d.png"])
    assert table.to_dict("records") == [
        {"image": "c.png", "repeats": "a.png", "how": "pixel for pixel", "bits": 0},
        {"image": "d.png", "repeats": "b.png", "how": "nearly", "bits": 4},
    ]
    assert duplicate_table([], []).empty
