import pytest
import torch
from helpers import some
from torch import nn

from dcgan_utils.core.seeds import stream
from dcgan_utils.data import statistics
from dcgan_utils.data.tensors import rms_difference
from dcgan_utils.gan import networks, priors
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.study import theory

ROOT = 2**0.5
EXPLAINING = (
    "uniform, normal, gamma, N(-1, 1), N(1, 1), N(0, 0.01), N(0, 100), "
    "standardized(gamma(2, 1)), N(3, 1), bernoulli, laplace, student_t(3), sphere"
)


def fresh(architecture, noise_size=50, width=16):
    generator, _ = networks.build_networks(
        architecture, noise_size=noise_size, img_size=64, width=width
    )
    networks.initialise_weights(generator, stream(0, "init"))
    return generator.train()


def drawn(n=64, noise_size=50):
    return torch.randn(n, noise_size, generator=stream(0, "z"))


@pytest.mark.parametrize("noise_size", [100, 4])
def test_the_measured_share_is_the_predicted_one(noise_size):
    table = theory.shares(priors.parse_list(EXPLAINING), noise_size=noise_size)
    assert table["measured"].to_numpy() == pytest.approx(table["predicted"].to_numpy(), abs=0.05)
    assert table.loc["N(1, 1)", "predicted"] == 0.5
    assert table.loc["Gamma(2, 1)", "predicted"] == pytest.approx(1 / 3)
    assert table.loc["standardized Gamma(2, 1)", "measured"] > 0.99


@pytest.mark.parametrize(
    ("ratio", "share"), [(0, 1), (0.5, 0.8), (1, 0.5), (-1, 0.5), (ROOT, 1 / 3), (2, 0.2), (3, 0.1)]
)
def test_the_predicted_share_is_one_over_one_and_the_ratio_s_square(ratio, share):
    assert theory.predicted_share(ratio) == pytest.approx(share)


@pytest.mark.parametrize(
    ("prior", "share"),
    [("N(0, 1)", 1), ("N(1, 1)", 1 / 2), ("N(0, 100)", 1), ("N(-2, 1)", 1 / 5), ("N(3, 1)", 1 / 10),
     ("gamma(2, 1)", 1 / 3), ("uniform(0, 1)", 1 / 4), ("bernoulli(0.5)", 1)],
)  # fmt: skip
def test_the_measured_share_of_known_priors(prior, share):
    assert theory.measured_share(priors.parse(prior)) == pytest.approx(share, rel=0.2)


def test_the_measured_share_is_that_of_the_variance_between_images(monkeypatch):
    """Two channels of two places, and two images: 2 of 3 and 8 of 8 parts lie between these."""
    places = torch.tensor([[[0.0, 2.0], [0.0, 0.0]], [[2.0, 4.0], [4.0, 4.0]]])[..., None]
    stub = type("Stub", (), {"first_feature_map": lambda self, z: places})()
    monkeypatch.setattr(theory.networks, "Generator", lambda **sizes: stub)
    monkeypatch.setattr(theory.networks, "initialise_weights", lambda *given: None)
    assert theory.measured_share(priors.parse("normal")) == pytest.approx((2 / 3 + 1) / 2)


def test_sensitivity_is_relative_to_the_difference_of_other_images():
    z = torch.tensor([[1.0], [-1.0]])
    assert theory.sensitivity(nn.Identity(), z) == pytest.approx(
        {"std × 0.1": 0.9 / 2, "std × 10": 9 / 2, "mean + 1 std": ROOT / 2}
    )


def test_the_biases_are_moved_by_a_fiftieth(monkeypatch):
    deviations = []

    def sensitivity(generator, z):
        assert z.shape == (128, 100)
        linear = [m for m in generator.modules() if isinstance(m, nn.Linear)]
        deviations.append([m.bias.std().item() for m in linear])
        return {}

    monkeypatch.setattr(theory, "sensitivity", sensitivity)
    theory.sensitivities()
    assert deviations[:2] == [[], [0]]
    assert deviations[2] == [pytest.approx(0.02, rel=0.1)]


def gradients(generator, z):
    """Return the images, and the gradients of vectors and weights for one way to judge them."""
    z = z.clone().requires_grad_()
    generator.zero_grad()
    images = generator(z)
    judge = torch.randn(images.shape[1:], generator=stream(1, "judge"))
    (images * judge).mean().backward()
    return images.detach(), z.grad, [p.grad.clone() for p in generator.parameters()]


@pytest.mark.parametrize("architecture", ["dcgan", "resize"])
@pytest.mark.parametrize("factor", [10.0, 0.3])
def test_the_scale_of_the_noise_cancels_in_images_and_gradients(architecture, factor):
    generator = fresh(architecture).double()
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-30  # which is all that remembers the scale
    z = drawn().double()
    images, by_z, by_weights = gradients(generator, z)
    scaled, by_scaled, by_weights_scaled = gradients(generator, factor * z)
    assert torch.allclose(images, scaled, atol=1e-9)
    assert torch.allclose(by_z, factor * by_scaled, rtol=1e-6, atol=1e-12)
    for one, other in zip(by_weights, by_weights_scaled, strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-12)


def test_with_epsilon_the_scale_hardly_matters_and_the_mean_does():
    apart = theory.sensitivity(fresh("dcgan"), drawn())
    assert max(apart["std × 0.1"], apart["std × 10"]) < 0.01
    assert apart["mean + 1 std"] > 0.3
    others = torch.randn(64, 50, generator=stream(5, "z"))
    changed = rms_difference(fresh("dcgan")(drawn()), fresh("dcgan")(others))
    images = fresh("dcgan")(drawn())
    assert changed / rms_difference(images, images.roll(1, 0)) == pytest.approx(1, abs=0.1)


def test_the_pokemon_architecture_feels_scale_and_mean_once_its_biases_have_moved(tiny):
    model = DCGAN(tiny(architecture="pokemon", lr=0.01))
    z = torch.randn(32, 8, generator=stream(0, "z"))
    at_first = theory.sensitivity(model.generator, z)
    assert at_first["std × 10"] < 0.01, "without biases a ReLU hands the scale on to BatchNorm"
    for _ in range(5):
        model.train_step(torch.rand(4, 3, 32, 32, generator=stream(0, "real")) * 2 - 1)
    later = theory.sensitivity(model.generator, z)
    assert min(later.values()) > 0.03

    control = DCGAN(tiny(lr=0.01))
    for _ in range(5):
        control.train_step(torch.rand(4, 3, 32, 32, generator=stream(0, "real")) * 2 - 1)
    assert theory.sensitivity(control.generator, z)["std × 10"] < 0.01


def test_measuring_leaves_the_generator_as_it_was():
    generator = fresh("dcgan").eval()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    theory.sensitivity(generator, drawn())
    assert not generator.training
    for name, value in generator.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_only_moved_biases_make_the_second_study_s_generator_feel_the_scale():
    table = theory.sensitivities()
    assert list(table.index) == ["dcgan", "pokemon", "pokemon, random biases"]
    assert (table.loc[["dcgan", "pokemon"], ["std × 0.1", "std × 10"]] < 0.05).all(axis=None)
    assert (table.loc["pokemon, random biases", ["std × 0.1", "std × 10"]] > 0.05).all()
    assert (table["mean + 1 std"] > 0.1).all()


# --- Theory over the training --------------------------------------------------------------


def test_the_scale_cancels_bit_for_bit_with_epsilon_and_nearly_without():
    images = some(40, side=32)
    found = theory.scale_identity(images, (0.125, 1024.0), updates=3)
    assert list(found.index) == ["N(0, 0.125²)", "N(0, 1024²)"]
    assert (found["epsilon scaled"] == 0).all()
    assert found["usual epsilon"].between(1e-9, 1e-2).all()


def test_the_identity_compares_trained_weights_of_both_networks(monkeypatch):
    images, seen = some(20, side=32), []
    first = theory._trained_weights(images, 1.0, updates=2, seed=0)
    untrained = theory._short_model(noise="normal", seed=0)
    both = [*untrained.generator.parameters(), *untrained.discriminator.parameters()]
    assert len(first) == len(both)
    assert not any(torch.equal(one, other) for one, other in zip(first, both, strict=True))
    monkeypatch.setattr(theory, "_train_briefly", lambda *given: seen.append(given))
    model_eps = [
        theory._trained_weights(images, 8.0, updates=2, seed=0, factor=factor)
        and seen[-1][0].generator.blocks[0][1].eps
        for factor in (1.0, 64.0)
    ]
    assert model_eps == [1e-5, 64e-5]


def test_short_trainings_leave_the_threads_as_they_were():
    before = torch.get_num_threads()
    theory.doses(some(20, side=32), noise_sizes=(4,), ratios=(1.0,), updates=1)
    assert torch.get_num_threads() == before
    with pytest.raises(TypeError):
        theory._train_briefly(None, None, 1, 0)
    assert torch.get_num_threads() == before


def test_the_mean_is_one_eigenvalue_of_the_second_moments():
    table = theory.second_moments(priors.parse_list("normal, gamma, N(1, 1), N(0, 100)"))
    assert table["predicted"].tolist() == pytest.approx([1, 201, 101, 1])
    assert table["measured"].to_numpy() == pytest.approx(table["predicted"].to_numpy(), rel=0.4)
    assert theory.second_moments(priors.parse_list("N(2, 1)"), noise_size=9)[
        "predicted"
    ].tolist() == [37]


@pytest.mark.slow
def test_training_takes_the_rest_away_faster_for_more_coordinates():
    images = some(40, side=32)
    table = theory.doses(images, noise_sizes=(4, 400), ratios=(0.5,), updates=40)
    assert table["sqrt(n) r"].tolist() == [1, 10]
    assert table["before"].to_numpy() == pytest.approx(0.8, abs=0.06)
    assert table["after"][0] > 0.7 > 0.5 > table["after"][1]


@pytest.mark.slow
def test_a_first_batchnorm_per_unit_keeps_the_differences():
    """After a few updates: the share of what BatchNorm hands on, with Gamma noise."""
    images, shares = some(40, side=32), {}
    for first_norm in ("channel", "unit"):
        model = theory._short_model(noise="gamma", seed=0, first_norm=first_norm)
        theory._train_briefly(model, images, 40, 0)
        z = model.prior.sample(256, 100, generator=stream(0, "sample"))
        with torch.no_grad():
            handed_on = model.generator.train().blocks[0](z[:, :, None, None])
        shares[first_norm] = statistics.share_between_images(handed_on)
    assert shares["unit"] > 0.8 > 0.4 > shares["channel"]
