"""Where the workbook keeps its pictures and its results."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["data_dir", "home", "notebooks_dir", "report_dir", "reports_dir", "runs_dir"]

_CHECKOUT = Path(__file__).resolve().parent.parent


def home() -> Path:
    """Return the folder that holds ``data/`` and ``reports/``.

    It is the checkout that this package was imported from, so a notebook finds its results
    from any working directory. The environment variable ``DCGAN_HOME`` names another one;
    a package installed without its checkout uses the working directory.
    """
    chosen = os.environ.get("DCGAN_HOME")
    if chosen:
        return Path(chosen).expanduser().resolve()
    return _CHECKOUT if (_CHECKOUT / "notebooks").is_dir() else Path.cwd()


def data_dir() -> Path:
    """Return the folder of the picture collections."""
    return home() / "data"


def reports_dir() -> Path:
    """Return the folder of the HTML pages, one subfolder a collection."""
    return home() / "reports"


def report_dir(collection: str) -> Path:
    """Return the folder of a collection's pages."""
    # reports/runs/ holds the run folders, so a collection of that name needs another.
    return reports_dir() / (collection if collection != "runs" else "runs-report")


def runs_dir() -> Path:
    """Return the folder of the run folders."""
    return reports_dir() / "runs"


def notebooks_dir() -> Path:
    """Return the folder of the notebooks as they are stored (never the executed copies)."""
    return _CHECKOUT / "notebooks"
