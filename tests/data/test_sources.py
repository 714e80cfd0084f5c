"""What belongs to a collection, and what became of everything else that lies there."""

import io
import json
import os
import shutil
import unicodedata
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from dcgan_utils.core.errors import NotEnoughData, WorkbookError
from dcgan_utils.core.files import report_name
from dcgan_utils.data import listing, load
from dcgan_utils.data.labels import read_labels
from dcgan_utils.data.listing import open_listing
from dcgan_utils.data.load import image_files, load_copies, load_dataset
from dcgan_utils.data.painted import PAINTERS
from dcgan_utils.data.sources import PAINTED, locate
from dcgan_utils.runs.training import train


def png(level=0):
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (level, 0, 255)).save(stream, "PNG")
    return stream.getvalue()


def collection_of(place, *names, **contents):
    """Write images of these names, or zip them if the place ends in .zip."""
    entries = {name: contents.get(name, png(number)) for number, name in enumerate(names)}
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.suffix == ".zip":
        with zipfile.ZipFile(place, "w") as archive:
            for name, content in entries.items():
                entry = zipfile.ZipInfo("x")
                entry.filename = name  # as it is: the constructor would turn backslashes
                archive.writestr(entry, content)
        return place
    place.mkdir(exist_ok=True)
    for name, content in entries.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def bytes_path(folder, name):
    return folder / os.fsdecode(name)


# --- What is left out ----------------------------------------------------------------------

LEFT_OUT = [
    ("@eaDir/x.jpg", "@eaDir/", "junk"),
    ("deep/@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "deep/@eaDir/", "junk"),
    ("#recycle/x.png", "#recycle/", "junk"),
    ("@Recycle/x.png", "@Recycle/", "junk"),
    ("$RECYCLE.BIN/x.png", "$RECYCLE.BIN/", "junk"),
    ("$Recycle.Bin/S-1-5/x.png", "$Recycle.Bin/", "junk"),
    ("RECYCLER/x.png", "RECYCLER/", "junk"),
    ("System Volume Information/x.png", "System Volume Information/", "junk"),
    ("found.000/x.png", "found.000/", "junk"),
    ("found.001/x.png", "found.001/", "junk"),
    ("deep/FOUND.012/x.png", "deep/FOUND.012/", "junk"),
    ("RECYCLED/x.png", "RECYCLED/", "junk"),
    ("lost+found/x.png", "lost+found/", "junk"),
    (".Trashes/x.png", ".Trashes/", "junk"),
    ("deep/.Trash-1000/files/x.png", "deep/.Trash-1000/", "junk"),
    ("__MACOSX/x.png", "__MACOSX/", "junk"),
    ("Temporary Items/x.png", "Temporary Items/", "junk"),
    ("._x.png", "._x.png", "junk"),
    ("Thumbs.db", "Thumbs.db", "junk"),
    ("other.zip", "other.zip", "zip"),
    ("deep/Comic.CBZ", "deep/Comic.CBZ", "zip"),
    ("train.tar", "train.tar", "archive"),
    ("train.tar.gz", "train.tar.gz", "archive"),
    ("old.rar", "old.rar", "archive"),
    ("train.tar.lzma", "train.tar.lzma", "archive"),
    ("train.cb7", "train.cb7", "archive"),
    ("train.zip.001", "train.zip.001", "archive"),
    ("train.7z.012", "train.7z.012", "archive"),
    ("train.z01", "train.z01", "archive"),
    ("train.r00", "train.r00", "archive"),
    ("train.zip.crdownload", "train.zip.crdownload", "unfinished"),
    ("train.tar.gz.part", "train.tar.gz.part", "unfinished"),
    ("train-images-idx3-ubyte", "train-images-idx3-ubyte", "packed"),
    ("train-images.idx3-ubyte", "train-images.idx3-ubyte", "packed"),
    ("train-00000.parquet", "train-00000.parquet", "packed"),
    ("images.h5", "images.h5", "packed"),
    ("x.tfrecord-00001-of-00010", "x.tfrecord-00001-of-00010", "packed"),
    ("clip.MP4", "clip.MP4", "video"),
]


@pytest.mark.parametrize("pack", ["folder", "zip"])
@pytest.mark.parametrize(("name", "met", "kind"), LEFT_OUT)
def test_what_is_left_out_is_in_the_report(tmp_path, name, met, kind, pack):
    contents = {} if kind == "junk" else {name: b"no image"}
    place = tmp_path / ("p.zip" if pack == "zip" else "p")
    report = load_dataset(collection_of(place, "a.png", name, **contents), 8).report
    assert report.left_out == ((met, kind),)
    assert (len(report.sizes), report.ignored, report.skipped) == (1, (), ())
    assert f"({met})" in str(report).splitlines()[-1]


@pytest.mark.parametrize(
    "name",
    ["recycle/a.png", "recycled/a.png", "thumbs/a.png", "trash/a.png", "data/a.png", "found/a.png",
     "a.zip.001/a.png"],
)  # fmt: skip
def test_folders_of_usual_names_belong_to_it(tmp_path, name):
    assert load_dataset(collection_of(tmp_path / "p", name), 8).files == (name,)


def test_a_folder_that_is_named_counts_whatever_it_is_called(tmp_path):
    assert len(load_dataset(collection_of(tmp_path / "@eaDir", "a.png"), 8).files) == 1


def test_everything_is_accounted_for_once(tmp_path):
    names = ("a.png", "sub/b.png", "sub/broken.png", "notes.txt", "x.zip", "@eaDir/c.png")
    texts = dict.fromkeys(("sub/broken.png", "notes.txt", "x.zip"), b"no image")
    folder = collection_of(tmp_path / "p", *names, **texts)
    (tmp_path / "elsewhere").mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "lost").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe")
    for _ in range(2):  # the second time out of the cache
        dataset = load_dataset(folder, 8)
        report = dataset.report
        assert dataset.files == ("a.png", "sub/b.png")
        assert [name for name, _ in report.skipped] == ["sub/broken.png"]
        assert report.ignored == ("notes.txt",)
        assert dict(report.left_out) == {
            "x.zip": "zip",
            "@eaDir/": "junk",
            "link/": "link",
            "lost": "unread",
            "pipe": "device",
        }
        assert len(report.unused_table()) == 7
    with open_listing(folder, ()) as listing:
        assert len(listing) == 9


def test_the_table_says_what_became_of_all_that_is_no_image(tmp_path):
    names = ("a.png", "b.png", "x.zip", "notes.txt")
    texts = {"b.png": b"", "x.zip": b"", "notes.txt": b""}
    folder = collection_of(tmp_path / "p", *names, **texts)
    table = load_dataset(folder, 8).report.unused_table()
    assert dict(table.itertuples(index=False, name=None)) == {
        "b.png": "skipped: the file is empty",
        "x.zip": "left out: zip, which is not opened",
        "notes.txt": "ignored: file that is not an image",
    }
    for name in texts:
        (folder / name).unlink()
    with pytest.raises(NotEnoughData, match="is an image"):
        load_dataset(folder, 8).report.unused_table()


def test_the_report_knows_of_what_came_after_the_images_were_cached(tmp_path):
    folder = collection_of(tmp_path / "p", "a.png")
    load_dataset(folder, 8)
    collection_of(folder, "x.zip", "notes.txt", **{"x.zip": b"", "notes.txt": b""})
    report = load_dataset(folder, 8).report
    assert (report.ignored, report.left_out) == (("notes.txt",), (("x.zip", "zip"),))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.png", "b.png"], "8 x 8)"),
        (["in/a.png", "in/b.png"], "8 x 8)"),
        (["photo_jpg/b.png", "monet_jpg/a.png", "photo_jpg/c.png"],
         "; in 2 folders: monet_jpg 1, photo_jpg 2)"),
        (["a.png", "x/b.png", "x/y/c.png"], "; in 3 folders: . 1, x 1, x/y 1)"),
        ([f"{n}/a.png" for n in range(8)],
         "; in 8 folders: 0 1, 1 1, 2 1, 3 1, 4 1, 5 1, and 2 more)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pack", ["folder", "zip"])
def test_images_of_several_folders_are_counted(tmp_path, names, words, pack):
    place = tmp_path / ("p.zip" if pack == "zip" else "p")
    first, *others = str(load_dataset(collection_of(place, *names), 8).report).splitlines()
    assert first.endswith(words)
    assert others == []


def test_what_lies_beside_the_images_is_not_read(tmp_path, monkeypatch):
    beside = ("clip.mp4", "film", "other.zip", "all.tar", "x.parquet", "@eaDir/x.png", "long.txt")
    contents = dict.fromkeys(beside, bytes(2000))
    folder = collection_of(tmp_path / "p", "a.png", *beside, **contents)
    read = []
    monkeypatch.setattr(load, "_file_hash", lambda path: read.append(path.name) or b"")
    monkeypatch.setattr(load, "KEPT_BYTES", 0)
    reader = listing.read_file

    def read_file(path, head=None):
        read.extend([] if head else [path.name])
        return reader(path, head)

    monkeypatch.setattr(listing, "read_file", read_file)
    heads = []
    monkeypatch.setattr(listing, "_begins_like_an_image", lambda head: heads.append(len(head)))
    load_dataset(folder, 8)
    assert read == ["a.png", "a.png"], "hashed, and decoded"
    assert set(heads) == {listing.HEAD_BYTES}


# --- What cannot be read -------------------------------------------------------------------


def unreadable(monkeypatch, path):
    """Let the system refuse to list a folder, as it does to all but the superuser."""
    scan = os.scandir

    def refuse(place):
        if Path(place) == path:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)


def test_a_folder_that_cannot_be_read_is_skipped_with_the_reason(tmp_path, monkeypatch):
    folder = collection_of(tmp_path / "p", "a.png", "deep/sub/b.png")
    unreadable(monkeypatch, folder / "deep" / "sub")
    reason = ("deep/sub/", "the folder cannot be read (Permission denied)")
    for _ in range(2):
        assert load_dataset(folder, 8).report.skipped == (reason,)
    with pytest.raises(WorkbookError, match="deep/sub/: the folder cannot be read"):
        load_dataset(folder, 8, strict=True)
    (folder / "a.png").unlink()
    with pytest.raises(WorkbookError, match=r"no usable .*deep/sub/: the folder cannot be read"):
        load_dataset(folder, 8)


def test_a_collection_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    folder = collection_of(tmp_path / "p", "a.png")
    unreadable(monkeypatch, folder)
    with pytest.raises(WorkbookError, match=r"The folder '.*p' cannot be read \(Permission"):
        load_dataset(folder, 8)


def leave(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("use", [load_copies, read_labels], ids=["copies", "labels"])
@pytest.mark.parametrize("pack", ["folder", "zip"])
def test_a_collection_that_is_gone_is_not_called_damaged(tmp_path, pack, use):
    place = collection_of(tmp_path / ("p.zip" if pack == "zip" else "p"), "a.png")
    dataset = load_dataset(place, 8)
    leave(place)
    with pytest.raises(WorkbookError, match=r"cannot be read \(No such file.* is there"):
        use(dataset)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(5, "Input/output error"), r"cannot be read \(Input/output error\): see to it"),
        (OSError(24, "Too many open files"), r"cannot be read \(Too many open files\)"),
        (MemoryError(), "the memory is too short"),
    ],
    ids=["disk", "open files", "memory"],
)
def test_what_the_machine_cannot_do_is_no_damage_of_a_zip(tmp_path, monkeypatch, error, words):
    place = locate(collection_of(tmp_path / "p.zip", "a.png"))

    def fail(path):
        raise error

    monkeypatch.setattr("dcgan_utils.data.listing.zipfile.ZipFile", fail)
    with pytest.raises(WorkbookError, match=words):
        load_dataset(place, 8)


def test_a_path_is_looked_up_though_the_working_directory_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(
        WorkbookError, match=r"no folder or zip at 'x/y' \(from 'a working directory that"
    ):
        locate("x/y")


# --- Nothing to use ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "advice", "holds"),
    [
        (["a.zip"], "give the zip itself, '{p}/a.zip'", "1 zip, which is not opened (a.zip)"),
        (["a.zip", "b.zip"], "give the zip itself, '{p}/a.zip'", "2 zips, which are not opened"),
        (["x.tar"], "unpack '{p}/x.tar' and give the folder", "1 archive, which is not opened"),
        (["in/x.7z"], "unpack '{p}/in/x.7z' and give", "1 archive, which is not opened (in/x.7z)"),
        (["a.parquet"], "save the images of '{p}/a.parquet'", "1 file that packs its images"),
        (["a.h5", "b.txt"], "save the images of '{p}/a.h5'", "1 file that is not an image (b.txt)"),
        (["a.zip.001", "a.zip.002"], "unpack '{p}/a.zip.001' and", "2 archives, which are not"),
        (["a.zip.part"], "finish the download of '{p}/a.zip.part'", "1 unfinished download (a.zip"),
        (["t10k-images-idx3-ubyte"], "save the images of '{p}/t10k", "1 file that packs its"),
        (["a.mp4"], "save frames of '{p}/a.mp4'", "1 video (a.mp4)"),
        (["@eaDir/x"], "put JPEG, PNG or", "1 hidden or kept by the system (@eaDir/)"),
        (["1.txt", "2.txt", "3.txt", "4.txt"], "put JPEG", "images (1.txt, 2.txt, 3.txt, ...)"),
    ],
)
def test_without_an_image_it_is_said_what_there_is_and_what_to_do(tmp_path, names, advice, holds):
    folder = collection_of(tmp_path / "p", *names, **dict.fromkeys(names, b"no image"))
    with pytest.raises(WorkbookError) as error:
        load_dataset(folder, 8)
    begin = f"There is no usable image in '{folder}': "
    assert str(error.value).startswith(begin + advice.format(p=folder))
    assert holds in str(error.value).partition(" It holds ")[2]


@pytest.mark.parametrize("leads_to", ["images", "nowhere"])
def test_a_folder_of_links_says_so(tmp_path, leads_to):
    collection_of(tmp_path / "images", "a.png")
    folder = collection_of(tmp_path / "p")
    (folder / "linked").symlink_to(tmp_path / leads_to)
    words = {
        "images": "1 link to a folder, which is not followed",
        "nowhere": "1 file or link that cannot be read",
    }
    with pytest.raises(WorkbookError, match=words[leads_to]):
        load_dataset(folder, 8)


def test_a_zip_of_zips_says_so(tmp_path):
    place = collection_of(tmp_path / "p.zip", "a.zip", **{"a.zip": b"PK"})
    with pytest.raises(WorkbookError, match=r"unpack it, and what it holds.*1 zip, which is not"):
        load_dataset(place, 8)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.zip", "the first half", "is a zip that was cut short"),
        ("x.zip", "all but the last byte", "is a zip that was cut short"),
        ("x.zip", "the first half, then zeros", "is a zip that was cut short"),
        ("download", "the first half", "is a zip that was cut short"),
        ("x.zip", b"", "is empty: download"),
        ("x.zip", b"\n<!doctype html><title>Log in", "is a web page and no zip"),
        ("x.zip", b"no zip at all", "is not a zip file, or its beginning is damaged"),
        ("x.zip", b"version https://git-lfs.github.com/spec/v1", "is a pointer of Git LFS: run"),
        ("x.rar", b"Rar!\x1a\7", "is a RAR archive: unpack it"),
        ("x.7z", b"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it"),
        ("x.tgz", b"\x1f\x8b\x08", "is a gzip archive: unpack it"),
        ("x.tar", b"a.png\0\0", "is not a zip file: unpack '{path}'"),
        ("x.parquet", b"PAR1", "packs its images"),
        ("x.part", b"\0\0", "is not a zip file: finish the download of '{path}'"),
        ("x.npz", b"\x93NUMPY", "is not a zip file: save the images of '{path}'"),
        ("x.png", png(), "is not a zip file: give a folder of images or a zip"),
    ],
)
def test_a_file_that_is_not_a_zip_is_described(tmp_path, name, content, words):
    if isinstance(content, str):
        whole = collection_of(tmp_path / "whole.zip", "a.png", "b.png").read_bytes()
        half = whole[: len(whole) // 2]
        cut = {"the first half": half, "all but the last byte": whole[:-30]}
        content = cut.get(content, half + bytes(70_000))
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WorkbookError) as error:
        locate(path)
    assert str(error.value).startswith(f"'{path}' {words.format(path=path)}")


# --- What this project has written itself --------------------------------------------------


def test_its_own_reports_and_data_never_belong_to_it(tmp_path, monkeypatch, tiny):
    folder = collection_of(tmp_path / "p", "a.png", "b.png", "data/c.png", "reports/latent/x.png")
    monkeypatch.setenv("DCGAN_HOME", str(folder))
    train(tiny(dataset=str(folder), epochs=1), load_dataset(folder, 32))
    dataset = load_dataset(folder, 32)
    assert dataset.files == ("a.png", "b.png")
    assert dataset.report.left_out == (("data/", "own"), ("reports/", "own"))
    for inside in ("data", "reports/latent"):
        assert len(load_dataset(folder / inside, 8).files) == 1, "named, they are a collection"


def test_a_run_folder_never_belongs_to_it(tmp_path, tiny):
    folder = collection_of(tmp_path / "p", "a.png", "b.png")
    run = train(
        tiny(dataset=str(folder), epochs=1), load_dataset(folder, 32), folder=folder / "run"
    )
    dataset = load_dataset(folder, 32)
    assert (dataset.files, dataset.report.left_out) == (("a.png", "b.png"), (("run/", "own"),))
    assert load_dataset(run.folder / "samples", 8).files == ("epoch_0001.png",), "named, it counts"


@pytest.mark.parametrize("pack", ["folder", "zip"])
@pytest.mark.parametrize(
    "signs",
    [
        [".report-of"],
        ["projector_config.pbtxt"],
        ["config.json", "history.csv"],
        ["config.json", "checkpoint.pt"],
    ],
    ids=str,
)
def test_folders_of_another_home_never_belong_to_it(tmp_path, signs, pack):
    names = [f"old/x/{name}" for name in (*signs, "samples/1.png")]
    place = tmp_path / ("p.zip" if pack == "zip" else "p")
    report = load_dataset(collection_of(place, "a.png", *names), 8).report
    assert report.left_out == (("old/x/", "own"),)
    assert len(report.sizes) == 1


def test_reports_reached_by_a_link_never_belong_to_it(tmp_path, monkeypatch):
    folder = collection_of(tmp_path / "p", "a.png", "out/b.png")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "reports").symlink_to(folder / "out")
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / "project"))
    assert load_dataset(folder, 8).report.left_out == (("out/", "own"),)


def test_collections_in_data_and_reports_work_on(home):
    for place in (home / "data" / "mine", home / "reports" / "mine"):
        folder = collection_of(place, "a.png")
        assert load_dataset(folder, 8).files == ("a.png",)
    assert report_name("mine", home / "reports" / "mine") == "mine-2", "not into the collection"


# --- Names and paths -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelt", "shown"),
    [
        (b"plain.png", "plain.png"),
        (unicodedata.normalize("NFD", "été.png").encode(), "été.png"),
        (b"caf\xe9.png", "caf\\udce9.png"),
        ("写真.png".encode(), "写真.png"),
    ],
)
def test_paths_are_kept_as_the_disk_spells_them(tmp_path, spelt, shown):
    folder = collection_of(tmp_path / "p")
    path = bytes_path(folder, spelt)
    path.write_bytes(png())
    dataset = load_dataset(folder, 8)
    assert dataset.files == (shown,)
    assert image_files(str(folder), 8) == [path]
    json.dumps(dataset.files, ensure_ascii=False).encode()


@pytest.mark.parametrize("pack", ["folder", "zip"])
@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("x\nImages: 99.png", "x\\nImages: 99.png"),
        ("\x1b[2Jx.png", "\\x1b[2Jx.png"),
        ("x\r.png", "x\\r.png"),
        ("x\t.png", "x\\t.png"),
        ("x\x7f\x9b.png", "x\\x7f\\x9b.png"),
        ("x\nfolder/x.png", "x\\nfolder/x.png"),
    ],
    ids=["line", "escape", "return", "tab", "delete", "folder"],
)
def test_control_characters_in_names_are_escaped(tmp_path, written, name, pack):
    place = tmp_path / ("p.zip" if pack == "zip" else "p")
    contents = {written: png(), "labels.csv": f'file,kind\n"{written}",dog\n'.encode()}
    dataset = load_dataset(collection_of(place, written, "labels.csv", **contents), 8)
    assert dataset.files == (name,)
    assert read_labels(dataset).loc[name, "kind"] == "dog"


def test_names_that_look_alike_are_two_files(tmp_path):
    names = [unicodedata.normalize(form, "é.png") for form in ("NFD", "NFC")]
    folder = collection_of(tmp_path / "p", *names)
    assert load_dataset(folder, 8).files == ("é (2).png", "é.png")
    assert {path.name for path in image_files(str(folder), 8)} == set(names)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_collection_is_found_however_its_letters_are_composed(tmp_path, form):
    there = collection_of(tmp_path / unicodedata.normalize("NFD", "Öl-été"), "a.png")
    found = locate(unicodedata.normalize(form, str(there)))
    assert (found.name, found.path) == ("öl-été", there)


def test_a_collection_whose_path_is_no_utf8(tmp_path):
    folder = collection_of(bytes_path(tmp_path, b"caf\xe9"), "a.png", "b.png")
    assert len(load_dataset(folder, 8).images) == 2
    with pytest.raises(WorkbookError, match=r"caf\\udce9' has letters .*: rename the folder"):
        _ = locate(folder).source


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("set\\a.png", "set/a.png"),
        ("été.png", "été.png"),
        (unicodedata.normalize("NFD", "été.png"), "été.png"),
    ],
)
@pytest.mark.parametrize("says_utf8", [True, False])
def test_names_in_a_zip_are_read_as_they_were_meant(tmp_path, written, read, says_utf8):
    path = collection_of(tmp_path / "p.zip", written)
    content = bytearray(path.read_bytes())
    if not says_utf8:
        for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            place = content.index(mark) + at + 1
            content[place] &= ~8
    path.write_bytes(content)
    assert load_dataset(path, 8).files == (read,)


def test_a_zip_with_backslashes_is_as_one_with_slashes(tmp_path):
    names = ["set\\a.png", "set\\", "__MACOSX\\._a.png", "set\\@eaDir\\a.png"]
    backslashes = load_dataset(collection_of(tmp_path / "one.zip", *names), 8)
    names = [name.replace("\\", "/") for name in names]
    slashes = load_dataset(collection_of(tmp_path / "two.zip", *names), 8)
    assert backslashes.files == slashes.files == ("set/a.png",)
    assert backslashes.report.left_out == slashes.report.left_out
    assert dict(slashes.report.left_out) == {"__MACOSX/": "junk", "set/@eaDir/": "junk"}


def test_every_painted_collection_is_known():
    assert tuple(PAINTERS) == PAINTED
