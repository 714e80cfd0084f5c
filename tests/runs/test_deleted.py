"""Run folders of which parts were deleted, to save space or by mistake."""

import shutil

import pytest
import torch
from helpers import Stop, after_epoch, stop_after

from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.runs import sampling
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.training import train

CHECKPOINTS = ("checkpoint.pt", "checkpoint-before.pt")


def delete(run, *names):
    for path in (run.folder / name for name in names):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@pytest.fixture
def config(tiny):
    return tiny(epochs=3)


@pytest.fixture
def finished(config, collection, tmp_path):
    return train(config, collection, folder=tmp_path / "finished")


@pytest.fixture
def begun(config, collection, tmp_path):
    with pytest.raises(Stop):
        train(config, collection, folder=tmp_path / "begun", watchers=[stop_after(2)])
    return Run(tmp_path / "begun")


@pytest.mark.parametrize("part", ["samples", "weights", "history.csv", ".lock"])
def test_a_run_goes_on_without_what_was_deleted(part, begun, finished, collection):
    delete(begun, part)
    run = train(begun.config, collection, folder=begun.folder)
    assert run.finished
    assert run.sampled_epochs()[-1] == run.kept_epochs()[-1] == run.history()["epoch"].max() == 3
    assert torch.equal(sampling.sample(run, 4), sampling.sample(finished, 4))


@pytest.mark.parametrize("part", ["samples", "weights"])
def test_folders_deleted_between_two_epochs_are_made_anew(part, config, collection, tmp_path):
    def tidy(row):
        delete(Run(tmp_path / "run"), part)

    run = train(config, collection, folder=tmp_path / "run", watchers=[after_epoch(tidy)])
    assert run.finished


def test_a_run_folder_that_is_moved_in_mid_training_is_reported_as_gone(
    config, collection, tmp_path
):
    def move(row):
        (tmp_path / "run").rename(tmp_path / "moved")

    with pytest.raises(WorkbookError, match=r"Its folder '.*run' is gone: was it moved or deleted"):
        train(config, collection, folder=tmp_path / "run", watchers=[after_epoch(move)])
    assert not (tmp_path / "run").exists()
    assert train(config, collection, folder=tmp_path / "moved").finished


def test_a_file_in_the_place_of_a_folder_is_reported(begun, collection):
    delete(begun, "samples")
    (begun.folder / "samples").touch()
    with pytest.raises(WorkbookError, match="samples' is not a folder: rename or remove it"):
        train(begun.config, collection, folder=begun.folder)


@pytest.mark.parametrize(
    "deleted",
    [
        CHECKPOINTS,
        (*CHECKPOINTS, "samples"),
        (*CHECKPOINTS, "progress.gif"),
        (*CHECKPOINTS, "progress.gif", "samples"),
        (*CHECKPOINTS, "history.csv"),
    ],
    ids=lambda names: " ".join(name for name in names if name not in CHECKPOINTS) or "-",
)
def test_a_finished_run_draws_from_its_weights(deleted, finished, collection, caplog):
    wanted = sampling.sample(finished, 4, epoch=3)
    kept = {path: path.read_bytes() for path in (finished.folder / "weights").iterdir()}
    delete(finished, *deleted)
    assert torch.equal(sampling.sample(finished, 4), wanted)
    assert finished.latest_weights()[0] == 3
    with pytest.raises(NotEnoughData, match="only that holds the discriminator"):
        sampling.most_real(finished, 2, out_of=4)
    caplog.set_level("INFO")
    run = train(finished.config, collection, folder=finished.folder)
    assert run.finished
    assert run.sampled_epochs()
    assert not run.checkpoint_path.exists(), "it was not trained again"
    assert {path: path.read_bytes() for path in (run.folder / "weights").iterdir()} == kept
    if "progress.gif" not in deleted:
        assert "is already finished: nothing to train" in caplog.text


def test_damaged_checkpoints_give_way_to_weights(finished, caplog):
    wanted = sampling.sample(finished, 4, epoch=3)
    for name in CHECKPOINTS:
        (finished.folder / name).write_bytes(b"damaged")
    assert torch.equal(sampling.sample(finished, 4), wanted)
    assert "Using the weights of epoch 3." in caplog.text
    with pytest.raises(NotEnoughData, match="no readable checkpoint"):
        sampling.most_real(finished, 2, out_of=4)


def test_previews_are_drawn_again_from_the_last_checkpoint(finished, collection):
    wanted = finished.samples(3)
    delete(finished, "samples")
    run = train(finished.config, collection, folder=finished.folder)
    assert run.sampled_epochs() == [3]
    assert (run.samples(3).int() - wanted.int()).abs().max() <= 2


def test_a_run_that_lost_all_weights_says_so(finished):
    delete(finished, *CHECKPOINTS, "weights")
    with pytest.raises(
        WorkbookError, match=r"were deleted\. Delete the folder '.*' to train again"
    ):
        sampling.sample(finished, 1)


def test_a_run_that_lost_its_checkpoint_is_not_begun_anew_over_its_weights(begun, collection):
    delete(begun, *CHECKPOINTS)
    with pytest.raises(WorkbookError, match="has 2 epochs, but its checkpoint was deleted"):
        train(begun.config, collection, folder=begun.folder)
    assert begun.sampled_epochs() == begun.kept_epochs() == [1, 2]
    assert sampling.sample(begun, 1).shape == (1, 3, 32, 32)


def test_a_run_killed_before_its_first_checkpoint_begins_anew(
    config, collection, tmp_path, monkeypatch
):
    def killed(self, state):
        raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(Run, "save_checkpoint", killed)
        with pytest.raises(Stop):
            train(config, collection, folder=tmp_path / "run")
    assert Run(tmp_path / "run").kept_epochs() == [1]
    assert train(config, collection, folder=tmp_path / "run").finished


def test_a_run_without_its_previews_is_still_a_run_beside_a_collection(finished, image_folder):
    delete(finished, "samples")
    _, other = sampling.load_pair(str(image_folder), str(finished.folder), 32)
    assert other.name == "finished"


def test_without_a_history_there_is_nothing_to_tell(finished):
    delete(finished, "history.csv")
    for describe in (finished.describe_divergence, finished.describe_last_epoch):
        with pytest.raises(NotEnoughData, match=r"history\.csv"):
            describe()


def test_a_config_with_a_byte_order_mark_opens(finished):
    path = finished.folder / "config.json"
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert Run(finished.folder).config == finished.config


def test_an_animation_that_cannot_be_written_is_a_warning(config, collection, tmp_path, caplog):
    def block(row):
        (tmp_path / "run" / "progress.gif").mkdir(exist_ok=True)

    run = train(config, collection, folder=tmp_path / "run", watchers=[after_epoch(block)])
    assert "Not saved: '" in caplog.text
    run.gif_path.rmdir()
    assert not run.finished
    assert train(config, collection, folder=tmp_path / "run").finished
