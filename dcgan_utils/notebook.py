"""What a notebook's cell needs: parameters, progress, things that move, and provenance.

This is the only room that displays; the rooms to its left return values and log.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import inspect
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dcgan_utils.core.environment import provenance as provenance_text
from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.core.parameters import Parameters

if TYPE_CHECKING:
    import ipywidgets as widgets
    import torch
    from IPython import display

    from dcgan_utils.runs.run import Run

logger = logging.getLogger(__name__)
Config = TypeVar("Config", bound=Parameters)


# --- Parameters ---


def configure(namespace: dict[str, Any], kind: type[Config]) -> Config:
    """Check the notebook's parameters, show them, and let the package's log appear in the cell.

    Parameters
    ----------
    namespace
        The notebook's ``globals()``, seen from the cell right after the parameters.
    kind
        Whose fields the parameters are.

    Raises
    ------
    WorkbookError
        One sentence for each unknown name or impossible value, saying what is allowed.
    """
    log_to_cell()
    config = kind.resolve(**collect_parameters(namespace, kind))
    print(config)
    return config


def collect_parameters(namespace: dict[str, Any], kind: type[Parameters]) -> dict[str, Any]:
    """Collect the parameters that a notebook has set, misspelt ones included.

    papermill only warns of a parameter that the notebook does not have, and would work for
    hours without it. So the names assigned by the parameters cell and by the cell that papermill
    injected after it are read from IPython's history, and a name that is not a parameter stays
    in the result, to be refused.
    """
    found = {name: namespace[name] for name in kind.model_fields if name in namespace}
    for source in reversed(namespace.get("In", [])[:-1]):
        names = _assigned(source)
        if not names:
            break
        found |= {name: namespace[name] for name in names if name in namespace}
    return found


def _assigned(source: str) -> list[str]:
    """Return the names that a cell sets to plain values, or none if it does anything else."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return []
    names = []
    for statement in statements:
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        value = getattr(statement, "value", None)
        if not all(isinstance(t, ast.Name) for t in targets) or not _is_plain(value):
            return []
        names += [target.id for target in targets]
    return names


def _is_plain(value: ast.expr | None) -> bool:
    if value is None:
        return False
    try:
        ast.literal_eval(value)
    except ValueError:  # papermill writes infinity and NaN as float('inf')
        return isinstance(value, ast.Call) and ast.unparse(value.func) == "float"
    return True


# --- Progress ---


def log_to_cell() -> None:
    """Show the package's log in the cell that causes it, as plain text."""
    package = logging.getLogger("dcgan_utils")
    if not package.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        package.addHandler(handler)
        package.setLevel(logging.INFO)
        package.propagate = False


def epoch_reporter(epochs: int) -> Callable[[dict[str, float]], None]:
    """Return a function that reports one epoch's row of the history.

    It is a bar in JupyterLab and in a terminal. Under papermill a bar would stick at its first
    state; there each epoch is one line of text.
    """
    if not (in_jupyterlab() or sys.stderr.isatty()):
        return lambda row: logger.info("%s", _line(row, epochs))

    from tqdm.auto import tqdm

    bar = tqdm(total=epochs, unit="epoch")

    def advance(row: dict[str, float]) -> None:
        bar.set_postfix_str(_losses(row), refresh=False)
        bar.update(row["epoch"] - bar.n)
        if row["epoch"] == epochs:
            bar.close()

    return advance


def step_reporter(what: str) -> Callable[[int, int], None]:
    """Return a function that reports how many of all steps are done; as text, each quarter."""
    if not in_jupyterlab():
        reported = 0

        def report(done: int, of: int) -> None:
            nonlocal reported
            if 4 * done // of > reported:
                reported = 4 * done // of
                logger.info("%s: %d of %d", what, done, of)

        return report

    from tqdm.auto import tqdm

    bar = None  # until there is something to do: results may come from the cache

    def advance(done: int, of: int) -> None:
        nonlocal bar
        bar = bar or tqdm(desc=what, total=of)
        bar.update(done - bar.n)
        if done == of:
            bar.close()

    return advance


def in_jupyterlab() -> bool:
    """Tell whether a person looks on in JupyterLab, rather than papermill running this."""
    return "JPY_SESSION_NAME" in os.environ  # set by the Jupyter server for its notebooks


def _losses(row: dict[str, float]) -> str:
    discriminator = row["d_loss_real"] + row["d_loss_fake"]
    return (
        f"loss of D {discriminator:.3f}, of G {row['g_loss']:.3f}, "
        f"D(x) {row['d_real']:.2f}, D(G(z)) {row['d_fake']:.2f}"
    )


def _line(row: dict[str, float], epochs: int) -> str:
    width = len(str(epochs))
    return f"epoch {row['epoch']:{width}d}/{epochs}  {_losses(row)}  {row['seconds']:.1f} s"


def train(dataset: str | Path, **parameters: Any) -> Run:
    """Train a DCGAN on a collection, and show its progress.

    Parameters
    ----------
    dataset
        A known name, or the path of a folder or zip; see `data.load_dataset`.
    **parameters
        Any of `gan.TrainConfig`, such as ``noise="gamma", epochs=60``; what is left out comes
        from the preset.

    Returns
    -------
    Run
        Finished. A training that was interrupted resumes where it stopped.

    Raises
    ------
    WorkbookError
        If a parameter or the collection is wrong, or the training fails; see `runs.train`.
    """
    from dcgan_utils.data.load import load_dataset
    from dcgan_utils.gan.config import TrainConfig
    from dcgan_utils.runs.training import train as train_run

    config = TrainConfig.resolve(dataset=str(dataset), **parameters)
    collection = load_dataset(config.dataset, config.img_size)
    return train_run(config, collection, on_epoch=epoch_reporter(config.epochs))


# --- Display ---


@contextlib.contextmanager
def skip_if_not_enough_data() -> Iterator[None]:
    """Show the reason in place of a result, if there is too little data for it."""
    from IPython import display

    try:
        yield
    except NotEnoughData as reason:
        display.display(display.Markdown(f"*{reason}*"))


def show_source(*functions: Callable[..., Any]) -> display.Markdown:
    """Show the package's own source of some functions, without their docstrings."""
    from IPython import display

    sources = []
    for function in functions:
        tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
        (definition,) = tree.body
        lines = inspect.cleandoc("\n" + inspect.getsource(function)).splitlines()
        text = definition.body[0]
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            del lines[text.lineno - 1 : text.end_lineno]
        sources.append("\n".join(lines))
    return display.Markdown("```python\n" + "\n\n\n".join(sources) + "\n```")


def animate(path: Path, description: str, *, width: int = 480) -> display.HTML:
    """Show an animated GIF, recoded as WebP to keep the page small.

    Of a long one every n-th frame is shown, about 60 in all, and the last.
    """
    from html import escape

    from IPython import display
    from PIL import Image, ImageOps, ImageSequence

    buffer = io.BytesIO()
    with Image.open(path) as gif:
        durations, frames, step = [], [], -(-gif.n_frames // 60)
        for number, frame in enumerate(ImageSequence.Iterator(gif), start=1):
            if number % step == 0 or number == gif.n_frames:
                durations.append(frame.info.get("duration", 120))
                frames.append(ImageOps.contain(frame.convert("RGB"), (width, width)))
    look = {"duration": durations, "loop": 0, "quality": 70, "method": 2}
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], **look)
    data = base64.b64encode(buffer.getvalue()).decode()
    return display.HTML(
        f'<img src="data:image/webp;base64,{data}" width="{width}" alt="{escape(description)}">'
    )


def slider(images: torch.Tensor, names: Sequence[str]) -> widgets.VBox | None:
    """Return images under a slider in JupyterLab; nothing where nobody could move it.

    Parameters
    ----------
    images
        uint8, shape ``(n, 3, H, W)``.
    names
        One for each image, shown beside the slider.
    """
    if not in_jupyterlab():
        return None
    import ipywidgets as widgets

    from dcgan_utils.data.tensors import as_image

    encoded = []
    for image in images:
        buffer = io.BytesIO()
        as_image(image).resize((256, 256), 0).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    middle = len(encoded) // 2
    shown = widgets.Image(value=encoded[middle], format="png")
    options = [(name, number) for number, name in enumerate(names)]
    place = widgets.SelectionSlider(options=options, value=middle, layout={"width": "360px"})
    place.observe(lambda change: setattr(shown, "value", encoded[change["new"]]), "value")
    return widgets.VBox([place, shown])


def provenance(**facts: Any) -> None:
    """Print what the results of a notebook were made with: its facts, machine and versions."""
    print(provenance_text(facts))
