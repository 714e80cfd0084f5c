import contextlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.gan import priors


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
    assert priors.parse(mathematical) == priors.parse(spec)


@pytest.mark.parametrize("spec", ["N(0, 100)", "U(-1, 1)", "Gamma(2, 1)", "N(0, 0.01)"])
def test_labels_are_what_the_study_prints(spec):
    assert priors.parse(spec).label == spec
    assert priors.parse(priors.parse(spec).label) == priors.parse(spec)


finite = st.floats(-1e6, 1e6)
positive = st.floats(1e-6, 1e6)
PRIORS = st.one_of(
    st.tuples(finite, positive).map(lambda p: priors.Uniform(p[0], p[0] + p[1])),
    st.builds(priors.Normal, finite, positive),
    st.builds(priors.Gamma, positive, positive),
    st.builds(priors.Exponential, positive),
    st.builds(priors.Laplace, finite, positive),
    st.builds(priors.StudentT, st.floats(2.001, 1e3)),
    st.builds(priors.Bernoulli, st.floats(0.001, 0.999)),
    st.just(priors.Sphere()),
)
PRIORS = st.one_of(PRIORS, st.builds(priors.Standardized, PRIORS))


@given(PRIORS)
def test_specs_round_trip(prior):
    assert priors.parse(str(prior)) == prior
    assert priors.parse_list(f"{prior}") == [prior]
    assert set(prior.slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.+-")


@given(PRIORS)
def test_samples_have_the_shape_asked_for_and_are_numbers(prior):
    z = prior.sample(3, 7, generator=torch.Generator().manual_seed(0))
    assert z.shape == (3, 7)
    assert z.dtype == torch.float32
    assert not z.isnan().any()


@given(st.text(max_size=60))
def test_no_text_does_more_than_be_read_or_refused(text):
    with contextlib.suppress(WorkbookError):
        assert isinstance(priors.parse(text), priors.Prior)


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("gama", "Did you mean 'gamma'?"),
        ("standardised(gamma)", "Did you mean 'standardized'?"),
        ("poisson", "Available: uniform(low=-1, high=1)"),
        ("gamma(", "cannot be read"),
        ("", "cannot be read"),
        ("gamma(2, 1, 3)", "too many parameters: write gamma(shape, scale)"),
        ("sphere(2)", "too many parameters: write sphere"),
        ("gamma(two)", "'two' is not a number"),
        ("gamma(nan)", "'nan' is not a number"),
        ("normal(0, 1e999)", "'1e999' is not a number"),
        ("normal(sigma=2)", "'sigma' does not fit here: write normal(mean, std)"),
        ("normal(0, mean=2)", "'mean' does not fit here"),
        ("normal(0, 0)", "the standard deviation must be positive"),
        ("N(0, -1)", "the variance must be positive"),
        ("N(mean=0, std=10)", "'std' does not fit here: write N(mean, variance)"),
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
        priors.parse(spec)
    assert hint in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_lists():
    specs = "uniform, normal(0, 1),standardized(gamma(2, 1)), N(0, 100)"
    assert [str(p) for p in priors.parse_list(specs)] == [
        "uniform(-1, 1)",
        "normal(0, 1)",
        "standardized(gamma(2, 1))",
        "normal(0, 10)",
    ]
    with pytest.raises(WorkbookError, match="named twice"):
        priors.parse_list("gamma, Gamma(2, 1)")
    with pytest.raises(WorkbookError, match="no noise is named"):
        priors.parse_list(" , ")


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ("normal(0, 9e29)", True),
        ("normal(0, 2e30)", False),
        ("normal(0, 2e-30)", True),
        ("normal(0, 5e-31)", False),
        ("normal(9e29, 1)", True),
        ("normal(2e30, 1)", False),
        ("normal(-2e30, 1)", False),
    ],
)
def test_numbers_beyond_float32_are_refused_at_both_ends(spec, fits):
    if fits:
        assert priors.parse(spec).sample(2, 3).isfinite().all()
    else:
        with pytest.raises(WorkbookError, match="too large or small"):
            priors.parse(spec)


@pytest.mark.parametrize(
    ("spec", "prior"),
    [
        ("U(0, 2)", priors.Uniform(low=0, high=2)),
        ("N(3, 4)", priors.Normal(mean=3, std=2)),
        ("normal(3, 4)", priors.Normal(mean=3, std=4)),
        ("Gamma(3, 4)", priors.Gamma(shape=3, scale=4)),
        ("exponential(3)", priors.Exponential(scale=3)),
        ("laplace(3, 4)", priors.Laplace(mean=3, scale=4)),
        ("student_t(5)", priors.StudentT(df=5)),
        ("bernoulli(0.25)", priors.Bernoulli(p=0.25)),
        ("uniform", priors.Uniform(low=-1, high=1)),
        ("normal", priors.Normal(mean=0, std=1)),
        ("gamma", priors.Gamma(shape=2, scale=1)),
        ("exponential", priors.Exponential(scale=1)),
        ("laplace", priors.Laplace(mean=0, scale=1)),
        ("student_t", priors.StudentT(df=3)),
        ("bernoulli", priors.Bernoulli(p=0.5)),
    ],
)
def test_parameters_stand_in_the_order_of_the_books(spec, prior):
    assert priors.parse(spec) == prior
