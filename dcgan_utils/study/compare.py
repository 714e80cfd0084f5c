"""Comparison of runs: names, samples, measures, differences and claims."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from dcgan_utils.core import progress
from dcgan_utils.core.errors import NotEnoughData, WorkbookError, escape_markdown
from dcgan_utils.core.files import home, warn_if_not_writable, write_tables
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.labels import classes_of
from dcgan_utils.data.load import Dataset
from dcgan_utils.gan import augment
from dcgan_utils.gan.priors import Prior
from dcgan_utils.metrics import distances, evaluation, features, intervals
from dcgan_utils.metrics.embed import umap_embedding
from dcgan_utils.runs import sampling
from dcgan_utils.runs.run import Run, find_runs
from dcgan_utils.study import claims, findings
from dcgan_utils.study.findings import AnyRun
from dcgan_utils.study.record import (
    IMAGES,
    Record,
    RecordedRun,
    describe,
    history_with_kid,
    is_record,
)

BASELINE = "real-vs-real baseline"


def find(names: str) -> list[AnyRun]:
    """Return runs by their names or patterns (see `run.find_runs`), or those of a record.

    Raises
    ------
    WorkbookError
        If there are none.
    """
    if not is_record(names):
        return list(find_runs(names))
    path = home() / names.strip()
    runs = Record.of_file(path).runs()
    if not runs:
        raise WorkbookError(f"there is no record '{path}', or it has no runs.")
    return runs


def _label(run: AnyRun) -> str:
    return claims.arm_label(claims.arm_of(run.config.noise, run.config.first_norm))


def label_runs(runs: Sequence[AnyRun]) -> dict[str, AnyRun]:
    """Return the runs by short names for figures.

    A name is the label of the prior, with the first BatchNorm if that is per unit. If two runs
    share it, the parameters in which the runs differ are added. If names are still not unique,
    they are the names of the run folders.

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
        if name not in ARM and len({config[name] for config in configs.values()}) > 1
    ]
    for naming in (
        _label,
        lambda run: ", ".join(
            [_label(run), *(f"{name} {configs[run][name]}" for name in differing)]
        ),
        lambda run: run.name,
    ):
        labelled = {naming(run): run for run in runs}
        if len(labelled) == len(runs):
            return labelled
    return {str(run.folder): run for run in runs}


def summary(labelled: dict[str, AnyRun]) -> pd.DataFrame:
    """Return one row per run: the moments of its prior and the end of its training.

    Losses, D(x), D(G(z)) and the shares are means over the last tenth of the epochs, because single
    epochs fluctuate.

    Notes
    -----
    Losses describe the balance between the networks, not the quality of the images. A share near
    1 means only that the images repeat no more than real ones, not that they resemble them. A
    share near 0 means that the images repeat.
    """
    rows = {}
    for label, run in labelled.items():
        history, prior = run.history(), run.config.prior
        end = history.tail(math.ceil(len(history) / 10)).mean()
        rows[label] = {
            "mean": prior.mean,
            "std": prior.std,
            "|mean| / std": prior.ratio,
            "epochs": int(history["epoch"].iloc[-1]),
            "loss of D": end["d_loss_real"] + end["d_loss_fake"],
            "loss of G": end["g_loss"],
            "D(x)": end["d_real"],
            "D(G(z))": end["d_fake"],
            "share, first layer": end["first_layer_share"],
            "share, images": end["share_between_images"],
            "minutes": run.minutes,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("noise")


# --- Runs that differ only in noise, first_norm and seed ---

ARM = ("noise", "first_norm")  # what distinguishes the arms of a study


def require_same_settings(runs: Sequence[AnyRun]) -> None:
    """Check that runs differ only in noise, first_norm and seed.

    Raises
    ------
    NotEnoughData
        If the runs differ in other settings; the message lists them.
    """
    differing = _differing_settings(runs)
    if differing:
        listed = "; ".join(f"{name}: {', '.join(values)}" for name, values in differing.items())
        raise NotEnoughData(
            f"These runs differ in more than noise and seed ({listed}), so their numbers cannot "
            "be compared: choose fewer runs."
        )


def _differing_settings(runs: Sequence[AnyRun]) -> dict[str, list[str]]:
    """Return the other settings in which runs differ, with their values."""
    settings = [
        run.config.identity
        | dict.fromkeys((*ARM, "seed"))
        | {
            "epochs shown": run.history()["epoch"].max(),
            "images": run.about["data"]["data_hash"][:12],
        }
        for run in runs
    ]
    values = {name: sorted({str(setting[name]) for setting in settings}) for name in settings[0]}
    return {name: distinct for name, distinct in values.items() if len(distinct) > 1}


def group_by_noise(labelled: dict[str, AnyRun]) -> dict[str, list[AnyRun]]:
    """Group runs by their arm, the smallest seed first.

    If the runs differ in more than noise and seed, each run is a group of its own.
    """
    if _differing_settings(list(labelled.values())):
        return {label: [run] for label, run in labelled.items()}
    grouped: dict[str, list[AnyRun]] = {}
    for run in sorted(labelled.values(), key=lambda run: run.config.seed):
        grouped.setdefault(_label(run), []).append(run)
    return {_label(run): grouped[_label(run)] for run in labelled.values()}


def require_folder(run: AnyRun) -> Run:
    """Return a run's folder, from which new images can be drawn.

    Raises
    ------
    NotEnoughData
        If only its record is left.
    """
    if isinstance(run, Run):
        return run
    if run.folder is None:
        raise NotEnoughData(
            f"Skipped: the folder of the run '{run.name}' is gone, so no new images can be drawn. "
            "Its measures are in the record."
        )
    return Run(run.folder)


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


def measure_run(
    run: Run,
    *,
    samples: int,
    real: Dataset | None = None,
    label_column: str | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Measure new images of a run, and write the measures to its ``metrics.json``.

    Measures that are there already are returned, if they are of the same images.

    Parameters
    ----------
    samples
        Number of images.
    real
        The collection that it was trained on, if that is loaded already.
    label_column
        See `labels.classes_of`.
    seed
        Of the latent vectors and the bootstrap.
    device
        Where generator and extractor run.

    Returns
    -------
    dict
        The result of `evaluation.evaluate`.

    Raises
    ------
    NotEnoughData
        If there are too few images.
    """
    how = {
        "version": evaluation.VERSION,
        "epochs": len(run.history()),
        "sample_seed": seed,
        "label_column": label_column,
    }
    stored = run.metrics()
    if stored.pop("how", None) == how and stored.get("generated") == samples:
        return {name: math.nan if value is None else value for name, value in stored.items()}
    real = real or sampling.collection_of(run)
    classes = classes_of(real, label_column)
    measures = evaluation.evaluate(
        real.images,
        sampling.sample(run, samples, seed=seed, device=device),
        seed=seed,
        classes=None if classes is None else classes.tolist(),
        device=device,
    )
    with warn_if_not_writable():
        run.save_metrics(measures | {"how": how})
        _show_in_tensorboard(run)
    return measures


def _show_in_tensorboard(run: Run) -> None:
    """Export the measures of a finished run to TensorBoard, if its training was shown there."""
    if not (run.finished and run.tensorboard_folder.is_dir()):
        return
    try:
        from dcgan_utils.runs.tensorboard import export
    except WorkbookError:  # TensorBoard is no longer installed
        return
    export(run)


def record_run(record: Record, run: Run, **settings: Any) -> None:
    """Measure a run (see `measure_run`), and add it to a record."""
    record.add(run, measure_run(run, **settings), sample_aligned(run, IMAGES, seed=0))


def measure_anchors(
    real: Dataset,
    *,
    samples: int,
    label_column: str | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Return what measures are compared with: real images, and the `evaluation.anchors`."""
    classes = classes_of(real, label_column)
    baseline = evaluation.baseline_real_real(
        real.images,
        generated=samples,
        seed=seed,
        classes=None if classes is None else classes.tolist(),
        device=device,
    )
    first = pd.DataFrame.from_dict({BASELINE: baseline}, orient="index")
    others = evaluation.anchors(real.images, generated=samples, seed=seed, device=device)
    return pd.concat([first, others])


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
        distance of the features to the nearest real image. ``most alike, in pairs`` are pairs side
        by side without repetitions.
    """
    vectors = [features.extract(images, device=device).vectors for images in (real, generated)]
    by_distance = distances.nearest(*vectors)[1].argsort(kind="stable")
    count = 2 * pairs
    return {
        "nearest to real ones": generated[by_distance[:count]],
        "farthest from real ones": generated[by_distance[::-1][:count].copy()],
        "most alike, in pairs": generated[distances.closest_pairs(vectors[1], pairs).flatten()],
    }


# --- Tables over the seeds ---

CLOSENESS = ("kid", "fid", "precision", "recall", "density", "coverage")
VARIETY = (
    "share_between_images",
    "support_size",
    "diversity",
    "repetition",
    "memorisation",
    "sharpness",
    "mode_coverage",
    "mode_entropy",
)
READING = {
    "kid": ("lower", "near 0 it rewards copies: see coverage, recall and memorisation"),
    "fid": ("lower", "it is far too large with few images, also between real ones"),
    "precision": ("higher", "grey images may lie in the ball of one real outlier"),
    "recall": ("higher", "one odd generated image has a large ball"),
    "density": ("higher", "one real image drawn again and again is enough"),
    "coverage": ("higher", "copies of the collection have 1"),
    "share_between_images": ("near 1", "uniform noise has 1 too: it does not see quality"),
    "support_size": ("near 1,000", "uniform noise has no duplicates at all"),
    "diversity": ("near 1", "it is lower for noise than for blurred copies"),
    "repetition": ("near 0.05", "blurred images are near each other without being the same"),
    "memorisation": ("near 0.05", "near-duplicates in the collection hide copies"),
    "sharpness": ("near 1", "noise and checkerboards count as detail"),
    "mode_coverage": ("higher", "the classifier has to name a class for any image"),
    "mode_entropy": ("higher", "the classifier has to name a class for any image"),
}


def _readable(measure: str) -> str:
    return measure.replace("_", " ")


def over_seeds(table: pd.DataFrame, anchors: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """Return mean and 95 % interval of measures over the seeds, as text, one row per arm.

    The intervals are Student's t; a single seed has none. The first rows are the ``anchors`` (see
    `measure_anchors`). Measures that are not in the table are skipped.
    """

    def with_interval(values: pd.Series) -> str:
        half = intervals.half_width(values)
        return _number(values.mean()) + (f" ± {_number(half)}" if math.isfinite(half) else "")

    names = [name for name in measures if name in table]
    by_arm = table.groupby("label", sort=False)
    rows = by_arm[names].agg(with_interval).assign(seeds=by_arm["seed"].nunique().astype(str))
    first = anchors.reindex(columns=names).map(_number).assign(seeds="")
    return pd.concat([first, rows]).rename(columns=_readable)


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"


def reading(measures: Sequence[str]) -> pd.DataFrame:
    """Return for each measure which direction is good, and where it misleads."""
    rows = {_readable(name): READING[name] for name in measures}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["good", "but"])


def differences(table: pd.DataFrame, measure: str, *, looks: Sequence[int] = ()) -> pd.DataFrame:
    """Return how each arm differs from N(0, 1) in a measure.

    The intervals are those by which the claims are judged; see `claims.Runs`.

    Returns
    -------
    pandas.DataFrame
        One row per arm but N(0, 1): ``found``, a ratio for KID and sharpness, else a difference;
        ``low`` and ``high``, which are NaN where they are infinite; ``decided``, whether the
        interval leaves out equality; ``runs``.

    Raises
    ------
    NotEnoughData
        If there are no runs with N(0, 1), or none with another prior.
    """
    runs = claims.Runs.at_look(table, looks)
    others = [arm for arm in runs.arms if arm != claims.REFERENCE]
    if claims.REFERENCE not in runs.arms or not others:
        raise NotEnoughData("Differences take runs with N(0, 1) and with another prior.")
    is_ratio = measure in claims.LOGARITHMIC
    back, arms, rows = np.exp if is_ratio else float, runs.in_measure(measure), {}
    for arm in others:
        difference = arms.difference({arm: 1.0, claims.REFERENCE: -1.0}, level=runs.level)
        ends = [back(end) if np.isfinite(end) else np.nan for end in difference.interval]
        same = 1.0 if is_ratio else 0.0
        rows[claims.arm_label(arm)] = {
            "found": back(difference.value),
            "low": ends[0],
            "high": ends[1],
            "decided": ends[0] > same or ends[1] < same,
            "runs": arms.counts[arm],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("noise")


def describe_samples(table: pd.DataFrame, anchors: pd.DataFrame, label: str | None) -> str:
    """Describe in Markdown how the numbers of `over_seeds` were measured."""
    row, baseline = table.iloc[0], anchors.loc[BASELINE]
    text = (
        f"Features of {row['extractor']}; {row['generated']} generated images of each run against "
        f"{row['real']} real ones (first row: {baseline['generated']:.0f} against "
        f"{baseline['real']:.0f}). With several seeds: mean and 95 % interval (Student's t) over "
        "the seeds."
    )
    if label is None or "classifier_accuracy" not in baseline:
        return text
    return text + (
        f" The classes are the values of the label '{escape_markdown(label)}'. The classifier is "
        f"right on {baseline['classifier_accuracy']:.0%} of the held-out real images, averaged "
        "over the classes."
    )


def describe_look(table: pd.DataFrame, looks: Sequence[int]) -> str:
    """Describe in Markdown on which runs, and at which level, the claims are judged."""
    seeds = table.groupby("label", sort=False)["seed"].nunique()
    text = f"Seeds of each arm: {', '.join(f'{name} {count}' for name, count in seeds.items())}."
    if not looks:
        return f"{text} Each test is one-sided, at 5 %."
    runs = claims.Runs.at_look(table, looks)
    plan = ", ".join(map(str, looks))
    if not runs.level:
        return f"{text} The first look is at {looks[0]} seeds of every arm: nothing is judged yet."
    return (
        f"{text} The study is judged at {plan} seeds of every arm; this look is at "
        f"{runs.table['seed'].nunique()}, with one-sided tests at {runs.level:.2%}."
    )


# --- All results in one object ---


def _divergence(run: AnyRun) -> int | None:
    """Return the epoch at which the losses diverged; a record keeps too few epochs to tell."""
    return run.divergence_epoch() if isinstance(run, Run) else None


def _group(ratio: float, first_norm: str) -> str:
    name = f"|mean| / std = {ratio:.3g}" if ratio else "mean 0"
    return name if first_norm == "channel" else f"{name}, BatchNorm per {first_norm}"


class Comparison:
    """A comparison of runs: samples, histories, measures, differences and claims.

    Samples, histories and summary exist for any runs. Measures, differences and claims exist only
    for runs that differ only in noise, first_norm and seed; for other runs they raise
    `NotEnoughData` with the reason. The long computations are done once, on first use.

    Parameters
    ----------
    runs
        At least one, each with a complete epoch; those of a record may have no folder any more.
    samples
        Number of images per run that are measured.
    label_column
        Column of the collection's labels for the mode coverage; see `labels.classes_of`.
    looks
        Numbers of seeds at which the claims are judged; see `claims.judge`.
    seed
        Of the latent vectors, the bootstrap and the embedding.
    device
        Where generators and extractor run.

    Attributes
    ----------
    labelled : dict
        See `label_runs`.
    grouped : dict of list
        See `group_by_noise`.
    first : dict
        The first run of each group.
    """

    def __init__(
        self,
        runs: Sequence[AnyRun],
        *,
        samples: int = 300,
        label_column: str | None = None,
        looks: Sequence[int] = (),
        seed: int = 0,
        device: str = "cpu",
    ):
        self.runs, self.count, self.label_column = list(runs), samples, label_column
        self.looks, self.seed, self.device = tuple(looks), seed, device
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
        return {name: self._aligned(run, n) for name, run in self.first.items()}

    def _aligned(self, run: AnyRun, n: int) -> torch.Tensor:
        if isinstance(run, RecordedRun):
            return run.record.samples(run.name)[:n]
        return sample_aligned(run, n, seed=self.seed, device=self.device)

    def histories(self) -> dict[str, pd.DataFrame]:
        """Return the history of each group; those of several seeds are concatenated."""
        return {
            name: pd.concat([run.history() for run in group])
            for name, group in self.grouped.items()
        }

    def curves(self) -> pd.DataFrame:
        """Return the histories of all runs in one table.

        Returns
        -------
        pandas.DataFrame
            The columns of the histories, with ``update`` (of the generator), ``label``,
            ``first_norm``, ``|mean| / std``, and ``group``: the arms that theory predicts to be
            alike; ``kid`` where `train.ipynb` has measured it.
        """
        parts = []
        for run in self.runs:
            config = run.config
            shown = run.about["data"]["images"] * augment.views_per_image(config.augment)
            is_recorded = isinstance(run, RecordedRun)
            history = run.history() if is_recorded else history_with_kid(run)
            known = {
                "update": history["epoch"] * math.ceil(shown / config.batch_size),
                "label": _label(run),
                "first_norm": config.first_norm,
                "|mean| / std": config.prior.ratio,
                "group": _group(config.prior.ratio, config.first_norm),
            }
            parts.append(history.assign(**known))
        return pd.concat(parts, ignore_index=True)

    def summary(self) -> pd.DataFrame:
        """Return the module's `summary`: one row per run."""
        return summary(self.labelled)

    @cached_property
    def record(self) -> Record | None:
        """The record that all runs come from, if they do."""
        records = {run.record for run in self.runs if isinstance(run, RecordedRun)}
        return records.pop() if len(records) == 1 else None

    @cached_property
    def real(self) -> Dataset:
        """The collection that all runs were trained on."""
        require_same_settings(self.runs)
        return sampling.collection_of(self.runs[0])

    @property
    def _settings(self) -> dict[str, Any]:
        names = ("label_column", "seed", "device")
        return {name: getattr(self, name) for name in names} | {"samples": self.count}

    @cached_property
    def anchors(self) -> pd.DataFrame:
        """What the measures are compared with; see `measure_anchors`."""
        if self.record is not None and len(table := self.record.anchors()):
            return table
        return measure_anchors(self.real, **self._settings)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per run: all measures of new images; see `measure_run`."""
        require_same_settings(self.runs)
        _ = self.anchors  # raises an error for too few images before the long computation
        rows = []
        for run in progress.steps(self.runs, "runs measured", of=len(self.runs)):
            if isinstance(run, RecordedRun):
                rows.append(run.row)
            else:
                rows.append(describe(run, measure_run(run, real=self.real, **self._settings)))
        return pd.DataFrame(rows)

    def measures(self, names: Sequence[str]) -> pd.DataFrame:
        """Return mean and interval over the seeds, one row per arm; see `over_seeds`."""
        return over_seeds(self.table, self.anchors, names)

    def differences(self, measure: str) -> pd.DataFrame:
        """Return how each arm differs from N(0, 1); see the module's `differences`."""
        return differences(self.table, measure, looks=self.looks)

    @cached_property
    def outcomes(self) -> dict[str, findings.Outcome]:
        """How the first training of each group ended; see `findings`."""
        anchors = {"real": self.anchors.loc[BASELINE], "grey": self.anchors.loc["grey"]}
        measured = dict(zip(self.table["run"], self.table.to_dict("records"), strict=True))
        return {
            name: findings.judge_outcome(measured[run.name], anchors, diverged=_divergence(run))
            for name, run in self.first.items()
        }

    def describe_outcomes(self) -> str:
        """Describe in Markdown how the trainings ended, and how far one may trust that."""
        seeds = min(len(group) for group in self.grouped.values())
        return findings.describe_outcomes(self.outcomes, self.first, seeds=seeds)

    @cached_property
    def claims(self) -> list[claims.Claim]:
        """The study's claims with their verdicts; see `claims.judge`."""
        return claims.judge(self.table, looks=self.looks)

    @cached_property
    def tests(self) -> pd.DataFrame:
        """The numbers behind the verdicts; see `claims.test_table`."""
        return claims.test_table(self.table, looks=self.looks)

    def power(self) -> pd.DataFrame:
        """Return how many seeds an undecided claim would take; see `claims.power_table`."""
        return claims.power_table(self.table, looks=self.looks)

    def describe_samples(self) -> str:
        """Describe in Markdown how the numbers of `measures` were measured."""
        label = self.label_column
        if label is None and self.record is None:
            classes = classes_of(self.real)
            label = None if classes is None else str(classes.name)
        return describe_samples(self.table, self.anchors, label)

    def describe_claims(self) -> str:
        """Return the claims with their verdicts in Markdown, and on which runs they are judged."""
        counts = Counter(claim.verdict for claim in self.claims)
        brief = ", ".join(f"{counts[v]} {v}" for v in claims.VERDICTS if counts[v])
        look = describe_look(self.table, self.looks)
        return f"Claims: {brief}. {look}\n\n{claims.as_markdown(self.claims)}"

    @cached_property
    def _images(self) -> dict[str, torch.Tensor]:
        """The real images, and new ones of the first run of each group."""
        generated = {
            name: sampling.sample(
                require_folder(run), self.count, seed=self.seed, device=self.device
            )
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
        """Write `table`, `anchors`, `claims` and `tests` as CSV files."""
        verdicts = pd.DataFrame([vars(claim) for claim in self.claims])
        anchors = self.anchors.rename_axis("run").reset_index()
        tables = {"anchors": anchors, "claims": verdicts, "tests": self.tests}
        if self.record is None:
            tables["measures"] = self.table
        write_tables({f"{self.name}-{what}": table for what, table in tables.items()}, folder)
