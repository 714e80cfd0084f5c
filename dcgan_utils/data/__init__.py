"""Image collections: a name, folder or zip in; one validated uint8 tensor and a report out."""

from dcgan_utils.data.decode import COPIES
from dcgan_utils.data.duplicates import describe_duplicates, find_duplicates
from dcgan_utils.data.labels import categories, classes_of, read_labels
from dcgan_utils.data.load import Dataset, LoadReport, load_copies, load_dataset
from dcgan_utils.data.statistics import (
    describe_horizon,
    describe_round_canvases,
    find_horizon,
    find_round_canvases,
    pixel_statistics,
    pixel_vectors,
    sharpness,
)
from dcgan_utils.data.tensors import to_float, to_uint8

__all__ = [
    "COPIES",
    "Dataset",
    "LoadReport",
    "categories",
    "classes_of",
    "describe_duplicates",
    "describe_horizon",
    "describe_round_canvases",
    "find_duplicates",
    "find_horizon",
    "find_round_canvases",
    "load_copies",
    "load_dataset",
    "pixel_statistics",
    "pixel_vectors",
    "read_labels",
    "sharpness",
    "to_float",
    "to_uint8",
]
