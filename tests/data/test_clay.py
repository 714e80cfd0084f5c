"""Shapes are signed distances, and what is put on the canvas covers what lies below."""

import numpy as np
import pytest

from dcgan_utils.data.painted.clay import Clay, ball, band, limb, melt, petal, tint

RED, BLUE = np.array([220.0, 30.0, 30.0]), np.array([30.0, 30.0, 220.0])


@pytest.fixture
def clay():
    return Clay(128)


def at(clay, shape, x, y):
    """Return the value nearest to a place."""
    return shape[np.abs(clay.y[:, 0] - y).argmin(), np.abs(clay.x[0] - x).argmin()]


def test_a_ball_is_negative_inside_and_grows_with_the_distance(clay):
    shape = ball(clay.x, clay.y, (0.2, 0.1), 0.4)
    assert at(clay, shape, 0.2, 0.1) < 0
    distance = np.hypot(clay.x - 0.2, clay.y - 0.1) - 0.4
    assert np.abs(shape - distance)[np.abs(distance) < 0.2].max() < 0.02


def test_an_ellipse_turns_clockwise(clay):
    flat, upright = (ball(clay.x, clay.y, (0, 0), (0.6, 0.2), turn) for turn in (0, np.pi / 2))
    assert at(clay, flat, 0.5, 0) < 0 < at(clay, flat, 0, 0.5)
    assert at(clay, upright, 0, 0.5) < 0 < at(clay, upright, 0.5, 0)
    down_right = ball(clay.x, clay.y, (0, 0), (0.6, 0.2), np.pi / 4)
    assert at(clay, down_right, 0.35, 0.35) < 0 < at(clay, down_right, 0.35, -0.35)


def test_a_limb_tapers(clay):
    shape = limb(clay.x, clay.y, (-0.5, 0), (0.5, 0), 0.3, 0.1)
    assert at(clay, shape, -0.5, 0.25) < 0 < at(clay, shape, 0.5, 0.25)


def test_a_petal_is_pointed_at_both_ends_and_as_broad_as_told(clay):
    shape = petal(clay.x, clay.y, (0, -0.6), (0, 0.6), 0.4)
    inside = shape < 0
    widths = inside.sum(axis=1) * 2 / 128
    assert widths.max() == pytest.approx(0.4, abs=0.04)
    assert widths[np.abs(clay.y[:, 0]).argmin()] == widths.max()
    rows = clay.y[inside.any(axis=1), 0]
    assert (rows.min(), rows.max()) == pytest.approx((-0.6, 0.6), abs=0.04)
    assert 0 < widths[np.abs(clay.y[:, 0] + 0.55).argmin()] < 0.1


def test_melted_shapes_contain_both_and_fill_the_passage(clay):
    one, other = (ball(clay.x, clay.y, (x, 0), 0.3) for x in (-0.32, 0.32))
    both = melt(one, other, 0.2)
    assert (both <= np.minimum(one, other) + 1e-6).all()
    assert at(clay, both, 0, 0) < 0 < min(at(clay, one, 0, 0), at(clay, other, 0, 0))


def test_a_band_follows_the_border(clay):
    ring = band(ball(clay.x, clay.y, (0, 0), 0.5), 0.1)
    assert at(clay, ring, 0.5, 0) < 0 < at(clay, ring, 0, 0)


def test_tints_end_in_white_and_in_the_dark():
    assert tint(RED, 1).tolist() == [255, 255, 255]
    assert tint(RED, -1).max() < 50
    assert tint(RED, 0).tolist() == RED.tolist()


def test_parts_cover_each_other_and_the_rest_is_transparent(clay):
    clay.put(ball(clay.x, clay.y, (0, 0), 0.6), RED, depth=0)
    clay.put(ball(clay.x, clay.y, (0, 0), 0.3), BLUE, depth=0)
    pixels = np.asarray(clay.image())
    assert pixels[64, 64].tolist() == [30, 30, 220, 255]
    assert pixels[64, 64 + 30].tolist() == [220, 30, 30, 255]
    assert pixels[0, 0, 3] == 0


def test_a_part_is_outlined_marked_and_lit_from_the_upper_left(clay):
    disc = ball(clay.x, clay.y, (0, 0), 0.6)
    clay.put(disc, RED, marks=((ball(clay.x, clay.y, (0, 0), 0.2), BLUE),))
    pixels = np.asarray(clay.image()).astype(int)
    assert np.argmax(pixels[64, 64, :3]) == 2
    assert pixels[40, 40, :3].sum() > pixels[88, 88, :3].sum()
    border = at(clay, pixels, 0.608, 0)
    assert border[0] < 150
    assert border[3] > 200


def test_zoom_makes_everything_smaller_alike():
    shares = []
    for zoom in (1.0, 0.5):
        clay = Clay(128, zoom)
        clay.put(ball(clay.x, clay.y, (0, 0), 0.6), RED)
        shares.append((np.asarray(clay.image())[..., 3] > 0).mean())
    assert shares[1] == pytest.approx(shares[0] / 4, rel=0.05)
