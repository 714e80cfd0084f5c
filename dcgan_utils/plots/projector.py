"""Export for TensorBoard's embedding projector: vectors, labels and thumbnails in one folder."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import ensure_dir, write_bytes

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from PIL import Image


THUMBNAIL = 64  # pixels a side, at most
SHEET = 8192  # pixels a side, at most: the projector refuses larger ones
_CHUNK = 256  # images scaled at a time: antialiasing needs them as float


def sprite_sheet(images: torch.Tensor, side: int) -> Image.Image:
    """Lay thumbnails out row by row in a square raster, as the projector reads it.

    Parameters
    ----------
    images
        uint8, shape ``(N, 3, H, W)``, at least one; made square if they are not.
    side
        Pixels of a thumbnail's side.

    Returns
    -------
    PIL.Image.Image
        RGB, ``ceil(sqrt(N))`` thumbnails wide and high; the places left over are black.
    """
    from PIL import Image
    from torchvision.transforms.functional import resize

    columns = math.ceil(math.sqrt(len(images)))
    places = np.zeros((columns, side, columns, side, 3), np.uint8)
    for start in range(0, len(images), _CHUNK):
        small = resize(images[start : start + _CHUNK], [side, side], antialias=True)
        row, column = np.divmod(np.arange(start, start + len(small)), columns)
        places[row, :, column] = small.permute(0, 2, 3, 1).cpu().numpy()
    return Image.fromarray(places.reshape(columns * side, columns * side, 3))


def export_projector(
    folder: Path,
    vectors: np.ndarray,
    metadata: pd.DataFrame,
    images: torch.Tensor,
    *,
    name: str,
) -> Path:
    """Write what ``tensorboard --logdir FOLDER`` shows in its projector.

    A later export to the same folder takes the place of an earlier one.

    Parameters
    ----------
    folder
        Made if it is not there.
    vectors
        float32, shape ``(N, D)``, finite.
    metadata
        ``N`` rows; each column can label or colour the points (by category up to 50
        different values, by a scale if it holds numbers). Missing values stay empty.
    images
        uint8, shape ``(N, 3, H, W)``: the points' thumbnails, at most 64 pixels a side.
    name
        What the projector calls the vectors.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    WorkbookError
        If there are no vectors, not as many as rows of metadata and as images, or some
        are not finite, or the folder cannot be written to.
    """
    _check(vectors, metadata, images)
    columns = math.ceil(math.sqrt(len(images)))
    side = min(THUMBNAIL, SHEET // columns, *images.shape[2:])
    sprite = io.BytesIO()
    # A higher level takes many times as long for a few per cent.
    sprite_sheet(images, side).save(sprite, "PNG", compress_level=1)
    tensors, content = _tensors(vectors)

    contents = {
        tensors: content,
        "metadata.tsv": _table(metadata).encode("utf-8", "replace"),
        "sprite.png": sprite.getvalue(),
        # Last, so that it never names a file that is not there yet.
        "projector_config.pbtxt": _config(name, tensors, vectors.shape, side).encode(
            "utf-8", "replace"
        ),
    }
    ensure_dir(folder)
    for file, written in contents.items():
        write_bytes(folder / file, written)
    return folder


def _check(vectors: np.ndarray, metadata: pd.DataFrame, images: torch.Tensor) -> None:
    if not len(vectors) == len(metadata) == len(images):
        raise WorkbookError(
            f"the projector needs a row of metadata and an image for each vector, but there are "
            f"{len(vectors)} vectors, {len(metadata)} rows and {len(images)} images."
        )
    if not vectors.size:
        raise WorkbookError("there are no vectors to show in the projector.")
    broken = int((~np.isfinite(vectors).all(axis=1)).sum())
    if broken:
        raise WorkbookError(
            f"{broken} of the {len(vectors)} vectors hold NaN or infinity, which the projector "
            "cannot place: leave those rows out."
        )


def _tensors(vectors: np.ndarray) -> tuple[str, bytes]:
    """Return the name and the content of the file of vectors.

    TensorBoard reads every such file as text first, and only one that is no UTF-8 as raw
    numbers. Raw numbers are a third in size and read at once, but some (zeros, for one) are
    text to it, of which it cannot make sense: those are written as text that it can read.
    """
    raw = np.ascontiguousarray(vectors, "<f4").tobytes()
    try:
        raw.partition(b"\n")[0].decode()
    except UnicodeDecodeError:
        return "tensors.bytes", raw
    rows = vectors.astype("<f4").tolist()
    return "tensors.tsv", "\n".join("\t".join(map(repr, row)) for row in rows).encode()


def _table(metadata: pd.DataFrame) -> str:
    """Return the metadata as the projector splits it: at tabs and newlines, without quoting."""
    rows = metadata.astype(object).where(metadata.notna(), "").itertuples(index=False, name=None)
    lines = [_line(row) for row in rows]
    if metadata.shape[1] > 1:  # in a single column a heading would be taken for a label
        lines.insert(0, _line(metadata.columns))
    # Blank lines are skipped, and the labels after one would move to the wrong points.
    return "\n".join(line if line.strip() else f"-{line}" for line in lines) + "\n"


def _line(values: Iterable[object]) -> str:
    return "\t".join(" ".join(str(value).split()) for value in values)


def _config(name: str, tensors: str, shape: tuple[int, ...], side: int) -> str:
    quoted = json.dumps(_line([name]), ensure_ascii=False)
    return f"""embeddings {{
  tensor_name: {quoted}
  tensor_path: "{tensors}"
  tensor_shape: {shape[0]}
  tensor_shape: {shape[1]}
  metadata_path: "metadata.tsv"
  sprite {{
    image_path: "sprite.png"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
}}
"""
