"""How an image becomes a square: cropped, padded or stretched, and on which background."""

from __future__ import annotations

from PIL import Image, ImageColor

from dcgan_utils.core.errors import WorkbookError, did_you_mean


def _crop(image: Image.Image, side: int, background: tuple[int, int, int]) -> Image.Image:
    """Crop the central square and resize it."""
    own = min(image.size)
    left, top = (image.width - own) // 2, (image.height - own) // 2
    # Integer coordinates: an image that already has the right size stays unchanged.
    box = (left, top, left + own, top + own)
    return image.resize((side, side), Image.Resampling.LANCZOS, box=box)


def _pad(image: Image.Image, side: int, background: tuple[int, int, int]) -> Image.Image:
    """Resize the whole image and centre it on a square of `background`."""
    scale = side / max(image.size)
    width, height = (max(1, round(own * scale)) for own in image.size)
    square = Image.new("RGB", (side, side), background)
    inner = image.resize((width, height), Image.Resampling.LANCZOS)
    square.paste(inner, ((side - width) // 2, (side - height) // 2))
    return square


def _stretch(image: Image.Image, side: int, background: tuple[int, int, int]) -> Image.Image:
    """Resize the whole image to a square, whatever its sides are."""
    return image.resize((side, side), Image.Resampling.LANCZOS)


_FITS = {"crop": _crop, "pad": _pad, "stretch": _stretch}
FITS = tuple(_FITS)


def to_square(
    image: Image.Image, side: int, *, fit: str, background: tuple[int, int, int]
) -> Image.Image:
    """Return an RGB image as a square.

    Parameters
    ----------
    image
        RGB.
    side
        In pixels.
    fit : {"crop", "pad", "stretch"}
        Keep the centre, keep all on a square of `background`, or scale both sides to the same
        length, which distorts. A square image becomes the same by all three.
    background
        RGB in 0..255.
    """
    return _FITS[fit](image, side, background)


def parse_background(background: str) -> tuple[int, int, int]:
    """Return a colour name or ``#rrggbb`` as RGB in 0..255.

    Raises
    ------
    WorkbookError
        If Pillow does not know the colour.
    """
    try:
        colour = ImageColor.getcolor(background, "RGB")
        if max(colour) > 255:
            raise ValueError("above 255")
    except (ValueError, TypeError, AttributeError) as error:
        near = did_you_mean(str(background), ImageColor.colormap)
        raise WorkbookError(
            f"background={background!r:.100} is not a colour: give a name such as 'white' "
            f"or a code such as '#ffeedd'.{near}"
        ) from error
    return colour


def canonical_background(background: str) -> str:
    """Return the code ``#rrggbb`` of a colour, which is the same however it was written."""
    return "#{:02x}{:02x}{:02x}".format(*parse_background(background))
