"""Export to TensorBoard's embedding projector: vectors, metadata and thumbnails in one folder."""

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


THUMBNAIL = 64  # side in pixels, at most
SHEET = 8192  # side in pixels, at most: the projector refuses larger ones
_CHUNK = 256  # images resized at a time: antialiasing needs them as float


def sprite_sheet(images: torch.Tensor, side: int) -> Image.Image:
    """Lay thumbnails out row by row in a square raster, as the projector reads it.

    Parameters
    ----------
    images
        uint8, shape ``(N, 3, H, W)``, at least one; resized to squares.
    side
        Of a thumbnail, in pixels.

    Returns
    -------
    PIL.Image.Image
        RGB, ``ceil(sqrt(N))`` thumbnails wide and high; unused places are black.
    """
    from PIL import Image
    from torch.nn.functional import interpolate

    columns = math.ceil(math.sqrt(len(images)))
    places = np.zeros((columns, side, columns, side, 3), np.uint8)
    for start in range(0, len(images), _CHUNK):
        large = images[start : start + _CHUNK].float()
        small = interpolate(large, (side, side), mode="bilinear", antialias=True).round()
        row, column = np.divmod(np.arange(start, start + len(small)), columns)
        places[row, :, column] = small.permute(0, 2, 3, 1).byte().cpu().numpy()
    return Image.fromarray(places.reshape(columns * side, columns * side, 3))


def export_projector(
    folder: Path,
    vectors: np.ndarray,
    metadata: pd.DataFrame,
    images: torch.Tensor,
    *,
    name: str,
) -> Path:
    """Write what ``tensorboard --logdir FOLDER`` shows in its projector, and return the folder.

    A later export to the same folder replaces an earlier one.

    Parameters
    ----------
    folder
        Created if missing.
    vectors
        float32, shape ``(N, D)``, finite.
    metadata
        ``N`` rows; each column can label or colour the points (by category for up to 50
        distinct values, by a scale for numbers). Missing values stay empty.
    images
        uint8, shape ``(N, 3, H, W)``: shown as thumbnails of at most 64 x 64 pixels.
    name
        Of the vectors in the projector.

    Raises
    ------
    WorkbookError
        If there are no vectors, or not as many as rows of metadata and as images, if some are
        not finite, or if the folder is not writable.
    """
    _check(vectors, metadata, images)
    columns = math.ceil(math.sqrt(len(images)))
    side = min(THUMBNAIL, SHEET // columns, *images.shape[2:])
    sprite = io.BytesIO()
    # A higher level takes many times as long and saves a few per cent.
    sprite_sheet(images, side).save(sprite, "PNG", compress_level=1)
    tensors, content = _tensors(vectors)

    contents = {
        tensors: content,
        "metadata.tsv": _table(metadata).encode("utf-8", "replace"),
        "sprite.png": sprite.getvalue(),
        # Last, so that it never names a missing file.
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
            "the projector needs one row of metadata and one image per vector, but there are "
            f"{len(vectors)} vectors, {len(metadata)} rows and {len(images)} images."
        )
    if not vectors.size:
        raise WorkbookError("there are no vectors to show in the projector: pass at least one.")
    broken = int((~np.isfinite(vectors).all(axis=1)).sum())
    if broken:
        raise WorkbookError(
            f"{broken} of the {len(vectors)} vectors contain NaN or infinity, which the projector "
            "cannot show: leave those rows out."
        )


def _tensors(vectors: np.ndarray) -> tuple[str, bytes]:
    """Return the name and the content of the file of vectors.

    TensorBoard reads such a file as raw numbers only if it is not valid UTF-8. Raw numbers take
    a third of the space and load at once, but some (zeros, for example) are valid UTF-8, which
    it then fails to parse as text: those are written as text.
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
    if metadata.shape[1] > 1:  # the heading of a single column would be read as a label
        lines.insert(0, _line(metadata.columns))
    # Blank lines are skipped, which would move the labels after them to the wrong points.
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
