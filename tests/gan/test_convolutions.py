import copy
import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dcgan_utils.core import environment
from dcgan_utils.core.seeds import stream
from dcgan_utils.gan import convolutions
from dcgan_utils.gan.model import DCGAN

FIELDS = [(1, 2, 3, 4, 6), (3, 4, 2, 5, 7), (2, 1, 5, 2, 3), (5, 3, 3, 8, 8)]  # n, c, o, H, W


@pytest.fixture(params=["amx", "avx512_bf16"])
def units(request, monkeypatch):
    """As on a machine with these units, for layers of any width."""
    monkeypatch.setattr(environment, "bf16_units", lambda: request.param)
    monkeypatch.setattr(
        convolutions,
        "as_products",
        lambda operation, channels, *, units: units == "amx" or operation == "weight_gradient",
    )
    return request.param


def drawn(*shape, dtype=torch.float64):
    """Numbers in [-1, 1], channels last, as the networks keep their fields."""
    rng = stream(len(shape) + sum(shape), "layers")
    values = torch.rand(shape, generator=rng, dtype=torch.float64) * 2 - 1
    return values.to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()


def down(fine, weight):
    return F.conv2d(fine, weight, stride=2, padding=1)


def up(coarse, weight):
    return F.conv_transpose2d(coarse, weight, stride=2, padding=1)


@pytest.mark.parametrize(("n", "c", "o", "height", "width"), FIELDS)
def test_gradients_are_those_of_the_layer(units, n, c, o, height, width):
    weight = drawn(o, c, 4, 4)
    assert torch.autograd.gradcheck(convolutions._Down.apply, (drawn(n, c, height, width), weight))
    coarse = drawn(n, o, height // 2, width // 2)
    assert torch.autograd.gradcheck(convolutions._Up.apply, (coarse, weight))


@pytest.mark.parametrize(("n", "c", "o", "height", "width"), FIELDS)
def test_products_give_what_torch_gives(units, n, c, o, height, width):
    weight = drawn(o, c, 4, 4)
    cases = [
        (convolutions._Down.apply, down, drawn(n, c, height, width)),
        (convolutions._Up.apply, up, drawn(n, o, height // 2, width // 2)),
    ]
    for ours, theirs, field in cases:
        one, other = ours(field, weight), theirs(field, weight)
        assert torch.allclose(one, other, atol=1e-12)
        target = torch.rand_like(other)
        gradients = (torch.autograd.grad(out, (field, weight), target) for out in (one, other))
        for mine, plain in zip(*gradients, strict=True):
            assert torch.allclose(mine, plain, atol=1e-12)


def test_the_phases_fill_odd_fields_too():
    coarse, weight = drawn(2, 3, 4, 5), drawn(3, 2, 4, 4)
    for size in itertools.product((8, 9), (10, 11)):
        lacking = [size[0] - 8, size[1] - 10]
        plain = F.conv_transpose2d(coarse, weight, stride=2, padding=1, output_padding=lacking)
        assert torch.allclose(convolutions.up_by_phases(coarse, weight, size), plain, atol=1e-12)


def test_patches_do_not_depend_on_the_memory_format_or_the_pieces(monkeypatch):
    fine, coarse = drawn(5, 3, 8, 6), drawn(5, 4, 4, 3)
    whole = convolutions.weight_gradient_by_patches(fine, coarse)
    contiguous = [field.contiguous() for field in (fine, coarse)]
    assert torch.equal(convolutions.weight_gradient_by_patches(*contiguous), whole)
    monkeypatch.setattr(convolutions, "PATCH_BYTES", 2 * 12 * 16 * 3 * 8)  # two images a piece
    assert torch.allclose(convolutions.weight_gradient_by_patches(fine, coarse), whole, atol=1e-12)


def error(of, exact):
    return ((of.double() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("side", [8, 9])
def test_bf16_is_as_exact_as_torch_is(units, batch, side):
    """Both are rounded to 8 bits on the way; ours may not lose more than that."""
    c, o = 24, 40
    ours, theirs = (
        kind(c, o, 4, stride=2, padding=1, bias=False) for kind in (convolutions.Conv2d, nn.Conv2d)
    )
    theirs.load_state_dict(ours.state_dict())
    field = drawn(batch, c, side, side, dtype=torch.float32)
    target = torch.rand(batch, o, side // 2, side // 2)
    with torch.autocast("cpu", torch.bfloat16):
        outs = [layer(field) for layer in (ours, theirs)]
    assert type(outs[0].grad_fn).__name__ == "_DownBackward", "the products were not taken"
    exact = down(field.double(), ours.weight.double())
    wanted = torch.autograd.grad(exact, (field, ours.weight), target.double())
    for out, layer in zip(outs, (ours, theirs), strict=True):
        assert error(out, exact) < 2**-7
        gradients = torch.autograd.grad(out, (field, layer.weight), target.bfloat16())
        for gradient, right in zip(gradients, wanted, strict=True):
            assert gradient.dtype == torch.float32
            assert error(gradient, right.double()) < 2**-7


@pytest.mark.parametrize(
    ("ours", "theirs", "shape"),
    [
        (convolutions.Conv2d(5, 7, 4, bias=False), nn.Conv2d(5, 7, 4, bias=False), (3, 5, 4, 4)),
        (convolutions.Conv2d(5, 7, 4, bias=False), nn.Conv2d(5, 7, 4, bias=False), (3, 5, 6, 6)),
        (convolutions.Conv2d(5, 7, 4), nn.Conv2d(5, 7, 4), (3, 5, 4, 4)),
        (
            convolutions.ConvTranspose2d(5, 7, 4, bias=False),
            nn.ConvTranspose2d(5, 7, 4, bias=False),
            (3, 5, 1, 1),
        ),
        (
            convolutions.ConvTranspose2d(6, 4, 4, groups=2, bias=False),
            nn.ConvTranspose2d(6, 4, 4, groups=2, bias=False),
            (3, 6, 1, 1),
        ),
    ],
    ids=["whole field", "larger field", "bias", "one pixel", "groups"],
)
def test_a_layer_is_torchs_layer(ours, theirs, shape):
    theirs.load_state_dict(ours.state_dict())
    ours, theirs = ours.double(), theirs.double()
    field = drawn(*shape)
    one, other = ours(field), theirs(field)
    assert torch.allclose(one, other, atol=1e-12)
    target = torch.rand_like(other)
    one.backward(target)
    other.backward(target)
    assert torch.allclose(ours.weight.grad, theirs.weight.grad, atol=1e-12)


def test_frozen_weights_cost_no_gradient(units, monkeypatch):
    def unwanted(*_):
        raise AssertionError("the weight gradient was computed")

    monkeypatch.setattr(convolutions, "weight_gradient_by_patches", unwanted)
    field = drawn(2, 3, 8, 8)
    convolutions._Down.apply(field, drawn(4, 3, 4, 4).detach()).sum().backward()
    assert field.grad is not None


@pytest.mark.parametrize(
    ("operation", "channels", "units", "products"),
    [
        ("weight_gradient", 128, "amx", True),
        ("weight_gradient", 127, "amx", False),
        ("up", 127, "amx", False),
        ("up", 128, "amx", True),
        ("weight_gradient", 256, "avx512_bf16", True),
        ("weight_gradient", 255, "avx512_bf16", False),
        ("up", 512, "avx512_bf16", False),
        ("weight_gradient", 512, None, False),
    ],
)
def test_the_rule(operation, channels, units, products):
    assert convolutions.as_products(operation, channels, units=units) is products


def test_a_run_of_one_machine_goes_on_on_another(tiny, monkeypatch):
    config = tiny(width=64, img_size=32, batch_size=4, precision="bf16")
    real = drawn(4, 3, 32, 32, dtype=torch.float32).detach()
    monkeypatch.setattr(environment, "bf16_units", lambda: None)
    there = DCGAN(config)
    there.train_step(real)
    monkeypatch.setattr(environment, "bf16_units", lambda: "amx")
    here = DCGAN(config)
    here.load_state_dict(copy.deepcopy(there.state_dict()))
    losses = here.train_step(real)
    monkeypatch.setattr(environment, "bf16_units", lambda: None)
    for name, value in there.train_step(real).items():
        assert losses[name].item() == pytest.approx(value.item(), rel=0.02)


# --- Resize-convolution --------------------------------------------------------------------


def test_a_resize_convolution_is_upsampling_and_a_3x3_convolution():
    layer = convolutions.ResizeConv2d(3, 5).double()
    images = drawn(2, 3, 4, 6)
    kernel = layer.weight.flip(2, 3).transpose(0, 1)
    plain = F.conv2d(F.interpolate(images, scale_factor=2), kernel, padding=1) / 2
    assert torch.allclose(layer(images), plain)
    assert torch.autograd.gradcheck(layer, images)


def test_a_resize_convolution_takes_the_products_too(units):
    layer, images = convolutions.ResizeConv2d(8, 4), drawn(2, 8, 4, 4, dtype=torch.float32)
    plain = layer(images)
    with torch.autocast("cpu", torch.bfloat16):
        fast = layer(images)
    fast.float().square().sum().backward()
    by_products = layer.weight.grad.clone()
    layer.zero_grad()
    plain.square().sum().backward()
    assert fast.dtype == torch.bfloat16
    assert torch.allclose(fast.float(), plain, atol=0.02 * plain.abs().max().item())
    assert torch.allclose(by_products, layer.weight.grad, atol=0.05 * by_products.abs().max())


def test_a_resize_convolution_leaves_no_grid():
    constant = torch.ones(1, 6, 8, 8)
    inner = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    smooth = convolutions.ResizeConv2d(6, 2)(constant)[inner]
    rough = convolutions.ConvTranspose2d(6, 2, 4, stride=2, padding=1, bias=False)(constant)[inner]
    assert smooth.std(dim=(2, 3)).max() < 1e-6
    assert rough.std(dim=(2, 3)).min() > 1e-3


def test_a_resize_convolution_begins_as_the_other_layers_do():
    weight = convolutions.ResizeConv2d(64, 64).weight
    assert weight.mean().item() == pytest.approx(0, abs=1e-3)
    assert weight.std().item() == pytest.approx(0.02, rel=0.03)


@pytest.mark.parametrize(
    ("capabilities", "units"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "amx"),
        ({"amx_bf16": False, "avx512_bf16": True}, "avx512_bf16"),
        ({"avx512_f": True}, None),
    ],
)
def test_the_units_are_the_fastest_that_the_cpu_has(monkeypatch, capabilities, units):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert environment.bf16_units.__wrapped__() == units
