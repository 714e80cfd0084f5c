"""What lies around the package: the files that install it agree with one another."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml

import dcgan_utils
from dcgan_utils.core.files import data_dir, home, report_dir, reports_dir, runs_dir

ROOT = Path(__file__).parent.parent
CONDA_NAMES = {"torch": "pytorch"}
FIXED = {
    "pytorch", "torchvision", "jupyterlab", "papermill", "scikit-learn", "umap-learn",
    "matplotlib", "seaborn", "pillow",
}  # fmt: skip


def test_environment_and_pyproject_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    listed = [line for line in environment["dependencies"] if isinstance(line, str)]
    from_pip = next(line["pip"] for line in environment["dependencies"] if isinstance(line, dict))
    wanted = set()
    for requirement in project["dependencies"] + project["optional-dependencies"]["lab"]:
        name, _, bound = requirement.partition(">=")
        conda = CONDA_NAMES.get(name, name)
        if conda in FIXED:
            wanted.add(f"{conda}>={bound}")
    assert {line.partition(">=")[0] for line in wanted} == FIXED
    assert set(listed) == wanted | {"pip", f"python{project['requires-python']}"}
    assert from_pip == ["-e .[commands]"]


def test_dependencies_have_lower_bounds_and_no_upper_ones():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [r for rs in project["optional-dependencies"].values() for r in rs]
    for requirement in [*project["dependencies"], *extras]:
        assert ">=" in requirement or requirement.startswith("dcgan-utils[")
        assert "<" not in requirement
        assert "==" not in requirement


def said_by(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, dcgan_utils; print(*sys.modules)"
    modules = said_by(code)
    assert not {"torch", "matplotlib", "umap", "sklearn", "pandas", "numpy"} & set(modules.split())


@pytest.mark.slow
def test_training_does_not_import_what_only_figures_need():
    code = "import sys, dcgan_utils.runs.training; print(*sys.modules)"
    modules = said_by(code)
    assert "torch" in modules.split()
    figures = {"matplotlib", "umap", "sklearn", "nbconvert"}
    assert not {*figures, "tensorboard"} & set(modules.split())


@pytest.mark.parametrize(
    "name", ["load_dataset", "train", "sample", "load_generator", "find_runs", "play"]
)
def test_the_package_offers_the_functions_of_a_lecture_on_first_use(name):
    assert name in dir(dcgan_utils)
    assert callable(getattr(dcgan_utils, name))


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        _ = dcgan_utils.trian


def test_a_lecture_in_five_lines(tiny, image_folder):
    parameters = tiny(fit="pad").model_dump(exclude={"dataset", "preset"})
    run = dcgan_utils.train(image_folder, **parameters)
    assert run.finished
    images = dcgan_utils.sample(run, 3)
    assert images.shape == (3, 3, 32, 32)
    assert torch.equal(dcgan_utils.sample("ten-images-*", 3), images)
    assert isinstance(dcgan_utils.load_generator(run), torch.nn.Module)
    assert [found.name for found in dcgan_utils.find_runs("ten-images-*")] == [run.name]
    assert dcgan_utils.load_dataset(image_folder).images.shape == (10, 3, 64, 64)


# --- Rooms ---

ROOMS = ("core", "data", "gan", "runs", "metrics", "study", "plots", "report")
PACKAGE = ROOT / "dcgan_utils"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def imports_of(path):
    """Return the rooms that a file imports from, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, inside = name.partition(".")
            if package == "dcgan_utils":
                yield inside.partition(".")[0]


def test_a_file_imports_from_its_own_room_or_from_rooms_to_its_left():
    checked = 0
    for path in FILES:
        room = path.relative_to(PACKAGE).parts[0]
        for other in imports_of(path):
            if other in (*ROOMS, "live", "notebook", "commands", "cli"):
                right = ROOMS.index(other) if other in ROOMS else len(ROOMS)
                assert right <= ROOMS.index(room), f"{path.name} ({room}) imports from {other}"
                checked += 1
    assert checked > 200, "there is something to check"
    assert {path.relative_to(PACKAGE).parts[0] for path in FILES} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_face_offers_what_it_lists_and_hides_no_file(room):
    face = importlib.import_module(f"dcgan_utils.{room}")
    files = {path.stem for path in (PACKAGE / room).glob("[!_]*.py")}
    assert face.__all__
    assert all(hasattr(face, name) for name in face.__all__)
    for file in files:
        module = importlib.import_module(f"dcgan_utils.{room}.{file}")
        assert getattr(face, file) is module


@pytest.mark.slow
def test_every_import_alone_works():
    """No circle of imports: each file can be the first of the package that is loaded."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FILES]
    names = [name.removesuffix(".__init__") for name in names] + ["dcgan_utils.notebook"]
    names.sort(key=lambda name: name.count("."))  # rooms first
    code = f"""
import importlib, sys
after_its_room = set()  # what a room loads comes in this order whichever file is asked for
for name in {names!r}:
    if name in after_its_room:
        continue
    for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0] == "dcgan_utils"]:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(name, error)
    if name.count(".") == 1:
        after_its_room |= {{loaded for loaded in sys.modules if loaded.startswith(name + ".")}}
"""
    assert said_by(code) == ""


def test_the_map_in_contributing_lists_every_file():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    listed = set(re.findall(r"^\| `([\w/]+\.py)` \|", text, flags=re.M))
    there = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert listed == {name for name in there if not name.endswith("__init__.py")}


def test_the_environment_variable_moves_data_and_reports(monkeypatch, tmp_path):
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path))
    assert (data_dir(), reports_dir()) == (tmp_path / "data", tmp_path / "reports")
    assert report_dir("monet") == tmp_path / "reports" / "monet"
    assert report_dir("runs") not in (runs_dir(), runs_dir().parent)
    monkeypatch.delenv("DCGAN_HOME")
    assert home() == ROOT


needs_make = pytest.mark.skipif(not shutil.which("make"), reason="there is no make")


@needs_make
@pytest.mark.parametrize("target", ["help", "report", "test", "lab", "setup", "TORCH=cpu"])
def test_make_help_lists_the_targets(target):
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert f"  {target}:" in said if "=" in target else f"make {target}" in said


@pytest.fixture
def make(tmp_path):
    """Return a function that runs make with a stand-in for Python, and returns its calls."""
    calls, python = tmp_path / "calls", tmp_path / "a venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$@" >> "{calls}"\n')
    python.chmod(0o755)

    def run(*arguments):
        calls.write_text("")
        command = ["make", *arguments, f"VENV={tmp_path / 'a venv'}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        return done, [line for line in calls.read_text().splitlines() if "--version" not in line]

    return run


PIP = "-m pip install --disable-pip-version-check"
CHECKS = ["-m ruff check .", "-m ruff format --check ."]


@needs_make
def test_make_installs_once_what_each_target_needs(make):
    assert make("setup")[1] == [f"{PIP} -e .[commands]"]
    assert make("setup")[1] == []
    assert make("lint")[1] == [f"{PIP} -e .[dev]", *CHECKS]
    assert make("lint")[1] == CHECKS
    assert make("test")[1] == ["-m pytest"]
    assert make("setup", "TORCH=cpu")[1] == [], "tests need all that commands need"


@needs_make
def test_make_installs_the_small_pytorch_first_if_asked_to(make):
    _, (first, second) = make("setup", "TORCH=cpu")
    assert first == f"{PIP} torch torchvision --index-url https://download.pytorch.org/whl/cpu"
    assert second == f"{PIP} -e .[commands]"


@needs_make
def test_make_refuses_another_kind_of_pytorch(make):
    done, calls = make("setup", "TORCH=cqu")
    assert (done.returncode, calls) == (2, [])
    assert "TORCH may be cpu, or nothing, not 'cqu'." in done.stderr


def test_what_security_claims_is_tested():
    claimed = re.findall(
        r"`((?:\w+/)?test_\w+\.py)::(test_\w+)`", (ROOT / "SECURITY.md").read_text()
    )
    assert len(claimed) > 40
    for file, name in claimed:
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), f"{file}::{name}"


def test_cases_in_security_are_as_many_as_are_tried():
    lines = (ROOT / "SECURITY.md").read_text().splitlines()
    written = [line for line in lines if " cases)" in line]
    assert len(written) > 10
    for line in written:
        file, name = re.search(r"`((?:\w+/)?test_\w+\.py)::(test_\w+)`", line).groups()
        source = (ROOT / "tests" / file).read_text().partition(f"def {name}(")[0]
        tried = re.findall(r"(?:fuzzed\(|max_examples=)([\d]+)", source)[-1]
        assert f"({int(tried):,} cases)" in line, line
