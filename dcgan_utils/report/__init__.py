"""Notebooks to pages: the report, the study, the playground, and the doctor."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "build": ["build_benchmark", "build_report", "build_study", "plan_report"],
        "configs": [
            "AblationConfig",
            "AugmentConfig",
            "BenchmarkConfig",
            "CapacityConfig",
            "CompareConfig",
            "EdaConfig",
            "LatentConfig",
            "StudyConfig",
            "TrainingsConfig",
        ],
        "doctor": ["examine"],
        "playground": ["write_playground"],
    },
)
