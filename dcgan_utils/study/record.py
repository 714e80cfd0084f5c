"""The record of a study: tables and small images that outlive the run folders.

Beside the pages of a study lie, for each collection and architecture, ``<name>-measures.csv`` (one
row per run), ``<name>-history.csv`` (some 60 epochs of each run), ``<name>-anchors.csv`` (what the
measures are compared with), ``<name>-settings.json`` (the parameters that all runs share) and
``<name>-samples/<run>.jpg`` (16 images). They are small enough to be committed. A run that is
recorded need not be trained again, and its comparison can be shown without its folder.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from PIL import Image

from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.files import ensure_dir, write_bytes, write_csv
from dcgan_utils.data.tensors import make_grid
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.runs.run import Run, run_folder
from dcgan_utils.study.claims import REFERENCE, arm_label, arm_of

IMAGES = 16  # of each run, in rows of four
EPOCHS = 48  # of a history, on a logarithmic scale, and as many as have a KID
CURVES = (
    "d_loss_real",
    "d_loss_fake",
    "g_loss",
    "d_real",
    "d_fake",
    "first_layer_share",
    "share_between_images",
)
MEASURES = "-measures.csv"
ORDER = ["first_norm", "|mean| / std", "noise", "seed"]


@dataclass(frozen=True)
class Record:
    """The record of the runs of one collection and architecture.

    Attributes
    ----------
    folder : Path
        That of the study in ``reports/``.
    name : str
        Collection and architecture, for file names.
    """

    folder: Path
    name: str

    @classmethod
    def of_file(cls, path: Path) -> Record:
        """Return the record to which a file ``<name>-measures.csv`` belongs."""
        return cls(path.parent, path.name.removesuffix(MEASURES))

    @property
    def path(self) -> Path:
        """The table of the measures."""
        return self.folder / f"{self.name}{MEASURES}"

    def _table(self, what: str) -> pd.DataFrame:
        path = self.folder / f"{self.name}-{what}.csv"
        if not path.exists():
            return pd.DataFrame(columns=["run"])
        try:
            return pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise WorkbookError(
                f"'{path}' cannot be read ({error}). Restore it, or delete it to measure its runs "
                "again."
            ) from error

    def measures(self) -> pd.DataFrame:
        """Return one row per run; may be empty."""
        return self._table("measures")

    def names(self) -> set[str]:
        """Return the names of the recorded runs."""
        return set(self.measures()["run"])

    def runs(self) -> list[RecordedRun]:
        """Return the recorded runs, in the order of the table."""
        return [RecordedRun(self, name) for name in self.measures()["run"]]

    def add(self, run: Run, measures: dict[str, Any], samples: torch.Tensor) -> None:
        """Add a run, or replace it; the record stays valid if the process is killed.

        Parameters
        ----------
        run
            Finished.
        measures
            From `evaluation.evaluate`.
        samples
            uint8, shape ``(n, 3, H, W)``; the first 16 are kept.
        """
        ensure_dir(self.folder / f"{self.name}-samples")
        with FileLock(self.folder / ".record"):
            write_bytes(self._samples_path(run.name), _jpeg(samples[:IMAGES]))
            self._write_settings(run)
            history = _some_epochs(run).assign(run=run.name)
            self._replace("history", history, run.name)
            self._replace("measures", pd.DataFrame([describe(run, measures)]), run.name)

    def _replace(self, what: str, rows: pd.DataFrame, run: str) -> None:
        table = self._table(what)
        table = rows if table.empty else pd.concat([table[table["run"] != run], rows])
        if what == "measures":  # in one order, whichever run ends first
            table = table.sort_values(ORDER, key=_reference_first, kind="stable")
        write_csv(table, self.folder / f"{self.name}-{what}.csv", index=False)

    def _write_settings(self, run: Run) -> None:
        data = run.about["data"]
        settings = {
            "config": run.config.model_dump(
                exclude={"noise", "first_norm", "seed", "device", "tensorboard"}
            ),
            "data": {key: data[key] for key in ("name", "images", "data_hash")},
        }
        path = self.folder / f"{self.name}-settings.json"
        write_bytes(path, json.dumps(settings, indent=2).encode())

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The config that all runs share, and what is known of the images."""
        path = self.folder / f"{self.name}-settings.json"
        try:
            return json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise WorkbookError(f"'{path}' cannot be read ({error}): restore it.") from error

    def refuse_other_settings(self, wanted: dict[str, Any]) -> None:
        """Raise an error if the recorded runs were trained in another way, or on other images.

        Raises
        ------
        WorkbookError
            With the differences: such runs must not be judged together.
        """
        if not self.names():
            return
        config = TrainConfig.resolve(**self.settings["config"], noise="normal")
        stored = settings_of(config, self.settings["data"]["data_hash"])
        changes = [
            f"{name} is {stored[name]} there and {wanted[name]} here"
            for name in sorted(wanted)
            if stored[name] != wanted[name]
        ]
        if changes:
            raise WorkbookError(
                f"the record '{self.path}' holds runs with other settings: {'; '.join(changes)}. "
                "Give the grid another name, or move the record away."
            )

    def anchors(self) -> pd.DataFrame:
        """Return the table from `write_anchors`; it is empty before."""
        return self._table("anchors").set_index("run").rename_axis("images")

    def write_anchors(self, table: pd.DataFrame) -> None:
        """Write what the measures are compared with, one row each."""
        path = self.folder / f"{self.name}-anchors.csv"
        write_csv(table.rename_axis("run").reset_index(), path, index=False)

    def _samples_path(self, run: str) -> Path:
        return self.folder / f"{self.name}-samples" / f"{run}.jpg"

    def samples(self, run: str) -> torch.Tensor:
        """Return 16 images of a run, uint8 ``(16, 3, H, W)``, as JPEG has left them."""
        side = self.settings["config"]["img_size"]
        try:
            with Image.open(self._samples_path(run)) as grid:
                pixels = torch.from_numpy(np.array(grid.convert("RGB")))
        except OSError as error:
            raise NotEnoughData(f"Skipped: the images of '{run}' are missing ({error}).") from error
        tiles = pixels.unflatten(0, (-1, side)).unflatten(2, (-1, side))
        return tiles.permute(0, 2, 4, 1, 3).flatten(0, 1)


@dataclass(frozen=True)
class RecordedRun:
    """A run in a record: it can be compared like a `Run`, but may have no folder any more."""

    record: Record
    name: str

    @cached_property
    def row(self) -> dict[str, Any]:
        """Its row in the table of measures."""
        table = self.record.measures()
        return table[table["run"] == self.name].iloc[0].to_dict()

    @cached_property
    def config(self) -> TrainConfig:
        """The parameters of its training."""
        own = {name: self.row[name] for name in ("noise", "first_norm")}
        own["seed"] = int(self.row["seed"])
        return TrainConfig.resolve(**self.record.settings["config"] | own)

    @property
    def about(self) -> dict[str, Any]:
        """What is known of its images."""
        data = self.record.settings["data"]
        return {"data": {"source": self.config.dataset, **data}}

    def history(self) -> pd.DataFrame:
        """Return some 60 epochs: ``epoch``, losses, outputs, shares, and KID where measured."""
        table = self.record._table("history")
        return table[table["run"] == self.name].drop(columns="run")

    @property
    def minutes(self) -> float:
        """Training time."""
        return self.row["minutes"]

    @property
    def folder(self) -> Path | None:
        """Its run folder, if that still exists."""
        return run_folder(self.name)


def settings_of(config: TrainConfig, data_hash: str) -> dict[str, Any]:
    """Return what decides about a run but its prior, first BatchNorm and seed."""
    identity = config.identity | {"data_hash": data_hash}
    return {name: identity[name] for name in identity.keys() - {"noise", "first_norm", "seed"}}


def describe(run: Run, measures: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a run in the table of measures."""
    config, prior = run.config, run.config.prior
    return {
        "label": arm_label(arm_of(config.noise, config.first_norm)),
        "noise": config.noise,
        "first_norm": config.first_norm,
        "seed": config.seed,
        "|mean| / std": prior.ratio,
        **measures,
        "epochs": len(run.history()),
        "minutes": round(run.minutes, 2),
        "run": run.name,
    }


def _reference_first(column: pd.Series) -> pd.Series:
    return column.where(column != REFERENCE, "") if column.name == "noise" else column


def history_with_kid(run: Run) -> pd.DataFrame:
    """Return a run's history with ``kid``, NaN where ``train.ipynb`` has not measured it."""
    history, quality = run.history(), run.folder / "quality.csv"
    if not quality.exists():
        return history.assign(kid=np.nan)
    return history.merge(pd.read_csv(quality)[["epoch", "kid"]], on="epoch", how="left")


def _some_epochs(run: Run) -> pd.DataFrame:
    """Return some epochs of a run's history, with the KID that ``train.ipynb`` has measured."""
    history = history_with_kid(run)
    last = int(history["epoch"].iloc[-1])
    chosen = {*np.geomspace(1, last, EPOCHS).round().astype(int)}
    chosen |= {*history.loc[history["kid"].notna(), "epoch"]}
    table = history.loc[history["epoch"].isin(chosen), ["epoch", *CURVES, "kid"]]
    return table.map(lambda value: float(f"{value:.5g}")).astype({"epoch": int})


def _jpeg(images: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    grid = Image.fromarray(make_grid(images, 4, fill=0).numpy())
    grid.save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


def is_record(text: str) -> bool:
    """Tell whether a text names the table of a record."""
    return text.strip().endswith(MEASURES)
