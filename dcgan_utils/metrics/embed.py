"""Clusters and embeddings of vectors: k-means++, classifier tests, PCA and UMAP.

The methods are those of scikit-learn and umap-learn. This module sets their options and handles
small collections. Vectors are float32 arrays of shape ``(N, D)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_utils.core import cache, progress
from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.core.seeds import seed32
from dcgan_utils.metrics.modes import classifier

if TYPE_CHECKING:
    import pandas as pd


FOLDS = 5


def count_distinct(vectors: np.ndarray) -> int:
    """Return the number of distinct vectors; vectors that differ in one bit are distinct."""
    return len({cache.content_hash(vector) for vector in vectors})


# --- k-means ---


@dataclass(frozen=True)
class Clustering:
    """A partition of vectors into clusters, numbered from 0, the largest first.

    Attributes
    ----------
    labels : int array, shape (N,)
        The cluster of each vector.
    centres : float array, shape (k, D)
    distances : float array, shape (N,)
        From each vector to the centre of its cluster.
    """

    labels: np.ndarray
    centres: np.ndarray
    distances: np.ndarray

    @property
    def k(self) -> int:
        """The number of clusters."""
        return len(self.centres)

    @property
    def sizes(self) -> np.ndarray:
        """The number of members of each cluster, shape ``(k,)``."""
        return np.bincount(self.labels, minlength=self.k)

    def members(self, cluster: int) -> np.ndarray:
        """Return the indices of a cluster's members, the nearest to its centre first."""
        indices = np.flatnonzero(self.labels == cluster)
        return indices[np.argsort(self.distances[indices], kind="stable")]

    def ends(self, cluster: int, *, first: int, last: int) -> np.ndarray:
        """Return the members nearest to and farthest from the centre, or all of a small cluster."""
        members = self.members(cluster)
        if len(members) <= first + last:
            return members
        return np.concatenate([members[:first], members[-last:]])


def kmeans(vectors: np.ndarray, k: int = 10, *, seed: int = 0, starts: int = 10) -> Clustering:
    """Cluster vectors with k-means, initialised by k-means++ (Arthur and Vassilvitskii 2007).

    Parameters
    ----------
    vectors
        Shape ``(N, D)``.
    k
        Number of clusters, at most the number of distinct vectors.
    seed
        Of the initialisations.
    starts
        Number of initialisations; the clustering with the smallest inertia is returned.
    """
    from sklearn.cluster import KMeans

    k = min(k, count_distinct(vectors))
    fitted = KMeans(k, init="k-means++", n_init=starts, random_state=seed32(seed)).fit(vectors)
    order = np.argsort(-np.bincount(fitted.labels_, minlength=k), kind="stable")
    labels, centres = np.argsort(order)[fitted.labels_], fitted.cluster_centers_[order]
    distances = np.linalg.norm(vectors - centres[labels], axis=1)
    return Clustering(labels, centres, distances)


def evenness(sizes: np.ndarray) -> float:
    """Return how even the cluster sizes are: their entropy, divided by its maximum.

    1 means that all clusters have the same size, near 0 that nearly all vectors are in one. The
    second study chose its k by this number.
    """
    from scipy.stats import entropy

    if len(sizes) < 2:
        return 1.0
    return float(entropy(sizes) / np.log(len(sizes)))


def choose_k(
    vectors: np.ndarray, ks: Iterable[int] = range(2, 21), *, seed: int = 0
) -> pd.DataFrame:
    """Tabulate three criteria for the number of clusters.

    Parameters
    ----------
    vectors
        Shape ``(N, D)``.
    ks
        Numbers to try; those below 2 or not below the number of distinct vectors are skipped.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``k``; columns ``inertia`` (sum of squared distances to the centres),
        ``silhouette`` (mean over about 2,000 vectors at most, -1 to 1), ``evenness`` (0 to 1).

    Raises
    ------
    NotEnoughData
        If there are fewer than three distinct vectors.

    Notes
    -----
    Apart from chance, inertia decreases with k: look for an elbow. Silhouette favours few,
    compact clusters in high dimensions. Evenness does not show whether the clusters mean
    anything.
    """
    import pandas as pd
    from sklearn.metrics import silhouette_score

    distinct = count_distinct(vectors)
    subset = np.random.default_rng(seed).permutation(len(vectors))[:2000]
    rows = {}
    for k in ks:
        if 2 <= k < distinct:
            clustering = kmeans(vectors, k, seed=seed, starts=5)
            # One member of each cluster is always included: the subset might miss small clusters.
            sampled = np.union1d(subset, [clustering.members(cluster)[0] for cluster in range(k)])
            rows[k] = {
                "inertia": float((clustering.distances.astype(np.float64) ** 2).sum()),
                "silhouette": silhouette_score(vectors[sampled], clustering.labels[sampled]),
                "evenness": evenness(clustering.sizes),
            }
    if not rows:
        raise NotEnoughData(
            f"Choosing the number of clusters takes at least 3 different images; here: {distinct}."
        )
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("k")


def mean_images(images: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
    """Return each cluster's mean image: uint8, shape ``(k, 3, H, W)``.

    For clusters of pixels, these are the centres.
    """
    sizes = np.bincount(labels)
    sums = [images[labels == label].sum(0, dtype=torch.float64) for label in range(len(sizes))]
    means = [total / size for total, size in zip(sums, sizes.tolist(), strict=True)]
    return torch.stack(means).round().to(torch.uint8)


def agreement(clusterings: Mapping[str, Clustering], known: pd.DataFrame) -> pd.DataFrame:
    """Return the adjusted Rand index of each clustering (columns) with each label (rows).

    1 means identical partitions, 0 is the expected value by chance (Hubert and Arabie 1985).

    Parameters
    ----------
    clusterings
        Clusterings by name.
    known
        One row per vector, one column per label; missing values are ignored.

    Raises
    ------
    NotEnoughData
        If there are no labels.

    Notes
    -----
    The index cannot reach 1 if there are more clusters than values of the label. It means little
    for a label that has the same value for nearly all vectors.
    """
    import pandas as pd
    from sklearn.metrics import adjusted_rand_score

    if known.empty:
        raise NotEnoughData(
            "The images have no labels (`labels.csv`) with which the clusters could be compared."
        )
    return pd.DataFrame(
        {
            name: {
                column: adjusted_rand_score(values.dropna(), clustering.labels[values.notna()])
                for column, values in known.items()
            }
            for name, clustering in clusterings.items()
        }
    ).rename_axis("label")


# --- Two collections ---


def separability(one: np.ndarray, other: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return how well a linear classifier separates two sets of vectors.

    This is the classifier two-sample test (Lopez-Paz and Oquab 2017, "Revisiting classifier
    two-sample tests", ICLR, section 3), with the area under the ROC curve instead of the accuracy.

    Returns
    -------
    float array, shape (5,)
        Area under the ROC curve in each fold of a cross-validation of `modes.classifier`: 0.5 is
        chance, 1 means that a hyperplane separates the sets.

    Raises
    ------
    NotEnoughData
        If a set has fewer than ten vectors, which are too few for five folds.

    Notes
    -----
    The difference need not be one of content: another camera, border or compression separates
    two collections just as well. A value far below 0.5 means that the sets share images: when a
    copy is tested, the classifier has learned its duplicate as a member of the other set.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    if min(len(one), len(other)) < 2 * FOLDS:
        raise NotEnoughData(
            f"Telling two collections apart takes at least {2 * FOLDS} images of each; here: "
            f"{len(one)} and {len(other)}."
        )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed32(seed))
    vectors = np.concatenate([one, other])
    groups = np.repeat([0, 1], [len(one), len(other)])
    return cross_val_score(classifier(), vectors, groups, cv=folds, scoring="roc_auc")


def separability_of_halves(vectors: np.ndarray, *, times: int = 5, seed: int = 0) -> np.ndarray:
    """Return the `separability` of random halves of one set, which shows the range of chance.

    Each split uses at most 1,000 of the vectors.

    Returns
    -------
    float array, shape ``(times,)``
        Mean area under the ROC curve of each split.

    Raises
    ------
    NotEnoughData
        If there are fewer than twenty vectors.
    """
    rng = np.random.default_rng(seed)
    halves = (np.array_split(rng.permutation(vectors)[:1000], 2) for _ in range(times))
    return np.array([separability(one, other, seed=seed).mean() for one, other in halves])


# --- Principal components and UMAP ---


@dataclass(frozen=True)
class Components:
    """Principal components in descending order of explained variance.

    Attributes
    ----------
    mean : float32 array, shape (D,)
    directions : float32 array, shape (n, D)
        Unit vectors.
    scores : float32 array, shape (N, n)
        Coordinates of the vectors along the directions.
    explained : float array, shape (n,)
        Share of the variance that each component explains.
    """

    mean: np.ndarray
    directions: np.ndarray
    scores: np.ndarray
    explained: np.ndarray

    @property
    def axis_names(self) -> tuple[str, str]:
        """Names of the first two components, with the shares of the variance that they explain."""
        first, second = 100 * self.explained[:2]
        return f"first component, {first:.0f} %", f"second component, {second:.0f} %"

    def reconstruct(self, rows: np.ndarray, n: int) -> np.ndarray:
        """Return some vectors as reconstructed from the first ``n`` components, ``(r, D)``."""
        return self.mean + self.scores[rows, :n] @ self.directions[:n]

    def at(self, component: int, deviations: float) -> np.ndarray:
        """Return the mean moved along a component by some standard deviations, ``(D,)``."""
        step = deviations * self.scores[:, component].std()
        return self.mean + step * self.directions[component]


def principal_components(vectors: np.ndarray, n: int, *, seed: int = 0) -> Components:
    """Compute the first ``n`` principal components, or as many as exist.

    The vectors are centred but not scaled.

    Parameters
    ----------
    vectors
        Shape ``(N, D)``.
    n
        Number of components.
    seed
        Of the solver, which is randomised for many long vectors.

    Raises
    ------
    NotEnoughData
        If there are fewer than three distinct vectors, which do not span a plane.
    """
    from sklearn.decomposition import PCA

    distinct = count_distinct(vectors)
    if distinct < 3:
        raise NotEnoughData(
            f"Principal components take at least 3 different images; here: {distinct}."
        )
    n = min(n, distinct - 1, vectors.shape[1])
    fitted = PCA(n, random_state=seed32(seed))
    scores = fitted.fit_transform(vectors)
    return Components(fitted.mean_, fitted.components_, scores, fitted.explained_variance_ratio_)


def umap_embedding(
    vectors: np.ndarray, n_components: int = 2, *, n_neighbors: int = 15, seed: int = 0
) -> np.ndarray:
    """Embed vectors with UMAP, which keeps neighbours together (McInnes et al. 2018).

    Parameters
    ----------
    vectors
        Shape ``(N, D)``.
    n_components
        Dimensions of the result.
    n_neighbors
        Number of neighbours considered: few show local structure, many the global structure.
    seed
        Of the initialisation and the optimisation.

    Returns
    -------
    float32 array, shape ``(N, n_components)``
        It is stored in the cache, because another system would give other coordinates.

    Raises
    ------
    NotEnoughData
        If there are no more than ``n_neighbors`` distinct vectors.

    Notes
    -----
    The neighbours of a point are meaningful. The distances between groups and their sizes are not.
    """
    distinct = count_distinct(vectors)
    if distinct <= n_neighbors:
        raise NotEnoughData(
            f"UMAP places each image by its {n_neighbors} nearest neighbours; different images "
            f"here: {distinct}. Reduce n_neighbors, or add images."
        )
    settings = [n_components, n_neighbors, seed, version("umap-learn")]
    entry = cache.location("umap", cache.content_hash(vectors), *settings)
    embedding = cache.read(entry, lambda stored: stored.arrays["embedding"])
    if embedding is not None:
        return embedding

    cache.ensure_numba_dir()
    threads = torch.get_num_threads()
    with progress.announced("map of the images (UMAP)", of=1) as advance:
        from umap import UMAP  # the import compiles code and takes seconds

        reducer = UMAP(
            n_components=n_components,
            n_neighbors=n_neighbors,
            # Spectral initialisation needs clearly more points than dimensions.
            init="spectral" if len(vectors) > 4 * n_components else "random",
            random_state=seed32(seed),
            n_jobs=1,  # reproducible with one thread only
        )
        embedding = reducer.fit_transform(vectors).astype(np.float32)
        advance(1)
    torch.set_num_threads(threads)  # numba has changed it for PyTorch too, through OpenMP
    cache.write(entry, {"embedding": embedding})
    return embedding
