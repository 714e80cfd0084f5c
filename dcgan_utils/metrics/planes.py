"""Vectors in, few coordinates out: principal components and UMAP.

The methods are scikit-learn's and umap-learn's. Vectors are float32 arrays of shape ``(N, D)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch

from dcgan_utils.core import cache
from dcgan_utils.core.errors import NotMeaningful
from dcgan_utils.core.seeds import seed32
from dcgan_utils.metrics.embed import count_distinct

__all__ = ["Components", "principal_components", "umap_embedding"]


@dataclass(frozen=True)
class Components:
    """Principal components, the one that explains most first.

    Attributes
    ----------
    mean : float32 array, shape (D,)
    directions : float32 array, shape (n, D)
        Unit vectors.
    scores : float32 array, shape (N, n)
        Each vector's coordinates along them.
    explained : float array, shape (n,)
        Share of the variance that each explains.
    """

    mean: np.ndarray
    directions: np.ndarray
    scores: np.ndarray
    explained: np.ndarray

    def reconstruct(self, rows: np.ndarray, n: int) -> np.ndarray:
        """Return some of the vectors as the first ``n`` components give them back, ``(r, D)``."""
        return self.mean + self.scores[rows, :n] @ self.directions[:n]

    def at(self, component: int, deviations: float) -> np.ndarray:
        """Return the mean, moved along one component by so many deviations: shape ``(D,)``."""
        step = deviations * self.scores[:, component].std()
        return self.mean + step * self.directions[component]


def principal_components(vectors: np.ndarray, n: int, *, seed: int = 0) -> Components:
    """Find the first ``n`` principal components, or as many as there can be.

    Parameters
    ----------
    vectors
        Shape ``(N, D)``.
    n
        How many.
    seed
        Of the solver, where that draws at random: for many long vectors.

    Returns
    -------
    Components
        Of the vectors less their mean; their scales are left as they are.

    Raises
    ------
    NotMeaningful
        If fewer than three vectors differ: they have no plane.
    """
    from sklearn.decomposition import PCA

    distinct = count_distinct(vectors)
    if distinct < 3:
        raise NotMeaningful(
            f"Principal components take at least 3 different pictures; here: {distinct}."
        )
    n = min(n, distinct - 1, vectors.shape[1])
    fitted = PCA(n, random_state=seed32(seed))
    scores = fitted.fit_transform(vectors)
    return Components(fitted.mean_, fitted.components_, scores, fitted.explained_variance_ratio_)


def umap_embedding(
    vectors: np.ndarray, n_components: int = 2, *, n_neighbors: int = 15, seed: int = 0
) -> np.ndarray:
    """Embed vectors so that neighbours stay together (McInnes, Healy and Melville 2018).

    Parameters
    ----------
    vectors
        Shape ``(N, D)``.
    n_components
        Dimensions of the result, 2 for a plane.
    n_neighbors
        How many neighbours of each count: few show fine groups, many the whole.
    seed
        Of the start and the descent.

    Returns
    -------
    float32 array, shape ``(N, n_components)``
        Kept in the cache, since another system would give other coordinates.

    Raises
    ------
    NotMeaningful
        If no more vectors differ than are to be neighbours.

    Notes
    -----
    Who is near whom means something; distances between groups, and the size of a group, do not.
    """
    distinct = count_distinct(vectors)
    if distinct <= n_neighbors:
        raise NotMeaningful(
            f"UMAP places each picture by its {n_neighbors} nearest; different pictures here: "
            f"{distinct}. Choose fewer with n_neighbors, or add pictures."
        )
    made_with = [n_components, n_neighbors, seed, version("umap-learn")]
    kept = cache.location("umap", cache.content_hash(vectors), *made_with)
    embedding = cache.read(kept, lambda entry: entry.arrays["embedding"])
    if embedding is not None:
        return embedding

    from umap import UMAP  # compiles for seconds

    reducer = UMAP(
        n_components=n_components,
        n_neighbors=n_neighbors,
        # A spectral start needs clearly more points than dimensions.
        init="spectral" if len(vectors) > 4 * n_components else "random",
        random_state=seed32(seed),
        n_jobs=1,  # repeatable with one thread only
    )
    threads = torch.get_num_threads()
    embedding = reducer.fit_transform(vectors).astype(np.float32)
    torch.set_num_threads(threads)  # numba has set OpenMP's number for all, PyTorch too
    cache.write(kept, {"embedding": embedding})
    return embedding
