"""The convolutions of a DCGAN, computed in the fastest way on each machine.

:class:`Conv2d` and :class:`ConvTranspose2d` are subclasses of PyTorch's modules with the same
weights and state dicts. They call PyTorch, except in two cases.

* A kernel as large as the image (the last layer of the discriminator), or an image of one pixel
  (the first layer of the generator), is computed as a plain matrix product on every machine.
* Layers of kernel 4, stride 2 and padding 1 consist of three operations: *down* (the convolution,
  and the input gradient of the transposed one), *up* (the transposed convolution, and the input
  gradient of the convolution) and the *weight gradient* (the same for both). On a CPU in bf16
  `as_products` decides which of them become matrix products over copied patches (im2col,
  Chellapilla et al. 2006, "High performance convolutional neural networks for document
  processing").

Of such a layer's two feature maps, ``fine`` is the one of high resolution (the input of a
convolution, the output of a transposed one) and ``coarse`` the one of low resolution.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from dcgan_utils.core import environment

PATCH_BYTES = 1 << 24  # of patches at a time: more would not fit in the last-level cache


def as_products(operation: str, channels: int, *, units: str | None) -> bool:
    """Return whether an operation of a 4x4, stride 2 layer in bf16 is done as matrix products.

    The rule comes from measurements on two machines with two cores each. With AMX, oneDNN's
    *weight gradient* and *up* are several times slower than matrix products from 128 channels
    on. With AVX512-BF16 only the *weight gradient* is slower, from 256 channels on (1.1 to 3.7
    times). *down*, fp32, other CPUs and GPUs are left to PyTorch.

    Parameters
    ----------
    operation
        ``"up"`` or ``"weight_gradient"``.
    channels
        Of the low-resolution feature map, the larger of the layer's two numbers of channels.
    units
        From `environment.bf16_units`.

    Notes
    -----
    ``benchmark.ipynb`` times both ways for each layer of a network and so shows where the rule is
    wrong for your machine.
    """
    if units == "amx":
        return channels >= 128
    return units == "avx512_bf16" and operation == "weight_gradient" and channels >= 256


def _windows(images: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    """View ``(n, h, w, c)``, unit stride in c, as its windows ``(n, h', w', size, size * c)``."""
    n, height, width, channels = images.shape
    rows, columns = (height - size) // stride + 1, (width - size) // stride + 1
    batch, row, column, _ = images.stride()
    return images.as_strided(
        (n, rows, columns, size, size * channels),
        (batch, stride * row, stride * column, row, 1),
        images.storage_offset(),
    )


def _padded(images: torch.Tensor) -> torch.Tensor:
    """Copy ``(n, c, h, w)`` to ``(n, h + 2, w + 2, c)``, padded with zeros."""
    n, channels, height, width = images.shape
    padded = images.new_empty(n, height + 2, width + 2, channels)
    for edge in (padded[:, 0], padded[:, -1], padded[:, :, 0], padded[:, :, -1]):
        edge.zero_()
    padded[:, 1:-1, 1:-1] = images.permute(0, 2, 3, 1)
    return padded


def weight_gradient_by_patches(fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    """Return the weight gradient of a 4x4, stride 2, padding 1 layer as matrix products.

    Parameters
    ----------
    fine
        Shape ``(n, c, H, W)``: the input of a convolution, or the output gradient of a
        transposed one.
    coarse
        Shape ``(n, o, H // 2, W // 2)``: the output gradient of a convolution, or the input of a
        transposed one.

    Returns
    -------
    torch.Tensor
        Shape ``(o, c, 4, 4)``; summed over chunks of the batch in float32 (or float64).
    """
    channels, pixels = fine.shape[1], coarse.shape[2] * coarse.shape[3]
    chunk = max(1, PATCH_BYTES // (pixels * 16 * channels * fine.element_size()))
    dtype = torch.promote_types(fine.dtype, torch.float32)
    total = torch.zeros(coarse.shape[1], 16 * channels, dtype=dtype, device=fine.device)
    for fine_chunk, coarse_chunk in zip(fine.split(chunk), coarse.split(chunk), strict=True):
        patches = _windows(_padded(fine_chunk), size=4, stride=2).reshape(-1, 16 * channels)
        values = coarse_chunk.permute(0, 2, 3, 1).reshape(-1, coarse.shape[1])
        total += values.t() @ patches
    return total.unflatten(1, (4, 4, channels)).permute(0, 3, 1, 2)


def up_by_phases(coarse: torch.Tensor, weight: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return a 4x4, stride 2, padding 1 transposed convolution as four matrix products.

    The output pixels fall into four phases, by whether row and column are even; each phase uses
    only 2x2 of the 16 taps of the kernel.

    Parameters
    ----------
    coarse
        Shape ``(n, o, h, w)``.
    weight
        Shape ``(o, c, 4, 4)``.
    size
        Height and width of the output: ``2 h`` or ``2 h + 1``, ``2 w`` or ``2 w + 1``.

    Returns
    -------
    torch.Tensor
        Shape ``(n, c, *size)``, channels last.
    """
    outputs, channels = weight.shape[:2]
    padded = _padded(coarse)
    fine = coarse.new_empty(len(coarse), *size, channels)
    for row in (0, 1):
        for column in (0, 1):
            phase = fine[:, row::2, column::2]
            rows, columns = phase.shape[1:3]
            inputs = padded[:, row : row + rows + 1, column : column + columns + 1]
            patches = _windows(inputs, size=2, stride=1).reshape(-1, 4 * outputs)
            taps = weight[:, :, [3 - row, 1 - row]][..., [3 - column, 1 - column]]
            matrix = taps.permute(2, 3, 0, 1).reshape(4 * outputs, channels)
            phase.copy_((patches @ matrix).view(phase.shape))
    return fine.permute(0, 3, 1, 2)


def _up(coarse: torch.Tensor, weight: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if as_products("up", len(weight), units=environment.bf16_units()):
        return up_by_phases(coarse, weight, size)
    extra = [fine - 2 * side for fine, side in zip(size, coarse.shape[2:], strict=True)]
    return F.conv_transpose2d(coarse, weight, stride=2, padding=1, output_padding=extra)


class _Down(torch.autograd.Function):
    """The 4x4, stride 2, padding 1 convolution; its input gradient is *up*."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)
    def forward(ctx, fine, weight):
        ctx.save_for_backward(fine, weight)
        return F.conv2d(fine, weight, stride=2, padding=1)

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, gradient):
        fine, weight = ctx.saved_tensors
        needs_fine, needs_weight = ctx.needs_input_grad
        return (
            _up(gradient, weight, fine.shape[2:]) if needs_fine else None,
            weight_gradient_by_patches(fine, gradient) if needs_weight else None,
        )


class _Up(torch.autograd.Function):
    """The 4x4, stride 2, padding 1 transposed convolution; its input gradient is *down*."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)
    def forward(ctx, coarse, weight):
        ctx.save_for_backward(coarse, weight)
        return _up(coarse, weight, [2 * side for side in coarse.shape[2:]])

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, gradient):
        coarse, weight = ctx.saved_tensors
        needs_coarse, needs_weight = ctx.needs_input_grad
        return (
            F.conv2d(gradient, weight, stride=2, padding=1) if needs_coarse else None,
            weight_gradient_by_patches(gradient, coarse) if needs_weight else None,
        )


def _benefits_from_products(images: torch.Tensor, weight: torch.Tensor) -> bool:
    """Return whether matrix products are faster for a 4x4, stride 2 layer: bf16, CPU, size."""
    if images.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return False
    if torch.get_autocast_dtype("cpu") != torch.bfloat16:
        return False
    return as_products("weight_gradient", len(weight), units=environment.bf16_units())


def _is_simple(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    simple = layer.groups == 1 and layer.dilation == (1, 1) and layer.bias is None
    return simple and layer.padding_mode == "zeros" and layer.output_padding == (0, 0)


def _halves_or_doubles(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    shape = (layer.kernel_size, layer.stride, layer.padding)
    return shape == ((4, 4), (2, 2), (1, 1)) and _is_simple(layer)


class Conv2d(nn.Conv2d):
    """PyTorch's convolution, as matrix products where they are faster (see the module)."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``(n, in_channels, H, W)`` to ``(n, out_channels, H', W')``."""
        covers_image = images.shape[2:] == self.kernel_size and self.padding == (0, 0)
        if covers_image and _is_simple(self):
            flat = (tensor.permute(0, 2, 3, 1).flatten(1) for tensor in (images, self.weight))
            return F.linear(*flat)[:, :, None, None]
        if _halves_or_doubles(self) and _benefits_from_products(images, self.weight):
            return _Down.apply(images, self.weight)
        return super().forward(images)


class ConvTranspose2d(nn.ConvTranspose2d):
    """PyTorch's transposed convolution, as matrix products where they are faster."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``(n, in_channels, H, W)`` to ``(n, out_channels, H', W')``."""
        if images.shape[2:] == (1, 1) and self.padding == (0, 0) and _is_simple(self):
            weight = self.weight.permute(0, 2, 3, 1)
            output = images.flatten(1) @ weight.flatten(1)
            return output.unflatten(1, weight.shape[1:]).permute(0, 3, 1, 2)
        if _halves_or_doubles(self) and _benefits_from_products(images, self.weight):
            return _Up.apply(images, self.weight)
        return super().forward(images)


class ResizeConv2d(nn.Module):
    """Nearest-neighbour upsampling by 2, then a 3x3 convolution without bias.

    The four phases of a transposed convolution have separate kernels. Their random differences
    cause checkerboard artifacts; here the phases share one kernel. Both steps together equal a
    4x4 transposed convolution of stride 2 whose kernel is the 3x3 one blurred by a 2x2 box. They
    are computed that way, at less than half the cost.

    Source: Odena, Dumoulin and Olah 2016, "Deconvolution and checkerboard artifacts", Distill.

    Notes
    -----
    The kernel is scaled by 1/2, so that the same initialisation gives activations of the same
    size as a transposed convolution.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels, 3, 3))
        nn.init.normal_(self.weight, 0.0, 0.02)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``(n, in_channels, H, W)`` to ``(n, out_channels, 2 H, 2 W)``."""
        weight = self.blurred()
        if _benefits_from_products(images, weight):
            return _Up.apply(images, weight)
        return F.conv_transpose2d(images, weight, stride=2, padding=1)

    def blurred(self) -> torch.Tensor:
        """Return the kernel of both steps, shape ``(in_channels, out_channels, 4, 4)``."""
        return 2 * F.avg_pool2d(F.pad(self.weight, [1] * 4), 2, stride=1)
