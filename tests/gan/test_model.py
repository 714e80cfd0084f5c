import copy
import math

import pytest
import torch
from helpers import equal_states
from torch.nn import functional as F

from dcgan_utils.core.seeds import stream
from dcgan_utils.gan import augment
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


# --- Two updates, written out from the papers ----------------------------------------------


class Adam:
    """Kingma and Ba 2015, algorithm 1."""

    def __init__(self, network, *, lr, beta1, beta2, eps):
        self.weights = list(network.parameters())
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps
        self.m = [torch.zeros_like(weight) for weight in self.weights]
        self.v = [torch.zeros_like(weight) for weight in self.weights]
        self.t = 0

    def minimise(self, loss):
        self.t += 1
        gradients = torch.autograd.grad(loss, self.weights)
        for weight, g, m, v in zip(self.weights, gradients, self.m, self.v, strict=True):
            m.copy_(self.beta1 * m + (1 - self.beta1) * g)
            v.copy_(self.beta2 * v + (1 - self.beta2) * g * g)
            m_hat = m / (1 - self.beta1**self.t)
            v_hat = v / (1 - self.beta2**self.t)
            weight.data -= self.lr * m_hat / (v_hat.sqrt() + self.eps)


def cross_entropy(logits, label):
    verdict = 1 / (1 + (-logits).exp())
    return -(label * verdict.log() + (1 - label) * (1 - verdict).log()).mean()


def assert_same_state(one, other):
    for (name, ours), theirs in zip(
        one.state_dict().items(), other.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-6, msg=name)


@pytest.mark.parametrize(
    ("architecture", "ema"), [("dcgan", 0.15), ("resize", 0.999), ("pokemon", 0.999)]
)
def test_two_updates_follow_adam_and_the_cross_entropy(tiny, architecture, ema):
    adam = {"lr": 0.01, "beta1": 0.3, "beta2": 0.9, "eps": 0.02}
    config = tiny(architecture=architecture, real_label=0.7, fake_label=0.2, ema=ema, **adam)
    model = DCGAN(config)
    generator, discriminator = copy.deepcopy(model.generator), copy.deepcopy(model.discriminator)
    average = copy.deepcopy(generator)
    for_generator, for_discriminator = Adam(generator, **adam), Adam(discriminator, **adam)
    rng = stream(config.seed, "noise")
    for step, real in enumerate((reals(), reals().flip(2)), start=1):
        fake = generator(config.prior.sample(4, config.noise_size, generator=rng))
        on_real, on_fake = discriminator(real), discriminator(fake.detach())
        expected = {
            "d_loss_real": cross_entropy(on_real, 0.7),
            "d_loss_fake": cross_entropy(on_fake, 0.2),
            "d_real": on_real.sigmoid().mean(),
            "d_fake": on_fake.sigmoid().mean(),
        }
        for_discriminator.minimise(expected["d_loss_real"] + expected["d_loss_fake"])
        expected["g_loss"] = cross_entropy(discriminator(fake), 0.7)
        for_generator.minimise(expected["g_loss"])
        decay = min(ema, step / (step + 9))
        for kept, new in zip(
            average.state_dict().values(), generator.state_dict().values(), strict=True
        ):
            kept.copy_(decay * kept + (1 - decay) * new if kept.is_floating_point() else new)
        said = model.train_step(real)
        assert {name: value.item() for name, value in said.items()} == pytest.approx(
            {name: value.item() for name, value in expected.items()}, rel=1e-5
        )
    assert_same_state(model.discriminator, discriminator)
    assert_same_state(model.generator, generator)
    assert_same_state(model.ema, average)


def test_an_untrained_average_is_the_generator(model):
    assert equal_states(model.ema.state_dict(), model.generator.state_dict())
    assert not any(p.requires_grad for p in model.ema.parameters())


def test_the_default_adam_is_the_studys(tiny):
    model = DCGAN(tiny())
    for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"], group["eps"]) == (2e-4, (0.5, 0.999), 1e-8)
        assert (group["weight_decay"], group["amsgrad"], group["maximize"]) == (0, False, False)


def test_losses_of_half_precision_logits_are_computed_in_single_precision(model):
    logits = torch.tensor([0.3, -2.0], dtype=torch.bfloat16)
    assert model.real_loss(logits).dtype == torch.float32
    assert model.real_loss(logits).item() == model.real_loss(logits.float()).item()


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_networks_compute_in_the_precision(tiny, precision, kind):
    model = DCGAN(tiny(precision=precision))
    fakes = model.generate(2)
    assert (fakes.dtype, model.discriminate(fakes).dtype) == (kind, kind)
    assert {p.dtype for p in model.generator.parameters()} == {torch.float32}


# --- Noise and augmentation before the verdict ----------------------------------------------


def seen_by_the_discriminator(model, images):
    """Return what reaches the discriminator, and the noise that its blocks are given."""
    seen = []
    model.discriminator = lambda images, noise: seen.append((images, noise))
    model.discriminate(images)
    return seen[0]


@pytest.mark.parametrize(("deviation", "left"), [(0.5, 1.0), (0.5, 0.25), (0.1, 1.0)])
def test_instance_noise_has_its_deviation_times_what_is_left(tiny, deviation, left):
    model = DCGAN(tiny(instance_noise=deviation, layer_noise=0.0))
    model.noise_scale = left
    images = reals(64)
    noisy, layer_noise = seen_by_the_discriminator(model, images)
    assert (noisy - images).std().item() == pytest.approx(deviation * left, rel=0.02)
    assert (noisy - images).mean().item() == pytest.approx(0, abs=0.01 * deviation)
    assert layer_noise is None


def test_layer_noise_has_its_deviation_times_what_is_left(tiny):
    model = DCGAN(tiny(instance_noise=0.0, layer_noise=0.4))
    model.noise_scale = 0.5
    images, noise = seen_by_the_discriminator(model, reals())
    assert torch.equal(images, reals())
    assert noise(torch.ones(100, 8, 4, 4)).std().item() == pytest.approx(0.2, rel=0.03)
    assert noise(torch.ones(100, 8, 4, 4)).mean().item() == pytest.approx(1, abs=0.01)


def test_every_verdict_is_on_augmented_images(tiny, monkeypatch):
    model = DCGAN(tiny(augment="diffaugment"))
    changed, inside = [], augment.augment_inputs

    def noting(policy, images, rng, *, probability):
        changed.append((policy, images.detach().clone(), probability))
        return inside(policy, images, rng, probability=probability)

    monkeypatch.setattr(augment, "augment_inputs", noting)
    model.augment_probability = 0.3
    model.train_step(reals())
    (_, real, _), (_, fake, _), (_, again, _) = changed
    assert torch.equal(real, reals())
    assert torch.equal(fake, again)
    assert {(policy, probability) for policy, _, probability in changed} == {("diffaugment", 0.3)}


@pytest.mark.parametrize(
    ("real_label", "fake_label", "logit", "rises"),
    [
        (1.0, 0.0, 0.01, True),
        (1.0, 0.0, -0.01, False),
        # The study's labels balance at 0.45, whose logit is -0.2007.
        (0.8, 0.1, -0.195, True),
        (0.8, 0.1, -0.206, False),
        # And these at 0.65, whose logit is 0.6190.
        (0.9, 0.4, 0.625, True),
        (0.9, 0.4, 0.613, False),
    ],
)
def test_ada_counts_verdicts_on_real_images_from_the_balance_of_the_labels(
    tiny, monkeypatch, real_label, fake_label, logit, rises
):
    model = DCGAN(tiny(augment="ada", real_label=real_label, fake_label=fake_label))
    model.augment_probability = 0.5
    said = [torch.full((4,), sign * logit, requires_grad=True) for sign in (1, -1)]
    monkeypatch.setattr(model, "discriminate", lambda images: said.pop(0))
    model.train_discriminator(reals(), reals())
    step = 4 / 50_000
    assert model.augment_probability == pytest.approx(0.5 + (step if rises else -step), abs=1e-9)
