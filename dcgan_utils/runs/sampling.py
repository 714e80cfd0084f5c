"""New images from a trained run, always from the prior that it was trained with."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dcgan_utils.core import environment
from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.load import Dataset, load_dataset, synthetic_dataset
from dcgan_utils.data.sources import Location
from dcgan_utils.data.tensors import to_float, to_uint8
from dcgan_utils.gan import networks
from dcgan_utils.runs import checkpoint
from dcgan_utils.runs.run import Run, find_run, incompatible_state_as_error, run_folder

logger = logging.getLogger(__name__)
BATCH = 256  # images that are drawn at a time


def collection_of(run: Run) -> Dataset:
    """Load the images that a run was trained on, from their path or else by their name.

    If the images have changed since the training, a warning is logged.

    Raises
    ------
    WorkbookError
        If the images no longer exist.
    """
    data = run.about["data"]
    path = Path(data["source"])
    location = Location(data["name"], path, tuple(map(str, data.get("folders", ()))))
    source = location if path.exists() else run.config.dataset
    collection = load_dataset(source, **_loading(run))
    if collection.data_hash != data["data_hash"]:
        logger.warning(
            "The images in '%s' are not those that '%s' was trained on.", source, run.name
        )
    return replace(collection, name=data["name"])  # found by path, it has the folder's name


def _loading(run: Run) -> dict[str, Any]:
    """Return what `load_dataset` was given for a training."""
    stored = run.about["data"].get("options", {})
    options = {name: str(stored[name]) for name in ("fit", "background") if name in stored}
    return run.config.loading | options


def load_generator(
    run: Run | str | Path, *, epoch: int | None = None, device: str | None = None
) -> nn.Module:
    """Return a run's EMA generator, in evaluation mode.

    Parameters
    ----------
    run
        A run with a checkpoint or weights, or what names one; see `run.find_run`.
    epoch
        One of its `kept_epochs`; by default the `Run.latest_weights`.
    device
        The default is the device that ``auto`` chooses.

    Raises
    ------
    WorkbookError
        If the run has no such weights, or they cannot be read.
    """
    run = find_run(run)
    weights, config = run.load_weights(epoch), run.config
    generator, _ = networks.build_networks(config.architecture, **config.sizes)
    with incompatible_state_as_error(run):
        generator.load_state_dict(weights)
    device = torch.device(device or config.device)
    generator.to(device, memory_format=networks.memory_format(device))
    return generator.eval().requires_grad_(False)


def sample(
    run: Run | str | Path,
    n: int,
    *,
    seed: int = 0,
    epoch: int | None = None,
    device: str | None = None,
) -> torch.Tensor:
    """Generate new images from a run: unselected, and not from its fixed latent vectors.

    A run that was trained in bf16 generates in bf16 if the device is fast in it. On such a CPU
    this gives twice as many images per second, whose pixels differ by a level or two from fp32.

    Parameters
    ----------
    run
        A run with a checkpoint, or what names one; see `run.find_run`.
    n
        Number of images, at least 1.
    seed
        The same seed gives the same latent vectors: those of few images begin those of many.
    epoch
        One of its `kept_epochs`; by default the `Run.latest_weights`.
    device
        The default is the device that ``auto`` chooses.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(n, 3, H, W)``, on the CPU.

    Raises
    ------
    WorkbookError
        If the run has no such weights, or they cannot be read, or ``n`` is less than 1.
    """
    return torch.cat([*batches(find_run(run), n, seed=seed, epoch=epoch, device=device)])


def batches(
    run: Run, n: int, *, seed: int = 0, epoch: int | None = None, device: str | None = None
) -> Iterator[torch.Tensor]:
    """Yield the images of `sample` a few at a time, so that any number fits into memory."""
    if n < 1:
        raise WorkbookError(f"the number of images must be 1 or more, not {n}.")
    device = device or run.config.device
    generator, rng = load_generator(run, epoch=epoch, device=device), stream(seed, "sample")
    for start in range(0, n, BATCH):
        # Always a whole batch of vectors: some priors draw other ones if they draw fewer.
        z = run.config.prior.sample(BATCH, run.config.noise_size, generator=rng)
        yield _draw(generator, z[: n - start], run, device)


def draw(
    run: Run, z: torch.Tensor, *, epoch: int | None = None, device: str | None = None
) -> torch.Tensor:
    """Return the images of the given latent vectors; see `sample`.

    Parameters
    ----------
    run
        A run with a checkpoint.
    z
        Shape ``(n, noise_size)``.
    epoch, device
        As for `sample`.
    """
    device = device or run.config.device
    generator = load_generator(run, epoch=epoch, device=device)
    return torch.cat([_draw(generator, part, run, device) for part in z.split(BATCH)])


@torch.no_grad()
def _draw(generator: nn.Module, z: torch.Tensor, run: Run, device: str) -> torch.Tensor:
    precision = run.config.precision if environment.multiplies_bf16_fast(device) else "fp32"
    with networks.autocast(precision, torch.device(device)):
        return to_uint8(generator(z.to(device))).cpu()


@torch.no_grad()
def most_real(
    run: Run, n: int, *, out_of: int, seed: int = 0, device: str | None = None
) -> torch.Tensor:
    """Generate many images and keep those that the run's discriminator rates most real.

    Parameters
    ----------
    run
        A run with a checkpoint.
    n, out_of
        Number of images to keep, and to generate.
    seed, device
        As for `sample`.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(n, 3, H, W)``, on the CPU; the highest rated first.

    Raises
    ------
    NotEnoughData
        If the run has no readable checkpoint; the weights that it kept have no discriminator.
    WorkbookError
        If the checkpoint cannot be read.

    Notes
    -----
    Selection flatters the generator: `sample` shows its typical images. The discriminator's rating
    need not agree with a person's. It uses the running statistics here; in training it used the
    statistics of each batch.
    """
    try:
        state = run.load_checkpoint()
    except checkpoint.Damaged:
        state = None
    if state is None:
        raise NotEnoughData(
            f"Skipped: the run '{run.name}' has no readable checkpoint, and only that holds the "
            "discriminator."
        )
    images = sample(run, out_of, seed=seed, device=device)
    config = run.config
    _, discriminator = networks.build_networks(config.architecture, **config.sizes)
    with incompatible_state_as_error(run):
        discriminator.load_state_dict(state["model"]["discriminator"])
    discriminator.eval()
    logits = torch.cat([discriminator(to_float(part)) for part in images.split(256)])
    return images[logits.argsort(descending=True)[:n]]


_PARTS = ("history.csv", "samples", "weights")  # a run has these, unless some were deleted


def load_pair(
    dataset: str,
    other: str | None,
    img_size: int,
    *,
    fit: str = "crop",
    background: str = "white",
    seed: int = 0,
    device: str | None = None,
) -> tuple[Dataset, Dataset | None]:
    """Load two collections as squares of one size; the other one may be new images of a run.

    Parameters
    ----------
    dataset
        See `load.load_dataset`.
    other
        The same, or the name or folder of a run. A run generates as many images as the
        collection has, and the collection is loaded as for the run's training.
    img_size, fit, background
        See `load.load_dataset`; not used if ``other`` is a run.
    seed, device
        See `sample`.

    Raises
    ------
    WorkbookError
        If one of them cannot be loaded.
    """
    load = functools.partial(load_dataset, img_size=img_size, fit=fit, background=background)
    if other is None:
        return load(dataset), None
    folder = run_folder(other)
    if folder is not None and any((folder / part).exists() for part in _PARTS):
        run = Run(folder)
        collection = load_dataset(dataset, **_loading(run))
        images = sample(run, len(collection.images), seed=seed, device=device)
        files = tuple(f"generated_{number:05d}" for number in range(1, len(images) + 1))
        return collection, synthetic_dataset(
            images, name=run.name, files=files, source=run.folder, kind="generated"
        )
    second = load(other)  # first, because its name is more likely misspelt
    collection = load(dataset)
    if second.name == collection.name:
        second = replace(second, name=f"{second.name} (other)")
    return collection, second
