"""Errors that are written for the user, and helpers for their messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class PlainMessage:
    """An exception that notebooks, papermill and HTML pages show without a stack trace.

    The stack trace would hide the sentence that helps.
    """

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class WorkbookError(PlainMessage, ValueError):
    """An error that the user can fix; the message says what is wrong, where, and what to do."""


class NotWritable(WorkbookError):
    """A file or folder cannot be written; nothing is wrong with what it should hold."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'gamma'?"`` with the known name closest to ``word``, or ``""``."""
    by_fold = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), list(by_fold), n=1, cutoff=0.6)
    return f" Did you mean '{by_fold[near[0]]}'?" if near else ""


class NotEnoughData(WorkbookError):
    """There is too little data for an analysis, such as a plot of one image; not a mistake."""


@contextmanager
def ignore_file_errors() -> Iterator[None]:
    """Go on after any error of reading a part of a file that is not needed.

    If the memory is too short, that is not an error of the file, and is raised.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception:  # libraries raise many types
        return


def first_line(error: Exception) -> str:
    """Return the first line of a library's error message, for use in parentheses."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:100].rstrip(".")


def escape_markdown(text: str) -> str:
    """Escape untrusted text for Markdown and HTML."""
    harmless = " .,-"
    return "".join(c if c.isalnum() or c in harmless else f"&#{ord(c)};" for c in text)
