"""The environment of a result: the machine, and the versions of the libraries."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from dcgan_utils import __version__
from dcgan_utils.core.errors import WorkbookError, first_line
from dcgan_utils.core.parameters import aligned


def environment() -> dict[str, str]:
    """Return library versions, system and number of threads."""
    import numpy as np
    import PIL
    import torch

    return {
        "dcgan_utils": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "system": platform.platform(),
        "threads": str(torch.get_num_threads()),
    }


def provenance(facts: Mapping[str, Any]) -> str:
    """Return the facts behind a notebook's results and the `environment`, one per line."""
    return aligned({**facts, **environment()})


@functools.cache
def bf16_units() -> str | None:
    """Return the bf16 matrix units of this CPU: ``"amx"``, ``"avx512_bf16"`` or ``None``."""
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    if capabilities.get("amx_bf16"):
        return "amx"
    return "avx512_bf16" if capabilities.get("avx512_bf16") else None


def multiplies_bf16_fast(device: str) -> bool:
    """Return whether a device multiplies bf16 natively: AVX512-BF16, AMX, CUDA from 8.0 on."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device == "cpu" and bf16_units() is not None


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Say how to install an extra of this package if an import within the block fails.

    Raises
    ------
    WorkbookError
        If one fails.
    """
    try:
        yield
    except Exception as error:  # it is missing, or versions do not fit, which raises many types
        raise WorkbookError(
            f"the extra '{extra}' cannot be loaded ({first_line(error)}): run "
            f'pip install "dcgan-utils[{extra}]".'
        ) from error


def has_tensorboard() -> bool:
    """Return whether TensorBoard is installed; it is not imported.

    A folder of that name in the working directory does not count, such as a run's.
    """
    spec = find_spec("tensorboard")
    return spec is not None and spec.origin is not None


def machine(device: str = "cpu") -> str:
    """Describe the processor (cores, memory, bf16 units) or the GPU."""
    import psutil
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    name = getattr(torch.cpu, "get_capabilities", dict)().get("cpu_name") or platform.machine()
    units = {"amx": "AMX", "avx512_bf16": "AVX512-BF16", None: "no fast bf16"}
    memory = psutil.virtual_memory().total / 2**30
    cores = psutil.cpu_count(logical=False) or os.cpu_count()
    return f"{name}, {cores} cores, {memory:.0f} GiB, {units[bf16_units()]}"


def shared_memory_error(error: Exception) -> WorkbookError:
    """Return what to raise if processes found no place in ``/dev/shm`` for what they share."""
    return WorkbookError(
        "processes share their data through /dev/shm, which is too small or not writable here "
        f"({first_line(error)}): give it 1 GB, in Docker by --shm-size=1g."
    )
