"""The noise as text: a prior is written as its *spec*, and read from it.

``gamma``, ``gamma(2, 1)``, ``normal(mean=1, std=1)``, ``standardized(gamma(2, 1))``; or in
mathematical notation as papers print it: ``N(0, 100)``, where the second number is the **variance**
(in ``normal(0, 10)`` it is the standard deviation). :func:`parse` turns a spec into a
:class:`priors.Prior`; ``str(prior)`` gives the spec back.
"""

from __future__ import annotations

import inspect
import math
import re

from dcgan_utils.core.errors import WorkbookError, did_you_mean
from dcgan_utils.gan.priors import PRIORS, Normal, Prior, Standardized, catalogue

__all__ = ["parse", "parse_list"]

_SYMBOLS = {family.symbol: family for family in PRIORS.values()}  # read with exactly this case

_HUGE = 1e30  # float32 ends at 3e38, and a tail reaches beyond the deviation

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_CALL = re.compile(r"\s*(\w+)\s*(?:\((.*)\))?\s*", re.DOTALL)


def parse(spec: str) -> Prior:
    """Read a spec.

    Parameters
    ----------
    spec
        ``gamma``, ``gamma(2, 1)``, ``gamma(shape=2, scale=1)``, ``standardized(gamma)``, or
        mathematical notation ``U(-1, 1)``, ``N(0, 100)`` (mean and variance), ``Gamma(2, 1)``.

    Returns
    -------
    Prior
        ``parse(str(prior)) == prior`` for every prior.

    Raises
    ------
    WorkbookError
        If the spec is not understood; the message names what exists and the nearest name.
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
        raise WorkbookError(f"noise '{spec}' is not known.{near} There are: {catalogue()}.")
    if word == Normal.symbol:
        prior = _parse_mathematical_normal(spec, inside)
    else:
        names = list(inspect.signature(family).parameters)
        prior = family(**_arguments(spec, family.name, names, inside))
    if not (abs(prior.mean) < _HUGE and 1 / _HUGE < prior.std < _HUGE):
        raise WorkbookError(f"noise '{spec}': its numbers are too large or small for float32.")
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
            f"noise '{spec}': standardized takes one other prior, such as standardized(gamma)."
        )
    return Standardized(parse(inside))


def _arguments(spec: str, word: str, names: list[str], inside: str | None) -> dict[str, float]:
    """Return the numbers between the parentheses by parameter name."""
    usage = f"{word}({', '.join(names)})" if names else word
    pieces = inside.split(",") if inside and inside.strip() else []
    if len(pieces) > len(names):
        raise WorkbookError(f"noise '{spec}' has too many parameters: it is {usage}.")
    arguments: dict[str, float] = {}
    for position, piece in enumerate(pieces):
        key, equals, text = (part.strip() for part in piece.rpartition("="))
        key = key if equals else names[position]
        if key not in names or key in arguments:
            raise WorkbookError(f"noise '{spec}': '{key}' does not fit here: it is {usage}.")
        if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
            raise WorkbookError(f"noise '{spec}': '{text}' is not a number: it is {usage}.")
        arguments[key] = float(text)
    return arguments


def parse_list(specs: str) -> list[Prior]:
    """Read several specs separated by commas, such as ``"uniform, normal(0, 1), gamma"``.

    Raises
    ------
    WorkbookError
        If one is not understood, if one occurs twice, or if there is none.
    """
    pieces = [piece for piece in re.split(r",(?![^()]*\))", specs) if piece.strip()]
    if not pieces:
        raise WorkbookError(f"no noise is named. Write one or several of: {catalogue()}.")
    priors = [parse(piece) for piece in pieces]
    for prior in priors:
        if priors.count(prior) > 1:
            raise WorkbookError(f"the noise '{prior}' is named twice.")
    return priors
