"""What is known about the images of a collection: its ``labels.csv``, if it has one."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.data.decode import NotAnImage
from dcgan_utils.data.load import Dataset
from dcgan_utils.data.sources import SourceFile, normalise_name, open_listing

if TYPE_CHECKING:
    import pandas as pd


logger = logging.getLogger(__name__)
MAX_CATEGORIES = 30


def read_labels(dataset: Dataset) -> pd.DataFrame:
    """Read every ``labels.csv`` of a collection.

    Such a file has a column ``file``, relative to its own folder, and any others. The embedded
    collections have one; so may yours.

    Parameters
    ----------
    dataset
        A collection, from a folder or a zip.

    Returns
    -------
    pandas.DataFrame
        One row an image, in the order of `Dataset.files`; text in every column, None where
        nothing is known. Without labels it has no columns.
    """
    import pandas as pd

    with open_listing(dataset.source, dataset.folders) as files:
        rows = {
            name: row
            for file in files
            if PurePosixPath(file.name).name == "labels.csv"
            for name, row in _rows(file)
        }
    known = {name: rows[name] for name in dataset.files if name in rows}
    return pd.DataFrame.from_dict(known, orient="index", dtype=object).reindex(dataset.files)


def _rows(file: SourceFile) -> Iterator[tuple[str, dict[str, str]]]:
    folder = PurePosixPath(file.name).parent
    try:
        rows = list(csv.DictReader(io.StringIO(file.read().decode("utf-8-sig")), strict=True))
        named = [(normalise_name(str(folder / row.pop("file"))), row) for row in rows]
    except (NotAnImage, UnicodeDecodeError, csv.Error, KeyError, TypeError) as error:
        logger.warning(
            "%s is left aside (%r): it should be a table in UTF-8, separated by commas, with a "
            "column 'file'.",
            file.name,
            error,
        )
        return
    for name, row in named:
        row.pop(None, None)  # cells beyond the last column
        yield name, {column: value or None for column, value in row.items()}


def categories(labels: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that sort images into groups: 2 to 30, not one for each image."""
    sorting = [
        column
        for column, values in labels.items()
        if 2 <= values.nunique() <= min(MAX_CATEGORIES, values.count() - 1)
    ]
    return labels[sorting]


def parse_booleans(values: pd.Series) -> list[bool]:
    """Read a column of yes and no: ``true``, ``yes`` and ``1`` in any case mean yes."""
    return [str(value).strip().lower() in ("true", "yes", "1") for value in values]


def precision_recall(found: Collection[int], truth: Sequence[bool]) -> tuple[float, float]:
    """Return which share of the found is true, and which share of the true is found.

    Parameters
    ----------
    found
        Numbers of images.
    truth
        Whether each image is one of those to be found.

    Returns
    -------
    tuple of float
        Precision and recall, 0 to 1; NaN where nothing was found, or is there to find.
    """
    hits = sum(bool(truth[number]) for number in found)
    there = sum(map(bool, truth))
    return (
        hits / len(found) if len(found) else float("nan"),
        hits / there if there else float("nan"),
    )


def classes_of(dataset: Dataset, column: str | None = None) -> pd.Series | None:
    """Return each image's kind, named as the column is, if there are labels for all of them.

    Parameters
    ----------
    dataset
        The images.
    column
        Of their labels; without one the first that sorts them into kinds of five images or more,
        so that a classifier can learn and be tested on each.

    Raises
    ------
    WorkbookError
        If the column named does not.
    """
    known = categories(read_labels(dataset)).dropna(axis="columns")
    enough = [name for name, kinds in known.items() if kinds.value_counts().min() >= 5]
    if column is None:
        column = next(iter(enough), None)
    elif column not in enough:
        listed = ", ".join(enough) or "none"
        raise WorkbookError(
            f"'{column}' does not sort all images of {dataset.name} into kinds of five or more. "
            f"What does: {listed}."
        )
    return None if column is None else known[column]
