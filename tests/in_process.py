"""Notebooks without kernels, in the tests' own process, which has imported everything already."""

import atexit
import base64
import logging
import sys
import types
from contextlib import contextmanager

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

import dcgan_utils
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import notebooks_dir
from dcgan_utils.core.progress import shown_here
from dcgan_utils.data.load import load_dataset
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.notebook import log_to_cell
from dcgan_utils.report.configs import TrainingsConfig
from dcgan_utils.runs.training import train, train_each


def execute_in_process(name, output, parameters):
    """Do as `schedule.execute_notebook` does, but without a kernel."""
    failed = ""
    notebook = _parameterized(name, parameters)
    try:
        with shown_here():
            _execute(notebook)
    except WorkbookError as error:
        failed = f"{type(error).__name__}: {error}"
    notebook.metadata["papermill"] |= {"end_time": "now", "exception": bool(failed) or None}
    nbformat.write(notebook, output)
    return failed


def execute_cells(name, **parameters):
    """Execute a notebook's cells and return the text that they show; the first error is raised."""
    notebook = executed(name, **parameters)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = (str(text) for output in outputs for text in output.get("data", {}).values())
    return "\n".join([*(output.get("text", "") for output in outputs), *texts])


def executed(name, *, replaced=None, more=(), **parameters):
    """Return the executed notebook with its outputs; the first error is raised.

    ``replaced`` are texts of its code, and what stands there instead; ``more`` the code of cells
    that follow.
    """
    notebook = _parameterized(name, parameters)
    notebook.cells += map(new_code_cell, more)
    for cell in notebook.cells:
        for old, new in (replaced or {}).items():
            if cell.cell_type == "code":
                cell.source = cell.source.replace(old, new)
    _execute(notebook)
    return notebook


def _parameterized(name, parameters):
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    stored = load_notebook_node(str(notebooks_dir() / f"{name}.ipynb"))
    return parameterize_notebook(stored, parameters)


def _execute(notebook):
    """Execute all cells and keep their outputs; the first error is raised."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from traitlets.config import Config

    shell = InteractiveShell.instance(
        config=Config({"HistoryManager": {"enabled": False}}),
        user_module=types.ModuleType("notebook_in_a_test"),
    )
    dcgan_utils._show_runs_in_cells()  # as the import does in a new kernel
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    try:
        for number, cell in enumerate(code, start=1):
            with capture_output() as shown, _own_log():
                shell.display_trap.hook = sys.displayhook  # a cell's last value is captured too
                result = shell.run_cell(cell.source, store_history=True)
            cell.execution_count = number
            cell.outputs = _outputs(shown)
            result.raise_error()
    finally:
        InteractiveShell.clear_instance()
        atexit.unregister(shell.atexit_operations)  # it would collect garbage once per notebook


def _outputs(shown):
    printed = [new_output("stream", text=shown.stdout)] if shown.stdout else []
    return printed + [
        new_output(
            "display_data",
            data={kind: _as_text(data) for kind, data in rich.data.items()},
            metadata=rich.metadata or {},
        )
        for rich in shown.outputs
    ]


def _as_text(data):
    return base64.b64encode(data).decode() if isinstance(data, bytes) else data


@contextmanager
def _own_log():
    """Let the package log into this cell, and give its log back as it was."""
    package = logging.getLogger("dcgan_utils")
    before = package.handlers[:], package.level, package.propagate
    package.handlers.clear()
    try:
        log_to_cell()
        yield
    finally:
        package.handlers[:], package.level, package.propagate = before


class StandIn:
    """Takes the place of `schedule.execute_notebook`: notebooks that train do only that.

    ``executed`` lists the notebooks.
    """

    def __init__(self):
        self.executed = []

    def __call__(self, name, output, parameters):
        self.executed.append(name)
        failed = ""
        try:
            if name == "train":
                config = TrainConfig.resolve(**parameters)
                train(config, load_dataset(config.dataset, **config.loading))
            if name == "trainings":
                config = TrainingsConfig.resolve(**parameters)
                train_each(config.trainings, load_dataset(config.dataset, **config.loading))
        except WorkbookError as error:
            failed = f"WorkbookError: {error}"
        executed = new_notebook(cells=[new_code_cell("1", execution_count=1)])
        executed.metadata["papermill"] = {
            "end_time": "now", "exception": bool(failed) or None, "parameters": parameters
        }  # fmt: skip
        nbformat.write(executed, output)
        return failed
