"""Measures of generated images against real ones: feature vectors in, numbers out.

Real and generated images are given as float arrays of shapes ``(n, d)`` and ``(m, d)``. Both must
come from the same extractor at the same input size (see `dcgan_utils.metrics.features`). Numbers
from different extractors must not be compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from dcgan_utils.core.errors import NotEnoughData, WorkbookError

DUPLICATES = 1e-3  # share of the pairs of real images that count as duplicates
QUANTILE = 0.05  # of the distances between real images, below which another is suspiciously close

# --- Distances between two sets ---


def kid(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the kernel inception distance (KID) of two sets of features.

    It is the unbiased estimate of the squared maximum mean discrepancy with the kernel
    ``(x . y / d + 1) ** 3``, over all vectors. Source: Binkowski et al. 2018, "Demystifying MMD
    GANs", arXiv:1801.01401, section 4.

    Returns
    -------
    float
        0 on average if both sets come from the same distribution; so it may be negative.

    Raises
    ------
    NotEnoughData
        If one side has fewer than two vectors.

    Notes
    -----
    The paper averages over subsets of 1000. Small collections have no such subsets, and using
    all vectors at once has a smaller variance. Papers use the features of Inception: KID on
    other features has another scale.
    """
    _require(2, real, generated)
    within = (_off_diagonal_mean(_kernel(side, side)) for side in (real, generated))
    return float(sum(within) - 2 * _kernel(real, generated).mean())


def kid_interval(
    real: np.ndarray,
    generated: np.ndarray,
    *,
    rng: torch.Generator,
    level: float = 0.95,
    resamples: int = 1000,
) -> tuple[float, float]:
    """Return an interval for `kid` over other images from the same two distributions.

    It is a percentile bootstrap (Efron and Tibshirani 1993, chapter 13) over the images of both
    sides. An image that is drawn twice is not compared with itself, because that would make the
    sets look closer than they are.

    Parameters
    ----------
    real, generated
        Feature vectors.
    rng
        Draws the resamples.
    level
        Confidence level, 0 to 1.
    resamples
        Number of resamples.

    Raises
    ------
    NotEnoughData
        If one side has fewer than two vectors.

    Notes
    -----
    The interval does not cover other trainings: a run with another seed may well lie outside.
    It is too wide if both sides come from the same distribution.
    """
    _require(2, real, generated)
    counts = [_bootstrap_counts(len(side), resamples, rng) for side in (real, generated)]
    within = (
        _weighted_off_diagonal_mean(_kernel(side, side), weights)
        for side, weights in zip((real, generated), counts, strict=True)
    )
    across = _kernel(real, generated)
    between = np.einsum("rn,nm,rm->r", counts[0], across, counts[1], optimize=True) / across.size
    low, high = np.nanquantile(sum(within) - 2 * between, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def fid(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the Frechet distance (FID) of two sets of features, each assumed to be normal.

    It is the squared distance of the means, plus ``tr(A + B - 2 (A B)^(1/2))`` of the
    covariances. Source: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule
    Converge to a Local Nash Equilibrium", arXiv:1706.08500, section 2.

    Raises
    ------
    NotEnoughData
        If one side has fewer than two vectors.

    Notes
    -----
    FID is biased: with few images it is far too large, even for two sets from the same
    distribution, and a few hundred are few for 1,280 features (Binkowski et al. 2018, section 4).
    Compare FIDs only if the numbers of images are the same, and prefer `kid`.
    """
    _require(2, real, generated)
    sides = [side.astype(np.float64) for side in (real, generated)]
    means = [side.mean(axis=0) for side in sides]
    scaled = [
        (side - mean) / np.sqrt(len(side) - 1) for side, mean in zip(sides, means, strict=True)
    ]
    # With A = a'a and B = b'b, the eigenvalues of AB are the squared singular values of ab', an
    # images-by-images matrix. So no root of a matrix is needed, which fails with few images.
    root = np.linalg.svd(scaled[0] @ scaled[1].T, compute_uv=False).sum()
    traces = sum((side**2).sum() for side in scaled)
    return float(((means[0] - means[1]) ** 2).sum() + traces - 2 * root)


def prdc(real: np.ndarray, generated: np.ndarray, *, k: int = 5) -> dict[str, float]:
    """Return precision, recall, density and coverage.

    Each image is the centre of a ball that reaches to its ``k``-th nearest neighbour in its own
    set. The balls of the real images estimate the manifold of real images, and those of the
    generated images the manifold of generated ones.

    Sources: Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing
    Generative Models", arXiv:1904.06991, section 3; Naeem et al. 2020, "Reliable Fidelity and
    Diversity Metrics for Generative Models", arXiv:2002.09797, section 3.

    Parameters
    ----------
    real, generated
        Feature vectors.
    k
        Which neighbour sets the radius; 3 to 5 are usual.

    Returns
    -------
    dict of float
        ``precision``: share of the generated images within a ball of a real one. ``recall``:
        share of the real images within a ball of a generated one. ``density``: number of balls
        of real images that contain a generated one on average, divided by ``k``; it may exceed
        1. ``coverage``: share of the balls of real images that contain a generated one.

    Raises
    ------
    NotEnoughData
        If one side has no more than ``k`` images.

    Notes
    -----
    All four depend on the numbers of images. One outlier among the real images has a large ball,
    which increases precision; one among the generated images increases recall. Density and
    coverage are less sensitive to outliers. Copies of training images have high precision.
    """
    _require(k + 1, real, generated)
    # Index 0 is the image itself, so the k-th neighbour has index k.
    real_radii, generated_radii = (
        np.partition(_distances_within(side), k)[:, k] for side in (real, generated)
    )
    distances = _distances_between(real, generated)
    in_real_ball = distances <= real_radii[:, None]
    return {
        "precision": float(in_real_ball.any(axis=0).mean()),
        "recall": float((distances <= generated_radii).any(axis=1).mean()),
        "density": float(in_real_ball.sum(axis=0).mean() / k),
        "coverage": float((distances.min(axis=1) <= real_radii).mean()),
    }


# --- Diversity of one set ---


def diversity(real: np.ndarray, generated: np.ndarray) -> float:
    """Return how much generated images differ from each other, relative to the real ones.

    Returns
    -------
    float
        The mean Euclidean distance of two generated images, divided by that of two real ones: 0
        if all generated images are the same, 1 if they vary as much as the real ones.

    Raises
    ------
    NotEnoughData
        If one side has fewer than two vectors, or all real images are the same.

    Notes
    -----
    Noise is diverse too: a value near 1 does not mean that the images look real.
    """
    _require(2, real, generated)
    real_mean, generated_mean = (
        _off_diagonal_mean(_distances_within(side)) for side in (real, generated)
    )
    if not real_mean:
        raise NotEnoughData("All real images are the same: there is no diversity to compare.")
    return float(generated_mean / real_mean)


def repetition(real: np.ndarray, generated: np.ndarray, *, quantile: float = QUANTILE) -> float:
    """Return the share of generated images that are suspiciously close to another one.

    This measures what the first study describes as "the images often repeat". Suspiciously close
    means closer than all but ``quantile`` of the real images are to their nearest neighbour. Real
    images would score ``quantile``; a generator that produces only one image scores 1.

    Parameters
    ----------
    real, generated
        Features or pixels. If there are more generated than real images, only the first ``n``
        are used, because nearest neighbours are closer among more images.
    quantile
        0 to 1.

    Raises
    ------
    NotEnoughData
        If one side has fewer than two images.

    Notes
    -----
    It is too small if there are fewer generated than real images. Images that lack the same
    details, such as blurred ones, are close to each other without being the same.
    """
    _require(2, real, generated)
    distances = _distances_within(generated[: len(real)])
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(distances.min(axis=1) < _suspicious_distance(real, quantile)))


def support_size(real: np.ndarray, generated: np.ndarray) -> float:
    """Estimate how many different images a generator draws, by the birthday paradox.

    In a room of 23 people two share a birthday as often as not, since 253 pairs meet 365 days. In
    the same way the share p of pairs of images that are duplicates tells how many images there
    are to draw from: about 1 / p. Two images count as duplicates if they are closer than 999 of
    1,000 pairs of real images, each side at its own contrast: vectors are divided by the root of
    their mean variance, over images and entries.

    Source: Arora and Zhang 2017, "Do GANs actually learn the distribution? An empirical study",
    arXiv:1706.08224, section 3, where a person decides what a duplicate is.

    Parameters
    ----------
    real, generated
        Pixels of the same small size (see `statistics.pixel_vectors`).

    Returns
    -------
    float
        1 if all images are the same, 1,000 for real ones. Without a duplicate it is the number of
        pairs, as if the next pair were one.

    Raises
    ------
    NotEnoughData
        If one side has fewer than two images.

    Notes
    -----
    It tells one image from two reliably, and three hundred from a thousand hardly: n images have
    only n (n - 1) / 2 pairs. Uniform noise has no duplicates at all.
    """
    _require(2, real, generated)
    real_pairs, pairs = (_pair_distances_at_equal_contrast(side) for side in (real, generated))
    duplicates = int((pairs <= np.quantile(real_pairs, DUPLICATES)).sum())
    return float(len(pairs) / max(duplicates, 1))


def _pair_distances_at_equal_contrast(vectors: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import pdist

    vectors = vectors.astype(np.float64)
    return pdist(vectors / (vectors.std() or 1.0))


def closest_pairs(vectors: np.ndarray, count: int) -> np.ndarray:
    """Return the closest pairs of vectors; each vector is in one pair at most.

    Returns
    -------
    int array, shape ``(count, 2)``
        Indices, the closest pair first; fewer rows if there are fewer pairs.
    """
    distances = _distances_within(vectors)
    np.fill_diagonal(distances, np.inf)
    pairs = []
    for _ in range(min(count, len(vectors) // 2)):
        pair = list(np.unravel_index(distances.argmin(), distances.shape))
        distances[pair] = distances[:, pair] = np.inf
        pairs.append(pair)
    return np.array(pairs, dtype=int).reshape(-1, 2)


# --- Memorisation ---


def nearest(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each generated image the index of the nearest real one, and the distance.

    Returns
    -------
    tuple of numpy.ndarray
        Integers and Euclidean distances, both of length ``m``.
    """
    _require(1, real, generated)
    distances = _distances_between(generated, real)
    indices = distances.argmin(axis=1)
    return indices, distances[np.arange(len(distances)), indices]


def memorisation(real: np.ndarray, generated: np.ndarray, *, quantile: float = QUANTILE) -> float:
    """Return the share of generated images that are suspiciously close to a real one.

    Suspiciously close means closer than all but ``quantile`` of the real images are to their
    nearest neighbour among the real ones. New real images would score about ``quantile``; a
    generator that only repeats its training images scores 1.

    Parameters
    ----------
    real, generated
        Features or pixels.
    quantile
        0 to 1.

    Raises
    ------
    NotEnoughData
        If one side has fewer than two images.

    Notes
    -----
    Blurred images are close to many others in pixels without being copies of any. Near-duplicates
    among the real images lower the threshold and may hide copies; exact duplicates do not. Look
    at the pairs too.
    """
    _require(2, real, generated)
    return float(np.mean(nearest(real, generated)[1] < _suspicious_distance(real, quantile)))


def describe_memorisation(shares: Mapping[str, float], samples: int) -> str:
    """Describe the results of `memorisation` in Markdown.

    Parameters
    ----------
    shares
        The shares on ``features`` and on ``pixels``.
    samples
        Number of generated images.
    """
    return (
        f"Of {samples} samples **{shares['features']:.0%}** are suspiciously close to a training "
        f"image by features, and **{shares['pixels']:.0%}** by pixels. New real images would "
        "score about 5%: a sample is suspicious if it is closer to a training image than 95% "
        "of these are to their own nearest neighbour. A high share by features is a sign of "
        "copies. A high share by pixels alone is often only blur, which is close to everything."
    )


def describe_copies(spaces: Mapping[str, Sequence[np.ndarray]]) -> str:
    """Say in Markdown whether generated images are copies of real ones, and how sure that is.

    Parameters
    ----------
    spaces
        The vectors of real and of generated images, by ``features`` and by ``pixels``.
    """
    try:
        share = memorisation(*spaces["features"])
    except NotEnoughData as reason:
        return f"**Copies:** not looked for. {reason}"
    samples = len(spaces["features"][1])
    chance = QUANTILE + 2 * math.sqrt(QUANTILE * (1 - QUANTILE) / samples)
    found = "no sign of copies" if share <= chance else "more than chance allows"
    return (
        f"**Copies:** {found}. Of {samples} samples {share:.0%} are suspiciously close to a "
        f"training image by features; of new real images it would be about {QUANTILE:.0%}, and "
        f"up to {min(chance, 1):.0%} by chance. Copies of parts of an image are not seen this way."
    )


def _suspicious_distance(real: np.ndarray, quantile: float) -> float:
    """Return the quantile of the distances from real images to their nearest neighbours."""
    distances = _distances_within(real)
    distances[distances <= 1e-6 * distances.max()] = np.inf  # the image itself and duplicates
    return float(np.quantile(distances.min(axis=1), quantile))


# --- Shared helpers ---


def _require(images: int, *sides: np.ndarray) -> None:
    """Raise an error if a side has fewer images, or a value is not finite: no measure sees that."""
    if min(map(len, sides)) < images:
        raise NotEnoughData(f"At least {images} real and {images} generated images are needed.")
    if not all(np.isfinite(side).all() for side in sides):
        raise WorkbookError("a feature of an image is not a finite number, so nothing is measured.")


def _kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    products = one.astype(np.float64) @ other.astype(np.float64).T
    return (products / one.shape[1] + 1) ** 3


def _off_diagonal_mean(matrix: np.ndarray) -> float:
    """Return the mean of a square matrix without its diagonal."""
    n = len(matrix)
    return (matrix.sum() - np.trace(matrix)) / (n * (n - 1))


def _weighted_off_diagonal_mean(matrix: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return `_off_diagonal_mean` for each row of weights: how often each index counts."""
    squares = weights**2
    sums = ((weights @ matrix) * weights).sum(axis=1) - squares @ np.diagonal(matrix)
    pairs = weights.sum(axis=1) ** 2 - squares.sum(axis=1)
    return sums / np.where(pairs > 0, pairs, np.nan)  # a resample may contain one image only


def _bootstrap_counts(n: int, resamples: int, rng: torch.Generator) -> np.ndarray:
    """Return how often each of n items is drawn with replacement, one row per resample."""
    indices = torch.randint(n, (resamples, n), generator=rng)
    counts = torch.zeros(resamples, n, dtype=torch.float64)
    return counts.scatter_add_(1, indices, torch.ones_like(indices, dtype=torch.float64)).numpy()


def _distances_between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import cdist

    return cdist(one.astype(np.float64), other.astype(np.float64))


def _distances_within(vectors: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(vectors.astype(np.float64)))
