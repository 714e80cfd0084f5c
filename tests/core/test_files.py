import errno
import os
from pathlib import Path

import pandas as pd
import pytest

from dcgan_utils.core import files
from dcgan_utils.core.errors import NotWritable, WorkbookError
from dcgan_utils.core.files import (
    atomic_write,
    ensure_dir,
    expand_path,
    friendly_write_errors,
    home,
    notebooks_dir,
    remove_partial_files,
    report_dir,
    report_name,
    reports_dir,
    warn_if_not_writable,
    write_bytes,
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


@pytest.mark.parametrize(
    ("number", "at_home", "elsewhere"),
    [
        (errno.ENOSPC, "Free some space, or set .* DCGAN_HOME", "Free some space, or choose a"),
        (errno.EDQUOT, "Free some space, or set .* DCGAN_HOME", "Free some space, or choose a"),
        (errno.EACCES, "permissions, or set .* DCGAN_HOME", "permissions, or choose a folder"),
        (errno.EPERM, "permissions, or set .* DCGAN_HOME", "permissions, or choose a folder"),
        (errno.EROFS, "disk writable, or set .* DCGAN_HOME", "disk writable, or choose a folder"),
        (errno.ENAMETOOLONG, "name is too long: choose", "name is too long: choose"),
        (errno.EIO, r"\(Input/output error\)\.$", r"\(Input/output error\)\.$"),
        (errno.EMFILE, r"\(Too many open files\)\.$", r"\(Too many open files\)\.$"),
        (errno.ENOENT, r"\(No such file or directory\)\.$", r"\(No such file or directory\)\.$"),
    ],
)
def test_the_advice_follows_the_number_and_the_place(number, at_home, elsewhere, tmp_path):
    reports_dir().mkdir()
    for path, advice in ((reports_dir() / "x", at_home), (tmp_path / "x", elsewhere)):
        with pytest.raises(NotWritable, match=advice) as refusal, friendly_write_errors(path):
            raise OSError(number, os.strerror(number))
        assert ("Free some space" in str(refusal.value)) == advice.startswith("Free")
        assert ("DCGAN_HOME" in str(refusal.value)) == advice.endswith("DCGAN_HOME")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("folder", "folder' is a folder: rename or remove it"),
        ("file/x", "file' is not a folder: rename or remove it"),
        ("file/a/b", "file' is not a folder: rename or remove it"),
        ("gone/x", "Its folder '.*gone' is gone"),
        ("gone/a/x", "Its folder '.*gone/a' is gone"),
        ("link/x", "Its folder '.*link' is gone"),
        ("n" * 300, "The name is too long"),
        ("circle/x", r"\(Too many levels of symbolic links\)\.$"),
    ],
)
def test_what_is_in_the_way_is_named(name, advice, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(NotWritable, match=advice):
        write_bytes(tmp_path / name, b"x")


@pytest.mark.parametrize("name", ["file", "file/x", "link"])
def test_a_folder_is_not_made_where_something_else_is(name, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(NotWritable, match="is not a folder: rename or remove it"):
        ensure_dir(tmp_path / name)


def test_a_side_product_that_cannot_be_written_is_a_warning_and_a_mistake_is_none(tmp_path, caplog):
    with warn_if_not_writable():
        write_bytes(tmp_path / "gone" / "x", b"x")
    assert "Not saved: '" in caplog.text
    with pytest.raises(WorkbookError, match="wrong"), warn_if_not_writable():
        raise WorkbookError("wrong")


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("", Path(__file__).parents[2]),
        ("  ", Path(__file__).parents[2]),
        ("~/new", "{tmp}/new"),
        ("{tmp}/{x}", "{tmp}/{x}"),
        ("relative", "{tmp}/relative"),
        (".", "{tmp}"),
        ("~nobody-of-this-name/x", None),
        ("{tmp}/file", None),
        ("{tmp}/file/x", None),
        ("{tmp}/circle", None),
        ("/dev/null", None),
        ("n" * 300, None),
    ],
)
def test_any_home_folder_is_used_or_refused(text, folder, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DCGAN_HOME", text.replace("{tmp}", str(tmp_path)))
    if folder is None:
        with pytest.raises(WorkbookError, match=r"DCGAN_HOME is '.*', which cannot be used"):
            home()
    else:
        assert home() == Path(str(folder).replace("{tmp}", str(tmp_path)))


def test_what_was_installed_without_its_checkout_lives_in_the_working_directory(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("DCGAN_HOME")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "_PACKAGED", tmp_path)
    assert (home(), notebooks_dir()) == (tmp_path, tmp_path)


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


def test_a_path_that_is_no_utf8_has_a_name_too(tmp_path, caplog):
    for _ in range(2):
        assert report_name("caf", tmp_path / os.fsdecode(b"caf\xe9")) == "caf"
    assert report_name("caf", tmp_path / os.fsdecode(b"caf\xe8")) == "caf-2"
    assert "caf?' go to reports/caf-2." in caplog.text
    caplog.text.encode()
