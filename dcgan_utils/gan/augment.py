"""Augmentation: which kinds there are, and random changes inside the discriminator.

The second study's two kinds (its copies are made in `dcgan_utils.data.copies`), and what came after
it: DiffAugment, and the adaptive probability of ADA. Changes inside the discriminator apply to
real and generated images alike and are differentiable.

A change that happens to every image may leak into the generated ones, since images that are
born changed look right as well. One that spares a share of them, such as a rotation on the flip
of a coin, can be told from a world in which all are turned (Karras et al. 2020, section 2.2);
mirroring on the flip of a coin cannot, and mirrored images are welcome.
"""

from __future__ import annotations

import functools
import math

import torch
from torch.nn import functional as F

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.data.decode import COPIES

COPYING = ("pil", "both")  # the policies that show Pillow's copies too
POLICIES = ("none", "pil", "layers", "both", "diffaugment", "ada", "auto")
FEW, MANY = 2_000, 20_000  # images: below and above which `auto` chooses otherwise


def views_per_image(policy: str) -> int:
    """Return how often an epoch shows each image: with Pillow's copies six times, else once."""
    return 1 + len(COPIES) if policy in COPYING else 1


def resolve_policy(policy: str, images: int) -> str:
    """Return the policy that ``"auto"`` stands for, by the size of the collection.

    Below 2,000 images a discriminator soon knows each: ``diffaugment``, always on. Up to
    20,000 it is ``ada``, which changes only as much as the discriminator overfits; beyond,
    ``none``. The two lines are a rule of thumb.
    """
    if policy != "auto":
        return policy
    return "diffaugment" if images < FEW else "ada" if images <= MANY else "none"


# --- Inside the discriminator --------------------------------------------------------------


def augment_inputs(
    policy: str, images: torch.Tensor, rng: torch.Generator, *, probability: float = 1.0
) -> torch.Tensor:
    """Change images as a policy says, before the discriminator sees them.

    Parameters
    ----------
    policy
        One of `POLICIES` but ``auto``; ``none`` and ``pil`` change nothing here.
    images
        float, shape ``(n, 3, H, W)``, in [-1, 1].
    rng
        Source of randomness, on the CPU.
    probability
        With ``ada``: see `ada_transform`.

    Returns
    -------
    torch.Tensor
        Same shape; values may leave [-1, 1].

    Raises
    ------
    WorkbookError
        For ``auto``, which `resolve_policy` turns into one of the others.
    """
    if policy == "auto":
        raise WorkbookError("augment=auto needs the number of images: TrainConfig.for_collection.")
    if policy in ("layers", "both"):
        return random_layers(images, rng)
    if policy == "diffaugment":
        return diffaugment(images, rng)
    if policy == "ada":
        return ada_transform(images, rng, probability=probability)
    return images


def random_layers(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Turn, mirror and zoom as the second study does, each on the flip of a coin.

    A rotation by up to 0.2 pi either way (Keras' factor of 0.1 of a full turn), a mirroring from
    left to right, a zoom of up to 10 % in or out. What comes into view continues the image's
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


def diffaugment(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Change colour, shift and cut out, each image by its own random amount.

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


def ada_transform(
    images: torch.Tensor, rng: torch.Generator, *, probability: float
) -> torch.Tensor:
    """Change colour and shift, each with a probability that follows the training.

    The colours change as in `diffaugment`; a shift reflects the border. Nothing is cut out, and
    the paper's rotations and stretchings are left away.

    Source: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data",
    arXiv:2006.06676, section 2.

    Parameters
    ----------
    images
        float, shape ``(n, 3, H, W)``, in [-1, 1]. May leave that range.
    rng
        Source of randomness, on the CPU.
    probability
        Of either kind of change, for each image; see `update_probability`.
    """
    for change in (_colour, functools.partial(_translate, border="reflect")):
        spared = torch.rand(len(images), 1, 1, 1, generator=rng) >= probability
        images = torch.where(spared.to(images.device), images, change(images, rng))
    return images


def _factors(images: torch.Tensor, rng: torch.Generator, count: int) -> torch.Tensor:
    """Draw ``count`` uniform numbers an image, each of shape ``(n, 1, 1, 1)``."""
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


def _translate(
    images: torch.Tensor, rng: torch.Generator, *, border: str = "constant"
) -> torch.Tensor:
    n, _, height, width = images.shape
    reach = round(height / 8)
    down, right = _offsets(images, rng, 0, 2 * reach)
    padded = F.pad(images, [reach] * 4, mode=border).permute(0, 2, 3, 1)
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
ADA_IMAGES = 50_000  # shown while the probability goes from 0 to 1


def update_probability(probability: float, on_real: torch.Tensor, *, balance: float) -> float:
    """Return the probability for the next step: more if the discriminator overfits.

    The sign of D on real images overfits first: its mean is 0 while D cannot tell and 1 when
    it has them by heart. Above 0.6 the probability rises, below it falls, by the share that the
    batch has in 50,000 images. Source: Karras et al. 2020, "Training Generative Adversarial
    Networks with Limited Data", arXiv:2006.06676, section 3.1 (r_t; it takes 500,000
    images from 0 to 1, more than most small collections are ever trained on).

    Parameters
    ----------
    probability
        The present one, 0 to 1.
    on_real
        Logits on real images, shape ``(n,)``.
    balance
        The logit that D gives when it cannot tell: 0 for labels that add up to 1.
    """
    overfits = (on_real.float() - balance).sign().mean().item() > ADA_TARGET
    step = len(on_real) / ADA_IMAGES
    return min(1.0, max(0.0, probability + (step if overfits else -step)))
