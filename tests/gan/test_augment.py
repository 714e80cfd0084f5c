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
