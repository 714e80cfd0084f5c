import os
import tempfile
import types
from pathlib import Path

import numpy as np
import pytest

from dcgan_utils.core import cache
from dcgan_utils.core.files import data_dir


def test_what_was_written_is_read():
    path = cache.location("kind", "part", 1)
    assert cache.read(path, lambda entry: entry) is None
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([True])}
    cache.write(path, arrays, {"text": ["é"]})
    entry = cache.read(path, lambda entry: entry)
    assert entry.about == {"text": ["é"]}
    for name, array in arrays.items():
        np.testing.assert_array_equal(entry.arrays[name], array)
    assert [file.name for file in (data_dir() / ".cache").iterdir()] == [path.name]


def test_every_part_makes_another_place():
    places = {cache.location("k", *parts) for parts in [(1,), (2,), (1, 2), ("1",), ([1, 2],)]}
    assert len({*places, cache.location("other", 1)}) == 6


@pytest.mark.parametrize("damage", ["empty", "garbage", "cut", "one bit"])
def test_a_damaged_file_is_thrown_away(damage, caplog):
    path = cache.location("kind", 1)
    cache.write(path, {"a": np.zeros(100)})
    whole = path.read_bytes()
    flipped = bytes([whole[600] ^ 1])
    kept = {"empty": b"", "garbage": b"garbage", "cut": whole[:-40]}
    path.write_bytes(kept.get(damage, whole[:600] + flipped + whole[601:]))
    assert cache.read(path, lambda entry: entry) is None
    assert not path.exists()
    assert "is damaged" in caplog.text


def test_pickled_objects_are_not_read(caplog):
    path = cache.location("kind", 1)
    path.parent.mkdir(parents=True)
    with path.open("wb") as stream:
        np.savez(stream, a=np.array([print], dtype=object), about=np.array("{}"))
    assert cache.read(path, lambda entry: entry) is None


def test_content_hash_knows_shape_and_values():
    array = np.arange(6)
    hashes = {cache.content_hash(a) for a in (array, array.reshape(2, 3), array + 1)}
    assert len(hashes) == 3
    assert cache.content_hash(array.reshape(2, 3).T.copy()) == cache.content_hash(
        array.reshape(2, 3).T
    )


def test_a_file_that_holds_something_else_is_thrown_away():
    path = cache.location("test", 3)
    cache.write(path, {"other": np.zeros(3)})
    assert cache.read(path, lambda entry: entry.arrays["vectors"]) is None
    assert not path.exists()


def test_collections_keep_their_hashes():
    ramp = np.arange(96, dtype=np.uint8).reshape(2, 3, 4, 4)
    assert cache.content_hash(ramp) == "757383b1a6755fc8b9097a5cb1c4172c"


def test_what_is_cached_keeps_its_place():
    assert cache.location("k", "part", [1]).name == cache.location("k", "part", (1,)).name
    assert cache.location("k", "part", 1).name.startswith("k-")


@pytest.mark.parametrize(
    ("own", "writable", "chosen"),
    [
        (None, ["data"], "{home}/data/.cache/numba"),
        ("", ["data"], "{home}/data/.cache/numba"),
        ("{home}/own", ["data", "own"], "{home}/own"),
        ("{home}/own", ["data"], "{home}/data/.cache/numba"),
        (None, [], "{home}/temporary/numba-*"),
        ("{home}/own", [], "{home}/temporary/numba-*"),
    ],
)
def test_numba_gets_a_folder_that_can_be_written(own, writable, chosen, home, monkeypatch):
    for name in {"data", "own"} - {*writable}:
        (home / name).touch()  # a file, so that no folder can be made there
    (home / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(home / "temporary"))
    monkeypatch.setattr(cache, "_numba_has_a_place", lambda: False)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    if own is not None:
        monkeypatch.setenv("NUMBA_CACHE_DIR", own.format(home=home))
    folder = cache.ensure_numba_dir()
    assert folder.match(chosen.format(home=home))
    assert folder.is_dir()
    assert Path(os.environ["NUMBA_CACHE_DIR"]) == folder == cache.ensure_numba_dir()


@pytest.mark.parametrize(
    ("variable", "blocked"),
    [("HOME", "there/.cache"), ("HOME", "there/.cache/numba"), ("XDG_CACHE_HOME", "there"),
     ("XDG_CACHE_HOME", "there/numba"), ("HOME", "")],
    ids=["~/.cache", "~/.cache/numba", "XDG_CACHE_HOME", "XDG_CACHE_HOME/numba", "no home at all"],
)  # fmt: skip
def test_numba_does_not_rely_on_a_home_whose_caches_cannot_be_written(
    variable, blocked, home, monkeypatch, tmp_path
):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "there"))
    if blocked:
        (tmp_path / blocked).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / blocked).touch()  # a file, so that no folder can be made there
    else:
        monkeypatch.delenv("HOME")
        monkeypatch.setattr("os.getuid", lambda: 987_654_321)  # a user without an entry
    (tmp_path / "packages" / "__pycache__").parent.mkdir()
    (tmp_path / "packages" / "__pycache__").touch()
    source = types.SimpleNamespace(origin=str(tmp_path / "packages" / "__init__.py"))
    monkeypatch.setattr(cache.importlib.util, "find_spec", lambda name: source)
    assert cache.ensure_numba_dir() == home / "data" / ".cache" / "numba"


@pytest.mark.parametrize("own", [None, ""])
def test_numba_keeps_its_own_place_where_it_can_be_written(own, home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    if own is not None:
        monkeypatch.setenv("NUMBA_CACHE_DIR", own)
    assert cache.ensure_numba_dir() is None
    assert not os.environ.get("NUMBA_CACHE_DIR")
