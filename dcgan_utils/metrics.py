"""How good generated pictures are: feature vectors in, numbers out.

The vectors of both sides must come from the same extractor at the same input size (see
`dcgan_utils.features`); a number says nothing beside one from another extractor.
"""

from __future__ import annotations

import numpy as np

from dcgan_utils.errors import NotMeaningful

__all__ = ["diversity", "kid", "memorisation", "nearest"]


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


def diversity(real: np.ndarray, generated: np.ndarray) -> float:
    """Return how far generated pictures are from each other, relative to the real ones.

    Parameters
    ----------
    real, generated
        Feature vectors, shapes ``(n, d)`` and ``(m, d)``.

    Returns
    -------
    float
        The mean Euclidean distance of two different pictures, divided by that of the real
        ones: 0 if all are the same picture, 1 if they vary as the real ones do.

    Raises
    ------
    NotMeaningful
        If one side has fewer than two vectors, or all real pictures are the same.

    Notes
    -----
    Noise is diverse too: a value near 1 says nothing about how the pictures look.
    """
    _require_two(real, generated)
    apart = [_mean_of_others(_distances(side)) for side in (real, generated)]
    if not apart[0]:
        raise NotMeaningful("All real pictures are the same: there is no diversity to compare.")
    return float(apart[1] / apart[0])


def nearest(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each generated picture the number of the nearest real one, and its distance.

    Parameters
    ----------
    real, generated
        Vectors, shapes ``(n, d)`` and ``(m, d)``: features, or pixels.

    Returns
    -------
    tuple of numpy.ndarray
        Whole numbers and Euclidean distances, of length ``m``.
    """
    from scipy.spatial.distance import cdist

    apart = cdist(generated.astype(np.float64), real.astype(np.float64))
    numbers = apart.argmin(axis=1)
    return numbers, apart[np.arange(len(apart)), numbers]


def memorisation(real: np.ndarray, generated: np.ndarray, *, quantile: float = 0.05) -> float:
    """Return the share of generated pictures that are suspiciously near to a real one.

    Near means: nearer than all but ``quantile`` of the real pictures are to their own nearest
    neighbour among the real ones. Real pictures that were not trained on would score about
    ``quantile``; a generator that only repeats its training pictures scores 1.

    Parameters
    ----------
    real, generated
        Vectors, shapes ``(n, d)`` and ``(m, d)``: features, or pixels.
    quantile
        0 to 1.

    Raises
    ------
    NotMeaningful
        If one side has fewer than two pictures.

    Notes
    -----
    Blurred pictures are near to many others in pixels without being copies of any. Near twins
    among the real pictures move the line, and may hide copies; exact ones do not. Look at the
    pairs too.
    """
    _require_two(real, generated)
    own = _distances(real)
    own[own <= 1e-6 * own.max()] = np.inf  # itself, and its twins
    line = np.quantile(own.min(axis=1), quantile)
    return float(np.mean(nearest(real, generated)[1] < line))


def _require_two(*sides: np.ndarray) -> None:
    if min(map(len, sides)) < 2:
        raise NotMeaningful("At least two real and two generated pictures are needed.")


def _kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    products = one.astype(np.float64) @ other.astype(np.float64).T
    return (products / one.shape[1] + 1) ** 3


def _mean_of_others(matrix: np.ndarray) -> float:
    """Return the mean of a square matrix without its diagonal."""
    n = len(matrix)
    return (matrix.sum() - np.trace(matrix)) / (n * (n - 1))


def _distances(vectors: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(vectors.astype(np.float64)))
