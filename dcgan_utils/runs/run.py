"""The run folder: everything that one training writes, and what it resumes from.

``reports/runs/<name>/`` holds ``config.json``, ``history.csv`` (one row per epoch),
``samples/epoch_0001.png`` ..., ``weights/epoch_0050.pt`` ..., ``checkpoint.pt``, the previous
checkpoint (``checkpoint-before.pt``) and, once the training is finished, ``progress.gif``. If the
images were evaluated, there is also ``metrics.json``; ``tensorboard/`` is there where TensorBoard
is installed. Only a grid (`schedule.run_task`) writes
other files here: its executed notebook, page and lock. ``.lock`` keeps a second process from
training the same run. Every file remains valid if the process is killed: files are written under
another name and then renamed.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import hashlib
import io
import json
import logging
import math
import operator
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from dcgan_utils.core.environment import environment
from dcgan_utils.core.errors import NotEnoughData, NotWritable, WorkbookError
from dcgan_utils.core.files import (
    atomic_write,
    ensure_dir,
    expand_path,
    friendly_write_errors,
    normalise_name,
    remove_partial_files,
    runs_dir,
    write_bytes,
)
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.equilibrium import WINDOW, discriminator_advantage, divergence_epoch
from dcgan_utils.runs import checkpoint

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from dcgan_utils.data.load import Dataset


logger = logging.getLogger(__name__)
COLLAPSED = 0.5  # share between the samples, relative to real images
FORMAT = 3  # of config.json; increase it when older folders can no longer be read
# What runs were trained with before these were parameters: they keep the names they had then.
_FORMERLY = {"first_norm": "channel", "fit": "crop", "background": "#ffffff", "start_from": None}
LOCKS = (".lock", ".task")  # of a training, and of a grid's worker, which also measures
LOOK = 0.2  # seconds; who only looks whether a run is in use holds the locks for less


@dataclass(frozen=True)
class History:
    """The ``history.csv`` of a run, which need not exist yet; the first row sets the columns."""

    path: Path

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the readable rows; log how many others were ignored.

        An unreadable last row is not logged: a killed process may leave half of one.
        """
        if not self.path.exists():
            return ["epoch"], []
        try:
            header, *rows = _parse_table(self.path.read_bytes()) or [["epoch"]]
        except csv.Error:
            header, rows = [], []
        except OSError as error:
            raise WorkbookError(
                f"'{self.path}' cannot be read ({error.strerror or error})."
            ) from error
        if header[:1] != ["epoch"] or not all(name.isidentifier() for name in header):
            raise WorkbookError(
                f"'{self.path}' is damaged from its first line on. Delete it to continue "
                "without the history of earlier epochs."
            )
        kept = [row for row in rows if len(row) == len(header) and _are_numbers(row)]
        lost = len(rows) - len(kept) - (bool(rows) and rows[-1] not in kept[-1:])
        if lost:
            logger.warning("%d lines of '%s' are damaged and were ignored.", lost, self.path)
        return header, kept

    @property
    def is_empty(self) -> bool:
        """Whether there is no complete epoch."""
        return not self._rows()[1]

    def table(self) -> pd.DataFrame:
        """Return one row per epoch; may be empty.

        Raises
        ------
        WorkbookError
            If the first line, which names the columns, cannot be read.
        """
        import pandas as pd

        header, rows = self._rows()
        return pd.DataFrame(rows, columns=header).astype(float).astype({"epoch": int})

    def append(self, row: dict[str, float]) -> None:
        """Append one epoch; it is on the disk when this returns."""
        new = not self.path.exists()
        with friendly_write_errors(self.path):
            if not new and not self._is_own():
                self.forget_after(math.inf)  # written anew, so that its rows and ours are alike
            with self.path.open("a", newline="") as file:
                writer = csv.writer(file)
                if new:
                    writer.writerow(row)
                writer.writerow(row.values())
                file.flush()
                os.fsync(file.fileno())  # before the checkpoint that relies on it

    def _is_own(self) -> bool:
        """Return whether the file begins as `append` began it, not as a spreadsheet saves it."""
        with self.path.open("rb") as file:
            return file.read(6) == b"epoch,"

    def forget_after(self, epoch: float) -> None:
        """Delete the rows after ``epoch``."""
        header, rows = self._rows()
        kept = [row for row in rows if float(row[0]) <= epoch]
        if not kept:
            self.path.unlink(missing_ok=True)
            return
        text = "".join(",".join(row) + "\r\n" for row in [header, *kept])
        write_bytes(self.path, text.encode())


def _parse_table(content: bytes) -> list[list[str]]:
    """Split a CSV file into rows, also as a spreadsheet saves it.

    It may add a byte order mark, or write UTF-16, semicolons or tabs between the columns, and
    then perhaps commas in the numbers.
    """
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")
    separator = next((s for s in ";\t" if s in text.partition("\n")[0]), ",")
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    return rows if separator == "," else [[t.replace(",", ".") for t in row] for row in rows]


def _are_numbers(row: list[str]) -> bool:
    try:
        numbers = [float(text) for text in row]
    except ValueError:
        return False
    return numbers[0].is_integer() and 0 < numbers[0] < 1e9


def _identity(config: TrainConfig, data_hash: str) -> dict[str, Any]:
    return config.identity | {"data_hash": data_hash}


def run_name(config: TrainConfig, dataset: Dataset) -> str:
    """Return the name of a run: collection, prior, seed, and a hash of parameters and images."""
    identity = _identity(config, dataset.data_hash)
    for name, former in _FORMERLY.items():
        if identity[name] == former:
            del identity[name]
    identity = json.dumps(identity, sort_keys=True)
    digest = hashlib.blake2b(identity.encode(), digest_size=4).hexdigest()
    return f"{dataset.name}-{config.prior.slug}-s{config.seed}-{digest}"


def is_finished(name: str) -> bool:
    """Return whether there is a run of this name, and its training has ended."""
    try:
        return Run(name).finished
    except WorkbookError:
        return False


def epoch_seconds(name: str) -> list[float]:
    """Return how long each epoch of a run took; none of a run that has not begun.

    Unlike `Run.history` it is quick and quiet enough to be asked each second.
    """
    try:
        header, *rows = _parse_table((runs_dir() / name / "history.csv").read_bytes())
        column = header.index("seconds")
        return [float(row[column]) for row in rows if len(row) == len(header)]
    except (OSError, csv.Error, ValueError):
        return []


class Run:
    """A run folder that exists.

    Parameters
    ----------
    folder
        Path of the folder, or its name in ``reports/runs``.

    Raises
    ------
    WorkbookError
        If the folder does not contain a run of this version.
    """

    def __init__(self, folder: str | Path):
        self.folder = run_folder(folder) or runs_dir() / folder
        try:
            self.about = json.loads((self.folder / "config.json").read_text("utf-8-sig"))
            is_current = self.about.get("format") == FORMAT
            # What the training used may be missing here: a GPU's run opens on a laptop.
            self._stored = self.about["config"] | {"device": "auto", "tensorboard": "auto"}
            data = self.about["data"]
            if not re.fullmatch(r"[\w-]{1,60}", data["name"]):
                raise ValueError
            _ = data["data_hash"] + data["source"], *data.get("folders", ())  # all strings
            _ = {**data.get("options", {})}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise WorkbookError(
                f"'{folder}' is not a run folder: it has no readable config.json. "
                f"Runs are in '{runs_dir()}'; train.ipynb creates them."
            ) from None
        if not is_current:
            raise WorkbookError(
                f"the run '{self.folder}' was made by an older version, such as 0.1.0, which this "
                "one cannot read: delete the folder to train again."
            )
        TrainConfig.check(**self._stored)
        self._is_damaged = False  # the latest checkpoint; then it must not replace the previous one

    @cached_property
    def config(self) -> TrainConfig:
        """The parameters of the training, with the best device of this machine."""
        return TrainConfig.resolve(**self._stored)

    @classmethod
    def create(
        cls,
        config: TrainConfig,
        dataset: Dataset,
        *,
        folder: str | Path | None = None,
        start: dict[str, Any] | None = None,
    ) -> Run:
        """Create the folder of a run, or open it if the same run was started before.

        Parameters
        ----------
        folder
            The default is `run_name` in ``reports/runs``.
        start
            What is known of the weights that a new run begins with; see `transfer.Start`.

        Raises
        ------
        WorkbookError
            If ``folder`` contains a different run; the message lists the differences.
        """
        folder = expand_path(folder or runs_dir() / run_name(config, dataset))
        if (folder / "config.json").exists():
            run = cls(folder)
            run._refuse_different_run(_identity(config, dataset.data_hash))
            return run
        ensure_dir(folder / "samples")
        about = {
            "format": FORMAT,
            "name": folder.name,
            "config": config.model_dump(),
            "data": {
                "name": dataset.name,
                "source": str(dataset.source),
                "folders": dataset.folders,
                "images": len(dataset.images),
                "data_hash": dataset.data_hash,
                "options": dataset.options,
            },
            "environment": environment(),
        }
        if start is not None:
            about["start"] = start
        write_bytes(folder / "config.json", json.dumps(about, indent=2).encode())
        return cls(folder)

    def _refuse_different_run(self, wanted: dict[str, Any]) -> None:
        stored = _identity(self.config, self.about["data"]["data_hash"])
        changes = [
            f"{name} is {stored.get(name)} there and {value} here"
            for name, value in wanted.items()
            if stored.get(name) != value
        ]
        if changes:
            raise WorkbookError(
                f"the folder '{self.folder}' holds another run: {'; '.join(changes)}. "
                "Choose another folder, or use the same parameters to resume that run."
            )

    def __repr__(self) -> str:
        return f"Run({self.name!r})"

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether the training has ended: the animation is the last file to be written."""
        return self.gif_path.exists()

    def play(self, *, epoch: int | None = None) -> Any:
        """Write a page in which a browser draws this run's images; see `notebook.play`.

        Parameters
        ----------
        epoch
            One of `kept_epochs`; by default the last checkpoint.

        Returns
        -------
        notebook.ShownPage
            In a cell a link and a frame; elsewhere its text is the path of the page.
        """
        import dcgan_utils  # what makes pages lies to the right of this room

        return dcgan_utils.play(self, epoch=epoch)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training this run; the lock of a dead process does not count.

        Raises
        ------
        WorkbookError
            If another process is training it.
        """
        with lock_run(self.folder):
            remove_partial_files(self.folder)
            yield

    @property
    def is_in_use(self) -> bool:
        """Whether a process is training or measuring this run just now."""
        try:
            with lock_unused(self.folder):
                return False
        except NotWritable:  # a run of others, in a folder that is only read here
            return False
        except WorkbookError:
            return True

    @property
    def gif_path(self) -> Path:
        """The animation: images from the fixed latent vectors, epoch by epoch."""
        return self.folder / "progress.gif"

    @property
    def tensorboard_folder(self) -> Path:
        """What TensorBoard reads; it need not exist. See `tensorboard`."""
        return self.folder / "tensorboard"

    @property
    def checkpoint_path(self) -> Path:
        """The latest state of the training."""
        return self.folder / "checkpoint.pt"

    @property
    def previous_checkpoint_path(self) -> Path:
        """The state before the latest; it need not exist."""
        return self.folder / "checkpoint-before.pt"

    @property
    def _history(self) -> History:
        return History(self.folder / "history.csv")

    def history(self) -> pd.DataFrame:
        """Return one row per epoch: losses, D(x), D(G(z)), shares, seconds; may be empty."""
        return self._history.table()

    def last_row(self) -> dict[str, float]:
        """Return the last row of the history, without pandas; empty if there is none."""
        header, rows = self._history._rows()
        return dict(zip(header, map(float, rows[-1]), strict=True)) if rows else {}

    @property
    def divergence_window(self) -> int:
        """Epochs over which the advantage is averaged: ten passes over the collection."""
        from dcgan_utils.gan import augment

        return math.ceil(WINDOW / augment.views_per_image(self.config.augment))

    def divergence_epoch(self) -> int | None:
        """Return the epoch at which the losses diverged, or None; see `equilibrium`."""
        history = self.history()
        if history.empty:
            return None
        labels = self.config.model_dump(include={"real_label", "fake_label"})
        d_loss = history["d_loss_real"] + history["d_loss_fake"]
        advantages = discriminator_advantage(d_loss, **labels)
        row = divergence_epoch(advantages, window=self.divergence_window)
        return None if row is None else int(history["epoch"].iloc[row - 1])

    def describe_divergence(self) -> str:
        """Describe in Markdown whether the losses have diverged, and what that means."""
        require_epochs(self.history())
        epoch = self.divergence_epoch()
        outcome = "did not diverge" if epoch is None else f"diverged at epoch {epoch}"
        return (
            f"**The losses {outcome}.** They count as diverged once the discriminator, on average "
            f"over {self.divergence_window} epochs, is at least four fifths of the way from "
            "guessing to being always right, and stays there to the end: it then wins without "
            "effort. The second study stopped its training at that sign, as the parameter "
            "`patience` does. The images may still improve afterwards."
        )

    def describe_last_epoch(self) -> str:
        """Describe in Markdown the discriminator's output and the variety of the samples."""
        history = self.history()
        require_epochs(history)
        last = history.iloc[-1]
        text = (
            f"After the last epoch D(x) is **{last['d_real']:.2f}** for real images on average, "
            f"and D(G(z)) is **{last['d_fake']:.2f}** for generated ones. The closer the two, the "
            "better the generator deceives the discriminator."
        )
        share = last["share_between_images"]
        if math.isnan(share):
            return f"{text} The real images do not vary."
        text += (
            f" The share of the samples' variance that lies between them is **{share:.2f}** times "
            "that of real images."
        )
        if share < COLLAPSED:
            text += " **That is less than half: the generator repeats itself.**"
        return text

    @property
    def trained_at(self) -> float:
        """When its last epoch ended, in seconds since 1970; without epochs, when it began."""
        files = (self.folder / "history.csv", self.folder / "config.json")
        return max(file.stat().st_mtime for file in files if file.exists())

    @property
    def minutes(self) -> float:
        """Training time of the complete epochs."""
        history = self.history()
        return 0.0 if history.empty else history["seconds"].sum() / 60

    def log_epoch(self, row: dict[str, float]) -> None:
        """Append one epoch to the history; it is on the disk when this returns."""
        self._history.append(row)

    def forget_after(self, epoch: int) -> None:
        """Delete what was written after ``epoch``, from which the training resumes."""
        self._history.forget_after(epoch)
        for path_of, epochs in (
            (self._samples_path, self.sampled_epochs()),
            (self._weights_path, self.kept_epochs()),
        ):
            for later in (number for number in epochs if number > epoch):
                path_of(later).unlink(missing_ok=True)

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Write the state of the training; the previous checkpoint is kept too."""
        previous = None if self._is_damaged else self.previous_checkpoint_path
        checkpoint.save(self.checkpoint_path, state, previous=previous)
        self._is_damaged = False

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Return the latest saved state, on the CPU, or ``None`` if there is none.

        If the checksums show that the latest checkpoint is damaged, a warning is logged and the
        previous one is used.

        Raises
        ------
        WorkbookError
            If no checkpoint can be read, or one contains more than tensors and plain types.
        """
        paths = [p for p in (self.checkpoint_path, self.previous_checkpoint_path) if p.exists()]
        for path in paths:
            try:
                return checkpoint.load(path, f"Delete the folder '{self.folder}' to start over.")
            except checkpoint.Damaged:
                if path == paths[-1]:
                    raise
                self._is_damaged = True
                logger.warning("'%s' is damaged: using the previous checkpoint.", path)
        return None

    def metrics(self) -> dict[str, Any]:
        """Return what `save_metrics` wrote, with None for NaN; nothing if that cannot be read."""
        try:
            stored = json.loads((self.folder / "metrics.json").read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return stored if isinstance(stored, dict) else {}

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Write measures of the images to ``metrics.json``; NaN becomes null."""
        valid = {name: None if value != value else value for name, value in metrics.items()}
        write_bytes(self.folder / "metrics.json", json.dumps(valid, indent=2).encode())

    def _weights_path(self, epoch: int) -> Path:
        return self.folder / "weights" / f"epoch_{epoch:04d}.pt"

    def save_weights(self, epoch: int, weights: dict[str, torch.Tensor]) -> None:
        """Write the EMA generator's weights after an epoch, in half precision.

        Tensors with one value per channel keep their precision: running variances may be large.
        """
        halved = {name: w.half() if w.ndim > 1 else w for name, w in weights.items()}
        path = self._weights_path(epoch)
        _ensure_subfolder(path.parent)
        checkpoint.save(path, halved)

    def load_weights(self, epoch: int | None = None) -> dict[str, torch.Tensor]:
        """Return the EMA generator's weights, on the CPU.

        Parameters
        ----------
        epoch
            One of `kept_epochs`; by default the `latest_weights`.

        Raises
        ------
        WorkbookError
            If there are no such weights, or they cannot be read.
        """
        if epoch is None:
            return self.latest_weights()[1]
        path = self.require_weights(epoch)
        halved = checkpoint.load(path, f"Choose another of {self.kept_epochs()}.")
        with incompatible_state_as_error(self):
            return {name: w.float() if w.is_floating_point() else w for name, w in halved.items()}

    def require_weights(self, epoch: int) -> Path:
        """Return the file of the weights of an epoch, which need not be readable.

        Raises
        ------
        WorkbookError
            If there is none.
        """
        path = self._weights_path(epoch)
        if not path.exists():
            kept = ", ".join(map(str, self.kept_epochs())) or "none"
            raise WorkbookError(
                f"the run '{self.name}' has kept no weights of epoch {epoch}. Kept: {kept}."
            )
        return path

    def latest_weights(self) -> tuple[int, dict[str, torch.Tensor]]:
        """Return the last complete epoch and the EMA generator's weights, on the CPU.

        They are those of the latest checkpoint or, if its file was deleted or is damaged, of the
        last of `kept_epochs`.

        Raises
        ------
        WorkbookError
            If there are none, or they cannot be read.
        """
        kept = self.kept_epochs()
        try:
            state = self.load_checkpoint()
        except checkpoint.Damaged as error:
            if not kept:
                raise
            logger.warning("%s Using the weights of epoch %d.", error, kept[-1])
            state = None
        if state is not None:
            with incompatible_state_as_error(self):
                return operator.index(state["epoch"]), state["model"]["ema"]
        if kept:
            return kept[-1], self.load_weights(kept[-1])
        if self.finished:
            raise WorkbookError(
                f"the checkpoint and all weights of the run '{self.name}' were deleted. Delete "
                f"the folder '{self.folder}' to train again."
            )
        raise WorkbookError(f"the run '{self.name}' has no checkpoint yet; train it first.")

    def kept_epochs(self) -> list[int]:
        """Return the epochs whose weights were kept."""
        return _epochs(self.folder / "weights", ".pt")

    def _samples_path(self, epoch: int) -> Path:
        return self.folder / "samples" / f"epoch_{epoch:04d}.png"

    def save_samples(self, epoch: int, images: torch.Tensor) -> None:
        """Write images from the fixed latent vectors as one PNG, in rows, without gaps.

        Parameters
        ----------
        epoch
            The epoch after which they were generated.
        images
            uint8, shape ``(n, 3, H, W)``.
        """
        from dcgan_utils.data.tensors import make_grid

        grid, path = make_grid(images, _columns(len(images)), fill=0), self._samples_path(epoch)
        _ensure_subfolder(path.parent)
        with atomic_write(path) as file:
            # Level 3 takes half the time of Pillow's 6, for an eighth more bytes.
            Image.fromarray(grid.numpy()).save(file, "PNG", compress_level=3)

    def samples(self, epoch: int) -> torch.Tensor:
        """Return the images from the fixed latent vectors, uint8 ``(sample_size, 3, H, W)``.

        Raises
        ------
        WorkbookError
            If there are no samples of this epoch, or they are damaged.
        """
        import numpy as np
        import torch

        side, columns = self.config.img_size, _columns(self.config.sample_size)
        path = self._samples_path(epoch)
        try:
            with Image.open(path) as grid:
                pixels = torch.from_numpy(np.array(grid.convert("RGB")))
            tiles = pixels.unflatten(0, (-1, side)).unflatten(2, (columns, side))
        except Exception as error:  # Pillow raises many types on damaged files
            raise WorkbookError(
                f"the preview '{path}' cannot be read ({type(error).__name__}). Delete it to "
                "continue without it."
            ) from error
        return tiles.permute(0, 2, 4, 1, 3).flatten(0, 1)[: self.config.sample_size]

    def sampled_epochs(self, most: int | None = None) -> list[int]:
        """Return the epochs that have samples; with ``most``, that many at most, evenly spaced."""
        epochs = _epochs(self.folder / "samples", ".png")
        if most is None or len(epochs) <= most:
            return epochs
        import numpy as np

        chosen = np.linspace(0, len(epochs) - 1, most).round().astype(int)
        return [epochs[index] for index in chosen]


def require_epochs(history: pd.DataFrame) -> None:
    """Raise `NotEnoughData` if a history is empty, as after ``history.csv`` was deleted."""
    if history.empty:
        raise NotEnoughData("Skipped: history.csv, the record of the epochs, is missing or empty.")


def _ensure_subfolder(folder: Path) -> None:
    """Create a folder of a run, also if it was deleted meanwhile; the run's own must exist."""
    with friendly_write_errors(folder):
        folder.mkdir(exist_ok=True)


def _epochs(folder: Path, ending: str) -> list[int]:
    names = (path.stem.removeprefix("epoch_") for path in folder.glob(f"epoch_*{ending}"))
    return sorted(int(name) for name in names if name.isdecimal())


@contextmanager
def incompatible_state_as_error(run: Run) -> Iterator[None]:
    """Raise a `WorkbookError` if the saved state of a run does not fit the run."""
    try:
        yield
    except Exception as error:
        if checkpoint.is_out_of_memory(error):
            raise
        raise WorkbookError(
            f"the state saved in '{run.folder}' does not fit that run ({type(error).__name__}). "
            "Delete the folder to start over."
        ) from error


def _columns(images: int) -> int:
    """Return the number of images per row: eight, or fewer if all fit in a small square."""
    return math.ceil(math.sqrt(images)) if images <= 25 else 8


def run_folder(name: str | Path) -> Path | None:
    """Return the run folder at this path, or of this name in ``reports/runs``, if it is one."""
    path = expand_path(name)
    with contextlib.suppress(OSError):  # too long for a file name
        return next((f for f in (path, runs_dir() / path) if (f / "config.json").is_file()), None)
    return None


def run_folders() -> list[Path]:
    """Return the folders in ``reports/runs`` that have a config, which need not be readable."""
    return sorted(config.parent for config in runs_dir().glob("*/config.json"))


@contextmanager
def lock_run(folder: Path, name: str = LOCKS[0]) -> Iterator[None]:
    """Keep other processes from working in a run folder; see `Run.locked`."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / name, timeout=LOOK)
    with friendly_write_errors(folder):
        try:
            lock.acquire()
        except Timeout:
            raise WorkbookError(
                f"the run '{folder.name}' is being trained by another process. Wait for that "
                "process or stop it, then try again."
            ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def lock_unused(folder: Path) -> Iterator[None]:
    """Keep other processes from a run folder, without making files in it; see `Run.locked`."""
    with contextlib.ExitStack() as stack:
        for name in LOCKS:
            if (folder / name).exists():
                stack.enter_context(lock_run(folder, name))
        yield


def find_run(name: str | Path | Run) -> Run:
    """Return the run that a name, path or pattern means; a `Run` is returned as it is.

    Raises
    ------
    WorkbookError
        If none or several are meant; the message lists those that exist, or fit.
    """
    if isinstance(name, Run):
        return name
    if (folder := run_folder(name)) is not None:
        return Run(folder)
    runs = find_runs(str(name))
    if len(runs) > 1:
        fitting = ", ".join(run.name for run in runs)
        raise WorkbookError(f"'{name}' means {len(runs)} runs: {fitting}. Name one of them.")
    return runs[0]


def latest_run(pattern: str) -> Run:
    """Return the run that was trained last of those that `find_runs` finds.

    Raises
    ------
    WorkbookError
        If there is none; the message lists those that exist.
    """
    return max(find_runs(pattern), key=lambda run: run.trained_at)


def find_runs(pattern: str) -> list[Run]:
    """Find runs by name, path or pattern.

    Parameters
    ----------
    pattern
        Names or paths of run folders, separated by commas. Patterns such as ``monet-*`` match
        names in ``reports/runs``. The name of a collection, ``monet``, means all its runs.
        Patterns and collections skip runs without a complete epoch, unless no other run matches.

    Returns
    -------
    list of Run
        In the given order, the matches of a pattern by name; without repetitions.

    Raises
    ------
    WorkbookError
        If a name or pattern matches no run; the message lists the existing runs.
    """
    runs: dict[Path, Run] = {}
    for part in filter(None, (part.strip() for part in pattern.split(","))):
        for folder in _matching_folders(part):
            runs.setdefault(folder.resolve(), Run(folder))
    if not runs:
        raise WorkbookError(f"no run is named: give the names of runs in '{runs_dir()}'.")
    return list(runs.values())


def _matching_folders(pattern: str) -> list[Path]:
    named = run_folder(pattern) or run_folder(normalise_name(pattern))
    if named is not None:
        return [named]
    found = select_folders(run_folders(), pattern)
    started = [folder for folder in found if _has_epochs(folder)]
    if started and len(started) < len(found):
        skipped = ", ".join(folder.name for folder in found if folder not in started)
        logger.warning("Skipped, because they have no complete epoch: %s.", skipped)
    return started or found


def select_folders(folders: list[Path], pattern: str) -> list[Path]:
    """Return the run folders whose name, or else whose collection, matches a pattern.

    Raises
    ------
    WorkbookError
        If there are none; the message lists the folders.
    """
    composed = normalise_name(pattern)  # as names of runs are
    found = [folder for folder in folders if fnmatch(folder.name, composed)]
    found = found or [folder for folder in folders if _collection(folder) == composed]
    if not found:
        names = ", ".join(folder.name for folder in folders)
        available = f"Available: {names}" if names else "There are no runs yet"
        raise WorkbookError(f"no run in '{runs_dir()}' matches '{pattern}'. {available}.")
    return found


def _has_epochs(folder: Path) -> bool:
    try:
        return not Run(folder)._history.is_empty
    except WorkbookError:
        return True  # the error is raised when the run is used


def _collection(folder: Path) -> str | None:
    """Return the name of the collection of a run, or None if the run cannot be read."""
    try:
        return Run(folder).about["data"]["name"]
    except WorkbookError:
        return None
