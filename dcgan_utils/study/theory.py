"""The theory of the noise: what the first BatchNorm does to its scale and its mean.

The generator `dcgan` begins with a linear map without bias (a transposed convolution from 1x1 to
4x4) and BatchNorm.

- *The scale of the noise cancels.* BatchNorm divides by the standard deviation. With its epsilon
  scaled along, trainings with N(0, 1) and N(0, s^2) are the same bit for bit (`scale_identity`).
- *The mean does not.* It adds the same pattern of 4x4 numbers to the feature map of every image,
  and BatchNorm normalises over images *and places*. With n coordinates of mean m and standard
  deviation s, and weights of variance v, the feature map has the variance ``n s^2 v`` between
  images and ``n m^2 v`` in the pattern. So before training the share of the variance that lies
  between images is ``1 / (1 + r^2)``, with ``r = |m| / s`` (`shares`).
- *Training takes the rest away, and more coordinates make it faster.* All coordinates share the
  mean. Their second moments have one eigenvalue ``n m^2 + s^2`` beside ``s^2``
  (`second_moments`), so the gradients of all weights share a direction, along which the pattern
  grows. Source: LeCun, Kanter and Solla 1991, "Eigenvalues of covariance matrices: application to
  neural-network learning", Physical Review Letters 66, 2396-2399. So n counts as well as r, the
  more the longer the training (`doses`).
- *The cause is the pooling of places.* A first BatchNorm per unit (``first_norm: unit``) has
  statistics for each place. The pattern is then a mean, which it subtracts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dcgan_utils.core.seeds import stream
from dcgan_utils.data.statistics import share_between_images
from dcgan_utils.data.tensors import rms_difference, to_float
from dcgan_utils.gan import networks
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.gan.priors import Normal, Prior

if TYPE_CHECKING:
    import pandas as pd


# --- The scale cancels ---

SMALL = {"preset": "monet", "img_size": 32, "width": 8, "batch_size": 16, "precision": "fp32"}


def scale_identity(
    images: torch.Tensor,
    stds: Sequence[float] = (0.125, 8.0, 1024.0),
    *,
    updates: int = 25,
    seed: int = 0,
) -> pd.DataFrame:
    """Train with N(0, 1) and with N(0, std^2), and compare all weights of both networks.

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, H, W)``; they are averaged down to 32 pixels.
    stds
        Powers of two, which floating-point numbers multiply without rounding.
    updates
        Of both networks, in batches of 16.
    seed
        Of weights, noise and the order of the images.

    Returns
    -------
    pandas.DataFrame
        One row per standard deviation: the largest absolute difference of two weights, with the
        ``epsilon scaled`` by the variance (0: equal bit for bit), and with the ``usual epsilon``.
    """
    import pandas as pd

    one = _trained_weights(images, 1.0, updates=updates, seed=seed)
    rows = {
        f"N(0, {std:g}²)": {
            name: max(
                (mine - theirs).abs().max().item()
                for mine, theirs in zip(
                    one,
                    _trained_weights(images, std, updates=updates, seed=seed, factor=factor),
                    strict=True,
                )
            )
            for name, factor in (("epsilon scaled", std**2), ("usual epsilon", 1.0))
        }
        for std in stds
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("noise")


def _trained_weights(
    images: torch.Tensor, std: float, *, updates: int, seed: int, factor: float = 1.0
) -> list[torch.Tensor]:
    """Return all weights after some updates; the first BatchNorm's epsilon is times a factor."""
    model = _short_model(noise=f"normal(0, {std!r})", seed=seed)
    model.generator.blocks[0][1].eps *= factor
    _train_briefly(model, images, updates, seed)
    return [*model.generator.parameters(), *model.discriminator.parameters()]


def _short_model(**parameters: object) -> DCGAN:
    return DCGAN(TrainConfig.resolve(**SMALL | {"device": "cpu"} | parameters))


def _train_briefly(model: DCGAN, images: torch.Tensor, updates: int, seed: int) -> None:
    rng, threads = stream(seed, "order"), torch.get_num_threads()
    torch.set_num_threads(1)  # networks this small are slower with more, beside other work by far
    try:
        for _ in range(updates):
            chosen = images[torch.randint(len(images), (16,), generator=rng)]
            batch = F.adaptive_avg_pool2d(chosen.float(), 32).round().to(torch.uint8)
            model.train_step(to_float(batch).contiguous(memory_format=model.memory_format))
    finally:
        torch.set_num_threads(threads)


# --- The mean does not cancel ---


def predicted_share(ratio: float) -> float:
    """Return the share of the first layer's variance that is between images, before training.

    Parameters
    ----------
    ratio
        ``|mean| / std`` of the prior.

    Returns
    -------
    float
        1 if the mean is 0, near 0 if it is many standard deviations.
    """
    return 1 / (1 + ratio**2)


@torch.no_grad()
def measured_share(prior: Prior, *, noise_size: int = 100, seed: int = 0) -> float:
    """Measure the same share in an untrained `dcgan` generator, on 256 latent vectors."""
    generator = networks.Generator(noise_size=noise_size, img_size=64, width=32)
    networks.initialise_weights(generator, stream(seed, "init"))
    z = prior.sample(256, noise_size, generator=stream(seed, "sample"))
    return share_between_images(generator.first_feature_map(z))


def shares(priors: list[Prior], *, noise_size: int = 100, seed: int = 0) -> pd.DataFrame:
    """Return the predicted and the measured share for several priors, before training.

    Returns
    -------
    pandas.DataFrame
        Indexed by the prior's label: ``|mean| / std``, ``predicted``, ``measured``.
    """
    import pandas as pd

    rows = {
        prior.label: {
            "|mean| / std": prior.ratio,
            "predicted": predicted_share(prior.ratio),
            "measured": measured_share(prior, noise_size=noise_size, seed=seed),
        }
        for prior in priors
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("noise")


# --- Training takes the rest ---


def second_moments(priors: list[Prior], *, noise_size: int = 100, seed: int = 0) -> pd.DataFrame:
    """Return the largest eigenvalue of the second moments E[z z'], relative to the others.

    Returns
    -------
    pandas.DataFrame
        Indexed by the prior's label: ``|mean| / std``; ``predicted``, which is ``1 + n r^2`` for n
        independent coordinates; ``measured`` on ``40 n`` vectors, relative to the median.
    """
    import pandas as pd

    rows = {}
    for prior in priors:
        z = prior.sample(40 * noise_size, noise_size, generator=stream(seed, "sample")).double()
        eigenvalues = np.linalg.eigvalsh((z.T @ z / len(z)).numpy())
        rows[prior.label] = {
            "|mean| / std": prior.ratio,
            "predicted": 1 + noise_size * prior.ratio**2,
            "measured": eigenvalues[-1] / np.median(eigenvalues),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("noise")


def doses(
    images: torch.Tensor,
    *,
    noise_sizes: Sequence[int] = (4, 16, 100, 400),
    ratios: Sequence[float] = (0.25, 0.5, 1.0, 2.0),
    updates: int = 150,
    seed: int = 0,
) -> pd.DataFrame:
    """Train briefly with N(r, 1) for several r and lengths of the latent vector.

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, H, W)``; they are averaged down to 32 pixels.
    noise_sizes, ratios
        The n and r; each pair is one training of a `dcgan` of width 8.
    updates
        In batches of 16.
    seed
        Of everything.

    Returns
    -------
    pandas.DataFrame
        One row per training: ``n``, ``r``, ``sqrt(n) r``, and the share of the first layer's
        variance that lies between images, ``before`` (predicted: ``1 / (1 + r^2)``) and ``after``.
    """
    import pandas as pd

    rows = []
    for n in noise_sizes:
        for r in ratios:
            model = _short_model(noise=f"normal({r!r}, 1)", noise_size=n, seed=seed)
            before = _first_share(model, seed)
            _train_briefly(model, images, updates, seed)
            after = _first_share(model, seed)
            rows.append({"n": n, "r": r, "sqrt(n) r": n**0.5 * r, "before": before, "after": after})
    return pd.DataFrame(rows)


@torch.no_grad()
def _first_share(model: DCGAN, seed: int) -> float:
    z = model.prior.sample(256, model.config.noise_size, generator=stream(seed, "sample"))
    return share_between_images(model.generator.first_feature_map(z))


# --- What a generator makes of scale and mean ---


@torch.no_grad()
def sensitivity(generator: nn.Module, z: torch.Tensor) -> dict[str, float]:
    """Return how much the images of a generator change with the scale and mean of the noise.

    The generator is used in training mode, as for the discriminator: BatchNorm normalises by the
    batch.

    Parameters
    ----------
    generator
        It is left unchanged, including its running statistics.
    z
        Shape ``(n, noise_size)``, with mean 0.

    Returns
    -------
    dict of float
        For each change, the RMS difference between the images before and after, divided by the
        RMS difference between images of different vectors: 0 means no change, 1 means that each
        image became another one. A change that all images share may exceed 1.
    """
    changes = {"std × 0.1": 0.1 * z, "std × 10": 10 * z, "mean + 1 std": z + z.std()}
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    was_training = generator.training
    generator.train()
    images = generator(z)
    between_images = rms_difference(images, images.roll(1, dims=0))
    changed = {
        name: rms_difference(generator(z), images) / between_images for name, z in changes.items()
    }
    generator.load_state_dict(before)
    generator.train(was_training)
    return changed


def sensitivities(*, seed: int = 0) -> pd.DataFrame:
    """Return the `sensitivity` of untrained generators, one row per generator.

    The generators are `dcgan`, `pokemon`, and `pokemon` with the biases of its first block drawn
    from N(0, 0.02²). They are initialised as 0, and training soon changes them by about as much.
    """
    import pandas as pd

    z = Normal().sample(128, 100, generator=stream(seed, "show"))
    rows = {}
    for name, bias_std in (("dcgan", 0.0), ("pokemon", 0.0), ("pokemon", 0.02)):
        generator, _ = networks.build_networks(name, noise_size=100, img_size=64, width=16)
        networks.initialise_weights(generator, stream(seed, "init"))
        _draw_biases(generator, bias_std, stream(seed, "biases"))
        rows[f"{name}, random biases" if bias_std else name] = sensitivity(generator, z)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("generator")


def _draw_biases(generator: nn.Module, std: float, rng: torch.Generator) -> None:
    """Draw the biases of linear layers from N(0, std²)."""
    for module in generator.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.bias, 0.0, std, generator=rng)
