import json

import pytest
import torch
from helpers import equal_states

from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.metrics import features
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.training import train
from dcgan_utils.study import compare
from dcgan_utils.study.compare import label_runs, summary


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


def test_every_run_is_measured_and_keeps_its_numbers(trained, collection):
    runs, told = trained(), []
    table = compare.evaluate_runs(
        runs, collection, samples=12, on_run=lambda *now: told.append(now)
    )
    assert told[-1] == (4, 4)
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
    found = compare.histories(grouped)
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
