"""Many runs: grids and their training, comparisons, claims, theory, trials, the benchmark."""

from dcgan_utils.study.claims import as_markdown
from dcgan_utils.study.compare import CLOSENESS, VARIETY, Comparison, find, reading
from dcgan_utils.study.grid import load_grid, tasks
from dcgan_utils.study.schedule import connect, run_grid
from dcgan_utils.study.theory import doses, scale_identity, second_moments, sensitivities, shares

__all__ = [
    "CLOSENESS",
    "VARIETY",
    "Comparison",
    "as_markdown",
    "connect",
    "doses",
    "find",
    "load_grid",
    "reading",
    "run_grid",
    "scale_identity",
    "second_moments",
    "sensitivities",
    "shares",
    "tasks",
]
