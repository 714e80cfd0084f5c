"""The glossary: its entries, its page, and the links that lead to it."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from dcgan_utils.core.files import notebooks_dir
from dcgan_utils.report import glossary, site


def in_prose(html):
    return f'<section class="prose">{html}</section>'


def test_the_entries_are_in_order_and_short_and_explain_each_term_once():
    headings = [entry.heading for entry in glossary.entries()]
    assert headings == sorted(headings, key=str.lower)
    assert len(headings) >= 30
    for entry in glossary.entries():
        assert 5 < len(entry.text.split()) < 70, entry.heading
    terms = [term.lower() for entry in glossary.entries() for term in entry.terms]
    assert len(terms) == len({*terms})


def test_the_first_occurrence_of_a_term_is_linked_and_no_other():
    html = in_prose("<p>Generators and a generator.</p>") + in_prose("<p>The generator's KID</p>")
    linked = glossary.link_terms(html)
    assert re.findall(r'<a class="term" href="glossary.html#([\w-]+)">(.*?)</a>', linked) == [
        ("generator", "Generators"), ("kid", "KID")
    ]  # fmt: skip
    assert re.sub("</?a.*?>", "", linked) == html


@pytest.mark.parametrize(
    "html",
    [
        in_prose("<h2>The prior</h2>"),
        in_prose("<p><code>seed</code></p>"),
        in_prose('<p><a href="x">a <em>seed</em></a></p>'),
        in_prose("<pre>seed</pre>"),
        in_prose("<details><summary>Seed</summary></details>"),
        in_prose("<p>seedling, prior-aware, multi-batch, adam, kid</p>"),
        "<p>a seed outside of prose</p>",
        "<div class='outputs'>seed</div>",
    ],
)
def test_terms_are_linked_nowhere_but_in_prose(html):
    assert glossary.link_terms(html) == html


def test_what_follows_code_and_a_stray_end_of_a_link_is_prose_again():
    linked = glossary.link_terms(in_prose("</a><code>seed</code> seed"))
    assert linked == in_prose(
        '</a><code>seed</code> <a class="term" href="glossary.html#seed">seed</a>'
    )


@pytest.fixture
def written(tmp_path):
    """Return an executed notebook that names terms and links the glossary."""
    cells = [
        new_markdown_cell("# A title\n\nThe generator. Words: [glossary](glossary.md)."),
        new_code_cell("1", outputs=[new_output("stream", text="a seed")]),
    ]
    path = tmp_path / "one.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_a_page_of_a_site_leads_to_terms_that_are_there(written):
    page = site.make_page(written, title="One")
    site.write_site(written.parent, "site", [page], site.Opening(()))
    html = page.html.read_text()
    assert '<a href="glossary.html">glossary</a>' in html
    anchors = re.findall(r'href="glossary\.html#([\w-]+)"', html)
    assert anchors == ["generator"]
    words = (written.parent / glossary.PAGE).read_text()
    assert {f'id="{anchor}"' for anchor in anchors} <= {*re.findall(r'id="[^"]+"', words)}
    assert len(re.findall("<h2 id=", words)) == len(glossary.entries())
    assert 'aria-current="page">Glossary' in words


def test_a_page_alone_leads_nowhere(written):
    html = site.page_of(written).html.read_text()
    assert "glossary.html" not in html and "glossary.md" not in html
    assert "Words: glossary." in html


def test_every_notebook_links_the_glossary_in_its_first_cell():
    notebooks = sorted(notebooks_dir().glob("*.ipynb"))
    assert len(notebooks) > 9
    for path in notebooks:
        assert "[glossary](glossary.md)" in nbformat.read(path, as_version=4).cells[0].source, path
