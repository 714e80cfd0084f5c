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
