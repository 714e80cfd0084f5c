"""Measures of generated images: distances, diversity, memorisation, clusters, classes."""

from dcgan_utils.metrics.distances import describe_memorisation, kid, memorisation, nearest
from dcgan_utils.metrics.embed import agreement, choose_k, kmeans, mean_images
from dcgan_utils.metrics.evaluation import (
    describe_latent_space,
    evaluate,
    evaluate_epochs,
    kid_real_real,
)
from dcgan_utils.metrics.exploration import Exploration, SideBySide
from dcgan_utils.metrics.features import extract, require_extractor
from dcgan_utils.metrics.outliers import describe_outliers

__all__ = [
    "Exploration",
    "SideBySide",
    "agreement",
    "choose_k",
    "describe_latent_space",
    "describe_memorisation",
    "describe_outliers",
    "evaluate",
    "evaluate_epochs",
    "extract",
    "kid",
    "kid_real_real",
    "kmeans",
    "mean_images",
    "memorisation",
    "nearest",
    "require_extractor",
]
