"""The playground's engine: what its workers draw, compared with PyTorch, in a headless browser."""

import base64
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from helpers import TINY
from PIL import Image

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.load import load_dataset
from dcgan_utils.data.statistics import share_between_images
from dcgan_utils.data.tensors import to_uint8
from dcgan_utils.gan.networks import ARCHITECTURES
from dcgan_utils.report import playground
from dcgan_utils.report.site import TEMPLATES
from dcgan_utils.runs.sampling import load_generator
from dcgan_utils.runs.training import train

LIVELY = {"ema": 0, "lr": 2e-3}  # so that a few epochs change the images
KINDS = [
    *((name, "channel", "normal") for name in ARCHITECTURES),
    ("dcgan", "unit", "gamma"),
    ("resize", "channel", "N(0, 0.01)"),
    ("dcgan", "channel", "normal(0, 1e7)"),  # too large for half precision
]
DRAW = """async ([index, vectors, how]) => {
  const { pixels, share } = await drawBatch(index, Float32Array.from(vectors.flat()), how);
  return { pixels: [...pixels], share };
}"""


@pytest.fixture(scope="module")
def tab(browser):
    context = browser.new_context(offline=True)
    yield context.new_page()
    context.close()


def drawn(tab, run, z, *, index=0, shown=None, epoch=None, training=False):
    """Return what the page draws, uint8 ``(shown, 3, H, W)``, and its share."""
    how = {"epoch": epoch or run.latest_weights()[0], "shown": shown or len(z)}
    found = tab.evaluate(DRAW, [index, z.tolist(), how | {"training": training}])
    side = run.config.img_size
    pixels = torch.tensor(found["pixels"], dtype=torch.uint8).view(-1, side, side, 4)
    assert (pixels[..., 3] == 255).all()
    return pixels[..., :3].permute(0, 3, 1, 2), found["share"]


@torch.no_grad()
def expected(run, z, *, epoch=None, training=False):
    """Return what PyTorch draws, the first BatchNorm in training mode if so asked."""
    generator = load_generator(run, epoch=epoch, device="cpu").eval()
    if training:
        for layer in generator.blocks[0]:
            layer.train()
    return to_uint8(generator(z))


def difference(one, other):
    return (one.int() - other.int()).abs().max().item()


def small_page(tab, run, folder, **choice):
    tab.goto("about:blank")
    tab.goto(playground.write_playground([run], folder / "page.html", **choice).as_uri())


# --- What it draws -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "first_norm", "noise"), KINDS)
def test_the_images_are_pytorch_s(architecture, first_norm, noise, tiny, collection, tmp_path, tab):
    own = {"architecture": architecture, "first_norm": first_norm, "noise": noise}
    run = train(tiny(**own, epochs=12, noise_size=20, **LIVELY), collection)
    small_page(tab, run, tmp_path)
    z = run.config.prior.sample(32, 20, generator=stream(0, "test"))
    std = run.config.prior.std
    assert expected(run, z).float().std() > 5, "images of something"
    for vectors in (z, 10 * z, z / 10, z + 3 * std):
        for training in (False, True):
            images = expected(run, vectors, training=training)
            found, share = drawn(tab, run, vectors, training=training)
            assert difference(found, images) <= 2
            real = share_between_images(collection.images)
            assert share == pytest.approx(share_between_images(found) / real, abs=1e-6)
    few = z[:4]  # where it matters most which vectors the statistics are of, and how
    part, _ = drawn(tab, run, few, shown=2, training=True)
    assert difference(part, expected(run, few, training=True)[:2]) <= 2


@pytest.mark.slow
def test_in_training_a_scale_cancels_and_a_mean_does_not_unless_units_are_normalised(
    tiny, collection, tmp_path, tab
):
    shares = {}
    for kind in ("channel", "unit"):
        run = train(tiny(first_norm=kind, epochs=8, noise_size=20, **LIVELY), collection)
        small_page(tab, run, tmp_path)
        z = run.config.prior.sample(64, 20, generator=stream(0, "test"))
        images, shares[kind] = drawn(tab, run, z, shown=16, training=True)
        louder, _ = drawn(tab, run, 10 * z, shown=16, training=True)
        assert difference(louder, images) <= 2
        assert difference(drawn(tab, run, 10 * z, shown=16)[0], images) > 20
        _, shares[kind, "moved"] = drawn(tab, run, z + 3, shown=16, training=True)
    assert shares["channel", "moved"] < 0.7 * shares["channel"]
    assert shares["unit", "moved"] == pytest.approx(shares["unit"], rel=0.01)


@pytest.mark.slow
def test_without_vectors_in_webassembly_a_script_draws_the_same(tiny, collection, tmp_path, tab):
    run = train(tiny(epochs=8, width=6, noise_size=5, **LIVELY), collection)
    z = run.config.prior.sample(9, 5, generator=stream(0, "test"))
    small_page(tab, run, tmp_path)
    fast, _ = drawn(tab, run, z, training=True)
    page = tmp_path / "page.html"
    text, replaced = re.subn(r'(id="kernel">)[^<]*', r"\1", page.read_text())
    assert replaced == 1
    page.write_text(text)
    tab.goto("about:blank")
    tab.goto(page.as_uri())
    assert tab.evaluate("document.getElementById('kernel').textContent") == ""
    assert difference(drawn(tab, run, z, training=True)[0], fast) <= 1
    assert difference(fast, expected(run, z, training=True)) <= 2


@pytest.mark.slow
def test_vectors_are_several_times_as_fast_as_the_script(tiny, collection, tmp_path, tab):
    run = train(tiny(epochs=2, width=16, noise_size=16, img_size=64), load_64(collection))
    seconds = """async ([vectors, how]) => {
      const flat = Float32Array.from(vectors.flat());
      await drawBatch(0, flat, how);
      const times = [];
      for (let turn = 0; turn < 5; turn++) {
        const start = performance.now();
        await drawBatch(0, flat, how);
        times.push(performance.now() - start);
      }
      return Math.min(...times);
    }"""
    z = run.config.prior.sample(64, 16, generator=stream(0, "test")).tolist()
    how = {"epoch": 2, "shown": 16, "training": True}
    small_page(tab, run, tmp_path)
    page = tmp_path / "page.html"
    slow_page = tmp_path / "slow.html"
    slow_page.write_text(re.sub(r'(id="kernel">)[^<]*', r"\1", page.read_text()))
    fast = tab.evaluate(seconds, [z, how])
    tab.goto(slow_page.as_uri())
    assert tab.evaluate(seconds, [z, how]) > 3 * fast


def load_64(collection):
    return load_dataset(collection.source, 64)


def test_the_kernel_is_made_of_its_source(tmp_path):
    source = TEMPLATES / "playground-kernel.c"
    command = " ".join(re.findall(r"^//   (.*?)\\?$", source.read_text(), re.M))
    assert command.startswith("clang --target=wasm32")
    if not (shutil.which("clang") and shutil.which("wasm-ld")):
        pytest.skip("clang and lld are not installed")
    shutil.copy(source, tmp_path)
    subprocess.run(command.split(), cwd=tmp_path, check=True)
    made = (tmp_path / "playground-kernel.wasm").read_bytes()
    committed = (TEMPLATES / "playground-kernel.wasm").read_bytes()
    if version(made) != version(committed):
        pytest.skip("another clang made the committed one")
    assert made == committed


def version(module):
    return re.findall(rb"clang\x01?.{0,40}?(\d+\.\d+\.\d+)", module)


# --- What is in the page -------------------------------------------------------------------


def page_data(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(), re.S)[1])


@pytest.fixture
def run(tiny, collection):
    config = tiny(epochs=12, noise="gamma", dataset=str(collection.source), **LIVELY)
    return train(config, collection)


@pytest.mark.slow
def test_several_epochs_are_in_the_page_and_the_last_is_exact(run, tmp_path, tab):
    small_page(tab, run, tmp_path, epochs=4)
    (described,) = page_data(tmp_path / "page.html")["runs"]
    epochs = described["epochs"]
    assert len(epochs) == 4
    assert epochs == sorted(epochs)
    assert epochs[-1] == 12
    assert set(epochs) <= set(run.kept_epochs())
    (earlier,) = json.loads(
        re.search(r'id="earlier">(.*?)</script>', (tmp_path / "page.html").read_text(), re.S)[1]
    )
    assert [state["bits"] for state in [*earlier, described["state"]]] == [8, 8, 8, 12]
    z = run.config.prior.sample(16, run.config.noise_size, generator=stream(0, "test"))
    differences = [
        (drawn(tab, run, z, epoch=epoch)[0].int() - expected(run, z, epoch=epoch).int()).abs()
        for epoch in epochs
    ]
    assert differences[-1].max() <= 2
    assert max(one.float().mean() for one in differences) < 1, "8 bits"
    first, last = (expected(run, z, epoch=epoch) for epoch in (epochs[0], epochs[-1]))
    assert difference(first, last) > 20, "they are different generators"


def test_epochs_that_were_not_kept_are_refused(run, tmp_path):
    kept = len(run.kept_epochs())
    with pytest.raises(WorkbookError, match=f"weights of {kept} epochs up to epoch 12: show at"):
        playground.write_playground([run], tmp_path / "page.html", epochs=kept + 1)
    with pytest.raises(WorkbookError, match="must be at least 1, not 0"):
        playground.write_playground([run], tmp_path / "page.html", epochs=0)
    with pytest.raises(WorkbookError, match="kept no weights of epoch 99"):
        playground.write_playground([run], tmp_path / "page.html", epoch=99)
    assert not (tmp_path / "page.html").exists()


def test_an_earlier_epoch_is_another_generator(run, tmp_path):
    pages = [
        page_data(playground.write_playground([run], tmp_path / f"{epoch}.html", epoch=epoch))
        for epoch in (None, 3)
    ]
    (last,), (third,) = (page["runs"] for page in pages)
    assert (last["epochs"], third["epochs"]) == ([12], [3])
    assert last["state"]["weights"] != third["state"]["weights"]


def test_weights_that_are_not_finite_are_refused(run, tmp_path, monkeypatch):
    loaded = load_generator(run, device="cpu")
    with torch.no_grad():
        loaded.blocks[1][0].weight[0, 0, 0, 0] = torch.nan
    monkeypatch.setattr(playground, "load_generator", lambda *_, **__: loaded)
    with pytest.raises(WorkbookError, match="not finite"):
        playground.write_playground([run], tmp_path / "page.html")


def test_a_checkpoint_is_enough(run, tmp_path):
    shutil.rmtree(run.folder / "weights")
    (described,) = page_data(playground.write_playground([run], tmp_path / "page.html"))["runs"]
    assert described["epochs"] == [12]


def test_only_images_that_were_painted_here_are_passed_on(run, collection, tmp_path, monkeypatch):
    (described,) = page_data(playground.write_playground([run], tmp_path / "page.html"))["runs"]
    assert described["real"] is None
    assert described["realShare"] == pytest.approx(share_between_images(collection.images))
    monkeypatch.setattr(playground, "PAINTED", (collection.source.name,))
    monkeypatch.setattr(playground, "data_dir", lambda: collection.source.parent)
    (described,) = page_data(playground.write_playground([run], tmp_path / "page.html"))["runs"]
    kind, _, content = described["real"].partition(",")
    assert kind == "data:image/webp;base64"
    assert base64.b64decode(content)[8:12] == b"WEBP"
    shutil.rmtree(collection.source)
    (described,) = page_data(playground.write_playground([run], tmp_path / "page.html"))["runs"]
    assert described["realShare"] is described["real"] is None


@pytest.mark.parametrize("spec", ["normal", "gamma"])
def test_a_generator_is_its_convolutions(spec, tiny, collection):
    run = train(tiny(noise=spec, epochs=2), collection)
    layers, norm = playground.as_convolutions(load_generator(run, device="cpu"))
    assert norm.mean.shape == (layers[0].weight.shape[-1],)
    assert [layer.side for layer in layers] == [4, 8, 16, 32]
    assert layers[0].weight.shape[:3] == (4, 4, run.config.noise_size)
    assert all(np.isfinite(layer.weight).all() for layer in layers)
    assert TINY["img_size"] == 32


def test_the_cover_shows_that_a_scale_cancels_and_a_mean_does_not(tiny, collection):
    run = train(tiny(epochs=8, noise_size=20, **LIVELY), collection)
    image = Image.open(io.BytesIO(playground.draw_cover(run)))
    assert image.size == (2 * 3 * 32 + 16, 3 * 32)
    pixels = torch.from_numpy(np.array(image)).float()
    scaled, moved = (
        pixels[:, start : start + 96].view(3, 32, 3, 32, 3).transpose(1, 2) for start in (0, 112)
    )
    assert (scaled[:, 0] - scaled[:, 2]).abs().mean() < 4, "a tenth and ten times"
    between = [block[:, 2].var(dim=0).mean() for block in (scaled, moved)]
    assert between[1] < 0.5 * between[0]
