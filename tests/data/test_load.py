"""Collections: every way to name one, what is left out and why, and the cache."""

import functools
import io
import os
import struct
import sys
import time
import types
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
import torch
from files_by_hand import encode, profile
from PIL import Image, ImageOps
from tfrecord.writer import TFRecordWriter

from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.data import colours as colour_spaces
from dcgan_utils.data import decode, listing, load
from dcgan_utils.data.decode import COPIES
from dcgan_utils.data.load import fit_example, load_copies, load_dataset
from dcgan_utils.data.painted import collections
from dcgan_utils.data.sources import locate
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.sampling import collection_of

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """Give each test a home of its own; return its ``data/``."""
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "data"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(handle):
        raise ConnectionError("no network in tests")

    use_kagglehub(monkeypatch, refuse)


def use_kagglehub(monkeypatch, download):
    client = types.SimpleNamespace(competition_download=download, dataset_download=download)
    monkeypatch.setitem(sys.modules, "kagglehub", client)


def image(colour=RED, file_format="PNG", size=(8, 8)):
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, file_format)
    return stream.getvalue()


def write(path, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image() if content is None else content)
    return path


def fill(folder, **colours):
    for stem, colour in colours.items():
        write(folder / f"{stem}.png", image(colour))
    return folder


def zipped(path, entries):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def colours(dataset):
    """Return the colour of the middle of each image."""
    side = dataset.images.shape[-1] // 2
    return [tuple(pixel) for pixel in dataset.images[:, :, side, side].tolist()]


def bomb(side):
    def chunk(kind, body):
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


# --- The dataset ---------------------------------------------------------------------------


def test_what_a_dataset_holds(tmp_path):
    folder = fill(tmp_path / "My Images (2)", a=RED, b=GREEN)
    write(folder / "deep" / "c.jpg", image(BLUE, "JPEG", (20, 10)))
    write(folder / "labels.csv", b"file,label\n")
    dataset = load_dataset(folder, 16)
    assert dataset.name == "my-images-2"
    assert dataset.files == ("a.png", "b.png", "deep/c.jpg")
    assert dataset.images.shape == (3, 3, 16, 16)
    assert dataset.images.dtype == torch.uint8
    assert colours(dataset)[:2] == [RED, GREEN]
    assert dataset.source == folder
    report = dataset.report
    assert report.formats == {"PNG": 2, "JPEG": 1}
    assert report.modes == {"RGB": 3}
    assert report.sizes == ((8, 8), (8, 8), (20, 10))
    assert report.skipped == ()
    assert report.ignored == ("labels.csv",)
    with pytest.raises(FrozenInstanceError):
        dataset.name = "other"


def test_decoding_tells_how_far_it_is(tmp_path, heard):
    folder = fill(tmp_path / "three", a=RED, b=GREEN, c=BLUE)
    load_dataset(folder, 16)
    assert heard[0] == ("images decoded", 0, 3)
    assert heard[-1] == ("images decoded", 3, 3)
    before = len(heard)
    load_dataset(folder, 16)
    assert len(heard) == before, "from the cache"


@pytest.mark.parametrize("pack", ["folder", "zip"])
def test_the_report_knows_how_large_the_files_are(tmp_path, pack):
    entries = {"a.png": image(), "b.bmp": image(file_format="BMP"), "c.png": b""}
    if pack == "zip":
        source = zipped(tmp_path / "p.zip", entries)
    else:
        source = tmp_path / "p"
        for name, content in entries.items():
            write(source / name, content)
    for _ in range(2):  # the second time out of the cache
        report = load_dataset(source, 8).report
        assert report.file_sizes == (len(entries["a.png"]), len(entries["b.bmp"]))


def test_report_as_text(tmp_path):
    folder = fill(tmp_path / "p", a=RED)
    write(folder / "b.jpg", image(RED, "JPEG", (20, 10)))
    write(folder / "notes.txt", b"text")
    for name in "vwxyz":
        write(folder / f"{name}.png", b"")
    assert str(load_dataset(folder, 8).report).splitlines() == [
        "Images: 2 (1 JPEG, 1 PNG; 2 RGB; 8 x 8 to 20 x 10)",
        "Skipped: 5 (v.png: the file is empty; w.png: the file is empty; "
        "x.png: the file is empty; and 2 more)",
        "Ignored (not images): 1",
    ]


def test_order_is_by_name_and_not_by_creation(tmp_path):
    first = fill(tmp_path / "first", a=RED, b=GREEN, c=BLUE)
    second = fill(tmp_path / "second", c=BLUE, b=GREEN, a=RED)
    one, other = load_dataset(first, 8), load_dataset(second, 8)
    assert one.files == other.files == ("a.png", "b.png", "c.png")
    assert one.data_hash == other.data_hash


def test_data_hash_knows_order_and_shape(tmp_path):
    one = load_dataset(fill(tmp_path / "one", a=RED, b=GREEN), 8)
    swapped = load_dataset(fill(tmp_path / "two", a=GREEN, b=RED), 8)
    larger = load_dataset(tmp_path / "one", 16)
    assert len({one.data_hash, swapped.data_hash, larger.data_hash}) == 3


def test_fit_and_background_reach_the_pixels(tmp_path):
    folder = tmp_path / "wide"
    write(folder / "a.png", image(RED, size=(16, 8)))
    padded = load_dataset(folder, 8, fit="pad", background="#00f")
    assert tuple(padded.images[0, :, 0, 0].tolist()) == BLUE
    assert colours(padded) == [RED]
    assert (load_dataset(folder, 8).images[0, 0] == 255).all()


def test_each_fit_and_background_has_a_hash_and_a_cache_of_its_own(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8)
    write(tmp_path / "wide" / "a.png", encode(Image.fromarray(noise)))
    recipes = [{"fit": fit} for fit in ("crop", "pad", "stretch")]
    recipes.append({"fit": "pad", "background": "blue"})
    hashes = [load_dataset(tmp_path / "wide", 8, **recipe).data_hash for recipe in recipes]
    assert len({*hashes}) == 4
    again = [load_dataset(tmp_path / "wide", 8, **recipe).data_hash for recipe in recipes]
    assert again == hashes


def test_what_each_fit_does_is_shown_on_the_image_farthest_from_square(tmp_path):
    folder = tmp_path / "mixed"
    write(folder / "a.png", image(RED, size=(8, 8)))
    write(folder / "b.png", image(GREEN, size=(8, 32)))
    write(folder / "c.png", image(BLUE, size=(16, 8)))
    loaded = load_dataset(folder, 8, fit="stretch", background="red")
    name, squares = fit_example(loaded)
    assert name == "b.png"
    assert {fit: tuple(square.shape) for fit, square in squares.items()} == dict.fromkeys(
        ("crop", "pad", "stretch"), (1, 3, 8, 8)
    )
    assert torch.equal(squares["stretch"][0], loaded.images[1])
    assert tuple(squares["pad"][0, :, 0, 0].tolist()) == RED, "the background of the collection"
    assert tuple(squares["crop"][0, :, 0, 0].tolist()) == GREEN


def test_where_all_images_are_square_there_is_nothing_to_show(tmp_path):
    with pytest.raises(NotEnoughData, match="All images are square"):
        fit_example(load_dataset(fill(tmp_path / "p", a=RED), 8))


# --- Naming a collection -------------------------------------------------------------------


def test_paths_from_home_and_working_directory(tmp_path, monkeypatch, data):
    fill(tmp_path / "user" / "mine", a=RED)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert locate("~/mine").path == tmp_path / "user" / "mine"
    fill(data / "mine", a=RED)
    assert locate("data/mine").path == data / "mine"
    monkeypatch.chdir(tmp_path)
    nearer = fill(tmp_path / "data" / "mine", a=RED)
    assert locate("data/mine").path == nearer
    assert locate(Path("data") / "mine").path == nearer


@pytest.mark.parametrize(
    ("folder", "name"),
    [("Monet JPG", "monet-jpg"), ("...", "images"), ("Älgar", "älgar"), ("x" * 99, "x" * 40)],
)
def test_names_are_safe_in_file_names(tmp_path, folder, name):
    (tmp_path / folder).mkdir()
    assert locate(tmp_path / folder).name == name


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(WorkbookError) as error:
        locate("monnet")
    assert str(error.value) == (
        "'monnet' is not a known collection: give one of "
        f"{', '.join(collections.PAINTERS)}, monet, photo, pokemon, or a path to a folder or a "
        "zip. Did you mean 'monet'?"
    )


@pytest.mark.parametrize("missing", ["./nowhere", "nowhere.zip", Path("nowhere")])
def test_missing_path(missing):
    with pytest.raises(WorkbookError, match=r"There is no folder or zip at '.*nowhere"):
        locate(missing)


@pytest.mark.parametrize("nonsense", ["", "  ", None, 7])
def test_no_source_at_all(nonsense):
    with pytest.raises(WorkbookError, match="is not a collection: give one of plein_air"):
        locate(nonsense)


@pytest.mark.parametrize("path", ["x" * 5000, "~nobody7/x"])
def test_path_that_no_system_takes(path):
    with pytest.raises(WorkbookError, match="cannot be read"):
        locate(path)


def test_file_that_is_no_zip(tmp_path):
    with pytest.raises(WorkbookError, match=r"cat.png' is not a zip file: give a folder"):
        locate(write(tmp_path / "cat.png"))


def test_damaged_zip(tmp_path):
    path = zipped(tmp_path / "p.zip", {"a.png": image()})
    content = path.read_bytes()
    path.write_bytes(content.replace(b"PK\1\2", b"PK\7\7"))
    with pytest.raises(WorkbookError, match=r"The zip '.*p.zip' is damaged"):
        load_dataset(path, 8)


@pytest.mark.parametrize("names", [[], ["notes.txt"], [".hidden.png", "__MACOSX/a.png"]])
def test_nothing_to_use(tmp_path, names):
    folder = tmp_path / "none"
    folder.mkdir()
    for name in names:
        write(folder / name, image() if name.endswith("png") else b"text")
    with pytest.raises(WorkbookError, match=r"There is no usable image in '.*none': put JPEG"):
        load_dataset(folder, 8)


def test_nothing_but_broken_images(tmp_path):
    write(tmp_path / "none" / "a.png", b"")
    with pytest.raises(WorkbookError, match=r"\(1 skipped: a.png: the file is empty\)"):
        load_dataset(tmp_path / "none", 8)


@pytest.mark.parametrize("wrong", [0, -1, 1025, 64.0, "64", None, True])
def test_wrong_img_size(tmp_path, wrong):
    with pytest.raises(WorkbookError, match="integer from 1 to 1024"):
        load_dataset(fill(tmp_path / "p", a=RED), wrong)


def test_wrong_fit_and_background(tmp_path):
    folder = fill(tmp_path / "p", a=RED)
    with pytest.raises(WorkbookError, match=r"one of crop, pad, stretch, not 'padd'\. Did you"):
        load_dataset(folder, 8, fit="padd")
    with pytest.raises(WorkbookError, match="background='whyte' is not a colour"):
        load_dataset(folder, 8, background="whyte")


# --- Which files count ---------------------------------------------------------------------


def test_content_decides_and_not_the_ending(tmp_path):
    folder = tmp_path / "p"
    write(folder / "a.PNG", image(RED))
    write(folder / "b.png", image(GREEN, "WEBP"))
    write(folder / "c.txt", image(BLUE))
    write(folder / "d", image(BLUE, "BMP"))
    dataset = load_dataset(folder, 8, strict=True)
    assert dataset.files == ("a.PNG", "b.png", "c.txt", "d")
    assert dataset.report.formats == {"PNG": 2, "BMP": 1, "WEBP": 1}
    assert (colours(dataset)[0], colours(dataset)[2:]) == (RED, [BLUE, BLUE])


def test_hidden_files_and_macos_litter_are_left_out(tmp_path):
    folder = fill(tmp_path / "p", a=RED)
    for name in (".b.png", ".git/c.png", "__MACOSX/d.png", "deep/__MACOSX/e.png", ".DS_Store"):
        write(folder / name)
    report = load_dataset(folder, 8).report
    assert (len(report.sizes), report.ignored) == (1, ())


BROKEN = {
    "empty.png": (b"", "the file is empty"),
    "TEXT.JPG": (b"not an image", "not a readable image of a known format"),
    "photo.heic": (b"\0\0\0\x18ftypheic", "an iPhone's HEIC, which is not read: export it as JPEG"),
    "short.png": (image(size=(64, 64))[:-40], "damaged or cut short"),
    "short.txt": (image(RED, "BMP")[:-40], "damaged or cut short"),
    "bomb.png": (bomb(60_000), "too large (more than 89,478,485 pixels: perhaps"),
    "vast.png": (bomb(10_000), "too large (more than 89,478,485 pixels: perhaps"),
}


@pytest.mark.parametrize("pack", ["folder", "zip"])
def test_broken_images_are_skipped_with_a_reason(tmp_path, pack):
    entries = {"fine.png": image(), "notes.json": b"{}"}
    entries |= {name: content for name, (content, _) in BROKEN.items()}
    source = tmp_path / "p"
    if pack == "zip":
        source = zipped(tmp_path / "p.zip", entries)
    else:
        for name, content in entries.items():
            write(source / name, content)
    for _ in range(2):  # the second time out of the cache
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            dataset = load_dataset(source, 8)
            assert warnings.filters[0][0] == "error"
        assert dataset.files == ("fine.png",)
        assert dataset.report.ignored == ("notes.json",)
        skipped = dict(dataset.report.skipped)
        assert list(skipped) == sorted(BROKEN)
        assert all(skipped[name].startswith(reason) for name, (_, reason) in BROKEN.items())
        with pytest.raises(WorkbookError, match=r"cannot be used: 7 \(TEXT.JPG: not .* 4 more\)"):
            load_dataset(source, 8, strict=True)


def test_strict_minds_no_other_files(tmp_path):
    folder = fill(tmp_path / "p", a=RED)
    for name in ("labels.csv", "labels.json", "README", "empty.txt"):
        write(folder / name, b"" if "empty" in name else b"BMW, P6 and GIF87 are words")
    assert len(load_dataset(folder, 8, strict=True).report.ignored) == 4


def test_unreadable_and_enormous_files(tmp_path):
    folder = fill(tmp_path / "p", a=RED)
    (folder / "link.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(folder / "pipe.png")
    with (folder / "huge.png").open("wb") as stream:
        stream.truncate(257 * 2**20)
    skipped = dict(load_dataset(folder, 8).report.skipped)
    assert skipped["link.png"] == "the file cannot be read (No such file or directory)"
    assert skipped["huge.png"] == "the file is larger than 256 MiB"
    assert "pipe.png" not in skipped


# --- Zips ----------------------------------------------------------------------------------


def test_zip_equals_its_folder(tmp_path):
    folder = fill(tmp_path / "p", a=RED, b=GREEN)
    path = zipped(tmp_path / "P 1.zip", {"b.png": image(GREEN), "a.png": image(RED)})
    dataset = load_dataset(path, 8)
    assert (dataset.name, dataset.files) == ("p-1", ("a.png", "b.png"))
    assert dataset.data_hash == load_dataset(folder, 8).data_hash


def test_zip_is_never_unpacked(tmp_path):
    entries = ("../evil.png", "/abs.png", "in/a.png", "__MACOSX/a.png", ".b.png", "folder/")
    path = zipped(tmp_path / "deep" / "p.zip", {name: image() for name in entries[:-1]})
    with zipfile.ZipFile(path, "a") as archive:
        archive.mkdir("folder")
    before = sorted(tmp_path.rglob("*.png"))
    dataset = load_dataset(path, 8, strict=True)
    assert dataset.files == ("../evil.png", "/abs.png", "in/a.png")
    assert sorted(tmp_path.rglob("*.png")) == before == []
    assert not Path("/abs.png").exists()


def test_entries_that_cannot_be_read(tmp_path):
    names = ("encrypted.png", "huge.png", "torn.png", "fine.png")
    path = zipped(tmp_path / "p.zip", {name: image() for name in names})
    content = bytearray(path.read_bytes())
    content[content.index(b"\x89PNG", content.index(b"torn.png")) + 20] ^= 1
    at = {name: content.rindex(name.encode()) - 46 for name in names}  # central directory
    content[at["encrypted.png"] + 8] |= 1
    content[at["huge.png"] + 24 : at["huge.png"] + 28] = struct.pack("<I", 2**31)
    path.write_bytes(content)
    dataset = load_dataset(path, 8)
    assert dataset.files == ("fine.png",)
    assert dict(dataset.report.skipped) == {
        "encrypted.png": "encrypted: unpack the zip with its password first",
        "huge.png": "the file is larger than 256 MiB",
        "torn.png": "damaged inside the zip",
    }


# --- TFRecords -----------------------------------------------------------------------------


def write_tfrecord(path, **images):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = TFRecordWriter(str(path))
    for name, colour in images.items():
        content = image(colour, "JPEG", (16, 16))
        writer.write({"image_name": (name.encode(), "byte"), "image": (content, "byte")})
    writer.close()
    return path


def test_tfrecords(tmp_path):
    folder = tmp_path / "monet_tfrec"
    write_tfrecord(folder / "monet00-2.tfrec", b=GREEN, d=BLUE)
    write_tfrecord(folder / "monet01-2.TFRecord", a=RED, c=RED)
    before = sorted(folder.iterdir())
    dataset = load_dataset(folder, 8, strict=True)
    assert dataset.files == ("a", "b", "c", "d")
    near = np.abs(np.array(colours(dataset)) - np.array([RED, GREEN, RED, BLUE]))
    assert near.max() <= 3
    assert dataset.report.formats == {"JPEG": 4}
    assert sorted(folder.iterdir()) == before


def test_damaged_tfrecords_are_skipped(tmp_path):
    folder = tmp_path / "p"
    write_tfrecord(folder / "fine.tfrec", a=RED)
    whole = write_tfrecord(folder / "long.tfrec", b=RED, c=RED).read_bytes()
    write(folder / "empty.tfrec", b"")
    write(folder / "long.tfrec", struct.pack("<Q", 2**62) + whole[8:])
    write(folder / "other.tfrec", struct.pack("<Q", 5) + bytes(4) + b"\xff" * 5 + bytes(4))
    write(folder / "short.tfrec", whole[:-10])
    dataset = load_dataset(folder, 8)
    assert dataset.files == ("a",)
    names, reasons = zip(*dataset.report.skipped, strict=True)
    assert names == ("empty.tfrec", "long.tfrec", "other.tfrec", "short.tfrec")
    cut_short = "a TFRecord file that is empty or cut short"
    assert reasons[0] == reasons[1] == reasons[3] == cut_short
    assert reasons[2].startswith("a damaged TFRecord file")


def test_damaged_image_within_a_tfrecord(tmp_path):
    path = write_tfrecord(tmp_path / "p" / "x.tfrec", a=RED)
    writer = TFRecordWriter(str(tmp_path / "p" / "y.tfrec"))
    writer.write({"image_name": (b"broken", "byte"), "image": (b"no image", "byte")})
    writer.close()
    ((name, reason),) = load_dataset(path.parent, 8).report.skipped
    assert name == "broken"
    assert reason.startswith("not a readable image")


def test_tfrecord_in_a_zip_is_reported(tmp_path):
    record = write_tfrecord(tmp_path / "x.tfrec", a=RED).read_bytes()
    path = zipped(tmp_path / "p.zip", {"x.tfrec": record, "a.png": image()})
    expected = (("x.tfrec", "a TFRecord file inside a zip: unpack the zip"),)
    assert load_dataset(path, 8).report.skipped == expected


def test_missing_tfrecord_library(tmp_path, monkeypatch):
    write_tfrecord(tmp_path / "p" / "x.tfrec", a=RED)
    monkeypatch.setitem(sys.modules, "tfrecord.reader", None)
    with pytest.raises(WorkbookError, match=r'pip install "dcgan-utils\[tfrecord\]"'):
        load_dataset(tmp_path / "p", 8)


# --- Embedded and registered names ---------------------------------------------------------


def test_embedded_collection_is_painted_into_data(monkeypatch, data):
    monkeypatch.setitem(collections.PAINTERS, "plein_air", lambda folder: fill(folder, a=RED))
    assert locate("plein_air").path is None
    assert not (data / "plein_air").exists()
    dataset = load_dataset("plein_air", 8)
    assert (dataset.name, dataset.source) == ("plein_air", data / "plein_air")
    assert colours(dataset) == [RED]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("monet", "monet_jpg"),
        ("monet", "monet"),
        ("monet", "monet/monet_jpg"),
        ("monet", "gan-getting-started/monet_jpg"),
        ("monet", "gan-getting-started/monet_tfrec"),
        ("photo", "photo_jpg"),
        ("pokemon", "pokemon_jpg/pokemon_jpg"),
        ("pokemon", "pokemon"),
        ("pokemon", "pokemon-images-dataset/pokemon_jpg/pokemon_jpg"),
    ],
)
def test_registered_name_is_found_in_data(data, name, place):
    fill(data / place, a=RED)
    dataset = load_dataset(name, 8)
    assert dataset.name == name
    assert (dataset.source / dataset.files[0]).parent == data / place


def test_jpg_comes_before_tfrec(data):
    fill(data / "gan-getting-started" / "monet_jpg", a=RED)
    fill(data / "monet_tfrec", b=RED)
    assert load_dataset("monet", 8).files == ("a.png",)


def test_registered_zip_counts_only_its_folder(data):
    names = ("pokemon/pokemon/1.png", "pokemon_jpg/pokemon_jpg/1.jpg", "other.png")
    zipped(data / "pokemon.zip", {name: image() for name in names})
    assert load_dataset("pokemon", 8).files == ("pokemon_jpg/pokemon_jpg/1.jpg",)
    zipped(data / "monet.zip", {"a.png": image()})
    assert load_dataset("monet", 8).files == ("a.png",)
    names = ("monet_jpg/1.jpg", "photo_jpg/2.jpg")
    zipped(data / "gan-getting-started.zip", {name: image() for name in names})
    assert load_dataset("photo", 8).files == ("photo_jpg/2.jpg",)


def test_fetched_from_kaggle(tmp_path, monkeypatch):
    def download(handle):
        root = tmp_path / "kaggle" / handle
        if handle == "gan-getting-started":
            fill(root / "monet_jpg", m=RED)
            fill(root / "photo_jpg", p=GREEN)
        else:
            assert handle == "kvpratama/pokemon-images-dataset"
            fill(root / "pokemon" / "pokemon", x=RED)
            fill(root / "pokemon_jpg" / "pokemon_jpg", y=BLUE)
        return str(root)

    use_kagglehub(monkeypatch, download)
    assert locate("monet").path is None
    found = {name: load_dataset(name, 8) for name in ("monet", "photo", "pokemon")}
    assert [colours(dataset) for dataset in found.values()] == [[RED], [GREEN], [BLUE]]
    assert found["pokemon"].files == ("pokemon_jpg/y.png",)
    assert [dataset.name for dataset in found.values()] == list(found)


def test_kaggle_uses_the_competition_for_monet_and_the_dataset_for_pokemon(monkeypatch, tmp_path):
    client = types.SimpleNamespace(
        competition_download=lambda handle: fill(tmp_path / "competition", a=RED),
        dataset_download=lambda handle: fill(tmp_path / "dataset", a=RED),
    )
    monkeypatch.setitem(sys.modules, "kagglehub", client)
    assert load_dataset("photo", 8).source == tmp_path / "competition"
    assert load_dataset("pokemon", 8).source == tmp_path / "dataset"


def test_kaggle_fails_in_one_sentence(monkeypatch, data):
    def refuse(handle):
        raise PermissionError("403 Forbidden\nYou must accept the rules.\nMore lines")

    use_kagglehub(monkeypatch, refuse)
    with pytest.raises(WorkbookError) as error:
        load_dataset("monet", 8)
    assert str(error.value) == (
        f"'monet' is not in '{data}' and could not be downloaded from Kaggle (PermissionError: 403 "
        "Forbidden): download it by hand from "
        "https://www.kaggle.com/competitions/gan-getting-started and put its folder "
        "monet_jpg there (see data/README.md)."
    )


def test_kagglehub_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(WorkbookError, match=r"dcgan-utils\[kaggle\].*put its folder pokemon"):
        load_dataset("pokemon", 8)


# --- The cache -----------------------------------------------------------------------------


@pytest.fixture
def no_decoding(monkeypatch):
    """Return a switch after which no image may be decoded any more."""

    def refuse(*args, **options):
        raise AssertionError("decoded again")

    return lambda: monkeypatch.setattr(load, "decode_image", refuse)


def cached(data):
    return sorted((data / ".cache").iterdir())


@pytest.mark.parametrize("pack", ["folder", "zip"])
def test_second_load_is_equal_and_decodes_nothing(tmp_path, no_decoding, data, pack):
    folder = fill(tmp_path / "p", a=RED, b=GREEN)
    write(folder / "c.png", b"")
    write(folder / "d.txt", b"text")
    entries = {path.name: path.read_bytes() for path in folder.iterdir()}
    source = folder if pack == "folder" else zipped(tmp_path / "p.zip", entries)
    first = load_dataset(source, 8)
    no_decoding()
    second = load_dataset(source, 8)
    assert second == first
    assert torch.equal(second.images, first.images)
    assert first.images.is_contiguous()
    assert second.images.is_contiguous()
    assert [path.suffix for path in cached(data)] == [".npz"]


def test_cached_images_do_not_hide_the_name(tmp_path, no_decoding):
    load_dataset(fill(tmp_path / "one", a=RED), 8)
    no_decoding()
    same = load_dataset(fill(tmp_path / "two", a=RED), 8)
    assert (same.name, same.source) == ("two", tmp_path / "two")


def test_edited_file_of_the_same_size_and_time_is_noticed(tmp_path):
    folder = tmp_path / "p"
    path = write(folder / "a.bmp", image(RED, "BMP"))
    load_dataset(folder, 8)
    before = path.stat()
    path.write_bytes(image(BLUE, "BMP"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert colours(load_dataset(folder, 8)) == [BLUE]


def test_added_renamed_and_removed_files_are_noticed(tmp_path):
    folder = fill(tmp_path / "p", a=RED)
    load_dataset(folder, 8)
    fill(folder, b=GREEN)
    assert load_dataset(folder, 8).files == ("a.png", "b.png")
    (folder / "a.png").rename(folder / "c.png")
    assert colours(load_dataset(folder, 8)) == [GREEN, RED]
    (folder / "b.png").unlink()
    assert load_dataset(folder, 8).files == ("c.png",)


def test_each_recipe_has_its_own_entry(tmp_path, data):
    folder = fill(tmp_path / "p", a=RED)
    for options in ({}, {"fit": "pad"}, {"background": "black"}, {"background": "#fff"}):
        load_dataset(folder, 8, **options)
    load_dataset(folder, 9)
    assert len(cached(data)) == 4  # white is #fff


@pytest.mark.parametrize("damage", ["garbage", "cut", "empty"])
def test_damaged_cache_is_made_again(tmp_path, data, caplog, damage):
    folder = fill(tmp_path / "p", a=RED, b=GREEN)
    first = load_dataset(folder, 8)
    (cache,) = cached(data)
    content = cache.read_bytes()
    broken = {"garbage": b"garbage" * 99, "cut": content[: len(content) // 2], "empty": b""}
    cache.write_bytes(broken[damage])
    again = load_dataset(folder, 8)
    assert again == first
    assert torch.equal(again.images, first.images)
    assert "is damaged" in caplog.text
    caplog.clear()
    assert load_dataset(folder, 8) == first
    assert not caplog.text


def test_cache_that_cannot_be_written_only_warns(tmp_path, data, caplog):
    write(data / ".cache", b"in the way")
    assert colours(load_dataset(fill(tmp_path / "p", a=RED), 8)) == [RED]
    assert "could not be cached" in caplog.text


def test_full_disk_leaves_no_half_file(tmp_path, data, caplog, monkeypatch):
    def fail(stream, **arrays):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    assert colours(load_dataset(fill(tmp_path / "p", a=RED), 8)) == [RED]
    assert "No space left" in caplog.text
    assert cached(data) == []


def test_a_collection_too_large_to_be_kept_while_decoding_loads_alike(image_folder, monkeypatch):
    kept = load_dataset(image_folder, 16)
    monkeypatch.setattr(load, "KEPT_BYTES", 0)
    monkeypatch.setattr(load, "DECODER_VERSION", -1)  # past the cache
    assert load_dataset(image_folder, 16) == kept


# --- Copies --------------------------------------------------------------------------------


def test_six_of_every_image(tmp_path, data):
    folder = fill(tmp_path / "p", a=RED, b=GREEN, c=(40, 60, 200))
    dataset = load_dataset(folder, 8)
    copied = load_copies(dataset)
    assert copied.shape == (18, 3, 8, 8)
    assert torch.equal(copied[:3], dataset.images)
    for number, kind in enumerate(COPIES, start=1):
        with Image.open(folder / "c.png") as original:
            expected = decode.coloured_copy(original, kind).getpixel((4, 4))
        assert tuple(copied[3 * number + 2, :, 4, 4].tolist()) == expected
    assert load_dataset(folder, 8) == dataset, "the copies have a cache of their own"


def test_copies_are_made_before_transparency_is_flattened(tmp_path, data):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((100, 100, 100, 255), (0, 0, 4, 8))
    image.paste((140, 140, 140, 255), (4, 0, 8, 4))
    (tmp_path / "p").mkdir()
    image.save(tmp_path / "p" / "a.png")
    copied = load_copies(load_dataset(tmp_path / "p", 8, background="#ffeedd"))
    contrast = copied[1 + COPIES.index("contrast x 2")]
    assert contrast[:, 7, 7].tolist() == [255, 238, 221]
    assert contrast[0, 6, 1].item() == pytest.approx(87, abs=2)  # about the mean of 113


def test_copies_of_images_that_have_changed_are_refused(tmp_path, data):
    dataset = load_dataset(fill(tmp_path / "p", a=RED, b=GREEN), 8)
    (tmp_path / "p" / "b.png").unlink()
    with pytest.raises(WorkbookError, match="have changed since"):
        load_copies(dataset)
    with pytest.raises(WorkbookError, match="copy must be one of green hue"):
        load_dataset(tmp_path / "p", 8, copy="blue")


def overwrite(folder):
    Image.new("RGB", (8, 8), "blue").save(folder / "b.png")


def swap(folder):
    one, other = (folder / name for name in ("a.png", "b.png"))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


@pytest.mark.parametrize("change", [overwrite, swap])
@pytest.mark.parametrize("when", [0, 3, 5])  # copies already made
def test_copies_of_images_whose_content_has_changed_are_refused(
    tmp_path, data, monkeypatch, change, when
):
    folder = fill(tmp_path / "p", a=RED, b=GREEN)
    dataset, decode_one, left = load_dataset(folder, 8), load.load_dataset, [when + 1]

    def change_meanwhile(*args, **kwargs):
        if not left[0]:
            change(folder)
        left[0] -= 1
        return decode_one(*args, **kwargs)

    monkeypatch.setattr(load, "load_dataset", change_meanwhile)
    with pytest.raises(WorkbookError, match="have changed since they were loaded"):
        load_copies(dataset)


def test_copies_are_made_of_images_that_were_only_touched_or_rewritten(tmp_path, data):
    folder = fill(tmp_path / "p", a=RED, b=GREEN)
    dataset = load_dataset(folder, 8)
    with Image.open(folder / "b.png") as image:
        image.save(folder / "b.png", compress_level=0)
    assert len(load_copies(dataset)) == 12


def test_a_zip_of_two_folders_is_found_again_as_it_was(data, tiny):
    names = [f"{folder}/{name}.png" for folder in ("pokemon_jpg", "pokemon") for name in "ab"]
    zipped(data / "pokemon.zip", {name: image() for name in names})
    dataset = load_dataset("pokemon", 32)
    assert dataset.files == ("pokemon_jpg/a.png", "pokemon_jpg/b.png")
    assert load_dataset(dataset.location, 32) == dataset
    assert len(load_copies(dataset)) == 12
    run = Run.create(tiny(dataset="pokemon"), dataset)
    assert collection_of(Run(run.folder)) == dataset


# --- What decides about the pixels ------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(load, "DECODER_VERSION", load.DECODER_VERSION + 1),
        lambda patch: patch.setattr(load, "FORMATS", load.FORMATS[:2]),
        lambda patch: patch.setattr(load.PIL, "__version__", "0"),
    ],
    ids=["decoder", "formats", "Pillow"],
)
def test_another_decoder_decodes_anew(tmp_path, data, monkeypatch, change):
    folder = fill(tmp_path / "p", a=RED)
    first = load_dataset(folder, 8)
    assert len(cached(data)) == 1
    change(monkeypatch)
    assert load_dataset(folder, 8) == first
    assert len(cached(data)) == 2


# --- What is wrong with the machine, not with the file ----------------------------------------


class Faulty:
    """Takes the place of a function that fails some times, and then does what it did."""

    def __init__(self, monkeypatch, where, name, error, times):
        self.real, self.error, self.left = getattr(where, name), error, times
        monkeypatch.setattr(where, name, self)

    def __call__(self, *args, **options):
        if self.left:
            self.left -= 1
            raise self.error
        return self.real(*args, **options)

    def __get__(self, owner, kind):
        return functools.partial(self, owner)  # where it takes the place of a method


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError("out of memory when reading image file")], ids=["ours", "its"]
)
def test_what_fails_for_memory_is_tried_again_alone(tmp_path, data, monkeypatch, error):
    folder = fill(tmp_path / "p", a=RED, b=GREEN, c=BLUE)
    Faulty(monkeypatch, decode, "_flatten", error, times=2)
    dataset = load_dataset(folder, 8)
    assert dataset.files == ("a.png", "b.png", "c.png")
    assert not dataset.report.skipped
    assert len(cached(data)) == 1


def packed_as(kind, place):
    entries = {"a.png": image(RED), "b.png": image(GREEN)}
    if kind == "zip":
        return zipped(place / "p.zip", entries)
    return write_tfrecord(place / "p" / "x.tfrec", a=RED, b=GREEN).parent


@pytest.mark.parametrize("kind", ["zip", "tfrecord"])
@pytest.mark.parametrize(
    ("where", "name"), [(decode, "_flatten"), (load, "_decode_one")], ids=["decoding", "reading"]
)
def test_packed_images_are_tried_again_too(tmp_path, data, monkeypatch, kind, where, name):
    source = packed_as(kind, tmp_path)
    Faulty(monkeypatch, where, name, MemoryError(), times=1)
    dataset = load_dataset(source, 8)
    assert len(dataset.images) == 2
    assert not dataset.report.skipped
    assert len(cached(data)) == 1


@pytest.mark.parametrize(
    ("kind", "where", "name"),
    [("zip", zipfile.ZipExtFile, "read"), ("tfrecord", load, "_is_complete_tfrecord")],
)
def test_a_disk_that_fails_for_a_moment_is_no_damage(
    tmp_path, data, monkeypatch, kind, where, name
):
    source = packed_as(kind, tmp_path)
    if kind == "tfrecord":
        (source / "c.png").write_bytes(image(BLUE))
    Faulty(monkeypatch, where, name, OSError(5, "Input/output error"), times=1)
    ((_, reason),) = load_dataset(source, 8).report.skipped
    assert reason.endswith("cannot be read (Input/output error)")
    assert not (data / ".cache").exists()
    assert not load_dataset(source, 8).report.skipped


@pytest.mark.parametrize(
    ("where", "name"),
    [(colour_spaces, "_transform"), (colour_spaces, "_converted"), (ImageOps, "exif_transpose"),
     (Image, "open")],
    ids=["its profile", "its colours", "its rotation", "its missing end"],
)  # fmt: skip
def test_memory_that_is_short_for_a_part_of_a_file_is_no_fault_of_that_part(
    tmp_path, data, monkeypatch, where, name
):
    turned = Image.Exif()
    turned[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    stored = encode(Image.fromarray(noise), "JPEG", icc_profile=profile(), exif=turned)[:-2]
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.jpg").write_bytes(stored)
    expected = decode.decode_image(stored, 8, background=(255, 255, 255))
    Faulty(monkeypatch, where, name, MemoryError(), times=1)
    dataset = load_dataset(tmp_path / "p", 8)
    np.testing.assert_array_equal(dataset.images[0], expected.pixels.transpose(2, 0, 1))
    assert dataset.report.converted == {expected.space: 1}
    assert dataset.report.sizes == ((20, 30),)


def test_files_that_do_not_fit_into_memory_are_read_when_they_are_decoded(
    tmp_path, data, monkeypatch
):
    folder = fill(tmp_path / "p", a=RED, b=GREEN)
    first = load_dataset(folder, 8)
    Faulty(monkeypatch, listing, "read_file", MemoryError(), times=1)
    assert load_dataset(folder, 8) == first
    assert len(cached(data)) == 1, "the same key"


def test_a_collection_that_does_not_fit_into_memory_is_refused_in_a_sentence(
    tmp_path, data, monkeypatch
):
    folder = fill(tmp_path / "p", a=RED)
    Faulty(monkeypatch, load.np, "empty", MemoryError(), times=1)
    with pytest.raises(WorkbookError, match=r"too short for the images .* a smaller img_size"):
        load_dataset(folder, 8)
    assert not (data / ".cache").exists()


def test_memory_that_stays_short_ends_in_a_sentence_and_is_not_remembered(
    tmp_path, data, monkeypatch
):
    folder = fill(tmp_path / "p", a=RED, b=GREEN)
    faulty = Faulty(monkeypatch, decode, "_flatten", MemoryError(), times=99)
    with pytest.raises(
        WorkbookError, match=r"memory is too short to decode 'a.png' .* close other"
    ):
        load_dataset(folder, 8)
    assert not (data / ".cache").exists()
    faulty.left = 0
    assert load_dataset(folder, 8).files == ("a.png", "b.png")


# Without an ending it is no candidate while its first bytes cannot be read: the entry is that of
# the other file alone.
@pytest.mark.parametrize(("ending", "entries"), [(".png", 0), ("", 1)])
def test_a_file_that_cannot_be_read_now_is_reported_and_not_cached(
    tmp_path, data, monkeypatch, ending, entries
):
    folder = fill(tmp_path / "p", a=RED, b=GREEN)
    (folder / "b.png").rename(folder / f"b{ending}")
    monkeypatch.setattr(load, "KEPT_BYTES", 0)  # the files are read a second time to be decoded
    read = listing.UnreadableFile("the file cannot be read (Input/output error)")
    Faulty(monkeypatch, listing, "read_file", read, times=1)
    dataset = load_dataset(folder, 8)
    assert len(dataset.files) == 1
    report = dataset.report
    assert len(report.skipped + report.ignored + report.left_out) == 1
    assert len([*(data / ".cache").glob("*")]) == entries
    assert len(load_dataset(folder, 8).files) == 2
    assert len(cached(data)) == entries + 1


def test_images_decoded_at_a_time_share_the_memory():
    memory, taken, most = decode.Memory(100), [], []

    def work(wanted):
        with memory.reserved(wanted):
            taken.append(wanted)
            most.append(sum(taken))
            time.sleep(0.002)
            taken.remove(wanted)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [30, 60, 10, 90, 40] * 6))
    assert max(most) <= 100
    work(1000)  # more than there is: alone


def test_the_memory_that_an_image_takes_is_reserved(monkeypatch):
    asked = []
    memory = decode.Memory(0)
    monkeypatch.setattr(memory, "reserved", lambda size: asked.append(size) or nullcontext())
    decode.decode_image(image(size=(200, 100)), 8, background=RED, memory=memory)
    assert asked == [200 * 100 * 16]
    stored = image(file_format="JPEG", size=(200, 100))[:-2]
    decode.decode_image(stored, 8, background=RED, memory=memory)
    assert asked[1:] == [50 * 25 * 16, 200 * 100 * 16, 50 * 25 * 16], "looking for its end, too"


def test_images_are_drawn_without_repetition_from_a_seed(image_folder):
    collection = load_dataset(image_folder, 8)
    order = torch.randperm(10, generator=stream(3, "draw"))
    assert torch.equal(collection.draw(4, seed=3), collection.images[order[:4]])
    assert len(collection.draw(99, seed=3).flatten(1).unique(dim=0)) == 10
    assert not torch.equal(collection.draw(4, seed=3), collection.draw(4, seed=4))


def test_axes_are_image_channel_row_column(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    write(tmp_path / "p" / "a.png", stored.getvalue())
    (image,) = load_dataset(tmp_path / "p", 8).images.numpy()
    np.testing.assert_array_equal(image, pixels.transpose(2, 0, 1))
