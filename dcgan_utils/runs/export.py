"""The images of a run, and its generator, as files for other programs."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from dcgan_utils import __version__
from dcgan_utils.core import progress
from dcgan_utils.core.environment import needs_extra
from dcgan_utils.core.errors import WorkbookError, first_line
from dcgan_utils.core.files import atomic_write, ensure_dir, expand_path, write_bytes
from dcgan_utils.runs.run import Run, find_run

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from torch import nn

_PACKAGES = {
    ".onnx": ("onnx", "onnxscript", "onnxruntime"),
    ".safetensors": ("safetensors",),
}
TOLERANCE = 1e-4  # between images of the exported and of the own generator, in [-1, 1]


# --- Images ---


def write_images(
    run: Run | str | Path, n: int, to: str | Path, *, seed: int = 0, epoch: int | None = None
) -> Path:
    """Write new images of a run: one PNG each, or all in a grid.

    Parameters
    ----------
    run, n, seed, epoch
        As for `sampling.sample`. The same run, seed and epoch give the same images, so it does no
        harm to write them again, or more of them.
    to
        A folder, for files such as ``<run>-s0-00042.png``: the seed, and the place among its
        images from 0 on. With an epoch, ``<run>-epoch100-s0-00042.png``. If the name ends in
        ``.png``, it is the file of the grid.

    Returns
    -------
    pathlib.Path
        The folder or file.

    Raises
    ------
    WorkbookError
        If the run has no such weights, or they cannot be read.
    NotWritable
        If a file cannot be written; those before it are complete.
    """
    from dcgan_utils.runs.sampling import batches

    run, to = find_run(run), expand_path(to)
    with progress.announced("images", of=n) as advance:
        drawn = batches(run, n, seed=seed, epoch=epoch)
        if to.suffix.lower() == ".png":
            _write_grid(drawn, to, advance)
        else:
            kept = "" if epoch is None else f"-epoch{epoch}"
            _write_each(drawn, to, f"{run.name}{kept}-s{seed}", advance)
    return to


def _write_each(batches: Iterable[torch.Tensor], folder: Path, stem: str, advance: Any) -> None:
    from dcgan_utils.data.load import thread_map
    from dcgan_utils.data.tensors import as_image

    def write(numbered: tuple[int, torch.Tensor]) -> None:
        number, image = numbered
        with atomic_write(folder / f"{stem}-{number:05d}.png") as file:
            as_image(image).save(file, "PNG")

    begun = 0
    for batch in batches:
        ensure_dir(folder)
        thread_map(write, [*enumerate(batch, start=begun)], advance)
        begun += len(batch)


def _write_grid(batches: Iterable[torch.Tensor], path: Path, advance: Any) -> None:
    import torch

    from dcgan_utils.data.tensors import make_grid

    drawn = []
    for batch in batches:
        drawn.append(batch)
        advance(len(batch))
    images = torch.cat(drawn)
    grid = make_grid(images, math.ceil(math.sqrt(len(images))), gap=2)
    ensure_dir(path.parent)
    with atomic_write(path) as file:
        Image.fromarray(grid.numpy()).save(file, "PNG")


# --- The generator ---


def check_export(path: str | Path) -> None:
    """Refuse a file that `export_generator` cannot write, without importing torch.

    Raises
    ------
    WorkbookError
        If the ending is not known, or the packages for it are not installed.
    """
    ending = expand_path(path).suffix.lower()
    if ending not in _PACKAGES:
        raise WorkbookError(
            f"'{path}' must end in {' or '.join(_PACKAGES)}, which says what it is."
        )
    with needs_extra("export"):
        for package in _PACKAGES[ending]:
            importlib.import_module(package)


def export_generator(
    run: Run | str | Path, path: str | Path, *, epoch: int | None = None
) -> float | None:
    """Write the EMA generator of a run for other programs.

    Parameters
    ----------
    run
        A run with a checkpoint or weights, or what names one; see `run.find_run`.
    path
        ``.onnx``: the network, from ``z``, float32 ``(batch, noise_size)``, to ``images``,
        float32 ``(batch, 3, H, W)``, RGB in [-1, 1]. ``.safetensors``: the weights alone. Both
        hold the same metadata, as text: the noise, what goes in and comes out, the run, and the
        parameters of its training, but no paths of this machine.
    epoch
        One of the run's `kept_epochs`; by default the `Run.latest_weights`.

    Returns
    -------
    float or None
        The largest difference between images of onnxruntime and of PyTorch, in [-1, 1]; None for
        safetensors, which holds the weights as they are.

    Raises
    ------
    WorkbookError
        If the ending is not known, a package is missing, the run has no such weights, or
        onnxruntime draws other images. Then nothing is written.
    """
    check_export(path)
    from dcgan_utils.runs.sampling import load_generator

    run, path = find_run(run), expand_path(path)
    generator = load_generator(run, epoch=epoch, device="cpu")
    metadata = _metadata(run, epoch or run.latest_weights()[0])
    if path.suffix.lower() == ".onnx":
        z = run.config.prior.sample(8, run.config.noise_size)
        content = _as_onnx(generator, z, metadata)
        difference = _compare(content, generator, z)
    else:
        content, difference = _as_safetensors(generator, metadata), None
    ensure_dir(path.parent)
    write_bytes(path, content)
    return difference


def _metadata(run: Run, epoch: int) -> dict[str, str]:
    config, data = run.config, run.about["data"]
    trained_with = {**config.identity, "start_from": None}  # which may be a path
    side = config.img_size
    return {
        "made_by": f"dcgan_utils {__version__}",
        "run": run.name,
        "epoch": str(epoch),
        "collection": data["name"],
        "data_hash": data["data_hash"],
        "noise": config.noise,
        "noise_size": str(config.noise_size),
        "noise_mean": f"{config.prior.mean:g}",
        "noise_std": f"{config.prior.std:g}",
        "img_size": str(side),
        "input": f"float32 (batch, {config.noise_size}), drawn from the noise",
        "output": f"float32 (batch, 3, {side}, {side}), RGB in [-1, 1]",
        "pixels": "round((output + 1) * 127.5), from 0 to 255",
        "config": json.dumps(trained_with),
    }


def _as_onnx(generator: nn.Module, z: torch.Tensor, metadata: dict[str, str]) -> bytes:
    import onnx
    import torch

    shapes = ({0: torch.export.Dim("batch")},)
    names = {"input_names": ["z"], "output_names": ["images"]}
    options = {"dynamo": True, "dynamic_shapes": shapes, "verbose": False}
    try:
        model = torch.onnx.export(generator, (z,), **names, **options).model_proto
    except ImportError as error:
        raise WorkbookError(
            f"onnxscript does not fit torch {torch.__version__} ({first_line(error)}): run "
            "pip install --upgrade onnxscript."
        ) from error
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]  # stack traces, with the paths of this machine
    del graph.metadata_props[:]
    onnx.helper.set_model_props(model, metadata)
    return model.SerializeToString()


def _compare(content: bytes, generator: nn.Module, z: torch.Tensor) -> float:
    """Return the largest difference of the images; refuse a large one."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    differences = [
        abs(session.run(["images"], {"z": part.numpy()})[0] - generator(part).numpy()).max()
        for part in (z, z[:1])  # of two sizes
    ]
    if not (largest := float(max(differences))) <= TOLERANCE:
        raise WorkbookError(
            f"onnxruntime draws other images than PyTorch: they differ by up to {largest:.2g}, in "
            f"[-1, 1]. Nothing was written. Another version of onnxruntime may help, or the "
            "weights as .safetensors."
        )
    return largest


def _as_safetensors(generator: nn.Module, metadata: dict[str, str]) -> bytes:
    from safetensors.torch import save

    weights = {name: weight.contiguous() for name, weight in generator.state_dict().items()}
    return save(weights, metadata)
