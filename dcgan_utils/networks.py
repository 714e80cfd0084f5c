"""Generators and discriminators, and how their weights begin."""

from __future__ import annotations

import contextlib
import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from dcgan_utils.layers import Conv2d, ConvTranspose2d

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ARCHITECTURES",
    "IMG_SIZES",
    "Discriminator",
    "Generator",
    "autocast",
    "build",
    "layer_table",
    "memory_format",
    "weights_init",
]

IMG_SIZES = (32, 64, 128, 256)


def _channels(img_size: int, width: int) -> list[int]:
    """Return the channels at 4, 8, ... ``img_size / 2`` pixels, from coarse to fine.

    They double towards the coarse end, as in the paper's figure 1, but never past eight
    times ``width``: at 256 pixels the doubling alone would ask for 32 times.
    """
    steps = int(math.log2(img_size // 4))
    return [width * min(2**level, 8) for level in reversed(range(steps))]


class Generator(nn.Module):
    """DCGAN generator: latent vectors in, pictures out.

    A transposed convolution 4x4 turns the vector into a 4x4 field, others of stride 2 double
    it up to ``img_size``. BatchNorm and ReLU follow each but the last, which ends in tanh.
    Convolutions have no bias, since the BatchNorm after them would cancel it.

    Source: Radford, Metz and Chintala 2016, arXiv:1511.06434, section 3 and figure 1.

    Parameters
    ----------
    noise_size
        Length of the latent vector.
    img_size
        Side of the pictures in pixels: 32, 64, 128 or 256.
    width
        Channels of the finest hidden field; 64 in the PyTorch tutorial, 128 in the paper.
    """

    def __init__(self, *, noise_size: int = 100, img_size: int = 64, width: int = 64):
        super().__init__()
        self.noise_size = noise_size
        fields = _channels(img_size, width)
        blocks = [self._block(noise_size, fields[0], stride=1, padding=0)]
        for before, after in pairwise(fields):
            blocks.append(self._block(before, after, stride=2, padding=1))
        last = ConvTranspose2d(fields[-1], 3, 4, stride=2, padding=1, bias=False)
        blocks.append(nn.Sequential(last, nn.Tanh()))
        self.blocks = nn.Sequential(*blocks)

    @staticmethod
    def _block(before: int, after: int, *, stride: int, padding: int) -> nn.Sequential:
        return nn.Sequential(
            ConvTranspose2d(before, after, 4, stride=stride, padding=padding, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map latent vectors ``(n, noise_size)`` to pictures ``(n, 3, H, W)`` in [-1, 1]."""
        return self.blocks(z[:, :, None, None])


class Discriminator(nn.Module):
    """DCGAN discriminator: pictures in, one logit each out.

    Convolutions 4x4 of stride 2 halve the picture down to 4x4, a last one reads the logit
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

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map pictures ``(n, 3, H, W)`` in [-1, 1] to logits ``(n,)``."""
        return self.blocks(images).flatten()


ARCHITECTURES = {"dcgan": (Generator, Discriminator)}


def build(
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


def weights_init(network: nn.Module, rng: torch.Generator) -> None:
    """Draw the weights anew: convolutions from N(0, 0.02), BatchNorm from N(1, 0.02), bias 0.

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
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
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
    if isinstance(layer, nn.LeakyReLU):
        return f"{kind} {layer.negative_slope:g}"
    return kind
