import re
import unicodedata
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.runs.training import train
from dcgan_utils.study import trials


@pytest.fixture
def measured(monkeypatch):
    """Leave out the features, and return which runs were measured."""
    runs = []

    def evaluate_run(run, real, *, samples, seed, device):
        assert device == "cpu"
        runs.append(run)
        return {"kid": float(len(runs)), "diversity": 0.5}

    monkeypatch.setattr(trials, "evaluate_run", evaluate_run)
    return runs


def test_every_policy_shows_as_many_images(tiny, collection, measured):
    policies = ("none", "pil", "layers", "both")
    configs = trials.augmentations(tiny(), policies, collection, 120)
    trained = trials.run_trials(configs, collection)
    table = trials.measure_trials(trained, collection)
    assert table.index.tolist() == [*trained] == list(policies)
    assert table["epochs"].tolist() == [12, 2, 12, 2]
    assert table["shown"].tolist() == [120] * 4
    assert table["kid"].tolist() == [1, 2, 3, 4]
    assert [run.config.augment for run in measured] == list(policies)
    assert all(len(run.history()) == run.config.epochs for run in measured)
    histories = trials.histories_by_images(trained, collection)
    assert histories["none"]["epoch"].tolist() == list(range(10, 121, 10))
    assert histories["both"]["epoch"].tolist() == [60, 120]


def test_without_a_budget_there_is_no_trial(tiny, collection):
    with pytest.raises(NotEnoughData, match="`trial_images` sets its budget"):
        trials.augmentations(tiny(), ("none",), collection, 0)


def test_divergence_is_counted_in_images(tiny, collection, measured, monkeypatch):
    monkeypatch.setattr(
        trials.Run, "divergence_epoch", lambda run: 2 if run.config.augment == "pil" else None
    )
    configs = trials.augmentations(tiny(), ("none", "pil"), collection, 120)
    table = trials.measure_trials(trials.run_trials(configs, collection), collection)
    assert table["diverged"].isna().tolist() == [True, False]
    assert table["diverged"]["pil"] == 2 * 60


def test_the_best_policy_is_named():
    table = pd.DataFrame({"kid": [0.3, 0.1], "diversity": [0.9, 0.8]}, index=["none", "both"])
    text = trials.describe_augmentations(table)
    assert text.startswith(
        "**both** has the smallest KID (0.100), **none** the largest (0.300); the most varied "
        "images come from **none**."
    )


def test_changes_are_made_one_by_one(tiny):
    configs = trials.ablations(tiny(), "augment: layers; flip = true;")
    assert [*configs] == ["as it is", "augment: layers", "flip: true"]
    assert configs["as it is"] == tiny()
    assert configs["augment: layers"] == tiny(augment="layers")
    assert configs["flip: true"] == tiny(flip=True)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [("augment", "is not a change"), ("lr=-1", "lr"), ("agument=none", "Did you mean 'augment'")],
)
def test_a_wrong_change_is_refused(tiny, changes, sentence):
    with pytest.raises(WorkbookError, match=sentence):
        trials.ablations(tiny(), changes)


def test_an_image_is_given_by_number_or_file(collection):
    assert trials.image_index(collection, "7") == 7
    assert trials.image_index(collection, "03.png") == 3
    twice = replace(collection, files=("1.png", "11.png", *collection.files[2:]))
    assert trials.image_index(twice, "1.png") == 0
    composed = replace(collection, files=("a.png", "é.png", *collection.files[2:]))
    for form in ("NFC", "NFD"):
        assert trials.image_index(composed, unicodedata.normalize(form, "é.png")) == 1
    for wrong, sentence in (("99", "0 to 9"), ("png", "it fits 00.png, 01.png, 02.png"),
                            ("cat", "it fits none")):  # fmt: skip
        with pytest.raises(WorkbookError, match=sentence):
            trials.image_index(collection, wrong)


NUMBERED = tuple(sorted(f"{number}.jpg" for number in range(1, 31)))  # 1.jpg, 10.jpg, 11.jpg ...
PADDED = tuple(f"{number:03d}.png" for number in range(1, 10))
FOLDERS = ("a/1.png", "a/2.png", "b/1.png", "b/10.png", "b/c.1.png")


@pytest.mark.parametrize(
    ("files", "image", "file"),
    [
        (NUMBERED, "25", "25.jpg"),
        (NUMBERED, 25, "25.jpg"),
        (NUMBERED, "25.jpg", "25.jpg"),
        (NUMBERED, "0", "1.jpg"),
        (NUMBERED, 0, "1.jpg"),
        (NUMBERED, "025", "5.jpg"),
        (PADDED, "007", "007.png"),
        (PADDED, "7", "008.png"),
        (PADDED, 0, "001.png"),
        (FOLDERS, "10", "b/10.png"),
        (FOLDERS, "a/1", "a/1.png"),
        (FOLDERS, "2.png", "a/2.png"),
        (FOLDERS, "c.1", "b/c.1.png"),
        (FOLDERS, "4", "b/c.1.png"),
        (FOLDERS, 4, "b/c.1.png"),
        (("1_0.png", "x.png"), "1_0", "1_0.png"),
        (("cat.png", "cats.png"), "cat", "cat.png"),
    ],
)
def test_a_file_that_is_called_so_comes_before_a_number(collection, files, image, file):
    named = replace(collection, files=files)
    assert files[trials.image_index(named, image)] == file


@pytest.mark.parametrize(
    ("files", "image", "found"),
    [
        (PADDED, 7, "it fits 007.png, 008.png. papermill reads 007 as 7: give the text with -r."),
        (("07.png", "7.png"), 7, "it fits 07.png, 7.png. papermill reads"),
        (("1_0.png", "10.png"), 10, "it fits 1_0.png, 10.png. papermill reads"),
        (("a-1.png", "b.png"), -1, "it fits none"),
        (FOLDERS, "1", "it fits a/1.png, b/1.png."),
        (("1.jpg", "1.png"), "1", "it fits 1.jpg, 1.png."),
        (NUMBERED, "30000", "it fits none"),
        (NUMBERED, "9" * 5000, "it fits none"),
    ],
)
def test_an_image_that_may_be_one_of_several_is_refused(collection, files, image, found):
    with pytest.raises(WorkbookError) as refusal:
        trials.image_index(replace(collection, files=files), image)
    assert found in str(refusal.value)


def test_copies_are_one_image_many_times(collection):
    alike = trials.repeat_image(collection, 4, 30)
    assert alike.images.shape == (30, 3, 32, 32)
    assert (alike.images == collection.images[4]).all()
    assert alike.data_hash != collection.data_hash
    assert len(alike.files) == len(alike.report.sizes) == 30
    assert alike.name == "ten-images-4"


def test_the_distance_is_that_of_the_samples(tiny, collection):
    run = train(tiny(), collection)
    apart = trials.distance_by_epoch(run, collection.images[0])
    assert apart.index.tolist() == [1, 2]
    difference = run.samples(2).double() - collection.images[0].double()
    assert apart[2] == pytest.approx(difference.square().mean().sqrt().item(), rel=1e-5)


def test_the_other_images_are_the_measure(collection):
    pixels = collection.images.double().numpy()
    expected = [np.square(pixels[3] - pixels[i]).mean() for i in range(10) if i != 3]
    measured = trials.distance_to_others(collection, 3)
    assert measured == pytest.approx(np.sqrt(np.mean(expected)), rel=1e-4)
    for copies in (1, 3):
        assert trials.distance_to_others(trials.repeat_image(collection, 0, copies), 0) is None


@pytest.mark.slow
def test_a_generator_learns_a_single_image(tiny, collection):
    alike = trials.repeat_image(collection, 0, 64)
    run = train(tiny(epochs=25, lr=1e-3, ema=0.9, batch_size=8, width=16), alike)
    apart = trials.distance_by_epoch(run, collection.images[0])
    assert apart.iloc[-1] < 0.5 * apart.iloc[0]
    assert torch.isfinite(torch.tensor(apart.to_numpy())).all()


def test_what_each_change_costs_is_described():
    kid = {"as it is": 0.1, "flip: false": 0.15, "ema: 0": 0.09, "preset monet": 0.4}
    table = pd.DataFrame({"kid": kid})
    text = trials.ablation_summary(table, "best", "monet")
    assert "KID is **0.100** with `best` as it is, and 0.400 with `monet`." in text
    assert "The change that raises it most is **flip: false** (+0.050)" in text
    assert "the one that raises it least **ema: 0** (-0.010)" in text
    both = trials.ablation_summary(table.iloc[[0, 3]], "best", "monet")
    assert both == "KID is **0.100** with `best` as it is, and 0.400 with `monet`."
    assert "too few images" in trials.ablation_summary(None, "best", "monet")


@pytest.mark.parametrize(
    ("last", "verdict"),
    [(2, "has the capacity"), (10, "comes close"), (30, "does not reproduce the image")],
)
def test_the_capacity_is_judged_by_the_other_images(last, verdict):
    distances = pd.Series([60.0, last], index=[20, 40])
    text = trials.describe_capacity(distances, 50.0)
    assert text.startswith(f"The generator **{verdict}")
    assert f"original is **{last:.1f}** (0-255). Other images of the collection are 50" in text
    assert f"so {last / 50:.0%} of that distance is left." in text
    assert "no other image" in trials.describe_capacity(distances, None)


@pytest.mark.parametrize(
    ("course", "advice"),
    [
        ([60, 50, 40, 30], "train longer"),
        ([60, 30, 30, 30], "larger `width`"),
        ([60, 2, 2, 2], "It was one image and one training"),
    ],
)
def test_a_poor_copy_is_blamed_on_the_width_only_if_it_got_no_better(course, advice):
    distances = pd.Series(map(float, course), index=[10, 20, 30, 40])
    assert advice in trials.describe_capacity(distances, 50.0)


def test_how_much_each_augmentation_changes_an_image(collection):
    copies = torch.cat([collection.images] * 6)
    changes = trials.changes_by_policy(collection, copies, seed=0)
    assert changes["copies"] == 0, "these are the images themselves"
    assert changes[["layers", "diffaugment", "ada", "another image"]].min() > 5
    known = pd.Series({"copies": 10.0, "layers": 30.0, "ada": 20.0, "another image": 60.0})
    text = trials.describe_changes(known, None)
    assert text.startswith("**layers** changes an image most (RMSE 30 of 255), **copies** least")
    assert "differ by 60: the strongest change is 50% of that." in text
    assert "was not tried here" in text
    alone = trials.describe_changes(known.replace(60.0, float("nan")), None)
    assert "Two images" not in alone
    trial = pd.DataFrame({"kid": [0.2, 0.1], "diversity": [1, 2]}, index=["none", "pil"])
    assert "**pil** has the smallest KID" in trials.describe_changes(known, trial)


def test_images_are_shown_as_the_discriminator_sees_them(collection):
    images = collection.images
    assert torch.equal(trials.augmented("none", images, seed=0), images)
    turned = trials.augmented("layers", images, seed=0)
    assert turned.shape == images.shape
    assert turned.dtype == torch.uint8
    assert not torch.equal(turned, images)
    assert torch.equal(turned, trials.augmented("layers", images, seed=0))


def test_each_random_layer_is_named_as_it_is_seen():
    side, count = 64, 200
    half_disc = torch.full((3, side, side), 255, dtype=torch.uint8)
    x = torch.arange(side) - (side - 1) / 2
    half_disc[:, (torch.hypot(x[:, None], x[None]) < side / 3) & (x[None] < 0)] = 0
    seen = trials.augmented("layers", half_disc.expand(count, -1, -1, -1), seed=0)
    dark = 1 - seen[:, 0].double() / 255
    right, up = (dark * x[None]).sum((1, 2)), (dark * -x[:, None]).sum((1, 2))
    area = dark.sum((1, 2)) / (1 - half_disc[0].double() / 255).sum()
    kinds = set()
    for i, said in enumerate(trials.describe_layers("layers", count, seed=0)):
        mirrored, turned = "mirrored" in said, re.search(r"(\d+)° (left|right)", said)
        assert bool(right[i] > 0) == mirrored
        # the half disc looks to the left: turned left, it goes down, whether mirrored or not
        angle = torch.atan2(-up[i], right[i].abs()).rad2deg().item()
        expected = int(turned[1]) * (1 if turned[2] == "left" else -1) if turned else 0
        assert angle == pytest.approx(expected, abs=1)
        zoom = re.search(r"(\d+)% (larger|smaller)", said)
        larger = int(zoom[1]) / 100 * (1 if zoom[2] == "larger" else -1) if zoom else 0
        assert area[i].sqrt().item() == pytest.approx(1 + larger, abs=0.02)
        kinds.add((bool(turned), mirrored, bool(zoom)))
    assert len(kinds) == 8


@pytest.mark.parametrize("change", ["flip: false", "device: cpu", "img_size: 64", "kid_samples: 9"])
def test_changes_that_change_nothing_are_refused(tiny, change):
    with pytest.raises(WorkbookError, match="changes nothing that is learned"):
        trials.ablations(tiny(), change)


@pytest.mark.parametrize(
    ("budget", "none", "pil"), [(120, 12, 2), (125, 12, 2), (96, 10, 2), (84, 8, 1), (4, 1, 1)]
)
def test_the_budget_is_met_as_nearly_as_whole_epochs_allow(tiny, collection, budget, none, pil):
    configs = trials.augmentations(tiny(), ("none", "pil"), collection, budget)
    assert [config.epochs for config in configs.values()] == [none, pil]
    assert [config.augment for config in configs.values()] == ["none", "pil"]


@pytest.mark.parametrize(
    ("policy", "shown"), [("none", 10), ("layers", 10), ("pil", 60), ("both", 60)]
)
def test_an_epoch_over_copies_shows_six_times_as_many(collection, policy, shown):
    assert trials.images_per_epoch(policy, collection) == shown


def test_each_run_is_measured_on_the_samples_of_its_own_seed(tiny, collection, monkeypatch):
    asked = []

    def of_run(run, real, *, samples, seed, device):
        asked.append((real is collection.images, samples, seed))
        return {"kid": 0.25, "diversity": 0.5}

    monkeypatch.setattr(trials, "evaluate_run", of_run)
    configs = {"one": tiny(epochs=1), "other": tiny(epochs=1, seed=5)}
    trained = trials.run_trials(configs, collection)
    table = trials.measure_trials(trained, collection, samples=17)
    trials.measure_trials(trained, collection)
    assert asked == [(True, 17, 0), (True, 17, 5), (True, 300, 0), (True, 300, 5)]
    assert table["diversity"].tolist() == [0.5, 0.5]


def test_distances_are_in_levels(tiny, collection):
    run = train(tiny(epochs=1), collection)
    flat = torch.full((3, 32, 32), 100, dtype=torch.uint8)
    apart = (run.samples(1).double() - 100).square().mean().sqrt().item()
    assert trials.distance_by_epoch(run, flat)[1] == pytest.approx(apart, rel=1e-5)
    grey = replace(collection, images=flat.expand(10, -1, -1, -1).clone())
    grey.images[3] = 103
    assert trials.distance_to_others(grey, 0) == pytest.approx(1)
    assert trials.distance_to_others(grey, 3) == pytest.approx(3)
