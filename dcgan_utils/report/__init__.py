"""Notebooks to pages: the report, the study, the playground, and the doctor."""

from dcgan_utils.report.build import build_benchmark, build_page, build_report, build_study
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
from dcgan_utils.report.site import Page

__all__ = [
    "AblationConfig",
    "AugmentConfig",
    "BenchmarkConfig",
    "CapacityConfig",
    "CompareConfig",
    "EdaConfig",
    "LatentConfig",
    "Page",
    "StudyConfig",
    "build_benchmark",
    "build_page",
    "build_report",
    "build_study",
    "examine",
    "write_playground",
]
