"""The report, from notebooks executed in this process; its pages in a browser without network.

Kernels and papermill are tested in test_notebooks and study/test_schedule.
"""

import csv
import os
import re
import shutil
import sys

import nbformat
import numpy as np
import pytest
from helpers import FORKS, QUICK_UMAP, SMALL_FEATURES, TINY
from in_process import StandIn, execute_in_process
from PIL import Image

from dcgan_utils.cli import main
from dcgan_utils.core.environment import multiplies_bf16_fast
from dcgan_utils.core.files import reports_dir
from dcgan_utils.metrics import features
from dcgan_utils.plots import style
from dcgan_utils.report import build
from dcgan_utils.report.build import build_report, plan_report
from dcgan_utils.study import benchmark
from dcgan_utils.study.schedule import is_complete

TINY_BENCHMARK = {
    "img_size": "32",
    "width": "8",
    "batch_sizes": "4",
    "repeats": "1",
    "memory_epochs": "3",
    "quality_seeds": "1",
    "quality_epochs": "1",
    "precision": "auto",  # bf16 takes minutes where the processor has no units for it
}


EVIL_NAMES = (
    "<img src=x onerror=document.title='hacked'>",
    "<svg onload=document.title='hacked'>",
    "'\"> $x_{ $(touch y) {{ 7 * 7 }} {% raw %}",
    "[a](javascript:document.title='hacked') **b** | c",
    "new\nline",
)


def execute_briefly(name, output, parameters):
    """Search the latent space for a few steps, for the search is tested in runs/."""
    few = {"projection_steps": 5} if name == "latent" else {}
    return execute_in_process(name, output, parameters | few)


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
        patch.setattr(build, "execute_notebook", execute_briefly)
        patch.setattr(style, "DPI", style.DPI // 2)
        patch.setattr(features.extract, "__kwdefaults__", SMALL_FEATURES)
        patch.setattr(build, "_BRIEF_CAPACITY", {"copies": 8, "epochs": 2, "batch_size": 4})
        patch.setitem(sys.modules, "umap", QUICK_UMAP)
        patch.setattr(benchmark.multiprocessing, "get_context", lambda _: FORKS)
        patch.setattr(benchmark, "matmul_ceiling", lambda precision, device: 1e11)
        parameters = {**TINY, "img_size": "32"}  # text, as the command line gives it
        parameters["augment"] = "auto"
        planned = plan_report(
            str(images),
            "gamma,N(0, 100)",
            parameters=parameters,
            also="details,capacity,benchmark",
            benchmark=TINY_BENCHMARK,
        )
        return build_report(planned)


# --- What is in it -------------------------------------------------------------------------


def test_a_report_has_a_page_for_each_notebook(report):
    index, pages = report
    assert [page.failed for page in pages] == [""] * 9
    assert [page.html.name for page in pages] == [
        "eda.html",
        "augment.html",
        "trainings.html",
        "compare.html",
        "latent.html",
        "train-gamma.html",
        "train-normal_0_10.html",
        "capacity.html",
        "benchmark.html",
    ]
    text = index.read_text()
    for page in pages:
        assert f'href="{page.html.name}"' in text
        assert page.html.exists()
        assert page.image, "every page has an image on the index"
        assert page.html.stat().st_size < 5_000_000
        assert is_complete(page.notebook)
        assert nbformat.read(page.notebook, as_version=4).metadata.kernelspec.name == "python3"


def test_the_benchmark_keeps_its_numbers(report):
    folder = report[0].parent
    names = {"memory", "profile", "summary", "turns"}
    names |= {"layers", "quality"} if multiplies_bf16_fast("cpu") else set()
    assert names == {path.stem for path in folder.glob("*.csv")}
    rows = (folder / "turns.csv").read_text().splitlines()
    assert rows[0] == "batch,loop,turn,images_per_second,peak_memory"
    loops = 3 if multiplies_bf16_fast("cpu") else 2
    assert len(rows) == 1 + loops, "each loop once"


def test_progress_is_not_written_into_pages(report):
    assert not re.search(r"epoch \d/2", report[1][2].html.read_text())


def test_figures_have_alternative_texts(report):
    for page in report[1]:
        html = page.html.read_text()
        images = re.findall(r"<img[^>]*>", html)
        drawings = re.findall(r"<svg[^>]*role=\"img\"[^>]*>", html)
        assert len(drawings) >= 3
        for image in images + drawings:
            alternative = re.search(r'(?:alt|aria-label)="([^"]+)"', image)
            assert alternative, image[:80]
            assert "No description" not in alternative[1]


def test_the_index_answers_five_questions_and_shows_what_was_found(report):
    index, pages = report
    text = index.read_text()
    questions = re.findall(r"<dt>([^<]*)</dt>", text)
    assert len(questions) == 5
    assert "from 8 images of odd" in text
    assert "8 images" in pages[0].finding
    assert pages[0].finding in text
    assert "here there are 8" in pages[3].html.read_text(), "why so few images give no verdicts"
    assert "&lt;i&gt;broken" in pages[0].html.read_text()
    assert text.count('href="playground.html"') >= 2, "in the menu and among the cards"
    assert text.count('class="cover"') == 1 + sum(bool(page.image) for page in pages)
    assert all("base64,/9j/" in cover for cover in re.findall('class="cover".*?>.*?>', text))
    assert "54 trainings judges the claims on monet and plein_air" in text, "the evidence"
    playground = index.with_name("playground.html").read_text()
    assert '"label": "Gamma(2, 1)"' in playground
    assert '<nav class="menu"' in playground


# --- In a browser --------------------------------------------------------------------------


def open_tab(browser, *, width=360, scheme="light"):
    """Return a tab without a network, and the lists of its problems and requests."""
    context = browser.new_context(
        offline=True, color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    tab, problems, requests = context.new_page(), [], []
    tab.on("requestfailed", lambda request: problems.append(request.url[:100]))
    tab.on("console", lambda message: problems.append(message.text))
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    return tab, problems, requests


def site(report):
    index, pages = report
    others = (index.with_name(f"{name}.html") for name in ("beside", "playground", "glossary"))
    return [index, *others, *(page.html for page in pages)]


def assert_axe_finds_nothing_serious(tab):
    from axe_playwright_python.sync_playwright import Axe

    violations = Axe().run(tab).response["violations"]
    assert not [
        (tab.url, found["id"], found["nodes"][0]["html"][:100])
        for found in violations
        if found["impact"] in ("serious", "critical")
    ]


def assert_shown(tab, width):
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert tab.evaluate(broken) == 0
    assert tab.title() != "hacked", "names of files stay names"
    assert tab.evaluate("document.documentElement.scrollWidth") <= width, "fits"


def test_pages_open_from_disk_without_network_and_axe_finds_nothing_serious(report, browser):
    tab, problems, requests = open_tab(browser, width=360)
    dark = {*site(report)[:5], report[1][-1].html}  # the others have the colours of these
    for path in site(report):
        tab.emulate_media(color_scheme="light")
        tab.set_viewport_size({"width": 360, "height": 800})
        tab.goto(path.as_uri())
        if path.name == "playground.html":
            tab.wait_for_function("document.getElementById('busy').textContent === ''")
        assert_shown(tab, 360)
        assert not problems
        assert_axe_finds_nothing_serious(tab)
        tab.emulate_media(color_scheme="dark")
        tab.set_viewport_size({"width": 1300, "height": 800})
        assert_shown(tab, 1300)
        assert_leads_to_every_other(tab, path, site(report))
        if path in dark:
            assert_axe_finds_nothing_serious(tab)
        problems.clear()  # axe sends messages to frames, which file: pages refuse
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests)


def assert_leads_to_every_other(tab, path, paths):
    menu = tab.get_by_role("navigation", name="Pages").get_by_role("link")
    hrefs = menu.evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert sorted(hrefs) == sorted(other.name for other in paths)
    assert tab.locator("[aria-current=page]").get_attribute("href") == path.name


def test_formulas_are_rendered_and_code_is_folded(report, browser):
    tab, _, _ = open_tab(browser)
    tab.goto(report[1][5].html.as_uri())
    formulas = tab.locator(".formula svg")
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


def test_pages_lead_to_others_by_keyboard_alone(report, browser):
    tab, problems, _ = open_tab(browser, width=1300)
    paths = site(report)
    tab.goto(paths[4].as_uri())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to content"
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#content"
    tab.goto(paths[4].as_uri())
    for _ in range(5):
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/augment.html")
    tab.get_by_role("link", name="The trainings →").click()
    tab.wait_for_url("**/trainings.html")
    assert not problems


def test_a_page_prints_without_its_controls(report, browser, tmp_path):
    tab, _, _ = open_tab(browser, width=1300, scheme="dark")
    tab.goto(report[1][2].html.as_uri())
    tab.emulate_media(media="print")
    assert not tab.locator(".menu").is_visible()
    assert not tab.get_by_role("button", name="Show all code").is_visible()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 248)"
    tab.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000


# --- Failures ------------------------------------------------------------------------------


@pytest.fixture
def no_notebook_runs(monkeypatch):
    monkeypatch.setattr(build, "build_page", lambda *a, **k: pytest.fail("something ran"))


def test_a_report_with_a_failing_notebook_goes_on_and_fails(image_folder, monkeypatch, capsys):
    stand_in = StandIn()

    def execute(name, output, parameters):
        failed = stand_in(name, output, parameters)
        return "ValueError: boom" if name == "augment" else failed

    monkeypatch.setattr(build, "execute_notebook", execute)
    tiny = [word for name, value in TINY.items() for word in ("-p", name, str(value))]
    noises = ["--noises", "gamma,uniform"]
    assert main(["report", "--dataset", str(image_folder), *noises, *tiny]) == 1
    said = capsys.readouterr().out
    assert "Augmentation: FAILED: ValueError: boom" in said
    assert "Which noise?: done" in said
    index = reports_dir() / "ten-images" / "index.html"
    assert str(index) in said
    assert "boom" in index.read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--noises", "gama"], "Did you mean 'gamma'?"),
        (["--noises", "gamma,gamma"], "named twice"),
        (["--dataset", "nowhere"], "'nowhere'"),
        (["--preset", "best!"], "preset must be one of"),
        (["-p", "epoch", "5"], "'epoch' is not a parameter"),
        (["-p", "img_size", "65"], "img_size must be one of"),
    ],
)
def test_wrong_input_is_refused_before_anything_runs(
    arguments, sentence, image_folder, no_notebook_runs, capsys
):
    assert main(["report", "--dataset", str(image_folder), *arguments]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-p", "batch_size", "5"], "Did you mean 'batch_sizes'?"),
        (["-p", "batch_sizes", "64, many"], "batch_sizes"),
        (["-p", "dataset", "nowhere"], "'nowhere'"),
    ],
)
def test_a_wrong_benchmark_is_refused_before_it_runs(arguments, sentence, no_notebook_runs, capsys):
    assert main(["benchmark", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_the_command_of_the_benchmark_writes_a_page(image_folder, monkeypatch, capsys):
    def execute(name, output, parameters):
        assert (name, parameters["repeats"]) == ("benchmark", "1")
        nbformat.write(nbformat.v4.new_notebook(), output)
        return ""

    monkeypatch.setattr(build, "execute_notebook", execute)
    assert main(["benchmark", "-p", "dataset", str(image_folder), "-p", "repeats", "1"]) == 0
    html = reports_dir() / "benchmark" / "benchmark.html"
    assert html.exists()
    assert str(html) in capsys.readouterr().out


@pytest.mark.parametrize("command", [["report", "--dataset"], ["benchmark", "-p", "dataset"]])
def test_a_path_that_is_no_utf8_is_refused_before_anything_runs(
    command, image_folder, no_notebook_runs, capsys
):
    renamed = image_folder.rename(image_folder.with_name(os.fsdecode(b"caf\xe9")))
    assert main([*command, str(renamed)]) == 2
    assert "rename the folder" in capsys.readouterr().err


def test_reports_that_are_no_utf8_are_refused(image_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / os.fsdecode(b"caf\xe9")))
    assert main(["report", "--dataset", str(image_folder)]) == 2
    assert "rename the folder" in capsys.readouterr().err


def test_collections_of_one_name_have_reports_of_their_own(image_folder, monkeypatch):
    outputs = []

    def execute(name, output, parameters):
        outputs.append((output.parent.name, parameters.get("output")))
        nbformat.write(nbformat.v4.new_notebook(), output)
        return ""

    monkeypatch.setattr(build, "execute_notebook", execute)
    monkeypatch.setattr(build, "is_finished", lambda run: True)
    for place in ("a/pics", "b/pics", "a/benchmark", "b/pics"):
        folder = image_folder.parent / place
        if not folder.exists():
            shutil.copytree(image_folder, folder)
        index, _ = build_report(plan_report(str(folder), "gamma,normal"))
        name = index.parent.name
        assert name == {"a/pics": "pics", "b/pics": "pics-2"}.get(place, "benchmark-2")
        assert {folder for folder, _ in outputs} == {name}
        assert {output for _, output in outputs} == {name, None}, "the comparison's tables too"
        outputs.clear()


def test_a_report_that_cannot_be_written_is_reported(image_folder, home, capsys):
    (home / "reports").write_text("no folder")
    assert main(["report", "--dataset", str(image_folder)]) == 2
    assert "reports' is not a folder: rename or remove it" in capsys.readouterr().err
