"""The run folder: everything that one training leaves behind, and how it is picked up again.

``reports/runs/<name>/`` holds ``config.json``, ``history.csv`` (one row an epoch),
``samples/epoch_0001.png`` ..., ``weights/epoch_0050.pt`` ..., ``checkpoint.pt``, the one before it
(``checkpoint-before.pt``) and, once finished, ``progress.gif``; ``metrics.json`` where the images
were measured. Nothing else writes there but a grid (`schedule.run_task`): its executed notebook,
page and lock. ``.lock`` keeps a second process from training the same run. Each file is valid
whenever the process dies: what matters is written beside and renamed.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import logging
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from PIL import Image

from dcgan_utils.core.environment import environment
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import (
    atomic_write,
    ensure_dir,
    expand_path,
    friendly_write_errors,
    remove_partial_files,
    runs_dir,
    write_bytes,
)
from dcgan_utils.data.tensors import make_grid
from dcgan_utils.gan import augment
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.equilibrium import WINDOW, discriminator_advantage, divergence_epoch
from dcgan_utils.runs import checkpoint

if TYPE_CHECKING:
    import pandas as pd

    from dcgan_utils.data.load import Dataset


logger = logging.getLogger(__name__)
COLLAPSED = 0.5  # spread of the samples, relative to real images
FORMAT = 2  # of config.json; raise it whenever older folders are no longer read


@dataclass(frozen=True)
class History:
    """The file, which need not exist yet; its columns are those of the first row."""

    path: Path

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        """Return header and readable rows of the history; a lost one is told.

        But for the last one: a killed process may leave half a row.
        """
        if not self.path.exists():
            return ["epoch"], []
        try:
            with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
                header, *rows = list(csv.reader(file)) or [["epoch"]]
        except csv.Error:
            header, rows = [], []
        if header[:1] != ["epoch"] or not all(name.isidentifier() for name in header):
            raise WorkbookError(
                f"'{self.path}' is damaged from its first line on. Delete it to go on "
                "without the epochs that are behind."
            )
        kept = [row for row in rows if len(row) == len(header) and _are_numbers(row)]
        lost = len(rows) - len(kept) - (bool(rows) and rows[-1] not in kept[-1:])
        if lost:
            logger.warning("%d lines of '%s' are damaged: left out.", lost, self.path)
        return header, kept

    def table(self) -> pd.DataFrame:
        """Return one row an epoch; may be empty.

        Raises
        ------
        WorkbookError
            If the first line cannot be read: then nobody knows what the numbers are.
        """
        import pandas as pd

        header, rows = self._rows()
        return pd.DataFrame(rows, columns=header).astype(float).astype({"epoch": int})

    def append(self, row: dict[str, float]) -> None:
        """Append one epoch; it is on the disk when this returns."""
        new = not self.path.exists()
        with friendly_write_errors(self.path), self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(row)
            writer.writerow(row.values())
            file.flush()
            os.fsync(file.fileno())  # before the checkpoint that counts on it

    def forget_after(self, epoch: int) -> None:
        """Drop what was written after ``epoch``."""
        header, rows = self._rows()
        kept = [row for row in rows if float(row[0]) <= epoch]
        if not kept:
            self.path.unlink(missing_ok=True)
            return
        text = "".join(",".join(row) + "\r\n" for row in [header, *kept])
        write_bytes(self.path, text.encode())


def _are_numbers(row: list[str]) -> bool:
    try:
        numbers = [float(gauge) for gauge in row]
    except ValueError:
        return False
    return numbers[0].is_integer() and 0 < numbers[0] < 1e9


def _identity(config: TrainConfig, data_hash: str) -> dict[str, Any]:
    return config.identity | {"data_hash": data_hash}


def run_name(config: TrainConfig, dataset: Dataset) -> str:
    """Return the folder name of a run: collection, noise, seed, and a hash of all parameters."""
    identity = json.dumps(_identity(config, dataset.data_hash), sort_keys=True)
    digest = hashlib.blake2b(identity.encode(), digest_size=4).hexdigest()
    return f"{dataset.name}-{config.prior.slug}-s{config.seed}-{digest}"


class Run:
    """A run folder that exists.

    Parameters
    ----------
    folder
        Path of the folder, or its bare name below ``reports/runs``.

    Raises
    ------
    WorkbookError
        If there is no run in that folder.
    """

    def __init__(self, folder: str | Path):
        self.folder = run_folder(folder) or runs_dir() / folder
        try:
            self.about = json.loads((self.folder / "config.json").read_text())
            is_current = self.about.get("format") == FORMAT
            # Where it was trained need not exist here: a run from a GPU opens on a laptop.
            stored, data = self.about["config"] | {"device": "auto"}, self.about["data"]
            if not re.fullmatch(r"[\w-]{1,60}", data["name"]):
                raise ValueError
            _ = data["data_hash"] + data["source"], *data.get("folders", ())  # all texts
            _ = {**data.get("options", {})}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise WorkbookError(
                f"'{folder}' is not a run folder: it has no readable config.json. "
                f"Runs lie in '{runs_dir()}'; train.ipynb makes one."
            ) from None
        if not is_current:
            raise WorkbookError(
                f"the run '{self.folder}' was made by version 0.1.0, whose runs this version does "
                "not read: delete the folder to train it again."
            )
        self.config = TrainConfig.resolve(**stored)
        self._is_damaged = False  # the checkpoint; then it must not displace the one before it

    @classmethod
    def create(
        cls, config: TrainConfig, dataset: Dataset, *, folder: str | Path | None = None
    ) -> Run:
        """Make the folder of a run, or open it if the same run was begun before.

        Parameters
        ----------
        config, dataset
            What is trained on what; together they name the folder.
        folder
            Another place for it.

        Raises
        ------
        WorkbookError
            If ``folder`` holds a different run; the message names the differences.
        """
        folder = expand_path(folder or runs_dir() / run_name(config, dataset))
        if (folder / "config.json").exists():
            run = cls(folder)
            run._refuse_another(_identity(config, dataset.data_hash))
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
        write_bytes(folder / "config.json", json.dumps(about, indent=2).encode())
        return cls(folder)

    def _refuse_another(self, wanted: dict[str, Any]) -> None:
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
        """Whether all epochs are done: the animation is the last thing that is written."""
        return self.gif_path.exists()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training this run; a dead one's lock does not count.

        Raises
        ------
        WorkbookError
            If another process is training it.
        """
        lock = FileLock(self.folder / ".lock", timeout=0)
        with friendly_write_errors(self.folder):
            try:
                lock.acquire()
            except Timeout:
                raise WorkbookError(
                    f"the run '{self.name}' is being trained by another process. Wait for it, or "
                    "stop it; then run this again."
                ) from None
        try:
            remove_partial_files(self.folder)
            yield
        finally:
            lock.release()

    @property
    def gif_path(self) -> Path:
        """The animation of the fixed noise through the epochs."""
        return self.folder / "progress.gif"

    @property
    def checkpoint_path(self) -> Path:
        """The latest state of the training."""
        return self.folder / "checkpoint.pt"

    @property
    def _former_checkpoint_path(self) -> Path:
        return self.folder / "checkpoint-before.pt"

    @property
    def _history(self) -> History:
        return History(self.folder / "history.csv")

    def history(self) -> pd.DataFrame:
        """Return one row an epoch: losses, D(x), D(G(z)), gauges, seconds; may be empty."""
        return self._history.table()

    @property
    def divergence_window(self) -> int:
        """Epochs over which the advantage is averaged: ten passes over the collection's images."""
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
        epoch = self.divergence_epoch()
        outcome = "did not diverge" if epoch is None else f"diverged at epoch {epoch}"
        return (
            f"**The losses {outcome}.** They have diverged where the discriminator, on average "
            f"over {self.divergence_window} epochs, is at least four fifths of the way from "
            "guessing to being always right, and stays there to the end. It then wins without "
            "effort. The second study stopped its training at that sign, as the parameter "
            "`patience` does. The images may still improve afterwards."
        )

    def describe_last_epoch(self) -> str:
        """Describe in Markdown the discriminator's output and the variety of the samples."""
        last = self.history().iloc[-1]
        text = (
            f"After the last epoch D(x) is **{last['d_real']:.2f}** for real images on average, "
            f"and D(G(z)) is **{last['d_fake']:.2f}** for generated ones. The closer the two, the "
            "better the generator deceives the discriminator."
        )
        spread = last["sample_spread"]
        if math.isnan(spread):
            return f"{text} The real images do not vary."
        text += f" The samples vary **{spread:.2f}** times as much as real images."
        if spread < COLLAPSED:
            text += " **That is less than half: the generator repeats itself (mode collapse).**"
        return text

    @property
    def minutes(self) -> float:
        """How long the complete epochs took."""
        history = self.history()
        return 0.0 if history.empty else history["seconds"].sum() / 60

    def log_epoch(self, row: dict[str, float]) -> None:
        """Append one epoch to the history; it is on the disk when this returns."""
        self._history.append(row)

    def forget_after(self, epoch: int) -> None:
        """Drop what was written after ``epoch``, from which the training goes on."""
        self._history.forget_after(epoch)
        for path_of, epochs in (
            (self._samples_path, self.sampled_epochs()),
            (self._weights_path, self.kept_epochs()),
        ):
            for later in (number for number in epochs if number > epoch):
                path_of(later).unlink(missing_ok=True)

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Write the state of the training; the former one is kept beside it."""
        former = None if self._is_damaged else self._former_checkpoint_path
        checkpoint.save(self.checkpoint_path, state, former=former)
        self._is_damaged = False

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Return the state last saved, on the CPU, or ``None`` if there is none.

        The file's checksums are tested. If it is damaged, the one before counts, which is told.

        Raises
        ------
        WorkbookError
            If none can be read, or one holds more than tensors and plain types.
        """
        paths = [p for p in (self.checkpoint_path, self._former_checkpoint_path) if p.exists()]
        for path in paths:
            try:
                return checkpoint.load(path, f"Delete the folder '{self.folder}' to train anew.")
            except checkpoint.Damaged:
                if path == paths[-1]:
                    raise
                self._is_damaged = True
                logger.warning("'%s' is damaged: the checkpoint before it is taken.", path)
        return None

    def save_metrics(self, metrics: dict[str, float | int | str]) -> None:
        """Leave what was measured of the images beside the run, for people and other tools."""
        known = {name: None if value != value else value for name, value in metrics.items()}  # NaN
        write_bytes(self.folder / "metrics.json", json.dumps(known, indent=2).encode())

    def _weights_path(self, epoch: int) -> Path:
        return self.folder / "weights" / f"epoch_{epoch:04d}.pt"

    def save_weights(self, epoch: int, weights: dict[str, torch.Tensor]) -> None:
        """Keep the drawing generator's weights as they are after an epoch, in half precision.

        What has one value a channel stays as it is: running variances may be large.
        """
        halved = {name: w.half() if w.ndim > 1 else w for name, w in weights.items()}
        path = self._weights_path(epoch)
        ensure_dir(path.parent)
        checkpoint.save(path, halved)

    def load_weights(self, epoch: int | None = None) -> dict[str, torch.Tensor]:
        """Return the drawing generator's weights, averaged (EMA), on the CPU.

        Parameters
        ----------
        epoch
            One of `kept_epochs`; without it, where the training stands.

        Raises
        ------
        WorkbookError
            If there are none, or they cannot be read.
        """
        if epoch is None:
            state = self.load_checkpoint()
            if state is None:
                raise WorkbookError(f"the run '{self.name}' has no checkpoint yet; train it first.")
            with incompatible_state_as_error(self):
                return state["model"]["ema"]
        path = self._weights_path(epoch)
        if not path.exists():
            kept = ", ".join(map(str, self.kept_epochs())) or "none"
            raise WorkbookError(
                f"the run '{self.name}' has kept no weights of epoch {epoch}. Kept: {kept}."
            )
        halved = checkpoint.load(path, f"Choose another of {self.kept_epochs()}.")
        with incompatible_state_as_error(self):
            return {name: w.float() if w.is_floating_point() else w for name, w in halved.items()}

    def kept_epochs(self) -> list[int]:
        """Return the epochs whose weights were kept."""
        return _epochs(self.folder / "weights", ".pt")

    def _samples_path(self, epoch: int) -> Path:
        return self.folder / "samples" / f"epoch_{epoch:04d}.png"

    def save_samples(self, epoch: int, images: torch.Tensor) -> None:
        """Write the images drawn from the fixed noise as one PNG, in rows, without gaps.

        Parameters
        ----------
        epoch
            The epoch after which they were drawn.
        images
            uint8, shape ``(n, 3, H, W)``.
        """
        grid = make_grid(images, _columns(len(images)), fill=0)
        with atomic_write(self._samples_path(epoch)) as file:
            # Level 3: half the time of Pillow's 6, an eighth more bytes.
            Image.fromarray(grid.numpy()).save(file, "PNG", compress_level=3)

    def samples(self, epoch: int) -> torch.Tensor:
        """Return the images drawn from the fixed noise, uint8 ``(sample_size, 3, H, W)``.

        Raises
        ------
        WorkbookError
            If there is no such preview, or it is damaged.
        """
        side, columns = self.config.img_size, _columns(self.config.sample_size)
        path = self._samples_path(epoch)
        try:
            with Image.open(path) as grid:
                pixels = torch.from_numpy(np.array(grid.convert("RGB")))
            tiles = pixels.unflatten(0, (-1, side)).unflatten(2, (columns, side))
        except Exception as error:  # Pillow raises whatever its parsers stumble on
            raise WorkbookError(
                f"the preview '{path}' cannot be read ({type(error).__name__}). Delete it to go "
                "on without it."
            ) from error
        return tiles.permute(0, 2, 4, 1, 3).flatten(0, 1)[: self.config.sample_size]

    def sampled_epochs(self, most: int | None = None) -> list[int]:
        """Return the epochs that have samples; at ``most`` that many, evenly spread."""
        epochs = _epochs(self.folder / "samples", ".png")
        if most is None or len(epochs) <= most:
            return epochs
        chosen = np.linspace(0, len(epochs) - 1, most).round().astype(int)
        return [epochs[index] for index in chosen]


def _epochs(folder: Path, ending: str) -> list[int]:
    names = (path.stem.removeprefix("epoch_") for path in folder.glob(f"epoch_*{ending}"))
    return sorted(int(name) for name in names if name.isdecimal())


@contextmanager
def incompatible_state_as_error(run: Run) -> Iterator[None]:
    """Say that what a run has saved does not fit it, whatever torch says."""
    try:
        yield
    except Exception as error:
        if checkpoint.is_out_of_memory(error):
            raise
        raise WorkbookError(
            f"what is saved in '{run.folder}' does not fit that run ({type(error).__name__}). "
            "Delete the folder to train anew."
        ) from error


def _columns(images: int) -> int:
    """Return how many images stand in a row: eight, or fewer in a small square."""
    return int(np.ceil(np.sqrt(images))) if images <= 25 else 8


def run_folder(name: str | Path) -> Path | None:
    """Return the run folder of that path, or of that name below ``reports/runs``, if it is one."""
    path = expand_path(name)
    with contextlib.suppress(OSError):  # a text too long for a name
        return next((f for f in (path, runs_dir() / path) if (f / "config.json").is_file()), None)
    return None


def find_runs(pattern: str) -> list[Run]:
    """Return the runs that a text names.

    Parameters
    ----------
    pattern
        Names or paths of run folders separated by commas, or patterns of names such as
        ``monet-*``, looked for in ``reports/runs``. A bare collection name, ``monet``, means
        all its runs. Those without a complete epoch count only if they are named, or alone.

    Returns
    -------
    list of Run
        Ordered as named, those of a pattern by their names; none twice.

    Raises
    ------
    WorkbookError
        If a name or pattern fits no run; the message lists the runs that exist.
    """
    runs: dict[Path, Run] = {}
    for piece in filter(None, (piece.strip() for piece in pattern.split(","))):
        for folder in _folders(piece):
            runs.setdefault(folder.resolve(), Run(folder))
    if not runs:
        raise WorkbookError(f"no run is named; name run folders of '{runs_dir()}'.")
    return list(runs.values())


def _folders(piece: str) -> list[Path]:
    named = run_folder(piece)
    if named is not None:
        return [named]
    existing = sorted(config.parent for config in runs_dir().glob("*/config.json"))
    found = [folder for folder in existing if fnmatch(folder.name, piece)]
    found = found or [folder for folder in existing if _collection(folder) == piece]
    if not found:
        names = ", ".join(folder.name for folder in existing)
        listed = f"There are: {names}" if names else "There are none yet"
        raise WorkbookError(f"no run in '{runs_dir()}' fits '{piece}'. {listed}.")
    begun = [folder for folder in found if _is_begun(folder)]
    if begun and len(begun) < len(found):
        idle = ", ".join(folder.name for folder in found if folder not in begun)
        logger.warning("Left out, as no epoch of them is complete: %s.", idle)
    return begun or found


def _is_begun(folder: Path) -> bool:
    try:
        return not Run(folder).history().empty
    except WorkbookError:
        return True  # whoever opens it is told what is wrong


def _collection(folder: Path) -> str | None:
    """Return the name of the collection a run was trained on, or None if that is not told."""
    try:
        return Run(folder).about["data"]["name"]
    except WorkbookError:
        return None
