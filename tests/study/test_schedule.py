import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pandas as pd
import pytest
import torch
from helpers import TINY, equal_states, written_grid

from dcgan_utils.cli import main
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import reports_dir, runs_dir
from dcgan_utils.data.load import load_dataset
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.report.build import run_notebook
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.training import train
from dcgan_utils.study import schedule
from dcgan_utils.study.grid import load_grid, tasks
from dcgan_utils.study.schedule import local_cluster, run_grid, run_task

# --- One task ------------------------------------------------------------------------------


@pytest.fixture
def task(tmp_path, image_folder):
    """Return the first task of a grid of tiny runs."""
    return tasks(load_grid(written_grid(tmp_path, image_folder)))[0]


def test_a_task_is_done_once_and_a_failed_one_again(task, home):
    assert run_task(task, str(home)) == ""
    run = Run(task.run)
    assert run.finished
    assert {"train.ipynb", "train.html"} <= {path.name for path in run.folder.iterdir()}
    before = (run.folder / "train.html").stat().st_mtime_ns
    assert run_task(task, str(home)) == ""
    assert (run.folder / "train.html").stat().st_mtime_ns == before

    (run.folder / "train.html").unlink()
    samples = run.folder / "samples" / "epoch_0001.png"
    samples.write_bytes(b"no image")  # the training is finished, its page cannot be drawn
    assert run_task(task, str(home)) != ""
    assert run_task(task, str(home)) != "", "what failed once is not finished the next time"


def test_two_workers_at_one_task_take_turns(task, home):
    failed = []
    both = [
        threading.Thread(target=lambda: failed.append(run_task(task, str(home)))) for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert failed == ["", ""]
    assert len(Run(task.run).history()) == TINY["epochs"]


# --- The grid ------------------------------------------------------------------------------


def test_a_killed_worker_costs_nothing_but_time(tmp_path, image_folder, home, monkeypatch):
    from distributed import Client

    grid = load_grid(written_grid(tmp_path, image_folder, seeds=[0], epochs=150, sample_size=2))
    under_way, killed, result = [], [], {}

    def kill(pids):
        """Wait until a run is in its midst, then kill the workers' eldest."""
        while not killed:
            rows = [path.read_text().count("\n") for path in runs_dir().glob("*/history.csv")]
            if any(3 < count < 100 for count in rows):
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])
            time.sleep(0.05)

    with local_cluster(tasks=2, workers=2) as address:
        with Client(address, set_as_default=False) as client:
            pids = list(client.run(os.getpid).values())
        assert len(set(pids)) == 2
        killer = threading.Thread(target=kill, args=(pids,))
        killer.start()
        result = run_grid(grid, scheduler=address, on_progress=under_way.append, every=0.5)
        killer.join()
    assert killed
    assert result["failed"].eq("").all()
    assert result["epochs"].eq(150).all()
    assert any(0 < done < task.epochs for told in under_way for task, done in told.items())

    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / "undisturbed"))
    row = result.iloc[1]
    disturbed = Run(home / "reports" / "runs" / row["run"])
    undisturbed = train(disturbed.config, load_dataset(str(image_folder), 32))
    assert equal_states(disturbed.load_weights(), undisturbed.load_weights())
    columns = ["d_loss_real", "d_loss_fake", "g_loss", "sample_spread"]
    assert disturbed.history()[columns].equals(undisturbed.history()[columns])


def command(path, home):
    """Start the command line on a grid, in a group of its own as a terminal does."""
    return subprocess.Popen(
        [sys.executable, "-m", "dcgan_utils", "study", str(path), "--workers", "1"],
        env=os.environ | {"DCGAN_HOME": str(home)},
        start_new_session=True,
        # Behind an & the tests themselves are deaf to Ctrl-C, and so would be what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_stopped_study_goes_on_even_twice_at_once(tmp_path, image_folder, home):
    path = written_grid(tmp_path, image_folder, seeds=[0], epochs=200, sample_size=2)
    path.write_text(path.read_text().replace('normal, "gamma(2, 1)"', "normal"))
    stopped = command(path, home)
    while not any(f.read_text().count("\n") > 3 for f in runs_dir().glob("*/history.csv")):
        assert stopped.poll() is None, stopped.stdout.read()
        time.sleep(0.05)
    os.killpg(stopped.pid, signal.SIGINT)
    said, _ = stopped.communicate(timeout=120)
    assert stopped.returncode == 130, said
    assert "Stopped. The same command goes on" in said

    both = [command(path, home) for _ in range(2)]
    for process in both:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
        assert "1 of 1 runs are finished" in said
    (run,) = (Run(folder.parent) for folder in runs_dir().glob("*/config.json"))
    assert run.history()["epoch"].tolist() == list(range(1, 201))
    assert {"index.html", "runs.csv"} <= {
        path.name for path in (reports_dir() / "two noises").iterdir()
    }


def test_a_failed_run_stands_in_the_table_and_the_others_go_on(
    tmp_path, image_folder, home, capsys
):
    path = written_grid(tmp_path, image_folder, seeds=[0], epochs=1)
    first, second = tasks(load_grid(path))
    begun = Run.create(TrainConfig.resolve(**first.parameters), load_dataset(str(image_folder), 32))
    assert begun.name == first.run
    begun.checkpoint_path.write_bytes(b"no checkpoint")  # and no epoch is complete
    assert main(["study", str(path), "--workers", "1"]) == 1
    assert "1 of 2 runs are finished" in capsys.readouterr().out
    table = pd.read_csv(reports_dir() / "two noises" / "runs.csv").set_index("run")
    assert "is damaged" in table.loc[first.run, "failed"]
    assert table.loc[first.run, "epochs"] == 0
    assert table.loc[second.run, "epochs"] == 1


def test_an_error_of_dask_is_a_reason_and_never_empty():
    class Lost:
        status = "error"

        def exception(self):
            return MemoryError()

    assert schedule._failure(Lost()) == "MemoryError: "


def test_a_scheduler_that_does_not_answer_is_told(tmp_path, image_folder, monkeypatch, capsys):
    monkeypatch.setattr(schedule, "PATIENCE", "1s")
    path = written_grid(tmp_path, image_folder)
    assert main(["study", str(path), "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no Dask scheduler answers at 'tcp://127.0.0.1:9'" in capsys.readouterr().err


def test_workers_of_a_scheduler_are_its_own(tmp_path, image_folder, capsys):
    path = str(written_grid(tmp_path, image_folder))
    assert main(["study", path, "--scheduler", "tcp://127.0.0.1:9", "--workers", "2"]) == 2
    assert "a scheduler has its own workers" in capsys.readouterr().err


def test_a_worker_that_sees_other_images_leaves_no_page(task, home, image_folder):
    extra = image_folder / "other.png"
    shutil.copy(image_folder / "00.png", extra)
    for _ in range(2):
        assert "the images are others here" in run_task(task, str(home))
    extra.unlink()
    assert run_task(task, str(home)) == ""


def test_a_resource_that_nobody_offers_is_told(tmp_path, image_folder):
    path = written_grid(tmp_path, image_folder)
    path.write_text(path.read_text() + "resources: {GPU: 1}\n")
    if not torch.cuda.is_available():
        with pytest.raises(WorkbookError, match="no worker on this machine offers"):
            run_grid(load_grid(path), workers=1)


def test_the_notebook_trains_a_grid_and_shows_it(tmp_path, image_folder, home):
    path = written_grid(tmp_path, image_folder, seeds=[0], epochs=1)
    page = run_notebook("study", home / "out.ipynb", {"grid": str(path), "workers": 2}, title="t")
    assert not page.failed
    text = page.html.read_text()
    assert "2 of 2 runs are finished" in text
    assert "[2/2] ten-images" in text
    written_there = {path.name for path in (reports_dir() / "two noises").iterdir()}
    assert {"index.html", "runs.csv", "compare-ten-images-dcgan.html"} <= written_there
