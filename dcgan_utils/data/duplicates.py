"""Exact and near duplicates among the images of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_utils.core import cache
from dcgan_utils.data.statistics import pixel_vectors
from dcgan_utils.data.tensors import as_image

if TYPE_CHECKING:
    import pandas as pd

MOST_BITS = 6  # of 64, in which the hashes of near duplicates may differ
MOST_LEVELS = 40  # of 255, by which their colours may differ on average


@dataclass(frozen=True)
class Pair:
    """An image and an earlier one that it duplicates.

    Attributes
    ----------
    first, second : int
        Indices of the earlier and the later image.
    bits : int
        Number of bits, of 64, in which their perceptual hashes differ.
    exact : bool
        Whether all pixels are equal.
    """

    first: int
    second: int
    bits: int
    exact: bool


def find_duplicates(images: torch.Tensor) -> list[Pair]:
    """Find the images that duplicate an earlier one, exactly or nearly.

    Each is paired with the most similar earlier image, so the length of the list is the number of
    images that could be removed. In near duplicates the perceptual hashes differ in at most 6 of
    64 bits, and the colours, averaged over a 4 x 4 grid, by at most 40 levels on average.

    Source: pHash of the package ImageHash (signs of low cosine frequencies); Zauner 2010,
    "Implementation and benchmarking of perceptual image hash functions".

    Parameters
    ----------
    images
        uint8, shape ``(N, 3, H, W)``.

    Returns
    -------
    list of Pair
        The most similar first.

    Notes
    -----
    The hash is robust to scaling, compression and changes of brightness, but not to mirroring,
    rotation or cropping.
    """
    from scipy.spatial.distance import cdist

    hashes = _perceptual_hashes(images)
    colours = pixel_vectors(images, 4)
    earliest: dict[str, int] = {}
    pairs = []
    for start in range(0, len(images), 256):
        block = slice(start, start + 256)
        bits = np.rint(32 - hashes[block] @ hashes[: start + 256].T / 2)
        levels = cdist(colours[block], colours[: start + 256], "cityblock") / colours.shape[1]
        bits[levels > MOST_LEVELS] = np.inf
        for row, second in enumerate(range(start, start + len(bits))):
            twin = earliest.setdefault(cache.content_hash(images[second].numpy()), second)
            if twin != second:
                pairs.append(Pair(twin, second, 0, exact=True))
            elif second and (fewest := bits[row, :second].min()) <= MOST_BITS:
                nearest = int(bits[row, :second].argmin())
                pairs.append(Pair(nearest, second, int(fewest), exact=False))
    return sorted(pairs, key=lambda pair: (not pair.exact, pair.bits, pair.second))


def _perceptual_hashes(images: torch.Tensor) -> np.ndarray:
    """Return a hash of 64 signs (-1, 1) per image: float32, shape ``(N, 64)``."""
    import imagehash

    bits = [imagehash.phash(as_image(image)).hash for image in images]
    return 2 * np.stack(bits).reshape(len(bits), 64).astype(np.float32) - 1


def duplicate_table(pairs: Sequence[Pair], files: Sequence[str]) -> pd.DataFrame:
    """Return one row for each image that duplicates an earlier one, the most similar first.

    Parameters
    ----------
    pairs
        From `find_duplicates`.
    files
        The names of all images.

    Returns
    -------
    pandas.DataFrame
        Columns: ``image``, ``repeats`` (the earlier image), ``how`` (``pixel for pixel``, or
        ``nearly``) and ``bits`` of 64 that differ; may be empty.
    """
    import pandas as pd

    rows = [
        (files[p.second], files[p.first], "pixel for pixel" if p.exact else "nearly", p.bits)
        for p in pairs
    ]
    return pd.DataFrame(rows, columns=["image", "repeats", "how", "bits"])


def describe_duplicates(pairs: Sequence[Pair], count: int) -> str:
    """Describe in Markdown how many of ``count`` images duplicate an earlier one."""
    exact = sum(pair.exact for pair in pairs)
    return (
        f"Of {count} images, as loaded, **{exact}** repeat an earlier one pixel for pixel and "
        f"**{len(pairs) - exact}** look like one: their perceptual hashes differ in at most "
        f"{MOST_BITS} of 64 bits, their colours by at most {MOST_LEVELS} levels on average."
    )
