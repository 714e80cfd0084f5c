"""Images of a collection that repeat each other, exactly or nearly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dcgan_utils.core import cache
from dcgan_utils.data.statistics import pixel_vectors
from dcgan_utils.data.tensors import as_image

MOST_BITS = 6  # of 64 in which the hashes of near duplicates may differ
MOST_LEVELS = 40  # by which their colours may differ on average, of 255


@dataclass(frozen=True)
class Pair:
    """An image and an earlier one that it repeats.

    Attributes
    ----------
    first, second : int
        Numbers of the earlier and the later image.
    bits : int
        In how many of 64 bits their perceptual hashes differ.
    exact : bool
        Whether all their pixels are the same.
    """

    first: int
    second: int
    bits: int
    exact: bool


def find_duplicates(images: torch.Tensor) -> list[Pair]:
    """Find the images that repeat an earlier one, exactly or nearly.

    Each is paired with the earlier image that is nearest to it, so the length of the list
    is the number of images that could go. Near means that the perceptual hashes (pHash of
    the package ImageHash: signs of low cosine frequencies; Zauner 2010, "Implementation and
    benchmarking of perceptual image hash functions") differ in at most 6 of 64 bits, and the
    colours, on a raster of 4 x 4, by at most 40 levels on average.

    Parameters
    ----------
    images
        uint8, shape ``(N, 3, H, W)``.

    Returns
    -------
    list of Pair
        The most alike first.

    Notes
    -----
    The hash survives scaling, compression and a change of brightness. It does not see through
    mirroring, rotation or a crop.
    """
    from scipy.spatial.distance import cdist

    hashes = _perceptual_hashes(images)
    colours = pixel_vectors(images, 4)
    earliest: dict[str, int] = {}
    pairs = []
    for start in range(0, len(images), 256):
        block = slice(start, start + 256)
        bits = np.rint(32 - hashes[block] @ hashes[: start + 256].T / 2)
        apart = cdist(colours[block], colours[: start + 256], "cityblock") / colours.shape[1]
        bits[apart > MOST_LEVELS] = np.inf
        for row, second in enumerate(range(start, start + len(bits))):
            twin = earliest.setdefault(cache.content_hash(images[second].numpy()), second)
            if twin != second:
                pairs.append(Pair(twin, second, 0, exact=True))
            elif second and (least := bits[row, :second].min()) <= MOST_BITS:
                nearest = int(bits[row, :second].argmin())
                pairs.append(Pair(nearest, second, int(least), exact=False))
    return sorted(pairs, key=lambda pair: (not pair.exact, pair.bits, pair.second))


def _perceptual_hashes(images: torch.Tensor) -> np.ndarray:
    """Return a hash of 64 signs (-1, 1) an image: float32, shape ``(N, 64)``."""
    import imagehash

    bits = [imagehash.phash(as_image(i)).hash for i in images]
    return 2 * np.stack(bits).reshape(len(bits), 64).astype(np.float32) - 1


def describe_duplicates(pairs: Sequence[Pair], count: int) -> str:
    """Say in Markdown how many of ``count`` images repeat an earlier one."""
    exact = sum(pair.exact for pair in pairs)
    return (
        f"Of {count} images, as loaded, **{exact}** repeat an earlier one pixel for pixel and "
        f"**{len(pairs) - exact}** look like one: their perceptual hashes differ in at most "
        f"{MOST_BITS} of 64 bits, their colours by at most {MOST_LEVELS} levels on average."
    )
