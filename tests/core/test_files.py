import os

import pandas as pd
import pytest

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import (
    atomic_write,
    ensure_dir,
    expand_path,
    friendly_write_errors,
    remove_partial_files,
    report_dir,
    report_name,
    reports_dir,
    write_tables,
)


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_home_folders_are_expanded_or_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_path("~/images") == tmp_path / "images"
    for wrong in ("~nobody-of-this-name/x", "~\0"):
        with pytest.raises(WorkbookError, match="cannot be read"):
            expand_path(wrong)


def test_a_file_is_there_only_once_it_is_whole(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as file:
        file.write(b"one")
        assert not path.exists()
    with pytest.raises(KeyError), atomic_write(path) as file:
        file.write(b"half of tw")
        raise KeyError
    assert path.read_bytes() == b"one"
    assert names(tmp_path) == ["file"], "no litter"


def test_the_former_file_is_kept(tmp_path):
    path, previous = tmp_path / "file", tmp_path / "previous"
    for content in (b"one", b"two", b"three"):
        with atomic_write(path, previous=previous) as file:
            file.write(content)
    assert (path.read_bytes(), previous.read_bytes()) == (b"three", b"two")


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(WorkbookError, match="file"):
        ensure_dir(tmp_path / "file" / "below")


def test_an_empty_table_takes_a_former_one_away(tmp_path):
    full = pd.DataFrame({"x": [1, 2]})
    write_tables({"one": full, "other": full}, tmp_path / "new")
    write_tables({"one": full, "other": pd.DataFrame()}, tmp_path / "new")
    assert names(tmp_path / "new") == ["one.csv"]
    assert pd.read_csv(tmp_path / "new" / "one.csv").equals(full)


def test_what_is_no_matter_of_the_disk_is_not_reported_as_such(tmp_path):
    with pytest.raises(BrokenPipeError), friendly_write_errors(tmp_path):
        raise BrokenPipeError
    with pytest.raises(WorkbookError, match="cannot be written"), friendly_write_errors(tmp_path):
        raise OSError(28, "No space left on device")


def test_only_what_dead_processes_left_is_removed(tmp_path):
    dead, mine = tmp_path / ".a.csv.999999999-ab12", tmp_path / f".b.csv.{os.getpid()}-ab12"
    for half in (dead, mine):
        half.touch()
    remove_partial_files(tmp_path)
    assert names(tmp_path) == [mine.name]


# --- Names in reports/ ---------------------------------------------------------------------


def test_collections_of_one_name_have_folders_of_their_own(tmp_path, caplog):
    assert report_name("pics", tmp_path / "a" / "pics") == "pics"
    assert not caplog.text
    assert report_name("pics", tmp_path / "b" / "pics") == "pics-2"
    assert "reports/pics belongs to others: the results of" in caplog.text
    assert "b/pics' go to reports/pics-2" in caplog.text
    assert report_name("pics-2", tmp_path / "pics 2") == "pics-2-2"
    assert report_name("pics", "the study pics") == "pics-3"
    for again, name in (("a/pics", "pics"), ("b/pics", "pics-2"), ("b/../a/pics", "pics")):
        assert report_name("pics", tmp_path / again) == name


@pytest.mark.parametrize(
    "name",
    ["ablation", "augment", "benchmark", "compare", "latent", "noise-study", "playground", "runs"],
)
def test_folders_of_the_project_are_no_collection_s(tmp_path, name):
    assert report_name(name, tmp_path / name) == f"{name}-2"
    assert report_name(name, f"the study {name}") == f"{name}-3"
    assert report_dir(f"{name}-2") == reports_dir() / f"{name}-2"


def test_a_study_inside_a_folder_of_the_project_keeps_its_name():
    assert report_name("noise-study/monet", "the study noise-study/monet") == "noise-study/monet"


def test_a_folder_without_an_owner_is_taken_over(home):
    (home / "reports" / "pics").mkdir(parents=True)
    assert report_name("pics", home / "pics") == "pics"


def test_pages_are_found_again_when_the_home_folder_has_moved(home, tmp_path, monkeypatch):
    assert report_name("mine", home / "data" / "mine") == "mine"
    moved = home.rename(tmp_path / "moved")
    monkeypatch.setenv("DCGAN_HOME", str(moved))
    assert report_name("mine", moved / "data" / "mine") == "mine"


def test_reports_that_cannot_be_written_have_names_too(home, tmp_path):
    (home / "reports").write_text("in the way")
    assert report_name("pics", tmp_path / "pics") == "pics"


def test_a_path_that_is_no_utf8_has_a_name_too(tmp_path):
    for _ in range(2):
        assert report_name("caf", tmp_path / os.fsdecode(b"caf\xe9")) == "caf"
    assert report_name("caf", tmp_path / os.fsdecode(b"caf\xe8")) == "caf-2"
