"""What `report` and `study` show while they work: in a terminal, and without one."""

import contextlib
import fcntl
import os
import pty
import re
import runpy
import signal
import struct
import sys
import termios
import threading
import time
from pathlib import Path

import pytest
from helpers import FORKS, TINY, written_grid
from in_process import StandIn

from dcgan_utils import live
from dcgan_utils.cli import main
from dcgan_utils.core.progress import SHOWN_ELSEWHERE
from dcgan_utils.report import build
from dcgan_utils.report.chapters import SECONDS
from dcgan_utils.study import schedule

COLUMNS = 100


def a_report(image_folder, *options, **parameters):
    """Return the arguments of a report on tiny images."""
    values = (TINY | parameters).items()
    given = [text for name, value in values for text in ("-p", name, str(value))]
    return ["report", "--dataset", str(image_folder), "--noises", "gamma", *options, *given]


# --- A terminal ----------------------------------------------------------------------------


def as_in_a_terminal(name, home, arguments, preparation):
    """Be the command line in a session of its own, whose terminal has this name."""
    os.setsid()
    terminal = os.open(name, os.O_RDWR)
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for stream in (0, 1, 2):
        os.dup2(terminal, stream)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False) for n in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["DCGAN_HOME"] = home
    os.environ.pop(SHOWN_ELSEWHERE, None)  # the server of forks may have begun in a chapter
    runpy.run_path(preparation)
    raise SystemExit(main(arguments))


class Terminal:
    """A pseudo-terminal in which a command runs, and all that it has written."""

    def __init__(self, home, arguments, preparation):
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, COLUMNS, 0, 0))
        self.written = ""
        given = (os.ttyname(self.theirs), str(home), list(arguments), str(preparation))
        self.process = FORKS.Process(target=as_in_a_terminal, args=given)
        self.process.start()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        with contextlib.suppress(OSError):  # nobody has it open any more
            while content := os.read(self.ours, 10_000):
                self.written += content.decode()

    def wait_for(self, words):
        """Wait until it has written something."""
        while not re.search(words, self.written):
            assert self.process.exitcode is None, self.written
            time.sleep(0.05)

    def press_ctrl_c(self):
        """Do what the key does."""
        os.write(self.ours, b"\x03")

    def end(self):
        """Wait for its end; return its exit code and what the terminal shows then."""
        self.process.join(300)
        os.close(self.theirs)
        self.reader.join(10)
        os.close(self.ours)
        return self.process.exitcode, rows_of(self.written)


def rows_of(written):
    """Return the rows that a terminal shows after a text with carriage returns and moves up."""
    rows, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[A|[\r\n]|[^\r\n\x1b]+", written):
        if part == "\r":
            column = 0
        elif part == "\n":
            row, column = row + 1, 0  # a terminal adds the carriage return
            rows += [""] * (row >= len(rows))
        elif part == "\x1b[A":
            row -= 1
        else:
            rows[row] = rows[row].ljust(column)[:column] + part + rows[row][column + len(part) :]
            column += len(part)
    return [shown.rstrip() for shown in rows]


# Of the notebooks only the training is done, without a kernel, at a fifth of a second per update or
# more: each waits until the line is renewed, so that it shows every epoch on a busy machine too.
PREPARED = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from in_process import StandIn
from dcgan_utils import live
from dcgan_utils.report import build
from dcgan_utils.runs import training
from dcgan_utils.study import schedule

class Counting(live.Status):
    renewed = 0
    def update(self, text, **options):
        super().update(text, **options)
        Counting.renewed += 1

train_batch = training.train_batch

def train_slowly(*arguments):
    began, before = time.monotonic(), Counting.renewed
    while (waited := time.monotonic() - began) < 0.2 or (
        before and Counting.renewed == before and waited < 60
    ):
        time.sleep(0.02)
    return train_batch(*arguments)

live.Status, live.LOOK_EVERY = Counting, 0.1
training.train_batch = train_slowly
schedule.PROGRESS_EVERY = 0.2
build.execute_notebook = schedule.execute_notebook = StandIn()
"""


@pytest.fixture
def preparation(tmp_path):
    """Return a script that the command runs first."""
    path = tmp_path / "preparation.py"
    path.write_text(PREPARED)
    return path


def seconds_of(text):
    minutes, seconds = text.split(":")
    return 60 * int(minutes) + int(seconds)


@pytest.mark.slow
def test_a_report_shows_one_line_per_chapter_that_counts_down(home, image_folder, preparation):
    arguments = a_report(image_folder, "--only", "train", epochs=8)
    terminal = Terminal(home, arguments, preparation)
    code, rows = terminal.end()
    assert code == 0, terminal.written
    left = re.findall(
        r"\r\[1/1\] The training, (\d:\d\d) left \(report: about \d min left\)",
        terminal.written,
    )
    assert len(set(left)) >= 2, terminal.written
    assert max(map(seconds_of, left)) > SECONDS["train"] + 1, "the epochs to come count"
    assert seconds_of(left[-1]) <= SECONDS["train"]
    assert rows[0].startswith(
        "ten-images: 10 images; noises Gamma(2, 1); preset quick, noise_size 8"
    )
    assert not [row for row in rows if " left" in row or "so far" in row], rows
    done = [row for row in rows if row.startswith("[1/1] The training: done after ")]
    assert len(done) == 1
    assert rows[-2].startswith("The report: ")


@pytest.mark.slow
def test_a_training_shows_a_bar_and_ctrl_c_leaves_one_sentence(home, image_folder, preparation):
    values = (TINY | {"epochs": 6}).items()
    given = [text for name, value in values for text in ("-p", name, str(value))]
    arguments = ["train", str(image_folder), *given]
    terminal = Terminal(home, arguments, preparation)
    terminal.wait_for(r"training: .* [2-4]\.\d/6 epochs")
    terminal.press_ctrl_c()
    code, rows = terminal.end()
    assert code == 130, terminal.written
    assert len([row for row in rows if "nterrupted" in row or "topped" in row]) == 1, rows
    assert re.search(r"Interrupted in epoch \d of 6\. The state is saved in", terminal.written)
    assert "Traceback" not in terminal.written
    again = Terminal(home, arguments, preparation)
    code, rows = again.end()
    assert code == 0, again.written
    assert re.search(r"resumes from epoch [1-4]\.", again.written)
    assert rows[-2].startswith("Next: dcgan sample ten-images-")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["report", "study"])
def test_ctrl_c_leaves_one_sentence_and_the_next_time_it_goes_on(
    command, home, image_folder, preparation, tmp_path
):
    if command == "report":
        arguments = a_report(image_folder, "--only", "train", epochs=300)
    else:
        grid = written_grid(tmp_path, image_folder, seeds=[0], epochs=300)
        arguments = ["study", str(grid), "--workers", "1"]
    terminal = Terminal(home, arguments, preparation)
    terminal.wait_for(r"\d left" if command == "report" else r"epoch [1-9]")
    terminal.press_ctrl_c()
    code, rows = terminal.end()
    assert code == 130, terminal.written
    assert "Interrupted. Run the same command again to resume." in rows
    assert "Traceback" not in terminal.written
    assert not [row for row in rows if "left" in row or "so far" in row], rows


# --- Without one ---------------------------------------------------------------------------


def test_a_report_without_a_terminal_is_a_line_at_both_ends_of_a_chapter(
    image_folder, monkeypatch, capsys
):
    monkeypatch.setattr(build, "execute_notebook", StandIn())
    arguments = a_report(image_folder)
    arguments[arguments.index("gamma")] = "gamma,normal"
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    titles = [
        "The collection",
        "Augmentation",
        "The trainings",
        "Which noise?",
        "A walk through the latent space",
    ]
    assert lines[1].startswith("Chapters: 5, about ")
    for number, title in enumerate(titles, start=1):
        begun, ended = lines[2 * number : 2 * number + 2]
        state = r"(about )?\d+:\d\d (left|so far) \(report: about \d+ min left\)"
        assert re.fullmatch(rf"{re.escape(f'[{number}/5] {title}')}, {state}", begun)
        assert re.fullmatch(rf"{re.escape(f'[{number}/5] {title}')}: done after \d:\d\d", ended)
    assert len(lines) == 2 + 10 + 2 <= 40


def test_a_long_chapter_without_a_terminal_is_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(live, "STATUS_EVERY", 0.0)
    asked = threading.Semaphore(0)

    def describe():
        asked.release()
        return "[1/7] The collection, 0:01 so far"

    with live.Status(describe):
        asked.acquire()
        asked.acquire()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2
    assert {*lines} == {describe()}


def test_a_status_of_many_lines_is_one_where_it_is_not_renewed(capsys):
    with live.Status() as status:
        status.update("[runs: 2]\none: epoch 1")
        status.update("[runs: 3]\none: epoch 2", at_once=True)
    assert capsys.readouterr().out == "[runs: 3]; one: epoch 2\n"


def test_a_status_in_a_cell_is_one_display_and_its_text_is_escaped(monkeypatch):
    shown = []

    class Handle:
        def update(self, html):
            shown.append(html.data)

    def display(html, *, display_id):
        shown.append(html.data)
        return Handle()

    monkeypatch.setattr(live, "in_front_end", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    with live.Status() as status:
        status.update("[runs: 1]\n<b>")
        status.update("[runs: 2]")
    assert shown == ["<pre>[runs: 1]\n&lt;b&gt;</pre>", "<pre>[runs: 2]</pre>"]


def test_kernels_leave_the_terminal_to_the_command(monkeypatch, tmp_path):
    import papermill

    seen = []

    def execute(*_, **__):
        seen.append(os.environ.get(SHOWN_ELSEWHERE))

    monkeypatch.setattr(papermill, "execute_notebook", execute)
    for before in (None, "0"):
        monkeypatch.delenv(SHOWN_ELSEWHERE, raising=False)
        if before:
            monkeypatch.setenv(SHOWN_ELSEWHERE, before)
        schedule.execute_notebook("train", tmp_path / "out.ipynb", {})
        assert os.environ.get(SHOWN_ELSEWHERE) == before
    assert seen == ["1", "1"]
