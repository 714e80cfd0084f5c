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
from dcgan_utils.study.record import CURVES

pytestmark = pytest.mark.usefixtures("small_features")


@pytest.fixture
def make(tiny, collection):
    def make(epochs=2, **changes):
        run = Run.create(tiny(epochs=epochs, **changes), collection)
        for epoch in range(1, epochs + 1):
            run.log_epoch({"epoch": epoch} | dict.fromkeys(CURVES, epoch / 10) | {"seconds": 60})
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
    assert table.loc["N(1, 4)", "share, images"] == pytest.approx(0.2)


@pytest.mark.parametrize(("epochs", "averaged"), [(1, 1), (10, 1), (11, 2), (20, 2), (21, 3)])
def test_the_last_tenth_is_rounded_up(make, epochs, averaged):
    end = summary(label_runs([make(epochs=epochs)])).iloc[0]
    assert end["share, images"] == pytest.approx((epochs - (averaged - 1) / 2) / 10)
    assert end["epochs"] == epochs


def test_the_summary_tells_each_gauge_under_its_own_name(tiny, collection):
    run = Run.create(tiny(epochs=1, noise="N(3, 4)"), collection)
    gauges = {"d_loss_real": 1, "d_loss_fake": 2, "g_loss": 4, "d_real": 8, "d_fake": 16}
    shares = {"first_layer_share": 32, "share_between_images": 64}
    run.log_epoch({"epoch": 1, **gauges, **shares, "seconds": 90})
    assert summary(label_runs([run])).iloc[0].to_dict() == {
        "mean": 3, "std": 2, "|mean| / std": 1.5, "epochs": 1, "loss of D": 3, "loss of G": 4,
        "D(x)": 8, "D(G(z))": 16, "share, first layer": 32, "share, images": 64, "minutes": 1.5,
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
    unit = trained(["gamma"], first_norm="unit")
    compare.require_same_settings(runs + unit)
    labelled = label_runs(runs[2:] + unit)
    assert list(compare.group_by_noise(labelled)) == [
        "Gamma(2, 1)", "Gamma(2, 1), BatchNorm per unit"
    ]  # fmt: skip
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
def test_every_run_is_measured_and_keeps_its_numbers(trained, heard):
    runs = trained()
    comparison = compare.Comparison(runs, samples=6)
    comparison.anchors = pd.DataFrame()
    table = comparison.table
    assert heard == [("runs measured", done, 4) for done in range(5)]
    assert table["noise"].tolist() == ["normal(0, 1)"] * 2 + ["gamma(2, 1)"] * 2
    assert table["generated"].eq(6).all()
    assert table["extractor"].eq("efficientnet_lite0").all()
    kept = json.loads((runs[2].folder / "metrics.json").read_text())
    assert kept["kid"] == table["kid"][2]
    assert kept["how"]["epochs"] == 2


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
        "most alike, in pairs": [90, 92, 10, 50],
    }


def test_the_images_put_beside_each_other_have_the_same_scores(make, monkeypatch):
    monkeypatch.setattr(compare.sampling, "draw", lambda run, z, *, device: z)
    scores = torch.randn(6, 8, generator=stream(3, "scores"))
    for noise in ("normal", "gamma", "N(1, 4)"):
        run = make(noise=noise)
        found = compare.sample_aligned(run, 6, seed=3)
        assert torch.equal(found, run.config.prior.from_gaussian(scores))
        assert torch.equal(found.argsort(dim=1), scores.argsort(dim=1))


@pytest.fixture
def measured(monkeypatch):
    """Measure nothing; return the list of what was asked for."""
    asked = []

    def sample(run, n, *, seed, device):
        return torch.full((n, 3, 2, 2), run.config.seed + 10 * seed, dtype=torch.uint8)

    def measure(real, generated, *, seed, classes, device):
        asked.append((len(real), len(generated), seed, classes))
        kid = float(generated[0, 0, 0, 0])
        return {"kid": kid, "fid": float("nan"), "generated": len(generated)}

    monkeypatch.setattr(compare.sampling, "sample", sample)
    monkeypatch.setattr(compare.evaluation, "evaluate", measure)
    return asked


def test_a_run_is_measured_with_the_seed_and_samples_asked_for(make, measured):
    run = make(seed=1)
    found = compare.measure_run(run, samples=7, seed=4)
    assert (found["kid"], measured) == (41, [(10, 7, 4, None)])
    kept = json.loads((run.folder / "metrics.json").read_text())
    assert (kept["kid"], kept["how"]["sample_seed"]) == (41, 4)


def test_what_was_measured_is_not_measured_again_unless_something_differs(make, measured):
    run = make()
    first = compare.measure_run(run, samples=7)
    assert compare.measure_run(run, samples=7) == pytest.approx(first, nan_ok=True)
    assert len(measured) == 1
    for changed in ({"samples": 8}, {"samples": 8, "seed": 1}):
        compare.measure_run(run, **changed)
    run.log_epoch(run.history().iloc[-1].to_dict() | {"epoch": 3})
    compare.measure_run(run, samples=8, seed=1)
    assert len(measured) == 4
    (run.folder / "metrics.json").write_text("[1, 2")
    compare.measure_run(run, samples=8, seed=1)
    assert len(measured) == 5


def test_an_older_version_s_measures_are_measured_again(make, measured, monkeypatch):
    run = make()
    compare.measure_run(run, samples=7)
    monkeypatch.setattr(compare.evaluation, "VERSION", 99)
    compare.measure_run(run, samples=7)
    assert len(measured) == 2


@pytest.mark.parametrize(
    ("column", "named"), [(None, "subject"), ("subject", "subject"), ("weather", "weather")]
)
def test_a_comparison_measures_with_the_column_asked_for(
    make, image_folder, collection, measured, monkeypatch, column, named
):
    classes = {"subject": ["sea", "land"] * 5, "weather": ["rain"] * 5 + ["sun"] * 5}
    labels = pd.DataFrame(classes, index=pd.Index(collection.files, name="file"))
    labels.to_csv(image_folder / "labels.csv")

    def baseline(real, *, generated, seed, classes, device):
        measured.append((len(real), generated, seed, classes))
        return {"kid": 0.0}

    monkeypatch.setattr(compare.evaluation, "baseline_real_real", baseline)
    monkeypatch.setattr(compare.evaluation, "anchors", lambda *given, **named: pd.DataFrame())
    comparison = compare.Comparison([make()], label_column=column, samples=9, seed=3)
    assert len(comparison.table) == 1
    assert measured == [(10, 9, 3, classes[named])] * 2


def test_a_comparison_of_runs_that_differ_in_more_has_samples_but_no_measures(trained):
    runs = trained(["normal"], [0]) + trained(["normal"], [0], width=4)
    comparison = compare.Comparison(runs)
    assert list(comparison.samples(2)) == ["N(0, 1), width 8", "N(0, 1), width 4"]
    for what in ("table", "anchors", "claims", "real"):
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
    anchors = pd.read_csv(tmp_path / f"{comparison.name}-anchors.csv", index_col="run")
    assert list(anchors.index[:2]) == ["real-vs-real baseline", "blurred by 1 px"]
    points, groups, names = comparison.embedding()
    assert names == ["real", "N(0, 1)", "Gamma(2, 1)"]
    assert points.shape == (3 * 16, 2)
    assert groups.tolist() == [0] * 16 + [1] * 16 + [2] * 16


def test_the_curves_count_updates_and_group_what_theory_finds_alike(make):
    runs = [make(noise=noise) for noise in ("normal", "N(0, 100)", "gamma")]
    curves = compare.Comparison([*runs, make(noise="gamma", first_norm="unit")]).curves()
    assert curves["update"].tolist() == [3, 6] * 4, "ten images in batches of four"
    assert curves["group"].unique().tolist() == [
        "mean 0", "|mean| / std = 1.41", "|mean| / std = 1.41, BatchNorm per unit"
    ]  # fmt: skip
    assert curves["kid"].isna().all()
    copied = compare.Comparison([make(augment="pil")]).curves()
    assert copied["update"].tolist() == [15, 30], "six views of each image"
