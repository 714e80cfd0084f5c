"""Figures of many runs, and of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from dcgan_utils.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    Figure,
    draw_line,
    hide_axes,
    label_epoch_axis,
    legend_below,
    palette,
    styled,
)
from dcgan_utils.study.benchmark import TEXTBOOK, ratios
from dcgan_utils.study.claims import LOGARITHMIC
from dcgan_utils.study.theory import predicted_share

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

RATIO = "|mean| / std"  # column of tables
REAL = {"color": GREEN, "lw": 1, "ls": ":"}  # look of what real images have


# --- Priors, runs and their measures --------------------------------------------------------


@styled
def variance_shares(table: pd.DataFrame) -> Figure:
    """Draw the share of variance between images, predicted and measured, from `theory.shares`."""
    figure = Figure(3.4)
    axes = figure.subplots()
    x = np.linspace(0, max(1.0, table[RATIO].max()) * 1.1, 200)
    axes.plot(x, predicted_share(x), color=GREY, lw=1.6, label="predicted")
    axes.plot(table[RATIO], table["measured"], "o", color=BLUE, ms=6, label="measured")
    for ratio, group in table.groupby(table[RATIO].round(2)):
        offset, side = ((7, 4), "bottom") if ratio else ((6, -60), "top")
        place = (ratio, group["measured"].max())
        look = {"textcoords": "offset points", "va": side, "fontsize": 8}
        axes.annotate(_join_lines(group.index), place, offset, **look)
    axes.set(xlabel=f"{RATIO} of the noise", ylabel="share between images", ylim=(0, 1.05))
    axes.set_title("Variance left for differences between images, before training")
    axes.legend(loc="upper right")
    listed = ", ".join(f"{name} {value:.2f}" for name, value in table["measured"].items())
    return figure.describe(
        "Curve of 1 / (1 + (mean / std) squared), which falls from 1, with measured points: "
        f"{listed}."
    )


def _join_lines(names: Sequence[str], *, most: int = 5) -> str:
    """Write names one below the other; of many the first, and how many more."""
    names = list(names)
    if len(names) > most:
        names[most - 1 :] = [f"and {len(names) - most + 1} more"]
    return "\n".join(names)


@styled
def shares_by_dose(table: pd.DataFrame) -> Figure:
    """Draw the shares from `theory.doses`, against r and against sqrt(n) r."""
    figure = Figure(3.4)
    left, right = figure.subplots(1, 2, sharey=True)
    sizes = table["n"].unique()
    for n, color in zip(sizes, palette(len(sizes)), strict=True):
        own = table[table["n"] == n]
        for axes, column in ((left, "r"), (right, "sqrt(n) r")):
            axes.plot(own[column], own["after"], "o-", color=color, ms=5, lw=1, label=f"n = {n}")
    x = np.geomspace(table["r"].min(), table["r"].max(), 100)
    left.plot(x, predicted_share(x), color=GREY, ls=":", label="before training (any n)")
    left.set(xlabel=f"r = {RATIO}", ylabel="share between images", title="Against r")
    right.set(xlabel="√n r", title="Against √n r")
    for axes in (left, right):
        axes.set_ylim(0, 1.05)
        _use_log_scale(axes)
    left.set_xticks(table["r"].unique())
    legend_below(figure, left, columns=5)
    listed = "; ".join(f"n {row.n}, r {row.r:g}: {row.after:.2f}" for row in table.itertuples())
    return figure.describe(f"Share between images after short trainings: {listed}.")


@styled
def measures_by_ratio(
    table: pd.DataFrame, measures: Sequence[str], *, baseline: Mapping[str, float]
) -> Figure:
    """Draw measures against |mean| / std: one point per run, a line through the means.

    Parameters
    ----------
    table
        One row per run, from `compare.Comparison`.
    measures
        Columns, one panel each.
    baseline
        Each measure between real images, drawn as a dotted line.

    Notes
    -----
    Runs with a first BatchNorm per unit are drawn as crosses, and the line leaves them out.
    """
    rows = -(-len(measures) // 2)
    figure = Figure(2.7 * rows + 0.6)
    panels = figure.subplots(rows, 2, squeeze=False).flatten()
    for axes in panels[len(measures) :]:
        hide_axes(axes)
    texts = []
    for axes, measure in zip(panels, measures, strict=False):
        means = _draw_by_ratio(axes, table, measure)
        axes.axhline(baseline[measure], label="real-vs-real baseline", **REAL)
        axes.set(title=_measure_name(measure), xlabel=f"{RATIO} of the noise")
        points = ", ".join(f"{mean:.3f} at {ratio:g}" for ratio, mean in means.items())
        texts.append(f"{measure} {points}")
    legend_below(figure, panels[0], columns=3)
    return figure.describe(f"Scatter charts against |mean| / std. Means: {'; '.join(texts)}.")


def _draw_by_ratio(axes: Axes, table: pd.DataFrame, measure: str) -> pd.Series:
    """Draw one measure, and return its means by ratio."""
    ratio, labels = table[RATIO].round(3), table["label"].unique()
    usual = table["first_norm"] == "channel"
    means = table[usual].groupby(ratio[usual])[measure].mean()
    axes.plot(means.index, means, color=GREY, lw=1.2, zorder=1)
    for label, color in zip(labels, palette(len(labels)), strict=True):
        group = table[table["label"] == label]
        # Priors of one ratio are drawn beside each other, not on top of each other.
        alike = list(table["label"][ratio == ratio[group.index[0]]].unique())
        x = ratio[group.index] + 0.03 * (alike.index(label) - (len(alike) - 1) / 2)
        mark = "o" if usual[group.index[0]] else "X"
        axes.plot(x, group[measure], mark, color=color, ms=5, alpha=0.8, label=label)
    return means


def _use_log_scale(axes: Axes) -> None:
    """Make the horizontal axis logarithmic, with a few plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=12))
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_minor_locator(NullLocator())


def _measure_name(measure: str) -> str:
    return "KID" if measure == "kid" else measure.replace("_", " ")


@styled
def differences_to_reference(table: pd.DataFrame, measure: str) -> Figure:
    """Draw how arms differ from N(0, 1), with the intervals of `compare.differences`."""
    figure = Figure(1.0 + 0.36 * len(table))
    axes = figure.subplots()
    is_ratio = measure in LOGARITHMIC
    texts = []
    for place, (name, row) in enumerate(table.iterrows()):
        color = ORANGE if row["decided"] else BLUE
        axes.plot([row["low"], row["high"]], [place] * 2, color=color, lw=2)
        axes.plot(row["found"], place, "o", color=color, ms=7, mec="white")
        texts.append(f"{name} {row['found']:.2f} [{row['low']:.2f}, {row['high']:.2f}]")
    axes.axvline(1 if is_ratio else 0, color=GREY, lw=1, ls=":")
    axes.set_yticks(range(len(table)), table.index)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    what = _measure_name(measure)
    axes.set_xlabel(f"{what}, times that of N(0, 1)" if is_ratio else f"{what}, less N(0, 1)'s")
    axes.set_title("Compared with N(0, 1); orange: the interval leaves out equality")
    return figure.describe(f"{what} compared with N(0, 1): {'; '.join(texts)}.")


# --- The figure that decides ----------------------------------------------------------------


@styled
def noise_evidence(curves: pd.DataFrame, table: pd.DataFrame, anchors: pd.DataFrame) -> Figure:
    """Draw in up to four panels what the noise does over the training, and in the end.

    The first layer's share between images, with its prediction before training as a dotted line;
    the samples' share; KID over the updates, with grey and real images; KID in the end. Lines are
    means over the runs of all arms that theory predicts to be alike, and bands reach from the
    smallest to the largest.

    Parameters
    ----------
    curves
        From `compare.Comparison.curves`.
    table
        One row per run, from `compare.Comparison`.
    anchors
        From `compare.measure_anchors`.
    """
    figure = Figure(6.6)
    has_kid = curves["kid"].notna().any()
    layout = [["first", "samples"], ["kid", "end"] if has_kid else ["end", "end"]]
    panels = figure.subplot_mosaic(layout)
    groups = list(dict.fromkeys(curves.sort_values([RATIO, "first_norm"], kind="stable")["group"]))
    colors = dict(zip(groups, palette(len(groups)), strict=True))
    columns = {"first": "first_layer_share", "samples": "share_between_images", "kid": "kid"}
    for name in panels.keys() & columns.keys():
        _draw_groups(panels[name], curves, columns[name], colors)
    for name, own in curves.groupby("group"):
        share = predicted_share(own[RATIO].iloc[0])
        panels["first"].axhline(share, color=colors[name], ls=":", lw=1)
    panels["first"].set(title="First layer: share between images", ylim=(0, 1.05))
    panels["samples"].set(title="Samples: share between images")
    if has_kid:
        panels["kid"].set(title="KID over the training")
    _draw_final_kid(panels["end"], curves, table, colors)
    for axes in (panels[name] for name in ("kid", "end") if name in panels):
        axes.axhline(anchors.loc["grey", "kid"], color=GREY, lw=1, ls="--", label="grey images")
        axes.axhline(anchors["kid"].iloc[0], label="real-vs-real baseline", **REAL)
        axes.autoscale(axis="y")
        axes.set_ylim(bottom=0)
    legend_below(figure, panels["end"], columns=3)
    means = table.groupby("label", sort=False)[["kid", "share_between_images"]].mean()
    listed = "; ".join(
        f"{name} KID {row['kid']:.3f}, share {row['share_between_images']:.2f}"
        for name, row in means.iterrows()
    )
    return figure.describe(
        "Share between images in the first layer and in the samples over the updates, "
        f"{'KID over the updates, ' if has_kid else ''}KID in the end. In the end: {listed}; grey "
        f"images have a KID of {anchors.loc['grey', 'kid']:.3f}."
    )


def _draw_groups(axes: Axes, curves: pd.DataFrame, column: str, colors: Mapping[str, str]) -> None:
    """Draw the mean of each group over the updates, and a band from smallest to largest."""
    for name, color in colors.items():
        own = curves[curves["group"] == name]
        _draw_band(axes, own, "update", column, color=color, label=name)
    ends = curves["update"].min(), curves["update"].max() + 1
    axes.set(xlabel="updates", ylim=(0, None), xlim=ends)
    _use_log_scale(axes)


def _draw_final_kid(
    axes: Axes, curves: pd.DataFrame, table: pd.DataFrame, colors: Mapping[str, str]
) -> None:
    """Draw the KID of each run as a point, one column per arm, in the order of the ratios."""
    group_of = dict(zip(curves["label"], curves["group"], strict=True))
    order = table.sort_values([RATIO, "first_norm"], kind="stable")["label"].unique()
    for place, label in enumerate(order):
        own, group = table.loc[table["label"] == label, "kid"], group_of[label]
        axes.plot([place] * len(own), own, "o", color=colors[group], ms=5, label=group)
    axes.set_xticks(range(len(order)), order, rotation=45, ha="right", fontsize=7)
    axes.set(title="KID in the end, of each run")
    axes.grid(visible=False, axis="x")


@styled
def kid_bars(values: pd.Series, *, baseline: float) -> Figure:
    """Draw KID as bars, one per name of the index, beside that between real images."""
    figure = Figure(1.1 + 0.32 * len(values))
    axes = figure.subplots()
    places = range(len(values))
    axes.barh(places, values, color=BLUE, alpha=0.75, height=0.6)
    for place, value in zip(places, values, strict=True):
        axes.text(max(value, 0), place, f" {value:.3f}", va="center", fontsize=9)
    axes.margins(x=0.1)  # room for the last number
    axes.set_yticks(places, values.index)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.axvline(baseline, label="real-vs-real baseline", **REAL)
    axes.set(xlabel="KID", title="Distance to the collection: shorter is better")
    legend_below(figure, axes)
    listed = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
    return figure.describe(
        f"Bar chart of KID: {listed}; the real-vs-real baseline is {baseline:.3f}."
    )


# --- Histories of several runs --------------------------------------------------------------


@styled
def losses_overlaid(histories: Mapping[str, pd.DataFrame], *, unit: str = "epoch") -> Figure:
    """Draw the losses of several runs over one another, one panel per network.

    Parameters
    ----------
    histories
        Name to history. With several rows per epoch, of several seeds, the line is their mean
        and a band reaches from the smallest to the largest.
    unit
        What their column ``epoch`` counts.
    """
    figure = Figure(3.4)
    left, right = figure.subplots(1, 2)
    for (name, history), color in zip(histories.items(), palette(len(histories)), strict=True):
        history = history.assign(d_loss=history["d_loss_real"] + history["d_loss_fake"])
        _draw_band(left, history, "epoch", "d_loss", color=color, label=name)
        _draw_band(right, history, "epoch", "g_loss", color=color, label=name)
    for axes, name in ((left, "Discriminator"), (right, "Generator")):
        label_epoch_axis(axes, "loss", name)
        axes.set_xlabel(unit)
    legend_below(figure, left)
    return figure.describe(_describe_lines("Losses of discriminator and generator", histories))


@styled
def shares_over_epochs(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the share between images over the epochs: in the first layer, and in the samples.

    Parameters
    ----------
    histories
        Name of the training to history, with ``first_layer_share`` and ``share_between_images``.
    """
    figure = Figure(2.8)
    left, right = figure.subplots(1, 2)
    for (name, history), color in zip(histories.items(), palette(len(histories)), strict=True):
        _draw_band(left, history, "epoch", "first_layer_share", color=color, label=name)
        _draw_band(right, history, "epoch", "share_between_images", color=color, label=name)
    right.axhline(1, label="real images", **REAL)
    label_epoch_axis(left, "share between images", "In the first layer")
    label_epoch_axis(right, "relative to real images", "In the samples")
    for axes in (left, right):
        axes.set_ylim(bottom=0)
    legend_below(figure, right)
    ends = ", ".join(
        f"{name} {history['share_between_images'].iloc[-1]:.2f}"
        for name, history in histories.items()
    )
    return figure.describe(f"Share between images by epoch. In the samples it ends at: {ends}.")


def _draw_band(
    axes: Axes, table: pd.DataFrame, x: str, column: str, *, color: str, label: str
) -> None:
    """Draw the mean over `x`, and a band from the smallest to the largest value."""
    rows = table.dropna(subset=[column]).groupby(x)[column]
    mean = rows.mean()
    draw_line(axes, mean.index, mean, color=color, label=label)
    axes.fill_between(mean.index, rows.min(), rows.max(), color=color, alpha=0.15, lw=0)


def _describe_lines(what: str, names: Mapping[str, Any]) -> str:
    return f"Line chart. {what} by epoch, one line each for {', '.join(names)}."


# --- Benchmark ------------------------------------------------------------------------------


@styled
def benchmark_turns(by_batch: Mapping[int, pd.DataFrame]) -> Figure:
    """Draw the images per second of each loop in each turn, one panel per batch size.

    A panel's title says how many times as fast as the textbook the last loop is: the workbook's
    in the chosen precision.
    """
    figure = Figure(3.2)
    panels = figure.subplots(1, len(by_batch), sharey=True, squeeze=False)[0]
    texts = []
    for axes, (batch, table) in zip(panels, by_batch.items(), strict=True):
        relative = ratios(table)
        names = [TEXTBOOK, *relative.columns]
        for name, color in zip(names, (ORANGE, GREEN, BLUE), strict=False):
            own = table[table["loop"] == name]
            axes.plot(own["turn"], own["images_per_second"], "o-", color=color, label=name)
        last = relative.iloc[:, -1]
        span = f"{last.median():.1f} times ({last.min():.1f} to {last.max():.1f})"
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="turn", xlim=(0.5, table["turn"].max() + 0.5))
        axes.set_title(f"batch {batch}: {span}")
        texts.append(f"at batch {batch} the {names[-1]}, is {span} as fast as the textbook")
    panels[0].set_ylabel("images per second")
    panels[0].set_ylim(bottom=0)
    legend_below(figure, panels[0])
    return figure.describe(f"Images per second of each loop by turn: {'; '.join(texts)}.")


@styled
def step_profile(milliseconds: pd.Series) -> Figure:
    """Draw the time that each kind of operation takes in one training step."""
    shares = milliseconds / milliseconds.sum()
    figure = Figure(0.6 + 0.32 * len(milliseconds))
    axes = figure.subplots()
    bars = axes.barh(milliseconds.index, milliseconds, color=BLUE, height=0.7)
    axes.bar_label(bars, [f" {share:.0%}" for share in shares], fontsize=9)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
    axes.set(xlabel="milliseconds", title="Time of one training step by operation")
    listed = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return figure.describe(f"Bar chart of the time of one training step by operation: {listed}.")


@styled
def memory_over_epochs(weighed: pd.DataFrame) -> Figure:
    """Draw the memory of a training process after each epoch, and its peak so far (bytes)."""
    memory, peak = weighed["memory"] / 1e6, weighed["peak"] / 1e6
    figure = Figure(2.8)
    axes = figure.subplots()
    draw_line(axes, weighed["epoch"], memory, color=BLUE, label="after the epoch")
    draw_line(axes, weighed["epoch"], peak, color=GREY, ls=":", label="peak so far")
    label_epoch_axis(axes, "megabytes", "Memory of the training process")
    axes.set_ylim(0, 1.15 * max(memory.max(), peak.max()))
    axes.legend(loc="lower right")
    return figure.describe(
        f"Line chart of the memory of a training over {len(weighed)} epochs: "
        f"{memory.iloc[0]:.0f} MB after the first, {memory.iloc[-1]:.0f} MB after the last."
    )
