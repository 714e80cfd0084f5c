"""Long work, shown while it goes on: in a notebook's cell, in a terminal, or as lines of text."""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TextIO

from PIL import Image
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from dcgan_utils.core import progress
from dcgan_utils.core.progress import Pace, clock
from dcgan_utils.data.tensors import make_grid
from dcgan_utils.gan.equilibrium import equilibrium_losses
from dcgan_utils.runs.table import describe
from dcgan_utils.runs.training import FRAME_IMAGES, Watcher

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import DisplayHandle

    from dcgan_utils.runs.run import Run
    from dcgan_utils.study.grid import Grid

logger = logging.getLogger(__name__)

IMAGES_SHARE, CHARTS_SHARE = 0.008, 0.015  # of the time, at most, is spent on showing them
RENEW_EVERY = 0.5  # seconds, at least
LINE_EVERY = 30.0  # seconds
LOOK_EVERY = 1.0  # seconds, at work that is described
STATUS_EVERY = 180.0  # seconds, where a status cannot be renewed in place
DELAY = 1.0  # seconds; work other than a training that takes less is not shown


# --- Where ---


def watchers() -> list[Watcher]:
    """Return what shows a training here: a display, a bar, or lines of text now and then."""
    shown: list[Watcher] = [_Display()] if in_kernel() else []
    if (terminal := _terminal()) is not None:
        shown.append(_Bar(terminal))
    elif not (in_front_end() or progress.is_shown_elsewhere()):
        shown.append(_Lines())
    return shown


def show_steps() -> None:
    """Show other long work from now on, in the same places."""
    if (terminal := _terminal()) is not None:
        progress.listen(_StepsInTerminal(terminal))
        if in_kernel():  # papermill's; after Ctrl-C it would show stack traces of its sockets
            _shell().kernel.log.setLevel(logging.CRITICAL)
    elif in_front_end():
        progress.listen(_StepsInCell())
    elif not progress.is_shown_elsewhere():
        progress.listen(_StepsInLog())


@contextlib.contextmanager
def shown_log() -> Iterator[None]:
    """Print the package's log meanwhile, unless the caller has arranged for it."""
    package = logging.getLogger("dcgan_utils")
    if package.hasHandlers():
        yield
        return
    handler, level = logging.StreamHandler(sys.stdout), package.level
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(level)


def in_kernel() -> bool:
    """Return whether this is a Jupyter kernel, whose cells can display."""
    return hasattr(_shell(), "kernel")


def _shell() -> InteractiveShell | None:
    """Return the shell of IPython, if this runs in one: a script need not have IPython."""
    ipython = sys.modules.get("IPython")
    return ipython and ipython.get_ipython()


def in_front_end() -> bool:
    """Return whether somebody looks at the cells: in JupyterLab, VS Code or Colab."""
    names = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")
    return in_kernel() and any(name in os.environ for name in names)


def _terminal() -> TextIO | None:
    """Return the terminal that somebody looks at, if there is one.

    In a kernel, ``sys.stderr`` leads to the notebook. The original one is papermill's terminal.
    """
    if in_front_end() or progress.is_shown_elsewhere():
        return None
    original = getattr(sys.stderr, "_original_stdstream_copy", None)
    if original is None:
        return sys.stderr if sys.stderr.isatty() else None
    return os.fdopen(os.dup(original), "w") if os.isatty(original) else None


# --- Trainings ---


class _Trace(Watcher):
    """What every way of showing a training needs: the run, its pace, its latest images."""

    def start(self, run: Run, epoch: int, samples: torch.Tensor) -> None:
        self.run, self.epochs, self.samples = run, epoch, samples
        self.total = run.config.epochs
        self.pace = Pace(self.total, epoch)
        self.has_ended = False

    def batch(self, done: float) -> None:
        self.pace.update(done)

    def epoch(self, row: dict[str, float], samples: torch.Tensor) -> None:
        self.epochs, self.samples = row["epoch"], samples
        self.has_ended = self.epochs == self.total

    def _describe_pace(self) -> str:
        """Describe the seconds per epoch, and the time left until the end."""
        if math.isnan(self.pace.seconds_per_step):
            return ""
        text = f"{self.pace.seconds_per_step:.2g} s per epoch"
        return text if self.has_ended else f"{text}, {clock(self.pace.seconds_left)} left"


class _Display(_Trace):
    """Two outputs of the running cell, renewed in place: images below a bar, and charts.

    Their last state remains, in the stored notebook too.
    """

    def __init__(self):
        self.images = _Part(self._draw_images, IMAGES_SHARE)
        self.charts = _Part(self._draw_charts, CHARTS_SHARE)

    def start(self, run: Run, epoch: int, samples: torch.Tensor) -> None:
        super().start(run, epoch, samples)
        self.error = None
        self.images.renew(at_once=True)

    def batch(self, done: float) -> None:
        super().batch(done)
        self.images.renew()

    def epoch(self, row: dict[str, float], samples: torch.Tensor) -> None:
        super().epoch(row, samples)
        self.images.renew()
        self.charts.renew()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self.error, self.has_ended = error, True
        for part in (self.images, self.charts):
            if part.handle is not None:
                part.renew(at_once=True)

    def _draw_images(self) -> str:
        state = f"Epoch {self.epochs} of {self.total}"
        if self.error is not None:
            state = f"Stopped in epoch {min(self.epochs + 1, self.total)} of {self.total}"
        return (
            '<div style="max-width: 60rem">'
            '<div style="display: flex; flex-wrap: wrap; gap: 0 1em; align-items: center">'
            f"<strong>{state}</strong>"
            f'<progress value="{self.pace.done:.4g}" max="{self.total}" style="flex: 1"'
            f' aria-label="epochs done"></progress><span>{self._describe_pace()}</span></div>'
            f"{sample_grid(self.samples, self.epochs)}</div>"
        )

    def _draw_charts(self) -> str:
        return f'<div style="max-width: 60rem">{training_charts(self.run)}</div>'


def sample_grid(samples: torch.Tensor, epoch: int) -> str:
    """Return the images that a run draws after an epoch, in two rows, as HTML."""
    images = samples[:FRAME_IMAGES]
    grid = make_grid(images, math.ceil(len(images) / 2), gap=2, fill=128)
    buffer = io.BytesIO()
    Image.fromarray(grid.numpy()).save(buffer, "JPEG", quality=90, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    height, width, _ = grid.shape
    alt = f"{len(images)} images from the same latent vectors, after epoch {epoch}"
    return (
        f'<img src="data:image/jpeg;base64,{data}" alt="{alt}" decoding="sync"'
        f' width="{width}" height="{height}"'
        ' style="width: 100%; height: auto; margin: 0.5em 0 0">'
    )


def training_charts(run: Run) -> str:
    """Return the charts of `plots.training_so_far` as SVG."""
    from dcgan_utils.plots.training import training_so_far  # a second, where nobody looks

    config = run.config
    expected = equilibrium_losses(config.real_label, config.fake_label)
    return training_so_far(run.history(), epochs=config.epochs, expected=expected).as_svg()


def run_as_html(run: Run) -> str:
    """Return what a run shows in a cell: its latest samples, its charts, settings and measures."""
    now, config = describe(run), run.config
    rows = {
        "collection": f"{now['collection']}: {run.about['data']['images']} images, "
        f"{config.img_size} px",
        "noise": f"{config.prior.label}, latent vectors of length {config.noise_size}",
        "networks": f"{config.architecture}, width {config.width}",
        "training": f"{now['epochs']} of {now['of']} epochs in {run.minutes:.1f} min, "
        f"batches of {config.batch_size}, seed {config.seed}: {now['state']}",
        "share between images": f"{now['share']:.2f} (real images: 1)" if now["epochs"] else "",
        "KID": "" if now["kid"] is None else f"{now['kid']:.3f}",
        "folder": str(run.folder),
    }
    table = "".join(
        f'<tr><th scope="row" style="text-align: left">{name}</th>'
        f'<td style="text-align: left">{escape(text)}</td></tr>'
        for name, text in rows.items()
        if text
    )
    grids = "".join(sample_grid(run.samples(n), n) for n in run.sampled_epochs()[-1:])
    return (
        f'<div style="max-width: 60rem"><strong>{escape(run.name)}</strong>{grids}'
        f"{training_charts(run)}<table>{table}</table></div>"
    )


class _Output:
    """An output of the running cell: it appears when it is first shown, and is renewed in place."""

    handle: DisplayHandle | None = None

    def show(self, html: str) -> None:
        from IPython.display import HTML, display

        if self.handle is None:
            self.handle = display(HTML(html), display_id=True)
        else:
            self.handle.update(HTML(html))


class _Part(_Output):
    """An output that is renewed as often as that takes little time."""

    def __init__(self, draw: Callable[[], str], share: float):
        self.draw, self.share, self.due = draw, share, 0.0

    def renew(self, *, at_once: bool = False) -> None:
        began = time.perf_counter()
        if at_once or began >= self.due:
            self.show(self.draw())
            ended = time.perf_counter()
            self.due = ended + max(RENEW_EVERY, (ended - began) / self.share)


class _Bar(_Trace):
    """A bar in a terminal; under papermill one sentence after Ctrl-C."""

    def __init__(self, terminal: TextIO):
        self.terminal = terminal
        self.bar: tqdm | None = None

    def start(self, run: Run, epoch: int, samples: torch.Tensor) -> None:
        super().start(run, epoch, samples)
        layout = "{l_bar}{bar}| {n:.1f}/{total} epochs [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
        self.bar = _new_bar(
            "training", self.total, self.terminal, unit="epoch", initial=epoch, bar_format=layout
        )

    def batch(self, done: float) -> None:
        super().batch(done)
        self.bar.update(done - self.bar.n)

    def epoch(self, row: dict[str, float], samples: torch.Tensor) -> None:
        super().epoch(row, samples)
        self.bar.set_postfix_str(_describe_losses(row), refresh=row["epoch"] == self.total)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if self.bar is not None:
            self.bar.close()
        if isinstance(error, KeyboardInterrupt) and in_kernel():  # papermill says only "Aborted!"
            self.terminal.write(
                f"Stopped in epoch {min(self.epochs + 1, self.total)} of {self.total}. All is "
                "saved: run the same again to go on from there.\n"
            )
            self.terminal.flush()


class _Lines(_Trace):
    """A line of the log now and then."""

    def start(self, run: Run, epoch: int, samples: torch.Tensor) -> None:
        super().start(run, epoch, samples)
        self.due = time.perf_counter() + LINE_EVERY

    def epoch(self, row: dict[str, float], samples: torch.Tensor) -> None:
        super().epoch(row, samples)
        if time.perf_counter() >= self.due or row["epoch"] == self.total:
            losses, pace = _describe_losses(row), self._describe_pace()
            logger.info("epoch %d/%d  %s  %s", row["epoch"], self.total, losses, pace)
            self.due = time.perf_counter() + LINE_EVERY


def _describe_losses(row: dict[str, float]) -> str:
    discriminator = row["d_loss_real"] + row["d_loss_fake"]
    return f"loss of D {discriminator:.2f}, of G {row['g_loss']:.2f}"


def _new_bar(what: str, of: int, terminal: TextIO, **options: Any) -> tqdm:
    quiet = {"mininterval": RENEW_EVERY, "miniters": 0, "dynamic_ncols": True}
    return tqdm(desc=what, total=of, file=terminal, **quiet | options)


# --- Other long work ---


class _StepsInTerminal:
    """A bar in a terminal, which vanishes at the end."""

    def __init__(self, terminal: TextIO):
        self.terminal = terminal
        self.bar: tqdm | None = None

    def __call__(self, what: str, done: int, of: int) -> None:
        """Show how many steps are done; see `progress.listen`."""
        if done == 0:
            if self.bar is not None:  # its work has failed
                self.bar.close()
            self.bar = _new_bar(what, of, self.terminal, delay=DELAY, leave=False)
        self.bar.update(done - self.bar.n)
        if done == of:
            self.bar.close()


class _StepsInCell:
    """A bar in the running cell, which vanishes at the end."""

    def __call__(self, what: str, done: int, of: int) -> None:
        """Show how many steps are done; see `progress.listen`."""
        if done == 0:
            self.pace, self.output, self.due = Pace(of), _Output(), time.perf_counter() + DELAY
        self.pace.update(done)
        if done == of:
            if self.output.handle is not None:
                self.output.show("")
        elif time.perf_counter() >= self.due:
            self.output.show(self._describe(what, done, of))
            self.due = time.perf_counter() + RENEW_EVERY

    def _describe(self, what: str, done: int, of: int) -> str:
        seconds = self.pace.seconds_left
        left = "" if math.isnan(seconds) else f", {clock(seconds)} left"
        return (
            f'<progress value="{done}" max="{of}" aria-label="{escape(what)}"></progress> '
            f"{escape(what)}: {done} of {of}{left}"
        )


class _StepsInLog:
    """A line of the log now and then, if the work takes long."""

    def __call__(self, what: str, done: int, of: int) -> None:
        """Tell how many steps are done; see `progress.listen`."""
        if done == 0:
            self.due = time.perf_counter() + LINE_EVERY
        elif time.perf_counter() >= self.due:
            logger.info("%s: %d of %d", what, done, of)
            self.due = time.perf_counter() + LINE_EVERY


# --- Many notebooks ---


class Status(contextlib.AbstractContextManager):
    """A few lines of text that say how far long work is.

    They are renewed in a cell that somebody looks at, or in a terminal, from which they vanish in
    the end. Elsewhere they are one printed line now and then.

    Parameters
    ----------
    describe
        Returns the text; called each second, by a thread. Without it, call `update`.
    """

    def __init__(self, describe: Callable[[], str] | None = None):
        self.describe, self.ended = describe, threading.Event()
        self.terminal, self.bars = _terminal(), []
        self.cell = _Output() if in_front_end() else None
        self.due = time.perf_counter() + STATUS_EVERY
        self.log = logging_redirect_tqdm([logging.getLogger("dcgan_utils")])
        self.thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Status:
        self.log.__enter__()
        if self.describe is not None:
            self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()
        for bar in reversed(self.bars):
            bar.close()
        self.log.__exit__(*error)

    def _renew(self) -> None:
        while not self.ended.wait(LOOK_EVERY):
            self.update(self.describe())

    def update(self, text: str, *, at_once: bool = False) -> None:
        """Show the text in place of the former one; print it if that is due, or ``at_once``."""
        if self.cell is not None:
            self.cell.show(f"<pre>{escape(text)}</pre>")
        elif self.terminal is not None:
            self._write(text.splitlines())
        elif at_once or time.perf_counter() >= self.due:
            self.say("; ".join(text.splitlines()))
            self.due = time.perf_counter() + STATUS_EVERY

    def _write(self, lines: list[str]) -> None:
        while len(self.bars) < len(lines):  # with a bar, even one, tqdm cuts what is too long
            layout = {"bar_format": "{desc}{bar:1}", "leave": False}
            self.bars.append(_new_bar("", None, self.terminal, **layout))
        for bar, line in zip_longest(self.bars, lines, fillvalue=""):
            bar.set_description_str(line)

    def say(self, line: str) -> None:
        """Print a line that stays, in place of the text."""
        self._write([])
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()


def train_grid(
    grid: Grid, *, scheduler: str | None = None, workers: int | None = None
) -> pd.DataFrame:
    """Train the runs of a grid, as `schedule.run_grid` does, and show how far they are."""
    from dcgan_utils.study.schedule import outcome_line, progress_lines, run_grid, start_line

    with Status() as status:
        return run_grid(
            grid,
            scheduler=scheduler,
            workers=workers,
            on_start=lambda *started: status.say(start_line(*started)),
            on_outcome=lambda *ended: status.say(outcome_line(*ended)),
            on_progress=lambda state: status.update(progress_lines(state)),
        )
