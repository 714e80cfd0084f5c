"""The validated parameters of a training, and the presets."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from dcgan_utils.core import environment
from dcgan_utils.core.errors import WorkbookError, did_you_mean
from dcgan_utils.core.parameters import (
    CommaSeparated,
    Device,
    Integer,
    Named,
    Number,
    Parameters,
    Seed,
    auto_is_open,
    one_of,
)
from dcgan_utils.data.squares import FITS, canonical_background
from dcgan_utils.gan import choices, priors
from dcgan_utils.gan.priors import Prior

# Shared by all presets: the settings of the DCGAN paper and the first study.
_SHARED = {
    "fit": "crop",
    "background": "white",
    "noise": "normal",
    "noise_size": 100,
    "architecture": "dcgan",
    "first_norm": "channel",
    "lr": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "eps": 1e-8,
    "real_label": 0.8,
    "fake_label": 0.1,
    "augment": "none",
    "flip": False,
    "instance_noise": 0.0,
    "layer_noise": 0.0,
    "ema": 0.999,
    "patience": 0,
    "kid_samples": 0,
    "show_epochs": (),
    "seed": 0,
    "precision": "auto",
    "device": "auto",
    "tensorboard": "auto",
}

PRESETS: dict[str, dict[str, Any]] = {
    # A minute or two on a laptop; the default of the report. `best` in brief: half the width, so
    # that a second has more updates, twice the learning rate, a shorter moving average, and short
    # latent vectors, with which the images of gamma differ at least in colour.
    "quick": _SHARED
    | {
        "noise_size": 16,
        "architecture": "resize",
        "img_size": 64,
        "width": 16,
        "batch_size": 16,
        "epochs": 50,
        "sample_size": 32,
        "lr": 4e-4,
        "augment": "ada",
        "flip": True,
        "ema": 0.995,
    },
    # The first study. It gives no width and no batch size: these are the PyTorch tutorial's.
    "monet": _SHARED
    | {"img_size": 64, "width": 64, "batch_size": 64, "epochs": 400, "sample_size": 64},
    # The second study. It gives no width: this one trains in an evening on two cores.
    "pokemon": _SHARED
    | {
        "architecture": "pokemon",
        "img_size": 64,
        "width": 32,
        "batch_size": 128,
        "epochs": 700,
        "sample_size": 16,
        "eps": 1e-7,
        "real_label": 1.0,
        "fake_label": 0.0,
        "augment": "both",
        "kid_samples": 300,
        "show_epochs": (600, 700),
    },
    # For small collections: on 300 paintings its KID after 300 epochs is less than half the first
    # study's, and improves until epoch 900. Small batches give more updates, resize-convolutions
    # avoid checkerboard artifacts, and ADA augments as needed.
    "best": _SHARED
    | {
        "architecture": "resize",
        "img_size": 64,
        "width": 32,
        "batch_size": 16,
        "epochs": 1000,
        "sample_size": 64,
        "augment": "ada",
        "flip": True,
        "kid_samples": 300,
    },
}


def _canonical_noise(value: Any) -> str:
    return str(priors.parse(value))


ImgSize = Annotated[int, one_of(*choices.IMG_SIZES)]
Fit = Annotated[str, one_of(*FITS)]
Background = Annotated[str, BeforeValidator(canonical_background)]
Width = Annotated[Integer, Field(ge=1, le=1024)]
BatchSize = Annotated[Integer, Field(ge=1, le=8192)]
Epochs = Annotated[Integer, Field(ge=1, le=1_000_000)]
Samples = Annotated[Integer, Field(ge=2, le=100_000)]
Preset = Annotated[str, one_of(*PRESETS)]
Architecture = Annotated[str, one_of(*choices.ARCHITECTURES)]
Probability = Annotated[Number, Field(ge=0, le=1)]


_AFTERWARDS = {"kid_samples", "show_epochs"}  # used by the notebook after the training


class TrainConfig(Parameters):
    """The validated parameters of one run; immutable.

    Create it with :meth:`resolve`: a missing value, or ``None``, means the preset's value.
    """

    dataset: Named
    preset: str
    start_from: Named | None = None
    noise: Annotated[str, BeforeValidator(_canonical_noise)]
    noise_size: Annotated[Integer, Field(ge=1, le=10_000)]
    img_size: ImgSize
    fit: Fit
    background: Background
    architecture: Architecture
    first_norm: Annotated[str, one_of(*choices.FIRST_NORMS)]
    width: Width
    batch_size: BatchSize
    epochs: Epochs
    sample_size: Width
    lr: Annotated[Number, Field(gt=0, le=1)]
    beta1: Annotated[Number, Field(ge=0, lt=1)]
    beta2: Annotated[Number, Field(ge=0, lt=1)]
    eps: Annotated[Number, Field(gt=0, le=1)]
    real_label: Probability
    fake_label: Probability
    augment: Annotated[str, one_of(*choices.POLICIES)]
    flip: bool
    instance_noise: Annotated[Number, Field(ge=0, le=10)]
    layer_noise: Annotated[Number, Field(ge=0, le=10)]
    ema: Annotated[Number, Field(ge=0, lt=1)]
    patience: Annotated[Integer, Field(ge=0, le=1_000_000)]
    kid_samples: Annotated[Integer, Field(ge=0, le=100_000)]
    show_epochs: Annotated[tuple[Annotated[Integer, Field(ge=1)], ...], CommaSeparated]
    seed: Seed
    device: Device
    precision: Annotated[str, one_of("auto", "fp32", "bf16")]  # after device, which auto depends on
    tensorboard: bool

    @field_validator("precision", mode="before")
    @classmethod
    def _choose_precision(cls, value: Any, seen: ValidationInfo) -> Any:
        device = seen.data.get("device", "cpu")
        if value == "bf16" and device == "mps":
            raise ValueError("must be fp32 on mps.")
        if value != "auto":
            return value
        if auto_is_open(seen):
            return "fp32"
        return "bf16" if environment.multiplies_bf16_fast(device) else "fp32"

    @field_validator("tensorboard", mode="before")
    @classmethod
    def _choose_tensorboard(cls, value: Any) -> Any:
        return environment.has_tensorboard() if value == "auto" else value

    @field_validator("tensorboard")
    @classmethod
    def _require_tensorboard(cls, wanted: bool) -> bool:
        if wanted and not environment.has_tensorboard():
            raise WorkbookError(
                "tensorboard is true, but TensorBoard is not installed: run "
                'pip install "dcgan-utils[tensorboard]".'
            )
        return wanted

    @field_validator("kid_samples")
    @classmethod
    def _not_one(cls, samples: int) -> int:
        if samples == 1:
            raise ValueError("must be 0, for none, or at least 2.")
        return samples

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.device == "mps" and self.augment in ("layers", "both"):
            raise ValueError(f"augment={self.augment} does not work on mps: use diffaugment.")
        if self.architecture == "pokemon" and self.first_norm != "channel":
            raise ValueError(
                f"first_norm={self.first_norm} has no effect on architecture pokemon, which has no "
                "BatchNorm in its first block: use dcgan or resize."
            )
        if self.real_label <= self.fake_label:
            raise ValueError(
                f"real_label ({self.real_label:g}) must be greater than fake_label "
                f"({self.fake_label:g})."
            )
        return self

    @classmethod
    def _completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values; a missing one, or ``None``, means the preset's value."""
        given = {name: value for name, value in values.items() if value is not None}
        preset = str(given.get("preset", "quick")).strip().lower()
        if preset not in PRESETS:
            near = did_you_mean(preset, PRESETS)
            raise WorkbookError(
                f"preset must be one of {', '.join(PRESETS)}, not '{preset}'.{near}"
            )
        return {"dataset": "plein_air"} | PRESETS[preset] | given | {"preset": preset}

    @property
    def prior(self) -> Prior:
        """The noise prior as an object."""
        return priors.parse(self.noise)

    @property
    def sizes(self) -> dict[str, int]:
        """The parameters that determine the shapes of the networks."""
        return self.model_dump(include={"noise_size", "img_size", "width", "first_norm"})

    @property
    def loading(self) -> dict[str, Any]:
        """What `load_dataset` needs to know beside the collection."""
        return self.model_dump(include={"img_size", "fit", "background"})

    def changed(self, **changes: Any) -> Self:
        """Return a copy with some parameters changed, validated again."""
        return self.resolve(**{**self.model_dump(), **changes})

    def for_collection(self, images: int) -> Self:
        """Return a copy with ``augment="auto"`` resolved for this number of images."""
        from dcgan_utils.gan.augment import resolve_policy

        return self.model_copy(update={"augment": resolve_policy(self.augment, images)})

    @property
    def identity(self) -> dict[str, Any]:
        """The parameters that the trained networks depend on; equal for equal runs."""
        return self.model_dump(exclude=_AFTERWARDS | {"dataset", "preset", "device", "tensorboard"})
