"""Markdown as HTML for pages without a network: formulas are drawn."""

from __future__ import annotations

from functools import cache

_LETTERS = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}  # of an SVG's path, by matplotlib's codes


def render_markdown(text: str) -> str:
    """Return Markdown as HTML, its formulas as drawings, with MathML for those who listen."""
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def block_math(self, body: str) -> str:
            return f'<div class="formula">{_formula(body, display="block")}</div>'

        def inline_math(self, body: str) -> str:
            return _formula(body, display="inline")

    return MarkdownWithMath(renderer=Renderer(escape=False)).render(text)


@cache
def _formula(body: str, *, display: str) -> str:
    """Return a formula as an SVG beside its MathML.

    Without a mathematical font, which few machines have, browsers set MathML badly.
    """
    from latex2mathml.converter import convert
    from markupsafe import escape

    try:
        mathml = convert(body.strip(), display=display)
    except Exception:  # what looked like a formula, such as a name with two dollar signs
        return f"${escape(body)}$"
    try:
        drawn = _draw(body.strip(), display=display)
    except ValueError:  # beyond matplotlib, such as a matrix
        return mathml
    return f'<span class="tex"><span class="unseen">{mathml}</span>{drawn}</span>'


def _draw(formula: str, *, display: str) -> str:
    """Return a formula as an SVG in the size and colour of the text around it.

    Raises
    ------
    ValueError
        If matplotlib cannot set it.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.textpath import text_to_path

    if display == "block":  # there fractions are large
        formula = formula.replace(r"\frac", r"\dfrac")
    em = text_to_path.FONT_SCALE
    font = FontProperties(math_fontfamily="stix", size=em)
    width, height, descent = text_to_path.get_text_width_height_descent(f"${formula}$", font, True)
    outline = Path(*text_to_path.get_text_path(font, f"${formula}$", ismath=True))
    steps = ""
    for points, code in outline.iter_segments(simplify=False):
        steps += _LETTERS[code]
        if code != Path.CLOSEPOLY:
            steps += " ".join(f"{x:.1f} {-y:.1f}" for x, y in points.reshape(-1, 2))
    return (
        f'<svg aria-hidden="true" viewBox="0 {descent - height:.0f} {width:.0f} {height:.0f}" '
        f'style="width: {width / em:.2f}em; vertical-align: {-descent / em:.2f}em">'
        f'<path d="{steps}"/></svg>'
    )
