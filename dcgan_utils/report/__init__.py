"""Notebooks to pages: the report, the study, the playground, and the doctor."""

from dcgan_utils.report.build import build_benchmark, build_report, build_study, plan_report
from dcgan_utils.report.configs import (
    AblationConfig,
    AugmentConfig,
    BenchmarkConfig,
    CapacityConfig,
    CompareConfig,
    EdaConfig,
    LatentConfig,
    StudyConfig,
)
from dcgan_utils.report.doctor import examine
from dcgan_utils.report.playground import write_playground

__all__ = [
    "AblationConfig",
    "AugmentConfig",
    "BenchmarkConfig",
    "CapacityConfig",
    "CompareConfig",
    "EdaConfig",
    "LatentConfig",
    "StudyConfig",
    "build_benchmark",
    "build_report",
    "build_study",
    "examine",
    "plan_report",
    "write_playground",
]
