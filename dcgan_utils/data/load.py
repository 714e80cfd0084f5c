"""Load a collection: a name, a folder or a zip in; one checked tensor and a report out.

`sources.locate` says where a collection is, at no cost; `load_dataset` reads it. The images are
decoded on all cores and kept in ``data/.cache``, under a key made from their content.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import operator
import os
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL
import torch

from dcgan_utils.core import cache
from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.decode import (
    COPIES,
    FORMATS,
    IMAGE_ENDINGS,
    DamagedImage,
    DecodedImage,
    NotAnImage,
    decode_image,
    parse_background,
)
from dcgan_utils.data.sources import (
    MAX_FILE_BYTES,
    Location,
    SourceFile,
    ensure_available,
    locate,
    normalise_name,
    open_listing,
)

if TYPE_CHECKING:
    import pandas as pd

KEPT_BYTES = 1 << 28  # of a folder's files, while they are decoded
DECODER_VERSION = 3  # raise it whenever the same bytes would give other pixels or reasons
TFRECORD_ENDINGS = (".tfrec", ".tfrecord")


@dataclass(frozen=True)
class LoadReport:
    """What was found in a collection.

    Attributes
    ----------
    formats, modes : dict
        How many images have each file format (``"JPEG"``) and Pillow mode (``"RGB"``).
    sizes : tuple of (int, int)
        Original (width, height) of each image in pixels, in the order of `Dataset.files`.
    file_sizes : tuple of int
        Bytes of each image as stored, in the same order.
    skipped : tuple of (str, str)
        Files that should be images but could not be used, each with the reason.
    ignored : tuple of str
        Files that are no images, such as text.
    """

    formats: dict[str, int]
    modes: dict[str, int]
    sizes: tuple[tuple[int, int], ...]
    file_sizes: tuple[int, ...]
    skipped: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...]

    def __str__(self) -> str:
        smallest, largest = (f(self.sizes, key=lambda size: size[0] * size[1]) for f in (min, max))
        span = _by(smallest) + (f" to {_by(largest)}" if len(set(self.sizes)) > 1 else "")
        kinds = f"{_counts(self.formats)}; {_counts(self.modes)}; {span}"
        lines = [f"Images: {len(self.sizes)} ({kinds})"]
        if self.skipped:
            lines.append(f"Skipped: {len(self.skipped)} ({first_reasons(self.skipped)})")
        if self.ignored:
            lines.append(f"Ignored, being no images: {len(self.ignored)}")
        return "\n".join(lines)

    def skipped_table(self) -> pd.DataFrame:
        """Return one row per image file that was left out, with the reason.

        Raises
        ------
        NotEnoughData
            If none was.
        """
        import pandas as pd

        if not self.skipped:
            raise NotEnoughData("No image file had to be left out.")
        return pd.DataFrame(self.skipped, columns=["left out", "reason"])


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def first_reasons(skipped: tuple[tuple[str, str], ...], most: int = 3) -> str:
    """Name the first files that were skipped, each with its reason."""
    shown = "; ".join(f"{name}: {reason}" for name, reason in skipped[:most])
    return shown + (f"; and {len(skipped) - most} more" if len(skipped) > most else "")


@dataclass(frozen=True)
class _Outcome:
    """What became of a file: an image, a reason to skip it, or neither (it is ignored)."""

    name: str
    image: DecodedImage | None = None
    file_size: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class Content:
    """A decoded collection, as it is cached."""

    images: np.ndarray
    files: tuple[str, ...]
    report: LoadReport


def decode_all(
    path: Path, files: list[SourceFile], decode: Callable[[bytes], DecodedImage]
) -> Content:
    """Decode all files of a collection that are images.

    Raises
    ------
    WorkbookError
        If none can be used, or a reader for a kind of file is not installed.
    """
    if any(file.path and is_tfrecord(file.name) for file in files):
        _require_tfrecord(path)
    with warnings.catch_warnings():
        # Pillow warns about what the report says better (and the filters are not per thread).
        warnings.simplefilter("ignore")
        batches = thread_map(functools.partial(_decode_file, decode=decode), files)
        outcomes = [outcome for batch in batches for outcome in batch]
    outcomes.sort(key=lambda outcome: outcome.name)
    return _gather(path, outcomes)


def thread_map(work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Return the results in order.

    Threads are enough: Pillow, zlib and hashlib let go of Python's lock. Of many items each takes
    a handful at a time, since handing over costs about as much as decoding a small image.
    """
    cores = os.cpu_count() or 1
    size = max(1, min(32, len(items) // (4 * cores)))
    handfuls = [items[start : start + size] for start in range(0, len(items), size)]
    with ThreadPoolExecutor(max_workers=cores) as pool:
        results = pool.map(lambda few: [work(item) for item in few], handfuls)
        return [result for few in results for result in few]


def _gather(path: Path, outcomes: list[_Outcome]) -> Content:
    loaded = [outcome for outcome in outcomes if outcome.image]
    skipped = tuple((o.name, o.reason) for o in outcomes if o.reason)
    if not loaded:
        reasons = f" ({len(skipped)} skipped: {first_reasons(skipped)})" if skipped else ""
        raise WorkbookError(
            f"There is no usable image in '{path}'{reasons}: put JPEG, PNG or other images "
            "there, or name another folder or zip."
        )
    decoded = [outcome.image for outcome in loaded]
    report = LoadReport(
        formats=_tally(image.format for image in decoded),
        modes=_tally(image.mode for image in decoded),
        sizes=tuple(image.size for image in decoded),
        file_sizes=tuple(outcome.file_size for outcome in loaded),
        skipped=skipped,
        ignored=tuple(o.name for o in outcomes if not o.image and not o.reason),
    )
    side = len(decoded[0].pixels)
    images = np.empty((len(decoded), 3, side, side), np.uint8)  # not stacked: half the memory
    places = zip(images, decoded, strict=True)
    thread_map(_put, list(places))
    return Content(images, tuple(outcome.name for outcome in loaded), report)


def _put(place_and_image: tuple[np.ndarray, DecodedImage]) -> None:
    place, image = place_and_image
    np.copyto(place, image.pixels.transpose(2, 0, 1))


def _tally(names: Iterable[str]) -> dict[str, int]:
    """Count each name, the commonest first."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def _decode_file(file: SourceFile, decode: Callable[[bytes], DecodedImage]) -> list[_Outcome]:
    if not is_tfrecord(file.name):
        may_be_else = PurePosixPath(file.name).suffix.lower() not in IMAGE_ENDINGS
        return [_decode_one(file.name, file.read, decode, may_be_else=may_be_else)]
    if file.path is None:
        return [_Outcome(file.name, reason="a TFRecord file inside a zip: unpack the zip")]
    return _decode_tfrecord(file, decode)


def _decode_one(
    name: str,
    read: Callable[[], bytes],
    decode: Callable[[bytes], DecodedImage],
    *,
    may_be_else: bool,
) -> _Outcome:
    """Decode one image; with `may_be_else`, what does not look like one is ignored."""
    try:
        data = read()
        return _Outcome(name, image=decode(data), file_size=len(data))
    except DamagedImage as error:
        return _Outcome(name, reason=str(error))
    except NotAnImage as error:
        return _Outcome(name, reason=None if may_be_else else str(error))


def is_tfrecord(name: str) -> bool:
    """Tell by its name whether a file is one of TensorFlow's records."""
    return name.lower().endswith(TFRECORD_ENDINGS)


def _require_tfrecord(path: Path) -> None:
    try:
        importlib.import_module("tfrecord.reader")
    except ImportError:
        raise WorkbookError(
            f"'{path}' holds TFRecord files, whose reader is not installed: run "
            'pip install -e ".[tfrecord]" in the folder of the checkout.'
        ) from None


def _decode_tfrecord(file: SourceFile, decode: Callable[[bytes], DecodedImage]) -> list[_Outcome]:
    """Decode the images of a TFRecord file, each named by its ``image_name``."""
    from tfrecord.reader import tfrecord_loader

    if not _is_complete_tfrecord(file.path):
        return [_Outcome(file.name, reason="a TFRecord file that is empty or cut short")]
    folder = PurePosixPath(file.name).parent
    outcomes = []
    try:
        features = {"image": "byte", "image_name": "byte"}
        for record in tfrecord_loader(str(file.path), None, features):
            name = normalise_name(str(folder / record["image_name"].decode("utf-8", "replace")))
            read = functools.partial(bytes, record["image"])
            outcomes.append(_decode_one(name, read, decode, may_be_else=False))
    except Exception as error:  # whatever the parser stumbles on
        return [_Outcome(file.name, reason=f"a damaged TFRecord file ({error!r:.80})")]
    return outcomes


def _is_complete_tfrecord(path: Path) -> bool:
    """Follow the record lengths: the library trusts them, and would reserve any amount."""
    try:
        with path.open("rb") as stream:
            end, position = stream.seek(0, os.SEEK_END), 0
            while position < end:
                stream.seek(position)
                length = int.from_bytes(stream.read(8), "little")
                position += 8 + 4 + length + 4  # the length and the data have a checksum each
            return 0 < end == position
    except OSError:
        return False


# --- What decides about the result -----------------------------------------------------------


def content_key(path: Path, files: list[SourceFile], recipe: dict) -> tuple[str, list[SourceFile]]:
    """Hash all that decides about the result: names, bytes, recipe and decoder.

    The files come back too: those of a folder that fits in memory have been read by then, so
    that what is decoded is what was hashed, and is read once.
    """
    digest = hashlib.blake2b(digest_size=20)
    decoder = [DECODER_VERSION, PIL.__version__, FORMATS]
    digest.update(json.dumps([decoder, recipe, [file.name for file in files]]).encode())
    if not path.is_dir():
        digest.update(_file_hash(path))
        return digest.hexdigest(), files
    keep = sum(file.size for file in files) <= KEPT_BYTES
    hashed = thread_map(functools.partial(_read_and_hash, keep=keep), files)
    for part, _ in hashed:
        digest.update(part)
    return digest.hexdigest(), [file for _, file in hashed]


def _read_and_hash(file: SourceFile, *, keep: bool) -> tuple[bytes, SourceFile]:
    if not keep or is_tfrecord(file.name):
        return _file_hash(file.path), file
    try:
        data = file.read()
    except NotAnImage as reason:
        return str(reason).encode(), file
    return hashlib.blake2b(data).digest(), replace(file, read=lambda: data)


def _file_hash(path: Path) -> bytes:
    try:
        about = path.stat()
        if about.st_size > MAX_FILE_BYTES and not zipfile.is_zipfile(path):
            return f"not read: {about.st_size} bytes, {about.st_mtime_ns}".encode()
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "blake2b").digest()
    except OSError:
        return b"cannot be read"


# --- Datasets ---


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
        Name of each image, relative to `source`, in sorted order.
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
        """Where the same images are found again."""
        return Location(self.name, self.source, self.folders)

    def __str__(self) -> str:
        """Return how many images there are, and what tells them from others."""
        return f"{len(self.images)}, data hash {self.data_hash[:16]}"

    def draw(self, n: int, *, seed: int) -> torch.Tensor:
        """Return ``n`` images at random, or all if there are fewer, none of them twice."""
        order = torch.randperm(len(self.images), generator=stream(seed, "draw"))
        return self.images[order[:n]]


def load_dataset(
    source: str | Path | Location,
    img_size: int = 64,
    *,
    fit: str = "crop",
    background: str = "white",
    strict: bool = False,
    copy: str | None = None,
) -> Dataset:
    """Load a collection of images as one ``uint8`` tensor.

    Parameters
    ----------
    source : str, Path or Location
        A known name (``plein_air``, ``monet``, ...), or a path to a folder, which is searched
        recursively, or to a zip. See `locate`.
    img_size : int
        Side of the square images in pixels, 1 to 1024.
    fit : {"crop", "pad"}
        Keep the centre of an image that is not square, or keep all of it on a square of
        `background`.
    background : str
        Colour put under transparent parts: a name, or a code such as ``#ffeedd``.
    strict : bool
        Refuse the collection when an image in it cannot be used, instead of skipping it.
    copy : str or None
        One of `decode.COPIES`: load what that makes of the images.

    Raises
    ------
    WorkbookError
        When the source or a value is wrong, a collection cannot be fetched, no image can be
        used, or `strict` finds one that cannot.
    """
    recipe = _checked_recipe(img_size, fit, background, copy)
    location = source if isinstance(source, Location) else locate(source)
    path = location.path or ensure_available(location.name)
    with open_listing(path, location.folders) as files:
        key, files = content_key(path, files, recipe)
        kept = cache.location("images", key)
        content, decoded = cache.read(kept, _parse_entry), None
        if content is None:
            decode = functools.partial(decode_image, **recipe)
            content = decoded = decode_all(path, files, decode)
    with ThreadPoolExecutor(1) as beside:
        hashed = beside.submit(cache.content_hash, content.images)
        if decoded:
            _write_cache(kept, decoded)
    skipped = content.report.skipped
    if strict and skipped:
        raise WorkbookError(
            f"Images in '{path}' that cannot be used: {len(skipped)} "
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


def synthetic_dataset(
    images: torch.Tensor,
    *,
    name: str,
    files: tuple[str, ...],
    source: Path,
    kind: str,
    size: tuple[int, int] | None = None,
    file_size: int = 0,
) -> Dataset:
    """Return images that were not read as they are, as a collection.

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, side, side)``.
    name, files, source
        As in `Dataset`.
    kind
        What the report calls their format.
    size, file_size
        Of each original in pixels and bytes; without one, that of the image, and 0.
    """
    n = len(images)
    sizes = (size or (images.shape[-1],) * 2,) * n
    report = LoadReport({kind: n}, {"RGB": n}, sizes, (file_size,) * n, skipped=(), ignored=())
    return Dataset(name, images, files, report, cache.content_hash(images.numpy()), source)


def load_copies(dataset: Dataset) -> torch.Tensor:
    """Return a collection's images followed by their five copies each: 721 become 4,326.

    The copies are made of the files, before transparency is flattened and the size is changed.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(6 N, 3, img_size, img_size)``: first the images as they are, then all
        with green hues, and so on, in the order of `decode.COPIES`.

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
                f"the images in '{dataset.source}' have changed since they were loaded: load "
                "them again before copies are made of them."
            )
        parts.append(copied.images)
    return torch.cat(parts)


def image_files(dataset: str, img_size: int) -> list[Path]:
    """Return the paths of a collection's images.

    Raises
    ------
    WorkbookError
        If they are not files of a folder.
    """
    collection = load_dataset(dataset, img_size)
    files = [collection.source / name for name in collection.files]
    if not all(file.is_file() for file in files):
        raise WorkbookError(
            f"the textbook reads image by image from a folder, and '{dataset}' is none, or "
            "packs its images: unpack it, and name the folder."
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


# --- The cache ---


def _parse_entry(entry: cache.Entry) -> Content:
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
