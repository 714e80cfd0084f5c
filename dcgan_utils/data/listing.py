"""The listing of a collection: everything that lies in a folder or zip, and what became of it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from PIL import Image

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import OWNER_FILE, data_dir, normalise_name, reports_dir
from dcgan_utils.data.formats import (
    FORMATS,
    SIGNATURES,
    NotAnImage,
    UnreadableFile,
    has_image_ending,
)

MAX_FILE_BYTES = 256 * 2**20
MAX_FILES = 500_000  # 6 GB of pixels at 64 px; CelebA has 202,599
# Images are compressed already, so a zip hardly shrinks them; the floor allows plain images.
MAX_RATIO, RATIO_COUNTS_FROM = 100, 2**30
HEAD_BYTES = 512  # in which the signature of a format is found
_SAYS_UTF8 = 0x800  # the bit of a zip's entry whose name is UTF-8

# What became of a thing that was met. Candidates are read; the kinds of `LEFT_OUT` never are.
CANDIDATE, OTHER, UNREADABLE = "candidate", "other", "unreadable"


@dataclass(frozen=True)
class _LeftOut:
    """A kind of thing that is left out: its name, and what to do if there is nothing else."""

    one: str
    many: str
    advice: str = ""


LEFT_OUT = {
    "zip": _LeftOut(
        "zip, which is not opened", "zips, which are not opened", "give the zip itself, '{path}'"
    ),
    "archive": _LeftOut(
        "archive, which is not opened",
        "archives, which are not opened",
        "unpack '{path}' and give the folder",
    ),
    "unfinished": _LeftOut(
        "unfinished download", "unfinished downloads", "finish the download of '{path}'"
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
    "archive": ".7z .arj .br .bz2 .cab .cb7 .cbr .cbt .dmg .gz .iso .lha .lz .lz4 .lzh .lzma"
    " .rar .sit .tar .tbz .tbz2 .tgz .tlz .txz .tzst .xz .z .zipx .zst",
    "unfinished": ".aria2 .crdownload .download .opdownload .part .partial",
    "packed": ".arrow .beton .db .feather .h5 .hdf .hdf5 .lmdb .mat .mdb .npy .npz .parquet .pickle"
    " .pkl .rec .sqlite .sqlite3 .tfrecords",
    "video": ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .webm .wmv",
}
KINDS = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()}
_PART_OF_AN_ARCHIVE = re.compile(r"\.(7z|gz|rar|tar|zip)\.\d{3}$|\.[rz]\d\d$")
TFRECORD_ENDINGS = (".tfrec", ".tfrecord")

# What systems and their network drives keep beside the images: thumbnails, deleted files, indexes.
_JUNK = {
    *("$recycle.bin", "RECYCLED", "RECYCLER", "system volume information"),  # Windows
    *("thumbs.db", "ehthumbs.db", "desktop.ini"),
    *("__macosx", "network trash folder", "temporary items"),  # macOS
    *("@eadir", "#recycle", "#snapshot", "@tmp"),  # Synology
    *("@recycle", "@recently-snapshot", "~snapshot"),  # QNAP, NetApp
    "lost+found",  # Linux
}
_FOUND_BY_CHKDSK = re.compile(r"found\.\d{3}", re.IGNORECASE)
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
    status : str
        ``CANDIDATE`` if it may be an image, ``OTHER`` if it is another file, ``UNREADABLE``, or
        the kind of things to which it belongs that are left out.
    reason : str
        Why it is unreadable.
    """

    name: str
    read: Callable[[], bytes] | None = None
    path: Path | None = None
    size: int = 0
    status: str = CANDIDATE
    reason: str = ""


@contextlib.contextmanager
def open_listing(path: Path, folders: tuple[str, ...]) -> Iterator[list[SourceFile]]:
    """List everything in a folder or zip, sorted by name; a zip stays open inside the context.

    A folder that is left out as a whole is one item of the list.

    Raises
    ------
    WorkbookError
        If the folder or zip cannot be read, a zip is damaged or may be a zip bomb, or there are
        more than 500,000 files.
    """
    if path.is_dir():
        files = list(itertools.islice(_list_folder(path), MAX_FILES + 1))
        _refuse_too_many(files, path)
        yield _in_order(files)
        return
    try:
        archive = zipfile.ZipFile(path)
    except MemoryError:
        raise
    except OSError as error:
        raise WorkbookError(
            f"'{path}' cannot be read ({error.strerror or error}): see to it that it is there and "
            "can be read."
        ) from error
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
    names: dict[str, list[str]] = {kind: [] for kind in LEFT_OUT}
    for name, kind in met:
        names[kind].append(name)
    return "; ".join(
        f"{len(some)} {LEFT_OUT[kind].one if len(some) == 1 else LEFT_OUT[kind].many} "
        f"({', '.join(some[:3])}{', ...' if len(some) > 3 else ''})"
        for kind, some in names.items()
        if some
    )


def describe_kind(kind: str) -> str:
    """Say what one thing of a kind is that was not read."""
    return LEFT_OUT[kind].one


def describe_no_image(path: Path, listing: Iterable[SourceFile]) -> str:
    """Say what to do about a collection without a usable image, and what it holds."""
    met = [(item.name, item.status) for item in listing if item.status in LEFT_OUT]
    first = {kind: name for name, kind in reversed(met)}
    advice = "put JPEG, PNG or other images there, or give another folder or zip"
    for kind, left_out in LEFT_OUT.items():
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
            yield SourceFile(f"{normalise_name(relative)}/", status=kind)
            continue
        within = "" if relative == "." else f"{relative}/"
        for name in [*folders]:
            is_junk = _is_junk(name)
            if is_junk or Path(place, name).is_symlink():
                folders.remove(name)
                shown = normalise_name(f"{within}{name}/")
                yield SourceFile(shown, status="junk" if is_junk else "link")
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
        yield SourceFile(f"{shown}/", status=UNREADABLE, reason=reason)


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
    is_kept = name in _JUNK or name.casefold() in _JUNK or _FOUND_BY_CHKDSK.fullmatch(name)
    return is_hidden or bool(is_kept)


def _listed_file(name: str, path: Path) -> SourceFile:
    if _is_junk(path.name):
        return SourceFile(name, status="junk")
    size = _regular_size(path)
    if size is None:
        return SourceFile(name, status="device")
    status = _status(name, functools.partial(read_file, path, HEAD_BYTES))
    return SourceFile(name, functools.partial(read_file, path), path, size, status)


def _status(name: str, read_head: Callable[[], bytes]) -> str:
    """Return the status of a file from its name and, if that says no image, its first bytes.

    So what lies beside the images, such as long videos, is never read as a whole.
    """
    lower = name.lower()
    if has_image_ending(name) or is_tfrecord(name):
        return CANDIDATE
    try:
        if _begins_like_an_image(read_head()):
            return CANDIDATE
    except NotAnImage:
        return "unread"
    if ".tfrecord-" in lower or lower.endswith("-ubyte"):  # parts of one file; MNIST's format
        return "packed"
    if _PART_OF_AN_ARCHIVE.search(lower):
        return "archive"
    return KINDS.get(PurePosixPath(lower).suffix, OTHER)


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
        yield SourceFile(f"{normalise_name(str(folder))}/", status=kind)


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
        return SourceFile(name, status="junk")
    status = _status(name, functools.partial(_read_entry, archive, entry, HEAD_BYTES))
    return SourceFile(name, functools.partial(_read_entry, archive, entry), status=status)


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


def read_file(path: Path, head: int | None = None) -> bytes:
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
