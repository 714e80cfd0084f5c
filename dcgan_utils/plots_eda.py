"""Figures of the exploration of a collection; the house style is that of `plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import seaborn as sns
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from dcgan_utils.pixels import COLOURS, Horizon, Pair
from dcgan_utils.plots import BLUE, GREEN, GREY, ORANGE, STYLE, WIDTH, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from dcgan_utils.clusters import Components

__all__ = [
    "captioned",
    "channel_histograms",
    "choose_k",
    "cluster_sizes",
    "dimensions",
    "duplicates",
    "explained",
    "file_sizes",
    "group_colours",
    "horizon",
    "plane",
    "statistics_in_colour",
    "statistics_of_each_colour",
    "thumbnails",
]

CHANNEL_COLOURS = dict(zip(COLOURS, ("#c53030", GREEN, BLUE), strict=True))
CHANNEL_MAPS = {
    colour: LinearSegmentedColormap.from_list(colour, ["black", ink, "white"])
    for colour, ink in CHANNEL_COLOURS.items()
}


def group_colours(count: int) -> list[str]:
    """Return a colour for each of so many groups, as ``#rrggbb``."""
    palette = sns.color_palette("tab10" if count <= 10 else "husl", count)
    return palette.as_hex()


def _picture(axes: Axes, image: torch.Tensor, caption: str) -> None:
    axes.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.set_axis_off()
    # A dollar sign in a file name is no formula.
    axes.set_title(caption.replace("$", r"\$"), fontsize=8, loc="center")


def _short(name: str, most: int = 22) -> str:
    return name if len(name) <= most else f"…{name[1 - most :]}"


def captioned(
    images: torch.Tensor,
    captions: Sequence[str],
    *,
    title: str,
    description: str,
    columns: int = 5,
) -> Figure:
    """Draw pictures in rows, each with a line above it.

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, H, W)``.
    captions
        One a picture.
    title, description
        Title above, and alternative text.
    columns
        Pictures in a row.
    """
    rows = -(-len(images) // columns)
    with mpl.rc_context(STYLE):
        figure = new_figure(rows * (WIDTH / columns + 0.2) + 0.35)
        panels = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes in panels:
            axes.set_axis_off()
        for axes, image, caption in zip(panels, images, captions, strict=False):
            _picture(axes, image, _short(caption))
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.set_label(description)
    return figure


# --- Files ---------------------------------------------------------------------------------


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
        _histogram(axes, kilobytes, BLUE)
        axes.axvline(np.median(kilobytes), color=ORANGE, lw=1.5, ls="--", label="median")
        axes.set_xlabel("file size in kB (1000 bytes)")
        axes.set_ylabel("pictures")
        axes.set_title("How large the files are")
        axes.legend()
        for row, (what, number) in enumerate(ends.items()):
            panel = figure.add_subplot(grid[row, 1])
            _picture(panel, images[number], f"{what}: {kilobytes[number]:.3g} kB")
    told = ", ".join(
        f"{what} {kilobytes[number]:.3g} kB ({names[number]})" for what, number in ends.items()
    )
    figure.set_label(f"Histogram of the sizes of {len(sizes)} files: {told}.")
    return figure


def _histogram(axes: Axes, values: np.ndarray, color: str) -> None:
    """Draw a histogram, also of values that are all the same: one narrow bar."""
    middle = float(np.median(values))
    if np.ptp(values) > 1e-9 * max(1, abs(middle)):
        axes.hist(values, min(40, max(5, round(2 * len(values) ** 0.5))), color=color, alpha=0.7)
        return
    room = max(abs(middle), 1) / 2
    axes.bar([middle], [len(values)], width=room / 20, color=color, alpha=0.7)
    axes.set_xlim(middle - room, middle + room)


def dimensions(
    sizes: Sequence[tuple[int, int]], formats: Mapping[str, int], modes: Mapping[str, int]
) -> Figure:
    """Draw widths against heights, the aspect ratios, and how many files of each kind.

    Parameters
    ----------
    sizes
        Width and height of each picture in pixels.
    formats, modes
        Counts, as in `datasets.LoadReport`.
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
        _histogram(middle, width / height, BLUE)
        middle.axvline(1, color=ORANGE, lw=1.2, ls="--")
        middle.set(xlabel="width / height", ylabel="pictures")
        middle.set_title("Aspect ratios")
        kinds = [*formats.items(), *modes.items()]
        colours = [BLUE] * len(formats) + [GREEN] * len(modes)
        bars = right.barh([name for name, _ in kinds], [n for _, n in kinds], color=colours)
        right.bar_label(bars, padding=2, fontsize=8)
        right.invert_yaxis()
        right.grid(visible=False)
        right.margins(x=0.25)
        right.set_title("Formats and modes")
    figure.set_label(
        f"Widths from {width.min():.0f} to {width.max():.0f} and heights from "
        f"{height.min():.0f} to {height.max():.0f} pixels; aspect ratios from "
        f"{(width / height).min():.2f} to {(width / height).max():.2f}; "
        + ", ".join(f"{count} {name}" for name, count in kinds)
        + "."
    )
    return figure


def duplicates(images: torch.Tensor, pairs: Sequence[Pair], names: Sequence[str]) -> Figure:
    """Draw pairs of pictures that repeat each other, two pairs a row.

    Parameters
    ----------
    images
        The collection: uint8, shape ``(N, 3, H, W)``.
    pairs
        Those to show, from `pixels.find_duplicates`.
    names
        File names of the collection.
    """
    numbers = [number for pair in pairs for number in (pair.first, pair.second)]
    captions = [
        caption
        for pair in pairs
        for caption in (
            names[pair.first],
            f"{names[pair.second]}: {'the same' if pair.exact else f'{pair.bits} bits off'}",
        )
    ]
    return captioned(
        images[numbers],
        [_short(caption, 30) for caption in captions],
        title="Pictures that repeat an earlier one",
        description=f"{len(pairs)} pairs of pictures that look alike: "
        + "; ".join(f"{names[pair.first]} and {names[pair.second]}" for pair in pairs)
        + ".",
        columns=4,
    )


# --- Pixels --------------------------------------------------------------------------------


def _map(
    figure: Figure, axes: Axes, values: np.ndarray, colours: str, limits: tuple[float, float]
) -> None:
    """Draw values as a picture with a scale of its own below."""
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
    """Draw each statistic as a picture in colour and, below, over all colours with a scale.

    Parameters
    ----------
    per_colour, over_colours
        From `pixels.PixelStatistics`. In the coloured row variance and deviation, which are
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
        figure.suptitle(
            "Each place over all pictures: in colour, and over all three colours",
            x=0.01, ha="left", fontsize=11,
        )  # fmt: skip
    figure.set_label(
        "Per-pixel minimum, maximum, mean, variance and standard deviation as pictures: in "
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
        figure.suptitle("The same for each colour", x=0.01, ha="left", fontsize=11)
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
        figure = new_figure(2.8)
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
            axes.set_title(colour)
            axes.set(xlabel="level", xlim=(0, 255))
        # Pure black and pure white may tower over all else: they may leave the frame.
        panels[0].set_ylim(0, 1.1 * highest)
        panels[0].set_ylabel("share in %")
        if len(histograms) > 1:
            panels[0].legend(fontsize=8)
    figure.set_label(f"Histograms of the red, green and blue levels of {' and '.join(histograms)}.")
    return figure


def horizon(mean: np.ndarray, found: Horizon) -> Figure:
    """Draw the mean picture with the row that divides bright from dark, and all rows' means.

    Parameters
    ----------
    mean
        Shape ``(3, H, W)``, 0..255.
    found
        From `pixels.find_horizon`.
    """
    height = len(found.brightness)
    row = found.position * height - 0.5
    with mpl.rc_context(STYLE):
        figure = new_figure(3.2)
        left, right = figure.subplots(1, 2, sharey=True)
        left.imshow(np.clip(mean / 255, 0, 1).transpose(1, 2, 0), interpolation="nearest")
        left.set(xticks=[], yticks=[])
        left.grid(visible=False)
        left.set_title("The mean picture")
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
    figure.set_label(
        f"The mean picture and the mean brightness of its rows; the horizon is {what}."
    )
    return figure


# --- Clusters and planes -------------------------------------------------------------------


def cluster_sizes(sizes: Sequence[int], *, what: str) -> Figure:
    """Draw how many members each cluster has, with the line at which all would be alike."""
    with mpl.rc_context(STYLE):
        figure = new_figure(2.4)
        axes = figure.subplots()
        names = [str(number) for number in range(len(sizes))]
        bars = axes.bar(names, sizes, color=group_colours(len(sizes)), width=0.7)
        axes.bar_label(bars, fontsize=8)
        axes.axhline(np.mean(sizes), color=GREY, lw=1, ls=":", label="if all were alike")
        axes.set(xlabel="cluster", ylabel="pictures")
        axes.grid(visible=False, axis="x")
        axes.margins(y=0.15)
        axes.set_title(f"How many pictures are in each cluster of {what}")
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
        From `clusters.choose_k`.
    chosen
        The number that is marked.
    """
    about = {
        "inertia": f"relative to k = {table.index[0]}; look for a bend",
        "silhouette": "higher is better",
        "evenness": "1: all clusters are as large",
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


def plane(
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
            zip(group_names, group_colours(len(group_names)), strict=True)
        ):
            members = points[groups == number]
            axes.scatter(*members.T, s=size, color=ink, alpha=0.7, lw=0, label=name)
        if axis_names is None:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        else:
            axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
        axes.set_title(title)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, markerscale=1.5)
    figure.set_label(
        f"Scatter plot. {title}: {len(points)} pictures, coloured by {', '.join(group_names)}."
    )
    return figure


def thumbnails(
    points: np.ndarray, images: torch.Tensor, groups: np.ndarray, *, title: str
) -> Figure:
    """Draw the pictures themselves in a plane, as many as find a free place nearby.

    Parameters
    ----------
    points
        Shape ``(N, 2)``.
    images
        uint8, shape ``(N, 3, H, W)``.
    groups
        Each picture's group, for the colour of its frame.
    title
        Above the figure.
    """
    columns, rows = 26, 21
    places = _free_places(points, columns, rows)
    inks = group_colours(int(groups.max()) + 1)
    with mpl.rc_context(STYLE):
        figure = new_figure(WIDTH * rows / columns + 0.3)
        axes = figure.subplots()
        for number, (x, y) in places.items():
            picture = images[number].permute(1, 2, 0).numpy()
            axes.imshow(picture, extent=(x, x + 0.92, y, y + 0.92))
            ink = inks[groups[number]]
            axes.add_patch(mpl.patches.Rectangle((x, y), 0.92, 0.92, fill=False, ec=ink, lw=1.5))
        axes.set(xlim=(-0.1, columns), ylim=(-0.1, rows))
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.set_title(title)
    figure.set_label(
        f"{title}: {len(places)} of {len(points)} pictures as thumbnails, framed by group."
    )
    return figure


def _free_places(points: np.ndarray, columns: int, rows: int) -> dict[int, tuple[int, int]]:
    """Put points on a raster, each on the nearest free place up to three steps away, or nowhere."""
    low, high = points.min(0), points.max(0)
    exact = (points - low) / np.maximum(high - low, 1e-9) * (columns - 1, rows - 1)
    steps = [(dx, dy) for dx in range(-3, 4) for dy in range(-3, 4) if dx * dx + dy * dy <= 9]
    free = {(x, y) for x in range(columns) for y in range(rows)}
    places = {}
    for number, (x, y) in enumerate(exact):
        near = [(round(x) + dx, round(y) + dy) for dx, dy in steps]
        open_places = [place for place in near if place in free]
        if open_places:
            best = min(open_places, key=lambda place: (place[0] - x) ** 2 + (place[1] - y) ** 2)
            free.remove(best)
            places[number] = best
    return places


def explained(components: Components, *, marked: Sequence[int]) -> Figure:
    """Draw the share of the variance that the first components explain together.

    Parameters
    ----------
    components
        From `clusters.principal_components`.
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
