"""Many runs: grids and their training, comparisons, claims, theory, trials, the benchmark."""

from dcgan_utils.study.claims import as_markdown
from dcgan_utils.study.compare import CLOSENESS, VARIETY, Comparison
from dcgan_utils.study.grid import load_grid, tasks
from dcgan_utils.study.schedule import connect, outcome_line, progress_line, run_grid
from dcgan_utils.study.theory import sensitivities, shares

__all__ = [
    "CLOSENESS",
    "VARIETY",
    "Comparison",
    "as_markdown",
    "connect",
    "load_grid",
    "outcome_line",
    "progress_line",
    "run_grid",
    "sensitivities",
    "shares",
    "tasks",
]
