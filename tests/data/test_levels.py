"""Deep images: what their numbers mean, as levels."""

import struct

import numpy as np
import pytest
from files_by_hand import chunk, encode, gif, png, tiff
from PIL import Image

from dcgan_utils.data.decode import decode_image
from dcgan_utils.data.load import load_dataset

PINK = (255, 192, 203)


def halves(left, right, code="<H"):
    """Return 16 rows: eight numbers of one value, then eight of another."""
    return (struct.pack(code, left) * 8 + struct.pack(code, right) * 8) * 16


def shown(data):
    """Return the colours of the left and the right half, far from their border."""
    pixels = decode_image(data, 16, background=PINK).pixels.astype(int)
    return pixels[8, 2].tolist(), pixels[8, 13].tolist()


def assert_grey(data, left, right):
    np.testing.assert_allclose(shown(data), [[left] * 3, [right] * 3], atol=1)


@pytest.mark.parametrize(
    ("options", "code", "numbers", "levels"),
    [
        ({"bits": (16,)}, "<H", (0, 65535), (0, 255)),
        ({"bits": (16,)}, "<H", (50000, 25700), (195, 100)),
        ({"bits": (16,), "photometric": 0}, "<H", (50000, 0), (60, 255)),
        ({"bits": (16,), "photometric": 0, "order": ">"}, ">H", (50000, 0), (60, 255)),
        ({"bits": (16,), "order": ">"}, ">H", (50000, 0), (195, 0)),
        ({"bits": (8,), "sample_format": 2}, "b", (-28, 127), (100, 255)),
        ({"bits": (16,), "sample_format": 2}, "<h", (-32768, 32767), (0, 255)),
        ({"bits": (16,), "sample_format": 2}, "<h", (-16384, 16384), (64, 191)),
        ({"bits": (16,), "sample_format": 2, "order": ">"}, ">h", (-16384, 0), (64, 128)),
        ({"bits": (32,)}, "<I", (0, 1), (0, 255)),
        ({"bits": (32,)}, "<I", (100, 255), (100, 255)),
        ({"bits": (32,)}, "<I", (25700, 65535), (100, 255)),
        ({"bits": (32,)}, "<I", (1_000_000, 2_000_000), (0, 255)),
        ({"bits": (32,)}, "<I", (1_000_000_000, 3_000_000_000), (0, 255)),
        ({"bits": (32,)}, "<I", (3_000_000_000, 2**32 - 1), (0, 255)),
        ({"bits": (32,), "photometric": 0}, "<I", (0, 2**32 - 1), (255, 0)),
        ({"bits": (32,), "sample_format": 2}, "<i", (-(2**31), 2**31 - 1), (0, 255)),
        ({"bits": (32,), "sample_format": 2}, "<i", (-500, 500), (0, 255)),
        ({"bits": (32,), "sample_format": 3}, "<f", (0.5, 1.0), (128, 255)),
        ({"bits": (32,), "sample_format": 3}, "<f", (0.5, 1.5), (0, 2)),
        ({"bits": (32,), "sample_format": 3}, "<f", (128, 255), (128, 255)),
        ({"bits": (32,), "sample_format": 3}, "<f", (128, 255.5), (0, 1)),
        ({"bits": (32,), "sample_format": 3}, "<f", (32768, 65535), (128, 255)),
        ({"bits": (32,), "sample_format": 3}, "<f", (-3, 3), (0, 255)),
        ({"bits": (32,), "sample_format": 3}, "<f", (float("nan"), 1), (0, 255)),
        ({"bits": (32,), "sample_format": 3}, "<f", (0.5, float("inf")), (128, 255)),
        ({"bits": (32,), "sample_format": 3, "photometric": 0}, "<f", (0.25, 1), (191, 0)),
        ({"bits": (32,), "sample_format": 3, "order": ">"}, ">f", (0.5, 1), (128, 255)),
    ],
)
def test_the_numbers_of_a_tiff(options, code, numbers, levels):
    assert_grey(tiff(halves(*numbers, code), **options), *levels)


def test_twelve_bits_are_white_at_4095():
    row = bytes([0x80, 0x08, 0x00] * 4 + [0xFF] * 12)  # two numbers in three bytes
    assert_grey(tiff(row * 16, bits=(12,)), 128, 255)


@pytest.mark.parametrize("photometric", [0, 1])
def test_eight_bits_and_one_whose_zero_is_white(photometric):
    white = 255 * photometric
    data = tiff((b"\x0a" * 8 + b"\xff" * 8) * 16, photometric=photometric)
    assert_grey(data, abs(245 - 255 * photometric), white)
    assert_grey(tiff(b"\x00\xff" * 16, bits=(1,), photometric=photometric), 255 - white, white)


@pytest.mark.parametrize(("scale", "expected"), [(1, (200, 100, 50)), (257, (200, 100, 50)),
                                                 (2, (1, 0, 0))])  # fmt: skip
def test_a_palette_of_8_or_16_bits(scale, expected):
    colours = [0, 200 * scale, *[0] * 254, 0, 100 * scale, *[0] * 254, 0, 50 * scale, *[0] * 254]
    data = tiff(b"\1" * 256, photometric=3, more={320: tuple(colours)})
    np.testing.assert_allclose(shown(data)[0], expected, atol=1)


@pytest.mark.parametrize(
    ("depth", "kind", "key", "left", "right", "expected"),
    [
        (16, 0, (0x1234,), (0x1234,), (0x1235,), (PINK, (18,) * 3)),
        (16, 2, (0x1234, 0, 0), (0x1234, 0, 0), (0x1256, 0, 0), (PINK, (18, 0, 0))),
        (16, 2, (0, 0, 0x00FF), (0, 0, 0x00FF), (0, 0, 0), (PINK, (0, 0, 0))),
        (8, 2, (1, 2, 3), (1, 2, 3), (1, 2, 4), (PINK, (1, 2, 4))),
        (8, 0, (7,), (7,), (8,), (PINK, (8,) * 3)),
    ],
)
def test_a_transparent_colour_is_compared_at_full_depth(depth, kind, key, left, right, expected):
    code = {8: "B", 16: "H"}[depth]
    row = (
        struct.pack(f">{len(left)}{code}", *left) * 8
        + struct.pack(f">{len(left)}{code}", *right) * 8
    )
    data = png(depth, kind, row, chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)))
    np.testing.assert_allclose(shown(data), expected, atol=1)


@pytest.mark.parametrize("transparent", [None, 0, 3])
def test_what_the_first_frame_of_a_gif_leaves_free_is_transparent(transparent):
    palette = [0, 0, 255, 255, 0, 0, 0, 255, 0, 9, 9, 9]
    data = gif(16, (0, 0, 8, 16), 1, palette, transparent)
    assert shown(data) == ([255, 0, 0], list(PINK))


def test_a_gif_whose_frame_fills_the_canvas_stays_a_palette():
    image = decode_image(gif(16, (0, 0, 16, 16), 1, [0, 0, 255, 255, 0, 0]), 16, background=PINK)
    assert image.pixels[3, 3].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("highest", "line"), [(4095, "Levels: 0 to 16 only"), (6000, "0 to 23"), (7000, None)]
)
def test_a_collection_that_uses_little_of_its_range_is_reported(tmp_path, highest, line):
    folder = tmp_path / "deep"
    folder.mkdir()
    for number in range(3):
        values = np.linspace(0, highest, 256).astype(np.uint16).reshape(16, 16)
        (folder / f"{number}.png").write_bytes(encode(Image.fromarray(values + number)))
    for _ in range(2):  # the second time out of the cache
        text = str(load_dataset(folder, 16).report)
        assert ("Levels:" in text) == (line is not None)
        assert line is None or line in text
        assert line is None or "12 in 16?" in text
