"""Generators and discriminators, and how their weights begin."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from dcgan_utils.gan.convolutions import Conv2d, ConvTranspose2d, ResizeConv2d

if TYPE_CHECKING:
    import pandas as pd


IMG_SIZES = (32, 64, 128, 256)
Noise = Callable[[torch.Tensor], torch.Tensor]


def _channels(img_size: int, width: int) -> list[int]:
    """Return the channels at 4, 8, ... ``img_size / 2`` pixels, from coarse to fine.

    They double towards the coarse end, as in the paper's figure 1, but never past eight
    times ``width``: at 256 pixels the doubling alone would ask for 32 times.
    """
    steps = int(math.log2(img_size // 4))
    return [width * min(2**level, 8) for level in reversed(range(steps))]


class Generator(nn.Module):
    """DCGAN generator: latent vectors in, images out.

    A transposed convolution 4x4 turns the vector into a 4x4 field, others of stride 2 double
    it up to ``img_size``. BatchNorm and ReLU follow each but the last, which ends in tanh.
    Convolutions have no bias, since the BatchNorm after them would cancel it.

    Source: Radford, Metz and Chintala 2016, arXiv:1511.06434, section 3 and figure 1.

    Parameters
    ----------
    noise_size
        Length of the latent vector.
    img_size
        Side of the images in pixels: 32, 64, 128 or 256.
    width
        Channels of the finest hidden field; 64 in the PyTorch tutorial, 128 in the paper.
    """

    def __init__(self, *, noise_size: int = 100, img_size: int = 64, width: int = 64):
        super().__init__()
        fields = _channels(img_size, width)
        blocks = [self._first(noise_size, fields[0])]
        for before, after in pairwise(fields):
            up = self._up(before, after)
            blocks.append(nn.Sequential(up, nn.BatchNorm2d(after), nn.ReLU(inplace=True)))
        blocks.append(nn.Sequential(self._up(fields[-1], 3), nn.Tanh()))
        self.blocks = nn.Sequential(*blocks)

    @staticmethod
    def _first(noise_size: int, channels: int) -> nn.Sequential:
        return nn.Sequential(
            ConvTranspose2d(noise_size, channels, 4, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )

    @staticmethod
    def _up(before: int, after: int) -> nn.Module:
        return ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map latent vectors ``(n, noise_size)`` to images ``(n, 3, H, W)`` in [-1, 1]."""
        return self.blocks(z[:, :, None, None])


class Discriminator(nn.Module):
    """DCGAN discriminator: images in, one logit each out.

    Convolutions 4x4 of stride 2 halve the image down to 4x4, a last one reads the logit
    off. BatchNorm follows each but the first and the last, LeakyReLU 0.2 each but the last.

    Source: Radford, Metz and Chintala 2016, arXiv:1511.06434, section 3.

    Notes
    -----
    The study's sigmoid is not here but inside the loss, where it is numerically stable. The
    output is a logit; ``D(x)`` as a probability is ``torch.sigmoid`` of it.
    """

    def __init__(self, *, img_size: int = 64, width: int = 64):
        super().__init__()
        fields = _channels(img_size, width)[::-1]
        blocks = [nn.Sequential(self._conv(3, fields[0]), nn.LeakyReLU(0.2, inplace=True))]
        for before, after in pairwise(fields):
            blocks.append(
                nn.Sequential(
                    self._conv(before, after),
                    nn.BatchNorm2d(after),
                    nn.LeakyReLU(0.2, inplace=True),
                )
            )
        blocks.append(nn.Sequential(Conv2d(fields[-1], 1, 4, bias=False)))
        self.blocks = nn.Sequential(*blocks)

    @staticmethod
    def _conv(before: int, after: int) -> Conv2d:
        return Conv2d(before, after, 4, stride=2, padding=1, bias=False)

    def forward(self, images: torch.Tensor, noise: Noise | None = None) -> torch.Tensor:
        """Map images ``(n, 3, H, W)`` in [-1, 1] to logits ``(n,)``.

        Parameters
        ----------
        images
            Real or generated ones.
        noise
            Applied to what each block but the last puts out.
        """
        *blocks, last = self.blocks
        for block in blocks:
            images = block(images) if noise is None else noise(block(images))
        return last(images).flatten()


class PokemonGenerator(Generator):
    """The second study's generator: a fully connected layer, then 5x5 transposed convolutions.

    The first block has no BatchNorm: it carries the latent vector's scale on, where that of
    `Generator` takes it away.

    Source: the second study, section 4.1.1, figures 9 and 16, which show no numbers of
    channels that can be read; here they double towards the coarse end.

    Parameters
    ----------
    noise_size, img_size, width
        As for `Generator`.
    """

    @staticmethod
    def _first(noise_size: int, channels: int) -> nn.Sequential:
        field = nn.Linear(noise_size, channels * 16), nn.Unflatten(1, (channels, 4, 4))
        return nn.Sequential(*field, nn.ReLU(inplace=True))

    @staticmethod
    def _up(before: int, after: int) -> nn.Module:
        return ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1, bias=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map latent vectors ``(n, noise_size)`` to images ``(n, 3, H, W)`` in [-1, 1]."""
        return self.blocks(z)


class PokemonDiscriminator(Discriminator):
    """The second study's discriminator: one 3x3 convolution, then 5x5 ones, all of stride 2.

    They halve the image down to 2x2 and a fully connected layer reads the logit off.
    BatchNorm follows each but the first (as in the DCGAN paper) and the one before the output
    (the study's change); LeakyReLU follows each.

    Source: the second study, section 4.1.2, figures 9 and 17.

    Notes
    -----
    The study calls these convolutions "upsampling"; they make the field smaller.
    """

    def __init__(self, *, img_size: int = 64, width: int = 64):
        nn.Module.__init__(self)
        fields = [width, *_channels(img_size, width)[::-1]]
        blocks = [self._block(3, width, 3, normalised=False)]
        for before, after in pairwise(fields[:-1]):
            blocks.append(self._block(before, after, 5, normalised=True))
        blocks.append(self._block(*fields[-2:], 5, normalised=False))
        blocks.append(nn.Sequential(nn.Flatten(), nn.Linear(4 * fields[-1], 1)))
        self.blocks = nn.Sequential(*blocks)

    @staticmethod
    def _block(before: int, after: int, kernel: int, *, normalised: bool) -> nn.Sequential:
        convolution = Conv2d(
            before, after, kernel, stride=2, padding=kernel // 2, bias=not normalised
        )
        norm = [nn.BatchNorm2d(after)] if normalised else []
        return nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2, inplace=True))


class ResizeGenerator(Generator):
    """`Generator` with resize-convolutions in place of the transposed ones: no grid is left.

    Parameters
    ----------
    noise_size, img_size, width
        As for `Generator`.
    """

    @staticmethod
    def _up(before: int, after: int) -> nn.Module:
        return ResizeConv2d(before, after)


ARCHITECTURES = {
    "dcgan": (Generator, Discriminator),
    "resize": (ResizeGenerator, Discriminator),
    "pokemon": (PokemonGenerator, PokemonDiscriminator),
}


def build_networks(
    architecture: str, *, noise_size: int, img_size: int, width: int
) -> tuple[nn.Module, nn.Module]:
    """Return a generator and a discriminator that fit each other, weights as torch begins."""
    generator, discriminator = ARCHITECTURES[architecture]
    return (
        generator(noise_size=noise_size, img_size=img_size, width=width),
        discriminator(img_size=img_size, width=width),
    )


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Return the context in which networks compute: ``"fp32"`` as they are, or ``"bf16"``."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def memory_format(device: torch.device) -> torch.memory_format:
    """Return how fields lie in memory there: channels last, which is faster on CPU and CUDA.

    On MPS its gradients have been wrong (pytorch issue 175189).
    """
    fast = device.type in ("cpu", "cuda")
    return torch.channels_last if fast else torch.contiguous_format


def initialise_weights(network: nn.Module, rng: torch.Generator) -> None:
    """Draw the weights anew: N(0, 0.02), those of BatchNorm from N(1, 0.02), biases 0.

    0.02 is the standard deviation. The first study's algorithm 1 swaps its two conditions
    ("does *not* occur in the class name"); what it meant, and what the PyTorch tutorial that
    it follows does, is this.

    Source: Radford, Metz and Chintala 2016, section 4; PyTorch DCGAN tutorial.

    Parameters
    ----------
    network
        Changed in place.
    rng
        Source of randomness, on the CPU.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, ResizeConv2d):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=rng)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02, generator=rng)
            nn.init.zeros_(module.bias)


@torch.no_grad()
def layer_table(network: nn.Module, input_shape: tuple[int, ...]) -> pd.DataFrame:
    """Return one row a layer: what it is, the shape that leaves it, how many weights it has.

    Parameters
    ----------
    network
        Left as it was, running statistics included.
    input_shape
        Shape of one input without the batch: ``(100,)`` or ``(3, 64, 64)``.
    """
    import pandas as pd

    rows: list[dict] = []

    def note(module: nn.Module, _inputs, output: torch.Tensor) -> None:
        parameters = sum(p.numel() for p in module.parameters())
        shape = " × ".join(str(side) for side in output.shape[1:])
        rows.append({"layer": _describe(module), "output": shape, "parameters": parameters})

    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    was_training = network.training
    try:
        network.eval()(torch.zeros(1, *input_shape, device=next(network.parameters()).device))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return pd.DataFrame(rows)


def _describe(layer: nn.Module) -> str:
    kind = type(layer).__name__
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        side, stride = layer.kernel_size[0], layer.stride[0]
        return f"{kind} {side}×{side}, stride {stride}"
    if isinstance(layer, ResizeConv2d):
        return f"{kind} 3×3, ×2"
    if isinstance(layer, nn.LeakyReLU):
        return f"{kind} {layer.negative_slope:g}"
    return kind
