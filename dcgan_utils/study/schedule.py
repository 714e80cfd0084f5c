"""The runs of a grid, trained by Dask.

Each run is one execution of ``train.ipynb`` in its own run folder. Runs that are finished, or in
the study's record, are not repeated, interrupted ones are resumed, and a run that fails does not
stop the others. If a worker dies, Dask gives its run to another worker, which resumes it.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import math
import multiprocessing
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from dcgan_utils.core.environment import needs_extra, shared_memory_error
from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.files import (
    ensure_dir,
    friendly_write_errors,
    home,
    notebooks_dir,
    report_dir,
    report_name,
    runs_dir,
    utf8_text,
)
from dcgan_utils.core.progress import Pace, in_minutes, shown_here
from dcgan_utils.runs.run import Run, epoch_seconds
from dcgan_utils.study import claims
from dcgan_utils.study.compare import measure_run, record_run
from dcgan_utils.study.grid import Grid, Task, tasks
from dcgan_utils.study.record import Record

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

logger = logging.getLogger(__name__)

# --- One notebook ---


def require_lab() -> None:
    """Check that what executes notebooks and makes their pages is there, without loading it.

    Raises
    ------
    WorkbookError
        If the extra ``lab`` is not installed.
    """
    with needs_extra("lab"):
        for name in ("papermill", "nbconvert", "ipykernel", "latex2mathml"):
            if find_spec(name) is None:
                raise ImportError(f"No module named '{name}'")


def execute_notebook(name: str, output: Path, parameters: dict[str, Any]) -> str:
    """Execute one notebook through papermill; its kernel shows no progress of its own.

    Parameters
    ----------
    name
        Stem of a notebook in ``notebooks/``.
    output
        Where the executed copy goes. If the notebook fails, the copy shows the error in its place.
    parameters
        Injected after the notebook's parameters cell.

    Returns
    -------
    str
        Why it failed, or nothing.

    Raises
    ------
    WorkbookError
        If there is no such notebook, no kernel, or the copy cannot be written, or a path is not
        UTF-8, or the extra ``lab`` is not installed.
    """
    require_lab()
    import papermill
    from nbclient.exceptions import DeadKernelError

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # a failure is returned, not logged
    failed, stored = "", _stored(name)
    utf8_text(stored), utf8_text(output)  # the copy names both
    ensure_dir(output.parent)
    try:
        with friendly_write_errors(output), _friendly_kernel_errors(), shown_here():
            papermill.execute_notebook(
                _escape_braces(stored),
                _escape_braces(output),
                parameters=parameters,
                kernel_name="python3",
                progress_bar=False,
                # ipykernel warns that it talks to this machine over TCP without encryption, and
                # after Ctrl-C that its sockets are closed.
                extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
            )
    except papermill.PapermillExecutionError as error:
        failed = f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        failed = (
            "the kernel died, perhaps because the memory was full: "
            "a smaller width, batch_size or img_size may help."
        )
    return failed


def _escape_braces(path: Path) -> str:
    """Double the braces of a path, in which papermill would put parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _stored(name: str) -> Path:
    source = notebooks_dir() / f"{name}.ipynb"
    if not source.exists():
        available = ", ".join(sorted(path.stem for path in notebooks_dir().glob("*.ipynb")))
        raise WorkbookError(f"there is no notebook '{source}'. Available: {available or 'none'}.")
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
            "'dcgan doctor' shows the details."
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
        If none answers, or the extra ``study`` is not installed.
    """
    with needs_extra("study"):
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


PROGRESS_EVERY = 2.0  # seconds
AROUND = 20.0  # seconds that a run takes besides its epochs: a kernel, figures, measures
_BEGUN = "dcgan_utils-begun"  # Dask's topic with the names of the runs that workers have begun


@dataclass(frozen=True)
class GridState:
    """How far a grid is, up to its next look.

    Attributes
    ----------
    done, failed, of
        Numbers of runs; those that were recorded or finished before count too.
    running
        The runs under way, and the epochs that each has completed.
    seconds_left
        nan before anything is known.
    """

    done: int
    failed: int
    of: int
    running: dict[Task, int]
    seconds_left: float


def outcome_line(task: Task, failed: str, done: int, of: int) -> str:
    """Describe the end of a task in one line."""
    return f"[{done}/{of}] {task}: {f'FAILED: {failed}' if failed else 'finished'}"


def start_line(page: str, workers: int, left: int, recorded: int) -> str:
    """Describe in one line what is about to be trained."""
    known = f", {recorded} recorded" if recorded else ""
    return f"{left} runs to train{known}; {workers} workers, watch them at {page}"


def progress_lines(state: GridState) -> str:
    """Describe in one line how far a grid is, and in one more each run that is under way."""
    is_known = not math.isnan(state.seconds_left)
    left = f"; {in_minutes(state.seconds_left)} left" if is_known else ""
    counts = f"{state.done} of {state.of} done, {len(state.running)} running"
    runs = [f"{task}: epoch {done} of {task.epochs}" for task, done in state.running.items()]
    return "\n".join([f"[runs: {counts}, {state.failed} failed{left}]", *runs])


def run_task(task: Task, home_folder: str, measured: dict[str, Any]) -> str:
    """Train one run of a grid, or resume it, and measure it; this is what a worker does.

    Two workers, or two grids, never work on one run at the same time: the second waits, and then
    finds the run finished.

    Parameters
    ----------
    task
        The run.
    home_folder
        Where ``data/`` and ``reports/`` are; all workers must see it.
    measured
        How it is measured: ``samples`` and ``label_column`` of `compare.measure_run`.

    Returns
    -------
    str
        Why it failed, or nothing. The executed notebook in the run folder shows where.
    """
    os.environ["DCGAN_HOME"] = home_folder
    folder = ensure_dir(runs_dir() / task.run)
    about, notebook = folder / "config.json", folder / "train.ipynb"
    with FileLock(folder / ".task"):
        _announce(task)
        if not (about.exists() and Run(folder).finished and is_complete(notebook)):
            with FileLock(folder / ".lock"):
                pass  # the kernel of a dead worker may still train this run; it ends by itself
            if failed := execute_notebook("train", notebook, task.parameters):
                return failed
        if not about.exists():  # the run's name contains a hash of its images
            return (
                "the images on this worker are not the images on the machine that started the "
                "study."
            )
        with contextlib.suppress(NotEnoughData):  # the comparison says why there are no measures
            measure_run(Run(folder), **measured)
    return ""


def _announce(task: Task) -> None:
    """Let the study know that this worker begins with a task."""
    from distributed import get_worker

    with contextlib.suppress(ValueError):  # this is not a worker
        get_worker().log_event(_BEGUN, task.run)


def describe_grid(table: pd.DataFrame) -> str:
    """Say in Markdown how many runs of a grid are finished, and how much they can decide.

    Parameters
    ----------
    table
        From `run_grid`.
    """
    finished = table[table["failed"] == ""]
    text = f"**{len(finished)} of {len(table)} trainings are finished.**"
    if finished.empty:
        return f"{text} There is nothing to compare."
    arms = finished.groupby(["collection", "architecture", "noise", "first_norm"], dropna=False)
    seeds = arms["seed"].nunique()
    number = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    text += f" Each of {len(seeds)} arms has {number} seed{'s' * (number != '1')}."
    if seeds.min() < 2:
        text += " With one seed nothing can be decided: the images are a hint."
    return f"{text} The verdicts, and how sure they are, begin each page of the comparison."


def run_grid(
    grid: Grid,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    on_start: Callable[[str, int, int, int], None] | None = None,
    on_outcome: Callable[[Task, str, int, int], None] | None = None,
    on_progress: Callable[[GridState], None] | None = None,
) -> pd.DataFrame:
    """Train all runs of a grid that are neither finished nor recorded, and record them.

    A grid with ``looks`` is trained look by look. A collection is complete at the first look at
    which all of its claims are confirmed or refuted.

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
        Called with the dashboard's address, the number of workers, how many runs are to be
        trained until the next look, and how many are recorded.
    on_outcome
        Called with each task that ended, why it failed (or nothing), how many have ended or are
        recorded, and how many there are up to the next look.
    on_progress
        Called every two seconds.

    Returns
    -------
    pandas.DataFrame
        One row per task: ``collection``, ``architecture``, ``noise``, ``first_norm``, ``seed``,
        ``run``, ``epochs``, ``minutes``, and ``failed``, the reason, or empty.

    Raises
    ------
    WorkbookError
        If something is wrong with the grid, the scheduler cannot be reached, or the extra
        ``study`` is not installed.
    """
    require_lab()
    with needs_extra("study"):
        importlib.import_module("distributed")
    outcomes: dict[Task, str] = {}
    measured = {"samples": grid.samples, "label_column": grid.label_column}
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(connect(scheduler)) if scheduler else None
        # An address is tried first, since the collections may be painted for minutes.
        records = records_of(grid, tasks(grid))
        while todo := tasks_left(grid, records, outcomes):
            if client is None:
                address = stack.enter_context(local_cluster(len(todo), workers))
                client = stack.enter_context(connect(address))
            served = list(client.scheduler_info(n_workers=-1)["workers"].values())
            if not scheduler and not _offers(served, grid.resources):
                raise WorkbookError(f"no worker on this machine offers {grid.resources}.")
            if on_start is not None:
                on_start(client.dashboard_link, len(served), len(todo), len(_recorded(records)))
            needed = {"resources": grid.resources} if grid.resources else {}
            futures = {
                client.submit(run_task, task, str(home()), measured, **needed): task
                for task in todo
            }
            of = len(todo) + len(_recorded(records) | {*outcomes})
            for ended in _ended(futures):
                for future in ended:
                    task = futures[future]
                    failed = _failure(future) or _record(records[task], task, measured)
                    outcomes[task] = failed
                    if on_outcome is not None:
                        left = sum(task not in outcomes for task in todo)
                        on_outcome(task, failed, of - left, of)
                if on_progress is not None:
                    begun = _begun(client)
                    pending = {task: task.run in begun for task in todo if task not in outcomes}
                    on_progress(_state(records, outcomes, pending, of, len(served)))
    return _table(records, outcomes)


def _recorded(records: dict[Task, Record]) -> set[Task]:
    names = {record: record.names() for record in set(records.values())}
    return {task for task, record in records.items() if task.run in names[record]}


def records_of(grid: Grid, planned: list[Task]) -> dict[Task, Record]:
    """Return the record to which each run of a grid belongs.

    Raises
    ------
    WorkbookError
        If a record holds runs with other settings.
    """
    folder = report_dir(report_name(grid.name, f"the study {grid.name}"))
    records = {task: Record(folder, f"{task.collection}-{task.architecture}") for task in planned}
    for record, task in {record: task for task, record in records.items()}.items():
        record.refuse_other_settings(task.settings)
    return records


def _record(record: Record, task: Task, measured: dict[str, Any]) -> str:
    """Record a finished run; return why it failed, or nothing."""
    try:
        record_run(record, Run(runs_dir() / task.run), **measured)
    except NotEnoughData as error:
        logger.info("%s is not recorded: %s", task.run, error)
    except WorkbookError as error:
        return str(error)
    return ""


def tasks_left(grid: Grid, records: dict[Task, Record], ended: Iterable[Task] = ()) -> list[Task]:
    """Return the tasks up to the next look that are not recorded.

    Parameters
    ----------
    grid
        The study.
    records
        All of its tasks, from `records_of`.
    ended
        Tasks that have ended, even if they failed.
    """
    left = []
    for record in dict.fromkeys(records.values()):
        own = [task for task in records if records[task] == record]
        known = record.names() | {task.run for task in ended}
        for look in grid.looks or (len(grid.seeds),):
            seeds = grid.seeds[:look]
            missing = [task for task in own if task.seed in seeds and task.run not in known]
            left += missing
            if missing or _is_decided(record, grid.looks):
                break
    return left


def _is_decided(record: Record, looks: tuple[int, ...]) -> bool:
    """Return whether every claim that the runs test is confirmed or refuted, and there is one."""
    table = record.measures()
    if table.empty or not looks:
        return False
    tested = {claim.verdict for claim in claims.judge(table, looks=looks)} - {claims.NOT_TESTED}
    return bool(tested) and tested <= {claims.CONFIRMED, claims.REFUTED}


def _offers(workers: list[dict[str, Any]], needed: dict[str, float]) -> bool:
    return any(
        all(worker["resources"].get(name, 0) >= count for name, count in needed.items())
        for worker in workers
    )


def _ended(futures: dict[Any, Task]) -> Iterator[set[Any]]:
    """Yield the futures that have ended since, none if time has passed, until all have."""
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
        pending -= done
        yield done


def _failure(future: Any) -> str:
    if future.status == "finished":
        return future.result()
    error = future.exception()
    return f"{type(error).__name__}: {error}"


def _begun(client: Client) -> set[str]:
    """Return the names of the runs that workers have begun; none if the scheduler is gone."""
    with contextlib.suppress(OSError):  # the study ends with a sentence of its own
        return {name for _, name in client.get_events(_BEGUN)}
    return set()


def _state(
    records: dict[Task, Record],
    outcomes: dict[Task, str],
    pending: dict[Task, bool],
    of: int,
    workers: int,
) -> GridState:
    """Return how far a grid is; ``pending`` says of each task whether a worker has begun it."""
    failed = sum(map(bool, outcomes.values()))
    running = {task: len(epoch_seconds(task.run)) for task, begun in pending.items() if begun}
    left = _seconds_left(list(records), list(pending), len(running) or workers)
    return GridState(of - len(pending) - failed, failed, of, running, left)


def _seconds_left(planned: list[Task], pending: list[Task], at_once: int) -> float:
    """Estimate how long the pending runs will take, so many at once.

    What is not begun takes as long as the others on average, whatever study has trained them.
    """
    rest, whole = {}, []
    for task in planned:
        if seconds := epoch_seconds(task.run):
            pace = statistics.mean(seconds[-Pace.LATEST :])
            rest[task] = AROUND + pace * (task.epochs - len(seconds))
            whole.append(AROUND + pace * task.epochs)
    if not pending or not whole:
        return math.nan
    left = [rest.get(task, statistics.mean(whole)) for task in pending]
    return max(sum(left) / at_once, *left)


def _table(records: dict[Task, Record], outcomes: dict[Task, str]) -> pd.DataFrame:
    """Return one row for each task that has ended or is recorded."""
    import pandas as pd

    recorded = {record: record.measures().set_index("run") for record in set(records.values())}
    rows = []
    for task, record in records.items():
        if task.run in recorded[record].index:
            epochs, minutes = recorded[record].loc[task.run, ["epochs", "minutes"]]
        elif task in outcomes:
            history = _history(task)
            epochs = len(history)
            minutes = history["seconds"].sum() / 60 if epochs else 0.0
        else:
            continue  # a later look, which is not needed
        rows.append(
            {
                "collection": task.collection,
                "architecture": task.architecture,
                "noise": task.noise,
                "first_norm": task.first_norm,
                "seed": task.seed,
                "run": task.run,
                "epochs": int(epochs),
                "minutes": float(minutes),
                "failed": outcomes.get(task, ""),
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
