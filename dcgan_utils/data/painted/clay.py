"""The modelling of a creature: soft clay shapes, placed on top of each other, seen from the front.

A shape is a signed distance: an array that is negative inside, in units of half the image's side.
Shapes can be melted together, and get colour, shading and a dark outline when they are put on the
canvas. The origin is the centre, x points right and y down, both from -1 to 1. Creatures are
symmetric: `Clay.side` is the absolute value of x, so a shape that uses it appears on both sides.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

OUTLINE = 0.017  # width of the line around each part
LIGHT = np.array([-0.45, -0.65, 0.62])  # from the left, above and in front


def ball(
    x: np.ndarray,
    y: np.ndarray,
    at: tuple[float, float],
    radii: tuple[float, float] | float,
    turn: float = 0.0,
) -> np.ndarray:
    """Return an ellipse about ``at``; ``turn`` in radians, clockwise."""
    rx, ry = radii if isinstance(radii, tuple) else (radii, radii)
    u, v = x - at[0], y - at[1]
    if turn:
        u, v = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    # Scaled so that the distance is correct near the border, where the outline is.
    near = np.hypot(u / rx, v / ry)
    slope = np.hypot(u / rx**2, v / ry**2)
    return np.where(near < 0.05, -min(rx, ry), near * (near - 1) / np.maximum(slope, 1e-6))


def limb(
    x: np.ndarray,
    y: np.ndarray,
    start: tuple[float, float],
    end: tuple[float, float],
    thick: float,
    thin: float,
) -> np.ndarray:
    """Return a stick with round ends of radius ``thick`` (start) and ``thin`` (end)."""
    along = np.array(end) - start
    share = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / (along @ along)
    share = np.clip(share, 0, 1)
    away = np.hypot(x - start[0] - share * along[0], y - start[1] - share * along[1])
    return away - (thick + (thin - thick) * share)


def petal(
    x: np.ndarray, y: np.ndarray, start: tuple[float, float], end: tuple[float, float], width: float
) -> np.ndarray:
    """Return a leaf, pointed at both ends; ``width`` is that at its middle."""
    along = np.array(end) - start
    length = np.hypot(*along)
    ahead = along / length
    u = (x - start[0]) * ahead[0] + (y - start[1]) * ahead[1] - length / 2
    v = np.abs((y - start[1]) * ahead[0] - (x - start[0]) * ahead[1])
    offset = (length**2 - width**2) / (
        4 * width
    )  # of the centres of two circles that meet at the ends
    return np.hypot(u, v + offset) - (offset + width / 2)


def band(shape: np.ndarray, width: float) -> np.ndarray:
    """Return a line along the border of a shape."""
    return np.abs(shape) - width / 2


def melt(one: np.ndarray, other: np.ndarray, softness: float = 0.08) -> np.ndarray:
    """Join two shapes with a smooth transition (Inigo Quilez' polynomial smooth minimum)."""
    near = np.maximum(softness - np.abs(one - other), 0) / softness
    return np.minimum(one, other) - near**2 * softness / 4


def tint(colour: np.ndarray, towards: float) -> np.ndarray:
    """Move a colour towards white (up to 1) or a deep violet (down to -1)."""
    end = np.array([255.0, 255.0, 255.0]) if towards > 0 else np.array([28.0, 18.0, 48.0])
    return colour + (end - colour) * abs(towards)


class Clay:
    """A canvas, initially transparent.

    Parameters
    ----------
    size
        Width and height in pixels.
    zoom
        Size of the creature: at 1 the coordinates from -1 to 1 fill the canvas.

    Attributes
    ----------
    x, y, side : numpy.ndarray
        Coordinates of the pixels; ``side`` is ``abs(x)``.
    """

    def __init__(self, size: int, zoom: float = 1.0):
        self._pixels = size * zoom / 2  # per unit
        middle = (np.arange(size, dtype=np.float32) + 0.5 - size / 2) / self._pixels
        self.x, self.y = np.meshgrid(middle, middle)
        self.side = np.abs(self.x)
        self._rgb = np.zeros((size, size, 3), np.float32)  # premultiplied by alpha
        self._alpha = np.zeros((size, size), np.float32)

    def put(
        self,
        shape: np.ndarray,
        colour: np.ndarray,
        *,
        marks: tuple[tuple[np.ndarray, np.ndarray], ...] = (),
        depth: float = 0.22,
        line: float = OUTLINE,
        opacity: float = 1.0,
    ) -> None:
        """Put a part on top, with outline, colour and shading.

        Parameters
        ----------
        shape, colour
            The part and its RGB, 0..255.
        marks
            Other shapes with their colours, painted inside the part.
        depth
            Width of the rounded rim; 0 makes the part flat.
        line
            Width of the outline.
        opacity
            0 (invisible) to 1 (opaque).
        """
        if line:
            self._blend(self._cover(shape - line), tint(colour, -0.72)[None, None], opacity)
        surface = np.broadcast_to(colour, self._rgb.shape).astype(np.float32)
        for mark, mark_colour in marks:
            surface = surface + (mark_colour - surface) * self._cover(mark)[..., None]
        if depth:
            surface = self._lit(shape, surface, depth)
        self._blend(self._cover(shape), surface, opacity)

    def _cover(self, shape: np.ndarray) -> np.ndarray:
        return np.clip(0.5 - shape * self._pixels, 0, 1)

    def _lit(self, shape: np.ndarray, surface: np.ndarray, depth: float) -> np.ndarray:
        """Shade a part as if its rim were rounded like that of a cushion."""
        inward = np.clip(-shape / depth, 0, 1)
        height = np.sqrt(1 - (1 - inward) ** 2) * depth
        down, right = np.gradient(height, 1 / self._pixels)
        towards = (-right * LIGHT[0] - down * LIGHT[1] + LIGHT[2]) / np.sqrt(1 + down**2 + right**2)
        shade = np.clip((0.55 - towards) * 0.75, 0, 0.42)[..., None]
        shine = np.clip((towards - 0.82) * 2.2, 0, 0.35)[..., None]
        surface = surface + (tint(surface, -0.6) - surface) * shade
        return surface + (255 - surface) * shine

    def _blend(self, cover: np.ndarray, rgb: np.ndarray, opacity: float) -> None:
        cover = (cover * opacity).astype(np.float32)
        self._alpha = cover + self._alpha * (1 - cover)
        self._rgb = rgb * cover[..., None] + self._rgb * (1 - cover[..., None])

    def image(self) -> Image.Image:
        """Return the canvas as an RGBA image."""
        alpha = self._alpha[..., None]
        rgb = np.where(alpha > 0, self._rgb / np.maximum(alpha, 1e-6), 255)
        levels = np.concatenate([rgb, 255 * alpha], axis=2)
        return Image.fromarray(np.clip(levels + 0.5, 0, 255).astype(np.uint8), "RGBA")
