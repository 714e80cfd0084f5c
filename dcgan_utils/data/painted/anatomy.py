"""What the creatures of ``critters`` have in common: a canvas, a face, feet, marks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dcgan_utils.data.painted.clay import Clay, ball, band, petal

__all__ = ["EYES", "INK", "WHITE", "Creature", "feet", "spots"]

EYES = ("round", "bead", "sleepy", "fierce", "wide")
WHITE, INK = np.array([252.0, 252.0, 250.0]), np.array([38.0, 30.0, 48.0])


@dataclass
class Creature:
    """A creature in the making: the canvas, its two colours, its eyes, its chances.

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
        """Draw a number."""
        return float(self.rng.uniform(low, high))

    def one_of(self, *choices):
        """Draw one of several things."""
        return choices[self.rng.integers(len(choices))]

    def pair(self, make: Callable[..., np.ndarray], *where, **how) -> np.ndarray:
        """Return a shape on both sides; it is given for the right one."""
        return make(self.side, self.y, *where, **how)

    def single(self, make: Callable[..., np.ndarray], *where, **how) -> np.ndarray:
        """Return a shape in one place."""
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
        aside = self.between(-0.12, 0.12) * size  # both pupils lean to the same side
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
    """Put a foot on both sides, with or without claws."""
    foot = c.pair(ball, (apart, y), (size, 0.62 * size))
    c.put(foot, c.main)
    if toes:
        for shift in (-0.42, 0.0, 0.42):
            claw = c.pair(ball, (apart + shift * size, y + 0.42 * size), (0.14 * size, 0.17 * size))
            c.put(claw, WHITE, line=0.008, depth=0)


def spots(c: Creature, middle: tuple[float, float], spread: float, colour: np.ndarray):
    """Return a few marks on both sides of a place."""
    marks = []
    for _ in range(c.rng.integers(2, 5)):
        place = (abs(middle[0] + c.between(-1, 1) * spread), middle[1] + c.between(-1, 1) * spread)
        marks.append((c.pair(ball, place, c.between(0.04, 0.09)), colour))
    return tuple(marks)
