"""The notebooks: how they are stored, which parameters they take, what they find and refuse."""

import ast
import functools
import os
import re
import shlex
import shutil

import nbformat
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from helpers import TINY
from in_process import execute_cells, execute_in_process, executed
from papermill.cli import _resolve_type, papermill
from PIL import Image

from dcgan_utils import study
from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.files import notebooks_dir
from dcgan_utils.data.load import load_dataset
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.plots.style import Figure
from dcgan_utils.report.configs import (
    AblationConfig,
    AugmentConfig,
    BenchmarkConfig,
    CapacityConfig,
    CompareConfig,
    EdaConfig,
    LatentConfig,
    StudyConfig,
    TrainingsConfig,
)
from dcgan_utils.runs.run import run_name
from dcgan_utils.runs.training import train
from dcgan_utils.study import benchmark

pytestmark = pytest.mark.usefixtures("small_features", "sensitivities_once")

IMPORT = re.compile(r"(from|import) ")
CONFIGS = {
    "train": TrainConfig,
    "trainings": TrainingsConfig,
    "eda": EdaConfig,
    "compare": CompareConfig,
    "study": StudyConfig,
    "ablation": AblationConfig,
    "augment": AugmentConfig,
    "capacity": CapacityConfig,
    "latent": LatentConfig,
    "benchmark": BenchmarkConfig,
}


SENSITIVITIES = functools.cache(study.sensitivities)


@pytest.fixture
def sensitivities_once(monkeypatch):
    """Compute a table once that every comparison shows."""
    monkeypatch.setattr(study, "sensitivities", SENSITIVITIES)


# --- How they are stored -------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CONFIGS, "start"])
def test_notebooks_are_stored_without_outputs_and_with_short_cells(name):
    notebook = nbformat.read(notebooks_dir() / f"{name}.ipynb", as_version=4)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "papermill" not in notebook.metadata
    tagged = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == (name in CONFIGS)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.execution_count is None
            assert not cell.outputs
            lines = [line for line in cell.source.splitlines() if not IMPORT.match(line)]
            assert cell in tagged or len(lines) <= 16
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    assert "**Question.**" in notebook.cells[0].source


@pytest.mark.parametrize(("name", "kind"), CONFIGS.items())
def test_a_notebook_has_exactly_the_parameters_of_its_config(name, kind):
    from papermill.inspection import _infer_parameters, load_notebook_node

    notebook = load_notebook_node(str(notebooks_dir() / f"{name}.ipynb"))
    parameters = _infer_parameters(notebook)
    shown = {field for field, about in kind.model_fields.items() if not about.exclude}
    assert {p.name for p in parameters} == shown
    assert all(p.help for p in parameters), "papermill --help-notebook shows it"


def test_every_notebook_is_tested():
    assert {path.stem for path in notebooks_dir().glob("*.ipynb")} == {*CONFIGS, "start"}


def test_the_start_lists_every_other_notebook_in_reading_order():
    text = (notebooks_dir() / "start.ipynb").read_text(encoding="utf-8")
    listed = re.findall(r"\| \[(\w+)\]\(\1\.ipynb\) \|", text)
    assert {*listed} == {*CONFIGS}
    assert listed[:4] == ["eda", "augment", "train", "trainings"]


ENDS = ["In short", "Take away", "Exercises", "References", "Provenance"]


def headings(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.findall(r"^#{1,3} (.+)", text, re.MULTILINE)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_notebook_ends_in_what_to_take_away_exercises_and_references(name):
    notebook = nbformat.read(notebooks_dir() / f"{name}.ipynb", as_version=4)
    last = [heading for heading in headings(notebook) if heading in ENDS]
    assert last == ENDS
    found = [c for c in notebook.cells if "finding" in c.metadata.get("tags", [])]
    assert len(found) == 1
    (take,) = (c.source for c in notebook.cells if c.source.startswith("## Take away"))
    assert len(re.findall(r"[.!?](?: |$)", take)) <= 4
    (exercises,) = (c.source for c in notebook.cells if c.source.startswith("## Exercises"))
    assert re.findall(r"^\*\*(\d)\.\*\*", exercises, re.M) == ["1", "2", "3"]
    assert exercises.count("<details><summary>Answer</summary>\n\n") == 3
    assert len(fences(name)) == 3
    references = [c.source for c in notebook.cells if c.source.startswith("## References")]
    assert "](https://" in references[0]


def fences(name):
    """Return the language and code of each exercise of a notebook."""
    notebook = nbformat.read(notebooks_dir() / f"{name}.ipynb", as_version=4)
    (exercises,) = (c.source for c in notebook.cells if c.source.startswith("## Exercises"))
    return re.findall(r"^```(python|sh)\n(.*?)^```", exercises, re.M | re.S)


COMMANDS = [
    line
    for name in CONFIGS
    for language, code in fences(name)
    if language == "sh"
    for line in code.splitlines()
    if line.startswith(("dcgan", "papermill"))
]


@pytest.mark.parametrize("line", dict.fromkeys(COMMANDS))
def test_the_commands_of_exercises_have_parameters_that_exist(line):
    program, *words = shlex.split(line)
    given = {n: v for flag, n, v in zip(words, words[1:], words[2:], strict=False) if flag == "-p"}
    assert given
    if program == "papermill":
        CONFIGS[words[0].removesuffix(".ipynb")].check(**given)
    else:
        assert words[:2] == ["train", "plein_air"]
        TrainConfig.check(**given, noise=words[words.index("--noise") + 1])


# --- Code that is folded in JupyterLab ---

TELLS = re.compile(r"describe|as_markdown|_summary$|_table$")
ROOMS = {"core", "data", "gan", "runs", "metrics", "study", "trials", "benchmark", "report", "live"}
SHOWS = {"display", "Markdown", "print", "dict", "zip", "map", "str", "len", "range", "min", "max"}


def draws_or_tells(cell):
    """Tell whether a cell does nothing but show what other cells have loaded or made."""
    for node in ast.walk(ast.parse(cell.source)):
        if not isinstance(node, ast.Call):
            continue
        name, *rest = reversed(ast.unparse(node.func).split("."))
        root = rest[-1] if rest else ""
        if root in ("plots", "notebook") or (root == "" and name in SHOWS):
            continue
        if (root in ROOMS or not rest) and not TELLS.search(name):
            return False
    return True


@pytest.mark.parametrize("name", [*CONFIGS, "start"])
def test_code_is_folded_only_where_it_draws_or_tells(name):
    cells = nbformat.read(notebooks_dir() / f"{name}.ipynb", as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    folded = [c for c in code if c.metadata.get("jupyter", {}).get("source_hidden")]
    for cell in folded:
        assert draws_or_tells(cell), cell.source
        assert not {"parameters"} & {*cell.metadata.get("tags", [])}
        made = {n.id for n in ast.walk(ast.parse(cell.source)) if is_stored(n)}
        others = "\n".join(c.source for c in code if c is not cell)
        for word in made:
            assert not re.search(rf"\b{word}\b(?! *=)", others) or word in REUSED, cell.source


REUSED = {"title", "figure", "name", "names"}  # each cell that uses them assigns them


def is_stored(node):
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


# --- papermill -----------------------------------------------------------------------------


def test_train_runs_from_inside_notebooks_with_a_relative_folder(
    home, image_folder, tmp_path, monkeypatch
):
    flags = [part for name, value in TINY.items() for part in ("-p", name, value)]
    relative = os.path.relpath(image_folder, notebooks_dir())
    command = ["train.ipynb", tmp_path / "out.ipynb", "-p", "noise", "gamma", "-p", "dataset"]
    monkeypatch.chdir(notebooks_dir())
    done = CliRunner().invoke(papermill, [*map(str, command), relative, *map(str, flags)])
    assert done.exit_code == 0, done.exception
    assert len(list((home / "reports" / "runs").glob("ten-images-gamma-s0-*/progress.gif"))) == 1


def test_a_wrong_parameter_ends_papermill_with_one_sentence(tmp_path):
    paths = [str(notebooks_dir() / "train.ipynb"), str(tmp_path / "out.ipynb")]
    done = CliRunner().invoke(papermill, [*paths, "-p", "epoch", "5"])
    assert done.exit_code != 0
    last = str(done.exception).strip().splitlines()[-1]
    assert last.startswith("WorkbookError: 'epoch' is not a parameter. Did you mean 'epochs'?")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("007", 7),
        ("1_000", 1000),
        ("+7", 7),
        ("1e3", 1000.0),
        ("nan", float("nan")),
        ("infinity", float("inf")),
        ("True", True),
        ("None", None),
    ],
)
def test_a_name_that_papermill_reads_as_a_number_is_refused(written, value):
    read = _resolve_type(written)
    assert repr(read) == repr(value), "what 'papermill -p dataset ...' makes of it"
    with pytest.raises(WorkbookError, match=f"dataset is {read}, .*use -r dataset"):
        execute_cells("train", dataset=read, **TINY)


@pytest.mark.parametrize("written", ["yes", "on", "0x10", "12:30:00", "2024-01-01", "true", "null"])
def test_other_names_stay_names_in_papermill(written):
    assert _resolve_type(written) == written
    with pytest.raises(WorkbookError, match=f"'{written}'"):
        execute_cells("train", dataset=written, **TINY)


# --- What they refuse ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        ("train", {"noise": "gama"}, "Did you mean 'gamma'?"),
        ("train", {"epochs": 0}, "epochs should be greater than or equal to 1"),
        ("train", {"img_size": 65}, "img_size must be one of 32, 64, 128, 256"),
        ("train", {"epoch": 5}, "'epoch' is not a parameter. Did you mean 'epochs'?"),
        ("train", {"dataset": "nowhere"}, "'nowhere'"),
        ("augment", {"policies": "none, pill"}, "Did you mean 'pil'?"),
        ("augment", {"image": "99"}, "give a number from 0 to 9"),
        ("ablation", {"changes": "flip"}, "'flip'"),
        ("capacity", {"copies": 0}, "copies should be greater than or equal to 1"),
        ("latent", {"run": "nothing"}, "no run in"),
        ("latent", {"max_factor": -1}, "max_factor should be greater than 0"),
        ("compare", {"runs": "nothing"}, "no run in"),
        ("study", {"grid": "nowhere.yaml"}, "cannot be read"),
    ],
)
def test_wrong_parameters_are_refused_in_a_sentence(image_folder, name, wrong, sentence):
    own = {} if name in ("latent", "compare", "study") else {"dataset": str(image_folder)}
    with pytest.raises(WorkbookError) as refusal:
        execute_cells(name, **own | wrong)
    assert sentence in str(refusal.value)


def test_the_start_looks_trains_watches_walks_and_asks_which_noise(home, image_folder):
    small = ", ".join(f"{name}={value!r}" for name, value in TINY.items())
    notebook = executed(
        "start",
        replaced={
            '"plein_air"': repr(str(image_folder)),
            "plein_air-*": "ten-images-*",
            "img_size=32, epochs=12": small,
        },
    )
    headings = re.findall(r"^## (\d\. .*)", "\n".join(c.source for c in notebook.cells), re.M)
    assert headings == ["1. Look", "2. Train", "3. Watch", "4. Walk", "5. Ask which noise"]
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.get("data", {}) for output in outputs]
    assert sum("image/png" in data or "image/jpeg" in data for data in shown) >= 5
    trained = {path.name[:17] for path in (home / "reports" / "runs").iterdir()}
    assert trained == {"ten-images-normal", "ten-images-gamma-"}


# --- What they find ------------------------------------------------------------------------


def told_in_short(notebook):
    """Return the sentences of the cell that tells what was found."""
    (finding,) = (c for c in notebook.cells if "finding" in c.metadata.get("tags", []))
    (told,) = (output.data["text/markdown"] for output in finding.outputs)
    return told


def test_trainings_gives_each_noise_a_verdict(home, image_folder):
    own = {"dataset": str(image_folder), "noises": "normal, N(3, 1)"}
    told = told_in_short(executed("trainings", **own, **TINY))
    assert re.match(r"\*\*.*(learned|collapsed|won)", told)
    assert re.search(r"KID: [\d.]+ with N\(0, 1\), [\d.]+ with N\(3, 1\);", told)
    assert len(list((home / "reports" / "runs").glob("ten-images-*/progress.gif"))) == 2


def test_a_training_that_fails_leaves_the_others_and_is_named_in_the_end(
    home, image_folder, tmp_path
):
    own = {"dataset": str(image_folder), **TINY}
    name = run_name(TrainConfig.resolve(**own, noise="gamma"), load_dataset(image_folder, 32))
    place = home / "reports" / "runs" / name
    place.parent.mkdir(parents=True)
    place.write_text("no folder")
    output = tmp_path / "out.ipynb"
    failed = execute_in_process("trainings", output, {**own, "noises": "gamma, normal"})
    assert failed.startswith("WorkbookError: Gamma(2, 1): ")
    told = told_in_short(nbformat.read(output, as_version=4))
    assert "N(0, 1)" in told
    assert "Gamma" not in told


def test_augment_tries_the_policies_when_asked(home, image_folder):
    small = {"width": 8, "img_size": 32, "batch_size": 4, "samples": 6, "device": "cpu"}
    asked = {"dataset": str(image_folder), "trial_images": 20, "policies": "none, pil"}
    execute_cells("augment", **asked, **small)
    rows = (home / "reports" / "augment" / "ten-images.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows] == [
        ["augment", "epochs"], ["none", "2"], ["pil", "1"]
    ]  # fmt: skip


def test_an_ablation_takes_a_preset_apart(home, image_folder):
    execute_cells(
        "ablation", dataset=str(image_folder), preset="quick", changes="flip: false; lr: 0.001",
        width=4, img_size=32, epochs=1, samples=6, device="cpu",
    )  # fmt: skip
    rows = (home / "reports" / "ablation" / "ten-images.csv").read_text().splitlines()
    names = [row.split(",")[0] for row in rows]
    assert names == ["change", "as it is", "flip: false", "lr: 0.001", "preset monet"]


def test_a_benchmark_can_leave_out_memory_and_quality(tmp_path):
    config = BenchmarkConfig.resolve()
    with pytest.raises(NotEnoughData, match="`memory_epochs` is 0"):
        benchmark.memory_over_epochs(config.training(), epochs=0)
    with pytest.raises(NotEnoughData, match="needs `quality_seeds`"):
        benchmark.precision_and_quality(config.training(), tmp_path, seeds=0)


@pytest.fixture
def labelled(tmp_path):
    """Return a folder of 16 images of two classes, with labels."""
    folder = tmp_path / "two classes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["file,subject"]
    for number in range(16):
        base = (200, 60, 40) if number % 2 else (30, 80, 190)
        pixels = np.clip(rng.normal(base, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
        lines.append(f"{number:02d}.png,{'fire' if number % 2 else 'water'}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def undrawn(monkeypatch):
    """Let a figure show nothing: test_figures draws them all, and the report those of a page."""
    monkeypatch.setattr(Figure, "encode", lambda figure: (b"", "png"))
    monkeypatch.setattr(Figure, "_repr_mimebundle_", lambda figure, **_: ({"image/png": ""}, {}))


def test_compare_measures_judges_and_keeps_the_numbers(home, labelled, tiny, quick_umap, undrawn):
    collection = load_dataset(labelled, 32)
    noises = ("normal", "uniform", "gamma", "N(1, 1)", "standardized(gamma)", "N(0, 100)")
    for noise in noises:
        for seed in (0, 1):
            train(tiny(noise=noise, seed=seed), collection)
    asked = {"samples": 16, "device": "cpu"}
    text = execute_cells("compare", runs="two-classes", **asked)
    assert "mode coverage" in text
    folder = home / "reports" / "compare"
    assert len((folder / "two-classes-dcgan-measures.csv").read_text().splitlines()) == 13
    claims = pd.read_csv(folder / "two-classes-dcgan-claims.csv")
    tested = claims.loc[claims["verdict"] != "not tested", "letter"]
    assert tested.tolist() == ["a2", "a3", "b1", "e", "f"]
    assert "grey" in (folder / "two-classes-dcgan-anchors.csv").read_text()
    assert "a3,kid" in (folder / "two-classes-dcgan-tests.csv").read_text()

    text = execute_cells("compare", runs="two-classes-normal-s0-*, two-classes-gamma-s0-*", **asked)
    assert "Seeds of each arm: " in text
    claims = pd.read_csv(folder / "two-classes-dcgan-claims.csv")
    assert set(claims["verdict"]) == {"undecided", "not tested"}


def test_compare_gives_no_verdicts_on_runs_that_differ_in_more(labelled, tiny, quick_umap, undrawn):
    collection = load_dataset(labelled, 32)
    train(tiny(), collection)
    train(tiny(noise="gamma", width=4), collection)
    text = execute_cells("compare", runs="two-classes", samples=8, device="cpu")
    assert "differ in more than noise and seed (width: 4, 8)" in text
    assert "cannot be compared" in text


def test_one_image_is_enough_for_the_notebooks_of_a_run(tmp_path):
    (tmp_path / "one").mkdir()
    Image.new("RGB", (32, 32), "red").save(tmp_path / "one" / "red.png")
    own = {"dataset": str(tmp_path / "one"), "img_size": 32, "device": "cpu"}
    text = execute_cells("train", **{**TINY, **own, "kid_samples": 2})
    assert "The real images do not vary." in text
    assert not re.search(r"(?<![\w+/])nan(?![\w+/])", text), "but in an image's base64"
    execute_cells("capacity", **own, copies=4, epochs=1, width=4, batch_size=2)
    text = execute_cells("latent", run="one", samples=2, projection_steps=2, device="cpu")
    assert "At least 2 real" in text


# --- Side products -------------------------------------------------------------------------


@pytest.fixture
def trained(image_folder, tiny):
    return train(tiny(kid_samples=4), load_dataset(image_folder, 32))


LITTLE = {"img_size": 32, "device": "cpu"}
TRIAL = LITTLE | {"width": 8, "batch_size": 4, "samples": 6}


@pytest.mark.parametrize(
    ("name", "parameters", "blocked"),
    [
        ("eda", LITTLE | {"k": 3}, ["reports/ten-images"]),
        ("augment", TRIAL | {"trial_images": 20, "policies": "none, pil"}, ["reports/augment"]),
        (
            "latent",
            {"samples": 4, "projection_steps": 2, "device": "cpu"},
            ["reports/latent", "reports/playground"],
        ),
        ("compare", {"samples": 10, "device": "cpu"}, ["reports/compare", "{run}/metrics.json"]),
        ("train", TINY | {"kid_samples": 4}, ["{run}/quality.csv"]),
    ],
)
def test_side_products_that_cannot_be_written_are_a_warning(
    name, parameters, blocked, trained, image_folder, home, quick_umap, undrawn
):
    own = {"latent": {"run": trained.name}, "compare": {"runs": trained.name}}
    for place in (home / path.format(run=trained.folder) for path in blocked):
        if place.suffix:
            place.mkdir()
        else:
            place.write_text("no folder")
    text = execute_cells(name, **own.get(name, {"dataset": str(image_folder)}), **parameters)
    assert "Not saved: '" in text
    assert "torch" in text, "the last cell was reached"
    assert ("The walk along one latent vector." in text) == (name == "latent")


@pytest.mark.parametrize("name", ["train", "latent"])
def test_a_finished_run_is_shown_without_what_was_deleted(name, trained, image_folder, undrawn):
    shutil.rmtree(trained.folder / "samples")
    for part in ("checkpoint.pt", "checkpoint-before.pt", "history.csv"):
        (trained.folder / part).unlink(missing_ok=True)
    parameters = {
        "train": {"dataset": str(image_folder), **TINY, "kid_samples": 4},
        "latent": {"run": trained.name, "samples": 2, "projection_steps": 1, "device": "cpu"},
    }
    text = execute_cells(name, **parameters[name])
    assert ("only that holds the discriminator" in text) == (name == "train")


# --- Exercises ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("eda", LITTLE | {"k": 3}),
        ("augment", LITTLE),
        ("latent", {"samples": 4, "projection_steps": 2, "device": "cpu"}),
    ],
)
def test_exercises_run_at_the_end_of_their_notebook(
    name, parameters, trained, image_folder, quick_umap, undrawn
):
    own = {"run": trained.name} if name == "latent" else {"dataset": str(image_folder)}
    codes = [code for language, code in fences(name) if language == "python"]
    cells = executed(name, more=codes, **own, **parameters).cells[-len(codes) :]
    assert all(cell.outputs for cell in cells)


@pytest.mark.parametrize("name", CONFIGS)
def test_exercises_are_code_and_no_sketch(name):
    for language, code in fences(name):
        if language == "python":
            ast.parse(code)
