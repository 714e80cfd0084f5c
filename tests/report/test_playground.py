"""The playground in a headless browser, opened from disk with the network cut off."""

import json

import numpy as np
import pytest
import torch
from helpers import TINY, some, written_grid
from PIL import Image, ImageSequence

from dcgan_utils.cli import main
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import reports_dir
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.load import load_dataset
from dcgan_utils.data.tensors import to_uint8
from dcgan_utils.gan import priors
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.networks import ARCHITECTURES
from dcgan_utils.report import playground
from dcgan_utils.runs.sampling import load_generator
from dcgan_utils.runs.training import train

READY = "document.getElementById('busy').textContent === ''"
PIXELS = """(id) => [...document.querySelectorAll(id)].map((canvas) =>
  [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data].join())"""


@pytest.fixture(scope="module")
def tab(browser):
    context = browser.new_context(offline=True, accept_downloads=True)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(tab):
    """Return a function that opens a file; what goes wrong in it fails the test."""
    wrong = []
    heard = {
        "console": lambda line: wrong.append(line.text) if line.type == "error" else None,
        "pageerror": lambda error: wrong.append(str(error)),
        "request": lambda request: wrong.append(request.url) if "http" in request.url else None,
    }
    for event, listener in heard.items():
        tab.on(event, listener)

    def opened(path, state=""):
        tab.goto("about:blank")
        tab.goto(path.as_uri() + state)
        tab.wait_for_function(READY)
        return tab

    yield opened
    for event, listener in heard.items():
        tab.remove_listener(event, listener)
    assert not wrong


LIVELY = {"ema": 0, "lr": 2e-3}  # so that a few epochs change the images


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Return a folder with ten images of noise."""
    folder = tmp_path_factory.mktemp("playground") / "ten images"
    folder.mkdir()
    for number, pixels in enumerate(some(10).permute(0, 2, 3, 1).numpy()):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def runs(images):
    """Return two trained runs that differ in their noise; no test changes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DCGAN_HOME", str(images.parent))
        small = TINY | LIVELY | {"epochs": 12}
        configs = [TrainConfig.resolve(**small, noise=spec) for spec in ("normal", "gamma")]
        return [train(config, load_dataset(images, 32)) for config in configs]


@pytest.fixture
def home_of_runs(runs, images, monkeypatch):
    """Make the runs those of this test's home."""
    monkeypatch.setenv("DCGAN_HOME", str(images.parent))


@pytest.fixture(scope="module")
def written(runs, images):
    """Return the playground of both."""
    return playground.write_playground(runs, images.parent / "page.html")


# --- What is in the page -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "first_norm"),
    [*((name, "channel") for name in ARCHITECTURES), ("dcgan", "unit")],
)
def test_the_images_are_pytorch_s(architecture, first_norm, tiny, collection, tmp_path, page):
    own = {"architecture": architecture, "first_norm": first_norm}
    config = tiny(**own, epochs=12, noise_size=100, **LIVELY)
    run = train(config, collection)
    z = config.prior.sample(8, 100, generator=stream(0, "test"))
    expected = to_uint8(load_generator(run, device="cpu")(z)).permute(0, 2, 3, 1).int()
    assert expected.float().std() > 10, "images of something"
    tab = page(playground.write_playground([run], tmp_path / "page.html"))
    drawn = tab.evaluate(
        "async (all) => Promise.all(all.map(async (z) => [...await window.playground.draw(0, z)]))",
        z.tolist(),
    )
    found = torch.tensor(drawn).reshape(8, 32, 32, 4)[..., :3].int()
    assert (found - expected).abs().max() <= 2


@pytest.mark.parametrize("spec", ["normal", "gamma", "N(0, 100)", "bernoulli(0.3)", "student_t(3)"])
def test_tables_of_quantiles_have_mean_0_and_deviation_1(spec):
    table = playground.quantiles(priors.parse(spec), noise_size=100).astype(float)
    scores = np.linspace(-5, 5, len(table))
    weights = np.exp(-(scores**2) / 2) / np.exp(-(scores**2) / 2).sum()
    assert (np.diff(table) >= 0).all()
    assert (weights * table).sum() == pytest.approx(0, abs=0.02)
    # The tails of t(3), which end at five deviations here, hold a part of its variance.
    assert (weights * table**2).sum() == pytest.approx(1, abs=0.25 if "student" in spec else 0.03)


def test_a_run_that_was_not_trained_is_refused(tiny, collection, tmp_path):
    from dcgan_utils.runs.run import Run

    with pytest.raises(WorkbookError, match="no checkpoint yet"):
        playground.write_playground([Run.create(tiny(), collection)], tmp_path / "page.html")
    with pytest.raises(WorkbookError, match="needs at least one run"):
        playground.write_playground([], tmp_path / "page.html")


def test_an_earlier_epoch_is_another_generator(runs, tmp_path):
    last, third = (
        playground.write_playground(runs[:1], tmp_path / "page.html", epoch=epoch).read_text()
        for epoch in (None, 3)
    )
    assert '"epochs": 12' in last
    assert '"epochs": 3' in third
    numbers = [text.split('"numbers": "')[1].split('"')[0] for text in (last, third)]
    assert numbers[0] != numbers[1]
    with pytest.raises(WorkbookError, match="kept no weights of epoch 99"):
        playground.write_playground(runs[:1], tmp_path / "page.html", epoch=99)


def test_the_runs_of_a_grid_make_a_page(home_of_runs, images, tmp_path, capsys):
    grid = written_grid(tmp_path, images, seeds=[0], epochs=12, kid_samples=None, **LIVELY)
    assert main(["playground", str(grid), "--output", str(tmp_path / "page.html")]) == 0
    assert "generators: 2" in capsys.readouterr().out


def test_the_command_writes_a_page_of_all_runs_of_a_collection(
    home_of_runs, runs, tmp_path, capsys
):
    assert main(["playground", "ten-images"]) == 0
    assert "ten-images.html" in capsys.readouterr().out
    assert (reports_dir() / "playground" / "ten-images.html").exists()
    assert main(["playground", *(run.name for run in runs), "--output", str(tmp_path / "p.h")]) == 0
    assert (tmp_path / "p.h").exists()
    assert main(["playground", "nothing-of-this-name"]) == 2


# --- What a visitor does -------------------------------------------------------------------


@pytest.mark.slow
def test_a_slider_redraws_and_a_link_shows_the_same_pixels(written, page):
    tab = page(written)
    first = tab.evaluate(PIXELS, ".image canvas")
    assert len(first) == 32
    assert len(set(first)) > 16
    tab.locator("#mean").fill("2")
    tab.wait_for_function(READY)
    tab.wait_for_function(READY)
    moved = tab.evaluate(PIXELS, ".image canvas")
    assert all(one != other for one, other in zip(first, moved, strict=True))
    tab.wait_for_function(
        "location.hash.includes('noise=normal') && location.hash.includes('mean=2')"
    )
    assert tab.locator("#share-text").text_content() == "20 %"
    tab.locator(".image").nth(5).click()
    tab.locator(".image").nth(2).click()
    tab.locator("#at").fill("12")
    tab.wait_for_timeout(300)
    walk = tab.evaluate(PIXELS, ".walks canvas")
    tab.wait_for_function("location.hash.includes('at=12')")
    again = page(written, tab.url[tab.url.index("#") :])
    assert again.evaluate(PIXELS, ".image canvas") == moved
    again.wait_for_timeout(300)
    assert again.evaluate(PIXELS, ".walks canvas") == walk
    assert again.locator("#at-text").text_content() == "50 % of the way from image 6 to image 3"


@pytest.mark.slow
def test_another_seed_draws_others_and_the_first_again(written, page):
    tab = page(written, "#seed=7&count=4&runs=1")
    assert tab.locator(".run").count() == 1
    first = tab.evaluate(PIXELS, ".image canvas")
    tab.locator("#another").click()
    tab.wait_for_function(READY)
    assert not set(first) & set(tab.evaluate(PIXELS, ".image canvas"))
    tab.locator("#seed").fill("7")
    tab.locator("#seed").press("Enter")
    tab.wait_for_function(READY)
    assert tab.evaluate(PIXELS, ".image canvas") == first


@pytest.mark.slow
@pytest.mark.parametrize(
    "state",
    ["#seed=x&count=5&noise=evil()&mean=nan&std=-1&runs=9.9&from=99&at=1e9", "#%", "#=&"],
)
def test_a_broken_link_shows_something(written, page, state):
    tab = page(written, state)
    assert len(set(tab.evaluate(PIXELS, ".image canvas"))) > 1


@pytest.mark.slow
def test_vectors_are_those_of_the_prior(written, page):
    tab = page(written, "#seed=3&count=64")
    vectors = torch.tensor(
        [[tab.evaluate(f"window.playground.vectorOf({r}, {i})") for i in range(64)] for r in (0, 1)]
    )
    normal, gamma = vectors.double()
    assert normal.mean().item() == pytest.approx(0, abs=0.15)
    assert normal.std().item() == pytest.approx(1, abs=0.1)
    assert gamma.mean().item() == pytest.approx(2, abs=0.2)
    assert gamma.std().item() == pytest.approx(2**0.5, abs=0.2)
    assert torch.equal(normal.argsort(dim=1), gamma.argsort(dim=1)), (
        "the same numbers, ranked alike"
    )
    expected = priors.parse("gamma").from_gaussian(normal.float())
    assert torch.allclose(gamma.float(), expected, rtol=0.01, atol=0.02)


@pytest.mark.slow
def test_what_is_saved_can_be_used(written, page, runs, tmp_path):
    from dcgan_utils.runs.interpolation import sample_endpoints

    tab = page(written, "#count=4&runs=0&from=0&to=2")
    saved = {}
    for button in ("save-grid", "save-still", "save-walk", "save-json"):
        with tab.expect_download() as download:
            tab.locator(f"#{button}").click()
        saved[button] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[button])
    with Image.open(saved["save-walk"]) as walk:
        frames = [frame.convert("RGB").tobytes() for frame in ImageSequence.Iterator(walk)]
        assert walk.info["loop"] == 0
    assert len(frames) == 48, "25 there, 23 back"
    assert len(set(frames)) == 25
    with Image.open(saved["save-still"]) as still:
        assert still.convert("RGB").tobytes() == frames[0]
    vectors = sample_endpoints(runs[0].config.prior, 8, 6, seed=0, file=saved["save-json"])
    assert vectors.shape == (6, 8)
    assert vectors[1].tolist() == pytest.approx(tab.evaluate("window.playground.vectorOf(0, 1)"))

    before = tab.evaluate(PIXELS, ".image canvas")
    tab.locator("#json").fill(json.dumps(vectors[[1, 0, 3, 2]].tolist()))
    tab.locator("#take").click()
    tab.wait_for_function(READY)
    assert tab.evaluate(PIXELS, ".image canvas") == [before[i] for i in (1, 0, 3, 2)]
    for wrong, message in (
        ("[[1, 2]]", "has 2 numbers"),
        ("hello", "not valid JSON"),
        ('["a"]', "list of"),
    ):
        tab.locator("#json").fill(wrong)
        tab.locator("#take").click()
        assert message in tab.locator("#json-text").text_content()


@pytest.mark.slow
def test_it_is_played_by_keyboard_and_read_aloud(written, page):
    from axe_playwright_python.sync_playwright import Axe

    tab = page(written, "#count=4&runs=0")
    tab.locator(".image").nth(3).focus()
    tab.keyboard.press("Enter")
    tab.keyboard.press("ArrowLeft")
    assert tab.evaluate("document.activeElement.dataset.number") == "2"
    tab.wait_for_function("location.hash.includes('from=3')")
    assert "from" in tab.locator(".image").nth(3).get_attribute("aria-label")
    tab.locator("#play").focus()
    tab.keyboard.press("Space")
    tab.wait_for_function("Number(document.getElementById('at').value) > 2")
    tab.keyboard.press("Space")
    assert tab.locator("#play").text_content() == "Play"
    for scheme, width in (("dark", 360), ("light", 1300)):
        tab.emulate_media(color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": 800})
        found = Axe().run(tab).response["violations"]
        assert not [v["id"] for v in found if v["impact"] in ("serious", "critical")]
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_a_link_within_the_page_changes_nothing(written, page):
    tab = page(written, "#seed=5&count=4&noise=gamma(2, 1)&mean=1&std=2&runs=1")
    before = tab.evaluate(PIXELS, ".image canvas")
    tab.locator(".skip").focus()
    tab.keyboard.press("Enter")
    tab.wait_for_function("location.hash.includes('seed=5')")
    assert tab.evaluate(PIXELS, ".image canvas") == before


@pytest.mark.slow
def test_an_address_typed_by_hand_replaces_vectors_that_were_brought(written, page):
    tab = page(written, "#count=4&runs=0")
    before = tab.evaluate(PIXELS, ".image canvas")
    tab.locator("#json").fill(json.dumps([[0.5] * 8]))
    tab.locator("#take").click()
    tab.wait_for_function(READY)
    assert len(set(tab.evaluate(PIXELS, ".image canvas"))) == 1
    assert tab.evaluate("document.getElementById('noise-controls').disabled")
    tab.evaluate("location.hash = '#seed=0&count=64&runs=0.1'")
    tab.wait_for_function("document.querySelectorAll('.image').length === 128")
    tab.wait_for_function(READY)
    after = tab.evaluate(PIXELS, ".image canvas")
    assert after[:4] == before, "more images begin with the same ones"
    assert not tab.evaluate("document.getElementById('noise-controls').disabled")


@pytest.mark.slow
def test_along_a_vector_lies_the_vector_itself(written, page):
    tab = page(written, "#count=4&runs=0&way=along&at=3")
    tab.locator(".image").nth(2).click()
    assert tab.locator("#at-text").text_content() == "1.00 times the vector of image 3"
    tab.wait_for_timeout(300)
    (walk,) = tab.evaluate(PIXELS, ".walks canvas")
    assert walk == tab.evaluate(PIXELS, ".image canvas")[2]


@pytest.mark.slow
def test_generators_of_other_sizes_and_scales_stand_side_by_side(tiny, collection, tmp_path, page):
    runs = [
        train(tiny(noise=spec, noise_size=size, epochs=8, **LIVELY), collection)
        for spec, size in (("normal(0, 1e5)", 8), ("sphere", 5), ("bernoulli(0.3)", 12))
    ]
    tab = page(playground.write_playground(runs, tmp_path / "page.html"))
    for index, run in enumerate(runs):
        z = torch.tensor(
            [tab.evaluate(f"window.playground.vectorOf({index}, {i})") for i in (0, 1)]
        )
        expected = to_uint8(load_generator(run, device="cpu")(z)).permute(0, 2, 3, 1).int()
        for vector, image in zip(z, expected, strict=True):
            drawn = tab.evaluate(
                "async ([i, z]) => [...await window.playground.draw(i, z)]",
                [index, vector.tolist()],
            )
            found = torch.tensor(drawn).reshape(32, 32, 4)[..., :3].int()
            assert (found - image).abs().max() <= 2
    lengths = torch.tensor(tab.evaluate("window.playground.vectorOf(1, 0)")).norm()
    assert lengths.item() == pytest.approx(5**0.5, rel=1e-4)
    assert {round(x, 5) for x in tab.evaluate("window.playground.vectorOf(2, 0)")} <= {1, -1}
    assert tab.locator("#density .bar-of").count() == 2
