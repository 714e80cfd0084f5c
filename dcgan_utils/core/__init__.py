"""Foundations without images or runs: errors, files, seeds, cache, parameters, machine."""

from dcgan_utils.core.environment import machine
from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.files import (
    data_dir,
    report_dir,
    reports_dir,
    runs_dir,
    write_csv,
    write_gif,
    write_tables,
)
from dcgan_utils.core.seeds import stream

__all__ = [
    "NotEnoughData",
    "WorkbookError",
    "data_dir",
    "machine",
    "report_dir",
    "reports_dir",
    "runs_dir",
    "stream",
    "write_csv",
    "write_gif",
    "write_tables",
]
