"""What lies around the package: the files that install it agree with one another."""

import logging
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from dcgan_utils import notebook
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
    for requirement in project["dependencies"]:
        name, _, bound = requirement.partition(">=")
        conda = CONDA_NAMES.get(name, name)
        if conda in FIXED:
            wanted.add(f"{conda}>={bound}")
    assert {line.partition(">=")[0] for line in wanted} == FIXED
    assert set(listed) == wanted | {"pip", f"python{project['requires-python']}"}
    assert from_pip == ["-e .[tfrecord]"]


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
    assert not {"torch", "matplotlib", "umap", "sklearn", "pandas"} & set(modules.split())


def test_training_does_not_import_what_only_figures_need():
    code = "import sys, dcgan_utils.runs.training; print(*sys.modules)"
    modules = said_by(code)
    assert "torch" in modules.split()
    assert not {"matplotlib", "umap", "sklearn", "nbconvert"} & set(modules.split())


def test_modules_import_only_from_lower_floors():
    floors = [
        {"errors", "paths", "seeds", "layers", "copies"},
        {
            "priors",
            "networks",
            "augment",
            "brush",
            "clay",
            "images",
            "progress",
            "rendering",
            "parameters",
            "files",
            "gauges",
            "intervals",
            "workers",
            "metrics",
            "modes",
            "textbook",
        },
        {"cache", "noise", "prediction", "machine", "checkpoints", "histories"},
        {"pixels", "features", "clusters", "projector", "claims"},
        {"duplicates", "planes"},
        {"landscapes", "anatomy"},
        {"creatures"},
        {"painters"},
        {"sources", "config"},
        {"decoding", "notebook_configs"},
        {"datasets"},
        {"labels"},
        {"dcgan", "runs"},
        {"training", "latent"},
        {"quality", "walks"},
        {"study", "plots", "cloud", "benchmark", "profiling", "trials"},
        {
            "plots_pixels",
            "plots_files",
            "study_tables",
            "plots_clusters",
            "plots_benchmark",
            "plots_study",
            "plots_training",
            "pages",
        },
        {"playground"},
        {"report", "doctor"},
        {"grid"},
        {"scheduling"},
        {"__main__"},
    ]
    height = {name: level for level, floor in enumerate(floors) for name in floor}
    for path in (ROOT / "dcgan_utils").glob("[!_]*.py"):
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] == ["from"] and words[1].startswith("dcgan_utils"):
                below = words[1].removeprefix("dcgan_utils").removeprefix(".")
                names = [below] if below else [w.strip(",()") for w in words[3:]]
                for name in filter(lambda name: name in height, names):
                    assert height[name] < height[path.stem], f"{path.stem} imports {name}"
    assert {path.stem for path in (ROOT / "dcgan_utils").glob("[!_]*.py")} <= set(height)


LONG = {
    "benchmark": "the two loops and what surrounds them belong to one measurement",
    "claims": "six claims, each with its sentences",
    "creatures": "twelve families, each one function",
    "landscapes": "eight subjects, each one function",
    "metrics": "nine measures, each with the warnings that it needs",
    "networks": "three architectures",
    "priors": "nine distributions, each one class",
    "runs": "one class: the run folder, which nothing else may write to",
    "training": "the epoch loop, and what it does when it is stopped",
}


def test_modules_are_short_but_for_a_reason():
    lengths = {
        path.stem: len(path.read_text().splitlines())
        for path in (ROOT / "dcgan_utils").glob("*.py")
    }
    assert {name for name, length in lengths.items() if length > 300} == set(LONG)


def test_the_environment_variable_moves_data_and_reports(monkeypatch, tmp_path):
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path))
    assert (data_dir(), reports_dir()) == (tmp_path / "data", tmp_path / "reports")
    assert report_dir("monet") == tmp_path / "reports" / "monet"
    assert report_dir("runs") not in (runs_dir(), runs_dir().parent)
    monkeypatch.delenv("DCGAN_HOME")
    assert home() == ROOT


ROW = {"epoch": 3, "d_loss_real": 0.5, "d_loss_fake": 0.4, "g_loss": 2.0, "d_real": 0.7,
       "d_fake": 0.1, "seconds": 1.25}  # fmt: skip


def test_progress_is_a_line_of_text_outside_jupyterlab(monkeypatch, caplog):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(logging.getLogger("dcgan_utils"), "propagate", True)
    with caplog.at_level(logging.INFO, "dcgan_utils"):
        notebook.epoch_reporter(40)(ROW)
    assert caplog.messages == [
        "epoch  3/40  loss of D 0.900, of G 2.000, D(x) 0.70, D(G(z)) 0.10  1.2 s"
    ]


def test_progress_is_a_bar_in_jupyterlab(monkeypatch, capsys):
    monkeypatch.setenv("JPY_SESSION_NAME", "/notebooks/train.ipynb")
    report = notebook.epoch_reporter(3)
    report(ROW)
    assert "3/3" in capsys.readouterr().err


def test_steps_are_told_each_quarter_outside_jupyterlab(monkeypatch, caplog):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(logging.getLogger("dcgan_utils"), "propagate", True)
    report = notebook.step_reporter("features")
    with caplog.at_level(logging.INFO, "dcgan_utils"):
        for done in range(10, 101, 10):
            report(done, 100)
    assert caplog.messages == [f"features: {n} of 100" for n in (30, 50, 80, 100)]


def test_steps_are_a_bar_in_jupyterlab(monkeypatch, capsys):
    monkeypatch.setenv("JPY_SESSION_NAME", "/notebooks/eda.ipynb")
    report = notebook.step_reporter("features")
    assert not capsys.readouterr().err, "nothing to do yet"
    report(1, 2)
    report(2, 2)
    assert "features: 100%" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["help", "report", "test", "lab"])
def test_make_help_lists_the_targets(target):
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert f"make {target}" in said


def test_what_security_claims_is_tested():
    claimed = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (ROOT / "SECURITY.md").read_text())
    assert len(claimed) > 40
    for file, name in claimed:
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), f"{file}::{name}"
