"""The second study's coloured copies of an image, made with Pillow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance

GREEN, RED = 85, 0  # on Pillow's circle of hues, which has 256 steps


def _hue(image: Image.Image, hue: int) -> Image.Image:
    _, saturation, value = image.convert("HSV").split()
    return Image.merge("HSV", (Image.new("L", image.size, hue), saturation, value)).convert("RGB")


def _saturation(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Color(image).enhance(factor)


def _contrast(image: Image.Image, factor: float, seen: Image.Image | None) -> Image.Image:
    """Stretch the levels about the mean grey of the parts that are seen."""
    weights = None if seen is None or not seen.getextrema()[1] else np.asarray(seen)
    mean = round(np.average(np.asarray(image.convert("L")), weights=weights))
    return Image.blend(Image.new("RGB", image.size, (mean,) * 3), image, factor)


_CHANGES: dict[str, Callable[[Image.Image, Image.Image | None], Image.Image]] = {
    "green hue": lambda image, seen: _hue(image, GREEN),
    "red hue": lambda image, seen: _hue(image, RED),
    "saturation x 2.5": lambda image, seen: _saturation(image, 2.5),
    "saturation x 0.5": lambda image, seen: _saturation(image, 0.5),
    "contrast x 2": lambda image, seen: _contrast(image, 2, seen),
}


COPIES = tuple(_CHANGES)


def coloured_copy(image: Image.Image, kind: str) -> Image.Image:
    """Return one of the second study's five variants of an image.

    Every hue turned to green or to red, the saturation times 2.5 or 0.5, the contrast
    doubled. Transparent parts stay as transparent as they are and do not count in the mean
    about which the contrast is stretched. White and black keep their colour; so does grey, but
    when the contrast is changed.

    Parameters
    ----------
    image
        Of 8 bits, in any mode of Pillow's.
    kind
        One of `COPIES`.

    Returns
    -------
    PIL.Image.Image
        RGB, or RGBA where the image has transparency.
    """
    seen = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    changed = _CHANGES[kind](image.convert("RGBA").convert("RGB"), seen)
    if seen is not None:
        changed.putalpha(seen)
    return changed
