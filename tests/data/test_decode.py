"""Each awkward kind of image must give the right pixels, each broken one a reason."""

import io
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import PIL
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.data import decode
from dcgan_utils.data.decode import decode_image
from dcgan_utils.data.formats import FORMATS, DamagedImage, NotAnImage
from dcgan_utils.data.squares import FITS, canonical_background, parse_background
from dcgan_utils.data.tensors import make_grid as our_grid
from dcgan_utils.data.tensors import to_float, to_uint8

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
PINK = (255, 192, 203)


def encode(image, file_format="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def pixels(data, size=8, *, fit="crop", background=PINK):
    square = decode_image(data, size, fit=fit, background=background).pixels
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8
    return square


def assert_near(colour, expected, tolerance=3):
    np.testing.assert_allclose(np.asarray(colour, int), expected, atol=tolerance)


def halves(left, right, size=8, mode="RGB"):
    image = Image.new(mode, (size, size), right)
    image.paste(left, (0, 0, size // 2, size))
    return image


def png(width, height, depth, colour_type, rows=b"", chunks=()):
    """Put a PNG together by hand, for what Pillow does not write."""

    def chunk(kind, body):
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    extra = b"".join(chunk(kind, body) for kind, body in chunks)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + data + chunk(b"IEND", b"")


# --- Transparency: always the background, never what hides below ---------------------------


def transparent_palette(file_format, transparency):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([*RED, *BLUE])
    image.paste(0, (0, 0, 4, 8))
    return encode(image, file_format, transparency=transparency)


@pytest.mark.parametrize(
    "data",
    [
        encode(halves((255, 0, 0, 0), (0, 0, 255, 255), mode="RGBA")),
        encode(halves((255, 0, 0, 0), (0, 0, 255, 255), mode="RGBA"), "WEBP", lossless=True),
        encode(halves((255, 0, 0, 0), (0, 0, 255, 255), mode="RGBA"), "TIFF"),
        encode(halves(RED, BLUE), transparency=RED),
        transparent_palette("PNG", 0),
        transparent_palette("PNG", bytes([0, 255])),
        transparent_palette("GIF", 0),
    ],
    ids=["RGBA", "RGBA-webp", "RGBA-tiff", "RGB-tRNS", "P-index", "P-alphas", "P-gif"],
)
def test_transparent_left_half_shows_the_background(data):
    square = pixels(data)
    assert_near(square[:, :4], np.broadcast_to(PINK, (8, 4, 3)), 0)
    assert_near(square[:, 4:], np.broadcast_to(BLUE, (8, 4, 3)), 0)


@pytest.mark.parametrize(
    "data",
    [
        encode(halves((9, 0), (90, 255), mode="LA")),
        encode(halves(9, 90, mode="L"), transparency=9),
        encode(halves(2313, 23130, mode="I;16"), transparency=2313),
    ],
    ids=["LA", "L-tRNS", "I;16-tRNS"],
)
def test_transparent_grey_shows_the_background(data):
    square = pixels(data)
    assert_near(square[0, 0], PINK, 0)
    assert_near(square[0, 7], (90, 90, 90), 0)


def test_palette_with_alpha():
    image = Image.new("PA", (8, 8), (0, 0))
    image.putpalette([*RED, *BLUE])
    image.paste((1, 255), (4, 0, 8, 8))
    square = pixels(encode(image, "TIFF"))
    assert_near(square[0, 0], PINK, 0)
    assert_near(square[0, 7], BLUE, 0)


def test_half_transparent_is_a_mixture():
    data = encode(Image.new("RGBA", (4, 4), (0, 0, 0, 128)))
    assert_near(pixels(data, background=WHITE)[0, 0], (127, 127, 127), 1)


def test_hidden_colour_does_not_bleed_when_resized():
    data = encode(halves((255, 0, 0, 0), (0, 0, 255, 255), size=64, mode="RGBA"))
    green_and_blue = pixels(data, 7, background=GREEN)
    assert green_and_blue[..., 0].max() == 0


def test_key_colour_of_4_bit_grey_png():
    data = png(2, 2, 4, 0, b"\0\x5f" * 2, [(b"tRNS", struct.pack(">H", 5))])
    assert_near(pixels(data, 2)[0], [PINK, WHITE], 0)


def test_key_colour_of_16_bit_rgb_png():
    row = b"\0" + struct.pack(">6H", 0x8000, 0, 0, 0, 0, 0xFFFF)
    data = png(2, 2, 16, 2, row * 2, [(b"tRNS", struct.pack(">3H", 0x8000, 0, 0))])
    assert_near(pixels(data, 2)[0], [PINK, BLUE], 0)


# --- Depth and colour spaces ---------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bit_grey_is_scaled_and_not_clipped(file_format):
    ramp = np.tile(np.array([0, 16384, 32768, 65535], np.uint16), (4, 1))
    square = pixels(encode(Image.fromarray(ramp), file_format), 4)
    assert_near(square[0, :, 0], [0, 64, 127, 255], 1)


def test_16_bit_grey_in_big_endian():
    square = pixels(encode(Image.new("I;16B", (4, 4), 32768), "TIFF"))
    assert_near(square[0, 0], (127, 127, 127), 1)


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5, 128), (1.0, 255), (100.0, 100), (1e9, 255), (float("nan"), 0)]
)
def test_float_tiff(value, expected):
    image = Image.fromarray(np.full((4, 4), value, np.float32))
    assert_near(pixels(encode(image, "TIFF"))[0, 0], (expected,) * 3, 1)


def test_1_bit_grey_and_palette():
    assert_near(pixels(encode(halves(0, 1, mode="1")))[0, [0, 7], 0], [0, 255], 0)
    assert_near(pixels(encode(Image.new("L", (4, 4), 77)))[0, 0], (77, 77, 77), 0)
    assert_near(pixels(encode(halves(RED, BLUE).quantize(4)))[0, 7], BLUE, 0)


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk_cyan(file_format):
    data = encode(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), file_format)
    assert_near(pixels(data)[4, 4], (0, 255, 255), 4)


def test_lab():
    lab = Image.new("LAB", (4, 4), (255, 128, 128))  # a = b = 128 is neutral
    assert_near(pixels(encode(lab, "TIFF"))[0, 0], WHITE, 3)


@pytest.mark.skipif(PIL.__version__ < "13", reason="Pillow cannot read what it has written")
def test_ycbcr():
    ycbcr = Image.new("RGB", (4, 4), RED).convert("YCbCr")
    assert_near(pixels(encode(ycbcr, "TIFF"))[0, 0], RED, 3)


# --- Formats -------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", [f for f in FORMATS if f != "GIF"])
def test_every_format_keeps_its_colours(file_format):
    image = decode_image(encode(halves(RED, BLUE, 64), file_format), 8, background=WHITE)
    assert_near(image.pixels[4, 1], RED, 12)
    assert_near(image.pixels[4, 6], BLUE, 12)
    assert (image.format, image.mode, image.size) == (file_format, "RGB", (64, 64))


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation(file_format):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (GREEN, RED, BLUE)]
    options = {"save_all": True, "append_images": frames[1:]}
    options |= {"lossless": True} if file_format == "WEBP" else {}
    assert_near(pixels(encode(frames[0], file_format, **options))[4, 4], GREEN)


@pytest.mark.parametrize("name", ["PDF", "ICO", "TGA"])
def test_other_formats_are_no_images(name):
    with pytest.raises(NotAnImage, match="known format"):
        pixels(encode(Image.new("RGB", (8, 8)), name))


# --- Geometry ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("orientation", "red_corner"),
    [
        (1, (0, 0)),
        (2, (0, 7)),
        (3, (7, 7)),
        (4, (7, 0)),
        (5, (0, 0)),
        (6, (0, 7)),
        (7, (7, 7)),
        (8, (7, 0)),
    ],
)
def test_exif_rotation(orientation, red_corner):
    image = Image.new("RGB", (8, 8), BLUE)
    image.putpixel((0, 0), RED)
    exif = Image.Exif()
    exif[0x0112] = orientation
    square = pixels(encode(image, exif=exif))
    assert_near(square[red_corner], RED, 0)
    assert (square == RED).all(axis=2).sum() == 1


def test_size_is_reported_after_the_rotation():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.new("RGB", (30, 20)), "JPEG", exif=exif)
    assert decode_image(data, 8, background=WHITE).size == (20, 30)


@pytest.mark.parametrize(("orientation", "size"), [(1, (304, 200)), (6, (200, 304))])
def test_size_of_a_jpeg_is_reported_as_stored_though_it_is_halved(orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode_image(
        encode(Image.new("RGB", (304, 200), RED), "JPEG", exif=exif), 16, background=WHITE
    )
    assert image.size == size
    assert_near(image.pixels, np.broadcast_to(RED, (16, 16, 3)))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(256, 256), (401, 290), (1000, 333)])
def test_a_jpeg_halved_while_decoded_looks_as_if_it_were_not(fit, mode, size, monkeypatch):
    waves = np.add.outer(np.sin(np.arange(size[1]) / 9), np.cos(np.arange(size[0]) / 14))
    image = Image.fromarray(np.uint8(127 + 60 * waves)).convert("RGB").convert(mode)
    data = encode(image, "JPEG", quality=95)
    halved = pixels(data, 32, fit=fit).astype(int)
    monkeypatch.setattr(Image.Image, "draft", lambda *_: None)
    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "draft", lambda *_: None)
    whole = pixels(data, 32, fit=fit).astype(int)
    assert np.abs(halved - whole).mean() < 2


def test_broken_exif_is_no_reason_to_lose_a_image():
    data = encode(Image.new("RGB", (8, 8), RED), "JPEG", exif=b"Exif\0\0broken beyond hope")
    assert_near(pixels(data)[0, 0], RED)


def test_rotation_beside_a_broken_exif_tag():
    text_for_a_number = struct.pack(">HHI4s", 0x013D, 2, 4, b"abc\0")
    orientation = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    tags = b"MM\0*" + struct.pack(">IH", 8, 2) + text_for_a_number + orientation + bytes(4)
    top_red = halves(RED, BLUE, 16).transpose(Image.Transpose.ROTATE_270)
    square = pixels(encode(top_red, "JPEG", exif=b"Exif\0\0" + tags))
    assert_near(square[:, 7], [RED] * 8)
    assert_near(square[:, 0], [BLUE] * 8)


def stripes():
    """Make a 24 x 8 image of a red, a green and a blue square."""
    image = Image.new("RGB", (24, 8), GREEN)
    image.paste(RED, (0, 0, 8, 8))
    image.paste(BLUE, (16, 0, 24, 8))
    return image


def test_crop_keeps_the_middle():
    assert (pixels(encode(stripes())) == GREEN).all()
    assert (pixels(encode(stripes().transpose(Image.Transpose.ROTATE_90))) == GREEN).all()


def test_crop_by_whole_pixels():
    noise = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    assert (pixels(encode(Image.fromarray(noise))) == noise[:, :8]).all()


def test_pad_keeps_everything_on_the_background():
    square = pixels(encode(stripes()), 24, fit="pad")
    assert (square[:8] == PINK).all()
    assert (square[16:] == PINK).all()
    assert (square[8:16] == np.asarray(stripes())).all()


def test_pad_of_a_thread():
    square = pixels(encode(Image.new("RGB", (3000, 1), RED)), fit="pad")
    assert (square == RED).all(axis=2).sum() == 8


def test_stretch_fills_the_square_with_the_whole_image():
    square = pixels(encode(stripes()), 24, fit="stretch")
    assert_near(square[:, 4], [RED] * 24)
    assert_near(square[:, 12], [GREEN] * 24)
    assert_near(square[:, 20], [BLUE] * 24)


@pytest.mark.parametrize("fit", FITS)
def test_single_pixel(fit):
    assert (pixels(encode(Image.new("RGB", (1, 1), RED)), 16, fit=fit) == RED).all()


# --- Broken files --------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", [f for f in FORMATS if f != "AVIF"])
def test_cut_short(file_format):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encode(Image.fromarray(noise), file_format)
    with pytest.raises((DamagedImage, NotAnImage)):
        pixels(data[: len(data) // 2])


def test_reasons():
    with pytest.raises(NotAnImage, match="empty"):
        pixels(b"")
    with pytest.raises(NotAnImage, match="known format"):
        pixels(b"just text")
    whole = encode(Image.effect_noise((64, 64), 50), "JPEG")
    with pytest.raises(DamagedImage, match="cut short"):
        pixels(whole[:-400])


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [60_000, 10_000], ids=["Pillow refuses", "Pillow warns"])
def test_decompression_bomb_is_refused_by_its_header(side, monkeypatch):
    def decode(self):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    with pytest.raises(DamagedImage, match=r"too large.*89,478,485"):
        pixels(png(side, side, 8, 2))


SAMPLES = [encode(Image.effect_noise((24, 16), 60).convert("RGB"), name) for name in FORMATS] + [
    transparent_palette("PNG", 0),
    transparent_palette("GIF", 0),
]


def assert_loaded_or_refused(data):
    try:
        pixels(data)
    except (DamagedImage, NotAnImage) as error:
        assert str(error)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=1500, deadline=None)
@given(
    data=st.sampled_from(SAMPLES),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=8),
    kept=st.floats(0, 1),
)
def test_fuzzed_images_load_or_are_refused(data, flips, kept):
    mangled = bytearray(data)
    for place, bits in flips:
        mangled[int(place * len(data))] ^= bits
    assert_loaded_or_refused(bytes(mangled[: round(kept * len(data)) if kept < 0.9 else None]))


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"BM", b"P6 ", b"II*\0", b"GIF89a"]))
def test_random_bytes_load_or_are_refused(data, start):
    assert_loaded_or_refused(start + data)


# --- Values --------------------------------------------------------------------------------


def test_backgrounds():
    assert parse_background("white") == WHITE
    assert parse_background("#ff0000") == parse_background("#f00") == RED
    assert canonical_background("Red") == canonical_background("#F00") == "#ff0000"


@pytest.mark.parametrize("wrong", ["whyte", "#12345", "", None, (1, 2, 3), "rgb(300, 0, 0)"])
def test_wrong_background(wrong):
    with pytest.raises(WorkbookError, match="is not a colour: give a name such as 'white'"):
        parse_background(wrong)


def test_a_misspelt_colour_is_guessed():
    with pytest.raises(WorkbookError, match="Did you mean 'white'"):
        parse_background("whyte")


def test_float_and_back_is_exact():
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    values = to_float(images)
    assert values.dtype == torch.float32
    assert (values.min(), values.max()) == (-1, 1)
    assert torch.equal(to_uint8(values), images)


def test_values_out_of_range_are_clamped():
    assert to_uint8(torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0])).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(("n", "columns"), [(1, 8), (7, 3), (8, 4)])
def test_rows_are_those_of_torchvision(n, columns):
    from torchvision.utils import make_grid

    images = torch.randint(0, 256, (n, 3, 5, 4), dtype=torch.uint8)
    theirs = make_grid(images, nrow=columns, padding=2, pad_value=255)[:, 2:-2, 2:-2]
    if n == 1:  # which it leaves without gaps
        theirs = images[0]
    assert torch.equal(our_grid(images, columns, gap=2), theirs.permute(1, 2, 0))


@pytest.mark.parametrize(
    ("level", "expected"), [(0.4, 0), (0.6, 1), (100.4, 100), (100.6, 101), (254.4, 254)]
)
def test_levels_are_rounded_to_the_nearest(level, expected):
    assert to_uint8(torch.tensor(level / 127.5 - 1)).item() == expected


@pytest.mark.parametrize(("level", "value"), [(0, -1), (51, -0.6), (102, -0.2), (255, 1)])
def test_levels_are_spread_evenly_from_minus_1_to_1(level, value):
    levels = torch.tensor(level, dtype=torch.uint8)
    assert to_float(levels).item() == pytest.approx(value, abs=1e-6)


# --- The filter and the place ----------------------------------------------------------------


def noise_image(width, height):
    rng = np.random.default_rng(width * height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (5, 5)])
@pytest.mark.parametrize("fit", FITS)
def test_images_are_resized_by_lanczos(size, fit):
    image = noise_image(*size)
    expected = np.asarray(image.resize((8, 8), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(pixels(encode(image), fit=fit), expected)
    if size != (8, 8):
        bicubic = np.asarray(image.resize((8, 8), Image.Resampling.BICUBIC))
        assert not np.array_equal(expected, bicubic)


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((12, 8), (0, 8), (2, 10)),
        ((13, 8), (0, 8), (2, 10)),
        ((8, 14), (3, 11), (0, 8)),
        ((8, 15), (3, 11), (0, 8)),
    ],
)
def test_the_crop_lies_in_the_centre(size, rows, columns):
    image = noise_image(*size)
    expected = np.asarray(image)[slice(*rows), slice(*columns)]
    np.testing.assert_array_equal(pixels(encode(image)), expected)


@pytest.mark.parametrize(
    ("size", "inner", "left", "top"),
    [((8, 4), (8, 4), 0, 2), ((10, 6), (8, 5), 0, 1), ((6, 16), (3, 8), 2, 0)],
)
def test_the_whole_image_lies_in_the_centre_of_its_background(size, inner, left, top):
    image = noise_image(*size)
    expected = Image.new("RGB", (8, 8), PINK)
    expected.paste(image.resize(inner, Image.Resampling.LANCZOS), (left, top))
    np.testing.assert_array_equal(pixels(encode(image), fit="pad"), np.asarray(expected))


@pytest.mark.parametrize(
    ("size", "img_size", "asked"),
    [
        ((256, 256), 32, (32, 32)),
        ((256, 256), 33, (64, 64)),
        ((256, 256), 64, (64, 64)),
        ((256, 512), 65, (128, 256)),
        ((256, 256), 129, None),
        ((100, 100), 50, (50, 50)),
        ((101, 200), 16, None),
        ((102, 200), 16, (51, 100)),
    ],
)
def test_a_jpeg_is_decoded_at_the_smallest_exact_fraction(size, img_size, asked):
    drafts = []
    image = SimpleNamespace(size=size, draft=lambda mode, size: drafts.append((mode, size)))
    decode._shrink_while_decoding(image, img_size)
    assert drafts == ([(None, asked)] if asked else [])
