"""Formats: what a file is, by its first bytes, and how Pillow opens it."""

from __future__ import annotations

import codecs
import contextlib
import io
import re
import struct
import zlib
from pathlib import PurePosixPath

from PIL import Image

from dcgan_utils.core.errors import first_line, ignore_file_errors

with contextlib.suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()

Image.init()
# No EPS or PDF (they are programs), and no format without a signature (any file might match).
FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "HEIF")
    if name in Image.OPEN  # AVIF came with Pillow 11.3
)
# Pillow's endings of what is no image: documents, films, data.
_NO_IMAGES = {".pdf", ".ps", ".mpg", ".mpeg", ".h5", ".hdf", ".grib", ".bufr", ".iim"}
_RAW = (
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef "
    ".raf .raw .rw2 .rwl .sr2 .srf .srw .x3f"
)
_OTHERS = (
    ".bpg .cin .djvu .dpx .eps .exr .flif .hdr .heic .heics .heif .hej2 .hif .jng .jxl .jxr .kra "
    ".mng .ora .pcd .psb .rgbe .svg .svgz .wdp .xcf"
)
IMAGE_ENDINGS = frozenset({*Image.registered_extensions(), *_RAW.split(), *_OTHERS.split()})
IMAGE_ENDINGS -= _NO_IMAGES
# Such as .jpg_large and .png~, but not what lies beside an image, such as .jpg.json and .png.txt.
_LIKE_AN_IMAGE = re.compile(r"\.(jpe?g|png|gif|webp|tiff?|bmp)[^a-z0-9.]\w*$")

_SIGNATURES = (
    (0, rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
    (4, rb"ftyp(hei[cxms]|hev[cxms]|(mif1|msf1)(?!.{4,40}avi[fs]))", "HEIC"),
    (0, rb"\xff\xd8\xff\xf7", "JPEG-LS"),
    (4, rb"ftypcrx ", "a camera's raw"),
    (0, rb"IIR[OS]|MMOR|IIU\0|FUJIFILMCCD|FOVb|\0MRM", "a camera's raw"),
    (8, rb"CR\x02", "a camera's raw"),
    (0, rb"\x76\x2f\x31\x01", "OpenEXR"),
    (0, rb"#\?R(ADIANCE|GBE)", "Radiance HDR"),
    (0, rb"qoif", "QOI"),
    (0, rb"DDS ", "DDS"),
    (0, rb"gimp xcf", "GIMP's XCF"),
    (0, rb"8BPS", "Photoshop's PSD"),
    (0, rb"icns", "ICNS"),
    (0, rb"SIMPLE  =", "FITS"),
    (128, rb"DICM", "DICOM"),
    (0, rb"BPG\xfb", "BPG"),
    (0, rb"FLIF", "FLIF"),
    (0, rb"II\xbc", "JPEG XR"),
    (0, rb"%!PS-Adobe-[\d.]+ EPSF|\xc5\xd0\xd3\xc6", "EPS"),
    (0, rb"\x8aMNG|\x8bJNG", "MNG"),
    (0, rb"farbfeld", "farbfeld"),
    (0, rb"P7\s", "PAM"),
    (0, rb"PF\s", "PFM in colour"),
    (
        0,
        rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]",
        "SVG",
    ),
)
SIGNATURES = tuple((at, re.compile(start, re.DOTALL), name) for at, start, name in _SIGNATURES)


class DamagedImage(Exception):
    """The bytes are an image that cannot be decoded; the message is a plain reason."""


class NotAnImage(Exception):
    """The bytes are not an image of a known format; the message is a plain reason."""


class UnreadableFile(NotAnImage):
    """The machine cannot read the file now, whatever is in it; the message is a plain reason."""


def has_image_ending(name: str) -> bool:
    """Return whether a file name ends as those of images do, of read and unread formats."""
    lower = name.lower()
    return PurePosixPath(lower).suffix in IMAGE_ENDINGS or bool(_LIKE_AN_IMAGE.search(lower))


def reason_by_name(name: str) -> str:
    """Return why a file of an unread format is not used, by its ending; empty if it is read."""
    ending = PurePosixPath(name.lower()).suffix
    if ending in _RAW.split():
        return _unread("a camera's raw")
    read = Image.registered_extensions().get(ending) in FORMATS or ending not in IMAGE_ENDINGS
    return "" if read else _unread("HEIC" if ending in (".heic", ".heif", ".hif") else ending[1:])


def _unread(kind: str) -> str:
    if kind == "HEIC" and "HEIF" not in FORMATS:
        return (
            "an iPhone's HEIC, which is not read: export it as JPEG, or run pip install "
            '"dcgan-utils[heif]"'
        )
    if kind == "a camera's raw":
        return "a camera's raw file, which is not read: export it as JPEG or TIFF"
    return f"a file of {kind}, which is not read: save it as PNG or JPEG"


def open_image(data: bytes) -> Image.Image:
    """Read the header of an image; no pixel is decoded.

    Parameters
    ----------
    data
        The whole file.

    Raises
    ------
    NotAnImage
        If no known format recognises the bytes, or their header cannot be read.
    DamagedImage
        If the format is known but not read.
    """
    if not data:
        raise NotAnImage("the file is empty")
    prefix, refusals = data[:16], []
    for name in FORMATS:
        factory, accept = Image.OPEN[name]
        accepted = accept(prefix)
        if accepted and not isinstance(accepted, str):  # a text says which library is missing
            try:
                return _open_as(name, factory, data)
            except NotAnImage as refusal:  # AVIF and HEIC may begin alike
                refusals.append(refusal)
    for at, start, name in SIGNATURES:
        if start.match(data, at):
            raise DamagedImage(_unread(name))
    raise refusals[0] if refusals else NotAnImage(_describe_other(data))


def _describe_other(data: bytes) -> str:
    """Say what is in a file that is no image, such as the web page of a failed download."""
    if data.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS in place of the image: run 'git lfs pull' in its folder"
    if not data.strip(b"\0"):
        return "the file holds nothing but zeros: download or copy it again"
    begin = ""
    with contextlib.suppress(UnicodeDecodeError):
        begin = codecs.getincrementaldecoder("utf-8-sig")().decode(data[:80])
    begin = " ".join(begin.split())[:40]
    if begin and begin.isprintable():
        return (
            f"not a readable image of a known format but text, which begins with '{begin}': "
            "download or copy it again"
        )
    return f"not a readable image of a known format ({', '.join(FORMATS)})"


def _open_as(name: str, factory, data: bytes) -> Image.Image:
    """Open with one of Pillow's plugins, whose words say what is wrong."""
    white_is_zero = False
    if name == "PNG":
        if data[12:16] == b"CgBI":
            raise DamagedImage(_unread("Apple's own kind of PNG"))
        data = _without_comments(data)
    elif name == "TIFF":
        data, white_is_zero = _black_is_zero(data)
    try:
        image = factory(io.BytesIO(data), "")
    except MemoryError:
        raise
    except Exception as error:
        what = _describe_tiff(data) if name == "TIFF" else ""
        reason = what or _describe_header(error)
        article = "an" if name == "AVIF" else "a"
        raise NotAnImage(f"{article} {name} file, but {reason}") from error
    image.info["white_is_zero"] = white_is_zero
    return image


def _describe_header(error: Exception) -> str:
    """Say why a header cannot be read, if Pillow's words are not meant for readers."""
    if isinstance(error.__cause__ or error, struct.error | IndexError | EOFError):
        return "it is cut short within its header"
    if str(error) == "not identified by this driver":
        return "its header is damaged or cut short"
    return f"its header cannot be read: {first_line(error)}"


# --- PNG ---


def _without_comments(data: bytes) -> bytes:
    """Leave out the chunks of a PNG that do not change its pixels, or whose checksum is wrong.

    Pillow would refuse the whole image for a wrong checksum in a comment, or for long comments.
    """
    kept, at = [data[:8]], 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        kind = data[at + 4 : at + 8]
        critical = not kind[0] & 32  # a capital letter
        sound = kind in (b"tRNS", b"eXIf") and end <= len(data)
        if critical or (sound and zlib.crc32(data[at + 4 : end - 4]) == _number(data, end - 4)):
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4])


# --- JPEG ---


def completed_jpeg(data: bytes) -> bytes | None:
    """Return a JPEG with its end, if nothing else is missing.

    What follows a complete image is not decoded: whatever it is, the pixels are the same. A decoder
    that needs more takes zeros, so what follows here begins with a one.
    """
    body = data.removesuffix(b"\xff")
    with ignore_file_errors():
        one, other = (
            Image.open(io.BytesIO(body + filler + b"\xff\xd9"), formats=["JPEG"]).convert("RGB")
            for filler in (b"", b"\xb6\xdb\x6d" * 64)
        )
        if one.tobytes() == other.tobytes():
            return body + b"\xff\xd9"
    return None


# --- TIFF ---

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 16: 8}
_SAMPLES = {1: "unsigned", 2: "signed", 3: "float", 5: "complex integer", 6: "complex"}


def _tiff_directory(data: bytes) -> tuple[str, dict[int, tuple[int, int, int]]]:
    """Return the byte order of a TIFF, and kind, count and place of the tags of its first image."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    entry, start = order + ("HHQ" if big else "HHI"), start + (8 if big else 2)
    tags = {}
    for number in range(min(count, 4096)):
        at = start + number * (20 if big else 12)
        tag, kind, length = struct.unpack_from(entry, data, at)
        value = at + struct.calcsize(entry)
        if length * _SIZES.get(kind, 8) > (8 if big else 4):
            (value,) = struct.unpack_from(order + ("Q" if big else "I"), data, value)
        tags[tag] = kind, length, value
    return order, tags


def tiff_tags(data: bytes) -> dict[int, tuple[int, ...]]:
    """Return the whole numbers in the tags of the first image of a TIFF; none if it is damaged."""
    with contextlib.suppress(struct.error, OverflowError):
        order, tags = _tiff_directory(data)
        codes = {1: "B", 3: "H", 4: "I", 16: "Q"}
        return {
            tag: struct.unpack_from(f"{order}{min(count, 2**16)}{codes[kind]}", data, at)
            for tag, (kind, count, at) in tags.items()
            if kind in codes
        }
    return {}


def _black_is_zero(data: bytes) -> tuple[bytes, bool]:
    """Let a TIFF of more than 8 bits whose zero is white say that it is black.

    Pillow reads some of them as negatives and others not at all.
    """
    tags = tiff_tags(data)
    if 50706 in tags or (tags.get(254, (0,))[0] & 1 and 330 in tags):
        raise DamagedImage(_unread("a camera's raw"))
    if data[8:10] == b"CR":
        raise DamagedImage(_unread("a camera's raw"))
    if tags.get(262) != (0,) or max(tags.get(258, (1,))) <= 8:
        return data, False
    order, directory = _tiff_directory(data)
    at = directory[262][2]
    return data[:at] + struct.pack(order + "H", 1) + data[at + 2 :], True


def _describe_tiff(data: bytes) -> str:
    """Say what is in a TIFF that Pillow does not open; nothing if it is damaged."""
    if data[:4] == b"MM\0+":
        return "a BigTIFF in big-endian order, which is not read: save it as a plain TIFF"
    tags = tiff_tags(data)
    if 258 not in tags:
        return ""
    samples, depth = tags.get(277, (1,))[0], tags[258][0]
    kind = _SAMPLES.get(tags.get(339, (1,))[0], "unknown")
    is_usual = kind == "unsigned" and depth in (8, 16)
    advice = "save it as PNG or JPEG" if is_usual else "save it with 8 or 16 bits per channel"
    photometric, compression = tags.get(262, ("?",))[0], tags.get(259, (1,))[0]
    return (
        f"of {samples} x {depth}-bit {kind} samples (photometric {photometric}, compression "
        f"{compression}), which are not read: {advice}"
    )
