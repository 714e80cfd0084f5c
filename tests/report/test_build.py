"""The report, made for real: notebooks through papermill, pages in a browser without network."""

import csv
import os
import re
import subprocess
import sys

import nbformat
import numpy as np
import pandas as pd
import pytest
from helpers import TINY
from PIL import Image

from dcgan_utils.cli import main
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import notebooks_dir, reports_dir
from dcgan_utils.data.load import load_dataset
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.report.build import build_report, run_notebook
from dcgan_utils.report.configs import (
    AblationConfig,
    AugmentConfig,
    BenchmarkConfig,
    CapacityConfig,
    CompareConfig,
    EdaConfig,
    LatentConfig,
    StudyConfig,
)
from dcgan_utils.runs.training import train

IMPORT = re.compile(r"(from|import) ")
NAMES = sorted(path.stem for path in notebooks_dir().glob("*.ipynb"))


TINY_BENCHMARK = {
    "img_size": "32",
    "width": "8",
    "batch_sizes": "4, 2",
    "alternations": "1",
    "memory_epochs": "3",
    "quality_seeds": "1",
    "quality_epochs": "1",
    "precision": "bf16",
}


EVIL_NAMES = (
    "<img src=x onerror=document.title='hacked'>",
    "<svg onload=document.title='hacked'>",
    "'\"> $x_{ $(touch y) {{ 7 * 7 }} {% raw %}",
    "[a](javascript:document.title='hacked') **b** | c",
    "new\nline",
)


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """Return index and pages of a report on tiny images from two noises."""
    home = tmp_path_factory.mktemp("a home with spaces")
    images = home / 'odd <b>"name"'
    images.mkdir()
    rng = np.random.default_rng(0)
    for index in range(8):
        pixels = rng.integers(0, 256, (36, 48, 3), np.uint8)
        Image.fromarray(pixels).save(images / f"{''.join(EVIL_NAMES[index:][:1])}{index}.png")
    (images / "<i>broken<img src=y>.png").write_bytes(b"")
    names = sorted(path.name for path in images.glob("*.png"))
    with (images / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "<img src=z onerror=document.title='hacked'> $x_{$"])
        writer.writerows([name, "<b>one" if n % 2 else "$two"] for n, name in enumerate(names))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DCGAN_HOME", str(home))
        parameters = {**TINY, "img_size": "32"}  # text, as the command line gives it
        parameters["augment"] = "auto"
        return build_report(
            str(images), "gamma,N(0, 100)", parameters=parameters, benchmark=TINY_BENCHMARK
        )


def test_a_report_has_the_collection_a_page_a_noise_a_comparison_and_the_speed(report):
    index, pages = report
    assert [page.failed for page in pages] == [""] * 8
    assert [page.html.name for page in pages] == [
        "eda.html",
        "augment.html",
        "train-gamma.html",
        "train-normal_0_10.html",
        "capacity.html",
        "latent.html",
        "compare.html",
        "benchmark.html",
    ]
    text = index.read_text()
    for page in pages:
        assert f'href="{page.html.name}"' in text
        assert page.html.exists()
        assert page.image, "every page has an image on the index"
        assert page.html.stat().st_size < 5_000_000


def test_the_benchmark_keeps_its_numbers(report):
    folder = report[0].parent
    names = ("layers", "memory", "profile", "quality", "summary", "turns")
    assert sorted(path.stem for path in folder.glob("*.csv")) == [*names]
    rows = (folder / "turns.csv").read_text().splitlines()
    assert rows[0] == "batch,loop,turn,images_per_second,peak_memory"
    assert len(rows) == 1 + 2 * 3, "three loops, two batch sizes"


def test_the_benchmark_alone_is_a_page(image_folder, home, capsys):
    parameters = TINY_BENCHMARK | {
        "dataset": str(image_folder), "batch_sizes": "4", "memory_epochs": "0", "quality_seeds": "0",
        "precision": "fp32",
    }  # fmt: skip
    flags = [part for name, value in parameters.items() for part in ("-p", name, value)]
    assert main(["benchmark", *flags]) == 0
    html = home / "reports" / "benchmark" / "benchmark.html"
    assert not html.with_name("memory.csv").exists()
    assert str(html) in capsys.readouterr().out
    assert html.read_text().count("<em>Skipped:") == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-p", "batch_size", "5"], "Did you mean 'batch_sizes'?"),
        (["-p", "batch_sizes", "64, many"], "batch_sizes"),
        (["-p", "dataset", "nowhere"], "is no known collection"),
        (["-p", "alternations", "1", "-p", "alternations", "2"], "given twice"),
    ],
)
def test_a_wrong_benchmark_is_refused_before_it_runs(arguments, sentence, monkeypatch, capsys):
    from dcgan_utils.report import build

    monkeypatch.setattr(build, "run_notebook", lambda *a, **k: pytest.fail("something ran"))
    assert main(["benchmark", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_executed_notebooks_keep_their_kernel_and_results(report):
    for page in report[1]:
        executed = nbformat.read(page.notebook, as_version=4)
        assert executed.metadata.kernelspec.name == "python3"
        assert any(cell.get("outputs") for cell in executed.cells)


def test_progress_is_one_line_an_epoch(report):
    page = report[1][2]
    lines = re.findall(r"epoch \d/2  loss of D [\d.]+, of G", page.html.read_text())
    assert len(lines) == TINY["epochs"]


def test_figures_have_alternative_texts(report):
    for page in report[1]:
        images = re.findall(r"<img[^>]*>", page.html.read_text())
        assert len(images) >= 3
        for image in images:
            alternative = re.search(r'alt="([^"]+)"', image)
            assert alternative, image[:80]
            assert "No description" not in alternative[1]


def opened_tab(browser, *, width=360, scheme="light"):
    """Return a tab without a network, and the lists of its troubles and requests."""
    context = browser.new_context(
        offline=True, color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    tab, troubles, requests = context.new_page(), [], []
    tab.on("requestfailed", lambda request: troubles.append(request.url[:100]))
    tab.on("console", lambda message: troubles.append(message.text))
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    return tab, troubles, requests


def site(report):
    index, pages = report
    others = (index.with_name(name) for name in ("beside.html", "playground.html"))
    return [index, *others, *(page.html for page in pages)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_open_from_disk_without_network(report, browser, scheme):
    tab, troubles, requests = opened_tab(browser, scheme=scheme)
    for path in site(report):
        tab.goto(path.as_uri())
        if path.name == "playground.html":
            tab.wait_for_function("document.getElementById('busy').textContent === ''")
        broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
        assert tab.evaluate(broken) == 0
        assert tab.title() != "hacked", "names of files stay names"
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360, "fits a phone"
    assert not troubles
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests)

    tab.goto(report[1][2].html.as_uri())
    formulas = tab.locator('math[display="block"]')
    assert formulas.count() >= 2
    for position in range(formulas.count()):
        box = formulas.nth(position).bounding_box()
        assert box["width"] > 50
        assert box["height"] > 10
    assert not any("$" in text for text in tab.locator(".prose").all_inner_texts())
    code = tab.locator("details.code .highlight").first
    assert not code.is_visible()
    tab.get_by_role("button", name="Show all code").click()
    assert code.is_visible()
    tab.get_by_role("button", name="Hide all code").click()
    assert not code.is_visible()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1300, "dark")])
def test_axe_finds_nothing_serious(report, browser, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    tab, _, _ = opened_tab(browser, width=width, scheme=scheme)
    for path in site(report):
        tab.goto(path.as_uri())
        found = Axe().run(tab).response["violations"]
        serious = [
            (path.name, violation["id"], violation["nodes"][0]["html"][:100])
            for violation in found
            if violation["impact"] in ("serious", "critical")
        ]
        assert not serious


def test_every_page_leads_to_every_other_by_keyboard_alone(report, browser):
    tab, troubles, _ = opened_tab(browser, width=1300)
    paths = site(report)
    for path in paths:
        tab.goto(path.as_uri())
        menu = tab.get_by_role("navigation", name="Pages").get_by_role("link")
        hrefs = [link.get_attribute("href") for link in menu.all()]
        assert sorted(hrefs) == sorted(other.name for other in paths)
        assert tab.locator("[aria-current=page]").get_attribute("href") == path.name
    tab.goto(paths[3].as_uri())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "To the content"
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#content"
    tab.goto(paths[3].as_uri())
    for _ in range(5):
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/augment.html")
    tab.get_by_role("link", name="Training with Gamma(2, 1) →").click()
    tab.wait_for_url("**/train-gamma.html")
    assert not troubles


def test_two_pages_stand_side_by_side_and_the_address_keeps_them(report, browser):
    index, _ = report
    tab, troubles, _ = opened_tab(browser, width=1300)
    tab.goto(index.with_name("beside.html").as_uri())

    def titles():
        frames = [frame for frame in tab.frames if frame is not tab.main_frame]
        return [frame.locator(".bar p").inner_text() for frame in frames]

    assert titles() == ["Training with Gamma(2, 1)", "Training with N(0, 100)"]
    assert not tab.frames[1].get_by_role("navigation", name="Pages").is_visible()
    tab.get_by_label("The second page").select_option(label="The noises compared")
    tab.wait_for_timeout(500)
    assert titles() == ["Training with Gamma(2, 1)", "The noises compared"]
    again, _, _ = opened_tab(browser, width=360)
    again.goto(tab.url)
    tab = again
    assert titles() == ["Training with Gamma(2, 1)", "The noises compared"]
    assert not troubles


def test_a_page_prints_without_its_controls(report, browser, tmp_path):
    tab, _, _ = opened_tab(browser, width=1300, scheme="dark")
    tab.goto(report[1][2].html.as_uri())
    tab.emulate_media(media="print")
    assert not tab.locator(".menu").is_visible()
    assert not tab.get_by_role("button", name="Show all code").is_visible()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 248)"
    tab.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000


def test_the_index_tells_the_collection_and_the_verdicts(report):
    text = report[0].read_text()
    assert "Images: 8 (8 PNG; 8 RGB; 48 x 36)" in text
    assert "&lt;i&gt;broken" in text
    assert "so there are no verdicts" in text, "of so few images"
    assert text.count('href="playground.html"') == 2, "in the menu and above the cards"
    playground = report[0].with_name("playground.html").read_text()
    assert '"label": "Gamma(2, 1)"' in playground
    assert '<nav class="menu"' in playground


def test_a_failing_notebook_leaves_its_copy_and_says_so(home):
    page = run_notebook("train", home / "out.ipynb", {"dataset": "nowhere"}, title="<i>Fails</i>")
    assert page.failed.startswith("WorkbookError: 'nowhere' is no known collection")
    outputs = [o for c in nbformat.read(page.notebook, 4).cells for o in c.get("outputs", [])]
    assert [o["ename"] for o in outputs if o["output_type"] == "error"] == ["WorkbookError"]
    html = page.html.read_text()
    assert 'role="alert"' in html
    assert html.count("is no known collection") > 1, "at the top too"
    assert "is no known collection" in html
    assert "Traceback (most recent" not in html
    assert "<i>Fails" not in html


def test_a_report_with_a_failing_notebook_goes_on_and_fails(image_folder, monkeypatch, capsys):
    from dcgan_utils.report import build

    def run(name, output, parameters, *, title, **rest):
        nbformat.write(nbformat.v4.new_notebook(), output)
        failed = "ValueError: boom" if parameters.get("noise") == "gamma(2, 1)" else ""
        return build.make_page(output, title=title, failed=failed)

    monkeypatch.setattr(build, "run_notebook", run)
    arguments = ["report", "--dataset", str(image_folder), "--noises", "gamma,uniform,normal"]
    assert main(arguments) == 1
    said = capsys.readouterr().out
    assert "Gamma(2, 1): FAILED: ValueError: boom" in said
    assert "The noises compared: done" in said
    index = reports_dir() / "ten-images" / "index.html"
    assert str(index) in said
    assert "boom" in index.read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--noises", "gama"], "Did you mean 'gamma'?"),
        (["--noises", "gamma,gamma"], "named twice"),
        (["--dataset", "nowhere"], "is no known collection"),
        (["--preset", "best!"], "preset must be one of"),
        (["-p", "epoch", "5"], "'epoch' is not a parameter"),
        (["-p", "img_size", "65"], "img_size must be one of"),
    ],
)
def test_wrong_input_is_refused_before_anything_runs(
    arguments, sentence, image_folder, monkeypatch, capsys
):
    from dcgan_utils.report import build

    monkeypatch.setattr(build, "run_notebook", lambda *a, **k: pytest.fail("something ran"))
    assert main(["report", "--dataset", str(image_folder), *arguments]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["noise", "preset", "dataset"])
def test_parameters_with_an_option_of_their_own_are_no_extras(wrong, image_folder, capsys):
    assert main(["report", "--dataset", str(image_folder), "-p", wrong, "gamma"]) == 2
    assert f"--{wrong}" in capsys.readouterr().err


def test_a_kernel_that_dies_fails_its_page_alone(home, tmp_path, monkeypatch):
    from dcgan_utils.report import build

    cells = [nbformat.v4.new_code_cell("import os; os.kill(os.getpid(), 9)")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "dies.ipynb")
    monkeypatch.setattr(build, "notebooks_dir", lambda: tmp_path)
    page = run_notebook("dies", home / "out.ipynb", {}, title="Dies")
    assert "the kernel died" in page.failed
    assert "the kernel died" in page.html.read_text()


@pytest.mark.parametrize("argv", [["/nowhere/python"], [sys.executable, "-c", "pass"]])
def test_a_kernel_that_does_not_start_is_told(home, monkeypatch, argv):
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    spec = KernelSpec(argv=[*argv, "{connection_file}"], display_name="p", language="python")
    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda *_: spec)
    with pytest.raises(WorkbookError, match=r"kernel 'python3' does not start .* doctor"):
        run_notebook("compare", home / "out.ipynb", {"runs": "x"}, title="t")


def test_a_report_that_cannot_be_written_is_told(image_folder, home, capsys):
    (home / "reports").write_text("no folder")
    assert main(["report", "--dataset", str(image_folder)]) == 2
    assert "DCGAN_HOME" in capsys.readouterr().err


# --- The notebooks themselves ------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_stored_without_outputs_and_with_short_cells(name):
    notebook = nbformat.read(notebooks_dir() / f"{name}.ipynb", as_version=4)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "papermill" not in notebook.metadata
    tagged = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.execution_count is None
            assert not cell.outputs
            lines = [line for line in cell.source.splitlines() if not IMPORT.match(line)]
            assert cell in tagged or len(lines) <= 16
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    assert "**Question.**" in notebook.cells[0].source


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("train", TrainConfig),
        ("eda", EdaConfig),
        ("compare", CompareConfig),
        ("study", StudyConfig),
        ("ablation", AblationConfig),
        ("augment", AugmentConfig),
        ("capacity", CapacityConfig),
        ("latent", LatentConfig),
        ("benchmark", BenchmarkConfig),
    ],
)
def test_a_notebook_has_exactly_the_parameters_of_its_config(name, kind):
    from papermill.inspection import _infer_parameters, load_notebook_node

    notebook = load_notebook_node(str(notebooks_dir() / f"{name}.ipynb"))
    parameters = _infer_parameters(notebook)
    assert {p.name for p in parameters} == set(kind.model_fields)
    assert all(p.help for p in parameters)


def papermill(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "papermill", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_train_runs_from_inside_notebooks_with_a_relative_folder(home, image_folder, tmp_path):
    flags = [part for name, value in TINY.items() for part in ("-p", name, value)]
    relative = os.path.relpath(image_folder, notebooks_dir())
    done = papermill(
        "train.ipynb", tmp_path / "out.ipynb", "-p", "noise", "gamma", "-p", "dataset", relative,
        *flags, cwd=notebooks_dir(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((home / "reports" / "runs").glob("ten-images-gamma-s0-*/progress.gif"))) == 1


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("noise", "gama", "Did you mean 'gamma'?"),
        ("epochs", 0, "epochs should be greater than or equal to 1"),
        ("img_size", 65, "img_size must be one of 32, 64, 128, 256"),
        ("epoch", 5, "'epoch' is not a parameter. Did you mean 'epochs'?"),
        ("dataset", "nowhere", "'nowhere' is no known collection"),
    ],
)
def test_a_wrong_parameter_ends_the_notebook_with_one_sentence(name, value, sentence, tmp_path):
    done = papermill(
        notebooks_dir() / "train.ipynb", tmp_path / "out.ipynb", "-p", name, value, cwd=tmp_path
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("WorkbookError: ")
    assert sentence in last


def test_help_lists_the_parameters():
    done = papermill("--help-notebook", "train.ipynb", cwd=notebooks_dir())
    assert done.returncode == 0
    assert "noise_size: int" in done.stdout
    assert "length of a latent vector" in done.stdout


def test_augment_tries_the_policies_when_asked(home, image_folder):
    small = {"width": 8, "img_size": 32, "batch_size": 4, "samples": 6, "device": "cpu"}
    parameters = {
        "dataset": str(image_folder),
        "trial_images": 20,
        "policies": "none, pil",
        **small,
    }
    page = run_notebook("augment", home / "out.ipynb", parameters, title="t")
    assert not page.failed
    rows = (home / "reports" / "augment" / "ten-images.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows] == [
        ["augment", "epochs"], ["none", "2"], ["pil", "1"]
    ]  # fmt: skip
    assert "Nearest to the collection comes" in page.html.read_text()


def test_an_ablation_takes_a_preset_apart(home, image_folder):
    parameters = {
        "dataset": str(image_folder), "preset": "quick", "changes": "flip: true; lr: 0.001",
        "width": 4, "img_size": 32, "epochs": 1, "samples": 6, "device": "cpu",
    }  # fmt: skip
    page = run_notebook("ablation", home / "out.ipynb", parameters, title="t")
    assert not page.failed
    rows = (home / "reports" / "ablation" / "ten-images.csv").read_text().splitlines()
    names = [row.split(",")[0] for row in rows]
    assert names == ["change", "as it is", "flip: true", "lr: 0.001", "preset monet"]
    assert "Most is lost with" in page.html.read_text()
    assert page.image


@pytest.fixture
def paintings(tmp_path):
    """Return a folder of 16 images of two kinds, with labels."""
    folder = tmp_path / "two kinds"
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


def test_compare_measures_judges_and_keeps_the_numbers(home, paintings, tiny):
    collection = load_dataset(paintings, 32)
    noises = ("normal", "uniform", "gamma", "N(1, 1)", "standardized(gamma)", "N(0, 100)")
    for noise in noises:
        for seed in (0, 1):
            train(tiny(noise=noise, seed=seed), collection)
    asked = {"runs": "two-kinds", "samples": 20, "device": "cpu"}
    page = run_notebook("compare", home / "out.ipynb", asked, title="t")
    assert not page.failed
    text = page.html.read_text()
    assert "mode coverage" in text
    assert text.count("Verdict:") == 6
    assert "Not tested" not in text
    assert "<strong>With one seed" not in text
    kept = home / "reports" / "compare"
    assert len((kept / "two-kinds-dcgan-measures.csv").read_text().splitlines()) == 13
    assert len((kept / "two-kinds-dcgan-claims.csv").read_text().splitlines()) == 7

    one = {**asked, "runs": "two-kinds-*-s0-*"}
    page = run_notebook("compare", home / "one.ipynb", one, title="t")
    assert not page.failed
    assert "<strong>With one seed" in page.html.read_text()
    verdicts = pd.read_csv(kept / "two-kinds-dcgan-claims.csv")["probability"]
    assert set(verdicts) == {"not decided"}


def test_compare_gives_no_verdicts_on_runs_that_differ_in_more(home, paintings, tiny):
    collection = load_dataset(paintings, 32)
    train(tiny(), collection)
    train(tiny(noise="gamma", width=4), collection)
    asked = {"runs": "two-kinds", "samples": 20, "device": "cpu"}
    page = run_notebook("compare", home / "out.ipynb", asked, title="t")
    assert not page.failed
    text = page.html.read_text()
    assert "differ in more than noise and seed (width: 4, 8)" in text
    assert "there are no verdicts" in text


def test_one_image_is_enough_for_every_page_of_a_run(home, tmp_path):
    (tmp_path / "one").mkdir()
    Image.new("RGB", (32, 32), "red").save(tmp_path / "one" / "red.png")
    own = {"dataset": str(tmp_path / "one"), "img_size": 32, "device": "cpu"}
    tiny = {**TINY, **own, "kid_samples": 2}
    assert not run_notebook("train", home / "train.ipynb", tiny, title="t").failed
    brief = {**own, "copies": 4, "epochs": 1, "width": 4, "batch_size": 2}
    assert not run_notebook("capacity", home / "capacity.ipynb", brief, title="t").failed
    walk = {"run": "one", "samples": 2, "projection_steps": 2, "device": "cpu"}
    page = run_notebook("latent", home / "latent.ipynb", walk, title="t")
    assert not page.failed
    assert "At least two real" in page.html.read_text()


@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        ("augment", {"policies": "none, pill"}, "Did you mean 'pil'?"),
        ("ablation", {"changes": "flip"}, "is no change"),
        ("augment", {"image": "99"}, "give a number from 0 to 9"),
        ("capacity", {"copies": 0}, "copies should be greater than or equal to 1"),
        ("latent", {"run": "nothing"}, "no run in"),
        ("latent", {"reach": -1}, "reach should be greater than 0"),
    ],
)
def test_wrong_parameters_end_the_other_notebooks_too(home, image_folder, name, wrong, sentence):
    own = {} if name == "latent" else {"dataset": str(image_folder)}
    page = run_notebook(name, home / "out.ipynb", own | wrong, title="t")
    assert sentence in page.failed


def test_compare_refuses_runs_that_are_not_there(home):
    page = run_notebook("compare", home / "out.ipynb", {"runs": "nothing"}, title="t")
    assert "no run in" in page.failed


def test_a_missing_notebook_is_told(home):
    with pytest.raises(
        WorkbookError,
        match=r"There are: ablation, augment, .*, compare, eda, latent, study, train",
    ):
        run_notebook("nonsense", home / "out.ipynb", {}, title="t")
