"""Runs side by side: their names, samples, measures, differences and claims."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from dcgan_utils.core.errors import NotEnoughData, WorkbookError, escape_markdown
from dcgan_utils.core.files import write_csv
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
    Losses say how the contest between the networks stands, not how good the images are. A
    spread near 1 does not mean that the images resemble the real ones, only that they
    differ as much from each other; a spread near 0 does mean that they repeat.
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


# --- Runs that differ in noise and seed alone ----------------------------------------------


def require_same_settings(runs: Sequence[Run]) -> Dataset:
    """Check that runs differ in nothing but noise and seed, and return their images.

    Raises
    ------
    NotMeaningful
        If they do; the message tells in what.
    WorkbookError
        If the images are not there any more.
    """
    apart = _apart(runs)
    if apart:
        listed = "; ".join(f"{name}: {', '.join(values)}" for name, values in apart.items())
        raise NotEnoughData(
            f"These runs differ in more than noise and seed ({listed}). Numbers that do not "
            "compare are not put beside each other: name fewer runs."
        )
    return sampling.collection_of(runs[0])


def _apart(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return in what runs differ, but for noise and seed, with the values."""
    settings = [
        run.config.identity
        | {"noise": None, "seed": None}
        | {"epochs shown": len(run.history()), "images": run.about["data"]["data_hash"][:12]}
        for run in runs
    ]
    values = {name: sorted({str(setting[name]) for setting in settings}) for name in settings[0]}
    return {name: several for name, several in values.items() if len(several) > 1}


def group_by_noise(labelled: dict[str, Run]) -> dict[str, list[Run]]:
    """Return the runs of each noise under its label, the smallest seed first.

    Runs that differ in more than noise and seed stand alone, under the names they have.
    """
    if _apart(list(labelled.values())):
        return {label: [run] for label, run in labelled.items()}
    grouped: dict[str, list[Run]] = {}
    for run in sorted(labelled.values(), key=lambda run: run.config.seed):
        grouped.setdefault(run.config.prior.label, []).append(run)
    return {run.config.prior.label: grouped[run.config.prior.label] for run in labelled.values()}


def sample_aligned(run: Run, n: int, *, seed: int, device: str = "cpu") -> torch.Tensor:
    """Draw images that can be put beside those of other noises, one by one.

    The same normal scores are brought to each noise by their quantiles: what is the largest
    coordinate of a vector from N(0, 1) is the largest of the vector from Gamma(2, 1) too.

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
    """Measure new images of each run; the numbers also go into its ``metrics.json``.

    Parameters
    ----------
    runs
        As `require_same_settings` allows them.
    real
        What they were trained on.
    samples
        How many images of each are measured.
    seed
        Of the latent vectors.
    classes
        See `labels.classes_of`.
    device
        Where generators and extractor run.
    on_run
        Called with the number of runs measured, and of all.

    Returns
    -------
    pandas.DataFrame
        One row a run: ``label`` and ``noise`` (a spec), ``seed``, ``|mean| / std``, and what
        `evaluation.evaluate` returns.

    Raises
    ------
    NotMeaningful
        If there are too few images.
    """
    rows = []
    for number, run in enumerate(runs, start=1):
        prior = run.config.prior
        images = sampling.sample(run, samples, seed=seed, device=device)
        found = evaluation.evaluate(real.images, images, seed=seed, classes=classes, device=device)
        run.save_metrics(found | {"epochs": len(run.history()), "sample_seed": seed})
        rows.append(
            {
                "label": prior.label,
                "noise": str(prior),
                "seed": run.config.seed,
                "|mean| / std": prior.ratio,
                **found,
                "run": run.name,
            }
        )
        if on_run is not None:
            on_run(number, len(runs))
    return pd.DataFrame(rows)


def select_examples(
    real: torch.Tensor, generated: torch.Tensor, *, device: str = "cpu", pairs: int = 3
) -> dict[str, torch.Tensor]:
    """Choose images that a person should look at, by rule.

    Parameters
    ----------
    real, generated
        uint8, shapes ``(n, 3, H, W)`` and ``(m, 3, H, W)``.
    device
        Where the extractor runs.
    pairs
        How many pairs; of the others twice as many images are chosen.

    Returns
    -------
    dict of torch.Tensor
        Generated images, uint8. ``nearest to real ones`` and ``farthest from real ones``, by the
        distance of the features to the nearest real image; and ``most alike``, pairs beside each
        other, none twice.
    """
    vectors = [features.extract(images, device=device).vectors for images in (real, generated)]
    apart = distances.nearest(*vectors)[1].argsort(kind="stable")
    count = 2 * pairs
    return {
        "nearest to real ones": generated[apart[:count]],
        "farthest from real ones": generated[apart[::-1][:count].copy()],
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
    table: pd.DataFrame, floor: dict[str, float | int | str], measures: Sequence[str]
) -> pd.DataFrame:
    """Return mean and 95 % interval of measures over the seeds, as text, one row a noise.

    Student's t; a single seed has no interval. The first row is the ``floor`` (see
    `evaluation.baseline_real_real`). Measures that the table does not have are left out.
    """

    def told(values: pd.Series) -> str:
        half = intervals.half_width(values)
        return f"{values.mean():.3f}" + (f" ± {half:.3f}" if math.isfinite(half) else "")

    names = [name for name in measures if name in table]
    by_noise = table.groupby("label", sort=False)
    rows = by_noise[names].agg(told).assign(seeds=by_noise["seed"].nunique().astype(str))
    real = {name: f"{floor[name]:.3f}" for name in names} | {"seeds": ""}
    both = pd.concat([pd.DataFrame(real, index=["real-vs-real baseline"]), rows])
    return both.rename(columns=lambda name: name.replace("_", " "))


def describe_samples(
    table: pd.DataFrame, floor: dict[str, float | int | str], classes: pd.Series | None
) -> str:
    """Say what the numbers of `over_seeds` rest on."""
    row = table.iloc[0]
    said = (
        f"On {row['extractor']}; {row['generated']} generated images of each run against "
        f"{row['real']} real ones (the first row: {floor['generated']} against {floor['real']}). "
        "With several seeds: mean and 95 % interval (Student's t) over the seeds."
    )
    if classes is None:
        return said
    return said + (
        f" The kinds are those of the label '{escape_markdown(str(classes.name))}': {classes.nunique()}. Their "
        f"classifier is right on {floor['classifier_accuracy']:.0%} of the real images that it "
        "has not seen, each kind counting alike."
    )


def describe_seeds(table: pd.DataFrame) -> str:
    """Say how many seeds each noise shares with N(0, 1), and what that means."""
    seeds = {label: set(runs["seed"]) for label, runs in table.groupby("label", sort=False)}
    reference = next(iter(table["label"][table["noise"] == claims.REFERENCE]), None)
    if reference is None:
        return "There is no run with N(0, 1), so nothing is decided."
    shared = {
        label: len(own & seeds[reference]) for label, own in seeds.items() if label != reference
    }
    few = [label for label, count in shared.items() if count < 2]
    counts = ", ".join(f"{label}: {count}" for label, count in shared.items()) or "none"
    said = f"Seeds in common with N(0, 1): {counts}."
    if few:
        said += f" **With one seed nothing can be decided** ({', '.join(few)})."
    return said


def differences(table: pd.DataFrame, measure: str, *, seed: int = 0) -> pd.DataFrame:
    """Return how each noise differs from N(0, 1) in a measure, over the seeds that both have.

    Parameters
    ----------
    table
        From `compare.evaluate_runs`.
    measure
        One of its columns.
    seed
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        One row a noise that shares a seed with N(0, 1): ``difference``, the mean over pairs of
        the same seed; ``low`` and ``high``, Student's t interval, corrected for the number of
        noises (see `intervals.paired`); ``bootstrap_low`` and ``bootstrap_high``, the percentile
        bootstrap over the pairs; ``pairs``; ``decided``, whether the corrected interval leaves
        0 out. Where an interval says nothing, its ends are NaN.

    Raises
    ------
    NotMeaningful
        If no noise shares a seed with N(0, 1).
    """
    label = dict(zip(table["noise"], table["label"], strict=True))
    wide = table.pivot_table(index="seed", columns="noise", values=measure)
    wide = wide.reindex(columns=[claims.REFERENCE, *label.keys() - {claims.REFERENCE}])
    apart = wide.sub(wide[claims.REFERENCE], axis="index").drop(columns=claims.REFERENCE)
    apart = apart.dropna(axis="columns", how="all")
    if apart.empty:
        raise NotEnoughData("Differences take runs with N(0, 1) and with another noise, same seed.")
    rng, rows = stream(seed, "pairs"), {}
    for noise in [noise for noise in label if noise in apart]:
        values = apart[noise].dropna()
        interval = intervals.paired(values, 0 * values, comparisons=len(apart.columns))
        known = np.isfinite(interval.low)
        again = torch.randint(len(values), (RESAMPLES, len(values)), generator=rng).numpy()
        means = values.to_numpy()[again].mean(axis=1)
        rows[label[noise]] = {
            "difference": interval.difference,
            "low": interval.low if known else np.nan,
            "high": interval.high if known else np.nan,
            "bootstrap_low": np.quantile(means, 0.025) if known else np.nan,
            "bootstrap_high": np.quantile(means, 0.975) if known else np.nan,
            "pairs": interval.pairs,
            "decided": interval.low > 0 or interval.high < 0,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("noise")


# --- All of it in one object ---


class Comparison:
    """Runs side by side: samples, histories, measures, differences and claims.

    Samples, histories and summary exist for any runs. Measures, differences and claims exist only
    for runs that differ in nothing but noise and seed: for others each of them raises
    `NotEnoughData` with the reason. Everything is computed once, when it is first asked for.

    Parameters
    ----------
    runs
        At least one, each with a complete epoch.
    samples
        How many images of each run are measured.
    label_column
        Of the collection's labels, for the mode coverage; see `labels.classes_of`.
    seed
        Of the latent vectors, the bootstrap and the embedding.
    device
        Where generators and extractor run.
    on_run
        Called with the number of runs measured, and of all.

    Attributes
    ----------
    labelled : dict of Run
        Each run under a short name.
    grouped : dict of list of Run
        The runs of each prior under its label, the smallest seed first.
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
        """Collection and architecture, for names of files."""
        return f"{self.runs[0].about['data']['name']}-{self.runs[0].config.architecture}"

    @property
    def priors(self) -> list[Prior]:
        """The priors of the runs, none twice."""
        return list(dict.fromkeys(run.config.prior for run in self.runs))

    @property
    def noise_size(self) -> int:
        """The shortest latent vector among the runs."""
        return min(run.config.noise_size for run in self.runs)

    def samples(self, n: int = 16) -> dict[str, torch.Tensor]:
        """Return images of the first run of each prior; the same place has vectors of same ranks.

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
        """Return the histories of each group, those of several seeds below each other."""
        return {
            name: pd.concat([run.history() for run in group])
            for name, group in self.grouped.items()
        }

    def summary(self) -> pd.DataFrame:
        """Return one row per run: the prior's moments and how the training ended; see `summary`."""
        return summary(self.labelled)

    @cached_property
    def real(self) -> Dataset:
        """The collection that all runs were trained on."""
        return require_same_settings(self.runs)

    @cached_property
    def classes(self) -> pd.Series | None:
        """The class of each real image, if labels say it for all of them."""
        return classes_of(self.real, self.label_column)

    @property
    def _shared(self) -> dict[str, Any]:
        classes = None if self.classes is None else self.classes.tolist()
        return {"seed": self.seed, "classes": classes, "device": self.device}

    @cached_property
    def baseline(self) -> dict[str, float | int | str]:
        """What real images score against real ones; see `evaluation.baseline_real_real`."""
        images = self.real.images
        return evaluation.baseline_real_real(images, generated=self.count, **self._shared)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per run: all measures of new images; see `evaluate_runs`."""
        _ = self.baseline  # refuses too few images before the long work
        return evaluate_runs(
            self.runs, self.real, samples=self.count, on_run=self.on_run, **self._shared
        )

    def measures(self, names: Sequence[str]) -> pd.DataFrame:
        """Return mean and interval over the seeds, one row per prior; see `over_seeds`."""
        return over_seeds(self.table, self.baseline, names)

    def differences(self, measure: str) -> pd.DataFrame:
        """Return how each prior differs from N(0, 1); see `differences`."""
        return differences(self.table, measure, seed=self.seed)

    @cached_property
    def claims(self) -> list[claims.Claim]:
        """The study's claims, each with its verdict; see `claims.judge`."""
        return claims.judge(self.table)

    def describe_samples(self) -> str:
        """Say what the numbers of `measures` rest on."""
        return describe_samples(self.table, self.baseline, self.classes)

    def describe_claims(self) -> str:
        """Return the verdicts in brief, as Markdown."""
        counts = pd.Series([claim.verdict for claim in self.claims]).value_counts()
        brief = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        return f"{brief}. {describe_seeds(self.table)}\n\n{claims.as_table(self.claims)}"

    @cached_property
    def _sides(self) -> dict[str, torch.Tensor]:
        drawn = {
            name: sampling.sample(run, self.count, seed=self.seed, device=self.device)
            for name, run in self.first.items()
        }
        return {"real": self.real.images, **drawn}

    def embedding(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Embed real and generated images in one plane (UMAP of their features).

        Returns
        -------
        points : float32 array, shape (N, 2)
        groups : int array, shape (N,)
            Each point's number in ``names``.
        names : list of str
            ``real``, and the groups of runs.
        """
        sides = self._sides
        vectors = [features.extract(side, device=self.device).vectors for side in sides.values()]
        points = umap_embedding(np.concatenate(vectors), seed=self.seed)
        return points, np.repeat(range(len(vectors)), list(map(len, vectors))), list(sides)

    def examples(self) -> dict[str, dict[str, torch.Tensor]]:
        """Return images of each prior that are chosen by rule; see `select_examples`."""
        real, *_ = self._sides.values()
        chosen = {
            name: select_examples(real, self._sides[name], device=self.device)
            for name in self.first
        }
        rules = next(iter(chosen.values()))
        return {rule: {name: found[rule] for name, found in chosen.items()} for rule in rules}

    def write(self, folder: Path) -> None:
        """Write measures and claims as CSV; see `table` and `claims`."""
        write_csv(self.table, folder / f"{self.name}-measures.csv", index=False)
        verdicts = pd.DataFrame([vars(claim) for claim in self.claims])
        write_csv(verdicts, folder / f"{self.name}-claims.csv", index=False)
