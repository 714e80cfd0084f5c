"""The parameters of every notebook but ``train.ipynb``, whose are in `config`."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from dcgan_utils.core.parameters import (
    CommaSeparated,
    Device,
    Integer,
    Named,
    Parameters,
    Seed,
    one_of,
)
from dcgan_utils.gan.augment import POLICIES
from dcgan_utils.gan.config import BatchSize, Epochs, ImgSize, Preset, Samples, TrainConfig, Width
from dcgan_utils.metrics import features


class EdaConfig(Parameters):
    """What ``eda.ipynb`` looks at, and how; immutable."""

    dataset: Named = "plein_air"
    other: Named | None = None
    img_size: Annotated[Integer, Field(ge=16, le=512)] = 128
    cluster_on: Annotated[str, one_of("pixels", "features")] = "pixels"
    k: Annotated[Integer, Field(ge=1, le=100)] = 10
    cluster: Annotated[Integer, Field(ge=0)] = 0
    extractor: Annotated[str, one_of(*features.EXTRACTORS)] = features.DEFAULT
    n_neighbors: Annotated[Integer, Field(ge=2, le=200)] = 15
    seed: Seed = 0
    device: Device = Field("auto", validate_default=True)

    @model_validator(mode="after")
    def _cluster_exists(self) -> Self:
        if self.cluster >= self.k:
            raise ValueError(
                f"cluster ({self.cluster}) must be less than k ({self.k}): they count from 0."
            )
        return self


class AugmentConfig(Parameters):
    """What ``augment.ipynb`` shows and tries; immutable."""

    dataset: Named = "plein_air"
    image: Named = "0"
    img_size: ImgSize = 64
    trial_images: Annotated[Integer, Field(ge=0, le=1_000_000_000)] = 0
    policies: Annotated[
        tuple[Annotated[str, one_of(*POLICIES)], ...],
        CommaSeparated,
        Field(min_length=1),
    ] = ("none", "pil", "layers", "both", "diffaugment")
    preset: Preset = "pokemon"
    width: Width = 32
    batch_size: BatchSize = 32
    samples: Samples = 300
    seed: Seed = 0
    device: Device = Field("auto", validate_default=True)

    def training(self) -> TrainConfig:
        """Return the parameters that the trial's runs share."""
        names = {"dataset", "preset", "img_size", "width", "batch_size", "seed", "device"}
        return TrainConfig.resolve(**self.model_dump(include=names))


class AblationConfig(Parameters):
    """What ``ablation.ipynb`` takes apart; immutable."""

    dataset: Named = "plein_air"
    preset: Preset = "best"
    beside: Preset = "monet"
    changes: str = "augment: none; flip: false; architecture: dcgan; batch_size: 64; ema: 0"
    epochs: Epochs = 300
    img_size: ImgSize = 64
    width: Width | None = None
    samples: Samples = 300
    seed: Seed = 0
    device: Device = Field("auto", validate_default=True)

    def training(self, preset: str) -> TrainConfig:
        """Return a preset on this budget."""
        names = {"dataset", "epochs", "img_size", "width", "seed", "device"}
        return TrainConfig.resolve(**self.model_dump(include=names), preset=preset)


class CapacityConfig(Parameters):
    """What ``capacity.ipynb`` trains; immutable."""

    dataset: Named = "critters"
    image: Named = "0"
    copies: Annotated[Integer, Field(ge=1, le=1_000_000)] = 2048
    epochs: Epochs = 40
    preset: Preset = "pokemon"
    img_size: ImgSize = 64
    width: Width = 32
    batch_size: BatchSize = 128
    seed: Seed = 0
    device: Device = Field("auto", validate_default=True)

    def training(self) -> TrainConfig:
        """Return the parameters of the run: no augmentation, an average that hardly lags."""
        own = self.model_dump(exclude={"image", "copies"})
        return TrainConfig.resolve(**own, augment="none", flip=False, ema=0.9, kid_samples=0)


class LatentConfig(Parameters):
    """Where ``latent.ipynb`` goes, and how far; immutable."""

    run: Named = "plein_air"
    epoch: Annotated[Integer, Field(ge=1)] | None = None
    steps: Annotated[Integer, Field(ge=3, le=1000)] = 31
    reach: Annotated[float, Field(gt=0, le=100)] = 2.0
    samples: Samples = 300
    projection_steps: Annotated[Integer, Field(ge=1, le=100_000)] = 200
    vectors: Named | None = None
    seed: Seed = 0
    device: Device = Field("auto", validate_default=True)


class CompareConfig(Parameters):
    """What ``compare.ipynb`` puts side by side; immutable."""

    runs: Named = "plein_air"
    samples: Annotated[Integer, Field(ge=6, le=100_000)] = 300
    kinds: Named | None = None
    numbers: Named = "compare"
    seed: Seed = 0
    device: Device = Field("auto", validate_default=True)


class StudyConfig(Parameters):
    """Which grid ``study.ipynb`` trains, and where; immutable."""

    grid: Named = "grid.yaml"
    scheduler: Named | None = None
    workers: Annotated[Integer, Field(ge=1, le=10_000)] | None = None


class BenchmarkConfig(Parameters):
    """What ``benchmark.ipynb`` measures; immutable."""

    dataset: Named = "plein_air"
    img_size: ImgSize = 64
    width: Width = 64
    batch_sizes: Annotated[
        tuple[Annotated[int, Field(ge=1, le=8192)], ...],
        CommaSeparated,
        Field(min_length=1),
    ] = (128, 64)
    alternations: Annotated[Integer, Field(ge=1, le=1000)] = 5
    memory_epochs: Annotated[Integer, Field(ge=0, le=1_000_000)] = 200
    quality_seeds: Annotated[Integer, Field(ge=0, le=100)] = 0
    quality_epochs: Epochs = 40
    numbers: Named = "benchmark"
    seed: Seed = 0
    precision: Annotated[str, one_of("auto", "fp32", "bf16")] = "auto"
    device: Device = Field("auto", validate_default=True)

    @field_validator("device")
    @classmethod
    def _can_be_timed(cls, device: str) -> str:
        if device.startswith("mps"):
            raise ValueError("must be cpu or cuda: the benchmark cannot take the time on mps.")
        return device

    def training(self, **changes: Any) -> TrainConfig:
        """Return the first study's recipe in this architecture, with some changes."""
        own = self.model_dump(
            include={"dataset", "img_size", "width", "seed", "precision", "device"}
        )
        own["batch_size"] = self.batch_sizes[0]
        return TrainConfig.resolve(**{**own, "preset": "monet", **changes})
