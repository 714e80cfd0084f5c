"""Trained generators in one HTML page, which runs them in the browser.

The page contains each generator as transposed convolutions with BatchNorm folded in, its weights
in half precision, and each prior as a table of its quantiles; ``templates/playground-engine.js``
is the forward pass.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from markupsafe import Markup
from torch import nn

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.gan import priors
from dcgan_utils.gan.convolutions import ResizeConv2d
from dcgan_utils.gan.priors import Prior
from dcgan_utils.plots.style import palette
from dcgan_utils.report.site import Page, load_asset, write_page
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.sampling import load_generator
from dcgan_utils.study.claims import arm_label, arm_of

OFFERED = (
    "normal, uniform, gamma, N(-1, 1), N(1, 1), N(0, 0.01), N(0, 100), standardized(gamma), "
    "laplace, exponential, student_t(3), bernoulli, sphere"
)
SCRIPTS = tuple(
    f"playground{name}.js" for name in ("-vectors", "-state", "-draw", "-figures", "-image", "")
)
REACH, STEPS = 5.0, 801  # the tables go from N(0, 1)'s -5 to 5, in so many values


@dataclass(frozen=True)
class Layer:
    """A transposed convolution, and what follows it.

    Attributes
    ----------
    weight : float32 array, shape (kernel, kernel, inputs, outputs)
    bias : float32 array, shape (outputs,), or (4, 4, outputs) where each position has its own
    stride, padding, side : int
        ``side`` is that of the output, a square, in pixels.
    activation : str
        ``"relu"`` or ``"tanh"``.
    """

    weight: np.ndarray
    bias: np.ndarray
    stride: int
    padding: int
    side: int
    activation: str


@torch.no_grad()
def fold_batchnorm(generator: nn.Module) -> list[Layer]:
    """Return a generator in evaluation mode as nothing but transposed convolutions.

    BatchNorm with its running statistics is one factor and one summand per channel, or per unit,
    which are folded into the convolution before it.

    Parameters
    ----------
    generator
        One of `networks.ARCHITECTURES`, on the CPU.
    """
    layers, side = [], 1
    for first, *rest in generator.blocks:
        weight, bias, stride, padding, side = _as_convolution(first, side)
        for norm in rest:
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                factor, summand = _factor_and_summand(norm)
                weight = weight * (factor if factor.ndim == 1 else factor[:, :, None])
                bias = bias * factor + summand
        activation = "tanh" if isinstance(rest[-1], nn.Tanh) else "relu"
        arrays = weight.contiguous().numpy(), bias.contiguous().numpy()
        layers.append(Layer(*arrays, stride, padding, side, activation))
    return layers


def _factor_and_summand(
    norm: nn.BatchNorm1d | nn.BatchNorm2d,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what BatchNorm multiplies and adds: per channel, or ``(4, 4, channels)`` per unit."""
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    summand = norm.bias - norm.running_mean * factor
    if isinstance(norm, nn.BatchNorm2d):
        return factor, summand
    # Each place of a 4x4 feature map is one place of the kernel, since the input has one pixel.
    return tuple(part.unflatten(0, (-1, 4, 4)).permute(1, 2, 0) for part in (factor, summand))


def _as_convolution(
    module: nn.Module, side: int
) -> tuple[torch.Tensor, torch.Tensor, int, int, int]:
    """Return weight ``(k, k, in, out)``, bias, stride, padding, and the side of the output."""
    if isinstance(module, nn.Linear):  # a transposed convolution of one pixel to 4x4
        weight = module.weight.unflatten(0, (-1, 4, 4)).permute(1, 2, 3, 0)
        return weight, module.bias.unflatten(0, (-1, 4, 4)).permute(1, 2, 0), 1, 0, 4
    if isinstance(module, ResizeConv2d):
        weight, stride, padding, beyond = module.blurred(), 2, 1, 0
    else:
        weight, (stride, _), (padding, _) = module.weight, module.stride, module.padding
        beyond = module.output_padding[0]
    kernel = weight.shape[2]
    after = (side - 1) * stride - 2 * padding + kernel + beyond
    return weight.permute(2, 3, 0, 1), weight.new_zeros(weight.shape[1]), stride, padding, after


def quantiles(prior: Prior, *, noise_size: int) -> np.ndarray:
    """Return the values of a prior at the quantiles of N(0, 1) from -5 to 5, standardized.

    Parameters
    ----------
    prior
        Its mean is subtracted, and its standard deviation divided out. For the sphere the values
        are those of N(0, 1), since the page scales whole vectors to it.
    noise_size
        Length of the vectors.

    Returns
    -------
    numpy.ndarray
        float32, shape ``(801,)``, never decreasing.
    """
    scores = torch.linspace(-REACH, REACH, STEPS, dtype=torch.float64)
    if _is_sphere(prior):
        return scores.float().numpy()
    values = prior.from_gaussian(scores[:, None].expand(-1, noise_size))[:, 0]
    return ((values - prior.mean) / prior.std).float().numpy()


def _is_sphere(prior: Prior) -> bool:
    return "sphere" in str(prior)


def write_playground(
    runs: Sequence[Run], path: Path, *, epoch: int | None = None, pages: Sequence[Page] = ()
) -> Path:
    """Write one page that contains the generators of some runs, and needs nothing else.

    Parameters
    ----------
    runs
        Each with a checkpoint, finished or not. A generator of width 32 at 64 px takes 3 MB.
    path
        The HTML file.
    epoch
        One of the runs' `Run.kept_epochs`; by default the last checkpoint.
    pages
        Of the site that it belongs to, for the menu.

    Raises
    ------
    WorkbookError
        If a run cannot be read, or the page cannot be written.
    """
    if not runs:
        raise WorkbookError("a playground needs at least one run.")
    own = [run.config.prior for run in runs]
    size = max(run.config.noise_size for run in runs)
    offered = dict.fromkeys([*priors.parse_list(OFFERED), *own])
    inks = palette(len(runs))
    data = {
        "runs": [_describe(run, ink, epoch) for run, ink in zip(runs, inks, strict=True)],
        "priors": [_table(prior, size) for prior in offered],
        "reach": REACH,
    }
    collections = dict.fromkeys(run.about["data"]["name"] for run in runs)
    return write_page(
        path,
        "playground.html.j2",
        title=f"{', '.join(collections)}: play with the noise",
        pages=pages,
        data=data,
        bytes=len(json.dumps(data)),
        engine=load_asset("playground-engine.js"),
        script=Markup("\n").join(map(load_asset, SCRIPTS)),
    )


def _describe(run: Run, ink: str, epoch: int | None) -> dict[str, Any]:
    config, prior = run.config, run.config.prior
    layers = _standardize(prior, fold_batchnorm(load_generator(run, epoch=epoch, device="cpu")))
    numbers = np.concatenate([part.ravel() for layer in layers for part in _parts(layer)])
    with np.errstate(over="ignore"):
        halves = numbers.astype(np.float16)
    if not np.isfinite(halves).all():
        raise WorkbookError(f"the weights of '{run.name}' are too large for 16 bits.")
    return {
        "name": run.name,
        "collection": run.about["data"]["name"],
        "prior": str(prior),
        "label": arm_label(arm_of(config.noise, config.first_norm)),
        "architecture": config.architecture,
        "pools": config.architecture != "pokemon" and config.first_norm == "channel",
        "width": config.width,
        "epochs": epoch or len(run.history()),
        "mean": prior.mean,
        "std": prior.std,
        "seed": config.seed,
        "noiseSize": config.noise_size,
        "side": config.img_size,
        "ink": ink,
        "layers": [_shape(layer) for layer in layers],
        "numbers": _pack(halves),
    }


def _standardize(prior: Prior, layers: list[Layer]) -> list[Layer]:
    """Change the first layer to take standardized vectors, so that any scale fits 16 bits."""
    first, *others = layers
    pattern = prior.mean * first.weight.sum(axis=2)  # what a mean adds, at each of 4x4 positions
    return [replace(first, weight=prior.std * first.weight, bias=first.bias + pattern), *others]


def _parts(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    return layer.weight, layer.bias


def _shape(layer: Layer) -> dict[str, Any]:
    kernel, _, before, after = layer.weight.shape
    return {
        "kernel": kernel,
        "before": before,
        "after": after,
        "stride": layer.stride,
        "padding": layer.padding,
        "side": layer.side,
        "biases": layer.bias.size,
        "activation": layer.activation,
    }


def _table(prior: Prior, noise_size: int) -> dict[str, Any]:
    return {
        "spec": str(prior),
        "label": prior.label,
        "mean": prior.mean,
        "std": prior.std,
        "discrete": prior.discrete,
        "sphere": _is_sphere(prior),
        "quantiles": _pack(quantiles(prior, noise_size=noise_size)),
    }


def _pack(numbers: np.ndarray) -> str:
    return base64.b64encode(numbers.tobytes()).decode()
