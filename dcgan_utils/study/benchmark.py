"""The speed of the training, compared with a textbook's loop and the limit of the machine."""

from __future__ import annotations

import errno
import functools
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch
from torch import nn
from torch.nn import functional as F

from dcgan_utils.core import environment, progress
from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.load import image_files, load_dataset
from dcgan_utils.gan import convolutions
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.metrics import evaluation
from dcgan_utils.runs.run import run_name
from dcgan_utils.runs.training import Watcher, reproducible, train, train_batch
from dcgan_utils.study.tutorial import Textbook

if TYPE_CHECKING:
    import pandas as pd


TEXTBOOK = "textbook"


def workbook_loop(precision: str) -> str:
    """Return the name of the workbook's loop in a precision."""
    return f"workbook, {precision}"


# --- The loops, in turn ---


def alternate(
    config: TrainConfig,
    *,
    repeats: int = 5,
) -> pd.DataFrame:
    """Time the textbook's loop and the workbook's in turn, one epoch each.

    The workbook's loop runs in fp32, and also in the precision of the config if that is another.
    Each loop has its own process, and so its own peak memory; while one trains, the others wait.
    The first turn of each loop is not counted. The workbook keeps its images in memory. No loop
    writes anything.

    Parameters
    ----------
    config
        Collection, architecture, batch size, precision and device.
    repeats
        Number of turns of each loop.

    Returns
    -------
    pandas.DataFrame
        One row per turn: ``loop``, ``turn``, ``images_per_second``, and ``peak_memory`` so far,
        in bytes, of the process or the GPU. The textbook's two loading processes are not included.

    Raises
    ------
    WorkbookError
        If the collection is not a folder of image files, which the textbook needs, or if a
        process dies.
    """
    import pandas as pd

    files = image_files(config.dataset, config.img_size)
    parameters = config.model_dump()
    loops: dict[str, Callable[[], Callable[[], int]]] = {
        TEXTBOOK: functools.partial(_start_textbook, parameters, files)
    }
    for precision in dict.fromkeys(["fp32", config.precision]):
        start = functools.partial(_start_ours, parameters | {"precision": precision})
        loops[workbook_loop(precision)] = start
    rows = []
    with ExitStack() as stack:
        workers = {}
        for name, start in loops.items():
            workers[name] = stack.enter_context(_fresh_process())
            workers[name].submit(_start_loop, start, config.device).result()
            workers[name].submit(_take_turn).result()
        turns = [(turn, name) for turn in range(1, repeats + 1) for name in workers]
        what = f"turns at batch {config.batch_size}"
        for turn, name in progress.steps(turns, what, of=len(turns)):
            rows.append({"loop": name, "turn": turn} | workers[name].submit(_take_turn).result())
    return pd.DataFrame(rows)


def ratios(turns: pd.DataFrame) -> pd.DataFrame:
    """Return the speeds relative to the textbook: one row per turn, one column per loop."""
    speeds = turns.pivot(index="turn", columns="loop", values="images_per_second")
    others = [loop for loop in turns["loop"].unique() if loop != TEXTBOOK]
    return speeds[others].div(speeds[TEXTBOOK], axis=0)


def join_turns(by_batch: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Return the turns of all batch sizes in one table with a column ``batch``."""
    import pandas as pd

    return pd.concat(by_batch, names=["batch"]).droplevel(1).reset_index()


def measure_ceilings(config: TrainConfig) -> dict[str, float]:
    """Return the `matmul_ceiling` in the precision of each loop, in operations per second."""
    rates = {p: matmul_ceiling(p, config.device) for p in dict.fromkeys(["fp32", config.precision])}
    return {workbook_loop(p): rate for p, rate in rates.items()} | {TEXTBOOK: rates["fp32"]}


def describe_ceilings(operations: float, ceilings: Mapping[str, float]) -> str:
    """Describe in Markdown how many images per second the machine allows at most."""
    text = f"A training step takes **{operations / 1e9:.2f} billion operations** per image."
    for loop, rate in ceilings.items():
        if loop != TEXTBOOK:
            text += (
                f" The {loop}, can do up to {rate / 1e9:.0f} billion per second on this machine, "
                f"so at most **{rate / operations:.0f} images/s**."
            )
    return text


def describe_speed(by_batch: Mapping[int, pd.DataFrame], table: pd.DataFrame) -> str:
    """Describe in Markdown how many times as fast as the textbook the workbook is."""
    return " ".join(
        f"At batch size {batch} the {loop}, is **{ratio.median():.2f} times** as fast as the "
        f"textbook (median of {len(ratio)} turns, {ratio.min():.2f} to {ratio.max():.2f}) and "
        f"reaches {table.loc[(batch, loop), 'of the ceiling']:.0%} of the machine's ceiling."
        for batch, turns in by_batch.items()
        for loop, ratio in ratios(turns).items()
    )


def describe_finding(
    by_batch: Mapping[int, pd.DataFrame], table: pd.DataFrame, quality: pd.DataFrame | None
) -> str:
    """Say in Markdown how many times as fast the workbook is, how sure that is, and at what cost.

    Parameters
    ----------
    by_batch
        The result of `alternate` for each batch size.
    table
        From `summary`.
    quality
        From `precision_and_quality`, or None if that was skipped.
    """
    lines = []
    for batch, turns in by_batch.items():
        by_loop = ratios(turns)
        loop = by_loop.columns[-1]  # in the precision that was chosen
        ratio = by_loop[loop]
        lines.append(
            f"**At batch size {batch} the {loop}, trains {ratio.median():.1f} times as fast as the "
            f"textbook's loop**; it was faster in {(ratio > 1).sum()} of {len(ratio)} turns "
            f"({ratio.min():.1f} to {ratio.max():.1f} times), and reaches "
            f"{table.loc[(batch, loop), 'of the ceiling']:.0%} of what the machine can do."
        )
    cost = "Whether the images suffer was not measured here: `quality_seeds` asks for it."
    if quality is not None:
        kid = quality.groupby("precision")["kid"].mean()
        cost = (
            f"The images: KID {kid['bf16']:.3f} in bf16 and {kid['fp32']:.3f} in fp32, on average "
            f"over {quality['seed'].nunique()} seeds."
        )
    lines.append(f"The speed is that of this machine, and right only if nothing else ran. {cost}")
    return "\n\n".join(lines)


def summary(
    by_batch: Mapping[int, pd.DataFrame], operations: float, ceilings: Mapping[str, float]
) -> pd.DataFrame:
    """Return one row per batch size and loop: speed and range, share of the ceiling, memory.

    Parameters
    ----------
    by_batch
        The result of `alternate` for each batch size.
    operations
        See `operations_per_image`.
    ceilings
        See `measure_ceilings`.

    Notes
    -----
    The share counts the necessary operations only: the textbook's unnecessary ones lower its
    share.
    """
    import pandas as pd

    rows = {}
    for batch, turns in by_batch.items():
        for loop, rows_of_loop in turns.groupby("loop", sort=False):
            speed = rows_of_loop["images_per_second"]
            rate = operations * speed
            rows[batch, loop] = {
                "images/s": speed.median(),
                "slowest": speed.min(),
                "fastest": speed.max(),
                "GFLOP/s": rate.median() / 1e9,
                "of the ceiling": rate.median() / ceilings[loop],
                "peak MB": rows_of_loop["peak_memory"].max() / 1e6,
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["batch", "loop"])


@contextmanager
def _fresh_process() -> Iterator[ProcessPoolExecutor]:
    """Start a new process; a forked one would inherit memory and torch's threads."""
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as worker:
            yield worker
    except BrokenProcessPool as error:
        raise WorkbookError(
            "a process of the benchmark died, perhaps because it ran out of memory: try a smaller "
            "width or batch size."
        ) from error
    except (OSError, RuntimeError) as error:
        if not _lacks_shared_memory(error):
            raise
        raise environment.shared_memory_error(error) from error


def _lacks_shared_memory(error: Exception) -> bool:
    """Return whether a queue, a lock or a batch found no place in /dev/shm.

    The benchmark writes nothing to the disk in these processes but by functions that raise a
    `WorkbookError`. torch puts what happened to its loading processes into a text.
    """
    known = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOSYS)
    if isinstance(error, OSError) and error.errno in known:
        return True
    return any(words in str(error) for words in ("shared memory", "Bus error", "</torch_"))


_epoch: Callable[[], int]  # in the process of a loop: trains an epoch, returns its image count
_device: str


def _start_loop(start: Callable[[], Callable[[], int]], device: str) -> None:
    global _epoch, _device
    # A spawned process would also spawn the textbook's loading processes: use the default of the
    # system, as in a notebook.
    multiprocessing.set_start_method(None, force=True)
    _epoch, _device = start(), device


def _start_textbook(parameters: dict[str, Any], files: list[Path]) -> Callable[[], int]:
    config = TrainConfig.resolve(**parameters)
    textbook = Textbook(
        files,
        **config.model_dump(include={"img_size", "width", "noise_size", "batch_size", "device"}),
    )

    def epoch() -> int:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # fp32 is fp32
            textbook.train_epoch()
        return len(files)

    return epoch


def _start_ours(parameters: dict[str, Any]) -> Callable[[], int]:
    config = TrainConfig.resolve(**parameters)
    model = DCGAN(config)
    images = load_dataset(config.dataset, config.img_size).images.to(model.device)
    rng = stream(config.seed, "order")

    def epoch() -> int:
        order = torch.randperm(len(images), generator=rng).to(images.device)
        with reproducible():
            for batch in order.split(config.batch_size):
                train_batch(model, images[batch])
        return len(images)

    return epoch


def _take_turn() -> dict[str, float]:
    started = time.perf_counter()
    images = _epoch()
    seconds = time.perf_counter() - started
    return {"images_per_second": images / seconds, "peak_memory": _peak_memory(_device)}


def _peak_memory(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else ()
    for line in lines:  # of this process alone; getrusage includes memory of its parent
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    import resource  # here, because Windows does not have it

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# --- Memory and quality ---


def memory_over_epochs(config: TrainConfig, *, epochs: int) -> pd.DataFrame:
    """Train on one batch per epoch in a new process, and record its memory after each epoch.

    Samples, history and checkpoints are written as in any training, to a temporary folder.

    Returns
    -------
    pandas.DataFrame
        ``epoch``, ``memory`` of the process and its ``peak`` so far, or that of the GPU, in bytes.

    Raises
    ------
    NotEnoughData
        If ``epochs`` is 0.
    """
    import pandas as pd

    if not epochs:
        raise NotEnoughData("Skipped: `memory_epochs` is 0.")
    config = config.changed(epochs=epochs, tensorboard=False)
    with _fresh_process() as worker:
        return pd.DataFrame(worker.submit(_train_recording_memory, config.model_dump()).result())


def describe_memory(weighed: pd.DataFrame) -> str:
    """Describe in Markdown how much the memory grew in the second half, and its peak."""
    half, end = weighed.iloc[len(weighed) // 2], weighed.iloc[-1]
    return (
        f"From epoch {half['epoch']:.0f} to {end['epoch']:.0f} the process grew by "
        f"**{(end['memory'] - half['memory']) / 1e6:.0f} MB**. Its peak was "
        f"**{end['peak'] / 1e9:.2f} GB**, including Python and torch."
    )


def _train_recording_memory(parameters: dict[str, Any]) -> list[dict[str, float]]:
    config = TrainConfig.resolve(**parameters)
    collection, n = load_dataset(config.dataset, config.img_size), config.batch_size
    batch = replace(
        collection,
        images=collection.images[:n],
        files=collection.files[:n],
        data_hash=f"{collection.data_hash}:{n}",
    )
    recorder = _MemoryRecorder(config.device)
    with tempfile.TemporaryDirectory() as folder:
        train(config, batch, folder=Path(folder, "run"), watchers=[recorder])
    return recorder.rows


class _MemoryRecorder(Watcher):
    """Notes the memory after each epoch."""

    def __init__(self, device: str):
        self.device, self.rows, self.process = device, [], psutil.Process()

    def epoch(self, row: dict[str, float], samples: torch.Tensor) -> None:
        memory, peak = self.process.memory_info().rss, _peak_memory(self.device)
        self.rows.append({"epoch": row["epoch"], "memory": memory, "peak": peak})


def precision_and_quality(
    config: TrainConfig,
    folder: Path,
    *,
    seeds: int = 3,
) -> pd.DataFrame:
    """Train in fp32 and in bf16 with the same seeds, and measure the images of each run.

    Parameters
    ----------
    config
        Of the runs, except for seed and precision.
    folder
        Folder for the run folders; finished runs in it are not trained again.
    seeds
        Number of seeds, from ``config.seed`` on.

    Returns
    -------
    pandas.DataFrame
        One row per run: ``precision``, ``seed``, ``kid`` and ``diversity`` (see
        `evaluation.kid_and_diversity`) of as many samples as there are images.

    Raises
    ------
    NotEnoughData
        If ``seeds`` is 0, or the config does not train in bf16.
    """
    import pandas as pd

    if not seeds or config.precision != "bf16":
        raise NotEnoughData(
            "Skipped: this needs `quality_seeds`, for example 3, and a machine with fast bf16."
        )
    dataset, rows = load_dataset(config.dataset, config.img_size), []
    numbers = range(config.seed, config.seed + seeds)
    trainings = [(seed, precision) for seed in numbers for precision in ("fp32", "bf16")]
    for seed, precision in progress.steps(trainings, "trainings", of=len(trainings)):
        changed = config.changed(seed=seed, precision=precision)
        run = train(changed, dataset, folder=folder / run_name(changed, dataset))
        measures = evaluation.evaluate_run(
            run, dataset.images, samples=len(dataset.images), device=config.device
        )
        rows.append({"precision": precision, "seed": seed, **measures})
    return pd.DataFrame(rows)


def describe_quality(quality: pd.DataFrame) -> str:
    """Describe in Markdown the KID and diversity from `precision_and_quality`."""
    grouped, paragraphs = quality.groupby("precision"), []
    for name in ("kid", "diversity"):
        means, ranges = grouped[name].mean(), grouped[name].max() - grouped[name].min()
        pairs = quality.pivot(index="seed", columns="precision", values=name)
        differences = ", ".join(f"{value:+.3f}" for value in pairs["bf16"] - pairs["fp32"])
        paragraphs.append(
            f"**{name}**: {means['fp32']:.3f} in fp32 and {means['bf16']:.3f} in bf16 on average. "
            f"For each seed, bf16 differs by {differences}; the seeds of one precision are up to "
            f"{ranges.max():.3f} apart."
        )
    return "\n\n".join(paragraphs)


# --- Where the time goes ---


def operations_per_image(config: TrainConfig) -> float:
    """Count the multiplications and additions per image that a training step needs.

    These are the convolutions and matrix products, as torch counts them. The textbook does more
    operations than it needs.
    """
    from torch.utils.flop_counter import FlopCounterMode

    images = 2
    model = DCGAN(config.model_copy(update={"device": "cpu", "precision": "fp32"}))
    with FlopCounterMode(display=False) as counter:
        model.train_step(torch.zeros(images, 3, config.img_size, config.img_size))
    return counter.get_total_flops() / images


_GROUPS = {
    "convolution": "convolutions",
    "mm": "matrix products",
    "batch_norm": "BatchNorm",
    "relu": "activations",
    "threshold": "activations",
    "clamp_min": "activations",
    "tanh": "activations",
    "adam": "optimiser and average",
    "lerp": "optimiser and average",
    "copy": "copies and casts",
    "add": "sums",
}


def profile_step(config: TrainConfig, *, steps: int = 5) -> pd.Series:
    """Return the milliseconds of one training step by type of operation, the longest first."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # silences the profiler in the notebook
    import pandas as pd
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    model, rng = DCGAN(config), stream(config.seed, "benchmark")
    shape = (config.batch_size, 3, config.img_size, config.img_size)
    images = torch.randint(256, shape, generator=rng, dtype=torch.uint8).to(model.device)
    train_batch(model, images)
    on_gpu = config.device.startswith("cuda")
    gpu = [ProfilerActivity.CUDA] if on_gpu else []
    with profile(activities=[ProfilerActivity.CPU, *gpu]) as profiled:
        for _ in range(steps):
            train_batch(model, images)
    milliseconds: dict[str, float] = {}
    for event in profiled.key_averages():
        if event.device_type != DeviceType.CPU:
            continue  # a kernel: its time is part of the operation that launched it
        microseconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        group = next((_GROUPS[part] for part in _GROUPS if part in event.key.lower()), "other")
        milliseconds[group] = milliseconds.get(group, 0.0) + microseconds / 1e3 / steps
    return pd.Series(milliseconds, name="milliseconds").sort_values(ascending=False)


def layer_times(config: TrainConfig, *, repeats: int = 15) -> pd.DataFrame:
    """Time torch's convolutions and our matrix products for each stride-2 layer, in bf16.

    Returns
    -------
    pandas.DataFrame
        One row per layer and operation: median milliseconds of both implementations, and which
        one the rule `convolutions.as_products` chooses.

    Raises
    ------
    NotEnoughData
        If the config does not train in bf16 on a CPU; then all layers use torch's convolutions.
    """
    import pandas as pd

    if config.device != "cpu" or config.precision != "bf16":
        raise NotEnoughData(
            "The rule applies to bf16 on a CPU only; here all layers use torch's convolutions."
        )
    discriminator = DCGAN(config.model_copy(update={"device": "cpu"})).discriminator
    strided = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d) and m.stride[0] == 2]
    rows = []
    for level, layer in enumerate(strided):
        side = config.img_size >> level
        high = _random_feature_map(config.batch_size, layer.in_channels, side)
        low = _random_feature_map(config.batch_size, layer.out_channels, side // 2)
        weight = layer.weight.detach().bfloat16()
        for operation, *implementations in _implementations(high, low, weight):
            seconds = [[seconds_of(run) for run in implementations] for _ in range(repeats + 1)]
            torch_ms, products_ms = (
                statistics.median(column) * 1e3 for column in zip(*seconds[1:], strict=True)
            )
            use_products = convolutions.as_products(
                operation, len(weight), units=environment.bf16_units()
            )
            rows.append(
                {
                    "layer": f"{layer.in_channels} × {side} × {side}, {layer.out_channels}",
                    "operation": operation.replace("_", " "),
                    "torch": torch_ms,
                    "products": products_ms,
                    "by the rule": "products" if use_products else "torch",
                }
            )
    return pd.DataFrame(rows)


def _random_feature_map(n: int, channels: int, side: int) -> torch.Tensor:
    values = torch.randn(n, channels, side, side).bfloat16()
    return values.contiguous(memory_format=torch.channels_last)


def _implementations(
    high: torch.Tensor, low: torch.Tensor, weight: torch.Tensor
) -> Iterator[tuple[str, Callable[[], Any], Callable[[], Any]]]:
    """Yield each operation with torch's implementation and the one by matrix products.

    The feature maps ``high`` and ``low`` are those on the side of the high and low resolution.
    """
    geometry = ([2, 2], [1, 1], [1, 1], False, [0, 0], 1)
    yield (
        "weight_gradient",
        lambda: torch.ops.aten.convolution_backward(
            low, high, weight, None, *geometry, [False, True, False]
        ),
        lambda: convolutions.weight_gradient_by_patches(high, low),
    )
    yield (
        "up",
        lambda: F.conv_transpose2d(low, weight, stride=2, padding=1),
        lambda: convolutions.up_by_phases(low, weight, high.shape[2:]),
    )


def matmul_ceiling(precision: str, device: str = "cpu", *, seconds: float = 1.0) -> float:
    """Return the best rate of a matrix product on this machine, in operations per second.

    Parameters
    ----------
    precision
        ``"fp32"`` or ``"bf16"``.
    device
        Where it is measured.
    seconds
        Time for each of three matrix sizes.
    """
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    best = 0.0
    for side in (1024, 2048, 4096):
        one, other = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            best = max(best, 2 * side**3 / seconds_of(lambda a=one, b=other: a @ b, device))
    return best


def seconds_of(work: Callable[[], Any], device: str = "cpu") -> float:
    """Return how long a call takes, on a GPU until its kernels have finished."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
