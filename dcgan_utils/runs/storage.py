"""What caches, unfinished runs and checkpoints take on the disk, and its removal.

Nothing outside ``data/.cache`` and ``reports/runs`` is removed, and nothing that a process is
training or measuring. A link is removed itself, never what it leads to.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from dcgan_utils.core.errors import WorkbookError, did_you_mean
from dcgan_utils.core.files import (
    cache_dir,
    expand_path,
    friendly_write_errors,
    normalise_name,
    remove_partial_files,
    runs_dir,
)
from dcgan_utils.runs.run import LOCKS, Run, lock_unused
from dcgan_utils.runs.table import all_folders

KINDS = {
    "cache": "computed again when it is needed",
    "unfinished": "runs that could still resume",
    "checkpoints": "of finished runs: their discriminators; the generators' weights are kept",
}


@dataclass(frozen=True)
class Leftover:
    """Files that can be removed.

    Attributes
    ----------
    kind
        One of `KINDS`, or ``run`` for a run that was named.
    name
        What is cached, or the run's name.
    paths
        Files and folders.
    folder
        The run folder that they belong to; None for a cache.
    """

    kind: str
    name: str
    paths: tuple[Path, ...]
    folder: Path | None = None

    @property
    def size(self) -> int:
        """Bytes that they take."""
        return sum(map(_size, self.paths))


def list_leftovers() -> list[Leftover]:
    """Return what can be removed without naming a run, kind by kind."""
    found = _cached()
    for folder in all_folders():
        if not folder.is_symlink() and (leftover := _of_run(folder)) is not None:
            found.append(leftover)
    return sorted(found, key=lambda leftover: [*KINDS].index(leftover.kind))


def choose_leftovers(names: Sequence[str]) -> list[Leftover]:
    """Return what the names mean: `KINDS`, or names and patterns of runs.

    Raises
    ------
    WorkbookError
        If a name means nothing, a run outside ``reports/runs``, a link, or a run in use.
    """
    everything = list_leftovers()
    chosen = [leftover for leftover in everything if leftover.kind in names]
    removed = {leftover.folder for leftover in chosen if leftover.kind == "unfinished"}
    for name in names:
        for folder in [] if name in KINDS else _matching(name):
            if folder not in removed:
                with lock_unused(folder):
                    chosen.append(Leftover("run", folder.name, (folder,), folder))
                removed.add(folder)
    return chosen


def remove(leftover: Leftover) -> None:
    """Remove the files.

    Raises
    ------
    WorkbookError
        If a process has begun to train or measure the run.
    NotWritable
        If they cannot be removed.
    """
    folder = leftover.folder
    if folder is None:
        for path in leftover.paths:
            _delete(path)
        remove_partial_files(cache_dir())
        return
    is_whole = leftover.paths == (folder,)
    with lock_unused(folder):
        for path in [*folder.iterdir()] if is_whole else leftover.paths:
            if path.name not in LOCKS:
                _delete(path)
    if is_whole:
        _delete(folder)


# --- What there is ---


def _cached() -> list[Leftover]:
    folder, kinds = cache_dir(), {}
    for path in sorted(folder.glob("[!.]*-*.npz")):
        kinds.setdefault(path.name.partition("-")[0], []).append(path)
    if (compiled := folder / "numba").is_dir():
        kinds["numba"] = [compiled]
    return [Leftover("cache", kind, tuple(paths)) for kind, paths in kinds.items()]


def _of_run(folder: Path) -> Leftover | None:
    """Return what can be removed of a run, unless it is in use or cannot be read."""
    try:
        run = Run(folder)
        last = run.last_row().get("epoch")
    except WorkbookError:
        return None
    if run.is_in_use:
        return None
    if not run.finished:
        return Leftover("unfinished", run.name, (folder,), folder)
    states = (run.checkpoint_path, run.previous_checkpoint_path)
    states = tuple(path for path in states if path.exists())
    has_weights = run.kept_epochs()[-1:] == [last]
    return Leftover("checkpoints", run.name, states, folder) if states and has_weights else None


def _matching(name: str) -> list[Path]:
    folders = all_folders()
    found = [folder for folder in folders if fnmatch(folder.name, normalise_name(name))]
    if not found:
        path = expand_path(name).absolute()
        found = [f for f in folders if f.name == path.name and _is_in(path, runs_dir())]
    if not found:
        near = did_you_mean(name, [*KINDS, *(folder.name for folder in folders)])
        raise WorkbookError(
            f"'{name}' is neither {', '.join(KINDS)} nor a run in '{runs_dir()}'.{near}"
        )
    for folder in found:
        if folder.is_symlink():
            raise WorkbookError(f"'{folder}' is a link to another place: remove it yourself.")
    return found


def _is_in(path: Path, folder: Path) -> bool:
    return path.parent.resolve() == folder.resolve()


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(map(_size, path.iterdir()))
    return path.lstat().st_size if os.path.lexists(path) else 0


# --- Removing ---


def _delete(path: Path) -> None:
    with friendly_write_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
