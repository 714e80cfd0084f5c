"""Trials: trainings that differ in one thing, to see what it does."""

from __future__ import annotations

import contextlib
import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import torch

from dcgan_utils.core import progress
from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.decode import COPIES
from dcgan_utils.data.listing import normalise_name
from dcgan_utils.data.load import Dataset, synthetic_dataset
from dcgan_utils.data.tensors import rms_difference, to_float, to_uint8
from dcgan_utils.gan.augment import augment_inputs, draw_layers, views_per_image
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.metrics.evaluation import evaluate_run
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.training import Watcher, train

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def run_trials(
    configs: Mapping[str, TrainConfig], dataset: Dataset, *, watchers: Sequence[Watcher] = ()
) -> dict[str, Run]:
    """Train once with each of several named configs.

    Finished runs are not repeated, and interrupted ones are resumed. The watchers hear of one
    training after the other.
    """
    trained = {}
    for name, config in configs.items():
        logger.info("Training %d of %d: %s", len(trained) + 1, len(configs), name)
        trained[name] = train(config, dataset, watchers=watchers)
        logger.info("%s: %s", name, trained[name].name)
    return trained


def measure_trials(
    trained: Mapping[str, Run], dataset: Dataset, *, samples: int = 300
) -> pd.DataFrame:
    """Measure new images from each of several runs.

    Parameters
    ----------
    trained
        From `run_trials`.
    dataset
        The images on which they were trained.
    samples
        How many images each run generates for the measurement.

    Returns
    -------
    pandas.DataFrame
        One row per run: ``epochs``; ``shown``, the number of real images shown; ``kid`` and
        ``diversity`` (see `evaluation.kid_and_diversity`); ``diverged``, the number of images
        shown before the losses diverged (see `equilibrium.divergence_epoch`), or missing; and
        ``minutes`` of training.

    Raises
    ------
    NotEnoughData
        If there are fewer than two real images.

    Notes
    -----
    There is one run per config: another seed may reverse differences of a few hundredths in KID.
    """
    import pandas as pd

    rows = {}
    for name, run in progress.steps(trained.items(), "runs measured", of=len(trained)):
        config, diverged = run.config, run.divergence_epoch()
        per_epoch = images_per_epoch(config.augment, dataset)
        rows[name] = {
            "epochs": len(run.history()),
            "shown": len(run.history()) * per_epoch,
            **evaluate_run(
                run, dataset.images, samples=samples, seed=config.seed, device=config.device
            ),
            "diverged": None if diverged is None else diverged * per_epoch,
            "minutes": run.minutes,
        }
    return pd.DataFrame.from_dict(rows, orient="index").astype({"diverged": "Int64"})


def images_per_epoch(policy: str, dataset: Dataset) -> int:
    """Return how many images one epoch shows under an augmentation policy."""
    return views_per_image(policy) * len(dataset.images)


# --- Augmentation ---


def augmented(
    policy: str, images: torch.Tensor, *, seed: int, probability: float = 1.0
) -> torch.Tensor:
    """Return images as the discriminator sees them under an augmentation policy.

    Parameters
    ----------
    policy, probability
        See `augment.augment_inputs`.
    images
        uint8, shape ``(n, 3, H, W)``.
    seed
        Of the random changes.

    Returns
    -------
    torch.Tensor
        uint8, the same shape.
    """
    rng = stream(seed, policy)
    return to_uint8(augment_inputs(policy, to_float(images), rng, probability=probability))


def describe_layers(policy: str, count: int, *, seed: int) -> list[str]:
    """Say what the random layers do to each of the images that `augmented` returns.

    Parameters
    ----------
    policy, seed
        Those given to `augmented`: ``"layers"`` or ``"both"``.
    count
        Number of images.

    Returns
    -------
    list of str
        Such as ``"20° left, mirrored, 6% larger"``, in the order in which the changes are made.
    """
    changes = draw_layers(count, stream(seed, policy))
    return [_describe_layer(*change) for change in zip(*changes, strict=True)]


def _describe_layer(angle: torch.Tensor, mirrored: torch.Tensor, scale: torch.Tensor) -> str:
    parts = []
    if angle:
        parts.append(f"{abs(math.degrees(angle)):.0f}° {'left' if angle > 0 else 'right'}")
    if mirrored:
        parts.append("mirrored")
    if scale != 1:
        parts.append(f"{abs(1 / scale - 1):.0%} {'larger' if scale < 1 else 'smaller'}")
    return ", ".join(parts) or "unchanged"


def changes_by_policy(dataset: Dataset, copies: torch.Tensor, *, seed: int) -> pd.Series:
    """Return how much each kind of augmentation changes an image.

    Parameters
    ----------
    dataset
        The images; at most 64 of them, drawn at random, are changed.
    copies
        From `load.load_copies`.
    seed
        Of the draw and the changes.

    Returns
    -------
    pandas.Series
        The RMSE (0-255) between an image and its changed version, on average over the images, for
        ``copies``, ``layers``, ``diffaugment`` and ``ada`` (at probability 1/2); and for
        ``another image`` that between two of them, NaN if there is but one.
    """
    import pandas as pd

    count = len(dataset.images)
    chosen = torch.randperm(count, generator=stream(seed, "changes"))[:64]
    images = dataset.images[chosen]
    repeated = images.repeat(len(COPIES), 1, 1, 1)
    changed = {"copies": torch.cat([kind[chosen] for kind in copies.split(count)[1:]])}
    for policy in ("layers", "diffaugment", "ada"):
        changed[policy] = augmented(policy, repeated, seed=seed, probability=0.5)
    rows = {policy: _mean_rmse(views, repeated) for policy, views in changed.items()}
    apart = _mean_rmse(images, images.roll(1, dims=0)) if len(images) > 1 else math.nan
    return pd.Series(rows | {"another image": apart})


def _mean_rmse(some: torch.Tensor, others: torch.Tensor) -> float:
    """Return the RMSE of each pair of images, on average over the pairs."""
    squares = (some.float() - others.float()).square()
    return squares.mean(dim=(1, 2, 3)).sqrt().mean().item()


def describe_changes(changes: pd.Series, trial: pd.DataFrame | None) -> str:
    """Say in Markdown which augmentation changes images how much, and which one helped.

    Parameters
    ----------
    changes
        From `changes_by_policy`.
    trial
        From `measure_trials`, or None if there was no trial.
    """
    kinds = changes.drop("another image").sort_values()
    text = (
        f"**{kinds.index[-1]}** changes an image most (RMSE {kinds.iloc[-1]:.0f} of 255), "
        f"**{kinds.index[0]}** least ({kinds.iloc[0]:.0f})."
    )
    if (apart := changes["another image"]) > 0:
        text += (
            f" Two images of the collection differ by {apart:.0f}: the strongest change is "
            f"{kinds.iloc[-1] / apart:.0%} of that."
        )
    if trial is None:
        return f"{text}\n\n**Whether it helps** was not tried here: `trial_images` asks for it."
    return f"{text}\n\n**Does it help?** {describe_augmentations(trial)}"


def augmentations(
    config: TrainConfig, policies: Iterable[str], dataset: Dataset, images: int
) -> dict[str, TrainConfig]:
    """Return configs that differ in the augmentation policy, with the same budget.

    Parameters
    ----------
    config
        What they share.
    policies
        Some of `augment.POLICIES`.
    dataset
        The images.
    images
        The budget: how many real images each training shows, copies included. An epoch with
        Pillow's copies shows six times as many, so there are a sixth as many epochs.

    Raises
    ------
    NotEnoughData
        If the budget is 0.
    """
    if not images:
        raise NotEnoughData("No trial was requested: `trial_images` sets its budget.")
    epochs = {
        policy: max(1, round(images / images_per_epoch(policy, dataset))) for policy in policies
    }
    return {policy: config.changed(augment=policy, epochs=epochs[policy]) for policy in policies}


def histories_by_images(trained: Mapping[str, Run], dataset: Dataset) -> dict[str, pd.DataFrame]:
    """Return the history of each run, its column ``epoch`` replaced by the images shown so far."""
    histories = {name: run.history() for name, run in trained.items()}
    for name, run in trained.items():
        histories[name]["epoch"] *= images_per_epoch(run.config.augment, dataset)
    return histories


def describe_augmentations(table: pd.DataFrame) -> str:
    """Describe in Markdown which augmentation did best in `measure_trials`."""
    kid = table["kid"].sort_values()
    best, worst = kid.index[0], kid.index[-1]
    return (
        f"**{best}** has the smallest KID ({kid[best]:.3f}), **{worst}** the largest "
        f"({kid[worst]:.3f}); the most varied images come from "
        f"**{table['diversity'].idxmax()}**. There is one training per policy: another seed may "
        "reverse the order."
    )


# --- Ablation ---


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
        If a change is not a parameter and a value, if the value is impossible, or if the change
        has no effect on the training, such as another device.
    """
    variants = {"as it is": config}
    for change in filter(None, (piece.strip() for piece in changes.split(";"))):
        name, *value = (part.strip() for part in re.split("[:=]", change, maxsplit=1))
        if not value:
            raise WorkbookError(
                f"'{change}' is not a change: write a parameter and a value, as in "
                "augment: none, and semicolons between changes."
            )
        changed = config.changed(**{name: value[0]})
        if changed.identity == config.identity or changed.img_size != config.img_size:
            raise WorkbookError(
                f"'{change}' changes nothing that is learned from these images: leave it out."
            )
        variants[f"{name}: {value[0]}"] = changed
    return variants


def ablation_summary(table: pd.DataFrame | None, preset: str, baseline: str) -> str:
    """Describe in Markdown what each change of `ablations` does to the KID of a preset.

    Parameters
    ----------
    table
        From `measure_trials`, indexed by the names of `ablations` and ``"preset <baseline>"``; or
        None if there were too few images.
    preset, baseline
        The preset that was changed, and the one to which it is compared.
    """
    if table is None:
        return "Nothing can be said of the changes: there are too few images to measure them."
    kid = table["kid"]
    own, other = kid["as it is"], kid[f"preset {baseline}"]
    compared = f"KID is **{own:.3f}** with `{preset}` as it is, and {other:.3f} with `{baseline}`."
    effect = (kid - own).drop(["as it is", f"preset {baseline}"]).sort_values()
    if effect.empty:
        return compared
    return (
        f"{compared} The change that raises it most is **{effect.index[-1]}** "
        f"({effect.iloc[-1]:+.3f}), the one that raises it least **{effect.index[0]}** "
        f"({effect.iloc[0]:+.3f}). There is one training per change: another seed may move KID as "
        "far, which `seed: 1` among the changes shows."
    )


# --- Capacity ---


def image_index(dataset: Dataset, image: str | int) -> int:
    """Return the position of an image, which is given by its file's name or as a number.

    A file of that name, with or without its ending, comes before a number: ``25`` is ``25.jpg`` if
    there is one.

    Raises
    ------
    WorkbookError
        If there is no such image, or if an integer, which papermill makes of ``007`` too, may mean
        one of several.
    """
    wanted, files = normalise_name(str(image)), dataset.files
    if wanted in files:
        return files.index(wanted)
    fitting = [number for number, file in enumerate(files) if wanted in _short_names(file)]
    if not fitting and wanted.isdecimal():
        fitting = [int(wanted)] if float(wanted) < len(files) else []
    elif not fitting and isinstance(image, str):
        fitting = [number for number, file in enumerate(files) if wanted in file]
    if isinstance(image, int):
        alike = {number for number, file in enumerate(files) if _may_be_read_as(file, image)}
        fitting = sorted(alike.union(fitting))
    if len(fitting) == 1:
        return fitting[0]
    found = ", ".join(files[number] for number in fitting[:3]) or "none"
    advice = " papermill reads 007 as 7: give the text with -r." if isinstance(image, int) else ""
    raise WorkbookError(
        f"image '{image}' of {dataset.name}: give a number from 0 to {len(files) - 1}, or (part "
        f"of) the name of one file; it fits {found}.{advice}"
    )


def _short_names(file: str) -> set[str]:
    """Return what a file is called without its ending, its folder, or both."""
    path = PurePosixPath(file)
    return {file.removesuffix(path.suffix), path.name, path.stem}


def _may_be_read_as(file: str, number: int) -> bool:
    """Tell whether papermill makes this number of a file's name, as `int` does."""
    for name in _short_names(file):
        with contextlib.suppress(ValueError):
            if int(name) == number:
                return True
    return False


def repeat_image(dataset: Dataset, number: int, copies: int) -> Dataset:
    """Return a collection that consists of copies of one image of another."""
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
    """Return how far the samples of each epoch are from one image.

    Parameters
    ----------
    run
        Its samples from the fixed noise are compared.
    original
        uint8, shape ``(3, H, W)``.

    Returns
    -------
    pandas.Series
        RMSE of the levels (0-255) over all samples, indexed by epoch.
    """
    import pandas as pd

    epochs = run.sampled_epochs()
    distances = [rms_difference(run.samples(epoch), original) for epoch in epochs]
    return pd.Series(distances, index=pd.Index(epochs, name="epoch"), name="distance")


def distance_to_others(dataset: Dataset, number: int) -> float | None:
    """Return the RMSE (0-255) between one image of a collection and all others.

    It is None if there are no others, or if all images are the same.
    """
    others = torch.cat([dataset.images[:number], dataset.images[number + 1 :]])
    return (rms_difference(others, dataset.images[number]) or None) if len(others) else None


def describe_capacity(distances: pd.Series, others: float | None) -> str:
    """Describe in Markdown whether a generator has reproduced one image.

    Parameters
    ----------
    distances
        From `distance_by_epoch`.
    others
        From `distance_to_others`.
    """
    last = distances.iloc[-1]
    reached = (
        f"After epoch {distances.index[-1]} the RMSE between the generated images and the "
        f"original is **{last:.1f}** (0-255)."
    )
    if others is None:
        return f"{reached} The collection has no other image with which to compare that."
    share = last / others
    verdict = "does not reproduce the image"
    if share < 0.3:
        verdict = "comes close, but the difference is still visible"
    if share < 0.1:
        verdict = "has the capacity: it reproduces the image"
    return (
        f"The generator **{verdict}**. {reached} Other images of the collection are {others:.0f} "
        f"from it, so {share:.0%} of that distance is left. "
        f"{_what_capacity_means(distances, share)}"
    )


def _what_capacity_means(distances: pd.Series, share: float) -> str:
    if share < 0.1:
        return (
            "If a whole collection gives worse images, the reason is not a network too small for "
            "one image. It was one image and one training."
        )
    before = distances.iloc[-max(2, len(distances) // 4)]
    if distances.iloc[-1] < 0.95 * before:
        return "The distance was still falling at the end: train longer before you blame the width."
    return "The distance had stopped falling: try a larger `width`, or another seed."
