"""Where images come from: known names, folders and zips, and the files in them."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dcgan_utils.core.errors import WorkbookError, did_you_mean, first_line
from dcgan_utils.core.files import data_dir, home
from dcgan_utils.data.decode import NotAnImage

MAX_FILE_BYTES = 256 * 2**20
MAX_FILES = 500_000  # at 64 px their pixels take 6 GB; CelebA has 202,599
# Images are packed already: a zip of them hardly shrinks, and one of plain areas is small.
MAX_RATIO, RATIO_COUNTS_FROM = 100, 2**30


@dataclass(frozen=True)
class _Kaggle:
    """A collection on Kaggle; of its `folders` the first that exists is used."""

    handle: str
    folders: tuple[str, ...]

    @property
    def is_competition(self) -> bool:
        return "/" not in self.handle  # data sets have an owner

    @property
    def page(self) -> str:
        kind = "competitions" if self.is_competition else "datasets"
        return f"https://www.kaggle.com/{kind}/{self.handle}"

    @property
    def slug(self) -> str:
        return self.handle.rpartition("/")[2]


KAGGLE = {
    "monet": _Kaggle("gan-getting-started", ("monet_jpg", "monet_tfrec")),
    "photo": _Kaggle("gan-getting-started", ("photo_jpg", "photo_tfrec")),
    "pokemon": _Kaggle("kvpratama/pokemon-images-dataset", ("pokemon_jpg", "pokemon")),
}


@dataclass(frozen=True)
class Location:
    """Where a collection is.

    Attributes
    ----------
    name : str
        Short and safe in file names.
    path : Path or None
        Its folder or zip; None when `load_dataset` has yet to paint it or fetch it.
    folders : tuple of str
        When a zip holds one of these folders, only the first of them counts.
    """

    name: str
    path: Path | None
    folders: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """What finds the collection from any folder: a known name, or the whole path."""
        known = bool(self.folders) or self.path is None
        return self.name if known else str(self.path)


def locate(source: str | Path) -> Location:
    """Find out where a collection is, without reading, painting or fetching an image.

    A text that is a known name means that collection. Everything else is a path: ``~`` is
    expanded, and a relative path is looked for from the working directory, then from the
    project's home.

    Raises
    ------
    WorkbookError
        When there is no such name or path, or the path is neither a folder nor a zip.
    """
    if isinstance(source, str):
        if source in KAGGLE:
            return Location(source, _find_registered(source), KAGGLE[source].folders)
        if source in _painters():
            return Location(source, None)
    path = _find_path(source)
    if path.is_dir():
        return Location(_slug(path.name), path)
    if path.is_file() and zipfile.is_zipfile(path):  # a device might never end
        return Location(_slug(path.stem), path)
    raise WorkbookError(f"'{path}' is a file but no zip: give a folder of images or a zip.")


def _painters() -> dict[str, Callable[[Path], Path]]:
    from dcgan_utils.data.painted.collections import (
        PAINTERS,  # takes SciPy along, which reading does not need
    )

    return PAINTERS


def _find_registered(name: str) -> Path | None:
    """Look for a Kaggle collection in ``data/``."""
    data, kaggle = data_dir(), KAGGLE[name]
    roots = (data, data / name, data / kaggle.slug)
    candidates = [root / folder for folder in kaggle.folders for root in roots]
    candidates += [data / name, data / f"{name}.zip"]
    return next((path for path in candidates if path.exists()), None)


def _find_path(source: str | Path) -> Path:
    if not isinstance(source, (str, Path)) or not str(source).strip():
        raise WorkbookError(f"source={source!r} is no collection: {_choices()}.")
    try:
        given = Path(source).expanduser()
        for path in (given, home() / given):
            if path.exists():
                return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise WorkbookError(f"The path '{source}' cannot be read ({error}).") from error
    if isinstance(source, Path) or not re.fullmatch(r"[\w -]+", source):
        tried = "" if given.is_absolute() else f" (from '{Path.cwd()}' or from '{home()}')"
        raise WorkbookError(f"There is no folder or zip at '{source}'{tried}: {_choices()}.")
    known = [*_painters(), *KAGGLE]
    raise WorkbookError(
        f"'{source}' is no known collection: {_choices()}.{did_you_mean(source, known)}"
    )


def _choices() -> str:
    names = ", ".join([*_painters(), *KAGGLE])
    return f"give one of {names}, or a path to a folder or a zip"


def _slug(name: str) -> str:
    """Return a file's name in lower case, with nothing in it that a shell or page minds."""
    return re.sub(r"[^\w]+", "-", name.lower()).strip("-_")[:40] or "images"


def ensure_available(name: str) -> Path:
    """Paint an embedded collection or fetch one from Kaggle; return its folder.

    Raises
    ------
    WorkbookError
        If it cannot be painted, because ``data/`` cannot be written, or not be fetched; the message
        says how to get it by hand.
    """
    if name not in KAGGLE:
        return _painters()[name](data_dir() / name)
    kaggle = KAGGLE[name]
    try:
        import kagglehub  # slow to import, and needed only here

        if kaggle.is_competition:
            root = Path(kagglehub.competition_download(kaggle.handle))
        else:
            root = Path(kagglehub.dataset_download(kaggle.handle))
    except Exception as error:  # no account, rules not accepted, no network, not installed
        raise WorkbookError(
            f"'{name}' is not in '{data_dir()}' and could not be fetched from Kaggle "
            f"({type(error).__name__}: {first_line(error)}): download it by hand from {kaggle.page} and "
            f"put its folder {kaggle.folders[0]} there (see data/README.md)."
        ) from error
    folders = (root / folder for folder in kaggle.folders)
    return next((folder for folder in folders if folder.is_dir()), root)


@dataclass(frozen=True)
class SourceFile:
    """A file of a folder or an entry of a zip; `read` raises NotAImage when it cannot."""

    name: str
    read: Callable[[], bytes]
    path: Path | None = None  # None: inside a zip
    size: int = 0  # in bytes; 0 if it is not known


@contextlib.contextmanager
def open_listing(path: Path, folders: tuple[str, ...]) -> Iterator[list[SourceFile]]:
    """List the files of a folder or zip, sorted by name; a zip stays open meanwhile.

    Raises
    ------
    WorkbookError
        When a zip is damaged or unpacks to far more than images do, or there are more than
        500,000 files.
    """
    if path.is_dir():
        files = list(itertools.islice(_list_folder(path), MAX_FILES + 1))
        _refuse_too_many(files, path)
        yield sorted(files, key=lambda file: file.name)
        return
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # zipfile lets through what a nonsensical header leads to
        raise WorkbookError(f"The zip '{path}' is damaged: make or fetch it again.") from error
    with archive:
        _refuse_too_many(archive.infolist(), path)
        sizes = (entry.file_size for entry in archive.infolist())
        unpacked = sum(size for size in sizes if size <= MAX_FILE_BYTES)  # others are not read
        if unpacked > max(RATIO_COUNTS_FROM, MAX_RATIO * path.stat().st_size):
            raise WorkbookError(
                f"The zip '{path}' would unpack to {unpacked / 2**30:,.0f} GiB, more than "
                f"{MAX_RATIO} times its size: no collection of images does, but a zip bomb."
            )
        yield sorted(_list_zip(archive, folders), key=lambda file: file.name)


def _refuse_too_many(files: Sized, path: Path) -> None:
    if len(files) > MAX_FILES:
        raise WorkbookError(
            f"'{path}' holds more than {MAX_FILES:,} files: give a folder of images, or a part."
        )


def _list_folder(root: Path) -> Iterator[SourceFile]:
    for folder, _, names in os.walk(root):
        inside = PurePosixPath(Path(folder).relative_to(root).as_posix())
        if not _is_visible(inside):
            continue
        for name in names:
            if name.startswith("."):
                continue
            path = Path(folder, name)
            size = _regular_size(path)
            if size is not None:
                read = functools.partial(_read_file, path)
                yield SourceFile(normalise_name(str(inside / name)), read, path, size)


def _regular_size(path: Path) -> int | None:
    """Return a file's size, or None for pipes and devices, whose reading might never end.

    A broken link has size 0: it is to be reported.
    """
    try:
        about = path.stat()
    except OSError:
        return 0
    return about.st_size if stat.S_ISREG(about.st_mode) else None


def _list_zip(archive: zipfile.ZipFile, folders: tuple[str, ...]) -> Iterator[SourceFile]:
    entries = [(PurePosixPath(entry.filename), entry) for entry in archive.infolist()]
    chosen = [f for f in folders if any(f in path.parts[:-1] for path, _ in entries)][:1]
    for path, entry in entries:
        inside = not chosen or chosen[0] in path.parts[:-1]
        if inside and not entry.is_dir() and _is_visible(path):
            yield SourceFile(
                normalise_name(entry.filename), functools.partial(_read_entry, archive, entry)
            )


def _is_visible(path: Path | PurePosixPath) -> bool:
    return not any(
        part == "__MACOSX" or (part.startswith(".") and part not in (".", ".."))
        for part in path.parts
    )


def normalise_name(name: str) -> str:
    """Return a name that prints, and sorts alike on all systems."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb", buffering=0) as stream:
            if os.fstat(stream.fileno()).st_size > MAX_FILE_BYTES:
                raise NotAnImage("the file is larger than 256 MiB")
            return stream.read()
    except OSError as error:
        raise NotAnImage(f"the file cannot be read ({error.strerror})") from error


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.flag_bits & 1:
        raise NotAnImage("encrypted: unpack the zip with its password first")
    if entry.file_size > MAX_FILE_BYTES:
        raise NotAnImage("the file is larger than 256 MiB")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotAnImage("packed in a way that is not read: pack the zip in the usual one")
    try:
        with archive.open(entry) as stream:
            return stream.read(entry.file_size + 1)  # no more, whatever is packed there
    except Exception as error:  # zipfile lets through what its decompressors raise
        raise NotAnImage("damaged inside the zip") from error
