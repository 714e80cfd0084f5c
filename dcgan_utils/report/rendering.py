"""What pages are made of: the templates, which escape what they are given, and Markdown."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

__all__ = ["TEMPLATES", "markdown", "render", "source"]

TEMPLATES = Path(__file__).parent / "templates"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader

    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )


def render(template: str, /, **values: Any) -> str:
    """Return a template with its values filled in."""
    return _environment().get_template(template).render(values)


def source(name: str) -> Markup:
    """Return a style sheet or script that lies beside the templates, for one of them."""
    from markupsafe import Markup

    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def markdown(text: str) -> str:
    """Return Markdown as HTML, its formulas as MathML, which browsers draw by themselves."""
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def block_math(self, body: str) -> str:
            return f'<div class="formula">{_mathml(body, display="block")}</div>'

        def inline_math(self, body: str) -> str:
            return _mathml(body, display="inline")

    return MarkdownWithMath(renderer=Renderer(escape=False)).render(text)


def _mathml(formula: str, *, display: str) -> str:
    from latex2mathml.converter import convert
    from markupsafe import escape

    try:
        return convert(formula.strip(), display=display)
    except Exception:  # what looked like a formula, such as a name with two dollar signs
        return f"${escape(formula)}$"
