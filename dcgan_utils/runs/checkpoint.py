"""Weight files: written atomically, verified by checksum, and read without executing code."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import write_bytes

MOST_KEPT = 16  # epochs whose weights are kept, besides the last


class Damaged(WorkbookError):
    """The checksums of a file do not match: it is not what was written."""


def save(path: Path, state: dict[str, Any], *, previous: Path | None = None) -> None:
    """Write tensors and plain types atomically; see `files.atomic_write`."""
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)  # to memory first: on a full disk, torch would hide the reason
    write_bytes(path, buffer.getbuffer(), previous=previous)


def load(path: Path, advice: str) -> dict[str, Any]:
    """Verify the checksums of a file that `save` wrote, and load it on the CPU.

    Parameters
    ----------
    advice
        Last sentence of the error message: what to do if the file is damaged.

    Raises
    ------
    Damaged
        If the checksums do not match.
    WorkbookError
        If the file cannot be read, or contains more than tensors and plain types.
    """
    import torch

    try:
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise WorkbookError(
            f"the checkpoint '{path}' cannot be read ({error.strerror or error})."
        ) from error
    try:
        with zipfile.ZipFile(content) as parts:  # torch writes a zip, which has checksums
            compressed = any(part.compress_type != zipfile.ZIP_STORED for part in parts.infolist())
            if compressed or parts.testzip() is not None:
                raise zipfile.BadZipFile
    except MemoryError:
        raise
    except Exception as error:  # zipfile raises many types on damaged files
        raise Damaged(f"the checkpoint '{path}' is damaged. {advice}") from error
    content.seek(0)
    try:
        return torch.load(content, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch raises a dozen types for files that it rejects
        raise WorkbookError(
            f"the checkpoint '{path}' cannot be read ({type(error).__name__}). {advice}"
        ) from error


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error means out of memory; for the CPU, torch has no type of its own."""
    import torch

    known = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
    return known or (isinstance(error, RuntimeError) and "allocate memory" in str(error))


def epochs_to_keep(epochs: int) -> list[int]:
    """Return the epochs whose weights are kept: evenly spaced round numbers, and the last epoch.

    These are every 50th of 700 epochs, every 25th of 400, every second of 25, and all of 16.
    """
    steps = (step * 10**power for power in range(7) for step in (1, 2, 2.5, 5))
    step = next(int(s) for s in steps if s == int(s) and epochs / s <= MOST_KEPT)
    return sorted({*range(step, epochs + 1, step), epochs})
