"""One training and its folder: train, resume, sample, interpolate."""

from dcgan_utils.runs.interpolation import (
    along,
    latent_grid,
    lerp,
    midpoint_norm_ratio,
    project,
    sample_endpoints,
    slerp,
    typical_norms,
    walk_frames,
)
from dcgan_utils.runs.run import Run, find_runs
from dcgan_utils.runs.sampling import (
    collection_of,
    draw,
    load_generator,
    load_pair,
    most_real,
    sample,
)
from dcgan_utils.runs.training import train

__all__ = [
    "Run",
    "along",
    "collection_of",
    "draw",
    "find_runs",
    "latent_grid",
    "lerp",
    "load_generator",
    "load_pair",
    "midpoint_norm_ratio",
    "most_real",
    "project",
    "sample",
    "sample_endpoints",
    "slerp",
    "train",
    "typical_norms",
    "walk_frames",
]
