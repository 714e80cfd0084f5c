"""The labels of a collection, from its ``labels.csv`` files, if it has any."""

from __future__ import annotations

import csv
import io
import logging
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.data.formats import NotAnImage
from dcgan_utils.data.listing import SourceFile, normalise_name, open_listing
from dcgan_utils.data.load import Dataset

if TYPE_CHECKING:
    import pandas as pd


logger = logging.getLogger(__name__)
MAX_CATEGORIES = 30


def read_labels(dataset: Dataset) -> pd.DataFrame:
    """Read every ``labels.csv`` of a collection.

    Such a file has a column ``file``, with paths relative to its own folder, and any others. The
    embedded collections have one, and yours may too. Names that fit no image are logged.

    Returns
    -------
    pandas.DataFrame
        One row per image, in the order of `Dataset.files`; text in every column, None for missing
        values. Without labels it has no columns.
    """
    import pandas as pd

    with open_listing(dataset.source, dataset.folders) as listing:
        tables = {
            item.name: _rows(item)
            for item in listing
            if item.read and PurePosixPath(item.name).name.lower() == "labels.csv"
        }
    rows, find = {}, _finder(dataset.files)
    for table, named in tables.items():
        if named is not None:
            rows |= {file: row for name, row in named if (file := find(name))}
            _tell_what_does_not_fit(table, [name for name, _ in named], find)
    known = {name: rows[name] for name in dataset.files if name in rows}
    return pd.DataFrame.from_dict(known, orient="index", dtype=object).reindex(dataset.files)


def _finder(files: Sequence[str]) -> Callable[[str], str | None]:
    """Return a function that finds an image by its name, in another case if that is unique."""
    exact = set(files)
    folded = Counter(file.casefold() for file in files)
    by_fold = {file.casefold(): file for file in files if folded[file.casefold()] == 1}
    return lambda name: name if name in exact else by_fold.get(name.casefold())


def _tell_what_does_not_fit(
    table: str, names: list[str], find: Callable[[str], str | None]
) -> None:
    otherwise = {name: file for name in names if (file := find(name)) not in (None, name)}
    for name, file in [*otherwise.items()][:1]:
        logger.warning(
            "%s writes names in another case, which are matched all the same: %d (such as '%s' for "
            "'%s').",
            *(table, len(otherwise), name, file),
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        logger.warning(
            "%s names %d %s more than once (such as '%s'): the last row counts.",
            *(table, len(twice), "file" if len(twice) == 1 else "files", twice[0]),
        )
    missing = [name for name in names if find(name) is None]
    if not names:
        logger.warning("%s names no file.", table)
    elif missing:
        which = "none of them here" if missing == names else f"{len(missing)} of them not here"
        logger.warning(
            "%s names %d %s, %s (such as '%s'): a name is relative to the folder of the table.",
            *(table, len(names), "file" if len(names) == 1 else "files", which, missing[0]),
        )


def _rows(file: SourceFile) -> list[tuple[str, dict[str, str]]] | None:
    """Return the name of an image and the labels in each row; None if it is no such table."""
    folder = PurePosixPath(file.name).parent
    try:
        rows = _parsed(file.read().decode("utf-8-sig"))
        named = [(row.pop("file"), row) for row in rows]
    except (NotAnImage, UnicodeDecodeError, csv.Error, KeyError) as error:
        logger.warning(
            "%s is ignored (%s): it must be a table in UTF-8 with a column 'file', separated by "
            "commas, semicolons or tabs.",
            file.name,
            _why_no_table(error),
        )
        return None
    return [(_file_name(folder, cell), row) for cell, row in named if cell]


def _parsed(text: str) -> list[dict[str, str | None]]:
    """Return the rows of a table, without the blanks around names and values."""
    text = unicodedata.normalize("NFC", text).lstrip("\r\n")
    if "\n" not in text:  # as spreadsheets on a Mac write lines
        text = text.replace("\r", "\n")
    options = {"strict": True, "skipinitialspace": True, "delimiter": _delimiter(text)}
    reader = csv.DictReader(io.StringIO(text), **options)
    reader.fieldnames = columns = [name.strip() for name in reader.fieldnames or ()]
    if twice := [name for name in columns if name and columns.count(name) > 1]:
        raise csv.Error(f"it has two columns '{twice[0]}'")
    return [
        # Cells after the last column have None for its name.
        {column: (value or "").strip() or None for column, value in row.items() if column}
        for row in reader
    ]


def _why_no_table(error: Exception) -> str:
    if isinstance(error, KeyError):
        return "it has no column 'file'"
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _delimiter(text: str) -> str:
    """Return what separates the columns: Excel writes semicolons in half of Europe."""
    header = text.partition("\n")[0].strip()
    columns = {mark: [name.strip(' "') for name in header.split(mark)] for mark in ",;\t"}
    return next((mark for mark, names in columns.items() if "file" in names), ",")


def _file_name(folder: PurePosixPath, cell: str) -> str:
    """Return the name that a cell gives to an image, as listings write it."""
    return posixpath.normpath(folder / normalise_name(cell.replace("\\", "/")))


def categories(labels: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that divide the images into 2 to 30 groups, and fewer than images."""
    dividing = [
        column
        for column, values in labels.items()
        if 2 <= values.nunique() <= min(MAX_CATEGORIES, values.count() - 1)
    ]
    return labels[dividing]


def parse_booleans(values: pd.Series) -> list[bool]:
    """Parse a column of yes and no: ``true``, ``yes`` and ``1`` mean yes, in any case."""
    return [str(value).strip().lower() in ("true", "yes", "1") for value in values]


def precision_recall(found: Collection[int], truth: Sequence[bool]) -> tuple[float, float]:
    """Return precision and recall, 0 to 1; NaN if nothing was found, or nothing is true.

    Parameters
    ----------
    found
        Indices of images.
    truth
        For each image, whether it should be found.
    """
    hits = sum(bool(truth[number]) for number in found)
    positives = sum(map(bool, truth))
    return (
        hits / len(found) if len(found) else float("nan"),
        hits / positives if positives else float("nan"),
    )


def classes_of(dataset: Dataset, column: str | None = None) -> pd.Series | None:
    """Return each image's class, as a series with the name of the column, or None.

    Every class must have at least five images, so that a classifier can be trained and tested on
    each, and every image must have one. Without a ``column`` the first suitable one is used; the
    result is None if there is none.

    Raises
    ------
    WorkbookError
        If the given column is not suitable.
    """
    known = categories(read_labels(dataset)).dropna(axis="columns")
    suitable = [name for name, classes in known.items() if classes.value_counts().min() >= 5]
    column = column and normalise_name(column)
    if column is None:
        column = next(iter(suitable), None)
    elif column not in suitable:
        available = ", ".join(suitable) or "none"
        raise WorkbookError(
            f"the label '{column}' does not sort all images of {dataset.name} into classes of five "
            f"or more. Available: {available}."
        )
    return None if column is None else known[column]
