"""Figures of many runs, and of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.plots.looks import look_of, ratio_of
from dcgan_utils.plots.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    SMALL,
    Figure,
    draw_line,
    draw_panels,
    is_narrow,
    label_epoch_axis,
    label_lines,
    legend_below,
    palette,
    set_title,
    styled,
    suptitle_left,
    width,
    wrap,
)
from dcgan_utils.study.benchmark import TEXTBOOK, ratios
from dcgan_utils.study.claims import LOGARITHMIC, REFERENCE, arm_label
from dcgan_utils.study.compare import READING
from dcgan_utils.study.theory import predicted_share

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

RATIO = "|mean| / std"  # column of tables
REFERENCE_LABEL = arm_label(REFERENCE)
REAL = {"color": INK, "lw": 1, "ls": ":"}  # look of what real images have


# --- Priors, runs and their measures --------------------------------------------------------


@styled
def variance_shares(table: pd.DataFrame) -> Figure:
    """Draw the share of variance between images, predicted and measured, from `theory.shares`."""
    figure = Figure(3.6)
    axes = figure.subplots()
    x = np.linspace(0, max(1.0, table[RATIO].max()) * 1.1, 200)
    axes.plot(x, predicted_share(x), color=GREY, lw=1.6)
    for name, row in table.iterrows():
        axes.plot(row[RATIO], row["measured"], **_dot(name), ms=8)
    for ratio, group in table.groupby(table[RATIO].round(2)):
        names = wrap(_some(group.index), SMALL, inches=0.45 * width())
        place = (ratio, group["measured"].mean())
        look = {"textcoords": "offset points", "va": "bottom", "fontsize": SMALL}
        axes.annotate(names, place, (8, 3), **look)
    axes.set(xlabel=f"{RATIO} of the noise", ylabel="share of the variance", ylim=(0, 1.2))
    axes.set_yticks(np.linspace(0, 1, 6))
    set_title(
        axes,
        "The farther the mean of the noise is from 0, the more alike are the images",
        "Share of the variance that is between images, before training. Line: predicted; marks: "
        "measured in the first layer of an untrained generator.",
    )
    listed = ", ".join(f"{name} {value:.2f}" for name, value in table["measured"].items())
    return figure.describe(
        "Curve of 1 / (1 + (mean / std) squared), which falls from 1, with measured points: "
        f"{listed}."
    )


def _some(names: Sequence[str]) -> str:
    """List names; of many the first, and how many more, where there is little room."""
    most = 2 if is_narrow() else 9
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _dot(name: str, others: Sequence[str] = ()) -> dict[str, Any]:
    """Return the look of something by its name, without a line."""
    return look_of(name, others) | {"ls": ""}


@styled
def shares_by_dose(table: pd.DataFrame) -> Figure:
    """Draw the shares from `theory.doses`, against r and against sqrt(n) r."""
    figure, (left, right) = draw_panels(2, 3.3, sharey=True)
    sizes = table["n"].unique()
    for n, color in zip(sizes, palette(len(sizes)), strict=True):
        own = table[table["n"] == n]
        for axes, column in ((left, "r"), (right, "sqrt(n) r")):
            axes.plot(own[column], own["after"], "o-", color=color, ms=5, lw=1, label=f"n = {n}")
    x = np.geomspace(table["r"].min(), table["r"].max(), 100)
    left.plot(x, predicted_share(x), color=GREY, ls=":", label="before\ntraining")
    left.set(xlabel=f"r = {RATIO}", title="Against r: one curve for each n")
    right.set(xlabel="√n r", title="Against √n r: nearly one curve")
    for axes in (left, right):
        axes.set_ylim(0, 1.05)
        axes.set_ylabel("share between images")
        _use_log_scale(axes)
    left.set_xticks(table["r"].unique())
    label_lines(left)
    label_lines(right)
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
    figure, panels = draw_panels(len(measures), 2.7, across=2)
    texts = []
    for axes, measure in zip(panels, measures, strict=True):
        means = _draw_by_ratio(axes, table, measure)
        axes.axhline(baseline[measure], label="real-vs-real baseline", **REAL)
        axes.set(title=_with_direction(measure), xlabel=f"{RATIO} of the noise")
        points = ", ".join(f"{mean:.3f} at {ratio:g}" for ratio, mean in means.items())
        texts.append(f"{measure} {points}")
    legend_below(figure, panels[0], columns=3)
    return figure.describe(f"Scatter charts against |mean| / std. Means: {'; '.join(texts)}.")


def _draw_by_ratio(axes: Axes, table: pd.DataFrame, measure: str) -> pd.Series:
    """Draw one measure, and return its means by ratio."""
    ratio, labels = table[RATIO].round(3), list(table["label"].unique())
    usual = table["first_norm"] == "channel"
    step = 0.02 * max(1.0, ratio.max())
    for label in labels:
        group = table[table["label"] == label]
        # Priors of one ratio are drawn beside each other, not on top of each other.
        alike = list(table["label"][ratio == ratio[group.index[0]]].unique())
        x = ratio[group.index] + step * (alike.index(label) - (len(alike) - 1) / 2)
        axes.plot(x, group[measure], **_dot(label, labels), ms=6, alpha=0.85, label=label)
    return table[usual].groupby(ratio[usual])[measure].mean()


def _use_log_scale(axes: Axes) -> None:
    """Make the horizontal axis logarithmic, with a few plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=12))
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_minor_locator(NullLocator())


def _measure_name(measure: str) -> str:
    return measure.upper() if measure in ("kid", "fid") else measure.replace("_", " ")


def _with_direction(measure: str) -> str:
    """Return the name of a measure, and which way is good."""
    good, _ = READING[measure]
    name = _measure_name(measure)
    return (
        f"{name[0].upper()}{name[1:]}, {good} is better"
        if " " not in good
        else (f"{name[0].upper()}{name[1:]}, best {good}")
    )


@styled
def differences_to_reference(table: pd.DataFrame, measure: str) -> Figure:
    """Draw how arms differ from N(0, 1), with the intervals of `compare.differences`.

    Raises
    ------
    NotEnoughData
        If there are no intervals, as with one run of each prior.
    """
    if table["low"].isna().all():
        raise NotEnoughData(
            f"One run of each prior has no interval of the {_measure_name(measure)}: train more "
            "seeds."
        )
    figure = Figure(1.2 + 0.36 * len(table))
    axes = figure.subplots()
    is_ratio = measure in LOGARITHMIC
    texts = []
    for place, (name, row) in enumerate(table.iterrows()):
        look = _dot(name, list(table.index))
        axes.plot([row["low"], row["high"]], [place] * 2, color=look["color"], lw=2)
        axes.plot(row["found"], place, **look, ms=8)
        texts.append(f"{name} {row['found']:.2f} [{row['low']:.2f}, {row['high']:.2f}]")
    axes.axvline(1 if is_ratio else 0, color=INK, lw=1, ls=":")
    axes.set_yticks(range(len(table)), [wrap(name, inches=1.5) for name in table.index])
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    what = _with_direction(measure)
    axes.set_xlabel("times that of N(0, 1)" if is_ratio else "minus that of N(0, 1)")
    certain = list(table.index[table["decided"]])
    listed = ", ".join(certain) if certain else "none"
    set_title(
        axes,
        f"{what}: compared with N(0, 1)",
        f"Dotted line: equal to N(0, 1). Intervals that leave it out: {listed}.",
        inches=0.66 * width(),
    )
    what = _measure_name(measure)
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
    has_kid = curves["kid"].notna().any()
    names = ["first", "samples", *(["kid"] if has_kid else []), "end"]
    layout = [names[:2], names[2:] if has_kid else ["end", "end"]]
    figure = Figure(15.0 if is_narrow() else 7.6)
    panels = figure.subplot_mosaic([[name] for name in names] if is_narrow() else layout)
    looks = _looks_of_groups(curves)
    columns = {"first": "first_layer_share", "samples": "share_between_images", "kid": "kid"}
    for name in panels.keys() & columns.keys():
        _draw_groups(panels[name], curves, columns[name], looks)
    for name, own in curves.groupby("group"):
        share = predicted_share(own[RATIO].iloc[0])
        panels["first"].axhline(share, color=looks[name]["color"], ls=":", lw=1)
    titles = {
        "first": "Share between images, first layer",
        "samples": "Share between images, samples",
    }
    panels["first"].set_ylim(0, 1.05)
    for name, title in titles.items():
        panels[name].set_title(wrap(title, inches=width() / 2))
    _draw_final_kid(panels["end"], table)
    if has_kid:
        panels["kid"].set(title="KID, lower is better")
    ends = {"kid": "axhline", "end": "axvline"}
    for name in panels.keys() & ends.keys():
        draw = getattr(panels[name], ends[name])
        draw(anchors.loc["grey", "kid"], color=GREY, lw=1, ls="--", label="grey images")
        draw(anchors["kid"].iloc[0], label="real-vs-real baseline", **REAL)
        panels[name].autoscale(axis="y" if name == "kid" else "x")
        panels[name].set(**{"ylim" if name == "kid" else "xlim": (0, None)})
    legend_below(figure, panels["kid" if has_kid else "first"], columns=3)
    suptitle_left(figure, _claim_of_evidence(table))
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


def _claim_of_evidence(table: pd.DataFrame) -> str:
    """Return what the KID says of the mean, if it is the same for all priors; else the question."""
    usual = table[table["first_norm"] == "channel"]
    means = usual.groupby(["label", RATIO])["kid"].mean()
    is_zero = means.index.get_level_values(RATIO) == 0
    zero, shifted = means[is_zero], means[~is_zero]
    if len(zero) and len(shifted) and zero.max() < shifted.min():
        return (
            f"Noise with mean 0 comes nearer to the collection: its KID is {zero.mean():.2f} on "
            f"average, that of other noise {shifted.mean():.2f}"
        )
    return "What the noise does, during the training and in the end"


def _looks_of_groups(curves: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the look of each group, by |mean| / std: that of N(0, 1), or of its first prior."""
    ordered = curves.sort_values([RATIO, "first_norm"], kind="stable")
    looks = {}
    for name, own in ordered.groupby("group", sort=False):
        labels = list(own["label"].unique())
        looks[name] = look_of(REFERENCE_LABEL if REFERENCE_LABEL in labels else labels[0])
    return looks


def _draw_groups(
    axes: Axes, curves: pd.DataFrame, column: str, looks: Mapping[str, Mapping[str, Any]]
) -> None:
    """Draw the mean of each group over the updates, and a band from smallest to largest."""
    for name, look in looks.items():
        own = curves[curves["group"] == name]
        _draw_band(axes, own, "update", column, color=look["color"], ls=look["ls"], label=name)
    ends = curves["update"].min(), curves["update"].max() + 1
    axes.set(xlabel="updates", ylim=(0, None), xlim=ends)
    _use_log_scale(axes)


def _draw_final_kid(axes: Axes, table: pd.DataFrame) -> None:
    """Draw the KID of each run as a mark, one row per arm, in the order of the ratios."""
    order = list(table.sort_values([RATIO, "first_norm"], kind="stable")["label"].unique())
    for place, label in enumerate(order):
        own = table.loc[table["label"] == label, "kid"]
        axes.plot(own, [place] * len(own), **_dot(label, order), ms=7, alpha=0.85)
    room = 1.1 if is_narrow() else 1.5
    axes.set_yticks(range(len(order)), [wrap(name, inches=room) for name in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set(title="KID in the end, each run", xlabel="KID, lower is better")
    axes.grid(visible=False, axis="y")


@styled
def kid_bars(values: pd.Series, *, baseline: float) -> Figure:
    """Draw KID as bars, one per name of the index, beside that between real images."""
    figure = Figure(1.1 + 0.32 * len(values))
    axes = figure.subplots()
    places = range(len(values))
    axes.barh(places, values, color=BLUE, alpha=0.75, height=0.6)
    for place, value in zip(places, values, strict=True):
        axes.text(max(value, 0), place, f" {value:.3f}", va="center", fontsize=SMALL)
    axes.margins(x=0.1)  # room for the last number
    axes.set_yticks(places, values.index)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.axvline(baseline, label="real-vs-real baseline", **REAL)
    axes.set_xlabel("KID, lower is better")
    suptitle_left(figure, "Distance to the collection")
    legend_below(figure, axes)
    listed = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
    return figure.describe(
        f"Bar chart of KID: {listed}; the real-vs-real baseline is {baseline:.3f}."
    )


# --- Histories of several runs --------------------------------------------------------------


@styled
def losses_overlaid(histories: Mapping[str, pd.DataFrame], *, unit: str = "epoch") -> Figure:
    """Draw the losses of several runs, one panel each, with one scale.

    Parameters
    ----------
    histories
        Name to history. With several rows per epoch, of several seeds, lines are their means
        and bands reach from the smallest to the largest.
    unit
        What their column ``epoch`` counts.
    """
    alike = {"across": 3, "narrow": 2, "sharex": True, "sharey": True}
    figure, panels = draw_panels(len(histories), 2.8, **alike)
    histories = dict(sorted(histories.items(), key=lambda item: ratio_of(item[0])))
    for axes, (name, history) in zip(panels, histories.items(), strict=True):
        history = history.assign(discriminator=history["d_loss_real"] + history["d_loss_fake"])
        _draw_band(axes, history, "epoch", "discriminator", color=ORANGE, label="discriminator")
        _draw_band(axes, history, "epoch", "g_loss", color=BLUE, label="generator")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
        axes.set_title(wrap(name, inches=axes.get_position().width * width()), fontsize=10)
        axes.set(xlabel=unit, ylabel="loss")
        axes.label_outer()
    panels[0].set_ylim(bottom=0)  # of all, once all is drawn: it ends the search for limits
    suptitle_left(figure, "Losses of both networks")
    legend_below(figure, panels[0])
    return figure.describe(_describe_lines("Losses of discriminator and generator", histories))


@styled
def shares_over_epochs(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the share between images over the epochs: in the first layer, and in the samples.

    Parameters
    ----------
    histories
        Name of the training to history, with ``first_layer_share`` and ``share_between_images``.
    """
    figure, (left, right) = draw_panels(2, 2.8)
    for name, history in histories.items():
        look = {key: look_of(name, [*histories])[key] for key in ("color", "ls")}
        _draw_band(left, history, "epoch", "first_layer_share", label=name, **look)
        _draw_band(right, history, "epoch", "share_between_images", label=name, **look)
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
    axes: Axes, table: pd.DataFrame, x: str, column: str, *, color: str, label: str, ls: Any = "-"
) -> None:
    """Draw the mean over `x`, and a band from the smallest to the largest value."""
    rows = table.dropna(subset=[column]).groupby(x)[column]
    mean = rows.mean()
    draw_line(axes, mean.index, mean, color=color, ls=ls, label=label)
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
    figure, panels = draw_panels(len(by_batch), 3.2, sharey=True)
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
        axes.set_ylabel("images per second, more is better")
        texts.append(f"at batch {batch} the {names[-1]}, is {span} as fast as the textbook")
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
    axes.bar_label(bars, [f" {share:.0%}" for share in shares], fontsize=SMALL)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
    axes.set_xlabel("milliseconds")
    suptitle_left(figure, "Time of one training step by operation")
    listed = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return figure.describe(f"Bar chart of the time of one training step by operation: {listed}.")


@styled
def memory_over_epochs(weighed: pd.DataFrame) -> Figure:
    """Draw the memory of a training process after each epoch, and its peak so far (bytes)."""
    memory, peak = weighed["memory"] / 1e6, weighed["peak"] / 1e6
    figure = Figure(2.8)
    axes = figure.subplots()
    draw_line(axes, weighed["epoch"], memory, color=BLUE, label="after the\nepoch")
    draw_line(axes, weighed["epoch"], peak, color=GREY, ls=":", label="peak\nso far")
    label_epoch_axis(axes, "megabytes", "Memory of the training process")
    axes.set_ylim(0, 1.15 * max(memory.max(), peak.max()))
    label_lines(axes)
    return figure.describe(
        f"Line chart of the memory of a training over {len(weighed)} epochs: "
        f"{memory.iloc[0]:.0f} MB after the first, {memory.iloc[-1]:.0f} MB after the last."
    )
