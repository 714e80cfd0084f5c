"""Figures of pixel statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dcgan_utils.data.statistics import COLOURS, Horizon
from dcgan_utils.plots.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    SMALL,
    Figure,
    draw_panels,
    is_narrow,
    legend_below,
    styled,
    suptitle_left,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage


CHANNEL_COLOURS = dict(zip(COLOURS, ("#c53030", GREEN, BLUE), strict=True))
_STATISTICS = "Per-pixel minimum, maximum, mean, variance and standard deviation"


@styled
def statistics_in_colour(
    per_colour: Mapping[str, np.ndarray], over_colours: Mapping[str, np.ndarray]
) -> Figure:
    """Draw each statistic as a colour image and, below it, over all colours with a scale.

    Both are from `statistics.PixelStatistics`. Variance and deviation are not colours: in the
    upper row they are brightened until their greatest value is full.
    """
    figure, panels = _sheet(2, len(per_colour))
    for column, (name, values) in zip(panels.T, per_colour.items(), strict=True):
        above, below = column
        is_level = name in ("minimum", "maximum", "mean")
        _draw_image(above, values, top=255.0 if is_level else max(float(values.max()), 1e-9))
        pooled = over_colours[name]
        _draw_scale([below], _draw_map(below, pooled, (pooled.min(), pooled.max())))
    _name_sheet(panels, ["in colour", "over all colours"], list(per_colour))
    suptitle_left(figure, "Each pixel over all images: in colour, and over all three colours")
    return figure.describe(
        f"{_STATISTICS} as images: in colour, and in grey over all three colours with a scale."
    )


@styled
def statistics_of_each_colour(per_colour: Mapping[str, np.ndarray]) -> Figure:
    """Draw each statistic of red, green and blue in grey, with one scale per statistic."""
    figure, panels = _sheet(len(COLOURS), len(per_colour))
    for column, values in zip(panels.T, per_colour.values(), strict=True):
        limits = values.min(), values.max()
        for axes, channel in zip(column, values, strict=True):
            drawn = _draw_map(axes, channel, limits)
        _draw_scale(list(column), drawn)
    _name_sheet(panels, list(COLOURS), list(per_colour))
    suptitle_left(figure, "Each pixel over all images, for red, green and blue")
    return figure.describe(f"{_STATISTICS} of red, green and blue, one row each, with scales.")


@styled
def channel_histograms(histograms: Mapping[str, np.ndarray]) -> Figure:
    """Draw each collection's counts of levels ``(3, 256)`` as shares; the first one is filled."""
    shares = {name: 100 * n / n.sum(axis=1, keepdims=True) for name, n in histograms.items()}
    (first, filled), *others = shares.items()
    figure, panels = draw_panels(3, 2.0 if is_narrow() else 3.1, sharey=True)
    for channel, (axes, (colour, ink)) in enumerate(
        zip(panels, CHANNEL_COLOURS.items(), strict=True)
    ):
        axes.fill_between(range(256), filled[channel], color=ink, alpha=0.45, lw=0, label=first)
        for name, share in others:
            axes.plot(share[channel], color=INK, lw=1.2, label=name)
        axes.set_title(colour, fontsize=SMALL)
        axes.set(xlabel="level", xlim=(0, 255))
    # Pure black and pure white may be far above the rest: their bars may leave the frame.
    ordered = np.sort(np.concatenate([*shares.values()]), axis=1)
    top = 1.1 * np.where(ordered[:, -3] > 0, ordered[:, -3], ordered[:, -1]).max()
    panels[0].set(ylim=(0, top), ylabel="share in %")
    _label_cut_bars(panels, filled, top)
    if others:
        legend_below(figure, panels[0])
    suptitle_left(figure, "Frequency of each level")
    return figure.describe(
        f"Histograms of the red, green and blue levels of {' and '.join(histograms)}."
    )


@styled
def horizon_line(mean: np.ndarray, found: Horizon) -> Figure:
    """Draw the mean image ``(3, H, W)``, 0..255, with its horizon, and the brightness of rows."""
    height = len(found.brightness)
    figure = Figure(3.2)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_image(left, mean, top=255.0)
    left.set_title("The mean image")
    right.plot(found.brightness, np.arange(height), color=BLUE, lw=1.8)
    right.locator_params(axis="x", nbins=5)
    right.tick_params(labelleft=False)
    right.set(xlabel="brightness, 0-255", title="From top to bottom")
    text = "the rows show no clear horizon"
    if found.is_clear:
        _draw_horizon(left, right, found.position * height - 0.5)
        text = f"the horizon is at {100 * found.position:.0f} % of the height"
    return figure.describe(f"The mean image and the mean brightness of its rows; {text}.")


def _draw_image(axes: Axes, values: np.ndarray, top: float) -> None:
    """Draw values ``(3, H, W)`` as a colour image in which `top` is full."""
    image = np.clip(values / top, 0, 1).transpose(1, 2, 0)
    axes.imshow(image, interpolation="none")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)


def _sheet(rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    """Make a figure of panels, rows by columns; if it is narrow, rows and columns change places."""
    if is_narrow():
        figure = Figure(columns * 3.6 / (rows + 0.6) + 0.4)
        return figure, figure.subplots(columns, rows).T
    figure = Figure(rows * 1.5 + 1.0)
    return figure, figure.subplots(rows, columns)


def _name_sheet(panels: np.ndarray, rows: list[str], columns: list[str]) -> None:
    """Name the rows and columns of a sheet at its left and upper edge."""
    above, left = (panels[:, 0], panels[0]) if is_narrow() else (panels[0], panels[:, 0])
    for axes, name in zip(above, rows if is_narrow() else columns, strict=True):
        axes.set_title(name.replace(" deviation", "\ndeviation"), fontsize=SMALL, loc="center")
    for axes, name in zip(left, columns if is_narrow() else rows, strict=True):
        axes.set_ylabel(name.replace(" deviation", "\ndeviation"), fontsize=SMALL)


def _draw_map(axes: Axes, values: np.ndarray, limits: tuple[float, float]) -> AxesImage:
    """Draw values ``(H, W)`` as a grey image."""
    low, high = limits
    if high - low < 1e-9:  # one value everywhere would be stretched beyond the possible range
        low, high = min(low, 0.0), max(high, 1.0)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    return axes.imshow(values, "gray", vmin=low, vmax=high, interpolation="none")


def _draw_scale(panels: list[Axes], drawn: AxesImage) -> None:
    """Draw the scale of maps below them; in a narrow figure beside them."""
    side = (
        {"orientation": "vertical", "shrink": 0.9} if is_narrow() else {"orientation": "horizontal"}
    )
    bar = panels[0].figure.colorbar(drawn, ax=panels, pad=0.03, aspect=15, **side)
    bar.ax.tick_params(labelsize=SMALL, length=2)
    bar.ax.locator_params(nbins=3)
    bar.outline.set_visible(False)


def _label_cut_bars(panels: Sequence[Axes], shares: np.ndarray, top: float) -> None:
    """Write the shares of black and white beside their bars where those leave the frame."""
    for axes, share in zip(panels, shares, strict=True):
        for level, side in ((0, "left"), (255, "right")):
            if share[level] > top:
                text = f"{level}: {share[level]:.0f} %"
                axes.text(abs(level - 6), 0.97 * top, text, ha=side, va="top", fontsize=SMALL)


def _draw_horizon(left: Axes, right: Axes, row: float) -> None:
    for axes in (left, right):
        axes.axhline(row, color=ORANGE, lw=1.3, ls="--")
    left.annotate(
        "horizon", (0, row), (-0.34, row), xycoords=("axes fraction", "data"), va="center",
        color=ORANGE, arrowprops={"arrowstyle": "->", "color": ORANGE},
    )  # fmt: skip
