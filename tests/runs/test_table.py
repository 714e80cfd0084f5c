"""All runs as one table."""

import json
import os

import pytest
from helpers import Stop, stop_after

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import runs_dir
from dcgan_utils.runs.run import Run, find_run
from dcgan_utils.runs.table import runs_table
from dcgan_utils.runs.training import train


@pytest.fixture
def finished(tiny, collection):
    return train(tiny(noise="gamma"), collection)


@pytest.fixture
def interrupted(tiny, collection):
    with pytest.raises(Stop):
        train(tiny(epochs=5, seed=3), collection, watchers=[stop_after(2)])
    return find_run("*-s3-*")


def test_each_run_is_a_row_and_the_latest_is_the_last(finished, interrupted, tiny, collection):
    new = Run.create(tiny(seed=4), collection)
    os.utime(finished.folder / "history.csv", (2e9, 2e9))
    table = runs_table()
    assert table["run"].tolist() == [interrupted.name, new.name, finished.name]
    assert table["state"].tolist() == ["interrupted", "not begun", "finished"]
    assert table["seed"].tolist() == [3, 4, 0]
    assert table["noise"].tolist() == ["normal(0, 1)", "normal(0, 1)", "gamma(2, 1)"]
    assert [*zip(table["epochs"], table["of"], strict=True)] == [(2, 5), (0, 2), (2, 2)]
    shares = [run.history()["share_between_images"].iloc[-1] for run in (interrupted, finished)]
    assert table["share"].dropna().tolist() == shares
    assert table["kid"].isna().all()


def test_a_run_that_is_being_trained_is_shown_as_such(interrupted):
    with interrupted.locked():
        assert runs_table()["state"].tolist() == ["training"]
    assert runs_table()["state"].tolist() == ["interrupted"]


def test_only_measures_of_the_last_epoch_count(finished):
    finished.save_metrics({"kid": 0.25, "how": {"epochs": 2}})
    assert runs_table()["kid"].tolist() == [0.25]
    finished.save_metrics({"kid": 0.25, "how": {"epochs": 1}})
    assert runs_table()["kid"].isna().all()


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"format": 1})])
def test_a_broken_folder_is_shown_as_such(finished, content):
    (runs_dir() / "broken").mkdir()
    (runs_dir() / "broken" / "config.json").write_text(content)
    (runs_dir() / "empty").mkdir()
    (finished.folder / "history.csv").write_bytes(b"\0damaged\n")
    table = runs_table().set_index("run")
    assert set(table["state"]) == {"unreadable"}
    assert set(table.index) == {"broken", "empty", finished.name}


def test_a_pattern_or_a_collection_chooses(finished, interrupted):
    assert runs_table("*-gamma-*")["run"].tolist() == [finished.name]
    assert len(runs_table("ten-images")) == 2
    with pytest.raises(WorkbookError, match="matches 'nothing'"):
        runs_table("nothing")


def test_without_runs_the_table_is_empty():
    assert runs_table().empty


# --- One run by its name ---


def test_a_run_is_found_by_what_fits_it_alone(finished, interrupted):
    for name in (finished, finished.name, finished.folder, str(finished.folder), "*-gamma-*"):
        assert find_run(name).folder == finished.folder
    with pytest.raises(WorkbookError, match=f"'ten-images' means 2 runs: .*{finished.name}"):
        find_run("ten-images")
    with pytest.raises(WorkbookError, match="matches 'nothing'"):
        find_run("nothing")


def test_a_folder_with_a_comma_in_its_name_is_one_run(tiny, collection, tmp_path):
    run = train(tiny(), collection, folder=tmp_path / "one,two")
    assert find_run(run.folder).name == "one,two"
