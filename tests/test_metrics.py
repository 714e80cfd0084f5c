import numpy as np
import pytest

from dcgan_utils import metrics
from dcgan_utils.errors import NotMeaningful
from dcgan_utils.metrics import diversity, kid


def cloud(n, d=16, mean=0.0, std=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, std, (n, d)).astype(np.float32)


def test_kid_is_its_definition_written_out():
    real, generated = cloud(5, 3), cloud(4, 3, mean=1, seed=1)

    def k(x, y):
        return (float(np.dot(x, y)) / 3 + 1) ** 3

    def within(side):
        return np.mean([k(x, y) for i, x in enumerate(side) for j, y in enumerate(side) if i != j])

    across = np.mean([k(x, y) for x in real for y in generated])
    expected = within(real) + within(generated) - 2 * across
    assert kid(real, generated) == pytest.approx(expected, rel=1e-6)
    assert kid(generated, real) == pytest.approx(expected, rel=1e-6)


def test_kid_of_one_distribution_is_zero_in_the_mean():
    drawn = [kid(cloud(40, seed=2 * s), cloud(60, seed=2 * s + 1)) for s in range(200)]
    assert abs(np.mean(drawn)) < 3 * np.std(drawn) / np.sqrt(len(drawn))
    assert min(drawn) < 0 < max(drawn)


def test_kid_grows_with_the_distance():
    real = cloud(100)
    values = [kid(real, cloud(100, mean=mean, seed=1)) for mean in (0, 0.5, 1)]
    assert values == sorted(values)


def test_diversity_is_a_ratio_of_distances():
    real = cloud(50)
    assert diversity(real, real) == pytest.approx(1)
    assert diversity(real, 0.3 * real + 5) == pytest.approx(0.3, rel=1e-4)
    assert diversity(real, np.repeat(real[:1], 8, axis=0)) == 0


@pytest.mark.parametrize("measure", [kid, diversity])
def test_one_picture_is_too_few(measure):
    with pytest.raises(NotMeaningful, match="two"):
        measure(cloud(10), cloud(1))


def test_equal_reals_have_no_diversity():
    with pytest.raises(NotMeaningful, match="same"):
        diversity(np.ones((5, 3)), cloud(5, 3))


# --- Memorisation --------------------------------------------------------------------------


def vectors(n, seed, d=16):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_nearest_pictures_are_found():
    real = vectors(30, 0)
    numbers, apart = metrics.nearest(real, real[[4, 17]] + 0.01)
    assert numbers.tolist() == [4, 17]
    assert apart == pytest.approx([0.04, 0.04])


def test_new_pictures_of_the_same_kind_are_as_near_as_the_quantile_says():
    scores = [
        metrics.memorisation(vectors(400, 2 * seed), vectors(400, 2 * seed + 1), quantile=0.1)
        for seed in range(8)
    ]
    assert np.mean(scores) == pytest.approx(0.1, abs=0.03)


def test_copies_are_noticed_and_what_is_far_away_is_none():
    real = vectors(200, 0)
    assert metrics.memorisation(real, real[:50] + 0.001) == 1
    half = np.concatenate([real[:50], vectors(50, 1) + 9])
    assert metrics.memorisation(real, half) == 0.5


def test_twins_among_the_real_pictures_do_not_hide_copies():
    real = np.concatenate([vectors(100, 0), vectors(100, 0)])
    assert metrics.memorisation(real, real[:50]) == 1


def test_memorisation_needs_two_on_either_side():
    with pytest.raises(NotMeaningful):
        metrics.memorisation(vectors(1, 0), vectors(5, 1))
