"""The package as others install it: the wheel and its commands in an empty folder, the extras."""

import ast
import json
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
import tomllib
import urllib.request
import zipfile
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import psutil
import pytest
from helpers import TINY
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "dcgan_utils"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = "0.0+wheel"  # tells the wheel from the checkout
TOKEN = "only-in-this-test"


# --- Wheel and sdist ---


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build an sdist from a copy of the checkout, and a wheel from the sdist; return the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    leave_out = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "out*.ipynb")
    for name in ("dcgan_utils", "notebooks"):
        shutil.copytree(ROOT / name, folder / "copy" / name, ignore=leave_out)
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "copy")
    init = folder / "copy" / "dcgan_utils" / "__init__.py"
    init.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{VERSION}"', init.read_text()))
    build("sdist", folder / "copy", folder)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as sdist:
        sdist.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    build("wheel", unpacked, folder)
    return next(folder.glob("*.whl"))


def build(kind, source, into):
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(into)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_wheel_made_from_the_sdist_holds_every_file(wheel):
    files, wanted = wheel.parent / "copy", set()
    for folder, place in (("dcgan_utils", ""), ("notebooks", "dcgan_utils")):
        paths = [path for path in (files / folder).rglob("*") if path.is_file()]
        wanted |= {(Path(place) / path.relative_to(files)).as_posix() for path in paths}
    with zipfile.ZipFile(wheel) as packed:
        assert {name for name in packed.namelist() if ".dist-info/" not in name} == wanted
    for name in ("notebooks/train.ipynb", "notebooks/grid.yaml", "study/claims.yaml"):
        assert f"dcgan_utils/{name}" in wanted


# --- From the wheel, in an empty folder ---


@pytest.fixture(scope="module")
def command(wheel):
    """Install the wheel into a virtual environment; return its ``dcgan``.

    All other packages are those of the environment that runs the tests.
    """
    folder = wheel.parent / "venv"
    scripts, site = (
        Path(sysconfig.get_path(name, "venv", vars={"base": str(folder), "platbase": str(folder)}))
        for name in ("scripts", "purelib")
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
    (site / "shared.pth").write_text(sysconfig.get_path("purelib"))
    return scripts / "dcgan"


@pytest.fixture
def environment(monkeypatch):
    """Let commands see neither the checkout nor a home folder; share only data of Jupyter's."""
    for name in ("PYTHONPATH", "DCGAN_HOME"):
        monkeypatch.delenv(name, raising=False)
    shared = Path(sys.prefix) / "share" / "jupyter"
    monkeypatch.setenv("JUPYTER_PATH", str(shared))
    monkeypatch.setenv("JUPYTERLAB_DIR", str(shared / "lab"))


@pytest.fixture
def empty(tmp_path, environment):
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_the_wheel_trains_samples_and_reports_in_an_empty_folder(command, empty, image_folder):
    def run(*arguments):
        done = subprocess.run([command, *arguments], cwd=empty, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("--version") == f"dcgan {VERSION}\n"
    tiny = [word for name, value in TINY.items() for word in ("-p", name, str(value))]
    assert f"The run: {empty}" in run("train", image_folder, "--noise", "gamma", *tiny)
    run("sample", "ten-images-*", "-n", "3", "--to", "images")
    assert len([*(empty / "images").glob("*.png")]) == 3
    run("report", "--dataset", image_folder, "--noises", "gamma", "--only", "train", *tiny)
    assert {path.name for path in empty.iterdir()} == {"data", "images", "reports"}
    report = empty / "reports" / "ten-images"
    assert "The training</a>" in (report / "index.html").read_text(encoding="utf-8")
    # Its last cell prints the version: the kernel, too, has imported what the wheel installed.
    assert VERSION in (report / "train.ipynb").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_wheel_opens_jupyterlab_with_notebooks_of_ones_own(command, empty):
    (empty / "notebooks").mkdir()
    (empty / "notebooks" / "train.ipynb").write_text("{}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", f"--port={port}"]
    with (empty.parent / "log").open("w") as log:
        server = subprocess.Popen(
            [command, "lab", *options, f"--IdentityProvider.token={TOKEN}"],
            **{"cwd": empty, "stdout": log, "stderr": log},
        )
    log = empty.parent / "log"

    def ask(path, data=None):
        head = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", data, head)
        for _ in range(240):
            assert server.poll() is None, log.read_text()[-2000:]
            try:
                return urllib.request.urlopen(request, timeout=30).read()
            except (ConnectionError, urllib.error.URLError):
                time.sleep(0.25)
        raise AssertionError(log.read_text()[-2000:])

    try:
        there = {e["name"] for e in json.loads(ask("api/contents/notebooks"))["content"]}
        assert {"start.ipynb", "train.ipynb", "grid.yaml", "glossary.md"} <= there
        assert b"<title>JupyterLab</title>" in ask("lab")
        ask("api/kernels", b'{"name": "python3"}')
        (kernel,) = psutil.Process(server.pid).children()
        assert Path(kernel.cmdline()[0]).parent == command.parent
        assert kernel.environ()["DCGAN_HOME"] == str(empty)
    finally:
        for process in [*psutil.Process(server.pid).children(recursive=True), server]:
            process.kill()
        server.wait()
    assert (empty / "notebooks" / "train.ipynb").read_text() == "{}"
    assert {path.name for path in empty.iterdir()} == {"notebooks"}


# --- Dependencies and extras ---

NAMES = {name: {canonicalize_name(d) for d in ds} for name, ds in packages_distributions().items()}


def declared(requirements):
    """Return the names of required packages, those of this package's own extras too."""
    names = set()
    for requirement in map(Requirement, requirements):
        if requirement.name == "dcgan-utils":
            for extra in requirement.extras:
                names |= declared(PROJECT["optional-dependencies"][extra])
        else:
            names.add(canonicalize_name(requirement.name))
    return names


CORE = declared(PROJECT["dependencies"])


def with_what_they_require(names):
    """Return packages and all that pip would install with them."""
    found, todo = set(), {*names}
    while todo:
        name = todo.pop()
        found.add(name)
        for requirement in map(Requirement, distribution(name).requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo |= {canonicalize_name(requirement.name)} - found
    return found


def test_what_the_package_imports_is_required_by_it_or_by_an_extra():
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
    imported -= {*sys.stdlib_module_names, "dcgan_utils"}
    wanted = CORE.union(*(declared(ds) for ds in PROJECT["optional-dependencies"].values()))
    assert "torch" in imported
    assert not {n for n in imported if not NAMES.get(n, {canonicalize_name(n)}) & wanted}


WITH_THE_CORE_ALONE = """
import contextlib, importlib, io, json, sys
from importlib.machinery import PathFinder
from pathlib import Path

hidden, folder, parameters, modules = json.loads(sys.argv[1])


class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, *where):
        return None if name.partition(".")[0] in hidden else PathFinder.find_spec(name, *where)


sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
import dcgan_utils as dg
from dcgan_utils.cli import main

run = dg.train(folder, **parameters)
assert run.finished
assert dg.sample(run, 2).shape == (2, 3, 32, 32)
dg.load_generator(run)
dg.metrics.evaluate(dg.load_dataset(folder, 32).images, dg.sample(run, 6), seed=0)
for module in modules:
    importlib.import_module(module)
Path("grid.yaml").write_text("collections: [plein_air]\\nnoises: [gamma]")
Path("out.ipynb").write_text("{}")
before, said = sorted(Path().rglob("*")), {}
for command in [
    *("report", "benchmark", "study grid.yaml", "lab", "page out.ipynb", "doctor"),
    *(f"tensorboard {run.name}", f"export {run.name} --to x.onnx"),
]:
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        with contextlib.redirect_stdout(io.StringIO()) as answers:
            main(command.split())
    said[command.split()[0]] = errors.getvalue() + answers.getvalue()
assert sorted(Path().rglob("*")) == before
print(json.dumps(said))
"""


@pytest.mark.slow
def test_the_core_trains_samples_and_measures_and_names_the_extra_of_what_it_cannot(
    image_folder, home, monkeypatch
):
    monkeypatch.chdir(home)
    core = with_what_they_require(CORE)
    core.add("dcgan-utils")
    hidden = sorted(name for name, distributions in NAMES.items() if not distributions & core)
    assert {"IPython", "ipykernel", "jupyterlab", "papermill", "nbconvert", "ipywidgets"} < {
        *hidden
    }
    assert {"distributed", "bokeh", "kagglehub", "tensorboard", "tfrecord"} < {*hidden}
    files = [path.relative_to(ROOT).with_suffix("") for path in PACKAGE.rglob("*.py")]
    modules = [
        ".".join(path.parts) for path in files if path.stem not in ("__main__", "tensorboard")
    ]
    arguments = json.dumps([hidden, str(image_folder), TINY, modules])
    done = subprocess.run(
        [sys.executable, "-c", WITH_THE_CORE_ALONE, arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    extras = dict.fromkeys(["report", "benchmark", "study", "lab", "page", "doctor"], "lab")
    for command, extra in (extras | {"tensorboard": "tensorboard", "export": "export"}).items():
        assert f'pip install "dcgan-utils[{extra}]"' in said[command], said[command]
        assert "Traceback" not in said[command]
