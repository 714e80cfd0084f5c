"""A painting: first a sketch of colours, stroke directions and stroke sizes, then the strokes.

A sketch is a small plan, laid down back to front. It is then painted in layers of brush strokes
from broad to fine, with the relief of impasto and canvas. All positions and lengths are fractions
of the image's side (0..1, from the left and from the top), so an image looks the same at any size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

GRID = 128  # side of a sketch: its colours need less resolution than the strokes
UP = np.pi / 2  # direction of a vertical stroke

ACROSS = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID
X, Y = np.meshgrid(ACROSS, ACROSS)

Colour = str | np.ndarray  # six hexadecimal digits, or RGB in 0..255 (last axis)


def as_rgb(colour: Colour) -> np.ndarray:
    """Return a colour as float RGB, 0..255."""
    if isinstance(colour, str):
        return np.array(list(bytes.fromhex(colour)), np.float32)
    return colour


def mix(a: Colour, b: Colour, share: ArrayLike) -> np.ndarray:
    """Blend ``a`` with a share (0..1, a number or a map) of ``b``."""
    a, share = as_rgb(a), np.asarray(share, np.float32)
    return a + (as_rgb(b) - a) * (share[..., None] if share.ndim else share)


class Palette(NamedTuple):
    """The colours of a time of day, the range of the sun's height, and the probability.

    The sun's height above the horizon is a fraction of the height of the sky.
    """

    zenith: str
    low_sky: str
    glow: str
    light: str
    shadow: str
    haze: str
    sun: tuple[float, float]
    weight: float


@dataclass
class Sketch:
    """A plan of an image: maps of shape (GRID, GRID), and single strokes on top.

    ``horizon`` (0 if there is none) and ``sun`` (x, y) are positions. ``rgb`` has a colour axis
    (0..255); ``angle`` is the direction of the strokes (radians, 0 along x), ``scale`` their size
    (1 is broad); ``region`` numbers the objects. ``dabs`` are single strokes that are painted
    last: arrays of shape (n, 8) with x, y, length, width, angle, r, g, b.
    """

    rng: np.random.Generator
    palette: Palette
    horizon: float
    sun: tuple[float, float]
    rgb: np.ndarray = field(default_factory=lambda: np.zeros((GRID, GRID, 3), np.float32))
    angle: np.ndarray = field(default_factory=lambda: np.zeros_like(X))
    scale: np.ndarray = field(default_factory=lambda: np.ones_like(X))
    region: np.ndarray = field(default_factory=lambda: np.zeros_like(X, np.int32))
    dabs: list[np.ndarray] = field(default_factory=list)

    def lay(
        self, mask: np.ndarray, rgb: Colour, angle: ArrayLike, scale: float | None = None
    ) -> None:
        """Lay a colour where ``mask`` is (0..1); with a ``scale`` it becomes a new region."""
        self.rgb = mix(self.rgb, rgb, mask)
        inside = mask > 0.5
        self.angle = np.where(inside, angle, self.angle)
        if scale is not None:
            self.scale = np.where(inside, np.float32(scale), self.scale)
            self.region = np.where(inside, self.region.max() + 1, self.region)
            self.dabs = [
                dabs[~_at(inside, dabs[:, :2])] for dabs in self.dabs
            ]  # remove covered ones

    def dab(self, *stroke: ArrayLike) -> None:
        """Add single strokes: x, y, length, width, angle, rgb (all broadcast)."""
        columns = (*stroke[:-1], *np.moveaxis(np.asarray(stroke[-1]), -1, 0))
        rows = np.broadcast_arrays(*map(np.atleast_1d, columns))
        self.dabs.append(np.stack(rows, axis=1).astype(np.float32))

    def lit(self, local: Colour, amount: ArrayLike, haze: float = 0.0) -> np.ndarray:
        """Return an object's colour between shadow (``amount`` 0) and sunlight (1), behind haze."""
        p, amount = self.palette, np.asarray(amount, np.float32)
        shade = mix(0.72 * as_rgb(local), p.shadow, 0.55)
        plain = as_rgb(local) * (0.4 + 0.6 * as_rgb(p.light) / 255)
        colour = mix(shade, plain, np.clip(2 * amount, 0, 1))
        colour = mix(colour, mix(plain, p.light, 0.4), np.clip(2 * amount - 1, 0, 1))
        return mix(colour, p.haze, haze)

    def away(self, x: float) -> float:
        """Return the direction of shadows at ``x``: 1 to the right, -1 to the left."""
        return 1.0 if x > self.sun[0] else -1.0

    @property
    def low_sun(self) -> bool:
        """Whether the sun is low at this time of day."""
        return self.palette.sun[1] < 0.5


def _at(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Look up a map at positions (x, y), shape (n, 2)."""
    column, row = np.clip(positions * GRID, 0, GRID - 1).astype(int).T
    return values[row, column]


def smooth_step(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """Return 0 below ``low``, 1 above ``high``, and a smooth transition in between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def noise(s: Sketch, across: int, down: int, octaves: int = 2) -> np.ndarray:
    """Return a map of smooth noise, 0..1, with the given numbers of cells across and down."""
    total = np.zeros_like(X)
    for octave in range(octaves):
        cells = s.rng.random((down * 2**octave + 1, across * 2**octave + 1), np.float32)
        smooth = Image.fromarray(cells).resize((GRID, GRID), Image.Resampling.BICUBIC)
        total += np.asarray(smooth) / 2**octave
    return (total - total.min()) / np.ptp(total)


def receding(s: Sketch, across: int, down: int, octaves: int = 2) -> np.ndarray:
    """Return noise in the perspective of the ground: finer towards the horizon."""
    depth = np.clip((ACROSS - s.horizon) / (1 - s.horizon), 0, 1)
    rows = np.log1p(12 * depth) / np.log(13) * (GRID - 1)
    return noise(s, across, down, octaves)[rows.astype(int)]


def ridge(s: Sketch, cells: int, octaves: int = 3) -> np.ndarray:
    """Return a rough line, 0..1, shape (GRID,)."""
    return noise(s, cells, 1, octaves)[GRID // 2]


def below(line: ArrayLike) -> np.ndarray:
    """Return the mask of the area below a height, or below a line of shape (GRID,)."""
    return np.clip((Y - line) * GRID + 0.5, 0, 1)


def shape(x: float, base: float, unit: float, *corners: float) -> np.ndarray:
    """Return the mask of a polygon; its corners (x, up) are in units, from (x, base)."""
    points = np.reshape(corners, (-1, 2)) * (unit, -unit) + (x, base)
    image = Image.new("L", (2 * GRID, 2 * GRID))
    ImageDraw.Draw(image).polygon((2 * GRID * points).ravel().tolist(), fill=255)
    return np.asarray(image.reduce(2), np.float32) / 255


# --- The brush ---

# The outline of a stroke, along and across (-1..1): full at its start, thin at its end.
_ALONG = np.array([-1, -0.7, 0.5, 1, 1, 0.5, -0.7, -1], np.float32)
_BESIDE = np.array([-0.4, -0.95, -1, -0.35, 0.35, 1, 0.95, 0.4], np.float32)
# The layers: distance between strokes, their length and width at scale 1, and the scale up to
# which a layer covers everything; broader parts of the sketch get fewer of its strokes.
_LAYERS = (
    (0.050, 0.150, 0.050, 9.0),
    (0.027, 0.080, 0.024, 9.0),
    (0.0145, 0.064, 0.019, 0.42),
    (0.0090, 0.064, 0.021, 0.30),
)


def _layer(s: Sketch, gap: float, length: float, width: float, finest: float) -> np.ndarray:
    """Return the strokes of a layer in random order, an array like those of ``Sketch.dabs``."""
    rng, ticks = s.rng, np.arange(0, 1, gap, np.float32)
    positions = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    positions = rng.permutation(positions + gap * rng.random(positions.shape, np.float32))
    scale = _at(s.scale, positions)
    chosen = rng.random(len(positions)) < np.where(scale > finest, (finest / scale) ** 3, 1)
    positions, scale = positions[chosen], np.clip(scale[chosen], 0.3, 0.8 if finest < 1 else 1.2)
    n = len(positions)
    angle = _at(s.angle, positions) + rng.normal(0, 0.16, n)
    lengths = length * scale * rng.uniform(0.7, 1.3, n)
    ahead = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for end in (-0.5, 0.5):  # a stroke that would leave its region is shortened
        strays = _at(s.region, positions + end * lengths[:, None] * ahead) != _at(
            s.region, positions
        )
        lengths = np.where(strays, 0.55 * lengths, lengths)
    # Broken colour: strokes vary in value and hue, and some are mixed with light or shadow.
    rgb = _at(s.rgb, positions) + rng.normal(0, 5, (n, 1)) + rng.normal(0, 6, (n, 3))
    partner = np.where(rng.random((n, 1)) < 0.5, as_rgb(s.palette.light), as_rgb(s.palette.shadow))
    rgb = mix(rgb, partner, 0.22 * (rng.random(n) < 0.18))
    widths = width * scale * rng.uniform(0.75, 1.25, n)
    return np.column_stack([positions, lengths, widths, angle, rgb])


def paint(s: Sketch, size: int) -> np.ndarray:
    """Paint the sketch; return float RGB, shape (size, size, 3)."""
    strokes = np.concatenate([*(_layer(s, *layer) for layer in _LAYERS), *s.dabs])
    x, y, length, width, angle = strokes[:, :5, None].transpose(1, 0, 2)
    n, side = len(strokes), 2 * size  # painted at twice the size, for smooth edges
    along, bend = _ALONG * length / 2, s.rng.normal(0, 0.35, (n, 1)) * width
    beside = _BESIDE * width / 2 + bend * _ALONG**2
    px = x + along * np.cos(angle) - beside * np.sin(angle)
    py = y + along * np.sin(angle) + beside * np.cos(angle)
    outlines = (side * np.stack([px, py], axis=-1)).reshape(n, -1).tolist()
    rgb = np.clip(strokes[:, 5:] + s.rng.normal(0, 3, (n, 3)), 0, 255)
    thickness = s.rng.integers(60, 256, n)  # of the paint, stored in the alpha channel
    image = Image.new("RGBA", (side, side), (200, 190, 180, 60))
    draw = ImageDraw.Draw(image)
    inks = np.column_stack([rgb, thickness]).astype(int).tolist()
    for outline, ink in zip(outlines, inks, strict=True):
        draw.polygon(outline, fill=tuple(ink))
    paint = np.asarray(image.reduce(2), np.float32)
    grey = paint[..., :3].mean(axis=-1, keepdims=True)
    return grey + 1.15 * (paint[..., :3] - grey) + _relief(s, paint[..., 3], size)[..., None]


def _relief(s: Sketch, thickness: np.ndarray, size: int) -> np.ndarray:
    """Return the light and shadow of impasto, bristles and canvas, shape (size, size)."""
    rows, columns = np.indices((size, size), np.float32)
    angle = s.angle[(rows * GRID / size).astype(int), (columns * GRID / size).astype(int)]
    cos, sin = np.cos(angle), np.sin(angle)
    grain = s.rng.standard_normal((size, size), np.float32)
    bristles = np.zeros_like(grain)
    for k in range(-3, 4):  # smear the grain along the strokes
        row, column = (rows + k * sin).astype(np.int32), (columns + k * cos).astype(np.int32)
        bristles += grain.take(row * size + column, mode="wrap")
    height = 0.1 * thickness + 1.3 * bristles
    slope = height - np.roll(height, (1, 1), (0, 1))
    return np.clip(0.8 * slope, -24, 24) + 1.5 * np.sin(2.1 * rows) * np.sin(2.1 * columns)
