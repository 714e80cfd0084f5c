from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType

from dcgan_utils.study import benchmark


def test_operations_of_a_step_are_those_counted_by_hand(tiny):
    config = tiny(width=2, noise_size=5)
    # Multiplications and additions of each layer at 32 px: channels * channels * taps * places.
    inner = 2 * (2 * 4 * 16 * 64 + 4 * 8 * 16 * 16)
    image, vector, logit = 2 * 3 * 2 * 16 * 256, 2 * 5 * 8 * 16, 2 * 8 * 16
    generator = 3 * inner + 3 * image + 2 * vector  # forward, weights, inputs but the vector's
    # Forward three times; weights for real and generated; inputs three times, images' but once.
    discriminator = 8 * inner + (3 + 2 + 1) * image + 8 * logit
    assert benchmark.operations_per_image(config) == generator + discriminator


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_profile_tells_the_convolutions_from_the_rest(tiny, precision):
    spent = benchmark.profile_step(tiny(precision=precision), steps=1)
    assert {"convolutions", "BatchNorm"} <= set(spent.index)
    assert (spent > 0).all()
    assert spent.is_monotonic_decreasing


def test_layers_are_timed_both_ways(tiny):
    times = benchmark.layer_times(tiny(width=4, precision="bf16"), repeats=2)
    assert times["layer"].unique().tolist() == ["3 × 32 × 32, 4", "4 × 16 × 16, 8", "8 × 8 × 8, 16"]
    assert (times[["torch", "products"]] > 0).all(axis=None)
    assert set(times["by the rule"]) == {"torch"}, "these layers are too small"


def test_a_profile_is_milliseconds_of_one_step(tiny, monkeypatch):
    microseconds = {
        "aten::mkldnn_convolution": 6000, "aten::addmm": 3000, "aten::native_batch_norm": 1500,
        "aten::leaky_relu": 750, "aten::tanh": 750, "aten::_fused_adam_": 600, "aten::copy_": 300,
        "aten::add_": 150, "aten::zeros": 60,
    }  # fmt: skip
    events = [
        SimpleNamespace(key=key, device_type=DeviceType.CPU, self_cpu_time_total=time)
        for key, time in microseconds.items()
    ]
    kernel = SimpleNamespace(key="aten::add_", device_type=DeviceType.CUDA, self_cpu_time_total=9e9)

    @contextmanager
    def profile(activities):
        yield SimpleNamespace(key_averages=lambda: [*events, kernel])

    monkeypatch.setattr(torch.profiler, "profile", profile)
    assert benchmark.profile_step(tiny(), steps=3).to_dict() == pytest.approx({
        "convolutions": 2, "matrix products": 1, "BatchNorm": 0.5, "activations": 0.5,
        "optimiser and average": 0.2, "copies and casts": 0.1, "sums": 0.05, "other": 0.02,
    })  # fmt: skip
