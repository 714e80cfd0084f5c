"""Our decoding beside that of libvips and OpenCV, where they are installed.

``pip install pyvips[binary] opencv-python-headless`` does it. The tests do not require them, since
what they found is guarded by the other files of this folder. Two kinds of files are left out, in
which libvips differs on purpose: it takes a profile of its own for CMYK without one, and shows
floats whose zero is white as negatives.
"""

import itertools

import numpy as np
import pytest
from files_by_hand import ADOBE, P3, SRGB, encode, profile, tiff
from PIL import Image

from dcgan_utils.data.decode import decode_image

pyvips = pytest.importorskip("pyvips")
cv2 = pytest.importorskip("cv2")

SIDE, BACKGROUND = 32, (250, 120, 30)
PROFILES = {
    "no profile": None,
    "sRGB": profile(SRGB, None),
    "Adobe RGB": profile(ADOBE),
    "P3": profile(P3, None),
    "gamma 1.8": profile(SRGB, 1.8),
}
GREY = {"no profile": None, "linear": profile(exponent=1.0, mode="L")}


def drawn(mode):
    """Return smooth colours with some grain and, where there is alpha, a slope of it."""
    rng, slope = np.random.default_rng(0), np.linspace(0, 1, SIDE)
    x, y = np.meshgrid(slope, slope)
    rgba = np.stack([x, y, 1 - x * y, 0.2 + 0.8 * x], -1) * 235 + rng.uniform(
        0, 20, (SIDE, SIDE, 4)
    )
    image = Image.fromarray(rgba.astype(np.uint8), "RGBA")
    if mode == "I;16":
        return Image.fromarray((rgba[..., 0] * 257).astype(np.uint16))
    if mode == "P":
        return image.convert("RGB").quantize(64)
    return image.convert(mode) if mode in ("RGBA", "LA") else image.convert("RGB").convert(mode)


def rotations(kind, mode):
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"{kind} {mode} turned {orientation}", encode(drawn(mode), kind, exif=exif)


def files():
    made = {
        "PNG": (["1", "L", "LA", "P", "RGB", "RGBA", "I;16"], [{}, {"compress_level": 0}]),
        "JPEG": (["L", "RGB", "CMYK"], [{"quality": q, "subsampling": s, "progressive": p}
                                        for q in (60, 95) for s in (0, 2) for p in (0, 1)]),
        "WEBP": (["RGB", "RGBA"], [{"lossless": True}, {"quality": 80}]),
        "TIFF": (["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
                 [{"compression": c} for c in ("raw", "tiff_lzw", "tiff_adobe_deflate")]),
        "GIF": (["L", "P"], [{}]),
        "PPM": (["1", "L", "RGB", "I;16"], [{}]),
        "BMP": (["1", "L", "P", "RGB"], [{}]),
        "JPEG2000": (["L", "RGB"], [{"irreversible": False}]),
        "AVIF": (["RGB", "RGBA"], [{"quality": 100, "subsampling": "4:4:4"}]),
    }  # fmt: skip
    for kind, (modes, options) in made.items():
        for mode, (number, option) in itertools.product(modes, enumerate(options)):
            grey, ink = mode in ("1", "L", "LA", "I;16"), mode == "CMYK"
            profiles = GREY if grey else PROFILES
            if ink or mode == "1" or kind in ("PPM", "JPEG2000", "BMP"):
                profiles = {"no profile": None}
            for name, embedded in profiles.items():
                if embedded is not None:
                    option = option | {"icc_profile": embedded}
                yield f"{kind} {mode} {number} {name}", encode(drawn(mode), kind, **option)
    for kind, mode in (("JPEG", "RGB"), ("PNG", "RGBA"), ("WEBP", "RGB"), ("TIFF", "RGB")):
        yield from rotations(kind, mode)
    numbers = [*itertools.product("<>", ("u1", "u2"), (0, 1)), ("<", "f4", 1), (">", "f4", 1)]
    for order, kind, photometric in numbers:
        levels = np.asarray(drawn("L").crop((0, 0, 16, 16))).astype(float)
        scaled = levels / 255 if kind == "f4" else levels * (257 if kind == "u2" else 1)
        raw = scaled.astype(f"{order}{kind}").tobytes()
        options = {"bits": (8 * int(kind[1]),), "sample_format": 3 if kind == "f4" else 1}
        yield (
            f"TIFF {order}{kind} photometric {photometric}",
            tiff(raw, photometric=photometric, order=order, **options),
        )


FILES = dict(files())
FOR_OPENCV = ("PPM", "JPEG2000", "JPEG CMYK", "BMP")  # libvips in pyvips[binary] has no reader


def by_libvips(data):
    """Decode as libvips' own thumbnails do: turn, go to sRGB, flatten."""
    image = pyvips.Image.new_from_buffer(data, "").autorot()
    if image.format in ("float", "double"):
        image = (image * 255).copy(interpretation="b-w")
    elif image.get_typeof("icc-profile-data") and image.interpretation != "cmyk":
        image = image.icc_transform("srgb", embedded=True, intent="perceptual")
    image = image.colourspace("srgb")
    if image.hasalpha():
        image = image.flatten(background=list(BACKGROUND))
    return image.rint().cast("uchar").numpy()[..., :3].astype(int)


def by_opencv(data):
    """Decode grey, colours and inks; OpenCV knows neither profiles nor alpha."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return image.astype(int)


def test_there_are_at_least_200_files():
    assert len(FILES) >= 200


@pytest.mark.parametrize("name", FILES)
def test_both_see_the_same(name):
    judge = by_opencv if name.startswith(FOR_OPENCV) else by_libvips
    expected = judge(FILES[name])
    found = decode_image(FILES[name], len(expected), background=BACKGROUND).pixels.astype(int)
    assert np.abs(found - expected).mean() <= 1, np.abs(found - expected).max()
