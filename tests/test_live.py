"""Long work, shown while it goes on; JupyterLab itself is in notebooks/test_jupyterlab.py."""

import fcntl
import logging
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pandas as pd
import pytest
import torch
from helpers import TINY

import dcgan_utils
from dcgan_utils import live, notebook
from dcgan_utils.core import progress
from dcgan_utils.core.files import notebooks_dir
from dcgan_utils.core.progress import Pace, clock
from dcgan_utils.data.load import load_dataset
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.runs import training
from dcgan_utils.runs.run import Run, run_name
from dcgan_utils.runs.training import train

# --- Pace ---


@pytest.fixture
def now(monkeypatch):
    """Return a clock that stands still until a test moves it."""
    hand = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: hand[0])
    return hand


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (0.2, "0:01"), (59.5, "1:00"), (61, "1:01"), (3600, "1:00:00"), (-1, "0:00")],
)
def test_durations_are_read_like_a_clock(seconds, text):
    assert clock(seconds) == text


def test_the_time_left_after_a_resume_is_that_of_the_epochs_left(now):
    pace = Pace(total=60, done=40)
    assert pd.isna(pace.seconds_left)
    now[0] = 4.0
    pace.update(42)
    assert pace.seconds_per_step == 2
    assert pace.seconds_left == 36


def test_the_pace_is_that_of_the_latest_epochs(now):
    pace = Pace(total=100)
    for epoch in range(1, 61):
        now[0] += 10 if epoch <= 30 else 1
        pace.update(epoch)
    assert pace.seconds_per_step == 1
    assert pace.seconds_left == 40


# --- Where there is neither a kernel nor a terminal ---


@pytest.fixture
def lines(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("dcgan_utils"), "propagate", True)
    caplog.set_level(logging.INFO, "dcgan_utils")
    return caplog


def test_a_training_tells_a_line_now_and_then(tiny, collection, lines, monkeypatch):
    (watcher,) = live.watchers()
    train(tiny(epochs=3), collection, watchers=[watcher])
    assert [line[:10] for line in lines.messages] == ["epoch 3/3 "]
    assert re.search(r"loss of D \d\.\d\d, of G \d\.\d\d  [\d.]+ s per epoch$", lines.messages[0])
    lines.clear()
    monkeypatch.setattr(live, "LINE_EVERY", 0.0)
    train(tiny(epochs=3, seed=1), collection, watchers=live.watchers())
    assert [line[:9] for line in lines.messages] == [f"epoch {n}/3" for n in (1, 2, 3)]
    assert " left" in lines.messages[0]


def test_other_work_tells_a_line_if_it_takes_long(lines, now):
    live.show_steps()
    try:
        for _ in progress.steps(range(10), "images painted", of=10):
            now[0] += 8
    finally:
        progress.listen(None)
    assert lines.messages == ["images painted: 4 of 10", "images painted: 8 of 10"]


def test_nothing_is_shown_where_another_process_shows_it(monkeypatch):
    monkeypatch.setenv(progress.SHOWN_ELSEWHERE, "1")
    assert live.watchers() == []
    live.show_steps()
    assert progress._listener is None


WITHOUT_JUPYTER = """
import sys
for name in ("IPython", "ipykernel", "papermill", "nbformat", "nbclient", "matplotlib"):
    sys.modules[name] = None
from dcgan_utils.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_command_trains_the_notebook_s_run_without_jupyter(image_folder, home):
    given = [word for name, value in TINY.items() for word in ("-p", name, str(value))]
    command = [sys.executable, "-c", WITHOUT_JUPYTER, "train", str(image_folder)]
    command += ["--noise", "gamma", *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    config = TrainConfig.resolve(**TINY, noise="gamma", dataset=str(image_folder))
    run = Run(run_name(config, load_dataset(image_folder, 32)))
    assert run.finished
    share = run.last_row()["share_between_images"]
    lines = done.stdout.splitlines()
    assert lines[-3].startswith("epoch 2/2  loss of D ")
    assert (
        lines[-2] == f"The run: {run.folder} (share between images {share:.2f}; real ones have 1)"
    )
    assert lines[-1] == f"Next: dcgan sample {run.name} -n 64 --to samples.png"
    again = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "already finished: nothing to train." in again.stdout
    assert again.stdout.splitlines()[-2:] == lines[-2:]


def test_a_training_in_a_script_is_printed_and_the_log_is_given_back(
    tiny, image_folder, monkeypatch, capsys
):
    package = logging.getLogger("dcgan_utils")
    monkeypatch.setattr(package, "propagate", False)  # pytest's own handler is at the root
    before = package.handlers[:], package.level
    run = notebook.train(image_folder, **TINY, noise="gamma")
    assert "epoch 2/2  loss of D " in capsys.readouterr().out
    assert (package.handlers, package.level) == before
    progress.listen(None)
    assert run.finished


def test_a_log_that_the_caller_arranged_is_left_to_them(caplog, capsys):
    caplog.set_level(logging.INFO, "dcgan_utils")
    with live.shown_log():
        live.logger.info("said once")
    assert caplog.messages == ["said once"]
    assert capsys.readouterr().out == ""


# --- A run that a cell returns ---


@pytest.fixture
def shell():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    dcgan_utils._show_runs_in_cells()  # as the import does in a kernel
    yield shell
    InteractiveShell.clear_instance()


def test_a_run_shows_itself_in_a_cell(tiny, collection, shell):
    run = train(tiny(noise="gamma"), collection)
    run.save_metrics({"kid": 0.1234, "how": {"epochs": 2}})
    shown, _ = shell.display_formatter.format(run)
    assert shown["text/plain"] == repr(run) == f"Run('{run.name}')"
    html = shown["text/html"]
    assert "6 images from the same latent vectors, after epoch 2" in html
    assert "Three line charts up to epoch 2" in html
    share = run.last_row()["share_between_images"]
    words = "Gamma(2, 1)", "2 of 2 epochs", "finished", f"{share:.2f} (real images: 1)", "0.123"
    assert all(word in html for word in words)
    assert html.count("<tr>") == 7


def test_a_run_that_has_not_begun_shows_itself_too(tiny, collection, shell):
    run = Run.create(tiny(), collection)
    html = shell.display_formatter.format(run)[0]["text/html"]
    assert "0 of 2 epochs" in html and "not begun" in html
    assert "<img" not in html and "KID" not in html


# --- In a cell ---


class Cell:
    """Stands for IPython's display: it keeps what each output shows, and how often."""

    def __init__(self):
        self.outputs, self.updates = [], 0

    def display(self, html, *, display_id):
        assert display_id
        self.outputs.append(html.data)
        return Handle(self, len(self.outputs) - 1)


class Handle:
    def __init__(self, cell, place):
        self.cell, self.place = cell, place

    def update(self, html):
        self.cell.outputs[self.place] = html.data
        self.cell.updates += 1


@pytest.fixture
def cell(monkeypatch):
    shown = Cell()
    monkeypatch.setattr("IPython.display.display", shown.display)
    monkeypatch.setattr(live, "in_kernel", lambda: True)
    monkeypatch.setenv("JPY_SESSION_NAME", "train.ipynb")
    return shown


def test_a_training_ends_with_its_last_state_in_two_outputs(tiny, collection, cell):
    train(tiny(epochs=3), collection, watchers=live.watchers())
    images, charts = cell.outputs
    assert "<strong>Epoch 3 of 3</strong>" in images
    assert 'value="3" max="3"' in images
    assert "6 images from the same latent vectors, after epoch 3" in images
    assert charts.count("<svg ") == 1
    assert "Three line charts up to epoch 3" in charts


def test_a_training_that_ends_early_has_no_time_left(tiny, collection, cell, monkeypatch):
    monkeypatch.setattr(training._Loop, "ended", property(lambda loop: loop.epoch == 2))
    train(tiny(epochs=9), collection, watchers=live.watchers())
    assert "<strong>Epoch 2 of 9</strong>" in cell.outputs[0]
    assert " s per epoch<" in cell.outputs[0]


def test_a_stop_is_told_in_the_display_too(tiny, collection, cell):
    class Stopper(live.Watcher):
        def epoch(self, row, samples):
            if row["epoch"] == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(epochs=9), collection, watchers=[*live.watchers(), Stopper()])
    assert "<strong>Stopped in epoch 3 of 9</strong>" in cell.outputs[0]


def test_a_stop_in_the_first_epoch_is_told_too(tiny, collection, cell):
    class Stopper(live.Watcher):
        def batch(self, done):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(epochs=9), collection, watchers=[*live.watchers(), Stopper()])
    (images,) = cell.outputs
    assert "<strong>Stopped in epoch 1 of 9</strong>" in images


def test_a_second_training_takes_the_place_of_the_first(tiny, collection, cell):
    shown = live.watchers()
    for seed in (1, 2):
        train(tiny(seed=seed), collection, watchers=shown)
    assert len(cell.outputs) == 2


def test_a_training_with_a_display_is_the_same_training(tiny, collection, cell, tmp_path):
    plain = train(tiny(), collection, folder=tmp_path / "plain")
    seen = train(tiny(), collection, folder=tmp_path / "seen", watchers=live.watchers())
    one, other = plain.load_weights(), seen.load_weights()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_showing_takes_a_small_share_of_the_time(cell, now):
    """However long it takes to draw, less than three hundredths of the time go into it."""
    drawn = 0.0

    def draw():
        nonlocal drawn
        now[0] += 0.3
        drawn += 0.3
        return ""

    parts = live._Part(draw, live.IMAGES_SHARE), live._Part(draw, live.CHARTS_SHARE)
    began, before = now[0], drawn
    while now[0] < 1000:
        now[0] += 0.01
        for part in parts:
            part.renew()
    assert 0.015 < (drawn - before) / (now[0] - began) < 0.03


def test_other_work_has_a_bar_that_vanishes(cell, now):
    live.show_steps()
    try:
        bars = []
        for _ in progress.steps(range(8), "images <painted>", of=8):
            now[0] += 0.6
            bars += cell.outputs[-1:]
    finally:
        progress.listen(None)
    assert len(cell.outputs) == 1, "one bar"
    assert "images &lt;painted&gt;: 2 of 8, 0:04 left" in bars[0]
    assert len(set(bars)) > 3
    assert cell.outputs == [""]


def test_short_work_has_no_bar(cell, now):
    live.show_steps()
    try:
        assert list(progress.steps("ab", "letters", of=2)) == ["a", "b"]
    finally:
        progress.listen(None)
    assert cell.outputs == []


# --- In a terminal ---


def in_terminal(command, *, stop_after):
    """Run a command in a pseudo-terminal, press Ctrl-C once a text is seen; return what it shows.

    Lines that a bar has overwritten are in it too.
    """
    child, terminal = pty.fork()
    if child == 0:
        del os.environ["PYTEST_CURRENT_TEST"]  # by which kernels keep no way to the terminal
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    shown, deadline, has_pressed = "", time.monotonic() + 300, False
    try:
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 1)[0]:
                try:
                    new = os.read(terminal, 65536)
                except OSError:  # Linux says so when the other end is closed
                    break
                if not new:
                    break
                shown += new.decode(errors="replace")
            if not has_pressed and re.search(stop_after, shown):
                os.write(terminal, b"\x03")
                has_pressed = True
    finally:
        os.close(terminal)
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert has_pressed, shown[-3000:]
    return shown


def papermill(image_folder, output, **parameters):
    values = TINY | {"dataset": str(image_folder)} | parameters
    given = [word for name, value in values.items() for word in ("-p", name, str(value))]
    notebook = notebooks_dir() / "train.ipynb"
    return [sys.executable, "-m", "papermill", str(notebook), str(output), *given]


def bars(shown):
    """Return the numbers of epochs that the bar of a training shows, and the times left."""
    found = re.findall(r"training: .*?([\d.]+)/\d+ epochs \[[\d:]+<([\d:?]+),", shown)
    return [float(done) for done, _ in found], [left for _, left in found]


@pytest.mark.slow
def test_papermill_in_a_terminal_shows_the_training_and_how_to_go_on(image_folder, tmp_path, home):
    command = papermill(image_folder, tmp_path / "out.ipynb", epochs=4000)
    shown = in_terminal(command, stop_after=r"training: .* [1-9]\d\.\d/4000")
    done, left = bars(shown)
    assert len(set(done)) > 2 and done == sorted(done)
    assert any(re.fullmatch(r"\d\d:\d\d", time) for time in left)
    assert "Executing Training" in shown
    after = shown.rpartition("epochs [")[2]
    stopped = re.search(r"Stopped in epoch (\d+) of 4000\. All is saved: run the same again", after)
    assert stopped, after
    assert "Traceback" not in shown and "ZMQError" not in shown

    (folder,) = (home / "reports" / "runs").iterdir()
    epochs = len(pd.read_csv(folder / "history.csv"))
    assert epochs == int(stopped[1]) - 1
    command = papermill(image_folder, tmp_path / "out.ipynb", epochs=4000)
    shown = in_terminal(command, stop_after=r"training: .*\d/4000")
    assert bars(shown)[0][0] == epochs, "the bar begins where the run stood"


@pytest.mark.slow
def test_without_a_terminal_papermill_s_log_has_a_line_now_and_then(image_folder, tmp_path):
    command = papermill(image_folder, tmp_path / "out.ipynb", epochs=4)
    ended = subprocess.run([*command, "--log-output"], capture_output=True, text=True, check=True)
    assert "training:" not in ended.stderr
    assert re.findall(r"epoch (\d)/4", ended.stderr) == ["4"]
    assert "<strong>Epoch 4 of 4</strong>" in (tmp_path / "out.ipynb").read_text()
