"""Notebooks without kernels: their cells, or a stand-in for them, in the tests' own process."""

import logging
import types
from contextlib import contextmanager

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import notebooks_dir
from dcgan_utils.data.load import load_dataset
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.runs.training import train


def execute_cells(name, **parameters):
    """Execute a notebook's cells and return the text that they show; the first error is raised.

    Parameters are injected as by papermill.
    """
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook
    from traitlets.config import Config

    stored = load_notebook_node(str(notebooks_dir() / f"{name}.ipynb"))
    notebook = parameterize_notebook(stored, parameters)
    shell = InteractiveShell.instance(
        config=Config({"HistoryManager": {"enabled": False}}),
        user_module=types.ModuleType("notebook_in_a_test"),
    )
    try:
        with _own_log(), capture_output() as shown:
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    shell.run_cell(cell.source, store_history=True).raise_error()
    finally:
        InteractiveShell.clear_instance()
    texts = (str(text) for output in shown.outputs for text in output.data.values())
    return "\n".join([shown.stdout, *texts])


@contextmanager
def _own_log():
    """Give the package's log back as it was: a notebook lets it appear in the cell."""
    package = logging.getLogger("dcgan_utils")
    former = package.handlers[:], package.level, package.propagate
    package.handlers.clear()
    try:
        yield
    finally:
        package.handlers[:], package.level, package.propagate = former


class StandIn:
    """Takes the place of `schedule.execute_notebook`: ``train.ipynb`` is one call of `train`.

    ``executed`` lists the notebooks.
    """

    def __init__(self):
        self.executed = []

    def __call__(self, name, output, parameters, *, stream=None):
        self.executed.append(name)
        failed = ""
        try:
            if name == "train":
                config = TrainConfig.resolve(**parameters)
                train(config, load_dataset(config.dataset, config.img_size))
        except WorkbookError as error:
            failed = f"WorkbookError: {error}"
        executed = new_notebook(cells=[new_code_cell("1", execution_count=1)])
        executed.metadata["papermill"] = {"end_time": "now", "exception": bool(failed) or None}
        nbformat.write(executed, output)
        return failed
