"""The convolutions of a DCGAN, computed in the fastest way that the machine has.

:class:`Conv2d` and :class:`ConvTranspose2d` are torch's modules with torch's weights: a state
dict goes from one to the other, and where nothing is to be gained they call torch. They differ
in two places.

* A kernel as large as the field, or a field of one pixel (the last layer of the discriminator,
  the first of the generator), is a plain matrix product, everywhere.
* The layers of kernel 4, stride 2 and padding 1 rest on three operations, each of which two
  layers need: *down* (the convolution; the input gradient of the transposed one), *up* (the
  other way round) and the *weight gradient*, the same for both. On a CPU in bf16 `as_products`
  says which of them become matrix products over copied patches (im2col, Chellapilla et al.
  2006, "High performance convolutional neural networks for document processing").

The larger of a layer's two fields is called *fine*, the smaller one *coarse*.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from dcgan_utils.core import environment

PATCH_BYTES = 1 << 24  # at a time: patches that leave the last cache cost more than they bring


def as_products(operation: str, channels: int, *, units: str | None) -> bool:
    """Tell whether an operation of a 4x4, stride 2 layer in bf16 is done as matrix products.

    The rule, from measurements on two machines with two cores each: with AMX, oneDNN's
    *weight gradient* and *up* are several times slower than matrix products from 128 channels
    on; with AVX512-BF16 only the *weight gradient* is, from 256 channels on (1.1 to 3.7 times),
    while *up* is faster as it is. *down*, fp32, other CPUs and GPUs are left to torch.

    Parameters
    ----------
    operation
        ``"up"`` or ``"weight_gradient"``.
    channels
        Of the layer's coarse field, the larger number of the two.
    units
        What `environment.bf16_units` says.

    Notes
    -----
    ``benchmark.ipynb`` times both ways for each layer of a network; if the rule is wrong on
    your machine, that table shows it.
    """
    if units == "amx":
        return channels >= 128
    return units == "avx512_bf16" and operation == "weight_gradient" and channels >= 256


def _windows(field: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    """View ``(n, h, w, c)``, unit stride in c, as its windows ``(n, h', w', size, size * c)``."""
    n, height, width, channels = field.shape
    rows, columns = (height - size) // stride + 1, (width - size) // stride + 1
    batch, row, column, _ = field.stride()
    return field.as_strided(
        (n, rows, columns, size, size * channels),
        (batch, stride * row, stride * column, row, 1),
        field.storage_offset(),
    )


def _padded(images: torch.Tensor) -> torch.Tensor:
    """Return ``(n, c, h, w)`` as ``(n, h + 2, w + 2, c)`` in one copy, zeros around it."""
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
        Shape ``(n, o, H // 2, W // 2)``: the other of the two.

    Returns
    -------
    torch.Tensor
        Shape ``(o, c, 4, 4)``; summed over pieces of the batch in float32 (or float64).
    """
    channels, pixels = fine.shape[1], coarse.shape[2] * coarse.shape[3]
    piece = max(1, PATCH_BYTES // (pixels * 16 * channels * fine.element_size()))
    wide = torch.promote_types(fine.dtype, torch.float32)
    total = torch.zeros(coarse.shape[1], 16 * channels, dtype=wide, device=fine.device)
    for some_fine, some_coarse in zip(fine.split(piece), coarse.split(piece), strict=True):
        patches = _windows(_padded(some_fine), size=4, stride=2).reshape(-1, 16 * channels)
        values = some_coarse.permute(0, 2, 3, 1).reshape(-1, coarse.shape[1])
        total += values.t() @ patches
    return total.unflatten(1, (4, 4, channels)).permute(0, 3, 1, 2)


def up_by_phases(coarse: torch.Tensor, weight: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return a transposed convolution 4x4, stride 2, padding 1 as four matrix products.

    The pixels of the fine field fall into four phases, by whether row and column are even;
    each sees only 2x2 of the 16 taps.

    Parameters
    ----------
    coarse
        Shape ``(n, o, h, w)``.
    weight
        Shape ``(o, c, 4, 4)``.
    size
        Height and width of the fine field: ``2 h`` or ``2 h + 1``, ``2 w`` or ``2 w + 1``.

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
            seen = padded[:, row : row + rows + 1, column : column + columns + 1]
            patches = _windows(seen, size=2, stride=1).reshape(-1, 4 * outputs)
            taps = weight[:, :, [3 - row, 1 - row]][..., [3 - column, 1 - column]]
            matrix = taps.permute(2, 3, 0, 1).reshape(4 * outputs, channels)
            phase.copy_((patches @ matrix).view(phase.shape))
    return fine.permute(0, 3, 1, 2)


def _up(coarse: torch.Tensor, weight: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if as_products("up", len(weight), units=environment.bf16_units()):
        return up_by_phases(coarse, weight, size)
    lacking = [fine - 2 * side for fine, side in zip(size, coarse.shape[2:], strict=True)]
    return F.conv_transpose2d(coarse, weight, stride=2, padding=1, output_padding=lacking)


class _Down(torch.autograd.Function):
    """The convolution 4x4, stride 2, padding 1; its input gradient is *up*."""

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
        to_fine, to_weight = ctx.needs_input_grad
        return (
            _up(gradient, weight, fine.shape[2:]) if to_fine else None,
            weight_gradient_by_patches(fine, gradient) if to_weight else None,
        )


class _Up(torch.autograd.Function):
    """The transposed convolution 4x4, stride 2, padding 1; its input gradient is *down*."""

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
        to_coarse, to_weight = ctx.needs_input_grad
        return (
            F.conv2d(gradient, weight, stride=2, padding=1) if to_coarse else None,
            weight_gradient_by_patches(gradient, coarse) if to_weight else None,
        )


def _gains_by_products(images: torch.Tensor, weight: torch.Tensor) -> bool:
    """Tell whether a 4x4, stride 2 layer in bf16 on this CPU is large enough for products."""
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
    """torch's convolution, as matrix products where they are faster (see the module)."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``(n, in_channels, H, W)`` to ``(n, out_channels, H', W')``."""
        whole = images.shape[2:] == self.kernel_size and self.padding == (0, 0)
        if whole and _is_simple(self):
            rows = (tensor.permute(0, 2, 3, 1).flatten(1) for tensor in (images, self.weight))
            return F.linear(*rows)[:, :, None, None]
        if _halves_or_doubles(self) and _gains_by_products(images, self.weight):
            return _Down.apply(images, self.weight)
        return super().forward(images)


class ConvTranspose2d(nn.ConvTranspose2d):
    """torch's transposed convolution, as matrix products where they are faster."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``(n, in_channels, H, W)`` to ``(n, out_channels, H', W')``."""
        if images.shape[2:] == (1, 1) and self.padding == (0, 0) and _is_simple(self):
            weight = self.weight.permute(0, 2, 3, 1)
            field = images.flatten(1) @ weight.flatten(1)
            return field.unflatten(1, weight.shape[1:]).permute(0, 3, 1, 2)
        if _halves_or_doubles(self) and _gains_by_products(images, self.weight):
            return _Up.apply(images, self.weight)
        return super().forward(images)


class ResizeConv2d(nn.Module):
    """Every pixel made four (nearest neighbour), then a 3x3 convolution.

    The four phases of a transposed convolution have kernels of their own, which begin as
    different as chance has it and leave a grid in the images; here they share one. Source:
    Odena, Dumoulin and Olah 2016, "Deconvolution and checkerboard artifacts", Distill.

    Both steps together are a transposed convolution 4x4 of stride 2 whose kernel is the 3x3 one
    blurred by a box of 2x2, and are computed as that, at less than half the cost.

    Parameters
    ----------
    in_channels, out_channels
        As for torch's convolutions. There is no bias.

    Notes
    -----
    The kernel is scaled by a half, so that weights drawn alike give fields as large as those of
    a transposed convolution.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels, 3, 3))
        nn.init.normal_(self.weight, 0.0, 0.02)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``(n, in_channels, H, W)`` to ``(n, out_channels, 2 H, 2 W)``."""
        weight = self.blurred()
        if _gains_by_products(images, weight):
            return _Up.apply(images, weight)
        return F.conv_transpose2d(images, weight, stride=2, padding=1)

    def blurred(self) -> torch.Tensor:
        """Return the kernel of both steps together, shape ``(in_channels, out_channels, 4, 4)``."""
        return 2 * F.avg_pool2d(F.pad(self.weight, [1] * 4), 2, stride=1)
