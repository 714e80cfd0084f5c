"""Arrays that take long to make, kept in ``data/.cache`` under what they were made from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcgan_utils.errors import WorkbookError
from dcgan_utils.files import told_when_not_writable, written_whole
from dcgan_utils.paths import data_dir

__all__ = ["Entry", "content_hash", "location", "read", "write"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """What was kept: named arrays, their hashes, and plain values as JSON gives them back."""

    arrays: dict[str, np.ndarray]
    hashes: dict[str, str]
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


def read(path: Path) -> Entry | None:
    """Return what was kept, or None; a damaged file is thrown away."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            meta = json.loads(str(stored["meta"]))
            arrays = {name: stored[name] for name in meta["hashes"]}
        if any(content_hash(arrays[name]) != meta["hashes"][name] for name in arrays):
            raise ValueError("the values are not those that were stored")
        return Entry(arrays, meta["hashes"], meta["about"])
    except Exception as error:  # whatever a damaged file makes zipfile, NumPy or json raise
        logger.warning("The cache %s is damaged (%s) and is made again.", path.name, error)
        with contextlib.suppress(OSError):
            path.unlink()
        return None


def write(path: Path, arrays: Mapping[str, np.ndarray], about: Any = None) -> dict[str, str]:
    """Keep arrays in one step, so a killed process leaves no half file; return their hashes.

    A cache that cannot be written is only warned of: the arrays are there.
    """
    hashes = {name: content_hash(array) for name, array in arrays.items()}
    meta = np.array(json.dumps({"hashes": hashes, "about": about}))
    try:
        with told_when_not_writable(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as stream:
            np.savez(stream, **arrays, meta=meta)
    except WorkbookError as error:
        logger.warning("What was computed could not be cached: %s", error)
    return hashes
