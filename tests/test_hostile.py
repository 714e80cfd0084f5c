"""What strangers may send, out of malice or by accident: it is read, or refused in a sentence."""

import contextlib
import io
import json
import re
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import TINY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dcgan_utils.core import cache
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.data import listing
from dcgan_utils.data.labels import read_labels
from dcgan_utils.data.load import load_dataset
from dcgan_utils.data.sources import locate
from dcgan_utils.gan import priors
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.report import configs
from dcgan_utils.runs.run import Run, find_runs
from dcgan_utils.runs.sampling import load_generator
from dcgan_utils.runs.training import train
from dcgan_utils.study.grid import Grid, load_grid


def fuzzed(examples):
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@contextlib.contextmanager
def only_our_error():
    """Let a `WorkbookError` pass that is a sentence or a few, and nothing else."""
    try:
        yield
    except WorkbookError as error:
        assert str(error).strip()
        assert len(str(error)) < 20_000


def png(size=(8, 8), colour="red"):
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()


# --- Zips ----------------------------------------------------------------------------------


def test_links_and_paths_in_a_zip_lead_nowhere(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(colour="blue"))
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(secret))
        for name in ("../up.png", "/etc/root.png", "C:\\windows.png", "a/../../b.png", "fine.png"):
            archive.writestr(name, png())
    before = sorted(tmp_path.rglob("*"))
    dataset = load_dataset(path, 8)
    assert len(dataset.images) == 5
    assert all(image[2].max() == 0 for image in dataset.images), "nothing of the blue one"
    assert [p for p in sorted(tmp_path.rglob("*")) if "home" not in p.parts] == before


def test_a_zip_bomb_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(6):
            archive.writestr(f"{number}.bmp", bytes(200 * 2**20))
    assert path.stat().st_size < 10 * 2**20
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *a, **k: pytest.fail("unpacked"))
    with pytest.raises(WorkbookError, match="would unpack to 1 GiB"):
        load_dataset(path, 8)


@pytest.mark.parametrize(
    ("packing", "reason"),
    [(zipfile.ZIP_DEFLATED, "damaged inside the zip"), (zipfile.ZIP_BZIP2, "unsupported method")],
)
def test_an_entry_that_lies_about_its_size_is_left_out(tmp_path, packing, reason):
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("liar.bmp", bytes(100 * 2**20))
        archive.writestr("fine.png", png(), compress_type=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    for at in (content.index(b"liar.bmp") - 30 + 22, content.rindex(b"liar.bmp") - 46 + 24):
        content[at : at + 4] = struct.pack("<I", 100)
    path.write_bytes(content)
    tracemalloc.start()
    dataset = load_dataset(path, 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20
    assert dataset.files == ("fine.png",)
    assert reason in dict(dataset.report.skipped)["liar.bmp"]


@pytest.mark.parametrize("pack", ["zip", "folder"])
def test_too_many_files_are_refused(tmp_path, pack, monkeypatch):
    assert listing.MAX_FILES == 500_000
    monkeypatch.setattr(listing, "MAX_FILES", 50)
    path = tmp_path / "many"
    if pack == "folder":
        path.mkdir()
        for number in range(51):
            (path / f"{number}.png").touch()
    else:
        path = path.with_suffix(".zip")
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(51):
                archive.writestr(f"{number}.png", b"")
    with pytest.raises(WorkbookError, match="holds more than 50 files"):
        load_dataset(path, 8)


@pytest.fixture(scope="module")
def sound_zip():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", png())
        archive.writestr("labels.csv", "file,kind\na.png,x\n")
        archive.writestr("in/b.png", png(colour="blue"))
    return stream.getvalue()


FLIPS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=6)


def mangled(content, flips, kept):
    changed = bytearray(content)
    for place, bits in flips:
        changed[int(place * len(content))] ^= bits
    return bytes(changed[: round(kept * len(content)) if kept < 0.9 else None])


@fuzzed(500)
@given(flips=FLIPS, kept=st.floats(0, 1))
def test_mangled_zips_load_or_are_refused(tmp_path_factory, sound_zip, flips, kept):
    path = tmp_path_factory.getbasetemp() / "mangled.zip"
    path.write_bytes(mangled(sound_zip, flips, kept))
    with only_our_error():
        read_labels(load_dataset(path, 4))


# --- Images and their names ----------------------------------------------------------------


def test_a_image_that_lies_about_its_size_is_skipped(tmp_path):
    header = struct.pack(">IIBBBBB", 5000, 5000, 8, 2, 0, 0, 0)
    content = bytearray(png())
    at = content.index(b"IHDR")
    content[at + 4 : at + 17] = header
    content[at + 17 : at + 21] = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "liar.png").write_bytes(content)
    (tmp_path / "p" / "fine.png").write_bytes(png())
    dataset = load_dataset(tmp_path / "p", 8)
    assert dataset.files == ("fine.png",)
    assert "damaged or cut short" in dict(dataset.report.skipped)["liar.png"]


def test_polyglots_count_as_what_they_are_read_as(tmp_path):
    script = b"<script>alert(1)</script>"
    hidden = io.BytesIO()
    with zipfile.ZipFile(hidden, "w") as archive:
        archive.writestr("evil.html", script)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "both.png").write_bytes(png() + hidden.getvalue() + script)
    dataset = load_dataset(tmp_path / "p", 8)
    assert dataset.files == ("both.png",)
    assert dataset.images[0, :, 4, 4].tolist() == [255, 0, 0]


EVIL_NAMES = [
    "<img src=x onerror='document.title=`hacked`'>.png",
    "&lt;b&gt; \"quoted\" 'twice'.png",
    "new\nline\ttab.png",
    "صورة 絵 картина 🖼.png",
    "--option; rm -rf x; $(touch y) `touch z`.png",
    "=HYPERLINK(1)|{{ 7*7 }}{% raw %}.png",
    "</script><script>document.title='hacked'</script>.png",
]


def test_names_of_all_kinds_stay_names(tmp_path):
    folder = tmp_path / "<i>p</i>\n$(x)".replace("/", "_")
    folder.mkdir()
    names = [name.replace("/", "_") for name in EVIL_NAMES]
    for name in names:
        (folder / name).write_bytes(png())
    (folder / b"not \xff utf-8.png".decode("utf-8", "surrogateescape")).write_bytes(png())
    dataset = load_dataset(folder, 8)
    assert len(dataset.images) == len(names) + 1
    assert dataset.name.replace("-", "").replace("_", "").isalnum()
    json.dumps(dataset.files).encode()


@fuzzed(200)
@given(content=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_labels_of_any_kind_are_read_or_left_aside(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp() / "labelled"
    folder.mkdir(exist_ok=True)
    (folder / "a.png").write_bytes(png())
    (folder / "labels.csv").write_bytes(content)
    with only_our_error():
        assert len(read_labels(load_dataset(folder, 4))) == 1


@fuzzed(250)
@given(st.text(max_size=80) | st.sampled_from(["/dev/zero", "/dev/null", "/proc", "\0", "~"]))
def test_no_text_breaks_the_search_for_a_collection(text):
    with only_our_error():
        locate(text)
    with only_our_error():
        find_runs(text)


# --- Texts that are parsed -------------------------------------------------------------------

NOTEBOOKS = [
    getattr(configs, name)
    for name in dir(configs)
    if re.fullmatch("[A-Z].+Config", name) and name != "TrainConfig"
]
NOISE_WORDS = st.sampled_from(
    ["normal", "N", "U", "gamma", "standardized", "sphere", "student_t", "bernoulli", "(", ")", ",",
     "=", "mean", "std", "-", "1", "0", "1e308", "inf", "nan", "__import__", "os", ".", " ", "2.5",
     "exec", "lambda", "[", "{", "'", "#", ":", "**", "/", "variance", "9" * 400]
)  # fmt: skip


@fuzzed(1000)
@given(st.lists(NOISE_WORDS, max_size=12).map("".join) | st.text(max_size=80))
def test_a_noise_is_read_or_refused(text):
    with only_our_error():
        prior = priors.parse(text)
        assert priors.parse(str(prior)) == prior
    with only_our_error():
        priors.parse_list(text)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=30)
    | st.binary(max_size=10)
    | st.sampled_from(["auto", "cuda:99", "1e999", "0x10", "true", "64", "-0", "N(0, 1)"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@fuzzed(500)
@given(
    kind=st.sampled_from([TrainConfig, Grid, *NOTEBOOKS]),
    names=st.lists(st.integers(0, 99), min_size=1, max_size=4),
    values=st.lists(VALUES, min_size=4, max_size=4),
)
def test_parameters_of_any_kind_are_taken_or_refused(kind, names, values):
    fields = [*kind.model_fields, "unheard_of", "cls", "self"]
    given_ = {fields[n % len(fields)]: value for n, value in zip(names, values, strict=False)}
    with only_our_error():
        kind.resolve(**given_)


YAML_WORDS = st.sampled_from(
    ["collections", ":", " ", "\n", "- ", "[", "]", "{", "}", "noises", "normal",
     "!!python/name:os", "!!python/object/apply:os.system", "&a", "*a", "<<: *a", "seeds", "0",
     "2024-99-99",
     "1e999", "parameters", '"', "'", "|", ">", "%", "@", "\t", "null", "~", "9" * 5000, "? ",
     "kinds", "!!set"]
)  # fmt: skip


@fuzzed(500)
@given(st.lists(YAML_WORDS, max_size=20).map("".join).map(str.encode) | st.binary(max_size=100))
def test_a_grid_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "grid.yaml"
    path.write_bytes(content)
    with only_our_error():
        load_grid(path)


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        "collections: " + "[" * 5000 + "]" * 5000,
        "a: &a [x, x]\nb: &b [*a, *a]\n" + "collections: [*b, *b]\nnoises: normal",
        "seeds: " + "9" * 5000,
        "when: 2024-99-99",
        "? [a, b]\n: c",
    ],
    ids=["deep", "deep and closed", "aliases", "digits", "date", "list as a name"],
)
def test_grids_that_mean_harm_are_refused(tmp_path, content):
    (tmp_path / "grid.yaml").write_text(content)
    with pytest.raises(WorkbookError):
        load_grid(tmp_path / "grid.yaml")


# --- Files of a run, and the cache -----------------------------------------------------------


class Evil:
    """Its pickle makes a folder when it is read."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return Path.mkdir, (Path(self.folder),)


@fuzzed(500)
@given(content=VALUES, raw=st.none() | st.binary(max_size=100), inside=st.booleans())
def test_a_config_of_any_kind_opens_or_is_refused(tmp_path_factory, content, raw, inside):
    folder = tmp_path_factory.getbasetemp() / "any-run"
    folder.mkdir(exist_ok=True)
    if inside:
        data = {"name": "x", "data_hash": "y", "images": 1, "source": "z"}
        content = {"config": content, "data": data}
    try:
        text = json.dumps(content).encode() if raw is None else raw
    except (TypeError, ValueError):
        text = b"{}"
    (folder / "config.json").write_bytes(text)
    with only_our_error():
        Run(folder)


def test_a_config_that_is_too_deep_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(WorkbookError, match="is not a run folder"):
        Run(tmp_path)


HISTORY_WORDS = st.sampled_from(
    [
        "epoch",
        "seconds",
        "1",
        "2",
        "-1",
        "nan",
        "1e400",
        "9" * 400,
        '"',
        ",",
        "\n",
        "\r",
        "x" * 140_000,
    ]
)


@fuzzed(250)
@given(st.binary(max_size=200) | st.lists(HISTORY_WORDS, max_size=15).map("".join).map(str.encode))
def test_a_history_of_any_kind_is_read_or_refused(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp() / "any-history"
    if not folder.exists():
        folder.mkdir()
        about = {
            "config": TrainConfig.resolve(**TINY).model_dump(),
            "data": {"name": "x", "data_hash": "y", "images": 1, "source": "z"},
        }
        (folder / "config.json").write_text(json.dumps(about))
    (folder / "history.csv").write_bytes(content)
    with only_our_error():
        Run(folder).history()


@pytest.mark.parametrize("state", [{}, {"model": 3}, {"model": {"ema": {}}}, {"model": {"ema": 1}}])
def test_weights_that_fit_no_generator_are_refused(stopped, state):
    run, _, _ = stopped
    write_state(run, state)
    with pytest.raises(WorkbookError, match="does not fit that run"):
        load_generator(run)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Return a run that has not ended, its images, and its state."""
    folder = tmp_path_factory.mktemp("stopped")
    (folder / "p").mkdir()
    for number in range(4):
        (folder / "p" / f"{number}.png").write_bytes(png(colour=(60 * number, 9, 9)))
    dataset = load_dataset(folder / "p", 32)
    run = train(TrainConfig.resolve(**TINY | {"epochs": 1}), dataset, folder=folder / "run")
    run.gif_path.unlink()
    return run, dataset, run.load_checkpoint()


def write_state(run, state):
    torch.save(state, run.checkpoint_path)


@pytest.mark.parametrize("where", ["whole", "within", "zip of a pickle"])
def test_a_checkpoint_with_code_in_it_is_refused_unread(stopped, tmp_path, where):
    run, dataset, state = stopped
    evil = Evil(tmp_path / "evil")
    write_state(run, {"whole": evil, "within": {**state, "extra": evil}}.get(where, [evil]))
    with pytest.raises(WorkbookError, match="cannot be read"):
        train(run.config, dataset, folder=run.folder)
    assert not (tmp_path / "evil").exists()


def test_a_cache_with_code_in_it_is_thrown_away_unread(tmp_path, home, caplog):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.png").write_bytes(png())
    whole = load_dataset(tmp_path / "p", 8)
    (path,) = (home / "data" / ".cache").iterdir()
    evil = np.array([Evil(tmp_path / "evil")], dtype=object)
    with path.open("wb") as file:
        np.savez(file, images=evil, about=np.array("{}"))
    assert torch.equal(load_dataset(tmp_path / "p", 8).images, whole.images)
    assert "is damaged" in caplog.text
    assert not (tmp_path / "evil").exists()


STATES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=5)
    | st.sampled_from([torch.zeros(0), torch.zeros(3, 3), torch.zeros(1, dtype=torch.uint8)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)  # fmt: skip


@fuzzed(100)
@given(
    name=st.sampled_from(
        ["epoch", "seen", "order", "totals", "seconds", "order_rng", "flip_rng", "model"]
    ),
    value=STATES,
    deeper=st.booleans(),
    drop=st.booleans(),
)
def test_a_state_of_any_kind_is_taken_or_refused(stopped, name, value, deeper, drop):
    run, dataset, state = stopped
    state = {**state}
    if name == "model" and deeper:
        part = sorted(state["model"])[len(repr(value)) % len(state["model"])]
        state["model"] = {**state["model"], part: value}
    elif drop:
        del state[name]
    else:
        state[name] = value
    write_state(run, state)
    with only_our_error():
        train(run.config, dataset, folder=run.folder)
    run.gif_path.unlink(missing_ok=True)


@fuzzed(300)
@given(flips=FLIPS, kept=st.floats(0, 1), content=st.none() | st.binary(max_size=100))
def test_a_mangled_cache_is_made_again(tmp_path_factory, flips, kept, content):
    path = tmp_path_factory.getbasetemp() / "entry.npz"
    cache.write(path, {"numbers": np.arange(50)}, {"what": "numbers"})
    path.write_bytes(mangled(path.read_bytes(), flips, kept) if content is None else content)
    entry = cache.read(path, lambda entry: entry)
    if entry is not None and entry.arrays.keys() == {"numbers"}:
        assert entry.arrays["numbers"].tolist() == list(range(50))
