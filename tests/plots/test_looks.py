"""A prior looks the same everywhere, and unlike the others, for colour-blind people too."""

import itertools

import numpy as np
import pytest
from helpers import PAPERS, contrast, linear

from dcgan_utils import plots
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.gan import priors
from dcgan_utils.plots.looks import look_of
from dcgan_utils.plots.style import INK

# Machado, Oliveira and Fernandes 2009, "A physiologically-based model for simulation of color
# vision deficiency": the complete deficiencies, on linear RGB.
EYES = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
STUDY = [
    "U(-1, 1)",
    "N(0, 1)",
    "Gamma(2, 1)",
    "N(-1, 1)",
    "N(1, 1)",
    "N(0, 0.01)",
    "N(0, 100)",
    "standardized Gamma(2, 1)",
    "Gamma(2, 1), BatchNorm per unit",
]
NEAR = 15  # CIELAB: at less, a mark of a few pixels needs another shape


def lab(color, eye):
    """Return a colour in CIELAB as an eye sees it."""
    to_xyz = [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
    seen = (np.array(EYES[eye]) @ linear(color)).clip(0, 1)
    ratio = np.array(to_xyz) @ seen / [0.9505, 1, 1.0888]
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", EYES)
def test_priors_of_the_study_differ_in_colour_or_in_mark_and_line(eye):
    for one, other in itertools.combinations([*STUDY, "real"], 2):
        first, second = look_of(one), look_of(other)
        distance = np.linalg.norm(lab(first["color"], eye) - lab(second["color"], eye))
        marks = [(look["marker"], look["fillstyle"]) for look in (first, second)]
        assert distance >= NEAR or marks[0] != marks[1], (one, other, distance)


def test_a_mean_of_0_has_a_circle_and_a_solid_line():
    for name in ("N(0, 1)", "U(-1, 1)", "laplace", "student_t", "sphere"):
        mark = plots.prior_mark(name)
        assert (mark["marker"], mark["ls"]) == ("o", "-")
    for name in ("N(1, 1)", "N(-3, 1)", "gamma", "U(0, 1)"):
        mark = plots.prior_mark(name)
        assert mark["marker"] != "o" and mark["ls"] != "-"


@pytest.mark.parametrize("name", [*priors.PRIORS, "N(1, 1)", "U(0, 1)", "standardized(gamma)"])
def test_marks_and_lines_can_be_seen_by_day_and_by_night(name):
    assert min(contrast(plots.prior_color(name), paper) for paper in PAPERS) > 3


def test_a_prior_its_spec_and_its_label_look_the_same():
    for spec in ("gamma", "normal(0, 10)", "standardized(gamma(2, 1))", "sphere"):
        prior = priors.parse(spec)
        for name in (spec, prior.label, f"{prior.label}, epochs 20, seed 1"):
            assert plots.prior_color(name) == plots.prior_color(prior)
            assert plots.prior_mark(name) == plots.prior_mark(prior)


def test_the_colour_does_not_depend_on_what_else_is_in_a_figure():
    assert look_of("N(0, 1)", ["a", "N(0, 1)"]) == look_of("N(0, 1)", ["N(0, 1)", "U(-1, 1)"])
    assert look_of("real")["color"] == INK
    assert look_of("layers", ["none", "layers"])["color"] == plots.palette(2)[1]


def test_what_is_no_prior_is_refused():
    with pytest.raises(WorkbookError, match="gama"):
        plots.prior_color("gama")
