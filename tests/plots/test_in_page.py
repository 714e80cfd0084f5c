"""Figures in a page, in a browser: wide or narrow, in its colours, and large enough to read."""

import io

import nbformat
import numpy as np
import pytest
import torch
from helpers import some
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from dcgan_utils import plots
from dcgan_utils.report.site import page_of

# What is shown of each figure: its class, the smallest text in pixels, the colour of the first one.
SHOWN = """() => {
    const all = [...document.querySelectorAll(".figure svg")];
    return all.filter((svg) => svg.checkVisibility()).map((svg) => {
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const looks = [...svg.querySelectorAll("text")].map(text => getComputedStyle(text));
    return {
        kind: svg.getAttribute("class"),
        smallest: Math.min(...looks.map(look => scale * parseFloat(look.fontSize))),
        color: looks[0].fill,
        label: svg.getAttribute("aria-label"),
    };
    });
}"""

# The colours of what lies behind names on dots.
BEHIND_NAMES = """() => {
    const all = [...document.querySelectorAll('.figure [style*="--paper"]')];
    return [...new Set(all.map((one) => getComputedStyle(one).fill))];
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the page of a notebook with an image, charts, and an SVG that is not ours."""
    red = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    red[:, 0] = 255
    red[0, 0, 0, :] = torch.arange(32)  # more than a few colours would not be a map
    figures = [
        plots.image_grid(torch.cat([red, some(3)]), title="Images", description="four images"),
        plots.cluster_sizes([3, 2, 1], what="pixels"),
        plots.scatter_plane(
            np.eye(4)[:, :2],
            np.array([0, 1, 2, 2]),
            ["cluster 0", "cluster 1", "cluster 2"],
            title="Plane",
        ),
    ]
    bundles = [figure._repr_mimebundle_()[0] for figure in figures]
    foreign = '<?xml version="1.0"?><svg viewBox="0 0 9 9"><text>foreign</text></svg>'
    bundles.append({"image/svg+xml": foreign})
    cells = [
        new_code_cell("1", execution_count=1, outputs=[new_output("display_data", data=data)])
        for data in bundles
    ]
    path = tmp_path_factory.mktemp("page") / "figures.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return page_of(path).html


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "kind"), [(1300, "wide"), (360, "narrow")])
def test_a_page_shows_the_drawing_for_its_width_in_its_colours(browser, page, width, kind, scheme):
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab.goto(page.as_uri())
    ink = tab.evaluate("getComputedStyle(document.body).color")
    shown = tab.evaluate(SHOWN)
    assert [one["kind"] for one in shown] == [kind, kind, kind, "wide"]
    assert all(one["color"] == ink for one in shown[:3])
    assert all(one["smallest"] >= 11 for one in shown[:3])
    assert shown[0]["label"] == "four images"
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert tab.evaluate(BEHIND_NAMES) == [paper]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    drawn = tab.locator(f".figure .{kind}").first.screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB")).astype(int)
    red = (pixels[..., 0] > 200) & (pixels[..., 1:].max(axis=-1) < 60)
    assert red.mean() > 0.1, "the image is not drawn"
    tab.close()
