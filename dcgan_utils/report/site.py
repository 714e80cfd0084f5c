"""Executed notebooks as pages that need no network, and the site that they form."""

from __future__ import annotations

import base64
import datetime
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_utils.core.environment import environment, needs_extra
from dcgan_utils.core.errors import WorkbookError, first_line
from dcgan_utils.core.files import ensure_dir, expand_path, write_bytes
from dcgan_utils.report import content, glossary
from dcgan_utils.report.markdown import render_markdown

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup
    from nbconvert import HTMLExporter
    from nbformat import NotebookNode


TEMPLATES = Path(__file__).parent / "templates"
PLAYGROUND, BESIDE = "playground.html", "beside.html"  # in a site's folder

# --- Templates ---


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader

    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )


def render(template: str, /, **values: Any) -> str:
    """Fill in a template."""
    return _environment().get_template(template).render(values)


def load_asset(name: str) -> Markup:
    """Return a style sheet or script from the templates' folder, not to be escaped."""
    from markupsafe import Markup

    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


# --- Pages ---


@dataclass(frozen=True)
class Page:
    """One executed notebook and the page made from it.

    Attributes
    ----------
    failed
        Why the notebook stopped; empty if it did not.
    image
        Base64 JPEG of the figure whose cell is tagged ``cover``, or empty.
    finding
        HTML of the texts of the cell tagged ``finding``: what was found, in a few sentences. They
        stand at the top of the page, and the index shows them too.
    drawing
        HTML of the figure of the cell tagged ``drawing``, of a network, or empty.
    """

    title: str
    summary: str
    notebook: Path
    html: Path
    seconds: float
    failed: str
    image: str
    finding: str = ""
    drawing: str = ""


@dataclass(frozen=True)
class Link:
    """A page outside the site, such as a run's; ``href`` is relative to the index."""

    title: str
    href: str
    note: str = ""


def page_of(notebook: str | Path, html: str | Path | None = None) -> Page:
    """Write the page of any executed notebook, titled as its first heading.

    Parameters
    ----------
    notebook
        An executed notebook. What its outputs load from elsewhere, as some interactive figures
        do, the page does too.
    html
        The file; by default it lies beside the notebook.

    Raises
    ------
    WorkbookError
        If it is not a notebook, or has no outputs; or the page cannot be written.
    """
    notebook = expand_path(notebook)
    executed = _read_executed(notebook)
    html = expand_path(html) if html is not None else notebook.with_suffix(".html")
    if html.suffix.lower() not in (".html", ".htm"):
        raise WorkbookError(f"'{html}' must end in .html: that is what is written.")
    ensure_dir(html.parent)
    return make_page(notebook, title=_first_heading(executed) or notebook.stem, html=html)


def _read_executed(notebook: Path) -> NotebookNode:
    with needs_extra("lab"):
        import nbconvert  # noqa: F401
        import nbformat

    try:
        executed = nbformat.read(notebook, as_version=4)
    except OSError as error:
        reason = error.strerror or error
        raise WorkbookError(f"the notebook '{notebook}' cannot be read ({reason}).") from error
    except Exception as error:  # not JSON, or other JSON: nbformat raises many types
        raise WorkbookError(f"'{notebook}' is not a notebook ({first_line(error)}).") from error
    if not any(cell.get("outputs") for cell in executed.cells):
        out = notebook.with_name(f"{notebook.stem}-out.ipynb")
        raise WorkbookError(
            f"'{notebook}' has no outputs, so there is nothing to show. Execute it first: "
            f"papermill {shlex.quote(str(notebook))} {shlex.quote(str(out))}, or run all cells in "
            "JupyterLab and save."
        )
    return executed


def _first_heading(notebook: NotebookNode) -> str:
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heading = re.search(r"^#+ +(.+)$", "\n".join(texts), re.MULTILINE)
    return heading[1].strip() if heading else ""


def make_page(
    notebook: Path,
    *,
    title: str,
    summary: str = "",
    seconds: float = 0.0,
    failed: str = "",
    html: Path | None = None,
) -> Page:
    """Write the page of an executed notebook.

    Parameters
    ----------
    notebook
        The executed notebook.
    title, summary
        For the page and the index.
    seconds
        How long it ran.
    failed
        Why it stopped; empty if it did not.
    html
        The file; by default it lies beside the notebook.

    Raises
    ------
    WorkbookError
        If the page cannot be written.
    """
    import nbformat

    executed = nbformat.read(notebook, as_version=4)
    html = html or notebook.with_suffix(".html")
    page = Page(
        *(title, summary, notebook, html, seconds, failed),
        image=content.cover_of(executed),
        finding=content.finding_of(executed),
        drawing=content.drawing_of(executed),
    )
    _write(html, _render(executed, page))
    return page


@dataclass(frozen=True)
class Opening:
    """What the index says before it lists the pages.

    Attributes
    ----------
    answers
        Questions, and answers in Markdown.
    result
        Stem of the page whose image stands below them, if it exists.
    evidence, introduction
        More Markdown, below that and in the end; may be empty.
    """

    answers: Sequence[tuple[str, str]]
    result: str = ""
    evidence: str = ""
    introduction: str = ""


def write_site(
    folder: Path, name: str, pages: Sequence[Page], opening: Opening, *, links: Sequence[Link] = ()
) -> Path:
    """Write the index, the glossary, and a menu into every page.

    Where there are pages of several trainings, one more page shows two of them side by side.

    Parameters
    ----------
    folder
        Where all of them are.
    name
        Of the collection or study.
    pages
        In reading order.
    opening
        What the index begins with.
    links
        More pages, listed in the index.

    Returns
    -------
    Path
        The index.
    """
    import nbformat

    write_beside(folder, name, pages, links)
    for page in pages:
        executed = nbformat.read(page.notebook, as_version=4)
        _write(page.html, _render(executed, page, pages))
    _write_glossary(folder, pages)
    return write_index(folder, name, pages, opening, links=links, whole=True)


def write_beside(
    folder: Path, name: str, pages: Sequence[Page], links: Sequence[Link] = ()
) -> None:
    """Write the page that pairs the figures of two trainings' pages, if there are two."""
    shown = [Link(page.title, page.html.name) for page in pages]
    shown += [link for link in links if not link.note]
    trained = [link for link in shown if re.fullmatch("train(-.*)?", Path(link.href).stem)]
    path = folder / BESIDE
    if len(trained) < 2:
        path.unlink(missing_ok=True)
        return
    path.touch()  # so that the menu lists it
    text = render(
        "beside.html.j2",
        title=f"{name}: two trainings side by side",
        bar=_bar(BESIDE, "Side by side", pages, _more(folder)),
        css=style_sheet(),
        links=trained,
        zoom=load_asset("zoom.js"),
    )
    _write(path, text)


def _write_glossary(folder: Path, pages: Sequence[Page]) -> None:
    from markupsafe import Markup

    entries = [
        (entry.anchor, entry.heading, Markup(render_markdown(entry.text)))
        for entry in glossary.entries()
    ]
    path = folder / glossary.PAGE
    write_page(path, "glossary.html.j2", title="Glossary", pages=pages, entries=entries)


def write_index(
    folder: Path,
    name: str,
    pages: Sequence[Page],
    opening: Opening,
    *,
    links: Sequence[Link] = (),
    whole: bool = False,
) -> Path:
    """Write ``index.html``; its menu is complete only if the site is ``whole``."""
    from markupsafe import Markup

    play = folder / PLAYGROUND if whole and (folder / PLAYGROUND).exists() else None
    cover = play.with_suffix(".jpg").read_bytes() if play else b""
    result = (page for page in pages if page.image and page.html.stem == opening.result)
    text = render(
        "report.html.j2",
        title=f"{name}: what the noise does to the images",
        answers=[(question, Markup(render_markdown(text))) for question, text in opening.answers],
        result=next(result, None),
        evidence=Markup(render_markdown(opening.evidence)),
        introduction=Markup(render_markdown(opening.introduction)),
        drawing=next((page.drawing for page in pages if page.drawing), ""),
        bar=_bar("index.html", "Overview", pages, _more(folder) if whole else ()),
        playground=play.name if play else "",
        playground_cover=base64.b64encode(cover).decode(),
        pages=pages,
        links=links,
        css=style_sheet(),
        environment=environment(),
        written=datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
    )
    _write(folder / "index.html", text)
    return folder / "index.html"


def write_page(
    path: Path, template: str, *, title: str, pages: Sequence[Page] = (), **values: Any
) -> Path:
    """Write a page that is not made from a notebook, in the style of the others.

    Parameters
    ----------
    path
        The HTML file; its folder is made if necessary.
    template, title, **values
        The template, and its values besides the style.
    pages
        Of the site that it belongs to, for the menu.

    Raises
    ------
    WorkbookError
        If it cannot be written.
    """
    ensure_dir(path.parent)
    bar = _bar(path.name, title, pages, _more(path.parent, path.name) if pages else ())
    _write(path, render(template, title=title, css=style_sheet(), bar=bar, **values))
    return path


def _write(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def _bar(
    current: str,
    title: str,
    pages: Iterable[Page],
    more: Sequence[Link] = (),
    **values: Any,
) -> str:
    """Return the top of a page: the title, a menu if it belongs to a site, and its contents."""
    from markupsafe import Markup

    about = {"current": current, "title": title, "pages": pages, "more": more, **values}
    return Markup(render("bar.html.j2", **about))


def _more(folder: Path, writing: str = "") -> list[Link]:
    """Return the entries of a whole site's menu that are not made from notebooks."""
    made = {"Playground": PLAYGROUND, "Side by side": BESIDE}
    exist = [name for name, file in made.items() if file == writing or (folder / file).exists()]
    return [*(Link(name, made[name]) for name in exist), Link("Glossary", glossary.PAGE)]


@cache
def style_sheet() -> str:
    """Return the style sheet, with code colours for light and dark mode."""
    from markupsafe import Markup
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    own = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return Markup(f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}")


# --- Rendering ---


def _render(notebook: NotebookNode, page: Page, pages: Sequence[Page] = ()) -> str:
    """Render an executed notebook as one self-contained page.

    nbconvert's own page would load MathJax from the network; here formulas are drawn.
    """
    from markupsafe import Markup

    place = pages.index(page) if page in pages else -1
    more = _more(page.html.parent) if pages else ()
    cells, _ = _exporter().from_notebook_node(content.prepare(notebook))
    body, sections = content.mark_sections(cells)
    body = glossary.link_terms(body) if pages else glossary.unlink(body)
    return render(
        "page.html.j2",
        page=page,
        css=style_sheet(),
        bar=_bar(page.html.name, page.title, pages, more, sections=sections, code=True),
        body=Markup(content.below_title(body, page.finding)),
        before=pages[place - 1] if place > 0 else None,
        after=pages[place + 1] if 0 <= place < len(pages) - 1 else None,
        script=load_asset("zoom.js") + load_asset("page.js"),
    )


@cache
def _exporter() -> HTMLExporter:
    """Return the exporter of a page's body; making one takes longer than writing a page."""
    from nbconvert import HTMLExporter

    return HTMLExporter(
        template_name="workbook",
        extra_template_basedirs=[str(TEMPLATES)],
        filters={"markdown2html": render_markdown, "figure_html": content.figure_html},
    )
