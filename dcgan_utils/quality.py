"""How good a run's pictures are, epoch by epoch, beside what real pictures score."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_utils import features, latent, metrics
from dcgan_utils.errors import NotMeaningful
from dcgan_utils.runs import Run
from dcgan_utils.seeds import stream

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["floor", "of_pictures", "of_run", "over_epochs"]


def of_pictures(
    real: torch.Tensor, generated: torch.Tensor, *, device: str = "cpu"
) -> dict[str, float]:
    """Return ``kid`` and ``diversity`` of generated pictures against real ones.

    On the features of the default extractor (see `features.extract`), all pictures at once.

    Parameters
    ----------
    real, generated
        uint8, shapes ``(n, 3, H, W)`` and ``(m, 3, H, W)``.
    device
        Where the extractor runs.

    Raises
    ------
    NotMeaningful
        If one side has fewer than two pictures.
    """
    vectors = [features.extract(images, device=device).vectors for images in (real, generated)]
    return {"kid": metrics.kid(*vectors), "diversity": metrics.diversity(*vectors)}


def of_run(
    run: Run, real: torch.Tensor, *, samples: int, seed: int = 0, device: str = "cpu"
) -> dict[str, float]:
    """Return `of_pictures` for new pictures of a run."""
    return of_pictures(real, latent.sample(run, samples, seed=seed, device=device), device=device)


def floor(real: torch.Tensor, *, seed: int, splits: int = 10, device: str = "cpu") -> float:
    """Return the KID of one half of the real pictures against the other: the mean of ten splits.

    It is about 0, and what new real pictures would score.

    Raises
    ------
    NotMeaningful
        If there are fewer than four pictures.
    """
    if len(real) < 4:
        raise NotMeaningful("At least four real pictures are needed, for two halves.")
    vectors, rng = features.extract(real, device=device).vectors, stream(seed, "floor")
    orders = (torch.randperm(len(real), generator=rng).numpy() for _ in range(splits))
    halves = (np.array_split(vectors[order], 2) for order in orders)
    return float(np.mean([metrics.kid(*pair) for pair in halves]))


def over_epochs(
    run: Run,
    real: torch.Tensor,
    *,
    samples: int,
    seed: int = 0,
    device: str = "cpu",
    on_epoch: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Measure new pictures from the weights that a run has kept along the way.

    Parameters
    ----------
    run
        The run.
    real
        The collection it was trained on, uint8, shape ``(n, 3, H, W)``.
    samples
        How many pictures are drawn at each epoch, from the same latent vectors throughout.
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
    pictures that are copied from the training set, whose score is even below the `floor`; see
    `metrics.memorisation`.
    """
    import pandas as pd

    if samples < 2:
        raise NotMeaningful(
            "The quality over the epochs was not asked for: kid_samples says how many pictures "
            "are drawn for it (300 is a good number)."
        )
    epochs = run.kept_epochs()
    if not epochs:
        raise NotMeaningful(f"The run '{run.name}' has kept no weights along the way.")
    rows = []
    for number, epoch in enumerate(epochs, start=1):
        drawn = latent.sample(run, samples, seed=seed, epoch=epoch, device=device)
        rows.append(of_pictures(real, drawn, device=device))
        if on_epoch is not None:
            on_epoch(number, len(epochs))
    return pd.DataFrame(rows, index=pd.Index(epochs, name="epoch"))
