"""What theory says about the noise before anything is trained.

The generator `dcgan` begins with a linear map without bias (a transposed convolution from 1x1 to
4x4) and BatchNorm. So the *scale* of the latent vectors cancels: BatchNorm divides by the
deviation, and only its epsilon remembers. Their *mean* does not cancel: it adds the same pattern
of 4x4 numbers to every image's field. BatchNorm normalises over images and places together,
and so the pattern takes up room that the differences between images would need.

With latent coordinates of mean m and standard deviation s, and weights of variance v, a place of
the field has the variance ``n s^2 v`` between images and ``n m^2 v`` between places. The
images' share of both is ``1 / (1 + (m / s)^2)``, whatever the scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from dcgan_utils.core.seeds import stream
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
        1 where the mean is 0, near 0 where it is many standard deviations.
    """
    return 1 / (1 + ratio**2)


@torch.no_grad()
def measured_share(prior: Prior, *, noise_size: int = 100, seed: int = 0) -> float:
    """Return the same share, measured in a `dcgan` generator before any training.

    Parameters
    ----------
    prior
        Where the latent vectors come from.
    noise_size
        Their length.
    seed
        Of weights and vectors.

    Returns
    -------
    float
        The mean over the channels of the variance between images, divided by that over
        images and places together, which is what BatchNorm divides by.
    """
    generator = networks.Generator(noise_size=noise_size, img_size=64, width=32)
    networks.initialise_weights(generator, stream(seed, "init"))
    z = prior.sample(256, noise_size, generator=stream(seed, "sample"))
    places = generator.blocks[0][0](z[:, :, None, None]).flatten(2).double()
    between = places.var(dim=0, correction=0).mean(dim=1)
    return (between / places.var(dim=(0, 2), correction=0)).mean().item()


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
    """Return how much a generator's images change when the latent vectors do.

    In training mode, as the discriminator sees them: BatchNorm normalises by the batch.

    Parameters
    ----------
    generator
        Its running statistics are left as they were.
    z
        Shape ``(n, noise_size)``, with mean 0.

    Returns
    -------
    dict of float
        For each change, the root of the mean squared difference of the images, divided by
        that between images of different vectors: 0 is no change, 1 is as if each image had
        become another one. A change that all images share may exceed 1.
    """
    changes = {"std × 0.1": 0.1 * z, "std × 10": 10 * z, "mean + 1 std": z + z.std()}
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    was_training = generator.training
    generator.train()
    images = generator(z)
    others = _apart(images, images.roll(1, dims=0))
    apart = {name: _apart(generator(z), images) / others for name, z in changes.items()}
    generator.load_state_dict(before)
    generator.train(was_training)
    return apart


def sensitivities(*, seed: int = 0) -> pd.DataFrame:
    """Return the `sensitivity` of untrained generators, a row each.

    Of `dcgan`, of `pokemon`, and of `pokemon` with the biases of its first block drawn from
    N(0, 0.02²), as far as a training moves them early on; they begin as 0.
    """
    import pandas as pd

    z = Normal().sample(128, 100, generator=stream(seed, "show"))
    rows = {}
    for name, moved in (("dcgan", 0.0), ("pokemon", 0.0), ("pokemon", 0.02)):
        generator, _ = networks.build_networks(name, noise_size=100, img_size=64, width=16)
        networks.initialise_weights(generator, stream(seed, "init"))
        _move_biases(generator, moved, stream(seed, "biases"))
        rows[f"{name}, biases moved" if moved else name] = sensitivity(generator, z)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("generator")


def _move_biases(generator: nn.Module, deviation: float, rng: torch.Generator) -> None:
    """Draw the biases of linear layers from a normal distribution."""
    for module in generator.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.bias, 0.0, deviation, generator=rng)


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return (one - other).square().mean().sqrt().item()
