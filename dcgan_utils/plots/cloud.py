"""A cloud of images in three dimensions, to turn in a notebook or an offline page."""

from __future__ import annotations

import base64
import io
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.plots.projector import sprite_sheet

if TYPE_CHECKING:
    import torch
    from IPython import display


SIDE = 64  # pixels of a thumbnail, at most; smaller images are not enlarged
PIXELS = 2_500_000  # of all thumbnails together
TEMPLATE = Path(__file__).with_name("cloud.html.j2")


def image_cloud(
    points: np.ndarray,
    images: torch.Tensor,
    *,
    groups: Sequence[int],
    group_names: Sequence[str],
    names: Sequence[str],
    colors: Sequence[str],
    title: str,
    description: str,
) -> display.HTML:
    """Return an interactive view of points, drawn as their images, framed in their group's colour.

    It needs neither a network nor a library, and a page can hold several. Coordinates are
    centred and scaled by one factor, and points that are too near are moved apart, or the first
    image of a pile would hide the others.

    Parameters
    ----------
    points
        Shape ``(N, 3)``, finite, at least one.
    images
        uint8, shape ``(N, 3, H, W)``.
    groups
        ``N`` indices into `group_names`.
    group_names, colors
        Name and CSS colour of each group, for the legend and the borders.
    names
        ``N`` names, each shown when the pointer is on its image.
    title, description
        Heading, and alternative text for screen readers.

    Raises
    ------
    WorkbookError
        If the lengths differ, a group has no name, or a coordinate is not finite.
    """
    from IPython import display
    from jinja2 import Environment

    _check(points, images, groups, group_names, names, colors)
    side = int(min(SIDE, (PIXELS / len(images)) ** 0.5, *images.shape[2:]))
    counts = np.bincount(groups, minlength=len(group_names)).tolist()
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return display.HTML(
        environment.from_string(TEMPLATE.read_text("utf-8")).render(
            id=f"cloud-{uuid.uuid4().hex[:12]}",
            title=title,
            description=description,
            legend=list(zip(group_names, colors, counts, strict=True)),
            data={
                "points": _within_unit_ball(_spread(points)).round(3).ravel().tolist(),
                "groups": [int(group) for group in groups],
                "groupNames": list(group_names),
                "colors": list(colors),
                "names": list(names),
                "side": side,
                "sheet": _data_uri(images, side),
            },
        )
    )


def _check(
    points: np.ndarray,
    images: torch.Tensor,
    groups: Sequence[int],
    group_names: Sequence[str],
    names: Sequence[str],
    colors: Sequence[str],
) -> None:
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise WorkbookError(f"points of a cloud must have shape (N, 3), not {points.shape}.")
    if not len(points) == len(images) == len(groups) == len(names):
        raise WorkbookError(
            "a cloud needs one image, one group and one name per point, but there are "
            f"{len(points)} points, {len(images)} images, {len(groups)} groups and "
            f"{len(names)} names."
        )
    if len(group_names) != len(colors):
        raise WorkbookError(
            f"a cloud needs one colour per group, but there are {len(group_names)} group names "
            f"and {len(colors)} colours."
        )
    if min(groups) < 0 or max(groups) >= len(group_names):
        raise WorkbookError(
            f"groups must be between 0 and {len(group_names) - 1}, as there are "
            f"{len(group_names)} group names, but they range from {min(groups)} to {max(groups)}."
        )
    broken = int((~np.isfinite(points).all(axis=1)).sum())
    if broken:
        raise WorkbookError(
            f"{broken} of the {len(points)} points have a coordinate that is NaN or infinite: "
            "leave them out of the cloud."
        )


def _within_unit_ball(points: np.ndarray) -> np.ndarray:
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    radius = np.linalg.norm(centred, axis=1).max()
    return centred / radius if radius > 0 else centred


def _spread(points: np.ndarray, *, steps: int = 30) -> np.ndarray:
    """Move points apart that are nearer than images in a ball of so many would have to be."""
    from scipy.spatial import cKDTree

    points = _within_unit_ball(points)
    nearest = 1.1 * len(points) ** (-1 / 3)
    if len(points) == 1 or not points.any():
        return points
    points = points + np.random.default_rng(0).normal(0, 1e-4, points.shape)  # none on another
    for _ in range(steps):
        one, other = cKDTree(points).query_pairs(nearest, output_type="ndarray").T
        if not len(one):
            break
        between = points[other] - points[one]
        distance = np.linalg.norm(between, axis=1, keepdims=True)
        move = between / distance * (nearest - distance) / 2
        pushed = np.zeros_like(points)
        np.add.at(pushed, one, -move)
        np.add.at(pushed, other, move)
        crowd = np.bincount(np.concatenate([one, other]), minlength=len(points))
        points += pushed / np.maximum(crowd, 1)[:, None]  # the mean, or a pile would burst
    return points


def _data_uri(images: torch.Tensor, side: int) -> str:
    buffer = io.BytesIO()
    sprite_sheet(images, side).save(buffer, "WEBP", quality=75, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
