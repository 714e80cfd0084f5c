"""The history of a run: a CSV file of one row an epoch, which survives what befalls it."""

from __future__ import annotations

import csv
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import told_when_not_writable, write_bytes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["History"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class History:
    """The file, which need not exist yet; its columns are those of the first row."""

    path: Path

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        """Return header and readable rows of the history; a lost one is told.

        But for the last one: a killed process may leave half a row.
        """
        if not self.path.exists():
            return ["epoch"], []
        try:
            with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
                header, *rows = list(csv.reader(file)) or [["epoch"]]
        except csv.Error:
            header, rows = [], []
        if header[:1] != ["epoch"] or not all(name.isidentifier() for name in header):
            raise WorkbookError(
                f"'{self.path}' is damaged from its first line on. Delete it to go on "
                "without the epochs that are behind."
            )
        kept = [row for row in rows if len(row) == len(header) and _are_numbers(row)]
        lost = len(rows) - len(kept) - (bool(rows) and rows[-1] not in kept[-1:])
        if lost:
            logger.warning("%d lines of '%s' are damaged: left out.", lost, self.path)
        return header, kept

    def table(self) -> pd.DataFrame:
        """Return one row an epoch; may be empty.

        Raises
        ------
        WorkbookError
            If the first line cannot be read: then nobody knows what the numbers are.
        """
        import pandas as pd

        header, rows = self._rows()
        return pd.DataFrame(rows, columns=header).astype(float).astype({"epoch": int})

    def append(self, row: dict[str, float]) -> None:
        """Append one epoch; it is on the disk when this returns."""
        new = not self.path.exists()
        with told_when_not_writable(self.path), self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(row)
            writer.writerow(row.values())
            file.flush()
            os.fsync(file.fileno())  # before the checkpoint that counts on it

    def forget_after(self, epoch: int) -> None:
        """Drop what was written after ``epoch``."""
        header, rows = self._rows()
        kept = [row for row in rows if float(row[0]) <= epoch]
        if not kept:
            self.path.unlink(missing_ok=True)
            return
        text = "".join(",".join(row) + "\r\n" for row in [header, *kept])
        write_bytes(self.path, text.encode())


def _are_numbers(row: list[str]) -> bool:
    try:
        numbers = [float(gauge) for gauge in row]
    except ValueError:
        return False
    return numbers[0].is_integer() and 0 < numbers[0] < 1e9
