"""The families of ``critters``, and the parts of their bodies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dcgan_utils.data.painted.clay import Clay, ball, band, limb, melt, petal, tint

EYES = ("round", "bead", "sleepy", "fierce", "wide")
WHITE, INK = np.array([252.0, 252.0, 250.0]), np.array([38.0, 30.0, 48.0])


@dataclass
class Creature:
    """A creature being built: its canvas, random generator, two colours, irises and eyes.

    ``main``, ``accent`` and ``iris`` are RGB in 0..255; ``eyes`` is one of ``EYES``.
    """

    clay: Clay
    rng: np.random.Generator
    main: np.ndarray
    accent: np.ndarray
    iris: np.ndarray
    eyes: str

    def __post_init__(self):
        self.x, self.y, self.side = self.clay.x, self.clay.y, self.clay.side
        self.put = self.clay.put

    def between(self, low: float, high: float) -> float:
        """Draw a uniform random number."""
        return float(self.rng.uniform(low, high))

    def one_of(self, *choices):
        """Draw one of several values."""
        return choices[self.rng.integers(len(choices))]

    def pair(self, make: Callable[..., np.ndarray], *where, **how) -> np.ndarray:
        """Return a shape on both sides; its position is that of the right one."""
        return make(self.side, self.y, *where, **how)

    def single(self, make: Callable[..., np.ndarray], *where, **how) -> np.ndarray:
        """Return a shape in one position."""
        return make(self.x, self.y, *where, **how)

    def face(self, y: float, apart: float, size: float, mouth: str | None = None) -> None:
        """Put eyes at height ``y``, ``apart`` from the middle, and a mouth below them."""
        self.look(y, apart, size)
        below = y + 1.35 * size + 0.03
        kind = mouth or self.one_of("smile", "cat", "fang", "open", "small")
        _MOUTHS[kind](self, below, size)
        if self.rng.random() < 0.4:
            blush = self.pair(ball, (apart + 0.9 * size, below - 0.02), (0.5 * size, 0.32 * size))
            self.put(blush, np.array([244.0, 132.0, 130.0]), line=0, depth=0, opacity=0.55)

    def look(self, y: float, apart: float, size: float) -> None:
        """Put eyes at height ``y``, ``apart`` from the middle."""
        aside = self.between(-0.12, 0.12) * size  # both pupils look to the same side
        if self.eyes == "bead":
            self.put(self.pair(ball, (apart, y), (0.55 * size, 0.68 * size)), INK, line=0, depth=0)
            self._gleam(y, apart, 0.6 * size)
            return
        tall = {"wide": 1.25, "round": 1.0, "sleepy": 0.95, "fierce": 0.95}[self.eyes] * size
        white = self.pair(ball, (apart, y), (0.85 * size, tall))
        if self.eyes == "sleepy":
            white = np.maximum(white, y - 0.15 * size - self.y)
        if self.eyes == "fierce":
            slope = 0.62 * (self.side - apart)
            white = np.maximum(white, y - 0.28 * size - slope - self.y)
        pupils = [
            self.single(ball, (sign * apart + aside, y + 0.12 * size), (0.58 * size, 0.68 * tall))
            for sign in (-1, 1)
        ]
        iris = np.minimum(*pupils)
        self.put(white, WHITE, marks=((iris, self.iris), (iris + 0.26 * size, INK)), depth=0)
        self._gleam(y, apart, size, aside)

    def _gleam(self, y: float, apart: float, size: float, aside: float = 0.0) -> None:
        gleams = [
            self.single(ball, (sign * apart + aside - 0.2 * size, y - 0.22 * size), 0.22 * size)
            for sign in (-1, 1)
        ]
        self.put(np.minimum(*gleams), WHITE, line=0, depth=0)

    def line(self, shape: np.ndarray, width: float = 0.02) -> None:
        """Draw a dark line where a shape is thinner than ``width``."""
        self.put(shape - width / 2, INK, line=0, depth=0)


def _smile(c: Creature, y: float, size: float) -> None:
    arc = band(c.single(ball, (0, y - 0.5 * size), (0.75 * size, 0.6 * size)), 0)
    c.line(np.maximum(arc, y - 0.3 * size - c.y))


def _cat(c: Creature, y: float, size: float) -> None:
    arc = band(c.pair(ball, (0.32 * size, y - 0.16 * size), (0.32 * size, 0.3 * size)), 0)
    c.line(np.maximum(arc, y - 0.14 * size - c.y))
    nose = c.single(ball, (0, y - 0.26 * size), (0.17 * size, 0.12 * size))
    c.put(nose, INK, line=0, depth=0)


def _fang(c: Creature, y: float, size: float) -> None:
    _smile(c, y, size)
    tooth = c.pair(petal, (0.3 * size, y - 0.12 * size), (0.34 * size, y + 0.36 * size), 0.2 * size)
    c.put(np.maximum(tooth, y - 0.02 - c.y), WHITE, depth=0, line=0.01)


def _open(c: Creature, y: float, size: float) -> None:
    gape = np.maximum(
        c.single(ball, (0, y - 0.15), (0.62 * size, 0.15 + 0.55 * size)), y - c.y - 0.16 * size
    )
    tongue = c.single(ball, (0, y + 0.5 * size), (0.42 * size, 0.3 * size))
    dark, red = np.array([112.0, 34.0, 52.0]), np.array([240.0, 120.0, 128.0])
    c.put(gape, dark, marks=((tongue, red),), depth=0, line=0.014)


def _small(c: Creature, y: float, size: float) -> None:
    c.put(c.single(ball, (0, y), (0.16 * size, 0.13 * size)), INK, line=0, depth=0)


_MOUTHS = {"smile": _smile, "cat": _cat, "fang": _fang, "open": _open, "small": _small}


def feet(c: Creature, y: float, apart: float, size: float, toes: bool = True) -> None:
    """Put a foot on each side, with or without claws."""
    foot = c.pair(ball, (apart, y), (size, 0.62 * size))
    c.put(foot, c.main)
    if toes:
        for shift in (-0.42, 0.0, 0.42):
            claw = c.pair(ball, (apart + shift * size, y + 0.42 * size), (0.14 * size, 0.17 * size))
            c.put(claw, WHITE, line=0.008, depth=0)


def spots(c: Creature, middle: tuple[float, float], spread: float, colour: np.ndarray):
    """Return a few random marks around a position, on both sides."""
    marks = []
    for _ in range(c.rng.integers(2, 5)):
        place = (abs(middle[0] + c.between(-1, 1) * spread), middle[1] + c.between(-1, 1) * spread)
        marks.append((c.pair(ball, place, c.between(0.04, 0.09)), colour))
    return tuple(marks)


# --- Families ---

# Two colours each: of the body, and of its ornaments.
COLOURS = {
    "meadow": ("7cc46a", "f2a0b4"),
    "flame": ("f08a3c", "ffd75e"),
    "lagoon": ("4f9fdc", "f4e4b8"),
    "spark": ("f6d33c", "8a5a34"),
    "dream": ("ee94c0", "8f7ad8"),
    "shade": ("7a64b0", "d84c6a"),
    "stone": ("a89a8c", "e2b45c"),
    "frost": ("9adbe8", "5c7fd0"),
    "venom": ("a066c8", "a6d85a"),
    "ember": ("c94a44", "f3e3cf"),
    "night": ("48567e", "f0c04e"),
    "sand": ("e0bc82", "6fae9a"),
}


def sprout(c: Creature) -> None:
    """Build a toad with a plant on its back."""
    bloom, leaves = c.one_of("bulb", "flower", "fern"), c.rng.integers(2, 5)
    top = c.between(-0.78, -0.62)
    for i in range(leaves):
        reach = 0.25 + 0.5 * (i + 1) / leaves
        leaf = c.pair(petal, (0.04, -0.2), (reach, top + 0.95 * reach**2), c.between(0.16, 0.24))
        c.put(leaf, tint(np.array([96.0, 176.0, 88.0]), c.between(-0.1, 0.15)), depth=0.1)
    if bloom == "bulb":
        bulb = melt(
            c.single(ball, (0, -0.36), (0.34, 0.3)),
            c.single(petal, (0, -0.4), (0, top - 0.14), 0.22),
        )
        ribs = tuple(
            (c.pair(petal, (x, -0.05), (0.02, top), 0.05), tint(c.accent, -0.3))
            for x in (0.12, 0.3)
        )
        c.put(bulb, c.accent, marks=ribs)
    elif bloom == "flower":
        for turn in np.linspace(-1.2, 1.2, 5):
            end = (0.5 * np.sin(turn), -0.42 - 0.42 * np.cos(turn))
            c.put(c.single(petal, (0, -0.36), end, 0.26), c.accent, depth=0.12)
        c.put(c.single(ball, (0, -0.4), 0.13), np.array([252.0, 214.0, 92.0]))
    wide = c.between(0.5, 0.6)
    c.put(c.pair(ball, (0.42, 0.62), (0.2, 0.2)), c.main)
    body = melt(
        c.single(ball, (0, 0.4), (wide, 0.36)), c.single(ball, (0, 0.08), (wide - 0.06, 0.36)), 0.15
    )
    ears = c.pair(petal, (0.26, -0.1), (c.between(0.4, 0.5), c.between(-0.46, -0.34)), 0.2)
    c.put(melt(body, ears, 0.05), c.main, marks=spots(c, (0.3, 0.3), 0.2, tint(c.main, -0.35)))
    feet(c, 0.76, 0.26, 0.16)
    c.face(0.05, c.between(0.2, 0.26), c.between(0.12, 0.15))


def drake(c: Creature) -> None:
    """Build an upright lizard with a crest of flames."""
    slim, tall = c.between(0.28, 0.36), c.between(-0.32, -0.22)
    for i in range(c.rng.integers(2, 4)):
        flame = c.pair(
            petal, (0.05 + 0.12 * i, tall - 0.1), (0.1 + 0.22 * i, tall - 0.62 + 0.13 * i), 0.2
        )
        c.put(flame, c.accent, marks=((flame + 0.05, tint(c.accent, 0.5)),), depth=0.08)
    if c.rng.random() < 0.5:
        wing = c.pair(petal, (0.2, 0.12), (0.92, c.between(-0.4, -0.1)), c.between(0.26, 0.4))
        c.put(
            wing,
            tint(c.accent, -0.1),
            marks=((c.pair(limb, (0.2, 0.1), (0.9, -0.25), 0.02, 0.005), tint(c.main, -0.4)),),
            depth=0.1,
        )
    tail = melt(
        c.pair(limb, (0.1, 0.66), (0.55, 0.62), 0.13, 0.08),
        c.pair(limb, (0.55, 0.62), (0.74, 0.34), 0.08, 0.04),
        0.06,
    )
    c.put(tail, c.main, depth=0.1)
    c.put(c.pair(petal, (0.7, 0.42), (0.8, 0.02), 0.2), c.accent, depth=0.08)
    c.put(c.pair(limb, (0.22, 0.5), (0.27, 0.76), 0.15, 0.12), c.main)
    body = c.single(ball, (0, 0.34), (slim + 0.04, 0.42))
    c.put(
        body,
        c.main,
        marks=((c.single(ball, (0, 0.42), (slim - 0.08, 0.33)), tint(c.accent, 0.45)),),
    )
    arm = c.between(0.18, 0.5)
    c.put(c.pair(limb, (slim - 0.02, 0.18), (slim + 0.2, arm), 0.09, 0.07), c.main, depth=0.1)
    head = c.single(ball, (0, tall), (c.between(0.36, 0.44), c.between(0.3, 0.36)))
    snout = c.single(ball, (0, tall + 0.18), (0.26, 0.18))
    horns = c.pair(petal, (0.22, tall - 0.18), (c.between(0.34, 0.5), tall - 0.5), 0.12)
    if c.rng.random() < 0.6:
        c.put(horns, tint(c.accent, 0.4), depth=0.08)
    c.put(melt(head, snout, 0.12), c.main)
    feet(c, 0.84, 0.27, 0.15)
    c.face(
        tall - 0.02, c.between(0.17, 0.21), c.between(0.11, 0.14), c.one_of("fang", "smile", "open")
    )


def shellback(c: Creature) -> None:
    """Build a turtle that stands upright in its shell."""
    wide = c.between(0.52, 0.62)
    spikes = c.rng.integers(0, 4)
    for i in range(spikes):
        angle = 0.35 + 0.5 * i
        end = ((wide + 0.3) * np.sin(angle), 0.26 - 0.82 * np.cos(angle))
        c.put(c.pair(petal, (0.3 * np.sin(angle), 0.2), end, 0.22), tint(c.accent, 0.2), depth=0.08)
    c.put(c.pair(limb, (0.3, 0.6), (0.38, 0.8), 0.16, 0.14), c.main)
    shell = c.single(ball, (0, 0.24), (wide, 0.56))
    c.put(shell, tint(c.accent, -0.28))
    c.put(shell + 0.07, c.accent, depth=0.3)
    c.put(
        c.pair(limb, (wide - 0.12, 0.1), (wide + 0.2, c.between(-0.02, 0.36)), 0.12, 0.09),
        c.main,
        depth=0.1,
    )
    plate = c.single(ball, (0, 0.34), (0.38, 0.42))
    seams = tuple((np.abs(c.y - h) - 0.008, tint(c.accent, -0.2)) for h in (0.12, 0.32, 0.52))
    c.put(plate, tint(c.accent, 0.55), marks=(*seams, (c.side - 0.008, tint(c.accent, -0.2))))
    feet(c, 0.86, 0.34, 0.16)
    y = c.between(-0.42, -0.34)
    if c.rng.random() < 0.5:
        c.put(c.pair(petal, (0.24, y), (c.between(0.55, 0.72), y - 0.2), 0.2), c.accent, depth=0.08)
    head = melt(
        c.single(ball, (0, y), (c.between(0.36, 0.42), 0.32)),
        c.single(ball, (0, y + 0.16), (0.28, 0.2)),
        0.1,
    )
    crest = c.single(petal, (0, y - 0.2), (0, y - 0.52), 0.16)
    c.put(melt(head, crest, 0.06) if c.rng.random() < 0.4 else head, c.main)
    c.face(y, c.between(0.17, 0.21), c.between(0.11, 0.14))


def flutter(c: Creature) -> None:
    """Build a moth or butterfly."""
    upper, turn = (c.between(0.34, 0.44), c.between(0.24, 0.32)), c.between(-0.7, -0.3)
    y = c.between(-0.32, -0.2)
    low = c.pair(ball, (0.38, 0.34), (c.between(0.24, 0.34), c.between(0.2, 0.3)), turn=0.6)
    c.put(low, tint(c.accent, -0.12), marks=((low + 0.09, tint(c.accent, 0.35)),), depth=0.1)
    wing = c.pair(ball, (0.5, y), upper, turn=turn)
    rings = [(wing + 0.07, tint(c.accent, 0.3))]
    for _ in range(c.rng.integers(1, 4)):
        spot = (0.5 + c.between(-0.2, 0.2), y + c.between(-0.14, 0.14))
        size = c.between(0.05, 0.1)
        rings += [(c.pair(ball, spot, size), c.main), (c.pair(ball, spot, size / 2), WHITE)]
    c.put(wing, c.accent, marks=tuple(rings), depth=0.1)
    antenna = melt(
        c.pair(limb, (0.07, -0.5), (0.2, -0.8), 0.02, 0.018),
        c.pair(limb, (0.2, -0.8), (c.between(0.28, 0.4), -0.86), 0.018, 0.018),
        0.04,
    )
    c.put(antenna, INK, line=0, depth=0)
    c.put(c.pair(ball, (c.between(0.3, 0.38), -0.86), 0.06), c.accent)
    body = c.single(limb, (0, 0.0), (0, c.between(0.55, 0.75)), 0.2, 0.09)
    stripes = tuple(
        (np.abs(c.y - h + 0.3 * c.side**2) - 0.03, tint(c.main, -0.35)) for h in (0.22, 0.4, 0.58)
    )
    c.put(body, c.main, marks=stripes)
    if c.rng.random() < 0.6:
        ruff = np.minimum.reduce(
            [c.pair(ball, (0.1 * i, -0.02 + 0.02 * i), 0.11) for i in range(3)]
        )
        c.put(ruff, WHITE, depth=0.08)
    c.put(c.single(ball, (0, -0.3), (c.between(0.28, 0.34), 0.28)), c.main)
    c.face(-0.32, c.between(0.13, 0.17), c.between(0.1, 0.14), c.one_of("smile", "small", "cat"))


def specter(c: Creature) -> None:
    """Build a ghost with a wavy hem."""
    wide, waves = c.between(0.42, 0.54), c.one_of(3, 5, 7)
    top = c.one_of("round", "tip", "horns")
    head = c.single(ball, (0, -0.12), (wide, 0.5))
    gown = np.maximum(
        np.abs(c.x) - wide + 0.12 * (c.y - 0.5) ** 2, np.maximum(-0.1 - c.y, c.y - 0.6)
    )
    hem = 0.62 + 0.09 * np.cos(waves * np.pi * c.x / wide)
    shape = np.maximum(melt(head, gown, 0.12), c.y - hem)
    if top == "tip":
        shape = melt(shape, c.single(petal, (0, -0.4), (0, -0.92), 0.3), 0.1)
    if top == "horns":
        shape = melt(shape, c.pair(petal, (0.2, -0.4), (c.between(0.34, 0.6), -0.86), 0.2), 0.06)
    arms = c.pair(
        limb, (wide - 0.06, 0.1), (wide + c.between(0.16, 0.3), c.between(-0.16, 0.3)), 0.1, 0.05
    )
    for i in range(c.rng.integers(0, 3)):
        c.put(c.pair(ball, (0.72, -0.5 + 0.34 * i), c.between(0.05, 0.09)), c.accent, opacity=0.75)
    fade = ((c.single(ball, (0, 0.62), (wide, 0.26)), tint(c.main, 0.35)),)
    c.put(melt(shape, arms, 0.08), c.main, marks=fade, opacity=c.between(0.82, 1.0))
    if c.rng.random() < 0.5:
        gem = c.single(petal, (0, -0.52), (0, -0.26), 0.16)
        c.put(gem, c.accent, depth=0.06)
    c.face(-0.08, c.between(0.18, 0.24), c.between(0.13, 0.17), c.one_of("open", "fang", "smile"))


def _stone(c: Creature, at: tuple[float, float], size: float) -> np.ndarray:
    """Return a boulder on both sides: the intersection of several half-planes."""
    u, v = c.side - at[0], c.y - at[1]
    cuts = np.linspace(0, 2 * np.pi, 8)[:-1] + c.rng.uniform(-0.25, 0.25, 7)
    sides = [u * np.cos(a) + v * np.sin(a) - size * c.between(0.82, 1.0) for a in cuts]
    return np.maximum.reduce(sides) - 0.03


def golem(c: Creature) -> None:
    """Build a pile of boulders with crystals."""
    for i in range(c.rng.integers(1, 4)):
        end = (0.3 + 0.24 * i, -0.72 + 0.16 * i)
        c.put(
            c.pair(petal, (0.2 + 0.1 * i, -0.05), end, c.between(0.14, 0.22)), c.accent, depth=0.06
        )
    c.put(_stone(c, (0.27, 0.66), 0.2), tint(c.main, -0.12), depth=0.08)
    heavy = c.between(0.38, 0.46)
    low = c.between(0.3, 0.5)
    c.put(c.pair(limb, (0.35, 0.1), (0.66, low), 0.1, 0.09), tint(c.main, -0.2), depth=0.1)
    body = _stone(c, (0, 0.22), heavy)
    crack = melt(
        c.single(limb, (0.08, 0.3), (0.16, 0.44), 0.006, 0.006),
        c.single(limb, (0.16, 0.44), (0.1, 0.56), 0.006, 0.003),
        0.01,
    )
    vein = band(c.single(ball, (0, 0.36), (0.18, 0.16)), 0.03)
    c.put(
        body,
        c.main,
        marks=((crack, INK), (vein, c.accent)) if c.rng.random() < 0.6 else ((crack, INK),),
        depth=0.12,
    )
    c.put(_stone(c, (0.7, low + 0.06), c.between(0.15, 0.21)), c.main, depth=0.08)
    y = c.between(-0.36, -0.26)
    head = _stone(c, (0, y), c.between(0.3, 0.36))
    moss = np.maximum(head, c.y - y + 0.16 + 0.04 * np.cos(14 * c.x))
    c.put(
        head,
        c.main,
        marks=((moss, np.array([126.0, 176.0, 92.0])),) if c.rng.random() < 0.5 else (),
        depth=0.1,
    )
    c.face(
        y + 0.02, c.between(0.12, 0.16), c.between(0.09, 0.11), c.one_of("small", "fang", "smile")
    )


def finling(c: Creature) -> None:
    """Build a fish, seen from the front."""
    wide = c.between(0.44, 0.54)
    for i in range(3):
        tip = ((0.12 + 0.2 * i) * c.between(0.9, 1.1), 0.95 - 0.05 * i)
        c.put(c.pair(petal, (0.02, 0.4), tip, 0.18), c.accent, depth=0.07)
    fan = [c.pair(petal, (wide - 0.12, 0.12), (wide + 0.42, h), 0.24) for h in (-0.18, 0.1, 0.36)]
    rays = tuple((band(part, 0.012), tint(c.accent, -0.3)) for part in fan)
    c.put(np.minimum.reduce(fan), c.accent, marks=rays, depth=0.08)
    fin = c.one_of("mohawk", "twin", "sail")
    if fin == "twin":
        c.put(
            c.pair(petal, (0.14, -0.3), (c.between(0.34, 0.5), -0.84), 0.24), c.accent, depth=0.08
        )
    else:
        heights = (0.3, 0.2) if fin == "mohawk" else (0.44, 0.4)
        crest = np.minimum(
            c.single(petal, (0, -0.2), (0, -0.52 - heights[0]), 0.26),
            c.pair(petal, (0.05, -0.2), (0.22, -0.5 - heights[1]), 0.2),
        )
        c.put(crest, c.accent, depth=0.08)
    body = c.single(ball, (0, 0.14), (wide, c.between(0.48, 0.56)))
    belly = c.single(ball, (0, 0.46), (wide - 0.1, 0.34))
    scales = tuple(
        (band(c.pair(ball, (x, 0.1), 0.1), 0.014), tint(c.main, -0.25))
        for x in (wide - 0.08, wide - 0.2)
    )
    c.put(body, c.main, marks=((belly, tint(c.accent, 0.55)), *scales))
    if c.rng.random() < 0.5:
        whisker = c.pair(limb, (0.2, 0.3), (wide + 0.2, c.between(0.3, 0.6)), 0.016, 0.008)
        c.line(whisker, 0.01)
    c.face(0.02, c.between(0.2, 0.27), c.between(0.13, 0.17), c.one_of("open", "small", "smile"))


def owlet(c: Creature) -> None:
    """Build a round bird."""
    wide = c.between(0.44, 0.54)
    c.put(c.pair(limb, (0.16, 0.7), (0.18, 0.86), 0.05, 0.05), np.array([238.0, 168.0, 72.0]))
    toes = [c.pair(limb, (0.18, 0.86), (0.18 + t, 0.93), 0.045, 0.03) for t in (-0.1, 0.0, 0.1)]
    c.put(np.minimum.reduce(toes), np.array([238.0, 168.0, 72.0]), depth=0.05)
    tufts = c.one_of(0, 1, 2)
    if tufts == 1:
        c.put(
            c.pair(petal, (0.24, -0.3), (c.between(0.4, 0.56), c.between(-0.86, -0.7)), 0.22),
            c.main,
            depth=0.08,
        )
    if tufts == 2:
        for tip in (0.26, 0.13, 0.0):
            c.put(c.pair(petal, (0, -0.34), (tip, -0.88 + 0.4 * tip), 0.14), c.accent, depth=0.06)
    raised = c.between(-0.35, 0.6)
    for i in range(3):
        feather = c.pair(
            petal, (wide - 0.1, 0.08 + 0.06 * i), (wide + 0.32 - 0.07 * i, raised + 0.13 * i), 0.24
        )
        c.put(feather, tint(c.accent, -0.12 * i), depth=0.08)
    body = melt(
        c.single(ball, (0, 0.34), (wide, 0.46)), c.single(ball, (0, -0.1), (wide - 0.04, 0.4)), 0.18
    )
    belly = c.single(ball, (0, 0.46), (wide - 0.12, 0.36))
    rows = []
    for i, h in enumerate((0.34, 0.48, 0.62)):
        chevron = np.abs(c.y - h - 0.05 * np.abs(np.sin(14 * c.x + i * 1.5))) - 0.012
        rows.append((np.maximum(chevron, belly + 0.04), tint(c.accent, -0.25)))
    c.put(body, c.main, marks=((belly, tint(c.accent, 0.6)), *rows))
    disc = c.pair(ball, (0.2, -0.12), (0.26, 0.26))
    c.put(disc, tint(c.main, 0.5), line=0, depth=0)
    c.look(-0.12, c.between(0.19, 0.22), c.between(0.14, 0.17))
    beak = c.single(petal, (0, -0.1), (0, c.between(0.12, 0.2)), c.between(0.14, 0.2))
    c.put(beak, np.array([244.0, 178.0, 66.0]), depth=0.06, line=0.014)


def kit(c: Creature) -> None:
    """Build a fox or cat, with one tail or many."""
    tails = c.rng.integers(1, 5)
    for i in range(tails):
        end = (0.86 - 0.16 * i, 0.3 - 0.24 * i)
        tail = c.pair(petal, (0.1, 0.7), end, c.between(0.24, 0.32))
        tip = c.pair(ball, end, 0.18)
        c.put(tail, c.main, marks=((tip, c.accent),), depth=0.1)
    body = c.single(ball, (0, 0.46), (c.between(0.3, 0.36), 0.38))
    bib = melt(
        c.single(ball, (0, 0.24), (0.22, 0.14)), c.single(petal, (0, 0.2), (0, 0.56), 0.24), 0.08
    )
    c.put(body, c.main, marks=((bib, tint(c.accent, 0.5)),))
    c.put(c.pair(limb, (0.13, 0.5), (0.14, 0.82), 0.1, 0.09), c.main, depth=0.1)
    sock = c.pair(ball, (0.14, 0.86), (0.12, 0.09))
    c.put(sock, c.accent, depth=0.08)
    tall, lean = c.between(-0.94, -0.72), c.between(0.36, 0.6)
    ear = c.pair(petal, (0.2, -0.12), (lean, tall), c.between(0.28, 0.4))
    c.put(ear, c.main, marks=((ear + 0.06, tint(c.accent, 0.2)),), depth=0.08)
    y = c.between(-0.2, -0.14)
    head = c.single(ball, (0, y), (c.between(0.4, 0.47), 0.34))
    cheeks = c.pair(petal, (0.2, y + 0.08), (c.between(0.5, 0.64), y + 0.22), 0.24)
    muzzle = c.single(ball, (0, y + 0.2), (0.22, 0.15))
    mark = c.single(petal, (0, y - 0.36), (0, y - 0.06), c.between(0.1, 0.18))
    c.put(
        melt(head, cheeks, 0.08), c.main, marks=((muzzle, tint(c.accent, 0.65)), (mark, c.accent))
    )
    c.face(y, c.between(0.19, 0.24), c.between(0.11, 0.14), "cat")
    if c.rng.random() < 0.5:
        for shift in (0.0, 0.07):
            c.line(
                c.pair(limb, (0.24, y + 0.18 + shift), (0.54, y + 0.12 + 2 * shift), 0.004, 0.002),
                0.006,
            )


def _bolt(c: Creature, start: tuple[float, float], size: float, lean: float) -> np.ndarray:
    """Return a pair of zigzags that rise from a position."""
    (x, y), reach = start, lean * size
    corners = [
        (x, y),
        (x + 0.62 * reach, y - 0.28 * size),
        (x + 0.22 * reach, y - 0.5 * size),
        (x + reach, y - size),
    ]
    thick = (0.07, 0.085, 0.075, 0.012)
    return np.minimum.reduce(
        [
            c.pair(limb, *ends, *radii)
            for ends, radii in zip(pairwise(corners), pairwise(thick), strict=True)
        ]
    )


def zapper(c: Creature) -> None:
    """Build an electric mouse."""
    c.put(_bolt(c, (0.42, 0.66), c.between(0.6, 0.8), c.between(0.5, 0.8)), c.accent, depth=0.06)
    kind = c.one_of("round", "long", "bolt")
    if kind == "bolt":
        c.put(_bolt(c, (0.22, -0.3), 0.56, c.between(0.3, 0.7)), c.accent, depth=0.06)
    elif kind == "long":
        tip = (c.between(0.4, 0.72), c.between(-0.94, -0.7))
        ear = c.pair(petal, (0.16, -0.2), tip, 0.24)
        c.put(ear, c.main, marks=((c.pair(ball, tip, 0.2), tint(c.accent, -0.3)),), depth=0.08)
    else:
        ear = c.pair(ball, (0.42, -0.5), c.between(0.2, 0.28))
        c.put(ear, c.main, marks=((ear + 0.08, tint(c.accent, 0.3)),), depth=0.08)
    wide = c.between(0.38, 0.46)
    c.put(c.pair(ball, (0.24, 0.82), (0.16, 0.09)), c.main, depth=0.08)
    body = melt(
        c.single(ball, (0, 0.44), (wide, 0.4)), c.single(ball, (0, -0.1), (wide + 0.02, 0.36)), 0.12
    )
    belly = c.single(ball, (0, 0.54), (wide - 0.14, 0.26))
    stripes = tuple(
        (np.maximum(np.abs(c.y - h) - 0.03, 0.26 - c.side), c.accent) for h in (0.32, 0.5)
    )
    marks = ((belly, tint(c.main, 0.6)),) if c.rng.random() < 0.5 else stripes
    c.put(body, c.main, marks=marks)
    c.put(c.pair(limb, (wide - 0.08, 0.3), (wide - 0.2, 0.46), 0.075, 0.06), c.main, depth=0.08)
    c.put(c.pair(ball, (0.32, 0.06), 0.09), np.array([238.0, 92.0, 74.0]), line=0.01, depth=0.05)
    c.face(-0.12, c.between(0.17, 0.22), c.between(0.1, 0.14), c.one_of("cat", "smile", "open"))


def puddle(c: Creature) -> None:
    """Build a blob of jelly with a core."""
    wide, tall = c.between(0.5, 0.64), c.between(-0.5, -0.25)
    blob = melt(
        c.single(ball, (0, 0.4), (wide, 0.36)),
        c.single(ball, (0, tall + 0.4), (wide - 0.14, 0.42)),
        0.25,
    )
    place = (wide + c.between(-0.08, 0.1), c.between(0.6, 0.74))
    drop = c.pair(ball, place, c.between(0.1, 0.16))
    top = c.one_of("drip", "crown", "plain")
    if top == "drip":
        blob = melt(blob, c.single(petal, (0, tall + 0.12), (0, tall - 0.3), 0.24), 0.1)
    if top == "crown":
        for at in (0.0, 0.2):
            c.put(
                c.pair(petal, (at, tall + 0.16), (1.5 * at, tall - 0.26 + at), 0.16),
                c.accent,
                depth=0.06,
            )
    blob = melt(np.maximum(blob, c.y - 0.8), np.maximum(drop, c.y - 0.8), 0.1)
    core = c.single(ball, (0, 0.5), (0.24, 0.18))
    bubbles = tuple(
        (
            c.single(ball, (c.between(-0.4, 0.4), c.between(0.3, 0.7)), c.between(0.03, 0.06)),
            tint(c.main, 0.6),
        )
        for _ in range(4)
    )
    c.put(
        blob, c.main, marks=((core, c.accent), *bubbles), depth=0.32, opacity=c.between(0.78, 0.95)
    )
    shine = c.single(ball, (-0.26, tall + 0.24), (0.1, 0.05), turn=-0.6)
    c.put(shine, WHITE, line=0, depth=0, opacity=0.8)
    c.face(
        c.between(0.0, 0.1),
        c.between(0.18, 0.26),
        c.between(0.12, 0.16),
        c.one_of("smile", "open", "fang"),
    )


def thorn(c: Creature) -> None:
    """Build a cactus with arms and a blossom."""
    wide = c.between(0.28, 0.36)
    reach, up = c.between(0.56, 0.68), c.between(-0.34, 0.0)
    arm = melt(
        c.pair(limb, (0.2, 0.34), (reach, 0.3), 0.13, 0.12),
        c.pair(limb, (reach, 0.3), (reach + 0.03, up), 0.12, 0.11),
        0.06,
    )
    c.put(arm, c.main, depth=0.12)
    c.put(c.pair(ball, (reach + 0.03, up - 0.1), 0.08), c.accent, depth=0.05)
    pot = c.rng.random() < 0.4
    body = melt(
        c.single(limb, (0, -0.3), (0, 0.6), wide, wide + 0.05),
        c.single(ball, (0, 0.6), (wide + 0.08, 0.26)),
        0.1,
    )
    ribs = tuple(
        (np.abs(c.side - r * (1 - 0.3 * c.y**2)) - 0.009, tint(c.main, -0.3)) for r in (0.12, 0.26)
    )
    belly = (
        ()
        if c.rng.random() < 0.5
        else ((c.single(ball, (0, 0.44), (0.2, 0.26)), tint(c.main, 0.5)),)
    )
    c.put(np.maximum(body, c.y - 0.84), c.main, marks=(*ribs, *belly))
    for _ in range(9):
        at = (c.between(0.05, wide), c.between(0.2, 0.7))
        c.line(c.pair(limb, at, (at[0] + 0.05, at[1] - 0.03), 0.004, 0.001), 0.006)
    if pot:
        bowl = np.maximum(np.abs(c.x) - 0.44 + 0.2 * (c.y - 0.6), np.maximum(0.6 - c.y, c.y - 0.9))
        c.put(
            bowl - 0.02,
            np.array([204.0, 112.0, 78.0]),
            marks=((c.y - 0.68, np.array([226.0, 140.0, 100.0])),),
            depth=0.12,
        )
    else:
        feet(c, 0.84, 0.2, 0.14, toes=False)
    for turn in np.linspace(-1.3, 1.3, c.one_of(3, 5, 7)):
        end = (0.34 * np.sin(turn), -0.56 - 0.34 * np.cos(turn))
        c.put(c.single(petal, (0, -0.54), end, 0.16), c.accent, depth=0.06)
    c.put(c.single(ball, (0, -0.56), 0.08), np.array([252.0, 222.0, 110.0]), depth=0.05)
    c.face(-0.18, c.between(0.13, 0.17), c.between(0.1, 0.13))


FAMILIES: dict[str, Callable[[Creature], None]] = {
    family.__name__: family
    for family in (
        sprout,
        drake,
        shellback,
        flutter,
        specter,
        golem,
        finling,
        owlet,
        kit,
        zapper,
        puddle,
        thorn,
    )
}
