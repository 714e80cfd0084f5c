"""Many runs at once: what they are called and how they ended."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from dcgan_utils.errors import WorkbookError
from dcgan_utils.runs import Run

__all__ = ["label_runs", "summary"]


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
