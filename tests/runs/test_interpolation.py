import numpy as np
import pytest
import torch
from helpers import some
from PIL import Image
from scipy import stats

from dcgan_utils.core.seeds import stream
from dcgan_utils.gan import networks
from dcgan_utils.gan.priors import parse
from dcgan_utils.runs import interpolation, sampling
from dcgan_utils.runs.training import train

SPECS = ["normal", "normal(3, 0.1)", "uniform", "gamma", "laplace", "student_t(3)", "exponential",
         "bernoulli(0.25)", "sphere", "standardized(gamma)"]  # fmt: skip


def drawn(spec, n=2, size=100, seed=0):
    return parse(spec).sample(n, size, generator=stream(seed, "test"))


def test_a_walk_goes_through_the_origin_to_the_opposite():
    (vector,) = drawn("normal", 1)
    way = interpolation.along(vector, torch.tensor([-1.0, 0.0, 1.0, 2.0]))
    assert torch.equal(way, torch.stack([-vector, 0 * vector, vector, 2 * vector]))


@pytest.mark.parametrize("spec", SPECS)
def test_paths_begin_and_end_at_their_endpoints(spec):
    start, end = drawn(spec)
    for way in (
        interpolation.slerp(parse(spec), start, end, 7),
        interpolation.lerp(start, end, 7),
    ):
        assert way.shape == (7, 100)
        assert torch.equal(way[0], start)
        assert torch.equal(way[-1], end)


@pytest.mark.parametrize("spec", SPECS)
def test_the_prior_could_have_drawn_the_midpoints(spec):
    prior, starts, ends = parse(spec), drawn(spec, 40, 400), drawn(spec, 40, 400, seed=1)
    halves = torch.stack(
        [interpolation.slerp(prior, *pair, 3)[1] for pair in zip(starts, ends, strict=True)]
    )
    assert halves.mean().item() == pytest.approx(prior.mean, abs=0.06 * prior.std)
    straight = ((starts + ends) / 2).std().item()
    if spec != "student_t(3)":  # whose deviation a sample hardly knows
        assert halves.std().item() == pytest.approx(prior.std, rel=0.06)
        assert straight < 0.8 * prior.std
    deciles = torch.linspace(0.1, 0.9, 9)
    expected = drawn(spec, 40, 400, seed=2).flatten().quantile(deciles)
    found = halves.flatten().quantile(deciles)
    assert (found - expected).abs().max() < 0.12 * prior.std


def test_on_the_sphere_every_step_stays_on_it():
    way = interpolation.slerp(parse("sphere"), *drawn("sphere"), 9)
    assert torch.allclose(way.norm(dim=1), torch.tensor(10.0), atol=1e-4)


def test_steps_on_the_arc_are_even():
    way = interpolation.slerp(parse("normal"), *drawn("normal"), 9)
    steps = (way[1:] - way[:-1]).norm(dim=1)
    assert steps.max() / steps.min() < 1.1


@pytest.mark.parametrize("factor", [1.0, -1.0])
def test_parallel_vectors_have_a_path_too(factor):
    (vector,) = drawn("normal", 1)
    way = interpolation.slerp(parse("normal"), vector, factor * vector, 5)
    assert way.isfinite().all()


def test_a_latent_grid_has_the_four_in_its_corners():
    corners = drawn("uniform", 4)
    spread = interpolation.latent_grid(parse("uniform"), corners, 5)
    assert spread.shape == (25, 100)
    assert torch.equal(spread[[0, 4, 20, 24]], corners)
    assert spread.abs().max() <= 1


def test_a_walk_is_shown_forwards_and_backwards(tmp_path):
    images = torch.arange(3, dtype=torch.uint8)[:, None, None, None].expand(3, 3, 8, 8) * 100
    frames = interpolation.walk_frames(images, side=16)
    assert [frame.size for frame in frames] == [(16, 16)] * 5
    interpolation.write_walk(tmp_path / "new" / "walk.gif", images)
    with Image.open(tmp_path / "new" / "walk.gif") as walk:
        assert walk.n_frames == 5
    levels = [frame.convert("L").getpixel((8, 8)) for frame in frames]
    assert levels == [0, 100, 200, 100, 0]


def varied_generator(config):
    """Return a generator whose images differ much, as two epochs do not make it."""
    generator, _ = networks.build_networks(config.architecture, **config.sizes)
    with torch.no_grad():
        for number, weights in enumerate(generator.parameters()):
            if weights.ndim > 1:
                weights.normal_(0, 0.15, generator=stream(number, "weights"))
        for number in range(40):  # the running statistics
            generator(torch.randn(64, config.noise_size, generator=stream(number, "noise")))
    return generator.eval().requires_grad_(False)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["dcgan", "pokemon"])
def test_an_image_that_the_generator_draws_is_found(
    tiny, collection, architecture, monkeypatch, heard
):
    run = train(tiny(architecture=architecture), collection)
    varied = varied_generator(run.config)
    monkeypatch.setattr(sampling, "load_generator", lambda run, **where: varied)
    aims = sampling.sample(run, 3, seed=5)
    places, error = interpolation.project(run, aims, steps=120, restarts=6)
    assert places.shape == (3, 8)
    assert heard[-1] == ("steps of the search", 120, 120)
    found = sampling.draw(run, places).float()
    assert torch.allclose(
        (found - aims.float()).square().mean(dim=(1, 2, 3)).sqrt(), error, atol=1.0
    )
    by_chance = (sampling.sample(run, 3).float() - aims.float()).square().mean(dim=(1, 2, 3)).sqrt()
    assert error.mean() < by_chance.mean() / 2
    again = interpolation.project(run, aims, steps=120, restarts=6)
    assert torch.equal(again[0], places)


def test_typical_norms_are_those_of_many_coordinates():
    short, usual, long = interpolation.typical_norms(parse("N(5, 4)"), 100, seed=0)
    assert short < usual < long
    assert usual == pytest.approx(2 * 100**0.5, rel=0.02)


def test_the_midpoint_of_a_straight_line_is_closer_to_the_mean():
    prior = parse("N(5, 1)")
    start, end = prior.sample(2, 400, generator=torch.Generator().manual_seed(0))
    assert interpolation.midpoint_norm_ratio(
        prior, interpolation.lerp(start, end, 9)
    ) == pytest.approx(0.5**0.5, abs=0.05)
    assert interpolation.midpoint_norm_ratio(
        prior, interpolation.slerp(prior, start, end, 9)
    ) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("spec", "seen"),
    [
        ("normal", "from the origin. So on this walk the generator was trained only near 1 and, "
                   "since the prior is symmetric, near -1."),
        ("gamma", "from the prior's mean. So on this walk the generator was trained only near 1."),
    ],
)  # fmt: skip
def test_it_is_described_where_the_generator_was_trained(spec, seen):
    text = interpolation.describe_typical_norms(parse(spec), (8.0, 10.0, 12.5))
    assert text == (
        "98% of the vectors that the prior draws have **0.80** to **1.25** times the median "
        f"distance {seen}"
    )


def test_midpoints_are_described():
    text = interpolation.describe_midpoints(parse("normal"), *torch.eye(2))
    assert "lerp is **0.71** times" in text
    assert "prior-aware slerp **1.00** times" in text


def test_walks_are_found_to_be_even_to_jump_or_to_stand_still():
    from_black, to_white = torch.zeros(3, 32, 32), torch.full((3, 32, 32), 200.0)
    shares = torch.linspace(0, 1, 9)
    even = torch.stack([torch.lerp(from_black, to_white, share) for share in shares])
    sudden = torch.stack([to_white if share > 0.5 else from_black for share in shares])
    text = interpolation.describe_walks(torch.stack([even, even]).to(torch.uint8))
    assert "the images change all the way: on average the largest step is 1.0 times" in text
    assert "fine detail" not in text, "the ends have none to compare with"
    assert "(walks: 2)" in text
    text = interpolation.describe_walks(sudden[None].to(torch.uint8))
    assert "the images jump: on average the largest step is 8.0 times" in text
    text = interpolation.describe_walks(even[:1].repeat(9, 1, 1, 1)[None].to(torch.uint8))
    assert "nothing changes" in text


def test_a_walk_that_blurs_halfway_is_seen():
    noise = some(2).float()
    walk = torch.stack([torch.lerp(*noise, share) for share in torch.linspace(0, 1, 9)])
    text = interpolation.describe_walks(walk.to(torch.uint8)[None])
    assert "halfway the fine detail is 53% of that at the ends" in text, "half, and rounding"


def test_a_projection_is_described():
    found = torch.tensor([[3.0, 4.0], [0.0, 20.0]]), torch.tensor([10.0, 20.0])
    text = interpolation.describe_projection(parse("normal"), *found, (8.0, 10.0, 12.5))
    assert "RMSE (0-255) is **15**" in text
    assert "0.50 to 2.00 times" in text
    assert "beyond 1.25" in text


def test_usual_distances_are_the_quantiles_of_theory():
    """Those of 100 coordinates of N(5, 4) are twice those of the chi distribution."""
    expected = 2 * stats.chi(100).ppf([0.01, 0.5, 0.99])
    found = interpolation.typical_norms(parse("N(5, 4)"), 100, seed=0)
    assert found == pytest.approx(expected, rel=0.015)
    prior, drawn = parse("gamma"), parse("gamma").sample(2000, 9, generator=stream(4, "usual"))
    written = np.quantile((drawn - 2).norm(dim=1).numpy(), [0.01, 0.5, 0.99])
    assert interpolation.typical_norms(prior, 9, seed=4) == pytest.approx(written, rel=1e-5)


def test_the_way_round_is_an_arc_of_even_steps():
    start, end = torch.tensor([[3.0, 0], [0, 3]])
    way = interpolation.slerp(parse("normal"), start, end, 4)
    angles = torch.tensor([0, 30, 60, 90.0]).deg2rad()
    expected = 3 * torch.stack([angles.cos(), angles.sin()], dim=1)
    torch.testing.assert_close(way, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(way.norm(dim=1), torch.full((4,), 3.0), atol=1e-3, rtol=0)


def test_the_straight_way_has_even_steps():
    way = interpolation.lerp(torch.tensor([0.0, 4]), torch.tensor([8.0, 0]), 5)
    assert way.tolist() == [[0, 4], [2, 3], [4, 2], [6, 1], [8, 0]]


def test_halfway_is_measured_from_the_prior_s_mean():
    way = torch.tensor([[7.0, 3], [3, 5], [3, 7]])
    assert interpolation.midpoint_norm_ratio(parse("N(3, 1)"), way) == 0.5


@pytest.fixture
def grey(tiny, collection, monkeypatch):
    """Return a run whose generator draws grey images, lighter with the sum of a vector."""
    run = train(tiny(epochs=1, noise="N(0, 4)"), collection)

    def generator(z):
        return (1e-6 * z.sum(dim=1))[:, None, None, None].expand(-1, 3, 32, 32)

    monkeypatch.setattr(sampling, "load_generator", lambda run, **where: generator)
    return run


@pytest.mark.parametrize(("level", "error"), [(255, 127.5), (0, 127.5), (102, 25.5)])
def test_the_error_of_a_projection_is_in_levels(grey, level, error):
    images = torch.full((2, 3, 32, 32), level, dtype=torch.uint8)
    _, found = interpolation.project(grey, images, steps=1, restarts=2)
    assert found.tolist() == pytest.approx([error] * 2, abs=0.01)


def test_a_step_of_a_projection_is_a_tenth_of_the_deviation(grey):
    white = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    first = parse("N(0, 4)").sample(1, 8, generator=stream(2, "project"))
    for steps in (1, 3):
        found, _ = interpolation.project(grey, white, steps=steps, restarts=1, seed=2)
        torch.testing.assert_close(
            found - first, torch.full((1, 8), 0.2 * steps), rtol=0.01, atol=0
        )


def test_of_several_starts_the_nearest_is_kept_for_each_image(grey):
    levels = torch.tensor([255, 0], dtype=torch.uint8)
    images = levels[:, None, None, None].expand(-1, 3, 32, 32)
    first = parse("N(0, 4)").sample(12, 8, generator=stream(2, "project"))
    lightest, darkest = first[:6].sum(dim=1).argmax(), first[6:].sum(dim=1).argmin()
    found, _ = interpolation.project(grey, images, steps=1, restarts=6, seed=2)
    expected = torch.stack([first[:6][lightest] + 0.2, first[6:][darkest] - 0.2])
    torch.testing.assert_close(found, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize(("cell", "sizes"), [(32, 3), (16, 3), (8, 2), (4, 2), (2, 1), (1, 1)])
def test_the_distance_counts_squares_of_one_four_and_sixteen(cell, sizes):
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    chequered = 3.0 * ((x // cell + y // cell) % 2 * 2 - 1).expand(1, 3, 32, 32)
    assert interpolation._apart(chequered, torch.zeros(1, 3, 32, 32)).tolist() == [9 * sizes]
