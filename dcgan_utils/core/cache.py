"""A cache for arrays that are slow to compute: files in ``data/.cache``, named by a hash."""

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

from dcgan_utils.core.errors import NotWritable
from dcgan_utils.core.files import atomic_write, data_dir, ensure_dir

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A cache entry: named arrays, and plain values as they come back from JSON."""

    arrays: dict[str, np.ndarray]
    about: Any


def content_hash(array: np.ndarray) -> str:
    """Return a hex digest of an array's shape and bytes."""
    digest = hashlib.blake2b(str(array.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def location(kind: str, *parts: Any) -> Path:
    """Return the cache file for these inputs, which JSON must be able to represent."""
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=20)
    return data_dir() / ".cache" / f"{kind}-{digest.hexdigest()}.npz"


def read(path: Path, parse: Callable[[Entry], T]) -> T | None:
    """Return a cached entry as ``parse`` parses it, or None; a damaged file is deleted."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored}  # checks the zip's checksums
        return parse(Entry(arrays, json.loads(str(arrays.pop("about")))))
    except Exception as error:  # anything: zipfile, NumPy or json, on a damaged file
        logger.warning("The cache file %s is damaged (%s): computing it again.", path.name, error)
        with contextlib.suppress(OSError):
            path.unlink()
        return None


def write(path: Path, arrays: Mapping[str, np.ndarray], about: Any = None) -> None:
    """Write arrays atomically. A cache that cannot be written is only a warning."""
    try:
        ensure_dir(path.parent)
        with atomic_write(path) as stream:
            np.savez(stream, **arrays, about=np.array(json.dumps(about)))
    except NotWritable as error:
        logger.warning("The result could not be cached: %s", error)
