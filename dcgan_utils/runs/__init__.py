"""One training and its folder: train, resume, sample, interpolate."""

from dcgan_utils.runs import interpolation
from dcgan_utils.runs.run import Run, find_runs
from dcgan_utils.runs.sampling import (
    collection_of,
    draw,
    load_generator,
    load_pair,
    most_real,
    sample,
)
from dcgan_utils.runs.training import Watcher, train

__all__ = [
    "Run",
    "Watcher",
    "collection_of",
    "draw",
    "find_runs",
    "interpolation",
    "load_generator",
    "load_pair",
    "most_real",
    "sample",
    "train",
]
