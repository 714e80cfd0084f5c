"""What a page shows of an executed notebook: not all that its cells have put out."""

from __future__ import annotations

import base64
import copy
import io
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dcgan_utils.report.markdown import render_markdown

if TYPE_CHECKING:
    from bs4 import Tag
    from nbformat import NotebookNode

FINDING, COVER, DRAWING = "finding", "cover", "drawing"  # tags of cells
NARROW_MIME = "application/vnd.dcgan.narrow+xml"  # that of `plots.svg`, which would load torch

_PROGRESS = re.compile(  # lines that `live` and trainings log
    r".*\bepoch \d+/\d+|.*: [\d,]+ of [\d,]+$|Training \d+ of \d+: "
    r"|.* is already finished: nothing to train\.$"
)
_FRAME = re.compile(r'<iframe class="shown-page".*?</iframe>')  # of `notebook.ShownPage`


# --- What the index shows of a page ---


def cover_of(notebook: NotebookNode) -> str:
    """Return the image of the cell tagged `COVER` as a small base64 JPEG; empty if none."""
    from PIL import Image

    for output in _outputs_tagged(notebook, COVER):
        data = output.get("data", {})
        drawn = data.get("image/png") or data.get("image/jpeg")
        if drawn:
            image = Image.open(io.BytesIO(base64.b64decode(drawn)))
            image.thumbnail((640, 640))
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "JPEG", quality=85)
            return base64.b64encode(buffer.getvalue()).decode()
    return ""


def drawing_of(notebook: NotebookNode) -> str:
    """Return the figure of the cell tagged `DRAWING` as HTML; empty if there is none."""
    from markupsafe import Markup

    for output in _outputs_tagged(notebook, DRAWING):
        if "image/svg+xml" in output.get("data", {}):
            return Markup(figure_html(output.data))
    return ""


def figure_html(data: Mapping[str, str]) -> str:
    """Return a figure's drawings, of which the page shows that for its width."""
    drawings = {"wide": data["image/svg+xml"], "narrow": data.get(NARROW_MIME, "")}
    parts = [svg.replace("<svg ", f'<svg class="{n}" ', 1) for n, svg in drawings.items()]
    return f'<figure class="figure">{"".join(parts)}</figure>'


def finding_of(notebook: NotebookNode) -> str:
    """Return the texts of the cell tagged `FINDING` as HTML; empty if there are none."""
    from markupsafe import Markup, escape

    parts = []
    for output in filter(_is_text, _outputs_tagged(notebook, FINDING)):
        if output.output_type == "stream":
            parts.append(Markup("<br>").join(map(escape, output.text.strip().splitlines())))
        else:
            parts.append(render_markdown(output.data["text/markdown"]))
    return Markup("\n").join(map(Markup, parts))


def _outputs_tagged(notebook: NotebookNode, tag: str) -> Iterator[dict[str, Any]]:
    for cell in notebook.cells:
        if tag in cell.metadata.get("tags", []):
            yield from cell.get("outputs", [])


def _is_text(output: NotebookNode) -> bool:
    return output.output_type == "stream" or "text/markdown" in output.get("data", {})


# --- What the page shows ---


def prepare(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without progress of the past, the finding, papermill's banner, repetitions.

    Tables become tables for people. Of a page that was shown in a frame the link remains.
    """
    prepared = copy.deepcopy(notebook)
    # papermill's cells point at an error: the page does so itself.
    _keep(prepared, lambda cell: "papermill-error-cell-tag" not in _tags(cell))
    for cell in prepared.cells:
        if cell.cell_type == "code":
            cell.outputs = [kept for output in cell.outputs if (kept := _without_progress(output))]
    _lift_finding(prepared)
    _say_once(prepared)
    for cell in prepared.cells:
        for output in cell.get("outputs", []):
            html = output.get("data", {}).get("text/html", "")
            if "<table" in html:
                output.data["text/html"] = tidy_tables(html)
            elif _FRAME.search(html):
                output.data["text/html"] = _FRAME.sub("", html)
    return prepared


def _tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def _keep(notebook: NotebookNode, condition: Callable[[NotebookNode], bool]) -> None:
    notebook.cells = [cell for cell in notebook.cells if condition(cell)]


def _without_progress(output: NotebookNode) -> NotebookNode | None:
    """Return an output without the lines that told how far the work was; None if nothing is left.

    The bar of a training that is over is progress too.
    """
    if output.output_type == "stream":
        lines = output.text.splitlines(keepends=True)
        output.text = "".join(line for line in lines if not _PROGRESS.match(line.rstrip()))
        return output if output.text.strip() else None
    return None if "<progress " in output.get("data", {}).get("text/html", "") else output


def _lift_finding(notebook: NotebookNode) -> None:
    """Remove what stands at the top of the page, and the heading that has nothing left below it."""
    cells = notebook.cells
    for number, cell in enumerate(cells):
        if FINDING not in _tags(cell):
            continue
        cell.outputs = [output for output in cell.outputs if not _is_text(output)]
        above = next((c for c in cells[number::-1] if c.cell_type == "markdown"), None)
        section = cells[cells.index(above) + 1 :] if above else []
        below = next((c for c in section if c.cell_type == "markdown"), None)
        between = section[: section.index(below)] if below else section
        if above and not any(c.get("outputs") for c in between) and _begins_section(below):
            above.source = re.sub(r"(^|\n)#+ [^\n]*\s*$", "", above.source)
    _keep(notebook, lambda cell: cell.cell_type != "markdown" or cell.source.strip())


def _say_once(notebook: NotebookNode) -> None:
    """Give the reason why there is no result once, where several cells have the same.

    The texts between them go too: they explain what is not there.
    """
    reason, since, superfluous = "", [], []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            since.append(cell)
            if _begins_section(cell):
                reason = ""
        elif outputs := cell.get("outputs"):
            said = "".join(output.get("data", {}).get("text/markdown", "") for output in outputs)
            if said and said == reason:
                cell.outputs = []
                superfluous += since
            reason, since = said if re.fullmatch(r"\*[^*]+\*", said) else "", []
    _keep(notebook, lambda cell: not any(cell is other for other in superfluous))


def _begins_section(cell: NotebookNode | None) -> bool:
    return cell is None or cell.source.lstrip().startswith("#")


def below_title(body: str, finding: str) -> str:
    """Return a page's body with what was found in a box below the title, if anything was."""
    if not finding:
        return body
    box = f'<section class="finding" aria-label="In short">{finding}</section>'
    title = re.match(r'\s*<section class="prose">\s*<h1.*?</h1>', body, re.S)
    if not title:
        return f"{box}\n{body}"
    return f'{title[0]}</section>\n{box}\n<section class="prose">{body[title.end() :]}'


# --- Tables ---

_ABBREVIATIONS = {"kid": "KID", "fid": "FID"}
_MISSING = {"nan", "NaN", "None", "<NA>", "NaT"}
_WORDS = {"True": "yes", "False": "no"} | dict.fromkeys(_MISSING, "–")


def tidy_tables(html: str) -> str:
    """Make the tables of pandas in an output tables for people.

    The name of the index stands in the first row of the head. Numbers that are not formatted get
    three digits, what is missing a dash; names of columns lose their underscores; words begin at
    the left.
    """
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")
    for style in soup.select("style[scoped]"):  # pandas' own, which would hold for all tables
        style.decompose()
    for table in soup.select("table.dataframe, table[id^=T_]"):
        _merge_index_names(table)
        for cell in table.select("thead th"):
            if not cell.get_text(strip=True):
                cell.name = "td"  # a heading without a text is none
            elif cell.string and re.fullmatch(r"[a-z][a-z0-9_]*", cell.string.strip()):
                cell.string = _spelt_out(cell.string.strip())
        for cell in table.select("tbody th"):
            if cell.string in _ABBREVIATIONS:
                cell.string = _ABBREVIATIONS[cell.string]
        for cell in table.select("tbody td"):
            if cell.string:
                cell.string = _shown(cell.string.strip())
        _align_words(table)
    return str(soup)


def _merge_index_names(table: Tag) -> None:
    """Move the names of the index from a row of their own to the row above."""
    heads, first = table.select("thead tr"), table.select_one("tbody tr")
    levels = len(first.select("th")) if first else 0
    if len(heads) < 2 or not levels:
        return
    above, names = heads[-2].find_all(["th", "td"]), heads[-1].find_all(["th", "td"])
    if any(cell.get_text(strip=True) for cell in [*names[levels:], *above[:levels]]):
        return
    for cell, name in zip(above[:levels], names, strict=False):
        cell.string = name.get_text(strip=True)
    heads[-1].decompose()


_NUMBER = re.compile(r"[-+−]?[\d.,\s]*(e[-+]?\d+)?\s?%?|–|[-+−]?inf")


def _align_words(table: Tag) -> None:
    """Mark the columns that hold words: these begin at the left, as numbers end at the right."""
    rows = [row.find_all("td") for row in table.select("tbody tr")]
    heads = [row.find_all(["th", "td"]) for row in table.select("thead tr")]
    for column in range(1, max(map(len, rows), default=0) + 1):  # from the right: rows may span
        cells = [row[-column] for row in rows if len(row) >= column]
        if not all(_NUMBER.fullmatch(cell.get_text(strip=True)) for cell in cells):
            for cell in [*cells, *(head[-column] for head in heads if len(head) >= column)]:
                cell["class"] = [*cell.get("class", []), "words"]


def _spelt_out(name: str) -> str:
    return " ".join(_ABBREVIATIONS.get(word, word) for word in name.split("_"))


def _shown(text: str) -> str:
    if re.fullmatch(r"-?\d+\.\d{5,}(e[-+]\d+)?", text):
        number = float(text)
        return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
    return _WORDS.get(text, text)


# --- Sections ---

_HEADING = re.compile(r'<h([1-3]) id="([^"]*)">(.*?)<a class="anchor-link".*?</a></h\1>', re.S)


def mark_sections(body: str) -> tuple[str, list[tuple[int, str, str]]]:
    """Give each heading of a page an address of its own, and a link to it.

    Returns
    -------
    tuple
        The page's body; and the level (2 or 3), id and escaped text of each heading below the
        title.
    """
    sections, taken = [], set()

    def mark(heading: re.Match[str]) -> str:
        level, name, title = heading.groups()
        number = 2
        unique = name
        while unique in taken:
            unique, number = f"{name}-{number}", number + 1
        taken.add(unique)
        if level == "1":
            return f'<h1 id="{unique}">{title}</h1>'
        plain = re.sub(r"<[^>]*>", "", title)
        sections.append((int(level), unique, plain))
        link = f'<a class="anchor-link" href="#{unique}" aria-label="Link to: {plain}">#</a>'
        return f'<h{level} id="{unique}">{title}{link}</h{level}>'

    return _HEADING.sub(mark, body), sections
