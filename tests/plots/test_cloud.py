"""The cloud of images in a browser without network."""

import json
import re

import numpy as np
import pytest
import torch

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.plots.cloud import image_cloud

COLORS = ["#ff0000", "#0000ff"]
HOSTILE = "</script><script>document.body.remove()</script><b>\"'&\u2028\\u0041 ünï 🎨"


def paint(number, side=48):
    """Return images with a gradient and some grain, each of other colours."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 255, (2, number, 3, 1, 1))
    slope = np.linspace(0, 1, side)[:, None] * np.linspace(0.3, 1, side)
    pixels = corners[0] + (corners[1] - corners[0]) * slope
    pixels = pixels + rng.normal(0, 10, pixels.shape)
    return torch.from_numpy(pixels.clip(0, 255).astype(np.uint8))


def make(number=40, **changes):
    """Return a cloud's HTML: two groups, the even and the odd."""
    arguments = {
        "points": np.random.default_rng(0).normal(size=(number, 3)),
        "images": paint(number),
        "groups": [index % 2 for index in range(number)],
        "group_names": ["evens", "odds"],
        "names": [f"image {index}.png" for index in range(number)],
        "colors": COLORS,
        "title": "A cloud",
        "description": "Images in two groups.",
    }
    return image_cloud(**arguments | changes).data


# --- What is embedded --------------------------------------------------------------------


def data_of(html):
    return json.loads(re.search(r"const data = (.*);\n", html)[1])


def test_coordinates_are_centred_scaled_alike_and_short():
    points = 1e-4 * np.array([[100, 50, 50], [102, 50, 50], [101, 50, 50.5], [101, 50, 49.5]])
    html = make(4, points=points.astype(np.float32))
    read = np.array(data_of(html)["points"]).reshape(4, 3)
    expected = [[-1, 0, 0], [1, 0, 0], [0, 0, 0.5], [0, 0, -0.5]]
    np.testing.assert_allclose(read, expected, atol=0.002)
    assert all(len(str(value)) <= 6 for value in data_of(html)["points"])


def test_fifteen_hundred_thumbnails_stay_small():
    assert len(make(1500)) < 1_200_000


def test_small_images_are_not_enlarged():
    assert data_of(make(images=paint(40, side=16)))["side"] == 16
    assert data_of(make())["side"] == 48
    assert data_of(make(images=paint(40, side=96)))["side"] == 64


def test_an_image_in_a_pile_can_be_seen():
    rng = np.random.default_rng(0)
    piles = np.repeat([[0, 0, 0], [10, 0, 0], [0, 10, 0]], 30, axis=0)
    points = np.array(data_of(make(90, points=piles + rng.normal(0, 1e-3, piles.shape)))["points"])
    points = points.reshape(90, 3)
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert distance.min() > 0.08
    pile = np.arange(90) // 30
    assert (pile[distance.argmin(axis=1)] == pile).mean() > 0.9, "neighbours stay neighbours"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"points": np.zeros((40, 2))}, r"not \(40, 2\)"),
        ({"points": np.zeros((0, 3))}, r"not \(0, 3\)"),
        ({"points": np.full((40, 3), np.nan)}, "40 of the 40 points"),
        ({"points": np.array([[0, 0, np.inf]] + [[0, 0, 0]] * 39)}, "1 of the 40 points"),
        ({"images": paint(39)}, "39 images"),
        ({"names": ["one"]}, "1 names"),
        ({"groups": [0]}, "1 groups"),
        ({"groups": [-1] * 40}, "from -1 to -1"),
        ({"groups": [2] * 40}, "between 0 and 1"),
        ({"colors": ["red"]}, "2 group names and 1 colours"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changes, sentence):
    with pytest.raises(WorkbookError, match=sentence):
        make(**changes)


# --- In the browser ----------------------------------------------------------------------

CANVAS = ".stage > canvas"
PIXELS = """canvas => {
    const { width, height } = canvas;  // a copy: the canvas itself is not made for reading
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    return copy.getImageData(0, 0, width, height).data;
}"""
PAINTED = f"canvas => canvas.width > 0 && ({PIXELS})(canvas).some(value => value)"
COUNT = f"""(canvas, [red, green, blue]) => {{
    const pixels = ({PIXELS})(canvas);
    let count = 0;
    for (let i = 0; i < pixels.length; i += 4)
        count += pixels[i] === red && pixels[i + 1] === green && pixels[i + 2] === blue;
    return count;
}}"""
RED, BLUE = [255, 0, 0], [0, 0, 255]


@pytest.fixture(scope="module")
def tab_with(browser):
    """Return a function that gives the tab with some settings; a new one takes half a second."""
    tabs = {}

    def tab_with(**settings):
        key = repr(settings)
        if key not in tabs:
            tabs[key] = browser.new_context(offline=True, **settings).new_page()
        return tabs[key]

    yield tab_with
    for tab in tabs.values():
        tab.context.close()


@pytest.fixture
def visit(tab_with, tmp_path):
    """Return a function that opens clouds in one page; in the end nothing may have gone wrong."""
    troubles, requests, visited = [], [], []
    heard = {
        "console": lambda message: troubles.append(message.text),
        "pageerror": lambda error: troubles.append(str(error)),
        "request": lambda request: requests.append(request.url),
    }

    def visit(*clouds, **settings):
        page = tmp_path / "page.html"
        page.write_text(
            '<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,">'
            '<meta name="viewport" content="width=device-width">' + "".join(clouds),
            encoding="utf-8",
        )
        settings = {
            "reduced_motion": "reduce",
            "viewport": {"width": 800, "height": 700},
        } | settings
        tab = tab_with(**settings)
        visited.append(tab)
        for event, listener in heard.items():
            tab.on(event, listener)
        tab.mouse.move(0, 0)
        tab.goto(page.as_uri())
        if settings.get("java_script_enabled", True):
            for canvas in tab.locator(CANVAS).all():
                until(canvas, PAINTED)
        return tab

    yield visit
    for tab in visited:
        tab.goto("about:blank")
        for event, listener in heard.items():
            tab.remove_listener(event, listener)
    assert not troubles
    assert all(url.startswith(("file:", "data:")) for url in requests)


def until(locator, condition, argument=None):
    """Wait until a JavaScript function of an element and an argument gives true."""
    handle = locator.element_handle()
    locator.page.wait_for_function(
        f"([element, argument]) => ({condition})(element, argument)", arg=[handle, argument]
    )


def drawing(canvas):
    return canvas.evaluate("canvas => canvas.toDataURL()")


def changes(canvas, act):
    """Do something, wait until the canvas shows another image."""
    before = drawing(canvas)
    act()
    until(canvas, "(canvas, before) => canvas.toDataURL() !== before", before)


def settle(tab):
    """Wait until all that has been asked for is drawn."""
    tab.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


def middle(canvas):
    box = canvas.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(tab, canvas, across, down):
    x, y = middle(canvas)
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + across, y + down, steps=4)
    tab.mouse.up()


def swipe(tab, canvas, across, down):
    x, y = middle(canvas)
    devtools = tab.context.new_cdp_session(tab)
    points = [{"x": x + across * step / 10, "y": y + down * step / 10} for step in range(11)]
    for kind, point in zip(["touchStart", *["touchMove"] * 10], points, strict=True):
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_everything_that_turns_or_zooms_changes_the_image(visit):
    tab = visit(make())
    canvas = tab.locator(CANVAS)
    changes(canvas, lambda: drag(tab, canvas, 80, 0))
    changes(canvas, lambda: drag(tab, canvas, 0, 80))
    canvas.focus()
    for key in ["ArrowLeft", "ArrowUp", "+", "ArrowRight", "ArrowDown", "-"]:
        changes(canvas, lambda key=key: tab.keyboard.press(key))
    changes(canvas, tab.get_by_role("button", name="Zoom in").click)
    changes(canvas, tab.get_by_role("button", name="Zoom out").click)
    changes(canvas, tab.get_by_role("button", name="Show dots").click)
    changes(canvas, tab.get_by_role("button", name="Show images").click)


def test_a_group_is_hidden_and_shown_from_the_legend(visit):
    tab = visit(make())
    canvas = tab.locator(CANVAS)
    changes(canvas, tab.get_by_role("button", name="Show dots").click)
    assert canvas.evaluate(COUNT, RED) > 100
    assert canvas.evaluate(COUNT, BLUE) > 100
    button = tab.get_by_role("button", name="evens (20)")
    changes(canvas, button.click)
    assert button.get_attribute("aria-pressed") == "false"
    assert canvas.evaluate(COUNT, RED) == 0
    assert canvas.evaluate(COUNT, BLUE) > 100
    changes(canvas, button.click)
    assert button.get_attribute("aria-pressed") == "true"
    assert canvas.evaluate(COUNT, RED) > 100


def test_an_image_is_at_its_point_in_a_frame_of_its_colour(visit):
    images = torch.zeros(5, 3, 32, 32, dtype=torch.uint8)
    images[3, 1] = 255
    points = np.zeros((5, 3))
    tab = visit(make(5, images=images, points=points, groups=[1, 1, 1, 0, 1]))
    canvas = tab.locator(CANVAS)
    changes(canvas, tab.get_by_role("button", name="odds (4)").click)
    width, height = canvas.evaluate("canvas => [canvas.width, canvas.height]")
    at = 4 * (height // 2 * width + width // 2)
    red, green, blue = canvas.evaluate(f"canvas => [...({PIXELS})(canvas).slice({at}, {at} + 3)]")
    assert green > 200
    assert red < 60 > blue
    assert canvas.evaluate(COUNT, RED) > 100


def test_pointing_shows_name_and_group_and_hostile_names_are_text(visit):
    hostile = {"names": [HOSTILE], "group_names": [HOSTILE, ""], "title": HOSTILE}
    tab = visit(make(1, **hostile, description=HOSTILE))
    canvas, tip = tab.locator(CANVAS), tab.locator(".tip")
    assert not tip.is_visible()
    tab.mouse.move(*middle(canvas))
    tip.wait_for(state="visible")
    assert tip.locator("b").text_content() == HOSTILE
    assert tip.locator("span").text_content() == HOSTILE
    assert tip.locator("canvas").evaluate(PAINTED)
    assert tab.locator("figcaption").text_content() == HOSTILE
    assert tab.locator("[data-group]").first.text_content() == f"{HOSTILE} (1)"
    assert canvas.get_attribute("aria-label") == HOSTILE
    assert canvas.get_attribute("role") == "img"
    stage, shown = tab.locator(".stage").bounding_box(), tip.bounding_box()
    assert stage["x"] <= shown["x"]
    assert shown["x"] + shown["width"] <= stage["x"] + stage["width"]
    tab.mouse.move(1, 1)
    tip.wait_for(state="hidden")


def test_the_wheel_scrolls_the_page_until_the_canvas_is_chosen(visit):
    tab = visit(make(), "<div style='height: 3000px'></div>")
    canvas = tab.locator(CANVAS)
    before = drawing(canvas)
    tab.mouse.move(*middle(canvas))
    tab.mouse.wheel(0, 50)
    tab.wait_for_function("scrollY === 50")
    assert drawing(canvas) == before
    canvas.click(position={"x": 5, "y": 60})
    changes(canvas, lambda: tab.mouse.wheel(0, -100))
    tab.evaluate("document.activeElement.blur()")
    tab.keyboard.down("Control")
    changes(canvas, lambda: tab.mouse.wheel(0, -100))
    tab.keyboard.up("Control")
    assert tab.evaluate("scrollY") == 50


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_a_finger(visit, scheme):
    phone = {"viewport": {"width": 360, "height": 700}, "device_scale_factor": 2, "has_touch": True}
    tab = visit(
        make(1, names=["a" * 300], group_names=["b" * 300, "odds"]),
        "<div style='height: 3000px'></div>",
        color_scheme=scheme,
        **phone,
    )
    canvas, tip = tab.locator(CANVAS), tab.locator(".tip")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert canvas.evaluate("canvas => canvas.width === 2 * canvas.clientWidth")
    tab.touchscreen.tap(*middle(canvas))
    tip.wait_for(state="visible")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    tab.set_viewport_size({"width": 320, "height": 700})
    until(canvas, "canvas => canvas.width === 2 * canvas.clientWidth && canvas.width < 640")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320

    before = drawing(canvas)
    swipe(tab, canvas, 0, -100)
    tab.wait_for_function("scrollY > 50")
    assert drawing(canvas) == before, "a swipe scrolls and does not turn"
    changes(canvas, lambda: tab.get_by_role("button", name="Zoom in").tap())


def test_a_finger_that_goes_sideways_turns_the_cloud(visit):
    tab = visit(make(), "<div style='height: 3000px'></div>", has_touch=True)
    canvas = tab.locator(CANVAS)
    changes(canvas, lambda: swipe(tab, canvas, 100, 50))
    assert tab.evaluate("scrollY") == 0


def test_clouds_on_one_page_do_not_interfere(visit):
    same = make()
    tab = visit(make(), same, same)
    canvases = tab.locator(CANVAS).all()
    assert len(canvases) == 3
    for number, canvas in enumerate(canvases):
        others = [drawing(other) for other in canvases if other is not canvas]
        changes(canvas, tab.get_by_role("button", name="Show dots").first.click)
        canvas.focus()
        changes(canvas, lambda: tab.keyboard.press("ArrowLeft"))
        settle(tab)
        assert [drawing(other) for other in canvases if other is not canvas] == others
        assert tab.get_by_role("button", name="Show images").count() == number + 1


def test_nothing_moves_by_itself(visit):
    tab = visit(make(), reduced_motion="no-preference")
    before = drawing(tab.locator(CANVAS))
    settle(tab)
    settle(tab)
    assert drawing(tab.locator(CANVAS)) == before


@pytest.mark.parametrize("size", [(800, 700), (360, 700)])
def test_it_fills_the_box_when_it_opens(visit, size):
    points = np.random.default_rng(0).normal(size=(300, 3)) * [1, 1, 0.01]
    tab = visit(
        make(300, points=points), viewport=dict(zip(("width", "height"), size, strict=True))
    )
    canvas = tab.locator(CANVAS)
    rows, columns = canvas.evaluate(f"""canvas => {{
        const pixels = ({PIXELS})(canvas), rows = new Set(), columns = new Set();
        for (let i = 3; i < pixels.length; i += 4) if (pixels[i]) {{
            const place = (i - 3) / 4;
            columns.add(place % canvas.width);
            rows.add(Math.floor(place / canvas.width));
        }}
        return [rows.size / canvas.height, columns.size / canvas.width];
    }}""")
    assert max(rows, columns) > 0.9


def test_without_javascript_there_is_a_sentence(visit):
    tab = visit(make(), java_script_enabled=False)
    assert "File > Trust Notebook" in tab.locator(".wait").inner_text()


def test_with_javascript_the_sentence_is_gone(visit):
    assert visit(make()).locator(".wait").count() == 0
