"""What takes space, and that nothing else is removed."""

import shutil
import sys

import pytest
from filelock import FileLock
from helpers import Stop, stop_after

from dcgan_utils.cli import main
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import cache_dir, runs_dir
from dcgan_utils.runs import sampling
from dcgan_utils.runs.run import Run, find_run
from dcgan_utils.runs.storage import choose_leftovers, list_leftovers, remove
from dcgan_utils.runs.training import train


@pytest.fixture
def finished(tiny, collection):
    return train(tiny(), collection)


@pytest.fixture
def interrupted(tiny, collection):
    with pytest.raises(Stop):
        train(tiny(epochs=5, seed=3), collection, watchers=[stop_after(2)])
    return find_run("*-s3-*")


def files_below(folder):
    return {path.relative_to(folder): path.stat().st_size for path in folder.rglob("*.*")}


def remove_all(*names):
    for leftover in choose_leftovers(names):
        remove(leftover)


def test_what_takes_space_is_listed_with_its_size(finished, interrupted):
    (cache_dir() / "numba").mkdir()
    (cache_dir() / "numba" / "compiled").write_bytes(b"1234")
    cached, compiled, unfinished, checkpoints = list_leftovers()
    assert (cached.kind, cached.name) == ("cache", "images")
    assert cached.size == sum(path.stat().st_size for path in cache_dir().glob("images-*"))
    assert (compiled.name, compiled.size) == ("numba", 4)
    assert (unfinished.kind, unfinished.name) == ("unfinished", interrupted.name)
    assert unfinished.size == sum(files_below(interrupted.folder).values())
    assert (checkpoints.kind, checkpoints.name) == ("checkpoints", finished.name)
    assert {path.name for path in checkpoints.paths} == {"checkpoint.pt", "checkpoint-before.pt"}


def test_the_cache_goes_and_the_runs_and_images_stay(finished, home, image_folder):
    before = files_below(home / "reports"), files_below(image_folder)
    other = cache_dir() / "notes.txt"
    other.write_text("mine")
    remove_all("cache")
    assert [*cache_dir().iterdir()] == [other]
    assert (files_below(home / "reports"), files_below(image_folder)) == before


def test_only_unfinished_runs_go(finished, interrupted):
    remove_all("unfinished")
    assert [*runs_dir().iterdir()] == [finished.folder]
    assert Run(finished.folder).finished


def test_without_its_checkpoint_a_run_draws_the_same_and_stays_finished(
    finished, tiny, collection, caplog
):
    before = sampling.sample(finished, 4).int()
    remove_all("checkpoints")
    assert not [*finished.folder.glob("checkpoint*")]
    assert (sampling.sample(finished, 4).int() - before).abs().max() <= 2  # in half precision
    assert train(tiny(), collection).finished
    assert "checkpoints" not in {leftover.kind for leftover in list_leftovers()}


def test_a_checkpoint_stays_where_the_weights_were_deleted(finished):
    shutil.rmtree(finished.folder / "weights")
    assert "checkpoints" not in {leftover.kind for leftover in list_leftovers()}


def test_runs_go_by_name_pattern_or_path(finished, interrupted):
    broken = runs_dir() / "broken"
    broken.mkdir()
    remove_all("broken", str(interrupted.folder), "*-s0-*")
    assert not [*runs_dir().iterdir()]


@pytest.mark.parametrize("lock", [".lock", ".task"])
def test_what_is_in_use_stays(interrupted, lock):
    before = files_below(interrupted.folder)
    (leftover,) = choose_leftovers(["unfinished"])
    with FileLock(interrupted.folder / lock):
        assert choose_leftovers(["unfinished"]) == []
        with pytest.raises(WorkbookError, match="by another process"):
            choose_leftovers([interrupted.name])
        with pytest.raises(WorkbookError, match="by another process"):
            remove(leftover)
    after = files_below(interrupted.folder)
    assert {path: size for path, size in after.items() if path.name != lock} == {
        path: size for path, size in before.items() if path.name != lock
    }


@pytest.mark.parametrize("name", ["..", ".", "/", "", "../runs", "elsewhere"])
def test_nothing_outside_of_the_runs_can_be_named(finished, home, name):
    (home / "elsewhere").mkdir()
    with pytest.raises(WorkbookError, match="is neither"):
        choose_leftovers([name])
    namesake = home / "elsewhere" / finished.name
    namesake.mkdir()
    for path in (namesake.parent, namesake):
        with pytest.raises(WorkbookError, match="is neither"):
            choose_leftovers([str(path)])


def test_a_link_is_never_followed(finished, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(finished.folder, elsewhere)
    for missing in ("progress.gif", "checkpoint.pt"):
        (elsewhere / missing).unlink()
    before = files_below(elsewhere)
    (runs_dir() / "linked").symlink_to(elsewhere)
    (cache_dir() / "images-linked.npz").symlink_to(elsewhere / "config.json")
    (cache_dir() / "numba").symlink_to(elsewhere)
    (finished.folder / "inside").symlink_to(elsewhere)
    assert "linked" not in {leftover.name for leftover in list_leftovers()}
    with pytest.raises(WorkbookError, match="is a link to another place"):
        choose_leftovers(["linked"])
    remove_all("cache", "unfinished", finished.name)
    assert not [*cache_dir().iterdir()]
    assert not finished.folder.exists()
    assert files_below(elsewhere) == before


# --- The command ---


def test_the_command_shows_everything_and_removes_nothing(finished, interrupted, capsys):
    assert main(["clean"]) == 0
    shown = capsys.readouterr().out
    for words in ("cache (", "images", "unfinished (", interrupted.name, "checkpoints (", " MB"):
        assert words in shown
    assert interrupted.folder.exists()
    assert list_leftovers()


@pytest.mark.parametrize(("answer", "stays"), [("y", False), ("", True), ("n", True)])
def test_the_command_asks_before_it_removes(interrupted, monkeypatch, capsys, answer, stays):
    def answered(question):
        shown = capsys.readouterr().out
        assert interrupted.name in shown, "named before"
        return answer

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", answered)
    assert main(["clean", "unfinished"]) == 0
    assert interrupted.folder.exists() == stays


def test_scripts_say_yes(interrupted, capsys):
    assert main(["clean", "unfinished"]) == 2
    assert interrupted.folder.exists()
    assert main(["clean", "unfinished", "--yes"]) == 0
    assert not interrupted.folder.exists()
    assert main(["clean", "unfinished", "--yes"]) == 0
    assert "There is nothing to remove." in capsys.readouterr().out
