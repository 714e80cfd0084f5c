import math

import numpy as np
import pytest
import torch
from scipy import stats

from dcgan_utils.gan import priors
from dcgan_utils.gan.priors import Standardized

STUDIED = ["uniform", "normal", "gamma", "N(-1, 1)", "N(1, 1)", "N(0, 0.01)", "N(0, 100)"]
BEYOND = [
    "laplace",
    "laplace(1, 2)",
    "student_t(5)",
    "student_t(9)",
    "exponential",
    "exponential(3)",
    "bernoulli",
    "bernoulli(0.2)",
    "sphere",
    "normal(3, 1)",
    "uniform(0, 5)",
    "gamma(0.5, 3)",
    "standardized(gamma(2, 1))",
    "standardized(exponential)",
    "standardized(bernoulli(0.8))",
]


def draw(prior, n=4000, noise_size=100, seed=0):
    return prior.sample(n, noise_size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("spec", STUDIED + BEYOND)
def test_moments_of_samples_agree_with_the_exact_ones(spec):
    prior = priors.parse(spec)
    z = draw(prior).double()
    assert z.mean().item() == pytest.approx(prior.mean, abs=0.02 * prior.std)
    assert z.std().item() == pytest.approx(prior.std, rel=0.03)
    if spec != "student_t(5)":  # its sixth moment, which the skewness's error needs, is infinite
        skewness = (((z - prior.mean) / prior.std) ** 3).mean().item()
        assert skewness == pytest.approx(prior.skewness, abs=0.15)


@pytest.mark.parametrize("spec", [s for s in STUDIED + BEYOND if "bernoulli" not in s])
def test_samples_follow_the_density(spec):
    prior = priors.parse(spec)
    x = np.linspace(prior.mean - 40 * prior.std, prior.mean + 40 * prior.std, 400_001)
    density = prior.density(x, noise_size=100)
    assert np.trapezoid(np.nan_to_num(density, posinf=0), x) == pytest.approx(1, abs=0.02)
    # One coordinate a vector: those of the sphere depend on one another.
    sample = draw(prior, n=3000)[:, 0].numpy()
    inner = prior.inner if isinstance(prior, Standardized) else prior
    distribution = inner._scipy(stats, 100)
    if inner is not prior:
        sample = sample * inner.std + inner.mean
    assert stats.kstest(sample, distribution.cdf).pvalue > 1e-4


@pytest.mark.parametrize("spec", ["gamma(3, 2)", "student_t(3)", "laplace(1, 2)", "exponential(4)"])
def test_exact_moments_agree_with_scipy(spec):
    prior = priors.parse(spec)
    distribution = prior._scipy(stats, 100)
    assert prior.mean == pytest.approx(distribution.mean())
    assert prior.std == pytest.approx(distribution.std())


def test_probabilities_of_coins():
    assert priors.parse("bernoulli(0.2)").density([-1, 0, 1]) == pytest.approx([0.8, 0, 0.2])
    standardized = priors.parse("standardized(bernoulli(0.2))")
    values = draw(standardized).unique()
    assert len(values) == 2
    low, high = (-1 + 0.6) / 0.8, (1 + 0.6) / 0.8
    assert values.tolist() == pytest.approx([low, high], rel=1e-5)
    assert standardized.density([low, high]) == pytest.approx([0.8, 0.2])


def test_skewness_of_student_t_is_undefined_for_three_degrees():
    assert math.isnan(priors.parse("student_t(3)").skewness)
    assert priors.parse("student_t(4)").skewness == 0


def test_sphere_has_the_radius_of_a_typical_normal_vector():
    assert draw(priors.parse("sphere"), n=5).norm(dim=1).tolist() == pytest.approx([10.0] * 5)


@pytest.mark.parametrize("spec", STUDIED + BEYOND)
def test_one_seed_gives_one_sample(spec):
    prior = priors.parse(spec)
    assert torch.equal(draw(prior, n=4), draw(prior, n=4))
    assert not torch.equal(draw(prior, n=4), draw(prior, n=4, seed=1))


def test_slugs_are_short_for_the_defaults():
    assert priors.parse("gamma").slug == "gamma"
    assert priors.parse("normal(-1, 1)").slug == "normal_-1_1"
    assert priors.parse("standardized(gamma)").slug == "standardized_gamma_2_1"


@pytest.mark.parametrize("spec", STUDIED + BEYOND)
def test_scores_are_normal_and_lead_back(spec):
    prior = priors.parse(spec)
    z = draw(prior, n=200)
    scores = prior.to_gaussian(z)
    assert scores.mean().item() == pytest.approx(0, abs=0.1)
    assert scores.std().item() == pytest.approx(1, abs=0.03)
    back = prior.from_gaussian(scores)
    assert torch.allclose(back, z, rtol=1e-3, atol=2e-3 * prior.std)


@pytest.mark.parametrize("spec", STUDIED + BEYOND)
def test_normal_vectors_become_such_as_the_prior_draws(spec):
    prior = priors.parse(spec)
    made = prior.from_gaussian(draw(priors.parse("normal"), n=400, seed=3)).double()
    assert made.mean().item() == pytest.approx(prior.mean, abs=0.03 * prior.std)
    assert made.std().item() == pytest.approx(prior.std, rel=0.05)


def test_a_prior_describes_its_moments():
    text = priors.parse("gamma").describe()
    assert "**Gamma(2, 1)** has mean 2, standard deviation 1.41 and skewness 1.41." in text
    assert "The ratio |mean| / std is **1.41**." in text
    assert "skewness undefined" in priors.parse("student_t(3)").describe()


@pytest.mark.parametrize(
    ("spec", "mean", "std", "skewness"),
    [
        ("uniform(0, 6)", 3, math.sqrt(3), 0),
        ("normal(-1, 3)", -1, 3, 0),
        ("N(0, 100)", 0, 10, 0),
        ("gamma(2, 1)", 2, math.sqrt(2), math.sqrt(2)),
        ("gamma(4, 3)", 12, 6, 1),
        ("exponential(3)", 3, 3, 2),
        ("laplace(1, 2)", 1, math.sqrt(8), 0),
        ("student_t(4)", 0, math.sqrt(2), 0),
        ("bernoulli(0.2)", -0.6, 0.8, 1.5),
        ("bernoulli(0.9)", 0.8, 0.6, -0.8 / 0.3),
        ("sphere", 0, 1, 0),
        ("standardized(gamma(4, 3))", 0, 1, 1),
        ("standardized(bernoulli(0.2))", 0, 1, 1.5),
    ],
)
def test_moments_in_numbers(spec, mean, std, skewness):
    prior = priors.parse(spec)
    assert (prior.mean, prior.std, prior.skewness) == pytest.approx((mean, std, skewness))
    assert prior.ratio == pytest.approx(abs(mean) / std)


@pytest.mark.parametrize(
    "spec", ["gamma(3, 2)", "laplace(1, 2)", "exponential(4)", "uniform(1, 4)"]
)
def test_exact_skewness_agrees_with_scipy(spec):
    prior = priors.parse(spec)
    assert prior.skewness == pytest.approx(float(prior._scipy(stats, 100).stats(moments="s")))


QUARTILE = 0.6744898  # of N(0, 1)


@pytest.mark.parametrize(
    ("spec", "value", "score"),
    [
        ("normal(1, 10)", 11, 1),
        ("uniform(-1, 1)", 0.5, QUARTILE),
        ("uniform(0, 4)", 1, -QUARTILE),
        ("gamma(2, 1)", 1.6783470, 0),
        ("gamma(2, 3)", 3 * 1.6783470, 0),
        ("exponential(3)", 3 * math.log(4), QUARTILE),
        ("laplace(1, 2)", 1 + 2 * math.log(2), QUARTILE),
        ("student_t(3)", 0.7648923, QUARTILE),
        ("sphere", 0.5, 0.5),
        ("standardized(exponential(3))", math.log(4) - 1, QUARTILE),
        ("standardized(gamma(2, 1))", (1.6783470 - 2) / math.sqrt(2), 0),
    ],
)
def test_scores_are_those_of_the_same_quantile(spec, value, score):
    prior = priors.parse(spec)
    assert prior.to_gaussian(torch.tensor([[value]]))[0, 0].item() == pytest.approx(score, abs=1e-5)
    if spec != "sphere":
        back = prior.from_gaussian(torch.tensor([[score]]))[0, 0].item()
        assert back == pytest.approx(value, abs=1e-5)


def test_scores_at_the_ends_of_a_range_are_finite():
    scores = priors.parse("uniform").to_gaussian(torch.tensor([[-1.0, 1.0]]))
    assert scores[0].tolist() == pytest.approx([-7.0345, 7.0345], abs=1e-3)


@pytest.mark.parametrize(("p", "line"), [(0.2, 0.841621), (0.5, 0.0), (0.9, -1.281552)])
def test_coins_are_cut_where_their_share_lies_above(p, line):
    coin = priors.parse(f"bernoulli({p})")
    assert coin.from_gaussian(torch.tensor([[line - 0.001, line + 0.001]])).tolist() == [[-1, 1]]
    scores = coin.to_gaussian(torch.ones(50, 40))
    assert scores.min() == pytest.approx(line, abs=0.05)
    assert coin.to_gaussian(-torch.ones(50, 40)).max() == pytest.approx(line, abs=0.05)


def test_vectors_are_brought_to_the_sphere_without_being_turned():
    scores = torch.tensor([[3.0, 4.0], [0.0, -7.0]])
    back = priors.parse("sphere").from_gaussian(scores)
    expected = math.sqrt(2) * torch.tensor([[0.6, 0.8], [0.0, -1.0]])
    assert torch.allclose(back, expected)


def test_coordinates_and_vectors_are_independent():
    for spec in STUDIED:
        z = draw(priors.parse(spec), n=2000, noise_size=3)
        correlations = torch.corrcoef(torch.cat([z[1:].T, z[:-1].T]))
        assert (correlations - torch.eye(6)).abs().max() < 0.08


def test_a_coordinate_of_a_sphere_in_space_is_uniform():
    # Archimedes: the zones of a sphere between parallel planes have the area of the cylinder's.
    x = np.linspace(-1.7, 1.7, 9)
    density = priors.parse("sphere").density(x, noise_size=3)
    assert density == pytest.approx(1 / (2 * math.sqrt(3)))
