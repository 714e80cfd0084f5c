"""The DCGAN training of the textbooks, with which `dcgan_utils.study.benchmark` compares ours.

It follows the PyTorch DCGAN tutorial
(https://docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial): float32, a `DataLoader` that
reads the image files in every epoch, sigmoid and `BCELoss`, and weight gradients of the
discriminator that are also computed in the generator's update. Unlike in the tutorial, the loading
processes persist between epochs: with small collections, starting new ones would dominate. The
architecture is that of `dcgan_utils.gan.networks`. Only the benchmark uses this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn, optim


def generator(*, noise_size: int, img_size: int, width: int) -> nn.Sequential:
    """Return the tutorial's generator: vectors ``(n, noise_size, 1, 1)`` to images."""
    channels = _channels(img_size, width)
    layers = [nn.ConvTranspose2d(noise_size, channels[0], 4, 1, 0, bias=False)]
    for before, after in pairwise(channels):
        layers += [nn.BatchNorm2d(before), nn.ReLU(True)]
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
    layers += [nn.BatchNorm2d(channels[-1]), nn.ReLU(True)]
    layers += [nn.ConvTranspose2d(channels[-1], 3, 4, 2, 1, bias=False), nn.Tanh()]
    return nn.Sequential(*layers)


def discriminator(*, img_size: int, width: int) -> nn.Sequential:
    """Return the tutorial's discriminator: images to probabilities ``(n, 1, 1, 1)``."""
    channels = _channels(img_size, width)[::-1]
    layers = [nn.Conv2d(3, channels[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True)]
    layers += [nn.Conv2d(channels[-1], 1, 4, 1, 0, bias=False), nn.Sigmoid()]
    return nn.Sequential(*layers)


def _channels(img_size: int, width: int) -> list[int]:
    """Return the channels at 4, 8, ... pixels: more at lower resolutions, up to 8 x ``width``."""
    steps = img_size.bit_length() - 3
    return [width * min(2**step, 8) for step in reversed(range(steps))]


class _Images(torch.utils.data.Dataset):
    """Image files that are read and scaled at each access."""

    def __init__(self, files: Sequence[Path], img_size: int):
        from torchvision import transforms

        self.files = files
        self.transform = transforms.Compose(
            [
                transforms.Resize(img_size),
                transforms.CenterCrop(img_size),
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        from torchvision.datasets.folder import default_loader

        return self.transform(default_loader(self.files[index]))


class Textbook:
    """The tutorial's training, one epoch at a time.

    Parameters
    ----------
    files
        Image files.
    img_size, width, noise_size, batch_size, device
        See `config.TrainConfig`.
    workers
        Number of processes that read the images; the tutorial uses 2.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        img_size: int,
        width: int,
        noise_size: int,
        batch_size: int,
        device: str = "cpu",
        workers: int = 2,
    ):
        self.device, self.noise_size = torch.device(device), noise_size
        self.loader = torch.utils.data.DataLoader(
            _Images(files, img_size),
            batch_size=batch_size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        self.netG = generator(noise_size=noise_size, img_size=img_size, width=width)
        self.netD = discriminator(img_size=img_size, width=width)
        for net in (self.netG, self.netD):
            net.apply(_weights_init).to(self.device)
        self.criterion = nn.BCELoss()
        self.optimizerD = optim.Adam(self.netD.parameters(), lr=0.0002, betas=(0.5, 0.999))
        self.optimizerG = optim.Adam(self.netG.parameters(), lr=0.0002, betas=(0.5, 0.999))

    def train_epoch(self) -> list[tuple[float, float]]:
        """Train on every image once; return the losses of D and G for each batch."""
        losses = []
        for data in self.loader:
            # Update D: maximise log(D(x)) + log(1 - D(G(z))), first on real images.
            self.netD.zero_grad()
            real = data.to(self.device)
            label = torch.full((len(real),), 1.0, device=self.device)
            errD_real = self.criterion(self.netD(real).view(-1), label)
            errD_real.backward()
            # Then on generated ones.
            noise = torch.randn(len(real), self.noise_size, 1, 1, device=self.device)
            fake = self.netG(noise)
            label.fill_(0.0)
            errD_fake = self.criterion(self.netD(fake.detach()).view(-1), label)
            errD_fake.backward()
            self.optimizerD.step()
            # Update G: maximise log(D(G(z))).
            self.netG.zero_grad()
            label.fill_(1.0)
            errG = self.criterion(self.netD(fake).view(-1), label)
            errG.backward()
            self.optimizerG.step()
            losses.append(((errD_real + errD_fake).item(), errG.item()))
        return losses


def _weights_init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.constant_(module.bias, 0)
