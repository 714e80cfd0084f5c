"""Trainings that differ in one thing, to see what it does."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import torch

from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.tensors import to_float, to_uint8
from dcgan_utils.data.load import Dataset, synthetic_dataset
from dcgan_utils.gan import augment
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.metrics import evaluation
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.training import train

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def run_trials(
    configs: Mapping[str, TrainConfig],
    dataset: Dataset,
    *,
    samples: int = 300,
    on_run: Callable[[str, Run], None] | None = None,
) -> pd.DataFrame:
    """Train once with each of several configs, and measure.

    Finished runs are not trained again, broken ones go on.

    Parameters
    ----------
    configs
        Each under a name.
    dataset
        The images.
    samples
        How many images of each run are measured.
    on_run
        Called with the name and the run when that is trained.

    Returns
    -------
    pandas.DataFrame
        One row a config: ``epochs``, ``shown`` images, ``kid`` and ``diversity`` (see
        `evaluation.kid_and_diversity`),
        ``diverged``, after how many shown images the losses diverged for good (see
        `equilibrium.divergence_epoch`; empty where they did not), and ``minutes`` of training.

    Notes
    -----
    One run of each: differences of a few hundredths in KID may turn round with another seed.
    """
    import pandas as pd

    rows = {}
    for name, config in configs.items():
        logger.info("Training: %s", name)
        run = train(config, dataset)
        if on_run is not None:
            on_run(name, run)
        history, diverged = run.history(), run.divergence_epoch()
        rows[name] = {
            "epochs": len(history),
            "shown": len(history) * images_per_epoch(run.config.augment, dataset),
            **evaluation.evaluate_run(
                run, dataset.images, samples=samples, seed=config.seed, device=config.device
            ),
            "diverged": None
            if diverged is None
            else diverged * images_per_epoch(run.config.augment, dataset),
            "minutes": run.minutes,
        }
    return pd.DataFrame.from_dict(rows, orient="index").astype({"diverged": "Int64"})


def augmentations(
    config: TrainConfig, policies: Iterable[str], dataset: Dataset, images: int
) -> dict[str, TrainConfig]:
    """Return configs that differ in the kind of augmentation, on the same budget.

    Parameters
    ----------
    config
        What they share.
    policies
        Some of `augment.POLICIES`.
    dataset
        The images.
    images
        The budget: how many real images each training shows, copies included. An epoch over
        Pillow's copies shows six times as many, so there are a sixth as many epochs.
    """
    epochs = {
        policy: max(1, round(images / images_per_epoch(policy, dataset))) for policy in policies
    }
    return {policy: config.changed(augment=policy, epochs=epochs[policy]) for policy in policies}


def ablations(config: TrainConfig, changes: str) -> dict[str, TrainConfig]:
    """Return a config as it is, and others that each differ from it in one parameter.

    Parameters
    ----------
    config
        The one as it is.
    changes
        Such as ``"augment: none; flip: false"``: one variant each.

    Raises
    ------
    WorkbookError
        If a change is no parameter and value, the value is impossible, or it changes nothing, as
        another device does.
    """
    variants = {"as it is": config}
    for change in filter(None, (piece.strip() for piece in changes.split(";"))):
        name, *value = (part.strip() for part in re.split("[:=]", change, maxsplit=1))
        if not value:
            raise WorkbookError(
                f"'{change}' is no change: write a parameter and a value, as in augment: none, and "
                "semicolons between changes."
            )
        changed = config.changed(**{name: value[0]})
        if changed.identity == config.identity or changed.img_size != config.img_size:
            raise WorkbookError(
                f"'{change}' changes nothing that is learned from these images: leave it out."
            )
        variants[f"{name}: {value[0]}"] = changed
    return variants


def augmented(
    policy: str, images: torch.Tensor, *, seed: int, probability: float = 1.0
) -> torch.Tensor:
    """Return images as the discriminator sees them under a kind of augmentation.

    Parameters
    ----------
    policy, probability
        See `augment.augment_inputs`.
    images
        uint8, shape ``(n, 3, H, W)``.
    seed
        Of what happens to each.

    Returns
    -------
    torch.Tensor
        uint8, the same shape.
    """
    rng = stream(seed, policy)
    return to_uint8(augment.augment_inputs(policy, to_float(images), rng, probability=probability))


def ablation_summary(kid: pd.Series, preset: str, beside: str) -> str:
    """Say in Markdown what a preset loses by each change of `ablations`.

    Parameters
    ----------
    kid
        Indexed by the names of `ablations`, and ``"preset <beside>"``.
    preset, beside
        The one that was changed, and the one that it is held against.
    """
    ratio = kid["as it is"] / kid[f"preset {beside}"]
    lost = (kid - kid["as it is"]).drop(["as it is", f"preset {beside}"]).sort_values()
    if lost.empty:
        return f"KID is {ratio:.2f} times that of `{beside}`."
    return (
        f"As it is, `{preset}` has **{ratio:.2f} times** the KID of `{beside}` on the same budget. "
        f"Most is lost with **{lost.index[-1]}** ({lost.iloc[-1]:+.3f}), least with "
        f"**{lost.index[0]}** ({lost.iloc[0]:+.3f}). It is one training of each: what moves KID by "
        "less than 0.05 may be chance."
    )


def images_per_epoch(policy: str, dataset: Dataset) -> int:
    """Return how many images an epoch shows with a kind of augmentation."""
    return augment.views_per_image(policy) * len(dataset.images)


# --- Capacity ---


def image_index(dataset: Dataset, image: str) -> int:
    """Return the number of an image that is given as such, or by its file's name.

    Raises
    ------
    WorkbookError
        If there is no such image.
    """
    if image.isdecimal() and int(image) < len(dataset.files):
        return int(image)
    if image in dataset.files:
        return dataset.files.index(image)
    fitting = [number for number, file in enumerate(dataset.files) if image in file]
    if image.isdecimal() or len(fitting) != 1:
        found = ", ".join(dataset.files[number] for number in fitting[:3]) or "none"
        raise WorkbookError(
            f"image '{image}' of {dataset.name}: give a number from 0 to "
            f"{len(dataset.files) - 1}, or (part of) the name of one file; it fits {found}."
        )
    return fitting[0]


def repeat_image(dataset: Dataset, number: int, copies: int) -> Dataset:
    """Return a collection that is one image of another, many times."""
    report = dataset.report
    return synthetic_dataset(
        dataset.images[number].expand(copies, -1, -1, -1).contiguous(),
        name=f"{dataset.name}-{number}",
        files=(dataset.files[number],) * copies,
        source=dataset.source,
        kind="copy",
        size=report.sizes[number],
        file_size=report.file_sizes[number],
    )


def distance_by_epoch(run: Run, original: torch.Tensor) -> pd.Series:
    """Return how far the drawn images are from one image, epoch by epoch.

    Parameters
    ----------
    run
        A run.
    original
        uint8, shape ``(3, H, W)``.

    Returns
    -------
    pandas.Series
        The root of the mean squared difference in levels (0..255) over the images drawn from
        the fixed noise, indexed by epoch.
    """
    import pandas as pd

    epochs = run.sampled_epochs()
    apart = [(run.samples(epoch).float() - original.float()).square().mean() for epoch in epochs]
    index = pd.Index(epochs, name="epoch")
    return pd.Series([value.sqrt().item() for value in apart], index=index, name="distance")


def distance_to_others(dataset: Dataset, number: int) -> float:
    """Return how far the other images of a collection are from one of them.

    The root of the mean squared difference in levels, over all others, as in `distance_by_epoch`.

    Raises
    ------
    NotMeaningful
        If there is no other, or all are the same.
    """
    others = torch.cat([dataset.images[:number], dataset.images[number + 1 :]]).float()
    apart = (others - dataset.images[number].float()).square().mean().sqrt().item()
    if not apart > 0:
        raise NotEnoughData("The collection has no other image to compare the distance with.")
    return apart
