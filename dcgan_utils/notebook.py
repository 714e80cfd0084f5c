"""How long work shows that it moves: a bar in JupyterLab, lines of text elsewhere."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

logger = logging.getLogger(__name__)


def log_to_notebook() -> None:
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

    Under papermill a bar would stick at its first state, and a widget would be missing in
    the HTML page; so there each epoch is one line of text.
    """
    if not in_jupyterlab():
        return lambda row: logger.info("%s", _line(row, epochs))

    from tqdm.auto import tqdm

    bar = tqdm(total=epochs, unit="epoch")

    def advance(row: dict[str, float]) -> None:
        bar.set_postfix_str(_numbers(row), refresh=False)
        bar.update(row["epoch"] - bar.n)
        if row["epoch"] == epochs:
            bar.close()

    return advance


def step_reporter(what: str) -> Callable[[int, int], None]:
    """Return a function that reports how many of all are done; as text, each quarter."""
    if not in_jupyterlab():
        told = 0

        def tell(done: int, of: int) -> None:
            nonlocal told
            if 4 * done // of > told:
                told = 4 * done // of
                logger.info("%s: %d of %d", what, done, of)

        return tell

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


def _numbers(row: dict[str, float]) -> str:
    discriminator = row["d_loss_real"] + row["d_loss_fake"]
    return (
        f"loss of D {discriminator:.3f}, of G {row['g_loss']:.3f}, "
        f"D(x) {row['d_real']:.2f}, D(G(z)) {row['d_fake']:.2f}"
    )


def _line(row: dict[str, float], epochs: int) -> str:
    width = len(str(epochs))
    return f"epoch {row['epoch']:{width}d}/{epochs}  {_numbers(row)}  {row['seconds']:.1f} s"
