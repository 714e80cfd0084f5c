"""The painted collections: the same everywhere, complete or not there, true to their labels."""

import csv

import joblib
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from dcgan_utils.data.load import load_dataset
from dcgan_utils.data.painted import collections
from dcgan_utils.data.painted.collections import (
    MARGIN,
    PAINTERS,
    PALETTES,
    ROUND_EVERY,
    SUBJECTS,
    paint_critters,
    paint_plein_air,
    paint_scene,
)
from dcgan_utils.data.painted.creatures import COLOURS, EYES, FAMILIES

pytestmark = pytest.mark.slow

COUNT, SIZE = 24, 64


def pixels(image):
    return np.asarray(image, np.float32)


def read_labels(folder):
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def is_round(image):
    """Tell a round canvas by its pixels: near-white, even corners."""
    side = max(2, len(image) // 16)
    corners = np.stack([image[a, b] for a in (slice(side), slice(-side, None))
                        for b in (slice(side), slice(-side, None))])  # fmt: skip
    return bool(corners.min() > 240 and corners.std() < 4)


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("painted") / "plein_air"
    assert paint_plein_air(folder, count=COUNT, size=SIZE) == folder
    return folder


def of_subject(subject, count, seed=0):
    """Paint the first images of a subject that are not round."""
    found = (i for i in range(1, 9 * 2 * count) if collections._subject(i, seed) == subject)
    scenes = (paint_scene(i, size=SIZE, seed=seed) for i in found)
    flat = [(pixels(image), label) for image, label in scenes if not label.round]
    return flat[:count]


def test_same_seed_same_bytes(collection, tmp_path):
    again = paint_plein_air(tmp_path / "again", count=COUNT, size=SIZE)
    names = sorted(path.name for path in collection.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    assert all((again / name).read_bytes() == (collection / name).read_bytes() for name in names)


def test_bytes_do_not_depend_on_the_number_of_workers(collection, tmp_path):
    for index in (1, 2, 17):
        collections._paint_file(tmp_path, paint_scene, index, SIZE, 0)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (collection / path.name).read_bytes()


def test_another_seed_another_collection():
    one, other = (pixels(paint_scene(1, size=SIZE, seed=seed)[0]) for seed in (0, 1))
    assert np.abs(one - other).mean() > 5


def test_a_larger_collection_starts_with_the_smaller_one(collection, tmp_path):
    small = paint_plein_air(tmp_path / "small", count=3, size=SIZE)
    assert read_labels(small) == read_labels(collection)[:3]


def test_labels_match_the_files(collection):
    rows = read_labels(collection)
    images = sorted(path.name for path in collection.glob("*.jpg"))
    assert [row["file"] for row in rows] == images
    assert len(images) == COUNT
    assert len(list(collection.iterdir())) == COUNT + 1
    for row in rows:
        assert list(row) == ["file", "subject", "palette", "round", "horizon"]
        assert row["subject"] in SUBJECTS
        assert row["palette"] in PALETTES
        assert row["round"] in ("true", "false")
        assert (row["horizon"] == "") == (row["subject"] == "lilies")
        assert row["horizon"] == "" or 0.35 <= float(row["horizon"]) <= 0.60
        with Image.open(collection / row["file"]) as image:
            assert (image.size, image.mode, image.format) == ((SIZE, SIZE), "RGB", "JPEG")


def test_labels_of_a_single_image_are_those_of_the_collection(collection):
    rows = read_labels(collection)
    for index in (1, 5, COUNT):
        _, label = paint_scene(index, size=SIZE)
        row = rows[index - 1]
        assert (label.file, label.subject, label.palette) == (
            row["file"],
            row["subject"],
            row["palette"],
        )
        assert row["horizon"] == ("" if label.horizon is None else f"{label.horizon:.4f}")


def test_subjects_are_balanced(collection):
    subjects = [row["subject"] for row in read_labels(collection)]
    assert set(subjects) == set(SUBJECTS)
    assert {subjects.count(subject) for subject in SUBJECTS} == {COUNT // len(SUBJECTS)}


@pytest.mark.parametrize("seed", [0, 7])
def test_one_canvas_in_fifty_is_round(seed):
    rounds = [index for index in range(1, 601) if collections._is_round(index, seed)]
    assert len(rounds) == 600 // ROUND_EVERY
    assert len({(index - 1) // ROUND_EVERY for index in rounds}) == len(rounds)


def test_round_canvases_are_known_by_their_pixels():
    rounds = [index for index in range(1, 301) if collections._is_round(index, 0)]
    for index in rounds:
        image, label = paint_scene(index, size=SIZE)
        canvas = pixels(image)
        assert label.round
        assert is_round(canvas)
        assert (canvas[0, 0] == MARGIN).all()
        middle = SIZE // 2  # the disc touches all four borders
        for edge in (canvas[1, middle], canvas[-2, middle], canvas[middle, 1]):
            assert edge.min() < 250


def test_other_canvases_are_not_taken_for_round(collection):
    for row in read_labels(collection):
        with Image.open(collection / row["file"]) as image:
            assert is_round(pixels(image)) == (row["round"] == "true")
    for canvas, _ in of_subject("snow", 12):  # the whitest subject
        assert not is_round(canvas)


@pytest.mark.parametrize("subject", ["regatta", "snow", "haystacks"])
def test_the_horizon_is_where_the_image_changes(subject):
    """Row means just above and below the label differ far more than elsewhere on average."""
    ratios = []
    for image, label in of_subject(subject, 10):
        rows = image.mean(axis=1)
        change = np.linalg.norm(rows[4:] - rows[:-4], axis=1)  # over four rows, middle at i + 2
        at = round(label.horizon * SIZE) - 2
        ratios.append(change[at - 2 : at + 3].max() / np.median(change))
    assert np.median(ratios) > 2


def test_images_differ(collection):
    images = [pixels(Image.open(path)) for path in sorted(collection.glob("*.jpg"))]
    for i, one in enumerate(images):
        for other in images[:i]:
            assert np.abs(one - other).mean() > 8


def test_images_are_neither_muddy_nor_black(collection):
    for path in collection.glob("*.jpg"):
        image = pixels(Image.open(path))
        assert 80 < image.mean() < 240
        assert np.percentile(image.mean(axis=-1), 1) > 25
        assert np.ptp(image, axis=-1).mean() > 8  # coloured


def test_strokes_are_visible():
    """Away from any drawing, in the sky, paint has fine structure that a smooth plan lacks."""
    for index in range(1, 9):
        image = pixels(paint_scene(index, size=128)[0]).mean(axis=-1)[8:40, 32:96]
        smooth = gaussian_filter(image, 2)
        fine, left = image - smooth, smooth - gaussian_filter(smooth, 2)
        assert fine.std() > 3
        assert fine.std() > 2 * left.std()


def test_a_image_is_the_same_scene_at_every_size():
    for index in range(1, 9):
        small, large = (paint_scene(index, size=size)[0].resize((16, 16), 4) for size in (64, 128))
        assert np.abs(pixels(small) - pixels(large)).mean() < 12


def test_a_complete_collection_is_left_alone(collection):
    before = {path.name: path.stat().st_mtime_ns for path in collection.iterdir()}
    paint_plein_air(collection, count=COUNT, size=SIZE)
    assert {path.name: path.stat().st_mtime_ns for path in collection.iterdir()} == before


def test_a_partial_collection_is_repaired(tmp_path):
    folder = paint_plein_air(tmp_path / "plein_air", count=4, size=16)
    whole = (folder / "plein_air_0002.jpg").read_bytes()
    (folder / "plein_air_0002.jpg").unlink()
    (folder / "plein_air_0099.jpg").write_bytes(b"left over")
    (folder / "mine.txt").write_text("not an image")
    paint_plein_air(folder, count=4, size=16)
    assert (folder / "plein_air_0002.jpg").read_bytes() == whole
    assert sorted(path.name for path in folder.iterdir()) == [
        "labels.csv",
        "mine.txt",
        *(f"plein_air_{i:04d}.jpg" for i in range(1, 5)),
    ]


def test_without_shared_memory_one_process_paints(collection, tmp_path, monkeypatch):
    parallel = joblib.Parallel

    def only_one(n_jobs, **how):
        if n_jobs != 1:
            raise OSError(28, "No space left on device")
        return parallel(n_jobs, **how)

    monkeypatch.setattr("joblib.Parallel", only_one)
    paint_plein_air(tmp_path / "x", count=2, size=32)
    assert len([*(tmp_path / "x").glob("*.jpg")]) == 2


def test_an_interrupted_painting_does_not_count(tmp_path, monkeypatch):
    folder = tmp_path / "plein_air"

    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("joblib.Parallel", interrupt)
        with pytest.raises(KeyboardInterrupt):
            paint_plein_air(folder, count=3, size=16)
    assert not list(tmp_path.rglob("*.jpg"))
    (tmp_path / ".plein_air-killed").mkdir()  # what a killed process would leave behind
    (tmp_path / ".plein_air-killed" / "plein_air_0001.jpg").write_bytes(b"half")
    paint_plein_air(folder, count=3, size=16)
    assert len(read_labels(folder)) == 3
    assert len(list(folder.glob("*.jpg"))) == 3


def test_painting_tells_how_far_it_is(tmp_path, heard):
    paint_plein_air(tmp_path / "x", count=3, size=16)
    assert heard == [("images painted", done, 3) for done in range(4)]


def test_library_is_silent_and_listed(tmp_path, capfd):
    for name, paint in PAINTERS.items():
        paint(tmp_path / name, count=2, size=16)
    assert capfd.readouterr() == ("", "")


# --- critters ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def critters(tmp_path_factory):
    return paint_critters(tmp_path_factory.mktemp("modelled") / "critters", count=COUNT, size=SIZE)


def test_creatures_are_transparent_pngs_true_to_their_labels(critters):
    rows = read_labels(critters)
    assert [row["file"] for row in rows] == sorted(path.name for path in critters.glob("*.png"))
    assert {row["mode"] for row in rows} == {"RGBA", "P"}
    for row in rows:
        assert row["family"] in FAMILIES
        assert row["colours"] in COLOURS
        assert row["eyes"] in EYES
        with Image.open(critters / row["file"]) as image:
            assert (image.size, image.mode, image.format) == ((SIZE, SIZE), row["mode"], "PNG")
            assert image.has_transparency_data
            alpha = pixels(image.convert("RGBA").getchannel("A"))
        assert alpha[0].max() == alpha[:, 0].max() == 0
        assert (alpha > 200).mean() > 0.15


def test_the_same_creatures_come_again(critters, tmp_path):
    again = paint_critters(tmp_path / "again", count=COUNT, size=SIZE)
    for path in critters.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_families_are_balanced(critters):
    families = [row["family"] for row in read_labels(critters)]
    assert len(FAMILIES) >= 8
    assert {families.count(family) for family in FAMILIES} == {COUNT // len(FAMILIES)}


def test_creatures_are_loaded_on_white(critters):
    dataset = load_dataset(critters, 32)
    assert len(dataset.images) == COUNT
    assert (dataset.images[:, :, 0, 0] == 255).all()
    assert dataset.report.modes.keys() == {"RGBA", "P"}
