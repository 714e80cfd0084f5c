"""The exploration's notebook on odd collections, cell by cell, where a warning is an error."""

import base64
import csv
import io
import re
import warnings
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from in_process import executed
from PIL import Image

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import notebooks_dir, reports_dir
from dcgan_utils.metrics import features
from dcgan_utils.plots.style import Figure
from dcgan_utils.report.configs import EdaConfig
from dcgan_utils.runs import sampling
from dcgan_utils.runs.training import train


@pytest.fixture
def explore(quick_umap, small_features, coarse):
    """Return a function that runs the notebook and returns its texts and number of figures."""

    def run(**parameters):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cells = executed("eda", **parameters).cells
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        shown = [output.get("data", {}) for output in outputs]
        texts = [output.get("text", "") for output in outputs]
        texts += [data.get("text/markdown", "") for data in shown]
        return "\n".join(texts), sum("image/png" in d or "image/jpeg" in d for d in shown)

    return run


@pytest.fixture
def undrawn(monkeypatch):
    """Let a figure show one pixel: the same figures are drawn in the tests without this."""
    pixel = io.BytesIO()
    Image.new("L", (1, 1)).save(pixel, "PNG")
    data = {"image/png": base64.b64encode(pixel.getvalue()).decode()}
    monkeypatch.setattr(Figure, "_repr_mimebundle_", lambda figure, **_: (data, {}))


def collection_of(folder, arrays, labels=None):
    folder.mkdir()
    names = [f"{number:02d}.png" for number in range(len(arrays))]
    for name, array in zip(names, arrays, strict=True):
        Image.fromarray(array.astype(np.uint8)).save(folder / name)
    if labels is not None:
        with (folder / "labels.csv").open("w", newline="") as file:
            csv.writer(file).writerows(
                [("file", "kind", "round"), *zip(names, *labels, strict=True)]
            )
    return str(folder)


def noise_images(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 30, 40, 3))


@pytest.mark.parametrize("n", [1, 3])
def test_few_images(explore, tmp_path, n, undrawn):
    text, figures = explore(dataset=collection_of(tmp_path / "few", noise_images(n)), img_size=32)
    assert f"Of {n} images, as loaded, **0** repeat" in text
    assert "What stands out is found among at least 10 images." in text
    assert not (reports_dir() / "few" / "duplicates.csv").exists()
    assert "nan" not in text
    assert f"15 nearest neighbours; different images here: {n}." in text
    assert ("Principal components take at least 3" in text) == (n < 3)
    assert f"There are only {n} different images, so there are no more clusters" in text
    assert figures >= (9 if n < 3 else 14)
    assert f"**few has {n} image{'s' * (n > 1)}.** A discriminator soon knows so few" in text
    assert ("**What they share**" in text) == (n > 1)
    assert "no duplicate and no outlier was found" in text


@pytest.mark.parametrize(
    "arrays",
    [
        np.repeat(noise_images(1), 40, 0),  # more than a batch of features
        np.full((40, 30, 40, 3), 200),
    ],
    ids=["all the same", "of one flat colour"],
)
def test_images_that_do_not_differ(explore, tmp_path, arrays, undrawn):
    text, figures = explore(dataset=collection_of(tmp_path / "same", arrays), img_size=32)
    assert "**39** repeat an earlier one pixel for pixel" in text
    assert "out of 40 images: **0** dark, **0** blurred, **0** far from all others" in text
    rows = (reports_dir() / "same" / "duplicates.csv").read_text().splitlines()
    assert rows[:2] == ["image,repeats,how,bits", "01.png,00.png,pixel for pixel,0"]
    assert len(rows) == 40, "all are there; the page shows eight"
    assert "different images here: 1." in text
    assert figures >= 9
    assert "**Look at:** exact copies (39). Decide whether" in text
    assert "What they share" not in text and "**Groups:**" not in text


def test_flat_images_of_many_colours(explore, tmp_path, undrawn):
    levels = np.random.default_rng(0).integers(0, 256, (20, 1, 1, 3))
    flat = np.broadcast_to(levels, (20, 30, 40, 3))
    text, figures = explore(dataset=collection_of(tmp_path / "flat", flat), img_size=32)
    assert "silhouette is highest" in text
    assert figures >= 16
    assert re.search(r"\*\*Groups:\*\* 10 clusters of pixels (stand|run) .*\(silhouette 0", text)


def test_labels_another_collection_and_clusters_of_features(explore, tmp_path):
    arrays = noise_images(16) // 4
    arrays[8:] += 150
    kinds = ["dark"] * 8 + ["bright"] * 8
    rounds = ["False"] * 15 + ["True"]  # as pandas writes them
    dataset = collection_of(tmp_path / "here", arrays, (kinds, rounds))
    other = collection_of(tmp_path / "there", noise_images(12, seed=1))
    text, figures = explore(
        dataset=dataset, other=other, img_size=32, cluster_on="features", k=2, cluster=1,
        n_neighbors=4,
    )  # fmt: skip
    assert "Round canvases according to the labels: 1. Of the round ones, **0%** were found" in text
    assert "nan" not in text
    assert "**here**: 16 images; **there**: 12 images." in text
    assert re.search(r"By features of efficientnet_lite0: \*\*KID [\d.]+\*\*, \*\*FID [\d.]+", text)
    assert float(re.search(r"area under the ROC curve of \*\*([\d.]+)", text)[1]) > 0.7
    assert "take at least" not in text
    assert figures >= 20
    exported = reports_dir() / "here" / "projector"
    assert (exported / "projector_config.pbtxt").exists()
    header = (exported / "metadata.tsv").read_text().splitlines()[0]
    assert header.split("\t") == ["file", "cluster", "kind", "round"]


def test_what_stands_out_is_listed_with_its_image(explore, tmp_path, undrawn):
    arrays = noise_images(20)
    arrays[4] = arrays[4] // 20
    dataset = collection_of(tmp_path / "mixed", arrays)
    text, _ = explore(dataset=dataset, img_size=32, fit="pad")
    header, *rows = (reports_dir() / "mixed" / "outliers.csv").read_text().splitlines()
    assert header == "image,what,why,value,median,score"
    assert [row.split(",")[0] for row in rows if ",dark," in row] == ["04.png"]
    images = {row.split(",")[0] for row in rows}
    assert f"**Look at:** dark, blurred or isolated images ({len(images)})." in text


def test_an_extractor_that_is_missing_is_refused_before_the_images_are_loaded(
    explore, tmp_path, monkeypatch
):
    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(features, "version", missing)
    monkeypatch.setattr(sampling, "load_pair", lambda *a, **k: pytest.fail("loaded"))
    with pytest.raises(WorkbookError, match="the extra 'inception' cannot be loaded"):
        explore(dataset="plein_air", extractor="inception")


def test_odd_names_and_odd_labels(explore, tmp_path):
    """Letters without a glyph, a label called like our own column, words for a horizon."""
    folder = tmp_path / "odd"
    folder.mkdir()
    names = ["モネ 🎨 $x$ `a` <b>.png", "b.png", "c.png", "d.png"]
    for name, array in zip(names, np.repeat(noise_images(2), 2, 0), strict=True):
        Image.fromarray(array.astype(np.uint8)).save(folder / name)
    (folder / "broken `<b>`.png").write_bytes(b"")
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [(name, number % 2, "high", "?") for number, name in enumerate(names)]
        csv.writer(file).writerows([("file", "cluster", "horizon", "round"), *rows])
    text, figures = explore(dataset=str(folder), img_size=32, k=2)
    assert "The labels give the horizon of 0 images." in text
    assert "Round canvases according to the labels: 0." in text
    assert "**2** repeat an earlier one" in text
    assert "nan" not in text
    assert figures >= 9


def test_many_clusters(explore, tmp_path, undrawn):
    dataset = collection_of(tmp_path / "many", noise_images(32))
    text, figures = explore(dataset=dataset, img_size=32, k=30, cluster=29)
    assert "there are no more clusters" not in text
    assert figures >= 16


def test_a_run_stands_beside_what_it_was_trained_on(explore, tiny, collection, undrawn):
    run = train(tiny(), collection)
    text, _ = explore(dataset=str(collection.source), other=run.name, n_neighbors=3)
    assert f"**{run.name}**: 10 images." in text
    assert "10 at 32 px" in text


def test_the_notebook_has_exactly_the_parameters_of_the_config():
    from papermill.inspection import _infer_parameters, load_notebook_node

    parameters = _infer_parameters(load_notebook_node(str(notebooks_dir() / "eda.ipynb")))
    defaults = EdaConfig.model_fields
    assert {p.name for p in parameters} == set(defaults)
    assert all(p.help for p in parameters)
    for parameter in parameters:
        assert parameter.default == repr(defaults[parameter.name].default).replace("'", '"')
