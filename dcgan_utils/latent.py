"""From a trained run: new pictures, always from the prior that it was trained with."""

from __future__ import annotations

import torch
from torch import nn

from dcgan_utils import networks
from dcgan_utils.datasets import to_uint8
from dcgan_utils.errors import WorkbookError
from dcgan_utils.runs import Run
from dcgan_utils.seeds import stream

__all__ = ["load_generator", "sample"]


def load_generator(run: Run, *, device: str | None = None) -> nn.Module:
    """Return a run's generator with averaged (EMA) weights, in evaluation mode.

    Parameters
    ----------
    run
        A run with a checkpoint.
    device
        Where it is put; without one, where ``auto`` says.

    Raises
    ------
    WorkbookError
        If the run has no checkpoint yet, or it cannot be read.
    """
    state = run.load_checkpoint()
    if state is None:
        raise WorkbookError(f"the run '{run.name}' has no checkpoint yet; train it first.")
    config = run.config
    generator, _ = networks.build(
        config.architecture,
        noise_size=config.noise_size,
        img_size=config.img_size,
        width=config.width,
    )
    generator.load_state_dict(state["model"]["ema"])
    return generator.eval().requires_grad_(False).to(device or config.device)


@torch.no_grad()
def sample(run: Run, n: int, *, seed: int = 0, device: str | None = None) -> torch.Tensor:
    """Draw new pictures from a run: not those of its fixed noise, and none chosen.

    Parameters
    ----------
    run
        A run with a checkpoint.
    n
        Number of pictures.
    seed
        The same seed gives the same latent vectors.
    device
        Where they are drawn; without one, where ``auto`` says.

    Returns
    -------
    torch.Tensor
        uint8, shape ``(n, 3, H, W)``, on the CPU.

    Raises
    ------
    WorkbookError
        If the run has no checkpoint yet, or it cannot be read.
    """
    device = device or run.config.device
    generator = load_generator(run, device=device)
    z = run.config.prior.sample(
        n, run.config.noise_size, generator=stream(seed, "sample"), device=device
    )
    return torch.cat([to_uint8(generator(part)).cpu() for part in z.split(256)])
