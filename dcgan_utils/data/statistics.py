"""Statistics of pixels: moments and histograms, the horizon, round canvases, sharpness.

Images are uint8 tensors of shape ``(N, 3, H, W)`` with values in 0..255 throughout.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.data.labels import parse_booleans, precision_recall

if TYPE_CHECKING:
    import pandas as pd

COLOURS = ("red", "green", "blue")
NEAR_WHITE = 230  # the minimum of all three colours


# --- Statistics ---


class PixelStatistics:
    """Minimum, maximum, mean, variance and histogram per pixel, in one pass.

    Memory does not grow with the number of images. Pixels are integers, so their sums and sums of
    squares are exact in float64 (up to 2**53, some 10**11 images), and Welford's algorithm is not
    needed.

    Attributes
    ----------
    count : int
        Number of images.
    histogram : int64 array, shape (3, 256)
        How often each value occurs in red, green and blue.
    """

    def __init__(self):
        self.count = 0
        self.histogram = np.zeros((3, 256), np.int64)

    def update(self, images: torch.Tensor) -> None:
        """Add images.

        Raises
        ------
        WorkbookError
            If they are not uint8 RGB images, or differ in size from earlier ones.
        """
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3:
            raise WorkbookError(
                f"statistics need uint8 images of shape (N, 3, H, W), not {images.dtype} of "
                f"shape {tuple(images.shape)}."
            )
        if self.count and images.shape[1:] != self._sum.shape:
            raise WorkbookError(
                f"images of shape {tuple(images.shape[1:])} do not match the earlier ones of shape "
                f"{tuple(self._sum.shape)}: load all at one img_size."
            )
        for part in images.split(64):  # float64 needs eight times the memory
            self._add(part)

    def _add(self, images: torch.Tensor) -> None:
        values = images.to(torch.float64)
        low, high = images.amin(0).numpy(), images.amax(0).numpy()
        total, squares = values.sum(0).numpy(), values.square_().sum(0).numpy()
        if not self.count:
            self._low, self._high, self._sum, self._squares = low, high, total, squares
        else:
            self._low = np.minimum(self._low, low)
            self._high = np.maximum(self._high, high)
            self._sum = self._sum + total
            self._squares = self._squares + squares
        self.count += len(images)
        for colour in range(3):
            self.histogram[colour] += np.bincount(images[:, colour].numpy().ravel(), minlength=256)

    def per_colour(self) -> dict[str, np.ndarray]:
        """Return each statistic over the images, shape ``(3, H, W)``.

        Variance and standard deviation are those of the population (divided by N).
        """
        return self._moments(self._low, self._high, self._sum, self._squares, self.count)

    def over_colours(self) -> dict[str, np.ndarray]:
        """Return each statistic over the images and their three colours, shape ``(H, W)``."""
        low, high = self._low.min(0), self._high.max(0)
        total, squares = self._sum.sum(0), self._squares.sum(0)
        return self._moments(low, high, total, squares, 3 * self.count)

    @staticmethod
    def _moments(low, high, total, squares, count) -> dict[str, np.ndarray]:
        mean = total / count
        variance = np.maximum(squares - total * mean, 0) / count
        return {
            "minimum": low.astype(np.float64),
            "maximum": high.astype(np.float64),
            "mean": mean,
            "variance": variance,
            "standard deviation": np.sqrt(variance),
        }


def pixel_statistics(batches: Iterable[torch.Tensor]) -> PixelStatistics:
    """Return the statistics of images in batches; see `PixelStatistics`."""
    statistics = PixelStatistics()
    for images in batches:
        statistics.update(images)
    return statistics


@dataclass(frozen=True)
class Horizon:
    """The boundary between a bright upper and a darker lower part of an image.

    Attributes
    ----------
    position : float
        Fraction of the height, from the top.
    drop : float
        How much darker the lower part is on average, in levels (0..255).
    share : float
        Share of the variance between rows that this one step explains, 0 to 1.
    ramp : float
        Share of the variance that a linear slope from top to bottom explains, 0 to 1.
    brightness : float64 array, shape (H,)
        Mean of each row.
    """

    position: float
    drop: float
    share: float
    ramp: float
    brightness: np.ndarray

    @property
    def is_clear(self) -> bool:
        """Whether the step is distinct.

        The brightness drops by 3 levels or more, and the step explains at least half of the
        variance between rows, and no less than a linear slope.
        """
        return self.drop >= 3 and self.share >= max(0.5, self.ramp)


def find_horizon(image: np.ndarray) -> Horizon:
    """Find the row that best divides an image into a bright upper and a dark lower part.

    The best row maximises the variance between the two parts, as in Otsu's threshold (1979, "A
    threshold selection method from gray-level histograms").

    Parameters
    ----------
    image
        Shape ``(3, H, W)`` or ``(H, W)``, such as the mean image.

    Notes
    -----
    With trees and hills in front of the sky, the result is their average upper edge, somewhat
    above the geometric horizon.
    """
    rows = image.reshape(-1, *image.shape[-2:]).mean((0, 2))
    height = len(rows)
    variance = rows.var()
    if height < 2 or variance < 1e-9:
        return Horizon(0.5, 0.0, 0.0, 0.0, rows)
    above = np.arange(1, height)
    sums = np.cumsum(rows)[:-1]
    drops = sums / above - (rows.sum() - sums) / (height - above)
    between = np.where(drops > 0, drops**2 * above * (height - above) / height**2, 0)
    best = int(between.argmax())
    return Horizon(
        position=float(above[best] / height),
        drop=float(drops[best]),
        share=float(between[best] / variance),
        ramp=float(np.corrcoef(np.arange(height), rows)[0, 1] ** 2),
        brightness=rows,
    )


def describe_horizon(horizon: Horizon, labels: pd.DataFrame) -> str:
    """Describe in Markdown the horizon of the mean image, and that of the labels."""
    import pandas as pd

    text = (
        f"The mean image has a **horizon at {100 * horizon.position:.0f} %** of its height: the "
        f"rows above are {horizon.drop:.0f} levels brighter, and this one step explains "
        f"{100 * horizon.share:.0f} % of the variance between rows."
        if horizon.is_clear
        else "The mean image shows **no horizon**: no row divides it into bright and dark."
    )
    if "horizon" in labels:
        known = pd.to_numeric(labels["horizon"], errors="coerce").dropna()
        text += f" The labels give the horizon of {len(known)} images"
        text += f": {100 * known.mean():.0f} % on average." if len(known) else "."
    return text


# --- Round canvases ---


def find_round_canvases(images: torch.Tensor) -> list[int]:
    """Return the indices of the images that look painted on a round canvas.

    Two conditions must hold. The corners, outside the circle that touches the borders, are near
    white (at least 90 % of their pixels). A ring inside the circle, at 0.8 to 0.9 of its radius,
    is painted (at most 10 % near white).

    Notes
    -----
    A round subject that fills the frame on a white ground looks the same.
    """
    side = images.shape[-1]
    middle = torch.arange(side) + 0.5 - side / 2
    radius = torch.hypot(middle, middle[:, None]) / (side / 2)
    corners, ring = radius > 1.03, (radius > 0.8) & (radius < 0.9)
    if not corners.any() or not ring.any():
        return []
    found = []
    for number, image in enumerate(images):
        white = image.amin(0) >= NEAR_WHITE
        if white[corners].float().mean() >= 0.9 and white[ring].float().mean() <= 0.1:
            found.append(number)
    return found


def describe_round_canvases(found: Sequence[int], labels: pd.DataFrame) -> str:
    """Describe in Markdown how well the round canvases that were found match the labels."""
    if "round" not in labels:
        return "There is no label *round* to compare with: check these by eye."
    truth = parse_booleans(labels["round"])
    precision, recall = precision_recall(found, truth)
    text = f"Round canvases according to the labels: {sum(truth)}."
    if found:
        text += f" Of those found, **{precision:.0%}** are round (precision)."
    if any(truth):
        text += f" Of the round ones, **{recall:.0%}** were found (recall)."
    return text


# --- Sharpness ---


def sharpness(images: torch.Tensor) -> np.ndarray:
    """Return the variance of the Laplacian of each image, a measure of fine detail.

    The Laplacian is each grey pixel (mean of the three colours, 0..255) minus the mean of its four
    neighbours, without the borders.

    Source: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy: a comparative
    study", ICPR, section 3.

    Parameters
    ----------
    images
        uint8, shape ``(N, 3, H, W)``, at least 3 pixels high and wide.

    Returns
    -------
    float64 array, shape (N,)
        0 for an image of one colour or a linear gradient; it also grows with contrast.

    Notes
    -----
    Noise and checkerboard artifacts count as detail too: sharper is not always better.
    """
    variances = []
    for part in images.split(256):
        grey = part.double().mean(dim=1)
        neighbours = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
        variances.append((grey[:, 1:-1, 1:-1] - neighbours / 4).var(dim=(1, 2), correction=0))
    return torch.cat(variances).numpy()


# --- Repetition ---


def share_between_images(images: torch.Tensor) -> float:
    """Return the share of the variance that lies between images, not in what they all show.

    At one place, images vary from one to the next: that variance, averaged over the places, is
    *between images*. What all of them show, their mean image, varies over the places: that is
    *shared*. The share is between / (between + shared) for each channel, averaged over the
    channels: 0 if all images are the same, 1 if their mean image is a plain colour. Contrast and
    brightness cancel. A BatchNorm divides by the sum of both.

    Parameters
    ----------
    images
        uint8 or float, shape ``(n, C, H, W)``; feature maps have such a share too.

    Returns
    -------
    float
        0 to 1; NaN for fewer than two images. Both parts are unbiased, so that few images can be
        compared with many.

    Notes
    -----
    It says nothing about quality: uniform noise has a share of 1. Real images may share a layout
    too, so compare a generator's share with theirs.
    """
    n = len(images)
    if n < 2:
        return math.nan
    values = images.double().flatten(2)
    between = values.var(dim=0).mean(dim=1)
    patterns = values - values.mean(dim=2, keepdim=True)
    # The mean of n images still contains an nth of their differences.
    shared = patterns.mean(dim=0).square().mean(dim=1) - patterns.var(dim=0).mean(dim=1) / n
    share = between / (between + shared.clamp(min=0))
    return share.nan_to_num(0).mean().item()  # a channel that does not vary at all repeats


def share_of_collection(images: torch.Tensor) -> float:
    """Return `share_between_images` of at most 256 images of a collection, evenly spaced."""
    return share_between_images(images[:: math.ceil(len(images) / 256)])


# --- Pixels as vectors ---


def pixel_vectors(images: torch.Tensor, side: int) -> np.ndarray:
    """Return each image as one vector, averaged down to at most ``side`` pixels per side.

    Returns
    -------
    float32 array, shape ``(N, 3 * side * side)``, values in 0..255.
    """
    side = min(side, images.shape[-1])
    parts = [F.adaptive_avg_pool2d(part.float(), side).flatten(1) for part in images.split(256)]
    return torch.cat(parts).numpy()


def as_images(vectors: Sequence[np.ndarray] | np.ndarray) -> torch.Tensor:
    """Return vectors (see `pixel_vectors`) as images, clamped to 0..255.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(N, 3, side, side)``.
    """
    rows = np.asarray(vectors)
    side = math.isqrt(rows.shape[1] // 3)
    levels = np.rint(rows).clip(0, 255).astype(np.uint8)
    return torch.from_numpy(levels.reshape(-1, 3, side, side))
