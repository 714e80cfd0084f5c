"""Arrays that take long to make, kept in ``data/.cache`` under what they were made from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import atomic_write, data_dir, ensure_dir

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """What was kept: named arrays, and plain values as JSON gives them back."""

    arrays: dict[str, np.ndarray]
    about: Any


def content_hash(array: np.ndarray) -> str:
    """Return a hex digest of an array's shape and bytes."""
    digest = hashlib.blake2b(str(array.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def location(kind: str, *parts: Any) -> Path:
    """Return the file for what is made from these parts (anything that JSON can hold)."""
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=20)
    return data_dir() / ".cache" / f"{kind}-{digest.hexdigest()}.npz"


def read(path: Path, understood: Callable[[Entry], T]) -> T | None:
    """Return what was kept, as ``understood`` reads it, or None; a damaged file is thrown away."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored}  # the zip's checksums are tested
        return understood(Entry(arrays, json.loads(str(arrays.pop("about")))))
    except Exception as error:  # whatever a damaged file makes zipfile, NumPy or json raise
        logger.warning("The cache %s is damaged (%s) and is made again.", path.name, error)
        with contextlib.suppress(OSError):
            path.unlink()
        return None


def write(path: Path, arrays: Mapping[str, np.ndarray], about: Any = None) -> None:
    """Keep arrays in one step, so a killed process leaves no half file.

    A cache that cannot be written is only warned of: the arrays are there.
    """
    try:
        ensure_dir(path.parent)
        with atomic_write(path) as stream:
            np.savez(stream, **arrays, about=np.array(json.dumps(about)))
    except WorkbookError as error:
        logger.warning("What was computed could not be cached: %s", error)
