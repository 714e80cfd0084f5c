"""Where the time of a training step goes, and how much there is to do."""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from dcgan_utils.core.environment import seconds_of
from dcgan_utils.core.seeds import stream
from dcgan_utils.gan import convolutions
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.runs.training import train_batch

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["layer_times", "operations_per_picture", "profile_step"]


def operations_per_picture(config: TrainConfig) -> float:
    """Count the multiplications and additions that a training step needs for each picture.

    Those of convolutions and matrix products, as torch counts them; the textbook does more, but
    needs no more.
    """
    from torch.utils.flop_counter import FlopCounterMode

    pictures = 2
    model = DCGAN(config.model_copy(update={"device": "cpu", "precision": "fp32"}))
    with FlopCounterMode(display=False) as counter:
        model.train_step(torch.zeros(pictures, 3, config.img_size, config.img_size))
    return counter.get_total_flops() / pictures


_GROUPS = {
    "convolution": "convolutions",
    "mm": "matrix products",
    "batch_norm": "BatchNorm",
    "relu": "activations",
    "threshold": "activations",
    "clamp_min": "activations",
    "tanh": "activations",
    "adam": "optimiser and average",
    "lerp": "optimiser and average",
    "copy": "copies and casts",
    "add": "sums",
}


def profile_step(config: TrainConfig, *, steps: int = 5) -> pd.Series:
    """Return milliseconds of one training step by kind of operation, the longest first."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler talks into the page
    import pandas as pd
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    model, rng = DCGAN(config), stream(config.seed, "benchmark")
    shape = (config.batch_size, 3, config.img_size, config.img_size)
    images = torch.randint(256, shape, generator=rng, dtype=torch.uint8).to(model.device)
    train_batch(model, images)
    on_gpu = config.device.startswith("cuda")
    gpu = [ProfilerActivity.CUDA] if on_gpu else []
    with profile(activities=[ProfilerActivity.CPU, *gpu]) as profiled:
        for _ in range(steps):
            train_batch(model, images)
    spent: dict[str, float] = {}
    for event in profiled.key_averages():
        if event.device_type != DeviceType.CPU:
            continue  # a kernel: its time is that of the operation that started it
        time_spent = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        group = next((_GROUPS[part] for part in _GROUPS if part in event.key.lower()), "other")
        spent[group] = spent.get(group, 0.0) + time_spent / 1e3 / steps
    return pd.Series(spent, name="milliseconds").sort_values(ascending=False)


def layer_times(config: TrainConfig, *, repeats: int = 15) -> pd.DataFrame:
    """Time torch's operations and matrix products for each stride-2 layer, in turn, in bf16.

    Returns
    -------
    pandas.DataFrame
        One row a layer and operation: median milliseconds of both ways, and whether the rule of
        `convolutions.as_products` takes the products.
    """
    import pandas as pd

    discriminator = DCGAN(config.model_copy(update={"device": "cpu"})).discriminator
    strided = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d) and m.stride[0] == 2]
    rows = []
    for level, layer in enumerate(strided):
        side = config.img_size >> level
        fine_shape = (config.batch_size, layer.in_channels, side, side)
        coarse_shape = (config.batch_size, layer.out_channels, side // 2, side // 2)
        fine, coarse = (_bf16_field(shape) for shape in (fine_shape, coarse_shape))
        weight = layer.weight.detach().bfloat16()
        for operation, plain, products in _ways(fine, coarse, weight):
            taken = [[seconds_of(plain), seconds_of(products)] for _ in range(repeats + 1)][1:]
            torch_ms, products_ms = (
                statistics.median(way) * 1e3 for way in zip(*taken, strict=True)
            )
            chosen = convolutions.as_products(
                operation, len(weight), units=convolutions.bf16_units()
            )
            rows.append(
                {
                    "layer": f"{layer.in_channels} × {side} × {side}, {layer.out_channels}",
                    "operation": operation.replace("_", " "),
                    "torch": torch_ms,
                    "products": products_ms,
                    "by the rule": "products" if chosen else "torch",
                }
            )
    return pd.DataFrame(rows)


def _bf16_field(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape).bfloat16().contiguous(memory_format=torch.channels_last)


def _ways(fine: torch.Tensor, coarse: torch.Tensor, weight: torch.Tensor):
    """Yield each operation with torch's way to do it and that by products."""
    geometry = ([2, 2], [1, 1], [1, 1], False, [0, 0], 1)
    yield (
        "weight_gradient",
        lambda: torch.ops.aten.convolution_backward(
            coarse, fine, weight, None, *geometry, [False, True, False]
        ),
        lambda: convolutions.weight_gradient_by_patches(fine, coarse),
    )
    yield (
        "up",
        lambda: F.conv_transpose2d(coarse, weight, stride=2, padding=1),
        lambda: convolutions.up_by_phases(coarse, weight, fine.shape[2:]),
    )
