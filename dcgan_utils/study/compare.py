"""Comparison of runs: names, samples, measures, differences and claims."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from dcgan_utils.core.errors import NotEnoughData, WorkbookError, escape_markdown
from dcgan_utils.core.files import warn_if_not_writable, write_csv
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.labels import classes_of
from dcgan_utils.data.load import Dataset
from dcgan_utils.gan.priors import Prior
from dcgan_utils.metrics import distances, evaluation, features, intervals
from dcgan_utils.metrics.embed import umap_embedding
from dcgan_utils.runs import sampling
from dcgan_utils.runs.run import Run
from dcgan_utils.study import claims


def label_runs(runs: Sequence[Run]) -> dict[str, Run]:
    """Return the runs by short names for figures.

    A name is the label of the prior. If two runs share it, the parameters in which the runs differ
    are added. If names are still not unique, they are the names of the run folders.

    Raises
    ------
    WorkbookError
        If a run has no complete epoch.
    """
    for run in runs:
        if run.history().empty:
            raise WorkbookError(
                f"the run '{run.name}' has no complete epoch yet, or its history.csv was deleted: "
                "train it first, or leave it out."
            )
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
    """Return one row per run: the moments of its prior and the end of its training.

    Losses, D(x), D(G(z)) and spread are means over the last tenth of the epochs, because single
    epochs fluctuate.

    Notes
    -----
    Losses describe the balance between the networks, not the quality of the images. A spread near
    1 means only that the images differ from each other as much as real ones, not that they
    resemble them. A spread near 0 means that the images repeat.
    """
    rows = {}
    for label, run in labelled.items():
        history, prior = run.history(), run.config.prior
        end = history.tail(math.ceil(len(history) / 10)).mean()
        rows[label] = {
            "mean": prior.mean,
            "std": prior.std,
            "|mean| / std": prior.ratio,
            "epochs": len(history),
            "loss of D": end["d_loss_real"] + end["d_loss_fake"],
            "loss of G": end["g_loss"],
            "D(x)": end["d_real"],
            "D(G(z))": end["d_fake"],
            "spread": end["sample_spread"],
            "minutes": run.minutes,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("noise")


# --- Runs that differ only in noise and seed ---


def require_same_settings(runs: Sequence[Run]) -> Dataset:
    """Check that runs differ only in noise and seed, and return their images.

    Raises
    ------
    NotEnoughData
        If the runs differ in other settings; the message lists them.
    WorkbookError
        If the images no longer exist.
    """
    differing = _differing_settings(runs)
    if differing:
        listed = "; ".join(f"{name}: {', '.join(values)}" for name, values in differing.items())
        raise NotEnoughData(
            f"These runs differ in more than noise and seed ({listed}), so their numbers cannot "
            "be compared: choose fewer runs."
        )
    return sampling.collection_of(runs[0])


def _differing_settings(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return the settings other than noise and seed in which runs differ, with their values."""
    settings = [
        run.config.identity
        | {"noise": None, "seed": None}
        | {"epochs shown": len(run.history()), "images": run.about["data"]["data_hash"][:12]}
        for run in runs
    ]
    values = {name: sorted({str(setting[name]) for setting in settings}) for name in settings[0]}
    return {name: distinct for name, distinct in values.items() if len(distinct) > 1}


def group_by_noise(labelled: dict[str, Run]) -> dict[str, list[Run]]:
    """Group runs by the label of their prior, the smallest seed first.

    If the runs differ in more than noise and seed, each run is a group of its own.
    """
    if _differing_settings(list(labelled.values())):
        return {label: [run] for label, run in labelled.items()}
    grouped: dict[str, list[Run]] = {}
    for run in sorted(labelled.values(), key=lambda run: run.config.seed):
        grouped.setdefault(run.config.prior.label, []).append(run)
    return {run.config.prior.label: grouped[run.config.prior.label] for run in labelled.values()}


def sample_aligned(run: Run, n: int, *, seed: int, device: str = "cpu") -> torch.Tensor:
    """Generate images that can be compared one by one with those of other priors.

    The latent vectors of all priors come from the same N(0, 1) vectors by mapping quantiles. So
    the largest coordinate of a vector from N(0, 1) is also the largest one from Gamma(2, 1).

    Returns
    -------
    torch.Tensor
        uint8, shape ``(n, 3, H, W)``.
    """
    scores = torch.randn(n, run.config.noise_size, generator=stream(seed, "scores"))
    return sampling.draw(run, run.config.prior.from_gaussian(scores), device=device)


def evaluate_runs(
    runs: Sequence[Run],
    real: Dataset,
    *,
    samples: int,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    device: str = "cpu",
    on_run: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Measure new images of each run, and write the measures to its ``metrics.json``.

    Parameters
    ----------
    runs
        Runs that pass `require_same_settings`.
    real
        The collection on which they were trained.
    samples
        Number of images per run.
    seed
        Of the latent vectors and the bootstrap.
    classes
        The class of each real image, if known.
    device
        Where generators and extractor run.
    on_run
        Called with the number of measured runs and their total.

    Returns
    -------
    pandas.DataFrame
        One row per run: ``label`` and ``noise`` (a spec), ``seed``, ``|mean| / std``, the result
        of `evaluation.evaluate`, and the name of the ``run``.

    Raises
    ------
    NotEnoughData
        If there are too few images.
    """
    rows = []
    for number, run in enumerate(runs, start=1):
        prior = run.config.prior
        images = sampling.sample(run, samples, seed=seed, device=device)
        measures = evaluation.evaluate(
            real.images, images, seed=seed, classes=classes, device=device
        )
        with warn_if_not_writable():
            run.save_metrics(measures | {"epochs": len(run.history()), "sample_seed": seed})
        rows.append(
            {
                "label": prior.label,
                "noise": str(prior),
                "seed": run.config.seed,
                "|mean| / std": prior.ratio,
                **measures,
                "run": run.name,
            }
        )
        if on_run is not None:
            on_run(number, len(runs))
    return pd.DataFrame(rows)


def select_examples(
    real: torch.Tensor, generated: torch.Tensor, *, device: str = "cpu", pairs: int = 3
) -> dict[str, torch.Tensor]:
    """Select generated images that a person should look at, by fixed rules.

    Parameters
    ----------
    real, generated
        uint8, shapes ``(n, 3, H, W)`` and ``(m, 3, H, W)``.
    device
        Where the extractor runs.
    pairs
        Number of pairs; the other rules select twice as many images.

    Returns
    -------
    dict of torch.Tensor
        uint8 images. ``nearest to real ones`` and ``farthest from real ones`` are selected by the
        distance of the features to the nearest real image. ``most alike`` are pairs side by side
        without repetitions.
    """
    vectors = [features.extract(images, device=device).vectors for images in (real, generated)]
    by_distance = distances.nearest(*vectors)[1].argsort(kind="stable")
    count = 2 * pairs
    return {
        "nearest to real ones": generated[by_distance[:count]],
        "farthest from real ones": generated[by_distance[::-1][:count].copy()],
        "most alike": generated[distances.closest_pairs(vectors[1], pairs).flatten()],
    }


# --- Tables over the seeds ---

RESAMPLES = 10_000
CLOSENESS = ("kid", "fid", "precision", "recall", "density", "coverage")
VARIETY = (
    "diversity",
    "repetition",
    "layout_repetition",
    "memorisation",
    "sharpness",
    "mode_coverage",
    "mode_entropy",
)


def over_seeds(
    table: pd.DataFrame, baseline: dict[str, float | int | str], measures: Sequence[str]
) -> pd.DataFrame:
    """Return mean and 95 % interval of measures over the seeds, as text, one row per prior.

    The intervals are Student's t; a single seed has none. The first row is the ``baseline`` (see
    `evaluation.baseline_real_real`). Measures that are not in the table are skipped.
    """

    def with_interval(values: pd.Series) -> str:
        half = intervals.half_width(values)
        return f"{values.mean():.3f}" + (f" ± {half:.3f}" if math.isfinite(half) else "")

    names = [name for name in measures if name in table]
    by_prior = table.groupby("label", sort=False)
    rows = by_prior[names].agg(with_interval).assign(seeds=by_prior["seed"].nunique().astype(str))
    first = {name: f"{baseline[name]:.3f}" for name in names} | {"seeds": ""}
    rows = pd.concat([pd.DataFrame(first, index=["real-vs-real baseline"]), rows])
    return rows.rename(columns=lambda name: name.replace("_", " "))


def describe_samples(
    table: pd.DataFrame, baseline: dict[str, float | int | str], classes: pd.Series | None
) -> str:
    """Describe in Markdown how the numbers of `over_seeds` were measured."""
    row = table.iloc[0]
    text = (
        f"Features of {row['extractor']}; {row['generated']} generated images of each run against "
        f"{row['real']} real ones (first row: {baseline['generated']} against {baseline['real']}). "
        "With several seeds: mean and 95 % interval (Student's t) over the seeds."
    )
    if classes is None:
        return text
    label = escape_markdown(str(classes.name))
    return text + (
        f" The classes are the values of the label '{label}': {classes.nunique()}. The classifier "
        f"is right on {baseline['classifier_accuracy']:.0%} of the held-out real images, averaged "
        "over the classes."
    )


def describe_seeds(table: pd.DataFrame) -> str:
    """Describe in Markdown how many seeds each prior shares with N(0, 1)."""
    seeds = {label: set(runs["seed"]) for label, runs in table.groupby("label", sort=False)}
    reference = next(iter(table["label"][table["noise"] == claims.REFERENCE]), None)
    if reference is None:
        return "There is no run with N(0, 1), so nothing can be decided."
    shared = {
        label: len(own & seeds[reference]) for label, own in seeds.items() if label != reference
    }
    few = [label for label, count in shared.items() if count < 2]
    counts = ", ".join(f"{label}: {count}" for label, count in shared.items()) or "none"
    text = f"Seeds in common with N(0, 1): {counts}."
    if few:
        text += f" **With one seed nothing can be decided** ({', '.join(few)})."
    return text


def differences(table: pd.DataFrame, measure: str, *, seed: int = 0) -> pd.DataFrame:
    """Return how each prior differs from N(0, 1) in a measure, over the seeds that both share.

    Parameters
    ----------
    table
        From `evaluate_runs`.
    measure
        One of its columns.
    seed
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        One row per prior that shares a seed with N(0, 1): ``difference``, the mean over pairs of
        the same seed; ``low`` and ``high``, Student's t interval, corrected for the number of
        priors (see `intervals.paired`); ``bootstrap_low`` and ``bootstrap_high``, the percentile
        bootstrap over the pairs; ``pairs``; ``decided``, whether the corrected interval excludes
        0. The ends of an infinite interval are NaN.

    Raises
    ------
    NotEnoughData
        If no prior shares a seed with N(0, 1).
    """
    labels = dict(zip(table["noise"], table["label"], strict=True))
    wide = table.pivot_table(index="seed", columns="noise", values=measure)
    wide = wide.reindex(columns=[claims.REFERENCE, *labels.keys() - {claims.REFERENCE}])
    paired = wide.sub(wide[claims.REFERENCE], axis="index").drop(columns=claims.REFERENCE)
    paired = paired.dropna(axis="columns", how="all")
    if paired.empty:
        raise NotEnoughData(
            "Differences take runs with N(0, 1) and with another prior, with the same seed."
        )
    rng, rows = stream(seed, "pairs"), {}
    for noise in [noise for noise in labels if noise in paired]:
        values = paired[noise].dropna()
        interval = intervals.paired(values, 0 * values, comparisons=len(paired.columns))
        is_finite = np.isfinite(interval.low)
        resampled = torch.randint(len(values), (RESAMPLES, len(values)), generator=rng).numpy()
        means = values.to_numpy()[resampled].mean(axis=1)
        rows[labels[noise]] = {
            "difference": interval.difference,
            "low": interval.low if is_finite else np.nan,
            "high": interval.high if is_finite else np.nan,
            "bootstrap_low": np.quantile(means, 0.025) if is_finite else np.nan,
            "bootstrap_high": np.quantile(means, 0.975) if is_finite else np.nan,
            "pairs": interval.pairs,
            "decided": interval.low > 0 or interval.high < 0,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("noise")


# --- All results in one object ---


class Comparison:
    """A comparison of runs: samples, histories, measures, differences and claims.

    Samples, histories and summary exist for any runs. Measures, differences and claims exist only
    for runs that differ only in noise and seed; for other runs they raise `NotEnoughData` with the
    reason. The long computations are done once, on first use.

    Parameters
    ----------
    runs
        At least one, each with a complete epoch.
    samples
        Number of images per run that are measured.
    label_column
        Column of the collection's labels for the mode coverage; see `labels.classes_of`.
    seed
        Of the latent vectors, the bootstrap and the embedding.
    device
        Where generators and extractor run.
    on_run
        Called with the number of measured runs and their total.

    Attributes
    ----------
    labelled : dict of Run
        See `label_runs`.
    grouped : dict of list of Run
        See `group_by_noise`.
    first : dict of Run
        The first run of each group.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        *,
        samples: int = 300,
        label_column: str | None = None,
        seed: int = 0,
        device: str = "cpu",
        on_run: Callable[[int, int], None] | None = None,
    ):
        self.runs, self.count, self.label_column = list(runs), samples, label_column
        self.seed, self.device, self.on_run = seed, device, on_run
        self.labelled = label_runs(self.runs)
        self.grouped = group_by_noise(self.labelled)
        self.first = {name: group[0] for name, group in self.grouped.items()}

    @property
    def name(self) -> str:
        """Collection and architecture, for file names."""
        return f"{self.runs[0].about['data']['name']}-{self.runs[0].config.architecture}"

    @property
    def priors(self) -> list[Prior]:
        """The distinct priors of the runs."""
        return list(dict.fromkeys(run.config.prior for run in self.runs))

    @property
    def noise_size(self) -> int:
        """The smallest ``noise_size`` of the runs."""
        return min(run.config.noise_size for run in self.runs)

    def samples(self, n: int = 16) -> dict[str, torch.Tensor]:
        """Return images of the first run of each group, from aligned latent vectors.

        Returns
        -------
        dict of torch.Tensor
            uint8, shape ``(n, 3, H, W)``; see `sample_aligned`.
        """
        return {
            name: sample_aligned(run, n, seed=self.seed, device=self.device)
            for name, run in self.first.items()
        }

    def histories(self) -> dict[str, pd.DataFrame]:
        """Return the history of each group; those of several seeds are concatenated."""
        return {
            name: pd.concat([run.history() for run in group])
            for name, group in self.grouped.items()
        }

    def summary(self) -> pd.DataFrame:
        """Return the module's `summary`: one row per run."""
        return summary(self.labelled)

    @cached_property
    def real(self) -> Dataset:
        """The collection that all runs were trained on."""
        return require_same_settings(self.runs)

    @cached_property
    def classes(self) -> pd.Series | None:
        """The class of each real image, or None without complete labels."""
        return classes_of(self.real, self.label_column)

    @property
    def _settings(self) -> dict[str, Any]:
        classes = None if self.classes is None else self.classes.tolist()
        return {"seed": self.seed, "classes": classes, "device": self.device}

    @cached_property
    def baseline(self) -> dict[str, float | int | str]:
        """The real-vs-real baseline; see `evaluation.baseline_real_real`."""
        images = self.real.images
        return evaluation.baseline_real_real(images, generated=self.count, **self._settings)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per run: all measures of new images; see `evaluate_runs`."""
        _ = self.baseline  # raises an error for too few images before the long computation
        return evaluate_runs(
            self.runs, self.real, samples=self.count, on_run=self.on_run, **self._settings
        )

    def measures(self, names: Sequence[str]) -> pd.DataFrame:
        """Return mean and interval over the seeds, one row per prior; see `over_seeds`."""
        return over_seeds(self.table, self.baseline, names)

    def differences(self, measure: str) -> pd.DataFrame:
        """Return how each prior differs from N(0, 1); see the module's `differences`."""
        return differences(self.table, measure, seed=self.seed)

    @cached_property
    def claims(self) -> list[claims.Claim]:
        """The study's claims with their verdicts; see `claims.judge`."""
        return claims.judge(self.table)

    def describe_samples(self) -> str:
        """Describe in Markdown how the numbers of `measures` were measured."""
        return describe_samples(self.table, self.baseline, self.classes)

    def describe_claims(self) -> str:
        """Describe in Markdown how many claims have each verdict, and list the verdicts."""
        counts = Counter(claim.verdict for claim in self.claims)
        brief = ", ".join(f"{counts[v]} {v}" for v in claims.VERDICTS if counts[v])
        return f"{brief}. {describe_seeds(self.table)}\n\n{claims.as_table(self.claims)}"

    @cached_property
    def _images(self) -> dict[str, torch.Tensor]:
        """The real images, and new ones of the first run of each group."""
        generated = {
            name: sampling.sample(run, self.count, seed=self.seed, device=self.device)
            for name, run in self.first.items()
        }
        return {"real": self.real.images, **generated}

    def embedding(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Embed real and generated images in one plane (UMAP of their features).

        Returns
        -------
        points : float32 array, shape (N, 2)
        groups : int array, shape (N,)
            Index into ``names`` of each point.
        names : list of str
            ``real``, and the groups of runs.
        """
        vectors = {
            name: features.extract(images, device=self.device).vectors
            for name, images in self._images.items()
        }
        points = umap_embedding(np.concatenate(list(vectors.values())), seed=self.seed)
        sizes = [len(rows) for rows in vectors.values()]
        return points, np.repeat(range(len(sizes)), sizes), list(vectors)

    def examples(self) -> dict[str, dict[str, torch.Tensor]]:
        """Return example images by rule and group; see `select_examples`."""
        examples = {
            name: select_examples(self.real.images, self._images[name], device=self.device)
            for name in self.first
        }
        rules = next(iter(examples.values()))
        return {rule: {name: chosen[rule] for name, chosen in examples.items()} for rule in rules}

    def write(self, folder: Path) -> None:
        """Write `table` and `claims` as CSV files."""
        write_csv(self.table, folder / f"{self.name}-measures.csv", index=False)
        verdicts = pd.DataFrame([vars(claim) for claim in self.claims])
        write_csv(verdicts, folder / f"{self.name}-claims.csv", index=False)
