"""Figures of clusters, planes and principal components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.patches import Rectangle

from dcgan_utils.plots.style import BLUE, GREY, ORANGE, WIDTH, Figure, hide_axes, palette, styled

if TYPE_CHECKING:
    import pandas as pd

    from dcgan_utils.metrics.embed import Components


MOST_NAMED = 20  # groups beyond which names and numbers would overlap


@styled
def cluster_sizes(sizes: Sequence[int], *, what: str) -> Figure:
    """Draw the number of members of each cluster, with a line at the average."""
    figure = Figure(2.4)
    axes = figure.subplots()
    names = [str(number) for number in range(len(sizes))]
    bars = axes.bar(names, sizes, color=palette(len(sizes)), width=0.7)
    if len(sizes) <= MOST_NAMED:
        axes.bar_label(bars, fontsize=8)
    else:
        axes.set_xticks([0, len(sizes) - 1])
    axes.axhline(np.mean(sizes), color=GREY, lw=1, ls=":", label="if equally large")
    axes.set(xlabel="cluster", ylabel="images", title=f"Sizes of the clusters of {what}")
    axes.grid(visible=False, axis="x")
    axes.margins(y=0.15)
    axes.legend(loc="upper right")
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
        axes.axvline(chosen, color=ORANGE, lw=1.2, ls="--", label=f"here: k = {chosen}")
        axes.set(ylabel=name, xticks=table.index)
        axes.set_title(hint, fontsize=8, loc="right", color=GREY)
    panels[0].legend(loc="upper right")
    panels[0].set_title("How many clusters? Three criteria")
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
    figure = Figure(4.6)
    axes = figure.subplots()
    size = float(np.clip(6000 / len(points), 4, 40))
    colours = palette(len(group_names))
    for number, (name, colour) in enumerate(zip(group_names, colours, strict=True)):
        members = points[groups == number]
        axes.scatter(*members.T, s=size, color=colour, alpha=0.7, lw=0, label=name)
    if axis_names is None:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    else:
        axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    axes.set_title(title)
    if len(group_names) <= MOST_NAMED:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, markerscale=1.5)
    listed = ", ".join(group_names)
    return figure.describe(f"Scatter plot. {title}: {len(points)} images, coloured by {listed}.")


@styled
def thumbnails(
    points: np.ndarray, images: torch.Tensor, groups: np.ndarray, *, title: str
) -> Figure:
    """Draw images at their points ``(N, 2)`` in a plane, as many as find a free place nearby.

    The colour of a frame is that of the image's group.
    """
    columns, rows = 26, 21
    places = _free_places(points, columns, rows)
    colours = palette(int(groups.max()) + 1)
    figure = Figure(WIDTH * rows / columns + 0.3)
    axes = figure.subplots()
    for number, (x, y) in places.items():
        image = images[number].permute(1, 2, 0).numpy()
        axes.imshow(image, extent=(x, x + 0.92, y, y + 0.92))
        frame = Rectangle((x, y), 0.92, 0.92, fill=False, ec=colours[groups[number]], lw=1.5)
        axes.add_patch(frame)
    axes.set(xlim=(-0.1, columns), ylim=(-0.1, rows))
    axes.set_aspect("equal")
    hide_axes(axes)
    shown = f"{title}: {len(places)} of {len(points)}"
    axes.set_title(shown)
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
        axes.annotate(text, point, (6, -10), textcoords="offset points", fontsize=8)
    axes.set_xscale("log")
    axes.set_xticks(marked, marked)
    axes.minorticks_off()
    axes.set(xlabel="number of components", ylabel="variance explained in %", ylim=(0, 105))
    axes.set_title("Variance explained by the first components together")
    listed = ", ".join(f"{n} explain {together[n - 1]:.0f} %" for n in marked)
    return figure.describe(f"Curve of the variance explained by the first components: {listed}.")
