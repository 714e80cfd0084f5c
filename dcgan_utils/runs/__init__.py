"""One training and its folder: train, resume, sample, interpolate."""

from dcgan_utils.runs.interpolation import (
    along,
    describe_midpoints,
    describe_projection,
    describe_typical_norms,
    latent_grid,
    lerp,
    project,
    sample_endpoints,
    slerp,
    typical_norms,
    write_walk,
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
    "describe_midpoints",
    "describe_projection",
    "describe_typical_norms",
    "draw",
    "find_runs",
    "latent_grid",
    "lerp",
    "load_generator",
    "load_pair",
    "most_real",
    "project",
    "sample",
    "sample_endpoints",
    "slerp",
    "train",
    "typical_norms",
    "write_walk",
]
