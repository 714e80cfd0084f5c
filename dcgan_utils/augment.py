"""Augmentation: copies made once with Pillow, and random changes inside the discriminator.

The second study's two kinds, and what came after it: DiffAugment, and the adaptive
probability of ADA. Changes inside the discriminator apply to real and generated pictures
alike and are differentiable, so the generator learns through them without learning them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch.nn import functional as F

__all__ = [
    "COPIES",
    "COPYING",
    "POLICIES",
    "adapted",
    "chosen",
    "copies",
    "diffaugment",
    "inside",
    "pil_copies",
    "random_layers",
]

COPYING = ("pil", "both")  # the policies that show Pillow's copies too
POLICIES = ("none", "pil", "inside", "both", "diffaugment", "ada", "auto")
FEW, MANY = 2_000, 20_000  # pictures: below and above which `auto` chooses otherwise


def chosen(policy: str, pictures: int) -> str:
    """Return the policy that ``"auto"`` stands for, by the size of the collection.

    Below 2,000 pictures a discriminator soon knows each: ``diffaugment``, always on. Up to
    20,000 it is ``ada``, which changes only as much as the discriminator overfits; beyond,
    ``none``. After Karras et al. 2020, figure 1, where 20,000 pictures of faces and fewer gained.
    """
    if policy != "auto":
        return policy
    return "diffaugment" if pictures < FEW else "ada" if pictures <= MANY else "none"


# --- Copies --------------------------------------------------------------------------------

GREEN, RED = 85, 0  # on Pillow's circle of hues, which has 256 steps


def _hue(image: Image.Image, hue: int) -> Image.Image:
    _, saturation, value = image.convert("HSV").split()
    return Image.merge("HSV", (Image.new("L", image.size, hue), saturation, value)).convert("RGB")


def _saturation(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Color(image).enhance(factor)


def _contrast(image: Image.Image, factor: float, seen: Image.Image | None) -> Image.Image:
    """Stretch the levels about the mean grey of the parts that are seen."""
    weights = None if seen is None or not seen.getextrema()[1] else np.asarray(seen)
    mean = round(np.average(np.asarray(image.convert("L")), weights=weights))
    return Image.blend(Image.new("RGB", image.size, (mean,) * 3), image, factor)


COPIES: dict[str, Callable[[Image.Image, Image.Image | None], Image.Image]] = {
    "green hue": lambda image, seen: _hue(image, GREEN),
    "red hue": lambda image, seen: _hue(image, RED),
    "saturation x 2.5": lambda image, seen: _saturation(image, 2.5),
    "saturation x 0.5": lambda image, seen: _saturation(image, 0.5),
    "contrast x 2": lambda image, seen: _contrast(image, 2, seen),
}


def copies(image: Image.Image) -> dict[str, Image.Image]:
    """Return the second study's five variants of a picture, by what was done to it.

    Every hue turned to green or to red, the saturation times 2.5 and 0.5, the contrast
    doubled. Transparent parts stay as transparent as they are and do not count in the mean
    about which the contrast is stretched; white, black and grey keep their hue.

    Parameters
    ----------
    image
        In any mode of Pillow's.

    Returns
    -------
    dict of PIL.Image.Image
        RGB, or RGBA where the picture has transparency.
    """
    seen = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    plain = image.convert("RGBA").convert("RGB")
    variants = {name: change(plain, seen) for name, change in COPIES.items()}
    if seen is not None:
        for variant in variants.values():
            variant.putalpha(seen)
    return variants


def pil_copies(images: torch.Tensor) -> torch.Tensor:
    """Return pictures followed by their five `copies` each: 721 become 4,326.

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, H, W)``.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(6 n, 3, H, W)``: first the pictures as they are, then all with green
        hues, and so on.
    """
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images.cpu()]
    variants = [copies(picture).values() for picture in pictures]
    made = np.stack([np.stack([np.asarray(variant) for variant in some]) for some in variants])
    return torch.cat([images.cpu(), torch.from_numpy(made).permute(1, 0, 4, 2, 3).flatten(0, 1)])


# --- Inside the discriminator --------------------------------------------------------------

Change = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


def inside(
    policy: str, images: torch.Tensor, rng: torch.Generator, *, probability: float = 1.0
) -> torch.Tensor:
    """Change pictures as a policy says, before the discriminator sees them.

    Parameters
    ----------
    policy
        One of `POLICIES`; ``none`` and ``pil`` change nothing here.
    images
        float, shape ``(n, 3, H, W)``, in [-1, 1].
    rng
        Source of randomness, on the CPU.
    probability
        With ``ada``: of each kind of change, for each picture.

    Returns
    -------
    torch.Tensor
        Same shape; values may leave [-1, 1].
    """
    if policy in ("inside", "both"):
        return random_layers(images, rng)
    if policy == "diffaugment":
        return diffaugment(images, rng)
    if policy == "ada":
        return diffaugment(images, rng, probability=probability)
    return images


def random_layers(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Turn, mirror and zoom as the second study does, each on the flip of a coin.

    A rotation by up to 0.2 pi either way (Keras' factor of 0.1 of a full turn), a mirroring from
    left to right, a zoom of up to 10 % in or out. What comes into view continues the picture's
    border, which on creatures is the background.

    Parameters
    ----------
    images
        float, shape ``(n, 3, H, W)``.
    rng
        Source of randomness, on the CPU.
    """
    turned, mirrored, zoomed = torch.rand(3, len(images), generator=rng) < 0.5
    angle, zoom = 2 * torch.rand(2, len(images), generator=rng) - 1
    angle = torch.where(turned, angle * 0.2 * math.pi, 0.0)
    scale = torch.where(zoomed, 1 + 0.1 * zoom, 1.0)
    flip = torch.where(mirrored, -1.0, 1.0)
    cosine, sine, none = scale * angle.cos(), scale * angle.sin(), torch.zeros(len(images))
    rows = [
        torch.stack(row, dim=1)
        for row in ((flip * cosine, -sine, none), (flip * sine, cosine, none))
    ]
    matrix = torch.stack(rows, dim=1).to(images)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def diffaugment(
    images: torch.Tensor, rng: torch.Generator, *, probability: float = 1.0
) -> torch.Tensor:
    """Change colour, shift and cut out, each picture by its own random amount.

    Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training",
    arXiv:2006.10738, section 3.2: brightness within +-0.5 of [-1, 1], saturation by 0 to 2,
    contrast by 0.5 to 1.5, translation by up to an eighth, a cut-out square of half the side.

    Parameters
    ----------
    images
        float, shape ``(n, 3, H, W)``, in [-1, 1]. May leave that range.
    rng
        Source of randomness, on the CPU.
    probability
        Of each of the three kinds, for each picture.

    Returns
    -------
    torch.Tensor
        Same shape; shifted-in and cut-out pixels are 0, mid-grey.
    """
    for change in (_colour, _translate, _cutout):
        changed = change(images, rng)
        if probability < 1:
            spared = torch.rand(len(images), 1, 1, 1, generator=rng) >= probability
            changed = torch.where(spared.to(images.device), images, changed)
        images = changed
    return images


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


# --- Adaptive probability ------------------------------------------------------------------

ADA_TARGET = 0.6
ADA_PICTURES = 50_000  # shown while the probability goes from 0 to 1


def adapted(probability: float, on_real: torch.Tensor, *, balance: float) -> float:
    """Return the probability for the next step: more if the discriminator overfits.

    The sign of D on real pictures overfits first: its mean is 0 while D cannot tell and 1 when
    it has them by heart. Above 0.6 the probability rises, below it falls, by the share that the
    batch has in 50,000 pictures. Source: Karras et al. 2020, "Training Generative Adversarial
    Networks with Limited Data", arXiv:2006.06676, section 3.1 (r_t; it takes 500,000
    pictures from 0 to 1, more than most small collections are ever trained on).

    Parameters
    ----------
    probability
        The present one, 0 to 1.
    on_real
        Logits on real pictures, shape ``(n,)``.
    balance
        The logit that D gives when it cannot tell: 0 for labels that add up to 1.
    """
    overfits = (on_real.float() - balance).sign().mean().item() > ADA_TARGET
    step = len(on_real) / ADA_PICTURES
    return min(1.0, max(0.0, probability + (step if overfits else -step)))
