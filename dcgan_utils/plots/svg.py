"""Matplotlib's SVG, made fit for pages: small, in the colours around it, free of clashing names."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from html import escape

from PIL import Image

NARROW_MIME = "application/vnd.dcgan.narrow+xml"  # the drawing for narrow screens, in an output
INK, LINE, GRID, SOFT = "#262626", "#c4c7cc", "#eceef1", "#6b7280"
# What these colours become: the colour of the text around, and how much of it.
_STRENGTH = {INK: 1, LINE: 0.35, GRID: 0.12, SOFT: 0.75}
# The text's colour where a figure stands alone, as in JupyterLab: 4.3 times as light or dark as
# white and the dark theme's background, of 4.35 that one colour can be.
_ALONE = "#7a7a7a"
_FONT = "system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def for_page(drawn: str, description: str) -> str:
    """Return matplotlib's SVG as an element of an HTML page, as wide as what it stands in.

    Parameters
    ----------
    drawn
        With text as text (``svg.fonttype`` is none), in the colours of this module.
    description
        The alternative text.
    """
    _, _, inner = drawn.partition("<svg ")
    view = re.search(r'viewBox="[^"]+"', inner).group()
    _, _, inner = inner.partition(">")
    inner = re.sub(
        r"<metadata>.*?</metadata>|<defs>\s*<style.*?</defs>", "", inner, flags=re.DOTALL
    )
    inner = re.sub(r'(<g) id="[^"]*"', r"\1", inner)  # the same in each figure, and not used
    inner = inner.replace("xlink:href", "href")
    inner = re.sub(r"<image [^>]*>", _smaller_image, inner)
    inner = re.sub(r'\b(?:d|x|y)="[^"]*"', lambda it: _rounded(it[0]), inner)
    inner = re.sub(r"(font(?:-family)?: (?:[\w.]+ )*)'[^;\"]*", rf"\g<1>{_FONT}", inner)
    inner = inner.replace("fill: #ffffff", "fill: var(--paper, #fff)")  # behind names on dots
    for kind in ("fill", "stroke"):
        for color, strength in _STRENGTH.items():
            opacity = f"; {kind}-opacity: {strength}" if strength < 1 else ""
            inner = inner.replace(f"{kind}: {color}", f"{kind}: currentColor{opacity}")
    return (
        f'<svg {view} width="100%" role="img" aria-label="{escape(description)}"'
        f' stroke-linejoin="round">{inner.strip()}'
    )


def standalone(element: str) -> str:
    """Return the result of `for_page` as a file, which can be read on white and on black."""
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', element).groups()
    size = f'width="{float(width) / 0.75:.0f}" height="{float(height) / 0.75:.0f}"'
    root = f'<svg xmlns="http://www.w3.org/2000/svg" color="{_ALONE}" '
    return element.replace("<svg ", root, 1).replace('width="100%"', size, 1)


def share_images(element: str, other: str) -> str:
    """Return one result of `for_page` that takes the images which it shares from the other one."""
    known = set(re.findall(r'<image id="([^"]+)"', other))
    return re.sub(
        r'<image id="([^"]+)"[^>]*>',
        lambda it: f'<use href="#{it[1]}"/>' if it[1] in known and " x=" not in it[0] else it[0],
        element,
    )


def _smaller_image(found: re.Match) -> str:
    """Return an ``<image>`` with its PNG as WebP, named by its contents, in a group that places it.

    An image of few colours, such as a map of numbers, is kept as it is, with sharp pixels. Others
    are photographs.
    """
    png = base64.b64decode(re.search(r'href="data:image/png;base64,\s*([^"]+)"', found[0])[1])
    place = re.search(r' transform="[^"]*"', found[0])[0]
    rest = re.sub(r' (?:id|href|style|transform)="[^"]*"', "", found[0]).removeprefix("<image")
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        is_map = image.getcolors(256) is not None
        image.save(buffer, "WEBP", lossless=is_map, quality=100 if is_map else 85, method=4)
    style = ' style="image-rendering: pixelated"' if is_map else ""
    name = f"image-{hashlib.sha256(png).hexdigest()[:12]}"
    data = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return f'<g{place}><image id="{name}" href="{data}"{style}{rest}</g>'


def _rounded(attribute: str) -> str:
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute)
