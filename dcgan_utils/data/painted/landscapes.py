"""The subjects of ``plein_air``, painted back to front as a landscape painter would."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from dcgan_utils.data.painted.brush import (
    ACROSS,
    GRID,
    UP,
    Colour,
    Sketch,
    X,
    Y,
    as_rgb,
    below,
    mix,
    noise,
    receding,
    ridge,
    shape,
    smooth_step,
)

WHITE = "fffcf4"


def _blurred(values: np.ndarray, sigma: ArrayLike) -> np.ndarray:
    from scipy.ndimage import gaussian_filter  # slow to import, and only needed to paint

    return gaussian_filter(values, sigma)


# --- Elements of several subjects ---


def _sky(s: Sketch, clouds: float | None = None) -> None:
    """Lay a sky: a gradient, the glow around the sun, clouds lit from above, a low sun."""
    p, rng = s.palette, s.rng
    low = 2 * np.clip(Y / s.horizon, 0, 1) ** rng.uniform(0.8, 1.6)
    rgb = mix(mix(p.zenith, p.haze, np.minimum(low, 1)), p.low_sky, np.maximum(low - 1, 0))
    distance = np.hypot(X - s.sun[0], 1.3 * (Y - s.sun[1]))
    rgb = mix(rgb, p.glow, 0.8 * np.exp(-((distance / rng.uniform(0.18, 0.34)) ** 2)))
    puffs = noise(s, int(rng.integers(2, 5)), int(rng.integers(4, 9)), 3)
    edge, amount = rng.uniform(0.42, 0.62), rng.uniform(0.2, 0.95)
    crown = np.clip(0.5 + 3.5 * (puffs - np.roll(puffs, 5, axis=0)), 0, 1)
    crown[:5] = 0.7
    under = mix(mix(p.low_sky, p.shadow, 0.36), p.haze, 0.3)
    cloud = mix(under, mix(p.glow, WHITE, 0.45), crown)
    rgb = mix(rgb, cloud, (clouds or amount) * smooth_step(edge, edge + 0.2, puffs))
    sweep = rng.uniform(-0.35, 0.35) + 2.2 * (noise(s, 2, 3, 1) - 0.5)
    s.lay(np.ones_like(X), rgb, sweep, 1.0)
    if s.low_sun:
        disc = np.clip((rng.uniform(0.02, 0.036) - distance) * GRID, 0, 1)
        s.lay(disc, mix(p.glow, "ff7a3c", rng.uniform(0, 0.5)), 0.4, 0.35)


def _hills(s: Sketch, layers: int, height: float, green: Colour = "6f9a62") -> None:
    """Lay ranges of hills behind the horizon, bluer and paler with distance."""
    for far in range(layers, 0, -1):
        top = s.horizon - height * (0.35 + 0.4 * far) * (0.25 + ridge(s, 2 + far))
        light = 0.25 + 0.6 * noise(s, 8, 14)
        tone = s.lit(mix(green, "8a8fc0", 0.3 * far), light, 0.2 + 0.26 * far)
        s.lay(below(top), tone, 0.25, 0.6)


def _water(s: Sketch, shore: np.ndarray, local: Colour, calm: float) -> None:
    """Lay water below the shoreline; it mirrors what is above, broken by ripples."""
    p, depth = s.palette, np.clip((Y - shore) / (1 - s.horizon), 0, 1)
    sway, waves = receding(s, 3, 26, 1), receding(s, 5, 26, 1)
    rows = 2 * shore - Y + (sway - 0.5) * 0.12 * (0.2 + depth)
    columns = X + (waves - 0.5) * 0.10 * (0.2 + depth)
    far = (0.9 - 0.8 * calm) * np.exp(-depth / 0.12)
    rows, columns = (np.clip(v * GRID, 0, GRID - 1).astype(int) for v in (rows, columns))
    mirrored = _blurred(s.rgb[rows, columns], (1.2, 0.7, 0))
    rgb = mix(mirrored, s.lit(mix(local, p.zenith, 0.4), 0.4), (1 - calm) * (0.7 + 0.7 * depth))
    # Distant water reflects little: a darker band keeps the horizon visible.
    rgb = mix(rgb, s.lit(mix(local, p.shadow, 0.3), 0.35), far)
    rgb = mix(rgb, p.shadow, 0.3 * smooth_step(0.58, 0.85, waves) * (0.4 + depth))
    rgb = mix(rgb, mix(p.glow, p.low_sky, 0.5), 0.40 * smooth_step(0.40, 0.18, waves))
    s.lay(below(shore), rgb, (sway - 0.5) * 0.35, 0.62)


def _glitter(s: Sketch, shore: float, count: int) -> None:
    """Dab the reflection of the sun onto the water."""
    depth = s.rng.random(count) ** 1.4
    x, length = s.sun[0] + s.rng.normal(0, 0.02 + 0.07 * depth), 0.02 + 0.05 * depth
    colour = mix(s.palette.glow, "ff8a4c", (0.45 if s.low_sun else 0.15) * s.rng.random(count))
    s.dab(x, shore + (1 - shore) * depth, length, length * 0.28, 0, colour)


def _meadow(s: Sketch, grass: Colour, other: Colour) -> None:
    """Lay the ground up to the horizon: patches of two colours in varying light."""
    patches, light = receding(s, 3, 12, 3), receding(s, 5, 12, 3)
    tone = s.lit(mix(grass, other, smooth_step(0.3, 0.7, patches)), 0.1 + 0.75 * light)
    tone = mix(tone, s.palette.low_sky, 0.16 if s.low_sun else 0.08)
    far = np.clip((1 - Y) / (1 - s.horizon), 0, 1) ** 3
    s.lay(below(s.horizon), mix(tone, s.palette.haze, 0.5 * far), (light - 0.5) * 0.9, 0.75)


def _tree(
    s: Sketch, x: float, base: float, height: float, width: float, local: Colour, haze: float
) -> None:
    """Lay a tree: a trunk and a ragged crown, lit from the side of the sun."""
    u, v = (X - x) / width, (Y - base + 0.55 * height) / (0.5 * height)
    ragged = noise(s, 16, 16)
    crown = smooth_step(1.25, 1.05, np.hypot(u, v) + 0.75 * (ragged - 0.35))
    light = 0.45 - 0.28 * s.away(x) * u - 0.25 * v + 0.7 * (ragged - 0.5)
    trunk = s.lit("7a5c58", 0.25, haze)
    s.lay(crown, s.lit(local, np.clip(light, 0, 1), haze), 0.9 + 2 * ragged, 0.42)
    s.dab(x, base - 0.1 * height, 0.24 * height, 0.006 + 0.1 * width, UP, trunk)


def _grove(s: Sketch, most: int, size: tuple[float, float], local: Colour, haze: float) -> None:
    """Lay some trees along the horizon."""
    for x in s.rng.uniform(-0.05, 1.05, int(s.rng.integers(most // 3, most + 1))):
        height = s.rng.uniform(*size)
        _tree(s, x, s.horizon + 0.015, height, 0.55 * height, local, haze)


def _house(s: Sketch, x: float, base: float, width: float, roof: Colour, haze: float) -> None:
    """Lay a house: a wall, a gable, a roof, windows, a chimney."""
    wall, sunny = s.rng.choice(["e8c49c", "d8a088", "ecdcc0"]), 0.8 if s.away(x) > 0 else 0.3
    front = shape(x, base, width, -1, 0, -1, 0.7, 0.3, 0.7, 0.3, 0)
    s.lay(front, s.lit(wall, sunny, haze), UP, 0.3)
    gable = shape(x, base, width, 0.3, 0, 0.3, 0.7, 0.65, 1.3, 1, 0.7, 1, 0)
    s.lay(gable, s.lit(wall, 1 - sunny, haze), UP, 0.3)
    slope = shape(x, base, width, -1.1, 0.65, -0.75, 1.35, 0.68, 1.35, 0.32, 0.65)
    s.lay(slope, as_rgb(roof), 0.1, 0.3)
    if width > 0.05:  # smaller houses have no details
        panes, dark = x + width * np.array([-0.7, -0.1, 0.65]), s.lit("5a5878", 0.1, haze)
        s.dab(panes, base - 0.35 * width, 0.26 * width, 0.15 * width, UP, dark)
        stack, brick = base - 1.45 * width, s.lit(wall, 0.3, haze)
        s.dab(x - 0.4 * width, stack, 0.4 * width, 0.16 * width, UP, brick)


def _boat(s: Sketch, x: float, base: float, height: float, sail: Colour) -> None:
    """Lay a sailing boat and dab its broken reflection."""
    haze, lean = float(np.clip(0.6 - 2.2 * height, 0, 0.5)), s.rng.uniform(-0.08, 0.12)
    bright, wood = 0.9 if s.away(x) < 0 else 0.5, s.lit("5c4a5c", 0.25, haze)
    main = shape(x, base, height, 0, 0.12, lean, 1, 0.46, 0.12)
    jib = shape(x, base, height, -0.03, 0.12, lean, 1, -0.3, 0.12)
    hull = shape(x, base, height, -0.36, 0.12, 0.5, 0.12, 0.38, 0, -0.26, 0)
    s.lay(main, s.lit(sail, bright, haze), 1.2, 0.3)
    s.lay(jib, s.lit(sail, bright - 0.3, haze), -1.2, 0.3)
    s.lay(hull, wood, 0, 0.3)
    s.dab(x + 0.5 * lean * height, base - 0.55 * height, 0.95 * height, 0.006, UP + lean, wood)
    drop = s.rng.random(26)
    spread = 0.05 + s.rng.normal(0, 0.14, 26) * (1 - 0.5 * drop)
    tone = mix(s.lit(sail, 0.5, haze), s.palette.shadow, 0.55 * s.rng.random(26) ** 2)
    tone = mix(tone, wood, 0.8 * (drop < 0.15))
    y, thick = base + (0.02 + 0.75 * drop) * height, 0.003 + 0.035 * height
    s.dab(x + spread * height, y, 0.22 * height, thick, 0, tone)


# --- Subjects ---


def _cliffs(s: Sketch) -> None:
    """Lay the sea and chalk cliffs, perhaps an arch, a needle, a beach, sails."""
    rng, h = s.rng, s.horizon
    _sky(s)
    shore = np.full(GRID, h, np.float32)
    for far in reversed(range(int(rng.integers(1, 4)))):
        reach, rise = rng.uniform(0.3, 0.5) + 0.16 * far, rng.uniform(0.5, 0.85) / (1 + far) ** 0.8
        foot = h + 0.012 + rng.uniform(0.05, 0.15) / (1 + far) ** 1.6 * (1 - (ACROSS / reach) ** 2)
        foot = np.where(reach > ACROSS, foot, h)
        crest = 0.85 + 0.22 * ridge(s, 4) + rng.uniform(-0.35, 0.2) * ACROSS / reach
        top = h * (1 - rise * crest * smooth_step(reach, reach - 0.08, ACROSS))
        rock = below(top) * (1 - below(foot))
        turf = rock * (1 - below(top + 0.015 + 0.05 * ridge(s, 7)))
        if far == 0 and rng.random() < 0.5:
            gap = np.hypot((X - reach + 0.13) / 0.045, (Y - foot) / (0.55 * rise * h)) < 1
            foot = np.where(np.abs(ACROSS - reach + 0.13) < 0.045, h, foot)
            needle = shape(reach + 0.1, h + 0.02, rise * h, -0.14, 0, -0.02, 0.75, 0.1, 0)
            rock = np.maximum(rock * ~gap, needle)
        light = 0.35 + 0.7 * noise(s, 16, 3) + 0.35 * s.away(reach) * (0.5 - X / reach)
        tone = s.lit(mix("f2dfc0", "c89a86", 0.6 * noise(s, 3, 9)), light, 0.28 * far)
        s.lay(rock, tone, UP - 0.15 + 0.5 * (light - 0.5), 0.5)
        s.lay(turf, s.lit("8aa55a", 0.2 + 0.6 * light, 0.28 * far), 0.25, 0.45)
        shore = np.maximum(shore, foot)
    _water(s, shore, mix("3f8f9f", "5f86c0", rng.random()), rng.uniform(0.25, 0.55))
    if s.low_sun and s.sun[0] > 0.4:
        _glitter(s, h, 50)
    if rng.random() < 0.5:
        line = 0.97 - rng.uniform(0.1, 0.22) * (1 - ACROSS) ** 1.5 + 0.03 * ridge(s, 4)
        s.lay(below(line - 0.02), mix(s.palette.light, WHITE, 0.5), -0.2, 0.4)
        s.lay(below(line), s.lit("e2c49c", 0.25 + 0.7 * noise(s, 4, 14)), -0.2, 0.6)
    for size in rng.uniform(0.03, 0.08, int(rng.integers(0, 5))):
        _boat(s, rng.uniform(0.55, 0.95), h + 0.6 * size, size, "f4e6d4")


def _haystacks(s: Sketch) -> None:
    """Lay one to three haystacks in a stubble field before far trees and hills."""
    rng, h = s.rng, s.horizon
    _sky(s)
    _hills(s, int(rng.integers(1, 4)), rng.uniform(0.06, 0.13))
    _grove(s, 9, (0.04, 0.1), "6c8a66", 0.45)
    _meadow(s, "dcc478", mix("c8b070", "9cb468", rng.random()))
    x, side = rng.uniform(0.28, 0.7), rng.choice([-1, 1])
    positions = [x, x + side * rng.uniform(0.26, 0.42), x - side * rng.uniform(0.2, 0.4)]
    for k in reversed(range(rng.choice([1, 2, 2, 3]))):
        near = 0.6**k
        width, base = rng.uniform(0.15, 0.24) * near, h + (rng.uniform(0.72, 0.84) - h) * near
        _haystack(s, positions[k], base, width, 0.22 * k)


def _haystack(s: Sketch, x: float, base: float, width: float, haze: float) -> None:
    """Lay a haystack, a round body under a conical roof, and its shadow."""
    away, low = s.away(x), 1.6 if s.low_sun else 0.7
    left, right, end = low * away - 0.3, low * away + 0.7, -0.55 * low
    shadow = shape(x, base, width, -0.85, 0.1, 0.85, 0.1, right, end, left, end)
    s.lay(0.72 * _blurred(shadow, 1.5), mix(s.palette.shadow, "7c6cac", 0.4), 0.1)
    u = (X - x) / width
    v = (base - Y) / width + 0.05 * np.cos(1.5 * u)
    edge = np.abs(u) + 0.1 * (noise(s, 24, 24) - 0.5)
    light = np.clip(0.5 - 0.6 * away * u + 0.5 * (noise(s, 20, 20) - 0.5), 0, 1)
    body = (v > 0) & (v < 0.62) & (edge < 0.80 + 0.14 * v)
    roof = (v > 0.54) & (v < 1.42) & (edge < 1.04 * (np.clip(1.42 - v, 0, 1) / 0.86) ** 0.8)
    s.lay(body * 1.0, s.lit("d69a5c", 0.85 * light, haze), UP + 0.3 * u, 0.36)
    s.lay(roof * 1.0, s.lit("e8ba74", light + 0.08, haze), UP - 0.6 * u, 0.36)


def _lilies(s: Sketch) -> None:
    """Lay a pond seen from above: sky and willows in the water, rafts of lily pads."""
    rng, p = s.rng, s.palette
    s.horizon = 0.0
    clouds = smooth_step(0.35, 0.75, noise(s, 3, 3, 3))
    rgb = mix(mix(p.zenith, "4a7aa0", 0.35), mix(p.low_sky, p.glow, 0.4), clouds)
    willow = noise(s, 7, 2, 3) + 0.45 * (0.55 - Y) * rng.uniform(0.2, 1.6)
    green = s.lit(mix("3f7a5a", "4f5f98", rng.random()), 0.6 * noise(s, 14, 3))
    rgb = mix(rgb, green, 0.8 * smooth_step(0.45, 0.75, willow))
    s.lay(np.ones_like(X), rgb, np.where(willow > 0.6, UP, 0.1 * (clouds - 0.5)), 0.8)
    for y in np.sort(rng.uniform(0.06, 0.98, int(rng.integers(5, 10)))):
        _raft(s, rng.uniform(0, 1), y, (0.06 + 0.17 * y) * rng.uniform(0.7, 1.4))
    if rng.random() < 0.35:
        x, length, lean = rng.random(60), rng.uniform(0.1, 0.35, 60), rng.normal(0, 0.06, 60)
        s.dab(x, 0.4 * length, length, 0.010, UP + lean, s.lit("8cb05c", x * 0.5 + lean * 4 + 0.2))


def _raft(s: Sketch, x: float, y: float, width: float) -> None:
    """Dab a raft of lily pads, their shadows on the water, and a few flowers."""
    rng, count = s.rng, int(60 + 260 * width)
    x = x + rng.normal(0, 0.5, count) * width
    y = np.sort(y + rng.normal(0, 0.14, count) * width)
    size = (0.012 + 0.030 * np.clip(y, 0, 1)) * rng.uniform(0.7, 1.3, count)
    pad = s.lit(mix("8fb878", "5a9088", rng.random(count)), rng.uniform(0.3, 1.0, count))
    s.dab(x, y + 0.35 * size, size * 1.3, size * 0.4, 0, s.lit("4a5a88", 0.15))
    s.dab(x, y, size * 1.5, size * 0.55, rng.normal(0, 0.12, count), pad)
    petal = rng.choice(["fff0ee", "f4a8b8", "f8e0a0", "e87a94"])
    chosen = rng.choice(count, int(rng.integers(2, 8)))
    x, y, size = x[chosen], y[chosen], size[chosen]
    for dx, dy, light in ((-0.3, -0.3, 0.45), (0.3, -0.3, 0.6), (0, -0.55, 1.0)):
        s.dab(x + dx * size, y + dy * size, 0.7 * size, 0.38 * size, 0.5 + dx, s.lit(petal, light))


def _poplars(s: Sketch) -> None:
    """Lay a row of poplars along a river, mirrored in it."""
    rng, h = s.rng, s.horizon
    _sky(s)
    _hills(s, 1, 0.07)
    bank = h + 0.015 + 0.10 * smooth_step(0.2, 1.1, ACROSS) * rng.uniform(0.2, 1.2)
    light = 0.25 + 0.7 * noise(s, 10, 16)
    s.lay(below(h) * (1 - below(bank + 0.02)), s.lit("8aa862", light, 0.12), 0.2, 0.5)
    hues = ["8fae58", "a8b04c", "d8a848", "6a9a6c"]
    leaf, near = rng.choice(hues), rng.uniform(0.74, 0.9) ** np.arange(rng.integers(5, 10))
    positions = 0.92 + rng.uniform(0, 0.12) - rng.uniform(0.11, 0.17) * np.cumsum(near)
    for x, close in zip(positions[::-1], near[::-1], strict=True):
        height = (h * rng.uniform(0.95, 1.15) + 0.03) * close**0.8
        width, base = rng.uniform(0.04, 0.065) * close**0.8, float(np.interp(x, ACROSS, bank))
        haze = 0.4 * (1 - close)
        _tree(s, x, base, height, width, mix(leaf, rng.choice(hues), 0.35), haze)
        s.dab(x, base - 0.3 * height, 0.6 * height, 0.01 * close, UP, s.lit("7a6068", 0.3, haze))
    _water(s, bank, "6fa0a8", rng.uniform(0.75, 0.95))
    if rng.random() < 0.6:
        x, y, light = rng.uniform(0, 0.5, 90) ** 1.3, rng.uniform(0.9, 1.0, 90), rng.random(90)
        tone = s.lit(mix("7a9a4c", "c8a85c", rng.random(90)), light)
        s.dab(x, y, 0.06 + 0.1 * light, 0.010, UP + rng.normal(0, 0.25, 90), tone)


def _bridge(s: Sketch) -> None:
    """Lay a bridge of many arches in fog, towers behind it, barges before it."""
    rng, h, p = s.rng, s.horizon, s.palette
    _sky(s, clouds=0.35)
    fog = rng.uniform(0.25, 0.5)
    roofs = h - 0.09 - 0.07 * ridge(s, 12, 2)
    s.lay(below(roofs), s.lit("8088a8", 0.3, 0.3 + 0.8 * fog), UP, 0.5)
    for height in rng.uniform(0.2, 0.32, int(rng.integers(1, 5))):
        tower = (-0.08, 0, -0.08, 0.75, 0, 1, 0.08, 0.75, 0.08, 0)
        mask = shape(rng.uniform(0.05, 0.95), h, height, *tower)
        s.lay(mask, s.lit("7a80a8", 0.3, 0.25 + 0.75 * fog), UP, 0.4)
    s.lay(fog * noise(s, 3, 5), p.haze, 0)
    slope, span = rng.uniform(-0.12, 0.12), rng.uniform(0.13, 0.24)
    deck = h - rng.uniform(0.06, 0.1) + slope * (ACROSS - 0.5)
    foot = h + 0.06 - 0.3 * slope * (ACROSS - 0.5)
    across = ((X / span + rng.random()) % 1 - 0.5) / 0.39
    arch = (foot - Y) / (foot - deck - 0.035) < np.sqrt(np.clip(1 - across**2, 0, 1))
    light = 0.1 + 0.4 * noise(s, 20, 8) + 0.45 * (np.abs(Y - deck) < 0.014)
    stone = s.lit(mix("6870a8", "8a7a98", rng.random()), light, 0.55 * fog)
    s.lay(below(h), mix(p.haze, p.low_sky, 0.4), 0.0, 0.5)
    s.lay(below(deck) * (1 - below(foot)) * ~arch, stone, slope, 0.36)
    _water(s, foot, "7a9ab8", rng.uniform(0.5, 0.7))
    _glitter(s, foot.mean(), int(rng.integers(60, 130)))
    for x in rng.uniform(0.1, 0.9, int(rng.integers(0, 5))):
        y, dark = rng.uniform(h + 0.17, 0.92), s.lit("4a5080", 0.1, 0.25 * fog)
        s.dab(x, y, 0.03 + 0.07 * y, 0.018, 0.03, dark)
        s.dab([x, x + 0.02], y - 0.018, 0.028, 0.010, UP, dark)


def _snow(s: Sketch) -> None:
    """Lay a village under snow: a lane with violet ruts, bare trees, blue shadows."""
    rng, h, p = s.rng, s.horizon, s.palette
    _sky(s, clouds=rng.uniform(0.2, 0.6))
    _hills(s, 2, 0.10, green="b8b4d4")
    _grove(s, 8, (0.08, 0.19), "8c86a4", 0.3)
    drifts = receding(s, 3, 8, 3)
    light = np.clip(0.25 + drifts, 0, 1)
    cold, warm = mix(p.shadow, WHITE, 0.55), mix(p.light, WHITE, 0.5)
    s.lay(below(h + 0.02 * ridge(s, 3)), mix(cold, warm, light), (drifts - 0.5) * 0.8, 0.8)
    if rng.random() < 0.75:
        depth = np.clip((Y - h - 0.02) / (0.98 - h), 0, 1)
        lane = rng.uniform(0.3, 0.7) + rng.uniform(-0.4, 0.4) * depth
        lane += rng.uniform(-0.15, 0.15) * np.sin(np.pi * depth)
        ruts = 0.6 * smooth_step(1, 0.6, np.abs(X - lane) / (0.012 + 0.15 * depth)) * (depth > 0)
        s.lay(ruts, mix(mix(p.shadow, "b89a98", 0.35), WHITE, 0.3 * light), UP - 0.4)
    for x in np.sort(rng.uniform(0.08, 0.92, int(rng.integers(2, 6)))):
        width = rng.uniform(0.06, 0.11)
        _house(s, x, h + 0.02 + 0.5 * width, width, mix(p.light, WHITE, 0.6), 0.08)
    for x in rng.choice([-1, 1]) * rng.uniform(0.25, 0.48, int(rng.integers(0, 4))) + 0.5:
        _bare_tree(s, x, rng.uniform(h + 0.12, 0.9), rng.uniform(0.3, 0.6))


def _bare_tree(s: Sketch, x: float, base: float, height: float) -> None:
    """Dab a leafless tree with snow on its branches, and its shadow."""
    rng, away, reach = s.rng, s.away(x), height * np.linspace(0.03, 0.4, 9)
    blue = mix(s.palette.shadow, WHITE, 0.3)
    s.dab(x + away * reach, base + 0.3 * reach, 0.09 * height, 0.014, 0.29 * away, blue)
    bark, snow = s.lit("7c6470", 0.3), mix(s.palette.light, WHITE, 0.4)
    x, y, angle, length = (np.array([v]) for v in (x, base, -UP, 0.34 * height))
    for level in range(5):
        end_x, end_y = x + np.cos(angle) * length, y + np.sin(angle) * length
        thick = 0.030 * height * 0.6**level + 0.002
        s.dab((x + end_x) / 2, (y + end_y) / 2, length * 1.1, thick, angle, bark)
        s.dab((x + end_x) / 2, (y + end_y) / 2 - thick / 2, length * 0.7, thick / 3, angle, snow)
        turn = rng.uniform(0.2, 0.6, (len(x), 3)) * (-1, 0.1, 1) + rng.normal(0, 0.12, (len(x), 3))
        angle = (angle[:, None] + turn).ravel()
        length = np.repeat(length, 3) * rng.uniform(0.5, 0.9, len(angle))
        x, y = np.repeat(end_x, 3), np.repeat(end_y, 3)


def _poppies(s: Sketch) -> None:
    """Lay a summer meadow full of poppies before trees, perhaps a house."""
    rng, h = s.rng, s.horizon
    _sky(s)
    _hills(s, int(rng.integers(1, 3)), 0.07)
    _grove(s, 8, (0.05, 0.12), "7a9c70", 0.4)
    if rng.random() < 0.5:
        roof = s.lit("c87858", 0.6, 0.15)
        _house(s, rng.uniform(0.2, 0.8), h + 0.02, rng.uniform(0.05, 0.09), roof, 0.15)
    _grove(s, 9, (0.09, 0.26), "6a9458", 0.15)
    _meadow(s, "9cb45c", mix("c8c070", "7aa884", rng.random()))
    beds, x, depth = receding(s, 3, 4), rng.random(1000), np.sort(rng.random(1000) ** 1.25)
    y = h + 0.02 + (0.97 - h) * depth
    grows = beds[(y * GRID).astype(int), (x * GRID).astype(int)] > rng.uniform(0.3, 0.6)
    x, y, depth = x[grows], y[grows], depth[grows]
    size = (0.007 + 0.024 * depth) * rng.uniform(0.6, 1.3, len(x))
    bloom = s.lit(mix("e8382c", "f4785c", rng.random(len(x))), rng.uniform(0.3, 0.8, len(x)))
    s.dab(x, y, size, size * 0.7, rng.normal(0, 0.6, len(x)), mix(bloom, "ec4030", 0.35))


def _regatta(s: Sketch) -> None:
    """Lay sailing boats on calm water before a far shore with houses."""
    rng, h = s.rng, s.horizon
    _sky(s)
    _hills(s, int(rng.integers(1, 3)), rng.uniform(0.03, 0.09))
    for x in rng.uniform(0, 1, int(rng.integers(0, 6))):
        _house(s, x, h + 0.008, rng.uniform(0.02, 0.045), s.lit("c08068", 0.6, 0.35), 0.3)
    _water(s, np.full(GRID, h, np.float32), "6a9cc0", rng.uniform(0.4, 0.7))
    if s.low_sun:
        _glitter(s, h, 80)
    heights = np.sort(rng.uniform(0.08, 0.42, int(rng.integers(3, 8))))
    berths = rng.permutation(np.linspace(0.1, 0.9, len(heights)))  # so that few boats overlap
    for height, x in zip(heights, berths + rng.normal(0, 0.03, len(heights)), strict=True):
        sail = rng.choice(["fbf2e4", "f4dcb8", "e08850"], p=[0.6, 0.25, 0.15])
        _boat(s, x, h + 0.04 + 0.55 * height, height, sail)


SUBJECTS: dict[str, Callable[[Sketch], None]] = {
    "cliffs": _cliffs,
    "haystacks": _haystacks,
    "lilies": _lilies,
    "poplars": _poplars,
    "bridge": _bridge,
    "snow": _snow,
    "poppies": _poppies,
    "regatta": _regatta,
}
