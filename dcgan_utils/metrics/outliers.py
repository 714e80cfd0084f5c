"""Which images of a collection stand out: dark, blurred, or far from all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.data.statistics import sharpness

if TYPE_CHECKING:
    import pandas as pd

THRESHOLD = 3.5  # modified z-scores beyond it stand out
NEIGHBOUR = 5  # far is measured to the fifth nearest, so that four copies do not hide an image
LEAST = 10  # images, of which a median can be taken
KINDS = ("dark", "blurred", "far from all others")


def modified_z(values: np.ndarray) -> np.ndarray:
    """Return how far each value is from the median, in robust standard deviations.

    This is ``0.6745 (x - median) / MAD``, where MAD is the median of the absolute differences
    from the median: for normal values as large as 0.6745 standard deviations. Outliers do not
    move it, unlike mean and standard deviation.

    Source: Iglewicz and Hoaglin 1993, "How to Detect and Handle Outliers", who let values beyond
    3.5 stand out.

    Returns
    -------
    float64 array, shape (N,)
        0 for all if more than half of the values are the same.
    """
    differences = values - np.median(values)
    deviation = np.median(np.abs(differences))
    return 0.6745 * differences / deviation if deviation else np.zeros(len(values))


def find_outliers(images: torch.Tensor, files: Sequence[str], vectors: np.ndarray) -> pd.DataFrame:
    """Find the images that are much darker, softer or more isolated than the others.

    *Dark*: the mean of all pixels is low. *Blurred*: the variance of the Laplacian is low
    (`statistics.sharpness`), on a logarithmic scale, since it spreads over several orders of
    magnitude. *Far from all others*: the distance of the features to the fifth nearest image is
    large. Low and large mean a `modified_z` beyond 3.5 within this collection.

    Sources: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy: a
    comparative study", ICPR (the Laplacian; the share is ours);
    Ramaswamy, Rastogi and Shim 2000, "Efficient Algorithms for Mining Outliers from Large Data
    Sets", SIGMOD.

    Parameters
    ----------
    images
        uint8, shape ``(N, 3, H, W)``, at least 3 pixels high and wide.
    files
        Their names.
    vectors
        Their features, shape ``(N, D)``.

    Returns
    -------
    pandas.DataFrame
        One row for each image and kind, the most unusual first within each kind; may be empty.
        Columns: ``image``, ``what`` (a name in `KINDS`), ``why`` in words, ``value``, ``median``
        of the collection and ``score``, the modified z-score.

    Raises
    ------
    NotEnoughData
        If there are fewer than ten images.

    Notes
    -----
    A hint, not a verdict: a night scene is dark, a painting of mist is blurred, and the only image
    of a subject is far from the others; each may be the best of the collection. What is usual here
    is not found: if all images are dark, none stands out. Blur finer than the pixels of the
    loaded images is not seen, and an image of one colour counts as blurred.
    """
    import pandas as pd

    if len(images) < LEAST:
        raise NotEnoughData(f"What stands out is found among at least {LEAST} images.")
    brightness = np.concatenate([part.double().mean((1, 2, 3)) for part in images.split(256)])
    detail, isolation = _detail(images), _distance_to_neighbour(vectors)
    measures = {
        "dark": (brightness, -modified_z(brightness), "brightness {0:.0f} of 255, usual {1:.0f}"),
        "blurred": (detail, -modified_z(np.log(detail)), "fine detail {0:.2%}, usual {1:.2%}"),
        "far from all others": (isolation, modified_z(isolation), "{2:.1f} times as far as usual"),
    }
    rows = []
    for kind, (values, scores, reason) in measures.items():
        median = float(np.median(values))
        for number in np.argsort(-scores, kind="stable")[: int((scores > THRESHOLD).sum())]:
            value = float(values[number])
            why = reason.format(value, median, value / median if median else np.inf)
            rows.append((files[number], kind, why, value, median, float(scores[number])))
    return pd.DataFrame(rows, columns=["image", "what", "why", "value", "median", "score"])


def _detail(images: torch.Tensor) -> np.ndarray:
    """Return the variance of the Laplacian as a share of that of the pixels, above 0.

    The division keeps dark images, and small subjects on a plain ground, from counting as blurred.
    """
    variances = [part.double().mean(1).var((1, 2), correction=0) for part in images.split(256)]
    return np.maximum(sharpness(images) / np.maximum(np.concatenate(variances), 1), 1e-6)


def _distance_to_neighbour(vectors: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    neighbours = NearestNeighbors(n_neighbors=NEIGHBOUR, algorithm="brute").fit(vectors)
    return neighbours.kneighbors()[0][:, -1]  # an image is not its own neighbour


def describe_outliers(table: pd.DataFrame, count: int) -> str:
    """Describe in Markdown how many of ``count`` images `find_outliers` has found, and how."""
    found = ", ".join(f"**{(table['what'] == kind).sum()}** {kind}" for kind in KINDS)
    return (
        f"What stands out of {count} images: {found}. Each is more than {THRESHOLD} robust "
        "standard deviations from the median of this collection (Iglewicz and Hoaglin 1993). This "
        "is a hint, not a verdict."
    )
