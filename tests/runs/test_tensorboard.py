"""What TensorBoard reads of a run, by its own readers."""

import errno
import json
import sys

import helpers
import pytest
from helpers import GAUGES, Stop, after_epoch, assert_equal_runs, stop_after
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data as parse
from tensorboard.summary.writer.record_writer import RecordWriter

from dcgan_utils.cli import main
from dcgan_utils.core import environment
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.runs import tensorboard, training
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.training import train
from dcgan_utils.study import compare

COLUMNS = [f"training/{name}" for name in [*GAUGES[1:], "seconds"]]
MEASURES = {"kid": 0.25, "coverage": 0.5, "fid": None, "kid_low": 0.2, "extractor": "x", "real": 10}


def read(run):
    """Return what TensorBoard has read of a run; there is one file to read."""
    assert sum(path.stat().st_size > 0 for path in run.tensorboard_folder.iterdir()) == 1
    everything = {"scalars": 0, "images": 0, "tensors": 0}
    return EventAccumulator(str(run.tensorboard_folder), everything).Reload()


def points(run, *, timed=True):
    """Return the points of all curves, without times unless they are comparable."""
    found = read(run)
    tags = found.Tags()["scalars"]
    if not timed:
        tags = [tag for tag in tags if tag != "training/seconds"]
    curves = {
        tag: [(e.step, e.value, e.wall_time if timed else 0) for e in found.Scalars(tag)]
        for tag in tags
    }
    return curves, [(e.step, e.encoded_image_string) for e in found.Images("samples")]


def steps(run):
    return [point.step for point in read(run).Images("samples")]


def stop_and_go_on(config, collection, folder, monkeypatch, *watchers):
    """Train until epoch 3, which is lost with all others but the first, and then to the end."""
    with monkeypatch.context() as patched:
        patched.setattr(training, "SAVING_SHARE", 1e-9)  # nothing but the first and the last
        with pytest.raises(Stop):
            train(config, collection, folder=folder, watchers=[*watchers, stop_after(3)])
    assert Run(folder).load_checkpoint()["epoch"] == 1
    return train(config, collection, folder=folder)


def test_every_column_and_the_images_are_there(tiny, collection):
    run = train(tiny(epochs=3), collection)
    curves, images = points(run)
    assert sorted(curves) == sorted(COLUMNS)
    history, time = run.history(), (run.folder / "config.json").stat().st_mtime
    for tag, curve in curves.items():
        epochs, values, times = map(list, zip(*curve, strict=True))
        assert epochs == [1, 2, 3]
        assert values == pytest.approx(history[tag.removeprefix("training/")].tolist(), rel=1e-6)
        assert times == pytest.approx((time + history["seconds"].cumsum()).tolist(), rel=1e-15)
    assert [epoch for epoch, _ in images] == [1, 2, 3]
    assert len({image for _, image in images}) == 3
    point = read(run).Images("samples")[0]
    assert (point.width, point.height) == (3 * 34 - 2, 2 * 34 - 2)


def test_a_resumed_run_has_the_points_of_an_undisturbed_one(
    tiny, collection, tmp_path, monkeypatch
):
    config = tiny(epochs=5)
    monkeypatch.setattr(tensorboard, "GRIDS", 3)
    undisturbed = train(config, collection, folder=tmp_path / "undisturbed")
    resumed = stop_and_go_on(config, collection, tmp_path / "run", monkeypatch)
    assert steps(resumed) == [1, 3, 5]
    assert points(resumed, timed=False) == points(undisturbed, timed=False)


def test_an_export_has_the_points_of_the_training(tiny, collection, monkeypatch):
    monkeypatch.setattr(tensorboard, "GRIDS", 2)
    run = train(tiny(epochs=4), collection)
    expected = points(run)
    for file in run.tensorboard_folder.iterdir():
        file.unlink()
    assert tensorboard.export(run) == run.tensorboard_folder
    assert points(run) == expected
    tensorboard.export(run)
    assert points(run) == expected
    silent = train(tiny(epochs=4, seed=1, tensorboard=False), collection)
    assert not silent.tensorboard_folder.exists()
    tensorboard.export(silent)
    assert steps(silent) == [1, 4]


def test_a_reader_that_has_begun_follows(tiny, collection, tmp_path, monkeypatch):
    reader = []
    begin = after_epoch(lambda row: row["epoch"] == 2 and reader.append(read(run)))
    config = tiny(epochs=4)
    run = Run.create(config, collection, folder=tmp_path / "run")
    stop_and_go_on(config, collection, run.folder, monkeypatch, begin)
    (reader,) = reader
    assert [point.step for point in reader.Scalars("training/g_loss")] == [1]
    assert [p.step for p in reader.Reload().Scalars("training/g_loss")] == [1, 2, 3, 4]
    tensorboard.export(run)
    assert [p.step for p in reader.Reload().Scalars("training/g_loss")] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("epochs", "expected"), [(1, [1]), (3, [1, 2, 3]), (4, [1, 2, 4]), (1000, [1, 500, 1000])]
)
def test_images_are_shown_evenly_from_the_first_to_the_last(
    tiny, collection, monkeypatch, epochs, expected
):
    monkeypatch.setattr(tensorboard, "GRIDS", 3)
    run = Run.create(tiny(epochs=epochs), collection)
    assert sorted(tensorboard._planned_epochs(run)) == expected


@pytest.mark.parametrize("stopped", [False, True])
def test_the_last_images_are_shown_where_losses_diverged(
    tiny, collection, tmp_path, monkeypatch, stopped
):
    monkeypatch.setattr(tensorboard, "GRIDS", 3)
    monkeypatch.setattr(
        Run, "divergence_epoch", lambda self: 2 if len(self.history()) >= 2 else None
    )
    config = tiny(epochs=9, patience=2)
    if stopped:
        run = stop_and_go_on(config, collection, tmp_path / "run", monkeypatch)
    else:
        run = train(config, collection, folder=tmp_path / "run")
    assert steps(run) == [1, 4]
    tensorboard.export(run)
    assert steps(run) == [1, 4]


def test_it_changes_nothing_in_the_training(tiny, collection, tmp_path):
    config = tiny(augment="ada", flip=True)
    one = train(config, collection, folder=tmp_path / "with")
    other = train(config.changed(tensorboard=False), collection, folder=tmp_path / "without")
    assert one.tensorboard_folder.exists()
    assert not other.tensorboard_folder.exists()
    assert_equal_runs(one, other)


def without_tensorboard(about):
    del about["config"]["tensorboard"]  # as an older version wrote it


def with_tensorboard(about):
    about["config"]["tensorboard"] = not about["config"]["tensorboard"]


@pytest.mark.parametrize("before", [without_tensorboard, with_tensorboard])
@pytest.mark.parametrize("wanted", [True, False])
def test_a_run_made_without_it_resumes_with_it(tiny, collection, before, wanted):
    config = tiny(tensorboard=wanted)
    with pytest.raises(Stop):
        train(config, collection, watchers=[stop_after(1)])
    run = Run.create(config, collection)
    about = json.loads((run.folder / "config.json").read_text())
    before(about)
    (run.folder / "config.json").write_text(json.dumps(about))
    resumed = train(config, collection)
    assert resumed.folder == run.folder
    assert resumed.finished
    assert resumed.tensorboard_folder.exists() is wanted


# --- Parameters and measures ---------------------------------------------------------------


def session(run):
    content = read(run).summary_metadata[SESSION_START_INFO_TAG].plugin_data.content
    return parse(content)


def test_the_parameters_are_those_that_decide_about_the_run(tiny, collection):
    run = train(tiny(noise="gamma", flip=True), collection)
    info = session(run)
    assert info.group_name == run.name
    assert set(info.hparams) == {*run.config.identity, "collection"}
    assert info.hparams["noise"].string_value == "gamma(2, 1)"
    assert info.hparams["collection"].string_value == "ten-images"
    assert info.hparams["batch_size"].number_value == 4
    assert info.hparams["flip"].bool_value is True


@pytest.fixture
def evaluated(monkeypatch):
    measures = dict(MEASURES)
    monkeypatch.setattr(compare.evaluation, "evaluate", lambda *images, **settings: measures)
    return measures


def test_a_measured_run_shows_its_measures_once(tiny, collection, evaluated):
    run = train(tiny(epochs=3), collection)
    training_alone = points(run)
    for evaluated["kid"] in (0.5, 0.125):
        compare.measure_run(run, samples=4, seed=int(evaluated["kid"] * 8))
    curves, images = points(run)
    measures = {tag: curves.pop(tag) for tag in [*curves] if tag.startswith("measures/")}
    assert (curves, images) == training_alone
    assert sorted(measures) == ["measures/coverage", "measures/kid"]
    ((step, value, time),) = measures["measures/kid"]
    assert (step, value) == (3, 0.125)
    assert time == curves["training/g_loss"][-1][2]


def test_measures_of_an_earlier_epoch_are_not_shown(tiny, collection, evaluated):
    run = train(tiny(), collection)
    run.save_metrics(MEASURES | {"how": {"epochs": 1}})
    tensorboard.export(run)
    assert sorted(points(run)[0]) == sorted(COLUMNS)


def test_a_run_that_is_not_shown_stays_so_when_it_is_measured(tiny, collection, evaluated):
    run = train(tiny(tensorboard=False), collection)
    compare.measure_run(run, samples=4)
    assert not run.tensorboard_folder.exists()


def test_a_run_in_training_is_left_alone_when_it_is_measured(tiny, collection, evaluated):
    def measure(row):
        if row["epoch"] == 1:
            compare.measure_run(Run.create(tiny(epochs=3), collection), samples=4)

    run = train(tiny(epochs=3), collection, watchers=[after_epoch(measure)])
    curves, images = points(run)
    assert [point[0] for point in curves["training/g_loss"]] == [1, 2, 3]
    assert [epoch for epoch, _ in images] == [1, 2, 3]


@pytest.mark.parametrize(
    "measures",
    [{"kid": 10**400}, {"kid": True}, {"\ud800": 1}, {"a b": 1}, {"kid": [1]}, {"kid": 1e300}],
)
def test_measures_that_are_none_are_left_out(tiny, collection, measures):
    run = train(tiny(), collection)
    run.save_metrics(measures | {"coverage": 1, "how": {"epochs": 2}})
    tensorboard.export(run)
    assert set(points(run)[0]) - {*COLUMNS} <= {"measures/coverage", "measures/kid"}
    assert points(run)[0]["measures/coverage"][0][1] == 1


@pytest.mark.slow
def test_a_real_tensorboard_compares_the_runs(tiny, collection, evaluated, home):
    runs = [train(tiny(noise=noise), collection) for noise in ("normal", "gamma")]
    compare.measure_run(runs[1], samples=4)
    with helpers.tensorboard(home / "reports" / "runs") as (get, wait):

        def ask(route, request=None):
            return json.loads(get(route, request=json.dumps(request)))

        wait(lambda: len(ask("scalars/tags")) == 2)
        assert sorted(ask("scalars/tags")) == sorted(f"{run.name}/tensorboard" for run in runs)
        experiment = ask("hparams/experiment", {"hparamsLimit": 0})
        first = experiment["hparamInfos"][0]
        assert (first["name"], first["differs"]) == ("noise", True)
        shown = [info["name"]["tag"] for info in experiment["metricInfos"]]
        assert shown[:2] == ["measures/coverage", "measures/kid"]
        asked = {"sliceSize": 9, "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_RUNNING"]}
        asked["colParams"] = [{"metric": {"tag": "measures/kid"}}, {"hparam": "noise"}]
        groups = ask("hparams/session_groups", asked)["sessionGroups"]
    found = {group["name"]: group for group in groups}
    assert set(found) == {run.name for run in runs}
    measured = found[runs[1].name]
    assert measured["hparams"]["noise"] == "gamma(2, 1)"
    assert {m["name"]["tag"]: m["value"] for m in measured["metricValues"]}["measures/kid"] == 0.25


# --- What may be missing -------------------------------------------------------------------


@pytest.fixture
def not_installed(monkeypatch):
    monkeypatch.delitem(sys.modules, "dcgan_utils.runs.tensorboard")
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)


INSTALL = r'pip install "dcgan-utils\[tensorboard\]"'


def test_where_it_is_not_installed_it_is_off_and_refused_at_once(not_installed, tiny, collection):
    assert TrainConfig.resolve().tensorboard is False
    assert TrainConfig.resolve(tensorboard="false").tensorboard is False
    with pytest.raises(WorkbookError, match=INSTALL):
        TrainConfig.resolve(tensorboard="true")
    run = train(tiny(), collection)
    assert run.finished
    assert not run.tensorboard_folder.exists()


def test_a_folder_of_that_name_is_no_installation(not_installed, monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "tensorboard")
    (tmp_path / "tensorboard").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert environment.has_tensorboard() is False


def test_a_run_trained_with_it_opens_and_is_measured_without_it(
    tiny, collection, request, evaluated
):
    run = train(tiny(tensorboard=True), collection)
    request.getfixturevalue("not_installed")
    opened = Run(run.folder)
    assert opened.config.tensorboard is False
    assert compare.measure_run(opened, samples=4)["kid"] == 0.25


def test_an_installation_that_is_broken_stops_no_training(
    tiny, collection, monkeypatch, caplog, request
):
    config = tiny(tensorboard=True)
    request.getfixturevalue("not_installed")
    assert train(config, collection).finished
    assert "Nothing is written for TensorBoard: the extra 'tensorboard' cannot" in caplog.text


def test_a_folder_that_cannot_be_written_is_a_warning(tiny, collection, tmp_path, caplog):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tensorboard").touch()
    assert train(tiny(), collection, folder=tmp_path / "run").finished
    (warning,) = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert warning.startswith(f"Not saved: '{tmp_path / 'run' / 'tensorboard'}")


def test_on_a_full_disk_there_is_one_warning_and_what_is_missing_can_be_exported(
    tiny, collection, monkeypatch, caplog
):
    def fail(self, data):
        self._writer.write(data[:9])  # part of a record
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        fill = after_epoch(lambda row: row["epoch"] == 2 and patched.setattr(*full))
        full = RecordWriter, "write", fail
        run = train(tiny(epochs=5), collection, watchers=[fill])
    assert [r.message[:9] for r in caplog.records if r.levelname == "WARNING"] == ["Not saved"]
    assert run.finished
    assert steps(run) == [1]
    tensorboard.export(run)
    assert steps(run) == [1, 2, 3, 4, 5]


def test_a_damaged_preview_is_left_out(tiny, collection, caplog):
    run = train(tiny(epochs=3), collection)
    (run.folder / "samples" / "epoch_0002.png").write_bytes(b"no image")
    tensorboard.export(run)
    assert steps(run) == [1, 3]
    assert "Left out of TensorBoard" in caplog.text


def test_a_run_of_which_nothing_is_left_can_be_exported(tiny, collection):
    run = Run.create(tiny(), collection)
    tensorboard.export(run)
    assert read(run).Tags()["scalars"] == []
    assert session(run).group_name == run.name


# --- The command ---------------------------------------------------------------------------


def test_the_command_exports_runs_and_says_how_to_look_at_them(tiny, collection, capsys, home):
    runs = [train(tiny(seed=seed, tensorboard=False), collection) for seed in (0, 1)]
    assert main(["tensorboard", "ten-images"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "tensorboard/ in the folders of 2 runs" in line
    assert f"tensorboard --logdir {home}/reports/runs " in line
    assert [steps(run) for run in runs] == [[1, 2], [1, 2]]
    assert main(["tensorboard", str(runs[0].folder)]) == 0
    assert str(runs[0].tensorboard_folder) in capsys.readouterr().out


def test_the_command_leaves_a_run_in_training_alone(tiny, collection, capsys):
    codes = []
    export = after_epoch(lambda row: codes.append(main(["tensorboard", "ten-images"])))
    run = train(tiny(), collection, watchers=[export])
    assert codes == [2, 2]
    assert "is being trained by another process" in capsys.readouterr().err
    assert steps(run) == [1, 2]


def test_the_command_says_what_to_install(not_installed, capsys):
    assert main(["tensorboard", "any"]) == 2
    assert 'pip install "dcgan-utils[tensorboard]"' in capsys.readouterr().err
