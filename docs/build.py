"""Build the site from README, the pages of ``docs/`` and ``reports/``, and the docstrings.

``make site`` calls it. The site has the folders of the repository, so that a link that works there
works here; what is not on the site is linked in the repository.
"""

from __future__ import annotations

import html
import os
import posixpath
import re
import shutil
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import jinja2
import yaml
from papermill import inspect_notebook

import dcgan_utils
from dcgan_utils.core.parameters import Parameters
from dcgan_utils.report.markdown import render_markdown
from dcgan_utils.report.site import style_sheet

ROOT = Path(__file__).parents[1]
TEMPLATES = Path(__file__).parent
REPOSITORY = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["repository-code"]

STUDIES = "reports/noise-study/*/compare-*.html"  # as far as they are committed

# The menu: where a page lies in the repository (what is no Markdown, where it lies on the site).
MENU = {
    "Start": ["README.md"],
    "Look first": [
        "reports/plein_air/index.html",
        "reports/playground/plein_air.html",
        "reports/RESULTS.md",
        *(page.relative_to(ROOT).as_posix() for page in sorted(ROOT.glob(STUDIES))),
    ],
    "Use it": [
        "docs/own-images.md",
        "docs/presets.md",
        "docs/noises.md",
        "docs/runs.md",
        "docs/messages.md",
        "docs/kaggle.md",
        "docs/cloud.md",
    ],
    "Many trainings": [
        "docs/study.md",
        "docs/clusters.md",
        "docs/benchmark.md",
        "reports/noise-study/PROTOCOL.md",
    ],
    "Look up": [
        "notebooks/glossary.md",
        "api/dcgan_utils.html",
        "data/README.md",
        "reports/README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
    ],
}
TITLES = {
    "README.md": "What it is",
    "reports/plein_air/index.html": "A report",
    "reports/playground/plein_air.html": "The playground",
    "api/dcgan_utils.html": "API reference",
}
REPORT = ("reports/plein_air/*.html", "reports/plein_air/*.ipynb")  # made, not committed

_LINK = re.compile(r'(?<= )(href|src)="(?!\w+:)([^"#]*)(#[^"]*)?"')
_HEADING = re.compile(r'<h(\d) id="[^"]*">(.*?)<a class="anchor-link".*?</a></h\1>')


def build(site: Path) -> None:
    """Build the whole site anew."""
    shutil.rmtree(site, ignore_errors=True)
    for pattern in (*REPORT, STUDIES):
        for page in ROOT.glob(pattern):
            _copy(page.relative_to(ROOT).as_posix(), site)
    write_pages(site)
    write_reference(site)


# --- Pages ---


def markdown_pages() -> list[str]:
    """Return the Markdown pages of the site, as they lie in the repository."""
    return [page for pages in MENU.values() for page in pages if page.endswith(".md")]


def write_pages(site: Path) -> None:
    """Write the Markdown pages, and copy the files of ``reports/`` that they show or link."""
    template = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(
        (TEMPLATES / "page.html.j2").read_text("utf-8")
    )
    for page in markdown_pages():
        text = (ROOT / page).read_text("utf-8")
        body = _HEADING.sub(_with_slug, render_markdown(text))
        here = posixpath.dirname(page)
        target = site / _place(page)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            template.render(
                title=title(page),
                css=style_sheet(),
                content=_LINK.sub(lambda link, here=here: _relinked(link, here, site), body),
                menu={
                    part: [
                        (posixpath.relpath(_place(other), here or "."), title(other), other == page)
                        for other in pages
                    ]
                    for part, pages in MENU.items()
                },
            ),
            encoding="utf-8",
        )


def title(page: str) -> str:
    """Return what the menu says: its first heading, or the title of an HTML page."""
    if page in TITLES:
        return TITLES[page]
    pattern = "^# (.*)" if page.endswith(".md") else "<title>(.*?)</title>"
    return re.search(pattern, (ROOT / page).read_text("utf-8"), re.M)[1].replace("`", "")


def _place(page: str) -> str:
    """Return where a page of the repository lies on the site."""
    return "index.html" if page == "README.md" else re.sub(r"\.md$", ".html", page)


def _with_slug(heading: re.Match) -> str:
    """Give a heading the anchor that it has on GitHub."""
    level, inside = heading.groups()
    text = html.unescape(re.sub("<.*?>", "", inside)).lower()
    slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
    return f'<h{level} id="{slug}">{inside}</h{level}>'


def _relinked(link: re.Match, here: str, site: Path) -> str:
    """Return a link of the repository as one of the site; copy what it leads to."""
    attribute, target, anchor = link[1], unquote(link[2]), link[3] or ""
    path = posixpath.normpath(posixpath.join(here, target)) if target else ""
    if not target or path.startswith("api/") or not (ROOT / path).exists():
        return link[0]  # on the same page, or for `broken_links` to find
    if path in markdown_pages():
        return f'{attribute}="{posixpath.relpath(_place(path), here or ".")}{anchor}"'
    if path.startswith("reports/") and (ROOT / path).is_file():
        _copy(path, site)
        return link[0]
    return f'{attribute}="{REPOSITORY}/blob/main/{path}{anchor}"'


def _copy(path: str, site: Path) -> None:
    (site / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / path, site / path)


# --- The API reference ---


def write_reference(site: Path) -> None:
    """Write what the package and its rooms offer, from their docstrings."""
    import pdoc

    pdoc.render.configure(
        docformat="numpy", show_source=False, template_directory=TEMPLATES / "pdoc"
    )
    shown = "|".join(module.__name__ for module in offered_modules(dcgan_utils))
    pdoc.pdoc("dcgan_utils", f"!(?!({shown})$)", output_directory=site / "api")


def offered_modules(module: ModuleType) -> Iterator[ModuleType]:
    """Load what a module offers, which pdoc would not see; yield it and the modules it offers."""
    for name in getattr(module, "__all__", ()):
        vars(module)[name] = thing = getattr(module, name)
        if isinstance(thing, ModuleType):
            yield from offered_modules(thing)
        elif name.endswith("Config"):
            _describe_parameters(thing)
    yield module


def _describe_parameters(config: type[Parameters]) -> None:
    """Describe the fields as the notebook does; pdoc would show what checks them."""
    notebook = f"{config.__name__.removesuffix('Config').lower()}.ipynb"
    stated = inspect_notebook(str(ROOT / "notebooks" / notebook))
    for name, parameter in stated.items():
        field = config.model_fields[name]
        config.__annotations__[name] = parameter["inferred_type_name"]
        field.description = parameter["help"]
        field.default = literal_eval(parameter["default"])


# --- Links ---


def broken_links(site: Path) -> list[str]:
    """Return the links of the site's Markdown and API pages that lead nowhere."""
    broken = []
    anchors = {}
    for page in (site / _place(page) for page in markdown_pages()):
        for _, target, anchor in _LINK.findall(page.read_text("utf-8")):
            path = Path(os.path.normpath(page.parent / unquote(target))) if target else page
            if path not in anchors and path.is_file():
                text = path.read_text("utf-8") if path.suffix == ".html" else ""
                anchors[path] = {"", *re.findall(r'\bid="([^"]*)"', text)}
            if unquote(anchor.removeprefix("#")) not in anchors.get(path, ()):
                broken.append(f"{page.relative_to(site)}: {target}{anchor}")
    return broken


if __name__ == "__main__":
    build(ROOT / "site")
    if broken := broken_links(ROOT / "site"):
        raise SystemExit("These links lead nowhere:\n" + "\n".join(broken))
