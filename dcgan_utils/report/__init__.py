"""Notebooks to pages: the report, the study, the playground, and the doctor."""

from dcgan_utils.core.faces import lazy_face

__all__, __getattr__, __dir__ = lazy_face(
    __name__,
    {
        "build": ["build_benchmark", "build_report", "build_study"],
        "configs": [
            "AblationConfig",
            "AugmentConfig",
            "BenchmarkConfig",
            "CapacityConfig",
            "CompareConfig",
            "EdaConfig",
            "LatentConfig",
            "StudyConfig",
        ],
        "doctor": ["examine"],
        "playground": ["write_playground"],
    },
)
