"""Faces of rooms: the names that a room offers, each loaded when it is first used."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_face(
    room: str, files: Mapping[str, Sequence[str]]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__all__``, ``__getattr__`` and ``__dir__`` of a room (PEP 562).

    A room that imported its files would import torch with them, and so take seconds where one
    file without torch is wanted, as the command line does to check what was typed.

    Parameters
    ----------
    room
        Its ``__name__``.
    files
        What each file offers. A file that offers nothing is itself offered.
    """
    home = {name: file for file, names in files.items() for name in names}
    offered = sorted([*home, *(file for file, names in files.items() if not names)])

    def load(name: str) -> Any:
        if name in home:
            return getattr(importlib.import_module(f"{room}.{home[name]}"), name)
        if name.startswith("_") or importlib.util.find_spec(f"{room}.{name}") is None:
            raise AttributeError(f"module '{room}' has no attribute '{name}'")
        return importlib.import_module(f"{room}.{name}")

    return offered, load, lambda: offered
