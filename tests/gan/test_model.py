import copy
import math

import pytest
import torch
from torch.nn import functional as F

from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.model import DCGAN


@pytest.fixture
def model(tiny):
    return DCGAN(tiny())


def reals(n=4, side=32):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def weights(network):
    return torch.cat([p.detach().clone().flatten() for p in network.parameters()])


def test_losses_are_cross_entropies_with_the_labels(model):
    logits = torch.tensor([-2.0, 0.5, 3.0])
    verdicts = logits.sigmoid()
    for loss, label in ((model.real_loss, 0.8), (model.fake_loss, 0.1)):
        expected = F.binary_cross_entropy(verdicts, torch.full((3,), label))
        assert loss(logits).item() == pytest.approx(expected.item(), rel=1e-6)
    assert math.isfinite(model.real_loss(torch.tensor([-1000.0])).item())


def test_training_the_discriminator_leaves_the_generator_alone(model):
    generator, discriminator = weights(model.generator), weights(model.discriminator)
    said = model.train_discriminator(reals(), model.generate(4))
    assert torch.equal(weights(model.generator), generator)
    assert not torch.equal(weights(model.discriminator), discriminator)
    assert all(p.grad is None for p in model.generator.parameters())
    assert 0 <= said["d_real"] <= 1
    assert 0 <= said["d_fake"] <= 1


def test_training_the_generator_leaves_the_discriminator_alone(model):
    generator, discriminator = weights(model.generator), weights(model.discriminator)
    model.train_generator(model.generate(4))
    assert not torch.equal(weights(model.generator), generator)
    assert torch.equal(weights(model.discriminator), discriminator)
    assert all(p.requires_grad and p.grad is None for p in model.discriminator.parameters())


def test_discriminator_learns_to_tell_apart(model):
    fakes = -reals()
    before = model.train_discriminator(reals(), fakes)
    for _ in range(20):
        after = model.train_discriminator(reals(), fakes)
    assert after["d_loss_real"] + after["d_loss_fake"] < (
        before["d_loss_real"] + before["d_loss_fake"]
    )
    assert after["d_real"] > after["d_fake"]


def test_generator_learns_to_be_mistaken(model):
    losses = [model.train_generator(model.generate(16))["g_loss"].item() for _ in range(25)]
    assert losses[-1] < losses[0]


def test_the_moving_average_follows_the_generator(tiny):
    model = DCGAN(tiny(ema=0.9))
    for _ in range(3):
        model.train_step(reals())
    assert not torch.equal(weights(model.ema), weights(model.generator))
    for _ in range(60):
        model._update_ema()
    assert torch.allclose(weights(model.ema), weights(model.generator), atol=1e-3)
    assert not model.ema.training
    running = [b for b in model.ema.buffers() if b.is_floating_point()]
    trained = [b for b in model.generator.buffers() if b.is_floating_point()]
    assert all(torch.allclose(a, b, atol=1e-2) for a, b in zip(running, trained, strict=True))


def test_without_memory_the_average_is_the_generator(tiny):
    model = DCGAN(tiny(ema=0))
    model.train_step(reals())
    assert torch.equal(weights(model.ema), weights(model.generator))


def test_paired_runs_start_alike_whatever_the_noise(tiny):
    one, other = DCGAN(tiny(noise="normal")), DCGAN(tiny(noise="gamma"))
    assert torch.equal(weights(one.generator), weights(other.generator))
    assert torch.equal(weights(one.discriminator), weights(other.discriminator))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augment": "diffaugment", "instance_noise": 0.1},
        {"augment": "ada", "layer_noise": 0.1, "real_label": 1.0, "fake_label": 0.0},
        {"augment": "layers", "architecture": "pokemon"},
    ],
)
def test_a_restored_model_goes_on_as_if_nothing_had_been(tiny, changes):
    one, other = DCGAN(tiny(**changes)), DCGAN(tiny(**changes))
    one.augment_probability = 0.5
    one.train_step(reals())
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    assert other.augment_probability == one.augment_probability
    for model in (one, other):
        model.train_step(reals())
    assert torch.equal(weights(one.generator), weights(other.generator))
    assert torch.equal(weights(one.discriminator), weights(other.discriminator))
    assert torch.equal(weights(one.ema), weights(other.ema))


@pytest.mark.parametrize("img_size", [32, 64, 128, 256])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_works_at_every_size_and_precision(img_size, precision):
    config = TrainConfig.resolve(
        img_size=img_size, width=4, noise_size=3, precision=precision, device="cpu"
    )
    losses = DCGAN(config).train_step(reals(2, img_size))
    assert all(math.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize("where", ["instance_noise", "layer_noise"])
@pytest.mark.parametrize("architecture", ["dcgan", "pokemon"])
def test_noise_changes_the_verdict_until_it_has_decayed(tiny, where, architecture):
    model = DCGAN(tiny(**{where: 0.5}, architecture=architecture))
    model.discriminator.eval()
    noisy = model.discriminate(reals())
    model.noise_scale = 0.0
    assert torch.equal(model.discriminate(reals()), model.discriminate(reals()))
    assert not torch.allclose(noisy, model.discriminate(reals()))


@pytest.mark.parametrize(("bias", "rises"), [(50.0, True), (-50.0, False)])
def test_ada_follows_the_sign_of_the_verdict_on_real_images(tiny, bias, rises):
    model = DCGAN(tiny(augment="ada", architecture="pokemon"))
    model.augment_probability = 0.5
    with torch.no_grad():
        model.discriminator.blocks[-1][-1].bias += bias
    model.train_discriminator(reals(), model.generate(4))
    assert (model.augment_probability > 0.5) == rises


def test_ada_begins_with_the_images_as_they_are(tiny):
    plain, adaptive = DCGAN(tiny()), DCGAN(tiny(augment="ada"))
    for model in (plain, adaptive):
        model.discriminator.eval()
    assert torch.equal(plain.discriminate(reals()), adaptive.discriminate(reals()))


def test_the_optimisers_have_the_epsilon(tiny):
    model = DCGAN(tiny(eps=1e-7))
    assert model.generator_optimizer.param_groups[0]["eps"] == 1e-7


def test_a_weight_that_is_no_number_is_noticed(model):
    assert model.is_finite()
    next(model.discriminator.parameters()).data[0] = float("nan")
    assert not model.is_finite()
