"""Sources of images: known names, folders and zips; Kaggle."""

from __future__ import annotations

import re
import unicodedata
import zipfile
from dataclasses import dataclass
from pathlib import Path

from dcgan_utils.core.environment import needs_extra
from dcgan_utils.core.errors import WorkbookError, did_you_mean, first_line
from dcgan_utils.core.files import data_dir, home, normalise_name, utf8_text

PAINTED = ("plein_air", "critters")


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
        if source in PAINTED:
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
    b"version https://git-lfs": "is a pointer of Git LFS: run 'git lfs pull' in its folder",
    b"Rar!": "is a RAR archive: unpack it and give the folder",
    b"7z\xbc\xaf": "is a 7z archive: unpack it and give the folder",
    b"\x1f\x8b": "is a gzip archive: unpack it and give the folder",
    b"PAR1": _PACKED,
    b"\x89HDF": _PACKED,
}


def _why_no_zip(path: Path) -> str:
    """Say what a file is that was given as a collection, and what to do."""
    from dcgan_utils.data.formats import NotAnImage
    from dcgan_utils.data.listing import HEAD_BYTES, KINDS, LEFT_OUT, read_file

    if not path.is_file():  # reading a device might never end
        return "is neither a folder nor a file: give a folder of images or a zip"
    try:
        head = read_file(path, HEAD_BYTES).lstrip()
    except NotAnImage as reason:
        return f"cannot be used: {reason}"
    for start, sentence in _NO_ZIPS.items():
        if head[: len(start)].lower() == start.lower():
            return sentence
    kind = KINDS.get(path.suffix.lower(), "")
    if kind == "zip":
        why = "is empty" if not head else "is not a zip file, or its beginning is damaged"
        return f"{why}: download or copy it again"
    if kind:
        return f"is not a zip file: {LEFT_OUT[kind].advice.format(path=path)}"
    return "is not a zip file: give a folder of images or a zip"


def _find_registered(name: str) -> Path | None:
    """Search ``data/`` for a Kaggle collection."""
    data, kaggle = data_dir(), KAGGLE[name]
    roots = (data, data / name, data / kaggle.slug)
    candidates = [root / folder for folder in kaggle.folders for root in roots]
    candidates += [data / name, data / f"{name}.zip", data / f"{kaggle.slug}.zip"]
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
        searched = "" if given.is_absolute() else f" (from '{_here()}' or from '{home()}')"
        raise WorkbookError(f"There is no folder or zip at '{source}'{searched}: {_choices()}.")
    known = [*PAINTED, *KAGGLE]
    raise WorkbookError(
        f"'{source}' is not a known collection: {_choices()}.{did_you_mean(source, known)}"
    )


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # Jupyter may outlive the folder that it was started in
        return "a working directory that is gone"


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
    names = ", ".join([*PAINTED, *KAGGLE])
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
    if name in PAINTED:
        from dcgan_utils.data.painted import PAINTERS

        return PAINTERS[name](data_dir() / name)
    kaggle = KAGGLE[name]
    try:
        with needs_extra("kaggle"):
            import kagglehub  # slow to import, and only needed here

        if kaggle.is_competition:
            root = Path(kagglehub.competition_download(kaggle.handle))
        else:
            root = Path(kagglehub.dataset_download(kaggle.handle))
    except Exception as error:  # no account, rules not accepted, no network, not installed
        reason = f"{type(error).__name__}: {first_line(error)}"
        if isinstance(error, WorkbookError):
            reason = str(error).rstrip(".")
        raise WorkbookError(
            f"'{name}' is not in '{data_dir()}' and could not be downloaded from Kaggle "
            f"({reason}): download it by hand from {kaggle.page} and put its folder "
            f"{kaggle.folders[0]} there (see data/README.md)."
        ) from error
    folders = (root / folder for folder in kaggle.folders)
    return next((folder for folder in folders if folder.is_dir()), root)
