"""What a notebook's cell needs: its parameters as IPython remembers them, progress, display."""

import base64
import io
import logging

import numpy as np
import pytest
import torch
from helpers import some
from PIL import Image

from dcgan_utils import notebook
from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.model import DCGAN
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


# --- Progress ---

ROW = {"epoch": 3, "d_loss_real": 0.5, "d_loss_fake": 0.4, "g_loss": 2.0, "d_real": 0.7,
       "d_fake": 0.1, "seconds": 1.25}  # fmt: skip


def test_progress_is_a_line_of_text_outside_jupyterlab(monkeypatch, caplog):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(logging.getLogger("dcgan_utils"), "propagate", True)
    with caplog.at_level(logging.INFO, "dcgan_utils"):
        notebook.epoch_reporter(40)(ROW)
    assert caplog.messages == [
        "epoch  3/40  loss of D 0.900, of G 2.000, D(x) 0.70, D(G(z)) 0.10  1.2 s"
    ]


def test_progress_is_a_bar_in_jupyterlab(monkeypatch, capsys):
    monkeypatch.setenv("JPY_SESSION_NAME", "/notebooks/train.ipynb")
    report = notebook.epoch_reporter(3)
    report(ROW)
    assert "3/3" in capsys.readouterr().err


def test_steps_are_reported_each_quarter_outside_jupyterlab(monkeypatch, caplog):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(logging.getLogger("dcgan_utils"), "propagate", True)
    report = notebook.step_reporter("features")
    with caplog.at_level(logging.INFO, "dcgan_utils"):
        for done in range(10, 101, 10):
            report(done, 100)
    assert caplog.messages == [f"features: {n} of 100" for n in (30, 50, 80, 100)]


def test_steps_are_a_bar_in_jupyterlab(monkeypatch, capsys):
    monkeypatch.setenv("JPY_SESSION_NAME", "/notebooks/eda.ipynb")
    report = notebook.step_reporter("features")
    assert not capsys.readouterr().err, "nothing to do yet"
    report(1, 2)
    report(2, 2)
    assert "features: 100%" in capsys.readouterr().err


# --- Display ---


def test_the_two_updates_are_shown_from_the_package_s_own_source():
    shown = notebook.show_source(DCGAN.train_discriminator, DCGAN.train_generator).data
    assert shown.startswith("```python\ndef train_discriminator(")
    assert "(loss_real + loss_fake).backward()" in shown
    assert "# max over D:  E[log D(x)] + E[log(1 - D(G(z)))]" in shown
    assert "# max over G:  E[log D(G(z))]" in shown
    assert '"""' not in shown


def test_a_reason_stands_in_place_of_a_result_and_an_error_does_not(capsys):
    with notebook.skip_if_not_enough_data():
        raise NotEnoughData("Too few images.")
    with pytest.raises(WorkbookError, match="wrong"), notebook.skip_if_not_enough_data():
        raise WorkbookError("wrong")


def test_configure_logs_checks_and_shows(capsys):
    namespace = {"In": ["", "dataset = 'here'\nepochs = 3", ""], "dataset": "here", "epochs": 3}
    config = notebook.configure(namespace, TrainConfig)
    assert (config.dataset, config.epochs) == ("here", 3)
    assert "epochs          3" in capsys.readouterr().out
    with pytest.raises(WorkbookError, match="epochs should be"):
        notebook.configure(namespace | {"epochs": 0}, TrainConfig)


def test_a_slider_is_for_jupyterlab_alone(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert notebook.slider(some(3), ["a", "b", "c"]) is None
    monkeypatch.setenv("JPY_SESSION_NAME", "walk.ipynb")
    place, seen = notebook.slider(some(3), ["a", "b", "c"]).children
    before = seen.value
    place.value = 2
    assert seen.value != before
    shown = np.asarray(Image.open(io.BytesIO(seen.value)))
    assert shown.shape == (256, 256, 3)
    assert (shown[4, 4] == some(3)[2, :, 0, 0].numpy()).all()


def test_animations_are_embedded_and_described(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    html = notebook.animate(tmp_path / "x.gif", 'moving "colours" <here>').data
    assert "data:image/webp;base64," in html
    assert len(html) < 3000
    assert 'alt="moving &quot;colours&quot; &lt;here&gt;"' in html


def test_long_animations_are_thinned_but_end_with_the_last_frame(tmp_path):
    colours = [(level, 97 * level % 256, 31 * level % 256) for level in range(250)]
    frames = [Image.new("RGB", (8, 8), colour) for colour in colours]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    html = notebook.animate(tmp_path / "x.gif", "red", width=8).data
    data = base64.b64decode(html.split("base64,")[1].split('"')[0])
    shown = Image.open(io.BytesIO(data))
    assert 40 <= shown.n_frames <= 61
    shown.seek(shown.n_frames - 1)
    assert shown.convert("RGB").getpixel((4, 4))[0] == pytest.approx(249, abs=8)
