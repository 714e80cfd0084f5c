import base64
import io

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import some
from PIL import Image

from dcgan_utils.core.seeds import stream
from dcgan_utils.gan import networks, priors
from dcgan_utils.plots import study, style, training


@pytest.fixture
def history():
    epochs = np.arange(1, 31)
    names = ("d_loss_real", "d_loss_fake", "g_loss", "d_real", "d_fake", "sample_spread")
    return pd.DataFrame({"epoch": epochs} | dict.fromkeys(names, 1 / epochs))


def figures(history):
    generator, _ = networks.build_networks("dcgan", noise_size=100, img_size=64, width=8)
    table = networks.layer_table(generator, (100,))
    several = {"U(-1, 1)": history, "Gamma(2, 1)": history}
    grids = {"real": some(), "new": some()}
    yield style.image_grid(some(), title="Some", description="ten images")
    yield style.labelled_grids(grids, title="Both", description="two times ten")
    yield style.samples_over_epochs({1: some(), 5: some()})
    yield training.network_diagram(table, start="100", title="Generator", color=style.BLUE)
    yield training.losses(history, expected={"discriminator": 1.38, "generator": 0.76})
    yield training.losses(history, expected={"discriminator": 1.38, "generator": 0.76}, parted=20)
    quality = pd.DataFrame(
        {"kid": [0.5, 0.2, 0.3], "diversity": [0.2, 0.6, 0.7]}, index=[5, 10, 15]
    )
    yield training.quality_over_epochs(quality, floor=0.01)
    yield study.kid_bars(pd.Series({"none": 0.3, "both": -0.01}), floor=0.0)
    yield training.distance_over_epochs(pd.Series([90.0, 40, 9], index=[1, 2, 3]), others=80)
    yield training.probabilities(history, real_label=0.8, fake_label=0.1)
    yield study.losses_overlaid(several)
    yield study.spread_overlaid(several)


def test_every_figure_is_drawn_and_described(history):
    for figure in figures(history):
        shown = style.show(figure)
        data, metadata = shown._repr_mimebundle_()
        assert {"image/png", "image/jpeg"} & set(data)
        (about,) = metadata.values()
        assert len(about["alt"]) > 10
        pixels = np.asarray(Image.open(io.BytesIO(style.show(figure).data)).convert("L"))
        assert pixels.shape[1] == pytest.approx(style.WIDTH * style.DPI, rel=0.1)
        assert pixels[-30:].std() > 1, "no empty strip at the bottom"
        assert pixels.std() > 3
        assert data


def test_the_best_epoch_is_marked_and_told():
    quality = pd.DataFrame(
        {"kid": [0.5, 0.2, 0.3], "diversity": [0.2, 0.6, 0.7]}, index=[5, 10, 15]
    )
    figure = training.quality_over_epochs(quality, floor=0.01)
    assert "0.200 at epoch 10" in figure.get_label()
    assert any(tuple(line.get_xdata()) == (10,) for line in figure.axes[0].lines)


def test_a_slider_is_for_jupyterlab_alone(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert style.slider(some(3), ["a", "b", "c"]) is None
    monkeypatch.setenv("JPY_SESSION_NAME", "walk.ipynb")
    place, seen = style.slider(some(3), ["a", "b", "c"]).children
    before = seen.value
    place.value = 2
    assert seen.value != before
    shown = np.asarray(Image.open(io.BytesIO(seen.value)))
    assert shown.shape == (256, 256, 3)
    assert (shown[4, 4] == some(3)[2, :, 0, 0].numpy()).all()


def test_images_are_shown_as_they_are():
    dark = torch.full((2, 3, 32, 32), 100, dtype=torch.uint8)
    dark[1] = 104
    axes = style.image_grid(dark, title="", description="d").axes[0]
    shown = axes.images[0].get_array()
    assert set(np.unique(shown)) == {100, 104, 255}


@pytest.mark.parametrize(
    "spec", ["uniform", "gamma", "N(0, 100)", "bernoulli", "student_t", "sphere",
             "standardized(bernoulli(0.2))"],
)  # fmt: skip
@pytest.mark.parametrize("noise_size", [1, 100])
def test_every_noise_can_be_drawn(spec, noise_size):
    prior = priors.parse(spec)
    figure = training.noise_density(prior, prior.sample(500, noise_size, generator=stream(0, "n")))
    assert prior.label in figure.get_label()
    assert prior.label in figure.axes[0].get_title(loc="left")
    style.show(figure)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7])
def test_any_number_of_grids_fits(count):
    grids = {f"noise {index}": some(16) for index in range(count)}
    figure = style.labelled_grids(grids, title="t", description="d")
    assert sum(len(axes.images) for axes in figure.axes) == count


def test_animations_are_embedded_and_described(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    html = style.animation(tmp_path / "x.gif", 'moving "colours" <here>').data
    assert "data:image/webp;base64," in html
    assert len(html) < 3000
    assert 'alt="moving &quot;colours&quot; &lt;here&gt;"' in html


def test_long_animations_are_thinned_but_end_with_the_last_frame(tmp_path):
    colours = [(level, 97 * level % 256, 31 * level % 256) for level in range(250)]
    frames = [Image.new("RGB", (8, 8), colour) for colour in colours]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    html = style.animation(tmp_path / "x.gif", "red", width=8).data
    data = base64.b64decode(html.split("base64,")[1].split('"')[0])
    shown = Image.open(io.BytesIO(data))
    assert 40 <= shown.n_frames <= 61
    shown.seek(shown.n_frames - 1)
    assert shown.convert("RGB").getpixel((4, 4))[0] == pytest.approx(249, abs=8)


def test_colours_tell_groups_apart():
    for count in (1, 10, 30, 100):
        colours = style.palette(count)
        assert len(set(colours)) == count
        assert all(len(colour) == 7 for colour in colours)


def test_a_figure_is_kept_in_the_format_in_which_it_is_shown(tmp_path):
    shown = style.show(style.image_grid(some(), title="t", description="d"))
    assert style.save_figure(shown, tmp_path / "new" / "some.where") is shown
    (path,) = (tmp_path / "new").iterdir()
    assert path.name in ("some.where.png", "some.where.jpg")
    assert path.read_bytes() == shown.data
