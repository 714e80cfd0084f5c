"""Sources of images: known names, folders and zips, and the files in them."""

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
from dcgan_utils.data.formats import NotAnImage, UnreadableFile
from dcgan_utils.data.painted import PAINTERS

MAX_FILE_BYTES = 256 * 2**20
MAX_FILES = 500_000  # 6 GB of pixels at 64 px; CelebA has 202,599
# Images are compressed already, so a zip hardly shrinks them; the floor allows plain images.
MAX_RATIO, RATIO_COUNTS_FROM = 100, 2**30


@dataclass(frozen=True)
class _Kaggle:
    """A collection on Kaggle; the first of its `folders` that exists is used."""

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
        Short, and safe in file names.
    path : Path or None
        Its folder or zip; None if `load_dataset` still has to paint or download it.
    folders : tuple of str
        If a zip contains one of these folders, only the first of them is read.
    """

    name: str
    path: Path | None
    folders: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The known name or the absolute path, which is valid from any working directory."""
        known = bool(self.folders) or self.path is None
        return self.name if known else str(self.path)


def locate(source: str | Path) -> Location:
    """Locate a collection without reading, painting or downloading an image.

    A string that is a known name means that collection. Everything else is a path: ``~`` is
    expanded, and a relative path is looked up in the working directory, then in the project's
    home folder.

    Raises
    ------
    WorkbookError
        If there is no such name or path, or the path is neither a folder nor a zip.
    """
    if isinstance(source, str):
        if source in KAGGLE:
            return Location(source, _find_registered(source), KAGGLE[source].folders)
        if source in PAINTERS:
            return Location(source, None)
    path = _find_path(source)
    if path.is_dir():
        return Location(_slug(path.name), path)
    if path.is_file() and zipfile.is_zipfile(path):  # reading a device might never end
        return Location(_slug(path.stem), path)
    raise WorkbookError(f"'{path}' is not a zip file: give a folder of images or a zip.")


def _find_registered(name: str) -> Path | None:
    """Search ``data/`` for a Kaggle collection."""
    data, kaggle = data_dir(), KAGGLE[name]
    roots = (data, data / name, data / kaggle.slug)
    candidates = [root / folder for folder in kaggle.folders for root in roots]
    candidates += [data / name, data / f"{name}.zip"]
    return next((path for path in candidates if path.exists()), None)


def _find_path(source: str | Path) -> Path:
    if not isinstance(source, (str, Path)) or not str(source).strip():
        raise WorkbookError(f"source={source!r} is not a collection: {_choices()}.")
    try:
        given = Path(source).expanduser()
        for path in (given, home() / given):
            if path.exists():
                return path.resolve()
    except WorkbookError:  # of the home folder
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise WorkbookError(f"The path '{source}' cannot be read ({error}).") from error
    if isinstance(source, Path) or not re.fullmatch(r"[\w -]+", source):
        searched = "" if given.is_absolute() else f" (from '{Path.cwd()}' or from '{home()}')"
        raise WorkbookError(f"There is no folder or zip at '{source}'{searched}: {_choices()}.")
    known = [*PAINTERS, *KAGGLE]
    raise WorkbookError(
        f"'{source}' is not a known collection: {_choices()}.{did_you_mean(source, known)}"
    )


def _choices() -> str:
    names = ", ".join([*PAINTERS, *KAGGLE])
    return f"give one of {names}, or a path to a folder or a zip"


def _slug(name: str) -> str:
    """Return a name in lower case, without characters that are special in shells or URLs."""
    return re.sub(r"[^\w]+", "-", name.lower()).strip("-_")[:40] or "images"


def ensure_available(name: str) -> Path:
    """Paint an embedded collection or download one from Kaggle; return its folder.

    Raises
    ------
    WorkbookError
        If ``data/`` cannot be written, or the download fails; the message says how to download the
        collection by hand.
    """
    if name in PAINTERS:
        return PAINTERS[name](data_dir() / name)
    kaggle = KAGGLE[name]
    try:
        import kagglehub  # slow to import, and only needed here

        if kaggle.is_competition:
            root = Path(kagglehub.competition_download(kaggle.handle))
        else:
            root = Path(kagglehub.dataset_download(kaggle.handle))
    except Exception as error:  # no account, rules not accepted, no network, not installed
        raise WorkbookError(
            f"'{name}' is not in '{data_dir()}' and could not be downloaded from Kaggle "
            f"({type(error).__name__}: {first_line(error)}): download it by hand from "
            f"{kaggle.page} and put its folder {kaggle.folders[0]} there (see data/README.md)."
        ) from error
    folders = (root / folder for folder in kaggle.folders)
    return next((folder for folder in folders if folder.is_dir()), root)


@dataclass(frozen=True)
class SourceFile:
    """A file of a folder or an entry of a zip; ``read`` raises `NotAnImage` if it fails."""

    name: str
    read: Callable[[], bytes]
    path: Path | None = None  # None: inside a zip
    size: int = 0  # in bytes; 0 if unknown


@contextlib.contextmanager
def open_listing(path: Path, folders: tuple[str, ...]) -> Iterator[list[SourceFile]]:
    """List the files of a folder or zip, sorted by name; a zip stays open inside the context.

    Raises
    ------
    WorkbookError
        If a zip is damaged or may be a zip bomb, or if there are more than 500,000 files.
    """
    if path.is_dir():
        files = list(itertools.islice(_list_folder(path), MAX_FILES + 1))
        _refuse_too_many(files, path)
        yield sorted(files, key=lambda file: file.name)
        return
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # zipfile raises many types for an invalid header
        raise WorkbookError(f"The zip '{path}' is damaged: create or download it again.") from error
    with archive:
        _refuse_too_many(archive.infolist(), path)
        sizes = (entry.file_size for entry in archive.infolist())
        unpacked = sum(size for size in sizes if size <= MAX_FILE_BYTES)  # larger ones are not read
        if unpacked > max(RATIO_COUNTS_FROM, MAX_RATIO * path.stat().st_size):
            raise WorkbookError(
                f"The zip '{path}' would unpack to {unpacked / 2**30:,.0f} GiB, more than "
                f"{MAX_RATIO} times its size. It may be a zip bomb: if you trust it, unpack it and "
                "give the folder."
            )
        yield sorted(_list_zip(archive, folders), key=lambda file: file.name)


def _refuse_too_many(files: Sized, path: Path) -> None:
    if len(files) > MAX_FILES:
        raise WorkbookError(
            f"'{path}' holds more than {MAX_FILES:,} files: give a folder with fewer files."
        )


def _list_folder(root: Path) -> Iterator[SourceFile]:
    for folder, _, names in os.walk(root):
        relative = PurePosixPath(Path(folder).relative_to(root).as_posix())
        if not _is_visible(relative):
            continue
        for name in names:
            if name.startswith("."):
                continue
            path = Path(folder, name)
            size = _regular_size(path)
            if size is not None:
                read = functools.partial(_read_file, path)
                yield SourceFile(normalise_name(str(relative / name)), read, path, size)


def _regular_size(path: Path) -> int | None:
    """Return a file's size; None for pipes and devices, since reading them might never end.

    A broken link has size 0, so that it is reported.
    """
    try:
        status = path.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _list_zip(archive: zipfile.ZipFile, folders: tuple[str, ...]) -> Iterator[SourceFile]:
    entries = [(PurePosixPath(entry.filename), entry) for entry in archive.infolist()]
    chosen = [f for f in folders if any(f in path.parts[:-1] for path, _ in entries)][:1]
    for path, entry in entries:
        is_chosen = not chosen or chosen[0] in path.parts[:-1]
        if is_chosen and not entry.is_dir() and _is_visible(path):
            yield SourceFile(
                normalise_name(entry.filename), functools.partial(_read_entry, archive, entry)
            )


def _is_visible(path: Path | PurePosixPath) -> bool:
    return not any(
        part == "__MACOSX" or (part.startswith(".") and part not in (".", ".."))
        for part in path.parts
    )


def normalise_name(name: str) -> str:
    """Return a printable name that sorts the same on all systems."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb", buffering=0) as stream:
            if os.fstat(stream.fileno()).st_size > MAX_FILE_BYTES:
                raise NotAnImage("the file is larger than 256 MiB")
            return stream.read()
    except OSError as error:
        raise UnreadableFile(f"the file cannot be read ({error.strerror})") from error


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.flag_bits & 1:
        raise NotAnImage("encrypted: unpack the zip with its password first")
    if entry.file_size > MAX_FILE_BYTES:
        raise NotAnImage("the file is larger than 256 MiB")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotAnImage("compressed with an unsupported method: pack the zip again with deflate")
    try:
        with archive.open(entry) as stream:
            return stream.read(entry.file_size + 1)  # never more than the header says
    except OSError as error:
        raise UnreadableFile(f"the zip cannot be read ({error.strerror})") from error
    except MemoryError:
        raise
    except Exception as error:  # zipfile passes on what its decompressors raise
        raise NotAnImage("damaged inside the zip") from error
