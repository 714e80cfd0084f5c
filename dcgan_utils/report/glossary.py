"""The glossary: its page, and the links that lead to it from the prose of other pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from dcgan_utils.core.files import notebooks_dir

PAGE = "glossary.html"  # in a site's folder
SOURCE = "glossary.md"  # beside the notebooks, which link it

_PROSE = re.compile(r'<section class="(?:prose|finding)"[^>]*>.*?</section>', re.DOTALL)
_TAG = re.compile(r"(</?(\w+)[^>]*>)")
_NO_PROSE = {"a", "button", "code", "h1", "h2", "h3", "h4", "math", "pre", "summary", "svg"}
_LINK = re.compile(rf'<a href="{re.escape(SOURCE)}">(.*?)</a>')


@dataclass(frozen=True)
class Entry:
    """A heading of the glossary and its text in Markdown; ``anchor`` is its place on the page."""

    heading: str
    text: str

    @property
    def anchor(self) -> str:
        """Its first term, as an address has it."""
        return self.terms[0].lower().replace(" ", "-")

    @property
    def terms(self) -> list[str]:
        """The words that it explains."""
        return self.heading.split(", ")


@cache
def entries() -> list[Entry]:
    """Return the entries of the glossary."""
    text = (notebooks_dir() / SOURCE).read_text(encoding="utf-8")
    parts = re.split(r"^## +(.+)$", text, flags=re.MULTILINE)[1:]
    return [Entry(*pair) for pair in zip(parts[::2], map(str.strip, parts[1::2]), strict=True)]


def link_terms(html: str) -> str:
    """Link each term of the glossary where the prose of a page has it first.

    Terms in code, formulas, headings and links are not linked.
    """
    seen: set[str] = set()
    linked = _PROSE.sub(lambda section: _link_in_prose(section[0], seen), html)
    return _LINK.sub(rf'<a href="{PAGE}">\1</a>', linked)


def unlink(html: str) -> str:
    """Remove the links to the glossary from a page that has none beside it."""
    return _LINK.sub(r"\1", html)


def _link_in_prose(html: str, seen: set[str]) -> str:
    parts, depth = [], 0  # how many elements that are no prose are open
    pieces = _TAG.split(html)  # text, tag, its name, text, tag, its name, ..., text
    for text, tag, name in zip(pieces[::3], [*pieces[1::3], ""], [*pieces[2::3], ""], strict=True):
        parts += [text if depth else _pattern().sub(lambda term: _link(term, seen), text), tag]
        if name in _NO_PROSE:
            depth = max(0, depth - 1) if tag.startswith("</") else depth + 1
    return "".join(parts)


def _link(found: re.Match[str], seen: set[str]) -> str:
    anchor = _anchors()[found["term"].lower()]
    if anchor in seen:
        return found[0]
    seen.add(anchor)
    return f'<a class="term" href="{PAGE}#{anchor}">{found[0]}</a>'


@cache
def _anchors() -> dict[str, str]:
    """Return the place of each term, in lower case."""
    return {term.lower(): entry.anchor for entry in entries() for term in entry.terms}


@cache
def _pattern() -> re.Pattern[str]:
    """Return what finds terms, the longest first; names like Adam and KID as they are written."""
    names = sorted((t for entry in entries() for t in entry.terms), key=len, reverse=True)
    forms = [
        re.escape(name)
        if name.upper() == name or name in ("Adam", "DiffAugment", "BatchNorm")
        else f"(?i:{re.escape(name)})"
        for name in names
    ]
    return re.compile(rf"(?<![\w-])(?P<term>{'|'.join(forms)})(?:e?s)?(?![\w-])")
