"""What was found, in sentences: how each training ended, and what the noise study says of it.

A training ends in one of four ways, by rules that are checked in this order:

- *collapsed*: the images repeat. They are of fewer than 20 kinds by the birthday paradox
  (`distances.support_size`), while real ones are of twice as many or more; or less than half as
  much of their variance lies between images as of real images' (`run.COLLAPSED`).
- *learned*: KID is less than three quarters of that of grey images.
- *discriminator won*: it did not learn, and the losses have diverged (`equilibrium`).
- *not learned yet*: none of these.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import torch

from dcgan_utils.core import progress
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.metrics import evaluation
from dcgan_utils.runs import sampling
from dcgan_utils.runs.run import COLLAPSED as REPEATS
from dcgan_utils.runs.run import Run
from dcgan_utils.study import claims
from dcgan_utils.study.record import RecordedRun

if TYPE_CHECKING:
    import pandas as pd

AnyRun = Run | RecordedRun
LEARNED, COLLAPSED = "learned", "collapsed"
DISCRIMINATOR_WON, NOT_YET = "discriminator won", "not learned yet"
FEW = 20  # kinds of images
NEARER = 0.75  # times the KID of grey images
SAMPLES, REALS = 200, 600  # images that are measured, at most
SEEDS = 3  # fewer are a hint
OURS = "(Ours, not the study's.) "  # how a claim begins that is not the study's


# --- How a training ended -------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes
    ----------
    verdict
        ``learned``, ``collapsed``, ``discriminator won``, or ``not learned yet``.
    reason
        What it follows from, beside KID; may be empty.
    kid, grey
        KID of its images, and of grey ones.
    """

    verdict: str
    reason: str
    kid: float
    grey: float


def judge_outcome(
    measures: Mapping[str, float],
    anchors: Mapping[str, Mapping[str, float]],
    *,
    diverged: int | None,
) -> Outcome:
    """Judge how a training ended, by the rules of this module.

    Parameters
    ----------
    measures
        ``kid``, ``share_between_images`` and ``support_size`` of new images.
    anchors
        The same measures of ``real`` and ``grey`` images.
    diverged
        The epoch at which the losses diverged.
    """
    kid, share, kinds = (measures[name] for name in ("kid", "share_between_images", "support_size"))
    grey = anchors["grey"]["kid"]
    if kinds < FEW and 2 * kinds <= anchors["real"]["support_size"]:
        return Outcome(COLLAPSED, f"it draws about {kinds:.0f} kinds of images", kid, grey)
    if share < REPEATS:
        between = f"{share:.0%} of the variance between real images is between its images"
        return Outcome(COLLAPSED, between, kid, grey)
    if kid < NEARER * grey:
        return Outcome(LEARNED, "", kid, grey)
    if diverged is not None:
        return Outcome(DISCRIMINATOR_WON, f"the losses diverged at epoch {diverged}", kid, grey)
    return Outcome(NOT_YET, "", kid, grey)


def assess(run: Run, real: torch.Tensor, *, seed: int = 0, device: str = "cpu") -> Outcome:
    """Judge how one training ended, from 200 new images against up to 600 real ones.

    Parameters
    ----------
    real
        The collection, uint8, shape ``(n, 3, H, W)``.
    seed
        Of the latent vectors.
    device
        Where generator and extractor run.

    Raises
    ------
    NotEnoughData
        If there are fewer than two real images.
    """
    real = real[:: math.ceil(len(real) / REALS)]
    generated = sampling.sample(run, min(SAMPLES, max(6, len(real))), seed=seed, device=device)
    grey = torch.full_like(real[:1], evaluation.GREY).expand(2, *real.shape[1:])
    measured = {
        name: evaluation.brief_measures(real, images, device=device)
        for name, images in {"generated": generated, "real": real, "grey": grey}.items()
    }
    return judge_outcome(measured["generated"], measured, diverged=run.divergence_epoch())


def assess_each(
    runs: Mapping[str, Run], real: torch.Tensor, *, seed: int = 0, device: str = "cpu"
) -> dict[str, Outcome]:
    """Judge how each of several trainings on one collection ended; see `assess`."""
    named = progress.steps(runs.items(), "trainings judged", of=len(runs))
    return {name: assess(run, real, seed=seed, device=device) for name, run in named}


# --- In sentences ---------------------------------------------------------------------------


def outcome_table(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Return one row per training: its verdict, why, and KID."""
    import pandas as pd

    rows = {
        name: {"verdict": one.verdict, "because": one.reason, "KID": f"{one.kid:.2f}"}
        for name, one in outcomes.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("noise")


def describe_outcomes(
    outcomes: Mapping[str, Outcome], runs: Mapping[str, AnyRun], *, seeds: int = 1
) -> str:
    """Describe in Markdown how trainings ended, what theory predicts, and how sure that is.

    Parameters
    ----------
    outcomes, runs
        By name of the noise.
    seeds
        Trainings of each noise.
    """
    by_verdict: dict[str, list[str]] = {}
    for name, outcome in outcomes.items():
        by_verdict.setdefault(outcome.verdict, []).append(name)
    head = "; ".join(_predicate(verdict, names) for verdict, names in by_verdict.items())
    reasons = "; ".join(f"{name}: {one.reason}" for name, one in outcomes.items() if one.reason)
    distances = ", ".join(f"{one.kid:.2f} with {name}" for name, one in outcomes.items())
    grey = next(iter(outcomes.values())).grey
    numbers = f"KID: {distances}; {grey:.2f} for grey images, 0 for real ones"
    parts = [f"**{head}**", reasons, numbers, _theory(outcomes, runs), _certainty(seeds)]
    return " ".join(f"{part}." for part in parts if part)


def _predicate(verdict: str, names: Sequence[str]) -> str:
    """Return a clause, such as ``N(0, 1) and U(-1, 1) learned``."""
    listed = join(names)
    if verdict == DISCRIMINATOR_WON:
        return f"Against {listed} the discriminator won"
    if verdict == NOT_YET:
        return f"{listed} {'have' if len(names) > 1 else 'has'} not learned yet"
    return f"{listed} {verdict}"


def join(names: Sequence[str]) -> str:
    """Join names as in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def is_predicted_to_repeat(config: TrainConfig) -> bool:
    """Return whether theory predicts that the mean of the noise makes images repeat.

    It does for a prior with a mean, if the first BatchNorm pools places.
    """
    pools = config.architecture != "pokemon" and config.first_norm == "channel"
    return pools and config.prior.ratio > 0


def _theory(outcomes: Mapping[str, Outcome], runs: Mapping[str, AnyRun]) -> str:
    """Say how collapsed trainings agree with theory; empty if nothing collapsed or should have."""
    expected = {name for name, run in runs.items() if is_predicted_to_repeat(run.config)}
    found = {name for name, outcome in outcomes.items() if outcome.verdict == COLLAPSED}
    if not expected and not found:
        return ""
    sentences = []
    if both := [name for name in outcomes if name in expected & found]:
        sentences.append(
            f"Theory predicts it for {join(both)}: the mean of a noise takes the variance from "
            "the differences between images"
        )
    if missed := [name for name in outcomes if name in expected - found]:
        sentences.append(f"Theory predicts repetition for {join(missed)} too, not seen here")
    if more := [name for name in outcomes if name in found - expected]:
        sentences.append(f"Theory does not predict it for {join(more)}: try another seed")
    return ". ".join(sentences)


def _certainty(seeds: int) -> str:
    """Say how far one may trust trainings with so many seeds."""
    if seeds >= SEEDS:
        return f"There are {seeds} seeds of each noise, so the claims can be judged"
    if seeds == 1:
        return "One training of each noise is a hint, not a proof"
    return f"{seeds} trainings of each noise are a hint, not a proof"


# --- The noise study ------------------------------------------------------------------------


@cache
def study_verdicts() -> pd.DataFrame:
    """Return the verdicts of the noise study that comes with the package.

    Returns
    -------
    pandas.DataFrame
        One row per collection and claim: ``collection``, ``trainings`` and ``seeds`` of each noise
        on it, ``letter``, ``study``, ``theory``, ``verdict``, ``reason``.
    """
    import pandas as pd

    with (
        resources.files("dcgan_utils.study").joinpath("verdicts.csv").open(encoding="utf-8") as file
    ):
        return pd.read_csv(file)


def describe_study() -> str:
    """Describe in Markdown what the noise study has confirmed, and what it leaves open."""
    return " ".join(
        _describe_collection(name, table)
        for name, table in study_verdicts().groupby("collection", sort=False)
    )


def _describe_collection(name: str, table: pd.DataFrame) -> str:
    counts = Counter(table["verdict"])
    confirmed = table.loc[table["verdict"] == claims.CONFIRMED, "study"]
    quoted = [f"“{study.removeprefix(OURS).rstrip('.')}”" for study in confirmed]
    others = [
        f"{counts[verdict]} {verdict}"
        for verdict in claims.VERDICTS
        if verdict != claims.CONFIRMED and counts[verdict]
    ]
    first = table.iloc[0]
    return (
        f"The noise study ({first['trainings']} trainings on {name}, {first['seeds']} seeds of "
        f"each noise) confirms {counts[claims.CONFIRMED]} of {len(table)} claims: "
        f"{'; '.join(quoted)}. The others: {', '.join(others)}."
    )
