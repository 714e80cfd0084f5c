"""A training that begins with the weights of another run, or of a file."""

import logging
import shutil

import pytest
import torch
from helpers import TINY_GRID, Stop, assert_equal_runs, equal_states, stop_after

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import runs_dir
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.notebook import train as train_here
from dcgan_utils.report.build import plan_report
from dcgan_utils.runs.run import Run, run_name
from dcgan_utils.runs.training import Watcher, train
from dcgan_utils.runs.transfer import load_start, locate_source
from dcgan_utils.study.grid import Grid, tasks

PARTS = ("generator", "ema", "discriminator")


class First(Watcher):
    """Keeps what a training draws before its first update."""

    def start(self, run, epoch, samples):
        self.epoch_at_start, self.samples = epoch, samples


@pytest.fixture
def source(tiny, collection):
    """Return a run of two epochs."""
    return train(tiny(seed=5), collection)


def begun(config):
    """Return a new model that the config's source was applied to."""
    model = DCGAN(config)
    load_start(config).apply(model)
    return model.state_dict()


def test_before_its_first_update_it_draws_exactly_what_the_source_drew(source, tiny, collection):
    first, config = First(), tiny(seed=5, start_from=source.name, lr=1e-3)
    run = train(config, collection, watchers=[first])
    assert torch.equal(first.samples, source.samples(2))
    assert first.epoch_at_start == 0, "its epochs are its own"
    assert not torch.equal(run.samples(1), source.samples(2)), "it goes on learning"
    assert run.about["start"]["source"] == source.name
    assert run.about["start"]["epoch"] == 2


def test_both_networks_are_taken_and_nothing_else(source, tiny):
    config = tiny(start_from=source.name)
    taken, fresh = begun(config), DCGAN(config).state_dict()
    trained = source.load_checkpoint()["model"]
    for part in PARTS:
        assert equal_states(dict(taken[part]), dict(trained[part])), part
        assert not equal_states(dict(taken[part]), dict(fresh[part])), part
    others = taken.keys() - {*PARTS}
    assert all(equal_states(taken[name], fresh[name]) for name in others), "optimisers begin anew"
    assert not equal_states(dict(trained["generator"]), dict(trained["ema"])), "they are two"


def test_the_log_and_the_name_tell_of_it(source, tiny, collection, caplog):
    with caplog.at_level(logging.INFO):
        run = train(tiny(start_from=source.name, noise_size=9), collection)
    said = (
        "begins with the weights of '{}' after epoch 2. Not taken, begun anew: generator.blocks.0."
    )
    assert said.format(source.name) in caplog.text
    assert run.name != run_name(tiny(noise_size=9), collection)


def test_networks_for_larger_images_take_the_blocks_nearest_to_the_image(source, tiny):
    config = tiny(img_size=64, start_from=source.name)
    start, taken, fresh = load_start(config), begun(config), DCGAN(config).state_dict()
    trained = source.load_checkpoint()["model"]
    assert {*start.left_out} == {
        "generator.blocks.0", "generator.blocks.1", "discriminator.blocks.3",
        "discriminator.blocks.4",
    }  # fmt: skip
    for mine, theirs in [(2, 1), (3, 2), (4, 3)]:
        for part in ("generator", "ema"):
            kernel = taken[part][f"blocks.{mine}.0.weight"]
            assert torch.equal(kernel, trained[part][f"blocks.{theirs}.0.weight"])
    first = "blocks.0.0.weight"
    assert torch.equal(taken["discriminator"][first], trained["discriminator"][first])
    assert torch.equal(taken["generator"][first], fresh["generator"][first])
    assert torch.equal(taken["ema"][first], taken["generator"][first])


@pytest.mark.parametrize(
    ("own", "left_out"),
    [
        ({"noise_size": 9}, {"generator.blocks.0"}),
        ({"first_norm": "unit"}, {"generator.blocks.0"}),
        (
            {"architecture": "resize"},
            {"generator.blocks.1", "generator.blocks.2", "generator.blocks.3"},
        ),
        ({"noise": "gamma", "seed": 1, "batch_size": 5}, set()),
    ],
)
def test_a_block_is_taken_as_a_whole_where_its_shapes_fit(source, tiny, own, left_out):
    assert {*load_start(tiny(start_from=source.name, **own)).left_out} == left_out


@pytest.mark.parametrize("own", [{"width": 9}, {"architecture": "pokemon"}])
def test_networks_that_share_no_block_are_refused_before_a_folder_is_made(
    source, tiny, collection, own
):
    with pytest.raises(WorkbookError, match=f"no block of '{source.name}' fits networks of arch"):
        train(tiny(start_from=source.name, **own), collection)
    assert [folder.name for folder in runs_dir().iterdir()] == [source.name]


def test_it_resumes_bit_for_bit_without_its_source(source, tiny, collection, tmp_path):
    config = tiny(start_from=source.name)
    whole = train(config, collection, folder=tmp_path / "whole")
    with pytest.raises(Stop):
        train(config, collection, watchers=[stop_after(1)])
    shutil.move(source.folder, tmp_path / "elsewhere")
    assert locate_source(source.name) == source.name, "a run has begun with it"
    resumed = train(config, collection)
    assert_equal_runs(resumed, whole)
    assert resumed.about["start"] == whole.about["start"]


def test_one_stopped_before_its_first_epoch_resumes_without_its_source(source, tiny, collection):
    config = tiny(start_from=source.name, seed=5)

    class StopAtOnce(Watcher):
        def start(self, run, epoch, samples):
            raise Stop

    with pytest.raises(Stop):
        train(config, collection, watchers=[StopAtOnce()])
    expected = source.samples(2)
    shutil.rmtree(source.folder)
    train(config, collection, watchers=[first := First()])
    assert torch.equal(first.samples, expected)


def test_weights_that_have_changed_since_are_reported(source, tiny, collection, caplog):
    config = tiny(start_from=source.name)
    run = train(config, collection)
    state = source.load_checkpoint()
    state["model"]["generator"]["blocks.0.0.weight"][0] += 1
    source.save_checkpoint(state)
    caplog.clear()
    assert train(config, collection).about["start"] == run.about["start"]
    assert f"'{source.name}' has other weights now than '{run.name}' began with." in caplog.text


# --- Files -----------------------------------------------------------------------------------


def test_a_checkpoint_is_as_good_as_its_run(source, tiny):
    by_name = load_start(tiny(start_from=source.name))
    by_file = load_start(tiny(start_from=str(source.checkpoint_path)))
    assert (by_file.epoch, by_file.weights_hash) == (by_name.epoch, by_name.weights_hash) != ()


def test_kept_weights_begin_both_generators_and_the_discriminator_anew(source, tiny):
    file = source.folder / "weights" / "epoch_0001.pt"
    config = tiny(start_from=str(file))
    assert load_start(config).left_out == ("the discriminator, which the source does not have",)
    taken, kept = begun(config), source.load_weights(1)
    for part in ("generator", "ema"):
        assert equal_states(dict(taken[part]), kept)
    fresh = DCGAN(config).state_dict()
    assert equal_states(dict(taken["discriminator"]), dict(fresh["discriminator"]))


def test_a_run_whose_checkpoint_was_deleted_has_its_kept_weights(source, tiny):
    for file in source.folder.glob("checkpoint*.pt"):
        file.unlink()
    start = load_start(tiny(start_from=source.name))
    assert start.epoch == 2
    assert equal_states(start.weights["generator"], source.load_weights(2))


def test_safetensors(source, tiny, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "generator.safetensors"
    packed = {name: weights.contiguous() for name, weights in source.load_weights().items()}
    safetensors.save_file(packed, path)
    start = load_start(tiny(start_from=str(path)))
    assert equal_states(start.weights["ema"], source.load_weights())
    path.write_bytes(b"no weights")
    with pytest.raises(WorkbookError, match="does not hold the weights"):
        load_start(tiny(start_from=str(path)))


def test_where_safetensors_is_not_installed_one_is_told(tiny, tmp_path, monkeypatch):
    (tmp_path / "g.safetensors").touch()
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    with pytest.raises(WorkbookError, match=r'pip install "dcgan-utils\[export\]"'):
        load_start(tiny(start_from=str(tmp_path / "g.safetensors")))


@pytest.mark.parametrize(
    "content",
    [{"a": torch.ones(2)}, {"blocks.0.0.weight": 3}, {"model": {}, "epoch": 1}, [1], {}],
    ids=["other names", "no tensors", "no networks", "a list", "nothing"],
)
def test_files_of_something_else_are_refused(tiny, collection, tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(WorkbookError, match=r"start_from: .*x\.pt"):
        train(tiny(start_from=str(tmp_path / "x.pt")), collection)
    assert not runs_dir().exists()


def test_a_file_that_would_execute_code_is_refused(tiny, tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("trapped").touch, ())

    torch.save({"a": Trap()}, tmp_path / "x.pt")
    with pytest.raises(WorkbookError, match="cannot be read"):
        load_start(tiny(start_from=str(tmp_path / "x.pt")))
    assert not (tmp_path / "trapped").exists()


# --- What is refused at once -----------------------------------------------------------------


def test_a_misspelt_run_is_refused_with_the_right_one(source, tiny, collection):
    wrong = source.name[:-1]
    for call in (
        lambda: locate_source(wrong),
        lambda: train(tiny(start_from=wrong), collection),
        lambda: train_here(collection.source, start_from=wrong),
    ):
        with pytest.raises(WorkbookError, match=f"neither a run.*Did you mean '{source.name}'"):
            call()
    assert [folder.name for folder in runs_dir().iterdir()] == [source.name]


def test_a_run_that_has_not_begun_is_refused(tiny, collection):
    run = Run.create(tiny(), collection)
    with pytest.raises(WorkbookError, match="has no weights; train it first"):
        locate_source(run.name)
    with pytest.raises(WorkbookError, match="has no checkpoint yet; train it first"):
        train(tiny(start_from=run.name, seed=1), collection)


def test_a_source_is_named_so_that_it_is_found_from_anywhere(
    source, collection, tmp_path, monkeypatch
):
    assert locate_source(None) is None
    assert locate_source(str(source.folder)) == source.name
    file = source.folder / "weights" / "epoch_0002.pt"
    monkeypatch.chdir(file.parent)
    assert locate_source(file.name) == str(file)
    parameters, images = TINY_GRID | {"start_from": file.name}, str(collection.source)
    grid = Grid.resolve(collections=images, noises="normal", parameters=parameters)
    assert tasks(grid)[0].parameters["start_from"] == str(file)
    report = plan_report(images, "normal", parameters=parameters, only="train")
    assert report.timetable.chapters[0].values["start_from"] == str(file)
    elsewhere = shutil.copytree(source.folder, tmp_path / "kept run")
    assert locate_source(str(elsewhere)) == str(elsewhere)
