"""The house style, and a figure that displays itself.

A figure is drawn twice: for wide screens, and with its panels below each other for narrow ones.
Both are SVG, whose text is text and takes the colour around it. No text is smaller than `SMALL`,
which is 11 pixels on a phone and on a page.

The generator is blue and the discriminator orange, as in the second study; what belongs to real
images has the colour of text. The colours of priors are in `looks.py`.

Seaborn gives the style and the colours of groups. Its charts would count and average again what the
tables here hold already, with pooled variances and real-vs-real baselines, which it does not know.
Its `lineplot`, tried for the means of runs with bands, took six times as long, left out runs of one
epoch, and was no shorter.
"""

from __future__ import annotations

import base64
import functools
import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib import style
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox
from PIL import Image

from dcgan_utils.core.files import ensure_dir, write_bytes
from dcgan_utils.plots import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes


BLUE, ORANGE, GREEN, GREY = "#2b6cb0", "#d9730d", "#2f855a", "#6b7280"
INK = svg.INK  # of text, and of what belongs to real images
SMALL = 9  # points: the smallest text
WIDTH, NARROW = 8.0, 3.5  # inches, of every figure
DPI = 120
# Seaborn's style as matplotlib ships it: importing seaborn takes two seconds.
STYLE = style.library["seaborn-v0_8-whitegrid"] | {
    "axes.edgecolor": svg.LINE,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.facecolor": "white",
    "figure.figsize": (WIDTH, 3.0),
    "font.size": 10,
    "grid.color": svg.GRID,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "text.parse_math": False,  # two dollar signs in a file name are not a formula
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
}
IN_STYLE = {
    WIDTH: STYLE,
    NARROW: STYLE | {"figure.figsize": (NARROW, 3.0)},
}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Decorate a function that draws a figure: in the house style, and again when narrow."""

    @functools.wraps(draw)
    def in_style(*arguments: Any, **options: Any) -> Figure:
        def drawn(width: float) -> Figure:
            with mpl.rc_context(IN_STYLE[width]):
                return draw(*arguments, **options)

        figure = drawn(WIDTH)
        figure.narrow = functools.partial(drawn, NARROW)
        return figure

    return in_style


def width() -> float:
    """Return the width in inches of the figure that is being drawn."""
    return mpl.rcParams["figure.figsize"][0]


def is_narrow() -> bool:
    """Tell whether the figure that is being drawn is for narrow screens."""
    return width() == NARROW


class Figure(MatplotlibFigure):
    """A figure of the house's width that displays itself in a notebook.

    Its label is its description: the alternative text of the image in notebooks and pages.

    Attributes
    ----------
    narrow
        Draws the same for narrow screens.
    """

    narrow: Callable[[], Figure] | None = None
    _shown: Bbox | None = None

    def __init__(self, height: float):
        """Make an empty figure, `height` inches high."""
        super().__init__(figsize=(width(), height), dpi=DPI, layout="constrained")

    def describe(self, text: str) -> Figure:
        """Set the alternative text, and return the figure."""
        self.set_label(text)
        return self

    def encode(self) -> tuple[bytes, str]:
        """Return the image and its format: ``png``, or ``jpeg`` where that is smaller.

        As PNG alone, a page of photographs would be ten times as large.
        """
        png, jpeg = io.BytesIO(), io.BytesIO()
        self._save(png, "png")
        with Image.open(png) as drawn:
            drawn.convert("RGB").save(jpeg, "JPEG", quality=88, subsampling=0)
        return min((png.getvalue(), "png"), (jpeg.getvalue(), "jpeg"), key=lambda one: len(one[0]))

    def as_svg(self) -> str:
        """Return the figure for an HTML page: text as text, in the colours of its surroundings.

        Text, axes and grid take the colour of the page's text, so that they can be read in the
        dark too; nothing is drawn behind them. The width is that of the element around it.
        """
        buffer, name = io.StringIO(), self.get_label()
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"{name} {self.bbox.width}"}):
            self._save(buffer, "svg", transparent=True, metadata={"Date": None})
        return svg.for_page(buffer.getvalue(), name)

    def _save(self, buffer: io.IOBase, kind: str, **options: Any) -> None:
        with mpl.rc_context(STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # missing in the font: drawn as a box
            self.savefig(buffer, format=kind, bbox_inches=self._frame(), **options)

    def _frame(self) -> Bbox:
        """Return what is shown, in inches: the whole width, without empty strips at its ends.

        Of a figure that was laid out by hand, it is everything, which saves half of the time.
        """
        if self._shown is None and self.get_layout_engine() is None:
            return self.bbox_inches
        if self._shown is None:
            self.draw_without_rendering()
            self.set_layout_engine("none")  # it has laid out everything, and would each time
            drawn, whole, pad = self.get_tightbbox(), self.bbox_inches, 0.08
            left, right = min(drawn.x0, whole.x0), max(drawn.x1, whole.x1)
            self._shown = Bbox.from_extents(left, drawn.y0 - pad, right, drawn.y1 + pad)
        return self._shown

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        _silence_inline_backend()
        content, kind = self.encode()
        mime, text, wide = f"image/{kind}", self.get_label(), self.as_svg()
        data = {"image/svg+xml": svg.standalone(wide)}
        if self.narrow:
            data[svg.NARROW_MIME] = svg.share_images(self.narrow().as_svg(), wide)
        return (
            data | {mime: base64.b64encode(content).decode(), "text/plain": text},
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
    """Write the image of a figure to ``path.png`` or ``path.jpg``, and return the figure."""
    content, kind = figure.encode()
    ensure_dir(path.parent)
    write_bytes(path.with_name(f"{path.name}.{kind.replace('jpeg', 'jpg')}"), content)
    return figure


def draw_panels(
    count: int, height: float, *, across: int | None = None, narrow: int = 1, **look: Any
) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels side by side, or below each other if it is narrow.

    Parameters
    ----------
    count
        Number of panels.
    height
        Of each, in inches.
    across, narrow
        Panels in a row if the figure is wide, all by default, and if it is narrow.
    look
        For `matplotlib.figure.Figure.subplots`.
    """
    columns = min(narrow if is_narrow() else across or count, count)
    rows = -(-count // columns)
    figure = Figure(height * rows)
    panels = figure.subplots(rows, columns, squeeze=False, **look).flatten()
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, list(panels[:count])


def hide_axes(axes: Axes) -> None:
    """Leave nothing but what is drawn within the axes, and their title.

    Hidden ticks are laid out all the same: without them, many small images take half the time.
    """
    axes.set_axis_off()
    axes.set(xticks=[], yticks=[])


def suptitle_left(figure: Figure, title: str) -> None:
    """Put a title above all axes of a figure, on the left as theirs are."""
    figure.suptitle(wrap(title, 11), x=0.01, ha="left", fontsize=11)


def wrap(text: str, size: float = 10, *, inches: float | None = None) -> str:
    """Break lines of text of a size in points, so that they fit the figure that is being drawn."""
    columns = int((inches or width() - 0.2) * 72 / (0.56 * size))
    whole = re.sub(r"\([^()]*\)", lambda it: it[0].replace(" ", "\xa0"), text)  # N(0, 1)
    lines = [textwrap.fill(line, columns) for line in whole.split("\n")]
    return "\n".join(lines).replace("\xa0", " ")


def set_title(
    axes: Axes, title: str, note: str = "", *, above: int = 0, inches: float | None = None
) -> None:
    """Set the title of axes, and below it a smaller line that describes.

    Parameters
    ----------
    above
        The points between axes and note that something else takes.
    inches
        The room; about the width of the figure by default.
    """
    note, above = wrap(note, SMALL, inches=inches) if note else "", above + 5
    lines = len(note.splitlines())
    axes.set_title(
        wrap(title, 11, inches=inches), pad=above + 3 + 13 * lines if note else above + 1
    )
    if note:
        look = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
        axes.annotate(note, (0, 1), (0, above), color=GREY, fontsize=SMALL, **look)


def legend_below(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """Put the legend of one of the axes below all of them."""
    by_name = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))  # each once
    longest = max(map(len, by_name)) * 0.56 * SMALL + 36  # points, with the sample
    figure.legend(
        by_name.values(),
        by_name.keys(),
        loc="outside lower center",
        ncols=min(columns, max(1, int(72 * width() / longest))),
        columnspacing=1.2,
    )


def label_lines(axes: Axes) -> None:
    """Write the names of lines at their right ends, instead of a legend.

    Names that would touch are moved apart, and a thin line leads to each. The limits of the axes
    must be set.
    """
    from scipy.optimize import isotonic_regression

    axes.get_xlim(), axes.get_ylim()  # computed when first wanted
    ends = []
    for line in axes.lines:
        if not line.get_label().startswith("_"):
            last = line.get_xydata()[np.isfinite(line.get_ydata())][-1]
            ends.append(
                (*axes.transAxes.inverted().transform(line.get_transform().transform(last)), line)
            )
    ends.sort(key=lambda end: end[1])
    inches = axes.figure.get_figheight() * axes.get_position().height
    apart = np.arange(len(ends)) * 1.5 * SMALL / 72 / inches
    places = isotonic_regression([y for _, y, _ in ends] - apart).x + apart
    places += max(0, 0.03 - min(places))  # not beside the numbers of the horizontal axis
    for (x, y, line), place in zip(ends, places, strict=True):
        arrow = {
            "arrowstyle": "-",
            "color": line.get_color(),
            "lw": 0.8,
            "shrinkA": 1,
            "shrinkB": 2,
        }
        axes.annotate(
            line.get_label(), (x, y), (1.03, place), "axes fraction", arrowprops=arrow,
            va="center", fontsize=SMALL, annotation_clip=False,
        )  # fmt: skip


def draw_line(axes: Axes, x: Iterable[float], y: Sequence[float], **look: Any) -> None:
    """Draw a line; a single value, as of a training of one epoch, becomes a point."""
    axes.plot(x, y, **{"lw": 1.6, "marker": "o" if len(y) == 1 else None} | look)


def label_epoch_axis(axes: Axes, quantity: str, title: str) -> None:
    """Title axes that show a quantity over epochs, with integer ticks."""
    ticks = 5 if is_narrow() else 10
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True, min_n_ticks=1))
    axes.set(xlabel="epoch", ylabel=quantity, title=title)


# As different as they can be for everybody, the colour-blind too, if each is to be three times as
# light or dark as a page by day and by night. Found by a random search.
_TEN = (
    "#2b6cb0", "#d9730d", "#9511f3", "#ef0b69", "#12987f",
    "#a08f45", "#8d77fe", "#cb0d1c", "#a6508d", "#d421c2",
)  # fmt: skip


def palette(count: int) -> list[str]:
    """Return `count` colours as ``#rrggbb``; up to ten are distinct for the colour-blind too."""
    if count <= len(_TEN):
        return list(_TEN[:count])
    import seaborn as sns

    return sns.husl_palette(count, l=0.55).as_hex()
