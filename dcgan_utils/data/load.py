"""Load a collection: a name, folder or zip in; one validated tensor and a report out.

`sources.locate` finds a collection without reading it; `load_dataset` reads it. The images are
decoded on all cores and cached in ``data/.cache`` under a hash of their content.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import json
import operator
import os
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL
import psutil
import torch

from dcgan_utils.core import cache, progress
from dcgan_utils.core.environment import needs_extra
from dcgan_utils.core.errors import NotEnoughData, WorkbookError, did_you_mean
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.decode import COPIES, DecodedImage, Memory, decode_image
from dcgan_utils.data.formats import (
    FORMATS,
    DamagedImage,
    NotAnImage,
    UnreadableFile,
    has_image_ending,
    reason_by_name,
)
from dcgan_utils.data.listing import (
    CANDIDATE,
    MAX_FILE_BYTES,
    OTHER,
    UNREADABLE,
    SourceFile,
    describe_kind,
    describe_left_out,
    describe_no_image,
    is_tfrecord,
    normalise_name,
    open_listing,
)
from dcgan_utils.data.sources import Location, ensure_available, locate
from dcgan_utils.data.squares import FITS, canonical_background, parse_background

if TYPE_CHECKING:
    import pandas as pd

NARROW = 25  # levels between the lowest and the highest of a collection, a tenth of all
KEPT_BYTES = 1 << 28  # a folder's files up to this total are read once and kept until decoded
DECODER_VERSION = 6  # to be raised when the same bytes give other pixels or reasons


@dataclass(frozen=True)
class LoadReport:
    """What a collection holds: what was loaded, skipped, ignored and left out.

    Attributes
    ----------
    formats, modes : dict
        Number of images of each file format (``"JPEG"``) and Pillow mode (``"RGB"``).
    sizes : tuple of (int, int)
        Original (width, height) of each image in pixels, in the order of `Dataset.files`.
    file_sizes : tuple of int
        Bytes of each image as stored, in the same order.
    skipped : tuple of (str, str)
        Files that should be images but could not be used, and folders that could not be read, each
        with the reason.
    ignored : tuple of str
        Files that are not images, such as text.
    converted : dict
        Number of images that were converted to sRGB, from each colour space.
    levels : tuple of (int, int)
        The lowest and the highest level of all images.
    left_out : tuple of (str, str)
        What is never read, each with its kind: archives, links to folders, what systems hide there,
        what this project has written. A folder's name ends with ``/`` and stands for all it holds.
    folders : dict
        Number of images in each folder.
    """

    formats: dict[str, int]
    modes: dict[str, int]
    sizes: tuple[tuple[int, int], ...]
    file_sizes: tuple[int, ...]
    skipped: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...]
    converted: dict[str, int] = field(default_factory=dict)
    levels: tuple[int, int] = (0, 255)
    left_out: tuple[tuple[str, str], ...] = ()
    folders: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        smallest, largest = (f(self.sizes, key=lambda size: size[0] * size[1]) for f in (min, max))
        span = _by(smallest) + (f" to {_by(largest)}" if len(set(self.sizes)) > 1 else "")
        details = f"{_counts(self.formats)}; {_counts(self.modes)}; {span}"
        if len(self.folders) > 1:
            details += f"; in {len(self.folders)} folders: {_first_counts(self.folders)}"
        lines = [f"Images: {len(self.sizes)} ({details})"]
        if self.converted:
            count = sum(self.converted.values())
            lines.append(f"Converted to sRGB: {count} ({_counts(self.converted)})")
        low, high = self.levels
        if high - low <= NARROW:
            deep = any(mode.startswith("I") or mode == "F" for mode in self.modes)
            hint = " Do their files use a part of their bits only, as 12 in 16?" if deep else ""
            lines.append(f"Levels: {low} to {high} only, of 0 to 255.{hint}")
        if self.skipped:
            lines.append(f"Skipped: {len(self.skipped)} ({first_reasons(self.skipped)})")
        if self.ignored:
            lines.append(f"Ignored (not images): {len(self.ignored)}")
        if self.left_out:
            lines.append(f"Left out: {describe_left_out(self.left_out)}")
        return "\n".join(lines)

    def unused_table(self) -> pd.DataFrame:
        """Return one row for each thing that is not among the images, and what became of it.

        Raises
        ------
        NotEnoughData
            If everything is an image.
        """
        import pandas as pd

        rows = [(name, f"skipped: {reason}") for name, reason in self.skipped]
        rows += [(name, f"left out: {describe_kind(kind)}") for name, kind in self.left_out]
        rows += [(name, f"ignored: {describe_kind(OTHER)}") for name in self.ignored]
        if not rows:
            raise NotEnoughData("Everything in this collection is an image.")
        return pd.DataFrame(rows, columns=["not among the images", "what became of it"])


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _first_counts(counts: dict[str, int], most: int = 6) -> str:
    more = f", and {len(counts) - most} more" if len(counts) > most else ""
    return ", ".join(f"{name} {count}" for name, count in [*counts.items()][:most]) + more


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def first_reasons(skipped: tuple[tuple[str, str], ...], most: int = 3) -> str:
    """List the first skipped files with their reasons, and the number of the others."""
    shown = "; ".join(f"{name}: {reason}" for name, reason in skipped[:most])
    return shown + (f"; and {len(skipped) - most} more" if len(skipped) > most else "")


@dataclass(frozen=True)
class _Outcome:
    """The result for one file: an image, a reason to skip it, or neither (it is ignored).

    A transient reason is one of the machine, not of the file: another time it may be read.
    """

    name: str
    image: DecodedImage | None = None
    file_size: int = 0
    reason: str | None = None
    transient: bool = False


@dataclass(frozen=True)
class Content:
    """A decoded collection, in the form that is cached unless a reason in it is a transient one."""

    images: np.ndarray
    files: tuple[str, ...]
    report: LoadReport
    transient: bool = False


def decode_all(
    path: Path,
    files: list[SourceFile],
    decode: Callable[[bytes], DecodedImage],
    listing: Sequence[SourceFile] = (),
) -> Content:
    """Decode all images of a collection; `listing` says what else it holds if there are none.

    Raises
    ------
    WorkbookError
        If no image can be used, the memory is too short for one of them alone, or the reader of
        TFRecord files is not installed.
    """
    if any(file.path and is_tfrecord(file.name) for file in files):
        with needs_extra("tfrecord"):
            importlib.import_module("tfrecord.reader")
    with warnings.catch_warnings():
        # The report covers what Pillow warns about. Set here, since filters are not per thread.
        warnings.simplefilter("ignore")
        memory = Memory(psutil.virtual_memory().available / 2)
        work = functools.partial(_decode_file, decode=functools.partial(decode, memory=memory))
        with progress.announced("images decoded", of=len(files)) as advance:
            batches = thread_map(functools.partial(_unless_memory_is_short, work), files, advance)
        for number, file in enumerate(files):
            if batches[number] is None:  # once more, alone
                batches[number] = _unless_memory_is_short(work, file)
            if batches[number] is None:
                raise WorkbookError(
                    f"the memory is too short to decode '{file.name}' in '{path}': close other "
                    "programs, or make the image smaller. Nothing is wrong with the file."
                )
        outcomes = [outcome for batch in batches for outcome in batch]
    outcomes.sort(key=lambda outcome: outcome.name)
    return _gather(path, outcomes, listing)


def _unless_memory_is_short(
    work: Callable[[SourceFile], list[_Outcome]], file: SourceFile
) -> list[_Outcome] | None:
    try:
        return work(file)
    except MemoryError:
        return None


def thread_map(
    work: Callable[[Any], Any],
    items: Sequence[Any],
    advance: Callable[[int], None] = lambda items: None,
) -> list[Any]:
    """Apply ``work`` to all items in a pool of threads; return the results in order.

    ``advance`` is called with the number of items whose results have come since.

    Threads suffice, since Pillow, zlib and hashlib release the GIL. Each task is a chunk of items,
    since scheduling a task costs about as much as decoding a small image.
    """
    cores = os.cpu_count() or 1
    size = max(1, min(32, len(items) // (4 * cores)))
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    with ThreadPoolExecutor(max_workers=cores) as pool:
        results = []
        for chunk in pool.map(lambda chunk: [work(item) for item in chunk], chunks):
            results += chunk
            advance(len(chunk))
    return results


def _gather(path: Path, outcomes: list[_Outcome], listing: Sequence[SourceFile]) -> Content:
    loaded = [outcome for outcome in outcomes if outcome.image]
    skipped = tuple((o.name, o.reason) for o in outcomes if o.reason)
    if not loaded:
        skipped += _unreadable(listing)
        reasons = f" ({len(skipped)} skipped: {first_reasons(skipped)})" if skipped else ""
        raise WorkbookError(
            f"There is no usable image in '{path}'{reasons}: {describe_no_image(path, listing)}"
        )
    decoded = [outcome.image for outcome in loaded]
    side = len(decoded[0].pixels)
    images = np.empty((len(decoded), 3, side, side), np.uint8)  # np.stack needs twice the memory
    thread_map(_copy_pixels, list(zip(images, decoded, strict=True)))
    report = LoadReport(
        formats=_tally(image.format for image in decoded),
        modes=_tally(image.mode for image in decoded),
        sizes=tuple(image.size for image in decoded),
        file_sizes=tuple(outcome.file_size for outcome in loaded),
        skipped=skipped,
        ignored=tuple(o.name for o in outcomes if not o.image and not o.reason),
        converted=_tally(image.space for image in decoded if image.space),
        levels=(int(images.min()), int(images.max())),
    )
    transient = any(outcome.transient for outcome in outcomes)
    return Content(images, tuple(outcome.name for outcome in loaded), report, transient)


def _unreadable(listing: Sequence[SourceFile]) -> tuple[tuple[str, str], ...]:
    return tuple((item.name, item.reason) for item in listing if item.status == UNREADABLE)


def _full_report(content: Content, listing: Sequence[SourceFile]) -> LoadReport:
    """Add to the report on the candidates, which is cached, whatever else was met just now."""
    reported = {CANDIDATE, OTHER, UNREADABLE}
    others = tuple(item.name for item in listing if item.status == OTHER)
    folders = Counter(str(PurePosixPath(name).parent) for name in content.files)
    return replace(
        content.report,
        skipped=tuple(sorted(content.report.skipped + _unreadable(listing))),
        ignored=tuple(sorted(content.report.ignored + others)),
        left_out=tuple((item.name, item.status) for item in listing if item.status not in reported),
        folders=dict(sorted(folders.items())),
    )


def _copy_pixels(target_and_image: tuple[np.ndarray, DecodedImage]) -> None:
    target, image = target_and_image
    np.copyto(target, image.pixels.transpose(2, 0, 1))


def _tally(names: Iterable[str]) -> dict[str, int]:
    """Count each name, the most frequent first."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def _decode_file(file: SourceFile, decode: Callable[[bytes], DecodedImage]) -> list[_Outcome]:
    if not is_tfrecord(file.name):
        optional = not has_image_ending(file.name)
        return [_decode_one(file.name, file.read, decode, optional=optional)]
    if file.path is None:
        return [_Outcome(file.name, reason="a TFRecord file inside a zip: unpack the zip")]
    return _decode_tfrecord(file, decode)


def _decode_one(
    name: str,
    read: Callable[[], bytes],
    decode: Callable[[bytes], DecodedImage],
    *,
    optional: bool,
) -> _Outcome:
    """Decode one image; with ``optional``, a file that is not an image is ignored."""
    try:
        data = read()
        return _Outcome(name, image=decode(data), file_size=len(data))
    except DamagedImage as error:
        return _Outcome(name, reason=str(error))
    except UnreadableFile as error:
        return _Outcome(name, reason=None if optional else str(error), transient=True)
    except NotAnImage as error:
        return _Outcome(name, reason=None if optional else reason_by_name(name) or str(error))


def _decode_tfrecord(file: SourceFile, decode: Callable[[bytes], DecodedImage]) -> list[_Outcome]:
    """Decode the images of a TFRecord file, each named by its ``image_name``."""
    from tfrecord.reader import tfrecord_loader

    folder = PurePosixPath(file.name).parent
    outcomes = []
    try:
        if not _is_complete_tfrecord(file.path):
            return [_Outcome(file.name, reason="a TFRecord file that is empty or cut short")]
        features = {"image": "byte", "image_name": "byte"}
        for record in tfrecord_loader(str(file.path), None, features):
            name = normalise_name(str(folder / record["image_name"].decode("utf-8", "replace")))
            read = functools.partial(bytes, record["image"])
            outcomes.append(_decode_one(name, read, decode, optional=False))
    except MemoryError:
        raise
    except OSError as error:
        reason = f"the file cannot be read ({error.strerror})"
        return [_Outcome(file.name, reason=reason, transient=True)]
    except Exception as error:  # the parser raises many types
        return [_Outcome(file.name, reason=f"a damaged TFRecord file ({error!r:.80})")]
    return outcomes


def _is_complete_tfrecord(path: Path) -> bool:
    """Check the record lengths, which the library trusts: it would allocate any amount."""
    with path.open("rb") as stream:
        end, position = stream.seek(0, os.SEEK_END), 0
        while position < end:
            stream.seek(position)
            length = int.from_bytes(stream.read(8), "little")
            position += 8 + 4 + length + 4  # length and data have a checksum each
        return 0 < end == position


# --- The cache key ---


def content_key(path: Path, files: list[SourceFile], recipe: dict) -> tuple[str, list[SourceFile]]:
    """Hash everything that determines the result: names, bytes, recipe and decoder.

    The files are returned too. Those of a small folder are then already in memory, so the decoded
    bytes are the hashed ones and each file is read only once.
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
    except MemoryError:
        return _file_hash(file.path), file
    return hashlib.blake2b(data).digest(), replace(file, read=lambda: data)


def _file_hash(path: Path) -> bytes:
    try:
        status = path.stat()
        if status.st_size > MAX_FILE_BYTES and not zipfile.is_zipfile(path):
            return f"not read: {status.st_size} bytes, {status.st_mtime_ns}".encode()
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "blake2b").digest()
    except OSError:
        return b"cannot be read"


# --- Datasets ---


MAX_IMG_SIZE = 1024


@dataclass(frozen=True)
class Dataset:
    """A collection, ready for training.

    Attributes
    ----------
    name : str
        Short, and safe in file names.
    images : uint8 tensor, shape (N, 3, img_size, img_size)
        Pixels in 0..255.
    files : tuple of str
        Name of each image, relative to `source`, in sorted order.
    report : LoadReport
    data_hash : str
        Hex digest of the pixels, their order and shape; ``==`` compares it instead of `images`.
    source : Path
        The folder or zip that was read.
    folders : tuple of str
        See `sources.Location`.
    options : dict
        The arguments `fit` and `background` of `load_dataset`.
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
        """Where to load the same images again."""
        return Location(self.name, self.source, self.folders)

    def __str__(self) -> str:
        """Return the number of images and the beginning of their hash."""
        return f"{len(self.images)}, data hash {self.data_hash[:16]}"

    def draw(self, n: int, *, seed: int) -> torch.Tensor:
        """Return ``n`` random images without replacement, or all if there are fewer."""
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
    source
        A known name (``plein_air``, ``monet``, ...), or the path of a zip or of a folder, which is
        searched recursively. See `locate`.
    img_size
        Side of the square images in pixels, 1 to 1024.
    fit : {"crop", "pad", "stretch"}
        For images that are not square: keep the centre, pad to a square with `background`, or
        scale both sides to `img_size`, which distorts.
    background
        Colour behind transparent parts and around padded images: a name, or a code such as
        ``#ffeedd``.
    strict
        Refuse the collection if an image cannot be used, instead of skipping the image.
    copy
        One of `decode.COPIES`: load this variant of the images.

    Raises
    ------
    WorkbookError
        If the source or a value is invalid, the download fails, no image can be used, or, with
        `strict`, any image cannot be used.
    """
    recipe = _checked_recipe(img_size, fit, background, copy)
    location = source if isinstance(source, Location) else locate(source)
    path = location.path or ensure_available(location.name)
    with _friendly_memory_errors(path), open_listing(path, location.folders) as listing:
        candidates = [item for item in listing if item.status == CANDIDATE]
        key, files = content_key(path, candidates, recipe)
        cached = cache.location("images", key)
        content, decoded = cache.read(cached, _parse_entry), None
        if content is None:
            decode = functools.partial(decode_image, **recipe)
            content = decoded = decode_all(path, files, decode, listing)
    with ThreadPoolExecutor(1) as thread:
        data_hash = thread.submit(cache.content_hash, content.images)
        if decoded and not decoded.transient:
            _write_cache(cached, decoded)
    report = _full_report(content, listing)
    skipped = report.skipped
    if strict and skipped:
        raise WorkbookError(
            f"Images in '{path}' that cannot be used: {len(skipped)} "
            f"({first_reasons(skipped)}). Repair or remove them, or load with strict=False."
        )
    return Dataset(
        name=location.name,
        images=torch.from_numpy(content.images),
        files=content.files,
        report=report,
        data_hash=data_hash.result(),
        source=path,
        folders=location.folders,
        options={"fit": fit, "background": canonical_background(background)},
    )


@contextlib.contextmanager
def _friendly_memory_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise WorkbookError(
            f"the memory is too short for the images of '{path}': close other programs, or give a "
            "smaller img_size or fewer images."
        ) from error


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
    """Return images that were not read from files of their own as a `Dataset`.

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, side, side)``.
    name, files, source
        See `Dataset`.
    kind
        Name of their format in the report.
    size, file_size
        Original (width, height) in pixels and bytes of each image; by default the size of the
        images, and 0.
    """
    n = len(images)
    sizes = (size or (images.shape[-1],) * 2,) * n
    report = LoadReport({kind: n}, {"RGB": n}, sizes, (file_size,) * n, skipped=(), ignored=())
    return Dataset(name, images, files, report, cache.content_hash(images.numpy()), source)


def fit_example(dataset: Dataset) -> tuple[str, dict[str, torch.Tensor]]:
    """Return the name of the image that is farthest from square, and what each `fit` makes of it.

    Returns
    -------
    name : str
        One of `Dataset.files`.
    squares : dict of torch.Tensor
        uint8, shape ``(1, 3, img_size, img_size)``, by the names in `squares.FITS`.

    Raises
    ------
    NotEnoughData
        If all images are square, or this one is no file of its own.
    """
    if not dataset.options:
        raise NotEnoughData("These images were not read from files.")
    ratios = [max(size) / min(size) for size in dataset.report.sizes]
    if max(ratios) == 1:
        raise NotEnoughData("All images are square: crop, pad and stretch are the same.")
    name, side = dataset.files[int(np.argmax(ratios))], dataset.images.shape[-1]
    with open_listing(dataset.source, dataset.folders) as listing:
        data = next((item.read() for item in listing if item.name == name), None)
    if data is None:
        raise NotEnoughData(f"'{name}' is not a file of its own.")
    recipes = (_checked_recipe(side, fit, dataset.options["background"], None) for fit in FITS)
    decoded = (decode_image(data, **recipe).pixels for recipe in recipes)
    images = (torch.tensor(pixels).permute(2, 0, 1)[None] for pixels in decoded)
    return name, dict(zip(FITS, images, strict=True))


def load_copies(dataset: Dataset) -> torch.Tensor:
    """Return the images of a collection and five coloured copies of each: 721 become 4,326.

    The copies are made from the files, before transparency is flattened and images are resized.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(6 N, 3, img_size, img_size)``: first the images as they are, then all
        with green hues, and so on, in the order of `decode.COPIES`.

    Raises
    ------
    WorkbookError
        If the files have been removed or changed.
    """
    parts = [dataset.images]
    _refuse_if_changed(dataset)
    for kind in COPIES:
        parts.append(_load_again(dataset, copy=kind).images)
    _refuse_if_changed(dataset)
    return torch.cat(parts)


def _load_again(dataset: Dataset, copy: str | None = None) -> Dataset:
    side = dataset.images.shape[-1]
    return load_dataset(dataset.location, side, copy=copy, **dataset.options)


def _refuse_if_changed(dataset: Dataset) -> None:
    """Compare names and pixels of the files with those that were loaded."""
    now = _load_again(dataset)
    if (now.files, now.data_hash) != (dataset.files, dataset.data_hash):
        raise WorkbookError(
            f"the images in '{dataset.source}' have changed since they were loaded: load them "
            "again, then make the copies."
        )


def image_files(dataset: str, img_size: int) -> list[Path]:
    """Return the paths of the images of a collection.

    Raises
    ------
    WorkbookError
        If they are not separate files in a folder.
    """
    collection = load_dataset(dataset, img_size)
    with open_listing(collection.source, collection.folders) as listing:
        paths = {item.name: item.path for item in listing}
    files = [paths.get(name) for name in collection.files]
    if not all(files):
        raise WorkbookError(
            f"the textbook loop reads image files from a folder, and '{dataset}' is a zip or has "
            "TFRecord files: unpack it and give the folder."
        )
    return files


def _checked_recipe(img_size: int, fit: str, background: str, copy: str | None) -> dict:
    """Validate everything, except the files, that determines the pixels."""
    try:
        side = operator.index(img_size)
    except TypeError:
        side = 0
    if isinstance(img_size, bool) or not 1 <= side <= MAX_IMG_SIZE:
        raise WorkbookError(
            f"img_size must be an integer from 1 to {MAX_IMG_SIZE} (pixels), not {img_size!r}."
        )
    if fit not in FITS:
        near = did_you_mean(str(fit), FITS)
        raise WorkbookError(f"fit must be one of {', '.join(FITS)}, not {fit!r:.100}.{near}")
    if copy is not None and copy not in COPIES:
        raise WorkbookError(f"copy must be one of {', '.join(COPIES)}, not {copy!r}.")
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
    """Convert lists from JSON back to tuples."""
    return LoadReport(
        formats=report["formats"],
        modes=report["modes"],
        sizes=tuple((width, height) for width, height in report["sizes"]),
        file_sizes=tuple(report["file_sizes"]),
        skipped=tuple((name, reason) for name, reason in report["skipped"]),
        ignored=tuple(report["ignored"]),
        converted=report["converted"],
        levels=tuple(report["levels"]),
    )
