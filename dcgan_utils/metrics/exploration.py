"""The analysis of one collection, and of two side by side, for ``eda.ipynb``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.data.duplicates import Pair
from dcgan_utils.data.load import Dataset
from dcgan_utils.data.statistics import (
    as_images,
    pixel_statistics,
    pixel_vectors,
    share_between_images,
)
from dcgan_utils.gan.augment import resolve_policy
from dcgan_utils.metrics import distances, embed, features, outliers

if TYPE_CHECKING:
    import pandas as pd

SIDE = 64  # of the images for principal components, in pixels, at most
STEPS = (1, 4, 16, 64, 256)  # numbers of components for reconstructions


class Exploration:
    """A collection as pixels and features, with its clusters, components and embeddings.

    Each result is computed on first use and then kept. A result that needs more data raises
    `NotEnoughData` with the reason.

    Parameters
    ----------
    collection
        The images.
    extractor
        Network for the features; see `features.extract`.
    cluster_on
        Vectors for the clusters in the figures: ``"pixels"`` or ``"features"``.
    k
        Number of clusters.
    n_neighbors
        See `embed.umap_embedding`.
    seed
        Of everything random.
    device
        Where the extractor runs.
    """

    def __init__(
        self,
        collection: Dataset,
        *,
        extractor: str = features.DEFAULT,
        cluster_on: str = "pixels",
        k: int = 10,
        n_neighbors: int = 15,
        seed: int = 0,
        device: str = "cpu",
    ):
        self.collection, self.images = collection, collection.images
        self.extractor, self.cluster_on, self.k = extractor, cluster_on, k
        self.n_neighbors, self.seed, self.device = n_neighbors, seed, device

    @cached_property
    def features(self) -> features.Features:
        """The features of all images."""
        return features.extract(self.images, extractor=self.extractor, device=self.device)

    @cached_property
    def vectors(self) -> dict[str, np.ndarray]:
        """``pixels``, averaged down to 32 x 32, and ``features``: shape ``(N, D)`` each."""
        return {"pixels": pixel_vectors(self.images, 32), "features": self.features.vectors}

    @cached_property
    def clusterings(self) -> dict[str, embed.Clustering]:
        """The k-means clusters of pixels and of features."""
        return {
            name: embed.kmeans(rows, self.k, seed=self.seed) for name, rows in self.vectors.items()
        }

    @cached_property
    def criteria(self) -> pd.DataFrame:
        """Three criteria for the number of clusters; see `embed.choose_k`."""
        return embed.choose_k(self.vectors[self.cluster_on], seed=self.seed)

    @cached_property
    def outliers(self) -> pd.DataFrame:
        """The images that stand out; see `outliers.find_outliers`."""
        return outliers.find_outliers(self.images, self.collection.files, self.features.vectors)

    @property
    def clustering(self) -> embed.Clustering:
        """The clustering that colours the figures."""
        return self.clusterings[self.cluster_on]

    @property
    def cluster_names(self) -> list[str]:
        """Names for legends, in the order of the clusters."""
        return [f"cluster {number}" for number in range(self.clustering.k)]

    def nearest_members(self, *, clusters: int = 20, members: int = 9) -> dict[str, torch.Tensor]:
        """Return for each cluster its mean image and the members nearest to its centre."""
        means = embed.mean_images(self.images, self.clustering.labels)
        return {
            f"{number} ({size})": torch.cat(
                [means[number][None], self.images[self.clustering.members(number)[:members]]]
            )
            for number, size in enumerate(self.clustering.sizes[:clusters])
        }

    @cached_property
    def components(self) -> embed.Components:
        """The first 256 principal components of the pixels, or as many as exist."""
        return embed.principal_components(self._pixels(self.images), 256, seed=self.seed)

    def _pixels(self, images: torch.Tensor) -> np.ndarray:
        return pixel_vectors(images, SIDE)

    @property
    def steps(self) -> list[int]:
        """Increasing numbers of components, as far as these exist."""
        return [n for n in STEPS if n <= len(self.components.explained)]

    def eigenimages(self, *, count: int = 8) -> dict[str, torch.Tensor]:
        """Return the mean image moved by two standard deviations along the first components."""
        numbers = range(min(count, len(self.components.explained)))
        return {
            name: as_images([self.components.at(n, deviations) for n in numbers])
            for name, deviations in {"+2 SD": 2, "mean": 0, "-2 SD": -2}.items()
        }

    def reconstructions(self, *, count: int = 8) -> dict[str, torch.Tensor]:
        """Return some images reconstructed from increasing numbers of components, and originals."""
        total = len(self.images)
        some = np.linspace(0, total - 1, min(count, total)).round().astype(int)
        rebuilt = {f"{n}": as_images(self.components.reconstruct(some, n)) for n in self.steps}
        return rebuilt | {"original": as_images(self._pixels(self.images[some]))}

    @cached_property
    def plane(self) -> np.ndarray:
        """UMAP of the features in two dimensions, shape ``(N, 2)``."""
        return self._umap(2)

    @cached_property
    def space(self) -> np.ndarray:
        """UMAP of the features in three dimensions, shape ``(N, 3)``."""
        return self._umap(3)

    def _umap(self, dimensions: int) -> np.ndarray:
        return embed.umap_embedding(
            self.features.vectors, dimensions, n_neighbors=self.n_neighbors, seed=self.seed
        )

    def some(self, most: int) -> np.ndarray:
        """Return the sorted indices of at most ``most`` randomly chosen images."""
        order = np.random.default_rng(self.seed).permutation(len(self.images))
        return np.sort(order[:most])

    def point_labels(self, categories: pd.DataFrame) -> pd.DataFrame:
        """Return one row per image: file, cluster, and labels."""
        import pandas as pd

        columns = {"file": self.collection.files, "cluster": self.clustering.labels}
        return pd.concat([pd.DataFrame(columns), categories.reset_index(drop=True)], axis=1)

    def describe_clusters(self) -> str:
        """Describe in Markdown how even the cluster sizes are."""
        text = (
            f"Their evenness is **{embed.evenness(self.clustering.sizes):.2f}**; 1 would mean that "
            "all are equally large. The largest has number 0. The colours are the same in all "
            "figures below."
        )
        if self.clustering.k < self.k:
            text += (
                f" There are only {self.clustering.k} different images, so there are no more "
                "clusters than that."
            )
        return text

    def describe_criteria(self) -> str:
        """Describe in Markdown which number of clusters has the highest silhouette."""
        silhouettes = self.criteria["silhouette"]
        best = silhouettes.idxmax()
        return f"The silhouette is highest at **k = {best}** ({silhouettes[best]:.2f})."

    def describe_vectors(self) -> str:
        """Describe in Markdown how many numbers each image has become."""
        pixels, of_features = (self.vectors[name].shape[1] for name in ("pixels", "features"))
        return (
            f"Each image is now {pixels:,} numbers by its pixels, and {of_features:,} by its "
            f"features ({self.extractor}, input {self.features.input_size} px)."
        )

    def describe_finding(self, pairs: Sequence[Pair]) -> str:
        """Say in Markdown what was found in the collection, and what it means for a training.

        Parameters
        ----------
        pairs
            From `duplicates.find_duplicates`.
        """
        count = len(self.images)
        copies = sum(pair.exact for pair in pairs)
        of = "1 image" if count == 1 else f"{count:,} images"
        policy = resolve_policy("auto", count - copies)
        training = {
            "diffaugment": "A discriminator soon knows so few by heart, and then it teaches the "
            "generator little: augmentation is needed, and `augment: auto` takes `diffaugment`.",
            "ada": "A discriminator may learn these by heart after a while: `augment: auto` takes "
            "`ada`, which augments as much as it overfits.",
            "none": "There are enough of them: `augment: auto` does not augment.",
        }
        parts = [
            f"**{self.collection.name} has {of}.** {training[policy]}",
            self._describe_shared(),
            self._describe_groups(),
            self._describe_unusual(pairs),
        ]
        return "\n\n".join(part for part in parts if part)

    def _describe_shared(self) -> str:
        between = share_between_images(self.images)
        if not between > 0:  # one image, or copies of one
            return ""
        return (
            f"**What they share**, their mean image, makes up {1 - between:.0%} of their variance. "
            "A generator learns that first; the rest is variety, which is harder."
        )

    def _describe_groups(self) -> str:
        try:
            criteria = self.criteria
        except NotEnoughData:
            return ""
        k = min(self.clustering.k, criteria.index.max())
        silhouette = criteria["silhouette"].get(k)
        if silhouette is None:  # larger than those tried
            return ""
        found = "stand clearly apart"
        if silhouette < 0.5:
            found = "stand apart a little"
        if silhouette < 0.25:
            found = "run into each other, and another seed may divide the images elsewhere"
        return (
            f"**Groups:** {k} clusters of {self.cluster_on} {found} (silhouette {silhouette:.2f})."
        )

    def _describe_unusual(self, pairs: Sequence[Pair]) -> str:
        copies = sum(pair.exact for pair in pairs)
        found = [
            f"{what} ({number})"
            for number, what in [
                (copies, "exact copies"),
                (len(pairs) - copies, "near duplicates"),
                (self._count_outliers(), "dark, blurred or isolated images"),
            ]
            if number
        ]
        if not found:
            return "**Look at:** the images themselves; no duplicate and no outlier was found."
        return f"**Look at:** {', '.join(found)}. Decide whether they belong here."

    def _count_outliers(self) -> int:
        try:
            return self.outliers["image"].nunique()
        except NotEnoughData:
            return 0


class SideBySide:
    """Two collections, or a collection and images of a run, compared by their features.

    Parameters
    ----------
    one
        The first collection.
    other
        The second collection; without one, everything raises `NotEnoughData`.
    """

    def __init__(self, one: Exploration, other: Dataset | None):
        self.one, self._other = one, other

    @property
    def other(self) -> Dataset:
        """The second collection."""
        if self._other is None:
            raise NotEnoughData("There is no second collection: set `other` to compare with one.")
        return self._other

    @property
    def names(self) -> list[str]:
        """The names of both collections."""
        return [self.one.collection.name, self.other.name]

    @cached_property
    def _vectors(self) -> tuple[np.ndarray, np.ndarray]:
        second = features.extract(
            self.other.images, extractor=self.one.extractor, device=self.one.device
        )
        return self.one.features.vectors, second.vectors

    @property
    def groups(self) -> np.ndarray:
        """The collection of each image, 0 or 1, in the order of `components` and `plane`."""
        return np.repeat([0, 1], [len(side) for side in self._vectors])

    def histograms(self) -> dict[str, np.ndarray]:
        """Return how often each level occurs, shape ``(3, 256)`` for each collection."""
        both = (self.one.images, self.other.images)
        return {
            name: pixel_statistics(images.split(256)).histogram
            for name, images in zip(self.names, both, strict=True)
        }

    def components(self) -> embed.Components:
        """Return the first two principal components of the features of both collections."""
        return embed.principal_components(np.concatenate(self._vectors), 2, seed=self.one.seed)

    def plane(self) -> np.ndarray:
        """Return UMAP of the features of both collections, shape ``(N + M, 2)``."""
        vectors = np.concatenate(self._vectors)
        return embed.umap_embedding(
            vectors, 2, n_neighbors=self.one.n_neighbors, seed=self.one.seed
        )

    def describe(self) -> str:
        """Describe in Markdown what is compared."""
        first, second = self.names
        return (
            f"**{first}**: {len(self.one.images)} images; "
            f"**{second}**: {len(self.other.images)} images."
        )

    def describe_distances(self) -> str:
        """Describe in Markdown how far the features of the collections are apart: KID and FID."""
        kid, fid = distances.kid(*self._vectors), distances.fid(*self._vectors)
        return (
            f"By features of {self.one.extractor}: **KID {kid:.3f}**, **FID {fid:.1f}**; 0 would "
            "be the same distribution. Compare them with numbers of the same extractor, size and "
            "number of images only: FID is too large for few images."
        )

    def describe_separability(self) -> str:
        """Describe in Markdown how well a linear classifier separates the collections."""
        areas = embed.separability(*self._vectors, seed=self.one.seed)
        return (
            "A linear classifier on the features separates the two with an area under the ROC "
            f"curve of **{areas.mean():.2f}** ({areas.min():.2f} to {areas.max():.2f} over "
            f"{len(areas)} folds). 0.5 is chance, 1 is perfect separation. A value far below 0.5 "
            "means that they share images: when a copy is tested, the classifier has learned its "
            "duplicate as a member of the other collection."
        )

    def describe_chance(self) -> str:
        """Describe in Markdown how well random halves of the first collection are separated."""
        _ = self.other  # without a second collection there is nothing to compare with
        chance = embed.separability_of_halves(self._vectors[0], seed=self.one.seed)
        return (
            f"For comparison, {len(chance)} random splits of {self.names[0]} into halves give "
            f"**{chance.min():.2f} to {chance.max():.2f}**. With few images these values vary "
            "widely, also below 0.5. A value within this range shows no difference."
        )
