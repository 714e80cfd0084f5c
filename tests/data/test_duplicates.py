import io

import numpy as np
import torch
from PIL import Image

from dcgan_utils.data.duplicates import MOST_BITS, find_duplicates


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
