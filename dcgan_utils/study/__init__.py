"""Many runs: grids and their training, comparisons, claims, theory, trials, the benchmark."""

from dcgan_utils.core.faces import lazy_face

__all__, __getattr__, __dir__ = lazy_face(
    __name__,
    {
        "claims": ["as_markdown"],
        "compare": ["CLOSENESS", "Comparison", "VARIETY", "find", "reading"],
        "grid": ["load_grid", "tasks"],
        "schedule": ["connect", "outcome_line", "progress_line", "run_grid", "start_line"],
        "theory": ["doses", "scale_identity", "second_moments", "sensitivities", "shares"],
    },
)
