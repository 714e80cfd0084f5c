"""Ways through the latent space: along a vector, between vectors, over a sheet, to an image."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch.nn import functional as F

from dcgan_utils.core.errors import WorkbookError, first_line
from dcgan_utils.core.files import expand_path
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.tensors import as_image, to_float
from dcgan_utils.gan.priors import Prior
from dcgan_utils.runs import sampling
from dcgan_utils.runs.run import Run


def sample_endpoints(
    prior: Prior, noise_size: int, count: int, *, seed: int, file: str | Path | None = None
) -> torch.Tensor:
    """Return the latent vectors from which walks begin.

    Parameters
    ----------
    prior
        They are drawn from it.
    noise_size, count
        Length of each, and how many.
    seed
        Of the draw.
    file
        JSON: a list of vectors, each a list of numbers, as the playground saves it. These come
        first; what is missing is drawn.

    Returns
    -------
    torch.Tensor
        float32, shape ``(count, noise_size)``.

    Raises
    ------
    WorkbookError
        If the file cannot be read, or its vectors are of another length.
    """
    drawn = prior.sample(count, noise_size, generator=stream(seed, "walk"))
    if file is None:
        return drawn
    path = expand_path(file)
    try:
        given = torch.tensor(json.loads(path.read_text(encoding="utf-8")), dtype=torch.float32)
    except (OSError, ValueError, TypeError, RuntimeError, RecursionError) as error:
        raise WorkbookError(
            f"the vectors in '{path}' cannot be read ({first_line(error)}): it should be JSON, a list "
            "of lists of numbers, as the playground saves it."
        ) from error
    if given.ndim != 2 or given.shape[1] != noise_size or not given.isfinite().all():
        raise WorkbookError(
            f"the vectors in '{path}' should be lists of {noise_size} numbers each, as this "
            f"generator takes them; they have the shape {tuple(given.shape)}."
        )
    return torch.cat([given, drawn])[:count]


def along(vector: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Return multiples of one latent vector: the second study's walk.

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
    Far from 1 the vectors are no longer such as the prior draws: a vector of 100 independent
    coordinates almost never has half or twice the usual length.
    """
    return factors[:, None] * vector


def lerp(start: torch.Tensor, end: torch.Tensor, steps: int) -> torch.Tensor:
    """Return ``steps`` vectors on the straight line between two, both ends included."""
    return torch.lerp(start, end, torch.linspace(0, 1, steps)[:, None])


def slerp(prior: Prior, start: torch.Tensor, end: torch.Tensor, steps: int) -> torch.Tensor:
    """Return vectors between two that could all have been drawn from the prior.

    Halfway on a straight line the coordinates of two independent vectors average out: the
    vector is shorter by a factor of about 0.7 than any that the generator was trained with.
    For N(0, 1) the way round at constant length is spherical interpolation (White 2016,
    "Sampling generative networks", arXiv:1609.04468, section 2.1). Other priors are mapped to
    N(0, 1) coordinate by coordinate through their quantiles, led round there, and mapped back.

    Parameters
    ----------
    prior
        What the two were drawn from.
    start, end
        Shape ``(noise_size,)``.
    steps
        How many vectors, both ends included.

    Returns
    -------
    torch.Tensor
        Shape ``(steps, noise_size)``.

    Notes
    -----
    Coins have no halfway: with ``bernoulli`` the coordinates turn over one by one.
    """
    one, other = prior.to_gaussian(torch.stack([start, end]))
    way = prior.from_gaussian(_great_circle(one, other, torch.linspace(0, 1, steps)[:, None]))
    way[0], way[-1] = start, end  # not rounded
    return way


def latent_grid(prior: Prior, corners: torch.Tensor, side: int) -> torch.Tensor:
    """Return a sheet of vectors spread between four.

    Parameters
    ----------
    prior
        What the four were drawn from.
    corners
        Upper left, upper right, lower left and lower right, shape ``(4, noise_size)``.
    side
        Vectors in a row, and rows.

    Returns
    -------
    torch.Tensor
        Shape ``(side * side, noise_size)``, row by row.
    """
    left = slerp(prior, corners[0], corners[2], side)
    right = slerp(prior, corners[1], corners[3], side)
    return torch.cat([slerp(prior, *ends, side) for ends in zip(left, right, strict=True)])


def typical_norms(prior: Prior, noise_size: int, *, seed: int) -> tuple[float, float, float]:
    """Return how far vectors lie from the prior's mean: 1 %, median and 99 % of 2,000 drawn."""
    drawn = prior.sample(2000, noise_size, generator=stream(seed, "usual"))
    distances = (drawn - prior.mean).norm(dim=1)
    return tuple(distances.quantile(torch.tensor([0.01, 0.5, 0.99])).tolist())


def midpoint_norm_ratio(prior: Prior, way: torch.Tensor) -> float:
    """Return how far the middle of a way is from the prior's mean, in terms of its start."""
    distances = (way - prior.mean).norm(dim=1)
    return (distances[len(way) // 2] / distances[0]).item()


def _great_circle(one: torch.Tensor, other: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Interpolate on the arc between two vectors, whatever their lengths."""
    cosine = F.cosine_similarity(one, other, dim=0).clamp(-1, 1)
    angle = torch.acos(cosine)
    if angle.sin().abs() < 1e-4:  # the same way, or opposite ways: there is no one arc
        return torch.lerp(one, other, shares)
    return (torch.sin((1 - shares) * angle) * one + torch.sin(shares * angle) * other) / angle.sin()


def walk_frames(images: torch.Tensor, *, side: int = 256) -> list[Image.Image]:
    """Return the images of a walk as frames of an animation: there and back, enlarged."""
    stills = [as_image(image) for image in images]
    enlarged = [
        still.resize((side, side), Image.Resampling.LANCZOS).quantize(128) for still in stills
    ]
    return enlarged + enlarged[-2::-1]


def project(
    run: Run,
    images: torch.Tensor,
    *,
    epoch: int | None = None,
    steps: int = 200,
    restarts: int = 8,
    seed: int = 0,
    device: str | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Look for the latent vectors whose images come nearest to given ones.

    Gradient descent (Adam) on the vector, from several draws of the prior at once; the nearest
    one in the end is kept. (Descent on the vector is Creswell and Bharath's way, 2016, "Inverting
    the generator of a generative adversarial network", arXiv:1611.05644.) The distance is the mean
    squared difference of the pixels, at full size and averaged over squares of 4 and of 16: places
    matter less that way.

    Parameters
    ----------
    run
        A run with a checkpoint.
    images
        uint8, shape ``(n, 3, H, W)``.
    epoch
        One of its `kept_epochs`; without it, where the training stands.
    steps, restarts
        How many steps from how many starts.
    seed
        Of the starts.
    device
        Where the generator runs; without one, where ``auto`` says.
    on_step
        Called with the number of steps done, and of all.

    Returns
    -------
    tuple of torch.Tensor
        Vectors ``(n, noise_size)`` and their root mean squared distance in levels, ``(n,)``.

    Notes
    -----
    An image that is not found may still be there: the search ends in the nearest valley. And
    a vector found this way need not be one that the prior would ever draw.
    """
    device = device or run.config.device
    generator, prior = sampling.load_generator(run, epoch=epoch, device=device), run.config.prior
    size = run.config.noise_size
    z = prior.sample(len(images) * restarts, size, generator=stream(seed, "project"), device=device)
    z.requires_grad_()
    target = to_float(images, device).repeat_interleave(restarts, dim=0)
    optimizer = torch.optim.Adam([z], lr=0.1 * prior.std, betas=(0.9, 0.9))
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        _apart(generator(z), target).sum().backward()
        optimizer.step()
        if on_step is not None:
            on_step(step, steps)
    with torch.no_grad():
        drawn = generator(z)
        best = _apart(drawn, target).view(len(images), restarts).argmin(dim=1)
        chosen = torch.arange(len(images), device=z.device) * restarts + best
        error = (drawn - target)[chosen].square().mean(dim=(1, 2, 3)).sqrt() * 127.5
    return z.detach()[chosen].cpu(), error.cpu()


def _apart(drawn: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return one distance an image, over three sizes."""
    difference = drawn - target
    sizes = [difference, F.avg_pool2d(difference, 4), F.avg_pool2d(difference, 16)]
    return sum(part.square().mean(dim=(1, 2, 3)) for part in sizes)
