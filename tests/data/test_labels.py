import unicodedata
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.data import labels
from dcgan_utils.data.labels import (
    categories,
    classes_of,
    parse_booleans,
    precision_recall,
    read_labels,
)
from dcgan_utils.data.load import load_dataset


def labelled(folder, text, encoding="utf-8"):
    for name in ("a.png", "b.png", "sub/c.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(len(name)).integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "labels.csv").write_text(text, encoding=encoding)
    return folder


TEXT = "file,kind,size\nb.png,cat,\na.png,dog,3\nsub/c.png,dog,4\nmissing.png,emu,5\n"


@pytest.mark.parametrize("pack", ["folder", "zip"])
def test_labels_come_in_the_order_of_the_images(tmp_path, pack):
    source = folder = labelled(tmp_path / "p", TEXT)
    if pack == "zip":
        source = tmp_path / "p.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for path in folder.rglob("*.*"):
                archive.write(path, f"inside/{path.relative_to(folder)}")
    dataset = load_dataset(source, 16)
    known = read_labels(dataset)
    assert tuple(known.index) == dataset.files
    assert known["kind"].tolist() == ["dog", "cat", "dog"]
    assert known["size"].isna().tolist() == [False, True, False]


def test_without_labels_there_are_no_columns(collection):
    known = read_labels(collection)
    assert len(known) == len(collection.files)
    assert known.columns.empty
    assert categories(known).empty


@pytest.mark.parametrize(
    "text", ["", "name,kind\na.png,dog\n", 'file,kind\n"a.png,dog', "file\n\n"]
)
def test_other_tables_are_left_aside(tmp_path, text):
    assert read_labels(load_dataset(labelled(tmp_path / "p", text), 16)).columns.empty


def test_a_table_that_is_no_utf8_is_reported(tmp_path, caplog):
    folder = labelled(tmp_path / "p", "file,kind\na.png,Füchse\n", encoding="latin-1")
    assert read_labels(load_dataset(folder, 16)).columns.empty
    assert "labels.csv is ignored" in caplog.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", "file,kind\nA.PNG,dog\nSub/C.png,cat\n"),
        ("labels.csv", "file,kind\na.png ,dog\n sub/c.png,cat\n"),
        ("labels.csv", "file,kind\n./a.png,dog\nother/../sub/c.png,cat\n"),
        ("labels.csv", "file,kind\r\na.png,dog\r\nsub\\c.png,cat\r\n"),
        ("labels.csv", "file;kind\na.png;dog\nsub/c.png;cat\n"),
        ("labels.csv", '"kind";"file"\ndog;"a.png"\n"c;at";sub/c.png\n'),
        ("labels.csv", "file\tkind\na.png\tdog\nsub/c.png\tcat\n"),
        ("labels.csv", "file,kind\n,emu\na.png,dog\nsub/c.png,cat\n\n"),
        ("labels.csv", "file, kind\na.png, dog\nsub/c.png, cat\n"),
        ("labels.csv", ' file , "kind"\n"a.png", "dog"\nsub/c.png ,cat \n'),
        ("labels.csv", "file ; kind\na.png ; dog\nsub/c.png ; cat\n"),
        ("labels.csv", "file,kind\ra.png,dog\rsub/c.png,cat\r"),
        ("labels.csv", "\nfile,kind\na.png,dog\nsub/c.png,cat\n"),
        ("labels.csv", "file,kind,,\na.png,dog,,\nsub/c.png,cat,,\n"),
        ("Labels.CSV", "file,kind\na.png,dog\nsub/c.png,cat\n"),
        ("sub/LABELS.csv", "file,kind\n../a.png,dog\nc.png,cat\n"),
    ],
)
def test_labels_find_their_images_however_they_are_written(tmp_path, name, text, caplog):
    folder = labelled(tmp_path / "p", "")
    (folder / "labels.csv").unlink()
    (folder / name).write_text(text, newline="")
    kinds = read_labels(load_dataset(folder, 16))["kind"].dropna()
    assert kinds.index.tolist() == ["a.png", "sub/c.png"]
    assert [kind.replace(";", "") for kind in kinds] == ["dog", "cat"]
    assert (
        "in another case, which are matched all the same: 2 (such as 'A.PNG' for" in caplog.text
    ) == ("A.PNG" in text)
    assert "not here" not in caplog.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,kind\nx.png,a\ny.png,b\nz.png,c\n", "names 3 files, none of them here"),
        ("file,kind\na,dog\n", "names 1 file, none of them here (such as 'a')"),
        ("file,kind\n/data/a.png,dog\n", "names 1 file, none of them here (such as '/data/a.png')"),
        ("file,kind\np/a.png,dog\n", "names 1 file, none of them here"),
        ("file,kind\na.png,dog\nx.png,cat\n", "names 2 files, 1 of them not here"),
        ("file,kind\n", "names no file"),
        ("", "names no file"),
        ("name,kind\na.png,dog\n", "is ignored (it has no column 'file'): it must be a table"),
        ("file,kind\na.png,\udce9\n", "is ignored (it is not UTF-8): it must be a table"),
        ('file,kind\n"a.png,dog\n', "is ignored (unexpected end of data): it must be a table"),
        ("file,kind,kind\na.png,x,y\n", "is ignored (it has two columns 'kind')"),
        ("file, file\na.png,x\n", "is ignored (it has two columns 'file')"),
        ("file,kind\na.png,x\n./a.png,y\n", "names 1 file more than once (such as 'a.png')"),
    ],
)
def test_labels_that_fit_no_image_are_reported(tmp_path, text, words, caplog):
    folder = labelled(tmp_path / "p", "")
    (folder / "labels.csv").write_text(text, errors="surrogateescape")
    read_labels(load_dataset(folder, 16))
    assert f"labels.csv {words}" in caplog.text


def test_another_case_must_not_be_a_guess(tmp_path, caplog):
    folder = labelled(tmp_path / "p", "file,kind\na.png,dog\nA.Png,cat\n")
    (folder / "A.PNG").write_bytes((folder / "a.png").read_bytes())
    known = read_labels(load_dataset(folder, 16))["kind"]
    assert (known["a.png"], known.notna().sum()) == ("dog", 1)
    assert "1 of them not here (such as 'A.Png')" in caplog.text


def test_categories_sort_images_into_groups():
    known = pd.DataFrame(
        {
            "kind": ["cat", "dog"] * 20,
            "partly": ["cat", "dog", None, "emu"] * 10,
            "name": [f"image {number}" for number in range(40)],
            "few names": ["a", "b"] + [None] * 38,
            "always": ["yes"] * 40,
            "never": [None] * 40,
        }
    )
    assert list(categories(known)) == ["kind", "partly"]


def test_names_match_however_their_letters_are_composed(tmp_path):
    folder = labelled(tmp_path / "p", "")
    (folder / "a.png").rename(folder / "Füchse.png")
    decomposed = unicodedata.normalize("NFD", "Füchse.png")
    (folder / "labels.csv").write_text(f"file,kind\n{decomposed},fox\n", encoding="utf-8")
    assert read_labels(load_dataset(folder, 16)).loc["Füchse.png", "kind"] == "fox"


@pytest.mark.parametrize("asked", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_columns_and_classes_match_however_their_letters_are_composed(
    image_folder, collection, written, asked
):
    kinds = [unicodedata.normalize(form, "été") for form in ("NFC", "NFD")] * 2 + ["mer"] * 6
    lines = [f"{n:02d}.png,{kind}" for n, kind in enumerate(["été", *kinds[1:]])]
    header = unicodedata.normalize(written, "file,catégorie")
    (image_folder / "labels.csv").write_text("\n".join([header, *lines]))
    known = read_labels(collection)[unicodedata.normalize("NFC", "catégorie")]
    assert known.value_counts().to_dict() == {"été": 4, "mer": 6}
    lines[4] = "04.png,été"
    (image_folder / "labels.csv").write_text("\n".join([header, *lines]))
    assert classes_of(collection, unicodedata.normalize(asked, "catégorie")).nunique() == 2


def test_yes_and_no():
    values = pd.Series(["true", "True", " YES", "1", "false", "", None, np.nan, "no"])
    assert parse_booleans(values) == [True] * 4 + [False] * 5


def test_precision_and_recall():
    truth = [True, True, False, False]
    assert precision_recall([0, 1], truth) == (1, 1)
    assert precision_recall([0, 2], truth) == (0.5, 0.5)
    assert precision_recall([2], truth) == (0, 0)
    assert np.isnan(precision_recall([], truth)[0])
    assert np.isnan(precision_recall([0], [False] * 4)[1])


def test_kinds_come_from_the_labels(image_folder, collection):
    assert classes_of(collection) is None
    lines = [f"{n:02d}.png,{'sea' if n % 2 else 'land'},{n}" for n in range(10)]
    (image_folder / "labels.csv").write_text("\n".join(["file,subject,number", *lines]))
    kinds = classes_of(collection)
    assert (kinds.name, kinds.tolist()) == ("subject", ["land", "sea"] * 5)
    with pytest.raises(WorkbookError, match="Available: subject"):
        classes_of(collection, "number")
    lines = [f"{n:02d}.png,{'sea' if n < 4 else 'land'}" for n in range(10)]
    (image_folder / "labels.csv").write_text("\n".join(["file,subject", *lines]))
    assert classes_of(collection) is None, "four images are too few to learn from"


def test_precision_is_of_the_found_and_recall_of_what_is_there():
    assert precision_recall([0, 2, 3], [True, True, False, False]) == (1 / 3, 1 / 2)


@pytest.mark.parametrize(
    ("values", "images", "sorts"),
    [
        (1, 60, False),
        (2, 60, True),
        (30, 60, True),
        (31, 62, False),
        (9, 10, True),
        (10, 10, False),
    ],
)
def test_two_to_thirty_values_sort_images(values, images, sorts):
    known = pd.DataFrame({"kind": [f"kind {number % values}" for number in range(images)]})
    assert (list(categories(known)) == ["kind"]) == sorts


def written(image_folder, **columns):
    names = pd.Index([f"{number:02d}.png" for number in range(10)], name="file")
    pd.DataFrame(columns, index=names).to_csv(image_folder / "labels.csv")


SIXES = ["sea"] * 6 + ["land"] * 4
FIVES = ["rain"] * 5 + ["sun"] * 5


def test_kinds_have_five_images_or_more(image_folder, collection):
    written(image_folder, subject=SIXES)
    assert classes_of(collection) is None
    with pytest.raises(WorkbookError, match="Available: none"):
        classes_of(collection, "subject")
    written(image_folder, subject=SIXES, weather=FIVES)
    assert classes_of(collection).tolist() == FIVES


def test_the_column_asked_for_is_the_one_that_counts(image_folder, collection):
    written(image_folder, weather=FIVES, place=["a", "b"] * 5)
    assert classes_of(collection).name == "weather"
    asked = classes_of(collection, "place")
    assert (asked.name, asked.tolist()) == ("place", ["a", "b"] * 5)


def test_kinds_are_known_of_all_images(collection, monkeypatch):
    known = pd.DataFrame({"partly": ["a", "b", None] * 6, "whole": ["a", "b"] * 9})
    monkeypatch.setattr(labels, "read_labels", lambda dataset: known)
    assert classes_of(collection).name == "whole"
    with pytest.raises(WorkbookError, match="Available: whole"):
        classes_of(collection, "partly")
