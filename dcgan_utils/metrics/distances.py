"""How good generated images are: feature vectors in, numbers out.

The vectors of both sides must come from the same extractor at the same input size (see
`dcgan_utils.metrics.features`); a number says nothing beside one from another extractor.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from dcgan_utils.core.errors import NotEnoughData

# --- How far two sets are apart ------------------------------------------------------------


def kid(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the kernel inception distance: the squared distance of two sets of features.

    The unbiased estimate of the squared maximum mean discrepancy with the kernel
    ``(x . y / d + 1) ** 3``, over all vectors. Source: Binkowski et al. 2018, "Demystifying MMD
    GANs", arXiv:1801.01401, section 4.

    Parameters
    ----------
    real, generated
        Shapes ``(n, d)`` and ``(m, d)``.

    Returns
    -------
    float
        0 in the mean where both come from one distribution; so it may be negative.

    Raises
    ------
    NotMeaningful
        If one side has fewer than two vectors.

    Notes
    -----
    The paper averages over subsets of 1000; small collections have no such subsets, and all
    vectors at once give the smaller variance. Papers use Inception's features: numbers from
    others are on another scale.
    """
    _require_two(real, generated)
    within = (_mean_of_others(_kernel(side, side)) for side in (real, generated))
    return float(sum(within) - 2 * _kernel(real, generated).mean())


def kid_interval(
    real: np.ndarray,
    generated: np.ndarray,
    *,
    rng: torch.Generator,
    level: float = 0.95,
    resamples: int = 1000,
) -> tuple[float, float]:
    """Return an interval for `kid`: what other images of the same two kinds would give.

    A percentile bootstrap (Efron and Tibshirani 1993, chapter 13) over the images of both
    sides. An image that is drawn twice is not compared with itself, which would count as
    nearness that is not there.

    Parameters
    ----------
    real, generated
        Shapes ``(n, d)`` and ``(m, d)``.
    rng
        Draws the resamples.
    level
        How often such an interval should hold the true value, 0 to 1.
    resamples
        How many.

    Raises
    ------
    NotMeaningful
        If one side has fewer than two vectors.

    Notes
    -----
    It knows nothing of other trainings: another seed may well give a run outside it. Where both
    sides come from one distribution it is too wide.
    """
    _require_two(real, generated)
    counts = [_resampled(len(side), resamples, rng) for side in (real, generated)]
    within = (
        _weighted_mean_of_others(_kernel(side, side), drawn)
        for side, drawn in zip((real, generated), counts, strict=True)
    )
    across = _kernel(real, generated)
    between = np.einsum("rn,nm,rm->r", counts[0], across, counts[1], optimize=True) / across.size
    low, high = np.nanquantile(sum(within) - 2 * between, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def fid(real: np.ndarray, generated: np.ndarray) -> float:
    """Return the Frechet distance of two sets of features, each taken as normal.

    The squared distance of the means, plus ``tr(A + B - 2 (A B)^(1/2))`` of the covariances.
    Source: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local
    Nash Equilibrium", arXiv:1706.08500, section 2.

    Parameters
    ----------
    real, generated
        Shapes ``(n, d)`` and ``(m, d)``.

    Raises
    ------
    NotMeaningful
        If one side has fewer than two vectors.

    Notes
    -----
    Biased: with few images it is far too large, even for two sets of one kind, and a few
    hundred are few for 1,280 features (Binkowski et al. 2018, section 4). Compare it only where
    both sides have the same sizes, and prefer `kid`.
    """
    _require_two(real, generated)
    sides = [side.astype(np.float64) for side in (real, generated)]
    means = [side.mean(axis=0) for side in sides]
    scaled = [
        (side - mean) / np.sqrt(len(side) - 1) for side, mean in zip(sides, means, strict=True)
    ]
    # With A = a'a and B = b'b the eigenvalues of AB are the squared singular values of ab', a
    # matrix of images by images: no root of a matrix that has none where images are few.
    root = np.linalg.svd(scaled[0] @ scaled[1].T, compute_uv=False).sum()
    traces = sum((side**2).sum() for side in scaled)
    return float(((means[0] - means[1]) ** 2).sum() + traces - 2 * root)


def prdc(real: np.ndarray, generated: np.ndarray, *, k: int = 5) -> dict[str, float]:
    """Return precision, recall, density and coverage.

    Around each image lies a ball that reaches to its ``k``-th nearest neighbour on its own
    side; the balls of the real images stand for where real images may lie, those of the
    generated ones for where generated ones do.

    Sources: Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing
    Generative Models", arXiv:1904.06991, section 3; Naeem et al. 2020, "Reliable Fidelity and
    Diversity Metrics for Generative Models", arXiv:2002.09797, section 3.

    Parameters
    ----------
    real, generated
        Feature vectors, shapes ``(n, d)`` and ``(m, d)``.
    k
        Which neighbour; 3 to 5 are usual.

    Returns
    -------
    dict of float
        ``precision``: share of the generated images in a ball of real ones. ``recall``: share
        of the real images in a ball of generated ones. ``density``: in how many balls of real
        images a generated one lies, divided by ``k``; it may exceed 1. ``coverage``: share of
        the balls of real images that hold a generated one.

    Raises
    ------
    NotMeaningful
        If one side has no more than ``k`` images.

    Notes
    -----
    All four depend on how many images there are on each side. One outlier among the real
    images has a large ball that flatters precision, one among the generated flatters recall;
    density and coverage were made to suffer less from them. A copied image is precise.
    """
    if min(len(real), len(generated)) <= k:
        raise NotEnoughData(f"More than {k} real and {k} generated images are needed.")
    # The nearest of all is the image itself, so the k-th neighbour has index k.
    reach, own_reach = (np.partition(_distances(v), k)[:, k] for v in (real, generated))
    apart = _apart(real, generated)
    inside = apart <= reach[:, None]
    return {
        "precision": float(inside.any(axis=0).mean()),
        "recall": float((apart <= own_reach).any(axis=1).mean()),
        "density": float(inside.sum(axis=0).mean() / k),
        "coverage": float((apart.min(axis=1) <= reach).mean()),
    }


# --- How varied a set is -------------------------------------------------------------------


def diversity(real: np.ndarray, generated: np.ndarray) -> float:
    """Return how far generated images are from each other, relative to the real ones.

    Parameters
    ----------
    real, generated
        Feature vectors, shapes ``(n, d)`` and ``(m, d)``.

    Returns
    -------
    float
        The mean Euclidean distance of two different images, divided by that of the real
        ones: 0 if all are the same image, 1 if they vary as the real ones do.

    Raises
    ------
    NotMeaningful
        If one side has fewer than two vectors, or all real images are the same.

    Notes
    -----
    Noise is diverse too: a value near 1 says nothing about how the images look.
    """
    _require_two(real, generated)
    apart = [_mean_of_others(_distances(side)) for side in (real, generated)]
    if not apart[0]:
        raise NotEnoughData("All real images are the same: there is no diversity to compare.")
    return float(apart[1] / apart[0])


def repetition(real: np.ndarray, generated: np.ndarray, *, quantile: float = 0.05) -> float:
    """Return the share of generated images that have a suspiciously near twin among them.

    What the first study saw as "the images often repeat". Near means: nearer than all but
    ``quantile`` of the real images are to their nearest neighbour. Real images would score
    ``quantile``; a generator that draws one image only scores 1.

    Parameters
    ----------
    real, generated
        Vectors, shapes ``(n, d)`` and ``(m, d)``: features, or pixels. Of more generated
        than real images only the first ``n`` count: among more, each has nearer neighbours.
    quantile
        0 to 1.

    Raises
    ------
    NotMeaningful
        If one side has fewer than two images.

    Notes
    -----
    With fewer generated than real images it comes out too small. Images that all miss the
    same details, such as blurred ones, are near to each other without being the same.
    """
    _require_two(real, generated)
    own = _distances(generated[: len(real)])
    np.fill_diagonal(own, np.inf)
    return float(np.mean(own.min(axis=1) < _near(real, quantile)))


def closest_pairs(vectors: np.ndarray, count: int) -> np.ndarray:
    """Return the pairs of vectors that are nearest to each other, each vector in one at most.

    Parameters
    ----------
    vectors
        Shape ``(n, d)``.
    count
        How many pairs.

    Returns
    -------
    int array, shape ``(count, 2)``
        Their numbers, the nearest pair first; fewer rows if there are fewer pairs.
    """
    apart = _distances(vectors)
    np.fill_diagonal(apart, np.inf)
    pairs = []
    for _ in range(min(count, len(vectors) // 2)):
        pair = list(np.unravel_index(apart.argmin(), apart.shape))
        apart[pair] = apart[:, pair] = np.inf
        pairs.append(pair)
    return np.array(pairs, dtype=int).reshape(-1, 2)


# --- What is copied ---


def nearest(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each generated image the number of the nearest real one, and its distance.

    Parameters
    ----------
    real, generated
        Vectors, shapes ``(n, d)`` and ``(m, d)``: features, or pixels.

    Returns
    -------
    tuple of numpy.ndarray
        Whole numbers and Euclidean distances, of length ``m``.
    """
    apart = _apart(generated, real)
    numbers = apart.argmin(axis=1)
    return numbers, apart[np.arange(len(apart)), numbers]


def memorisation(real: np.ndarray, generated: np.ndarray, *, quantile: float = 0.05) -> float:
    """Return the share of generated images that are suspiciously near to a real one.

    Near means: nearer than all but ``quantile`` of the real images are to their own nearest
    neighbour among the real ones. Real images that were not trained on would score about
    ``quantile``; a generator that only repeats its training images scores 1.

    Parameters
    ----------
    real, generated
        Vectors, shapes ``(n, d)`` and ``(m, d)``: features, or pixels.
    quantile
        0 to 1.

    Raises
    ------
    NotMeaningful
        If one side has fewer than two images.

    Notes
    -----
    Blurred images are near to many others in pixels without being copies of any. Near twins
    among the real images move the line, and may hide copies; exact ones do not. Look at the
    pairs too.
    """
    _require_two(real, generated)
    return float(np.mean(nearest(real, generated)[1] < _near(real, quantile)))


def describe_memorisation(shares: Mapping[str, float], samples: int) -> str:
    """Describe in Markdown which shares `memorisation` found.

    Parameters
    ----------
    shares
        Shares by the kind of vectors: ``features`` and ``pixels``.
    samples
        Number of generated images.
    """
    return (
        f"Of {samples} samples **{shares['features']:.0%}** are suspiciously close to a training "
        f"image by features, and **{shares['pixels']:.0%}** by pixels. New real images would "
        "score about 5 %: a sample is suspicious if it is closer to a training image than 95 % "
        "of these are to their own nearest neighbour. A high share by features is a sign of "
        "copies. A high share by pixels alone is often only blur, which is close to everything."
    )


def _near(real: np.ndarray, quantile: float) -> float:
    """Return the distance that few real images have to their nearest neighbour."""
    own = _distances(real)
    own[own <= 1e-6 * own.max()] = np.inf  # itself, and its twins
    return float(np.quantile(own.min(axis=1), quantile))


# --- What they share ---


def _require_two(*sides: np.ndarray) -> None:
    if min(map(len, sides)) < 2:
        raise NotEnoughData("At least two real and two generated images are needed.")


def _kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    products = one.astype(np.float64) @ other.astype(np.float64).T
    return (products / one.shape[1] + 1) ** 3


def _mean_of_others(matrix: np.ndarray) -> float:
    """Return the mean of a square matrix without its diagonal."""
    n = len(matrix)
    return (matrix.sum() - np.trace(matrix)) / (n * (n - 1))


def _weighted_mean_of_others(matrix: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return `_mean_of_others` for each row of weights, which say how often an index counts."""
    squares = weights**2
    sums = ((weights @ matrix) * weights).sum(axis=1) - squares @ np.diagonal(matrix)
    pairs = weights.sum(axis=1) ** 2 - squares.sum(axis=1)
    return sums / np.where(pairs > 0, pairs, np.nan)  # of few images one alone may be drawn


def _resampled(n: int, resamples: int, rng: torch.Generator) -> np.ndarray:
    """Return how often each of n things is drawn in resamples with replacement, one a row."""
    drawn = torch.randint(n, (resamples, n), generator=rng)
    counts = torch.zeros(resamples, n, dtype=torch.float64)
    return counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64)).numpy()


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import cdist

    return cdist(one.astype(np.float64), other.astype(np.float64))


def _distances(vectors: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(vectors.astype(np.float64)))
