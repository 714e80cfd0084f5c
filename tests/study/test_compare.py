import json

import pandas as pd
import pytest
import torch
from helpers import equal_states, some

from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.load import synthetic_dataset
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.metrics import features
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.training import train
from dcgan_utils.study import compare
from dcgan_utils.study.compare import label_runs, summary

pytestmark = pytest.mark.usefixtures("small_features")


@pytest.fixture
def make(tiny, collection):
    def make(epochs=2, **changes):
        run = Run.create(tiny(epochs=epochs, **changes), collection)
        for epoch in range(1, epochs + 1):
            names = ("d_loss_real", "d_loss_fake", "g_loss", "d_real", "d_fake", "sample_spread")
            run.log_epoch({"epoch": epoch} | dict.fromkeys(names, epoch / 10) | {"seconds": 60})
        return run

    return make


def test_runs_are_named_after_their_noise(make):
    runs = [make(noise="uniform"), make(noise="gamma")]
    assert list(label_runs(runs)) == ["U(-1, 1)", "Gamma(2, 1)"]


def test_what_differs_joins_the_name_where_the_noise_does_not_tell(make):
    runs = [make(noise="gamma"), make(noise="gamma", seed=1)]
    assert list(label_runs(runs)) == ["Gamma(2, 1), seed 0", "Gamma(2, 1), seed 1"]


def test_a_run_that_has_not_begun_cannot_be_compared(tiny, collection, make):
    with pytest.raises(WorkbookError, match="no complete epoch"):
        label_runs([make(), Run.create(tiny(seed=9), collection)])


def test_summary_averages_the_last_tenth(make):
    table = summary(label_runs([make(noise="gamma", epochs=20), make(noise="N(1, 4)")]))
    gamma = table.loc["Gamma(2, 1)"]
    assert gamma["|mean| / std"] == pytest.approx(2**0.5)
    assert gamma["loss of G"] == pytest.approx(1.95)
    assert gamma["loss of D"] == pytest.approx(3.9)
    assert gamma["minutes"] == 20
    assert table.loc["N(1, 4)", "std"] == 2
    assert table.loc["N(1, 4)", "spread"] == pytest.approx(0.2)


@pytest.mark.parametrize(("epochs", "averaged"), [(1, 1), (10, 1), (11, 2), (20, 2), (21, 3)])
def test_the_last_tenth_is_rounded_up(make, epochs, averaged):
    end = summary(label_runs([make(epochs=epochs)])).iloc[0]
    assert end["spread"] == pytest.approx((epochs - (averaged - 1) / 2) / 10)
    assert end["epochs"] == epochs


def test_the_summary_tells_each_gauge_under_its_own_name(tiny, collection):
    run = Run.create(tiny(epochs=1, noise="N(3, 4)"), collection)
    gauges = {"d_loss_real": 1, "d_loss_fake": 2, "g_loss": 4, "d_real": 8, "d_fake": 16}
    run.log_epoch({"epoch": 1, **gauges, "sample_spread": 32, "seconds": 90})
    assert summary(label_runs([run])).iloc[0].to_dict() == {
        "mean": 3, "std": 2, "|mean| / std": 1.5, "epochs": 1, "loss of D": 3, "loss of G": 4,
        "D(x)": 8, "D(G(z))": 16, "spread": 32, "minutes": 1.5,
    }  # fmt: skip


# --- Measures over several runs ------------------------------------------------------------


@pytest.fixture
def trained(tiny, collection):
    """Return a function that trains tiny runs of several noises and seeds."""

    def trained(noises=("normal", "gamma"), seeds=(0, 1), **changes):
        return [
            train(tiny(noise=noise, seed=seed, **changes), collection)
            for noise in noises
            for seed in seeds
        ]

    return trained


def test_runs_of_one_seed_are_paired(trained):
    one, other = (run.load_checkpoint() for run in trained(seeds=[3], epochs=1))
    assert torch.equal(one["order"], other["order"]), "the images come in the same order"
    begun = [DCGAN(run.config) for run in trained(seeds=[3], epochs=1)]
    assert equal_states(begun[0].generator.state_dict(), begun[1].generator.state_dict())
    assert equal_states(begun[0].discriminator.state_dict(), begun[1].discriminator.state_dict())


def test_runs_that_differ_in_more_than_noise_and_seed_are_not_measured_together(trained):
    runs = trained()
    assert compare.require_same_settings(runs).data_hash == runs[0].about["data"]["data_hash"]
    with pytest.raises(NotEnoughData, match=r"width: 4, 8"):
        compare.require_same_settings(runs + trained(noises=["normal"], width=4))


def test_the_same_scores_give_vectors_of_the_same_ranks(trained):
    normal, _, gamma, _ = trained()
    one, other = (compare.sample_aligned(run, 6, seed=0) for run in (normal, gamma))
    assert one.shape == other.shape == (6, 3, 32, 32)
    assert torch.equal(one, compare.sample_aligned(normal, 6, seed=0))
    assert not torch.equal(one, compare.sample_aligned(normal, 6, seed=1))
    scores = torch.randn(6, 8)
    ranks = [run.config.prior.from_gaussian(scores).argsort(dim=1) for run in (normal, gamma)]
    assert torch.equal(*ranks)


@pytest.mark.slow
def test_every_run_is_measured_and_keeps_its_numbers(trained, collection):
    runs, calls = trained(), []
    table = compare.evaluate_runs(
        runs, collection, samples=12, on_run=lambda *now: calls.append(now)
    )
    assert calls[-1] == (4, 4)
    assert table["noise"].tolist() == ["normal(0, 1)"] * 2 + ["gamma(2, 1)"] * 2
    assert table["generated"].eq(12).all()
    assert table["extractor"].eq("efficientnet_lite0").all()
    kept = json.loads((runs[2].folder / "metrics.json").read_text())
    assert kept["kid"] == table["kid"][2]
    assert kept["epochs"] == 2


def test_histories_of_several_seeds_stand_under_one_noise(trained):
    grouped = compare.group_by_noise(label_runs(trained(seeds=(1, 0))))
    assert {name: [run.config.seed for run in runs] for name, runs in grouped.items()} == {
        "N(0, 1)": [0, 1], "Gamma(2, 1)": [0, 1]
    }  # fmt: skip
    found = compare.Comparison(trained(seeds=(1, 0))).histories()
    assert found["N(0, 1)"]["epoch"].tolist() == [1, 2, 1, 2]


def test_runs_that_differ_in_more_stand_alone(trained):
    runs = trained(["normal"], [0]) + trained(["normal"], [0], width=4)
    grouped = compare.group_by_noise(label_runs(runs))
    assert list(grouped) == ["N(0, 1), width 8", "N(0, 1), width 4"]
    with pytest.raises(NotEnoughData, match="epochs"):
        compare.require_same_settings(trained(["normal"], [0]) + trained(["normal"], [0], epochs=1))


def test_exhibits_are_chosen_by_rule(monkeypatch):
    def extract(images, *, device="cpu"):
        return features.Features(images.float().flatten(1).numpy(), "pixels", 2)

    monkeypatch.setattr(compare.features, "extract", extract)
    levels = torch.tensor([10, 200, 90, 92, 50, 141], dtype=torch.uint8)
    generated = levels[:, None, None, None].expand(-1, 3, 2, 2)
    shown = compare.select_examples(torch.zeros(2, 3, 2, 2, dtype=torch.uint8), generated, pairs=2)
    assert {name: images[:, 0, 0, 0].tolist() for name, images in shown.items()} == {
        "nearest to real ones": [10, 50, 90, 92],
        "farthest from real ones": [200, 141, 92, 90],
        "most alike": [90, 92, 10, 50],
    }


def test_the_images_put_beside_each_other_have_the_same_scores(make, monkeypatch):
    monkeypatch.setattr(compare.sampling, "draw", lambda run, z, *, device: z)
    scores = torch.randn(6, 8, generator=stream(3, "scores"))
    for noise in ("normal", "gamma", "N(1, 4)"):
        run = make(noise=noise)
        found = compare.sample_aligned(run, 6, seed=3)
        assert torch.equal(found, run.config.prior.from_gaussian(scores))
        assert torch.equal(found.argsort(dim=1), scores.argsort(dim=1))


def test_a_run_is_measured_with_the_labels_seed_and_samples_asked_for(
    make, collection, monkeypatch
):
    runs, asked = [make(noise="N(1, 4)"), make(seed=1)], []

    def sample(run, n, *, seed, device):
        return torch.full((n, 3, 2, 2), run.config.seed + 10 * seed, dtype=torch.uint8)

    def full(real, generated, *, seed, classes, device):
        asked.append((real is collection.images, len(generated), seed, classes))
        return {"kid": float(generated[0, 0, 0, 0])}

    monkeypatch.setattr(compare.sampling, "sample", sample)
    monkeypatch.setattr(compare.evaluation, "evaluate", full)
    kinds = ["sea", "land"] * 5
    table = compare.evaluate_runs(runs, collection, samples=7, seed=4, classes=kinds)
    assert asked == [(True, 7, 4, kinds)] * 2
    assert table.drop(columns="run").to_dict("records") == [
        {"label": "N(1, 4)", "noise": "normal(1, 2)", "seed": 0, "|mean| / std": 0.5, "kid": 40},
        {"label": "N(0, 1)", "noise": "normal(0, 1)", "seed": 1, "|mean| / std": 0, "kid": 41},
    ]
    kept = json.loads((runs[1].folder / "metrics.json").read_text())
    assert (kept["kid"], kept["sample_seed"]) == (41, 4)


@pytest.mark.parametrize(
    ("column", "named"), [(None, "subject"), ("subject", "subject"), ("weather", "weather")]
)
def test_a_comparison_measures_with_the_column_asked_for(
    make, image_folder, collection, monkeypatch, column, named
):
    classes = {"subject": ["sea", "land"] * 5, "weather": ["rain"] * 5 + ["sun"] * 5}
    labels = pd.DataFrame(classes, index=pd.Index(collection.files, name="file"))
    labels.to_csv(image_folder / "labels.csv")
    asked = []

    def ask(*images, seed, generated=0, samples=0, classes=None, on_run=None, device):
        asked.append((generated or samples, seed, classes))

    monkeypatch.setattr(compare.evaluation, "baseline_real_real", ask)
    monkeypatch.setattr(compare, "evaluate_runs", ask)
    comparison = compare.Comparison([make()], label_column=column, samples=9, seed=3)
    assert comparison.table is None
    assert asked == [(9, 3, classes[named])] * 2


def test_a_comparison_of_runs_that_differ_in_more_has_samples_but_no_measures(trained):
    runs = trained(["normal"], [0]) + trained(["normal"], [0], width=4)
    comparison = compare.Comparison(runs)
    assert list(comparison.samples(2)) == ["N(0, 1), width 8", "N(0, 1), width 4"]
    for what in ("table", "baseline", "claims", "real"):
        with pytest.raises(NotEnoughData, match="width: 4, 8"):
            getattr(comparison, what)


@pytest.mark.slow
def test_a_comparison_writes_what_it_measured(tiny, tmp_path, quick_umap):
    real = synthetic_dataset(some(16), name="noise", files=("x",) * 16, source=tmp_path, kind="PNG")
    runs = [train(tiny(noise=noise), real) for noise in ("normal", "gamma")]
    comparison = compare.Comparison(runs, samples=16)
    comparison.real = real
    comparison.write(tmp_path)
    measures = pd.read_csv(tmp_path / f"{comparison.name}-measures.csv")
    assert measures["noise"].tolist() == ["normal(0, 1)", "gamma(2, 1)"]
    claims = pd.read_csv(tmp_path / f"{comparison.name}-claims.csv")
    assert claims["verdict"].tolist() == [claim.verdict for claim in comparison.claims]
    points, groups, names = comparison.embedding()
    assert names == ["real", "N(0, 1)", "Gamma(2, 1)"]
    assert points.shape == (3 * 16, 2)
    assert groups.tolist() == [0] * 16 + [1] * 16 + [2] * 16
