import copy

import pytest
import torch
from torch import nn

from dcgan_utils.core.seeds import stream
from dcgan_utils.gan import convolutions, networks


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
