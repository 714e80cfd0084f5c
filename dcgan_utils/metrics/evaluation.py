"""All measures of generated images, by epoch, and the real-vs-real baseline."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_utils.core import progress
from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.statistics import pixel_vectors, share_between_images, sharpness
from dcgan_utils.metrics import distances, features, modes
from dcgan_utils.runs import interpolation, sampling
from dcgan_utils.runs.run import Run

if TYPE_CHECKING:
    import pandas as pd


VERSION = 2  # increase it when the same images would be measured otherwise
SPLITS = 10
LAYOUT = 16  # side in pixels at which only colours and layout remain
GREY = 128


def kid_and_diversity(
    real: torch.Tensor, generated: torch.Tensor, *, device: str = "cpu"
) -> dict[str, float]:
    """Return ``kid`` and ``diversity`` of generated images against real ones.

    They are computed on the features of the default extractor (see `features.extract`).

    Parameters
    ----------
    real, generated
        uint8, shapes ``(n, 3, H, W)`` and ``(m, 3, H, W)``.
    device
        Where the extractor runs.

    Raises
    ------
    NotEnoughData
        If one side has fewer than two images.
    """
    vectors = [features.extract(images, device=device).vectors for images in (real, generated)]
    return {"kid": distances.kid(*vectors), "diversity": distances.diversity(*vectors)}


def evaluate_run(
    run: Run, real: torch.Tensor, *, samples: int, seed: int = 0, device: str = "cpu"
) -> dict[str, float]:
    """Return `kid_and_diversity` for new images of a run."""
    return kid_and_diversity(
        real, sampling.sample(run, samples, seed=seed, device=device), device=device
    )


def evaluate(
    real: torch.Tensor,
    generated: torch.Tensor,
    *,
    seed: int,
    classes: Sequence[str] | None = None,
    extractor: str = features.DEFAULT,
    device: str = "cpu",
) -> dict[str, float | int | str]:
    """Return all measures of generated images against real ones.

    Parameters
    ----------
    real, generated
        uint8, shapes ``(n, 3, H, W)`` and ``(m, 3, H, W)``.
    seed
        Of the bootstrap.
    classes
        The class of each real image, if known.
    extractor
        Network for the features; see `features.extract`.
    device
        Where the extractor runs.

    Returns
    -------
    dict
        ``kid`` with its interval ``kid_low`` to ``kid_high``; ``fid``; ``precision``,
        ``recall``, ``density``, ``coverage``; ``diversity``, ``repetition``, ``memorisation``
        (see `distances`); ``share_between_images`` (see `statistics`) and ``sharpness``, relative
        to the real images; ``support_size`` of the images averaged down to 16 pixels, where only
        colours and layout remain; with ``classes``, also the results of `modes.mode_coverage`.
        Finally, ``extractor``, without which these numbers mean nothing, and the numbers of
        images, ``real`` and ``generated``.

    Raises
    ------
    NotEnoughData
        If there are too few images for one of the measures.

    Notes
    -----
    A network trained on photographs finds all blurred images similar: ``repetition`` may be near
    1 for images that look different to a person. ``share_between_images`` and ``support_size``
    are closer to what the first study means when it says that images repeat.
    """
    extract = functools.partial(features.extract, extractor=extractor, device=device)
    extracted = [extract(images) for images in (real, generated)]
    vectors = [side.vectors for side in extracted]
    low, high = distances.kid_interval(*vectors, rng=stream(seed, "bootstrap"))
    measures = _unlabelled_measures(vectors, [real, generated])
    measures |= {"kid_low": low, "kid_high": high}
    if classes is not None:
        measures |= modes.mode_coverage(vectors[0], classes, vectors[1])
    return measures | {
        "extractor": extracted[0].extractor,
        "real": len(real),
        "generated": len(generated),
    }


def _unlabelled_measures(vectors: list[np.ndarray], images: list[torch.Tensor]) -> dict[str, float]:
    """Return the measures that need no labels, from features and images, the real ones first."""
    real_sharpness, sharp = (float(sharpness(side).mean()) for side in images)
    layouts = [pixel_vectors(side, LAYOUT) for side in images]
    return {
        "kid": distances.kid(*vectors),
        "fid": distances.fid(*vectors),
        **distances.prdc(*vectors),
        "diversity": distances.diversity(*vectors),
        "repetition": distances.repetition(*vectors),
        "share_between_images": _relative_share(*images),
        "support_size": distances.support_size(*layouts),
        "memorisation": distances.memorisation(*vectors),
        "sharpness": sharp / real_sharpness if real_sharpness else math.nan,
    }


def _relative_share(real: torch.Tensor, generated: torch.Tensor) -> float:
    """Return the share between generated images, divided by that between real ones."""
    real_share = share_between_images(real)
    return share_between_images(generated) / real_share if real_share else math.nan


def brief_measures(
    real: torch.Tensor, generated: torch.Tensor, *, device: str = "cpu"
) -> dict[str, float]:
    """Return ``kid``, ``share_between_images`` and ``support_size``, as `evaluate` does.

    They tell whether a training has failed.

    Raises
    ------
    NotEnoughData
        If one side has fewer than two images.
    """
    vectors = [features.extract(images, device=device).vectors for images in (real, generated)]
    layouts = [pixel_vectors(images, LAYOUT) for images in (real, generated)]
    return {
        "kid": distances.kid(*vectors),
        "share_between_images": _relative_share(real, generated),
        "support_size": distances.support_size(*layouts),
    }


def baseline_real_real(
    real: torch.Tensor,
    *,
    seed: int,
    generated: int,
    classes: Sequence[str] | None = None,
    device: str = "cpu",
) -> dict[str, float | int | str]:
    """Return the real-vs-real baseline: `evaluate` between parts of the real images.

    The result is the mean over ten random splits. An ideal generator would have these scores if
    there were as few images as in the parts; ``fid`` in particular decreases with more images.

    Parameters
    ----------
    real
        uint8, shape ``(n, 3, H, W)``.
    seed
        Of the splits.
    generated
        Number of generated images to be compared with the baseline. The sizes of the two parts
        have the ratio of real to generated images, since coverage and repetition depend on it.
    classes, device
        See `evaluate`. The splits are stratified by class.

    Returns
    -------
    dict
        The result of `evaluate`, without the interval of KID; with ``classes``, also
        ``classifier_accuracy`` (see `modes.classifier_accuracy`).

    Raises
    ------
    NotEnoughData
        If one part would have fewer than six images.
    """
    share = len(real) / (len(real) + generated)
    if min(share, 1 - share) * len(real) < 6:
        raise NotEnoughData(
            "For the real-vs-real baseline, the real images are divided into two parts of six or "
            f"more each; here there are {len(real)}, for {generated} generated ones."
        )
    extracted = features.extract(real, device=device)
    rows = []
    for parts in _splits(len(real), seed, share=share, classes=classes):
        vectors = [extracted.vectors[part] for part in parts]
        row = _unlabelled_measures(vectors, [real[part] for part in parts])
        if classes is not None:
            row |= modes.mode_coverage(vectors[0], [classes[i] for i in parts[0]], vectors[1])
        rows.append(row)
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    if classes is not None:
        accuracy = modes.classifier_accuracy(extracted.vectors, classes, seed=seed)
        means["classifier_accuracy"] = accuracy
    sizes = dict(zip(("real", "generated"), map(len, parts), strict=True))
    return means | {"extractor": extracted.extractor} | sizes


def anchors(real: torch.Tensor, *, seed: int, generated: int, device: str = "cpu") -> pd.DataFrame:
    """Return all measures of images that nobody would take for a good result.

    They give the measures a scale: a generator should be far from these rows.

    Parameters
    ----------
    real
        uint8, shape ``(n, 3, H, W)``.
    seed
        Of the choice of ten images, and of the uniform noise.
    generated
        Number of images in each row.

    Returns
    -------
    pandas.DataFrame
        Columns as from `baseline_real_real`, one row each: the real images blurred (Gaussian,
        standard deviation 1 pixel), ten of them repeated, their mean image, grey, and uniform
        noise.
    """
    import pandas as pd
    from scipy.ndimage import gaussian_filter

    rng = stream(seed, "anchors")
    chosen = real[torch.randperm(len(real), generator=rng)]
    some = chosen[:generated]
    noise = torch.randint(0, 256, (generated, *real.shape[1:]), generator=rng, dtype=torch.uint8)
    distinct = {  # the same few images are repeated where there are fewer than `generated`
        "blurred by 1 px": torch.from_numpy(gaussian_filter(some.numpy(), (0, 0, 1, 1))),
        "ten images, repeated": chosen[:10],
        "the mean image": real.double().mean(dim=0, keepdim=True).round().to(torch.uint8),
        "grey": torch.full_like(real[:1], GREY),
        "uniform noise": noise,
    }
    of_real, rows = features.extract(real, device=device), {}
    for name, images in distinct.items():
        repeated = torch.arange(generated) % len(images)
        vectors = features.extract(images, device=device).vectors[repeated.numpy()]
        row = _unlabelled_measures([of_real.vectors, vectors], [real, images[repeated]])
        sizes = {"real": len(real), "generated": generated}
        rows[name] = row | {"extractor": of_real.extractor} | sizes
    return pd.DataFrame.from_dict(rows, orient="index")


def _splits(
    count: int, seed: int, *, share: float = 0.5, classes: Sequence[str] | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield ten random splits of indices into two parts, stratified by class."""
    rng, place = stream(seed, "floor"), np.arange(count)  # the name determines the random numbers
    first = np.floor((place + 1) * share) > np.floor(place * share)
    for _ in range(SPLITS):
        order = torch.randperm(count, generator=rng).numpy()
        if classes is not None:
            order = order[np.argsort(np.asarray(classes)[order], kind="stable")]
        yield order[first], order[~first]


def kid_real_real(real: torch.Tensor, *, seed: int, device: str = "cpu") -> float:
    """Return the KID between two halves of the real images: the mean over ten random splits.

    It is about 0; new real images would have this score.

    Raises
    ------
    NotEnoughData
        If there are fewer than four images.
    """
    if len(real) < 4:
        raise NotEnoughData("At least four real images are needed for two halves.")
    vectors = features.extract(real, device=device).vectors
    halves = _splits(len(real), seed)
    return float(np.mean([distances.kid(vectors[one], vectors[other]) for one, other in halves]))


def evaluate_epochs(
    run: Run,
    real: torch.Tensor,
    *,
    samples: int,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Measure new images at each epoch whose weights a run has kept.

    Parameters
    ----------
    run
        A run with weights of some epochs.
    real
        The collection it was trained on, uint8, shape ``(n, 3, H, W)``.
    samples
        Number of images per epoch; the latent vectors are the same for all epochs.
    seed
        Of the latent vectors.
    device
        Where generator and extractor run.

    Returns
    -------
    pandas.DataFrame
        ``kid`` and ``diversity``, indexed by epoch. The best epoch has the smallest KID.

    Raises
    ------
    NotEnoughData
        If ``samples`` is less than 2, or the run has kept no weights.

    Notes
    -----
    The best of many epochs looks better than it is: part of its advantage is chance. KID rewards
    copies of training images, whose score is even below `kid_real_real`; see
    `distances.memorisation`.
    """
    import pandas as pd

    if samples < 2:
        raise NotEnoughData(
            "Skipped: `kid_samples` is less than 2. It is the number of images generated at each "
            "epoch, for example 300."
        )
    epochs = run.kept_epochs()
    if not epochs:
        raise NotEnoughData(f"The run '{run.name}' has kept no weights of earlier epochs.")
    rows = []
    for epoch in progress.steps(epochs, "epochs measured", of=len(epochs)):
        images = sampling.sample(run, samples, seed=seed, epoch=epoch, device=device)
        rows.append(kid_and_diversity(real, images, device=device))
    return pd.DataFrame(rows, index=pd.Index(epochs, name="epoch"))


# --- What a walk through the latent space has shown ---


def describe_latent_space(spaces: Mapping[str, Sequence[np.ndarray]], walks: torch.Tensor) -> str:
    """Say in Markdown whether images are copied, and what lies between two latent vectors.

    Parameters
    ----------
    spaces
        As `distances.describe_copies` takes them.
    walks
        As `interpolation.describe_walks` takes them.
    """
    return f"{distances.describe_copies(spaces)}\n\n{interpolation.describe_walks(walks)}"
