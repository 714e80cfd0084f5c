"""The runs of a grid, trained by Dask.

Each run is one execution of ``train.ipynb`` in its own run folder. Finished runs are not repeated,
interrupted ones are resumed, and a run that fails does not stop the others. If a worker dies, Dask
gives its run to another worker, which resumes it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from filelock import FileLock

from dcgan_utils.core.environment import shared_memory_error
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import (
    ensure_dir,
    friendly_write_errors,
    home,
    notebooks_dir,
    runs_dir,
    utf8_text,
)
from dcgan_utils.runs.run import Run
from dcgan_utils.study.grid import Grid, Task, tasks

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

logger = logging.getLogger(__name__)

# --- One notebook ---


def execute_notebook(
    name: str, output: Path, parameters: dict[str, Any], *, stream: TextIO | None = None
) -> str:
    """Execute one notebook through papermill.

    Parameters
    ----------
    name
        Stem of a notebook in ``notebooks/``.
    output
        Where the executed copy goes. If the notebook fails, the copy shows the error in its place.
    parameters
        Injected after the notebook's parameters cell.
    stream
        Where the notebook's text output is copied while it runs.

    Returns
    -------
    str
        Why it failed, or nothing.

    Raises
    ------
    WorkbookError
        If there is no such notebook, no kernel, or the copy cannot be written, or a path is not
        UTF-8.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    failed, stored = "", _stored(name)
    utf8_text(stored), utf8_text(output)  # the copy names both
    ensure_dir(output.parent)
    try:
        with friendly_write_errors(output), _friendly_kernel_errors():
            papermill.execute_notebook(
                _escape_braces(stored),
                _escape_braces(output),
                parameters=parameters,
                kernel_name="python3",
                progress_bar=False,
                stdout_file=stream,
                # ipykernel warns that it talks to this machine over TCP without encryption.
                extra_arguments=["--IPKernelApp.log_level=ERROR"],
            )
    except papermill.PapermillExecutionError as error:
        failed = f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        failed = (
            "the kernel died, perhaps because the memory was full: "
            "a smaller width, batch_size or img_size may help."
        )
    if failed:
        logger.error("%s stopped: %s", output.name, failed)
    return failed


def _escape_braces(path: Path) -> str:
    """Double the braces of a path, in which papermill would put parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _stored(name: str) -> Path:
    source = notebooks_dir() / f"{name}.ipynb"
    if not source.exists():
        available = ", ".join(sorted(path.stem for path in notebooks_dir().glob("*.ipynb")))
        raise WorkbookError(
            f"there is no notebook '{source}'. Available: {available or 'none'}. Notebooks come "
            "with the project's checkout, installed with 'pip install -e'."
        )
    return source


@contextmanager
def _friendly_kernel_errors() -> Iterator[None]:
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import DeadKernelError

    try:
        yield
    except DeadKernelError:  # it did start
        raise
    except (NoSuchKernel, FileNotFoundError, RuntimeError) as error:
        raise WorkbookError(
            f"the Jupyter kernel 'python3' does not start ({type(error).__name__}: {error}). "
            f"'{sys.executable} -m ipykernel install --sys-prefix' installs one; "
            "'python -m dcgan_utils doctor' shows the details."
        ) from error


def is_complete(notebook: Path) -> bool:
    """Tell whether papermill executed every cell of a notebook, none with an error."""
    import nbformat

    try:
        executed = nbformat.read(notebook, as_version=4)
    except (OSError, ValueError):  # missing, or cut off while it was written
        return False
    about = executed.metadata.get("papermill", {})
    code = (cell for cell in executed.cells if cell.cell_type == "code" and cell.source.strip())
    # Where the kernel died, papermill notes an end and no exception; later cells have no number.
    return (
        bool(about.get("end_time"))
        and not about.get("exception")
        and all(cell.execution_count for cell in code)
    )


# --- Workers ---


MEMORY = 1.5e9  # upper bound for a training at 64 px and its kernel, in bytes
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # Dask sets each to 1
# A terminal sends Ctrl-C to all its processes. Here the study closes its workers, in order; one
# that ended by itself would be started again meanwhile.
_IGNORE_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
LOCKS = 16  # of a worker's process, at most
PATIENCE = "20s"  # how long a scheduler may take to answer


def divide_machine(cores: int, memory: float, tasks: int) -> tuple[int, int]:
    """Return how many workers a machine has room for, and how many threads each gets.

    There is one worker per core, as far as memory and tasks allow: several trainings with one
    thread each get as much done as one with all threads, and figures, which use one thread, are
    drawn meanwhile.
    """
    workers = max(1, min(cores, int(memory / MEMORY), tasks))
    return workers, max(1, cores // workers)


@contextmanager
def local_cluster(tasks: int, workers: int | None = None) -> Iterator[str]:
    """Start a scheduler and worker processes on this machine, reachable only from itself.

    With GPUs there is one worker per GPU, which sees no other.

    Parameters
    ----------
    tasks
        How many tasks there are.
    workers
        How many workers; by default as many as the machine has room for (see `divide_machine`).

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
    _require_shared_memory(count)
    spec = {
        number: {
            "cls": Nanny,
            "options": {
                "host": "127.0.0.1",
                "nthreads": 1,
                "memory_limit": 0,  # Dask would count the worker alone, not its kernel
                "dashboard_address": None,
                "silence_logs": logging.CRITICAL,  # on Ctrl-C, workers log lost connections
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
    with SpecCluster(workers=spec, scheduler=scheduler, silence_logs=logging.CRITICAL) as cluster:
        yield cluster.scheduler_address


def _require_shared_memory(workers: int) -> None:
    """Make as many locks as the workers need, since Dask would show only that none starts."""
    try:
        _ = [multiprocessing.Lock() for _ in range(LOCKS * workers)]
    except OSError as error:
        raise shared_memory_error(error) from error


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


PROGRESS_EVERY = 30.0  # seconds


def outcome_line(task: Task, failed: str, done: int, of: int) -> str:
    """Describe the end of a task in one line."""
    return f"[{done}/{of}] {task}: {f'FAILED: {failed}' if failed else 'finished'}"


def progress_line(under_way: dict[Task, int]) -> str:
    """Describe in one line how far the tasks under way are."""
    epochs = (f"{task}: epoch {done} of {task.epochs}" for task, done in under_way.items())
    return "; ".join(epochs) or "The workers are starting."


def run_task(task: Task, home_folder: str) -> str:
    """Train one run of a grid, or resume it; this is what a worker does.

    Two workers, or two grids, never work on one run at the same time: the second waits, and then
    finds the run finished.

    Parameters
    ----------
    task
        The run.
    home_folder
        Where ``data/`` and ``reports/`` are; all workers must see it.

    Returns
    -------
    str
        Why it failed, or nothing. The executed notebook in the run folder shows where.
    """
    os.environ["DCGAN_HOME"] = home_folder
    folder = ensure_dir(runs_dir() / task.run)
    about, notebook = folder / "config.json", folder / "train.ipynb"
    with FileLock(folder / ".task"):
        if about.exists() and Run(folder).finished and is_complete(notebook):
            return ""
        with FileLock(folder / ".lock"):
            pass  # the kernel of a dead worker may still train this run; it ends by itself
        failed = execute_notebook("train", notebook, task.parameters)
    if not failed and not about.exists():  # the run's name contains a hash of its images
        return "the images on this worker are not the images on the machine that started the study."
    return failed


def run_grid(
    grid: Grid,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    on_start: Callable[[str, int], None] | None = None,
    on_outcome: Callable[[Task, str, int, int], None] | None = None,
    on_progress: Callable[[dict[Task, int]], None] | None = None,
) -> pd.DataFrame:
    """Train all runs of a grid that are not finished yet.

    Parameters
    ----------
    grid
        What to train.
    scheduler
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, whose workers have this
        package and see the same home folder; by default one is started here.
    workers
        How many are started here; by default as many as the machine has room for.
    on_start
        Called with the dashboard's address and the number of workers.
    on_outcome
        Called with each task that ended, why it failed (or nothing), how many have ended, and how
        many there are.
    on_progress
        Called every half minute with the tasks under way and the number of epochs that each has
        completed.

    Returns
    -------
    pandas.DataFrame
        One row per task: ``collection``, ``architecture``, ``noise``, ``seed``, ``run``,
        ``epochs``, ``minutes``, and ``failed``, the reason, or empty.

    Raises
    ------
    WorkbookError
        If something is wrong with the grid, or the scheduler cannot be reached.
    """
    outcomes: dict[Task, str] = {}
    with _client_and_tasks(grid, scheduler, workers) as (client, todo):
        served = list(client.scheduler_info(n_workers=-1)["workers"].values())
        if not scheduler and not _offers(served, grid.resources):
            raise WorkbookError(f"no worker on this machine offers {grid.resources}.")
        if on_start is not None:
            on_start(client.dashboard_link, len(served))
        needed = {"resources": grid.resources} if grid.resources else {}
        futures = {client.submit(run_task, task, str(home()), **needed): task for task in todo}
        for task, failed in _outcomes(futures, on_progress):
            outcomes[task] = failed
            if on_outcome is not None:
                on_outcome(task, failed, len(outcomes), len(todo))
    return _table({task: outcomes[task] for task in todo})


@contextmanager
def _client_and_tasks(
    grid: Grid, scheduler: str | None, workers: int | None
) -> Iterator[tuple[Client, list[Task]]]:
    """Connect, and yield the tasks too: they may be painted for minutes, so an address is first."""
    if scheduler:
        with connect(scheduler) as client:
            yield client, tasks(grid)
    else:
        todo = tasks(grid)
        with local_cluster(len(todo), workers) as address, connect(address) as client:
            yield client, todo


def _offers(workers: list[dict[str, Any]], needed: dict[str, float]) -> bool:
    return any(
        all(worker["resources"].get(name, 0) >= count for name, count in needed.items())
        for worker in workers
    )


def _outcomes(
    futures: dict[Any, Task],
    on_progress: Callable[[dict[Task, int]], None] | None,
) -> Iterator[tuple[Task, str]]:
    """Yield tasks as they end, with the reason if they failed."""
    from distributed import wait

    pending = set(futures)
    while pending:
        try:
            done = wait(pending, timeout=PROGRESS_EVERY, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            done = set()
        except CancelledError as error:
            raise WorkbookError(
                "the connection to the scheduler was lost. What is trained is saved. Run the same "
                "command again to resume."
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
    """Return how many epochs each run that has begun has completed."""
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
                "first_norm": task.first_norm,
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
