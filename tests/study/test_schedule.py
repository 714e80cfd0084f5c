"""Notebooks, tasks and grids: what is executed, resumed, shared between workers, and reported."""

import math
import os
import re
import runpy
import shutil
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
import psutil
import pytest
import torch
from helpers import FORKS, TINY, equal_states, written_grid
from in_process import StandIn, execute_cells
from nbformat.v4 import new_code_cell, new_notebook

from dcgan_utils.cli import main
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import notebooks_dir, reports_dir, runs_dir
from dcgan_utils.data.load import load_dataset
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.report import build
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.training import train
from dcgan_utils.study import compare, schedule
from dcgan_utils.study.grid import load_grid, tasks
from dcgan_utils.study.schedule import (
    execute_notebook,
    is_complete,
    local_cluster,
    run_grid,
    run_task,
)

# --- One notebook --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("print('three')", ""),
        ("raise ValueError('no')", "ValueError: no"),
        ("import os; os.kill(os.getpid(), 9)", "the kernel died"),
    ],
)
def test_a_notebook_is_complete_if_every_cell_ran_without_error(
    tmp_path, monkeypatch, source, reason
):
    cells = [new_code_cell("print('one')"), new_code_cell(source), new_code_cell("print('four')")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), tmp_path / "small.ipynb")
    monkeypatch.setattr(schedule, "notebooks_dir", lambda: tmp_path)
    output = tmp_path / "{x} out.ipynb"
    failed = execute_notebook("small", output, {})
    assert failed.startswith(reason)
    assert bool(failed) == bool(reason)
    assert is_complete(output) == (reason == "")
    assert "one" in output.read_text(), "what ran is kept"


@pytest.mark.parametrize(
    "folder", ["plain", "my {x}", "{", "}", "{}", "{0}", "{{x}}", "{noise}", "{noise!r:>9}", "a}{b"]
)
def test_braces_in_paths_stay_for_papermill(monkeypatch, folder):
    import papermill
    from papermill.parameterize import parameterize_path

    paths = []
    values = {"noise": "gamma", "dataset": f"/pics/{folder}"}

    def execute(source, output, *, parameters, **_):
        paths.extend(Path(parameterize_path(path, parameters)) for path in (source, output))
        assert parameters == values

    monkeypatch.setattr(papermill, "execute_notebook", execute)
    monkeypatch.setattr(schedule, "_stored", lambda name: Path(f"/{folder}/{name}.ipynb"))
    assert not execute_notebook("train", Path(f"/home/{folder}/out.ipynb"), values)
    assert paths == [Path(f"/{folder}/train.ipynb"), Path(f"/home/{folder}/out.ipynb")]


def test_a_notebook_that_is_missing_or_half_written_is_not_complete(tmp_path):
    assert not is_complete(tmp_path / "none.ipynb")
    (tmp_path / "half.ipynb").write_text('{"cells": [')
    assert not is_complete(tmp_path / "half.ipynb")
    nbformat.write(new_notebook(), tmp_path / "stored.ipynb")
    assert not is_complete(tmp_path / "stored.ipynb"), "never executed"


@pytest.mark.parametrize("argv", [["/nowhere/python"], [sys.executable, "-c", "pass"]])
def test_a_kernel_that_does_not_start_is_reported(tmp_path, monkeypatch, argv):
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    spec = KernelSpec(argv=[*argv, "{connection_file}"], display_name="p", language="python")
    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda *_: spec)
    with pytest.raises(WorkbookError, match=r"kernel 'python3' does not start .* doctor"):
        execute_notebook("compare", tmp_path / "out.ipynb", {"runs": "x"})


def test_a_missing_notebook_is_reported(tmp_path):
    available = r"Available: ablation, augment, .*, compare, eda, latent, .*study, train"
    with pytest.raises(WorkbookError, match=available):
        execute_notebook("nonsense", tmp_path / "out.ipynb", {})


MEASURED = {"samples": 6, "label_column": None}


# --- One task ------------------------------------------------------------------------------


@pytest.fixture
def task(tmp_path, image_folder):
    """Return the first task of a grid of tiny runs."""
    return tasks(load_grid(written_grid(tmp_path, image_folder)))[0]


@pytest.fixture
def stand_in(monkeypatch):
    """Let no kernel start: a training is one call of `train`."""
    stand_in = StandIn()
    monkeypatch.setattr(schedule, "execute_notebook", stand_in)
    monkeypatch.setattr(build, "execute_notebook", stand_in)
    return stand_in


def test_a_task_is_done_once_and_a_failed_one_again(task, home, stand_in):
    assert run_task(task, str(home), MEASURED) == ""
    assert Run(task.run).finished
    assert run_task(task, str(home), MEASURED) == ""
    assert stand_in.executed == ["train"]

    notebook = Run(task.run).folder / "train.ipynb"
    executed = nbformat.read(notebook, as_version=4)
    executed.metadata["papermill"]["exception"] = True  # the training is finished, a figure failed
    nbformat.write(executed, notebook)
    assert run_task(task, str(home), MEASURED) == ""
    assert stand_in.executed == ["train", "train"]


def test_two_workers_at_one_task_take_turns(task, home, stand_in):
    failed = []
    both = [
        threading.Thread(target=lambda: failed.append(run_task(task, str(home), MEASURED)))
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert failed == ["", ""]
    assert stand_in.executed == ["train"], "the second found it finished"
    assert len(Run(task.run).history()) == TINY["epochs"]


def test_a_worker_that_sees_other_images_fails(task, home, image_folder, stand_in):
    extra = image_folder / "other.png"
    shutil.copy(image_folder / "00.png", extra)
    for _ in range(2):
        assert "the images on this worker are not the images" in run_task(task, str(home), MEASURED)
    extra.unlink()
    assert run_task(task, str(home), MEASURED) == ""


# --- The grid ------------------------------------------------------------------------------


@pytest.fixture
def threads(monkeypatch):
    """Let the cluster be threads of this process, which starts at once."""
    from distributed import LocalCluster

    @contextmanager
    def cluster(tasks, workers=None):
        options = {"processes": False, "n_workers": workers or 1, "threads_per_worker": 1}
        with LocalCluster(**options, dashboard_address=None) as started:
            yield started.scheduler_address

    monkeypatch.setattr(schedule, "local_cluster", cluster)


# A command runs it first, and Dask's workers before their first task.
BRIEF = """
import sys
from pathlib import Path

sys.modules["rfc3987_syntax"] = None  # as in lean.py
from dcgan_utils.study import schedule

schedule.notebooks_dir = lambda: Path({folder!r})
schedule._IGNORE_CTRL_C += "; import runpy; runpy.run_path({script!r})"
"""


@pytest.fixture
def brief(tmp_path, monkeypatch):
    """Leave of the notebooks, in all processes, what trains; return the script that does so.

    Their figures are drawn, in other tests, without a kernel.
    """
    folder, script = tmp_path / "brief", tmp_path / "brief.py"
    folder.mkdir()
    trains = re.compile(r"^import |configure\(|load_dataset\(|run = runs.train\(")
    for name, kept in {"train": trains, "compare": re.compile("nothing")}.items():
        notebook = nbformat.read(notebooks_dir() / f"{name}.ipynb", as_version=4)
        notebook.cells = [
            cell
            for cell in notebook.cells
            if "parameters" in cell.metadata.get("tags", []) or kept.search(cell.source)
        ]
        notebook.cells[1].source = "from dcgan_utils import data, gan, notebook, runs"
        nbformat.write(notebook, folder / f"{name}.ipynb")
    script.write_text(BRIEF.format(folder=str(folder), script=str(script)))
    monkeypatch.setattr(schedule, "notebooks_dir", schedule.notebooks_dir)
    monkeypatch.setattr(schedule, "_IGNORE_CTRL_C", schedule._IGNORE_CTRL_C)
    runpy.run_path(str(script))
    return script


def grid_of_one_run(tmp_path, image_folder, epochs):
    path = written_grid(tmp_path, image_folder, seeds=[0], epochs=epochs, sample_size=2)
    path.write_text(path.read_text().replace('normal, "gamma(2, 1)"', "normal"))
    return path


def kill_a_worker_in_its_midst(pids, killed):
    """Wait until the training is in its midst, then kill the worker whose kernel trains."""
    while not killed:
        rows = [path.read_text().count("\n") for path in runs_dir().glob("*/history.csv")]
        if any(3 < count < 30 for count in rows):
            (pid,) = (pid for pid in pids if psutil.Process(pid).children())
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        time.sleep(0.05)


def test_a_killed_worker_costs_nothing_but_time(tmp_path, image_folder, home, monkeypatch, brief):
    from distributed import Client

    grid = load_grid(grid_of_one_run(tmp_path, image_folder, epochs=50))
    monkeypatch.setattr(schedule, "PROGRESS_EVERY", 0.5)
    for module in ("nanny", "process"):  # workers that have torch already
        monkeypatch.setattr(f"distributed.{module}.get_mp_context", lambda: FORKS)
    states, killed = [], []
    with local_cluster(tasks=2, workers=2) as address:
        with Client(address, set_as_default=False) as client:
            pids = list(client.run(os.getpid).values())
        assert len(set(pids)) == 2
        killer = threading.Thread(target=kill_a_worker_in_its_midst, args=(pids, killed))
        killer.start()
        result = run_grid(grid, scheduler=address, on_progress=states.append)
        killer.join()
    assert killed
    assert result["failed"].eq("").all()
    assert result["epochs"].eq(50).all()
    assert any(0 < done < 50 for state in states for done in state.running.values())
    assert any(state.seconds_left > 0 for state in states)
    assert (states[-1].done, states[-1].failed, states[-1].running) == (1, 0, {})

    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / "undisturbed"))
    disturbed = Run(home / "reports" / "runs" / result.iloc[0]["run"])
    undisturbed = train(disturbed.config, load_dataset(str(image_folder), 32))
    assert equal_states(disturbed.load_weights(), undisturbed.load_weights())
    columns = ["d_loss_real", "d_loss_fake", "g_loss", "share_between_images"]
    assert disturbed.history()[columns].equals(undisturbed.history()[columns])


def as_in_a_terminal(script, path, home, output):
    """Be the command line on a grid, in a group of its own, on one core."""
    os.setsid()
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(1, 2)
    # Behind an & the tests themselves are deaf to Ctrl-C, and so would be what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(os, "sched_setaffinity"):  # tiny networks are slow with two threads
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ["DCGAN_HOME"] = home
    runpy.run_path(script)
    raise SystemExit(main(["study", path, "--workers", "1"]))


def command(script, path, home, output):
    """Start `as_in_a_terminal` in a process that has torch already."""
    process = FORKS.Process(target=as_in_a_terminal, args=map(str, (script, path, home, output)))
    process.start()
    return process


def as_a_second_study(path, home):
    """Train and report a grid of one run, without workers and kernels."""
    schedule.execute_notebook = StandIn()
    grid = load_grid(path)
    (task,) = tasks(grid)
    records = schedule.records_of(grid, [task])
    build.build_study(grid, schedule._table(records, {task: run_task(task, home, MEASURED)}))


def test_an_interrupted_study_resumes_even_twice_at_once(
    tmp_path, image_folder, home, brief, stand_in, threads, capsys
):
    path = grid_of_one_run(tmp_path, image_folder, epochs=50)
    output = tmp_path / "said"
    interrupted = command(brief, path, home, output)
    while not any(f.read_text().count("\n") > 3 for f in runs_dir().glob("*/history.csv")):
        assert interrupted.exitcode is None, output.read_text()
        time.sleep(0.05)
    os.killpg(interrupted.pid, signal.SIGINT)
    interrupted.join(120)
    assert interrupted.exitcode == 130, output.read_text()
    assert "Interrupted. Run the same command again to resume." in output.read_text()

    second = FORKS.Process(target=as_a_second_study, args=(path, str(home)))
    second.start()
    assert main(["study", str(path), "--workers", "1"]) == 0
    second.join(120)
    assert second.exitcode == 0
    assert "1 of 1 runs are finished" in capsys.readouterr().out
    (task,) = tasks(load_grid(path))
    run = Run(task.run)
    assert run.history()["epoch"].tolist() == list(range(1, 51))
    assert (run.folder / "train.html").exists()
    files = {path.name for path in (reports_dir() / "two noises").iterdir()}
    assert {"index.html", "runs.csv"} <= files


def test_a_failed_run_is_in_the_table_and_the_others_are_trained(
    tmp_path, image_folder, stand_in, threads, capsys
):
    path = written_grid(tmp_path, image_folder, seeds=[0], epochs=1)
    first, second = tasks(load_grid(path))
    begun = Run.create(TrainConfig.resolve(**first.parameters), load_dataset(str(image_folder), 32))
    assert begun.name == first.run
    begun.checkpoint_path.write_bytes(b"no checkpoint")  # and no epoch is complete
    (begun.folder / "train.html").write_text("of a former time")
    assert main(["study", str(path), "--workers", "1"]) == 1
    said = capsys.readouterr().out
    assert "1 of 2 runs are finished" in said
    assert "FAILED" in said
    table = pd.read_csv(reports_dir() / "two noises" / "runs.csv").set_index("run")
    assert "is damaged" in table.loc[first.run, "failed"]
    assert table.loc[first.run, "epochs"] == 0
    assert table.loc[second.run, "epochs"] == 1
    assert not (begun.folder / "train.html").exists(), "a failed run has no page"
    assert (Run(second.run).folder / "train.html").exists()
    index = (reports_dir() / "two noises" / "index.html").read_text()
    assert f"{first.run}/train.ipynb" in index
    assert f"{second.run}/train.html" in index


def test_the_page_of_a_run_is_made_once_and_again_after_its_notebook(
    tmp_path, image_folder, home, stand_in
):
    grid = load_grid(written_grid(tmp_path, image_folder, seeds=[0], epochs=1))
    todo = tasks(grid)
    outcomes = {task: run_task(task, str(home), MEASURED) for task in todo}
    table = schedule._table(schedule.records_of(grid, todo), outcomes)
    announced = []
    index, pages = build.build_study(grid, table, on_page=announced.append)
    assert [page.html.name for page in pages] == ["compare-ten-images-dcgan.html"]
    assert announced == pages
    assert stand_in.executed == ["train", "train", "compare"]
    assert index.read_text().count("train.html") == 2
    html = Run(todo[0].run).folder / "train.html"
    first = html.stat().st_mtime_ns
    build.build_study(grid, table)
    assert html.stat().st_mtime_ns == first
    os.utime(html.with_suffix(".ipynb"))
    build.build_study(grid, table)
    assert html.stat().st_mtime_ns > first


# --- The record and the looks ---


@pytest.fixture
def measured(monkeypatch):
    """Measure nothing: every run has the measures that its prior has in this dictionary."""
    kid = {"normal(0, 1)": 0.2, "gamma(2, 1)": 0.6}

    def measure_run(run, **settings):
        value = kid[run.config.noise] * (1 + run.config.seed / 100)
        return {"kid": value, "share_between_images": 1.0, "sharpness": 1.0, "generated": 6}

    monkeypatch.setattr(schedule, "measure_run", measure_run)
    monkeypatch.setattr(compare, "measure_run", measure_run)
    return kid


def test_what_is_recorded_is_not_trained_again_even_if_its_folder_is_gone(
    tmp_path, image_folder, stand_in, threads, measured
):
    grid = load_grid(written_grid(tmp_path, image_folder, seeds=[0], epochs=1))
    first, started = run_grid(grid), []
    assert stand_in.executed == ["train", "train"]
    shutil.rmtree(runs_dir())
    again = run_grid(grid, on_start=lambda *now: started.append(now))
    assert stand_in.executed == ["train", "train"]
    assert not started, "there is nothing to start"
    columns = ["run", "noise", "seed", "epochs", "failed"]
    assert again[columns].equals(first[columns])

    more = load_grid(written_grid(tmp_path, image_folder, seeds=[0, 1], epochs=1))
    table = run_grid(more, on_start=lambda *now: started.append(now[2:]))
    assert stand_in.executed == ["train"] * 4
    assert started == [(2, 2)], "two to train, two recorded"
    assert table["seed"].tolist() == [0, 0, 1, 1]


def test_a_grid_with_other_settings_is_refused_before_any_training(
    tmp_path, image_folder, stand_in, threads, measured
):
    run_grid(load_grid(written_grid(tmp_path, image_folder, seeds=[0], epochs=1)))
    longer = load_grid(written_grid(tmp_path, image_folder, seeds=[0], epochs=2))
    with pytest.raises(WorkbookError, match="other settings: epochs is 1 there and 2 here"):
        run_grid(longer)
    assert stand_in.executed == ["train", "train"]


@pytest.mark.parametrize(
    ("verdict", "seeds"),
    [
        *(("leaning", [0, 1, 2, 3]), ("undecided", [0, 1, 2, 3])),
        *(("refuted", [0, 1]), ("not tested", [0, 1, 2, 3])),
    ],
)
def test_a_study_ends_at_the_look_that_decides(
    tmp_path, image_folder, stand_in, threads, measured, monkeypatch, verdict, seeds
):
    judged = []

    def judge(table, *, looks):
        judged.append((looks, sorted(table["seed"].unique())))
        first = verdict if verdict == "not tested" else "confirmed"
        return [SimpleNamespace(verdict=first), SimpleNamespace(verdict=verdict)]

    monkeypatch.setattr(schedule.claims, "judge", judge)
    path = written_grid(tmp_path, image_folder, seeds=[0, 1, 2, 3], epochs=1)
    path.write_text(path.read_text() + "looks: [2, 4]\n")
    table = run_grid(load_grid(path))
    assert sorted(table["seed"].unique()) == seeds
    assert ((2, 4), [0, 1]) in judged
    assert len(table) == len(stand_in.executed) == 2 * len(seeds)


def test_a_run_that_fails_is_tried_once_per_study(
    tmp_path, image_folder, stand_in, threads, measured, monkeypatch
):
    ended = []
    monkeypatch.setattr(schedule, "run_task", lambda task, *_: "no")
    grid = load_grid(written_grid(tmp_path, image_folder, seeds=[0], epochs=1))
    table = run_grid(grid, on_outcome=lambda *outcome: ended.append(outcome[1:]))
    assert table["failed"].tolist() == ["no", "no"]
    assert ended == [("no", 1, 2), ("no", 2, 2)]


def test_runs_beside_the_grid_are_arms_with_every_seed(tmp_path, image_folder):
    path = written_grid(tmp_path, image_folder, seeds=[0, 1])
    path.write_text(path.read_text() + "also: [{noise: gamma, first_norm: unit}]\n")
    found = tasks(load_grid(path))
    assert [(task.noise, task.first_norm, task.seed) for task in found] == [
        (noise, norm, seed)
        for seed in (0, 1)
        for noise, norm in [
            ("normal(0, 1)", "channel"), ("gamma(2, 1)", "channel"), ("gamma(2, 1)", "unit")
        ]
    ]  # fmt: skip
    assert len({task.run for task in found}) == 6
    assert str(found[2]) == "ten-images, dcgan, gamma(2, 1), first_norm unit, seed 0"


def begin(task, collection, epochs):
    """Let a run have some epochs of a minute."""
    run = Run.create(TrainConfig.resolve(**task.parameters), collection)
    for epoch in range(1, epochs + 1):
        run.log_epoch({"epoch": epoch, "seconds": 60})


def test_the_time_that_is_left_follows_from_the_epochs(tmp_path, image_folder, collection):
    path = written_grid(tmp_path, image_folder, seeds=[0, 1], epochs=10)
    planned = tasks(load_grid(path))
    assert math.isnan(schedule._seconds_left(planned, planned, 2)), "nothing is known yet"
    begin(planned[0], collection, 10)
    begin(planned[1], collection, 4)
    # One run has six minutes left, and two take ten each.
    around = schedule.AROUND
    left = schedule._seconds_left(planned, planned[1:], 1)
    assert left == pytest.approx(26 * 60 + 3 * around)
    assert schedule._seconds_left(planned, planned[1:], 2) == pytest.approx(left / 2)
    assert schedule._seconds_left(planned, planned[1:], 3) == pytest.approx(10 * 60 + around)
    assert schedule._seconds_left(planned, planned[:1], 2) == pytest.approx(around), "its figures"


def test_lines_say_how_far_a_grid_is(tmp_path, image_folder):
    task, *_ = tasks(load_grid(written_grid(tmp_path, image_folder, epochs=10)))
    state = schedule.GridState(5, 1, 27, {task: 3}, 72 * 60)
    assert schedule.progress_lines(state) == (
        "[runs: 5 of 27 done, 1 running, 1 failed; 1 h 12 min left]\n"
        "ten-images, dcgan, normal(0, 1), seed 0: epoch 3 of 10"
    )
    state = schedule.GridState(0, 0, 27, {}, math.nan)
    assert schedule.progress_lines(state) == "[runs: 0 of 27 done, 0 running, 0 failed]"
    assert schedule.start_line("http://x", 2, 3, 1) == (
        "3 runs to train, 1 recorded; 2 workers, watch them at http://x"
    )


def test_a_state_counts_what_was_recorded_failed_and_runs(
    tmp_path, image_folder, home, stand_in, threads, measured, monkeypatch, collection
):
    run_grid(load_grid(written_grid(tmp_path, image_folder, seeds=[0], epochs=1)))
    path = written_grid(tmp_path, image_folder, seeds=[0, 1, 2], epochs=1)
    *_, fails, last = planned = tasks(load_grid(path))
    begin(last, collection, 1)  # interrupted before, and not the first whose turn it is
    monkeypatch.setattr(schedule, "PROGRESS_EVERY", 0.1)
    states, ended = [], []

    def execute(name, output, parameters):
        time.sleep(0.5)
        if (parameters["seed"], parameters["noise"]) == (fails.seed, fails.noise):
            return "no"
        return stand_in(name, output, parameters)

    monkeypatch.setattr(schedule, "execute_notebook", execute)
    run_grid(
        load_grid(path),
        workers=1,
        on_outcome=lambda task, failed, *numbers: ended.append((*numbers, failed)),
        on_progress=states.append,
    )
    assert ended == [(3, 6, ""), (4, 6, ""), (5, 6, "no"), (6, 6, "")]
    assert {(state.done, state.failed) for state in states} == {
        (2, 0), (3, 0), (4, 0), (4, 1), (5, 1)
    }  # fmt: skip
    assert {state.of for state in states} == {6}
    assert all(last not in state.running for state in states if state.done + state.failed < 4)
    order = list(dict.fromkeys(task for state in states for task in state.running))
    assert order == planned[2:], "each once it has begun"
    assert all(state.seconds_left > 0 for state in states[:-1]), "from the recorded ones' epochs"


def test_looks_are_counted_one_after_the_other(
    tmp_path, image_folder, stand_in, threads, measured, monkeypatch
):
    undecided = [SimpleNamespace(verdict="undecided")]
    monkeypatch.setattr(schedule.claims, "judge", lambda table, *, looks: undecided)
    path = written_grid(tmp_path, image_folder, seeds=[0, 1, 2], epochs=1)
    path.write_text(path.read_text() + "looks: [2, 3]\n")
    ended = []
    run_grid(load_grid(path), on_outcome=lambda task, failed, *numbers: ended.append(numbers))
    assert ended == [(1, 4), (2, 4), (3, 4), (4, 4), (5, 6), (6, 6)]


def test_an_error_of_dask_is_a_reason_and_never_empty():
    class Lost:
        status = "error"

        def exception(self):
            return MemoryError()

    assert schedule._failure(Lost()) == "MemoryError: "


def test_a_scheduler_that_does_not_answer_is_reported(tmp_path, image_folder, monkeypatch, capsys):
    monkeypatch.setattr(schedule, "PATIENCE", "1s")
    path = written_grid(tmp_path, image_folder)
    assert main(["study", str(path), "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no Dask scheduler answers at 'tcp://127.0.0.1:9'" in capsys.readouterr().err


def test_the_address_of_a_scheduler_comes_before_the_images(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(schedule, "tasks", lambda grid: pytest.fail("it paints for minutes"))
    (tmp_path / "grid.yaml").write_text("collections: plein_air\nnoises: normal")
    assert main(["study", str(tmp_path / "grid.yaml"), "--scheduler", "nonsense"]) == 2
    assert "no Dask scheduler answers at 'nonsense'" in capsys.readouterr().err


def test_the_notebook_tests_the_address_before_the_images(home, tmp_path):
    (tmp_path / "grid.yaml").write_text("collections: plein_air\nnoises: normal")
    with pytest.raises(WorkbookError, match="no Dask scheduler answers at 'nonsense'"):
        execute_cells("study", grid=str(tmp_path / "grid.yaml"), scheduler="nonsense")
    assert not (home / "data").exists()


def test_workers_of_a_scheduler_are_its_own(tmp_path, image_folder, capsys):
    path = str(written_grid(tmp_path, image_folder))
    assert main(["study", path, "--scheduler", "tcp://127.0.0.1:9", "--workers", "2"]) == 2
    assert "a scheduler has its own workers" in capsys.readouterr().err


def test_a_resource_that_nobody_offers_is_reported(tmp_path, image_folder, threads):
    path = written_grid(tmp_path, image_folder)
    path.write_text(path.read_text() + "resources: {GPU: 1}\n")
    if not torch.cuda.is_available():
        with pytest.raises(WorkbookError, match="no worker on this machine offers"):
            run_grid(load_grid(path), workers=1)


def test_the_notebook_trains_a_grid_and_compares_it(tmp_path, image_folder, stand_in, threads):
    path = written_grid(tmp_path, image_folder, seeds=[0], epochs=1)
    text = execute_cells("study", grid=str(path), workers=2)
    assert "2 of 2 runs are finished" in text
    assert "[2/2] ten-images" in text
    assert stand_in.executed == ["train", "train", "compare"]
    files = {path.name for path in (reports_dir() / "two noises").iterdir()}
    assert {"index.html", "runs.csv", "compare-ten-images-dcgan.html"} <= files
