"""Who trains a grid: worker processes here, or those of a Dask scheduler elsewhere."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dcgan_utils.core.errors import WorkbookError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["connected", "divided", "local_cluster"]

MEMORY = 1.5e9  # bytes that a training at 64 px takes at most, with its kernel
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # Dask sets each to 1
# A terminal sends Ctrl-C to all its processes. Here the study closes its workers, in order; one
# that ended by itself would be started again meanwhile.
_IGNORE_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
PATIENCE = "20s"  # with a scheduler that does not answer


def divided(cores: int, memory: float, tasks: int) -> tuple[int, int]:
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
        How many workers; without it, as many as the machine serves (see `divided`).

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
    served, threads = divided(cores, psutil.virtual_memory().available, tasks)
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
def connected(address: str) -> Iterator[Client]:
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
