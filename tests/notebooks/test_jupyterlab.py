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


@pytest.fixture
def ten(tmp_path):
    folder = tmp_path / "ten"
    folder.mkdir()
    for number in range(10):
        Image.new("RGB", (32, 32), (25 * number, 99, 200)).save(folder / f"{number}.png")
    return folder


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


def test_interrupted_in_mid_training_it_resumes_and_ends_with_figures(lab, tab, ten):
    with_parameters(lab, "tiny", TINY | {"dataset": str(ten), "epochs": 120})
    opened(tab, lab, "tiny")
    choose(tab, "Run", "Run All Cells")
    area = ".jp-Notebook .jp-OutputArea"
    tab.locator(area, has_text=re.compile(r"[1-9]\d*/120")).first.wait_for()
    choose(tab, "Kernel", "Interrupt Kernel.*")
    message = tab.locator(area, has_text="The state is saved in").first
    message.wait_for()
    assert "Traceback" not in message.text_content()
    assert "Run it again to resume." in message.text_content()
    (folder,) = (lab[2] / "reports" / "runs").iterdir()
    state = Run(folder).load_checkpoint()
    assert 0 < state["epoch"] < 120

    choose(tab, "Run", "Run All Cells")
    tab.locator(area, has_text=f"resumes from epoch {state['epoch']}").first.wait_for()
    bar = tab.locator(area, has_text=re.compile(r"\d+/120")).first
    seen = set()
    for _ in range(PATIENCE // 100):
        seen |= set(re.findall(r"\d+/120", bar.text_content()))
        if "120/120" in seen:
            break
        tab.wait_for_timeout(100)
    assert len(seen) > 1, "the bar has moved"
    tab.locator(area, has_text="torchvision").first.wait_for()  # the end
    choose(tab, "File", "Save Notebook")
    tab.wait_for_timeout(1000)
    saved = nbformat.read(lab[1] / "tiny.ipynb", as_version=4)
    outputs = [output for cell in saved.cells for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o["output_type"] == "error"]
    assert sum("image/png" in o.get("data", {}) for o in outputs) > 8
    drawn = tab.locator(".jp-RenderedImage img").first
    drawn.scroll_into_view_if_needed()
    assert drawn.evaluate("image => image.complete && image.naturalWidth") > 500
    assert (folder / "progress.gif").exists()
