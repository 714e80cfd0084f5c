"""The machinery of the benchmark on tiny networks; what it measures is no matter of tests."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pandas as pd
import pytest
from helpers import FORKS

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import runs_dir
from dcgan_utils.runs.run import Run
from dcgan_utils.study import benchmark

OURS = benchmark.workbook_loop("bf16")


@pytest.fixture(autouse=True)
def forks(monkeypatch):
    """Let a new process have torch already, instead of importing it for seconds."""
    monkeypatch.setattr(benchmark.multiprocessing, "get_context", lambda _: FORKS)


def table(textbook=(10, 20), ours=(30, 80)):
    rows = [
        {"loop": loop, "turn": turn + 1, "images_per_second": float(speed), "peak_memory": 1e9}
        for loop, speeds in ((benchmark.TEXTBOOK, textbook), (OURS, ours))
        for turn, speed in enumerate(speeds)
    ]
    return pd.DataFrame(rows)


@pytest.mark.slow
def test_every_loop_trains(tiny, image_folder, heard):
    turns = benchmark.alternate(tiny(dataset=str(image_folder), precision="bf16"), repeats=1)
    assert turns["loop"].tolist() == ["textbook", "workbook, fp32", "workbook, bf16"]
    assert turns["turn"].tolist() == [1, 1, 1]
    assert (turns["images_per_second"] > 0).all()
    assert turns["peak_memory"].between(1e7, 1e11).all()
    assert heard[-4:] == [("turns at batch 4", done, 3) for done in range(4)]


def test_the_loops_take_turns(tiny, image_folder, monkeypatch):
    said = {"images_per_second": 1.0, "peak_memory": 1}
    monkeypatch.setattr(benchmark, "_fresh_process", lambda: ThreadPoolExecutor(1))
    monkeypatch.setattr(benchmark, "_start_loop", lambda *_: None)
    monkeypatch.setattr(benchmark, "_take_turn", lambda: said)
    turns = benchmark.alternate(tiny(dataset=str(image_folder), precision="bf16"), repeats=2)
    assert turns["loop"].tolist() == ["textbook", "workbook, fp32", "workbook, bf16"] * 2
    assert turns["turn"].tolist() == [1, 1, 1, 2, 2, 2]


def test_a_zip_is_refused_before_anything_is_trained(tiny, image_folder, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "images"), "zip", image_folder)
    with pytest.raises(WorkbookError, match="unpack it"):
        benchmark.alternate(tiny(dataset=archive))


@pytest.mark.slow
def test_an_error_in_a_loop_reaches_the_caller(tiny, image_folder):
    broken = tiny(dataset=str(image_folder)).model_copy(update={"width": -1})
    with pytest.raises(WorkbookError, match="width"):
        benchmark.alternate(broken)


def test_ratios_compare_the_turns_of_one_pair():
    assert benchmark.ratios(table())[OURS].tolist() == [3, 4]


def test_the_summary_is_arithmetic():
    rates = {benchmark.TEXTBOOK: 100e9, OURS: 400e9}
    row = benchmark.summary({64: table()}, 2e9, rates).loc[(64, OURS)]
    assert row["images/s"] == 55
    assert row["GFLOP/s"] == 110
    assert row["of the ceiling"] == pytest.approx(0.275)
    assert row["peak MB"] == 1000


def test_the_summary_tells_the_median_the_range_and_the_highest_peak():
    turns = table(textbook=(1, 2, 3), ours=(10, 20, 60)).assign(
        peak_memory=[9e6, 9e6, 9e6, 1e6, 3e6, 2e6]
    )
    rates = {benchmark.TEXTBOOK: 1e9, OURS: 80e9}
    assert benchmark.summary({8: turns}, 2e9, rates).loc[(8, OURS)].to_dict() == {
        "images/s": 20, "slowest": 10, "fastest": 60, "GFLOP/s": 40, "of the ceiling": 0.5,
        "peak MB": 3,
    }  # fmt: skip


@pytest.mark.slow
def test_the_finding_is_the_ratio_of_the_turns_and_how_often_it_was_above_1():
    speeds = {"textbook": [10, 10, 10], "workbook, fp32": [5, 5, 5], "workbook, bf16": [9, 20, 30]}
    rows = [
        {"loop": loop, "turn": turn, "images_per_second": speed, "peak_memory": 1}
        for loop, three in speeds.items()
        for turn, speed in enumerate(three)
    ]
    by_batch = {64: pd.DataFrame(rows)}
    table = benchmark.summary(by_batch, 1, dict.fromkeys(speeds, 40))
    text = benchmark.describe_finding(by_batch, table, None)
    assert "At batch size 64 the workbook, bf16, trains 2.0 times as fast" in text
    assert "faster in 2 of 3 turns (0.9 to 3.0 times), and reaches 50%" in text
    assert "Whether the images suffer was not measured here" in text
    quality = pd.DataFrame(
        {"precision": ["fp32", "bf16"] * 2, "seed": [0, 0, 1, 1], "kid": [0.1, 0.2, 0.3, 0.2]}
    )
    text = benchmark.describe_finding(by_batch, table, quality)
    assert "KID 0.200 in bf16 and 0.200 in fp32, on average over 2 seeds" in text


def test_the_memory_is_weighed_after_each_epoch(tiny, image_folder):
    weighed = benchmark.memory_over_epochs(tiny(dataset=str(image_folder)), epochs=3)
    assert weighed["epoch"].tolist() == [1, 2, 3]
    assert (weighed["peak"] >= weighed["memory"]).all()
    assert weighed["memory"].between(1e7, 1e11).all()


@pytest.mark.slow
def test_both_precisions_are_trained_from_the_same_seeds(tiny, image_folder, tmp_path):
    quality = benchmark.precision_and_quality(
        tiny(epochs=1, dataset=str(image_folder), precision="bf16"), tmp_path / "runs", seeds=2
    )
    assert quality["seed"].tolist() == [0, 0, 1, 1]
    assert quality["precision"].tolist() == ["fp32", "bf16"] * 2
    assert quality["kid"].gt(0).all()
    configs = [Run(folder).config for folder in (tmp_path / "runs").iterdir()]
    trained = {(config.precision, config.seed) for config in configs}
    assert trained == set(zip(quality["precision"], quality["seed"], strict=True))
    assert not runs_dir().exists(), "the user's own runs stay among themselves"


@pytest.mark.slow
def test_a_process_that_dies_is_reported(tiny, image_folder, monkeypatch):
    monkeypatch.setattr(benchmark, "_take_turn", os.abort)
    with pytest.raises(WorkbookError, match="a process of the benchmark died"):
        benchmark.alternate(tiny(dataset=str(image_folder)))


def test_the_quality_of_both_precisions_is_reported():
    rows = [
        ("fp32", 0, 0.1, 0.9),
        ("bf16", 0, 0.2, 0.8),
        ("fp32", 1, 0.3, 0.9),
        ("bf16", 1, 0.2, 1),
    ]
    quality = pd.DataFrame(rows, columns=["precision", "seed", "kid", "diversity"])
    kid, diversity = benchmark.describe_quality(quality).split("\n\n")
    assert "0.200 in fp32 and 0.200 in bf16" in kid
    assert "by +0.100, -0.100; the seeds of one precision are up to 0.200 apart" in kid
    assert diversity.startswith("**diversity**: 0.900 in fp32")


@pytest.mark.slow
def test_the_ceiling_is_a_rate_of_this_machine():
    assert 1e8 < benchmark.matmul_ceiling("fp32", seconds=0.05) < 1e15


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EROFS, "Read-only file system"), True),
        (OSError(errno.EACCES, "Permission denied"), True),
        (OSError(errno.ENOSYS, "Function not implemented"), True),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error."), True),
        (RuntimeError("unable to write to file </torch_7_3_0>: No space left"), True),
        (RuntimeError("unable to allocate shared memory(shm) for file </x>"), True),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), False),
        (RuntimeError("a mistake of ours"), False),
    ],
)
def test_too_little_shared_memory_is_reported_and_mistakes_stay_visible(error, ours, monkeypatch):
    monkeypatch.setattr(benchmark, "ProcessPoolExecutor", lambda *_, **__: nullcontext())
    expected = WorkbookError if ours else type(error)
    with (
        pytest.raises(expected, match="--shm-size" if ours else str(error.args[-1])),
        benchmark._fresh_process(),
    ):
        raise error
