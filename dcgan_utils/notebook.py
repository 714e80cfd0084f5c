"""Helpers for notebook cells: parameters, log, display and provenance.

Only this module displays and prints; the rest of the package returns values and logs.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import hashlib
import inspect
import io
import logging
import math
import os
import symtable
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from dcgan_utils import live
from dcgan_utils.core.environment import provenance as provenance_text
from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.parameters import Parameters

if TYPE_CHECKING:
    import ipywidgets as widgets
    import pandas as pd
    import torch
    from IPython import display

    from dcgan_utils.runs.run import Run

logger = logging.getLogger(__name__)
Config = TypeVar("Config", bound=Parameters)

SIDE = 256  # of the images that a slider moves, in pixels


# --- Parameters ---


def configure(namespace: dict[str, Any], kind: type[Config]) -> Config:
    """Check and print the notebook's parameters, and show the package's log in the cells.

    Parameters
    ----------
    namespace
        The notebook's ``globals()``. The calling cell must follow the parameters cell.
    kind
        The class whose fields are the parameters.

    Raises
    ------
    WorkbookError
        With one sentence for each unknown name or invalid value, saying what is allowed.
    """
    log_to_cell()
    live.show_steps()
    given = collect_parameters(namespace, kind)
    _, cell = _parameter_cells(namespace, kind)
    injected = {name: given[name] for name in _assigned(cell) if name in given}
    _refuse_numbers_for_texts(injected, kind)
    config = kind.resolve(**given)
    print(config)
    if unset := [name for name, value in injected.items() if value is None]:
        values = ", ".join(f"{name} is {getattr(config, name)}" for name in unset)
        print(f"None means 'not given': {values}. The word itself is a text: papermill's -r.")
    return config


def collect_parameters(namespace: dict[str, Any], kind: type[Parameters]) -> dict[str, Any]:
    """Collect the parameters that a notebook has set, including misspelt ones.

    papermill only warns about a parameter that the notebook does not have, and may then run for
    hours without it. So the assigned names are read, in IPython's history, from the parameters
    cell and the cell that papermill injects after it. Unknown names remain in the result, so that
    they are refused later.
    """
    assigned = [name for cell in _parameter_cells(namespace, kind) for name in _assigned(cell)]
    return {
        name: namespace[name]
        for name in [*kind.model_fields, *assigned]
        if name in namespace and not name.startswith("PAPERMILL_")  # of its --inject-paths
    }


def _parameter_cells(namespace: dict[str, Any], kind: type[Parameters]) -> tuple[str, str]:
    """Return the parameters cell and the one that papermill injected after it, empty if none.

    The history has no tags, but papermill's comment. The parameters cell is the latest that
    assigns many parameters: it may have been executed before, and there may be cells around it
    that assign one by chance.
    """
    history = namespace.get("In", [])[:-1] or [""]
    counts = [
        0 if _is_injected(cell) else len({*_assigned(cell)} & {*kind.model_fields})
        for cell in history
    ]
    many = max(1, max(counts) / 2)
    latest = max((number for number, count in enumerate(counts) if count >= many), default=None)
    own = "" if latest is None else history[latest]
    injected = [cell for cell in history[latest:] if _is_injected(cell)]
    return own, (injected or [""])[-1]


def _is_injected(cell: str) -> bool:
    return cell.startswith("# Parameters\n")


def _assigned(cell: str) -> list[str]:
    """Return the names that a cell assigns, in whatever way, but imports and functions."""
    try:
        symbols = symtable.symtable(cell, "cell", "exec").get_symbols()
    except SyntaxError:
        return []
    return [s.get_name() for s in symbols if s.is_assigned() and not s.is_namespace()]


def _refuse_numbers_for_texts(injected: dict[str, Any], kind: type[Parameters]) -> None:
    """Refuse what papermill made of a text: it reads 007 as 7, 1e3 as 1000.0, True as a bool."""
    sentences = []
    for name in filter(kind.text_fields().__contains__, injected):
        value, field = injected[name], kind.model_fields[name]
        is_unset = value is None and field.default is None
        is_position = type(value) is int and field.annotation == str | int
        if isinstance(value, str) or is_unset or is_position:
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        sentences.append(
            f"{name} is {value}, {'a number' if is_number else 'not a text'}: use -r {name} "
            f"{value}, or what it really is, such as 007 (papermill's raw text; -p reads that as "
            "7). In a YAML file, put it in quotes."
        )
    if sentences:
        raise WorkbookError(" ".join(sentences))


# --- Progress ---


def log_to_cell() -> None:
    """Show the package's log as plain text in the cell that runs."""
    package = logging.getLogger("dcgan_utils")
    if not package.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        package.addHandler(handler)
        package.setLevel(logging.INFO)
        package.propagate = False


def train(dataset: str | Path, **parameters: Any) -> Run:
    """Train a DCGAN on a collection and show the progress; an interrupted training is resumed.

    Parameters
    ----------
    dataset
        A known name, or the path of a folder or zip; see `data.load_dataset`.
    **parameters
        Those of `gan.TrainConfig`, such as ``noise="gamma", epochs=60``. The preset supplies
        the defaults.

    Raises
    ------
    WorkbookError
        If a parameter or the collection is invalid, or the training fails; see `runs.train`.
    """
    from dcgan_utils.data.load import load_dataset
    from dcgan_utils.gan.config import TrainConfig
    from dcgan_utils.runs.training import train as train_run
    from dcgan_utils.runs.transfer import locate_source

    config = TrainConfig.resolve(dataset=str(dataset), **parameters)
    locate_source(config.start_from)
    live.show_steps()
    with live.shown_log():
        collection = load_dataset(config.dataset, **config.loading)
        return train_run(config, collection, watchers=live.watchers())


# --- Display ---


@contextlib.contextmanager
def skip_if_not_enough_data() -> Iterator[None]:
    """Show the reason instead of a result if there is not enough data for it."""
    from IPython import display

    try:
        yield
    except NotEnoughData as reason:
        display.display(display.Markdown(f"*{reason}*"))


def show_source(*functions: Callable[..., Any]) -> display.Markdown:
    """Show the source code of functions, without their docstrings."""
    from IPython import display

    sources = []
    for function in functions:
        source = inspect.cleandoc("\n" + inspect.getsource(function))
        lines, first = source.splitlines(), ast.parse(source).body[0].body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            del lines[first.lineno - 1 : first.end_lineno]
        sources.append("\n".join(lines))
    return display.Markdown("```python\n" + "\n\n\n".join(sources) + "\n```")


def player(
    frames: Iterable[tuple[str, torch.Tensor]], description: str, *, width: int = 480
) -> display.HTML:
    """Show images over time: a slider through the frames, and a button that plays them once.

    Nothing moves by itself: the last frame is shown first. Where scripts do not run, as in a
    notebook that is not trusted, it is the only one.

    Parameters
    ----------
    frames
        The name of each, such as "epoch 6", and its images, uint8, shape ``(n, 3, H, W)``, which
        are arranged in a square. Of more than 60, some are left out, evenly, but not the last.
    description
        A sentence: the alternative text.
    width
        In pixels of the screen, at most.
    """
    from IPython import display

    from dcgan_utils.report.site import render

    encoded = [(name, _as_webp(images)) for name, images in frames]
    kept = encoded[:: -math.ceil(len(encoded) / 60)][::-1]
    html = render(
        "player.html.j2",
        id=f"player-{hashlib.sha256(repr(kept).encode()).hexdigest()[:12]}",
        frames=[content for _, content in kept],
        names=[name for name, _ in kept],
        description=description,
        width=width,
    )
    return display.HTML(html)


def _as_webp(images: torch.Tensor) -> str:
    """Return images in a square as the address of a WebP."""
    from PIL import Image

    from dcgan_utils.data.tensors import make_grid

    buffer = io.BytesIO()
    grid = make_grid(images, math.ceil(math.sqrt(len(images))), gap=2)
    Image.fromarray(grid.numpy()).save(buffer, "WEBP", quality=75)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def table_with_images(
    table: pd.DataFrame, images: Mapping[str, torch.Tensor], columns: Sequence[str]
) -> display.HTML:
    """Show a table in which the names of images stand below the images.

    Parameters
    ----------
    table
        Its texts are escaped.
    images
        uint8, shape ``(3, H, W)`` each, by name.
    columns
        Those that hold names of images.
    """
    from IPython import display

    if table.empty:
        return display.HTML("<em>None.</em>")
    cells = table.map(lambda value: escape(str(value)))
    for column in columns:
        named = zip(table[column], cells[column], strict=True)
        cells[column] = [f"{_thumbnail(images[name], text)}<br>{text}" for name, text in named]
    html = cells.to_html(index=False, escape=False, border=0)
    for tag in ("th", "td"):  # numbers stand on the right, but these are texts
        html = html.replace(f"<{tag}>", f'<{tag} style="text-align: left">')
    return display.HTML(html)


def _thumbnail(image: torch.Tensor, alternative: str, side: int = 96) -> str:
    """Return a small image as an HTML tag, with its alternative text, which is escaped already."""
    from dcgan_utils.data.tensors import as_image

    buffer = io.BytesIO()
    as_image(image).resize((side, side)).save(buffer, "WEBP", quality=75)
    data = base64.b64encode(buffer.getvalue()).decode()
    source = f"data:image/webp;base64,{data}"
    return f'<img src="{source}" width="{side}" height="{side}" alt="{alternative}">'


def slider(walks: torch.Tensor, names: Sequence[str]) -> widgets.VBox | None:
    """Return a slider that moves several images at once; None where nobody looks.

    It needs a kernel, so a page cannot have it.

    Parameters
    ----------
    walks
        uint8, shape ``(walks, n, 3, H, W)``: a row of images for each of n places.
    names
        One per place, shown next to the slider.
    """
    if not live.in_front_end():
        return None
    import ipywidgets as widgets

    encoded = [[_enlarged(image) for image in walk] for walk in walks]
    middle = len(names) // 2
    layout = {"width": f"{SIDE}px", "height": f"{SIDE}px"}  # else they are stretched to the cell
    row = [widgets.Image(value=walk[middle], format="png", layout=layout) for walk in encoded]
    options = [(name, place) for place, name in enumerate(names)]
    selection = widgets.SelectionSlider(options=options, value=middle, layout={"width": "360px"})

    def move(change: dict[str, Any]) -> None:
        for image, walk in zip(row, encoded, strict=True):
            image.value = walk[change["new"]]

    selection.observe(move, "value")
    return widgets.VBox([selection, widgets.HBox(row, layout={"flex_flow": "row wrap"})])


def _enlarged(image: torch.Tensor) -> bytes:
    from dcgan_utils.data.tensors import as_image

    buffer = io.BytesIO()
    as_image(image).resize((SIDE, SIDE), 0).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True)
class ShownPage:
    """An HTML page: in a cell a link and, where somebody looks, a frame; elsewhere its path.

    Attributes
    ----------
    page
        The file. The link is relative to the working directory, which is a notebook's folder.
    text
        What the link says, and the frame is called.
    height
        Of the frame, in pixels.
    """

    page: Path
    text: str
    height: int = 800

    def __repr__(self) -> str:
        return str(self.page)

    def _repr_html_(self) -> str:
        href, text = quote(os.path.relpath(self.page).replace(os.sep, "/")), escape(self.text)
        link = f'<p><a href="{href}">{text}</a></p>'
        if not live.in_front_end():
            return link
        # Where a server can send the page, it does not become part of the notebook.
        content = f'src="{href}"' if _is_served(self.page) else f'srcdoc="{self._content()}"'
        style = f"width: 100%; height: {self.height}px; border: 0"
        return (
            f'{link}<iframe class="shown-page" {content} title="{text}" style="{style}"></iframe>'
        )

    def _content(self) -> str:
        return escape(self.page.read_text(encoding="utf-8"))


def _is_served(page: Path) -> bool:
    """Return whether a Jupyter server of this machine sends both this page and the notebook."""
    from jupyter_server.serverapp import list_running_servers

    both = page.resolve(), Path.cwd().resolve()
    roots = [Path(server["root_dir"]).resolve() for server in list_running_servers()]
    return any(all(path.is_relative_to(root) for path in both) for root in roots)


def play(*runs: Run | str, page: Path | None = None, epoch: int | None = None) -> ShownPage:
    """Write the playground of trained runs, one page in which a browser draws their images.

    Parameters
    ----------
    *runs
        Runs, or their names; see `runs.find_run`.
    page
        The HTML file; by default that of the first run's name in ``reports/playground``.
    epoch
        An epoch whose weights were kept; by default the last checkpoint.

    Returns
    -------
    ShownPage
        Shows itself in a cell.

    Raises
    ------
    WorkbookError
        If a run is not found or cannot be read, or the page cannot be written.
    """
    from dcgan_utils.core.files import report_dir
    from dcgan_utils.report.playground import write_playground
    from dcgan_utils.runs.run import find_run

    if not runs:
        raise WorkbookError("name at least one run to play with.")
    found = [find_run(run) for run in runs]
    page = page or report_dir("playground") / f"{found[0].name}.html"
    names = found[0].name if len(found) == 1 else f"{len(found)} runs"
    return ShownPage(write_playground(found, page, epoch=epoch), f"The playground of {names}")


def provenance(**facts: Any) -> None:
    """Print the provenance of a notebook's results: facts, machine and versions."""
    print(provenance_text(facts))
