"""Figures of clusters, planes and principal components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.patches import Rectangle
from torch.nn.functional import interpolate

from dcgan_utils.plots.looks import look_of
from dcgan_utils.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    SMALL,
    Figure,
    hide_axes,
    is_narrow,
    legend_below,
    palette,
    set_title,
    styled,
    suptitle_left,
    width,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from dcgan_utils.metrics.embed import Components


MOST_NAMED = 20  # groups beyond which names and numbers would overlap


@styled
def cluster_sizes(sizes: Sequence[int], *, what: str) -> Figure:
    """Draw the number of members of each cluster, with a line at the average."""
    figure = Figure(2.4)
    axes = figure.subplots()
    names = [str(number) for number in range(len(sizes))]
    bars = axes.bar(names, sizes, color=palette(len(sizes)), width=0.7)
    if len(sizes) <= (MOST_NAMED // 2 if is_narrow() else MOST_NAMED):
        axes.bar_label(bars, fontsize=SMALL)
    else:
        axes.set_xticks([0, len(sizes) - 1])
    axes.axhline(np.mean(sizes), color=GREY, lw=1, ls=":")
    axes.set(xlabel="cluster", ylabel="images")
    set_title(axes, f"Sizes of the clusters of {what}", "Dotted: if they were equally large")
    axes.grid(visible=False, axis="x")
    axes.margins(y=0.15)
    listed = ", ".join(map(str, sizes))
    return figure.describe(f"Bar chart of the sizes of {len(sizes)} clusters: {listed}.")


@styled
def k_criteria(table: pd.DataFrame, *, chosen: int) -> Figure:
    """Draw the criteria of `embed.choose_k` for the number of clusters; mark the chosen one."""
    first, last, best = table.index[0], table.index[-1], table["silhouette"].idxmax()
    hints = {
        "inertia": f"relative to k = {first}; look for a bend",
        "silhouette": "higher is better",
        "evenness": "1: equally large clusters",
    }
    drawn = table.assign(inertia=table["inertia"] / table["inertia"].iloc[0])
    figure = Figure(4.6)
    panels = figure.subplots(len(hints), 1, sharex=True)
    for axes, (name, hint) in zip(panels, hints.items(), strict=True):
        axes.plot(drawn.index, drawn[name], color=BLUE, lw=1.6, marker="o", ms=4)
        axes.axvline(chosen, color=ORANGE, lw=1.2, ls="--")
        axes.plot(best, drawn[name][best], "o", color=ORANGE, ms=8)
        axes.set(ylabel=name, xticks=table.index[:: 3 if is_narrow() else 1])
        axes.set_title(hint, fontsize=SMALL, color=GREY, pad=2)
    advice = f"How many clusters? The silhouette is for k = {best} (dot)"
    suptitle_left(figure, advice if best == chosen else f"{advice}; here k = {chosen} (dashed)")
    panels[-1].set_xlabel("number of clusters k")
    return figure.describe(
        f"Line charts of inertia, silhouette and evenness of sizes for k from {first} to {last}; "
        f"the silhouette is highest at {best}."
    )


@styled
def scatter_plane(
    points: np.ndarray,
    groups: np.ndarray,
    group_names: Sequence[str],
    *,
    title: str,
    axis_names: tuple[str, str] | None = None,
) -> Figure:
    """Draw points in a plane, coloured by group.

    Parameters
    ----------
    points
        Shape ``(N, 2)``.
    groups
        Index of each point's group in `group_names`.
    axis_names
        Labels of x and y. Without them there are no scales either, as for UMAP, whose
        coordinates have no meaning.
    """
    figure = Figure(width() + 1.0 if is_narrow() else 5.2)
    axes = figure.subplots()
    size = float(np.clip(100 / len(points) ** 0.5, 4, 7))
    names = list(group_names)
    for number, name in enumerate(names):
        look = look_of(name, names) | {"ls": "", "ms": size, "mew": 0.8, "alpha": 0.75}
        axes.plot(*points[groups == number].T, **look, label=name)
    if axis_names is None:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    else:
        axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    set_title(axes, title)
    if len(names) <= MOST_NAMED:
        _name_groups(figure, axes, points, groups, names)
    listed = ", ".join(group_names)
    return figure.describe(f"Scatter plot. {title}: {len(points)} images, coloured by {listed}.")


def _name_groups(
    figure: Figure, axes: Axes, points: np.ndarray, groups: np.ndarray, names: Sequence[str]
) -> None:
    """Write names of groups at their middles or, where these are too near, in a legend below.

    At its middle, a cluster needs no more than its number.
    """
    short = [name.removeprefix("cluster ") for name in names]
    present = [number for number in range(len(names)) if (groups == number).any()]
    middles = np.array([np.median(points[groups == number], axis=0) for number in present])
    apart = np.abs(middles[:, None] - middles) / np.maximum(np.ptp(points, axis=0), 1e-9)
    letters = max(map(len, short)) * SMALL * 0.6 / 72 / width()  # a name's part of the width
    if (apart < (letters, 0.06)).all(axis=-1).sum() > len(present):
        legend_below(figure, axes, columns=6)
        return
    box = {"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.8}
    for number, middle in zip(present, middles, strict=True):
        look = {"ha": "center", "va": "center", "fontsize": SMALL, "bbox": box}
        axes.annotate(short[number], middle, **look)


@styled
def thumbnails(
    points: np.ndarray, images: torch.Tensor, groups: np.ndarray, *, title: str
) -> Figure:
    """Draw images at their points ``(N, 2)`` in a plane, as many as find a free place nearby.

    The colour of a frame is that of the image's group.
    """
    columns, rows = (9, 10) if is_narrow() else (18, 14)
    places = _free_places(points, columns, rows)
    colours = palette(int(groups.max()) + 1)
    figure = Figure(width() * rows / columns + 0.3)
    axes = figure.subplots()
    side = min(64, images.shape[-1])
    chosen = interpolate(images[list(places)].float(), (side, side), mode="area").byte()
    step = side + 8
    canvas = np.zeros((rows * step, columns * step, 4), np.uint8)  # transparent
    for image, (number, (column, row)) in zip(chosen, places.items(), strict=True):
        left, top = column * step + 4, (rows - 1 - row) * step + 4
        canvas[top : top + side, left : left + side, :3] = image.permute(1, 2, 0).numpy()
        canvas[top : top + side, left : left + side, 3] = 255
        corner, color = (left - 1.5, top - 1.5), colours[groups[number]]
        axes.add_patch(Rectangle(corner, side + 2, side + 2, fill=False, ec=color, lw=2))
    axes.imshow(canvas, interpolation="none")
    hide_axes(axes)
    shown = f"{title}: {len(places)} of {len(points)}"
    set_title(axes, shown)
    return figure.describe(f"{shown} images as thumbnails, framed by group.")


def _free_places(points: np.ndarray, columns: int, rows: int) -> dict[int, tuple[int, int]]:
    """Put points on a raster, each on the nearest free place up to three steps away, or nowhere."""
    low, high = points.min(0), points.max(0)
    exact = (points - low) / np.maximum(high - low, 1e-9) * (columns - 1, rows - 1)
    steps = [(dx, dy) for dx in range(-3, 4) for dy in range(-3, 4) if dx * dx + dy * dy <= 9]
    free = {(x, y) for x in range(columns) for y in range(rows)}
    places = {}
    for number in np.random.default_rng(0).permutation(len(points)):  # not the first files first
        x, y = exact[number]
        near = [(round(x) + dx, round(y) + dy) for dx, dy in steps]
        open_places = [place for place in near if place in free]
        if open_places:
            best = min(open_places, key=lambda place: (place[0] - x) ** 2 + (place[1] - y) ** 2)
            free.remove(best)
            places[int(number)] = best
    return places


@styled
def explained_variance(components: Components, *, marked: Sequence[int]) -> Figure:
    """Draw the variance explained by the first components together; label the `marked` numbers."""
    together = 100 * np.cumsum(components.explained)
    figure = Figure(2.8)
    axes = figure.subplots()
    axes.plot(np.arange(1, len(together) + 1), together, color=BLUE, lw=1.8)
    for n in marked:
        point = (n, together[n - 1])
        axes.plot(*point, "o", color=ORANGE, ms=5)
        text = f"{n}: {point[1]:.0f} %"
        axes.annotate(text, point, (6, -10), textcoords="offset points", fontsize=SMALL)
    axes.set_xscale("log")
    axes.set_xticks(marked, marked)
    axes.minorticks_off()
    axes.set(xlabel="number of components", ylabel="variance explained in %", ylim=(0, 105))
    set_title(axes, "Variance explained by the first components together")
    listed = ", ".join(f"{n} explain {together[n - 1]:.0f} %" for n in marked)
    return figure.describe(f"Curve of the variance explained by the first components: {listed}.")
