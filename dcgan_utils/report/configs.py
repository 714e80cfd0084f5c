"""The parameters of the notebooks; those of ``train.ipynb`` are in `gan.config`."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from dcgan_utils.core.errors import WorkbookError, did_you_mean
from dcgan_utils.core.parameters import (
    CommaSeparated,
    Device,
    Integer,
    Named,
    NameOrNumber,
    Number,
    Parameters,
    Seed,
    one_of,
)
from dcgan_utils.data.sources import locate
from dcgan_utils.gan import priors
from dcgan_utils.gan.choices import POLICIES
from dcgan_utils.gan.config import (
    Background,
    BatchSize,
    Epochs,
    Fit,
    ImgSize,
    Preset,
    Samples,
    TrainConfig,
    Width,
)
from dcgan_utils.runs.transfer import locate_source

CHAPTERS = ("eda", "augment", "train", "compare", "latent", "details", "capacity", "benchmark")
ON_REQUEST = {"details", "capacity", "benchmark"}


def choose_chapters(only: str | None, skip: str | None, also: str | None = None) -> set[str]:
    """Return the names of the chosen chapters.

    Parameters
    ----------
    only, skip
        Names separated by commas: these, or all but these; at most one of both.
    also
        Names of those that are built on request, beside the others.

    Raises
    ------
    WorkbookError
        If a name is not known, or nothing is chosen.
    """
    if only is not None and skip is not None:
        raise WorkbookError("'only' and 'skip' exclude each other: give one of them.")
    more = set() if also is None else _names("also", also)
    if only is not None:
        return _names("only", only) | more
    chosen = {*CHAPTERS} - ON_REQUEST | more
    if skip is not None:
        chosen -= _names("skip", skip)
    if not chosen:
        raise WorkbookError("'skip' leaves out every chapter: name fewer.")
    return chosen


def _names(option: str, text: str) -> set[str]:
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in CHAPTERS:
            near = did_you_mean(name, CHAPTERS)
            raise WorkbookError(
                f"{option}: '{name}' is not a chapter.{near} Available: {', '.join(CHAPTERS)}."
            )
    if not names:
        raise WorkbookError(f"'{option}' names no chapter. Available: {', '.join(CHAPTERS)}.")
    return {*names}


def check_report(dataset: str, noises: str, preset: str, parameters: dict[str, Any]) -> None:
    """Refuse what is mistyped in the order of a report, without importing torch.

    The parameters are those of `build.plan_report`.

    Raises
    ------
    WorkbookError
        With what `build.plan_report` would say.
    """
    given = {**parameters, "preset": preset, "dataset": locate(dataset).source}
    for prior in priors.parse_list(noises):
        locate_source(TrainConfig.check(**given, noise=str(prior)).start_from)


def _canonical_noises(value: Any) -> str:
    return ", ".join(map(str, priors.parse_list(value)))


class EdaConfig(Parameters):
    """What ``eda.ipynb`` explores, and how; immutable."""

    dataset: Named = "plein_air"
    other: Named | None = None
    img_size: Annotated[Integer, Field(ge=16, le=512)] = 128
    fit: Fit = "crop"
    background: Background = "white"
    cluster_on: Annotated[str, one_of("pixels", "features")] = "pixels"
    k: Annotated[Integer, Field(ge=1, le=100)] = 10
    cluster: Annotated[Integer, Field(ge=0)] = 0
    extractor: Annotated[str, one_of("efficientnet_lite0", "efficientnet_b0", "inception")] = (
        "efficientnet_lite0"
    )
    n_neighbors: Annotated[Integer, Field(ge=2, le=200)] = 15
    seed: Seed = 0
    device: Device = Field("auto", validate_default=True)

    @model_validator(mode="after")
    def _cluster_exists(self) -> Self:
        if self.cluster >= self.k:
            raise ValueError(
                f"cluster ({self.cluster}) must be less than k ({self.k}): numbers begin with 0."
            )
        return self


class AugmentConfig(Parameters):
    """What ``augment.ipynb`` shows and tries; immutable."""

    dataset: Named = "plein_air"
    image: NameOrNumber = "0"
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
        """Return the parameters shared by the trial's runs."""
        names = {"dataset", "preset", "img_size", "width", "batch_size", "seed", "device"}
        return TrainConfig.resolve(**self.model_dump(include=names))


class AblationConfig(Parameters):
    """The recipe that ``ablation.ipynb`` takes apart; immutable."""

    dataset: Named = "plein_air"
    preset: Preset = "best"
    baseline: Preset = "monet"
    changes: str = "augment: none; flip: false; architecture: dcgan; batch_size: 64; ema: 0"
    epochs: Epochs = 300
    img_size: ImgSize = 64
    width: Width | None = None
    samples: Samples = 300
    seed: Seed = 0
    device: Device = Field("auto", validate_default=True)

    def training(self, preset: str) -> TrainConfig:
        """Return the parameters of a preset, with this dataset, size and number of epochs."""
        names = {"dataset", "epochs", "img_size", "width", "seed", "device"}
        return TrainConfig.resolve(**self.model_dump(include=names), preset=preset)


class TrainingsConfig(TrainConfig):
    """What ``trainings.ipynb`` trains: the parameters of a training, once per noise; immutable."""

    noise: str = Field("", exclude=True)
    noises: Annotated[str, BeforeValidator(_canonical_noises)]

    @classmethod
    def _completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values; a missing one, or ``None``, means the preset's value."""
        if values.get("noise"):
            raise WorkbookError(f"write noises for noise: noises is {values['noise']}.")
        return super()._completed({"noises": "uniform, normal, gamma"} | values) | {"noise": ""}

    @property
    def trainings(self) -> list[TrainConfig]:
        """The parameters of each training."""
        common = self.model_dump(exclude={"noises"})
        return [
            TrainConfig.resolve(**common, noise=str(prior))
            for prior in priors.parse_list(self.noises)
        ]


class CapacityConfig(Parameters):
    """What ``capacity.ipynb`` trains; immutable."""

    dataset: Named = "critters"
    image: NameOrNumber = "0"
    copies: Annotated[Integer, Field(ge=1, le=1_000_000)] = 2048
    epochs: Epochs = 40
    preset: Preset = "pokemon"
    img_size: ImgSize = 64
    width: Width = 32
    batch_size: BatchSize = 128
    seed: Seed = 0
    device: Device = Field("auto", validate_default=True)

    def training(self) -> TrainConfig:
        """Return the parameters of the run: no augmentation, a short moving average."""
        own = self.model_dump(exclude={"image", "copies"})
        return TrainConfig.resolve(**own, augment="none", flip=False, ema=0.9, kid_samples=0)


class LatentConfig(Parameters):
    """Which run ``latent.ipynb`` walks through, and how far; immutable."""

    run: Named = "plein_air"
    epoch: Annotated[Integer, Field(ge=1)] | None = None
    steps: Annotated[Integer, Field(ge=3, le=1000)] = 31
    max_factor: Annotated[Number, Field(gt=0, le=100)] = 2.0
    samples: Samples = 300
    projection_steps: Annotated[Integer, Field(ge=1, le=100_000)] = 200
    vectors: Named | None = None
    seed: Seed = 0
    device: Device = Field("auto", validate_default=True)


class CompareConfig(Parameters):
    """Which runs ``compare.ipynb`` compares; immutable."""

    runs: Named = "plein_air"
    samples: Annotated[Integer, Field(ge=6, le=100_000)] = 300
    label_column: Named | None = None
    looks: Annotated[tuple[Annotated[Integer, Field(ge=2)], ...], CommaSeparated] = ()
    output: Named = "compare"
    seed: Seed = 0
    device: Device = Field("auto", validate_default=True)


class StudyConfig(Parameters):
    """Which grid ``study.ipynb`` trains, and where; immutable."""

    grid: Named = "grid.yaml"
    scheduler: Named | None = None
    workers: Annotated[Integer, Field(ge=1, le=10_000)] | None = None

    @model_validator(mode="after")
    def _workers_are_here(self) -> Self:
        if self.scheduler is not None and self.workers is not None:
            raise ValueError("workers is for trainings here; a scheduler has its own workers.")
        return self


class BenchmarkConfig(Parameters):
    """What ``benchmark.ipynb`` measures; immutable."""

    dataset: Named = "plein_air"
    img_size: ImgSize = 64
    width: Width = 64
    batch_sizes: Annotated[
        tuple[BatchSize, ...],
        CommaSeparated,
        Field(min_length=1),
    ] = (128, 64)
    repeats: Annotated[Integer, Field(ge=1, le=1000)] = 5
    memory_epochs: Annotated[Integer, Field(ge=0, le=1_000_000)] = 200
    quality_seeds: Annotated[Integer, Field(ge=0, le=100)] = 0
    quality_epochs: Epochs = 40
    output: Named = "benchmark"
    seed: Seed = 0
    precision: Annotated[str, one_of("auto", "fp32", "bf16")] = "auto"
    device: Device = Field("auto", validate_default=True, pattern="^(cpu|cuda)")  # these are timed

    def training(self, **changes: Any) -> TrainConfig:
        """Return the first study's recipe at this size, with changes."""
        own = self.model_dump(
            include={"dataset", "img_size", "width", "seed", "precision", "device"}
        )
        own["batch_size"] = self.batch_sizes[0]
        return TrainConfig.resolve(**{**own, "preset": "monet", **changes})
