"""Figures of clusters and planes; the house style is that of `plots`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

from dcgan_utils.plots.style import BLUE, GREY, ORANGE, STYLE, WIDTH, new_figure, palette

if TYPE_CHECKING:
    import pandas as pd

    from dcgan_utils.metrics.embed import Components


MOST_NAMED = 20  # groups beyond which names and numbers would cover each other


def cluster_sizes(sizes: Sequence[int], *, what: str) -> Figure:
    """Draw how many members each cluster has, with the line at which all would be alike."""
    with mpl.rc_context(STYLE):
        figure = new_figure(2.4)
        axes = figure.subplots()
        names = [str(number) for number in range(len(sizes))]
        bars = axes.bar(names, sizes, color=palette(len(sizes)), width=0.7)
        if len(sizes) <= MOST_NAMED:
            axes.bar_label(bars, fontsize=8)
        else:
            axes.set_xticks([0, len(sizes) - 1])
        axes.axhline(np.mean(sizes), color=GREY, lw=1, ls=":", label="if equally large")
        axes.set(xlabel="cluster", ylabel="images")
        axes.grid(visible=False, axis="x")
        axes.margins(y=0.15)
        axes.set_title(f"How many images are in each cluster of {what}")
        axes.legend(loc="upper right")
    figure.set_label(
        f"Bar chart of the sizes of {len(sizes)} clusters: {', '.join(map(str, sizes))}."
    )
    return figure


def choose_k(table: pd.DataFrame, *, chosen: int) -> Figure:
    """Draw the criteria for the number of clusters under one another.

    Parameters
    ----------
    table
        From `embed.choose_k`.
    chosen
        The number that is marked.
    """
    about = {
        "inertia": f"relative to k = {table.index[0]}; look for a bend",
        "silhouette": "higher is better",
        "evenness": "1: equally large clusters",
    }
    drawn = table.assign(inertia=table["inertia"] / table["inertia"].iloc[0])
    with mpl.rc_context(STYLE):
        figure = new_figure(4.6)
        panels = figure.subplots(len(about), 1, sharex=True)
        for axes, (name, hint) in zip(panels, about.items(), strict=True):
            axes.plot(drawn.index, drawn[name], color=BLUE, lw=1.6, marker="o", ms=4)
            axes.axvline(chosen, color=ORANGE, lw=1.2, ls="--", label=f"here: k = {chosen}")
            axes.set_ylabel(name)
            axes.set_title(hint, fontsize=8, loc="right", color=GREY)
            axes.set_xticks(table.index)
        panels[0].legend(loc="upper right")
        panels[0].set_title("How many clusters? Three criteria")
        panels[-1].set_xlabel("number of clusters k")
    best = table["silhouette"].idxmax()
    figure.set_label(
        f"Line charts of inertia, silhouette and evenness of sizes for k from {table.index[0]} to "
        f"{table.index[-1]}; the silhouette is greatest at {best}."
    )
    return figure


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
        Each point's number in ``group_names``.
    group_names
        For the legend.
    title
        Above the figure.
    axis_names
        What lies along x and y; without them there are no scales either, as for UMAP, whose
        coordinates mean nothing.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(4.6)
        axes = figure.subplots()
        size = float(np.clip(6000 / len(points), 4, 40))
        for number, (name, ink) in enumerate(
            zip(group_names, palette(len(group_names)), strict=True)
        ):
            members = points[groups == number]
            axes.scatter(*members.T, s=size, color=ink, alpha=0.7, lw=0, label=name)
        if axis_names is None:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        else:
            axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
        axes.set_title(title)
        if len(group_names) <= MOST_NAMED:
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, markerscale=1.5)
    figure.set_label(
        f"Scatter plot. {title}: {len(points)} images, coloured by {', '.join(group_names)}."
    )
    return figure


def thumbnails(
    points: np.ndarray, images: torch.Tensor, groups: np.ndarray, *, title: str
) -> Figure:
    """Draw the images themselves in a plane, as many as find a free place nearby.

    Parameters
    ----------
    points
        Shape ``(N, 2)``.
    images
        uint8, shape ``(N, 3, H, W)``.
    groups
        Each image's group, for the colour of its frame.
    title
        Above the figure.
    """
    columns, rows = 26, 21
    places = _free_places(points, columns, rows)
    inks = palette(int(groups.max()) + 1)
    with mpl.rc_context(STYLE):
        figure = new_figure(WIDTH * rows / columns + 0.3)
        axes = figure.subplots()
        for number, (x, y) in places.items():
            image = images[number].permute(1, 2, 0).numpy()
            axes.imshow(image, extent=(x, x + 0.92, y, y + 0.92))
            ink = inks[groups[number]]
            axes.add_patch(mpl.patches.Rectangle((x, y), 0.92, 0.92, fill=False, ec=ink, lw=1.5))
        axes.set(xlim=(-0.1, columns), ylim=(-0.1, rows))
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.set_title(f"{title}: {len(places)} of {len(points)}")
    figure.set_label(
        f"{title}: {len(places)} of {len(points)} images as thumbnails, framed by group."
    )
    return figure


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


def explained_variance(components: Components, *, marked: Sequence[int]) -> Figure:
    """Draw the share of the variance that the first components explain together.

    Parameters
    ----------
    components
        From `embed.principal_components`.
    marked
        Numbers of components to point at.
    """
    together = 100 * np.cumsum(components.explained)
    with mpl.rc_context(STYLE):
        figure = new_figure(2.8)
        axes = figure.subplots()
        axes.plot(np.arange(1, len(together) + 1), together, color=BLUE, lw=1.8)
        for n in marked:
            axes.plot(n, together[n - 1], "o", color=ORANGE, ms=5)
            axes.annotate(
                f"{n}: {together[n - 1]:.0f} %", (n, together[n - 1]), (6, -10),
                textcoords="offset points", fontsize=8,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xticks(marked, marked)
        axes.minorticks_off()
        axes.set_ylim(0, 105)
        axes.set(xlabel="number of components", ylabel="variance explained in %")
        axes.set_title("How much the first components explain together")
    told = ", ".join(f"{n} explain {together[n - 1]:.0f} %" for n in marked)
    figure.set_label(f"Curve of the variance explained by the first components: {told}.")
    return figure
