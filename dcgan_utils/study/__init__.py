"""Many runs: grids and their training, comparisons, claims, theory, trials, the benchmark."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "compare": ["CLOSENESS", "Comparison", "VARIETY", "find", "reading", "require_folder"],
        "findings": [
            "assess",
            "assess_each",
            "describe_outcomes",
            "describe_study",
            "outcome_table",
            "study_verdicts",
        ],
        "grid": ["load_grid", "tasks"],
        "schedule": ["connect", "describe_grid", "run_grid"],
        "theory": ["doses", "scale_identity", "second_moments", "sensitivities", "shares"],
    },
)
