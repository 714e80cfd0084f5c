"""The chapters of a report: which there are, and how long they take."""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from dcgan_utils.core.files import runs_dir
from dcgan_utils.core.progress import Pace, clock, in_minutes
from dcgan_utils.gan.augment import views_per_image
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.report.site import Page
from dcgan_utils.runs.run import epoch_seconds, is_finished
from dcgan_utils.runs.training import train_batch
from dcgan_utils.study.benchmark import seconds_of

# In reading order, with the seconds that each takes on two cores at 64 px, besides the epochs of
# trainings.
SECONDS = {
    "eda": 80,
    "augment": 10,
    "train": 40,
    "trainings": 60,
    "latent": 50,
    "compare": 90,
    "capacity": 60,
    "benchmark": 600,
}


@dataclass(frozen=True, eq=False)
class Chapter:
    """One notebook of a report.

    Attributes
    ----------
    notebook
        Its stem.
    values
        Its parameters, but for the runs.
    title, summary
        For the page and the index.
    name
        By which it is chosen; by default the notebook's stem.
    stem
        Of the executed copy; by default the notebook's.
    runs
        The runs that it trains, with their parameters.
    needs
        How many trained runs it shows, at least.
    """

    notebook: str
    values: dict[str, Any]
    title: str
    summary: str
    name: str = ""
    stem: str = ""
    runs: Mapping[str, TrainConfig] = field(default_factory=dict)
    needs: int = 0

    def __post_init__(self):
        object.__setattr__(self, "name", self.name or self.notebook)
        object.__setattr__(self, "stem", self.stem or self.notebook)

    @property
    def copy(self) -> str:
        """Name of the executed notebook."""
        return f"{self.stem}.ipynb"


# --- How long ---


@dataclass
class Timetable:
    """Where a report stands, and how long the rest will take.

    The time left of a training follows from its history, or from those of the report's other
    trainings, or before the first one from a few updates, which are timed. Of the other chapters
    there is a rough expectation, scaled by how long those took that have ended.

    Attributes
    ----------
    chapters
        Those that are to be built.
    images
        How many the collection has.
    """

    chapters: Sequence[Chapter]
    images: int
    current: Chapter | None = None
    began: float = 0.0
    _took: float = field(default=0.0, init=False)
    _expected: float = field(default=0.0, init=False)

    def begin(self, chapter: Chapter) -> None:
        """Note that a chapter begins."""
        self.current, self.began = chapter, time.time()

    def end(self, page: Page) -> None:
        """Note that it has ended, with this page."""
        if not self.current.runs and not page.failed:
            self._took += page.seconds
            self._expected += SECONDS[self.current.notebook]
        self.current = None

    def number(self, chapter: Chapter) -> str:
        """Return the place of a chapter, such as ``[3/7]``."""
        return f"[{self.chapters.index(chapter) + 1}/{len(self.chapters)}]"

    def describe(self) -> str:
        """Describe in one line what goes on, and how long it will take."""
        if self.current is None:
            return "Writing the pages"
        left = self._left(self.current) - (time.time() - self._latest_news())
        if left > 0:
            is_known = any(map(epoch_seconds, self.current.runs))
            state = f"{'' if is_known else 'about '}{clock(left)} left"
        else:
            state = f"{clock(time.time() - self.began)} so far"
        text = f"{self.number(self.current)} {self.current.title}, {state}"
        coming = self.chapters[self.chapters.index(self.current) + 1 :]
        whole = max(left, 0) + sum(map(self._left, coming))
        return text if math.isnan(whole) else f"{text} (report: about {in_minutes(whole)} left)"

    def describe_whole(self) -> str:
        """Describe in one line how many chapters there are, and how long they will take."""
        whole = sum(map(self._left, self.chapters))
        took = "" if math.isnan(whole) else f", about {in_minutes(whole)}"
        return f"Chapters: {len(self.chapters)}{took}"

    def _left(self, chapter: Chapter) -> float:
        """Return the seconds of a chapter that has not begun, or since the latest news of it."""
        scale = self._took / self._expected if self._expected else 1.0
        around = SECONDS[chapter.notebook] * scale
        epochs = (
            config.epochs - len(epoch_seconds(run))
            for run, config in chapter.runs.items()
            if not is_finished(run)
        )
        return around + sum(n * self._pace(chapter) for n in epochs)

    def _latest_news(self) -> float:
        """Return when the current chapter began, or its latest epoch ended."""
        histories = (runs_dir() / run / "history.csv" for run in self.current.runs)
        return max(self.began, *(path.stat().st_mtime for path in histories if path.exists()), 0)

    def _pace(self, chapter: Chapter) -> float:
        """Return the seconds per epoch of a chapter's trainings, from the latest epochs of any."""
        known = [*reversed(chapter.runs), *(run for other in self.chapters for run in other.runs)]
        for run in known:
            if seconds := epoch_seconds(run)[-Pace.LATEST :]:
                return statistics.mean(seconds)
        return self._timed_pace

    @cached_property
    def _timed_pace(self) -> float:
        config = next(config for chapter in self.chapters for config in chapter.runs.values())
        return time_epoch(config, self.images)


def time_epoch(config: TrainConfig, images: int) -> float:
    """Time updates for two seconds, and return how long an epoch would take at the best of them.

    Others may have waited for other programs. It is nan if they fail; the training will say why.
    """
    size = min(images, config.batch_size)
    batch = torch.zeros(size, 3, config.img_size, config.img_size, dtype=torch.uint8)
    durations: list[float] = []
    with contextlib.suppress(RuntimeError, MemoryError):
        model = DCGAN(config)
        batch = batch.to(model.device)
        train_batch(model, batch)  # the first takes longer
        while sum(durations) < 2:
            durations.append(seconds_of(lambda: train_batch(model, batch), config.device))
    batches = math.ceil(images * views_per_image(config.augment) / size)
    return batches * min(durations) if durations else math.nan
