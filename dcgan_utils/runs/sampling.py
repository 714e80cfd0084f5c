"""From a trained run: new images, always from the prior that it was trained with."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from dcgan_utils.core import environment
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.load import Dataset, load_dataset, synthetic_dataset
from dcgan_utils.data.sources import Location
from dcgan_utils.data.tensors import to_float, to_uint8
from dcgan_utils.gan import networks
from dcgan_utils.runs.run import Run, incompatible_state_as_error, run_folder

logger = logging.getLogger(__name__)


def collection_of(run: Run) -> Dataset:
    """Load the images that a run was trained on, from where they lay, or by their name.

    If they are no longer the same, the log says so.

    Raises
    ------
    WorkbookError
        If they are not there any more.
    """
    data = run.about["data"]
    path = Path(data["source"])
    there = Location(data["name"], path, tuple(map(str, data.get("folders", ()))))
    source = there if path.exists() else run.config.dataset
    told = data.get("options", {})
    options = {name: str(told[name]) for name in ("fit", "background") if name in told}
    collection = load_dataset(source, run.config.img_size, **options)
    if collection.data_hash != data["data_hash"]:
        logger.warning(
            "The images in '%s' are not those that '%s' was trained on.", source, run.name
        )
    return replace(collection, name=data["name"])  # what was found by path has the folder's name


def load_generator(run: Run, *, epoch: int | None = None, device: str | None = None) -> nn.Module:
    """Return a run's generator with averaged (EMA) weights, in evaluation mode.

    Parameters
    ----------
    run
        A run with a checkpoint.
    epoch
        One of its `kept_epochs`; without it, where the training stands.
    device
        Where it is put; without one, where ``auto`` says.

    Raises
    ------
    WorkbookError
        If the run has no such weights, or they cannot be read.
    """
    weights, config = run.load_weights(epoch), run.config
    generator, _ = networks.build_networks(config.architecture, **config.sizes)
    with incompatible_state_as_error(run):
        generator.load_state_dict(weights)
    device = torch.device(device or config.device)
    generator.to(device, memory_format=networks.memory_format(device))
    return generator.eval().requires_grad_(False)


def sample(
    run: Run, n: int, *, seed: int = 0, epoch: int | None = None, device: str | None = None
) -> torch.Tensor:
    """Draw new images from a run: not those of its fixed noise, and none chosen.

    A run that was trained in bf16 draws in bf16 where that is fast: twice as many images a
    second on such a CPU, and pixels that differ by a level or two from those in fp32.

    Parameters
    ----------
    run
        A run with a checkpoint.
    n
        Number of images.
    seed
        The same seed gives the same latent vectors.
    epoch
        One of its `kept_epochs`; without it, where the training stands.
    device
        Where they are drawn; without one, where ``auto`` says.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(n, 3, H, W)``, on the CPU.

    Raises
    ------
    WorkbookError
        If the run has no such weights, or they cannot be read.
    """
    z = run.config.prior.sample(n, run.config.noise_size, generator=stream(seed, "sample"))
    return draw(run, z, epoch=epoch, device=device)


@torch.no_grad()
def draw(
    run: Run, z: torch.Tensor, *, epoch: int | None = None, device: str | None = None
) -> torch.Tensor:
    """Return the images of given latent vectors; see `sample`.

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
    generator, z = load_generator(run, epoch=epoch, device=device), z.to(device)
    precision = run.config.precision if environment.multiplies_bf16_fast(device) else "fp32"
    with networks.autocast(precision, torch.device(device)):
        return torch.cat([to_uint8(generator(part)).cpu() for part in z.split(256)])


@torch.no_grad()
def most_real(
    run: Run, n: int, *, out_of: int, seed: int = 0, device: str | None = None
) -> torch.Tensor:
    """Draw many images and keep those that the run's discriminator finds most real.

    Parameters
    ----------
    run
        A run with a checkpoint.
    n, out_of
        How many are kept, of how many.
    seed, device
        As for `sample`.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(n, 3, H, W)``, on the CPU; the most convincing first.

    Notes
    -----
    A choice flatters the generator: what it draws as a rule is what `sample` shows. And the
    discriminator has its own taste; it judges here by its running statistics, where in training
    it went by those of each batch.
    """
    drawn = sample(run, out_of, seed=seed, device=device)
    config = run.config
    _, discriminator = networks.build_networks(config.architecture, **config.sizes)
    state = run.load_checkpoint()
    with incompatible_state_as_error(run):
        discriminator.load_state_dict(state["model"]["discriminator"])
    discriminator.eval()
    logits = torch.cat([discriminator(to_float(part)) for part in drawn.split(256)])
    return drawn[logits.argsort(descending=True)[:n]]


def _generated(run: Run, n: int, *, seed: int = 0, device: str | None = None) -> Dataset:
    """Return ``n`` new images of a run as a collection; see `sample` for the parameters."""
    images = sample(run, n, seed=seed, device=device)
    files = tuple(f"generated_{number:05d}" for number in range(1, n + 1))
    return synthetic_dataset(
        images, name=run.name, files=files, source=run.folder, kind="generated"
    )


def load_pair(
    dataset: str, other: str | None, img_size: int, *, seed: int = 0, device: str | None = None
) -> tuple[Dataset, Dataset | None]:
    """Load two collections at one size; the other may be a run, then it is what that draws.

    Parameters
    ----------
    dataset
        As `load.load_dataset` takes it.
    other
        The same, or the name or folder of a run. Its images are as many as the collection's,
        and the collection is loaded at their size, as the discriminator saw it. None for none.
    img_size
        Side of the images, unless ``other`` is a run.
    seed, device
        Of the images that a run draws.

    Raises
    ------
    WorkbookError
        If one of them cannot be loaded.
    """
    if other is None:
        return load_dataset(dataset, img_size), None
    folder = run_folder(other)
    if folder is not None and (folder / "samples").is_dir():
        run = Run(folder)
        collection = load_dataset(dataset, run.config.img_size)
        count = len(collection.images)
        return collection, _generated(run, count, seed=seed, device=device)
    beside = load_dataset(other, img_size)  # the unusual one first: it may be misspelt
    collection = load_dataset(dataset, img_size)
    if beside.name == collection.name:
        beside = replace(beside, name=f"{beside.name} (other)")
    return collection, beside
