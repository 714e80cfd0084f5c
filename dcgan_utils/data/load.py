"""Picture collections: a name, a folder or a zip in; one checked tensor and a report out.

`locate` says where a collection is, at no cost; `load_dataset` reads it. The pictures are
decoded on all cores and kept in ``data/.cache``, under a key made from their content.
"""

from __future__ import annotations

import functools
import operator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from dcgan_utils.core import cache
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.copies import COPIES
from dcgan_utils.data.decode import decode_picture, parse_background
from dcgan_utils.data.decoding import Content, LoadReport, content_key, decode_all, first_reasons
from dcgan_utils.data.sources import Location, locate, open_listing, provide

__all__ = [
    "Dataset",
    "load_copies",
    "load_dataset",
    "made_up",
    "picture_files",
]

MAX_IMG_SIZE = 1024


@dataclass(frozen=True)
class Dataset:
    """A collection that is ready for training.

    Attributes
    ----------
    name : str
        Short and safe in file names.
    images : uint8 tensor, shape (N, 3, img_size, img_size)
        Pixels in 0..255.
    files : tuple of str
        Name of each picture, relative to `source`, in sorted order.
    report : LoadReport
    data_hash : str
        Hex digest of the pixels, their order and their shape; it stands for `images` when two
        datasets are compared with ``==``.
    source : Path
        The folder or zip that was read.
    folders : tuple of str
        See `sources.Location`.
    options : dict
        What `load_dataset` was told of `fit` and `background`.
    """

    name: str
    images: torch.Tensor = field(repr=False, compare=False)
    files: tuple[str, ...] = field(repr=False)
    report: LoadReport = field(repr=False)
    data_hash: str
    source: Path
    folders: tuple[str, ...] = field(default=(), repr=False, compare=False)
    options: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def location(self) -> Location:
        """Where the same pictures are found again."""
        return Location(self.name, self.source, self.folders)

    def __str__(self) -> str:
        """Return how many pictures there are, and what tells them from others."""
        return f"{len(self.images)}, data hash {self.data_hash[:16]}"

    def draw(self, n: int, *, seed: int) -> torch.Tensor:
        """Return ``n`` pictures at random, or all if there are fewer, none of them twice."""
        order = torch.randperm(len(self.images), generator=stream(seed, "draw"))
        return self.images[order[:n]]


def load_dataset(
    source: str | Path | Location,
    img_size: int,
    *,
    fit: str = "crop",
    background: str = "white",
    strict: bool = False,
    copy: str | None = None,
) -> Dataset:
    """Load a collection of pictures as one ``uint8`` tensor.

    Parameters
    ----------
    source : str, Path or Location
        A known name (``plein_air``, ``monet``, ...), or a path to a folder, which is searched
        recursively, or to a zip. See `locate`.
    img_size : int
        Side of the square pictures in pixels, 1 to 1024.
    fit : {"crop", "pad"}
        Keep the centre of a picture that is not square, or keep all of it on a square of
        `background`.
    background : str
        Colour put under transparent parts: a name, or a code such as ``#ffeedd``.
    strict : bool
        Refuse the collection when a picture in it cannot be used, instead of skipping it.
    copy : str or None
        One of `copies.COPIES`: load what that makes of the pictures.

    Raises
    ------
    WorkbookError
        When the source or a value is wrong, a collection cannot be fetched, no picture can be
        used, or `strict` finds one that cannot.
    """
    recipe = _checked_recipe(img_size, fit, background, copy)
    location = source if isinstance(source, Location) else locate(source)
    path = location.path or provide(location.name)
    with open_listing(path, location.folders) as files:
        key, files = content_key(path, files, recipe)
        kept = cache.location("pictures", key)
        content, decoded = cache.read(kept, _understood), None
        if content is None:
            decode = functools.partial(decode_picture, **recipe)
            content = decoded = decode_all(path, files, decode)
    with ThreadPoolExecutor(1) as beside:
        hashed = beside.submit(cache.content_hash, content.images)
        if decoded:
            _write_cache(kept, decoded)
    skipped = content.report.skipped
    if strict and skipped:
        raise WorkbookError(
            f"Pictures in '{path}' that cannot be used: {len(skipped)} "
            f"({first_reasons(skipped)}); repair or remove them, or load with strict=False."
        )
    return Dataset(
        name=location.name,
        images=torch.from_numpy(content.images),
        files=content.files,
        report=content.report,
        data_hash=hashed.result(),
        source=path,
        folders=location.folders,
        options={"fit": fit, "background": background},
    )


def made_up(
    images: torch.Tensor,
    *,
    name: str,
    files: tuple[str, ...],
    source: Path,
    kind: str,
    size: tuple[int, int] | None = None,
    file_size: int = 0,
) -> Dataset:
    """Return pictures that were not read as they are, as a collection.

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, side, side)``.
    name, files, source
        As in `Dataset`.
    kind
        What the report calls their format.
    size, file_size
        Of each original in pixels and bytes; without one, that of the picture, and 0.
    """
    n = len(images)
    sizes = (size or (images.shape[-1],) * 2,) * n
    report = LoadReport({kind: n}, {"RGB": n}, sizes, (file_size,) * n, skipped=(), ignored=())
    return Dataset(name, images, files, report, cache.content_hash(images.numpy()), source)


def load_copies(dataset: Dataset) -> torch.Tensor:
    """Return a collection's pictures followed by their five copies each: 721 become 4,326.

    The copies are made of the files, before transparency is flattened and the size is changed.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(6 N, 3, img_size, img_size)``: first the pictures as they are, then all
        with green hues, and so on, in the order of `copies.COPIES`.

    Raises
    ------
    WorkbookError
        If the files are no longer there, or no longer the same.
    """
    parts = [dataset.images]
    for kind in COPIES:
        side = dataset.images.shape[-1]
        copied = load_dataset(dataset.location, side, copy=kind, **dataset.options)
        if copied.files != dataset.files:
            raise WorkbookError(
                f"the pictures in '{dataset.source}' have changed since they were loaded: load "
                "them again before copies are made of them."
            )
        parts.append(copied.images)
    return torch.cat(parts)


def picture_files(dataset: str, img_size: int) -> list[Path]:
    """Return the paths of a collection's pictures.

    Raises
    ------
    WorkbookError
        If they are not files of a folder.
    """
    collection = load_dataset(dataset, img_size)
    files = [collection.source / name for name in collection.files]
    if not all(file.is_file() for file in files):
        raise WorkbookError(
            f"the textbook reads picture by picture from a folder, and '{dataset}' is none, or "
            "packs its pictures: unpack it, and name the folder."
        )
    return files


def _checked_recipe(img_size: int, fit: str, background: str, copy: str | None) -> dict:
    """Check everything besides the files that decides about the pixels."""
    try:
        side = operator.index(img_size)
    except TypeError:
        side = 0
    if isinstance(img_size, bool) or not 1 <= side <= MAX_IMG_SIZE:
        raise WorkbookError(
            f"img_size={img_size!r} is not possible: give a whole number of pixels from 1 to "
            f"{MAX_IMG_SIZE}."
        )
    if fit not in ("crop", "pad"):
        raise WorkbookError(f"fit={fit!r} is not known: it is 'crop' or 'pad'.")
    if copy is not None and copy not in COPIES:
        raise WorkbookError(f"copy={copy!r} is not known: it is one of {', '.join(COPIES)}.")
    recipe = {"img_size": side, "fit": fit, "background": parse_background(background)}
    return recipe if copy is None else recipe | {"copy": copy}


# --- The cache ---------------------------------------------------------------------------


def _understood(entry: cache.Entry) -> Content:
    report = _report_from_json(entry.about["report"])
    return Content(entry.arrays["images"], tuple(entry.about["files"]), report)


def _write_cache(path: Path, content: Content) -> None:
    about = {"files": content.files, "report": asdict(content.report)}
    cache.write(path, {"images": content.images}, about)


def _report_from_json(report: dict) -> LoadReport:
    """Turn JSON's lists back into tuples."""
    return LoadReport(
        formats=report["formats"],
        modes=report["modes"],
        sizes=tuple((width, height) for width, height in report["sizes"]),
        file_sizes=tuple(report["file_sizes"]),
        skipped=tuple((name, reason) for name, reason in report["skipped"]),
        ignored=tuple(report["ignored"]),
    )
