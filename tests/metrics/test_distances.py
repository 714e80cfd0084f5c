import numpy as np
import pytest
import torch

from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.metrics import distances
from dcgan_utils.metrics.distances import diversity, kid


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


class Given(torch.nn.Module):
    """Stands where others put Inception: the vectors pass as they are."""

    def __init__(self, d):
        super().__init__()
        self.num_features = d

    def forward(self, vectors):
        return vectors


def others(measure, real, generated):
    """Return what torchmetrics makes of the same vectors."""
    measure.set_dtype(torch.float64)
    for side, is_real in ((real, True), (generated, False)):
        measure.update(torch.from_numpy(side.astype(np.float64)), real=is_real)
    return measure.compute()


@pytest.mark.filterwarnings("ignore:.*large memory")
def test_kid_is_that_of_torchmetrics():
    from torchmetrics.image.kid import KernelInceptionDistance

    real, generated = cloud(60), cloud(60, mean=0.3, std=1.2, seed=1)
    measure = KernelInceptionDistance(feature=Given(16), subsets=1, subset_size=60)
    mean, _ = others(measure, real, generated)
    assert kid(real, generated) == pytest.approx(mean.item(), rel=1e-6)


@pytest.mark.parametrize("n", [200, 40], ids=["many images", "fewer images than features"])
def test_fid_is_that_of_torchmetrics(n):
    from torchmetrics.image.fid import FrechetInceptionDistance

    real, generated = cloud(n, 50), cloud(n + 10, 50, mean=0.3, std=1.2, seed=1)
    theirs = others(FrechetInceptionDistance(feature=Given(50)), real, generated)
    assert distances.fid(real, generated) == pytest.approx(theirs.item(), rel=1e-5)


def test_fid_of_a_set_with_itself_is_zero_and_of_two_of_a_kind_is_not():
    assert distances.fid(cloud(50), cloud(50)) == pytest.approx(0, abs=1e-9)
    few, many = (distances.fid(cloud(n), cloud(n, seed=1)) for n in (40, 400))
    assert few > 5 * many > 0


@pytest.mark.parametrize("k", [3, 5])
def test_neighbourhoods_are_those_of_prdc(k):
    from prdc import compute_prdc

    real, generated = cloud(70), cloud(60, mean=0.4, std=0.8, seed=1)
    theirs = compute_prdc(real.astype(np.float64), generated.astype(np.float64), nearest_k=k)
    assert distances.prdc(real, generated, k=k) == pytest.approx(theirs)


def test_neighbourhoods_are_those_counted_by_hand():
    real, generated = np.array([0.0, 1, 3, 7, 50, 51]), np.array([0.5, 0.7, 5, 5.5, 20])
    # The balls reach 1, 1, 2, 4, 1, 1 around the real ones, .2, .2, .5, .5, 14.5 around the others.
    assert distances.prdc(real[:, None], generated[:, None], k=1) == {
        "precision": 4 / 5,
        "recall": 1 / 6,
        "density": (2 + 2 + 2 + 1) / 5,
        "coverage": 4 / 6,
    }


def test_five_neighbours_are_usual():
    real, generated = cloud(30), cloud(30, mean=0.5, seed=1)
    usual = distances.prdc(real, generated)
    assert usual == distances.prdc(real, generated, k=5)
    assert usual != distances.prdc(real, generated, k=4)


def test_neighbourhoods_need_more_images_than_neighbours():
    with pytest.raises(NotEnoughData, match="At least 6 real"):
        distances.prdc(cloud(50), cloud(5))


def interval(real, generated, seed=0, **options):
    return distances.kid_interval(real, generated, rng=stream(seed, "bootstrap"), **options)


def test_the_interval_holds_the_true_distance_about_as_often_as_it_says():
    truth = kid(cloud(4000, seed=98), cloud(4000, mean=0.4, seed=99))
    pairs = [(cloud(40, seed=2 * s), cloud(40, mean=0.4, seed=2 * s + 1)) for s in range(100)]
    intervals = [interval(*pair, level=0.9, resamples=200) for pair in pairs]
    held = np.mean([low < truth < high for low, high in intervals])
    assert 0.8 <= held <= 0.98


def test_the_interval_is_repeatable_and_narrows_with_more_images():
    few, many = ((cloud(n), cloud(n, mean=0.5, seed=1)) for n in (40, 400))
    assert interval(*few) == interval(*few) != interval(*few, seed=1)
    widths = [high - low for low, high in (interval(*few), interval(*many))]
    assert widths[0] > 2 * widths[1] > 0
    assert np.isfinite(interval(cloud(2), cloud(2, seed=1))).all()


def test_the_interval_is_its_definition_written_out():
    real, generated = cloud(4, 3), cloud(3, 3, mean=1, seed=1)
    rng, kids = stream(5, "bootstrap"), []
    again = [torch.randint(n, (1000, n), generator=rng).tolist() for n in (4, 3)]

    def k(x, y):
        return (float(np.dot(x, y)) / 3 + 1) ** 3

    def within(side, drawn):
        return np.mean([k(side[i], side[j]) for i in drawn for j in drawn if i != j])

    for one, other in zip(*again, strict=True):
        if len(set(one)) > 1 and len(set(other)) > 1:
            across = np.mean([k(real[i], generated[j]) for i in one for j in other])
            kids.append(within(real, one) + within(generated, other) - 2 * across)
    expected = np.quantile(kids, [0.025, 0.975])
    assert interval(real, generated, seed=5) == pytest.approx(expected, rel=1e-6)


# --- What each number must see -------------------------------------------------------------


def kinds(n, seed, modes=8, d=32):
    """Return vectors of several kinds, as features of images might lie."""
    rng = np.random.default_rng(seed)
    centres = 4 * np.random.default_rng(0).normal(size=(8, d))
    return centres[rng.integers(0, modes, n)] + rng.normal(size=(n, d))


@pytest.fixture(scope="module")
def seen():
    """Return every measure of sets that a good, or a broken, generator might draw."""
    real = kinds(300, 1)
    rng = np.random.default_rng(3)
    drawn = {
        "new": kinds(300, 2),
        "collapsed": real[7] + 0.01 * rng.normal(size=(300, 32)),
        "memorised": real + 0.01 * rng.normal(size=real.shape),
        "half the modes": kinds(300, 2, modes=4),
        "noise": real.mean(0) + real.std() * rng.normal(size=(300, 32)),
    }
    return {
        name: {
            "kid": kid(real, generated),
            "fid": distances.fid(real, generated),
            "diversity": diversity(real, generated),
            "repetition": distances.repetition(real, generated),
            "memorisation": distances.memorisation(real, generated),
            **distances.prdc(real, generated),
        }
        for name, generated in drawn.items()
    }


def test_new_images_of_the_same_kinds_pass_everywhere(seen):
    new = seen["new"]
    assert abs(new["kid"]) < 0.05 * seen["half the modes"]["kid"]
    assert min(new["precision"], new["recall"], new["density"], new["coverage"]) > 0.8
    assert new["diversity"] == pytest.approx(1, abs=0.05)
    assert max(new["repetition"], new["memorisation"]) < 0.12


def test_one_image_again_and_again_is_seen(seen):
    collapsed = seen["collapsed"]
    assert collapsed["precision"] == 1, "this is what precision does not see"
    assert max(collapsed["recall"], collapsed["coverage"], collapsed["diversity"]) < 0.05
    assert collapsed["repetition"] == 1
    assert min(collapsed["kid"], collapsed["fid"]) > 10 * max(seen["new"]["kid"], 0.1)


def test_copies_are_seen_by_memorisation_alone(seen):
    memorised = seen["memorised"]
    assert memorised["kid"] < seen["new"]["kid"]
    assert min(memorised["precision"], memorised["recall"], memorised["coverage"]) > 0.99
    assert memorised["memorisation"] == 1


def test_missing_modes_are_seen(seen):
    half = seen["half the modes"]
    assert half["precision"] > 0.8
    assert max(half["recall"], half["coverage"]) < 0.6
    assert half["kid"] > 20 * abs(seen["new"]["kid"])


def test_noise_is_seen_though_it_is_diverse(seen):
    noise = seen["noise"]
    assert noise["diversity"] > 0.9
    assert max(noise["precision"], noise["density"], noise["coverage"]) < 0.1
    assert noise["kid"] > 5 * abs(seen["new"]["kid"])


def test_repetition_does_not_grow_with_the_number_drawn():
    real = vectors(100, 0)
    assert distances.repetition(real, vectors(1000, 1)) == distances.repetition(
        real, vectors(1000, 1)[:100]
    )


def test_the_closest_pairs_come_first_and_share_nobody():
    line = np.array([0.0, 0.1, 5.0, 5.05, 5.2, 90.0])[:, None]
    assert [set(pair) for pair in distances.closest_pairs(line, 2)] == [{2, 3}, {0, 1}]
    assert distances.closest_pairs(line, 9).shape == (3, 2)


def test_repetition_counts_both_of_a_pair():
    pairs = np.repeat(vectors(25, 1), 2, axis=0)
    assert distances.repetition(vectors(100, 0), pairs) == 1
    half = np.concatenate([pairs[:50], 9 * vectors(50, 2)])
    assert distances.repetition(vectors(100, 0), half) == 0.5


def test_diversity_is_a_ratio_of_distances():
    real = cloud(50)
    assert diversity(real, real) == pytest.approx(1)
    assert diversity(real, 0.3 * real + 5) == pytest.approx(0.3, rel=1e-4)
    assert diversity(real, np.repeat(real[:1], 8, axis=0)) == 0


@pytest.mark.parametrize("measure", [kid, diversity, distances.fid, distances.repetition])
def test_one_image_is_too_few(measure):
    with pytest.raises(NotEnoughData, match="At least 2"):
        measure(cloud(10), cloud(1))


def test_equal_reals_have_no_diversity():
    with pytest.raises(NotEnoughData, match="same"):
        diversity(np.ones((5, 3)), cloud(5, 3))


# --- Memorisation --------------------------------------------------------------------------


def vectors(n, seed, d=16):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_nearest_images_are_found():
    real = vectors(30, 0)
    numbers, apart = distances.nearest(real, real[[4, 17]] + 0.01)
    assert numbers.tolist() == [4, 17]
    assert apart == pytest.approx([0.04, 0.04])


def test_new_images_of_the_same_kind_are_as_near_as_the_quantile_says():
    scores = [
        distances.memorisation(vectors(400, 2 * seed), vectors(400, 2 * seed + 1), quantile=0.1)
        for seed in range(8)
    ]
    assert np.mean(scores) == pytest.approx(0.1, abs=0.03)


def test_copies_are_noticed_and_what_is_far_away_is_none():
    real = vectors(200, 0)
    assert distances.memorisation(real, real[:50] + 0.001) == 1
    half = np.concatenate([real[:50], vectors(50, 1) + 9])
    assert distances.memorisation(real, half) == 0.5


def test_twins_among_the_real_images_do_not_hide_copies():
    real = np.concatenate([vectors(100, 0), vectors(100, 0)])
    assert distances.memorisation(real, real[:50]) == 1


def test_memorisation_needs_two_on_either_side():
    with pytest.raises(NotEnoughData):
        distances.memorisation(vectors(1, 0), vectors(5, 1))


def test_memorisation_is_described():
    text = distances.describe_memorisation({"pixels": 0.5, "features": 0.04}, 300)
    assert text.startswith("Of 300 samples **4%** are suspiciously close to a training image by")
    assert "and **50%** by pixels." in text


def test_copies_are_found_beyond_what_chance_allows():
    real = vectors(200, 0)
    text = distances.describe_copies({"features": (real, real[:50])})
    assert text.startswith("**Copies:** more than chance allows. Of 50 samples 100%")
    text = distances.describe_copies({"features": (real, vectors(400, 1))})
    assert text.startswith("**Copies:** no sign of copies. Of 400 samples ")
    assert "about 5%, and up to 7% by chance" in text
    text = distances.describe_copies({"features": (real[:1], real[:1])})
    assert text == (
        "**Copies:** not looked for. At least 2 real and 2 generated images are needed."
    )


# --- What counts as near -------------------------------------------------------------------

# Their nearest neighbours lie 1, 1, 2, 3, ... 40 away: nearer than 2 are 5 % of them.
LINE = np.cumsum(np.arange(41.0))[:, None]


@pytest.mark.parametrize(("apart", "share"), [(1.99, 1), (2, 0), (2.01, 0)])
def test_near_is_nearer_than_all_but_a_twentieth_of_the_real_images(apart, share):
    before = LINE[:1] - apart
    assert distances.memorisation(LINE, np.repeat(before, 2, axis=0)) == share
    pairs = 1000.0 * np.arange(5).repeat(2)[:, None] + [[0], [apart]] * 5
    assert distances.repetition(LINE, pairs) == share


@pytest.mark.parametrize(("apart", "share"), [(0.99e-4, 1), (1.01e-4, 0)])
def test_twins_are_nearer_than_a_millionth_of_the_greatest_distance(apart, share):
    real = np.arange(0, 101, 10.0).repeat(2)[:, None] + [[0], [apart]] * 11
    real[-2:] = 100
    assert distances.memorisation(real, np.array([[4.0], [55]])) == share


def test_memorisation_is_the_share_of_the_generated_images():
    assert distances.memorisation(LINE, np.array([[-1.0], [-9], [-99], [-999]])) == 1 / 4


# --- How many different images ---


def layouts(n, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (n, 48))


@pytest.mark.parametrize("k", [1, 2, 10, 50])
def test_the_support_of_k_images_drawn_again_and_again_is_k(k):
    chosen = np.random.default_rng(1).integers(0, k, 400)
    found = distances.support_size(layouts(300), layouts(k, seed=2)[chosen])
    assert found == pytest.approx(k, rel=0.1)


def test_the_support_of_real_images_is_a_thousand():
    real = layouts(400)
    assert distances.support_size(real, real) == pytest.approx(1000, rel=0.02)
    assert 500 < distances.support_size(real, layouts(400, seed=3)) < 2000


@pytest.mark.parametrize(("contrast", "brightness"), [(0.5, 0), (0.01, 100)])
def test_contrast_does_not_change_the_support(contrast, brightness):
    real, drawn = layouts(100), np.concatenate([layouts(20, seed=1)] * 3)
    changed = contrast * drawn + brightness
    assert distances.support_size(real, changed) == distances.support_size(real, drawn)


def test_without_a_duplicate_the_support_is_the_number_of_pairs():
    far = 100 * np.eye(48)[:20]
    assert distances.support_size(layouts(100), far) == 190


def test_images_without_contrast_are_one_image():
    assert distances.support_size(layouts(50), np.full((30, 48), 128.0)) == 1


@pytest.mark.parametrize(
    "measure",
    [
        distances.kid, distances.fid, distances.prdc, distances.diversity, distances.repetition,
        distances.memorisation, distances.support_size, distances.nearest,
        lambda one, other: interval(one, other),
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_a_number_that_is_not_finite_is_refused(measure, value, side):
    sides = [cloud(20), cloud(20, seed=1)]
    sides[side][3, 2] = value
    with pytest.raises(WorkbookError, match="not a finite number"):
        measure(*sides)
