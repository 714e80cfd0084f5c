"""Colour spaces: the right value is calculated here from matrices and curves, without ICC."""

import struct
import zlib

import numpy as np
import pytest
from files_by_hand import ADOBE, D65, P3, SRGB, chunk, encode, png, profile
from PIL import Image

from dcgan_utils.data.decode import decode_image

BT2020 = ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046))
GREENISH = (60, 180, 90)


def light_to_xyz(primaries):
    x, y = np.transpose(primaries)
    columns = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    white = np.array([D65[0], D65[1], 1 - sum(D65)]) / D65[1]
    return columns * np.linalg.solve(columns, white)


def in_srgb(colour, primaries, exponent=None):
    """Return a colour of another space in sRGB (IEC 61966-2-1)."""
    level = np.array(colour) / 255
    srgb = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    light = srgb if exponent is None else level**exponent
    light = np.linalg.solve(light_to_xyz(SRGB), light_to_xyz(primaries) @ light).clip(0, 1)
    level = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * level)


def flat(colour=GREENISH, mode="RGB"):
    return Image.new(mode, (16, 16), colour)


def with_chunks(*chunks, colour=GREENISH):
    data = encode(flat(colour, "RGB" if isinstance(colour, tuple) else "L"))
    return data[:33] + b"".join(chunks) + data[33:]


def decoded(data, background=(255, 255, 255)):
    image = decode_image(data, 8, background=background)
    return image.pixels[4, 4].astype(int), image.space


def assert_shows(data, expected, tolerance=2):
    colour, _ = decoded(data)
    np.testing.assert_allclose(colour, expected, atol=tolerance)


# --- ICC profiles --------------------------------------------------------------------------


def bmp_with_profile(image, embedded):
    """Put a header of version 5 before the pixels of a BMP."""
    plain = encode(image, "BMP")
    pixels, head = plain[54:], bytearray(plain[14:54].ljust(124, b"\0"))
    head[0:4] = struct.pack("<I", 124)
    head[56:60] = b"DEBM"
    head[112:120] = struct.pack("<II", 124 + len(pixels), len(embedded))
    size = 14 + 124 + len(pixels) + len(embedded)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, 138) + bytes(head) + pixels + embedded


def jp2_with_profile(image, embedded):
    """Put a profile in the place of the enumerated colour space of a JPEG 2000."""
    data = encode(image, "JPEG2000")
    at = data.index(b"colr") - 4
    old = int.from_bytes(data[at : at + 4])
    box = struct.pack(">I", 11 + len(embedded)) + b"colr\2\0\0" + embedded
    header = data.index(b"jp2h") - 4
    grown = int.from_bytes(data[header : header + 4]) + len(box) - old
    return data[:header] + struct.pack(">I", grown) + data[header + 4 : at] + box + data[at + old :]


LOSSLESS = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True},
            "AVIF": {"quality": 100, "subsampling": "4:4:4"}}  # fmt: skip


@pytest.mark.parametrize("primaries", [ADOBE, P3], ids=["Adobe RGB", "P3"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "BMP", "JPEG2000"])
def test_a_profile_counts_in_every_format(kind, primaries):
    embedded = profile(primaries)
    if kind == "BMP":
        data = bmp_with_profile(flat(), embedded)
    elif kind == "JPEG2000":
        data = jp2_with_profile(flat(), embedded)
    else:
        data = encode(flat(), kind, icc_profile=embedded, **LOSSLESS.get(kind, {}))
    assert_shows(data, in_srgb(GREENISH, primaries, 563 / 256), tolerance=3)
    assert decoded(data)[1]


DEEP = Image.fromarray(np.full((16, 16), 128 * 257, np.uint16))


@pytest.mark.parametrize(
    ("image", "mode", "expected"),
    [
        (flat((*GREENISH, 255), "RGBA"), "RGB", in_srgb(GREENISH, ADOBE, 563 / 256)),
        (flat().quantize(4), "RGB", in_srgb(GREENISH, ADOBE, 563 / 256)),
        (flat(128, "L"), "L", in_srgb((128,) * 3, SRGB, 1.0)),
        (flat((128, 255), "LA"), "L", in_srgb((128,) * 3, SRGB, 1.0)),
        (DEEP, "L", in_srgb((128,) * 3, SRGB, 1.0)),
    ],
    ids=["RGBA", "palette", "grey", "grey and alpha", "grey of 16 bits"],
)  # fmt: skip
def test_a_profile_counts_in_every_mode(image, mode, expected):
    embedded = profile() if mode == "RGB" else profile(exponent=1.0, mode="L")
    assert_shows(encode(image, icc_profile=embedded), expected)


def test_colours_of_16_bits_are_converted():
    row = struct.pack(">3H", *(257 * level for level in GREENISH)) * 16
    data = png(16, 2, row, packed(profile()))
    assert_shows(data, in_srgb(GREENISH, ADOBE, 563 / 256))


def cmyk_profile():
    """Return the profile of a press whose first ink is yellow, though it is called cyan."""
    white, yellow, black = ((255, 128, 128), (204, 128, 168), (0, 128, 128))  # as Lab
    grid = bytes([*white, *black * 7, *yellow, *black * 7])  # two steps per ink, the last fastest
    matrix = struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel())
    table = b"mft1\0\0\0\0\4\3\2\0" + matrix
    table += bytes(range(256)) * 4 + grid + bytes(range(256)) * 3
    name = b"desc\0\0\0\0\0\0\0\6press\0".ljust(96, b"\0")
    content = {
        b"A2B0": table,
        b"A2B2": table.replace(grid, bytes(48)),
        b"desc": name,
    }  # two intents
    rows, body, start = b"", b"", 132 + 12 * len(content)
    for tag, value in content.items():
        rows += tag + struct.pack(">II", start + len(body), len(value))
        body += value
    head = bytearray(profile()[:128])
    head[:4], head[12:24] = struct.pack(">I", start + len(body)), b"prtrCMYKLab "
    return bytes(head) + struct.pack(">I", len(content)) + rows + body


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted_by_its_profile(kind):
    options = {"quality": 100} if kind == "JPEG" else {}
    data = encode(flat((255, 0, 0, 0), "CMYK"), kind, icc_profile=cmyk_profile(), **options)
    assert decoded(data)[1] == "press"
    assert_shows(data, (217, 197, 122), tolerance=3)  # Lab 80, 0, 40


def test_transparency_stays_and_its_colour_does_not_bleed():
    image = flat((*GREENISH, 0), "RGBA")
    image.paste((*GREENISH, 255), (0, 0, 8, 16))
    pixels = decode_image(encode(image, icc_profile=profile()), 16, background=(9, 8, 7)).pixels
    np.testing.assert_allclose(pixels[8, 2], in_srgb(GREENISH, ADOBE, 563 / 256), atol=2)
    assert pixels[8, 12].tolist() == [9, 8, 7]


def test_a_transparent_colour_is_that_of_the_file():
    image = flat()
    image.paste((1, 2, 3), (8, 0, 16, 16))
    data = encode(image, icc_profile=profile(), transparency=(1, 2, 3))
    pixels = decode_image(data, 16, background=(9, 8, 7)).pixels
    assert pixels[8, 12].tolist() == [9, 8, 7]
    np.testing.assert_allclose(pixels[8, 2], in_srgb(GREENISH, ADOBE, 563 / 256), atol=2)


@pytest.mark.parametrize(
    ("image", "embedded"),
    [
        (flat(), b"no profile at all, but long enough to hold a header of 128 bytes" * 3),
        (flat(), profile()[:300]),
        (flat(), profile()[:100]),
        (flat(), profile(exponent=1.0, mode="L")),
        (flat(90, "L"), profile()),
        (flat((10, 20, 30, 40), "CMYK").convert("RGB"), cmyk_profile()),
    ],
    ids=["garbage", "cut", "cut in its head", "grey in colour", "colour in grey", "ink in light"],
)
def test_a_broken_or_unfitting_profile_is_harmless(image, embedded):
    colour, space = decoded(encode(image, icc_profile=embedded))
    assert space == ""
    assert colour.tolist() == list(image.convert("RGB").getpixel((0, 0)))


@pytest.mark.parametrize("exponent", [None, 2.2])
def test_srgb_is_left_as_it_is(exponent):
    """The curve of sRGB lies within a level of itself, and up to seven levels from a power."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    data = encode(Image.fromarray(noise), icc_profile=profile(SRGB, exponent))
    image = decode_image(data, 8, background=(0, 0, 0))
    assert (image.space == "") == (exponent is None)
    assert np.array_equal(image.pixels, noise) == (exponent is None)


# --- Exif ------------------------------------------------------------------------------------


def by_camera(space, index, kind="JPEG", mode="RGB", **options):
    """Return an image as a camera writes it, with its Exif tags on colour."""
    tags = Image.Exif()
    tags.get_ifd(0x8769).update({0xA001: space} | ({0xA005: {1: index}} if index else {}))
    image = flat(GREENISH if mode == "RGB" else 128, mode)
    return encode(image, kind, exif=tags, **LOSSLESS[kind], **options)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (by_camera(65535, "R03"), in_srgb(GREENISH, ADOBE, 563 / 256)),
        (by_camera(65535, "R03", "WEBP"), in_srgb(GREENISH, ADOBE, 563 / 256)),
        (by_camera(2, None), in_srgb(GREENISH, ADOBE, 563 / 256)),
        (by_camera(65535, "R03", mode="L"), in_srgb((128,) * 3, SRGB, 563 / 256)),
        (by_camera(65535, "R03", icc_profile=profile(SRGB, None)), GREENISH),
        (by_camera(65535, "R98"), GREENISH),
        (by_camera(65535, None), GREENISH),
        (by_camera(1, "R03"), GREENISH),
    ],
    ids=["R03", "WebP", "2", "grey", "sRGB's profile", "R98", "unknown", "contradiction"],
)
def test_a_camera_s_adobe_rgb_counts_without_a_profile(data, expected):
    assert_shows(data, expected, tolerance=3)
    assert decoded(data)[1] == ("" if tuple(expected) == GREENISH else "Adobe RGB")


# --- PNG and AVIF without a profile ----------------------------------------------------------


def gamma(value):
    return chunk(b"gAMA", struct.pack(">I", round(100_000 * value)))


def corners(primaries):
    numbers = [round(100_000 * v) for pair in (D65, *primaries) for v in pair]
    return chunk(b"cHRM", struct.pack(">8I", *numbers))


def codes(primaries, transfer):
    return chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


def packed(embedded, **options):
    return chunk(b"iCCP", b"name\0\0" + zlib.compress(embedded), **options)


SRGB_CHUNK = chunk(b"sRGB", b"\0")
HUGE = profile() + np.random.default_rng(0).bytes(2_000_000)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([gamma(1.0)], in_srgb(GREENISH, SRGB, 1.0)),
        ([gamma(1 / 1.8)], in_srgb(GREENISH, SRGB, 1.8)),
        ([gamma(0.45455)], GREENISH),
        ([gamma(0.45455), corners(SRGB)], GREENISH),
        ([gamma(0)], GREENISH),
        ([gamma(40_000)], GREENISH),
        ([corners(P3)], in_srgb(GREENISH, P3)),
        ([corners(ADOBE), gamma(256 / 563)], in_srgb(GREENISH, ADOBE)),
        ([corners(((0, 0),) * 3)], GREENISH),
        ([gamma(1.0), SRGB_CHUNK], GREENISH),
        ([gamma(1.0), packed(profile())], in_srgb(GREENISH, ADOBE, 563 / 256)),
        ([packed(profile()), packed(profile(SRGB))], in_srgb(GREENISH, ADOBE, 563 / 256)),
        ([packed(profile()), codes(12, 13)], in_srgb(GREENISH, P3)),
        ([codes(9, 8)], in_srgb(GREENISH, BT2020, 1.0)),
        ([codes(1, 13)], GREENISH),
        ([codes(9, 16)], GREENISH),
        ([codes(2, 2)], GREENISH),
        ([packed(HUGE)], in_srgb(GREENISH, ADOBE, 563 / 256)),
        ([packed(profile(), check=1)], GREENISH),
        ([chunk(b"gAMA", struct.pack(">I", 100_000), check=1)], GREENISH),
        ([chunk(b"iCCP", b"name\0\0not packed")], GREENISH),
        ([chunk(b"gAMA", b"")], GREENISH),
        ([chunk(b"cICP", b"\1")], GREENISH),
        ([codes(9, 16), packed(profile())], in_srgb(GREENISH, ADOBE, 563 / 256)),
        ([codes(2, 2), gamma(1.0)], in_srgb(GREENISH, SRGB, 1.0)),
        ([chunk(b"cICP", b"\14\15"), corners(ADOBE)], in_srgb(GREENISH, ADOBE)),
        ([packed(profile(mode="L")), gamma(1.0)], in_srgb(GREENISH, SRGB, 1.0)),
        ([chunk(b"iCCP", b"name\0\0not packed"), gamma(1.0)], in_srgb(GREENISH, SRGB, 1.0)),
        ([corners(((0, 0),) * 3), gamma(1.0)], in_srgb(GREENISH, SRGB, 1.0)),
        ([chunk(b"cHRM", b"\0" * 31), gamma(1.0)], in_srgb(GREENISH, SRGB, 1.0)),
        ([gamma(0), corners(P3)], in_srgb(GREENISH, P3)),
        ([chunk(b"gAMA", b"\1\2\3")], GREENISH),
    ],
    ids=[
        "linear", "gamma 1.8", "gamma of sRGB", "numbers of sRGB", "gamma 0", "absurd gamma",
        "primaries", "primaries and gamma", "primaries of nothing", "sRGB before gamma",
        "profile before gamma", "two profiles", "code points before a profile", "BT.2020, linear",
        "code points of sRGB", "HDR is left", "unspecified", "profile of 2 MB",
        "profile with a wrong checksum", "gamma with a wrong checksum", "profile not packed",
        "empty gamma", "short code points", "HDR before a profile", "unspecified before gamma",
        "short code points before primaries", "profile of grey before gamma",
        "profile not packed before gamma", "primaries of nothing beside gamma",
        "short primaries beside gamma", "gamma 0 beside primaries", "short gamma",
    ],
)  # fmt: skip
def test_what_a_png_says_of_its_colours(chunks, expected):
    data = with_chunks(*chunks)
    assert_shows(data, expected)
    assert bool(decoded(data)[1]) == (tuple(expected) != GREENISH)


@pytest.mark.parametrize("level", [3, 8, 10, 40])
def test_dark_levels_follow_the_straight_part_of_the_curve(level):
    colour = (level, level, 0)
    assert_shows(with_chunks(corners(P3), colour=colour), in_srgb(colour, P3), tolerance=1)


@pytest.mark.parametrize(
    "statement", [gamma(1.0), codes(1, 8), packed(profile(exponent=1.0, mode="L"))],
    ids=["gamma", "code points", "profile"],
)  # fmt: skip
def test_what_a_png_says_counts_in_grey_too(statement):
    assert_shows(with_chunks(statement, colour=128), (188, 188, 188))


def test_code_points_of_an_avif_count():
    data = encode(flat(), "AVIF", **LOSSLESS["AVIF"])
    at = data.index(b"colrnclx") + 8
    assert decoded(data)[1] == ""
    wide = data[:at] + struct.pack(">HH", 12, 13) + data[at + 4 :]
    assert_shows(wide, in_srgb(GREENISH, P3), tolerance=3)
    assert decoded(wide)[1] == "Display P3"
