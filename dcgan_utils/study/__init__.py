"""Many runs: grids and their training, comparisons, claims, theory, trials, the benchmark."""

from dcgan_utils.study.claims import as_markdown
from dcgan_utils.study.compare import CLOSENESS, VARIETY, Comparison, find, reading
from dcgan_utils.study.grid import load_grid, tasks
from dcgan_utils.study.schedule import connect, outcome_line, progress_line, run_grid, start_line
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
    "outcome_line",
    "progress_line",
    "reading",
    "run_grid",
    "scale_identity",
    "second_moments",
    "sensitivities",
    "shares",
    "start_line",
    "tasks",
]
