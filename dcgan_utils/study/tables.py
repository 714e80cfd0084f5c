"""Tables and sentences about the measured runs of a study, over the seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from dcgan_utils.core.errors import NotMeaningful, plain
from dcgan_utils.core.seeds import stream
from dcgan_utils.metrics import intervals
from dcgan_utils.study import claims

__all__ = ["NEAR", "VARIED", "differences", "over_seeds", "seeds_told", "sizes_told"]

RESAMPLES = 10_000
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


def over_seeds(
    table: pd.DataFrame, floor: dict[str, float | int | str], measures: Sequence[str]
) -> pd.DataFrame:
    """Return mean and 95 % interval of measures over the seeds, as text, one row a noise.

    Student's t; a single seed has no interval. The first row is the ``floor`` (see
    `evaluation.full_floor`). Measures that the table does not have are left out.
    """

    def told(values: pd.Series) -> str:
        half = intervals.half_width(values)
        return f"{values.mean():.3f}" + (f" ± {half:.3f}" if math.isfinite(half) else "")

    names = [name for name in measures if name in table]
    by_noise = table.groupby("label", sort=False)
    rows = by_noise[names].agg(told).assign(seeds=by_noise["seed"].nunique().astype(str))
    real = {name: f"{floor[name]:.3f}" for name in names} | {"seeds": ""}
    both = pd.concat([pd.DataFrame(real, index=["real against real"]), rows])
    return both.rename(columns=lambda name: name.replace("_", " "))


def sizes_told(
    table: pd.DataFrame, floor: dict[str, float | int | str], kinds: pd.Series | None
) -> str:
    """Say what the numbers of `over_seeds` rest on."""
    row = table.iloc[0]
    said = (
        f"On {row['extractor']}; {row['generated']} generated pictures of each run against "
        f"{row['real']} real ones (the first row: {floor['generated']} against {floor['real']}). "
        "With several seeds: mean and 95 % interval (Student's t) over the seeds."
    )
    if kinds is None:
        return said
    return said + (
        f" The kinds are those of the label '{plain(str(kinds.name))}': {kinds.nunique()}. Their "
        f"classifier is right on {floor['classifier_accuracy']:.0%} of the real pictures that it "
        "has not seen, each kind counting alike."
    )


def seeds_told(table: pd.DataFrame) -> str:
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
        From `compare.measured`.
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
        raise NotMeaningful("Differences take runs with N(0, 1) and with another noise, same seed.")
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
