"""Measures of generated images: distances, diversity, memorisation, clusters, classes."""

from dcgan_utils.metrics.distances import (
    describe_memorisation,
    fid,
    kid,
    kid_interval,
    memorisation,
    nearest,
    prdc,
)
from dcgan_utils.metrics.embed import (
    agreement,
    choose_k,
    evenness,
    kmeans,
    mean_images,
    principal_components,
    separability,
    separability_of_halves,
    umap_embedding,
)
from dcgan_utils.metrics.evaluation import (
    evaluate,
    evaluate_epochs,
    kid_and_diversity,
    kid_real_real,
)
from dcgan_utils.metrics.exploration import Exploration, SideBySide
from dcgan_utils.metrics.features import extract

__all__ = [
    "Exploration",
    "SideBySide",
    "agreement",
    "choose_k",
    "describe_memorisation",
    "evaluate",
    "evaluate_epochs",
    "evenness",
    "extract",
    "fid",
    "kid",
    "kid_and_diversity",
    "kid_interval",
    "kid_real_real",
    "kmeans",
    "mean_images",
    "memorisation",
    "nearest",
    "prdc",
    "principal_components",
    "separability",
    "separability_of_halves",
    "umap_embedding",
]
