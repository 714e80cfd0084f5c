"""The theory of the noise: its effect on a generator before training.

The generator `dcgan` begins with a linear map without bias (a transposed convolution from 1x1 to
4x4) and BatchNorm. So the *scale* of the latent vectors cancels: BatchNorm divides by the standard
deviation, apart from its epsilon. Their *mean* does not cancel: it adds the same pattern of 4x4
numbers to the feature map of every image. BatchNorm normalises over images and positions
together, so this pattern leaves less variance for the differences between images.

With n latent coordinates of mean m and standard deviation s, and weights of variance v, the
feature map has the variance ``n s^2 v`` between images and ``n m^2 v`` between positions. The
share of the variance between images is ``1 / (1 + (m / s)^2)``, whatever the scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from dcgan_utils.core.seeds import stream
from dcgan_utils.data.tensors import rms_difference
from dcgan_utils.gan import networks
from dcgan_utils.gan.priors import Normal, Prior

if TYPE_CHECKING:
    import pandas as pd


def predicted_share(ratio: float) -> float:
    """Return the share of the first layer's variance that is between images.

    Parameters
    ----------
    ratio
        ``mean / std`` of the prior.

    Returns
    -------
    float
        1 if the mean is 0, near 0 if it is many standard deviations.
    """
    return 1 / (1 + ratio**2)


@torch.no_grad()
def measured_share(prior: Prior, *, noise_size: int = 100, seed: int = 0) -> float:
    """Measure the same share in an untrained `dcgan` generator.

    It is the variance between images, divided by the variance over images and positions that
    BatchNorm normalises by, averaged over the channels.
    """
    generator = networks.Generator(noise_size=noise_size, img_size=64, width=32)
    networks.initialise_weights(generator, stream(seed, "init"))
    z = prior.sample(256, noise_size, generator=stream(seed, "sample"))
    feature_map = generator.blocks[0][0](z[:, :, None, None]).flatten(2).double()
    between_images = feature_map.var(dim=0, correction=0).mean(dim=1)
    return (between_images / feature_map.var(dim=(0, 2), correction=0)).mean().item()


def shares(priors: list[Prior], *, noise_size: int = 100, seed: int = 0) -> pd.DataFrame:
    """Return the predicted and the measured share for several priors.

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
