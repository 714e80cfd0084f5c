"""What all tests share: small images, a home of their own, one thread."""

import os

# Tiny networks gain nothing from threads, and on a busy machine they wait for each other.
# Set before torch is imported, here and in the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

import io
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from dcgan_utils.core.seeds import stream
from dcgan_utils.data.load import load_dataset
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.plots import style

TINY = {
    "img_size": 32,
    "width": 8,
    "noise_size": 8,
    "batch_size": 4,
    "epochs": 2,
    "sample_size": 6,
    "precision": "fp32",
    "device": "cpu",
}

# The same cases each time: a test fails for a change, not by chance. New ones are looked for with
# --hypothesis-profile=default.
settings.register_profile("same cases", derandomize=True)
settings.load_profile("same cases")

GAUGES = ["epoch", "d_loss_real", "d_loss_fake", "d_real", "d_fake", "g_loss", "sample_spread"]


LONGEST = ("test_report", "test_scheduling", "test_jupyterlab", "test_hostile", "test_faults")


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest, so that no process ends long after the others."""
    order = {f"{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONGEST)))


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """Give every test its own ``data/`` and ``reports/``."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("DCGAN_HOME", str(folder))
    return folder


@pytest.fixture
def image_folder(tmp_path):
    """Return a folder with ten small images, each of another colour."""
    folder = tmp_path / "ten images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(10):
        colour = rng.integers(0, 256, 3)
        pixels = np.clip(colour + rng.integers(-20, 20, (40, 40, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
    return folder


@pytest.fixture
def collection(image_folder):
    """Return the ten images at 32 px."""
    return load_dataset(image_folder, 32)


@pytest.fixture(scope="module")
def browser():
    """Return a headless Chromium: the system's, or Playwright's own."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        if not Path(path or playwright.chromium.executable_path).exists():
            pytest.skip("there is no Chromium; 'python -m playwright install chromium' gets one")
        opened = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


@pytest.fixture
def tiny():
    """Return a function that makes the config of a tiny run, with changes."""
    return lambda **changes: TrainConfig.resolve(**TINY | changes)


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


@pytest.fixture
def no_warnings():
    """Make every warning an error, but umap's, that TensorFlow is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("default", category=ImportWarning)
        yield


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


def assert_drawn(figure):
    """Check that a figure is neither empty nor wider than the page, and is described."""
    drawn = np.asarray(Image.open(io.BytesIO(style.show(figure).data)).convert("L"))
    width = style.WIDTH * style.DPI
    assert 0.7 * width < drawn.shape[1] < 1.05 * width
    assert drawn.std() > 3
    assert len(figure.get_label()) > 10


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
    small = TINY | {"kid_samples": 0, "architecture": None} | parameters
    small = ", ".join(f"{name}: {value}" for name, value in small.items() if value is not None)
    path = folder / "grid.yaml"
    path.write_text(GRID.format(image_folder=image_folder, seeds=list(seeds), parameters=small))
    return path
