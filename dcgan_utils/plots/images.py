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
from dcgan_utils.plots.style import (
    SMALL,
    Figure,
    hide_axes,
    is_narrow,
    set_title,
    styled,
    suptitle_left,
    width,
    wrap,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLE = 1.2  # inches, more than a title takes: with less, images are smaller; the rest is cut off


@styled
def image_grid(
    images: torch.Tensor, *, title: str, description: str, columns: int = 8, note: str = ""
) -> Figure:
    """Draw images in rows; `note` is a smaller line below the title."""
    columns = min(columns, len(images))
    figure = Figure(width() * -(-len(images) // columns) / columns + TITLE)
    axes = figure.subplots()
    _draw_tiles(axes, images, columns)
    set_title(axes, title, note)
    return figure.describe(description)


@styled
def labelled_grids(
    grids: Mapping[str, torch.Tensor], *, title: str, description: str, columns: int = 4
) -> Figure:
    """Draw several sets of images side by side, each below its name, two or three in a row."""
    across = 2 if len(grids) in (2, 4) or is_narrow() else 3
    across = min(across, len(grids))
    down = -(-len(grids) // across)
    rows = max(-(-len(images) // columns) for images in grids.values())
    figure = Figure(down * (width() / across * rows / columns + 0.3) + 0.4)
    panels = _empty_panels(figure, down, across)
    for axes, (name, images) in zip(panels, grids.items(), strict=False):
        _draw_tiles(axes, images, columns)
        axes.set_title(wrap(name, inches=width() / across - 0.1), fontsize=10)
    suptitle_left(figure, title)
    return figure.describe(description)


def samples_over_epochs(samples: Mapping[int, torch.Tensor]) -> Figure:
    """Draw each epoch's images of the first eight latent vectors: one row per epoch."""
    columns = min(8, *(len(images) for images in samples.values()))
    return image_rows(
        {f"{epoch}": images[:columns] for epoch, images in samples.items()},
        side="epoch",
        title="The same latent vectors during training",
        note="One column per latent vector, one row per epoch",
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
    there = min(len(images) for own in samples.values() for images in own.values())
    count = min(there, 2 if is_narrow() else 4)
    side = width() / len(names) / count
    figure = Figure(len(epochs) * (side + 0.05) + 0.5)
    panels = figure.subplots(len(epochs), len(names), squeeze=False)
    for name, column in zip(names, panels.T, strict=True):
        column[0].set_title(wrap(name, inches=width() / len(names)), fontsize=10)
        for (epoch, images), axes in zip(samples[name].items(), column, strict=True):
            _draw_tiles(axes, images[:count], count)
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
    rows: Mapping[str, torch.Tensor],
    *,
    title: str,
    description: str,
    side: str = "",
    heads: Sequence[str] = (),
    note: str = "",
) -> Figure:
    """Draw images of one size in rows, their names on the left; `side` says what the names are.

    `heads` are written above the columns, from the left.
    """
    columns = max(len(images) for images in rows.values())
    filled = [pad(row, (0,) * 7 + (columns - len(row),), value=255) for row in rows.values()]
    figure = Figure(width() * len(rows) / columns + TITLE)
    axes = figure.subplots()
    lengths = [len(images) for images in rows.values()]
    there = torch.arange(columns)[None] < torch.tensor(lengths)[:, None]
    height, across = _draw_tiles(axes, torch.cat(filled), columns, there.flatten())
    axes.set_axis_on()
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    places = (np.arange(len(rows)) + 0.5) * height / len(rows)
    axes.set_yticks(places, [wrap(name, inches=width() / 5) for name in rows])
    axes.set(xticks=[], ylabel=side)
    if heads:
        middles = (np.arange(columns) + 0.5) * across / columns
        axes.set_xticks(middles[: len(heads)], heads)
        axes.tick_params(labeltop=True, labelbottom=False)
    set_title(axes, title, note, above=16 if heads else 0, inches=width() - 0.9)
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
    """Draw images in rows, each above its caption; on a narrow screen three in a row."""
    columns = min(columns, 3) if is_narrow() else columns
    down, side = -(-len(images) // columns), width() / columns
    letters = int(12 * side)
    words = [[shorten(word, letters) for word in caption.split(" ")] for caption in captions]
    wrapped = [wrap(" ".join(caption), SMALL, inches=side) for caption in words]
    lines = 1 + max(caption.count("\n") for caption in wrapped)
    figure = Figure(down * (side + 0.05 + 0.15 * lines) + 0.35)
    panels = _empty_panels(figure, down, columns)
    for axes, image, caption in zip(panels, images, wrapped, strict=False):
        draw_image(axes, image, caption)
    suptitle_left(figure, title)
    return figure.describe(description)


def draw_image(axes: Axes, image: torch.Tensor, caption: str) -> None:
    """Draw one image ``(3, H, W)`` above its caption."""
    axes.imshow(image.permute(1, 2, 0).numpy(), interpolation="none")
    hide_axes(axes)
    axes.set_title(caption, fontsize=SMALL, loc="center", y=-0.03, pad=0, va="top")


def shorten(name: str, most: int) -> str:
    """Cut a name to its last characters: file names often differ in their numbers only."""
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _draw_tiles(
    axes: Axes, images: torch.Tensor, columns: int, there: torch.Tensor | None = None
) -> tuple[int, int]:
    """Draw images in rows, without axes, and return height and width in pixels.

    Gaps are transparent, and so are images that are not `there`.
    """
    gap = max(2, images.shape[-1] // 32)
    opaque = torch.full_like(images, 255)
    if there is not None:
        opaque *= there[:, None, None, None]
    alpha = make_grid(opaque, columns, gap=gap, fill=0)[..., :1]
    tiles = torch.cat([make_grid(images, columns, gap=gap), alpha], dim=-1).numpy()
    axes.imshow(tiles, interpolation="none")
    hide_axes(axes)
    return tiles.shape[:2]


def _empty_panels(figure: Figure, rows: int, columns: int) -> np.ndarray:
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in panels:
        hide_axes(axes)
    return panels
