"""A notebook's cells in this process: no kernel has to start, and torch is imported already."""

import logging
import types

import nbformat
import pytest

from dcgan_utils.core.files import notebooks_dir


@pytest.fixture
def execute():
    """Return a function that executes a notebook's cells and returns the text that they show.

    Parameters are injected as by papermill; the first error is raised.
    """
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from papermill.parameterize import parameterize_notebook
    from traitlets.config import Config

    package = logging.getLogger("dcgan_utils")
    former = package.handlers[:], package.level, package.propagate

    def run(name, **parameters):
        InteractiveShell.clear_instance()
        package.handlers.clear()
        notebook = nbformat.read(notebooks_dir() / f"{name}.ipynb", as_version=4)
        notebook = parameterize_notebook(notebook, parameters)
        with capture_output() as shown:
            shell = InteractiveShell.instance(
                config=Config({"HistoryManager": {"enabled": False}}),
                user_module=types.ModuleType("notebook_in_a_test"),
            )
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    shell.run_cell(cell.source, store_history=True).raise_error()
        texts = (output.data for output in shown.outputs)
        return "\n".join([shown.stdout, *(str(data) for data in texts)])

    yield run
    InteractiveShell.clear_instance()
    package.handlers[:], package.level, package.propagate = former
