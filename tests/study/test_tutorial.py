import pytest
import torch

from dcgan_utils.gan import networks
from dcgan_utils.study import tutorial


@pytest.mark.parametrize("img_size", networks.IMG_SIZES)
def test_the_networks_are_ours_as_the_tutorial_writes_them(img_size):
    sizes = {"noise_size": 6, "img_size": img_size, "width": 2}
    ours = networks.build_networks("dcgan", **sizes)
    theirs = tutorial.generator(**sizes), tutorial.discriminator(img_size=img_size, width=2)
    for one, other in zip(ours, theirs, strict=True):
        shapes = [tuple(p.shape) for p in one.parameters()]
        assert shapes == [tuple(p.shape) for p in other.parameters()]
        with torch.no_grad():
            for mine, plain in zip(one.parameters(), other.parameters(), strict=True):
                plain.copy_(mine)
    z = torch.randn(3, 6)
    images = theirs[0](z[:, :, None, None])
    assert torch.allclose(images, ours[0](z), atol=1e-5)
    verdicts = theirs[1](images).flatten()
    assert torch.allclose(verdicts, ours[1](images).sigmoid(), atol=1e-5)


def test_an_epoch_shows_every_file_once_and_trains_both(image_folder):
    files = sorted(image_folder.iterdir())
    book = tutorial.Textbook(files, img_size=32, width=4, noise_size=8, batch_size=4, workers=0)
    shown = []
    book.loader.dataset.files = Listed(files, shown)
    before = [p.clone() for net in (book.netG, book.netD) for p in net.parameters()]
    losses = book.train_epoch()
    assert len(losses) == 3
    assert sorted(shown) == files
    after = [p for net in (book.netG, book.netD) for p in net.parameters()]
    assert not any(torch.equal(*pair) for pair in zip(before, after, strict=True))


class Listed(list):
    """A list that notes what is taken from it."""

    def __init__(self, items, taken):
        super().__init__(items)
        self.taken = taken

    def __getitem__(self, index):
        item = super().__getitem__(index)
        self.taken.append(item)
        return item
