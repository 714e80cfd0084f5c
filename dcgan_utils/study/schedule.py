"""The runs of a grid, trained by Dask, and their comparison.

Each run is one execution of ``train.ipynb`` in its own run folder. What is finished is not done
again, what was broken off goes on, what fails is told and the others go on. A worker may die at any
moment: its run is given to another one, which resumes it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from filelock import FileLock

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import (
    ensure_dir,
    friendly_write_errors,
    home,
    report_dir,
    runs_dir,
    write_csv,
)
from dcgan_utils.gan import priors
from dcgan_utils.report.build import run_notebook
from dcgan_utils.report.site import Link, Page, write_site
from dcgan_utils.runs.run import Run
from dcgan_utils.study.grid import Grid, Task, tasks

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client


MEMORY = 1.5e9  # bytes that a training at 64 px takes at most, with its kernel
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # Dask sets each to 1
# A terminal sends Ctrl-C to all its processes. Here the study closes its workers, in order; one
# that ended by itself would be started again meanwhile.
_IGNORE_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
PATIENCE = "20s"  # with a scheduler that does not answer


def divide_machine(cores: int, memory: float, tasks: int) -> tuple[int, int]:
    """Return how many workers a machine serves, and how many threads each has.

    As many as there are cores, memory and tasks: several trainings with one thread each get as much
    done as one with all threads, and what is not training, such as figures, goes on beside them.
    """
    workers = max(1, min(cores, int(memory / MEMORY), tasks))
    return workers, max(1, cores // workers)


@contextmanager
def local_cluster(tasks: int, workers: int | None = None) -> Iterator[str]:
    """Start a scheduler and worker processes on this machine, reachable from nowhere else.

    With GPUs there is one worker for each, which sees no other.

    Parameters
    ----------
    tasks
        How many there are to do.
    workers
        How many workers; without it, as many as the machine serves (see `divide_machine`).

    Yields
    ------
    str
        The scheduler's address.
    """
    import psutil
    import torch
    from distributed import Nanny, Scheduler, SpecCluster

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [*map(str, range(torch.cuda.device_count()))]
    gpus = len(names) if torch.cuda.is_available() else 0
    served, threads = divide_machine(cores, psutil.virtual_memory().available, tasks)
    count = workers or min(gpus, tasks) or served
    threads = max(1, cores // count) if workers or gpus else threads
    spec = {
        number: {
            "cls": Nanny,
            "options": {
                "host": "127.0.0.1",
                "nthreads": 1,
                "memory_limit": 0,  # Dask would count the worker alone, not its kernel
                "dashboard_address": None,
                "silence_logs": logging.ERROR,
                "preload": [_IGNORE_CTRL_C],
                "env": dict.fromkeys(_THREADS, str(threads))
                | ({"CUDA_VISIBLE_DEVICES": names[number % gpus]} if gpus else {}),
                "resources": {"GPU": 1} if gpus else {},
            },
        }
        for number in range(count)
    }
    scheduler = {
        "cls": Scheduler,
        "options": {"host": "127.0.0.1", "port": 0, "dashboard_address": "127.0.0.1:0"},
    }
    with SpecCluster(workers=spec, scheduler=scheduler, silence_logs=logging.ERROR) as cluster:
        yield cluster.scheduler_address


@contextmanager
def connect(address: str) -> Iterator[Client]:
    """Connect to a Dask scheduler.

    Raises
    ------
    WorkbookError
        If none answers.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError, ImportError) as error:
        raise WorkbookError(
            f"no Dask scheduler answers at '{address}' ({error}). It should look like "
            "tcp://10.0.0.1:8786."
        ) from error
    with client:
        yield client


# --- Runs of a grid ---


def outcome_line(task: Task, failed: str, done: int, of: int) -> str:
    """Say in a line what became of a task."""
    return f"[{done}/{of}] {task}: {f'FAILED: {failed}' if failed else 'finished'}"


def progress_line(under_way: dict[Task, int]) -> str:
    """Say in a line how far the tasks under way are."""
    told = (f"{task}: epoch {done} of {task.epochs}" for task, done in under_way.items())
    return "; ".join(told) or "The workers are starting."


def run_task(task: Task, home_folder: str) -> str:
    """Train one run of a grid, or go on with it; this is what a worker does.

    Two workers, or two grids, never work at one run at a time: the second waits, and then finds
    it finished.

    Parameters
    ----------
    task
        The run.
    home_folder
        Where ``data/`` and ``reports/`` lie; all workers must see it.

    Returns
    -------
    str
        Why it failed, or nothing. The executed notebook in the run folder shows where; a page is
        there only if it did not fail.
    """
    os.environ["DCGAN_HOME"] = home_folder
    folder = ensure_dir(runs_dir() / task.run)
    with FileLock(folder / ".task"):
        about, html = folder / "config.json", folder / "train.html"
        if about.exists() and html.exists() and Run(folder).finished:
            return ""
        with FileLock(folder / ".lock"):
            pass  # a dead worker's kernel may still be at it, and ends by itself
        title = f"Training with {priors.parse(task.noise).label}, seed {task.seed}"
        page = run_notebook("train", folder / "train.ipynb", task.parameters, title=title)
        elsewhere = "the images are others here than where the study was started."
        failed = page.failed or ("" if about.exists() else elsewhere)
        if failed:
            html.unlink()
    return failed


def run_grid(
    grid: Grid,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    on_start: Callable[[str, int], None] | None = None,
    on_outcome: Callable[[Task, str, int, int], None] | None = None,
    on_progress: Callable[[dict[Task, int]], None] | None = None,
    every: float = 30.0,
) -> pd.DataFrame:
    """Train all runs of a grid that are not finished yet.

    Parameters
    ----------
    grid
        What to train.
    scheduler
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, whose workers have this
        package and see the same home folder; without it one is started here.
    workers
        How many are started here; without it as many as the machine serves.
    on_start
        Called with the dashboard's address and the number of workers.
    on_outcome
        Called with each task that ended, why it failed (or nothing), how many have ended, and how
        many there are.
    on_progress
        Called now and then with the tasks under way and how many epochs each has done.
    every
        Seconds between such calls.

    Returns
    -------
    pandas.DataFrame
        One row a task: ``collection``, ``architecture``, ``noise``, ``seed``, ``run``, ``epochs``,
        ``minutes``, and ``failed``, the reason, or empty.

    Raises
    ------
    WorkbookError
        If something is wrong with the grid, or the scheduler cannot be reached.
    """
    todo = tasks(grid)
    place = nullcontext(scheduler) if scheduler else local_cluster(len(todo), workers)
    outcomes: dict[Task, str] = {}
    with place as address, connect(address) as client:
        served = list(client.scheduler_info(n_workers=-1)["workers"].values())
        if not scheduler and not _offers(served, grid.resources):
            raise WorkbookError(f"no worker on this machine offers {grid.resources}.")
        if on_start is not None:
            on_start(client.dashboard_link, len(served))
        needed = {"resources": grid.resources} if grid.resources else {}
        futures = {client.submit(run_task, task, str(home()), **needed): task for task in todo}
        for task, failed in _outcomes(futures, on_progress, every):
            outcomes[task] = failed
            if on_outcome is not None:
                on_outcome(task, failed, len(outcomes), len(todo))
    return _table({task: outcomes[task] for task in todo})


def _offers(workers: list[dict[str, Any]], needed: dict[str, float]) -> bool:
    return any(
        all(worker["resources"].get(name, 0) >= count for name, count in needed.items())
        for worker in workers
    )


def _outcomes(
    futures: dict[Any, Task],
    on_progress: Callable[[dict[Task, int]], None] | None,
    every: float,
) -> Iterator[tuple[Task, str]]:
    """Yield tasks as they end, with the reason if they failed."""
    from distributed import wait

    pending = set(futures)
    while pending:
        try:
            done = wait(pending, timeout=every, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            done = set()
        except CancelledError as error:
            raise WorkbookError(
                "the scheduler was lost. What is trained is kept; the same command goes on."
            ) from error
        for future in done:
            yield futures[future], _failure(future)
        pending -= done
        if on_progress is not None and not done:
            on_progress(_under_way(futures[future] for future in pending))


def _failure(future: Any) -> str:
    if future.status == "finished":
        return future.result()
    error = future.exception()
    return f"{type(error).__name__}: {error}"


def _under_way(pending: Iterable[Task]) -> dict[Task, int]:
    """Return how many epochs are done of each run that has begun."""
    rows = {task: len(_history(task)) for task in pending}
    return {task: done for task, done in rows.items() if done}


def _table(outcomes: dict[Task, str]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for task, failed in outcomes.items():
        history = _history(task)
        rows.append(
            {
                "collection": task.collection,
                "architecture": task.architecture,
                "noise": task.noise,
                "seed": task.seed,
                "run": task.run,
                "epochs": len(history),
                "minutes": history["seconds"].sum() / 60 if len(history) else 0.0,
                "failed": failed,
            }
        )
    return pd.DataFrame(rows)


def _history(task: Task) -> pd.DataFrame:
    """Return a run's history; it is empty if the run has not begun, or its folder is broken."""
    import pandas as pd

    try:
        return Run(runs_dir() / task.run).history()
    except WorkbookError:
        return pd.DataFrame()


def compare(
    grid: Grid,
    table: pd.DataFrame,
    *,
    stream: TextIO | None = None,
    on_page: Callable[[Page], None] | None = None,
) -> tuple[Path, list[Page]]:
    """Write the comparison of a grid's runs into ``reports/<name>/``, and the table as CSV.

    Parameters
    ----------
    grid, table
        The grid, and what `run_grid` returned.
    stream
        Where the notebooks' text output is copied while they run.
    on_page
        Called with each page once it is written: one for each collection and architecture of which
        two runs or more are finished.

    Returns
    -------
    index : Path
        The page that links the others.
    pages : list of Page
        Those that failed say why.
    """
    folder = ensure_dir(report_dir(grid.name))
    finished, pages = table[table["failed"] == ""], []
    with friendly_write_errors(folder), FileLock(folder / ".lock"):
        write_csv(table, folder / "runs.csv", index=False)
        for which, runs in finished.groupby(["collection", "architecture"], sort=False):
            if len(runs) > 1:
                pages.append(_compared(grid, folder, which, runs, stream))
                if on_page is not None:
                    on_page(pages[-1])
        lead = (
            f"{len(finished)} of {len(table)} trainings are finished: {len(grid.noises)} noises, "
            f"{len(grid.seeds)} seeds each. Runs of one seed begin with the same weights and see "
            "the images in the same order."
        )
        links = [_link(folder, row) for row in table.itertuples()]
        return write_site(folder, grid.name, pages, lead=lead, links=links), pages


def _link(folder: Path, row: Any) -> Link:
    """Return the page of a run, as seen from the comparison's folder."""
    title = f"{row.collection}, {row.architecture}, {row.noise}, seed {row.seed}"
    page = runs_dir() / row.run / ("train.ipynb" if row.failed else "train.html")
    return Link(title, Path(os.path.relpath(page, folder)).as_posix(), row.failed)


def _compared(
    grid: Grid, folder: Path, which: tuple[str, str], runs: pd.DataFrame, stream: TextIO | None
) -> Page:
    collection, architecture = which
    chosen = {"runs": ",".join(runs["run"]), "samples": grid.samples, "numbers": grid.name}
    return run_notebook(
        "compare",
        folder / f"compare-{collection}-{architecture}.ipynb",
        chosen | ({"kinds": grid.kinds} if grid.kinds else {}),
        title=f"{collection}, {architecture}: which noise?",
        summary=f"{len(runs)} trainings of {architecture} on {collection}, compared.",
        stream=stream,
    )
