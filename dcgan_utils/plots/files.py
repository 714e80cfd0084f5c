"""Figures of image files: their sizes, dimensions and kinds, and round canvases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.plots.images import captioned, draw_image
from dcgan_utils.plots.style import (
    BLUE,
    GREEN,
    ORANGE,
    SMALL,
    Figure,
    draw_panels,
    is_narrow,
    set_title,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@styled
def file_sizes(sizes: Sequence[int], images: torch.Tensor, names: Sequence[str]) -> Figure:
    """Draw the histogram of file sizes in bytes, with the smallest, median and largest image."""
    order, kilobytes = np.argsort(sizes, kind="stable"), np.asarray(sizes) / 1000
    examples = {"smallest": order[0], "median": order[(len(order) - 1) // 2], "largest": order[-1]}
    figure = Figure(4.0)
    if is_narrow():
        grid = figure.add_gridspec(2, 3, height_ratios=[2, 1])
        places, chart = [grid[1, column] for column in range(3)], grid[0, :]
    else:
        grid = figure.add_gridspec(3, 2, width_ratios=[3.2, 1])
        places, chart = [grid[row, 1] for row in range(3)], grid[:, 0]
    axes = figure.add_subplot(chart)
    _draw_histogram(axes, kilobytes)
    axes.axvline(np.median(kilobytes), color=ORANGE, lw=1.5, ls="--")
    axes.set(xlabel="file size in kB (1000 bytes)", ylabel="images")
    set_title(axes, "File sizes", "Dashed: the median")
    for place, (what, number) in zip(places, examples.items(), strict=True):
        panel = figure.add_subplot(place)
        draw_image(panel, images[number], f"{what}\n{kilobytes[number]:.3g} kB")
    listed = ", ".join(f"{what} {kilobytes[i]:.3g} kB ({names[i]})" for what, i in examples.items())
    return figure.describe(f"Histogram of the sizes of {len(sizes)} files: {listed}.")


@styled
def dimensions(
    sizes: Sequence[tuple[int, int]], formats: Mapping[str, int], modes: Mapping[str, int]
) -> Figure:
    """Draw widths and heights in pixels, aspect ratios, and the counts of formats and modes.

    Raises
    ------
    NotEnoughData
        If they are the same for all images; the message says what they are.
    """
    width, height = np.asarray(sizes, float).T
    if len({*sizes}) == len(formats) == len(modes) == 1:
        raise NotEnoughData(
            f"All {len(sizes)} images are {width[0]:.0f} × {height[0]:.0f} pixels, "
            f"{next(iter(formats))}, {next(iter(modes))}."
        )
    ratio = width / height
    figure, (left, middle, right) = draw_panels(3, 2.9)
    _draw_sizes(left, sizes)
    _draw_histogram(middle, ratio)
    middle.set(xlabel="width / height", ylabel="images", title="Aspect ratios")
    _draw_counts(right, formats, modes)
    listed = ", ".join(f"{count} {name}" for name, count in [*formats.items(), *modes.items()])
    return figure.describe(
        f"Widths from {width.min():.0f} to {width.max():.0f} and heights from {height.min():.0f} "
        f"to {height.max():.0f} pixels; aspect ratios from {ratio.min():.2f} to "
        f"{ratio.max():.2f}; {listed}."
    )


def round_canvases(images: torch.Tensor, found: Sequence[int], names: Sequence[str]) -> Figure:
    """Draw the first fifteen images that look painted on a round canvas.

    Images and names are those of the whole collection, `found` from `find_round_canvases`. Raises
    `NotEnoughData` if there are none.
    """
    if not found:
        raise NotEnoughData("No round canvas was found.")
    first = list(found)[:15]
    captions = [names[number] for number in first]
    title = f"Round canvases: {len(first)} of the {len(found)} found"
    description = f"Images on round canvases: {', '.join(captions)}."
    return captioned(images[first], captions, title=title, description=description)


def _draw_histogram(axes: Axes, values: np.ndarray) -> None:
    """Draw a histogram; values that are all the same become one narrow bar."""
    middle = float(np.median(values))
    if np.ptp(values) > 1e-9 * max(1, abs(middle)):
        axes.hist(values, min(40, max(5, round(2 * len(values) ** 0.5))), color=BLUE, alpha=0.7)
        return
    room = max(abs(middle), 1) / 2
    axes.bar([middle], [len(values)], width=room / 20, color=BLUE, alpha=0.7)
    axes.set_xlim(middle - room, middle + room)


def _draw_sizes(axes: Axes, sizes: Sequence[tuple[int, int]]) -> None:
    places, counts = np.unique(np.asarray(sizes), axis=0, return_counts=True)
    axes.scatter(*places.T, s=15 + 150 * counts / counts.max(), color=BLUE, alpha=0.6, lw=0)
    for place in places if len(places) <= 3 else ():
        axes.annotate("{} x {}".format(*place), place, (8, 8), textcoords="offset points")
    axes.margins(0.2)
    axes.set(xlabel="width in pixels", ylabel="height in pixels", title="Dimensions")


def _draw_counts(axes: Axes, formats: Mapping[str, int], modes: Mapping[str, int]) -> None:
    colours = [BLUE] * len(formats) + [GREEN] * len(modes)
    bars = axes.barh([*formats, *modes], [*formats.values(), *modes.values()], color=colours)
    axes.bar_label(bars, padding=2, fontsize=SMALL)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.margins(x=0.25)
    axes.set_title("Formats, modes (green)")
