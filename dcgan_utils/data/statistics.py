"""What the bare pixels tell: statistics at each place, a horizon, round canvases.

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
NEAR_WHITE = 230  # all three colours at least that


# --- Statistics ---


class PixelStatistics:
    """Minimum, maximum, mean, variance and histogram at each place, in one pass.

    Memory does not grow with the number of images. Pixels are whole numbers, so their sums
    and sums of squares are exact in float64 (up to 2**53, some 10**11 images): there is no
    rounding that Welford's update would have to tame.

    Attributes
    ----------
    count : int
        Images seen.
    histogram : int64 array, shape (3, 256)
        How often each value occurs in red, green and blue.
    """

    def __init__(self):
        self.count = 0
        self.histogram = np.zeros((3, 256), np.int64)

    def update(self, images: torch.Tensor) -> None:
        """Take in more images.

        Raises
        ------
        WorkbookError
            If they are no uint8 RGB images, or of another size than those before.
        """
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3:
            raise WorkbookError(
                f"statistics need uint8 images of shape (N, 3, H, W), not {images.dtype} of "
                f"shape {tuple(images.shape)}."
            )
        if self.count and images.shape[1:] != self._sum.shape:
            raise WorkbookError(
                f"images of {tuple(images.shape[1:])} do not fit those of "
                f"{tuple(self._sum.shape)} before: load all at one img_size."
            )
        for part in images.split(64):  # as float64 a part is eight times as large
            self._take(part)

    def _take(self, images: torch.Tensor) -> None:
        values = images.to(torch.float64)
        lowest, highest = images.amin(0).numpy(), images.amax(0).numpy()
        total, squares = values.sum(0).numpy(), values.square_().sum(0).numpy()
        if not self.count:
            self._low, self._high, self._sum, self._squares = lowest, highest, total, squares
        else:
            self._low = np.minimum(self._low, lowest)
            self._high = np.maximum(self._high, highest)
            self._sum = self._sum + total
            self._squares = self._squares + squares
        self.count += len(images)
        for colour in range(3):
            self.histogram[colour] += np.bincount(images[:, colour].numpy().ravel(), minlength=256)

    def per_colour(self) -> dict[str, np.ndarray]:
        """Return each statistic over the images, shape ``(3, H, W)``.

        Variance and deviation are the population's (divided by N): 0 for a single image.
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
    """Gather the statistics of images that come in batches; see `PixelStatistics`."""
    gathered = PixelStatistics()
    for images in batches:
        gathered.update(images)
    return gathered


@dataclass(frozen=True)
class Horizon:
    """Where an image's rows fall into a bright part above and a darker one below.

    Attributes
    ----------
    position : float
        As a fraction of the height from the top.
    drop : float
        How much darker the lower part is on average, in levels of 255.
    share : float
        Share of the differences between rows that this one step explains, 0 to 1.
    ramp : float
        Share that a steady slope from top to bottom explains, 0 to 1.
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
        """Tell whether the step is worth the name.

        It drops by 3 levels or more, and explains most of the differences between rows, and
        more of them than a steady slope does.
        """
        return self.drop >= 3 and self.share >= max(0.5, self.ramp)


def find_horizon(image: np.ndarray) -> Horizon:
    """Find the row that best divides an image into bright above and dark below.

    Best is the division with the greatest variance between the two parts, as in Otsu's
    threshold (1979, "A threshold selection method from gray-level histograms").

    Parameters
    ----------
    image
        Such as the mean image; shape ``(3, H, W)`` or ``(H, W)``.

    Notes
    -----
    Where trees and hills stand before the sky, this is their upper edge in the mean, somewhat
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
    """Say in Markdown where the horizon of the mean image is, and what the labels know of it."""
    import pandas as pd

    text = (
        f"The mean image has a **horizon at {100 * horizon.position:.0f} %** of its height: the "
        f"rows above are {horizon.drop:.0f} levels brighter, and this one step explains "
        f"{100 * horizon.share:.0f} % of the differences between rows."
        if horizon.is_clear
        else "The mean image shows **no horizon**: no row divides bright above from dark below."
    )
    if "horizon" in labels:
        known = pd.to_numeric(labels["horizon"], errors="coerce").dropna()
        text += f" The labels of {len(known)} images say where theirs is"
        text += f": at {100 * known.mean():.0f} % on average." if len(known) else "."
    return text


# --- Round canvases ---


def find_round_canvases(images: torch.Tensor) -> list[int]:
    """Return the numbers of the images that look painted on a round canvas.

    Two questions: are the corners, outside the circle that touches the borders, near white
    (9 in 10 of their pixels)? And is a ring inside it, at 0.8 to 0.9 of its radius, painted all
    round (at most 1 in 10 near white)?

    Notes
    -----
    It cannot tell a canvas from a round subject that fills the frame on a white ground.
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
    """Say in Markdown how many round canvases were found, and how many the labels know."""
    if "round" not in labels:
        return "There is no label *round* to check this by: look at them."
    truth = parse_booleans(labels["round"])
    precision, recall = precision_recall(found, truth)
    text = f"The labels know {sum(truth)} round canvases."
    if found:
        text += f" Of those found, **{precision:.0%}** are round (precision)."
    if any(truth):
        text += f" Of the round ones, **{recall:.0%}** were found (recall)."
    return text


# --- Sharpness ---


def sharpness(images: torch.Tensor) -> np.ndarray:
    """Return how much fine structure each image has: the variance of its Laplacian.

    Of the mean of the three colours, in levels (0..255); each pixel less the mean of its four
    neighbours, borders left out. Source: Pech-Pacheco et al. 2000, "Diatom autofocusing in
    brightfield microscopy: a comparative study", ICPR, section 3.

    Parameters
    ----------
    images
        uint8, shape ``(N, 3, H, W)``, at least 3 pixels high and wide.

    Returns
    -------
    float64 array, shape (N,)
        0 for an image of one colour or of an even slope; it grows with contrast too.

    Notes
    -----
    Noise and grids are fine structure as well: a sharp image need not be a clear one.
    """
    found = []
    for part in images.split(256):
        grey = part.double().mean(dim=1)
        neighbours = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
        found.append((grey[:, 1:-1, 1:-1] - neighbours / 4).var(dim=(1, 2), correction=0))
    return torch.cat(found).numpy()


# --- Pixels as vectors ---------------------------------------------------------------------


def pixel_vectors(images: torch.Tensor, side: int) -> np.ndarray:
    """Return each image, averaged down to at most ``side`` pixels, as one vector.

    Returns
    -------
    float32 array, shape ``(N, 3 * side * side)``, values in 0..255.
    """
    side = min(side, images.shape[-1])
    parts = [F.adaptive_avg_pool2d(part.float(), side).flatten(1) for part in images.split(256)]
    return torch.cat(parts).numpy()


def as_images(vectors: Sequence[np.ndarray] | np.ndarray) -> torch.Tensor:
    """Return vectors such as those of `pixel_vectors` as images, clamped to 0..255.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(N, 3, side, side)``.
    """
    rows = np.asarray(vectors)
    side = math.isqrt(rows.shape[1] // 3)
    levels = np.rint(rows).clip(0, 255).astype(np.uint8)
    return torch.from_numpy(levels.reshape(-1, 3, side, side))
