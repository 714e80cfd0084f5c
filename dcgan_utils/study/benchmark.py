"""How fast the training is: beside a textbook's loop, and beside what the machine can do."""

from __future__ import annotations

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

from dcgan_utils.core import environment
from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.load import image_files, load_dataset
from dcgan_utils.gan import convolutions
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.metrics import evaluation
from dcgan_utils.runs.run import run_name
from dcgan_utils.runs.training import reproducible, train, train_batch

if TYPE_CHECKING:
    import pandas as pd


TEXTBOOK = "textbook"


def workbook_loop(precision: str) -> str:
    """Return the name of the workbook's loop in a precision."""
    return f"workbook, {precision}"


# --- The two loops, in turn ----------------------------------------------------------------


def alternate(
    config: TrainConfig,
    *,
    repeats: int = 5,
    on_turn: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Train the textbook's way and ours in turn, an epoch each, and take the time.

    Ours in fp32, and in the config's precision if that is another. Each loop lives in a process of
    its own, so that each has its own peak of memory; while one trains, the others wait. A first
    turn of each is not counted. Ours has its images in memory; neither writes anything.

    Parameters
    ----------
    config
        Architecture, batch size, precision and device.
    repeats
        How often each has its turn.
    on_turn
        Called with the number of turns done, and of all.

    Returns
    -------
    pandas.DataFrame
        One row a turn: ``loop``, ``turn``, ``images_per_second``, and ``peak_memory`` in
        bytes until then: of the process, or of the GPU. The textbook's two loading processes
        are not in it.

    Raises
    ------
    WorkbookError
        If the collection is not a folder of image files, which the textbook needs, or a
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
            workers[name] = stack.enter_context(_process())
            workers[name].submit(_begin, start, config.device).result()
            workers[name].submit(_take_turn).result()
        for turn in range(repeats):
            for name, worker in workers.items():
                rows.append({"loop": name, "turn": turn + 1} | worker.submit(_take_turn).result())
                if on_turn is not None:
                    on_turn(len(rows), len(workers) * repeats)
    return pd.DataFrame(rows)


def ratios(turns: pd.DataFrame) -> pd.DataFrame:
    """Return how many times as fast as the textbook ours is: a row a turn, a column a loop."""
    speeds = turns.pivot(index="turn", columns="loop", values="images_per_second")
    others = [loop for loop in turns["loop"].unique() if loop != TEXTBOOK]
    return speeds[others].div(speeds[TEXTBOOK], axis=0)


def join_turns(by_batch: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Return the turns of all batch sizes in one table, with a column ``batch``."""
    import pandas as pd

    return pd.concat(by_batch, names=["batch"]).droplevel(1).reset_index()


def measure_ceilings(config: TrainConfig) -> dict[str, float]:
    """Return the machine's best rate for each loop, in operations per second.

    The rate of large matrix products in the loop's precision; see `matmul_ceiling`.
    """
    rates = {p: matmul_ceiling(p, config.device) for p in dict.fromkeys(["fp32", config.precision])}
    return {workbook_loop(p): rate for p, rate in rates.items()} | {TEXTBOOK: rates["fp32"]}


def describe_ceilings(operations: float, ceilings: Mapping[str, float]) -> str:
    """Say in Markdown how many images per second the machine allows at most."""
    text = f"An image needs **{operations / 1e9:.2f} billion operations** in one training step."
    for loop, rate in ceilings.items():
        if loop != TEXTBOOK:
            text += (
                f" The {loop}, can use {rate / 1e9:.0f} billion per second here: at most "
                f"**{rate / operations:.0f} images/s**."
            )
    return text


def describe_speed(by_batch: Mapping[int, pd.DataFrame], table: pd.DataFrame) -> str:
    """Say in Markdown how many times as fast as the textbook the workbook is."""
    return " ".join(
        f"At batch {batch} the {loop}, is **{ratio.median():.2f} times** as fast as the textbook "
        f"(median of {len(ratio)} turns, {ratio.min():.2f} to {ratio.max():.2f}) and reaches "
        f"{table.loc[(batch, loop), 'of the ceiling']:.0%} of the machine's ceiling."
        for batch, turns in by_batch.items()
        for loop, ratio in ratios(turns).items()
    )


def summary(
    by_batch: Mapping[int, pd.DataFrame], operations: float, ceilings: Mapping[str, float]
) -> pd.DataFrame:
    """Return one row a batch size and loop: speed, its range, share of the ceiling, memory.

    Parameters
    ----------
    by_batch
        The turns of `alternate` for each batch size.
    operations
        What an image needs, from `study.operations_per_image`.
    ceilings
        Of each loop, in operations a second, from `matmul_ceiling`.

    Notes
    -----
    The share counts the operations that are needed, not those that are done: the textbook's
    needless ones lower its share.
    """
    import pandas as pd

    rows = {}
    for batch, turns in by_batch.items():
        for loop, own in turns.groupby("loop", sort=False):
            speed, rate = own["images_per_second"], operations * own["images_per_second"]
            rows[batch, loop] = {
                "images/s": speed.median(),
                "slowest": speed.min(),
                "fastest": speed.max(),
                "GFLOP/s": rate.median() / 1e9,
                "of the ceiling": rate.median() / ceilings[loop],
                "peak MB": own["peak_memory"].max() / 1e6,
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["batch", "loop"])


@contextmanager
def _process() -> Iterator[ProcessPoolExecutor]:
    """Start one fresh process; a forked one would inherit memory, and threads of torch."""
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as worker:
            yield worker
    except BrokenProcessPool as error:
        raise WorkbookError(
            "a process of the benchmark died, perhaps for want of memory: a smaller width or "
            "batch size may help."
        ) from error


_epoch: Callable[[], int]  # in the process of a loop: trains an epoch, returns its images
_device: str


def _begin(start: Callable[[], Callable[[], int]], device: str) -> None:
    global _epoch, _device
    # A spawned process would spawn the textbook's loading processes too; let it be the system's
    # own way, as in a notebook.
    multiprocessing.set_start_method(None, force=True)
    _epoch, _device = start(), device


def _start_textbook(parameters: dict[str, Any], files: list[Path]) -> Callable[[], int]:
    from dcgan_utils.study.tutorial import Textbook

    config = TrainConfig.resolve(**parameters)
    book = Textbook(
        files,
        **config.model_dump(include={"img_size", "width", "noise_size", "batch_size", "device"}),
    )

    def epoch() -> int:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # fp32 is fp32
            book.train_epoch()
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
            for chosen in order.split(config.batch_size):
                train_batch(model, images[chosen])
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
    for line in lines:  # of this process alone; getrusage counts what its parent held, too
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    import resource  # not on Windows, where the rest of the package should load

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# --- Memory and quality --------------------------------------------------------------------


def memory_over_epochs(config: TrainConfig, *, epochs: int) -> pd.DataFrame:
    """Train on one batch per epoch in a fresh process, and note its memory after each.

    Samples, history and checkpoints are written as in any training, to a folder that is
    removed.

    Returns
    -------
    pandas.DataFrame
        ``epoch``, ``memory`` (bytes that the process holds then) and ``peak`` (the most until
        then, or of the GPU).

    Raises
    ------
    NotEnoughData
        If ``epochs`` is 0.
    """
    import pandas as pd

    if not epochs:
        raise NotEnoughData("Skipped: `memory_epochs` is 0.")
    config = config.changed(epochs=epochs)
    with _process() as worker:
        return pd.DataFrame(worker.submit(_train_and_weigh, config.model_dump()).result())


def describe_memory(weighed: pd.DataFrame) -> str:
    """Say in Markdown how the memory grew over the second half, and what its peak was."""
    half, end = weighed.iloc[len(weighed) // 2], weighed.iloc[-1]
    return (
        f"From epoch {half['epoch']:.0f} to {end['epoch']:.0f} the process grew by "
        f"**{(end['memory'] - half['memory']) / 1e6:.0f} MB**; its peak was "
        f"**{end['peak'] / 1e9:.2f} GB** in all, Python and torch included."
    )


def _train_and_weigh(parameters: dict[str, Any]) -> list[dict[str, float]]:
    config = TrainConfig.resolve(**parameters)
    whole = load_dataset(config.dataset, config.img_size)
    n = config.batch_size
    batch = replace(
        whole, images=whole.images[:n], files=whole.files[:n], data_hash=f"{whole.data_hash}:{n}"
    )
    rows, process = [], psutil.Process()

    def weigh(row: dict[str, float]) -> None:
        memory = process.memory_info().rss
        rows.append({"epoch": row["epoch"], "memory": memory, "peak": _peak_memory(config.device)})

    with tempfile.TemporaryDirectory() as folder:
        train(config, batch, folder=Path(folder, "run"), on_epoch=weigh)
    return rows


def precision_and_quality(
    config: TrainConfig,
    folder: Path,
    *,
    seeds: int = 3,
    on_run: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Train in fp32 and in bf16 from the same seeds, and measure what each draws.

    Parameters
    ----------
    config
        Of the runs, but for seed and precision.
    folder
        Where the run folders go; runs that are finished there are not trained again.
    seeds
        How many, counted from ``config.seed``.
    on_run
        Called with the number of runs done, and of all.

    Returns
    -------
    pandas.DataFrame
        One row per run: ``precision``, ``seed``, ``kid`` and ``diversity`` of as many samples as
        there are images, on EfficientNet-Lite0 features.

    Raises
    ------
    NotEnoughData
        If no seeds are asked for, or bf16 is not fast here.
    """
    import pandas as pd

    if not seeds or config.precision != "bf16":
        raise NotEnoughData(
            "Skipped: it needs `quality_seeds`, say 3, and a machine that is fast in bf16."
        )
    dataset, rows = load_dataset(config.dataset, config.img_size), []
    for seed in range(config.seed, config.seed + seeds):
        for precision in ("fp32", "bf16"):
            changed = config.changed(seed=seed, precision=precision)
            run = train(changed, dataset, folder=folder / run_name(changed, dataset))
            measured = evaluation.evaluate_run(
                run, dataset.images, samples=len(dataset.images), device=config.device
            )
            rows.append({"precision": precision, "seed": seed, **measured})
            if on_run is not None:
                on_run(len(rows), 2 * seeds)
    return pd.DataFrame(rows)


def describe_quality(quality: pd.DataFrame) -> str:
    """Say in Markdown what `precision_and_quality` found, of KID and of diversity."""
    grouped, told = quality.groupby("precision"), []
    for name in ("kid", "diversity"):
        means, spans = grouped[name].mean(), grouped[name].max() - grouped[name].min()
        pairs = quality.pivot(index="seed", columns="precision", values=name)
        apart = ", ".join(f"{difference:+.3f}" for difference in pairs["bf16"] - pairs["fp32"])
        told.append(
            f"**{name}**: {means['fp32']:.3f} in fp32 and {means['bf16']:.3f} in bf16 on average. "
            f"Seed by seed bf16 differs by {apart}; the seeds of one precision are up to "
            f"{spans.max():.3f} apart."
        )
    return "\n\n".join(told)


# --- Where the time goes ---


def operations_per_image(config: TrainConfig) -> float:
    """Count the multiplications and additions that a training step needs for each image.

    Those of convolutions and matrix products, as torch counts them; the textbook does more, but
    needs no more.
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
    """Return milliseconds of one training step by kind of operation, the longest first."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler talks into the page
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
    spent: dict[str, float] = {}
    for event in profiled.key_averages():
        if event.device_type != DeviceType.CPU:
            continue  # a kernel: its time is that of the operation that started it
        time_spent = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        group = next((_GROUPS[part] for part in _GROUPS if part in event.key.lower()), "other")
        spent[group] = spent.get(group, 0.0) + time_spent / 1e3 / steps
    return pd.Series(spent, name="milliseconds").sort_values(ascending=False)


def layer_times(config: TrainConfig, *, repeats: int = 15) -> pd.DataFrame:
    """Time torch's operations and matrix products for each stride-2 layer, in turn, in bf16.

    Returns
    -------
    pandas.DataFrame
        One row a layer and operation: median milliseconds of both ways, and whether the rule of
        `convolutions.as_products` takes the products.

    Raises
    ------
    NotEnoughData
        If the config does not train in bf16 on a CPU: then all layers are torch's.
    """
    import pandas as pd

    if config.device != "cpu" or config.precision != "bf16":
        raise NotEnoughData("The rule concerns bf16 on a CPU only; here all layers are torch's.")
    discriminator = DCGAN(config.model_copy(update={"device": "cpu"})).discriminator
    strided = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d) and m.stride[0] == 2]
    rows = []
    for level, layer in enumerate(strided):
        side = config.img_size >> level
        fine_shape = (config.batch_size, layer.in_channels, side, side)
        coarse_shape = (config.batch_size, layer.out_channels, side // 2, side // 2)
        fine, coarse = (_bf16_field(shape) for shape in (fine_shape, coarse_shape))
        weight = layer.weight.detach().bfloat16()
        for operation, plain, products in _ways(fine, coarse, weight):
            taken = [[seconds_of(plain), seconds_of(products)] for _ in range(repeats + 1)][1:]
            torch_ms, products_ms = (
                statistics.median(way) * 1e3 for way in zip(*taken, strict=True)
            )
            chosen = convolutions.as_products(
                operation, len(weight), units=environment.bf16_units()
            )
            rows.append(
                {
                    "layer": f"{layer.in_channels} × {side} × {side}, {layer.out_channels}",
                    "operation": operation.replace("_", " "),
                    "torch": torch_ms,
                    "products": products_ms,
                    "by the rule": "products" if chosen else "torch",
                }
            )
    return pd.DataFrame(rows)


def _bf16_field(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape).bfloat16().contiguous(memory_format=torch.channels_last)


def _ways(fine: torch.Tensor, coarse: torch.Tensor, weight: torch.Tensor):
    """Yield each operation with torch's way to do it and that by products."""
    geometry = ([2, 2], [1, 1], [1, 1], False, [0, 0], 1)
    yield (
        "weight_gradient",
        lambda: torch.ops.aten.convolution_backward(
            coarse, fine, weight, None, *geometry, [False, True, False]
        ),
        lambda: convolutions.weight_gradient_by_patches(fine, coarse),
    )
    yield (
        "up",
        lambda: F.conv_transpose2d(coarse, weight, stride=2, padding=1),
        lambda: convolutions.up_by_phases(coarse, weight, fine.shape[2:]),
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
        How long each of three matrix sizes is tried.
    """
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    best = 0.0
    for side in (1024, 2048, 4096):
        one, other = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
        ended = time.perf_counter() + seconds
        while time.perf_counter() < ended:
            best = max(best, 2 * side**3 / seconds_of(lambda a=one, b=other: a @ b, device))
    return best


def seconds_of(work: Callable[[], Any], device: str = "cpu") -> float:
    """Return how long some work takes, on a GPU until it is done there."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
