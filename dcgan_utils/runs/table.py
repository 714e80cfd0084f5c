"""All runs as one table, read from their folders without torch."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import runs_dir
from dcgan_utils.runs.run import Run, select_folders

if TYPE_CHECKING:
    import pandas as pd

_INTEGERS, _MEASURES = ("seed", "epochs", "of"), ("share", "kid")
_COLUMNS = ("run", "collection", "noise", *_INTEGERS, *_MEASURES, "state", "when")


def runs_table(pattern: str | None = None) -> pd.DataFrame:
    """Return one row per run folder in ``reports/runs``, the latest last.

    Parameters
    ----------
    pattern
        A name, a pattern such as ``monet-*``, or the name of a collection; by default all.

    Returns
    -------
    pandas.DataFrame
        ``run``, ``collection``, ``noise``, ``seed``; the ``epochs`` done ``of`` those asked for;
        the last epoch's ``share`` of variance between images, where real images have 1; ``kid``
        where new images of the last epoch were measured; ``state`` (finished, training,
        interrupted, not begun, or unreadable); and ``when`` the folder last changed.

    Raises
    ------
    WorkbookError
        If no folder matches the pattern.

    Notes
    -----
    A share near 1 means that the images repeat no more than real ones, not that they resemble
    them. KIDs can be compared only between runs on the same collection at the same size.
    """
    folders = all_folders()
    chosen = folders if pattern is None else select_folders(folders, pattern)
    import pandas as pd

    table = pd.DataFrame(map(_row, chosen), columns=_COLUMNS)
    types = dict.fromkeys(_INTEGERS, "Int64") | dict.fromkeys(_MEASURES, float)
    return table.astype(types).sort_values("when", kind="stable", ignore_index=True)


def all_folders() -> list[Path]:
    """Return the folders in ``reports/runs``, also those that are not, or no longer, of a run."""
    return [folder for folder in sorted(runs_dir().glob("[!.]*")) if folder.is_dir()]


def _row(folder: Path) -> dict[str, Any]:
    try:
        return describe(Run(folder))
    except WorkbookError:  # it says why when the run is used
        when = datetime.fromtimestamp(folder.stat().st_mtime)
        return {"run": folder.name, "state": "unreadable", "when": when}


def describe(run: Run) -> dict[str, Any]:
    """Return the row of a run in the `runs_table`.

    Raises
    ------
    WorkbookError
        If its history cannot be read.
    """
    last, config = run.last_row(), run.about["config"]
    epochs = int(last.get("epoch", 0))
    return {
        "run": run.name,
        "collection": run.about["data"]["name"],
        "noise": config["noise"],
        "seed": config["seed"],
        "epochs": epochs,
        "of": config["epochs"],
        "share": last.get("share_between_images"),
        "kid": _kid(run, epochs),
        "state": _state(run, epochs),
        "when": datetime.fromtimestamp(run.trained_at),
    }


def _kid(run: Run, epochs: int) -> float | None:
    measures = run.metrics()
    how = measures.get("how")
    is_of_last_epoch = isinstance(how, dict) and how.get("epochs") == epochs
    return measures.get("kid") if is_of_last_epoch else None


def _state(run: Run, epochs: int) -> str:
    if run.finished:
        return "finished"
    if run.is_in_use:
        return "training"
    return "interrupted" if epochs else "not begun"
