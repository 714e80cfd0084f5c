"""The playground in a headless browser, opened from disk with the network cut off."""

import json
import re

import numpy as np
import pytest
import torch
from helpers import TINY, some, written_grid
from PIL import Image

from dcgan_utils.cli import main
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import reports_dir
from dcgan_utils.data.load import load_dataset
from dcgan_utils.data.tensors import to_uint8
from dcgan_utils.gan import priors
from dcgan_utils.gan.config import TrainConfig
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
    """Return three trained runs, the last with its first BatchNorm per unit; none is changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DCGAN_HOME", str(images.parent))
        small = TINY | LIVELY | {"epochs": 12}
        kinds = ({"noise": "normal"}, {"noise": "gamma"}, {"noise": "gamma", "first_norm": "unit"})
        configs = [TrainConfig.resolve(**small, **kind) for kind in kinds]
        return [train(config, load_dataset(images, 32)) for config in configs]


@pytest.fixture
def home_of_runs(runs, images, monkeypatch):
    """Make the runs those of this test's home."""
    monkeypatch.setenv("DCGAN_HOME", str(images.parent))


@pytest.fixture(scope="module")
def written(runs, images):
    """Return the playground of all three, at three epochs."""
    return playground.write_playground(runs, images.parent / "page.html", epochs=3)


# --- What is in the page -------------------------------------------------------------------


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


def settle(tab):
    """Wait until what was changed is drawn."""
    tab.wait_for_function("new Promise((done) => requestAnimationFrame(() => done(true)))")
    tab.wait_for_function(READY)


def grids(tab):
    return tab.evaluate(PIXELS, ".image canvas")


def shares(tab):
    return [float(bar.get_attribute("aria-valuenow")) for bar in tab.get_by_role("meter").all()]


def set_to(tab, name, value):
    tab.locator(f"#{name}").fill(str(value))
    settle(tab)


@pytest.mark.slow
def test_it_opens_with_all_kinds_in_two_groups(written, page):
    tab = page(written)
    assert tab.locator("#grids h2").all_text_contents() == ["Mean zero", "Mean not zero"]
    titles = ["N(0, 1)", "Gamma(2, 1)", "Gamma(2, 1), BatchNorm per unit"]
    assert tab.locator("#grids h3").all_text_contents() == titles
    assert tab.locator("#training").is_checked()
    drawn = grids(tab)
    assert len(drawn) == 3 * 16
    assert len(set(drawn)) > 40


@pytest.mark.slow
def test_the_buttons_show_that_a_scale_cancels_a_mean_drains_and_units_cure(written, page):
    tab = page(written)
    tab.locator("#try-scale").click()
    settle(tab)
    assert "Drag the deviation" in tab.locator("#lesson-text").text_content()
    loud, (varied,) = grids(tab), shares(tab)
    set_to(tab, "std", 0)
    assert mean_difference(grids(tab), loud) < 1, "a scale changes nothing"
    tab.locator("#training").click()
    settle(tab)
    still = grids(tab)
    set_to(tab, "std", 1)
    assert mean_difference(grids(tab), still) > 5, "with kept statistics it does"

    tab.locator("#try-mean").click()
    settle(tab)
    (drained,) = shares(tab)
    assert drained < 0.9 * varied
    assert tab.locator(".run .soft").text_content().endswith("(theory 0.20)")
    set_to(tab, "mean", 5)
    assert shares(tab)[0] < drained

    tab.locator("#try-cure").click()
    settle(tab)
    _, cured = shares(tab)
    set_to(tab, "mean", 0)
    assert shares(tab)[1] == pytest.approx(cured, abs=0.02), "units take the mean away"
    tab.locator("#reset").click()
    settle(tab)
    assert tab.locator(".run").count() == 3
    assert "sets everything" in tab.locator("#lesson-text").text_content()


def mean_difference(some, others):
    one, other = (np.array([image.split(",") for image in all_], float) for all_ in (some, others))
    return np.abs(one - other).mean()


@pytest.mark.slow
def test_what_arrives_is_painted_while_a_slider_is_dragged(written, page):
    tab = page(written, "#runs=0")
    painted = tab.evaluate("""async () => {
      let painted = 0, moves = 0;
      const first = document.querySelector(".image canvas");
      const put = CanvasRenderingContext2D.prototype.putImageData;
      CanvasRenderingContext2D.prototype.putImageData = function (...all) {
        if (this.canvas === first) painted++;
        put.apply(this, all);
      };
      const draw = window.drawBatch;
      window.drawBatch = async (...all) => {  // slower than the hand
        const drawn = await draw(...all);
        await new Promise((done) => setTimeout(done, 60));
        return drawn;
      };
      const slider = document.getElementById("mean");
      for (; painted < 5 && moves < 600; moves++) {
        slider.value = Math.sin(moves / 10);
        slider.dispatchEvent(new Event("input"));
        await new Promise((done) => setTimeout(done, 5));
      }
      CanvasRenderingContext2D.prototype.putImageData = put;
      window.drawBatch = draw;
      return painted;
    }""")
    assert painted >= 5, "while it moves, not when it rests"


@pytest.mark.slow
def test_a_slider_redraws_and_a_link_shows_the_same_pixels(written, page):
    tab = page(written)
    first = grids(tab)
    set_to(tab, "mean", 2)
    tab.locator("#training").click()
    set_to(tab, "epoch", 0)
    moved = grids(tab)
    assert all(one != other for one, other in zip(first, moved, strict=True))
    tab.locator(".image").nth(5).click()
    tab.locator("#walk-to").click()
    tab.emulate_media(reduced_motion="reduce")
    tab.locator(".image").nth(2).click()
    bar = tab.locator("#bars input").nth(3)
    bar.fill("2.5")
    set_to(tab, "at", 50)
    settle(tab)
    edited, walk = grids(tab), tab.evaluate(PIXELS, "#large canvas")
    assert edited[5] != moved[5]
    tab.wait_for_function("location.hash.includes('at=50')")
    again = page(written, tab.url[tab.url.index("#") :])
    assert grids(again) == edited
    assert again.evaluate(PIXELS, "#large canvas") == walk
    assert again.locator("#at-text").text_content() == "50 % of the way from image 6 to image 3"
    assert not again.locator("#training").is_checked()
    assert again.locator("#epoch-number").text_content() == "1"


@pytest.mark.slow
def test_epochs_are_a_slider_where_there_are_several(written, runs, page, tmp_path):
    tab = page(written, "#runs=0")
    last = grids(tab)
    tab.locator("#epoch").focus()
    tab.keyboard.press("ArrowLeft")
    settle(tab)
    assert int(tab.locator("#epoch-number").text_content()) < 12
    assert all(one != other for one, other in zip(last, grids(tab), strict=True))
    tab = page(playground.write_playground(runs[:1], tmp_path / "page.html"))
    assert not tab.locator("#epoch").is_visible()


@pytest.mark.slow
def test_another_seed_draws_others_and_the_first_again(written, page):
    tab = page(written, "#seed=7&count=4&runs=1")
    assert tab.locator(".run").count() == 1
    first = grids(tab)
    tab.locator("#another").click()
    settle(tab)
    assert not set(first) & set(grids(tab))
    tab.locator("#seed").fill("7")
    tab.locator("#seed").press("Enter")
    settle(tab)
    assert grids(tab) == first
    tab.locator("#count").select_option("64")
    settle(tab)
    assert grids(tab)[:4] == first, "the same batch normalises more images"


@pytest.mark.slow
@pytest.mark.parametrize(
    "state",
    [
        "#seed=x&count=5&noise=evil()&mean=nan&std=-1&runs=9.9&from=99&at=1e9",
        "#bars=1_x&epoch=7.5&lesson=none&training=maybe",
        "#bars=1_2&at=-5",
        "#%",
        "#=&",
    ],
)
def test_a_broken_link_shows_something(written, page, state):
    tab = page(written, state)
    assert len(set(grids(tab))) > 1


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
def test_long_vectors_are_shown_by_the_directions_that_matter_most(
    tiny, collection, tmp_path, page
):
    run = train(tiny(noise_size=40, epochs=8, **LIVELY), collection)
    written = playground.write_playground([run], tmp_path / "page.html")
    tab = page(written, "#training=false")
    assert tab.locator("#bars input").count() == 16
    axes = torch.tensor(tab.evaluate("data.runs[0].axes.map((axis) => [...axis])"))
    assert torch.allclose(axes @ axes.T, torch.eye(16), atol=1e-4)
    generator = load_generator(run, device="cpu")
    with torch.no_grad():  # in evaluation mode the first block is linear until its ReLU
        first, norm = generator.blocks[0][:2]
        heard = [
            norm(first(one.T[..., None, None])).std(dim=0).norm()
            for one in (torch.randn(40, 256), axes[:4].T @ torch.randn(4, 256) * (40 / 4) ** 0.5)
        ]
    assert heard[1] > 1.1 * heard[0], "more than random directions of the same length"
    before = torch.tensor(tab.evaluate("window.playground.vectorOf(0, 0)"))
    tab.locator("#bars input").first.fill("2")
    settle(tab)
    moved = torch.tensor(tab.evaluate("window.playground.vectorOf(0, 0)")) - before
    assert torch.allclose(moved / moved.norm(), axes[0] * torch.sign(moved @ axes[0]), atol=0.05)


@pytest.mark.slow
def test_a_drag_from_one_image_to_another_walks_there_if_motion_is_welcome(written, page):
    tab = page(written, "#runs=0.1")
    start, end = (tab.locator(".images:has(canvas) .image").nth(i).bounding_box() for i in (4, 11))

    def drag():
        tab.mouse.move(start["x"] + 9, start["y"] + 9)
        tab.mouse.down()
        tab.mouse.move(end["x"] + 9, end["y"] + 9, steps=4)
        assert tab.locator(".aim").count() == 1
        tab.mouse.up()

    for motion in ("reduce", "no-preference"):
        tab.emulate_media(reduced_motion=motion)
        drag()
        assert tab.locator(".image").nth(4).get_attribute("aria-pressed") == "true"
        assert "where the walk ends" in tab.locator(".image").nth(11).get_attribute("aria-label")
        if motion == "reduce":
            tab.wait_for_timeout(200)
            assert tab.locator("#at").input_value() == "0"
        else:
            tab.wait_for_function("document.getElementById('at').value === '100'")
            tab.wait_for_function("document.getElementById('play').textContent === 'Play'")


@pytest.mark.slow
def test_what_is_saved_can_be_used(written, page, runs, tmp_path):
    from dcgan_utils.runs.interpolation import sample_endpoints

    tab = page(written, "#count=4&runs=0&from=0&to=2&training=false")
    tab.locator("details.json").evaluate("(box) => { box.open = true; }")
    saved = {}
    for button in ("save-grid", "save-still", "save-walk", "save-json"):
        with tab.expect_download() as download:
            tab.locator(f"#{button}").click()
        saved[button] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[button])
    assert saved["save-walk"].suffix == ".webm"
    film = saved["save-walk"].read_bytes()
    assert film[:4] == b"\x1a\x45\xdf\xa3", "Matroska, of which WebM is a part"
    assert 5_000 < len(film) < 1_000_000
    with Image.open(saved["save-still"]) as still:
        assert still.size == (256, 256)
    with Image.open(saved["save-grid"]) as grid:
        assert len(grid.convert("RGB").getcolors(2**16) or range(2**16)) > 100
    vectors = sample_endpoints(runs[0].config.prior, 8, 6, seed=0, file=saved["save-json"])
    assert vectors.shape == (6, 8)
    assert vectors[1].tolist() == pytest.approx(tab.evaluate("window.playground.vectorOf(0, 1)"))

    before = grids(tab)
    tab.locator("#json").fill(json.dumps(vectors[[1, 0, 3, 2]].tolist()))
    tab.locator("#take").click()
    settle(tab)
    assert grids(tab) == [before[i] for i in (1, 0, 3, 2)]
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
    assert tab.locator(".image").nth(3).get_attribute("aria-pressed") == "true"
    bar = tab.locator("#bars input").first
    bar.focus()
    before = float(bar.input_value())
    tab.keyboard.press("ArrowUp")
    assert float(bar.input_value()) > before
    tab.locator("#play").focus()
    tab.keyboard.press("Space")
    tab.wait_for_function("Number(document.getElementById('at').value) > 2")
    tab.keyboard.press("Space")
    assert tab.locator("#play").text_content() == "Play"
    tab.wait_for_function("document.getElementById('heard').textContent.includes('N(0, 1) ')")
    for scheme, width in (("dark", 360), ("light", 1300)):
        tab.emulate_media(color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": 800})
        found = Axe().run(tab).response["violations"]
        assert not [v["id"] for v in found if v["impact"] in ("serious", "critical")]
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_on_a_phone_the_hand_and_the_images_are_on_one_screen(written, page):
    tab = page(written)
    tab.set_viewport_size({"width": 360, "height": 640})
    for grid in (tab.locator(".run").first, tab.locator(".run").last):
        grid.locator("h3").evaluate("(title) => title.scrollIntoView({ block: 'center' })")
        seen = [tab.locator(f"#{name}") for name in ("training", "mean", "std")]
        image, strip = grid.locator(".image").first, tab.locator(".strip")
        for part in (*seen, image, strip):
            place = part.bounding_box()
            assert 0 <= place["y"] <= 640 - place["height"]
            assert 0 <= place["x"] <= 360 - place["width"]
        place = strip.bounding_box()
        assert place["y"] + place["height"] <= image.bounding_box()["y"], "nothing is covered"


@pytest.mark.slow
def test_a_link_within_the_page_changes_nothing(written, page):
    tab = page(written, "#seed=5&count=4&noise=gamma(2, 1)&mean=1&std=2&runs=1")
    before = grids(tab)
    tab.locator(".skip").focus()
    tab.keyboard.press("Enter")
    tab.wait_for_function("location.hash.includes('seed=5')")
    assert grids(tab) == before


@pytest.mark.slow
def test_an_address_typed_by_hand_replaces_vectors_that_were_brought(written, page):
    tab = page(written, "#count=4&runs=0")
    before = grids(tab)
    tab.locator("details.json summary").click()
    tab.locator("#json").fill(json.dumps([[0.5] * 8]))
    tab.locator("#take").click()
    settle(tab)
    assert len(set(grids(tab))) == 1
    assert tab.locator("#mean").is_disabled()
    tab.evaluate("location.hash = '#seed=0&count=64&runs=0.1'")
    tab.wait_for_function("document.querySelectorAll('.image').length === 128")
    settle(tab)
    assert grids(tab)[:4] == before, "more images begin with the same ones"
    assert not tab.locator("#mean").is_disabled()


@pytest.mark.slow
def test_the_walk_begins_and_ends_with_images_of_the_grid(written, page):
    tab = page(written, "#count=4&runs=0&from=2&to=1&training=false")
    drawn = grids(tab)
    assert tab.evaluate(PIXELS, "#large canvas") == [drawn[2]]
    set_to(tab, "at", 100)
    tab.wait_for_timeout(300)
    assert tab.evaluate(PIXELS, "#large canvas") == [drawn[1]]


@pytest.mark.slow
def test_generators_of_other_sizes_and_scales_stand_side_by_side(tiny, collection, tmp_path, page):
    runs = [
        train(tiny(noise=spec, noise_size=size, epochs=8, **LIVELY), collection)
        for spec, size in (("normal(0, 1e5)", 8), ("sphere", 5), ("bernoulli(0.3)", 12))
    ]
    written = playground.write_playground(runs, tmp_path / "page.html")
    tab = page(written, "#training=false&count=4")
    drawn = tab.evaluate("""boxes.map(({ index, canvases: [first] }) =>
      [index, [...first.getContext("2d").getImageData(0, 0, 32, 32).data]])""")
    assert len(drawn) == 3
    for index, pixels in drawn:
        z = torch.tensor([tab.evaluate(f"window.playground.vectorOf({index}, 0)")])
        (expected,) = (
            to_uint8(load_generator(runs[index], device="cpu")(z)).permute(0, 2, 3, 1).int()
        )
        found = torch.tensor(pixels).reshape(32, 32, 4)[..., :3].int()
        assert (found - expected).abs().max() <= 2
    lengths = torch.tensor(tab.evaluate("window.playground.vectorOf(1, 0)")).norm()
    assert lengths.item() == pytest.approx(5**0.5, rel=1e-4)
    assert {round(x, 5) for x in tab.evaluate("window.playground.vectorOf(2, 0)")} <= {1, -1}
    assert tab.locator("#density .bar-of").count() == 2


@pytest.mark.slow
def test_a_page_without_the_collection_has_no_bars_and_no_real_images(
    runs, written, page, tmp_path
):
    text = written.read_text()
    without = tmp_path / "page.html"
    without.write_text(re.sub(r'"realShare": [\d.e-]+', '"realShare": null', text))
    tab = page(without)
    assert len(set(grids(tab))) > 40
    assert tab.get_by_role("meter").count() == 0
    assert not tab.locator("#share-legend").is_visible()
    assert tab.locator(".real").count() == 0


@pytest.mark.slow
def test_a_generator_whose_first_block_has_no_batchnorm_makes_no_claim(
    tiny, collection, tmp_path, page
):
    run = train(tiny(architecture="pokemon", epochs=2), collection)
    tab = page(playground.write_playground([run], tmp_path / "page.html"))
    assert "scale does not matter" not in tab.locator(".claim").text_content()
    assert not tab.locator("#training").is_visible()
    assert tab.locator("#lessons button").all_text_contents() == ["Reset"]
    assert "theory" not in tab.locator(".share").text_content()
