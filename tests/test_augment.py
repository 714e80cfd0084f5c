import pytest
import torch

from dcgan_utils import augment
from dcgan_utils.seeds import stream


def pictures(n=8, side=32):
    return torch.rand(n, 3, side, side, generator=stream(0, "pictures")) * 2 - 1


def test_shape_stays_and_each_picture_is_changed_in_its_own_way():
    one = pictures(1).expand(8, -1, -1, -1)
    changed = augment.diffaugment(one, stream(0, "augment"))
    assert changed.shape == one.shape
    assert len({tuple(picture.flatten().tolist()) for picture in changed}) == 8


def test_one_seed_gives_one_change():
    one, same, other = (augment.diffaugment(pictures(), stream(s, "a")) for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_gradients_flow_back_to_the_pictures():
    images = pictures(64).requires_grad_()
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
    images = pictures(50)
    moved = augment._translate(images, stream(0, "augment"))
    centre = images[:, :, 16, 16]
    window = moved[:, :, 12:21, 12:21].flatten(2)
    assert (window == centre[:, :, None]).all(dim=1).any(dim=1).all()


def test_cutout_is_a_square_of_half_the_side():
    cut = augment._cutout(torch.ones(300, 3, 32, 32), stream(0, "augment"))
    holes = (cut == 0).all(dim=1).flatten(1).sum(dim=1)
    assert holes.max() == 16 * 16
    assert holes.min() >= 8 * 8  # its centre lies inside the picture


def test_colour_keeps_grey_grey():
    grey = pictures(6)[:, :1].expand(-1, 3, -1, -1)
    changed = augment._colour(grey, stream(0, "augment"))
    assert changed.std(dim=1).max() == pytest.approx(0, abs=1e-5)
    assert not torch.allclose(changed, grey, atol=0.01)
