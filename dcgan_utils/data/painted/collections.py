"""Image collections that are generated on first use, so nothing has to be downloaded.

``plein_air`` is a collection of impressionist landscapes, ``critters`` one of creatures on a
transparent background.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image, ImageOps

from dcgan_utils.core import progress
from dcgan_utils.core.files import friendly_write_errors
from dcgan_utils.data.painted.brush import Palette, Sketch, as_rgb, mix, paint
from dcgan_utils.data.painted.clay import Clay
from dcgan_utils.data.painted.creatures import COLOURS, EYES, FAMILIES, Creature
from dcgan_utils.data.painted.landscapes import SUBJECTS

ROUND_EVERY = 50  # one canvas in 50 is round
MARGIN = 253  # grey level around a round canvas

# Shadows are never black: they tend towards the complement of the light (violet, blue).
PALETTES = {
    "dawn": Palette("93b0d6", "f8cdb8", "ffe3b4", "ffe0c8", "747cb4", "d3c6dc", (0.15, 0.45), 0.22),
    "noon": Palette("5c98da", "d4e8f2", "fff8e0", "fff6d6", "5a68b4", "b8d2ea", (0.80, 1.10), 0.26),
    "sunset": Palette("7c84c4", "fdb26c", "ffdc7c", "ffc890", "6c5298", "e2a8a4", (0.1, 0.35), 0.2),
    "overcast": Palette("a2b0c2", "dadcd8", "f0eada", "e6e4dc", "707c9a", "c6ccd2", (0.7, 1), 0.18),
    "dusk": Palette("5064a8", "d4a2bc", "ffd2ac", "c4bce0", "4c5298", "988cc0", (0.05, 0.25), 0.14),
}


@dataclass(frozen=True)
class Label:
    """The labels of a landscape: the columns of ``labels.csv``.

    ``subject`` is one of ``SUBJECTS``, ``palette`` (the time of day) one of ``PALETTES``. A
    ``round`` canvas is a disc that touches the borders, on a near-white ground. ``horizon`` is a
    fraction of the height from the top; None if the subject has no horizon.
    """

    file: str
    subject: str
    palette: str
    round: bool
    horizon: float | None


def paint_scene(index: int, *, size: int = 256, seed: int = 0) -> tuple[Image.Image, Label]:
    """Paint one image of ``plein_air``.

    Parameters
    ----------
    index
        Number of the image, from 1. The scene depends only on this and on ``seed``.
    size
        Width and height in pixels.
    seed
        Seed of the collection.

    Returns
    -------
    tuple of PIL.Image.Image and Label
        An RGB image and its labels.
    """
    rng = np.random.default_rng([seed, index])
    subject, is_round = _subject(index, seed), _is_round(index, seed)
    name = rng.choice(list(PALETTES), p=[palette.weight for palette in PALETTES.values()])
    palette, is_mirrored = PALETTES[name], rng.random() < 0.5
    horizon = 0.35 + 0.25 * rng.beta(4, 4)  # mostly near the middle, as painters place it
    sun = (rng.uniform(0.1, 0.9), horizon * (1 - rng.uniform(*palette.sun)))
    sketch = Sketch(rng, palette, horizon, sun)
    SUBJECTS[subject](sketch)
    canvas = paint(sketch, size)
    if is_round:
        middle = np.arange(size) + 0.5 - size / 2
        outside = np.clip(np.hypot(middle, middle[:, None]) - size / 2 + 1, 0, 1)
        canvas = mix(canvas, np.float32(MARGIN), outside)
    image = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    if is_mirrored:
        image = ImageOps.mirror(image)
    file = f"plein_air_{index:04d}.jpg"
    return image, Label(file, subject, str(name), is_round, sketch.horizon or None)


def _subject(index: int, seed: int) -> str:
    return _in_turn(list(SUBJECTS), index, seed)


def _in_turn(items: list[str], index: int, seed: int) -> str:
    """Return one item, so that each block of ``len(items)`` images has every item once."""
    block, position = divmod(index - 1, len(items))
    return np.random.default_rng([seed, block, 1]).permutation(items)[position].item()


def _is_round(index: int, seed: int) -> bool:
    block, position = divmod(index - 1, ROUND_EVERY)
    return bool(position == np.random.default_rng([seed, block, 2]).integers(ROUND_EVERY))


def paint_plein_air(folder: Path, *, count: int = 600, size: int = 256, seed: int = 0) -> Path:
    """Paint the collection ``plein_air`` on all cores, unless it exists; return its folder.

    The folder gets ``plein_air_0001.jpg`` and so on, and ``labels.csv`` with the fields of
    ``Label``. A folder with labels of ``count`` images and those images is left unchanged; the
    images of an incomplete collection are replaced.
    """
    return _paint_collection(folder, paint_scene, count=count, size=size, seed=seed)


def _paint_collection(
    folder: Path,
    paint_one: Callable[..., tuple[Image.Image, Any]],
    *,
    count: int,
    size: int,
    seed: int,
) -> Path:
    folder = Path(folder)
    if _is_complete(folder, count):
        return folder
    with friendly_write_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if not _is_complete(folder, count):  # another process may have painted it
                _replace_collection(folder, paint_one, count=count, size=size, seed=seed)
    return folder


def _replace_collection(
    folder: Path,
    paint_one: Callable[..., tuple[Image.Image, Any]],
    *,
    count: int,
    size: int,
    seed: int,
) -> None:
    import joblib

    folder.mkdir(parents=True, exist_ok=True)
    # Painted in a temporary folder, then moved, labels last: an interrupted painting can never be
    # mistaken for a collection, and other files in the folder are not touched.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        jobs = [
            joblib.delayed(_paint_file)(Path(temporary), paint_one, index, size, seed)
            for index in range(1, count + 1)
        ]
        try:
            labels = _paint(jobs, n_jobs=-1)
        except OSError:  # no shared memory for processes; if it is the disk, it fails again
            labels = _paint(jobs, n_jobs=1)
        with (Path(temporary) / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [column.name for column in fields(labels[0])])
            writer.writeheader()
            writer.writerows(map(_row, labels))
        first = Path(labels[0].file)
        series = f"{first.stem.rpartition('_')[0]}_*{first.suffix}"
        for old in (folder / "labels.csv", *folder.glob(series)):
            old.unlink(missing_ok=True)
        for name in (*(label.file for label in labels), "labels.csv"):
            (Path(temporary) / name).replace(folder / name)


def _paint(jobs: Sequence[Any], *, n_jobs: int) -> list[Any]:
    import joblib  # slow to import, and only needed to paint

    labels = joblib.Parallel(n_jobs, return_as="generator")(jobs)
    return list(progress.steps(labels, "images painted", of=len(jobs)))


def _is_complete(folder: Path, count: int) -> bool:
    if not (folder / "labels.csv").is_file():
        return False
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    return len(names) == count and all((folder / name).is_file() for name in names)


def _paint_file(
    folder: Path,
    paint_one: Callable[..., tuple[Image.Image, Any]],
    index: int,
    size: int,
    seed: int,
) -> Any:
    image, label = paint_one(index, size=size, seed=seed)
    image.save(folder / label.file, quality=90)  # ignored by PNG
    return label


def _row(label: Any) -> dict[str, str]:
    return {name: _cell(value) for name, value in asdict(label).items()}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4f}" if isinstance(value, float) else str(value)


# --- Critters ---

PALETTE_SHARE = 0.3  # of the images have a palette, the others are RGBA
IRISES = ("7a3b2e", "2f6fb0", "3c8a4e", "b8443c", "6a4aa8")


@dataclass(frozen=True)
class CritterLabel:
    """The labels of a creature: the columns of ``labels.csv``.

    ``family`` is one of ``FAMILIES``, ``colours`` one of ``COLOURS``, ``eyes`` one of ``EYES``;
    ``mode`` is the file's Pillow mode, ``"RGBA"`` or ``"P"`` (a palette with transparency).
    """

    file: str
    family: str
    colours: str
    eyes: str
    mode: str


def paint_critter(
    index: int, *, size: int = 256, seed: int = 0
) -> tuple[Image.Image, CritterLabel]:
    """Model one creature of ``critters``; the parameters are those of `paint_scene`.

    Returns
    -------
    tuple of PIL.Image.Image and CritterLabel
        An image in mode RGBA or P, transparent around the creature, and its labels.
    """
    rng = np.random.default_rng([seed, index, 3])
    family = _in_turn(list(FAMILIES), index, seed)
    colours, eyes = (str(rng.choice(list(items))) for items in (COLOURS, EYES))
    main, accent, iris = map(as_rgb, (*COLOURS[colours], str(rng.choice(IRISES))))
    mode = "P" if rng.random() < PALETTE_SHARE else "RGBA"
    clay = Clay(size, zoom=rng.uniform(0.8, 1.0))
    FAMILIES[family](Creature(clay, rng, main, accent, iris, eyes))
    image = clay.image()
    if mode == "P":
        image = image.quantize(method=Image.Quantize.FASTOCTREE)
    return image, CritterLabel(f"critter_{index:04d}.png", family, colours, eyes, mode)


def paint_critters(folder: Path, *, count: int = 720, size: int = 256, seed: int = 0) -> Path:
    """Model the collection ``critters`` on all cores, unless it exists; return its folder.

    The folder gets ``critter_0001.png`` and so on, and ``labels.csv`` with the fields of
    ``CritterLabel``; see `paint_plein_air`.
    """
    return _paint_collection(folder, paint_critter, count=count, size=size, seed=seed)


PAINTERS: dict[str, Callable[..., Path]] = {
    "plein_air": paint_plein_air,
    "critters": paint_critters,
}
