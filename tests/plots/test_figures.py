"""Every figure is drawn, as wide as the page, and described."""

import inspect
import re

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import assert_drawn, some

from dcgan_utils import plots
from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.core.seeds import stream
from dcgan_utils.data import statistics
from dcgan_utils.gan import networks, priors
from dcgan_utils.metrics import embed
from dcgan_utils.plots.clusters import _free_places
from dcgan_utils.study import benchmark, theory

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.slow,
    pytest.mark.usefixtures("coarse"),
]

# --- Of images ---------------------------------------------------------------------------

IMAGES = {
    "noise": some(),
    "one": some(1),
    "flat": torch.full((4, 3, 32, 32), 200, dtype=torch.uint8),
}
NAMES = [f"{number}$^.jpg" for number in range(11)] + ["モネ 🎨 with quite a long name.jpg"]
TEXTS = {"title": "Some", "description": "some images"}


def captions(images):
    return NAMES[: len(images)]


def plane(images):
    return np.random.default_rng(0).normal(size=(len(images), 2)), np.arange(len(images)) % 3


def measured(images):
    return statistics.pixel_statistics([images])


def mean_and_horizon(images):
    mean = measured(images).per_colour()["mean"]
    return mean, statistics.find_horizon(mean)


OF_IMAGES = {
    "image_grid": lambda x: plots.image_grid(x, **TEXTS),
    "labelled_grids": lambda x: plots.labelled_grids({"real": x, "new": x}, **TEXTS),
    "image_rows": lambda x: plots.image_rows({"a": x, "b": x[:1]}, **TEXTS, side="row"),
    "samples_over_epochs": lambda x: plots.samples_over_epochs({1: x, 5: x}),
    "samples_side_by_side": lambda x: plots.samples_side_by_side({"N(0, 1)": {1: x, 5: x}}),
    "captioned": lambda x: plots.captioned(x, captions(x), **TEXTS),
    "file_sizes": lambda x: plots.file_sizes(range(1000, 1000 + len(x)), x, captions(x)),
    "file_sizes, equal": lambda x: plots.file_sizes([500] * len(x), x, captions(x)),
    "dimensions": lambda x: plots.dimensions(
        [(40 + i, 30 - i) for i in range(len(x))], {"PNG": len(x), "GIF": 1}, {"RGB": len(x)}
    ),
    "dimensions, equal": lambda x: plots.dimensions(
        [(40, 30)] * len(x), {"PNG": len(x)}, {"RGB": 1, "P": len(x)}
    ),
    "round_canvases": lambda x: plots.round_canvases(x, range(len(x)), captions(x)),
    "statistics_in_colour": lambda x: plots.statistics_in_colour(
        measured(x).per_colour(), measured(x).over_colours()
    ),
    "statistics_of_each_colour": lambda x: plots.statistics_of_each_colour(
        measured(x).per_colour()
    ),
    "channel_histograms": lambda x: plots.channel_histograms({"one": measured(x).histogram}),
    "channel_histograms, two": lambda x: plots.channel_histograms(
        dict.fromkeys(["one", "two"], measured(x).histogram)
    ),
    "horizon_line": lambda x: plots.horizon_line(*mean_and_horizon(x)),
    "scatter_plane": lambda x: plots.scatter_plane(
        *plane(x), ["a", "b", "c"], title="Plane", axis_names=("x", "y")
    ),
    "scatter_plane, many": lambda x: plots.scatter_plane(
        *plane(x), [f"cluster {number}" for number in range(100)], title="Plane"
    ),
    "thumbnails": lambda x: plots.thumbnails(plane(x)[0], x, plane(x)[1], title="Thumbnails"),
    "cluster_sizes": lambda x: plots.cluster_sizes([len(x), 3, 1], what="pixels"),
}


@pytest.mark.parametrize("images", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("draw", OF_IMAGES.values(), ids=OF_IMAGES)
def test_a_figure_of_images(draw, images):
    figure = draw(images)
    assert_drawn(figure)
    if images is IMAGES["noise"]:
        assert_legible(figure)


# --- Of tables ---------------------------------------------------------------------------

VECTORS = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
EPOCHS = np.arange(1, 31)
GAUGES = (
    "d_loss_real",
    "d_loss_fake",
    "g_loss",
    "d_real",
    "d_fake",
    "first_layer_share",
    "share_between_images",
)
HISTORY = pd.DataFrame({"epoch": EPOCHS} | dict.fromkeys(GAUGES, 1 / EPOCHS))
TWO_SEEDS = pd.concat([HISTORY, 2 * HISTORY.assign(epoch=EPOCHS / 2)])
HISTORIES = {"U(-1, 1)": HISTORY, "Gamma(2, 1)": TWO_SEEDS}
EXPECTED = {"discriminator": 1.38, "generator": 0.76, "probability": 0.45}
QUALITY = pd.DataFrame({"kid": [0.5, 0.2, 0.3], "diversity": [0.2, 0.6, 0.7]}, index=[5, 10, 15])
DISTANCES = pd.Series([90.0, 40, 9], index=[1, 2, 3])
DIFFERENCES = pd.DataFrame(
    [[2.0, 1.5, 2.6, True], [0.9, 0.7, 1.3, False]],
    columns=["found", "low", "high", "decided"],
    index=["Gamma(2, 1)", "U(-1, 1)"],
)
BASELINE = {"kid": 0, "coverage": 1, "share_between_images": 1}
DOSES = pd.DataFrame(
    [(n, r, n**0.5 * r, 1 / (1 + n * r)) for n in (4, 100) for r in (0.5, 2.0)],
    columns=["n", "r", "sqrt(n) r", "after"],
)
SPENT = pd.Series({"convolutions, backward": 75.0, "BatchNorm": 25.0}, name="milliseconds")


def runs(seeds):
    """Return measures of runs with three priors, two of one ratio, and a BatchNorm per unit."""
    ratios = [
        *(("N(0, 1)", 0.0, "channel"), ("U(-1, 1)", 0.0, "channel")),
        *(("Gamma(2, 1)", 1.414, "channel"), ("Gamma, unit", 1.414, "unit")),
    ]
    table = pd.DataFrame(
        {"label": name, "|mean| / std": ratio, "first_norm": norm}
        for name, ratio, norm in ratios
        for _ in range(seeds)
    )
    return table.assign(**{name: np.random.default_rng(0).random(len(table)) for name in BASELINE})


def curves(measured=True):
    """Return the histories of `runs` with one seed, in updates."""
    parts = [
        HISTORY.assign(
            **{"update": 19 * EPOCHS, "label": row.label, "first_norm": row.first_norm},
            group=f"{row.label} and others",
            kid=np.where(EPOCHS % 10 == 0, 3 / EPOCHS, np.nan) if measured else np.nan,
        )
        for row in runs(1).itertuples()
    ]
    ratios = runs(1)["|mean| / std"]
    return pd.concat(
        part.assign(**{"|mean| / std": ratio}) for part, ratio in zip(parts, ratios, strict=True)
    )


def evidence(measured):
    anchors = pd.DataFrame({"kid": [0.0, 0.32]}, index=["real-vs-real baseline", "grey"])
    return plots.noise_evidence(curves(measured), runs(2), anchors)


def shares(names):
    return theory.shares(priors.parse_list(names), noise_size=8)


def turns(*ours):
    """Return two turns of the textbook, at 10 and 20 images per second, and of the workbook."""
    speeds = {benchmark.TEXTBOOK: (10.0, 20.0), benchmark.workbook_loop("bf16"): ours}
    return pd.DataFrame(
        {"loop": loop, "turn": turn, "images_per_second": speed}
        for loop, both in speeds.items()
        for turn, speed in enumerate(both, start=1)
    )


def memory(epochs):
    return pd.DataFrame({"epoch": range(1, epochs + 1), "memory": 9e8, "peak": 1e9})


def generator():
    network, _ = networks.build_networks("dcgan", noise_size=100, img_size=64, width=8)
    return networks.layer_table(network, (100,))


def discriminator():
    _, network = networks.build_networks("pokemon", noise_size=100, img_size=64, width=8)
    return networks.layer_table(network, (3, 64, 64))


# What is drawn, and words of its description.
OF_TABLES = {
    "cluster_sizes, many": (lambda: plots.cluster_sizes(range(100, 0, -1), what="pixels"),
        "100 clusters: 100, 99"),
    "k_criteria": (lambda: plots.k_criteria(embed.choose_k(VECTORS, range(2, 6)), chosen=3),
        f"highest at {embed.choose_k(VECTORS, range(2, 6))['silhouette'].idxmax()}"),
    "explained_variance": (
        lambda: plots.explained_variance(embed.principal_components(VECTORS, 12), marked=[1, 4]),
        "1 explain"),
    "network_diagram": (
        lambda: plots.network_diagram(generator(), start="100", title="G", color=plots.BLUE),
        "output are 100, 64×4×4, 32×8×8, 16×16×16, 8×32×32, 3×64×64."),
    "losses": (lambda: plots.losses(HISTORY, expected=EXPECTED),
        "the discriminator's from 2.00 to 0.07, the generator's from 1.00 to 0.03."),
    "network_diagram, of an image": (lambda: plots.network_diagram(
            discriminator(), start="3 × 64 × 64", title="D", color=plots.ORANGE,
            source=some(1)[0], result=0.71),
        "output are 3×64×64, 8×32×32,"),
    "network_diagram, of a vector": (lambda: plots.network_diagram(
            generator(), start="100", title="G", color=plots.BLUE,
            source=torch.randn(100, generator=stream(0, "z")), result=some(1)[0]),
        "8×32×32, 3×64×64."),
    "losses, diverged": (lambda: plots.losses(HISTORY, expected=EXPECTED, diverged=20),
        "From epoch 20 on they have diverged"),
    "probabilities": (lambda: plots.probabilities(HISTORY, real_label=0.8, fake_label=0.1),
        "D(x) is 0.03"),
    "training_so_far": (lambda: plots.training_so_far(HISTORY, epochs=60, expected=EXPECTED),
        "D(x) is 0.03"),
    "training_so_far, at its start": (
        lambda: plots.training_so_far(HISTORY[:0], epochs=60, expected=EXPECTED), "still empty"),
    "quality_over_epochs": (lambda: plots.quality_over_epochs(QUALITY, baseline=0.01),
        "0.200 at epoch 10"),
    "distance_over_epochs": (lambda: plots.distance_over_epochs(DISTANCES, others=80),
        "from 90.0 to 9.0 levels of 255. For other images it is 80.0."),
    "distance_over_epochs, alone": (lambda: plots.distance_over_epochs(DISTANCES),
        "from 90.0 to 9.0 levels of 255."),
    "variance_shares": (
        lambda: plots.variance_shares(shares("uniform, gamma, N(3, 1), laplace, sphere")),
        "Gamma(2, 1) 0.3"),
    "variance_shares, one": (lambda: plots.variance_shares(shares("normal")),
        "points: N(0, 1) 1.00"),
    "shares_by_dose": (lambda: plots.shares_by_dose(DOSES), "n 4, r 0.5: 0.33; n 4, r 2: 0.11"),
    "noise_evidence": (lambda: evidence(True), "grey images have a KID of 0.320"),
    "noise_evidence, no KID": (lambda: evidence(False), "In the end: N(0, 1) KID"),
    "measures_by_ratio": (
        lambda: plots.measures_by_ratio(runs(3), list(BASELINE), baseline=BASELINE),
        "at 1.414; share_between_images"),
    "measures_by_ratio, one seed": (
        lambda: plots.measures_by_ratio(runs(1), list(BASELINE)[:2], baseline=BASELINE),
        "coverage"),
    "differences_to_reference": (lambda: plots.differences_to_reference(DIFFERENCES, "kid"),
        "KID compared with N(0, 1): Gamma(2, 1) 2.00 [1.50, 2.60]; U(-1, 1)"),
    "kid_bars": (lambda: plots.kid_bars(pd.Series({"none": 0.3, "both": -0.01}), baseline=0.0),
        "none 0.300, both -0.010; the real-vs-real baseline is 0.000"),
    "losses_overlaid": (lambda: plots.losses_overlaid(HISTORIES, unit="images shown"),
        "one line each for U(-1, 1), Gamma(2, 1)"),
    "shares_over_epochs": (lambda: plots.shares_over_epochs(HISTORIES),
        "In the samples it ends at: U(-1, 1) "),
    "benchmark_turns": (lambda: plots.benchmark_turns({64: turns(30.0, 80.0)}),
        "at batch 64 the workbook, bf16, is 3.5 times (3.0 to 4.0) as fast"),
    "benchmark_turns, two": (
        lambda: plots.benchmark_turns({128: turns(30.0, 80.0), 64: turns(25.0, 41.0)}),
        "; at batch 64 the workbook, bf16, is"),
    "step_profile": (lambda: plots.step_profile(SPENT),
        "convolutions, backward 75%, BatchNorm 25%"),
    "memory_over_epochs": (lambda: plots.memory_over_epochs(memory(5)), "900 MB after the last"),
    "memory_over_epochs, one": (lambda: plots.memory_over_epochs(memory(1)), "over 1 epochs"),
}  # fmt: skip


@pytest.mark.parametrize(("draw", "words"), OF_TABLES.values(), ids=OF_TABLES)
def test_a_figure_of_a_table(draw, words):
    figure = draw()
    assert assert_drawn(figure)[-15:].std() > 1, "an empty strip at the bottom"
    assert words in figure.get_label()
    assert_legible(figure)
    assert_whole(figure)


def assert_whole(figure):
    """Check that no line leaves its panel at the top or bottom."""
    for axes in figure.axes:
        low, high = sorted(axes.get_ylim())
        for line in axes.lines:
            if line.get_transform().contains_branch(axes.transData):
                y = np.asarray(line.get_ydata(), float)
                within = (y >= low) & (y <= high) | ~np.isfinite(y)
                assert within.all(), (axes.get_title(), line.get_label())


def assert_legible(figure):
    """Check that text is 11 px high on a phone (322 px) and where the wide drawing begins."""
    for drawn, pixels in ((figure, 704), (figure.narrow(), 322)):
        svg = drawn.as_svg()
        wide = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: ([\d.]+)px", svg)]
        assert min(sizes) * pixels / wide >= 11


@pytest.mark.parametrize("noise_size", [1, 100])
@pytest.mark.parametrize(
    "spec", ["uniform", "gamma", "N(0, 100)", "bernoulli", "student_t", "sphere",
             "standardized(bernoulli(0.2))"],
)  # fmt: skip
def test_every_noise_can_be_drawn(spec, noise_size):
    prior = priors.parse(spec)
    figure = plots.noise_density(prior, prior.sample(500, noise_size, generator=stream(0, "n")))
    assert_drawn(figure)
    assert prior.label in figure.get_label()
    assert prior.label in figure.axes[0].get_title(loc="left")


def test_every_figure_of_the_room_is_tested():
    drawing = {
        name
        for name, function in vars(plots).items()
        if inspect.isfunction(function)
        and inspect.signature(function).return_annotation == "Figure"
    }
    tested = {case.split(",")[0] for case in [*OF_IMAGES, *OF_TABLES]}
    assert tested | {"noise_density", "save_figure"} == drawing


# --- Details -----------------------------------------------------------------------------


def test_images_are_shown_as_they_are():
    dark = torch.full((2, 3, 32, 32), 100, dtype=torch.uint8)
    dark[1] = 104
    axes = plots.image_grid(dark, **TEXTS).axes[0]
    shown = axes.images[0].get_array()
    assert set(np.unique(shown[shown[..., 3] == 255][:, :3])) == {100, 104}
    assert (shown[0, 32:34, 3] == 0).all(), "gaps are transparent"


def test_short_rows_end_in_nothing():
    black = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    axes = plots.image_rows({"two": black, "one": black[:1]}, **TEXTS).axes[0]
    shown = axes.images[0].get_array()
    corners = [shown[y, x, 3] for y, x in [(0, 0), (0, -1), (-1, 0), (-1, -1)]]
    assert corners == [255, 255, 255, 0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["two", "one"]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7])
def test_any_number_of_grids_fits(count):
    figure = plots.labelled_grids({f"noise {index}": some(16) for index in range(count)}, **TEXTS)
    assert sum(len(axes.images) for axes in figure.axes) == count


def test_names_are_not_formulas_and_long_ones_are_cut():
    figure = plots.captioned(some(2), ["a$^.jpg", "x" * 99], **TEXTS)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["a$^.jpg", "…" + 18 * "x"]


def test_of_many_round_canvases_fifteen_are_drawn():
    figure = plots.round_canvases(some(20), range(2, 20), [f"{number}" for number in range(20)])
    captions = [axes.get_title() for axes in figure.axes if axes.images]
    assert captions == [f"{number}" for number in range(2, 17)]
    assert "15 of the 18 found" in figure.get_suptitle()


def test_differences_without_intervals_and_sizes_that_are_all_the_same_have_a_reason():
    one_seed = DIFFERENCES.assign(low=np.nan, high=np.nan, decided=False)
    with pytest.raises(NotEnoughData, match="train more seeds"):
        plots.differences_to_reference(one_seed, "kid")
    with pytest.raises(NotEnoughData, match="All 2 images are 40 × 30 pixels, PNG, RGB"):
        plots.dimensions([(40, 30)] * 2, {"PNG": 2}, {"RGB": 2})


def test_a_claim_is_the_title_only_where_the_numbers_say_so():
    table = runs(2)
    anchors = pd.DataFrame({"kid": [0.0, 0.32]}, index=["real-vs-real baseline", "grey"])
    titles = []
    for shifted in (0.4, 0.1):
        kid = np.where(table["|mean| / std"] == 0, 0.2, shifted)
        figure = plots.noise_evidence(curves(), table.assign(kid=kid), anchors)
        titles.append(figure.get_suptitle().replace("\n", " "))
    assert "its KID is 0.20 on average, that of other noise 0.40" in titles[0]
    assert "nearer" not in titles[1]


def test_where_no_round_canvas_was_found_there_is_a_reason():
    with pytest.raises(NotEnoughData):
        plots.round_canvases(some(), [], NAMES)


def test_the_extremes_of_the_file_sizes_are_named():
    figure = plots.file_sizes([5000, 1000, 9000], some(3), ["mid", "small", "large"])
    assert "smallest 1 kB (small), median 5 kB (mid), largest 9 kB (large)" in figure.get_label()


def test_a_bar_of_white_that_leaves_the_frame_has_its_share_written():
    histogram = np.ones((3, 256))
    histogram[:, 255] = 245
    figure = plots.channel_histograms({"one": histogram})
    assert [text.get_text() for text in figure.axes[0].texts] == ["255: 49 %"]


@pytest.mark.parametrize(("levels", "lines"), [((200, 50), 1), ((90, 90), 0)])
def test_only_a_clear_horizon_is_drawn(levels, lines):
    mean = np.repeat(np.float64(levels), 16)[None, :, None] * np.ones((3, 1, 32))
    figure = plots.horizon_line(mean, statistics.find_horizon(mean))
    assert len(figure.axes[0].lines) == len(figure.axes[0].texts) == lines
    assert ("at 50 % of the height" if lines else "no clear horizon") in figure.get_label()


def test_the_best_epoch_is_marked():
    figure = plots.quality_over_epochs(QUALITY, baseline=0.01)
    assert any(tuple(line.get_xdata()) == (10,) for line in figure.axes[0].lines)


@pytest.mark.parametrize("n", [1, 50, 2000])
def test_thumbnails_cover_no_other(n):
    points = np.random.default_rng(0).normal(size=(n, 2))
    points[: n // 2] = points[0]  # a crowd
    places = _free_places(points, 26, 21)
    assert len(set(places.values())) == len(places)
    assert all(0 <= x < 26 and 0 <= y < 21 for x, y in places.values())
    assert len(places) >= min(n, 29) * 0.5
    exact = (points - points.min(0)) / np.maximum(np.ptp(points, axis=0), 1e-9) * (25, 20)
    for number, place in places.items():
        assert np.linalg.norm(exact[number] - place) < 4
