"""The errors that are meant for the reader of a notebook."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PlainMessage:
    """An exception that a notebook shows as its message alone.

    So it does under papermill and in the HTML report: the stack trace would hide the sentence
    that helps.
    """

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class WorkbookError(PlainMessage, ValueError):
    """Something the user can put right: the message says what, where and how."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'gamma'?"`` for the known name nearest to ``word``, or ``""``."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


class NotEnoughData(WorkbookError):
    """There is too little for an analysis, such as a plane for one image: not a mistake."""


def first_line(error: Exception) -> str:
    """Return the first words of a library's error, for a reason in brackets."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:100].rstrip(".")


def escape_markdown(text: str) -> str:
    """Return a stranger's text so that Markdown and HTML show it letter by letter."""
    harmless = " .,-"
    return "".join(c if c.isalnum() or c in harmless else f"&#{ord(c)};" for c in text)
