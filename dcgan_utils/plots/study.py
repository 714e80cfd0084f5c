"""Figures of many runs, and of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from dcgan_utils.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    STYLE,
    label_epoch_axis,
    new_figure,
    palette,
)
from dcgan_utils.study.benchmark import TEXTBOOK, ratios
from dcgan_utils.study.theory import predicted_share

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def variance_shares(table: pd.DataFrame) -> Figure:
    """Draw the share of variance left for the samples: predicted as a curve, measured as points.

    Parameters
    ----------
    table
        From `theory.shares`.
    """
    ratios = table["|mean| / std"]
    with mpl.rc_context(STYLE):
        figure = new_figure(3.4)
        axes = figure.subplots()
        x = np.linspace(0, max(1.0, ratios.max()) * 1.1, 200)
        axes.plot(x, predicted_share(x), color=GREY, lw=1.6, label="predicted")
        axes.plot(ratios, table["measured"], "o", color=BLUE, ms=6, label="measured")
        for ratio, group in table.groupby(ratios.round(2)):
            height = group["measured"].max()
            names = _in_lines(group.index)
            axes.annotate(
                names,
                (ratio, height),
                xytext=(7, 4) if ratio else (6, -60),
                textcoords="offset points",
                va="bottom" if ratio else "top",
                fontsize=8,
            )
        axes.set(xlabel="|mean| / std of the noise", ylabel="share between images")
        axes.set_ylim(0, 1.05)
        axes.set_title("What is left for the differences between images, before training")
        axes.legend(loc="upper right")
    listed = ", ".join(f"{name} {value:.2f}" for name, value in table["measured"].items())
    figure.set_label(
        "Curve 1 / (1 + (mean / std) squared) falling from 1, with measured points on it: "
        f"{listed}."
    )
    return figure


def _in_lines(names: Sequence[str], *, most: int = 5) -> str:
    """Write names below each other; of many the first, and how many more."""
    names = list(names)
    more = [f"and {len(names) - most + 1} more"] if len(names) > most else []
    return "\n".join(names[: most - 1] + more if more else names)


def measures_by_ratio(
    table: pd.DataFrame, measures: Sequence[str], *, floor: dict[str, float]
) -> Figure:
    """Draw measures against |mean| / std: a point a run, a line through the means.

    Parameters
    ----------
    table
        From `compare.evaluate_runs`.
    measures
        Columns, one panel each.
    floor
        What real images score against real ones, drawn as a dotted line.
    """
    ratios = table["|mean| / std"].round(3)
    with mpl.rc_context(STYLE):
        figure = new_figure(2.7 * -(-len(measures) // 2) + 0.6)
        panels = figure.subplots(-(-len(measures) // 2), 2, squeeze=False).flatten()
        labels = list(table["label"].unique())
        colours = dict(zip(labels, palette(len(labels)), strict=True))
        for axes in panels[len(measures) :]:
            axes.set_axis_off()
        for axes, measure in zip(panels, measures, strict=False):
            means = table.groupby(ratios)[measure].mean()
            axes.plot(means.index, means, color=GREY, lw=1.2, zorder=1)
            for label, group in table.groupby("label", sort=False):
                # Noises of one ratio stand beside each other, not on each other.
                alike = list(table["label"][ratios == ratios[group.index[0]]].unique())
                aside = 0.03 * (alike.index(label) - (len(alike) - 1) / 2)
                look = {"color": colours[label], "ms": 5, "alpha": 0.8, "label": label}
                axes.plot(ratios[group.index] + aside, group[measure], "o", **look)
            axes.axhline(floor[measure], color=GREEN, lw=1, ls=":", label="real against real")
            axes.set_title(measure.replace("_", " "))
            axes.set_xlabel("|mean| / std of the noise")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8)
    told = "; ".join(
        f"{measure} "
        + ", ".join(f"{m:.3f} at {r:g}" for r, m in table.groupby(ratios)[measure].mean().items())
        for measure in measures
    )
    figure.set_label(f"Scatter charts against |mean| / std. Means: {told}.")
    return figure


def differences_to_reference(table: pd.DataFrame, measure: str) -> Figure:
    """Draw how each noise differs from N(0, 1), with both intervals.

    Parameters
    ----------
    table
        From `compare.differences`.
    measure
        What it is about.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(1.0 + 0.36 * len(table))
        axes = figure.subplots()
        seen = table[["difference", "bootstrap_low", "bootstrap_high"]].abs()
        reach = 3 * float(np.nanmax(seen)) or 1.0  # corrected intervals of few seeds go far beyond
        for place, (_, row) in enumerate(table.iterrows()):
            color = ORANGE if row["decided"] else BLUE
            ends = np.clip([row["low"], row["high"]], -reach, reach)
            axes.plot(ends, [place] * 2, color=color, lw=1.2)
            axes.plot([row["bootstrap_low"], row["bootstrap_high"]], [place] * 2, color=color, lw=4)
            axes.plot(row["difference"], place, "o", color=color, ms=7, mec="white")
        axes.axvline(0, color=GREY, lw=1, ls=":")
        axes.set_yticks(range(len(table)), table.index)
        axes.set_ylim(len(table) - 0.5, -0.5)
        axes.set_xlim(-reach, reach)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"{measure.replace('_', ' ')} less that of N(0, 1)")
        axes.set_title("Paired differences; orange ones are decided")
    told = "; ".join(
        f"{name} {row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        for name, row in table.iterrows()
    )
    figure.set_label(f"Differences of {measure} from N(0, 1), with corrected intervals: {told}.")
    return figure


def kid_bars(values: pd.Series, *, floor: float) -> Figure:
    """Draw KID as one bar a name, in the order given.

    Parameters
    ----------
    values
        KID, indexed by name.
    floor
        KID of real images against real ones.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(1.1 + 0.32 * len(values))
        axes = figure.subplots()
        places = range(len(values))
        axes.barh(places, values, color=BLUE, alpha=0.75, height=0.6)
        for place, value in zip(places, values, strict=True):
            axes.text(max(value, 0), place, f" {value:.3f}", va="center", fontsize=9)
        axes.margins(x=0.1)  # room for the last number
        axes.set_yticks(places, values.index)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.axvline(floor, color=GREEN, lw=1, ls=":", label="real against real")
        axes.set_xlabel("KID")
        axes.set_title("Distance to the collection: shorter is better")
        _legend_below(figure, axes)
    listed = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
    figure.set_label(f"Bar chart of KID: {listed}; real images have {floor:.3f}.")
    return figure


def losses_overlaid(histories: Mapping[str, pd.DataFrame], *, unit: str = "epoch") -> Figure:
    """Draw the losses of several runs over one another, one panel a network.

    Parameters
    ----------
    histories
        A history under each name. Where it has several rows an epoch, of several seeds, the
        line is their mean and a band reaches from the smallest to the largest.
    unit
        What their column ``epoch`` counts.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(3.4)
        left, right = figure.subplots(1, 2)
        for (name, history), color in zip(histories.items(), palette(len(histories)), strict=True):
            history = history.assign(d_loss=history["d_loss_real"] + history["d_loss_fake"])
            _line_with_band(left, history, "d_loss", color=color, label=name)
            _line_with_band(right, history, "g_loss", color=color, label=name)
        for axes, name in ((left, "Discriminator"), (right, "Generator")):
            label_epoch_axis(axes, "loss", name)
            axes.set_xlabel(unit)
        _legend_below(figure, left)
    figure.set_label(_overlay_text("Losses of discriminator and generator", histories))
    return figure


def spread_overlaid(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how much the samples of several runs differ from one another, epoch by epoch.

    Parameters
    ----------
    histories
        As for `losses_overlaid`.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(3.2)
        axes = figure.subplots()
        for (name, history), color in zip(histories.items(), palette(len(histories)), strict=True):
            _line_with_band(axes, history, "sample_spread", color=color, label=name)
        axes.axhline(1, color=GREEN, lw=1, ls=":", label="the real images")
        label_epoch_axis(axes, "spread, relative to real", "How different the samples are")
        axes.set_ylim(bottom=0)
        _legend_below(figure, axes)
    figure.set_label(_overlay_text("Spread of the samples relative to real images", histories))
    return figure


def _line_with_band(axes: Axes, history: pd.DataFrame, column: str, **look: Any) -> None:
    rows = history.groupby("epoch")[column]
    mean = rows.mean()
    axes.plot(mean.index, mean, lw=1.5, **look)
    band = {"color": look["color"], "alpha": 0.15, "lw": 0}
    axes.fill_between(mean.index, rows.min(), rows.max(), **band)


def _legend_below(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8)


def _overlay_text(what: str, items: Mapping[str, pd.DataFrame]) -> str:
    return f"Line chart. {what} by epoch, one line each for {', '.join(items)}."


# --- Benchmark ---


def benchmark_turns(by_batch: Mapping[int, pd.DataFrame]) -> Figure:
    """Draw the images a second of each loop, turn by turn, a panel for each batch size.

    A panel's title has the ratio of the last loop, ours in the precision chosen, to the textbook.
    """
    texts = []
    with mpl.rc_context(STYLE):
        figure = new_figure(3.2)
        panels = figure.subplots(1, len(by_batch), sharey=True, squeeze=False)[0]
        for axes, (batch, table) in zip(panels, by_batch.items(), strict=True):
            names = [TEXTBOOK, *ratios(table).columns]
            for name, color in zip(names, (ORANGE, GREEN, BLUE), strict=False):
                own = table[table["loop"] == name]
                axes.plot(own["turn"], own["images_per_second"], "o-", color=color, label=name)
            ratio = ratios(table).iloc[:, -1]
            span = f"{ratio.median():.1f} times ({ratio.min():.1f} to {ratio.max():.1f})"
            axes.set_title(f"batch {batch}: {span}")
            axes.set_xlabel("turn")
            axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
            axes.set_xlim(0.5, table["turn"].max() + 0.5)
            texts.append(f"at batch {batch} the {names[-1]}, is {span} as fast as the textbook")
        panels[0].set_ylabel("images a second")
        panels[0].set_ylim(bottom=0)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.set_label(f"Images a second of each loop, turn by turn: {'; '.join(texts)}.")
    return figure


def step_profile(milliseconds: pd.Series) -> Figure:
    """Draw how long each kind of operation takes in one training step."""
    shares = milliseconds / milliseconds.sum()
    with mpl.rc_context(STYLE):
        figure = new_figure(0.6 + 0.32 * len(milliseconds))
        axes = figure.subplots()
        bars = axes.barh(milliseconds.index, milliseconds, color=BLUE, height=0.7)
        axes.bar_label(bars, [f" {share:.0%}" for share in shares], fontsize=9)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.12)
        axes.set_xlabel("milliseconds")
        axes.set_title("Where one training step spends its time")
    listed = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    figure.set_label(f"Bar chart of the time of one training step by operation: {listed}.")
    return figure


def memory_over_epochs(weighed: pd.DataFrame) -> Figure:
    """Draw the memory that a training process holds after each epoch, and its peak."""
    megabytes = weighed[["memory", "peak"]] / 1e6
    with mpl.rc_context(STYLE):
        figure = new_figure(2.8)
        axes = figure.subplots()
        axes.plot(weighed["epoch"], megabytes["memory"], color=BLUE, label="after the epoch")
        axes.plot(weighed["epoch"], megabytes["peak"], color=GREY, ls=":", label="peak until then")
        axes.set(xlabel="epoch", ylabel="megabytes", ylim=(0, 1.15 * megabytes.max().max()))
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        axes.set_title("Memory of the training process")
        axes.legend(loc="lower right")
    first, last = megabytes["memory"].iloc[0], megabytes["memory"].iloc[-1]
    figure.set_label(
        f"Line chart of the memory of a training over {len(weighed)} epochs: {first:.0f} MB after "
        f"the first, {last:.0f} MB after the last."
    )
    return figure
