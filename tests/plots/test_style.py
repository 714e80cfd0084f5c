"""A figure displays itself with its description, and is saved as it is shown."""

import base64
import io
from types import SimpleNamespace
from xml.etree import ElementTree

import IPython
import matplotlib as mpl
import pytest
import torch
from helpers import some
from IPython.core.formatters import DisplayFormatter
from IPython.core.pylabtools import select_figure_formats
from PIL import Image

from dcgan_utils import plots
from dcgan_utils.plots import style

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
        assert data.keys() == {mime, "text/plain"}
        assert data["text/plain"] == TEXT
        assert metadata == {mime: {"alt": TEXT}}
        with Image.open(io.BytesIO(base64.b64decode(data[mime]))) as shown:
            assert shown.format == figure.expected.upper()


def test_a_notebook_gets_what_ipython_makes_of_an_image(figure, formatter):
    content, _ = figure.encode()
    data, metadata = figure._repr_mimebundle_()
    expected = formatter.format(IPython.display.Image(content, alt=TEXT))
    assert (data | {"text/plain": expected[0]["text/plain"]}, metadata) == expected


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


def test_hidden_axes_have_no_ticks_that_would_be_laid_out():
    figure = plots.image_grid(some(4), title="Four", description="four images")
    for axes in figure.axes:
        assert not axes.axison
        assert [*axes.get_xticks(), *axes.get_yticks()] == []


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
