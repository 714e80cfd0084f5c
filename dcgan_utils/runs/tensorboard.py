"""A run as TensorBoard shows it: curves, images, and measures beside the parameters.

``<run folder>/tensorboard/`` holds one file of events. A training that resumes writes it anew from
the history and the samples, so that no point is there twice, and then appends each epoch. The time
of a point is that of the folder's ``config.json`` plus the time trained, without interruptions.
TensorBoard's own writer would load TensorFlow where that is installed, and report a full disk late,
from a thread.
"""

from __future__ import annotations

import io
import logging
import math
import time
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dcgan_utils.core.environment import needs_extra
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import friendly_write_errors, warn_if_not_writable
from dcgan_utils.data.tensors import make_grid
from dcgan_utils.runs.training import Watcher

with needs_extra("tensorboard"):
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.summary.writer.record_writer import RecordWriter

if TYPE_CHECKING:
    import torch

    from dcgan_utils.runs.run import Run

logger = logging.getLogger(__name__)
GRIDS = 30  # of images per run, at most, but for the last
_RGB = 3  # TensorBoard's number for this order of colours
_NO_MEASURES = {"kid_low", "kid_high", "real", "generated"}  # in metrics.json, beside them


class TensorBoard(Watcher):
    """Writes each epoch of a training for TensorBoard.

    If that fails, as on a full disk, a warning is logged, and nothing more is written until the
    training resumes: TensorBoard reads a file only up to the first damaged record.
    """

    path: Path | None = None  # None: nothing can be written

    def start(self, run: Run, epoch: int, samples: torch.Tensor) -> None:
        """Write anew what the run has done before."""
        self.latest = epoch, samples
        self.planned = _planned_epochs(run)
        self.time = _times(run, _rows(run))[-1]
        with warn_if_not_writable():
            self.path = _begin(run)
        self._write(_events(run, self.planned))

    def epoch(self, row: dict[str, float], samples: torch.Tensor) -> None:
        """Write an epoch, with its images if they are due."""
        self.latest = epoch, _ = row["epoch"], samples
        self.time += row["seconds"]
        grid = [_grid(samples)] if epoch in self.planned else []
        self._write([_event(epoch, self.time, [*_scalars("training", row), *grid])])

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        """Write the last images, unless they were due anyway."""
        if self.path is not None and self.latest[0] not in self.planned:
            epoch, samples = self.latest
            self._write([_event(epoch, self.time, [_grid(samples)])])

    def _write(self, events: Iterable[Event]) -> None:
        path, self.path = self.path, None
        if path is not None:
            with warn_if_not_writable():
                _append(path, events)
                self.path = path


def export(run: Run) -> Path:
    """Write all that TensorBoard can show of a run, in place of what is there.

    Returns
    -------
    pathlib.Path
        The folder, for ``tensorboard --logdir``.

    Raises
    ------
    NotWritable
        If the folder cannot be written.
    """
    epochs = _planned_epochs(run) | {*run.sampled_epochs()[-1:]}
    path = _begin(run)
    _append(path, [*_events(run, epochs), *_measure_events(run)])
    return path.parent


# --- What is written ---


def _planned_epochs(run: Run) -> set[int]:
    """Return the epochs whose images are shown, from the first to the last, evenly spaced."""
    epochs = run.config.epochs
    return {*np.linspace(1, epochs, min(GRIDS, epochs)).round().astype(int).tolist()}


def _events(run: Run, shown: set[int]) -> Iterable[Event]:
    """Yield the parameters and the epochs of a run; with images where they are to be shown."""
    rows = _rows(run)
    began, *times = _times(run, rows)
    yield Event(wall_time=began, summary=_parameters(run))
    shown = shown & {*run.sampled_epochs()}
    for row, now in zip(rows, times, strict=True):
        grid = _stored_grid(run, row["epoch"]) if row["epoch"] in shown else []
        yield _event(row["epoch"], now, [*_scalars("training", row), *grid])


def _measure_events(run: Run) -> list[Event]:
    """Return the measures of the images, if there are any of the last epoch."""
    rows, measures = _rows(run), run.metrics()
    how = measures.get("how")
    if not (isinstance(how, dict) and how.get("epochs") == len(rows)):
        return []
    numbers = {name: value for name, value in measures.items() if _is_measure(name, value)}
    return [_event(len(rows), _times(run, rows)[-1], _scalars("measures", numbers))]


def _is_measure(name: str, value: object) -> bool:
    is_number = isinstance(value, int | float) and abs(value) < 1e38  # what fits into 32 bits
    return is_number and name.isidentifier() and name not in _NO_MEASURES


def _rows(run: Run) -> list[dict[str, float]]:
    return run.history().to_dict("records")


def _start_time(run: Run) -> float:
    return (run.folder / "config.json").stat().st_mtime


def _times(run: Run, rows: list[dict[str, float]]) -> list[float]:
    """Return the time of the start, and that of each epoch."""
    return [*accumulate((row.get("seconds", 0) for row in rows), initial=_start_time(run))]


def _parameters(run: Run) -> Summary:
    """Return what the tab of the hyper-parameters says of a run."""
    name = run.name.encode("utf-8", "replace").decode()
    values = {"collection": run.about["data"]["name"]} | run.config.identity
    values["start_from"] = values["start_from"] or "none"
    return hparams_pb(values, trial_id=name, start_time_secs=_start_time(run))


def _scalars(group: str, values: dict[str, float]) -> list[Summary.Value]:
    return [
        Summary.Value(tag=f"{group}/{name}", simple_value=value)
        for name, value in values.items()
        if name != "epoch"
    ]


def _stored_grid(run: Run, epoch: int) -> list[Summary.Value]:
    try:
        return [_grid(run.samples(epoch))]
    except WorkbookError as error:
        logger.warning("Left out of TensorBoard: %s", error)
        return []


def _grid(samples: torch.Tensor) -> Summary.Value:
    """Return images from the fixed latent vectors as a square of them.

    A PNG would be some five times as large, and TensorBoard's checksum, in Python, as slow.
    """
    grid = make_grid(samples, math.ceil(math.sqrt(len(samples))), gap=2)
    buffer = io.BytesIO()
    Image.fromarray(grid.numpy()).save(buffer, "JPEG", quality=90)
    height, width, _ = grid.shape
    image = Summary.Image(
        height=height, width=width, colorspace=_RGB, encoded_image_string=buffer.getvalue()
    )
    return Summary.Value(tag="samples", image=image)


def _event(epoch: int, now: float, values: list[Summary.Value]) -> Event:
    return Event(step=epoch, wall_time=now, summary=Summary(value=values))


# --- The file ---


def _begin(run: Run) -> Path:
    """Begin a new file of events in place of what is there, and return its path.

    A TensorBoard that is running finds the new file by its new name, and forgets what it has read
    at the start of a session. The file that it reads is emptied: it would wait for a deleted one.
    """
    folder = run.tensorboard_folder
    path = folder / f"events.out.tfevents.{time.time_ns()}"
    with friendly_write_errors(path):
        folder.mkdir(exist_ok=True)
        *older, latest = sorted(folder.glob("events.out.tfevents.*")) or [path]
        for old in older:
            old.unlink()
        latest.write_bytes(b"")
    now = _start_time(run)
    version = Event(wall_time=now, file_version="brain.Event:2")
    _append(path, [version, Event(wall_time=now, session_log=SessionLog(status=SessionLog.START))])
    return path


def _append(path: Path, events: Iterable[Event]) -> None:
    with friendly_write_errors(path), path.open("ab") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())
