import contextlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dcgan_utils import noise
from dcgan_utils.errors import WorkbookError

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
    prior = noise.parse(spec)
    z = draw(prior).double()
    assert z.mean().item() == pytest.approx(prior.mean, abs=0.02 * prior.std)
    assert z.std().item() == pytest.approx(prior.std, rel=0.03)
    if spec != "student_t(5)":  # its sixth moment, which the skewness's error needs, is infinite
        skewness = (((z - prior.mean) / prior.std) ** 3).mean().item()
        assert skewness == pytest.approx(prior.skewness, abs=0.15)


@pytest.mark.parametrize("spec", [s for s in STUDIED + BEYOND if "bernoulli" not in s])
def test_samples_follow_the_density(spec):
    prior = noise.parse(spec)
    x = np.linspace(prior.mean - 40 * prior.std, prior.mean + 40 * prior.std, 400_001)
    density = prior.density(x, noise_size=100)
    assert np.trapezoid(np.nan_to_num(density, posinf=0), x) == pytest.approx(1, abs=0.02)
    # One coordinate a vector: those of the sphere depend on one another.
    sample = draw(prior, n=3000)[:, 0].numpy()
    inner = prior.inner if isinstance(prior, noise.Standardized) else prior
    distribution = inner._scipy(stats, 100)
    if inner is not prior:
        sample = sample * inner.std + inner.mean
    assert stats.kstest(sample, distribution.cdf).pvalue > 1e-4


@pytest.mark.parametrize("spec", ["gamma(3, 2)", "student_t(3)", "laplace(1, 2)", "exponential(4)"])
def test_exact_moments_agree_with_scipy(spec):
    prior = noise.parse(spec)
    distribution = prior._scipy(stats, 100)
    assert prior.mean == pytest.approx(distribution.mean())
    assert prior.std == pytest.approx(distribution.std())


def test_probabilities_of_coins():
    assert noise.parse("bernoulli(0.2)").density([-1, 0, 1]) == pytest.approx([0.8, 0, 0.2])
    standardized = noise.parse("standardized(bernoulli(0.2))")
    values = draw(standardized).unique()
    assert len(values) == 2
    low, high = (-1 + 0.6) / 0.8, (1 + 0.6) / 0.8
    assert values.tolist() == pytest.approx([low, high], rel=1e-5)
    assert standardized.density([low, high]) == pytest.approx([0.8, 0.2])


def test_skewness_of_student_t_is_undefined_for_three_degrees():
    assert math.isnan(noise.parse("student_t(3)").skewness)
    assert noise.parse("student_t(4)").skewness == 0


def test_sphere_has_the_radius_of_a_typical_normal_vector():
    assert draw(noise.parse("sphere"), n=5).norm(dim=1).tolist() == pytest.approx([10.0] * 5)


@pytest.mark.parametrize(
    ("mathematical", "spec"),
    [
        ("U(-1, 1)", "uniform"),
        ("N(0, 1)", "normal"),
        ("Gamma(2, 1)", "gamma"),
        ("N(0, 100)", "normal(0, 10)"),
        ("N(0, 0.01)", "normal(0, 0.1)"),
        ("N(-1,1)", "normal(mean=-1, std=1)"),
        (" gamma ( scale = 1 , shape = 2 ) ", "gamma"),
        ("NORMAL(0, 2)", "normal(0, 2)"),
        ("gamma()", "gamma"),
        ("N(variance=4)", "normal(0, 2)"),
        ("gamma(scale=3)", "gamma(2, 3)"),
    ],
)
def test_the_second_parameter_of_mathematical_notation_is_the_variance(mathematical, spec):
    assert noise.parse(mathematical) == noise.parse(spec)


@pytest.mark.parametrize("spec", ["N(0, 100)", "U(-1, 1)", "Gamma(2, 1)", "N(0, 0.01)"])
def test_labels_are_what_the_study_prints(spec):
    assert noise.parse(spec).label == spec
    assert noise.parse(noise.parse(spec).label) == noise.parse(spec)


finite = st.floats(-1e6, 1e6)
positive = st.floats(1e-6, 1e6)
priors = st.one_of(
    st.tuples(finite, positive).map(lambda p: noise.Uniform(p[0], p[0] + p[1])),
    st.builds(noise.Normal, finite, positive),
    st.builds(noise.Gamma, positive, positive),
    st.builds(noise.Exponential, positive),
    st.builds(noise.Laplace, finite, positive),
    st.builds(noise.StudentT, st.floats(2.001, 1e3)),
    st.builds(noise.Bernoulli, st.floats(0.001, 0.999)),
    st.just(noise.Sphere()),
)
priors = st.one_of(priors, st.builds(noise.Standardized, priors))


@given(priors)
def test_specs_round_trip(prior):
    assert noise.parse(str(prior)) == prior
    assert noise.parse_list(f"{prior}") == [prior]
    assert set(prior.slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.+-")


@given(priors)
def test_samples_have_the_shape_asked_for_and_are_numbers(prior):
    z = draw(prior, n=3, noise_size=7)
    assert z.shape == (3, 7)
    assert z.dtype == torch.float32
    assert not z.isnan().any()


@given(st.text(max_size=60))
def test_no_text_does_more_than_be_read_or_refused(text):
    with contextlib.suppress(WorkbookError):
        assert isinstance(noise.parse(text), noise.Prior)


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("gama", "Did you mean 'gamma'?"),
        ("standardised(gamma)", "Did you mean 'standardized'?"),
        ("poisson", "There are: uniform(low=-1, high=1)"),
        ("gamma(", "cannot be read"),
        ("", "cannot be read"),
        ("gamma(2, 1, 3)", "too many parameters: it is gamma(shape, scale)"),
        ("sphere(2)", "too many parameters: it is sphere"),
        ("gamma(two)", "'two' is not a number"),
        ("gamma(nan)", "'nan' is not a number"),
        ("normal(0, 1e999)", "'1e999' is not a number"),
        ("normal(sigma=2)", "'sigma' does not fit here: it is normal(mean, std)"),
        ("normal(0, mean=2)", "'mean' does not fit here"),
        ("normal(0, 0)", "the standard deviation must be positive"),
        ("N(0, -1)", "the variance must be positive"),
        ("N(mean=0, std=10)", "'std' does not fit here: it is N(mean, variance)"),
        ("normal(0, 1e39)", "too large or small for float32"),
        ("uniform(1, -1)", "low must be smaller than high"),
        ("gamma(-2, 1)", "must be positive"),
        ("laplace(0, 0)", "must be positive"),
        ("exponential(0)", "must be positive"),
        ("student_t(2)", "greater than 2"),
        ("bernoulli(1)", "between 0 and 1"),
        ("standardized", "takes one other prior"),
        ("standardized(standardized(gamma))", "takes one other prior"),
        ("standardized(gama)", "Did you mean 'gamma'?"),
        ("__import__('os').getcwd()", "is not known"),
    ],
)
def test_wrong_specs_are_refused_with_help(spec, hint):
    with pytest.raises(WorkbookError) as refusal:
        noise.parse(spec)
    assert hint in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_lists():
    specs = "uniform, normal(0, 1),standardized(gamma(2, 1)), N(0, 100)"
    assert [str(p) for p in noise.parse_list(specs)] == [
        "uniform(-1, 1)",
        "normal(0, 1)",
        "standardized(gamma(2, 1))",
        "normal(0, 10)",
    ]
    with pytest.raises(WorkbookError, match="named twice"):
        noise.parse_list("gamma, Gamma(2, 1)")
    with pytest.raises(WorkbookError, match="no noise is named"):
        noise.parse_list(" , ")


@pytest.mark.parametrize("spec", STUDIED + BEYOND)
def test_one_seed_gives_one_sample(spec):
    prior = noise.parse(spec)
    assert torch.equal(draw(prior, n=4), draw(prior, n=4))
    assert not torch.equal(draw(prior, n=4), draw(prior, n=4, seed=1))


def test_slugs_are_short_for_the_defaults():
    assert noise.parse("gamma").slug == "gamma"
    assert noise.parse("normal(-1, 1)").slug == "normal_-1_1"
    assert noise.parse("standardized(gamma)").slug == "standardized_gamma_2_1"


# --- Quantiles -----------------------------------------------------------------------------


@pytest.mark.parametrize("spec", STUDIED + BEYOND)
def test_scores_are_normal_and_lead_back(spec):
    prior = noise.parse(spec)
    z = draw(prior, n=200)
    scores = prior.to_normal(z)
    assert scores.mean().item() == pytest.approx(0, abs=0.1)
    assert scores.std().item() == pytest.approx(1, abs=0.03)
    back = prior.from_normal(scores)
    assert torch.allclose(back, z, rtol=1e-3, atol=2e-3 * prior.std)


@pytest.mark.parametrize("spec", STUDIED + BEYOND)
def test_normal_vectors_become_such_as_the_prior_draws(spec):
    prior = noise.parse(spec)
    made = prior.from_normal(draw(noise.parse("normal"), n=400, seed=3)).double()
    assert made.mean().item() == pytest.approx(prior.mean, abs=0.03 * prior.std)
    assert made.std().item() == pytest.approx(prior.std, rel=0.05)
