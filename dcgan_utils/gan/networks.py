"""Generators and discriminators, and their weight initialisation."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from dcgan_utils.gan.choices import IMG_SIZES as IMG_SIZES
from dcgan_utils.gan.convolutions import Conv2d, ConvTranspose2d, ResizeConv2d

if TYPE_CHECKING:
    import pandas as pd


Noise = Callable[[torch.Tensor], torch.Tensor]


def _channels(img_size: int, width: int) -> list[int]:
    """Return the channels of the feature maps of 4, 8, ... ``img_size / 2`` pixels.

    They double from each resolution to the next lower one, as in the paper's figure 1, up to
    eight times ``width``: at 256 pixels doubling alone would lead to 32 times.
    """
    steps = int(math.log2(img_size // 4))
    return [width * min(2**level, 8) for level in reversed(range(steps))]


def _first_norm(kind: str, channels: int) -> list[nn.Module]:
    """Return the normalisation of the first feature map, which has 4x4 places.

    ``"channel"`` is PyTorch's: the statistics of a channel are over images and places. ``"unit"``
    has its own statistics for each channel and place, over the images alone. A pattern that all
    images share then cancels as their mean, and no longer counts as variance.

    Sources: PyTorch DCGAN tutorial (ConvTranspose2d, BatchNorm2d); TensorFlow DCGAN tutorial
    (Dense, BatchNormalization, Reshape).
    """
    if kind == "channel":
        return [nn.BatchNorm2d(channels)]
    return [nn.Flatten(), nn.BatchNorm1d(channels * 16), nn.Unflatten(1, (channels, 4, 4))]


class Generator(nn.Module):
    """DCGAN generator: latent vectors in, images out.

    A 4x4 transposed convolution turns the vector into a 4x4 feature map, and others of stride 2
    double its resolution up to ``img_size``. BatchNorm and ReLU follow each but the last, which is
    followed by tanh. Convolutions have no bias, since the BatchNorm after them would cancel it.

    Source: Radford, Metz and Chintala 2016, arXiv:1511.06434, section 3 and figure 1.

    Parameters
    ----------
    noise_size
        Length of the latent vector.
    img_size
        Side of the images in pixels: 32, 64, 128 or 256.
    width
        Channels of the hidden feature map of the highest resolution: 64 in the PyTorch tutorial,
        128 in the paper.
    first_norm
        What the first BatchNorm normalises: each ``"channel"`` or each ``"unit"``; see
        `_first_norm`.
    """

    def __init__(
        self,
        *,
        noise_size: int = 100,
        img_size: int = 64,
        width: int = 64,
        first_norm: str = "channel",
    ):
        super().__init__()
        channels = _channels(img_size, width)
        blocks = [self._first(noise_size, channels[0], first_norm)]
        for before, after in pairwise(channels):
            up = self._up(before, after)
            blocks.append(nn.Sequential(up, nn.BatchNorm2d(after), nn.ReLU(inplace=True)))
        blocks.append(nn.Sequential(self._up(channels[-1], 3), nn.Tanh()))
        self.blocks = nn.Sequential(*blocks)

    @staticmethod
    def _first(noise_size: int, channels: int, first_norm: str) -> nn.Sequential:
        return nn.Sequential(
            ConvTranspose2d(noise_size, channels, 4, bias=False),
            *_first_norm(first_norm, channels),
            nn.ReLU(inplace=True),
        )

    @staticmethod
    def _up(before: int, after: int) -> nn.Module:
        return ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map latent vectors ``(n, noise_size)`` to images ``(n, 3, H, W)`` in [-1, 1]."""
        return self.blocks(z[:, :, None, None])

    def first_feature_map(self, z: torch.Tensor) -> torch.Tensor:
        """Return the first layer's output before BatchNorm, shape ``(n, channels, 4, 4)``."""
        return self.blocks[0][0](z[:, :, None, None])


class Discriminator(nn.Module):
    """DCGAN discriminator: images in, one logit per image out.

    4x4 convolutions of stride 2 halve the resolution down to 4x4, and a last one computes the
    logit. BatchNorm follows each but the first and the last, LeakyReLU 0.2 each but the last.

    Source: Radford, Metz and Chintala 2016, arXiv:1511.06434, section 3.

    Notes
    -----
    The study's sigmoid is not part of the network but of the loss, where it is numerically
    stable. The output is a logit; the probability ``D(x)`` is its ``torch.sigmoid``.
    """

    def __init__(self, *, img_size: int = 64, width: int = 64):
        super().__init__()
        channels = _channels(img_size, width)[::-1]
        blocks = [nn.Sequential(self._conv(3, channels[0]), nn.LeakyReLU(0.2, inplace=True))]
        for before, after in pairwise(channels):
            blocks.append(
                nn.Sequential(
                    self._conv(before, after),
                    nn.BatchNorm2d(after),
                    nn.LeakyReLU(0.2, inplace=True),
                )
            )
        blocks.append(nn.Sequential(Conv2d(channels[-1], 1, 4, bias=False)))
        self.blocks = nn.Sequential(*blocks)

    @staticmethod
    def _conv(before: int, after: int) -> Conv2d:
        return Conv2d(before, after, 4, stride=2, padding=1, bias=False)

    def forward(self, images: torch.Tensor, noise: Noise | None = None) -> torch.Tensor:
        """Map images ``(n, 3, H, W)`` in [-1, 1] to logits ``(n,)``.

        ``noise`` is applied to the output of each block but the last.
        """
        *blocks, last = self.blocks
        for block in blocks:
            images = block(images) if noise is None else noise(block(images))
        return last(images).flatten()


class PokemonGenerator(Generator):
    """The second study's generator: a fully connected layer, then 5x5 transposed convolutions.

    Its first block has no BatchNorm, so it keeps the scale of the latent vector, which the first
    block of `Generator` cancels. The parameters are those of `Generator`, but ``first_norm`` has
    no effect.

    Source: the second study, section 4.1.1, figures 9 and 16. The numbers of channels there are
    illegible; here they are those of `Generator`.
    """

    @staticmethod
    def _first(noise_size: int, channels: int, _first_norm: str) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(noise_size, channels * 16),
            nn.Unflatten(1, (channels, 4, 4)),
            nn.ReLU(inplace=True),
        )

    @staticmethod
    def _up(before: int, after: int) -> nn.Module:
        return ConvTranspose2d(before, after, 5, stride=2, padding=2, output_padding=1, bias=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map latent vectors ``(n, noise_size)`` to images ``(n, 3, H, W)`` in [-1, 1]."""
        return self.blocks(z)

    def first_feature_map(self, z: torch.Tensor) -> torch.Tensor:
        """Return the first layer's output before ReLU, shape ``(n, channels, 4, 4)``."""
        linear, as_feature_map, _ = self.blocks[0]
        return as_feature_map(linear(z))


class PokemonDiscriminator(Discriminator):
    """The second study's discriminator: one 3x3 convolution, then 5x5 ones, all of stride 2.

    They halve the resolution down to 2x2, and a fully connected layer computes the logit.
    BatchNorm follows each but the first (as in the DCGAN paper) and the one before the output
    (the study's change); LeakyReLU follows each.

    Source: the second study, section 4.1.2, figures 9 and 17.

    Notes
    -----
    The study calls these convolutions "upsampling", but they downsample.
    """

    def __init__(self, *, img_size: int = 64, width: int = 64):
        nn.Module.__init__(self)
        channels = [width, *_channels(img_size, width)[::-1]]
        blocks = [self._block(3, width, 3, normalised=False)]
        for before, after in pairwise(channels[:-1]):
            blocks.append(self._block(before, after, 5, normalised=True))
        blocks.append(self._block(*channels[-2:], 5, normalised=False))
        blocks.append(nn.Sequential(nn.Flatten(), nn.Linear(4 * channels[-1], 1)))
        self.blocks = nn.Sequential(*blocks)

    @staticmethod
    def _block(before: int, after: int, kernel: int, *, normalised: bool) -> nn.Sequential:
        convolution = Conv2d(
            before, after, kernel, stride=2, padding=kernel // 2, bias=not normalised
        )
        norm = [nn.BatchNorm2d(after)] if normalised else []
        return nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2, inplace=True))


class ResizeGenerator(Generator):
    """`Generator` with resize-convolutions, which avoid the checkerboard artifacts."""

    @staticmethod
    def _up(before: int, after: int) -> nn.Module:
        return ResizeConv2d(before, after)


ARCHITECTURES = {
    "dcgan": (Generator, Discriminator),
    "resize": (ResizeGenerator, Discriminator),
    "pokemon": (PokemonGenerator, PokemonDiscriminator),
}


def build_networks(
    architecture: str, *, noise_size: int, img_size: int, width: int, first_norm: str = "channel"
) -> tuple[nn.Module, nn.Module]:
    """Return a matching generator and discriminator with PyTorch's default initialisation."""
    generator, discriminator = ARCHITECTURES[architecture]
    return (
        generator(noise_size=noise_size, img_size=img_size, width=width, first_norm=first_norm),
        discriminator(img_size=img_size, width=width),
    )


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Return the context for a precision: none for ``"fp32"``, autocast for ``"bf16"``."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the memory format of images and feature maps: channels last on CPU and CUDA.

    It is faster there; on MPS its gradients have been wrong (pytorch issue 175189).
    """
    is_faster = device.type in ("cpu", "cuda")
    return torch.channels_last if is_faster else torch.contiguous_format


def initialise_weights(network: nn.Module, rng: torch.Generator) -> None:
    """Initialise all weights in place: N(0, 0.02), BatchNorm's N(1, 0.02), biases 0.

    0.02 is the standard deviation; ``rng`` is on the CPU. The first study's algorithm 1 swaps its
    two conditions ("does *not* occur in the class name"). This is what it means, and what the
    PyTorch tutorial that it follows does.

    Source: Radford, Metz and Chintala 2016, section 4; PyTorch DCGAN tutorial.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | ResizeConv2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=rng)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02, generator=rng)
            nn.init.zeros_(module.bias)


@torch.no_grad()
def layer_table(network: nn.Module, input_shape: tuple[int, ...]) -> pd.DataFrame:
    """Return one row per layer: its type, the shape of its output, its number of parameters.

    ``input_shape`` is that of one input without the batch, such as ``(100,)`` or ``(3, 64, 64)``.
    The network is left unchanged, including running statistics.
    """
    import pandas as pd

    rows: list[dict] = []

    def add_row(module: nn.Module, _inputs, output: torch.Tensor) -> None:
        parameters = sum(p.numel() for p in module.parameters())
        shape = " × ".join(str(side) for side in output.shape[1:])
        rows.append({"layer": _describe(module), "output": shape, "parameters": parameters})

    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(add_row) for leaf in leaves]
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
