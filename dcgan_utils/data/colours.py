"""Colours: what a file says about its colour space, brought to sRGB.

Most images say nothing, or sRGB. Others would be loaded with dull or shifted colours: cameras and
phones write Adobe RGB and Display P3, screenshots the profile of their display.
"""

from __future__ import annotations

import contextlib
import functools
import io
import struct
import zlib
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageCms

from dcgan_utils.core.errors import ignore_file_errors

_MAX_PROFILE = 16 * 2**20  # bytes, unpacked; profiles of printers have one to three million

# ITU-T H.273, tables 2 and 3: the code points of PNG's cICP and of AVIF. White is D65 in all.
_D65, _SRGB = (0.3127, 0.3290), ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_PRIMARIES = {
    1: ("BT.709", _SRGB),
    5: ("BT.470 BG", ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06))),
    6: ("BT.601", ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07))),
    7: ("SMPTE 240M", ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07))),
    9: ("BT.2020", ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046))),
    12: ("Display P3", ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))),
}
_ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
# The exponent, or None for sRGB's own curve, for which browsers take those of video too.
_EXPONENTS = {1: None, 4: 2.2, 5: 2.8, 6: None, 8: 1.0, 13: None, 14: None, 15: None}
_SIZES = {b"cICP": 4, b"gAMA": 4, b"cHRM": 32}  # in bytes; a chunk of another size is ignored


def to_srgb(image: Image.Image, opened: Image.Image, data: bytes) -> tuple[Image.Image, str]:
    """Convert an image to sRGB from the colour space that its file names.

    Parameters
    ----------
    image
        Decoded, with 8 bits per channel.
    opened
        As Pillow opened it, with its format and what it found beside the pixels.
    data
        The file.

    Returns
    -------
    image : PIL.Image.Image
        RGB or RGBA if it was converted, else the image as it is.
    space : str
        Name of the space that it was converted from; empty where it is sRGB or unknown, or where
        the profile is broken or belongs to another kind of image.
    """
    with ignore_file_errors():  # whatever is wrong with a profile, the image is sound
        mode = _kind(image)
        profile, name = _profile(mode, opened, data)
        if _fits(profile, mode):
            transform, described = _transform(profile, mode)
            if transform is not None:
                return _converted(image, transform, mode), name or described
    return image, ""


def _kind(image: Image.Image) -> str:
    """Return the mode that a profile for this image has."""
    return {"L": "L", "LA": "L", "CMYK": "CMYK", "LAB": "LAB"}.get(image.mode, "RGB")


def _fits(profile: bytes, mode: str) -> bool:
    return {b"GRAY": "L", b"RGB ": "RGB", b"CMYK": "CMYK"}.get(profile[16:20]) == mode


def _converted(image: Image.Image, transform: ImageCms.ImageCmsTransform, mode: str) -> Image.Image:
    if not image.has_transparency_data:
        return transform.apply(image.convert(mode))
    with_alpha = image.convert("RGBA")
    converted = transform.apply(with_alpha.convert(mode))
    converted.putalpha(with_alpha.getchannel("A"))
    return converted


@functools.lru_cache(maxsize=32)  # a profile may have megabytes
def _transform(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """Return the way to sRGB, and the profile's name; no way if no colour moves by over a level."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(
        source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.PERCEPTUAL
    )
    if mode != "CMYK":
        steps = np.arange(0, 256, 15, np.uint8)
        colours = np.stack(np.meshgrid(*[steps] * len(mode)), -1).reshape(-1, len(mode))
        probe = Image.frombytes(mode, (len(colours), 1), colours.tobytes())
        moved = np.asarray(transform.apply(probe))[0].astype(int) - colours
        if np.abs(moved).max() <= 1:
            return None, ""
    name = ImageCms.getProfileDescription(source).strip()
    return transform, name or "an unnamed profile"


# --- Where a file says it ---


def _profile(kind: str, opened: Image.Image, data: bytes) -> tuple[bytes, str]:
    """Return a profile, empty if the file has none, and its name if it does not say it."""
    if opened.format == "PNG":
        return _of_png(kind, dict(reversed([*png_chunks(data)])))  # of two, the first
    if opened.format == "JPEG2000" and (at := data.find(b"colr\2", 0, 2**16)) > 0:
        return data[at + 7 : at - 4 + int.from_bytes(data[at - 4 : at])], ""
    if opened.format == "BMP" and data[70:74] == b"DEBM":  # embedded, in a header of version 5
        place, size = struct.unpack_from("<II", data, 126)
        return data[14 + place : 14 + place + size], ""
    embedded = opened.info.get("icc_profile")
    boxed = not embedded and opened.format in ("AVIF", "HEIF")
    if boxed and (at := data.find(b"colrnclx", 0, 2**16)) > 0:
        return _of_codes(kind, *struct.unpack_from(">HH", data, at + 8))
    if not embedded and "exif" in opened.info and _is_adobe_rgb(opened.getexif()):
        return _made(kind, _D65, _ADOBE, 563 / 256), "Adobe RGB"
    return embedded or b"", ""


def _is_adobe_rgb(exif: Image.Exif) -> bool:
    """Tell whether a camera was set to Adobe RGB; many write no profile then (DCF 2.0)."""
    space = exif.get_ifd(0x8769).get(0xA001)  # 1 is sRGB, 65535 another one
    return space == 2 or (space != 1 and exif.get_ifd(0xA005).get(1) == "R03")


def png_chunks(data: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Yield kind and body of the chunks of a PNG before its pixels whose checksums are right."""
    at = 8
    while at + 12 <= len(data) and (kind := data[at + 4 : at + 8]) != b"IDAT":
        end = at + 8 + int.from_bytes(data[at : at + 4])
        if zlib.crc32(data[at + 4 : end]).to_bytes(4) == data[end : end + 4]:
            yield kind, data[at + 8 : end]
        at = end + 4


def _of_png(kind: str, chunks: dict[bytes, bytes]) -> tuple[bytes, str]:
    """Return the first of several statements that can be used: PNG, third edition, section 4.3."""
    chunks = {
        name: body for name, body in chunks.items() if len(body) == _SIZES.get(name, len(body))
    }
    if b"cICP" in chunks and (made := _of_codes(kind, *chunks[b"cICP"][:2]))[0]:
        return made
    embedded = _unpacked(chunks.get(b"iCCP", b""))
    if _fits(embedded, kind):
        return embedded, ""
    return (b"", "") if b"sRGB" in chunks else _of_numbers(kind, chunks)


def _unpacked(chunk: bytes) -> bytes:
    """Return the profile of an iCCP chunk; not through Pillow, which gives up at a megabyte."""
    with contextlib.suppress(zlib.error):
        packed = chunk.partition(b"\0")[2][1:]
        return zlib.decompressobj().decompress(packed, _MAX_PROFILE)
    return b""


def _of_numbers(kind: str, chunks: dict[bytes, bytes]) -> tuple[bytes, str]:
    """Return the profile of gamma and primaries; none if there are none, or absurd ones."""
    gamma = int.from_bytes(chunks.get(b"gAMA", b"")) / 100_000
    exponent = 1 / gamma if 0.1 < gamma < 10 else None
    if abs(gamma * 2.2 - 1) < 0.01:  # what files say for sRGB's own curve (section 11.3.2.5)
        exponent = None
    numbers = np.frombuffer(chunks.get(b"cHRM", b""), ">u4").reshape(-1, 2) / 100_000
    if numbers.size and numbers.all():
        white, *primaries = map(tuple, numbers.tolist())
        return _made(kind, white, tuple(primaries), exponent), "primaries of its own"
    if exponent is None:
        return b"", ""
    return _made(kind, _D65, _SRGB, exponent), f"gamma {gamma:.3g}"


def _of_codes(kind: str, primaries: int, transfer: int) -> tuple[bytes, str]:
    """Return the profile of two code points; none if they are unspecified, or HDR."""
    if primaries not in _PRIMARIES or transfer not in _EXPONENTS:
        return b"", ""
    name, corners = _PRIMARIES[primaries]
    return _made(kind, _D65, corners, _EXPONENTS[transfer]), name


# --- A profile made from numbers ---

_D50 = np.array([0.9642, 1.0, 0.8249])
# Bradford's cone responses, by which ICC profiles (annex E of ICC.1:2010) adapt a white to D50.
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_Point = tuple[float, float]


@functools.lru_cache(maxsize=64)
def _made(mode: str, white: _Point, primaries: tuple[_Point, ...], exponent: float | None) -> bytes:
    """Return an ICC profile, version 2, of these chromaticities and this curve."""
    level = np.linspace(0, 1, 4096)
    srgb = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    light = np.rint((srgb if exponent is None else level**exponent) * 65535).astype(">u2")
    curve = b"curv\0\0\0\0" + struct.pack(">I", len(light)) + light.tobytes()
    tags = {b"desc": b"desc\0\0\0\0\0\0\0\1\0".ljust(92, b"\0"), b"wtpt": _xyz(_D50)}
    if mode == "L":
        tags[b"kTRC"] = curve
    else:
        corners = _adapted(white, primaries).T
        tags |= dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, corners), strict=True))
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    rows, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        rows += name + struct.pack(">II", start + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    space = b"GRAY" if mode == "L" else b"RGB "
    head = struct.pack(">II4x4s4s4s12x4s", start + len(body), 0, b"mntr", space, b"XYZ ", b"acsp")
    head = head[:8] + b"\2\x10\0\0" + head[12:].ljust(56, b"\0") + _fixed(_D50)
    return head.ljust(128, b"\0") + rows + body


def _adapted(white: _Point, primaries: Iterable[_Point]) -> np.ndarray:
    """Return the XYZ of red, green and blue, as columns, seen under D50."""
    x, y = np.array([*primaries]).T
    columns = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    seen = np.array([white[0] / white[1], 1, (1 - white[0] - white[1]) / white[1]])
    columns = columns * np.linalg.solve(columns, seen)
    change = (_BRADFORD @ _D50) / (_BRADFORD @ seen)
    return np.linalg.solve(_BRADFORD, change[:, None] * (_BRADFORD @ columns))


def _fixed(values: np.ndarray) -> bytes:
    return struct.pack(">3i", *np.rint(values * 65536).astype(int))


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)
