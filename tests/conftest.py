"""What all tests share: small images, a home of their own, one thread.

Fixtures import the package: the process that hands out the tests needs none of it.
"""

import os

# Tiny networks gain nothing from threads, and on a busy machine they wait for each other.
# Set before torch is imported, here and in the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

import shutil
import sys
import warnings
from pathlib import Path

import lean  # noqa: F401
import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

# The same cases each time: a test fails for a change, not by chance. New ones are looked for with
# --hypothesis-profile=default.
settings.register_profile("same cases", derandomize=True)
settings.load_profile("same cases")


TESTS = Path(__file__).parent
LONGEST = (
    "report/test_build",
    "report/test_notebooks",
    "study/test_schedule",
    "notebooks/test_jupyterlab",
    "test_hostile",
    "test_faults",
)


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest; they are slow, and so is what opens a browser."""
    order = {TESTS / f"{name}.py": place for place, name in enumerate(LONGEST)}
    for item in items:
        if item.path in order or {"browser", "explore"} & set(item.fixturenames):
            item.add_marker("slow")
    items.sort(key=lambda item: order.get(item.path, len(LONGEST)))


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """Give every test its own ``data/`` and ``reports/``."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("DCGAN_HOME", str(folder))
    return folder


@pytest.fixture
def heard():
    """Return the list of what long work announces: its name, the steps done, their total."""
    from dcgan_utils.core import progress

    calls = []
    progress.listen(lambda *now: calls.append(now))
    yield calls
    progress.listen(None)


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
def wide_folder(tmp_path):
    """Return a folder with ten small images, each twice as wide as high."""
    folder = tmp_path / "wide images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (10, 20, 40, 3), np.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{index:02d}.png")
    return folder


@pytest.fixture
def collection(image_folder):
    """Return the ten images at 32 px."""
    from dcgan_utils.data.load import load_dataset

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
    from helpers import TINY

    from dcgan_utils.gan.config import TrainConfig

    return lambda **changes: TrainConfig.resolve(**TINY | changes)


@pytest.fixture
def quick_umap(monkeypatch):
    """Let UMAP return the first columns."""
    from helpers import QUICK_UMAP

    monkeypatch.setitem(sys.modules, "umap", QUICK_UMAP)


@pytest.fixture
def coarse(monkeypatch):
    """Draw figures with a quarter of their pixels."""
    from dcgan_utils.plots import style

    monkeypatch.setattr(style, "DPI", style.DPI // 2)


@pytest.fixture
def small_features(monkeypatch):
    """Scale images to 64 px for their features, which takes a tenth of the time of 224."""
    from helpers import SMALL_FEATURES

    from dcgan_utils.metrics import features

    monkeypatch.setattr(features.extract, "__kwdefaults__", SMALL_FEATURES)


@pytest.fixture
def no_warnings():
    """Make every warning an error, but umap's, that TensorFlow is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("default", category=ImportWarning)
        yield
