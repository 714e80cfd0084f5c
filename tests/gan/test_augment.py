import math

import pytest
import torch

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.gan import augment


def reals(n=8, side=32):
    return torch.rand(n, 3, side, side, generator=stream(0, "images")) * 2 - 1


def test_shape_stays_and_each_image_is_changed_in_its_own_way():
    one = reals(1).expand(8, -1, -1, -1)
    changed = augment.diffaugment(one, stream(0, "augment"))
    assert changed.shape == one.shape
    assert len({tuple(image.flatten().tolist()) for image in changed}) == 8


def test_one_seed_gives_one_change():
    one, same, other = (augment.diffaugment(reals(), stream(s, "a")) for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_gradients_flow_back_to_the_images():
    images = reals(64).requires_grad_()
    augment.diffaugment(images, stream(0, "augment")).sum().backward()
    assert images.grad.abs().flatten(1).sum(1).gt(0).all()


def test_translation_moves_by_at_most_an_eighth_and_fills_with_grey():
    images = torch.ones(200, 3, 32, 32)
    moved = augment._translate(images, stream(0, "augment"))
    filled = (moved == 0).all(dim=1)
    rows, columns = filled.all(dim=2).sum(dim=1), filled.all(dim=1).sum(dim=1)
    assert rows.max() == 4
    assert columns.max() == 4
    assert rows.min() == 0


def test_translation_moves_the_content():
    images = reals(50)
    moved = augment._translate(images, stream(0, "augment"))
    centre = images[:, :, 16, 16]
    window = moved[:, :, 12:21, 12:21].flatten(2)
    assert (window == centre[:, :, None]).all(dim=1).any(dim=1).all()


def test_cutout_is_a_square_of_half_the_side():
    cut = augment._cutout(torch.ones(300, 3, 32, 32), stream(0, "augment"))
    holes = (cut == 0).all(dim=1).flatten(1).sum(dim=1)
    assert holes.max() == 16 * 16
    assert holes.min() >= 8 * 8  # its centre lies inside the image


def test_colour_keeps_grey_grey():
    grey = reals(6)[:, :1].expand(-1, 3, -1, -1)
    changed = augment._colour(grey, stream(0, "augment"))
    assert changed.std(dim=1).max() == pytest.approx(0, abs=1e-5)
    assert not torch.allclose(changed, grey, atol=0.01)


# --- Probability ---------------------------------------------------------------------------


def test_a_probability_of_zero_changes_nothing_and_one_changes_all():
    images = reals(100)
    same = augment.augment_inputs("ada", images, stream(0, "a"), probability=0.0)
    changed = augment.augment_inputs("ada", images, stream(0, "a"), probability=1.0)
    assert torch.equal(same, images)
    assert (changed != images).flatten(1).any(dim=1).all()


def test_each_kind_of_change_has_the_probability():
    images = reals(1).expand(3000, -1, -1, -1)
    changed = augment.ada_transform(images, stream(0, "a"), probability=0.3)
    untouched = (changed == images).flatten(1).all(dim=1).float().mean().item()
    # A translation by nothing both ways happens once in 81.
    assert untouched == pytest.approx(0.7 * (0.7 + 0.3 / 81), abs=0.03)


def test_adaptive_shifts_reflect_the_border():
    ramp = torch.linspace(-1, 1, 32)[None, None, None].expand(200, 3, 32, 32)
    shifted = augment._translate(ramp, stream(0, "a"), border="reflect")
    steps = (shifted[..., 1:] - shifted[..., :-1]).abs()
    assert steps.max().item() == pytest.approx(2 / 31, abs=1e-5)
    assert not torch.equal(shifted[..., 0], ramp[..., 0])


@pytest.mark.parametrize(
    ("share_right", "start", "end"), [(1.0, 0.5, 0.52), (0.0, 0.5, 0.48), (0.7, 0.5, 0.48)]
)
def test_ada_moves_by_the_share_of_the_batch_in_its_span(share_right, start, end):
    logits = torch.where(torch.arange(1000) < 1000 * share_right, 2.0, -1.0)
    assert augment.update_probability(start, logits, balance=0.0) == pytest.approx(end)


def test_ada_stays_a_probability_and_counts_from_the_balance():
    sure = torch.full((5000,), 3.0)
    assert augment.update_probability(0.99, sure, balance=0.0) == 1.0
    assert augment.update_probability(0.01, -sure, balance=0.0) == 0.0
    assert augment.update_probability(0.5, sure, balance=4.0) < 0.5


# --- The second study's layers -------------------------------------------------------------


def disc(side=64):
    """Return an image that differs between left and right, black on white."""
    middle = torch.arange(side) - side / 2 + 0.5
    ring = torch.hypot(middle[:, None], middle[None]) < side / 3
    left = ring & (middle[None] < 0)
    return 1 - 2 * left.float().expand(3, -1, -1)


def test_random_layers_toss_a_coin_for_each_change():
    images = disc().expand(2000, -1, -1, -1)
    changed = augment.random_layers(images, stream(0, "a"))
    same = (changed - images).abs().flatten(1).amax(dim=1) < 1e-4
    assert same.float().mean().item() == pytest.approx(1 / 8, abs=0.025)


def test_mirroring_is_from_left_to_right():
    images = disc().expand(500, -1, -1, -1)
    changed = augment.random_layers(images, stream(0, "a"))
    dark_right = (changed[..., 40:] < 0).flatten(1).any(dim=1)
    mirrored = (changed - images.flip(3)).abs().flatten(1).amax(dim=1) < 1e-4
    assert mirrored.any()
    assert dark_right.float().mean().item() > 0.35


def test_rotations_and_zooms_keep_within_the_studys_factors():
    images = disc().expand(3000, -1, -1, -1)
    changed = augment.random_layers(images, stream(0, "a"))
    middle = torch.arange(64) - 31.5
    weight = (1 - changed[:, 0]).clamp(0, 2) / 2
    area = weight.sum(dim=(1, 2)) / ((1 - images[0, 0]) / 2).sum()
    assert area.min().item() == pytest.approx(1 / 1.1**2, abs=0.02)
    assert area.max().item() == pytest.approx(1 / 0.9**2, abs=0.02)
    x, y = (weight * middle[None]).sum((1, 2)), (weight * middle[:, None]).sum((1, 2))
    angles = torch.atan2(y, x.abs())  # of the half disc's centre, mirrored or not
    assert angles.max().item() == pytest.approx(0.2 * math.pi, abs=0.02)
    assert angles.min().item() == pytest.approx(-0.2 * math.pi, abs=0.02)


def test_what_comes_into_view_continues_the_border():
    changed = augment.random_layers(disc().expand(300, -1, -1, -1), stream(0, "a"))
    assert changed[:, :, [0, -1]].min().item() == pytest.approx(1)
    assert changed[..., [0, -1]].min().item() == pytest.approx(1)


@pytest.mark.parametrize("policy", augment.POLICIES[:-1])
def test_every_policy_keeps_the_shape_and_lets_gradients_through(policy):
    images = reals(16).requires_grad_()
    changed = augment.augment_inputs(policy, images, stream(0, "a"), probability=0.5)
    assert changed.shape == images.shape
    changed.square().sum().backward()
    assert images.grad.isfinite().all()
    assert images.grad.flatten(1).abs().sum(dim=1).gt(0).all()


def test_auto_has_to_be_settled_before():
    with pytest.raises(WorkbookError, match="for_collection"):
        augment.augment_inputs("auto", reals(), stream(0, "a"))


@pytest.mark.parametrize("policy", ["none", "pil"])
def test_some_policies_change_nothing_inside(policy):
    images = reals()
    assert augment.augment_inputs(policy, images, stream(0, "a")) is images


# --- The ranges, from many draws ------------------------------------------------------------


def assert_uniform(values, low, high):
    """Check both ends, and that all between is as likely."""
    reach = high - low
    assert low - 1e-4 <= values.min().item() <= low + 0.01 * reach
    assert high - 0.01 * reach <= values.max().item() <= high + 1e-4
    assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.02 * reach)
    assert values.std().item() == pytest.approx(reach / math.sqrt(12), rel=0.04)


def test_brightness_saturation_and_contrast_have_the_ranges_of_diffaugment():
    greys, hues = torch.tensor([-0.2, 0.2]), torch.tensor([0.1, 0.0, -0.1])
    images = (greys[None, None, :] + hues[:, None, None]).expand(5000, 3, 1, 2)
    changed = augment._colour(images, stream(0, "augment"))
    grey = changed.mean(dim=(1, 2))
    brightness, contrast = grey.mean(dim=1), (grey[:, 1] - grey[:, 0]) / 0.4
    saturation = (changed[:, 0] - changed[:, 2]).mean(dim=(1, 2)) / 0.2 / contrast
    assert_uniform(brightness, -0.5, 0.5)
    assert_uniform(saturation, 0, 2)
    assert_uniform(contrast, 0.5, 1.5)
    correlations = torch.corrcoef(torch.stack([brightness, saturation, contrast]))
    assert (correlations - torch.eye(3)).abs().max() < 0.05


@pytest.mark.parametrize("border", ["constant", "reflect"])
@pytest.mark.parametrize("side", [32, 64])
def test_shifts_reach_an_eighth_both_ways_on_both_axes(side, border):
    images = torch.zeros(1500, 1, side, side)
    images[..., side // 2, side // 2] = 1
    moved = augment._translate(images, stream(0, "augment"), border=border)
    _, _, rows, columns = moved.nonzero(as_tuple=True)
    assert len(rows) == 1500
    reach = side // 8
    every = set(range(-reach, reach + 1))
    assert set((rows - side // 2).tolist()) == set((columns - side // 2).tolist()) == every
    assert torch.corrcoef(torch.stack([rows, columns]).float())[0, 1].abs() < 0.1


@pytest.mark.parametrize("side", [16, 32])
def test_cut_outs_have_half_the_side_and_their_centre_anywhere(side):
    kept = augment._cutout(torch.ones(2000, 1, side, side), stream(0, "augment"))[:, 0]
    places, half = torch.arange(side), side // 4
    squares = {(max(0, c - half), min(side - 1, c + half - 1)) for c in range(side)}
    for axis in (1, 2):
        cut = (kept == 0).any(dim=axis)
        first = torch.where(cut, places, side).amin(dim=1)
        last = torch.where(cut, places, -1).amax(dim=1)
        assert set(zip(first.tolist(), last.tolist(), strict=True)) == squares
        assert torch.equal(cut.sum(dim=1), last - first + 1)
    areas = (kept == 0).any(dim=1).sum(dim=1) * (kept == 0).any(dim=2).sum(dim=1)
    assert torch.equal(areas, (kept == 0).sum(dim=(1, 2)))


def test_diffaugment_shifts_between_colour_and_cut_out():
    changed = augment.diffaugment(torch.full((400, 3, 32, 32), 0.9), stream(0, "augment"))
    grey = (changed == 0).all(dim=1)
    assert grey[:, 0].all(dim=1).any(), "a shift leaves mid-grey, whatever the brightness"
    assert grey.flatten(1).sum(dim=1).max() > 16 * 16


def test_rotations_zooms_and_mirrorings_have_the_studys_ranges():
    # An image of its own coordinates shows where each pixel was taken from.
    middle = (torch.arange(8) - 3.5) / 4
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    images = torch.stack([x, y, x + y]).expand(4000, -1, -1, -1)
    changed = augment.random_layers(images, stream(0, "a"))[:, :2].double()
    across = (changed[:, :, 4, 4] - changed[:, :, 4, 3]) * 4
    down = (changed[:, :, 4, 4] - changed[:, :, 3, 4]) * 4
    scale = down.norm(dim=1)
    assert torch.allclose(across.norm(dim=1), scale, atol=1e-5)
    assert (across * down).sum(dim=1).abs().max() < 1e-5
    angle = torch.atan2(-down[:, 0], down[:, 1])
    mirrored = across[:, 0] * down[:, 1] < across[:, 1] * down[:, 0]
    turned, zoomed = angle.abs() > 1e-5, (scale - 1).abs() > 1e-5
    assert_uniform(angle[turned], -0.2 * math.pi, 0.2 * math.pi)
    assert_uniform(scale[zoomed], 0.9, 1.1)
    for coin in (mirrored, turned, zoomed):
        assert coin.double().mean().item() == pytest.approx(0.5, abs=0.025)
    which = 4 * mirrored + 2 * turned + zoomed
    assert which.bincount(minlength=8).div(4000).tolist() == pytest.approx([1 / 8] * 8, abs=0.025)
    coordinates = torch.stack([angle[turned & zoomed], scale[turned & zoomed]])
    assert torch.corrcoef(coordinates)[0, 1].abs() < 0.1


def test_ada_changes_colour_and_place_each_with_its_own_toss():
    images = reals(1, 16).expand(4000, -1, -1, -1)
    changed = augment.ada_transform(images, stream(0, "a"), probability=0.3)
    coloured = ~torch.isin(changed[..., 8, 8], images[0].unique()).all(dim=1)
    untouched = (changed == images).flatten(1).all(dim=1)
    assert coloured.float().mean().item() == pytest.approx(0.3, abs=0.025)
    # A shift by nothing both ways happens once in 25.
    shifted = ~untouched & ~coloured
    assert shifted.float().mean().item() == pytest.approx(0.7 * 0.3 * 24 / 25, abs=0.025)


def test_ada_lets_no_grey_border_into_view():
    plain = torch.full((200, 3, 16, 16), 0.9)
    changed = augment.ada_transform(plain, stream(0, "a"), probability=1.0)
    assert changed.flatten(1).std(dim=1).max() < 1e-5


@pytest.mark.parametrize(
    ("right_of_1000", "rises"), [(0, False), (790, False), (799, False), (801, True), (1000, True)]
)
def test_ada_aims_at_a_mean_sign_of_0_6(right_of_1000, rises):
    logits = torch.where(torch.arange(1000) < right_of_1000, 0.1, -3.0)
    assert (augment.update_probability(0.5, logits, balance=0.0) > 0.5) == rises


@pytest.mark.parametrize("batch", [1, 16, 128])
def test_ada_needs_50_000_images_from_0_to_1(batch):
    logits = torch.ones(batch)
    assert augment.update_probability(0.2, logits, balance=0.0) - 0.2 == pytest.approx(
        batch / 50_000
    )
    assert augment.update_probability(0.2, -logits, balance=0.0) - 0.2 == pytest.approx(
        -batch / 50_000
    )


def test_verdicts_at_the_balance_do_not_count_as_right():
    assert augment.update_probability(0.5, torch.full((8,), -0.25), balance=-0.25) < 0.5


@pytest.mark.parametrize(
    ("count", "policy"),
    [
        (1, "diffaugment"),
        (1999, "diffaugment"),
        (2000, "ada"),
        (20_000, "ada"),
        (20_001, "none"),
    ],
)
def test_auto_changes_at_2_000_and_20_000_images(count, policy):
    assert augment.resolve_policy("auto", count) == policy
    assert augment.resolve_policy("pil", count) == "pil"


@pytest.mark.parametrize(
    ("policy", "times"),
    [("none", 1), ("pil", 6), ("layers", 1), ("both", 6), ("diffaugment", 1), ("ada", 1)],
)
def test_only_copies_make_an_epoch_longer(policy, times):
    assert augment.views_per_image(policy) == times


def test_ada_does_not_rise_at_a_mean_sign_of_exactly_0_6():
    four_of_five = torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0])
    assert augment.update_probability(0.5, four_of_five, balance=0.0) < 0.5
