"""Files of weights: written whole, tested by their checksums, read without running anything."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import write_bytes


class Damaged(WorkbookError):
    """A file whose checksums say that it is not what was written."""


def save(path: Path, state: dict[str, Any], *, former: Path | None = None) -> None:
    """Write tensors and plain types, whole or not at all; see `files.atomic_write`."""
    buffer = io.BytesIO()
    torch.save(state, buffer)  # into memory: on a full disk torch would hide the reason
    write_bytes(path, buffer.getbuffer(), former=former)


def load(path: Path, advice: str) -> dict[str, Any]:
    """Read what `save` wrote, on the CPU, once its checksums are tested.

    Parameters
    ----------
    path
        The file.
    advice
        What to do if it cannot be read.

    Raises
    ------
    Damaged
        If it is not what was written.
    WorkbookError
        If it cannot be read, or holds more than tensors and plain types.
    """
    try:
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise WorkbookError(
            f"the checkpoint '{path}' cannot be read ({error.strerror or error})."
        ) from error
    try:
        with zipfile.ZipFile(content) as parts:  # what torch writes is a zip, with checksums
            packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts.infolist())
            if packed or parts.testzip() is not None:
                raise zipfile.BadZipFile
    except MemoryError:
        raise
    except Exception as error:  # whatever zipfile stumbles on
        raise Damaged(f"the checkpoint '{path}' is damaged. {advice}") from error
    content.seek(0)
    try:
        return torch.load(content, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch raises a dozen kinds for what it will not read
        raise WorkbookError(
            f"the checkpoint '{path}' cannot be read ({type(error).__name__}). {advice}"
        ) from error


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error says that memory is short; for the CPU's, torch has no kind."""
    known = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
    return known or (isinstance(error, RuntimeError) and "allocate memory" in str(error))


def epochs_to_keep(epochs: int, *, most: int = 16) -> list[int]:
    """Return the epochs of a training after which the weights are kept: round ones, evenly.

    Every 50th of 700, every 25th of 400, every second of 25, each one up to 16; and the last.
    """
    steps = (step * 10**power for power in range(7) for step in (1, 2, 2.5, 5))
    step = next(int(s) for s in steps if s == int(s) and epochs / s <= most)
    return sorted({*range(step, epochs + 1, step), epochs})
