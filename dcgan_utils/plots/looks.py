"""The look of a prior: the same in every figure of every report.

The family has the colour, and the mark tells the rest: its shape |mean| / std and the sign of the
mean, its filling the scale. A solid line has a mean of 0. Colours are at least three times as light
or dark as a page, by day and by night.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.gan.priors import Prior, Standardized, parse
from dcgan_utils.plots.style import INK, palette

REAL = "real"  # what images of the collection are called among names of priors
_COLORS = {
    "normal": "#0072b2",
    "uniform": "#0ca354",
    "gamma": "#d55e00",
    "exponential": "#ad6680",
    "laplace": "#8a7000",
    "student_t": "#9050f0",
    "bernoulli": "#9c5a3c",
    "sphere": "#5a7f8c",
}
_SHIFTED = {"normal": "#8a5cc7", "uniform": "#7f8a1e"}  # of families with means that are 0 and not


def prior_color(prior: Prior | str) -> str:
    """Return the colour of a prior's family, and of a mean that is not 0, as ``#rrggbb``.

    Parameters
    ----------
    prior
        A prior, its spec or its label. With a first BatchNorm per unit, the label of an arm.

    Raises
    ------
    WorkbookError
        If the spec is invalid.
    """
    prior, _ = _read(prior)
    family = (prior.inner if isinstance(prior, Standardized) else prior).name
    return (_SHIFTED if prior.ratio and family in _SHIFTED else _COLORS)[family]


def prior_mark(prior: Prior | str) -> dict[str, Any]:
    """Return the mark and the line of a prior, for `matplotlib.axes.Axes.plot`.

    Circles have a mean of 0; triangles one of at most a standard deviation, up or down; squares up
    to two, diamonds more. Marks are half filled if the standard deviation is below 0.5, and rings
    if it is above 2. Standardized priors are plus signs, and runs with a first BatchNorm per unit
    crosses.

    Parameters
    ----------
    prior
        As for `prior_color`.

    Returns
    -------
    dict
        ``marker``, ``fillstyle`` and ``ls``.

    Raises
    ------
    WorkbookError
        If the spec is invalid.
    """
    prior, norm = _read(prior)
    if norm:
        return {"marker": "X", "fillstyle": "full", "ls": (0, (1, 1))}
    if isinstance(prior, Standardized):
        return {"marker": "P", "fillstyle": "full", "ls": (0, (6, 1.5))}
    if prior.ratio == 0:
        marker, line = "o", "-"
    elif prior.ratio <= 1:
        marker, line = ("^", (0, (4, 1.5))) if prior.mean > 0 else ("v", (0, (4, 1.5, 1, 1.5)))
    else:
        marker, line = ("s" if prior.ratio <= 2 else "D"), (0, (2.5, 1.2))
    if prior.std > 2:
        return {"marker": marker, "fillstyle": "none", "ls": line}
    return {"marker": marker, "fillstyle": "left" if prior.std < 0.5 else "full", "ls": line}


def look_of(name: str, others: Sequence[str] = ()) -> dict[str, Any]:
    """Return colour, mark and line of something by its name in a figure.

    Real images have the colour of text. What is no prior has a colour by its place among `others`,
    all names in the figure.
    """
    if name.startswith(REAL):
        return {"color": INK, "marker": "o", "fillstyle": "full", "ls": "-"}
    try:
        return {"color": prior_color(name)} | prior_mark(name)
    except WorkbookError:
        colors = palette(len(others) or 1)
        color = colors[list(others).index(name)] if name in others else colors[0]
        return {"color": color, "marker": "o", "fillstyle": "full", "ls": "-"}


def ratio_of(name: str) -> float:
    """Return |mean| / std of the prior that a name in a figure names, or 0."""
    try:
        return _read(name)[0].ratio
    except WorkbookError:
        return 0.0


def _read(prior: Prior | str) -> tuple[Prior, str]:
    """Return a prior, and the kind of its first BatchNorm if the label of an arm names one."""
    if isinstance(prior, Prior):
        return prior, ""
    label, _, norm = str(prior).partition(", BatchNorm per ")
    found = re.match(r"(standardized )?(\w+(?:\([^)]*\))?)(?:, .*)?$", label)
    if found and found[1]:
        return Standardized(parse(found[2])), norm
    return parse(found[2] if found else label), norm
