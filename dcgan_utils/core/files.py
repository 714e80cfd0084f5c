"""The folders of the project, and files that are written atomically."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import re
import secrets
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dcgan_utils.core.errors import NotWritable, WorkbookError

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

logger = logging.getLogger(__name__)
_CONTROLS = re.compile(r"[\0-\x1f\x7f-\x9f]")


def expand_path(path: str | Path) -> Path:
    """Return a path with ``~`` and ``~name`` expanded.

    Raises
    ------
    WorkbookError
        If there is no such user, or the text is not a valid path.
    """
    try:
        return Path(path).expanduser()
    except (RuntimeError, ValueError) as error:  # no such user; a NUL character in the name
        raise WorkbookError(f"the path '{path}' cannot be read ({error}).") from error


def utf8_text(path: Path) -> str:
    """Return a path as text that can be written into a notebook.

    Raises
    ------
    WorkbookError
        If its bytes are not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise WorkbookError(
            f"The path '{shown}' has letters that are not UTF-8, and a notebook cannot name it: "
            "rename the folder or the zip."
        ) from error
    return str(path)


def normalise_name(name: str) -> str:
    """Return a printable name that sorts the same on all systems.

    Control characters are escaped: in a terminal they would hide lines or imitate others.
    """
    composed = unicodedata.normalize("NFC", name.encode("utf-8", "backslashreplace").decode())
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], composed)


def ensure_dir(folder: Path) -> Path:
    """Create a folder and its parents if they do not exist.

    Raises
    ------
    NotWritable
        If it cannot be created: the disk is full, permission is denied, or a file has that name.
    """
    with friendly_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def atomic_write(path: Path, *, previous: Path | None = None) -> Iterator[IO[bytes]]:
    """Open a file that replaces ``path`` atomically, once all of it is on the disk.

    If ``previous`` is given, the old version of ``path`` is kept under that name.

    Raises
    ------
    NotWritable
        If the disk is full or permission is denied; ``path`` is then unchanged.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    with friendly_write_errors(path):
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if previous is not None and path.exists():
                _keep_previous(path, previous)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def remove_partial_files(folder: Path) -> None:
    """Remove the files that `atomic_write` left below a folder when its process was killed."""
    import psutil

    for partial in folder.rglob(".*.*.[0-9]*-*"):
        process = partial.name.rpartition(".")[2].partition("-")[0]
        if not (process.isdecimal() and psutil.pid_exists(int(process))):
            partial.unlink(missing_ok=True)


def _keep_previous(path: Path, previous: Path) -> None:
    previous.unlink(missing_ok=True)
    try:
        os.link(path, previous)  # so `path` exists at every moment
    except OSError:  # not every file system has hard links
        path.replace(previous)


def write_bytes(path: Path, content: bytes | memoryview, *, previous: Path | None = None) -> None:
    """Write a file atomically; see `atomic_write`."""
    with atomic_write(path, previous=previous) as file:
        file.write(content)


def write_csv(table: pd.DataFrame, path: Path, **options: Any) -> None:
    """Write a table atomically, creating its folder; the options are those of pandas."""
    ensure_dir(path.parent)
    write_bytes(path, table.to_csv(**options).encode())


def write_tables(tables: Mapping[str, pd.DataFrame | None], folder: Path) -> None:
    """Write each table as ``<name>.csv``; if there is none, remove the file of an earlier run."""
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        if table is not None and len(table):
            write_csv(table, path, index=False)
        else:
            with friendly_write_errors(path):
                path.unlink(missing_ok=True)


def write_gif(path: Path, frames: list[Image.Image]) -> None:
    """Write a looping animation that holds its last frame for two seconds."""
    durations = [120] * (len(frames) - 1) + [2000]
    stream = io.BytesIO()
    frames[0].save(
        stream, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0
    )
    write_bytes(path, stream.getvalue())


@contextmanager
def friendly_write_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` while writing ``path`` into a `NotWritable` with the reason and advice."""
    try:
        yield
    except (ConnectionError, TimeoutError):  # of a process or scheduler, not of the disk
        raise
    except OSError as error:
        message = f"'{path}' cannot be written ({error.strerror or error}). {_advice(error, path)}"
        raise NotWritable(message.rstrip()) from error


@contextmanager
def warn_if_not_writable() -> Iterator[None]:
    """Log a warning if a side product cannot be written, and go on without it."""
    try:
        yield
    except NotWritable as error:
        logger.warning("Not saved: %s", error)


_IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST)


def _advice(error: OSError, path: Path) -> str:
    """Return what helps against the error; nothing, rather than what may not help."""
    named = error.filename2 or error.filename
    place = Path(named) if isinstance(named, str) else path
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"Free some space, or {_elsewhere(path)}. What was saved before is intact."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Change the permissions, or {_elsewhere(path)}. What was saved before is intact."
    if error.errno == errno.EROFS:
        return f"Make the disk writable, or {_elsewhere(path)}. What was saved before is intact."
    if error.errno == errno.ENAMETOOLONG:
        return "The name is too long: choose a shorter one."
    if error.errno == errno.ENOENT and not place.parent.is_dir():
        return f"Its folder '{place.parent}' is gone: was it moved or deleted meanwhile?"
    if error.errno in _IN_THE_WAY:
        there = next((p for p in (place, *place.parents) if os.path.lexists(p)), place)
        kind = "a folder" if there.is_dir() else "not a folder"
        return f"'{there}' is {kind}: rename or remove it, or choose another name."
    return ""


def _elsewhere(path: Path) -> str:
    """Say how to write to another place: only what lies in the home folder moves with it."""
    if Path(os.path.realpath(path)).is_relative_to(home()):
        return "set the environment variable DCGAN_HOME to a folder that you can write to"
    return "choose a folder that you can write to"


# --- Folders ---


_PACKAGE = Path(__file__).resolve().parents[1]
_PACKAGED = _PACKAGE / "notebooks"  # a wheel has them here, a checkout beside the package


def home() -> Path:
    """Return the folder that holds ``data/`` and ``reports/``.

    By default this is the checkout that the package was imported from, so a notebook finds its
    results from any working directory. The environment variable ``DCGAN_HOME`` names another
    folder; a package installed without its checkout uses the working directory.

    Raises
    ------
    WorkbookError
        If DCGAN_HOME names something else than a folder.
    """
    chosen = os.environ.get("DCGAN_HOME", "")
    if chosen.strip():
        return _checked_home(chosen)
    return Path.cwd() if is_installed() else _PACKAGE.parent


def _checked_home(chosen: str) -> Path:
    """Return the folder that DCGAN_HOME names; it need not exist."""
    try:
        folder = Path(chosen).expanduser().resolve()
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISDIR(folder.stat().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "Not a directory")
    except (OSError, RuntimeError) as error:  # no such user, below a file, links in a circle
        reason = str(getattr(error, "strerror", None) or error).rstrip(".")
        raise WorkbookError(
            f"the environment variable DCGAN_HOME is '{chosen}', which cannot be used "
            f"({reason}). Set it to a folder that you can write to, or remove it."
        ) from error
    return folder


def data_dir() -> Path:
    """Return the folder of the image collections."""
    return home() / "data"


def cache_dir() -> Path:
    """Return the folder of what is computed again when it is needed; see `cache`."""
    return data_dir() / ".cache"


def reports_dir() -> Path:
    """Return the folder of the HTML pages, with one subfolder per collection."""
    return home() / "reports"


OWNER_FILE = ".report-of"  # in a folder of pages: whose it is
_TAKEN = (
    *("ablation", "augment", "benchmark", "compare", "latent", "noise-study", "playground"),
    *("runs", "runs-report", "second-study"),
)


def report_dir(name: str) -> Path:
    """Return the folder of pages of this name; that of a collection is its `report_name`."""
    # reports/runs/ holds the run folders, so a page called "runs" needs another folder.
    return reports_dir() / (name if name != "runs" else "runs-report")


def report_name(name: str, source: str | Path) -> str:
    """Return the name that a collection or study has in ``reports/``, which no other has there.

    This is its own name, with a number if that is taken: by another collection of the name, or by
    the project, or because the collection itself lies there. The same source gets the same name
    again, as long as its folder ``reports/<name>`` is kept, in which a small file says whose it is.

    Parameters
    ----------
    name
        Short, and safe in file names.
    source
        The path of a collection, or a text that tells a study from all collections.
    """
    free, number = name, 1
    while not _is_claimed(free, source):
        number += 1
        free = f"{name}-{number}"
    if free != name:
        shown = str(source).encode("utf-8", "replace").decode()  # a stream may refuse to show more
        logger.warning(
            "reports/%s belongs to others: the results of '%s' go to reports/%s.",
            *(name, shown, free),
        )
    return free


def _is_claimed(name: str, source: str | Path) -> bool:
    """Claim a name in ``reports/`` unless it is taken; return whether it is this source's now."""
    folder, owner = reports_dir() / name, _owner(source)
    if name in _TAKEN or folder.resolve() == Path(source).resolve():
        return False
    with contextlib.suppress(OSError):  # it exists, or what will be written there cannot be either
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / OWNER_FILE).open("xb") as file:
            file.write(owner)
    try:
        return (folder / OWNER_FILE).read_bytes() == owner
    except OSError:
        return True


def _owner(source: str | Path) -> bytes:
    """Return what tells a source from others, wherever the home folder is moved."""
    if isinstance(source, str):
        return source.encode()
    path = source.resolve()
    return os.fsencode(path.relative_to(home()) if path.is_relative_to(home()) else path)


def runs_dir() -> Path:
    """Return the folder of the run folders."""
    return reports_dir() / "runs"


def is_installed() -> bool:
    """Return whether the package was installed without its checkout, as from a wheel."""
    return _PACKAGED.is_dir()


def notebooks_dir() -> Path:
    """Return the folder of the stored notebooks (not the executed copies)."""
    return _PACKAGED if is_installed() else _PACKAGE.parent / "notebooks"


def copy_notebooks(folder: Path) -> tuple[list[str], list[str]]:
    """Copy the notebooks, the glossary and the example of a grid; what is there stays as it is.

    Returns
    -------
    copied, kept : list of str
        Names of files.

    Raises
    ------
    NotWritable
        If the folder cannot be written.
    """
    copied, kept = [], []
    for source in sorted(notebooks_dir().glob("[!.]*.*")):
        if (target := folder / source.name).exists():
            kept.append(source.name)
        else:
            write_bytes(ensure_dir(folder) / target.name, source.read_bytes())
            copied.append(source.name)
    return copied, kept


def outdated_copies(folder: Path) -> list[str]:
    """Return the names of copied notebooks that are older than the stored ones."""
    pairs = [(source, folder / source.name) for source in sorted(notebooks_dir().glob("*.ipynb"))]
    return [
        copy.name
        for source, copy in pairs
        if copy.exists() and copy.stat().st_mtime < source.stat().st_mtime
    ]
