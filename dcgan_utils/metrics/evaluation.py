"""How good a run's images are, epoch by epoch, beside what real images score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.statistics import pixel_vectors, sharpness
from dcgan_utils.metrics import distances, features, modes
from dcgan_utils.runs import sampling
from dcgan_utils.runs.run import Run

if TYPE_CHECKING:
    import pandas as pd


SPLITS = 10
LAYOUT = 16  # pixels of the side, where only the layout is left


def kid_and_diversity(
    real: torch.Tensor, generated: torch.Tensor, *, device: str = "cpu"
) -> dict[str, float]:
    """Return ``kid`` and ``diversity`` of generated images against real ones.

    On the features of the default extractor (see `features.extract`), all images at once.

    Parameters
    ----------
    real, generated
        uint8, shapes ``(n, 3, H, W)`` and ``(m, 3, H, W)``.
    device
        Where the extractor runs.

    Raises
    ------
    NotMeaningful
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
    device: str = "cpu",
) -> dict[str, float | int | str]:
    """Return every measure of generated images against real ones.

    Parameters
    ----------
    real, generated
        uint8, shapes ``(n, 3, H, W)`` and ``(m, 3, H, W)``.
    seed
        Of the bootstrap.
    classes
        A label for each real image, if there are any.
    device
        Where the extractor runs.

    Returns
    -------
    dict
        ``kid`` with the ends of its interval, ``kid_low`` and ``kid_high``; ``fid``;
        ``precision``, ``recall``, ``density``, ``coverage``; ``diversity``, ``repetition``,
        ``memorisation`` (see `metrics`); ``layout_repetition``, the repetition of the images
        averaged down to 16 pixels, where only colours and layout are left; ``sharpness``,
        relative to the real images'; with ``classes`` also what `modes.mode_coverage` returns.
        And what they rest on: ``extractor``, and the numbers of images ``real`` and
        ``generated``.

    Raises
    ------
    NotMeaningful
        If there are too few images for one of them.

    Notes
    -----
    A network that knows photographs finds all blurred images alike: ``repetition`` may be
    near 1 for images that the eye tells apart. ``layout_repetition`` is nearer to what the
    first study saw when it wrote that images repeat.
    """
    found = [features.extract(images, device=device) for images in (real, generated)]
    clear = [sharpness(images) for images in (real, generated)]
    layouts = [pixel_vectors(images, LAYOUT) for images in (real, generated)]
    vectors = [side.vectors for side in found]
    low, high = distances.kid_interval(*vectors, rng=stream(seed, "bootstrap"))
    measured = _measured(vectors, layouts, clear) | {"kid_low": low, "kid_high": high}
    if classes:
        measured |= modes.mode_coverage(vectors[0], classes, vectors[1])
    return measured | {
        "extractor": found[0].extractor,
        "real": len(real),
        "generated": len(generated),
    }


def _measured(
    vectors: list[np.ndarray], layouts: list[np.ndarray], clear: list[np.ndarray]
) -> dict[str, float]:
    """Return what needs no labels, from features, small pixels and sharpness of both sides."""
    return {
        "kid": distances.kid(*vectors),
        "fid": distances.fid(*vectors),
        **distances.prdc(*vectors),
        "diversity": distances.diversity(*vectors),
        "repetition": distances.repetition(*vectors),
        "layout_repetition": distances.repetition(*layouts),
        "memorisation": distances.memorisation(*vectors),
        "sharpness": float(clear[1].mean() / clear[0].mean()) if clear[0].any() else math.nan,
    }


def baseline_real_real(
    real: torch.Tensor,
    *,
    seed: int,
    generated: int,
    classes: Sequence[str] | None = None,
    device: str = "cpu",
) -> dict[str, float | int | str]:
    """Return `evaluate` for one part of the real images against the other: means of ten splits.

    What a generator that draws new images as the real ones are would score, if there were
    fewer images: ``fid`` in particular would be smaller with more.

    Parameters
    ----------
    real
        uint8, shape ``(n, 3, H, W)``.
    seed
        Of the splits.
    generated
        How many generated images are measured: the parts have that ratio, since coverage and
        repetition depend on it.
    classes, device
        As for `evaluate`. Each part has its share of each kind.

    Returns
    -------
    dict
        As from `evaluate`, without KID's interval, and with ``classes`` also ``classifier_accuracy``
        (see `modes.classifier_accuracy`).

    Raises
    ------
    NotMeaningful
        If one part would have fewer than six images.
    """
    share = len(real) / (len(real) + generated)
    if min(share, 1 - share) * len(real) < 6:
        raise NotEnoughData(
            f"To measure images beside real ones, these are divided into parts of six or more "
            f"each; here there are {len(real)}, for {generated} generated ones."
        )
    found = features.extract(real, device=device)
    layouts, clear = pixel_vectors(real, LAYOUT), sharpness(real)
    rows = []
    for parts in _splits(len(real), seed, share=share, classes=classes):
        vectors, small, sharp = ([of[p] for p in parts] for of in (found.vectors, layouts, clear))
        row = _measured(vectors, small, sharp)
        if classes:
            row |= modes.mode_coverage(vectors[0], [classes[i] for i in parts[0]], vectors[1])
        rows.append(row)
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    if classes:
        means["classifier_accuracy"] = modes.classifier_accuracy(found.vectors, classes, seed=seed)
    sizes = dict(zip(("real", "generated"), map(len, parts), strict=True))
    return means | {"extractor": found.extractor} | sizes


def _splits(
    count: int, seed: int, *, share: float = 0.5, classes: Sequence[str] | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield numbers in random order, ten times, dealt to two parts, kind by kind."""
    rng, place = stream(seed, "floor"), np.arange(count)
    first = np.floor((place + 1) * share) > np.floor(place * share)
    for _ in range(SPLITS):
        order = torch.randperm(count, generator=rng).numpy()
        if classes:
            order = order[np.argsort(np.asarray(classes)[order], kind="stable")]
        yield order[first], order[~first]


def kid_real_real(real: torch.Tensor, *, seed: int, device: str = "cpu") -> float:
    """Return the KID of one half of the real images against the other: the mean of ten splits.

    It is about 0, and what new real images would score.

    Raises
    ------
    NotMeaningful
        If there are fewer than four images.
    """
    if len(real) < 4:
        raise NotEnoughData("At least four real images are needed, for two halves.")
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
    on_epoch: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Measure new images from the weights that a run has kept along the way.

    Parameters
    ----------
    run
        The run.
    real
        The collection it was trained on, uint8, shape ``(n, 3, H, W)``.
    samples
        How many images are drawn at each epoch, from the same latent vectors throughout.
    seed
        Of these vectors.
    device
        Where generator and extractor run.
    on_epoch
        Called with the number of epochs measured, and of all.

    Returns
    -------
    pandas.DataFrame
        ``kid`` and ``diversity``, indexed by epoch. The best epoch is the one with the
        smallest KID.

    Raises
    ------
    NotMeaningful
        If ``samples`` is less than 2, or the run has kept no weights.

    Notes
    -----
    The best of many epochs looks better than it is: part of its lead is luck. And KID rewards
    images that are copied from the training set, whose score is even below the `kid_real_real`; see
    `distances.memorisation`.
    """
    import pandas as pd

    if samples < 2:
        raise NotEnoughData(
            "The quality over the epochs was not asked for: kid_samples says how many images "
            "are drawn for it (300 is a good number)."
        )
    epochs = run.kept_epochs()
    if not epochs:
        raise NotEnoughData(f"The run '{run.name}' has kept no weights along the way.")
    rows = []
    for number, epoch in enumerate(epochs, start=1):
        drawn = sampling.sample(run, samples, seed=seed, epoch=epoch, device=device)
        rows.append(kid_and_diversity(real, drawn, device=device))
        if on_epoch is not None:
            on_epoch(number, len(epochs))
    return pd.DataFrame(rows, index=pd.Index(epochs, name="epoch"))
