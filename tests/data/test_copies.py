"""The coloured copies: what each does, and what stays."""

import numpy as np
import pytest
from PIL import Image

from dcgan_utils.data import decode


def made_of(image):
    """Return all variants of an image by name."""
    return {kind: decode.coloured_copy(image, kind) for kind in decode.COPIES}


def rgb(colour, side=8):
    return Image.new("RGB", (side, side), colour)


def first(image):
    return image.getpixel((0, 0))


def test_hues_become_green_and_red():
    made = made_of(rgb((40, 60, 200)))
    red, green, blue = first(made["green hue"])
    assert green > 190
    assert max(red, blue) < 60
    red, green, blue = first(made["red hue"])
    assert red > 190
    assert max(green, blue) < 60


def test_saturation_and_contrast_change_by_the_factors():
    made = made_of(rgb((120, 100, 80)))
    spans = {name: max(first(image)) - min(first(image)) for name, image in made.items()}
    assert spans["saturation x 2.5"] == pytest.approx(100, abs=2)
    assert spans["saturation x 0.5"] == pytest.approx(20, abs=2)
    halves = rgb((100, 100, 100))
    halves.paste((140, 140, 140), (0, 0, 4, 8))
    assert first(made_of(halves)["contrast x 2"])[0] == pytest.approx(160, abs=1)


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0)])
def test_a_white_or_black_ground_stays(colour):
    for variant in made_of(rgb(colour)).values():
        assert first(variant) == colour


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA"])
def test_transparency_is_respected(mode):
    image = Image.new("RGBA", (8, 8), (255, 0, 255, 0))  # garbage where nothing is seen
    image.paste((100, 100, 100, 255), (2, 2, 4, 6))
    image.paste((140, 140, 140, 255), (4, 2, 6, 6))
    stored = image.quantize() if mode == "P" else image.convert(mode)
    alpha = np.asarray(stored.convert("RGBA"))[..., 3]
    for variant in made_of(stored).values():
        assert variant.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(variant)[..., 3], alpha)
    doubled = made_of(stored)["contrast x 2"]
    assert doubled.getpixel((3, 3))[0] == pytest.approx(80, abs=2)  # about 120, not the garbage
    assert doubled.getpixel((5, 3))[0] == pytest.approx(160, abs=2)


def test_a_image_without_a_visible_pixel_passes():
    for variant in made_of(Image.new("RGBA", (4, 4), (9, 9, 9, 0))).values():
        assert variant.getextrema()[3] == (0, 0)


def test_there_are_the_studys_five_in_their_order():
    assert decode.COPIES == (
        "green hue",
        "red hue",
        "saturation x 2.5",
        "saturation x 0.5",
        "contrast x 2",
    )


@pytest.mark.parametrize(
    ("colour", "kind", "expected"),
    [
        # Saturation and value stay as they are.
        ((40, 60, 200), "green hue", (40, 200, 40)),
        ((40, 60, 200), "red hue", (200, 40, 40)),
        ((90, 150, 60), "green hue", (60, 150, 60)),
        ((90, 150, 60), "red hue", (150, 60, 60)),
        # The grey of this colour is 0.299 * 120 + 0.587 * 100 + 0.114 * 80 = 104.
        ((120, 100, 80), "saturation x 2.5", (144, 94, 44)),
        ((120, 100, 80), "saturation x 0.5", (112, 102, 92)),
        ((120, 100, 80), "contrast x 2", (136, 96, 56)),
        # And here it is 0.587 * 250 = 147.
        ((0, 250, 0), "saturation x 2.5", (0, 255, 0)),
        ((0, 250, 0), "saturation x 0.5", (73, 198, 73)),
        ((0, 250, 0), "contrast x 2", (0, 255, 0)),
    ],
)
def test_each_copy_in_numbers(colour, kind, expected):
    assert first(decode.coloured_copy(rgb(colour), kind)) == pytest.approx(expected, abs=1)


def test_contrast_is_doubled_about_the_mean_grey_of_the_whole_image():
    image = rgb((100, 100, 100))
    image.paste((160, 130, 120), (0, 0, 2, 8))  # a quarter, with a grey of 138
    doubled = decode.coloured_copy(image, "contrast x 2")
    assert doubled.getpixel((7, 7)) == pytest.approx((90, 90, 90), abs=1)
    assert doubled.getpixel((0, 0)) == pytest.approx((210, 150, 130), abs=1)
