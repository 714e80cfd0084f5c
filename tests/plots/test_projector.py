"""The projector's folder, read by a real TensorBoard over HTTP."""

import io
import json

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import tensorboard
from PIL import Image

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.plots.projector import export_projector, sprite_sheet

RNG = np.random.default_rng(0)
NAME = 'embedded "with" \\ ünïcode 🎨'
VECTORS = RNG.normal(size=(11, 5)).astype(np.float32)
BROKEN = VECTORS.copy()
BROKEN[2, 1] = np.nan
IMAGES = torch.from_numpy(RNG.integers(0, 256, (11, 3, 80, 80), np.uint8))
METADATA = pd.DataFrame(
    {
        "file": ['tab\tnew\nline\r"quoted"', "ünï 🎨.png", "", "\udcff.png", *"abcdefg"],
        "group number": [1, 2, None, *range(8)],
    }
)
SINGLE = pd.DataFrame({"file": ["one", "", "three"]})


def test_images_are_laid_out_row_by_row_in_a_square():
    colours = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1) * 50
    sheet = np.asarray(sprite_sheet(colours.expand(5, 3, 40, 40), 8))
    assert sheet.shape == (24, 24, 3)
    expected = [[0, 50, 100], [150, 200, 0], [0, 0, 0]]
    np.testing.assert_array_equal(sheet[4::8, 4::8, 0], expected)
    np.testing.assert_array_equal(sheet[..., 0], np.kron(expected, np.ones((8, 8))))


def test_images_are_averaged_rather_than_skipped():
    stripes = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    stripes[..., ::2] = 200
    middle = np.asarray(sprite_sheet(stripes, 8))[2:6, 2:6]
    assert np.abs(middle.astype(int) - 100).max() < 10


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Return a function that asks TensorBoard's projector about folders exported before."""
    folder = tmp_path_factory.mktemp("log")
    assert export_projector(folder, VECTORS, METADATA, IMAGES, name=NAME) == folder
    zeros = np.zeros((3, 2), np.float32)
    export_projector(folder / "single", zeros, SINGLE, IMAGES[:3], name="zeros")
    # Below the folder that it was given, TensorBoard looks only where it finds events.
    (folder / "single" / "events.out.tfevents.0.empty").touch()

    with tensorboard(folder) as (get, wait):
        wait(lambda: len(json.loads(get("projector/runs"))) == 2)
        yield lambda route, **query: get(f"projector/{route}", **query)


def test_tensorboard_finds_the_folders(ask):
    assert sorted(json.loads(ask("runs"))) == [".", "single"]
    (embedding,) = json.loads(ask("info", run="."))["embeddings"]
    assert embedding["tensorName"] == NAME
    assert embedding["tensorShape"] == [11, 5]
    assert embedding["sprite"]["singleImageDim"] == [64, 64]


def test_tensorboard_reads_the_same_floats(ask):
    read = np.frombuffer(ask("tensor", run=".", name=NAME), "<f4").reshape(11, 5)
    np.testing.assert_array_equal(read, VECTORS)


def test_vectors_that_look_like_text_are_read_too(ask):
    read = np.frombuffer(ask("tensor", run="single", name="zeros"), "<f4")
    np.testing.assert_array_equal(read, np.zeros(6))


def as_the_projector_splits(table):
    return [line.split("\t") for line in table.decode().split("\n") if line.strip()]


def test_metadata_has_one_line_per_point_whatever_it_contains(ask):
    heading, *rows = as_the_projector_splits(ask("metadata", run=".", name=NAME))
    assert heading == ["file", "group number"]
    assert rows[:4] == [
        ['tab new line "quoted"', "1.0"],
        ["ünï 🎨.png", "2.0"],
        ["-", ""],
        ["?.png", "0.0"],
    ]
    assert [row[0] for row in rows[4:]] == list("abcdefg")


def test_a_single_column_has_no_heading_and_no_blank_line(ask):
    rows = as_the_projector_splits(ask("metadata", run="single", name="zeros"))
    assert rows == [["one"], ["-"], ["three"]]


def test_tensorboard_serves_the_thumbnails(ask):
    with Image.open(io.BytesIO(ask("sprite_image", run=".", name=NAME))) as sprite:
        assert sprite.format == "PNG"
        assert np.array_equal(np.asarray(sprite), np.asarray(sprite_sheet(IMAGES, 64)))


def test_vectors_written_as_text_are_exact(tmp_path):
    looks_like_text = np.frombuffer(b"\0\0\0\n", "<f4")[0]
    rows = [[looks_like_text, 2, 2e-38, 1 / 3], [2**-126, 1e30, -0.1, 16777217]]
    vectors = np.array(rows, np.float32)
    export_projector(tmp_path, vectors, SINGLE[:2], IMAGES[:2], name="n")
    read = np.loadtxt(tmp_path / "tensors.tsv", np.float32, delimiter="\t")
    np.testing.assert_array_equal(read, vectors)


def test_small_images_are_not_enlarged_and_many_fit_the_sheet(tmp_path, monkeypatch):
    from dcgan_utils.plots import projector

    export_projector(tmp_path, VECTORS, METADATA, IMAGES[..., :32, :32], name="n")
    with Image.open(tmp_path / "sprite.png") as sprite:
        assert sprite.size == (128, 128)
    monkeypatch.setattr(projector, "SHEET", 100)
    export_projector(tmp_path, VECTORS, METADATA, IMAGES, name="n")
    with Image.open(tmp_path / "sprite.png") as sprite:
        assert sprite.size == (100, 100)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("vectors", "metadata", "images", "sentence"),
    [
        (VECTORS[1:], METADATA, IMAGES, "10 vectors, 11 rows and 11 images"),
        (VECTORS, METADATA[1:], IMAGES, "11 vectors, 10 rows and 11 images"),
        (VECTORS, METADATA, IMAGES[1:], "11 vectors, 11 rows and 10 images"),
        (VECTORS[:0], METADATA[:0], IMAGES[:0], "no vectors"),
        (BROKEN, METADATA, IMAGES, "1 of the 11"),
    ],
)
def test_what_cannot_be_shown_is_refused(vectors, metadata, images, sentence, tmp_path):
    with pytest.raises(WorkbookError, match=sentence):
        export_projector(tmp_path / "new", vectors, metadata, images, name="n")
    assert not (tmp_path / "new").exists()
