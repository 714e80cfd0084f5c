"""The noise priors: distributions of the latent vectors, and their specs as text.

A *spec* is ``gamma``, ``gamma(2, 1)``, ``normal(mean=1, std=1)``, ``standardized(gamma(2, 1))``, or
the mathematical notation of papers: ``N(0, 100)``, where the second number is the **variance** (in
``normal(0, 10)`` it is the standard deviation). `parse` turns a spec into a `Prior`, and
``str(prior)`` returns the spec.
"""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from dcgan_utils.core.errors import WorkbookError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import ArrayLike


def _number(value: float) -> str:
    """Format a number so that it parses to the same float, without a trailing ``.0``."""
    return repr(float(value)).removesuffix(".0")


class Prior:
    """A distribution of independent, identically distributed latent coordinates.

    Subclasses are frozen dataclasses whose fields are the parameters. They define `_moments`,
    `_draw` and `_scipy`.
    """

    name: ClassVar[str]
    symbol: ClassVar[str]  # in mathematical notation, without the parameters
    discrete: ClassVar[bool] = False

    def _moments(self) -> tuple[float, float, float]:
        """Return the exact mean, standard deviation and skewness of one coordinate.

        They are formulas because every config check needs them and SciPy takes a second to import.
        """
        raise NotImplementedError

    @property
    def mean(self) -> float:
        """Exact mean of one coordinate."""
        return self._moments()[0]

    @property
    def std(self) -> float:
        """Exact standard deviation of one coordinate."""
        return self._moments()[1]

    @property
    def skewness(self) -> float:
        """Exact skewness of one coordinate; NaN where it is undefined."""
        return self._moments()[2]

    @property
    def ratio(self) -> float:
        """``|mean| / std``, which the generator's first BatchNorm cannot cancel."""
        return abs(self.mean) / self.std

    @property
    def parameters(self) -> tuple[float, ...]:
        """The parameters in the order of the spec."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        """Return the spec, which `parse` turns into an equal prior."""
        if not self.parameters:
            return self.name
        return f"{self.name}({', '.join(_number(value) for value in self.parameters)})"

    @property
    def label(self) -> str:
        """Mathematical notation for figures, such as ``N(0, 100)`` (mean and variance)."""
        return f"{self.symbol}({', '.join(f'{value:.6g}' for value in self.parameters)})"

    def describe(self) -> str:
        """Describe the moments, and what they mean for a generator, in Markdown."""
        skewness = "undefined" if math.isnan(self.skewness) else f"{self.skewness:.3g}"
        return (
            f"**{self.label}** has mean {self.mean:.3g}, standard deviation {self.std:.3g} and "
            f"skewness {skewness}. The ratio |mean| / std is **{self.ratio:.2f}**. The BatchNorm "
            "after the first layer of the generators `dcgan` and `resize` cancels the scale of the "
            "noise, but not its mean, unless it normalises each unit by itself (`first_norm`); "
            "`pokemon` has no BatchNorm there. A mean is the same for every image, so it makes "
            "images more alike, and training adds to that."
        )

    @property
    def slug(self) -> str:
        """A name for files: ``gamma`` for the default parameters, else such as ``gamma_3_1``."""
        if self.name in PRIORS and self == PRIORS[self.name]():
            return self.name
        return re.sub(r"[^\w.+-]+", "_", str(self)).strip("_")

    def sample(
        self,
        n: int,
        noise_size: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> torch.Tensor:
        """Draw latent vectors.

        Parameters
        ----------
        generator
            Random numbers are drawn on its device (without one, on the CPU) and then moved, so the
            same seed gives the same vectors on every ``device``.
        device
            Of the result.

        Returns
        -------
        torch.Tensor
            float32, shape ``(n, noise_size)``.
        """
        import torch

        source = generator.device if generator is not None else "cpu"
        z = self._draw(torch.empty(n, noise_size, device=source), generator)
        return z.to(device) if device is not None else z

    def _draw(self, z: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """Return samples in the shape of ``z``, which may be overwritten."""
        raise NotImplementedError

    def density(self, x: ArrayLike, *, noise_size: int = 100) -> np.ndarray:
        """Return the probability density of one coordinate at ``x``.

        A discrete prior returns probabilities. Only :class:`Sphere` depends on ``noise_size``.
        """
        import numpy as np
        from scipy import stats  # slow to import, and only needed for figures

        return self._scipy(stats, noise_size).pdf(np.asarray(x, dtype=float))

    def to_gaussian(self, z: torch.Tensor) -> torch.Tensor:
        """Return the normal scores of latent vectors ``(n, noise_size)``.

        This is the probability integral transform: the prior's distribution function maps each
        coordinate to [0, 1], and the quantile function of N(0, 1) maps it to a normal score.
        `from_gaussian` is the inverse.
        """
        import torch
        from scipy import stats

        u = self._scipy(stats, z.shape[1]).cdf(z.cpu().double().numpy())
        return torch.special.ndtri(torch.from_numpy(u.clip(1e-12, 1 - 1e-12))).float()

    def from_gaussian(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the latent vectors of normal scores; the inverse of `to_gaussian`.

        Parameters
        ----------
        scores
            Shape ``(n, noise_size)``, from `to_gaussian` or drawn from N(0, 1).

        Returns
        -------
        torch.Tensor
            float32, same shape, on the CPU.
        """
        import torch
        from scipy import stats

        u = torch.special.ndtr(scores.cpu().double()).numpy()
        return torch.from_numpy(self._scipy(stats, scores.shape[1]).ppf(u)).float()

    def _scipy(self, stats, noise_size: int):
        """Return the frozen ``scipy.stats`` distribution of one coordinate."""
        raise NotImplementedError


def _invalid(prior: Prior, reason: str) -> WorkbookError:
    return WorkbookError(f"noise '{prior}': {reason}.")


@dataclass(frozen=True)
class Uniform(Prior):
    """Uniform between ``low`` and ``high``; the first study's U(-1, 1)."""

    low: float = -1.0
    high: float = 1.0
    name: ClassVar[str] = "uniform"
    symbol: ClassVar[str] = "U"

    def __post_init__(self):
        if not self.low < self.high:
            raise _invalid(self, "low must be smaller than high")

    def _moments(self):
        return (self.low + self.high) / 2, (self.high - self.low) / math.sqrt(12), 0.0

    def _draw(self, z, generator):
        return z.uniform_(self.low, self.high, generator=generator)

    def _scipy(self, stats, noise_size):
        return stats.uniform(self.low, self.high - self.low)


@dataclass(frozen=True)
class Normal(Prior):
    """Normal with ``mean`` and standard deviation ``std``; the label shows the variance."""

    mean: float = 0.0
    std: float = 1.0
    name: ClassVar[str] = "normal"
    symbol: ClassVar[str] = "N"

    def __post_init__(self):
        if not self.std > 0:
            raise _invalid(self, "the standard deviation must be positive")

    @property
    def label(self) -> str:
        """``N(mean, variance)``."""
        return f"N({self.mean:.6g}, {self.std**2:.6g})"

    def _moments(self):
        return self.mean, self.std, 0.0

    def _draw(self, z, generator):
        return z.normal_(self.mean, self.std, generator=generator)

    def _scipy(self, stats, noise_size):
        return stats.norm(self.mean, self.std)


@dataclass(frozen=True)
class Gamma(Prior):
    """Gamma with ``shape`` and ``scale``; the first study's Gamma(2, 1)."""

    shape: float = 2.0
    scale: float = 1.0
    name: ClassVar[str] = "gamma"
    symbol: ClassVar[str] = "Gamma"

    def __post_init__(self):
        if not (self.shape > 0 and self.scale > 0):
            raise _invalid(self, "shape and scale must be positive")

    def _moments(self):
        root = math.sqrt(self.shape)
        return self.shape * self.scale, root * self.scale, 2 / root

    def _draw(self, z, generator):
        return _standard_gamma(z, self.shape, generator) * self.scale

    def _scipy(self, stats, noise_size):
        return stats.gamma(self.shape, scale=self.scale)


def _standard_gamma(like: torch.Tensor, shape: float, generator) -> torch.Tensor:
    import torch

    # torch.distributions.Gamma has no generator argument; this is the function that it calls.
    return torch._standard_gamma(torch.full_like(like, shape), generator=generator)


@dataclass(frozen=True)
class Exponential(Prior):
    """Exponential; ``scale`` is both its mean and its standard deviation."""

    scale: float = 1.0
    name: ClassVar[str] = "exponential"
    symbol: ClassVar[str] = "Exponential"

    def __post_init__(self):
        if not self.scale > 0:
            raise _invalid(self, "the scale must be positive")

    def _moments(self):
        return self.scale, self.scale, 2.0

    def _draw(self, z, generator):
        return z.exponential_(1 / self.scale, generator=generator)

    def _scipy(self, stats, noise_size):
        return stats.expon(scale=self.scale)


@dataclass(frozen=True)
class Laplace(Prior):
    """Laplace (two-sided exponential) with ``mean`` and ``scale``."""

    mean: float = 0.0
    scale: float = 1.0
    name: ClassVar[str] = "laplace"
    symbol: ClassVar[str] = "Laplace"

    def __post_init__(self):
        if not self.scale > 0:
            raise _invalid(self, "the scale must be positive")

    def _moments(self):
        return self.mean, math.sqrt(2) * self.scale, 0.0

    def _draw(self, z, generator):
        # The difference of two independent exponentials has a Laplace distribution.
        first = z.exponential_(generator=generator)
        second = z.new_empty(z.shape).exponential_(generator=generator)
        return self.mean + self.scale * (first - second)

    def _scipy(self, stats, noise_size):
        return stats.laplace(self.mean, self.scale)


@dataclass(frozen=True)
class StudentT(Prior):
    """Student's t with ``df`` degrees of freedom: heavy tails.

    For ``df`` of 3 or less the skewness is undefined (NaN).
    """

    df: float = 3.0
    name: ClassVar[str] = "student_t"
    symbol: ClassVar[str] = "t"

    def __post_init__(self):
        if not self.df > 2:
            raise _invalid(self, "df must be greater than 2, or the variance is infinite")

    def _moments(self):
        return 0.0, math.sqrt(self.df / (self.df - 2)), 0.0 if self.df > 3 else math.nan

    def _draw(self, z, generator):
        chi2 = 2 * _standard_gamma(z, self.df / 2, generator)
        return z.normal_(generator=generator) * (self.df / chi2).sqrt()

    def _scipy(self, stats, noise_size):
        return stats.t(self.df)


@dataclass(frozen=True)
class Bernoulli(Prior):
    """+-1 Bernoulli: +1 with probability ``p``, else -1 (Rademacher for ``p`` = 1/2)."""

    p: float = 0.5
    name: ClassVar[str] = "bernoulli"
    symbol: ClassVar[str] = "Bernoulli"
    discrete: ClassVar[bool] = True

    def __post_init__(self):
        if not 0 < self.p < 1:
            raise _invalid(self, "p must lie between 0 and 1")

    def _moments(self):
        root = math.sqrt(self.p * (1 - self.p))
        return 2 * self.p - 1, 2 * root, (1 - 2 * self.p) / root

    def _draw(self, z, generator):
        return 2 * z.bernoulli_(self.p, generator=generator) - 1

    def density(self, x, *, noise_size=100):
        """Return the probability of each value in ``x``."""
        import numpy as np

        x = np.asarray(x, dtype=float)
        return np.where(x == 1, self.p, np.where(x == -1, 1 - self.p, 0.0))

    def to_gaussian(self, z):
        """Return normal scores, spread evenly over the quantiles that belong to each value."""
        import torch

        n, size = z.shape
        steps = torch.arange(n)[:, None] * 2**0.5 + torch.arange(size)[None] * 5**0.5 / 2
        spread = (steps.double() % 1).clip(1e-6, 1 - 1e-6)  # irrational steps fill [0, 1] evenly
        q = 1 - self.p
        return torch.special.ndtri(
            torch.where(z.cpu() > 0, q + self.p * spread, q * spread)
        ).float()

    def from_gaussian(self, scores):
        """Return +1 for scores above the quantile ``1 - p`` of N(0, 1), else -1."""
        import torch

        threshold = torch.special.ndtri(torch.tensor(1 - self.p, dtype=torch.double))
        return torch.where(scores.cpu() > threshold, 1.0, -1.0)


@dataclass(frozen=True)
class Sphere(Prior):
    """Uniform on the sphere of radius ``sqrt(noise_size)``, so each coordinate has variance 1.

    The coordinates are uncorrelated but, unlike those of the other priors, not independent.
    """

    name: ClassVar[str] = "sphere"
    symbol: ClassVar[str] = "Sphere"

    @property
    def label(self) -> str:
        """The name alone: there are no parameters."""
        return self.symbol

    def _moments(self):
        return 0.0, 1.0, 0.0

    def _draw(self, z, generator):
        return self.from_gaussian(z.normal_(generator=generator))

    def to_gaussian(self, z):
        """Return the vectors unchanged: they are nearly normal, and rescaling is the inverse."""
        return z.float().cpu()

    def from_gaussian(self, scores):
        """Return the scores, rescaled to the sphere."""
        from torch.nn.functional import normalize

        return math.sqrt(scores.shape[1]) * normalize(scores, dim=1)

    def density(self, x, *, noise_size=100):
        """Return the density at ``x``; NaN for ``noise_size`` 1, where each vector is +1 or -1."""
        import numpy as np

        if noise_size == 1:
            return np.full(np.shape(x), np.nan)
        return super().density(x, noise_size=noise_size)

    def _scipy(self, stats, noise_size):
        radius, shape = math.sqrt(noise_size), (noise_size - 1) / 2
        return stats.beta(shape, shape, loc=-radius, scale=2 * radius)


@dataclass(frozen=True)
class Standardized(Prior):
    """Another prior, shifted and scaled to mean 0 and variance 1."""

    inner: Prior
    name: ClassVar[str] = "standardized"

    def __str__(self) -> str:
        """Return the spec."""
        return f"{self.name}({self.inner})"

    @property
    def label(self) -> str:
        """``standardized`` and the label of the inner prior."""
        return f"standardized {self.inner.label}"

    @property
    def discrete(self) -> bool:
        """Whether the inner prior is discrete."""
        return self.inner.discrete

    def _moments(self):
        return 0.0, 1.0, self.inner.skewness

    def _draw(self, z, generator):
        return (self.inner._draw(z, generator) - self.inner.mean) / self.inner.std

    def to_gaussian(self, z):
        """Return the normal scores of the inner prior's vectors."""
        return self.inner.to_gaussian(z * self.inner.std + self.inner.mean)

    def from_gaussian(self, scores):
        """Return the inner prior's vectors, standardized."""
        return (self.inner.from_gaussian(scores) - self.inner.mean) / self.inner.std

    def density(self, x, *, noise_size=100):
        """Return the density (for a discrete prior the probability) at ``x``."""
        import numpy as np

        inner_x = np.asarray(x, dtype=float) * self.inner.std + self.inner.mean
        if self.discrete:
            return self.inner.density(np.round(inner_x, 9), noise_size=noise_size)
        return self.inner.density(inner_x, noise_size=noise_size) * self.inner.std


_FAMILIES = (Uniform, Normal, Gamma, Exponential, Laplace, StudentT, Bernoulli, Sphere)
PRIORS: dict[str, type[Prior]] = {family.name: family for family in _FAMILIES}


def catalogue() -> str:
    """Return all priors, with the names and defaults of their parameters, as one line."""
    signatures = []
    for name, family in PRIORS.items():
        defaults = ", ".join(f"{f.name}={_number(f.default)}" for f in fields(family))
        signatures.append(f"{name}({defaults})" if defaults else name)
    return ", ".join([*signatures, "standardized(...)"])


# --- Specs ---


_SYMBOLS = {family.symbol: family for family in PRIORS.values()}  # case-sensitive

_HUGE = 1e30  # float32 ends at 3e38, and tails reach far beyond the standard deviation

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_CALL = re.compile(r"\s*(\w+)\s*(?:\((.*)\))?\s*", re.DOTALL)


def parse(spec: str) -> Prior:
    """Parse a spec; ``parse(str(prior)) == prior`` for every prior.

    Parameters
    ----------
    spec
        ``gamma``, ``gamma(2, 1)``, ``gamma(shape=2, scale=1)``, ``standardized(gamma)``, or
        mathematical notation: ``U(-1, 1)``, ``N(0, 100)`` (mean and variance), ``Gamma(2, 1)``.

    Raises
    ------
    WorkbookError
        If the spec is invalid; the message lists the available priors or the parameters.
    """
    match = _CALL.fullmatch(str(spec))
    if match is None:
        raise WorkbookError(f"noise '{spec}' cannot be read. Write one of: {catalogue()}.")
    word, inside = match[1], match[2]
    if word.lower() == Standardized.name:
        return _parse_standardized(spec, inside)
    family = _SYMBOLS.get(word) or PRIORS.get(word.lower())
    if family is None:
        near = did_you_mean(word.lower(), [*PRIORS, Standardized.name])
        raise WorkbookError(f"noise '{spec}' is not known.{near} Available: {catalogue()}.")
    if word == Normal.symbol:
        prior = _parse_mathematical_normal(spec, inside)
    else:
        names = list(inspect.signature(family).parameters)
        prior = family(**_arguments(spec, family.name, names, inside))
    if not (abs(prior.mean) < _HUGE and 1 / _HUGE < prior.std < _HUGE):
        raise WorkbookError(f"noise '{spec}': its parameters are too large or small for float32.")
    return prior


def _parse_mathematical_normal(spec: str, inside: str | None) -> Normal:
    arguments = _arguments(spec, Normal.symbol, ["mean", "variance"], inside)
    variance = arguments.get("variance", 1.0)
    if not variance > 0:
        raise WorkbookError(f"noise '{spec}': the variance must be positive.")
    return Normal(arguments.get("mean", 0.0), math.sqrt(variance))


def _parse_standardized(spec: str, inside: str | None) -> Standardized:
    if not inside or Standardized.name in inside.lower():
        raise WorkbookError(
            f"noise '{spec}': standardized takes one other prior: write standardized(gamma)."
        )
    return Standardized(parse(inside))


def _arguments(spec: str, word: str, names: list[str], inside: str | None) -> dict[str, float]:
    """Return the numbers between the parentheses, by parameter name."""
    usage = f"{word}({', '.join(names)})" if names else word
    pieces = inside.split(",") if inside and inside.strip() else []
    if len(pieces) > len(names):
        raise WorkbookError(f"noise '{spec}' has too many parameters: write {usage}.")
    arguments: dict[str, float] = {}
    for position, piece in enumerate(pieces):
        key, equals, text = (part.strip() for part in piece.rpartition("="))
        key = key if equals else names[position]
        if key not in names or key in arguments:
            raise WorkbookError(f"noise '{spec}': '{key}' does not fit here: write {usage}.")
        if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
            raise WorkbookError(f"noise '{spec}': '{text}' is not a number: write {usage}.")
        arguments[key] = float(text)
    return arguments


def parse_list(specs: str) -> list[Prior]:
    """Parse several specs separated by commas, such as ``"uniform, normal(0, 1), gamma"``.

    Raises
    ------
    WorkbookError
        If a spec is invalid, if a prior occurs twice, or if there is none.
    """
    pieces = [piece for piece in re.split(r",(?![^()]*\))", specs) if piece.strip()]
    if not pieces:
        raise WorkbookError(f"no noise is named: write one or several of {catalogue()}.")
    priors = [parse(piece) for piece in pieces]
    for prior in priors:
        if priors.count(prior) > 1:
            raise WorkbookError(f"the noise '{prior}' is named twice.")
    return priors
