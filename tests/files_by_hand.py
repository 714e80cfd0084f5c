"""Image files put together by hand, for what Pillow does not write."""

import io
import struct
import zlib

from dcgan_utils.data import colours

D65 = (0.3127, 0.3290)
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))


def encode(image, kind="PNG", **options):
    """Return an image as Pillow writes it."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def profile(primaries=ADOBE, exponent=563 / 256, mode="RGB"):
    """Return an ICC profile of these primaries and this exponent; None is the curve of sRGB."""
    return colours._made(mode, D65, primaries, exponent)


def chunk(kind, body, *, check=0):
    """Return a chunk of a PNG; its checksum is wrong by `check`."""
    crc = zlib.crc32(kind + body) ^ check
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png(depth, colour_type, row, *chunks, side=16):
    """Return a PNG whose rows are all the same."""
    head = struct.pack(">IIBBBBB", side, side, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress((b"\0" + row) * side)
    parts = chunk(b"IHDR", head), *chunks, chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(pixels, *, bits=(8,), photometric=1, sample_format=1, order="<", more=None, big=False):
    """Return an uncompressed TIFF of 16 x 16 pixels.

    ``more`` maps further tags to numbers of 16 bits.
    """
    word, counter, inline = ("Q", "Q", 8) if big else ("I", "H", 4)
    tags = {256: (16,), 257: (16,), 258: bits, 259: (1,), 262: (photometric,), 277: (len(bits),)}
    tags |= {278: (16,), 339: (sample_format,) * len(bits), 273: (0,), 279: (0,)} | (more or {})
    packed = {tag: struct.pack(f"{order}{len(v)}H", *v) for tag, v in sorted(tags.items())}
    start = 16 if big else 8
    end = start + struct.calcsize(f"{order}{counter}{word}") + (20 if big else 12) * len(tags)
    beyond = b"".join(values for values in packed.values() if len(values) > inline)
    packed[273] = struct.pack(order + word, end + len(beyond))
    packed[279] = struct.pack(order + word, len(pixels))
    table = struct.pack(order + counter, len(tags))
    for tag, values in packed.items():
        kind = (16 if big else 4) if tag in (273, 279) else 3
        count = 1 if kind != 3 else len(tags[tag])
        table += struct.pack(f"{order}HH{word}", tag, kind, count)
        if len(values) > inline:
            values, end = struct.pack(order + word, end), end + len(values)
        table += values.ljust(inline, b"\0")
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8)
    return mark + head + table + struct.pack(order + word, 0) + beyond + pixels


def gif(canvas, frame, colour, palette, transparent=None):
    """Return a GIF of one frame ``(left, top, width, height)`` in one of four colours."""
    left, top, width, height = frame
    head = b"GIF89a" + struct.pack("<HHBBB", canvas, canvas, 0x91, 0, 0)
    head += bytes(palette).ljust(12, b"\0")
    if transparent is not None:
        head += b"\x21\xf9\x04" + struct.pack("<BHB", 1, 0, transparent) + b"\0"
    codes = [code for _ in range(width * height) for code in (4, colour)] + [5]  # clear each time
    bits = sum(code << 3 * number for number, code in enumerate(codes))
    packed = bits.to_bytes(-(-3 * len(codes) // 8), "little")
    blocks = [packed[at : at + 255] for at in range(0, len(packed), 255)]
    body = b"".join(bytes([len(block)]) + block for block in blocks)
    return head + b"\x2c" + struct.pack("<4HBB", left, top, width, height, 0, 2) + body + b"\0\x3b"
