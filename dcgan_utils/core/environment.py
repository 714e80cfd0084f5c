"""What a result rests on: the machine, its rate, and the versions of the libraries."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import psutil
import torch

from dcgan_utils import __version__
from dcgan_utils.core.parameters import aligned
from dcgan_utils.gan import convolutions


def environment() -> dict[str, str]:
    """Return the versions and the machine that a result rests on."""
    import PIL

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
    """Return what a notebook's results rest on, a line each: its facts, then `environment`."""
    return aligned({**facts, **environment()})


def machine(device: str = "cpu") -> str:
    """Return processor or GPU, cores, memory and bf16 units in words."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    name = getattr(torch.cpu, "get_capabilities", dict)().get("cpu_name") or platform.machine()
    units = {"amx": "AMX", "avx512_bf16": "AVX512-BF16", None: "no fast bf16"}
    memory = psutil.virtual_memory().total / 2**30
    cores = psutil.cpu_count(logical=False) or os.cpu_count()
    return f"{name}, {cores} cores, {memory:.0f} GiB, {units[convolutions.bf16_units()]}"


def ceiling(precision: str, device: str = "cpu", *, seconds: float = 1.0) -> float:
    """Return the best rate of a matrix product here, in operations a second.

    Parameters
    ----------
    precision
        ``"fp32"`` or ``"bf16"``.
    device
        Where it is measured.
    seconds
        How long each of three sizes is tried.
    """
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    best = 0.0
    for side in (1024, 2048, 4096):
        one, other = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
        ended = time.perf_counter() + seconds
        while time.perf_counter() < ended:
            best = max(best, 2 * side**3 / seconds_of(lambda a=one, b=other: a @ b, device))
    return best


def seconds_of(work: Callable[[], Any], device: str = "cpu") -> float:
    """Return how long some work takes, on a GPU until it is done there."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
