"""Progress of long work: the work announces its steps, and whoever listens shows them.

As with logging, the work does not know its audience: a notebook shows a bar, a script nothing.
"""

from __future__ import annotations

import collections
import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Listener = Callable[[str, int, int], None]

# In the environment of a kernel whose parent, such as `report`, shows how far it is.
SHOWN_ELSEWHERE = "DCGAN_PROGRESS_SHOWN_ELSEWHERE"

_listener: Listener | None = None
_is_announced = False  # work within announced work is part of its steps


def listen(listener: Listener | None) -> None:
    """Set who hears of long work: called with its name, the steps done and their total.

    It is called before the first step, with 0, and after each. ``None`` ends that.
    """
    global _listener
    _listener = listener


def is_shown_elsewhere() -> bool:
    """Return whether another process shows how far this one is."""
    return SHOWN_ELSEWHERE in os.environ


@contextlib.contextmanager
def shown_here() -> Iterator[None]:
    """Let processes that are started meanwhile know that this one shows how far they are."""
    before = os.environ.get(SHOWN_ELSEWHERE)
    os.environ[SHOWN_ELSEWHERE] = "1"
    try:
        yield
    finally:
        os.environ.pop(SHOWN_ELSEWHERE, None)
        if before is not None:
            os.environ[SHOWN_ELSEWHERE] = before


@contextlib.contextmanager
def announced(what: str, *, of: int) -> Iterator[Callable[[int], None]]:
    """Announce work of ``of`` steps; call the result with the number of steps done since."""
    global _is_announced
    tell, done = _listener, 0
    if tell is None or _is_announced:
        yield lambda steps: None
        return

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        tell(what, done, of)

    _is_announced = True
    try:
        tell(what, 0, of)
        yield advance
    finally:
        _is_announced = False


def steps(items: Iterable[Item], what: str, *, of: int) -> Iterator[Item]:
    """Yield items, and announce each as a step that ends when the next one is asked for."""
    with announced(what, of=of) as advance:
        for item in items:
            yield item
            advance(1)


def clock(seconds: float) -> str:
    """Return a duration as ``0:07``, ``12:30`` or ``1:02:03``: hours, minutes, seconds."""
    minutes, rest = divmod(max(0, math.ceil(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def in_minutes(seconds: float) -> str:
    """Return a duration that is known roughly as ``1 min``, ``4 min`` or ``1 h 12 min``."""
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class Pace:
    """How fast work goes on, by its latest steps, and when it will be done.

    Parameters
    ----------
    total
        All steps.
    done
        Steps done before, at another time.
    """

    LATEST = 20  # steps by which the pace is measured

    def __init__(self, total: float, done: float = 0):
        self.total, self.done = total, done
        self._times = collections.deque([(done, time.perf_counter())])

    def update(self, done: float) -> None:
        """Note the number of steps that are done by now; fractions count."""
        self.done = done
        self._times.append((done, time.perf_counter()))
        while len(self._times) > 2 and self._times[1][0] <= done - self.LATEST:
            self._times.popleft()

    @property
    def seconds_per_step(self) -> float:
        """Duration of one step; nan before the first update."""
        (before, began), (done, now) = self._times[0], self._times[-1]
        return (now - began) / (done - before) if done > before else math.nan

    @property
    def seconds_left(self) -> float:
        """Duration of the steps that are left; nan before the first update."""
        return self.seconds_per_step * (self.total - self.done)
