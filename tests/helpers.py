"""What tests share: tiny parameters, small images, comparisons."""

import contextlib
import io
import multiprocessing
import re
import subprocess
import sys
import time
import types
import urllib.parse
import urllib.request

import numpy as np
import torch
from PIL import Image

from dcgan_utils.core.seeds import stream
from dcgan_utils.metrics import features
from dcgan_utils.plots import style
from dcgan_utils.runs.training import Watcher

TINY = {
    "architecture": "dcgan",
    "img_size": 32,
    "width": 8,
    "noise_size": 8,
    "batch_size": 4,
    "epochs": 2,
    "sample_size": 6,
    "lr": 2e-4,
    "augment": "none",
    "flip": False,
    "ema": 0.99,
    "precision": "fp32",
    "device": "cpu",
}

# a grid has a list of its own for the architecture
TINY_GRID = {name: value for name, value in TINY.items() if name != "architecture"}


def after_epoch(call):
    """Return a watcher of trainings that calls with each row of the history."""
    watcher = Watcher()
    watcher.epoch = lambda row, samples: call(row)
    return watcher


class Stop(Exception):
    """What `stop_after` raises."""


def stop_after(epoch):
    """Return a watcher that stops a training after an epoch."""

    def stop(row):
        if row["epoch"] == epoch:
            raise Stop

    return after_epoch(stop)


FORKS = multiprocessing.get_context("forkserver")  # a process that has torch, and forks at once
FORKS.set_forkserver_preload(
    [
        "lean",
        "dcgan_utils.data.load",
        "dcgan_utils.runs.training",
        "dcgan_utils.study.schedule",
        "distributed",
        "papermill",
        "torch._dynamo",  # torch imports it, in seconds, when it makes an optimizer
    ]
)

GAUGES = [
    "epoch",
    "d_loss_real",
    "d_loss_fake",
    "d_real",
    "d_fake",
    "g_loss",
    "first_layer_share",
    "share_between_images",
]


def equal_states(one, other):
    """Tell whether two nested states hold the same values, bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal_states(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal_states, one, other))
    return one == other


def assert_equal_runs(one, other):
    """Compare all that a run leaves behind, but for the times it took."""
    first, second = one.load_checkpoint(), other.load_checkpoint()
    assert first.keys() == second.keys()
    assert all(equal_states(first[k], second[k]) for k in first if k != "seconds")
    assert one.history()[GAUGES].equals(other.history()[GAUGES])
    assert one.sampled_epochs() == other.sampled_epochs()
    for epoch in one.sampled_epochs():
        assert torch.equal(one.samples(epoch), other.samples(epoch))
    assert one.gif_path.read_bytes() == other.gif_path.read_bytes()


def some(n=12, side=32):
    """Return images of noise."""
    shape = (n, 3, side, side)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=stream(0, "images"))


def groups(sizes=(40, 30, 20), spread=0.5, seed=0):
    """Return vectors in well separated groups, shuffled, and which group each is from."""
    rng = np.random.default_rng(seed)
    which = rng.permutation(np.repeat(range(len(sizes)), sizes))
    centres = 10 * np.eye(len(sizes), 12)
    return (centres[which] + rng.normal(0, spread, (len(which), 12))).astype(np.float32), which


PAPERS = ("#fbfaf8", "#16181c")  # of pages, by day and by night


def linear(color):
    """Return ``#rrggbb`` as three amounts of light, 0..1."""
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """Return the contrast of two colours as WCAG computes it, 1..21."""
    dark, light = sorted(linear(color) @ [0.2126, 0.7152, 0.0722] for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def assert_drawn(figure):
    """Check that a figure is as wide as the page, not empty, described; return its grey levels."""
    content, _ = figure.encode()
    drawn = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    width = style.WIDTH * style.DPI
    assert 0.7 * width < drawn.shape[1] < 1.05 * width
    assert drawn.std() > 3
    assert len(figure.get_label()) > 10
    return drawn


class FirstColumns:
    """Takes the place of `umap.UMAP`, which numba compiles for twenty seconds."""

    def __init__(self, n_components, **_):
        self.n_components = n_components

    def fit_transform(self, vectors):
        return vectors[:, : self.n_components]


QUICK_UMAP = types.SimpleNamespace(UMAP=FirstColumns)  # metrics/test_planes has the real one


SMALL_FEATURES = features.extract.__kwdefaults__ | {"input_size": 64}  # instead of 224


GRID = """
name: two noises
collections: ["{image_folder}"]
noises: [normal, "gamma(2, 1)"]
seeds: {seeds}
samples: 8
parameters: {{{parameters}}}
"""


def written_grid(folder, image_folder, seeds=(0, 1), **parameters):
    """Write a grid of tiny runs, and return its path."""
    small = TINY_GRID | {"kid_samples": 0} | parameters
    small = ", ".join(f"{name}: {value}" for name, value in small.items() if value is not None)
    path = folder / "grid.yaml"
    path.write_text(GRID.format(image_folder=image_folder, seeds=list(seeds), parameters=small))
    return path


@contextlib.contextmanager
def tensorboard(folder):
    """Start a TensorBoard; give what asks its plugins, and what waits for a condition."""
    log = folder / "log.txt"
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    command += ["--host", "127.0.0.1", "--port", "0", "--load_fast", "false"]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)

    def wait(condition):
        deadline = time.monotonic() + 120
        while not (found := condition()):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        return found

    def get(route, **query):
        url = f"{address[0]}/data/plugin/{route}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read()

    try:
        address = wait(lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()))
        yield get, wait
    finally:
        server.terminate()
        server.wait(30)
