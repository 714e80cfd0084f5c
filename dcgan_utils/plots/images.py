"""Figures of images.

Images are uint8, of shape ``(n, 3, H, W)``; their values are drawn as they are, never stretched.
`title` stands above a figure, `description` is its alternative text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import pad

from dcgan_utils.data.tensors import make_grid
from dcgan_utils.plots.style import WIDTH, Figure, hide_axes, styled, suptitle_left

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@styled
def image_grid(images: torch.Tensor, *, title: str, description: str, columns: int = 8) -> Figure:
    """Draw images in rows."""
    columns = min(columns, len(images))
    figure = Figure(WIDTH * -(-len(images) // columns) / columns + 0.35)
    axes = figure.subplots()
    _draw_tiles(axes, images, columns)
    axes.set_title(title)
    return figure.describe(description)


@styled
def labelled_grids(
    grids: Mapping[str, torch.Tensor], *, title: str, description: str, columns: int = 4
) -> Figure:
    """Draw several sets of images side by side, each below its name, two or three in a row."""
    across = 2 if len(grids) in (2, 4) else min(len(grids), 3)
    down = -(-len(grids) // across)
    rows = max(-(-len(images) // columns) for images in grids.values())
    figure = Figure(down * (WIDTH / across * rows / columns + 0.3) + 0.4)
    panels = _empty_panels(figure, down, across)
    for axes, (name, images) in zip(panels, grids.items(), strict=False):
        _draw_tiles(axes, images, columns)
        axes.set_title(name)
    suptitle_left(figure, title)
    return figure.describe(description)


def samples_over_epochs(samples: Mapping[int, torch.Tensor]) -> Figure:
    """Draw each epoch's images of the first eight latent vectors: one row per epoch."""
    columns = min(8, *(len(images) for images in samples.values()))
    return image_rows(
        {f"{epoch}": images[:columns] for epoch, images in samples.items()},
        side="epoch",
        title="The same latent vectors during training",
        description=f"Images generated from {columns} fixed latent vectors, one column each, "
        f"after epochs {', '.join(map(str, samples))}, one row each.",
    )


@styled
def samples_side_by_side(samples: Mapping[str, Mapping[int, torch.Tensor]]) -> Figure:
    """Draw how several trainings learn: one column of panels per training, one row per epoch.

    Parameters
    ----------
    samples
        By name of the training and by epoch: uint8 images, shape ``(n, 3, H, W)``, of the same
        latent vectors in all epochs.
    """
    names, epochs = list(samples), list(next(iter(samples.values())))
    wide = WIDTH / len(names)
    count = len(next(iter(samples[names[0]].values())))
    figure = Figure(len(epochs) * (wide / count + 0.05) + 0.5)
    panels = figure.subplots(len(epochs), len(names), squeeze=False)
    for name, column in zip(names, panels.T, strict=True):
        column[0].set_title(name, loc="left")
        for (epoch, images), axes in zip(samples[name].items(), column, strict=True):
            _draw_tiles(axes, images, count)
            if name == names[0]:
                axes.set_axis_on()
                axes.spines[:].set_visible(False)
                axes.set_ylabel(f"epoch {epoch}" if epoch == epochs[0] else str(epoch))
    return figure.describe(
        f"Generated images of {', '.join(names)}, one column each, after epochs "
        f"{', '.join(map(str, epochs))}, from the same {count} latent vectors in all rows."
    )


@styled
def image_rows(
    rows: Mapping[str, torch.Tensor], *, title: str, description: str, side: str = ""
) -> Figure:
    """Draw images of one size in rows, their names on the left; `side` says what the names are."""
    columns = max(len(images) for images in rows.values())
    filled = [pad(row, (0,) * 7 + (columns - len(row),), value=255) for row in rows.values()]
    figure = Figure(WIDTH * len(rows) / columns + 0.4)
    axes = figure.subplots()
    height = _draw_tiles(axes, torch.cat(filled), columns)
    axes.set_axis_on()
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    places = (np.arange(len(rows)) + 0.5) * height / len(rows)
    axes.set_yticks(places, list(rows))
    axes.set(xticks=[], ylabel=side, title=title)
    return figure.describe(description)


@styled
def captioned(
    images: torch.Tensor,
    captions: Sequence[str],
    *,
    title: str,
    description: str,
    columns: int = 5,
) -> Figure:
    """Draw images in rows, each below its caption."""
    rows = -(-len(images) // columns)
    figure = Figure(rows * (WIDTH / columns + 0.2) + 0.35)
    panels = _empty_panels(figure, rows, columns)
    for axes, image, caption in zip(panels, images, captions, strict=False):
        draw_image(axes, image, shorten(caption, 110 // columns))
    suptitle_left(figure, title)
    return figure.describe(description)


def draw_image(axes: Axes, image: torch.Tensor, caption: str) -> None:
    """Draw one image ``(3, H, W)`` below its caption."""
    axes.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
    hide_axes(axes)
    axes.set_title(caption, fontsize=8, loc="center")


def shorten(name: str, most: int) -> str:
    """Cut a name to its last characters: file names often differ in their numbers only."""
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _draw_tiles(axes: Axes, images: torch.Tensor, columns: int) -> int:
    """Draw images in rows with white gaps, without axes; return the height in pixels."""
    tiles = make_grid(images, columns, gap=max(2, images.shape[-1] // 32)).numpy()
    axes.imshow(tiles, interpolation="nearest")
    hide_axes(axes)
    return tiles.shape[0]


def _empty_panels(figure: Figure, rows: int, columns: int) -> np.ndarray:
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in panels:
        hide_axes(axes)
    return panels
