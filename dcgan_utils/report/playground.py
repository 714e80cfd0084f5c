"""Trained generators in one HTML page, which runs them in the browser.

The page contains each generator as transposed convolutions with BatchNorm folded in, except the
first BatchNorm, which the page can also compute as in training; and each prior as a table of its
quantiles. ``templates/playground-engine.js`` is the forward pass.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from markupsafe import Markup
from PIL import Image
from torch import nn

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import data_dir
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.sources import PAINTED
from dcgan_utils.data.statistics import share_of_collection
from dcgan_utils.data.tensors import make_grid, to_uint8
from dcgan_utils.gan import priors
from dcgan_utils.gan.convolutions import ResizeConv2d
from dcgan_utils.gan.priors import Prior
from dcgan_utils.plots.looks import prior_color
from dcgan_utils.report.site import TEMPLATES, Page, load_asset, write_page
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.sampling import collection_of, load_generator
from dcgan_utils.study.claims import arm_label, arm_of

OFFERED = (
    "normal, uniform, gamma, N(-1, 1), N(1, 1), N(0, 0.01), N(0, 100), standardized(gamma), "
    "laplace, exponential, student_t(3), bernoulli, sphere"
)
SCRIPTS = tuple(f"playground{name}.js" for name in ("-vectors", "-state", "-figures", "-image", ""))
BARS = 16  # that show a vector
REACH, STEPS = 5.0, 801  # the tables go from N(0, 1)'s -5 to 5, in so many values


@dataclass(frozen=True)
class Layer:
    """A transposed convolution, which ReLU follows, or tanh if it is the last.

    Attributes
    ----------
    weight : float32 array, shape (kernel, kernel, inputs, outputs)
    bias : float32 array, shape (outputs,), or (4, 4, outputs) of the first layer
    stride, padding, side : int
        ``side`` is that of the output, a square, in pixels.
    blurred : bool
        Whether the kernel is 3x3, and becomes one of 4x4 as in `ResizeConv2d.blurred`.
    """

    weight: np.ndarray
    bias: np.ndarray
    stride: int
    padding: int
    side: int
    blurred: bool = False


@dataclass(frozen=True)
class FirstNorm:
    """The BatchNorm after the first layer.

    Attributes
    ----------
    factor, summand, mean, variance : float32 arrays
        Of shape (channels,), or (4, 4, channels) where each unit is normalised alone. Mean and
        variance are the kept ones.
    """

    factor: np.ndarray
    summand: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


@torch.no_grad()
def as_convolutions(generator: nn.Module) -> tuple[list[Layer], FirstNorm | None]:
    """Return a generator in evaluation mode as transposed convolutions and its first BatchNorm.

    The other BatchNorms, with their kept statistics, are one factor and one summand per channel,
    which are folded into the convolutions before them.

    Parameters
    ----------
    generator
        One of `networks.ARCHITECTURES`, on the CPU. Where its first block has no BatchNorm, None
        is returned for it.
    """
    (first, *rest), *blocks = generator.blocks
    start, side = _first_layer(first), 4
    norms = [norm for norm in rest if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)]
    layers = [start]
    for up, *rest in blocks:
        blurred = isinstance(up, ResizeConv2d)
        stride, padding = (2, 1) if blurred else (up.stride[0], up.padding[0])
        kernel, beyond = (4, 0) if blurred else (up.kernel_size[0], up.output_padding[0])
        side = (side - 1) * stride - 2 * padding + kernel + beyond
        weight, bias = up.weight.permute(2, 3, 0, 1), up.weight.new_zeros(up.weight.shape[1])
        for norm in rest:
            if isinstance(norm, nn.BatchNorm2d):
                factor = norm.weight / (norm.running_var + norm.eps).sqrt()
                weight, bias = weight * factor, norm.bias - norm.running_mean * factor
        arrays = weight.contiguous().numpy(), bias.numpy()
        layers.append(Layer(*arrays, stride, padding, side, blurred))
    return layers, _kept(norms[0]) if norms else None


def _first_layer(module: nn.Module) -> Layer:
    if isinstance(module, nn.Linear):  # a transposed convolution of one pixel to 4x4
        weight = module.weight.unflatten(0, (-1, 4, 4)).permute(1, 2, 3, 0)
        bias = module.bias.unflatten(0, (-1, 4, 4)).permute(1, 2, 0)
    else:
        weight = module.weight.permute(2, 3, 0, 1)
        bias = weight.new_zeros(4, 4, weight.shape[-1])
    return Layer(weight.contiguous().numpy(), bias.contiguous().numpy(), 1, 0, 4)


def _kept(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> FirstNorm:
    values = [norm.weight, norm.bias, norm.running_mean, norm.running_var]
    if isinstance(norm, nn.BatchNorm1d):
        values = [part.unflatten(0, (-1, 4, 4)).permute(1, 2, 0).contiguous() for part in values]
    return FirstNorm(*(part.numpy() for part in values))


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
    runs: Sequence[Run],
    path: Path,
    *,
    epoch: int | None = None,
    epochs: int = 1,
    pages: Sequence[Page] = (),
) -> Path:
    """Write one page that contains the generators of some runs, and needs nothing else.

    Parameters
    ----------
    runs
        Each with a checkpoint, finished or not. A generator of width 32 at 64 px takes 2 MB, and
        half as much for each further epoch.
    path
        The HTML file.
    epoch
        The last epoch, one of the runs' `Run.kept_epochs`; by default that of the last checkpoint.
    epochs
        Number of epochs, the last among them; the others are kept epochs, in 8 bits.
    pages
        Of the site that it belongs to, for the menu.

    Raises
    ------
    WorkbookError
        If a run cannot be read or has not kept enough epochs, or the page cannot be written.
    """
    if not runs:
        raise WorkbookError("a playground needs at least one run.")
    shown = [_choose_epochs(run, epoch, epochs) for run in runs]
    own = [run.config.prior for run in runs]
    size = max(run.config.noise_size for run in runs)
    offered = dict.fromkeys([*priors.parse_list(OFFERED), *own])
    described = [_describe(run, which) for run, which in zip(runs, shown, strict=True)]
    earlier = [run.pop("earlier") for run in described]
    data = {
        "runs": described,
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
        earlier=earlier,  # the page draws before it has read them
        bytes=len(json.dumps([data, earlier])),
        kernel=base64.b64encode((TEMPLATES / "playground-kernel.wasm").read_bytes()).decode(),
        engine=load_asset("playground-engine.js"),
        drawing=load_asset("playground-draw.js"),
        script=Markup("\n").join(map(load_asset, SCRIPTS)),
    )


COVER = (0.1, 1.0, 10.0), (1.0, 2.0, 4.0)  # factors; means in standard deviations


@torch.no_grad()
def draw_cover(run: Run) -> bytes:
    """Return a JPEG of what the page shows: three vectors scaled, then moved.

    The columns are `COVER`. The first BatchNorm normalises by a batch of 64 vectors, as in
    training.
    """
    generator, prior = load_generator(run, device="cpu"), run.config.prior
    generator.blocks[0].train()
    z = prior.sample(64, run.config.noise_size, generator=stream(run.config.seed, "cover"))
    factors, means = COVER
    blocks = [[factor * z for factor in factors], [z + mean * prior.std for mean in means]]
    grids = [
        make_grid(torch.stack([to_uint8(generator(one))[:3] for one in block], 1).flatten(0, 1), 3)
        for block in blocks
    ]
    white = torch.full_like(grids[0][:, :16], 255)
    buffer = io.BytesIO()
    image = torch.cat([grids[0], white, grids[1]], dim=1)
    Image.fromarray(image.numpy()).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _choose_epochs(run: Run, last: int | None, count: int) -> list[int]:
    """Return so many epochs up to the last; early ones are nearer together, for they differ more.

    Raises
    ------
    WorkbookError
        If the run has not kept so many, or not the last.
    """
    if count < 1:
        raise WorkbookError(f"epochs must be at least 1, not {count}.")
    if last is None:
        last, _ = run.latest_weights()
    else:
        run.require_weights(last)
    before = [epoch for epoch in run.kept_epochs() if epoch < last]
    if len(before) < count - 1:
        raise WorkbookError(
            f"'{run.name}' has kept the weights of {len(before) + 1} epochs up to epoch {last}: "
            f"show at most so many, not {count}, or train it longer."
        )
    if count == 1:
        return [last]
    chosen = []
    for goal in np.geomspace(before[0], last, count)[:-1]:
        left = [epoch for epoch in before if epoch not in chosen]
        chosen.append(min(left, key=lambda epoch: abs(np.log(epoch / goal))))
    return [*sorted(chosen), last]


def _describe(run: Run, epochs: Sequence[int]) -> dict[str, Any]:
    config, prior = run.config, run.config.prior
    networks = [as_convolutions(_load(run, epoch)) for epoch in epochs]
    layers, norm = networks[-1]
    return {
        "name": run.name,
        "collection": run.about["data"]["name"],
        "prior": str(prior),
        "label": arm_label(arm_of(config.noise, config.first_norm)),
        "architecture": config.architecture,
        "norm": config.first_norm if norm else None,
        "normed": norm.mean.size if norm else 0,
        "width": config.width,
        "epochs": list(epochs),
        "mean": prior.mean,
        "std": prior.std,
        "seed": config.seed,
        "noiseSize": config.noise_size,
        "side": config.img_size,
        "ink": prior_color(prior),
        "layers": [_shape(layer) for layer in layers],
        "state": _state(run, layers, norm, bits=12),
        "earlier": [_state(run, *network, bits=8) for network in networks[:-1]],
        "directions": _directions(layers[0], norm),
        **_describe_real(run),
    }


def _load(run: Run, epoch: int) -> nn.Module:
    """Return a kept epoch's generator, or the checkpoint's, whose epoch need not be kept."""
    kept = epoch if epoch in run.kept_epochs() else None
    return load_generator(run, epoch=kept, device="cpu")


def _describe_real(run: Run) -> dict[str, Any]:
    """Return what the page needs of the real images, as far as it may have them.

    These are the share of variance between them, and sixteen images as one WebP if they were
    painted by this package: others are not passed on.
    """
    try:
        collection = collection_of(run)
    except WorkbookError:
        return {"realShare": None, "real": None}
    images, real = collection.images, None
    if collection.source in [data_dir() / name for name in PAINTED]:
        chosen = images[:: max(1, len(images) // 16)][:16]
        sprite = Image.fromarray(make_grid(chosen, 4, gap=0).numpy())
        sprite.thumbnail((512, 512))  # the page shows them small; some 40 kB
        buffer = io.BytesIO()
        sprite.save(buffer, "WEBP", quality=60)
        real = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    share = share_of_collection(images)
    return {"realShare": share if share > 0 else None, "real": real}


def _state(
    run: Run, layers: Sequence[Layer], norm: FirstNorm | None, *, bits: int
) -> dict[str, Any]:
    """Return the numbers of one epoch: weights in 12 or 8 bits, the rest in 32."""
    first, *others = layers
    codes = []
    rest = [norm.factor, norm.summand, norm.mean, norm.variance] if norm else []
    for layer in (_standardize(run.config.prior, first), *others):
        code, unit = _encode(layer.weight, bits)
        codes.append(code.ravel())
        rest += [unit, layer.bias]
    numbers = np.concatenate([part.ravel() for part in rest])
    if not np.isfinite(numbers).all():
        raise WorkbookError(f"weights of '{run.name}' are not finite numbers; it cannot draw.")
    return {"bits": bits, "weights": _zip(np.concatenate(codes)), "rest": _zip(numbers)}


def _encode(weight: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a weight as integers, multiples of one unit per output channel, and these units."""
    most = 2 ** (bits - 1) - 1
    units = np.maximum(abs(weight).max(axis=(0, 1, 2)) / most, np.finfo(np.float32).tiny)
    with np.errstate(invalid="ignore"):  # what is not finite is refused with the units
        return np.rint(weight / units).astype(np.int8 if bits == 8 else np.int16), units


def _standardize(prior: Prior, first: Layer) -> Layer:
    """Change the first layer to take standardized vectors: a mean would multiply its rounding."""
    pattern = prior.mean * first.weight.sum(axis=2)  # what a mean adds, at each of 4x4 positions
    return replace(first, weight=prior.std * first.weight, bias=first.bias + pattern)


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
        "blurred": layer.blurred,
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


def _zip(numbers: np.ndarray) -> str:
    return base64.b64encode(gzip.compress(numbers.tobytes(), mtime=0)).decode()


def _directions(first: Layer, norm: FirstNorm | None) -> str | None:
    """Return the orthonormal directions of a vector that change the first block's output most.

    There are as many as bars on the page; None if the vector itself has no more numbers.
    """
    columns = np.moveaxis(first.weight, 2, 0)
    if len(columns) <= BARS:
        return None
    if norm:
        columns = columns * norm.factor / np.sqrt(norm.variance)
    matrix = columns.reshape(len(columns), -1)
    _, vectors = np.linalg.eigh(matrix @ matrix.T)  # the eigenvalues ascend
    return _pack(vectors.T[::-1][:BARS].astype(np.float32))
