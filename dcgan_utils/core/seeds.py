"""Independent random streams from one seed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def stream(seed: int, purpose: str) -> torch.Generator:
    """Return a CPU generator for one purpose, such as ``"init"`` or ``"noise"``.

    Streams of different purposes are independent. So two runs with the same seed and
    different priors start from the same weights and see the images in the same order. After
    some hundred updates little is left of that: see the pilot in ``reports/noise-study``.
    """
    import torch

    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


def seed32(seed: int) -> int:
    """Reduce a seed of up to 64 bits to 32, the limit of NumPy's legacy generators."""
    return seed % 2**32
