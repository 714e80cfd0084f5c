"""Levels: what the numbers in a deep image mean, as 0 (black) to 255 (white)."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dcgan_utils.data.formats import open_image, tiff_tags


def to_8_bits(image: Image.Image, opened: Image.Image, data: bytes) -> Image.Image:
    """Bring grey of more than 8 bits to levels; Pillow's own conversion would clip it.

    Whole numbers span the range of their bits. Floats and numbers of 32 bits say nothing of their
    range: it ends at 1, 255 or 65535, whichever holds all of the image, and else at its own
    extremes, which negative numbers ask for too.

    Parameters
    ----------
    image
        Decoded. Images of 8 bits are returned as they are.
    opened
        As Pillow opened it, with its format and what it found beside the pixels.
    data
        The file.

    Returns
    -------
    PIL.Image.Image
        Mode L, or LA if the image has a transparent colour, which is compared at full depth.
    """
    tags = tiff_tags(data) if opened.format == "TIFF" else {}
    if image.mode == "L" and tags.get(339) == (2,):  # signed: half of the range is negative
        return Image.fromarray(np.asarray(image) ^ 128)
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    stored = np.asarray(image)
    if tags.get(258) == (32,) and tags.get(339, (1,)) == (1,):
        stored = stored.view(np.uint32)  # Pillow takes them for signed numbers
    values = np.nan_to_num(stored.astype(np.float64), posinf=np.inf, neginf=-np.inf)
    black, white = _range(image.mode, values, tags)
    share = np.clip((values - black) / (white - black), 0, 1)
    if opened.info["white_is_zero"]:
        share = 1 - share
    grey = Image.fromarray(np.rint(255 * share).astype(np.uint8))
    key = opened.info.get("transparency")
    if key is not None:
        grey.putalpha(Image.fromarray(np.where(stored == key, 0, 255).astype(np.uint8)))
    return grey


def _range(mode: str, values: np.ndarray, tags: dict) -> tuple[float, float]:
    """Return the numbers of black and white."""
    bits, sample_format = tags.get(258, (16,))[0], tags.get(339, (1,))[0]
    if mode != "F" and bits < 32:
        half = 2 ** (bits - 1)
        return (-half, half - 1) if sample_format == 2 else (0, 2 * half - 1)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low >= 0:
        ends = [end for end in (1, 255, 65535) if high <= end]
        if ends:
            return 0, ends[0]
    return (low, high) if low < high else (0, abs(high) or 1)


def scale_key_colour(image: Image.Image, data: bytes) -> None:
    """Scale the transparent colour of a PNG to the 8 bits of its decoded pixels.

    Pillow returns it in the bit depth of the file. Of 16 bits per channel it decodes the upper
    eight; the lower ones decide here too.
    """
    key = image.info.get("transparency")
    if image.format != "PNG" or key is None:
        return
    depth = data[24]
    if image.mode == "L" and depth < 8:
        image.info["transparency"] = key * 255 // (2**depth - 1)
    elif image.mode == "RGB" and depth == 16:
        del image.info["transparency"]
        levels = np.asarray(image).astype(np.uint16) << 8 | _lower_bytes(data)
        hidden = (levels == key).all(-1)
        image.putalpha(Image.fromarray(np.where(hidden, 0, 255).astype(np.uint8)))


def _lower_bytes(data: bytes) -> np.ndarray:
    image = open_image(data)
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    return np.asarray(image)


def expand_palette_of_8_bits(image: Image.Image, data: bytes) -> None:
    """Read the colour map of a TIFF as levels where none of its 16-bit numbers is above 255."""
    colours = tiff_tags(data).get(320, ())
    if image.format == "TIFF" and image.mode == "P" and colours and max(colours) <= 255:
        third = len(colours) // 3
        image.putpalette(np.reshape(colours[: 3 * third], (3, third)).T.astype(np.uint8).tobytes())
