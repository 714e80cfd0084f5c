"""A cache for arrays that are slow to compute: files in ``data/.cache``, named by a hash."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib.util
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dcgan_utils.core.errors import NotWritable, WorkbookError
from dcgan_utils.core.files import atomic_write, cache_dir, ensure_dir

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A cache entry: named arrays, and plain values as they come back from JSON."""

    arrays: dict[str, np.ndarray]
    about: Any


def ensure_numba_dir() -> Path | None:
    """Choose the folder where numba keeps what it compiles; call this before importing UMAP.

    By default that is beside the source, or in the user's folder of caches. Where neither can be
    written, as in many containers, numba refuses to compile; then it is a folder in
    ``data/.cache``, or a temporary one. The user's own choice stays if it can be written.

    Returns
    -------
    Path or None
        The folder; None where numba's own choice is left.
    """
    own = os.environ.get("NUMBA_CACHE_DIR")
    if not own and _numba_has_a_place():
        return None
    for folder in filter(None, (own and Path(own), cache_dir() / "numba")):
        with contextlib.suppress(OSError, WorkbookError):
            ensure_dir(folder)
            with tempfile.TemporaryFile(dir=folder):
                break
    else:
        folder = Path(tempfile.mkdtemp(prefix="numba-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    return folder


def _numba_has_a_place() -> bool:
    source = Path(importlib.util.find_spec("pynndescent").origin)
    places = [source.with_name("__pycache__")]
    with contextlib.suppress(RuntimeError):  # in some containers a user has no home
        places.append(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "numba")
    return any(map(_may_be_made, places))


def _may_be_made(folder: Path) -> bool:
    """Tell whether a folder can be written, or made and written."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return there.is_dir() and os.access(there, os.W_OK)


def content_hash(array: np.ndarray) -> str:
    """Return a hex digest of an array's shape and bytes."""
    digest = hashlib.blake2b(str(array.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def location(kind: str, *parts: Any) -> Path:
    """Return the cache file for these inputs, which JSON must be able to represent."""
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=20)
    return cache_dir() / f"{kind}-{digest.hexdigest()}.npz"


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
