"""What a file is: sound images that look broken are read, and what is not read says what it is."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from files_by_hand import chunk, encode, png, tiff
from PIL import Image

from dcgan_utils.data import decode, formats
from dcgan_utils.data.decode import decode_image
from dcgan_utils.data.formats import FORMATS, DamagedImage, NotAnImage, has_image_ending
from dcgan_utils.data.load import load_dataset

COLOUR = (60, 180, 90)
ROW = bytes(COLOUR) * 16
LONG = zlib.compress(b"x" * 3_000_000)


def flat(size=(64, 64), mode="RGB", colour=COLOUR):
    return Image.new(mode, size, colour)


def noise(size=(64, 64)):
    levels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    return Image.fromarray(levels)


def decoded(data, size=8):
    return decode_image(data, size, background=(255, 255, 255)).pixels


def assert_colour(data, expected=COLOUR, tolerance=2):
    np.testing.assert_allclose(decoded(data)[4, 4].astype(int), expected, atol=tolerance)


# --- PNG -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(b"zTXt", b"parameters\0\0" + LONG)],
        [chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG)],
        [chunk(b"tEXt", b"prompt\0" + b"x" * 2_000_000)],
        [chunk(b"tEXt", b"note\0" + b"x" * 1_000_000)] * 70,
        [chunk(b"tEXt", b"note\0hello", check=1)],
        [chunk(b"pHYs", struct.pack(">IIB", 1, 1, 1), check=1)],
        [chunk(b"tIME", b"123")],
        [chunk(b"bKGD", b"1")],
        [chunk(b"eXIf", b"Exif", check=1)],
        [chunk(b"prVt", b"private", check=1)],
        [chunk(b"acTL", struct.pack(">II", 9, 0))],
    ],
    ids=[
        "packed text", "packed XMP", "plain text", "70 texts", "checksum of a text",
        "checksum of a resolution", "time cut short", "background cut short", "checksum of EXIF",
        "checksum of a private chunk", "animation without frames",
    ],
)  # fmt: skip
def test_what_stands_beside_the_pixels_of_a_png_is_no_reason_to_refuse_it(chunks):
    assert_colour(png(8, 2, ROW, *chunks))


def test_a_png_without_its_end_is_read():
    assert_colour(png(8, 2, ROW)[:-12])


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT"])
def test_a_wrong_checksum_of_what_counts_is_damage(kind):
    data = bytearray(png(8, 2, ROW))
    data[data.index(kind) + 5] ^= 1
    with pytest.raises((DamagedImage, NotAnImage)):
        decoded(bytes(data))


def test_the_rotation_of_a_png_survives():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(flat((30, 20)), exif=exif, pnginfo=None)
    assert decode_image(data, 8, background=(0, 0, 0)).size == (20, 30)


# --- JPEG ----------------------------------------------------------------------------------


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_is_the_same_image(mode, lost, progressive):
    data = encode(noise().convert(mode), "JPEG", quality=90, progressive=progressive)
    assert (decoded(data[:-lost], 64) == decoded(data, 64)).all()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("lost", [6, 40, 400, 3000])
@pytest.mark.parametrize("image", [flat((200, 200)), noise()], ids=["flat", "noise"])
def test_a_jpeg_that_lacks_more_is_cut_short(image, lost, progressive):
    data = encode(image, "JPEG", quality=90, progressive=progressive)
    with pytest.raises((DamagedImage, NotAnImage)):
        decoded(data[: max(200, len(data) - lost)])


@pytest.mark.parametrize("size", [(12000, 9000), (12001, 9001)])
def test_a_phone_s_108_megapixels_are_read_at_an_eighth(size):
    data = bytearray(encode(flat((16, 16)), "JPEG"))
    at = data.index(b"\xff\xc0") + 5  # the sides in its header; one block repeats its colour
    data[at : at + 4] = struct.pack(">HH", *size[::-1])
    image = decode.open_image(bytes(data))
    decode._shrink_while_decoding(image, 64)
    assert image.size[0] * image.size[1] < decode.MAX_PIXELS / 40


@pytest.mark.parametrize(("side", "img_size"), [(17_000, 8), (9_600, 1024)])
def test_a_jpeg_beyond_that_is_refused_by_its_header(side, img_size, monkeypatch):
    """More than 268 megapixels, or more than 89 that cannot be decoded at a fraction."""
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    data = bytearray(encode(flat((16, 16)), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", side, side)
    if img_size > 8:
        monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.draft", lambda *size: None)
    with pytest.raises(DamagedImage, match="too large"):
        decode_image(bytes(data), img_size, background=(0, 0, 0))


# --- What is not read ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(b"\0" * 3072, bits=(32,) * 3, photometric=2, sample_format=3), "3 x 32-bit float"),
        (tiff(b"\0" * 768, bits=(8,) * 3, photometric=2, sample_format=2), "3 x 8-bit signed"),
        (tiff(b"\0" * 320, bits=(10,)), "1 x 10-bit unsigned"),
        (tiff(b"\0" * 6144, bits=(64,) * 3, photometric=2, sample_format=3), "3 x 64-bit float"),
        (tiff(b"\0" * 512, bits=(16,), sample_format=3), "1 x 16-bit float"),
        (tiff(b"\0" * 2048, bits=(64,), sample_format=3), "1 x 64-bit float"),
        (tiff(b"\0" * 2048, bits=(64,), sample_format=6), "1 x 64-bit complex"),
        (tiff(b"\0" * 1024, bits=(32,), order=">"), "1 x 32-bit unsigned"),
    ],
)
def test_a_tiff_that_is_not_read_says_what_it_is(data, reason):
    with pytest.raises(NotAnImage, match=f"a TIFF file, but of {reason} samples.*save it with 8"):
        decoded(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(b"\0" * 1280, bits=(8,) * 5, photometric=5), "5 x 8-bit unsigned"),
        (tiff(b"\0" * 1024, bits=(16, 16), more={338: (2,)}), "2 x 16-bit unsigned"),
        (tiff(b"\0" * 256, more={259: (34887,)}), "1 x 8-bit unsigned"),
        (tiff(b"\0" * 768, bits=(8,) * 3, photometric=2, more={259: (50002,)}), "3 x 8-bit"),
    ],
    ids=["ink and alpha", "deep grey and alpha", "LERC", "JPEG XL inside"],
)
def test_a_tiff_of_usual_depth_that_is_not_read_is_not_asked_for_that_depth(data, reason):
    with pytest.raises(NotAnImage, match=f"a TIFF file, but of {reason}.*: save it as PNG or JPEG"):
        decoded(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encode(flat(), "BMP")[:12], "a BMP file, but it is cut short within its header"),
        (encode(flat(), "GIF")[:8], "a GIF file, but it is cut short within its header"),
        (encode(flat(), "TIFF")[:6], "a TIFF file, but it is cut short within its header"),
        (encode(flat(), "JPEG")[:3], "a JPEG file, but .* cut short"),  # as Pillow puts it
        (encode(flat(), "PNG")[:12], "a PNG file, but it is cut short within its header"),
        (png(8, 2, ROW, side=0), "a PNG file, but its header is damaged or cut short"),
        (encode(flat(), "JPEG2000")[:20], "a JPEG2000 file, but its header cannot be read"),
        (encode(flat(), "AVIF")[:40], "an AVIF file, but its header cannot be read"),
    ],
    ids=["BMP", "GIF", "TIFF", "JPEG", "PNG", "no pixels", "JPEG 2000", "AVIF"],
)
def test_what_is_cut_short_in_its_header_says_so_in_words(data, reason):
    with pytest.raises(NotAnImage, match=reason):
        decoded(data)


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
def test_tiffs_of_both_orders_and_sizes(order, big):
    assert_colour(tiff(bytes(COLOUR) * 256, bits=(8,) * 3, photometric=2, order=order, big=big))


def test_a_big_endian_bigtiff_is_named():
    data = tiff(bytes(COLOUR) * 256, bits=(8,) * 3, photometric=2, order=">", big=True)
    with pytest.raises(NotAnImage, match="a BigTIFF in big-endian order"):
        decoded(data)


def cgbi():
    """Return a PNG as Apple's tools write it for the iPhone."""
    data = encode(flat())
    return data[:8] + chunk(b"CgBI", b"\x50\0\x20\2") + data[8:]


RAW = "a camera's raw file, which is not read: export it as JPEG or TIFF"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.jxl", b"\xff\x0a" + b"\0" * 64, "a file of JPEG XL"),
        ("b", b"\0\0\0\x0cJXL \r\n\x87\n", "a file of JPEG XL"),
        ("c.heic", b"\0\0\0\x18ftypheic" + b"\0" * 16, "an iPhone's HEIC, which is not read"),
        ("d.mif1", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + b"\0" * 16, "an iPhone's HEIC"),
        ("d.msf1", b"\0\0\0\x18ftypmsf1\0\0\0\0msf1hevc" + b"\0" * 16, "an iPhone's HEIC"),
        ("d.avif", b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif" + b"\0" * 16, "an AVIF file, but"),
        ("d.jls", b"\xff\xd8\xff\xf7" + b"\0" * 16, "a file of JPEG-LS"),
        ("d.png", cgbi(), "a file of Apple's own kind of PNG"),
        ("d.hif", b"nothing", "an iPhone's HEIC, which is not read"),
        ("e.dng", b"II*\0" + b"\0" * 64, RAW),
        ("f.nef", tiff(b"\0" * 256, more={254: (1,), 330: (8,)}), RAW),
        ("g.cr2", b"II*\0\x10\0\0\0CR\2\0" + b"\0" * 64, RAW),
        ("h.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1", RAW),
        ("i.raf", b"FUJIFILMCCD-RAW 0201", RAW),
        ("j.arw", b"anything", RAW),
        ("k.exr", b"\x76\x2f\x31\x01" + b"\0" * 20, "a file of OpenEXR"),
        ("l.hdr", b"#?RADIANCE\n", "a file of Radiance HDR"),
        ("m.qoi", encode(flat(), "QOI"), "a file of QOI"),
        ("n.pcx", encode(flat(), "PCX"), "a file of pcx"),
        ("o.dds", encode(flat(), "DDS"), "a file of DDS"),
        ("p.xcf", b"gimp xcf file\0", "a file of GIMP's XCF"),
        ("q.svg", b'<?xml version="1.0"?>\n<svg xmlns="x"></svg>', "a file of SVG"),
        ("q.bom", b'\xef\xbb\xbf<svg xmlns="x"></svg>', "a file of SVG"),
        ("r.dcm", b"\0" * 128 + b"DICM", "a file of DICOM"),
        ("s.jpg_large", b"nothing", "not a readable image of a known format"),
        ("t.png~", b"", "the file is empty"),
        ("u.kra", b"PK\3\4", "a file of kra"),
        ("v.pam", b"P7\nWIDTH 1\n", "a file of PAM"),
        ("w.pfm", b"PF\n1 1\n-1.0\n" + b"\0" * 12, "a file of PFM in colour"),
    ],
)  # fmt: skip
def test_known_formats_that_are_not_read_are_listed_as_such(tmp_path, name, data, reason):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "fine.png").write_bytes(encode(flat()))
    (tmp_path / "p" / name).write_bytes(data)
    if "HEIC" in reason and "HEIF" in FORMATS:
        pytest.skip("here HEIC is read")
    report = load_dataset(tmp_path / "p", 8).report
    assert not report.ignored
    ((skipped, said),) = report.skipped
    assert skipped == name
    assert said.startswith(reason)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<!DOCTYPE html>\n<title>404", "but text, which begins with '<!DOCTYPE html> <title>4"),
        (b"\xef\xbb\xbf{'error': 'access'}", "but text, which begins with '{'error': 'access'}'"),
        (b"iVBORw0KGgoAAAANSUhEUg" * 9, "but text, which begins with 'iVBORw0KGgoAAAANSUhEUgiVB"),
        ("日本語".encode() * 30, "but text, which begins with '日本語"),
        (b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8", "a known format (JPEG"),
        (b"\x1b[2Jred", "a known format (JPEG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run 'git lfs pull' in its folder"),
        (bytes(4096), "nothing but zeros: download or copy it again"),
    ],
    ids=["web page", "JSON", "base64", "letters cut", "bytes", "controls", "Git LFS", "zeros"],
)  # fmt: skip
def test_what_lies_in_the_place_of_an_image_is_described(data, reason):
    with pytest.raises(NotAnImage, match=re.escape(reason)):
        decoded(data)


def test_heic_is_offered_to_its_plugin_though_it_begins_like_avif(monkeypatch):
    def factory(stream, name):
        assert b"heic" in stream.read(32)
        return flat()

    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, "HEIF"))
    monkeypatch.setitem(Image.OPEN, "HEIF", (factory, lambda prefix: prefix[4:8] == b"ftyp"))
    data = b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(16)
    assert formats.open_image(data).size == (64, 64)


@pytest.mark.parametrize(
    "name",
    ["a.jpg.json", "a.png.txt", "a.JPG.xmp", "a.jpg.supplemental-metadata.json", "a.tif.aux"],
)
def test_what_lies_beside_an_image_and_is_named_after_it_is_no_image(tmp_path, name):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "fine.png").write_bytes(encode(flat()))
    (tmp_path / "p" / name).write_text("{}")
    report = load_dataset(tmp_path / "p", 8, strict=True).report
    assert report.ignored == (name,)


@pytest.mark.parametrize("name", ["notes.txt", "data.h5", "paper.pdf", "film.mpg", "P5", "a.json"])
def test_what_is_no_image_is_ignored(tmp_path, name):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "fine.png").write_bytes(encode(flat()))
    (tmp_path / "p" / name).write_bytes(b"P5 is not the beginning of an image here")
    assert load_dataset(tmp_path / "p", 8).report.ignored == (name,)
    assert not has_image_ending(name)


@pytest.mark.parametrize("name", ["a.dng", "a.jxl", "a.jpg_large", "a.JPG", "no ending"])
def test_a_wrong_ending_is_no_matter(tmp_path, name):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / name).write_bytes(encode(flat(), "JPEG"))
    assert load_dataset(tmp_path / "p", 8).report.formats == {"JPEG": 1}


def test_heic_is_read_with_its_plugin():
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    stream = io.BytesIO()
    flat().save(stream, "HEIF", quality=100)
    assert_colour(stream.getvalue(), tolerance=4)
