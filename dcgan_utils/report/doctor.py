"""What this installation has and can do, and its problems: ``dcgan doctor``."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from dcgan_utils.core import environment
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import data_dir, home, notebooks_dir, reports_dir, runs_dir
from dcgan_utils.data.painted import PAINTERS
from dcgan_utils.data.sources import KAGGLE, locate
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.runs.run import Run

ENOUGH_DISK = 2 * 2**30  # bytes: twice what a report's pages, runs and caches take
_INSTALL = "'pip install \"dcgan-utils[lab]\"' installs what notebooks need."
_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "jupyterlab", "papermill", "umap-learn")


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Attributes
    ----------
    topic, message : str
        What was examined, and what was found.
    advice : str
        What to do about a problem; empty if there is none.
    """

    topic: str
    message: str
    advice: str = ""


def examine() -> list[Finding]:
    """Examine versions, kernel, machine, device, folders, collections, runs and disk."""
    return [
        Finding("Python", f"{sys.version.split()[0]}, {sys.executable}"),
        _packages(),
        _kernel(),
        Finding("machine", environment.machine()),
        *_device(),
        _home(),
        *map(_collection, [*PAINTERS, *KAGGLE]),
        _runs(),
        _disk(),
    ]


def _packages() -> Finding:
    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    advice = f"Missing: {', '.join(missing)}. {_INSTALL}" if missing else ""
    return Finding("packages", ", ".join(found), advice)


def _kernel() -> Finding:
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return Finding("kernel", "Jupyter is not installed", _INSTALL)
    advice = (
        "Notebooks would run with another Python. "
        f"'{sys.executable} -m ipykernel install --sys-prefix' makes this one their kernel."
    )
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Finding("kernel", "there is no Jupyter kernel 'python3'", advice)
    bare = spec.argv[0] in ("python", "python3")  # Jupyter replaces it by its own Python
    python = sys.executable if bare else spec.argv[0]
    same = _same(python, sys.executable)
    return Finding("kernel", f"python3 is {python}", "" if same else advice)


def _same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other) and Path(one).parent.samefile(Path(other).parent)
    except OSError:
        return False


def _device() -> list[Finding]:
    config = TrainConfig.resolve()
    if config.device != "cpu":
        device = f"{config.device} ({torch.cuda.get_device_name(config.device)})"
    elif torch.backends.mps.is_available():
        device = "cpu; 'device: mps' would use the Apple GPU, for some networks and in fp32"
    else:
        device = "cpu, as torch sees no GPU"
    if config.precision == "bf16":
        units = (
            "the GPU" if config.device != "cpu" else f"the processor ({environment.bf16_units()})"
        )
        reason = f"as {units} multiplies it fast"
    else:
        reason = "as bf16 would not be faster here"
    return [Finding("device", device), Finding("precision", f"{config.precision}, {reason}")]


def _home() -> Finding:
    place = home()
    writable = all(os.access(_nearest(path), os.W_OK) for path in (data_dir(), reports_dir()))
    message = f"data/ and reports/ are in '{place}', the notebooks in '{notebooks_dir()}'"
    advice = "" if writable else f"'{place}' is not writable: name another folder in DCGAN_HOME."
    return Finding("folders", message, advice)


def _nearest(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _collection(name: str) -> Finding:
    if name in PAINTERS:
        there = data_dir() / name / "labels.csv"
        message = (
            f"is in '{there.parent}'" if there.exists() else "will be painted when it is first used"
        )
    else:
        path = locate(name).path
        message = (
            f"is in '{path}'" if path else f"is not here; it can be had from {KAGGLE[name].page}"
        )
    return Finding(name, message)


def _runs() -> Finding:
    runs, broken = [], []
    for config in sorted(runs_dir().glob("*/config.json")):
        try:
            runs.append(Run(config.parent))
        except WorkbookError:
            broken.append(config.parent.name)
    message = f"{len(runs)}, {sum(run.finished for run in runs)} of them finished"
    advice = (
        f"Not readable: {', '.join(broken)}. Delete them, or train them again." if broken else ""
    )
    return Finding("runs", message, advice)


def _disk() -> Finding:
    place = _nearest(home())
    free = shutil.disk_usage(place).free
    advice = "" if free > ENOUGH_DISK else "This is little: a report takes about 1 GiB."
    return Finding("free disk", f"{free / 2**30:.1f} GiB in '{place}'", advice)
