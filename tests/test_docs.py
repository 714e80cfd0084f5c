"""The pages of ``docs/``, the site, and the files that say how to get and to cite the project."""

import errno
import importlib
import importlib.util
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import yaml
from helpers import TINY

import dcgan_utils
from dcgan_utils.cli import main
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import friendly_write_errors, home
from dcgan_utils.data.load import load_dataset
from dcgan_utils.data.sources import ensure_available, locate
from dcgan_utils.gan import priors
from dcgan_utils.gan.config import PRESETS, TrainConfig
from dcgan_utils.runs import training
from dcgan_utils.runs.run import Run, find_runs
from dcgan_utils.study.grid import load_grid

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RESULTS = " ".join((ROOT / "reports/RESULTS.md").read_text("utf-8").split())


def page(name):
    return (DOCS / name).read_text("utf-8")


def table_of(text):
    """Return the rows of the first Markdown table of a text, without its head."""
    lines = itertools.dropwhile(lambda line: not line.startswith("|"), text.splitlines())
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows][2:]


# --- What the pages say is so ---


def number(value):
    return "undefined" if math.isnan(value) else f"{value:.2f}".rstrip("0").rstrip(".")


def test_the_table_of_noises_is_that_of_the_package():
    named = set()
    for specs, label, *moments in table_of(page("noises.md")):
        written = [priors.parse(spec) for spec in re.findall("`(.*?)`", specs)]
        prior = written[0]
        named.add(prior.name)
        assert all(other == prior for other in written), specs
        assert label == prior.label
        exact = [prior.mean, prior.std, prior.ratio, prior.skewness]
        assert moments == [number(value) for value in exact], label
    assert named == {*priors.PRIORS, priors.Standardized.name}


def test_the_table_of_presets_is_that_of_the_package():
    differing = {
        name for name in PRESETS["quick"] if len({str(PRESETS[p][name]) for p in PRESETS}) > 1
    }
    rows = table_of(page("presets.md").partition("## What each says")[2])
    assert {row[0].strip("`") for row in rows} == differing
    for name, *cells in rows:
        for preset, cell in zip(("quick", "monet", "pokemon", "best"), cells, strict=True):
            value = PRESETS[preset][name.strip("`")]
            shown = ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
            assert cell == shown.lower(), (name, preset)


def test_what_a_preset_gives_was_measured():
    """Each row of the table stands in the file that its last column links."""
    rows = table_of(page("presets.md"))
    assert len(rows) >= 5
    for _, preset, epochs, minutes, kid, diversity, link in rows:
        table = pd.read_csv(DOCS / re.search(r"\]\((.*?)\)", link)[1])
        at = table[table["epoch" if "epoch" in table else "epochs"] == int(epochs.replace(",", ""))]
        found = (at["kid"] - float(kid.strip("*"))).abs() < 0.000501
        found &= (at["diversity"] - float(diversity)).abs() < 0.00501
        assert found.sum() == 1, (link, epochs)
        if "core_minutes" in at:
            assert minutes == f"{at.loc[found, 'core_minutes'].item():.0f}"
        elif preset == "`best`":
            assert minutes == f"{35 * int(epochs) / 1000:.0f}"
    for stated in (
        "1,000 epochs took 35 minutes on one",
        "126 minutes on one",
        "13 % in the median",
    ):
        assert stated in RESULTS


def test_bf16_is_as_much_faster_as_the_pages_say():
    speed = pd.read_csv(ROOT / "reports/benchmark/summary.csv").set_index(["batch", "loop"])
    for batch in (64, 128):
        ratio = speed.loc[(batch, "workbook, bf16")] / speed.loc[(batch, "workbook, fp32")]
        assert f"{ratio['pictures/s']:.1f}" == "1.8"
    for name in ("presets.md", "benchmark.md"):
        assert "takes 1.8 times as long" in page(name)


def test_the_grid_of_the_page_can_be_read(tmp_path):
    text = re.search(r"```yaml\n(.*?)```", page("study.md"), re.S)[1]
    (tmp_path / "grid.yaml").write_text(text)
    grid = load_grid(str(tmp_path / "grid.yaml"))
    assert (grid.name, grid.looks, len(grid.arms)) == ("my-study", (3, 5), 7)


def is_a_command(name):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    return ended.value.code == 0


def targets_of_make():
    return {*re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)}


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_commands_of_the_pages_exist(path):
    """What follows ``dcgan``, ``make`` and ``papermill`` in the pages is there."""
    text = path.read_text("utf-8").replace("\\\n", " ")
    assert all(map(is_a_command, set(re.findall(r"\bdcgan (\w+)", text))))
    assert set(re.findall(r"(?:^|`)make (\w+)", text, re.M)) <= targets_of_make()
    for notebook, rest in re.findall(r"(notebooks/\w+\.ipynb) out\.ipynb(.*)", text):
        cells = nbformat.read(ROOT / notebook, as_version=4).cells
        (own,) = [c.source for c in cells if "parameters" in c.metadata.get("tags", ())]
        for name in re.findall(r"-p (\w+)", rest):
            assert re.search(rf"^{name}:", own, re.M), (notebook, name)


# --- Messages ---


def busy(tmp_path, tiny, image_folder):
    run = Run.create(tiny(), load_dataset(image_folder, 32))
    with run.locked(), run.locked():
        pass


def out_of_memory(tmp_path, tiny, image_folder):
    with training._friendly_out_of_memory(tiny(), 10):
        raise MemoryError


def disk_full(tmp_path, tiny, image_folder):
    with friendly_write_errors(home() / "reports/runs/a/checkpoint.pt"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_image(tmp_path, tiny, image_folder):
    (tmp_path / "none").mkdir()
    (tmp_path / "none/a.jpg").write_text("this is not an image")
    (tmp_path / "none/notes.txt").write_text("nor is this")
    load_dataset(tmp_path / "none")


def not_asked_for(tmp_path, tiny, image_folder):
    from dcgan_utils.metrics.evaluation import evaluate_epochs

    evaluate_epochs(None, None, samples=0)


PROVOKED = {
    "'pleinair'": lambda *_: locate("pleinair"),
    "There is no folder": lambda *_: locate("pictures/2024"),
    "no run": lambda *_: find_runs("monet-*"),
    "There is no usable": no_image,
    "'monet'": lambda *_: ensure_available("monet"),
    "noise 'gama'": lambda *_: priors.parse("gama"),
    "'epoch'": lambda *_: TrainConfig.check(epoch=3),
    "there is not enough memory": out_of_memory,
    "'...' cannot be written": disk_full,
    "the run '...'": busy,
    "Skipped": not_asked_for,
}
QUOTED = [text.strip() for text in re.findall(r"```text\n(.*?)```", page("messages.md"), re.S)]


def test_every_message_of_the_page_is_provoked():
    assert len(QUOTED) == len(PROVOKED) == 11  # ten, and one that is no error
    for quoted, start in zip(QUOTED, PROVOKED, strict=True):
        assert quoted.startswith(start)


@pytest.mark.parametrize(("quoted", "provoke"), [*zip(QUOTED, PROVOKED.values(), strict=True)])
def test_a_message_is_what_the_page_quotes(
    quoted, provoke, tmp_path, tiny, image_folder, monkeypatch
):
    monkeypatch.setitem(sys.modules, "kagglehub", None)  # as if it were not installed
    with pytest.raises(WorkbookError) as raised:
        provoke(tmp_path, tiny, image_folder)
    pattern = ".*".join(map(re.escape, quoted.split("...")))
    assert re.fullmatch(pattern, str(raised.value)), str(raised.value)


# --- The site ---


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("docs_build", DOCS / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MADE = ("api/", "reports/plein_air/", "plein_air/")  # what 'make site' makes besides the pages


def test_the_links_of_the_site_hold(build, tmp_path):
    build.write_pages(tmp_path)
    before = build.broken_links(tmp_path)
    broken = [
        link for link in before if not link.partition(": ")[2].replace("../", "").startswith(MADE)
    ]
    assert broken == []
    assert (tmp_path / "reports/ablation/monet-best.jpg").exists(), "what is shown is copied"
    (tmp_path / "reports/ablation/monet-best.jpg").unlink()
    (tmp_path / "data/README.html").write_text("<h2>no anchor</h2>")
    more = {*build.broken_links(tmp_path)} - {*before}
    assert "reports/RESULTS.html: ablation/monet-best.jpg" in more
    assert "docs/own-images.html: ../data/README.html#labels" in more


def test_pages_ask_for_nothing_from_elsewhere(build, tmp_path):
    build.write_pages(tmp_path)
    for written in tmp_path.rglob("*.html"):
        if "reports/playground" not in written.as_posix():
            text = written.read_text("utf-8")
            loaded = re.findall(r'<(?:script|img|link)\b[^>]*(?:src|href)="(\w+:)', text)
            assert set(loaded) <= {"data:"}, written


def test_every_page_of_docs_is_in_the_menu(build):
    assert {f"docs/{path.name}" for path in DOCS.glob("*.md")} <= {*build.markdown_pages()}


@pytest.mark.slow
def test_the_reference_shows_every_public_name_with_its_docstring(tmp_path):
    """In a process of its own, since the fields of the configs are described anew for it."""
    pytest.importorskip("pdoc")
    code = "import pathlib, sys, build; build.write_reference(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=DOCS, check=True)
    modules = ["dcgan_utils", *(f"dcgan_utils.{room}" for room in dcgan_utils._ROOMS)]
    for module in modules:
        text = (tmp_path / f"api/{module.replace('.', '/')}.html").read_text("utf-8")
        for name in getattr(importlib.import_module(module), "__all__", ()):
            assert f'id="{name}"' in text or f"/{name}.html" in text, (module, name)
    parameters = (tmp_path / "api/dcgan_utils/gan.html").read_text("utf-8")
    assert "how often every image is shown" in parameters
    assert "PydanticUndefined" not in parameters


# --- Getting and citing it ---


def test_one_line_of_contributing_changes_the_address_everywhere(tmp_path):
    """Every file that names the project's address is found, and all of it is changed."""
    files, change = re.search(
        r"`(git grep -l .*?) \| xargs (sed .*?)`", (ROOT / "CONTRIBUTING.md").read_text()
    ).groups()
    found = subprocess.run(files, shell=True, cwd=ROOT, capture_output=True, text=True).stdout
    assert {"CITATION.cff", "docs/colab.ipynb", "pyproject.toml"} <= {*found.split()}
    for number, name in enumerate(found.split()):
        copy = tmp_path / str(number)
        shutil.copy(ROOT / name, copy)
        subprocess.run(f"{change} {copy}", shell=True, check=True)
        addresses = re.findall(r"[\w.:/+-]*dcgan-workbook", copy.read_text("utf-8"))
        if name != "CONTRIBUTING.md":
            assert all(re.search(r"\byou[/.]", address) for address in addresses), name
    pages = [*ROOT.glob("*.md"), *DOCS.glob("*.md")]
    elsewhere = {path for path in pages if "dcgan-workbook" in path.read_text("utf-8")}
    assert {path.relative_to(ROOT).as_posix() for path in elsewhere} <= {*found.split()}


def test_the_citation_names_the_version_and_both_studies():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == dcgan_utils.__version__
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    for study in citation["references"][:2]:
        assert study["title"] in readme
        for author in study["authors"]:
            assert f"{author['given-names']} {author['family-names']}" in readme


def test_the_notebook_for_colab_installs_first_and_is_stored_without_outputs():
    notebook = nbformat.read(DOCS / "colab.ipynb", as_version=4)
    nbformat.validate(notebook)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert re.fullmatch(r'%pip install --quiet "dcgan-utils @ git\+https://\S+"', first.source)
    assert notebook.cells[0].source.startswith("# ")
    assert "**Question.**" in notebook.cells[0].source
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.execution_count, cell.outputs) == (None, [])
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert "%pip" not in path.read_text("utf-8"), path.name


@pytest.mark.slow
def test_the_cells_for_colab_run(tiny, image_folder, home, monkeypatch):
    notebook = nbformat.read(DOCS / "colab.ipynb", as_version=4)
    _, *code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    small = ", ".join(f"{name}={value!r}" for name, value in TINY.items())
    monkeypatch.chdir(home)
    names = {}
    for cell in code:
        cell = cell.replace('"plein_air"', repr(str(image_folder)))
        exec(cell.replace('preset="quick"', small), names)
    assert (home / "runs.zip").exists()


def test_the_container_installs_as_a_user_would_and_opens_jupyterlab():
    text = (ROOT / "Dockerfile").read_text()
    torch, package = re.findall(r"^RUN pip install --no-cache-dir (.*)$", text, re.M)
    assert f"pip {torch};" in (ROOT / "Makefile").read_text(), "as TORCH=cpu does"
    extra = re.fullmatch(r'"/src\[(\w+)\]"', package)[1]
    assert f"$(call install,{extra})" in (ROOT / "Makefile").read_text()
    program, command, *_ = json.loads(re.search(r"^CMD (.*)$", text, re.M)[1])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert program in project["scripts"]
    assert is_a_command(command)
    assert text.index("\nUSER dcgan") < text.index("\nVOLUME") < text.index("\nCMD")


def test_nothing_that_the_package_is_built_from_is_kept_from_the_container():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {project["project"]["readme"], *project["project"]["license-files"]}
    needed |= {"dcgan_utils", *project["tool"]["setuptools"]["package-dir"].values()}
    assert not needed & {*ignored}
    assert all((ROOT / name).exists() for name in needed)


def test_the_development_container_runs_a_target_of_make():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    make, target, variable = container["postCreateCommand"].split()
    assert (make, variable) == ("make", "TORCH=cpu")
    assert target in targets_of_make()


def test_the_workflow_publishes_what_make_site_builds():
    workflow = yaml.safe_load((ROOT / ".github/workflows/pages.yml").read_text())
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    (make,) = (step["run"] for step in build["steps"] if "run" in step)
    assert make == "make site TORCH=cpu"
    (upload,) = (step for step in build["steps"] if "upload-pages" in step.get("uses", ""))
    assert f"/{upload['with']['path']}/" in (ROOT / ".gitignore").read_text().splitlines()
    assert publish["needs"] == "build"
    assert workflow["permissions"] == {"contents": "read", "pages": "write", "id-token": "write"}
