"""What a notebook has set, as IPython remembers it; what is refused is in test_config."""

import torch

from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.notebook import collect_parameters


def found_after(*cells, **names):
    namespace = {"In": ["", *cells, "config = ..."], **names}
    return collect_parameters(namespace, TrainConfig)


def test_parameters_are_read_from_the_notebook():
    found = found_after(
        "import torch", "epochs: int = 3  # help\nnoise = None", epochs=3, noise=None
    )
    assert found == {"epochs": 3, "noise": None}


def test_a_misspelt_injected_parameter_is_found():
    found = found_after(
        "import torch",
        "epochs: int = 3",
        "# Parameters\nepoch = 5\nlr = float('nan')\n",
        epochs=3,
        epoch=5,
        lr=1.0,
    )
    assert found["epoch"] == 5


def test_other_variables_of_the_notebook_are_no_parameters():
    found = found_after("epochs: int = 3", "x = compute()", epochs=3, x=9, y=10, torch=torch)
    assert found == {"epochs": 3}


def test_cells_that_are_no_python_are_no_parameters():
    found = found_after("epochs = 3", "%matplotlib inline", epochs=3)
    assert found == {"epochs": 3}
