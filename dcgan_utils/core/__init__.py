"""Foundations without images or runs: errors, files, seeds, cache, parameters, machine."""

from dcgan_utils.core.environment import machine
from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.files import (
    report_dir,
    report_name,
    reports_dir,
    warn_if_not_writable,
    write_csv,
    write_tables,
)
from dcgan_utils.core.seeds import stream

__all__ = [
    "NotEnoughData",
    "WorkbookError",
    "machine",
    "report_dir",
    "report_name",
    "reports_dir",
    "stream",
    "warn_if_not_writable",
    "write_csv",
    "write_tables",
]
