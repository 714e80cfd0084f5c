"""Augmentation policies, and the random transforms inside the discriminator.

The policies are the second study's two (its copies are made in `dcgan_utils.data.decode`),
DiffAugment, and ADA with its adaptive probability. Transforms inside the discriminator are
differentiable and apply to real and generated images alike.

A transform of every image may leak into the generator, which can then produce transformed images
unnoticed. A transform with a probability below 1, such as a random rotation of half the images,
does not leak, since upright images remain the most frequent (Karras et al. 2020, section 2.2).
Mirroring half of the images does leak, but mirrored images are welcome.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch.nn import functional as F

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.data.decode import COPIES
from dcgan_utils.gan.choices import POLICIES as POLICIES

COPYING = ("pil", "both")  # the policies that also train on Pillow's copies
FEW, MANY = 2_000, 20_000  # images; the thresholds of `auto`


def views_per_image(policy: str) -> int:
    """Return how often an epoch shows each image: six times with Pillow's copies, else once."""
    return 1 + len(COPIES) if policy in COPYING else 1


def resolve_policy(policy: str, images: int) -> str:
    """Return a policy, with ``"auto"`` replaced according to the number of images.

    Below 2,000 images the discriminator soon memorises each: ``diffaugment``, which is always on.
    Up to 20,000 it is ``ada``, which augments as much as the discriminator overfits; above,
    ``none``. Both thresholds are rules of thumb.
    """
    if policy != "auto":
        return policy
    return "diffaugment" if images < FEW else "ada" if images <= MANY else "none"


# --- Inside the discriminator ---


def augment_inputs(
    policy: str, images: torch.Tensor, rng: torch.Generator, *, probability: float = 1.0
) -> torch.Tensor:
    """Transform images according to a policy before the discriminator sees them.

    Parameters
    ----------
    policy
        One of `POLICIES` except ``auto``; ``none`` and ``pil`` change nothing here.
    images
        float, shape ``(n, 3, H, W)``, in [-1, 1].
    rng
        On the CPU.
    probability
        For ``ada``; see `ada_transform`.

    Returns
    -------
    torch.Tensor
        Same shape; values may leave [-1, 1].

    Raises
    ------
    WorkbookError
        For ``auto``: replace it with `resolve_policy` first.
    """
    if policy == "auto":
        raise WorkbookError(
            "augment=auto needs a number of images: use TrainConfig.for_collection."
        )
    if policy in ("layers", "both"):
        return random_layers(images, rng)
    if policy == "diffaugment":
        return diffaugment(images, rng)
    if policy == "ada":
        return ada_transform(images, rng, probability=probability)
    return images


class LayerChanges(NamedTuple):
    """What the second study's random layers do to ``n`` images; each of shape ``(n,)``.

    Attributes
    ----------
    angle
        Of the rotation, in radians: within 0.2 pi either way (Keras' factor 0.1 of a full turn);
        0 where an image is not rotated.
    mirrored
        bool.
    scale
        The side of what is shown, relative to the image: 0.9 to 1.1; 1 without a zoom.
    """

    angle: torch.Tensor
    mirrored: torch.Tensor
    scale: torch.Tensor


def draw_layers(count: int, rng: torch.Generator) -> LayerChanges:
    """Draw the changes to so many images: each of the three happens with probability 1/2."""
    rotated, mirrored, zoomed = torch.rand(3, count, generator=rng) < 0.5
    angle, zoom = 2 * torch.rand(2, count, generator=rng) - 1
    return LayerChanges(
        angle=torch.where(rotated, angle * 0.2 * math.pi, 0.0),
        mirrored=mirrored,
        scale=torch.where(zoomed, 1 + 0.1 * zoom, 1.0),
    )


def random_layers(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Rotate, mirror and zoom images of shape ``(n, 3, H, W)`` at random, as `draw_layers` says.

    Pixels from outside the image repeat its border, which for creatures is the background.
    """
    angle, mirrored, scale = draw_layers(len(images), rng)
    flip = torch.where(mirrored, -1.0, 1.0)
    cosine, sine, zero = scale * angle.cos(), scale * angle.sin(), torch.zeros(len(images))
    rows = [
        torch.stack(row, dim=1)
        for row in ((flip * cosine, -sine, zero), (flip * sine, cosine, zero))
    ]
    matrix = torch.stack(rows, dim=1).to(images)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def diffaugment(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Apply DiffAugment: colour, translation and cutout, random for each image.

    Images have shape ``(n, 3, H, W)`` and values in [-1, 1], which the result may leave. Brightness
    changes by up to 0.5, saturation by a factor of 0 to 2, contrast by 0.5 to 1.5; the translation
    is up to an eighth of the side, and the cutout a square of half the side. Pixels that are
    shifted in or cut out are 0 (mid-grey).

    Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training",
    arXiv:2006.10738, section 3.2.
    """
    return _cutout(_translate(_colour(images, rng), rng), rng)


def ada_transform(
    images: torch.Tensor, rng: torch.Generator, *, probability: float
) -> torch.Tensor:
    """Apply a reduced ADA: colour and translation, each with the given probability per image.

    Colours change as in `diffaugment`; translations reflect the border. There is no cutout, and
    none of the paper's rotations and scalings. The probability is adapted during training by
    `update_probability`.

    Source: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data",
    arXiv:2006.06676, section 2.
    """
    for transform in (_colour, functools.partial(_translate, border="reflect")):
        unchanged = torch.rand(len(images), 1, 1, 1, generator=rng) >= probability
        images = torch.where(unchanged.to(images.device), images, transform(images, rng))
    return images


def _factors(images: torch.Tensor, rng: torch.Generator, count: int) -> torch.Tensor:
    """Draw ``count`` uniform numbers per image: ``count`` tensors of shape ``(n, 1, 1, 1)``."""
    return torch.rand(count, len(images), 1, 1, 1, generator=rng).to(images)


def _colour(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    brightness, saturation, contrast = _factors(images, rng, 3)
    images = images + (brightness - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    centre = images.mean(dim=(1, 2, 3), keepdim=True)
    return centre + (images - centre) * (contrast + 0.5)


def _offsets(images: torch.Tensor, rng: torch.Generator, low: int, high: int) -> torch.Tensor:
    """Draw integers in [low, high], one per image along the height and one along the width."""
    return torch.randint(low, high + 1, (2, len(images), 1), generator=rng).to(images.device)


def _translate(
    images: torch.Tensor, rng: torch.Generator, *, border: str = "constant"
) -> torch.Tensor:
    n, _, height, width = images.shape
    limit = round(height / 8)
    down, right = _offsets(images, rng, 0, 2 * limit)
    padded = F.pad(images, [limit] * 4, mode=border).permute(0, 2, 3, 1)
    rows = (torch.arange(height, device=images.device) + down)[:, :, None]
    columns = (torch.arange(width, device=images.device) + right)[:, None, :]
    batch = torch.arange(n, device=images.device)[:, None, None]
    return padded[batch, rows, columns].permute(0, 3, 1, 2)


def _cutout(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    _, _, height, width = images.shape
    half = height // 4
    centre_row, centre_column = _offsets(images, rng, 0, height - 1)
    rows = (torch.arange(height, device=images.device) - centre_row + half) // (2 * half) == 0
    columns = (torch.arange(width, device=images.device) - centre_column + half) // (2 * half) == 0
    hole = rows[:, None, :, None] & columns[:, None, None, :]
    return images.masked_fill(hole, 0.0)


# --- Adaptive probability ---

ADA_TARGET = 0.6  # of the overfitting measure r_t
ADA_IMAGES = 50_000  # images shown while the probability goes from 0 to 1


def update_probability(probability: float, on_real: torch.Tensor, *, balance: float) -> float:
    """Return the probability for the next step: larger if the discriminator overfits.

    The overfitting measure r_t is the mean sign of the logits on real images: 0 at the
    equilibrium, 1 when the discriminator has memorised the images. Above 0.6 the probability
    rises, otherwise it falls, in steps of batch size / 50,000.

    Source: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data",
    arXiv:2006.06676, section 3.1. The paper goes from 0 to 1 in 500,000 images, which is more
    than most small collections are ever trained on.

    Parameters
    ----------
    probability
        The current one, 0 to 1.
    on_real
        Logits on real images, shape ``(n,)``.
    balance
        The discriminator's logit at the equilibrium: 0 for labels that add up to 1.
    """
    overfits = (on_real.double() - balance).sign().mean().item() > ADA_TARGET
    step = len(on_real) / ADA_IMAGES
    return min(1.0, max(0.0, probability + (step if overfits else -step)))
