"""A figure displays itself with its description, wide and narrow, and is saved as it is shown."""

import base64
import io
import itertools
import re
from types import SimpleNamespace
from xml.etree import ElementTree

import IPython
import matplotlib as mpl
import numpy as np
import pytest
import torch
from helpers import PAPERS, contrast, some
from IPython.core.formatters import DisplayFormatter
from IPython.core.pylabtools import select_figure_formats
from matplotlib.text import Text
from PIL import Image

from dcgan_utils import plots
from dcgan_utils.plots import style, svg

TEXT = 'A "figure" with <b> & ünïcode'


@pytest.fixture(params=["png", "jpeg"])
def figure(request):
    """Return a figure that is smaller as PNG, or as JPEG."""
    smooth = torch.nn.functional.interpolate(some(), 64, mode="bilinear")
    images = smooth if request.param == "jpeg" else smooth[:, :, :1, :1].expand_as(smooth)
    drawn = plots.image_grid(images, title="t", description=TEXT)
    drawn.expected = request.param
    return drawn


@pytest.fixture(params=[(), ("png", "jpeg", "svg", "pdf")], ids=["no backend", "inline backend"])
def formatter(request, monkeypatch):
    """Return a notebook's formatter, without and with matplotlib's inline backend."""
    shell = SimpleNamespace(display_formatter=DisplayFormatter())
    select_figure_formats(shell, request.param)
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    return shell.display_formatter


def test_a_figure_displays_itself_with_its_description(figure, formatter):
    mime = f"image/{figure.expected}"
    for _ in range(2):
        data, metadata = formatter.format(figure)
        assert data.keys() == {mime, "image/svg+xml", svg.NARROW_MIME, "text/plain"}
        assert data["text/plain"] == TEXT
        assert metadata == {mime: {"alt": TEXT}}
        with Image.open(io.BytesIO(base64.b64decode(data[mime]))) as shown:
            assert shown.format == figure.expected.upper()


def test_the_narrow_figure_is_drawn_only_when_it_is_shown(monkeypatch):
    drawn = []

    @style.styled
    def draw():
        drawn.append(style.width())
        return style.Figure(2.0).describe("empty")

    figure = draw()
    figure.encode()
    assert drawn == [style.WIDTH]
    figure._repr_mimebundle_()
    assert drawn == [style.WIDTH, style.NARROW]
    assert mpl.rcParams["figure.figsize"][0] not in drawn, "the style stays where it belongs"


def test_both_drawings_hold_an_image_once(figure):
    data, _ = figure._repr_mimebundle_()
    wide, narrow = data["image/svg+xml"], data[svg.NARROW_MIME]
    (name,) = re.findall(r'<image id="([^"]+)"', wide)
    assert "<image" not in narrow
    assert f'<use href="#{name}"/>' in narrow
    ids = [set(re.findall(r'id="([^"]+)"', drawing)) for drawing in (wide, narrow)]
    assert ids[0].isdisjoint(ids[1])


def embedded(figure):
    """Return the only image in a figure's SVG as pixels, and its element."""
    (element,) = re.findall(r"<image [^>]*>", figure.as_svg())
    content = re.search(r"data:image/webp;base64,([^\"]+)", element)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")), element


def test_photographs_are_embedded_as_they_are_large_and_not_enlarged():
    smooth = torch.nn.functional.interpolate(some(1, side=8), 64, mode="bilinear")
    pixels, element = embedded(plots.image_grid(smooth, title="t", description=TEXT))
    assert pixels.shape == (64, 64, 3)
    assert "pixelated" not in element
    assert len(element) < 12_000
    assert np.abs(pixels.astype(int) - smooth[0].permute(1, 2, 0).numpy()).mean() < 4


def test_maps_of_numbers_are_kept_exactly():
    figure = style.Figure(2.0)
    levels = 4 * np.random.default_rng(0).permutation(64).reshape(8, 8)
    figure.subplots().imshow(levels, "gray", interpolation="none", vmin=0, vmax=255)
    pixels, element = embedded(figure)
    assert np.abs(pixels[..., 0] - levels).max() <= 1, "matplotlib rounds down"
    assert "pixelated" in element


def test_alone_a_figure_can_be_read_on_white_and_in_the_dark():
    alone = svg.standalone(plots.image_grid(some(4), title="t", description=TEXT).as_svg())
    root = ElementTree.fromstring(alone)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert 700 < float(root.get("width")) < 800 and float(root.get("height")) > 100
    for background in ("#ffffff", "#111111"):  # JupyterLab's
        assert contrast(root.get("color"), background) > 4.2


def test_other_figures_are_drawn_by_the_inline_backend(figure, formatter):
    from matplotlib.figure import Figure

    before = formatter.format(Figure())[0].keys()
    formatter.format(figure)
    assert formatter.format(Figure())[0].keys() == before


def test_a_figure_is_saved_as_it_is_shown(figure, tmp_path):
    assert plots.save_figure(figure, tmp_path / "new" / "some.where") is figure
    (path,) = (tmp_path / "new").iterdir()
    assert path.name == f"some.where.{figure.expected.replace('jpeg', 'jpg')}"
    shown, _ = figure._repr_mimebundle_()
    assert path.read_bytes() == base64.b64decode(shown[f"image/{figure.expected}"])


def test_colours_tell_groups_apart():
    for count in (1, 10, 30, 100):
        colours = plots.palette(count)
        assert len(set(colours)) == count
        assert all(len(colour) == 7 for colour in colours)
        assert min(contrast(colour, paper) for colour in colours for paper in PAPERS) > 3


def test_hidden_axes_have_no_ticks_that_would_be_laid_out():
    figure = plots.image_grid(some(4), title="Four", description="four images")
    for axes in figure.axes:
        assert not axes.axison
        assert [*axes.get_xticks(), *axes.get_yticks()] == []


@pytest.mark.parametrize("count", [2, 12])
def test_names_at_the_ends_of_lines_do_not_touch(count):
    with mpl.rc_context(style.STYLE):
        figure = style.Figure(3.0)
        axes = figure.subplots()
        for number in range(count):
            axes.plot([0, 1], [1, 1 + number / 1000], label=f"line {number}")
        axes.set_ylim(0, 2)
        style.label_lines(axes)
        figure.draw_without_rendering()
    names = [text for text in axes.texts if text.get_text()]
    boxes = sorted((Text.get_window_extent(text) for text in names), key=lambda box: box.y0)
    assert len(boxes) == count
    assert all(one.y1 <= other.y0 + 1 for one, other in itertools.pairwise(boxes))


def test_a_name_with_parentheses_is_not_broken_within_them():
    with mpl.rc_context(style.STYLE):
        lines = style.wrap("N(0, 1), U(-1, 1), Gamma(2, 1)", inches=0.9).splitlines()
    assert lines == ["N(0, 1),", "U(-1, 1),", "Gamma(2, 1)"]


def test_in_a_page_text_stays_text_and_takes_the_colour_around_it():
    with mpl.rc_context(style.STYLE):
        figure = style.Figure(2.0).describe('Losses of "a" & <b>')
        axes = figure.subplots()
        axes.plot([1, 2], [3, 4], color=style.BLUE, label="generator")
        axes.set_title("Losses")
        axes.legend()
    svg = figure.as_svg()
    root = ElementTree.fromstring(svg.replace("xlink:", ""))
    assert root.get("aria-label") == 'Losses of "a" & <b>'
    assert root.get("role") == "img" and root.get("width") == "100%"
    texts = {"".join(text.itertext()) for text in root.iter("text")}
    assert {"Losses", "generator"} <= texts
    assert style.BLUE in svg
    fixed = [mpl.colors.to_hex(style.STYLE[name]) for name in ("text.color", "axes.edgecolor")]
    assert not [color for color in [*fixed, style.STYLE["grid.color"], "#ffffff"] if color in svg]
    assert svg.count("currentColor") > 10
