"""What a notebook's cell needs: its parameters as IPython remembers them, progress, display."""

import base64
import io
import json
import logging
import os
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from helpers import some
from PIL import Image

from dcgan_utils import notebook
from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.notebook import collect_parameters
from dcgan_utils.report.configs import (
    AugmentConfig,
    CompareConfig,
    EdaConfig,
    LatentConfig,
    StudyConfig,
)
from dcgan_utils.report.content import prepare
from dcgan_utils.runs.training import train


@pytest.fixture(autouse=True)
def _log_as_before(monkeypatch):
    """Take back what `configure` does to the package's log."""
    package = logging.getLogger("dcgan_utils")
    monkeypatch.setattr(package, "handlers", package.handlers[:])
    monkeypatch.setattr(package, "propagate", package.propagate)


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


def executed(*cells):
    """Return the namespace of a notebook whose next cell is that of `configure`."""
    names = {}
    for cell in cells:
        exec(cell, names)
    return {**names, "In": ["", *cells, "config = notebook.configure(globals(), TrainConfig)"]}


@pytest.mark.parametrize(
    "cell",
    [
        "epochs = 2 * 5\nwdith = 9",
        "from pathlib import Path\nepochs: int = 3\nwdith: int = 9",
        "epochs, wdith = 3, 9",
        "(epochs, [*noise, wdith]) = 3, [4, 9]",
        "epochs = wdith = 9",
        "epochs = 3; wdith = 9",
        "epochs: int = 3\nwdith: int = int('9')",
        "epochs = 3\nif epochs:\n    wdith = 9",
        "epochs = (wdith := 9)",
        "epochs = 3\nepochs *= 2\nfor wdith in (9,):\n    pass",
        "def double(x):\n    return 2 * x\nepochs = double(3)\nwdith = [n for n in (9,)][0]",
        "import os\nepochs = 3\nos.environ['x'] = 'y'\nwdith = 9",
    ],
)
def test_a_misspelt_parameter_is_found_whatever_else_the_cell_does(cell):
    with pytest.raises(WorkbookError, match=r"'wdith' is not a parameter\. Did you mean 'width'"):
        notebook.configure(executed("import torch", cell), TrainConfig)


@pytest.mark.parametrize(
    "cell",
    [
        "import numpy as np\nepochs = int(np.int64(3))",
        "def half(x):\n    rest = x % 2\n    return (x - rest) // 2\nepochs = half(6)",
        "epochs: int = 3\nwidth: int",
        "epochs = sum(n for n in (1, 2))",
    ],
)
def test_what_a_parameters_cell_imports_or_defines_is_no_parameter(cell):
    found = collect_parameters(executed(cell), TrainConfig)
    assert found == {"epochs": 3}


PARAMETERS = "dataset: str = 'here'\nepochs: int = 3\nwidth: int = None\nseed: int = 0"


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["note = 5", PARAMETERS], {}),
        ([PARAMETERS, "note = 5"], {}),
        ([PARAMETERS, "seed = 7; note = 5"], {"seed": 7}),
        ([PARAMETERS, "note = 5", "# Parameters\nepoch = 9\n"], {"epoch": 9}),
        ([PARAMETERS, "# Parameters\nepoch = 9\n", "note = 5"], {"epoch": 9}),
        (["# Parameters\nepoch = 9\n", PARAMETERS], {}),
        ([PARAMETERS + "\nepoch = 9", "# Parameters\nepochs = 4\n"], {"epochs": 4, "epoch": 9}),
        ([PARAMETERS + "\nepoch = 9", PARAMETERS], {}),
        ([PARAMETERS, "# Parameters\nepoch = 9\n", "# Parameters\nseed = 1\n"], {"seed": 1}),
        (["# Parameters\nepoch = 9\n"], {"epoch": 9}),
        ([PARAMETERS, "# Parameters\nPAPERMILL_INPUT_PATH = 'x'\nseed = 1\n"], {"seed": 1}),
    ],
    ids=["before", "after", "by chance", "between", "after papermill's", "the cell executed later",
         "both cells", "mended", "mended in papermill's", "papermill's alone", "papermill's paths"],
)  # fmt: skip
def test_only_the_parameters_cell_and_papermill_s_count(cells, found):
    given = collect_parameters(executed(*cells), TrainConfig)
    expected = (
        {"dataset": "here", "epochs": 3, "width": None, "seed": 0} if "here" in str(cells) else {}
    )
    assert given == expected | found


@pytest.mark.parametrize(
    ("kind", "line", "sentence"),
    [
        (
            TrainConfig,
            "dataset = 7",
            "dataset is 7, a number: use -r dataset 7, or what it really is",
        ),
        (TrainConfig, "dataset = 1000.0", "dataset is 1000.0, a number: use -r dataset"),
        (TrainConfig, "dataset = float('nan')", "dataset is nan, a number: use -r dataset"),
        (TrainConfig, "dataset = True", "dataset is True, not a text: use -r dataset"),
        (TrainConfig, "dataset = None", "dataset is None, not a text: use -r dataset"),
        (TrainConfig, "dataset = ['a']", "dataset is ['a'], not a text: use -r dataset"),
        (EdaConfig, "other = 2024", "other is 2024, a number: use -r other 2024"),
        (CompareConfig, "runs = 7", "runs is 7, a number: use -r runs"),
        (CompareConfig, "label_column = 1", "label_column is 1, a number"),
        (LatentConfig, "run = 7", "run is 7, a number: use -r run"),
        (StudyConfig, "grid = 7", "grid is 7, a number: use -r grid"),
        (AugmentConfig, "image = 1000.0", "image is 1000.0, a number: use -r image"),
        (AugmentConfig, "image = None", "image is None, not a text: use -r image"),
    ],
)
def test_numbers_that_papermill_made_of_texts_are_refused(kind, line, sentence):
    with pytest.raises(WorkbookError) as refusal:
        notebook.configure(executed("seed = 0", f"# Parameters\n{line}\n"), kind)
    assert str(refusal.value).startswith(sentence)


@pytest.mark.parametrize(
    ("kind", "line", "name", "value"),
    [
        (TrainConfig, "dataset = '007'", "dataset", "007"),
        (TrainConfig, "seed = 7", "seed", 7),
        (EdaConfig, "other = None", "other", None),
        (AugmentConfig, "image = 25", "image", 25),
    ],
)
def test_texts_stay_texts_and_numbers_numbers(kind, line, name, value):
    config = notebook.configure(executed("seed = 0", f"# Parameters\n{line}\n"), kind)
    assert getattr(config, name) == value


def test_a_number_in_the_parameters_cell_is_a_name():
    assert notebook.configure(executed("dataset = 2024"), TrainConfig).dataset == "2024"


def test_none_that_papermill_hands_over_is_said_to_mean_the_preset_s_value(capsys):
    cells = "preset = 'pokemon'\naugment = None", "# Parameters\naugment = None\nflip = None\n"
    notebook.configure(executed(*cells), TrainConfig)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("None means 'not given': augment is both, flip is False.")
    notebook.configure(executed(cells[0]), TrainConfig)
    assert "None means" not in capsys.readouterr().out


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


@pytest.fixture
def looked_at(monkeypatch):
    """Let the cells believe that somebody looks at them in JupyterLab."""
    monkeypatch.setenv("JPY_SESSION_NAME", "walk.ipynb")
    monkeypatch.setattr(notebook.live, "in_kernel", lambda: True)


def test_a_slider_is_for_jupyterlab_alone(monkeypatch):
    walks = torch.stack([some(3)])
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert notebook.slider(walks, ["a", "b", "c"]) is None
    monkeypatch.setenv("JPY_SESSION_NAME", "walk.ipynb")
    assert notebook.slider(walks, ["a", "b", "c"]) is None, "this is no kernel"


def test_a_slider_moves_a_row_of_images_of_one_size(looked_at):
    walks = torch.stack([some(3), 255 - some(3)])
    place, row = notebook.slider(walks, ["a", "b", "c"]).children
    assert len(row.children) == 2
    assert place.value == 1, "it begins in the middle"
    place.value = 2
    for walk, image in zip(walks, row.children, strict=True):
        assert (image.layout.width, image.layout.height) == ("256px", "256px")
        shown = np.asarray(Image.open(io.BytesIO(image.value)))
        assert shown.shape == (256, 256, 3)
        assert (shown[4, 4] == walk[2, :, 0, 0].numpy()).all()


PAGE = '<!DOCTYPE html><title>x</title><p id="in">"play" & more</p>'


@pytest.fixture
def shown_page(tmp_path, monkeypatch):
    """Return a page in ``reports``, as a notebook in ``work`` shows it."""
    for folder in ("reports", "work", "runtime"):
        (tmp_path / folder).mkdir()
    (tmp_path / "reports" / "a page.html").write_text(PAGE)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    return notebook.ShownPage(tmp_path / "reports" / "a page.html", "Play <here>")


@pytest.mark.parametrize("served", [True, False])
def test_a_page_is_linked_and_framed_where_somebody_looks(
    served, shown_page, looked_at, browser, tmp_path
):
    about = {"root_dir": str(tmp_path if served else tmp_path / "work"), "pid": os.getpid()}
    (tmp_path / "runtime" / "jpserver-1.json").write_text(json.dumps(about))
    dead = {"root_dir": str(tmp_path), "pid": 2**22 + 1}
    (tmp_path / "runtime" / "jpserver-2.json").write_text(json.dumps(dead))
    html = shown_page._repr_html_()
    assert '<a href="../reports/a%20page.html">Play &lt;here&gt;</a>' in html
    assert ("srcdoc" in html) != served, "a page that can be sent is no part of the notebook"
    (tmp_path / "work" / "cell.html").write_text(html)
    tab = browser.new_page()
    tab.goto((tmp_path / "work" / "cell.html").as_uri())
    assert tab.frame_locator("iframe").locator("#in").inner_text() == '"play" & more'
    assert tab.locator("iframe").get_attribute("title") == "Play <here>"
    tab.locator("a").click()
    assert tab.title() == "x"
    tab.close()


def test_a_page_is_only_linked_where_nobody_looks(shown_page, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    link = '<p><a href="../reports/a%20page.html">Play &lt;here&gt;</a></p>'
    assert shown_page._repr_html_() == link
    assert repr(shown_page) == str(shown_page.page)


def test_an_exported_notebook_keeps_the_link_and_loses_the_frame(shown_page, looked_at):
    output = nbformat.v4.new_output("display_data", {"text/html": shown_page._repr_html_()})
    cell = nbformat.v4.new_code_cell("run.play()", outputs=[output])
    prepared = prepare(nbformat.v4.new_notebook(cells=[cell]))
    kept = prepared.cells[0].outputs[0].data["text/html"]
    assert "<a href" in kept
    assert "iframe" not in kept


def test_a_run_is_played(tiny, collection, home):
    run = train(tiny(), collection)
    shown = run.play()
    assert shown.page == home / "reports" / "playground" / f"{run.name}.html"
    assert run.name in shown._repr_html_()
    assert run.name in shown.page.read_text(encoding="utf-8")
    with pytest.raises(WorkbookError, match="kept no weights of epoch 99"):
        run.play(epoch=99)


def test_a_table_shows_the_images_that_it_names_and_escapes_its_texts():
    table = pd.DataFrame({"image": ["<b>.png", "b.png"], "why": ["5 < 6", "a"], "n": [1, 2]})
    images = {"<b>.png": some(2)[0], "b.png": torch.full((3, 32, 32), 200, dtype=torch.uint8)}
    html = notebook.table_with_images(table, images, columns=["image"]).data
    assert 'alt="&lt;b&gt;.png"><br>&lt;b&gt;.png' in html
    assert "<b>" not in html
    assert "5 &lt; 6" in html
    _, *encoded = html.split("base64,")
    shown = [Image.open(io.BytesIO(base64.b64decode(part.split('"')[0]))) for part in encoded]
    assert [image.size for image in shown] == [(96, 96)] * 2
    assert np.abs(np.asarray(shown[1]).astype(int) - 200).max() < 4
    empty = notebook.table_with_images(table[:0], images, columns=["image"])
    assert empty.data == "<em>None.</em>"


def frames_in(html):
    return [
        Image.open(io.BytesIO(base64.b64decode(data)))
        for data in re.findall(r'"data:image/webp;base64,([^"]+)"', html)
    ]


def levels(count):
    """Return frames of four grey images, darkest first, and their names."""
    for level in range(count):
        yield f"epoch {level}", torch.full((4, 3, 8, 8), 240 * level // count, dtype=torch.uint8)


def test_a_player_shows_the_last_frame_and_describes_it():
    html = notebook.player(levels(4), 'Moving "colours" <here>.').data
    first, *frames = frames_in(html)
    assert first.size == (18, 18), "four images in a square, with a gap"
    grey = [frame.getpixel((4, 4))[0] for frame in frames]
    assert grey == pytest.approx([0, 60, 120, 180], abs=5)
    assert first.tobytes() == frames[-1].tobytes()
    assert 'alt="Moving &#34;colours&#34; &lt;here&gt;. Shown is epoch 3."' in html
    assert "<here>" not in html.replace("&lt;", "")


def test_of_a_long_time_evenly_many_frames_are_shown_and_the_last():
    html = notebook.player(levels(250), "Grey.").data
    names = re.findall(r'"(epoch \d+)"', html)
    assert 40 <= len(names) <= 60
    assert names[-1] == "epoch 249"
    assert len(frames_in(html)) == 1 + len(names)


def test_playing_needs_a_run():
    with pytest.raises(WorkbookError, match="name at least one run"):
        notebook.play()
