"""Figures of image files: the images themselves, their sizes, and which are alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

from dcgan_utils.data.duplicates import Pair
from dcgan_utils.plots.style import BLUE, GREEN, ORANGE, STYLE, WIDTH, new_figure, suptitle_left

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _draw_image(axes: Axes, image: torch.Tensor, caption: str) -> None:
    axes.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(caption, fontsize=8, loc="center")


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"…{name[1 - most :]}"


def captioned(
    images: torch.Tensor,
    captions: Sequence[str],
    *,
    title: str,
    description: str,
    columns: int = 5,
) -> Figure:
    """Draw images in rows, each with a line above it.

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, H, W)``.
    captions
        One an image.
    title, description
        Title above, and alternative text.
    columns
        Images in a row.
    """
    rows = -(-len(images) // columns)
    with mpl.rc_context(STYLE):
        figure = new_figure(rows * (WIDTH / columns + 0.2) + 0.35)
        panels = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes in panels:
            axes.set_axis_off()
        for axes, image, caption in zip(panels, images, captions, strict=False):
            _draw_image(axes, image, _short(caption, 110 // columns))
        suptitle_left(figure, title)
    figure.set_label(description)
    return figure


def file_sizes(sizes: Sequence[int], images: torch.Tensor, names: Sequence[str]) -> Figure:
    """Draw the histogram of file sizes; beside it the smallest, the median, the largest.

    Parameters
    ----------
    sizes
        Bytes of each file.
    images
        uint8, shape ``(N, 3, H, W)``, in the same order.
    names
        File names.
    """
    order = np.argsort(sizes, kind="stable")
    kilobytes = np.asarray(sizes) / 1000
    ends = {"smallest": order[0], "median": order[(len(order) - 1) // 2], "largest": order[-1]}
    with mpl.rc_context(STYLE):
        figure = new_figure(4.0)
        grid = figure.add_gridspec(3, 2, width_ratios=[3.2, 1])
        axes = figure.add_subplot(grid[:, 0])
        _histogram(axes, kilobytes)
        axes.axvline(np.median(kilobytes), color=ORANGE, lw=1.5, ls="--", label="median")
        axes.set_xlabel("file size in kB (1000 bytes)")
        axes.set_ylabel("images")
        axes.set_title("How large the files are")
        axes.legend()
        for row, (what, number) in enumerate(ends.items()):
            panel = figure.add_subplot(grid[row, 1])
            _draw_image(panel, images[number], f"{what}: {kilobytes[number]:.3g} kB")
    told = ", ".join(
        f"{what} {kilobytes[number]:.3g} kB ({names[number]})" for what, number in ends.items()
    )
    figure.set_label(f"Histogram of the sizes of {len(sizes)} files: {told}.")
    return figure


def _histogram(axes: Axes, values: np.ndarray) -> None:
    """Draw a histogram, also of values that are all the same: one narrow bar."""
    middle = float(np.median(values))
    if np.ptp(values) > 1e-9 * max(1, abs(middle)):
        axes.hist(values, min(40, max(5, round(2 * len(values) ** 0.5))), color=BLUE, alpha=0.7)
        return
    room = max(abs(middle), 1) / 2
    axes.bar([middle], [len(values)], width=room / 20, color=BLUE, alpha=0.7)
    axes.set_xlim(middle - room, middle + room)


def dimensions(
    sizes: Sequence[tuple[int, int]], formats: Mapping[str, int], modes: Mapping[str, int]
) -> Figure:
    """Draw widths against heights, the aspect ratios, and how many files of each kind.

    Parameters
    ----------
    sizes
        Width and height of each image in pixels.
    formats, modes
        Counts, as in `load.LoadReport`.
    """
    width, height = np.asarray(sizes, float).T
    places, counts = np.unique(np.asarray(sizes), axis=0, return_counts=True)
    with mpl.rc_context(STYLE):
        figure = new_figure(2.9)
        left, middle, right = figure.subplots(1, 3)
        area = 15 + 150 * counts / counts.max()
        left.scatter(*places.T, s=area, color=BLUE, alpha=0.6, lw=0)
        left.set(xlabel="width in pixels", ylabel="height in pixels")
        left.margins(0.2)
        if len(places) <= 3:
            for place in places:
                left.annotate("{} x {}".format(*place), place, (8, 8), textcoords="offset points")
        left.set_title("Dimensions")
        _histogram(middle, width / height)
        middle.set(xlabel="width / height", ylabel="images")
        middle.set_title("Aspect ratios")
        kinds = [*formats.items(), *modes.items()]
        colours = [BLUE] * len(formats) + [GREEN] * len(modes)
        bars = right.barh([name for name, _ in kinds], [n for _, n in kinds], color=colours)
        right.bar_label(bars, padding=2, fontsize=8)
        right.invert_yaxis()
        right.grid(visible=False)
        right.margins(x=0.25)
        right.set_title("Formats, modes (green)")
    figure.set_label(
        f"Widths from {width.min():.0f} to {width.max():.0f} and heights from "
        f"{height.min():.0f} to {height.max():.0f} pixels; aspect ratios from "
        f"{(width / height).min():.2f} to {(width / height).max():.2f}; "
        + ", ".join(f"{count} {name}" for name, count in kinds)
        + "."
    )
    return figure


def duplicate_pairs(
    images: torch.Tensor, pairs: Sequence[Pair], names: Sequence[str], *, title: str
) -> Figure:
    """Draw pairs of images that repeat each other, two pairs a row.

    Parameters
    ----------
    images
        The collection: uint8, shape ``(N, 3, H, W)``.
    pairs
        Those to show, from `duplicates.find_duplicates`.
    names
        File names of the collection.
    title
        Above the figure.
    """
    numbers = [number for pair in pairs for number in (pair.first, pair.second)]
    captions = []
    for pair in pairs:
        alike = "the same" if pair.exact else f"{pair.bits} bits off"
        captions += [names[pair.first], f"{_short(names[pair.second], 16)}: {alike}"]
    return captioned(
        images[numbers],
        captions,
        title=title,
        description=f"{len(pairs)} pairs of images that look alike: "
        + "; ".join(f"{names[pair.first]} and {names[pair.second]}" for pair in pairs)
        + ".",
        columns=4,
    )
