"""Pages in a real browser: one of figures of our own, one of ``train.ipynb``, side by side."""

import io

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from helpers import TINY, some
from in_process import executed
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image, ImageChops

from dcgan_utils import notebook, plots
from dcgan_utils.report.site import Opening, make_page, write_site

WIDTHS = (1300, 800, 360)


def displayed(thing):
    """Return a cell that shows what Jupyter would show of a figure, table or HTML."""
    if hasattr(thing, "_repr_mimebundle_"):
        data, metadata = thing._repr_mimebundle_()
    else:
        data, metadata = {"text/html": thing._repr_html_(), "text/plain": ""}, {}
    return new_code_cell("1", outputs=[new_output("display_data", data=data, metadata=metadata)])


def made_up_notebook():
    wide = {f"measure_{n}": np.linspace(0, 1e3, 4) / 7 for n in range(20)}
    finding = new_output("display_data", data={"text/markdown": "It **learned**."})
    grey = ((f"epoch {n}", torch.full((4, 3, 16, 16), 50 * n, dtype=torch.uint8)) for n in range(5))
    noise = some(4, 16)
    cells = [
        new_markdown_cell("# Made up\n\nA question."),
        new_markdown_cell(r"## Formulas" "\n\n" r"$$\min_G \max_D \; \mathbb{E}[\log D(x)] + 1$$"),
        new_code_cell("import silence"),
        new_markdown_cell("## Figures"),
        displayed(plots.image_grid(some(12), title="Twelve", description="Twelve images.")),
        displayed(plots.cluster_sizes([3, 2, 1], what="something")),
        displayed(notebook.player(grey, "Five greys, one after the other.")),
        displayed(notebook.player(((f"step {n}", noise.roll(n, 2)) for n in range(60)), "Noise.")),
        new_markdown_cell("## Tables"),
        displayed(pd.DataFrame(wide, index=pd.Index([*"abcd"], name="noise"))),
        new_markdown_cell("## In short"),
        new_code_cell("1", metadata={"tags": ["finding"]}, outputs=[finding]),
        *(new_markdown_cell(f"## Part {n}\n\n" + "Words and words. " * 200) for n in range(8)),
    ]
    return new_notebook(cells=cells)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the paths of the pages: made up, of a training, side by side."""
    home = tmp_path_factory.mktemp("home")
    images = home / "images"
    images.mkdir()
    for number, image in enumerate(some(8)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(images / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DCGAN_HOME", str(home))
        notebooks = {
            "train-made-up": made_up_notebook(),
            "train-normal": executed("train", dataset=str(images), **TINY),
        }
    pages = []
    for name, content in notebooks.items():
        nbformat.write(content, home / f"{name}.ipynb")
        pages.append(make_page(home / f"{name}.ipynb", title=name))
    write_site(home, "Two pages", pages, Opening(()))
    return [home / f"{name}.html" for name in ("train-made-up", "train-normal", "beside")]


@pytest.fixture
def open_page(browser):
    """Return a function that opens a page without a network, where an error fails the test."""
    contexts, problems = [], []

    def open_page(path, width=1300, scheme="light"):
        viewport = {"width": width, "height": 800}
        context = browser.new_context(offline=True, viewport=viewport, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: problems.append(message.text))
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.goto(path.as_uri())
        if path.name == "beside.html":
            tab.wait_for_selector(".pair h2")
        tab.evaluate("Promise.all([...document.images].map((image) => image.decode()))")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert not problems


# --- Time ----------------------------------------------------------------------------------


def screenshot(tab):
    return Image.open(io.BytesIO(tab.screenshot(full_page=True))).convert("RGB")


def test_nothing_moves_by_itself(site, open_page):
    animated = """async () => {
        const drawn = [...document.querySelectorAll("svg image")].map((i) => i.href.baseVal);
        const all = [...drawn, ...[...document.images].map((image) => image.src)];
        const kinds = all.map(async (address) => {
            const blob = await (await fetch(address)).blob();
            const decoder = new ImageDecoder({ data: await blob.arrayBuffer(), type: blob.type });
            await decoder.tracks.ready;
            return decoder.tracks.selectedTrack.animated;
        });
        return (await Promise.all(kinds)).filter(Boolean).length;
    }"""
    for path in site:
        tab = open_page(path)
        assert tab.locator("img, svg image").count() > 1
        assert tab.evaluate(animated) == 0
        assert tab.evaluate("document.getAnimations().length") == 0
        before = screenshot(tab)
        tab.wait_for_timeout(1000)
        assert ImageChops.difference(before, screenshot(tab)).getbbox() is None


def test_a_player_stands_at_its_end_plays_once_and_follows_the_keys(site, open_page):
    tab = open_page(site[0])
    player = tab.locator(".player").first
    slider, shown = player.get_by_role("slider"), player.locator("output")
    image = player.locator("img")

    def level():
        return image.evaluate(
            """async (image) => {
                await image.decode();
                const pen = new OffscreenCanvas(1, 1).getContext("2d");
                pen.drawImage(image, 0, 0);
                return pen.getImageData(0, 0, 1, 1).data[0];
            }"""
        )

    assert shown.inner_text() == slider.get_attribute("aria-valuetext") == "epoch 4"
    assert level() == pytest.approx(200, abs=5)
    slider.focus()
    tab.keyboard.press("ArrowLeft")
    assert shown.inner_text() == slider.get_attribute("aria-valuetext") == "epoch 3"
    assert level() == pytest.approx(150, abs=5)
    tab.keyboard.press("Home")
    assert level() == pytest.approx(0, abs=5)
    player.get_by_role("button", name="Play").click()
    player.get_by_role("button", name="Stop").wait_for()
    player.get_by_role("button", name="Play").wait_for()  # it has come to its end
    assert shown.inner_text() == "epoch 4"
    tab.wait_for_timeout(500)
    assert shown.inner_text() == "epoch 4", "and does not begin again"
    assert tab.locator(".player").nth(1).locator("output").inner_text() == "step 59"
    player.get_by_role("button", name="Play").click()
    player.get_by_role("button", name="Stop").click()
    assert shown.inner_text() != "epoch 4", "it can be stopped on its way"


# --- Figures -------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1300, 360])
def test_every_figure_can_be_enlarged_and_closed_by_keyboard(site, open_page, width):
    for path in site:
        tab = open_page(path, width=width)
        buttons, dialog = tab.get_by_role("button", name="Enlarge: "), tab.get_by_role("dialog")
        figures = tab.locator("main :is(img, svg[role=img]):not(.player *, table *)")
        assert buttons.count() == figures.locator("visible=true").count() > 0
        for number in range(buttons.count()):
            button = buttons.nth(number)
            assert len(button.get_attribute("aria-label")) > len("Enlarge: ")
            button.focus()
            tab.keyboard.press("Enter")
            drawing = dialog.locator(".stage > *")
            drawing.wait_for()
            measure = "drawing => drawing.getBoundingClientRect().width"
            assert drawing.evaluate(measure) >= width - 20, (path.name, number)
            for _ in range(4):
                dialog.get_by_role("button", name="Smaller").press("Enter")
            assert drawing.evaluate(measure) == pytest.approx(width, abs=20)
            dialog.get_by_role("button", name="Larger").press("Enter")
            assert drawing.evaluate(measure) > 1.4 * width
            tab.keyboard.press("Escape")
            drawing.wait_for(state="detached")
            assert dialog.count() == 0
            assert button.evaluate("button => button === document.activeElement")


def test_a_click_on_a_figure_enlarges_it(site, open_page):
    tab = open_page(site[0], width=360)
    tab.locator("main .zoomable").first.click()
    tab.get_by_role("dialog").wait_for()
    tab.get_by_role("button", name="Close").click()
    tab.get_by_role("dialog").wait_for(state="hidden")


def test_text_in_charts_can_be_read_on_a_phone(site, open_page):
    tab = open_page(site[0], width=360)
    sizes = tab.locator("main svg text").evaluate_all(
        """texts => texts.filter((text) => text.checkVisibility()).map((text) => {
            const { a, b } = text.getScreenCTM();
            const size = parseFloat(getComputedStyle(text).fontSize);
            return [text.textContent, size * Math.hypot(a, b)];
        })"""
    )
    assert sizes, "no chart has text"
    assert not [text for text, size in sizes if size < 10.99]


# --- Finding one's way ---------------------------------------------------------------------


def test_no_page_overflows_sideways(site, open_page):
    for path in site:
        tab = open_page(path)
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 800})
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


def test_the_contents_stand_beside_the_page_and_mark_the_section(site, open_page):
    tab = open_page(site[0])
    contents = tab.get_by_role("navigation", name="On this page")
    ids = contents.get_by_role("link").evaluate_all(
        "links => links.map((link) => document.getElementById(link.getAttribute('href').slice(1)))"
        ".map((heading) => heading?.tagName)"
    )
    assert ids == ["H2"] * 11
    contents.get_by_role("link", name="Part 4").click()
    tab.wait_for_function(
        "document.querySelector('.contents [aria-current]').textContent === 'Part 4'"
    )
    assert tab.evaluate("location.hash") == "#Part-4"
    assert contents.is_visible(), "it stays where it is"
    assert tab.get_by_role("navigation", name="Pages").get_by_role("link").first.is_visible()
    assert contents.bounding_box()["x"] < tab.locator("main h1").bounding_box()["x"]


def test_on_a_phone_the_contents_are_a_menu_and_the_current_page_is_in_view(site, open_page):
    tab = open_page(site[2], width=360)
    current = tab.locator(".menu [aria-current]").bounding_box()
    assert 0 <= current["x"] < current["x"] + current["width"] <= 360
    tab = open_page(site[0], width=360)
    part = tab.get_by_role("link", name="Part 6", exact=True)
    assert not part.is_visible()
    tab.evaluate("scrollTo(0, 2000)")
    tab.get_by_text("On this page").click()
    part.click()
    assert not part.is_visible(), "the menu closes"
    top = tab.locator("#Part-6").bounding_box()["y"]
    assert 20 < top < 200, "the heading is not below the menu"


def test_a_heading_has_a_link_that_appears_for_the_keyboard(site, open_page):
    tab = open_page(site[0])
    link = tab.get_by_role("link", name="Link to: Tables")
    assert link.evaluate("link => getComputedStyle(link).opacity") == "0"
    link.focus()
    assert link.evaluate("link => getComputedStyle(link).opacity") == "1"


def test_tables_use_the_room_beside_the_text_and_scroll_within_their_box(site, open_page):
    tab = open_page(site[0])
    box = tab.locator(".outputs:has(table)")
    assert box.bounding_box()["width"] > tab.locator("main p").first.bounding_box()["width"] + 100
    for width in (1300, 360):
        tab.set_viewport_size({"width": width, "height": 800})
        assert box.evaluate("box => box.scrollWidth > box.clientWidth")
        assert box.get_attribute("tabindex") == "0"


def test_formulas_fit_on_a_phone(site, open_page):
    tab = open_page(site[0], width=360)
    assert tab.locator(".formula").evaluate("box => box.scrollWidth <= box.clientWidth")
    drawn = tab.locator(".formula svg").bounding_box()
    assert drawn["width"] > 100
    assert drawn["height"] > 15


# --- Side by side --------------------------------------------------------------------------


def test_figures_of_two_pages_stand_in_pairs_and_the_address_keeps_the_pages(site, open_page):
    tab = open_page(site[2])
    first, second = tab.get_by_label("The first page"), tab.get_by_label("The second page")
    first.select_option(label="train-normal")
    tab.wait_for_function(
        "[...document.querySelectorAll('.pair h2')].some((h) => h.textContent === 'Training')"
    )
    assert first.input_value() == second.input_value() == "train-normal.html"
    for pair in tab.locator("section.pair").all():
        one, other = (pair.locator("> div").nth(side).bounding_box() for side in (0, 1))
        assert one["y"] == other["y"]
        assert one["height"] == pytest.approx(other["height"], abs=1)
        assert one["x"] + one["width"] <= other["x"]
    players = tab.locator(".player")
    assert players.count() == 2
    players.nth(1).get_by_role("slider").press("Home")
    assert players.nth(1).locator("output").inner_text() == "epoch 1"
    assert players.nth(0).locator("output").inner_text() == "epoch 2"
    again = open_page(site[0], width=360)
    again.goto(tab.url)
    again.wait_for_selector(".pair h2")
    assert again.get_by_label("The first page").input_value() == "train-normal.html"
    one, other = again.locator("section.pair").first.locator("> div").all()
    assert one.bounding_box()["y"] < other.bounding_box()["y"]


def test_pages_without_a_common_heading_go_by_order(site, open_page):
    tab = open_page(site[2])
    assert tab.get_by_label("The first page").input_value() == "train-made-up.html"
    assert tab.get_by_label("The second page").input_value() == "train-normal.html"
    assert " | " in tab.locator(".pair h2").first.inner_text()


def test_no_title_lies_below_the_button_that_enlarges(site, open_page):
    tab = open_page(site[0], width=360)
    for figure in tab.locator(".zoomable").all():
        drawing = figure.locator("> :first-child").bounding_box()
        button = figure.locator(".enlarge").bounding_box()
        assert button["y"] + button["height"] <= drawing["y"] + 1


# --- For everybody -------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (360, "dark")])
def test_axe_finds_nothing_serious(site, open_page, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    for path in site[:2]:
        tab = open_page(path, width=width, scheme=scheme)
        found = Axe().run(tab).response["violations"]
        assert not [
            (path.name, violation["id"], violation["nodes"][0]["html"][:100])
            for violation in found
            if violation["impact"] in ("serious", "critical")
        ]
