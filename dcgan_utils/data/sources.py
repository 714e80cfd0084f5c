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
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from PIL import Image

from dcgan_utils.core.errors import WorkbookError, did_you_mean, first_line
from dcgan_utils.core.files import OWNER_FILE, data_dir, home, reports_dir, utf8_text
from dcgan_utils.data.formats import (
    FORMATS,
    SIGNATURES,
    NotAnImage,
    UnreadableFile,
    has_image_ending,
)
from dcgan_utils.data.painted import PAINTERS

MAX_FILE_BYTES = 256 * 2**20
MAX_FILES = 500_000  # 6 GB of pixels at 64 px; CelebA has 202,599
# Images are compressed already, so a zip hardly shrinks them; the floor allows plain images.
MAX_RATIO, RATIO_COUNTS_FROM = 100, 2**30
HEAD_BYTES = 512  # in which the signature of a format is found
_SAYS_UTF8 = 0x800  # the bit of a zip's entry whose name is UTF-8


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
        """The known name or the absolute path, which is valid from any working directory.

        Raises
        ------
        WorkbookError
            If the path is not UTF-8, and so cannot be written into a notebook.
        """
        if self.folders or self.path is None:
            return self.name
        return utf8_text(self.path)


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
    raise WorkbookError(f"'{path}' {_why_no_zip(path)}.")


# The first bytes of files that are given in the place of a zip, and what to say.
_WEB_PAGE = "is a web page and no zip: open its address in a browser, log in, and download it there"
_PACKED = "packs its images: save them as JPEG or PNG files and give their folder"
_NO_ZIPS = {
    b"PK\3\4": "is a zip that was cut short: download or copy it again",
    b"<!DOCTYPE": _WEB_PAGE,
    b"<html": _WEB_PAGE,
    b"Rar!": "is a RAR archive: unpack it and give the folder",
    b"7z\xbc\xaf": "is a 7z archive: unpack it and give the folder",
    b"\x1f\x8b": "is a gzip archive: unpack it and give the folder",
    b"PAR1": _PACKED,
    b"\x89HDF": _PACKED,
}


def _why_no_zip(path: Path) -> str:
    """Say what a file is that was given as a collection, and what to do."""
    if not path.is_file():  # reading a device might never end
        return "is neither a folder nor a file: give a folder of images or a zip"
    try:
        head = _read_file(path, HEAD_BYTES).lstrip()
    except NotAnImage as reason:
        return f"cannot be used: {reason}"
    for start, sentence in _NO_ZIPS.items():
        if head[: len(start)].lower() == start.lower():
            return sentence
    kind = _KINDS.get(path.suffix.lower(), "")
    if kind == "zip":
        why = "is empty" if not head else "is no zip, or its beginning is damaged"
        return f"{why}: download or copy it again"
    if kind:
        return f"is not a zip file: {_LEFT_OUT[kind].advice.format(path=path)}"
    return "is not a zip file: give a folder of images or a zip"


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
            if path.exists() or (path := _as_on_disk(path)).exists():
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


def _as_on_disk(path: Path) -> Path:
    """Spell a path as the disk does: a Mac takes é apart into two letters, a keyboard does not."""
    spelt = Path(path.anchor)
    for part in path.parts[len(spelt.parts) :]:
        if not (spelt / part).exists() and spelt.is_dir():
            wanted = normalise_name(part)
            same = (there for there in spelt.iterdir() if normalise_name(there.name) == wanted)
            spelt = next(same, spelt / part)
        else:
            spelt /= part
    return spelt


def _choices() -> str:
    names = ", ".join([*PAINTERS, *KAGGLE])
    return f"give one of {names}, or a path to a folder or a zip"


def _slug(name: str) -> str:
    """Return a name in lower case, without characters that are special in shells or URLs."""
    composed = unicodedata.normalize("NFC", name.lower())
    return re.sub(r"[^\w]+", "-", composed).strip("-_")[:40] or "images"


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


# --- The listing ---

# What became of a thing that was met. Candidates are read; the kinds of `_LEFT_OUT` never are.
CANDIDATE, OTHER, UNREADABLE = "candidate", "other", "unreadable"


@dataclass(frozen=True)
class _LeftOut:
    """A kind of thing that is left out: its name, and what to do if there is nothing else."""

    one: str
    many: str
    advice: str = ""


_LEFT_OUT = {
    "zip": _LeftOut(
        "zip, which is not opened", "zips, which are not opened", "give the zip itself, '{path}'"
    ),
    "archive": _LeftOut(
        "archive, which is not opened",
        "archives, which are not opened",
        "unpack '{path}' and give the folder",
    ),
    "packed": _LeftOut(
        "file that packs its images",
        "files that pack their images",
        "save the images of '{path}' as JPEG or PNG files and give their folder",
    ),
    "link": _LeftOut(
        "link to a folder, which is not followed",
        "links to folders, which are not followed",
        "give the folder itself that '{path}' leads to",
    ),
    "own": _LeftOut(
        "folder of this project's own",
        "folders of this project's own",
        "give a folder inside '{path}' if you mean its images",
    ),
    "unread": _LeftOut(
        "file or link that cannot be read",
        "files or links that cannot be read",
        "see to it that '{path}' can be read",
    ),
    "video": _LeftOut("video", "videos", "save frames of '{path}' as JPEG or PNG files"),
    OTHER: _LeftOut("file that is not an image", "files that are not images"),
    "junk": _LeftOut("hidden or kept by the system", "hidden or kept by the system"),
    "device": _LeftOut("pipe or device", "pipes or devices"),
}
_ENDINGS = {
    "zip": ".zip .cbz",
    "archive": ".7z .bz2 .cab .cbr .dmg .gz .iso .lz4 .rar .tar .tbz2 .tgz .txz .xz .zst",
    "packed": ".arrow .beton .db .feather .h5 .hdf .hdf5 .lmdb .mat .mdb .npy .npz .parquet .pickle"
    " .pkl .rec .sqlite .sqlite3 .tfrecords",
    "video": ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .webm .wmv",
}
_KINDS = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()}
TFRECORD_ENDINGS = (".tfrec", ".tfrecord")

# What systems and their network drives keep beside the images: thumbnails, deleted files, indexes.
_JUNK = {
    *("$recycle.bin", "RECYCLER", "system volume information", "found.000"),  # Windows
    *("thumbs.db", "ehthumbs.db", "desktop.ini"),
    *("__macosx", "network trash folder", "temporary items"),  # macOS
    *("@eadir", "#recycle", "#snapshot", "@tmp"),  # Synology
    *("@recycle", "@recently-snapshot", "~snapshot"),  # QNAP, NetApp
    "lost+found",  # Linux
}
# The files that tell a folder which this project has written, wherever it lies.
_OWN_SIGNS = (
    {OWNER_FILE},
    {"projector_config.pbtxt"},
    {"config.json", "history.csv"},
    {"config.json", "checkpoint.pt"},
)


@dataclass(frozen=True)
class SourceFile:
    """Something met in a folder or zip, and what became of it.

    Attributes
    ----------
    name : str
        Printable, unique, relative to the collection; that of a folder ends with ``/``.
    read : callable
        Returns the bytes, or raises `NotAnImage`; None for what is no file.
    path : Path or None
        As the system spells it, byte for byte; None inside a zip.
    size : int
        In bytes; 0 if unknown.
    fate : str
        ``CANDIDATE`` if it may be an image, ``OTHER`` if it is another file, ``UNREADABLE``, or
        the kind of things to which it belongs that are left out.
    reason : str
        Why it is unreadable.
    """

    name: str
    read: Callable[[], bytes] | None = None
    path: Path | None = None
    size: int = 0
    fate: str = CANDIDATE
    reason: str = ""


@contextlib.contextmanager
def open_listing(path: Path, folders: tuple[str, ...]) -> Iterator[list[SourceFile]]:
    """List everything in a folder or zip, sorted by name; a zip stays open inside the context.

    A folder that is left out as a whole is one item of the list.

    Raises
    ------
    WorkbookError
        If the folder cannot be read, a zip is damaged or may be a zip bomb, or there are more than
        500,000 files.
    """
    if path.is_dir():
        files = list(itertools.islice(_list_folder(path), MAX_FILES + 1))
        _refuse_too_many(files, path)
        yield _in_order(files)
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
        yield _in_order(_list_zip(archive, folders))


def _refuse_too_many(files: Sized, path: Path) -> None:
    if len(files) > MAX_FILES:
        raise WorkbookError(
            f"'{path}' holds more than {MAX_FILES:,} files: give a folder with fewer files."
        )


def _in_order(files: Iterable[SourceFile]) -> list[SourceFile]:
    """Sort by name, and number those whose names differ only in how their letters are composed."""
    ordered, taken = [], set()
    for file in sorted(files, key=lambda file: (file.name, str(file.path))):
        name, number = file.name, 1
        while name in taken:
            number += 1
            ending = PurePosixPath(file.name).suffix
            name = f"{file.name.removesuffix(ending)} ({number}){ending}"
        taken.add(name)
        ordered.append(file if name == file.name else replace(file, name=name))
    return ordered


def describe_left_out(met: Iterable[tuple[str, str]]) -> str:
    """Count what was left out, given as names and kinds, with the first names of each kind."""
    names: dict[str, list[str]] = {kind: [] for kind in _LEFT_OUT}
    for name, kind in met:
        names[kind].append(name)
    return "; ".join(
        f"{len(some)} {_LEFT_OUT[kind].one if len(some) == 1 else _LEFT_OUT[kind].many} "
        f"({', '.join(some[:3])}{', ...' if len(some) > 3 else ''})"
        for kind, some in names.items()
        if some
    )


def describe_kind(kind: str) -> str:
    """Say what one thing of a kind is that was not read."""
    return _LEFT_OUT[kind].one


def describe_no_image(path: Path, listing: Iterable[SourceFile]) -> str:
    """Say what to do about a collection without a usable image, and what it holds."""
    met = [(item.name, item.fate) for item in listing if item.fate in _LEFT_OUT]
    first = {kind: name for name, kind in reversed(met)}
    advice = "put JPEG, PNG or other images there, or give another folder or zip"
    for kind, left_out in _LEFT_OUT.items():
        if kind in first and left_out.advice:
            inside = path / first[kind] if path.is_dir() else first[kind]
            advice = left_out.advice.format(path=inside)
            break
    if not path.is_dir() and {"zip", "archive"} & first.keys():
        advice = "unpack it, and what it holds, and give the folder"
    return f"{advice}.{f' It holds {describe_left_out(met)}.' if met else ''}"


def _list_folder(root: Path) -> Iterator[SourceFile]:
    """Walk through a folder without entering what is left out."""
    failed: list[OSError] = []
    own = {_inode(data_dir()), _inode(reports_dir())} - {None}
    for place, folders, names in os.walk(root, onerror=failed.append):
        relative = Path(place).relative_to(root).as_posix()
        if relative != "." and (kind := _kind_of_folder(names, _inode(place) in own)):
            folders.clear()
            yield SourceFile(f"{normalise_name(relative)}/", fate=kind)
            continue
        within = "" if relative == "." else f"{relative}/"
        for name in [*folders]:
            is_junk = _is_junk(name)
            if is_junk or Path(place, name).is_symlink():
                folders.remove(name)
                shown = normalise_name(f"{within}{name}/")
                yield SourceFile(shown, fate="junk" if is_junk else "link")
        for name in names:
            yield _listed_file(normalise_name(within + name), Path(place, name))
    for error in failed:
        place = Path(error.filename or root)
        if place == root:
            raise WorkbookError(
                f"The folder '{root}' cannot be read ({error.strerror}): make it readable for you, "
                "or give another."
            )
        shown = normalise_name(place.relative_to(root).as_posix())
        reason = f"the folder cannot be read ({error.strerror})"
        yield SourceFile(f"{shown}/", fate=UNREADABLE, reason=reason)


def _inode(folder: str | Path) -> tuple[int, int] | None:
    """Return what two paths of one folder have in common, or None."""
    try:
        status = Path(folder).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _kind_of_folder(names: Iterable[str], is_own: bool = False) -> str | None:
    """Return the kind for which a folder with these files is left out, or None."""
    inside = set(names)
    if is_own or any(sign <= inside for sign in _OWN_SIGNS):
        return "own"
    return "junk" if "pyvenv.cfg" in inside else None  # Python packages bring images of their own


def _is_junk(name: str) -> bool:
    is_hidden = name.startswith(".") and name not in (".", "..")
    return is_hidden or name in _JUNK or name.casefold() in _JUNK


def _listed_file(name: str, path: Path) -> SourceFile:
    if _is_junk(path.name):
        return SourceFile(name, fate="junk")
    size = _regular_size(path)
    if size is None:
        return SourceFile(name, fate="device")
    fate = _fate(name, functools.partial(_read_file, path, HEAD_BYTES))
    return SourceFile(name, functools.partial(_read_file, path), path, size, fate)


def _fate(name: str, read_head: Callable[[], bytes]) -> str:
    """Return the fate of a file from its name and, if that says no image, its first bytes.

    So what lies beside the images, such as long videos, is never read as a whole.
    """
    _, dot, ending = name.lower().rpartition(".")
    ending = dot + ending
    if has_image_ending(name) or is_tfrecord(name):
        return CANDIDATE
    try:
        if _begins_like_an_image(read_head()):
            return CANDIDATE
    except NotAnImage:
        return "unread"
    return "packed" if ".tfrecord-" in name.lower() else _KINDS.get(ending, OTHER)


def is_tfrecord(name: str) -> bool:
    """Return whether a file name is that of a TFRecord file."""
    return name.lower().endswith(TFRECORD_ENDINGS)


def _begins_like_an_image(head: bytes) -> bool:
    """Tell whether a format, read or unread, knows these first bytes as its own."""
    accepted = (Image.OPEN[name][1](head[:16]) for name in FORMATS)
    return any(known and not isinstance(known, str) for known in accepted) or any(
        start.match(head, at) for at, start, _ in SIGNATURES
    )


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
    """List the entries of a zip without unpacking it."""
    entries = [(PurePosixPath(_entry_name(entry)), entry) for entry in archive.infolist()]
    chosen = [f for f in folders if any(f in path.parts[:-1] for path, _ in entries)][:1]
    names: dict[PurePosixPath, set[str]] = {}
    for path, _ in entries:
        names.setdefault(path.parent, set()).add(path.name)
    kinds = {folder: _kind_of_folder(inside) for folder, inside in names.items() if folder.name}
    left_out = {}
    for path, entry in entries:
        if chosen and chosen[0] not in path.parts[:-1]:
            continue
        whole = _left_out_folder(path, kinds)
        if whole:
            left_out[whole[0]] = whole[1]
        elif not _entry_name(entry).endswith("/"):
            yield _listed_entry(archive, entry, path)
    for folder, kind in left_out.items():
        yield SourceFile(f"{normalise_name(str(folder))}/", fate=kind)


def _left_out_folder(
    path: PurePosixPath, kinds: dict[PurePosixPath, str | None]
) -> tuple[PurePosixPath, str] | None:
    """Return the outermost folder of a zip's entry that is left out, and its kind."""
    for folder in reversed(path.parents):
        kind = "junk" if _is_junk(folder.name) else kinds.get(folder)
        if kind:
            return folder, kind
    return None


def _listed_entry(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: PurePosixPath
) -> SourceFile:
    name = normalise_name(_entry_name(entry))
    if _is_junk(path.name):
        return SourceFile(name, fate="junk")
    fate = _fate(name, functools.partial(_read_entry, archive, entry, HEAD_BYTES))
    return SourceFile(name, functools.partial(_read_entry, archive, entry), fate=fate)


def _entry_name(entry: zipfile.ZipInfo) -> str:
    """Return an entry's name with slashes, its letters as they were meant.

    Some programs write backslashes; some write UTF-8 without saying so, which zipfile then takes
    for the letters of DOS.
    """
    name = entry.filename
    if not entry.flag_bits & _SAYS_UTF8:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name.replace("\\", "/")


def normalise_name(name: str) -> str:
    """Return a printable name that sorts the same on all systems."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "backslashreplace").decode())


def _read_file(path: Path, head: int | None = None) -> bytes:
    """Return a file's content, or only its first bytes."""
    try:
        with path.open("rb", buffering=0) as stream:
            if head:
                return stream.read(head)
            if os.fstat(stream.fileno()).st_size > MAX_FILE_BYTES:
                raise NotAnImage("the file is larger than 256 MiB")
            return stream.read()
    except OSError as error:
        raise UnreadableFile(f"the file cannot be read ({error.strerror})") from error


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, head: int | None = None) -> bytes:
    """Return the content of a zip's entry, or only its first bytes."""
    if entry.flag_bits & 1:
        raise NotAnImage("encrypted: unpack the zip with its password first")
    if entry.file_size > MAX_FILE_BYTES and not head:
        raise NotAnImage("the file is larger than 256 MiB")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotAnImage("compressed with an unsupported method: pack the zip again with deflate")
    try:
        with archive.open(entry) as stream:
            return stream.read(head or entry.file_size + 1)  # never more than the header says
    except OSError as error:
        raise UnreadableFile(f"the zip cannot be read ({error.strerror})") from error
    except MemoryError:
        raise
    except Exception as error:  # zipfile passes on what its decompressors raise
        raise NotAnImage("damaged inside the zip") from error
