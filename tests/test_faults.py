"""What may go wrong with machines, against real processes and real files."""

import importlib.util
import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from helpers import FORKS, TINY, after_epoch, assert_equal_runs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.data.load import load_dataset
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.training import train

KILLS = 8


def in_process(config, folder, run, started=None):
    dataset = load_dataset(folder, 32)
    if started is not None:
        started.set()
    train(config, dataset, folder=run)


def test_killed_at_random_moments_it_ends_as_if_undisturbed(
    tiny, image_folder, collection, tmp_path
):
    config = tiny(epochs=24, augment="diffaugment", instance_noise=0.1, flip=True)
    undisturbed = train(config, collection, folder=tmp_path / "undisturbed")
    seconds = undisturbed.history()["seconds"].sum()
    rng, run = random.Random(0), tmp_path / "killed"
    places, killed, resumed = set(), 0, 0
    while killed < KILLS or len(places) <= 3:
        assert killed < 4 * KILLS, "it is never killed far from the start"
        started = FORKS.Event()
        process = FORKS.Process(target=in_process, args=(config, image_folder, run, started))
        process.start()
        started.wait()
        process.join(rng.uniform(0, seconds / 2))
        if process.exitcode is not None:
            assert process.exitcode == 0
            shutil.rmtree(run)  # it came to its end: once more from the start
            continue
        process.kill()
        process.join()
        killed += 1
        if (run / "config.json").exists() and (state := Run(run).load_checkpoint()):
            resumed += 1
            places.add(state["epoch"])
    assert resumed > KILLS / 2
    assert_equal_runs(undisturbed, train(config, collection, folder=run))
    assert [path.name for path in run.rglob(".*")] == [".lock"]


# --- The disk ------------------------------------------------------------------------------

# A file system of its own, which ends with the process; it needs no rights that a user lacks.
SANDBOX = ["unshare", "--map-root-user", "--mount", "sh", "-ec"]
needs_sandbox = pytest.mark.skipif(
    not shutil.which("unshare")
    or subprocess.run([*SANDBOX, "mount -t tmpfs tmpfs /mnt"], capture_output=True).returncode,
    reason="this system lets users mount nothing",
)


SCRIPT = """
import lean, os, shutil, sys
from pathlib import Path

folder, images = map(Path, sys.argv[1:])
disk = folder / "disk"

print("--- numba")
os.environ["HOME"] = str(folder / "packages")
os.environ["DCGAN_HOME"] = str(folder / "home")
os.environ["TMPDIR"] = str(folder / "temporary")
os.environ.pop("NUMBA_CACHE_DIR", None)
sys.path.insert(0, os.environ["HOME"])
from dcgan_utils.core.cache import ensure_numba_dir
numba_dir = ensure_numba_dir()
import compiled
print(compiled.double(21), any(numba_dir.rglob("*.nbi")), numba_dir)

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.data.load import load_dataset
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.report.build import build_page
from dcgan_utils.runs import training
from dcgan_utils.runs.run import Run

config = TrainConfig.resolve(**{parameters!r})

def attempt(name, work):
    try:
        work()
    except WorkbookError as error:
        print(name, "|", error)

print("--- data")
os.environ["DCGAN_HOME"] = str(folder / "home of data")
print(training.train(config.changed(epochs=1), load_dataset(images, 32)).finished)
attempt("paint", lambda: load_dataset("critters", 32))

print("--- disk")
os.environ["DCGAN_HOME"] = str(disk)
training.SAVING_SHARE = 1e9  # a checkpoint each epoch
dataset = load_dataset(images, 32)

def fill():
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free))

def full_before(what):
    def save(self, *rest):
        if (disk / "saves").exists():  # not at the first
            fill()
        (disk / "saves").touch()
        return what(self, *rest)
    return save

for what in (Run.save_checkpoint, Run.save_samples):
    setattr(Run, what.__name__, full_before(what))
    run = disk / what.__name__
    attempt(what.__name__, lambda: training.train(config, dataset, folder=run))
    (disk / "filler").unlink()
    setattr(Run, what.__name__, what)
    print("kept", Run(run).load_checkpoint()["epoch"])
    print("ended", training.train(config, dataset, folder=run).finished)
    (disk / "saves").unlink()

fill()
attempt("page", lambda: build_page("eda", disk / "eda.ipynb", {{"dataset": "x"}}, title=""))
"""


@pytest.fixture(scope="module")
def sandboxed(begun, tmp_path_factory):
    """Run the script where folders are read-only and a disk is small; return folder and texts."""
    folder = tmp_path_factory.mktemp("sandbox")
    for name in ("packages", "home", "temporary", "home of data/data", "disk"):
        (folder / name).mkdir(parents=True)
    source = "import numba\n\n@numba.njit(cache=True)\ndef double(x):\n    return 2 * x\n"
    (folder / "packages" / "compiled.py").write_text(source)
    compiled = Path(importlib.util.find_spec("pynndescent").origin).parent
    read_only = (compiled, folder / "packages", folder / "home", folder / "home of data/data")
    mounts = [f"mount -t tmpfs -o size=8m tmpfs '{folder}/disk'"]
    mounts += [
        f"mount --bind '{path}' '{path}'; mount -o remount,bind,ro '{path}'" for path in read_only
    ]
    script = folder / "script.py"
    script.write_text(SCRIPT.format(parameters=TINY | {"epochs": 3}))
    command = f'"{sys.executable}" "{script}" "{folder}" "{begun / "images"}"'
    tests = Path(__file__).parent
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (tests, tests.parent)))}
    done = subprocess.run(
        [*SANDBOX, "; ".join([*mounts, f"exec {command}"])],
        capture_output=True, text=True, timeout=240, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    parts = (part.splitlines() for part in done.stdout.split("--- ")[1:])
    return folder, {name: lines for name, *lines in parts}, done.stderr


@needs_sandbox
def test_a_full_disk_is_reported_and_costs_nothing_that_was_saved(sandboxed):
    lines = sandboxed[1]["disk"]
    reported = [line for line in lines if "|" in line]
    names = [line.partition(" |")[0] for line in reported]
    assert names == ["save_checkpoint", "save_samples", "page"]
    for line, file in zip(reported, ("checkpoint.pt", "epoch_0002.png", "eda.ipynb"), strict=True):
        assert f"{file}' cannot be written (No space left on device)" in line
    assert [line for line in lines if "|" not in line] == ["kept 1", "ended True"] * 2


@needs_sandbox
def test_a_data_folder_that_cannot_be_written_is_no_obstacle(sandboxed):
    trained, painted = sandboxed[1]["data"]
    assert trained == "True"
    assert "could not be cached" in sandboxed[2]
    assert "cannot be written (Read-only file system)" in painted


@needs_sandbox
def test_numba_compiles_where_home_and_packages_are_read_only(sandboxed):
    folder, said, _ = sandboxed
    (line,) = said["numba"]
    assert line.startswith(f"42 True {folder}/temporary/numba-")
    assert not [*(folder / "temporary").iterdir()], "a temporary folder ends with the process"


def test_a_file_that_may_not_grow_is_reported_like_a_full_disk(tiny, image_folder, tmp_path):
    def limited(config, folder, run):
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        with pytest.raises(WorkbookError, match=r"checkpoint.pt' cannot be written \(File too"):
            in_process(config, folder, run)

    process = multiprocessing.get_context("fork").Process(
        target=limited, args=(tiny(), image_folder, tmp_path / "run")
    )
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert not list((tmp_path / "run").glob("*.pt*"))


# --- Files that are no longer what was written ----------------------------------------------


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Return the folder of a run of four epochs with the checkpoints of the last two."""
    from dcgan_utils.gan.config import TrainConfig
    from dcgan_utils.runs import training

    folder = tmp_path_factory.mktemp("begun")
    (folder / "images").mkdir()
    for number in range(10):
        image = Image.new("RGB", (32, 32), (25 * number, 90, 200 - 9 * number))
        image.save(folder / "images" / f"{number}.png")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "SAVING_SHARE", 1e9)
        patched.setenv("DCGAN_HOME", str(folder / "home"))
        config = TrainConfig.resolve(**TINY | {"epochs": 4})
        train(config, load_dataset(folder / "images", 32), folder=folder / "run")
    return folder


@pytest.fixture
def stopped(begun, tmp_path):
    """Return a copy of that run as if it had stopped before its animation was drawn."""
    run = Run(shutil.copytree(begun / "run", tmp_path / "run"))
    run.gif_path.unlink()
    return run


def go_on(begun, stopped):
    return train(stopped.config, load_dataset(begun / "images", 32), folder=stopped.folder)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "gone"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(begun, stopped, damage, caplog):
    content = bytearray(stopped.checkpoint_path.read_bytes())
    content[len(content) // 2] ^= 4
    damaged = {"cut": content[:-100], "flipped": content, "empty": b""}
    stopped.checkpoint_path.unlink()
    if damage in damaged:
        stopped.checkpoint_path.write_bytes(damaged[damage])
    assert stopped.load_checkpoint()["epoch"] == 3
    assert ("is damaged: using the previous checkpoint" in caplog.text) == (damage != "gone")
    assert_equal_runs(Run(begun / "run"), go_on(begun, stopped))


def test_a_damaged_checkpoint_does_not_displace_the_one_before(stopped):
    stopped.checkpoint_path.write_bytes(b"damaged")
    state = stopped.load_checkpoint()
    stopped.save_checkpoint(state | {"epoch": 7})
    stopped.checkpoint_path.write_bytes(b"damaged again")
    assert stopped.load_checkpoint()["epoch"] == 3
    stopped.save_checkpoint(state | {"epoch": 8})
    stopped.save_checkpoint(state | {"epoch": 9})
    stopped.checkpoint_path.unlink()
    assert stopped.load_checkpoint()["epoch"] == 8


def test_a_checkpoint_that_may_not_be_read_is_not_called_damaged(stopped, monkeypatch):
    def fail(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", fail)
    with pytest.raises(WorkbookError, match=r"cannot be read \(Permission denied\)\.$"):
        stopped.load_checkpoint()


def test_two_damaged_checkpoints_are_reported(stopped):
    for path in stopped.folder.glob("checkpoint*.pt"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WorkbookError, match=r"is damaged. Delete the folder '.*' to start over"):
        stopped.load_checkpoint()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_flipped_bit_or_cut_goes_unnoticed(begun, data):
    path = begun / "run" / "weights" / "epoch_0004.pt"
    content = path.read_bytes()
    whole = Run(begun / "run").load_weights(4)
    changed = bytearray(content)
    if data.draw(st.booleans()):
        changed[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del changed[data.draw(st.integers(0, len(content) - 1)) :]
    path.write_bytes(changed)
    try:
        read = Run(begun / "run").load_weights(4)
    except WorkbookError as error:
        assert "Choose another" in str(error)
    else:  # what no checksum covers, such as the zip's dates, changes nothing
        assert all(torch.equal(read[name], whole[name]) for name in whole)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("line", "rest"),
    [(b"3,x,1,1,1,1,1,1", [1, 2, 4]), (b"\xff\x00,", [1, 2, 4]), (b"", [1, 2, 4])],
)
def test_a_corrupt_line_of_the_history_is_left_out(begun, stopped, line, rest, caplog):
    path = stopped.folder / "history.csv"
    lines = path.read_bytes().splitlines()
    lines[3] = line
    path.write_bytes(b"\r\n".join(lines) + b"\r\n")
    assert stopped.history()["epoch"].tolist() == rest
    assert "1 lines" in caplog.text
    assert go_on(begun, stopped).finished


def test_a_history_without_its_first_line_is_reported(stopped):
    path = stopped.folder / "history.csv"
    path.write_bytes(path.read_bytes().partition(b"\n")[2])
    with pytest.raises(WorkbookError, match=r"history.csv' is damaged from its first line"):
        stopped.history()


def test_a_damaged_preview_is_reported_when_the_animation_wants_it(begun, stopped):
    path = stopped.folder / "samples" / "epoch_0002.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(WorkbookError, match=r"epoch_0002.png' cannot be read .* Delete it"):
        go_on(begun, stopped)
    path.unlink()
    assert go_on(begun, stopped).finished


# --- Time and images ---------------------------------------------------------------------


def test_a_clock_that_jumps_is_no_matter(begun, tmp_path, monkeypatch):
    jumps, folder = random.Random(0), tmp_path / "run"
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(-1e9, 4e9))
    config, images = Run(begun / "run").config, load_dataset(begun / "images", 32)

    def stop_and_age(row):
        for path in folder.rglob("*"):
            os.utime(path, (4e9, 4e9))  # the year 2096
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, images, folder=folder, watchers=[after_epoch(stop_and_age)])
    assert_equal_runs(Run(begun / "run"), train(config, images, folder=folder))


def test_images_that_vanish_or_change_under_a_training_do_not_reach_it(
    tiny, image_folder, collection, tmp_path
):
    undisturbed = train(tiny(), collection, folder=tmp_path / "undisturbed")

    def spoil(row):
        for path in image_folder.glob("*.png"):
            path.unlink()
        Image.new("RGB", (40, 40)).save(image_folder / "00.png")

    again = load_dataset(image_folder, 32)
    run = train(tiny(), again, folder=tmp_path / "run", watchers=[after_epoch(spoil)])
    assert_equal_runs(undisturbed, run)
    with pytest.raises(WorkbookError, match="holds another run: data_hash is"):
        train(tiny(), load_dataset(image_folder, 32), folder=tmp_path / "run")


def test_images_that_vanish_before_their_copies_are_made_are_reported(tiny, image_folder):
    collection = load_dataset(image_folder, 32)
    (image_folder / "03.png").unlink()
    with pytest.raises(WorkbookError, match="have changed since they were loaded"):
        train(tiny(augment="pil"), collection)


def test_a_image_of_nan_becomes_finite_levels(tmp_path, tiny):
    (tmp_path / "p").mkdir()
    values = np.full((32, 32), np.nan, np.float32)
    values[:8], values[8:16] = np.inf, -np.inf
    Image.fromarray(values).save(tmp_path / "p" / "nan.tiff")
    Image.new("RGB", (32, 32), "red").save(tmp_path / "p" / "red.png")
    run = train(tiny(batch_size=2), load_dataset(tmp_path / "p", 32))
    assert np.isfinite(run.history().to_numpy()).all()


# --- Memory --------------------------------------------------------------------------------


def with_little_memory(work, sentence, *args):
    """Do some work in 100 MB, in a process that has freed none before."""
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, used + 100_000_000))
    with pytest.raises(WorkbookError, match=sentence):
        work(*args)


def assert_memory_runs_out(work, sentence, *args):
    process = FORKS.Process(target=with_little_memory, args=(work, sentence, *args))
    process.start()
    process.join(120)
    assert process.exitcode == 0


def test_memory_that_runs_out_is_reported_with_what_may_help(tiny, image_folder, tmp_path):
    sentence = r"try batch_size 5 or width 128\. What was"
    config = tiny(batch_size=4096, width=256)
    assert_memory_runs_out(in_process, sentence, config, image_folder, tmp_path / "run")


def test_an_image_that_memory_is_short_for_is_no_damaged_one(tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    Image.new("RGB", (32, 32), "red").save(folder / "a.png")
    Image.new("RGBA", (6000, 6000), "blue").save(folder / "b.png", compress_level=1)
    assert_memory_runs_out(load_dataset, "memory is too short to decode 'b.png'", folder, 32)
    assert load_dataset(folder, 32).files == ("a.png", "b.png")


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("a mistake of ours"), False),
    ],
)
def test_a_gpu_without_memory_is_reported_and_mistakes_stay_visible(
    tiny, collection, monkeypatch, error, ours
):
    def fail(self, real):
        raise error

    monkeypatch.setattr("dcgan_utils.gan.model.DCGAN.train_step", fail)
    with pytest.raises(WorkbookError if ours else RuntimeError, match="try" if ours else "ours"):
        train(tiny(), collection)
