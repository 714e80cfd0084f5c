"""The notebooks as most people meet them: in JupyterLab, in a browser, by its menus."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import numpy as np
import psutil
import pytest
from helpers import TINY
from PIL import Image

from dcgan_utils.core.files import notebooks_dir
from dcgan_utils.runs.run import Run

TOKEN = "only-in-this-test"
PATIENCE = 120_000  # milliseconds, on a busy machine


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start JupyterLab on a copy of the notebooks; return its address, folder and home."""
    folder = tmp_path_factory.mktemp("lab")
    home = folder / "home"
    (home / "data").mkdir(parents=True)
    shutil.copytree(notebooks_dir(), folder / "notebooks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {name: str(folder / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "s"), "IPYTHONDIR": str(folder / "i")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "jupyterlab", str(folder / "notebooks"), "--no-browser",
                "--allow-root", f"--port={port}", f"--IdentityProvider.token={TOKEN}",
            ],
            env=os.environ | own | {"DCGAN_HOME": str(home), "JUPYTER_PREFER_ENV_PATH": "1"},
            stdout=log, stderr=log,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api?token={TOKEN}", process, folder / "log")
        yield address, folder / "notebooks", home
    finally:
        family = [process, *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            member.kill()
        process.wait()


def _wait_for(url, process, log):
    for _ in range(240):
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            time.sleep(0.25)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture
def tab(browser):
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def opened(tab, lab, name):
    """Open a notebook and wait until its kernel idles."""
    tab.goto(f"{lab[0]}/lab/workspaces/{name}/tree/{name}.ipynb?token={TOKEN}")
    tab.locator(".jp-Notebook .jp-Cell").first.wait_for()
    tab.get_by_text("Python 3 (ipykernel) | Idle").wait_for()


def choose(tab, menu, entry):
    tab.locator(".lm-MenuBar-item", has_text=re.compile(f"^{menu}$")).click()
    tab.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{entry}$")).click()


def with_parameters(lab, name, parameters):
    """Write values into a copy of the train notebook's parameters cell, as a reader would."""
    notebook = nbformat.read(lab[1] / "train.ipynb", as_version=4)
    (cell,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    lines = cell.source.splitlines()
    for number, line in enumerate(lines):
        key = line.partition(":")[0]
        if key in parameters:
            lines[number] = f"{key} = {parameters[key]!r}"
    cell.source = "\n".join(lines)
    nbformat.write(notebook, lab[1] / f"{name}.ipynb")


def test_it_listens_to_this_machine_alone(lab):
    port = int(lab[0].rpartition(":")[2])
    heard = [c.laddr for c in psutil.net_connections("tcp") if c.status == "LISTEN"]
    assert {about.ip for about in heard if about.port == port} <= {"127.0.0.1", "::1"}
    assert any(about.port == port for about in heard)


def test_every_notebook_opens(lab, tab):
    names = sorted(path.stem for path in notebooks_dir().glob("*.ipynb"))
    tab.goto(f"{lab[0]}/lab/workspaces/all/tree/{names[0]}.ipynb?token={TOKEN}")
    for name in names:
        tab.locator(".jp-DirListing-item", has_text=f"{name}.ipynb").dblclick()
        shown = tab.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-MarkdownCell").first
        title = shown.locator("h1")
        title.wait_for()
        stored = nbformat.read(lab[1] / f"{name}.ipynb", as_version=4).cells[0].source
        assert stored.splitlines()[0].removeprefix("# ") in title.inner_text()
        assert "Question." in shown.inner_text()
        assert tab.locator(".jp-Dialog").count() == 0


@pytest.fixture
def forty(tmp_path):
    """Return a folder of images on which a tiny training takes some seconds."""
    folder, rng = tmp_path / "forty", np.random.default_rng(0)
    folder.mkdir()
    for number in range(40):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((32, 32)).save(folder / f"{number}.png")
    return folder


AREA = ".jp-Notebook .jp-OutputArea"
BAR = f"{AREA} progress[aria-label='epochs done']"
EPOCHS = 480


class Film:
    """What is seen of a training while it goes on."""

    def __init__(self, tab):
        self.tab = tab
        self.lefts, self.images, self.charts, self.dones = [], set(), set(), []

    def watch(self, *, until):
        """Look ten times a second until `until` holds; it is given this film."""
        for part in (BAR, f"{AREA} svg[role=img]"):
            self.tab.locator(part).first.wait_for(state="attached")
        for _ in range(PATIENCE // 100):
            self.look()
            if until(self):
                return self
            self.tab.wait_for_timeout(100)
        raise AssertionError((self.lefts, self.dones, len(self.images), len(self.charts)))

    def look(self):
        seen = self.tab.evaluate(
            """selector => {
                const bar = document.querySelector(selector);
                bar.scrollIntoView({block: "center"});  // the rest is not laid out
                const part = bar.closest(".jp-OutputArea-child");
                const area = bar.closest(".jp-OutputArea");
                return {done: bar.value, text: part.innerText,
                        image: part.querySelector("img").src,
                        charts: area.querySelector("svg[role=img]").outerHTML,
                        parts: area.querySelectorAll(".jp-OutputArea-child").length,
                        loaded: part.querySelector("img").complete}
            }""",
            BAR,
        )
        self.text, self.parts = seen["text"], seen["parts"]
        self.dones.append(seen["done"])
        self.images.add(seen["image"])
        self.charts.add(seen["charts"])
        if left := re.search(r"(\d+):(\d\d) left", seen["text"]):
            self.lefts.append(60 * int(left[1]) + int(left[2]))
        assert seen["loaded"], "the images do not flicker"


def test_a_training_is_seen_to_learn_to_stop_and_to_go_on(lab, tab, forty):
    parameters = TINY | {"dataset": str(forty), "epochs": EPOCHS, "width": 16, "sample_size": 20}
    with_parameters(lab, "film", parameters)
    opened(tab, lab, "film")
    choose(tab, "Run", "Run All Cells")
    film = Film(tab).watch(until=lambda f: len(f.images) > 4 and len(f.charts) > 1)
    assert film.dones == sorted(film.dones)
    assert 0 < film.lefts[-1] < max(film.lefts)
    parts = film.parts

    choose(tab, "Kernel", "Interrupt Kernel.*")
    message = tab.locator(AREA, has_text="The state is saved in").first
    message.wait_for(state="attached")
    assert "Traceback" not in message.text_content()
    assert "Run it again to resume." in message.text_content()
    (folder,) = (lab[2] / "reports" / "runs").iterdir()
    stopped = Run(folder).load_checkpoint()["epoch"]
    assert 0 < stopped < EPOCHS
    film.look()
    assert f"Stopped in epoch {stopped + 1} of {EPOCHS}" in film.text

    choose(tab, "Run", "Run All Cells")
    tab.locator(AREA, has_text=f"resumes from epoch {stopped}").first.wait_for(state="attached")
    again = Film(tab).watch(until=lambda f: f"Epoch {EPOCHS} of {EPOCHS}" in f.text)
    assert stopped <= again.dones[0] < EPOCHS, "the bar begins where the run stood"
    assert again.dones == sorted(again.dones)
    assert len(again.images) > 2
    assert max(again.lefts) < 3 * max(film.lefts), "the time left is that of the epochs left"
    assert again.parts <= parts + 1, "what is shown is renewed, not repeated"

    tab.locator(AREA, has_text="torchvision").first.wait_for(state="attached")  # the end
    choose(tab, "File", "Save Notebook")
    tab.wait_for_timeout(1000)
    saved = nbformat.read(lab[1] / "film.ipynb", as_version=4)
    outputs = [output for cell in saved.cells for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o["output_type"] == "error"]
    assert sum("image/svg+xml" in o.get("data", {}) for o in outputs) > 8
    pages = [o["data"]["text/html"] for o in outputs if "text/html" in o.get("data", {})]
    (images,) = (page for page in pages if "<progress" in page)
    assert f"Epoch {EPOCHS} of {EPOCHS}" in images and " left" not in images
    (charts,) = (page for page in pages if "<svg" in page)
    assert f"up to epoch {EPOCHS}" in charts
    drawn = tab.locator(".jp-RenderedSVG img, .jp-RenderedImage img").first
    drawn.scroll_into_view_if_needed()
    assert drawn.evaluate("image => image.complete && image.naturalWidth") > 500
    assert (folder / "progress.gif").exists()


PLAYER = """
import torch
from dcgan_utils import notebook
greys = [torch.full((4, 3, 16, 16), 50 * n, dtype=torch.uint8) for n in range(5)]
notebook.player(((f"epoch {n}", grey) for n, grey in enumerate(greys)), "Greys.")
"""


def test_a_player_plays_where_scripts_run_and_shows_its_end_where_they_do_not(lab, tab):
    namespace = {}
    exec(PLAYER.replace("notebook.player(", "shown = notebook.player("), namespace)
    output = nbformat.v4.new_output("display_data", data={"text/html": namespace["shown"].data})
    cells = [nbformat.v4.new_code_cell(PLAYER, outputs=[output])]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    stored = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(stored, lab[1] / "player.ipynb")
    opened(tab, lab, "player")
    last = tab.locator(f"{AREA} img").first
    last.wait_for()
    assert last.evaluate("image => image.complete && image.naturalWidth") > 20
    assert last.get_attribute("alt") == "Greys. Shown is epoch 4."
    assert tab.locator(f"{AREA} input").count() == 0, "the notebook is not trusted"

    choose(tab, "Run", "Run All Cells")
    slider = tab.locator(f"{AREA} input[type=range]")
    slider.wait_for()
    assert tab.locator(f"{AREA} output").inner_text() == "epoch 4"
    for left in (3, 2):
        slider.press("ArrowLeft")
        assert tab.locator(f"{AREA} output").inner_text() == f"epoch {left}"
    tab.locator(AREA).get_by_role("button", name="Play").click()
    tab.locator(f"{AREA} output", has_text="epoch 4").wait_for()
