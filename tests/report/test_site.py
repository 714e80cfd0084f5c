"""Pages and the site around them, from notebooks made up here."""

import base64
import io
import math
import re

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from dcgan_utils.cli import main
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.plots.svg import NARROW_MIME
from dcgan_utils.report import content
from dcgan_utils.report.content import tidy_tables
from dcgan_utils.report.opening import open_report
from dcgan_utils.report.site import (
    Link,
    Opening,
    Page,
    make_page,
    page_of,
    write_index,
    write_site,
)


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


def test_formulas_are_drawn_and_are_mathml_for_those_who_listen(tmp_path):
    cell = new_markdown_cell(r"$$\min_G \frac{1}{2}$$ and $z$, but 5\$ and `$x$`")
    html = make_page(written(tmp_path, "n", cell), title="t").html.read_text()
    assert html.count("<math") == html.count('<svg aria-hidden="true"') == 2
    assert "<mfrac>" in html
    assert "https://" not in html
    assert "<code>$x$</code>" in html


def test_the_index_escapes_what_it_is_given(tmp_path):
    page = Page("<b>t</b>", "<b>s</b>", tmp_path / "a&b.ipynb", tmp_path / "a.html", 1, "", "")
    failed = Page("t", "s", tmp_path / "c.ipynb", tmp_path / "c.html", 1, "<b>f</b>", "")
    link = Link("<b>l</b>", 'x"y.html', "<b>n</b>")
    opening = open_report("<b>", 8, [page, failed], has_playground=False)
    index = write_index(tmp_path, "<b>name</b>", [page, failed], opening, links=[link])
    text = index.read_text()
    assert "<b>" not in text
    assert text.count("&lt;b&gt;") >= 7
    assert "x%22y.html" in text


def test_the_index_shows_what_was_found_and_the_image_of_the_result(tmp_path):
    stream = io.BytesIO()
    Image.new("RGB", (2000, 900), "red").save(stream, "PNG")
    drawn = {"image/png": base64.b64encode(stream.getvalue()).decode()}
    plain = make_page(written(tmp_path, "plain", shown("cover", drawn)), title="Plain")
    hinted = make_page(
        written(
            tmp_path,
            "compare",
            shown("finding", {"text/markdown": "**A and `B` learned.** So much."}),
            shown("finding", text="3 < 4\nfiles"),
            shown("cover", drawn),
            shown("drawing", {"image/svg+xml": "<svg ></svg>", NARROW_MIME: "<svg id='n'></svg>"}),
        ),
        title="Told",
    )
    with Image.open(io.BytesIO(base64.b64decode(plain.image))) as cover:
        assert cover.size == (640, 288)
    opening = open_report("n", 1234, [plain, hinted], has_playground=True)
    text = write_index(tmp_path, "n", [plain, hinted], opening).read_text()
    answer = re.search(r"<dt>What was found\?</dt><dd>(.*?)</dd>", text, re.S)[1]
    assert answer.strip() == "<p><strong>A and <code>B</code> learned.</strong></p>"
    assert "1,234 images of n" in text
    result = re.search(r'<figure class="result"><a href="([^"]*)"', text)
    assert result[1] == "compare.html"
    assert "3 &lt; 4<br>files" in text
    assert '<svg class="wide" ></svg><svg class="narrow" id=\'n\'></svg>' in text


def test_without_a_finished_training_the_index_says_so(tmp_path):
    text = write_index(tmp_path, "n", [], open_report("n", 5, [], has_playground=False)).read_text()
    assert "no training is finished" in text
    assert '<figure class="result">' not in text


def test_narrow_drawings_have_one_name():
    assert content.NARROW_MIME == NARROW_MIME


# --- What a page shows ---


def printed(text, **metadata):
    return new_code_cell("1", metadata=metadata, outputs=[new_output("stream", text=text)])


def page_text(folder, *cells):
    return make_page(written(folder, "n", *cells), title="t").html.read_text()


def test_a_finding_stands_below_the_title_and_not_where_it_was_found(tmp_path):
    found = shown("finding", {"text/markdown": "It **collapsed**.", "text/plain": ""})
    cells = [
        new_markdown_cell("# Title\n\nThe question."),
        new_markdown_cell("## First"),
        printed("numbers"),
        new_markdown_cell("## In short"),
        found,
        new_markdown_cell("## Provenance"),
    ]
    html = page_text(tmp_path, *cells)
    places = [html.index(text) for text in ("</h1>", "It <strong>", "The question", "numbers")]
    assert places == sorted(places)
    assert html.count("collapsed") == 1
    assert "In short</h2>" not in html
    assert '"#In-short"' not in html
    cells[5] = new_markdown_cell("And a remark.")
    assert ">In short<" in page_text(tmp_path, *cells), "its heading has something left below it"


def test_a_figure_beside_a_finding_remains_where_it_is(tmp_path):
    found = shown("finding", {"text/markdown": "It collapsed.", "text/plain": ""})
    found.outputs.append(new_output("display_data", data={"text/html": "<p>drawn</p>"}))
    html = page_text(tmp_path, new_markdown_cell("# T"), new_markdown_cell("## In short"), found)
    assert html.index("It collapsed.<") < html.index(">In short<a") < html.index("drawn<")


def test_progress_of_the_past_is_left_out_and_results_stay(tmp_path):
    log = "features: 160 of 600\nepoch 2/25  loss of D 1.20\nTraining 1 of 3: none\n"
    html = page_text(
        tmp_path,
        printed(log + "runs measured: 6 of 24\n", tags=["only"]),
        printed(f"{log}monet: 300 images at 64 px\nr-1 is already finished: nothing to train.\n"),
        shown("bar", {"text/html": "<progress value=2 max=2></progress>", "text/plain": ""}),
    )
    outputs = re.findall(r"<pre>(.*?)</pre>", html.partition("<main")[2], re.S)
    assert [
        text.strip() for text in outputs if "highlight" not in text and "<span" not in text
    ] == ["monet: 300 images at 64 px"]
    assert "<progress" not in html


def reason(text):
    return shown("skipped", {"text/markdown": f"*{text}*", "text/plain": ""})


def test_a_reason_is_given_once_and_what_it_leaves_unexplained_goes(tmp_path):
    cells = [
        new_markdown_cell("## Side by side\n\nTwo collections."),
        reason("There is no second collection."),
        new_markdown_cell("The filled curve is the first."),
        reason("There is no second collection."),
        reason("It takes two seeds."),
        new_markdown_cell("The dots are runs."),
        printed("numbers"),
        new_markdown_cell("## Another section"),
        reason("There is no second collection."),
        new_markdown_cell("Words in the end."),
    ]
    html = page_text(tmp_path, *cells)
    assert html.count("<em>There is no second collection.</em>") == 2
    assert "filled curve" not in html
    kept = ("Two collections", "It takes two seeds", "The dots", "numbers", "Words in the end")
    assert all(text in html for text in kept)
    twice = [shown("found", {"text/markdown": "It *learned*.", "text/plain": ""}) for _ in "12"]
    assert page_text(tmp_path, *twice).count("It <em>learned</em>.") == 2


def test_long_texts_are_folded(tmp_path):
    text = "".join(f"line {number}\n" for number in range(40))
    html = page_text(tmp_path, printed(text), printed("short\n" * 25))
    assert html.count("<summary>line 0 (and 39 more lines)</summary>") == 1
    assert html.count('class="more"') == 1


def test_code_without_a_result_leaves_no_trace_until_it_is_asked_for(tmp_path):
    html = page_text(tmp_path, new_code_cell("import silence"), printed("loud"), new_code_cell(""))
    assert html.count('class="code silent"') == 1
    assert html.count('class="code"') == 1


def tidied(table):
    soup = BeautifulSoup(tidy_tables(table), "html.parser")
    rows = soup.select("tr")
    return soup, [[cell.get_text(strip=True) for cell in row(["th", "td"])] for row in rows]


@pytest.mark.parametrize("as_html", [lambda t: t._repr_html_(), lambda t: t.style.to_html()])
def test_tables_are_for_people(as_html):
    table = pd.DataFrame(
        {"kid": [0.1234567, math.nan], "bootstrap_low": [1234.567891, -0.5], "ok": [True, False]},
        index=pd.Index(["N(0, 1)", "file_name.png"], name="noise"),
    )
    soup, rows = tidied(as_html(table.assign(why=["because", None])))
    assert rows == [
        ["noise", "KID", "bootstrap low", "ok", "why"],
        ["N(0, 1)", "0.123", "1,235", "yes", "because"],
        ["file_name.png", "–", "-0.5", "no", "–"],
    ]
    assert not soup.select("style[scoped]")
    assert [cell.get_text(strip=True) for cell in soup.select("th.words")] == ["ok", "why"]


def test_the_names_of_two_levels_stand_above_them():
    index = pd.MultiIndex.from_product([["G", "D"], [0, 1]], names=["network", ""])
    for html in (
        (f := pd.DataFrame({"layer": list("abcd")}, index=index)).style.to_html(),
        f.to_html(),
    ):
        soup, rows = tidied(html)
        assert rows[:3] == [["network", "", "layer"], ["G", "0", "a"], ["1", "b"]]
        assert not [cell for cell in soup.select("th") if not cell.get_text(strip=True)]


def test_a_table_without_an_index_and_one_of_somebody_else_stay_as_they_are():
    table = pd.DataFrame({"n": [1], "name": ["<b>"]}).to_html(index=False)
    assert tidied(table)[1] == [["n", "name"], ["1", "<b>"]]
    other = "<table><thead><tr><th></th></tr></thead><tbody><tr><td>nan</td></tr></tbody></table>"
    assert tidy_tables(other) == other


def test_headings_have_addresses_of_their_own_and_are_the_contents(tmp_path):
    cells = "# Title", "## Same & `code`", "### Below", "## Same & `code`", "## Größe"
    html = page_text(tmp_path, *map(new_markdown_cell, cells))
    ids = re.findall(r'<h\d id="([^"]*)"', html)
    assert len(set(ids)) == len(ids) == 5
    nav = html[html.index('class="contents"') : html.index("<main")]
    assert re.findall(r'href="#([^"]*)"', nav) == ids[1:]
    assert nav.count(">Same &amp; code</a>") == 2
    assert html.count('aria-label="Link to: Same &amp; code"') == 2


# --- The site ---


def test_a_site_has_a_menu_on_every_page_and_a_way_to_the_next(tmp_path):
    names = ("eda", "train-b", "latent")
    pages = [make_page(written(tmp_path, name), title=name.upper()) for name in names]
    assert "<nav" not in pages[0].html.read_text()
    write_site(tmp_path, "n", pages, Opening(()), links=[Link("run", "../runs/r/train.html")])
    for name in ("index", "beside", *names):
        text = (tmp_path / f"{name}.html").read_text()
        assert text.count('aria-current="page"') == 1
        assert all(f'href="{other}.html"' in text for other in ("index", "beside", *names))
    middle = (tmp_path / "train-b.html").read_text()
    assert 'rel="prev" href="eda.html"' in middle
    assert 'rel="next" href="latent.html"' in middle


def test_only_trainings_are_offered_side_by_side(tmp_path):
    pages = [
        make_page(written(tmp_path, name), title=name) for name in ("eda", "train-b", "train-c")
    ]
    links = [Link("run", "../runs/r/train.html"), Link("failed", "train-d.html", note="failed")]
    write_site(tmp_path, "n", pages, Opening(()), links=links)
    offered = re.findall('<option value="([^"]*)"', (tmp_path / "beside.html").read_text())
    assert offered == 2 * ["train-b.html", "train-c.html", "../runs/r/train.html"]
    write_site(tmp_path, "n", pages[:2], Opening(()))
    assert not (tmp_path / "beside.html").exists()
    for page in ("index", "eda", "train-b"):
        assert "beside.html" not in (tmp_path / f"{page}.html").read_text()


@pytest.mark.parametrize("count", [0, 1])
def test_a_site_of_few_pages_is_whole(tmp_path, count):
    pages = [make_page(written(tmp_path, f"p{n}"), title=str(n)) for n in range(count)]
    assert write_site(tmp_path, "n", pages, Opening([("Why?", "nothing yet")])).exists()
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
