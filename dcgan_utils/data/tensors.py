"""Image tensors: uint8 for storage and display, float for the networks; grids; Pillow images."""

from __future__ import annotations

import torch
from PIL import Image


def as_image(image: torch.Tensor) -> Image.Image:
    """Return a uint8 image ``(3, H, W)`` as a Pillow image."""
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def make_grid(images: torch.Tensor, columns: int, *, gap: int = 0, fill: int = 255) -> torch.Tensor:
    """Arrange images in a grid, like torchvision's ``make_grid`` (whose import takes a second).

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, H, W)``.
    columns
        Maximum number of images per row.
    gap
        Pixels between images.
    fill
        Grey level of gaps and empty cells, 0..255.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(height, width, 3)``, on the CPU.
    """
    n, _, height, width = images.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    canvas = torch.full((rows * (height + gap), columns * (width + gap), 3), fill).byte()
    for number, image in enumerate(images.cpu()):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image.permute(1, 2, 0)
    return canvas[: canvas.shape[0] - gap, : canvas.shape[1] - gap].contiguous()


def to_float(images: torch.Tensor, device: torch.device | str | None = None) -> torch.Tensor:
    """Return ``uint8`` pixels (0..255) as ``float32`` in [-1, 1], the range of tanh."""
    return images.to(device).float() / 127.5 - 1  # move bytes: a quarter of the data


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """Return pixels in [-1, 1] as ``uint8`` (0..255), rounded; values outside are clamped."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def rms_difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the root mean square of the difference of two tensors that broadcast."""
    return (one.float() - other.float()).square().mean().sqrt().item()
