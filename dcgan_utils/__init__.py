"""DCGANs on small image collections.

The rooms: `core`, `data`, `gan`, `runs`, `metrics`, `study`, `plots`, `report`; `live` shows long
work while it goes on, and `notebook` has what a notebook's cell needs. The six functions of a
lecture: `load_dataset`, `train`, `sample`, `load_generator`, `find_runs`, `play`. All are loaded
when they are first used, so that ``import dcgan_utils`` itself costs nothing.
"""

import importlib
import os
import sys

# On Linux the threads of torch wait for each other by spinning. With a busy program on one of two
# cores a training step took 3 to 6 times as long with the default as with this shorter wait; on
# an idle machine the two were equal. It counts only if it is set before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

__version__ = "0.2.0"

_ROOMS = ("core", "data", "gan", "runs", "metrics", "study", "plots", "report", "live", "notebook")
_FUNCTIONS = {
    "load_dataset": "data.load",
    "train": "notebook",
    "sample": "runs.sampling",
    "load_generator": "runs.sampling",
    "find_runs": "runs.run",
    "play": "notebook",
}
__all__ = [*_ROOMS, *_FUNCTIONS]


def __getattr__(name: str) -> object:
    """Import a room or a function on first use (PEP 562)."""
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    """List what can be used, loaded or not."""
    return sorted({*globals(), *__all__})


def _show_runs_in_cells() -> None:
    """Let a `Run` that a cell returns show itself; what draws it is imported only then.

    It is arranged here since `runs` knows nothing of figures, which lie to its right.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        html = shell.display_formatter.formatters["text/html"]
        html.for_type_by_name(
            f"{__name__}.runs.run", "Run", lambda run: __getattr__("live").run_as_html(run)
        )


_show_runs_in_cells()
