"""Pages and the site around them, from notebooks made up here."""

import base64
import io

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from dcgan_utils.cli import main
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.report.site import Link, Page, make_page, page_of, write_index, write_site


def written(folder, name, *cells):
    nbformat.write(new_notebook(cells=list(cells)), folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def shown(tag, data=None, text=None):
    output = (
        new_output("stream", text=text)
        if data is None
        else new_output("display_data", data=data, metadata={})
    )
    return new_code_cell("1", metadata={"tags": [tag]}, outputs=[output])


def test_formulas_become_mathml(tmp_path):
    cell = new_markdown_cell(r"$$\min_G \frac{1}{2}$$ and $z$, but 5\$ and `$x$`")
    html = make_page(written(tmp_path, "n", cell), title="t").html.read_text()
    assert html.count("<math") == 2
    assert "<mfrac>" in html
    assert "https://" not in html
    assert "<code>$x$</code>" in html


def test_the_index_escapes_what_it_is_given(tmp_path):
    page = Page("<b>t</b>", "<b>s</b>", tmp_path / "a&b.ipynb", tmp_path / "a.html", 1, "", "")
    failed = Page("t", "s", tmp_path / "c.ipynb", tmp_path / "c.html", 1, "<b>f</b>", "")
    link = Link("<b>l</b>", 'x"y.html', "<b>n</b>")
    index = write_index(tmp_path, "<b>name</b>", [page, failed], lead="<b>", links=[link])
    text = index.read_text()
    assert "<b>" not in text
    assert text.count("&lt;b&gt;") >= 7
    assert "x%22y.html" in text


def test_what_a_page_shows_at_a_glance_comes_first_on_the_index(tmp_path):
    stream = io.BytesIO()
    Image.new("RGB", (2000, 900), "red").save(stream, "PNG")
    drawn = {"image/png": base64.b64encode(stream.getvalue()).decode()}
    plain = make_page(written(tmp_path, "plain", shown("cover", drawn)), title="Plain")
    hinted = make_page(
        written(
            tmp_path,
            "hinted",
            shown("glance", {"text/markdown": "| a |\n|---|\n| **b** |", "text/plain": ""}),
            shown("glance", text="3 < 4\nfiles"),
        ),
        title="Told",
    )
    with Image.open(io.BytesIO(base64.b64decode(plain.image))) as cover:
        assert cover.size == (640, 288)
    text = write_index(tmp_path, "n", [plain, hinted], lead="").read_text()
    assert text.index("Told</a></h2>") < text.index("Plain</a></h2>")
    assert "<strong>b</strong>" in text
    assert "3 &lt; 4<br>files" in text


def test_a_site_has_a_menu_on_every_page_and_a_way_to_the_next(tmp_path):
    pages = [make_page(written(tmp_path, name), title=name.upper()) for name in ("a", "b", "c")]
    assert "<nav" not in pages[0].html.read_text()
    write_site(tmp_path, "n", pages, lead="", links=[Link("run", "../runs/r/train.html")])
    for name in ("index", "beside", "a", "b", "c"):
        text = (tmp_path / f"{name}.html").read_text()
        assert text.count('aria-current="page"') == 1
        assert all(f'href="{other}.html"' in text for other in ("index", "beside", "a", "b", "c"))
    middle = (tmp_path / "b.html").read_text()
    assert 'href="a.html" rel="prev"' in middle
    assert 'href="c.html" rel="next"' in middle
    assert 'value="../runs/r/train.html"' in (tmp_path / "beside.html").read_text()


@pytest.mark.parametrize("count", [0, 1])
def test_a_site_of_few_pages_is_whole(tmp_path, count):
    pages = [make_page(written(tmp_path, f"p{n}"), title=str(n)) for n in range(count)]
    assert write_site(tmp_path, "n", pages, lead="nothing yet").exists()
    assert "nothing yet" in (tmp_path / "index.html").read_text()


def test_a_failed_page_points_to_its_reason(tmp_path):
    error = new_output("error", ename="E", evalue="why", traceback=["E: <i>why</i>"])
    cell = new_code_cell("1", outputs=[error])
    html = make_page(written(tmp_path, "n", cell), title="<i>", failed="why").html.read_text()
    assert 'role="alert"' in html
    assert "<i>" not in html
    assert 'id="error"' in html


# --- The page of one notebook ---


def test_one_executed_notebook_becomes_one_page(tmp_path, capsys):
    cells = new_markdown_cell("by somebody\n\n## Mine & *yours*\n"), shown("any", text="a result")
    notebook = written(tmp_path, "mine", *cells)
    assert main(["page", str(notebook)]) == 0
    assert main(["page", str(notebook), "--to", str(tmp_path / "new" / "other.html")]) == 0
    assert "The page: " in capsys.readouterr().out
    html = (tmp_path / "mine.html").read_text()
    assert html == (tmp_path / "new" / "other.html").read_text()
    assert "<title>Mine &amp; *yours*</title>" in html
    assert "a result" in html
    assert "https://" not in html


def test_a_notebook_without_a_heading_is_called_by_its_name(tmp_path):
    assert page_of(written(tmp_path, "mine", shown("any", text="a result"))).title == "mine"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        ("no JSON", "is not a notebook"),
        ("{}", "is not a notebook"),
        ("[1]", "is not a notebook"),
    ],
)
def test_what_is_not_a_notebook_is_refused(tmp_path, content, sentence):
    path = tmp_path / "some.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(WorkbookError, match=sentence):
        page_of(path)
    assert not path.with_suffix(".html").exists()


def test_a_notebook_without_outputs_is_told_how_to_get_them(tmp_path):
    notebook = written(tmp_path, "stored one", new_code_cell("1 + 1"))
    with pytest.raises(WorkbookError, match=r"papermill '.*stored one.ipynb' '.*-out.ipynb'"):
        page_of(notebook)
    with pytest.raises(WorkbookError, match=r"must end in \.html"):
        page_of(written(tmp_path, "shown", shown("any", text="1")), tmp_path / "page.pdf")
    assert not [*tmp_path.glob("*.html"), *tmp_path.glob("*.pdf")]
