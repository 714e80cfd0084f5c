"""The house style, and a figure that displays itself.

The generator is blue and the discriminator orange, as in the second study; real images are green.

Seaborn gives the style and the colours of groups. Its charts would count and average again what the
tables here hold already, with pooled variances and real-vs-real baselines, which it does not know.
Its `lineplot`, tried for the means of runs with bands, took six times as long, left out runs of one
epoch, and was no shorter.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import style
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from dcgan_utils.core.files import ensure_dir, write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


BLUE, ORANGE, GREEN, GREY = "#2b6cb0", "#d9730d", "#2f855a", "#6b7280"
# Seaborn's style as matplotlib ships it: importing seaborn takes two seconds.
STYLE = style.library["seaborn-v0_8-whitegrid"] | {
    "axes.edgecolor": "#c4c7cc",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "figure.facecolor": "white",
    "font.size": 10,
    "grid.color": "#eceef1",
    "legend.frameon": False,
    "patch.edgecolor": "white",
    "patch.force_edgecolor": True,
    "text.parse_math": False,  # two dollar signs in a file name are not a formula
}
# Colours of text, axes and grid, and what they become in a page.
_IN_PAGE = {
    f"{kind}: {color}": f"{kind}: currentColor; {kind}-opacity: {opacity}"
    for kind in ("fill", "stroke")
    for color, opacity in (("#262626", 1), ("#c4c7cc", 0.35), ("#eceef1", 0.12))
}
WIDTH = 8.0  # inches, of every figure
DPI = 120

styled = mpl.rc_context(STYLE)  # a decorator: the function draws in the house style


class Figure(MatplotlibFigure):
    """A figure of the house's width that displays itself in a notebook.

    Its label is its description: the alternative text of the image in notebooks and pages.
    """

    def __init__(self, height: float):
        """Make an empty figure, `height` inches high."""
        super().__init__(figsize=(WIDTH, height), dpi=DPI, layout="constrained")

    def describe(self, text: str) -> Figure:
        """Set the alternative text, and return the figure."""
        self.set_label(text)
        return self

    @styled
    def encode(self) -> tuple[bytes, str]:
        """Return the image and its format: ``png``, or ``jpeg`` where that is smaller.

        As PNG alone, a page of photographs would be ten times as large.
        """
        png, jpeg = io.BytesIO(), io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # missing in the font: drawn as a box
            self.savefig(png, format="png", bbox_inches="tight", pad_inches=0.08)
        with Image.open(png) as drawn:
            drawn.convert("RGB").save(jpeg, "JPEG", quality=88, subsampling=0)
        return min((png.getvalue(), "png"), (jpeg.getvalue(), "jpeg"), key=lambda one: len(one[0]))

    @styled
    def as_svg(self) -> str:
        """Return the figure for an HTML page: text as text, in the colours of its surroundings.

        Text, axes and grid take the colour of the page's text, so that they can be read in the
        dark too; nothing is drawn behind them. The width is that of the element around it.
        """
        buffer = io.StringIO()
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": self.get_label()}):
            self.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        _, _, inner = buffer.getvalue().partition("<svg ")
        view = re.search(r'viewBox="[^"]+"', inner).group()
        _, _, inner = inner.partition(">")
        for color, in_page in _IN_PAGE.items():
            inner = inner.replace(color, in_page)
        return (
            f'<svg {view} width="100%" role="img" aria-label="{escape(self.get_label())}">{inner}'
        )

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        _silence_inline_backend()
        content, kind = self.encode()
        mime, text = f"image/{kind}", self.get_label()
        return (
            {mime: base64.b64encode(content).decode(), "text/plain": text},
            {mime: {"alt": text}},
        )


def _silence_inline_backend() -> None:
    """Keep Jupyter from drawing a `Figure` again, as it draws every figure of matplotlib's.

    Once pyplot is imported (by seaborn, say), functions registered for the parent class would
    replace what `Figure` says of itself.
    """
    from IPython import get_ipython

    if shell := get_ipython():
        for mime, formatter in shell.display_formatter.formatters.items():
            if mime.startswith("image/") or mime == "application/pdf":
                formatter.for_type(Figure, lambda _: None)


def save_figure(figure: Figure, path: Path) -> Figure:
    """Write the image that a notebook shows to ``path.png`` or ``path.jpg``; return the figure."""
    content, kind = figure.encode()
    ensure_dir(path.parent)
    write_bytes(path.with_name(f"{path.name}.{kind.replace('jpeg', 'jpg')}"), content)
    return figure


def hide_axes(axes: Axes) -> None:
    """Leave nothing but what is drawn within the axes, and their title.

    Hidden ticks are laid out all the same: without them, many small images take half the time.
    """
    axes.set_axis_off()
    axes.set(xticks=[], yticks=[])


def suptitle_left(figure: Figure, title: str) -> None:
    """Put a title above all axes of a figure, on the left as theirs are."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)


def legend_below(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """Put the legend of one of the axes below all of them."""
    by_name = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))  # each once
    figure.legend(
        by_name.values(), by_name.keys(), loc="outside lower center", ncols=columns, fontsize=8
    )


def draw_line(axes: Axes, x: Iterable[float], y: Sequence[float], **look: Any) -> None:
    """Draw a line; a single value, as of a training of one epoch, becomes a point."""
    axes.plot(x, y, **{"lw": 1.6, "marker": "o" if len(y) == 1 else None} | look)


def label_epoch_axis(axes: Axes, quantity: str, title: str) -> None:
    """Title axes that show a quantity over epochs, with integer ticks."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel="epoch", ylabel=quantity, title=title)


def palette(count: int) -> list[str]:
    """Return `count` colours as ``#rrggbb``; up to ten are distinct for the colour-blind too."""
    import seaborn as sns

    return sns.color_palette("colorblind" if count <= 10 else "husl", count).as_hex()
