"""Vectors in, groups and coordinates out: k-means++, classifier tests, PCA and UMAP.

The methods are those of scikit-learn and umap-learn; here is what they are asked, and what is done
where there is too little data. Vectors are float32 arrays of shape ``(N, D)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_utils.core import cache
from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.core.seeds import seed32
from dcgan_utils.metrics.modes import classifier

if TYPE_CHECKING:
    import pandas as pd


FOLDS = 5


def count_distinct(vectors: np.ndarray) -> int:
    """Return how many of the vectors differ, to the last bit."""
    return len({cache.content_hash(vector) for vector in vectors})


# --- k-means ---


@dataclass(frozen=True)
class Clustering:
    """A division of vectors into clusters, numbered from 0, the largest first.

    Attributes
    ----------
    labels : int array, shape (N,)
        Each vector's cluster.
    centres : float array, shape (k, D)
    distances : float array, shape (N,)
        From each vector to its own cluster's centre.
    """

    labels: np.ndarray
    centres: np.ndarray
    distances: np.ndarray

    @property
    def k(self) -> int:
        """How many clusters there are."""
        return len(self.centres)

    @property
    def sizes(self) -> np.ndarray:
        """How many members each cluster has, shape ``(k,)``."""
        return np.bincount(self.labels, minlength=self.k)

    def members(self, cluster: int) -> np.ndarray:
        """Return the numbers of a cluster's members, the nearest to its centre first."""
        numbers = np.flatnonzero(self.labels == cluster)
        return numbers[np.argsort(self.distances[numbers], kind="stable")]

    def ends(self, cluster: int, *, first: int, last: int) -> np.ndarray:
        """Return the members nearest to and farthest from the centre, or all of a small cluster."""
        members = self.members(cluster)
        if len(members) <= first + last:
            return members
        return np.concatenate([members[:first], members[-last:]])


def kmeans(vectors: np.ndarray, k: int = 10, *, seed: int = 0, starts: int = 10) -> Clustering:
    """Divide vectors by k-means, started from k-means++ (Arthur and Vassilvitskii 2007).

    Parameters
    ----------
    vectors
        What is to be divided.
    k
        Number of clusters. If fewer of the vectors differ, there are only so many.
    seed
        Of the starts.
    starts
        How often it begins anew; the division with the least inertia counts.
    """
    from sklearn.cluster import KMeans

    k = min(k, count_distinct(vectors))
    fitted = KMeans(k, init="k-means++", n_init=starts, random_state=seed32(seed)).fit(vectors)
    order = np.argsort(-np.bincount(fitted.labels_, minlength=k), kind="stable")
    labels, centres = np.argsort(order)[fitted.labels_], fitted.cluster_centers_[order]
    distances = np.linalg.norm(vectors - centres[labels], axis=1)
    return Clustering(labels, centres, distances)


def evenness(sizes: np.ndarray) -> float:
    """Return how evenly clusters are filled: the entropy of the shares, divided by its most.

    1 means all alike, near 0 means nearly all in one. The second study chose its k by this.
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
        What is to be clustered.
    ks
        Numbers to try; those that are too many for the vectors are left out.

    Returns
    -------
    pandas.DataFrame
        Row ``k``; columns ``inertia`` (sum of squared distances to the centres),
        ``silhouette`` (mean of some 2,000 vectors at most, -1 to 1), ``evenness`` (0 to 1).

    Raises
    ------
    NotMeaningful
        If fewer than three vectors differ.

    Notes
    -----
    Inertia falls with k, but for the luck of the starts: look for a bend. Silhouette favours
    few, compact clusters in high dimensions. Evenness says nothing about whether the clusters
    mean anything.
    """
    import pandas as pd
    from sklearn.metrics import silhouette_score

    distinct = count_distinct(vectors)
    drawn = np.random.default_rng(seed).permutation(len(vectors))[:2000]
    rows = {}
    for k in ks:
        if 2 <= k < distinct:
            clustering = kmeans(vectors, k, seed=seed, starts=5)
            # One member of each cluster is always there: a draw might miss the small ones.
            chosen = np.union1d(drawn, [clustering.members(number)[0] for number in range(k)])
            rows[k] = {
                "inertia": float((clustering.distances.astype(np.float64) ** 2).sum()),
                "silhouette": silhouette_score(vectors[chosen], clustering.labels[chosen]),
                "evenness": evenness(clustering.sizes),
            }
    if not rows:
        raise NotEnoughData(
            f"To choose a number of clusters takes at least 3 different images; here: {distinct}."
        )
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("k")


def mean_images(images: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
    """Return each cluster's mean image: uint8, shape ``(k, 3, H, W)``.

    For clusters of pixels these are the centroids.
    """
    sizes = np.bincount(labels)
    sums = [images[labels == label].sum(0, dtype=torch.float64) for label in range(len(sizes))]
    means = [total / size for total, size in zip(sums, sizes.tolist(), strict=True)]
    return torch.stack(means).round().to(torch.uint8)


def agreement(clusterings: Mapping[str, Clustering], known: pd.DataFrame) -> pd.DataFrame:
    """Return the adjusted Rand index of each clustering (columns) with each label (rows).

    1 means the same division, 0 what chance gives (Hubert and Arabie 1985).

    Parameters
    ----------
    clusterings
        Name to clustering.
    known
        One row a vector, one column a label; rows where it is not known do not count.

    Raises
    ------
    NotEnoughData
        If there are no labels.

    Notes
    -----
    With more clusters than a label has values 1 cannot be reached, and for a label that nearly
    all vectors share the index says little.
    """
    import pandas as pd
    from sklearn.metrics import adjusted_rand_score

    if known.empty:
        raise NotEnoughData(
            "No `labels.csv` sorts the images, so nobody can say whether the clusters are right."
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
    """Return how well a linear classifier tells two sets of vectors apart.

    The classifier two-sample test (Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample
    tests", ICLR, section 3), with the area under the curve in place of the accuracy.

    Returns
    -------
    float array, shape (5,)
        Area under the ROC curve in each fold of a cross-validation of `modes.classifier`: 0.5 is
        chance, 1 means that a plane lies between them.

    Raises
    ------
    NotMeaningful
        If a set has fewer than ten vectors: too few for five folds.

    Notes
    -----
    A difference need not be one of content: another camera, border or compression separates
    two collections just as well. Far below 0.5 the two share images: while a copy is tested,
    its twin has been learnt with the other name.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    if min(len(one), len(other)) < 2 * FOLDS:
        raise NotEnoughData(
            f"To tell two collections apart takes {2 * FOLDS} images of each; here: "
            f"{len(one)} and {len(other)}."
        )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed32(seed))
    vectors = np.concatenate([one, other])
    which = np.repeat([0, 1], [len(one), len(other)])
    return cross_val_score(classifier(), vectors, which, cv=folds, scoring="roc_auc")


def separability_of_halves(vectors: np.ndarray, *, times: int = 5, seed: int = 0) -> np.ndarray:
    """Return what `separability` finds between random halves of one set: chance, as it scatters.

    Each time at most 1,000 of the vectors are divided.

    Returns
    -------
    float array, shape ``(times,)``
        Mean area under the curve of each division.

    Raises
    ------
    NotMeaningful
        If there are fewer than twenty vectors.
    """
    rng = np.random.default_rng(seed)
    halves = (np.array_split(rng.permutation(vectors)[:1000], 2) for _ in range(times))
    return np.array([separability(one, other, seed=seed).mean() for one, other in halves])


# --- Principal components and UMAP ---


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

    @property
    def axis_names(self) -> tuple[str, str]:
        """Names of the first two, each with the share of the variance that it explains."""
        first, second = 100 * self.explained[:2]
        return f"first component, {first:.0f} %", f"second component, {second:.0f} %"

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
        raise NotEnoughData(
            f"UMAP places each image by its {n_neighbors} nearest; different images here: "
            f"{distinct}. Choose fewer with n_neighbors, or add images."
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
