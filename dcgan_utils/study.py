"""Many runs at once: what they are called, how they ended, how good they are, who is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch

from dcgan_utils import claims, features, labels, latent, metrics, quality
from dcgan_utils.datasets import Dataset
from dcgan_utils.errors import NotMeaningful, WorkbookError
from dcgan_utils.runs import Run
from dcgan_utils.seeds import stream

__all__ = [
    "NEAR",
    "VARIED",
    "differences",
    "drawn",
    "exhibits",
    "first_of_each_noise",
    "histories",
    "kinds_of",
    "label_runs",
    "measured",
    "one_setting",
    "over_seeds",
    "sizes_told",
    "summary",
]

NEAR = ("kid", "fid", "precision", "recall", "density", "coverage")
VARIED = (
    "diversity",
    "repetition",
    "layout_repetition",
    "memorisation",
    "sharpness",
    "mode_coverage",
    "mode_entropy",
)


def label_runs(runs: Sequence[Run]) -> dict[str, Run]:
    """Give each run a short name for figures.

    The noise's label, and, where two runs share it, also the parameters in which the runs
    differ; the folder's name if even that does not tell them apart.

    Raises
    ------
    WorkbookError
        If a run has not completed an epoch: there is nothing to compare yet.
    """
    for run in runs:
        if run.history().empty:
            raise WorkbookError(f"the run '{run.name}' has no complete epoch yet; train it first.")
    configs = {run: run.config.identity | {"collection": run.about["data"]["name"]} for run in runs}
    differing = [
        name
        for name in next(iter(configs.values()))
        if name != "noise" and len({config[name] for config in configs.values()}) > 1
    ]
    for naming in (
        lambda run: run.config.prior.label,
        lambda run: ", ".join(
            [run.config.prior.label, *(f"{name} {configs[run][name]}" for name in differing)]
        ),
        lambda run: run.name,
    ):
        labelled = {naming(run): run for run in runs}
        if len(labelled) == len(runs):
            return labelled
    return {str(run.folder): run for run in runs}


def summary(labelled: dict[str, Run]) -> pd.DataFrame:
    """Return one row a run: the noise's moments and where the training ended.

    Losses, D(x), D(G(z)) and spread are means over the last tenth of the epochs, since single
    epochs jump.

    Notes
    -----
    Losses say how the contest between the networks stands, not how good the pictures are. A
    spread near 1 does not mean that the pictures resemble the real ones, only that they
    differ as much from each other; a spread near 0 does mean that they repeat.
    """
    rows = {}
    for label, run in labelled.items():
        history, prior = run.history(), run.config.prior
        end = history.tail(math.ceil(len(history) / 10)).mean()
        rows[label] = {
            "mean": prior.mean,
            "std": prior.std,
            "|mean| / std": abs(prior.mean) / prior.std,
            "epochs": len(history),
            "loss of D": end["d_loss_real"] + end["d_loss_fake"],
            "loss of G": end["g_loss"],
            "D(x)": end["d_real"],
            "D(G(z))": end["d_fake"],
            "spread": end["sample_spread"],
            "minutes": history["seconds"].sum() / 60,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("noise")


# --- Runs that differ in noise and seed alone ----------------------------------------------


def one_setting(runs: Sequence[Run]) -> Dataset:
    """Check that runs differ in nothing but noise and seed, and return their pictures.

    Raises
    ------
    NotMeaningful
        If they do; the message tells in what.
    WorkbookError
        If the pictures are not there any more.
    """
    settings = [
        run.config.identity
        | {"noise": None, "seed": None}
        | {"epochs shown": len(run.history()), "pictures": run.about["data"]["data_hash"][:12]}
        for run in runs
    ]
    apart = {
        name: sorted({str(setting[name]) for setting in settings})
        for name in settings[0]
        if len({str(setting[name]) for setting in settings}) > 1
    }
    if apart:
        listed = "; ".join(f"{name}: {', '.join(values)}" for name, values in apart.items())
        raise NotMeaningful(
            f"These runs differ in more than noise and seed ({listed}). Numbers that do not "
            "compare are not put beside each other: name fewer runs."
        )
    return latent.collection_of(runs[0])


def first_of_each_noise(runs: Sequence[Run]) -> dict[str, Run]:
    """Return one run a noise, under the noise's label: that of the smallest seed."""
    first: dict[str, Run] = {}
    for run in runs:
        label = run.config.prior.label
        if label not in first or run.config.seed < first[label].config.seed:
            first[label] = run
    return first


def histories(runs: Sequence[Run]) -> dict[str, pd.DataFrame]:
    """Return the histories under the noise's label, those of several seeds below each other."""
    by_noise: dict[str, list[pd.DataFrame]] = {}
    for run in runs:
        by_noise.setdefault(run.config.prior.label, []).append(run.history())
    return {label: pd.concat(parts) for label, parts in by_noise.items()}


def kinds_of(dataset: Dataset, column: str | None = None) -> list[str] | None:
    """Return each picture's kind, if the collection has labels for all of them.

    Parameters
    ----------
    dataset
        The pictures.
    column
        Of their labels; without one the first that sorts them into kinds of five pictures or more,
        so that a classifier can learn and be tested on each.

    Raises
    ------
    WorkbookError
        If the column named does not.
    """
    known = labels.categories(labels.read_labels(dataset)).dropna(axis="columns")
    enough = [name for name, kinds in known.items() if kinds.value_counts().min() >= 5]
    if column is None:
        column = next(iter(enough), None)
    elif column not in enough:
        listed = ", ".join(enough) or "none"
        raise WorkbookError(
            f"'{column}' does not sort all pictures of {dataset.name} into kinds of five or more. "
            f"What does: {listed}."
        )
    return None if column is None else known[column].tolist()


def drawn(run: Run, n: int, *, seed: int, device: str = "cpu") -> torch.Tensor:
    """Draw pictures that can be put beside those of other noises, one by one.

    The same normal scores are brought to each noise by their quantiles: what is the largest
    coordinate of a vector from N(0, 1) is the largest of the vector from Gamma(2, 1) too.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(n, 3, H, W)``.
    """
    scores = torch.randn(n, run.config.noise_size, generator=stream(seed, "scores"))
    return latent.draw(run, run.config.prior.from_normal(scores), device=device)


def measured(
    runs: Sequence[Run],
    real: Dataset,
    *,
    samples: int,
    seed: int = 0,
    kinds: Sequence[str] | None = None,
    device: str = "cpu",
    on_run: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Measure new pictures of each run; the numbers also go into its ``metrics.json``.

    Parameters
    ----------
    runs
        As `one_setting` allows them.
    real
        What they were trained on.
    samples
        How many pictures of each are measured.
    seed
        Of the latent vectors.
    kinds
        See `kinds_of`.
    device
        Where generators and extractor run.
    on_run
        Called with the number of runs measured, and of all.

    Returns
    -------
    pandas.DataFrame
        One row a run: ``label`` and ``noise`` (a spec), ``seed``, ``|mean| / std``, and what
        `quality.full` returns.

    Raises
    ------
    NotMeaningful
        If there are too few pictures.
    """
    rows = []
    for number, run in enumerate(runs, start=1):
        prior = run.config.prior
        pictures = latent.sample(run, samples, seed=seed, device=device)
        found = quality.full(real.images, pictures, seed=seed, kinds=kinds, device=device)
        run.save_metrics(found | {"epochs": len(run.history()), "sample_seed": seed})
        rows.append(
            {
                "label": prior.label,
                "noise": str(prior),
                "seed": run.config.seed,
                "|mean| / std": abs(prior.mean) / prior.std,
                **found,
                "run": run.name,
            }
        )
        if on_run is not None:
            on_run(number, len(runs))
    return pd.DataFrame(rows)


def over_seeds(
    table: pd.DataFrame, floor: dict[str, float | int | str], measures: Sequence[str]
) -> pd.DataFrame:
    """Return mean and 95 % interval of measures over the seeds, as text, one row a noise.

    Student's t; a single seed has no interval. The first row is the ``floor`` (see
    `quality.full_floor`). Measures that the table does not have are left out.
    """
    from scipy import stats

    def told(values: pd.Series) -> str:
        if len(values) < 2:
            return f"{values.mean():.3f}"
        reach = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
        return f"{values.mean():.3f} ± {reach:.3f}"

    names = [name for name in measures if name in table]
    by_noise = table.groupby("label", sort=False)
    rows = by_noise[names].agg(told).assign(seeds=by_noise["seed"].nunique().astype(str))
    real = {name: f"{floor[name]:.3f}" for name in names} | {"seeds": ""}
    both = pd.concat([pd.DataFrame(real, index=["real against real"]), rows])
    return both.rename(columns=lambda name: name.replace("_", " "))


def sizes_told(table: pd.DataFrame, floor: dict[str, float | int | str]) -> str:
    """Say what the numbers of `over_seeds` rest on."""
    row = table.iloc[0]
    said = (
        f"On {row['extractor']}; {row['generated']} generated pictures of each run against "
        f"{row['real']} real ones (the first row: {floor['generated']} against {floor['real']}). "
        "With several seeds: mean and 95 % interval (Student's t) over the seeds."
    )
    if "classifier_accuracy" not in floor:
        return said
    return said + (
        f" The classifier of the kinds is right on {floor['classifier_accuracy']:.0%} of the real "
        "pictures that it has not seen."
    )


def differences(
    table: pd.DataFrame, measure: str, *, seed: int = 0, resamples: int = 10_000
) -> pd.DataFrame:
    """Return how each noise differs from N(0, 1) in a measure, over the seeds that both have.

    Parameters
    ----------
    table
        From `measured`.
    measure
        One of its columns.
    seed, resamples
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        One row a noise: ``difference``, the mean over pairs of the same seed; ``low`` and
        ``high``, Student's t interval, corrected for the number of noises (see
        `claims.paired`); ``bootstrap_low`` and ``bootstrap_high``, the percentile bootstrap
        over the pairs; ``pairs``; ``decided``, whether the corrected interval leaves 0 out. A
        single pair has no intervals.

    Raises
    ------
    NotMeaningful
        If N(0, 1), or any other noise, is not among the runs.
    """
    wide = table.pivot_table(index="seed", columns="noise", values=measure)
    if claims.REFERENCE not in wide or len(wide.columns) < 2:
        raise NotMeaningful("Differences from N(0, 1) take runs with it and with another noise.")
    reference, rng = wide[claims.REFERENCE], stream(seed, "pairs")
    others = [noise for noise in table["noise"].unique() if noise != claims.REFERENCE]
    label = dict(zip(table["noise"], table["label"], strict=True))
    rows = {}
    for other in others:
        interval = claims.paired(wide[other], reference, comparisons=len(others))
        values = (wide[other] - reference).dropna().to_numpy()
        again = torch.randint(max(len(values), 1), (resamples, len(values)), generator=rng)
        means = values[again.numpy()].mean(axis=1) if len(values) > 1 else np.array([np.nan])
        rows[label[other]] = {
            "difference": interval.difference,
            "low": interval.low if interval.pairs > 1 else math.nan,
            "high": interval.high if interval.pairs > 1 else math.nan,
            "bootstrap_low": np.quantile(means, 0.025),
            "bootstrap_high": np.quantile(means, 0.975),
            "pairs": interval.pairs,
            "decided": interval.low > 0 or interval.high < 0,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("noise")


def exhibits(
    real: torch.Tensor, generated: torch.Tensor, *, device: str = "cpu", pairs: int = 3
) -> dict[str, torch.Tensor]:
    """Choose pictures that a person should look at, by rule.

    Parameters
    ----------
    real, generated
        uint8, shapes ``(n, 3, H, W)`` and ``(m, 3, H, W)``.
    device
        Where the extractor runs.
    pairs
        How many pairs; of the others twice as many pictures are chosen.

    Returns
    -------
    dict of torch.Tensor
        Generated pictures, uint8. ``nearest to real ones`` and ``farthest from real ones``, by the
        distance of the features to the nearest real picture; and ``most alike``, pairs beside each
        other, none twice.
    """
    vectors = [features.extract(images, device=device).vectors for images in (real, generated)]
    apart = metrics.nearest(*vectors)[1].argsort(kind="stable")
    count = 2 * pairs
    return {
        "nearest to real ones": generated[apart[:count]],
        "farthest from real ones": generated[apart[::-1][:count].copy()],
        "most alike": generated[_pairs(vectors[1], pairs)],
    }


def _pairs(vectors: np.ndarray, count: int) -> list[int]:
    """Return the nearest pairs of vectors, each vector in one pair at most."""
    from scipy.spatial.distance import pdist, squareform

    apart = squareform(pdist(vectors.astype(np.float64)))
    np.fill_diagonal(apart, np.inf)
    chosen: list[int] = []
    for _ in range(min(count, len(vectors) // 2)):
        one, other = np.unravel_index(apart.argmin(), apart.shape)
        chosen += [int(one), int(other)]
        apart[[one, other]] = apart[:, [one, other]] = np.inf
    return chosen
