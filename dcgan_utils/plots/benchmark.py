"""Figures of the benchmark; the house style is that of `plots`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from dcgan_utils.plots.style import BLUE, GREEN, GREY, ORANGE, STYLE, new_figure
from dcgan_utils.study.benchmark import TEXTBOOK, ratios

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["memory", "profile", "turns"]


def turns(by_batch: Mapping[int, pd.DataFrame]) -> Figure:
    """Draw the pictures a second of each loop, turn by turn, a panel for each batch size.

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
                axes.plot(own["turn"], own["pictures_per_second"], "o-", color=color, label=name)
            ratio = ratios(table).iloc[:, -1]
            span = f"{ratio.median():.1f} times ({ratio.min():.1f} to {ratio.max():.1f})"
            axes.set_title(f"batch {batch}: {span}")
            axes.set_xlabel("turn")
            axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
            axes.set_xlim(0.5, table["turn"].max() + 0.5)
            texts.append(f"at batch {batch} the {names[-1]}, is {span} as fast as the textbook")
        panels[0].set_ylabel("pictures a second")
        panels[0].set_ylim(bottom=0)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.set_label(f"Pictures a second of each loop, turn by turn: {'; '.join(texts)}.")
    return figure


def profile(milliseconds: pd.Series) -> Figure:
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


def memory(weighed: pd.DataFrame) -> Figure:
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
