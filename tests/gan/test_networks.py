import copy

import pytest
import torch
from torch import nn

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.seeds import seed32, stream
from dcgan_utils.gan import convolutions, networks
from dcgan_utils.gan.config import TrainConfig


@pytest.mark.parametrize("img_size", networks.IMG_SIZES)
@pytest.mark.parametrize("noise_size", [1, 100])
@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_shapes_and_ranges(architecture, img_size, noise_size):
    generator, discriminator = networks.build_networks(
        architecture, noise_size=noise_size, img_size=img_size, width=4
    )
    images = generator(torch.randn(3, noise_size))
    assert images.shape == (3, 3, img_size, img_size)
    assert images.abs().max() <= 1
    assert discriminator(images).shape == (3,)


def test_width_64_at_64_px_is_the_network_of_the_tutorial():
    # The parameter counts of the PyTorch DCGAN tutorial's networks (nz=100, ngf=ndf=64).
    generator, discriminator = networks.build_networks(
        "dcgan", noise_size=100, img_size=64, width=64
    )
    assert sum(p.numel() for p in generator.parameters()) == 3_576_704
    assert sum(p.numel() for p in discriminator.parameters()) == 2_765_568


def test_channels_stop_growing_at_eight_times_the_width():
    generator, _ = networks.build_networks("dcgan", noise_size=8, img_size=256, width=4)
    channels = [m.num_features for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert channels == [32, 32, 32, 16, 8, 4]


def test_batchnorm_is_everywhere_but_where_the_paper_leaves_it_out():
    generator, discriminator = networks.build_networks("dcgan", noise_size=8, img_size=64, width=4)

    def normalised(network):
        return [any(isinstance(m, nn.BatchNorm2d) for m in block) for block in network.blocks]

    assert normalised(generator) == [True, True, True, True, False]
    assert normalised(discriminator) == [False, True, True, True, False]


def test_the_second_study_leaves_batchnorm_out_of_the_first_and_the_last_block():
    generator, discriminator = networks.build_networks(
        "pokemon", noise_size=8, img_size=64, width=4
    )

    def normalised(network):
        return [any(isinstance(m, nn.BatchNorm2d) for m in block) for block in network.blocks]

    assert normalised(generator) == [False, True, True, True, False]
    assert normalised(discriminator) == [False, True, True, True, False, False]
    kernels = [m.kernel_size[0] for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [3, 5, 5, 5, 5]
    assert isinstance(generator.blocks[0][0], nn.Linear)


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_layer_noise_reaches_every_block_but_the_last(architecture):
    _, discriminator = networks.build_networks(architecture, noise_size=8, img_size=32, width=4)
    shapes = []

    def noise(fields):
        shapes.append(tuple(fields.shape[2:]))
        return fields

    images = torch.randn(2, 3, 32, 32)
    discriminator.eval()
    assert torch.equal(discriminator(images, noise), discriminator(images))
    assert len(shapes) == len(discriminator.blocks) - 1
    assert shapes[0] == (16, 16)


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_weights_begin_as_the_paper_says(architecture):
    generator, _ = networks.build_networks(architecture, noise_size=100, img_size=64, width=32)
    networks.initialise_weights(generator, stream(0, "init"))
    for module in generator.modules():
        if isinstance(module, nn.Linear):
            assert not module.bias.any()
        if isinstance(module, nn.ConvTranspose2d | nn.Linear | convolutions.ResizeConv2d):
            assert module.weight.mean().item() == pytest.approx(0, abs=1e-3)
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1, abs=0.02)
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.5)
            assert not module.bias.any()


def test_one_seed_gives_one_beginning():
    def weights(seed):
        generator, _ = networks.build_networks("dcgan", noise_size=8, img_size=32, width=4)
        networks.initialise_weights(generator, stream(seed, "init"))
        return nn.utils.parameters_to_vector(generator.parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_streams_of_different_purposes_differ():
    drawn = [torch.rand(4, generator=stream(0, purpose)) for purpose in ("init", "noise")]
    assert not torch.equal(*drawn)


def test_layer_table_counts_all_parameters_and_leaves_no_trace():
    generator, discriminator = networks.build_networks("dcgan", noise_size=8, img_size=32, width=4)
    for network, shape in ((generator, (8,)), (discriminator, (3, 32, 32))):
        before = copy.deepcopy(network.state_dict())
        table = networks.layer_table(network, shape)
        assert table["parameters"].sum() == sum(p.numel() for p in network.parameters())
        assert network.training
        assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
        assert not any(m._forward_hooks for m in network.modules())
    assert table["output"].iloc[0] == "4 × 16 × 16"
    assert table["layer"].iloc[0] == "Conv2d 4×4, stride 2"


def test_the_scale_of_the_noise_cancels_but_its_mean_does_not():
    # What the noise study rests on: the first block ends in BatchNorm.
    generator, _ = networks.build_networks("dcgan", noise_size=100, img_size=32, width=8)
    networks.initialise_weights(generator, stream(0, "init"))
    first = generator.blocks[0]
    z = torch.randn(256, 100, 1, 1, generator=stream(0, "noise"))
    with torch.no_grad():
        plain, scaled, shifted = first(z), first(10 * z), first(z + 2)
    assert torch.allclose(plain, scaled, atol=1e-2)
    assert not torch.allclose(plain, shifted, atol=0.5)
    assert shifted.var(dim=0).mean() < 0.5 * plain.var(dim=0).mean()


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_both_networks_begin_with_a_deviation_of_0_02(architecture):
    kernels, factors, zeros = [], [], []
    for network in networks.build_networks(architecture, noise_size=100, img_size=64, width=32):
        networks.initialise_weights(network, stream(0, "init"))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                factors.append(module.weight)
            elif hasattr(module, "weight"):
                kernels.append(module.weight.flatten())
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            if getattr(module, "bias", None) is not None:
                zeros.append(module.bias)
    assert torch.cat(kernels).mean().item() == pytest.approx(0, abs=1e-4)
    assert torch.cat(kernels).std().item() == pytest.approx(0.02, rel=0.01)
    assert torch.cat(factors).mean().item() == pytest.approx(1, abs=0.003)
    assert torch.cat(factors).std().item() == pytest.approx(0.02, rel=0.1)
    assert not torch.cat(zeros).any()


@pytest.mark.parametrize(
    ("architecture", "of_generator", "of_discriminator"),
    [
        # A kernel k x k of a to b channels has a b k k weights, a BatchNorm of c channels 2 c.
        ("dcgan", 2048 + 2048 + 512 + 192 + 56, 192 + 512 + 2048 + 256 + 48),
        ("resize", 2048 + 1152 + 288 + 108 + 56, 192 + 512 + 2048 + 256 + 48),
        ("pokemon", 2304 + 3200 + 800 + 300 + 24, 112 + 408 + 816 + 3216 + 65),
    ],
)
def test_each_network_has_its_number_of_weights(architecture, of_generator, of_discriminator):
    built = networks.build_networks(architecture, noise_size=8, img_size=32, width=4)
    counts = [sum(p.numel() for p in network.parameters()) for network in built]
    assert counts == [of_generator, of_discriminator]


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_activations_are_the_papers(architecture):
    generator, discriminator = networks.build_networks(
        architecture, noise_size=8, img_size=64, width=4
    )
    *hidden, last = (block[-1] for block in generator.blocks)
    assert [type(activation) for activation in hidden] == [nn.ReLU] * len(hidden)
    assert isinstance(last, nn.Tanh)
    *hidden, last = (block[-1] for block in discriminator.blocks)
    assert [activation.negative_slope for activation in hidden] == [0.2] * len(hidden)
    assert last.weight.shape[0] == 1


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_normalisation_is_torchs_usual_one(architecture):
    for network in networks.build_networks(architecture, noise_size=8, img_size=64, width=4):
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        assert {(m.eps, m.momentum, m.affine) for m in norms} == {(1e-5, 0.1, True)}


@pytest.mark.parametrize(
    ("seed", "purpose", "state", "numbers"),
    [
        (0, "init", 7797302695267191734, [693, 316, 224, 978]),
        (0, "noise", 6667201576106393138, [507, 438, 852, 682]),
        (1, "noise", 8776460420632715637, [181, 565, 496, 515]),
        (0, "order", 5618756638689033999, [576, 140, 992, 398]),
        (2**32, "init", 2455674946376769857, [240, 834, 948, 381]),
    ],
)
def test_published_seeds_keep_their_numbers(seed, purpose, state, numbers):
    assert stream(seed, purpose).initial_seed() == state
    drawn = torch.randint(0, 1000, (4,), generator=stream(seed, purpose))
    assert drawn.tolist() == numbers


def test_streams_are_independent_of_one_another():
    purposes = ("init", "noise", "augment", "order", "flip", "preview", "sample", "draw")
    streams = [stream(seed, purpose) for purpose in purposes for seed in (0, 1)]
    drawn = torch.stack([torch.rand(10_000, generator=rng) for rng in streams])
    assert (torch.corrcoef(drawn) - torch.eye(16)).abs().max() < 0.05


@pytest.mark.parametrize(("seed", "fitted"), [(7, 7), (2**32 - 1, 2**32 - 1), (2**32 + 5, 5)])
def test_a_long_seed_is_fitted_into_32_bits(seed, fitted):
    assert seed32(seed) == fitted


# --- What the first BatchNorm normalises ---


@pytest.mark.parametrize("architecture", ["dcgan", "resize"])
def test_per_channel_places_share_their_statistics_and_per_unit_they_do_not(architecture):
    sizes = {"noise_size": 50, "img_size": 32, "width": 8}
    z = torch.randn(64, 50, generator=stream(0, "z")) + 2  # a mean, which is a pattern of places
    for first_norm in ("channel", "unit"):
        generator, _ = networks.build_networks(architecture, **sizes, first_norm=first_norm)
        networks.initialise_weights(generator, stream(0, "init"))
        *linear_and_norm, _ = generator.train().blocks[0]
        normalised = nn.Sequential(*linear_and_norm)(z[:, :, None, None]).detach()
        assert normalised.shape == generator.first_feature_map(z).shape
        means = normalised.mean(dim=0)  # of each channel and place
        if first_norm == "unit":
            assert means.abs().max() < 1e-5
        else:
            assert means.mean(dim=(1, 2)).abs().max() < 1e-5
            assert means.std(dim=(1, 2)).min() > 0.3


@pytest.mark.parametrize("architecture", ["dcgan", "resize", "pokemon"])
def test_the_first_feature_map_is_that_of_the_first_layer_alone(architecture):
    generator, _ = networks.build_networks(architecture, noise_size=20, img_size=32, width=8)
    z = torch.randn(3, 20, generator=stream(0, "z"))
    found = generator.first_feature_map(z)
    assert found.shape[0] == 3
    assert found.shape[2:] == (4, 4)
    twice = generator.first_feature_map(2 * z)
    bias = generator.first_feature_map(0 * z)
    assert torch.allclose(twice - bias, 2 * (found - bias), atol=1e-5), "linear, no BatchNorm"


def test_weights_per_unit_are_initialised_like_batchnorm():
    generator, _ = networks.build_networks(
        "dcgan", noise_size=9, img_size=32, width=64, first_norm="unit"
    )
    networks.initialise_weights(generator, stream(0, "init"))
    (norm,) = (m for m in generator.modules() if isinstance(m, nn.BatchNorm1d))
    assert norm.num_features == 16 * 256
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.002)
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert (norm.bias == 0).all()


def test_first_norm_belongs_to_architectures_that_have_one():
    with pytest.raises(WorkbookError, match="no effect on architecture pokemon"):
        TrainConfig.resolve(preset="pokemon", first_norm="unit")
    with pytest.raises(WorkbookError, match="first_norm must be one of channel, unit"):
        TrainConfig.resolve(first_norm="layer")
