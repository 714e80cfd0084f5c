import pytest
import torch
from helpers import some

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.metrics import evaluation, features
from dcgan_utils.runs import sampling
from dcgan_utils.runs.training import train


@pytest.fixture(autouse=True)
def _quick_features(monkeypatch):
    """Take the mean colours and deviations for features: the network is tested elsewhere."""

    def extract(images, *, device="cpu"):
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


def test_every_kept_epoch_is_measured(tiny, collection):
    run = train(tiny(epochs=3), collection)
    told = []
    table = evaluation.evaluate_epochs(
        run, collection.images, samples=8, seed=1, on_epoch=lambda *now: told.append(now)
    )
    assert table.index.tolist() == run.kept_epochs() == [1, 2, 3]
    assert told == [(1, 3), (2, 3), (3, 3)]
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


def test_everything_is_measured_and_what_it_rests_on_is_told():
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
