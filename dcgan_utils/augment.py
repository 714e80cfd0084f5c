"""Differentiable augmentation inside the discriminator."""

from __future__ import annotations

import torch
from torch.nn import functional as F

__all__ = ["POLICIES", "diffaugment"]

POLICIES = ("none", "diffaugment")


def diffaugment(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Change colour, shift and cut out, each picture by its own random amount.

    Applied to real and generated pictures alike before the discriminator sees them, and
    differentiable, so the generator learns through it without learning the changes.

    Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training",
    arXiv:2006.10738, section 3.2: brightness within +-0.5 of [-1, 1], saturation by 0 to 2,
    contrast by 0.5 to 1.5, translation by up to an eighth, a cut-out square of half the side.

    Parameters
    ----------
    images
        float, shape ``(n, 3, H, W)``, in [-1, 1]. May leave that range.
    rng
        Source of randomness, on the CPU.

    Returns
    -------
    torch.Tensor
        Same shape; shifted-in and cut-out pixels are 0, mid-grey.
    """
    return _cutout(_translate(_colour(images, rng), rng), rng)


def _factors(images: torch.Tensor, rng: torch.Generator, count: int) -> torch.Tensor:
    """Draw ``count`` uniform numbers a picture, each of shape ``(n, 1, 1, 1)``."""
    drawn = torch.rand(count, len(images), 1, 1, 1, generator=rng)
    return drawn.to(images)


def _colour(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    brightness, saturation, contrast = _factors(images, rng, 3)
    images = images + (brightness - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    centre = images.mean(dim=(1, 2, 3), keepdim=True)
    return centre + (images - centre) * (contrast + 0.5)


def _offsets(images: torch.Tensor, rng: torch.Generator, low: int, high: int) -> torch.Tensor:
    """Draw whole numbers in [low, high], one row for the height and one for the width."""
    return torch.randint(low, high + 1, (2, len(images), 1), generator=rng).to(images.device)


def _translate(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    n, _, height, width = images.shape
    reach = round(height / 8)
    down, right = _offsets(images, rng, 0, 2 * reach)
    padded = F.pad(images, [reach] * 4).permute(0, 2, 3, 1)
    rows = (torch.arange(height, device=images.device) + down)[:, :, None]
    columns = (torch.arange(width, device=images.device) + right)[:, None, :]
    which = torch.arange(n, device=images.device)[:, None, None]
    return padded[which, rows, columns].permute(0, 3, 1, 2)


def _cutout(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    _, _, height, width = images.shape
    half = height // 4
    centre_row, centre_column = _offsets(images, rng, 0, height - 1)
    rows = (torch.arange(height, device=images.device) - centre_row + half) // (2 * half) == 0
    columns = (torch.arange(width, device=images.device) - centre_column + half) // (2 * half) == 0
    hole = rows[:, None, :, None] & columns[:, None, None, :]
    return images.masked_fill(hole, 0.0)
