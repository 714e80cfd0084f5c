"""Figures of pixel statistics; the house style is that of `plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from dcgan_utils.data.statistics import COLOURS, Horizon
from dcgan_utils.plots.style import BLUE, GREEN, ORANGE, STYLE, new_figure, suptitle_left

if TYPE_CHECKING:
    from matplotlib.axes import Axes


CHANNEL_COLOURS = dict(zip(COLOURS, ("#c53030", GREEN, BLUE), strict=True))
CHANNEL_MAPS = {
    colour: LinearSegmentedColormap.from_list(colour, ["black", ink, "white"])
    for colour, ink in CHANNEL_COLOURS.items()
}


def _map(
    figure: Figure, axes: Axes, values: np.ndarray, colours: str, limits: tuple[float, float]
) -> None:
    """Draw values as an image with a scale of its own below."""
    low, high = limits
    if high - low < 1e-9:  # one value everywhere would be stretched beyond what there can be
        low, high = min(low, 0.0), max(high, 1.0)
    drawn = axes.imshow(values, colours, vmin=low, vmax=high, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    bar = figure.colorbar(drawn, ax=axes, orientation="horizontal", shrink=0.9, pad=0.03)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.ax.locator_params(nbins=4)
    bar.outline.set_visible(False)


def statistics_in_colour(
    per_colour: Mapping[str, np.ndarray], over_colours: Mapping[str, np.ndarray]
) -> Figure:
    """Draw each statistic as an image in colour and, below, over all colours with a scale.

    Parameters
    ----------
    per_colour, over_colours
        From `statistics.PixelStatistics`. In the coloured row variance and deviation, which are
        no colours, are brightened until their greatest value is full.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(4.0)
        panels = figure.subplots(2, len(per_colour))
        for (name, values), above, below in zip(per_colour.items(), *panels, strict=True):
            levels = name in ("minimum", "maximum", "mean")
            top = 255.0 if levels else max(float(values.max()), 1e-9)
            above.imshow((values / top).transpose(1, 2, 0), interpolation="nearest")
            above.set(xticks=[], yticks=[])
            above.set_title(name, fontsize=9, loc="center")
            pooled = over_colours[name]
            _map(figure, below, pooled, "gray", (pooled.min(), pooled.max()))
        panels[0, 0].set_ylabel("in colour")
        panels[1, 0].set_ylabel("over all colours")
        suptitle_left(figure, "Each place over all images: in colour, and over all three colours")
    figure.set_label(
        "Per-pixel minimum, maximum, mean, variance and standard deviation as images: in "
        "colour, and in grey over all three colours with a scale."
    )
    return figure


def statistics_of_each_colour(per_colour: Mapping[str, np.ndarray]) -> Figure:
    """Draw each statistic of red, green and blue, each column on one scale."""
    with mpl.rc_context(STYLE):
        figure = new_figure(5.9)
        panels = figure.subplots(len(COLOURS), len(per_colour))
        for row, colour in enumerate(COLOURS):
            panels[row, 0].set_ylabel(colour)
            for axes, (name, values) in zip(panels[row], per_colour.items(), strict=True):
                limits = (values.min(), values.max())
                _map(figure, axes, values[row], CHANNEL_MAPS[colour], limits)
                if row == 0:
                    axes.set_title(name, fontsize=9, loc="center")
        suptitle_left(figure, "Each place over all images, for red, green and blue")
    figure.set_label(
        "Per-pixel minimum, maximum, mean, variance and standard deviation of red, green and "
        "blue, one row each, with scales."
    )
    return figure


def channel_histograms(histograms: Mapping[str, np.ndarray]) -> Figure:
    """Draw how often each level occurs in red, green and blue; the first collection is filled.

    Parameters
    ----------
    histograms
        Collection to counts, shape ``(3, 256)``.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(3.1)
        panels = figure.subplots(1, 3, sharey=True)
        highest = 0.0
        for axes, (channel, (colour, ink)) in zip(
            panels, enumerate(CHANNEL_COLOURS.items()), strict=True
        ):
            for position, (name, counts) in enumerate(histograms.items()):
                share = 100 * counts[channel] / counts[channel].sum()
                highest = max(highest, float(np.sort(share)[-3]) or share.max())
                if position == 0:
                    axes.fill_between(range(256), share, color=ink, alpha=0.45, lw=0, label=name)
                else:
                    axes.plot(share, color="#22252a", lw=1.2, label=name)
            axes.set_title(colour, fontsize=9)
            axes.set(xlabel="level", xlim=(0, 255))
        # Pure black and pure white may tower over all else: they may leave the frame.
        panels[0].set_ylim(0, 1.1 * highest)
        _name_towers(panels, next(iter(histograms.values())), 1.1 * highest)
        panels[0].set_ylabel("share in %")
        if len(histograms) > 1:
            panels[0].legend(fontsize=8)
        suptitle_left(figure, "How often each level occurs")
    figure.set_label(f"Histograms of the red, green and blue levels of {' and '.join(histograms)}.")
    return figure


def _name_towers(panels: Sequence[Axes], counts: np.ndarray, top: float) -> None:
    """Write the shares of black and white beside their bars, where those leave the frame."""
    for axes, row in zip(panels, counts, strict=True):
        for level, side in ((0, "left"), (255, "right")):
            share = 100 * row[level] / row.sum()
            if share > top:
                place = abs(level - 6), 0.97 * top
                axes.text(*place, f"{level}: {share:.0f} %", ha=side, va="top", fontsize=8)


def horizon(mean: np.ndarray, found: Horizon) -> Figure:
    """Draw the mean image with the row that divides bright from dark, and all rows' means.

    Parameters
    ----------
    mean
        Shape ``(3, H, W)``, 0..255.
    found
        From `statistics.find_horizon`.
    """
    height = len(found.brightness)
    row = found.position * height - 0.5
    with mpl.rc_context(STYLE):
        figure = new_figure(3.2)
        left, right = figure.subplots(1, 2, sharey=True)
        left.imshow(np.clip(mean / 255, 0, 1).transpose(1, 2, 0), interpolation="nearest")
        left.set(xticks=[], yticks=[])
        left.grid(visible=False)
        left.set_title("The mean image")
        right.plot(found.brightness, np.arange(height), color=BLUE, lw=1.8)
        right.locator_params(axis="x", nbins=5)
        right.set_xlabel("mean brightness of the row, 0 to 255")
        right.set_title("From top to bottom")
        right.tick_params(labelleft=False)
        if found.is_clear:
            left.annotate(
                "horizon", (0, row), (-0.34, row), xycoords=("axes fraction", "data"),
                va="center", color=ORANGE, arrowprops={"arrowstyle": "->", "color": ORANGE},
            )  # fmt: skip
            for axes in (left, right):
                axes.axhline(row, color=ORANGE, lw=1.3, ls="--")
    what = f"at {100 * found.position:.0f} % of the height" if found.is_clear else "not to be seen"
    figure.set_label(f"The mean image and the mean brightness of its rows; the horizon is {what}.")
    return figure
