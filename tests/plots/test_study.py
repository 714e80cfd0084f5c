import numpy as np
import pandas as pd
import pytest
from helpers import assert_drawn

from dcgan_utils.gan import priors
from dcgan_utils.plots import study
from dcgan_utils.study import theory


def measured(seeds):
    """Return a table of runs as `compare.evaluate_runs` does."""
    rng = np.random.default_rng(0)
    ratios = {"N(0, 1)": 0.0, "U(-1, 1)": 0.0, "Gamma(2, 1)": 1.414}
    return pd.DataFrame(
        [
            {"label": name, "|mean| / std": ratio, "kid": rng.random(), "coverage": rng.random(),
             "layout_repetition": rng.random()}
            for name, ratio in ratios.items()
            for _ in range(seeds)
        ]
    )  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seeds", [1, 3])
def test_measures_are_drawn_against_the_ratio(seeds):
    floor = {"kid": 0, "coverage": 1, "layout_repetition": 0.05}
    figure = study.measures_by_ratio(measured(seeds), list(floor), floor=floor)
    assert_drawn(figure)
    assert "layout_repetition" in figure.get_label()


@pytest.mark.filterwarnings("error")
def test_shares_are_drawn_on_their_curve():
    drawn = priors.parse_list("uniform, normal, gamma, N(3, 1), laplace, sphere, bernoulli")
    figure = study.variance_shares(theory.shares(drawn, noise_size=8))
    assert_drawn(figure)
    assert "Gamma(2, 1) 0.3" in figure.get_label()
    assert_drawn(study.variance_shares(theory.shares(priors[:1], noise_size=8)))


@pytest.mark.filterwarnings("error")
def test_differences_are_drawn_with_intervals_or_without():
    names = ["difference", "low", "high", "bootstrap_low", "bootstrap_high", "decided"]
    rows = [[0.2, 0.1, 0.3, 0.15, 0.25, True], [-0.1, -9.0, 8.0, -0.3, 0.1, False]]
    table = pd.DataFrame(rows, columns=names, index=["Gamma(2, 1)", "U(-1, 1)"])
    assert_drawn(study.differences_to_reference(table, "kid"))
    alone = table.assign(low=np.nan, high=np.nan, bootstrap_low=np.nan, bootstrap_high=np.nan)
    assert_drawn(study.differences_to_reference(alone, "layout_repetition"))
    assert_drawn(study.differences_to_reference(table * 0 == 1, "kid"))
