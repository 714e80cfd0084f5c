"""Paths through the latent space: along a vector, between vectors, and to a given image."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image
from torch.nn import functional as F

from dcgan_utils.core import progress
from dcgan_utils.core.errors import WorkbookError, first_line
from dcgan_utils.core.files import ensure_dir, expand_path, warn_if_not_writable, write_gif
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.statistics import sharpness
from dcgan_utils.data.tensors import as_image, rms_difference, to_float
from dcgan_utils.gan.priors import Prior
from dcgan_utils.runs import sampling
from dcgan_utils.runs.run import Run

JUMP = 3  # times the mean step, from which on the largest step of a walk counts as a jump


def sample_endpoints(
    prior: Prior, noise_size: int, count: int, *, seed: int, file: str | Path | None = None
) -> torch.Tensor:
    """Return latent vectors that serve as the endpoints of walks.

    Parameters
    ----------
    prior
        The distribution from which they are drawn.
    noise_size, count
        Length of each vector, and their number.
    seed
        Of the draw.
    file
        JSON: a list of vectors, each a list of numbers, as the playground saves it. These come
        first; the rest are drawn.

    Returns
    -------
    torch.Tensor
        float32, shape ``(count, noise_size)``.

    Raises
    ------
    WorkbookError
        If the file cannot be read, or its vectors have another length.
    """
    drawn = prior.sample(count, noise_size, generator=stream(seed, "walk"))
    if file is None:
        return drawn
    path = expand_path(file)
    try:
        given = torch.tensor(json.loads(path.read_text(encoding="utf-8")), dtype=torch.float32)
    except (OSError, ValueError, TypeError, RuntimeError, RecursionError) as error:
        raise WorkbookError(
            f"the vectors in '{path}' cannot be read ({first_line(error)}): it should be JSON, a "
            "list of lists of numbers, as the playground saves it."
        ) from error
    if given.ndim != 2 or given.shape[1] != noise_size or not given.isfinite().all():
        raise WorkbookError(
            f"the vectors in '{path}' should be lists of {noise_size} numbers each, as this "
            f"generator takes them; they have the shape {tuple(given.shape)}."
        )
    return torch.cat([given, drawn])[:count]


def along(vector: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Return multiples of one latent vector, as in the second study.

    Parameters
    ----------
    vector
        Shape ``(noise_size,)``.
    factors
        Shape ``(n,)``; 0 is the origin, 1 the vector itself, -1 its opposite.

    Returns
    -------
    torch.Tensor
        Shape ``(n, noise_size)``.

    Notes
    -----
    Far from 1 the prior would not draw such vectors: with 100 independent coordinates, a vector
    almost never has half or twice the typical length.
    """
    return factors[:, None] * vector


def lerp(start: torch.Tensor, end: torch.Tensor, steps: int) -> torch.Tensor:
    """Return ``steps`` vectors on the straight line between two, endpoints included."""
    return torch.lerp(start, end, torch.linspace(0, 1, steps)[:, None])


def slerp(prior: Prior, start: torch.Tensor, end: torch.Tensor, steps: int) -> torch.Tensor:
    """Return vectors between two, all of which the prior could have drawn (prior-aware slerp).

    Halfway along a straight line the coordinates of two independent vectors average out: the
    vector is shorter, by a factor of about 0.7, than any that the generator was trained with.
    For N(0, 1) the remedy is spherical interpolation (White 2016, "Sampling generative
    networks", arXiv:1609.04468, section 2.1). Vectors of other priors are mapped to N(0, 1) by
    the quantiles of each coordinate, interpolated there, and mapped back.

    Parameters
    ----------
    prior
        The distribution from which both were drawn.
    start, end
        Shape ``(noise_size,)``.
    steps
        Number of vectors, endpoints included.

    Returns
    -------
    torch.Tensor
        Shape ``(steps, noise_size)``.

    Notes
    -----
    Discrete priors cannot be interpolated: with ``bernoulli`` the coordinates change their sign
    one by one.
    """
    one, other = prior.to_gaussian(torch.stack([start, end]))
    path = prior.from_gaussian(_great_circle(one, other, torch.linspace(0, 1, steps)[:, None]))
    path[0], path[-1] = start, end  # not rounded
    return path


def latent_grid(prior: Prior, corners: torch.Tensor, side: int) -> torch.Tensor:
    """Return a square grid of vectors, interpolated between its four corners.

    Parameters
    ----------
    prior
        The distribution from which the corners were drawn.
    corners
        Upper left, upper right, lower left and lower right, shape ``(4, noise_size)``.
    side
        Number of rows, and of columns.

    Returns
    -------
    torch.Tensor
        Shape ``(side * side, noise_size)``, row by row.
    """
    left = slerp(prior, corners[0], corners[2], side)
    right = slerp(prior, corners[1], corners[3], side)
    return torch.cat([slerp(prior, *ends, side) for ends in zip(left, right, strict=True)])


def _great_circle(one: torch.Tensor, other: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Interpolate on the arc between two vectors, whatever their lengths."""
    cosine = F.cosine_similarity(one, other, dim=0).clamp(-1, 1)
    angle = torch.acos(cosine)
    if angle.sin().abs() < 1e-4:  # parallel or opposite: there is no unique arc
        return torch.lerp(one, other, shares)
    return (torch.sin((1 - shares) * angle) * one + torch.sin(shares * angle) * other) / angle.sin()


def write_walk(path: Path, images: torch.Tensor) -> None:
    """Write the images of a walk ``(n, 3, H, W)`` as an animated GIF, forwards and backwards.

    If that is not possible, a warning is logged.
    """
    frames = walk_frames(images)
    with warn_if_not_writable():
        ensure_dir(path.parent)
        write_gif(path, frames)


def walk_frames(images: torch.Tensor, *, side: int = 256) -> list[Image.Image]:
    """Return the images of a walk as frames of an animation, enlarged, forwards and backwards."""
    stills = [as_image(image) for image in images]
    enlarged = [
        still.resize((side, side), Image.Resampling.LANCZOS).quantize(128) for still in stills
    ]
    return enlarged + enlarged[-2::-1]


# --- Where the prior draws its vectors ---


def typical_norms(prior: Prior, noise_size: int, *, seed: int) -> tuple[float, float, float]:
    """Return the distance of vectors from the prior's mean: 1 %, median and 99 % of 2,000 draws."""
    drawn = prior.sample(2000, noise_size, generator=stream(seed, "usual"))
    distances = (drawn - prior.mean).norm(dim=1)
    return tuple(distances.quantile(torch.tensor([0.01, 0.5, 0.99])).tolist())


def describe_typical_norms(prior: Prior, norms: tuple[float, float, float]) -> str:
    """Describe in Markdown which part of the walk `along` a vector the generator has seen.

    Parameters
    ----------
    norms
        From `typical_norms`.
    """
    low, median, high = norms
    mean = "the origin" if prior.mean == 0 else "the prior's mean"
    places = "near 1"
    if prior.mean == 0 and prior.skewness == 0:  # symmetric about the origin
        places += " and, since the prior is symmetric, near -1"
    return (
        f"98% of the vectors that the prior draws have **{low / median:.2f}** to "
        f"**{high / median:.2f}** times the median distance from {mean}. So on this walk the "
        f"generator was trained only {places}."
    )


def midpoint_norm_ratio(prior: Prior, path: torch.Tensor) -> float:
    """Return how far the middle of a path is from the prior's mean, relative to its endpoints."""
    distances = (path - prior.mean).norm(dim=1)
    return (distances[len(path) // 2] / distances[[0, -1]].mean()).item()


def describe_midpoints(prior: Prior, start: torch.Tensor, end: torch.Tensor) -> str:
    """Compare in Markdown the midpoints of `lerp` and `slerp` between two vectors."""
    straight, aware = (
        midpoint_norm_ratio(prior, path)
        for path in (lerp(start, end, 9), slerp(prior, start, end, 9))
    )
    return (
        f"At the midpoint of the first pair, lerp is **{straight:.2f}** times as far from the "
        f"prior's mean as the endpoints are on average, prior-aware slerp **{aware:.2f}** times."
    )


def describe_walks(walks: torch.Tensor) -> str:
    """Say in Markdown whether the images between two vectors stay sharp, and whether they jump.

    Parameters
    ----------
    walks
        uint8, shape ``(n, steps, 3, H, W)``: n walks of three images or more each.
    """
    steps = torch.tensor([[rms_difference(*pair) for pair in pairwise(walk)] for walk in walks])
    ends = sum(rms_difference(walk[0], walk[-1]) for walk in walks) / len(walks)
    if ends < 1:
        return "**Between two vectors** nothing changes: this generator draws one image."
    largest = (steps.amax(dim=1) / steps.mean(dim=1).clamp(min=1e-6)).mean().item()
    found = "the images change all the way" if largest < JUMP else "the images jump"
    text = (
        f"**Between two vectors** {found}: on average the largest step is {largest:.1f} times the "
        "mean step"
    )
    detail = [sharpness(walks[:, place]).mean() for place in (0, walks.shape[1] // 2, -1)]
    if (at_ends := (detail[0] + detail[2]) / 2) > 0:
        text += f", and halfway the fine detail is {detail[1] / at_ends:.0%} of that at the ends"
    return f"{text} (walks: {len(walks)})."


# --- To a given image ---


def project(
    run: Run,
    images: torch.Tensor,
    *,
    epoch: int | None = None,
    steps: int = 200,
    restarts: int = 8,
    seed: int = 0,
    device: str | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the latent vectors whose images come closest to given ones.

    Gradient descent (Adam) on the vector, from several draws of the prior at once; the closest
    result is kept. Source: Creswell and Bharath 2016, "Inverting the generator of a generative
    adversarial network", arXiv:1611.05644. The distance is the mean squared difference of the
    pixels, at full size and averaged over squares of 4 and of 16 pixels, which makes exact
    positions matter less.

    Parameters
    ----------
    run
        A run with a checkpoint.
    images
        uint8, shape ``(n, 3, H, W)``.
    epoch
        One of its `kept_epochs`; by default the last epoch.
    steps, restarts
        Number of steps, and of starting points for each image.
    seed
        Of the starting points.
    device
        Where the generator runs; by default the run's own device.

    Returns
    -------
    tuple of torch.Tensor
        Vectors ``(n, noise_size)``, and the RMSE (0-255) of their images, ``(n,)``.

    Notes
    -----
    The search ends in a local minimum, so an image that is not found may still exist. And the
    prior need not ever draw a vector that is found this way.
    """
    device = device or run.config.device
    generator, prior = sampling.load_generator(run, epoch=epoch, device=device), run.config.prior
    size = run.config.noise_size
    z = prior.sample(len(images) * restarts, size, generator=stream(seed, "project"), device=device)
    z.requires_grad_()
    target = to_float(images, device).repeat_interleave(restarts, dim=0)
    optimizer = torch.optim.Adam([z], lr=0.1 * prior.std, betas=(0.9, 0.9))
    for _ in progress.steps(range(steps), "steps of the search", of=steps):
        optimizer.zero_grad()
        _apart(generator(z), target).sum().backward()
        optimizer.step()
    with torch.no_grad():
        drawn = generator(z)
        best = _apart(drawn, target).view(len(images), restarts).argmin(dim=1)
        chosen = torch.arange(len(images), device=z.device) * restarts + best
        error = (drawn - target)[chosen].square().mean(dim=(1, 2, 3)).sqrt() * 127.5
    return z.detach()[chosen].cpu(), error.cpu()


def _apart(drawn: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return one distance per image, summed over three sizes."""
    difference = drawn - target
    sizes = [difference, F.avg_pool2d(difference, 4), F.avg_pool2d(difference, 16)]
    return sum(part.square().mean(dim=(1, 2, 3)) for part in sizes)


def describe_projection(
    prior: Prior, vectors: torch.Tensor, errors: torch.Tensor, norms: tuple[float, float, float]
) -> str:
    """Describe in Markdown what `project` found.

    Parameters
    ----------
    vectors, errors
        From `project`.
    norms
        From `typical_norms`.
    """
    _, median, high = norms
    distances = (vectors - prior.mean).norm(dim=1) / median
    return (
        f"On average the RMSE (0-255) is **{errors.mean():.0f}**. The vectors found are "
        f"{distances.min():.2f} to {distances.max():.2f} times the median distance from the "
        f"prior's mean; beyond {high / median:.2f} the generator was hardly ever trained."
    )
