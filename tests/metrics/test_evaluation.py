from itertools import count

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import some
from sklearn.neighbors import KNeighborsClassifier

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.data.statistics import pixel_vectors, share_between_images, sharpness
from dcgan_utils.metrics import distances, evaluation, features, modes
from dcgan_utils.runs import sampling
from dcgan_utils.runs.training import train


@pytest.fixture(autouse=True)
def _quick_features(monkeypatch):
    """Take the mean colours and deviations for features: the network is tested elsewhere."""

    def extract(images, *, device="cpu", extractor="efficientnet_lite0"):
        pixels = images.float() / 255
        vectors = torch.cat([pixels.mean((2, 3)), pixels.std((2, 3))], dim=1).numpy()
        return features.Features(vectors, extractor="means", input_size=32)

    monkeypatch.setattr(evaluation.features, "extract", extract)


def test_images_are_nearer_to_themselves_than_to_others():
    real, other = some(40), some(40) // 4
    assert (
        evaluation.kid_and_diversity(real, real)["kid"]
        < evaluation.kid_and_diversity(real, other)["kid"]
    )
    assert evaluation.kid_and_diversity(real, real)["diversity"] == pytest.approx(1)


def test_the_floor_is_about_zero_and_repeatable():
    real = some(60)
    floor = evaluation.kid_real_real(real, seed=0)
    assert abs(floor) < evaluation.kid_and_diversity(real, real // 2)["kid"] / 10
    assert evaluation.kid_real_real(real, seed=0) == floor
    with pytest.raises(NotEnoughData, match="four"):
        evaluation.kid_real_real(some(3), seed=0)


def test_every_kept_epoch_is_measured(tiny, collection, heard):
    run = train(tiny(epochs=3), collection)
    table = evaluation.evaluate_epochs(run, collection.images, samples=8, seed=1)
    assert table.index.tolist() == run.kept_epochs() == [1, 2, 3]
    assert heard == [("epochs measured", done, 3) for done in range(4)]
    drawn = sampling.sample(run, 8, seed=1, epoch=2)
    assert table.loc[2].to_dict() == pytest.approx(
        evaluation.kid_and_diversity(collection.images, drawn)
    )


def test_what_was_not_asked_for_is_said(tiny, collection):
    run = train(tiny(), collection)
    with pytest.raises(NotEnoughData, match="kid_samples"):
        evaluation.evaluate_epochs(run, collection.images, samples=0)
    for path in (run.folder / "weights").iterdir():
        path.unlink()
    with pytest.raises(NotEnoughData, match="kept no weights"):
        evaluation.evaluate_epochs(run, collection.images, samples=8)


def test_everything_is_measured_and_what_it_rests_on_is_reported():
    real, drawn = some(40), some(30) // 2
    found = evaluation.evaluate(real, drawn, seed=0)
    assert {"fid", "precision", "recall", "density", "coverage", "repetition"} <= set(found)
    assert found["kid_low"] < found["kid"] < found["kid_high"]
    assert found["kid"] == evaluation.kid_and_diversity(real, drawn)["kid"]
    assert found["sharpness"] == pytest.approx(0.25, abs=0.05), "half the contrast"
    assert (found["real"], found["generated"], found["extractor"]) == (40, 30, "means")
    assert "mode_coverage" not in found
    kinds = ["dark", "light"] * 20
    assert 0 <= evaluation.evaluate(real, drawn, seed=0, classes=kinds)["mode_coverage"] <= 1


def test_the_floor_of_everything_is_what_new_real_images_would_score():
    real = some(60)
    kinds = ["one", "two", "three"] * 20
    floor = evaluation.baseline_real_real(real, seed=0, generated=60, classes=kinds)
    assert floor == evaluation.baseline_real_real(real, seed=0, generated=60, classes=kinds)
    assert (floor["real"], floor["generated"]) == (30, 30)
    assert floor["diversity"] == pytest.approx(1, abs=0.1)
    assert floor["sharpness"] == pytest.approx(1, abs=0.05)
    apart = set(floor) ^ set(evaluation.evaluate(real, real, seed=0, classes=kinds))
    assert apart == {"classifier_accuracy", "kid_low", "kid_high"}
    plain = evaluation.baseline_real_real(real, seed=0, generated=60)
    assert plain["kid"] == pytest.approx(evaluation.kid_real_real(real, seed=0))


def test_the_floor_divides_the_images_as_they_are_measured():
    floor = evaluation.baseline_real_real(some(60), seed=0, generated=30)
    assert (floor["real"], floor["generated"]) == (40, 20)
    with pytest.raises(NotEnoughData, match="parts of six or more"):
        evaluation.baseline_real_real(some(11), seed=0, generated=11)


def test_rare_kinds_are_in_both_parts():
    kinds = ["common"] * 55 + ["rare"] * 5
    for seed in range(20):
        for parts in evaluation._splits(60, seed, classes=kinds):
            assert sorted([*parts[0], *parts[1]]) == list(range(60))
            assert all({kinds[number] for number in part} == set(kinds) for part in parts)


def test_every_measure_is_its_own_of_real_and_generated_images():
    pool = some(70)
    real, drawn = pool[:40], torch.cat([pool[:4], *2 * [pool[60:] // 2], pool[40:60]])
    one, other = (evaluation.features.extract(images).vectors for images in (real, drawn))
    layouts = [pixel_vectors(images, 16) for images in (real, drawn)]
    expected = {
        "kid": distances.kid(one, other),
        "fid": distances.fid(one, other),
        **distances.prdc(one, other, k=5),
        "diversity": distances.diversity(one, other),
        "repetition": distances.repetition(one, other, quantile=0.05),
        "share_between_images": share_between_images(drawn) / share_between_images(real),
        "support_size": distances.support_size(*layouts),
        "memorisation": distances.memorisation(one, other, quantile=0.05),
        "sharpness": sharpness(drawn).mean() / sharpness(real).mean(),
    }
    found = evaluation.evaluate(real, drawn, seed=0)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert evaluation.kid_and_diversity(real, drawn)["diversity"] == found["diversity"]


def test_the_seed_is_that_of_the_bootstrap():
    real, drawn = some(20), some(20) // 2
    ends = [
        [found["kid_low"], found["kid_high"]]
        for found in (evaluation.evaluate(real, drawn, seed=seed) for seed in (0, 0, 1))
    ]
    assert ends[0] == ends[1] != ends[2]


def greys(levels, side=64):
    return torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, side, side)


@pytest.mark.parametrize(("cell", "repeated"), [(1, 1), (2, 1), (4, 0), (8, 0)])
def test_layouts_are_compared_at_sixteen_pixels(cell, repeated):
    """At 64 px a chequerboard of 2 px is lost there, and one of 4 px is not."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    chequered = 20 * ((x // cell + y // cell) % 2 * 2 - 1)
    pairs = greys([40, 80, 120, 160, 200]).repeat_interleave(2, dim=0).int()
    pairs[::2] += chequered
    pairs[1::2] -= chequered
    real = greys(range(0, 240, 20))
    found = evaluation.evaluate(real, pairs.to(torch.uint8), seed=0)
    assert found["support_size"] == (9 if repeated else 45), "5 of the 45 pairs, or none"


def test_anchors_give_the_measures_a_scale():
    real = some(40)
    found = evaluation.anchors(real, seed=0, generated=30)
    assert list(found.index) == [
        "blurred by 1 px", "ten images, repeated", "the mean image", "grey", "uniform noise"
    ]  # fmt: skip
    assert found["generated"].eq(30).all()
    for name in ("the mean image", "grey"):
        assert found.loc[name, ["diversity", "share_between_images"]].eq(0).all()
        assert found.loc[name, "support_size"] == 1
    assert found.loc["ten images, repeated", "support_size"] == pytest.approx(14.5, abs=0.1)
    assert found.loc["ten images, repeated", "memorisation"] == 1
    assert found.loc["blurred by 1 px", "sharpness"] < 0.2
    pd.testing.assert_frame_equal(found, evaluation.anchors(real, seed=0, generated=30))


def test_the_anchors_are_the_images_they_are_named_after(monkeypatch):
    shown = {}

    def measure(vectors, images):
        shown[len(shown)] = images[1]
        return {"kid": 0.0}

    monkeypatch.setattr(evaluation, "_unlabelled_measures", measure)
    real = some(12, side=16)
    evaluation.anchors(real, seed=0, generated=24)
    blurred, ten, mean, grey, noise = shown.values()
    sharp = (real.double() - real.double().mean((2, 3), keepdim=True)).std()
    assert (
        0.2 < (blurred.double() - blurred.double().mean((2, 3), keepdim=True)).std() / sharp < 0.5
    )
    assert len({tuple(image.flatten().tolist()) for image in ten}) == 10
    assert all((real == image).flatten(1).all(1).any() for image in ten)
    assert torch.equal(mean[5], real.double().mean(0).round().to(torch.uint8))
    assert (grey == 128).all()
    assert noise.double().mean().item() == pytest.approx(127.5, abs=2)
    assert (noise.min().item(), noise.max().item()) == (0, 255)


def test_a_generator_of_flat_images_has_no_sharpness_and_flat_reals_give_none():
    flat = greys(range(0, 240, 20), side=32)
    assert evaluation.evaluate(some(12), flat, seed=0)["sharpness"] == 0
    assert np.isnan(evaluation.evaluate(flat, some(12), seed=0)["sharpness"])


@pytest.fixture
def sorted_by_the_nearest(monkeypatch):
    """Sort images by their nearest one: logistic regression learns too little from so few."""
    monkeypatch.setattr(modes, "classifier", lambda: KNeighborsClassifier(1))


def dark_and_light(*counts):
    return torch.cat([some(n) // 4 + shift for n, shift in zip(counts, (0, 150), strict=True)])


@pytest.mark.usefixtures("sorted_by_the_nearest")
def test_the_labels_are_those_of_the_real_images_in_their_order():
    real, drawn = dark_and_light(30, 10), dark_and_light(20, 20)
    kinds = ["dark"] * 30 + ["light"] * 10
    three_to_one = 0.75 * np.log(4 / 3) + 0.25 * np.log(4)
    found = evaluation.evaluate(real, drawn, seed=0, classes=kinds)
    assert found["mode_entropy"] == pytest.approx(np.log(2) / three_to_one)
    assert evaluation.evaluate(real, real[:30], seed=0, classes=kinds)["mode_coverage"] == 0.5
    reversed_ = evaluation.evaluate(real, drawn, seed=0, classes=kinds[::-1])
    assert reversed_["mode_entropy"] != pytest.approx(found["mode_entropy"], abs=0.01)


@pytest.mark.usefixtures("sorted_by_the_nearest")
def test_the_floor_knows_the_labels_of_each_part(monkeypatch):
    order = np.random.default_rng(0).permutation(60)
    real, kinds = dark_and_light(40, 20)[order], np.repeat(["dark", "light"], [40, 20])[order]
    splits = count(1)

    def mode_coverage(one, labels, other):
        assert labels == ["light" if vector[0] > 0.5 else "dark" for vector in one]
        assert 13 <= labels.count("light") <= 14 and len(other) == 20
        return {"mode_coverage": next(splits)}

    monkeypatch.setattr(evaluation.modes, "mode_coverage", mode_coverage)
    floor = evaluation.baseline_real_real(real, seed=0, generated=30, classes=kinds.tolist())
    assert (floor["mode_coverage"], floor["classifier_accuracy"]) == (5.5, 1)
    permuted = kinds[::-1].tolist()
    vectors = evaluation.features.extract(real).vectors
    assert modes.classifier_accuracy(vectors, permuted, seed=0) < 0.7


@pytest.mark.parametrize(("beside", "parts"), [(60, (30, 30)), (30, (40, 20)), (120, (20, 40))])
def test_the_floor_is_the_mean_of_ten_splits_in_the_ratio_of_what_is_measured(
    monkeypatch, beside, parts
):
    sizes, numbers = [], count()

    def kid(one, other):
        sizes.append((len(one), len(other)))
        return next(numbers)

    monkeypatch.setattr(evaluation.distances, "kid", kid)
    assert evaluation.baseline_real_real(some(60), seed=0, generated=beside)["kid"] == 4.5
    assert sizes == [parts] * 10
    assert evaluation.kid_real_real(some(60), seed=0) == 14.5
    assert sizes[10:] == [(30, 30)] * 10


@pytest.mark.parametrize(("n", "enough"), [(12, True), (11, False)])
def test_the_parts_of_the_floor_have_six_images_or_more(n, enough):
    if enough:
        assert evaluation.baseline_real_real(some(n), seed=0, generated=n)["real"] == 6
    else:
        with pytest.raises(NotEnoughData, match="six or more"):
            evaluation.baseline_real_real(some(n), seed=0, generated=n)


def test_four_images_have_a_floor():
    assert np.isfinite(evaluation.kid_real_real(some(4), seed=0))


def test_a_run_is_measured_on_the_samples_of_its_seed(tiny, collection):
    run = train(tiny(epochs=1), collection)
    found = evaluation.evaluate_run(run, collection.images, samples=9, seed=3)
    assert found == evaluation.kid_and_diversity(collection.images, sampling.sample(run, 9, seed=3))
    assert found != evaluation.evaluate_run(run, collection.images, samples=9)
