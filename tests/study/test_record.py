import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.files import reports_dir
from dcgan_utils.runs import sampling
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.training import train
from dcgan_utils.study import compare
from dcgan_utils.study.record import CURVES, Record, settings_of

MEASURES = {"kid": 0.25, "share_between_images": 0.5, "sharpness": 1.5, "generated": 10}


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path / "study", "ten-images-dcgan")


@pytest.fixture
def recorded(record, tiny, collection):
    """Return a record of two runs, and the runs."""
    runs = [
        train(tiny(noise="gamma", seed=seed, first_norm=norm), collection)
        for seed, norm in ((3, "channel"), (4, "unit"))
    ]
    pd.DataFrame({"epoch": [2], "kid": [0.4]}).to_csv(runs[0].folder / "quality.csv", index=False)
    for number, run in enumerate(runs):
        images = sampling.sample(run, 16)
        record.add(run, MEASURES | {"kid": 0.25 + number}, images)
    return record, runs


def test_a_record_says_what_its_runs_were(recorded):
    record, runs = recorded
    table = record.measures()
    assert table["run"].tolist() == [run.name for run in runs]
    assert table["label"].tolist() == ["Gamma(2, 1)", "Gamma(2, 1), BatchNorm per unit"]
    assert table["kid"].tolist() == [0.25, 1.25]
    assert table["epochs"].tolist() == [2, 2]
    for known, run in zip(record.runs(), runs, strict=True):
        assert known.config.identity == run.config.identity
        for part in ("name", "images", "data_hash"):
            assert known.about["data"][part] == run.about["data"][part]
        assert known.minutes == pytest.approx(run.minutes, abs=0.01)


def test_a_history_is_kept_with_the_kid_of_its_epochs(recorded):
    record, runs = recorded
    history = record.runs()[0].history()
    assert history["epoch"].tolist() == [1, 2]
    assert history["kid"].tolist() == pytest.approx([np.nan, 0.4], nan_ok=True)
    for name in CURVES:
        assert history[name].tolist() == pytest.approx(runs[0].history()[name].tolist(), rel=1e-4)


def test_of_many_epochs_some_are_kept(record, tiny, collection, monkeypatch):
    run = Run.create(tiny(epochs=400), collection)
    for epoch in range(1, 401):
        run.log_epoch({"epoch": epoch} | dict.fromkeys(CURVES, epoch) | {"seconds": 1})
    pd.DataFrame({"epoch": [25, 375], "kid": 0.3}).to_csv(run.folder / "quality.csv", index=False)
    record.add(run, MEASURES, torch.zeros(16, 3, 32, 32, dtype=torch.uint8))
    epochs = record.runs()[0].history()["epoch"].tolist()
    assert {1, 2, 3, 25, 375, 400} <= set(epochs)
    assert 30 < len(epochs) <= 50


def test_the_images_are_those_of_the_run_but_for_jpeg(recorded):
    record, runs = recorded
    images, kept = sampling.sample(runs[1], 16), record.samples(runs[1].name)
    assert kept.shape == images.shape
    assert (kept.float() - images.float()).abs().mean() < 6


def test_a_run_that_is_added_again_replaces_itself(recorded):
    record, runs = recorded
    record.add(runs[0], MEASURES | {"kid": 9.0}, sampling.sample(runs[0], 16))
    assert record.measures()["kid"].tolist() == [9.0, 1.25]
    assert record.runs()[0].history()["epoch"].tolist() == [1, 2]


def test_runs_stand_in_one_order_whichever_ends_first(record, tiny, collection):
    noises, images = ["gamma", "uniform", "normal", "N(1, 1)"], torch.zeros(16, 3, 32, 32).byte()
    for seed in (1, 0):
        for noise in noises:
            record.add(train(tiny(noise=noise, seed=seed, epochs=1), collection), MEASURES, images)
    table = record.measures()
    assert table["label"].tolist() == [
        label for label in ("N(0, 1)", "U(-1, 1)", "N(1, 1)", "Gamma(2, 1)") for _ in range(2)
    ]
    assert table["seed"].tolist() == [0, 1] * 4


def test_a_record_names_no_place_of_the_machine(recorded, tmp_path):
    record, _ = recorded
    for path in record.folder.rglob("*.*"):
        if path.suffix in (".csv", ".json"):
            content = path.read_text().replace(f'"dataset": "{tmp_path}', "")
            assert "reports" not in content


def test_what_is_damaged_is_refused_with_advice(recorded):
    record, runs = recorded
    (record.folder / f"{record.name}-samples" / f"{runs[0].name}.jpg").unlink()
    with pytest.raises(NotEnoughData, match="are missing"):
        record.samples(runs[0].name)
    (record.folder / f"{record.name}-settings.json").write_text("{")
    with pytest.raises(WorkbookError, match="restore it"):
        _ = Record(record.folder, record.name).settings
    record.path.write_text('"')
    with pytest.raises(WorkbookError, match="measure its runs again"):
        record.measures()


# --- Compared without their folders ---


def test_recorded_runs_are_compared_without_their_folders(tiny, collection):
    record = Record(reports_dir() / "study", "ten-images-dcgan")
    for noise in ("normal", "gamma"):
        for seed in (0, 1):
            run = train(tiny(noise=noise, seed=seed), collection)
            measures = MEASURES | {"kid": 0.1 + 0.01 * seed + 0.3 * (noise == "gamma")}
            record.add(run, measures, sampling.sample(run, 16))
    record.write_anchors(pd.DataFrame({"kid": [0.0, 0.3]}, index=[compare.BASELINE, "grey"]))
    for run in compare.find("reports/study/ten-images-dcgan-measures.csv"):
        shutil.rmtree(run.folder)

    comparison = compare.Comparison(compare.find("reports/study/ten-images-dcgan-measures.csv"))
    assert comparison.name == "ten-images-dcgan"
    assert list(comparison.grouped) == ["N(0, 1)", "Gamma(2, 1)"]
    assert comparison.samples(16)["Gamma(2, 1)"].shape == (16, 3, 32, 32)
    assert comparison.table["kid"].tolist() == pytest.approx([0.1, 0.11, 0.4, 0.41])
    assert comparison.anchors.loc["grey", "kid"] == 0.3
    assert len(comparison.curves()) == 8
    assert len(comparison.summary()) == 4
    assert comparison.differences("kid").loc["Gamma(2, 1)", "decided"]
    with pytest.raises(NotEnoughData, match="is gone"):
        comparison.embedding()


def test_a_record_that_is_not_there_is_missed():
    with pytest.raises(WorkbookError, match="there is no record"):
        compare.find("reports/none-measures.csv")


def test_runs_with_other_settings_do_not_join_a_record(tiny, collection, record):
    record.refuse_other_settings({})  # there are no runs yet
    record.add(train(tiny(), collection), MEASURES, torch.zeros(16, 3, 32, 32).byte())
    data_hash = collection.data_hash
    for same in (tiny(seed=9), tiny(noise="gamma", first_norm="unit"), tiny(kid_samples=5)):
        record.refuse_other_settings(settings_of(same, data_hash))
    with pytest.raises(WorkbookError, match=r"epochs is 2 there and 3 here; width is 8 .* 4 here"):
        record.refuse_other_settings(settings_of(tiny(epochs=3, width=4), data_hash))
    with pytest.raises(WorkbookError, match=r"data_hash is .* another name"):
        record.refuse_other_settings(settings_of(tiny(), "of other images"))
