"""All that decides a training run, in one validated object."""

from __future__ import annotations

import ast
from typing import Annotated, Any, Self

import torch
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from dcgan_utils import networks, noise
from dcgan_utils.augment import POLICIES
from dcgan_utils.errors import WorkbookError, did_you_mean

__all__ = ["PRESETS", "TrainConfig", "notebook_parameters"]

# What the three presets share is the DCGAN paper's and the first study's.
_COMMON = {
    "noise": "normal",
    "noise_size": 100,
    "architecture": "dcgan",
    "lr": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "real_label": 0.8,
    "fake_label": 0.1,
    "augment": "none",
    "instance_noise": 0.0,
    "ema": 0.999,
    "seed": 0,
    "precision": "auto",
    "device": "auto",
}

PRESETS: dict[str, dict[str, Any]] = {
    # Minutes on a laptop; what the default report trains. Small batches, since at this budget the
    # number of updates decides: 8 and 25 epochs gave more varied pictures than 16 and 40. And short
    # latent vectors: with 100 coordinates gamma shows no pictures yet at this budget, with 16 it
    # does (one seed each). A mean adds up over the coordinates faster than their differences do.
    "quick": _COMMON
    | {
        "noise_size": 16,
        "img_size": 64,
        "width": 32,
        "batch_size": 8,
        "epochs": 25,
        "sample_size": 32,
        "ema": 0.99,
    },
    # The first study. It names no width and no batch: these are the PyTorch tutorial's.
    "monet": _COMMON
    | {"img_size": 64, "width": 64, "batch_size": 64, "epochs": 400, "sample_size": 64},
    # For few pictures and much time; not yet measured against the others.
    "best": _COMMON
    | {
        "img_size": 64,
        "width": 64,
        "batch_size": 32,
        "epochs": 400,
        "sample_size": 64,
        "augment": "diffaugment",
    },
}


def _one_of(*allowed: Any) -> BeforeValidator:
    """Accept one of a few values, numbers also as text."""

    def check(value: Any) -> Any:
        for choice in allowed:
            if value == choice or (isinstance(value, str) and value.strip() == str(choice)):
                return choice
        near = did_you_mean(str(value), map(str, allowed))
        raise ValueError(f"must be one of {', '.join(map(str, allowed))}, not '{value}'.{near}")

    return BeforeValidator(check)


def _named(value: Any) -> str:
    if not str(value).strip():
        raise ValueError("must be a collection's name, or a path to a folder or zip.")
    return str(value)  # a folder called 2024 comes as a number


def _canonical_noise(value: Any) -> str:
    return str(noise.parse(value))


def _known_device(value: Any) -> str:
    name = str(value).strip().lower()
    if name == "auto":  # not mps: it is slower to trust than to wait for the CPU
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdecimal()):
        raise ValueError(f"must be auto, cpu, cuda, cuda:0 ... or mps, not '{value}'.")
    present = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if int(index or 0) >= present[kind]:
        raise ValueError(f"'{value}' is not on this machine; auto takes what there is.")
    return name


def _multiplies_bf16_fast(device: str) -> bool:
    """Tell whether bf16 is a native matrix format there (AVX512-BF16, AMX, CUDA 8.0 on)."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)() if device == "cpu" else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_tile"))


def _whole(value: Any) -> Any:
    """Let ``60.0`` and ``"60"`` pass as 60; a bool is no number here."""
    if isinstance(value, bool):
        raise ValueError(f"must be a whole number, not {value}.")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
Probability = Annotated[float, Field(ge=0, le=1)]


class TrainConfig(BaseModel):
    """The resolved parameters of one run; immutable.

    Build it with :meth:`resolve`, which fills what is not given from the preset.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: Annotated[str, BeforeValidator(_named)]
    preset: str
    noise: Annotated[str, BeforeValidator(_canonical_noise)]
    noise_size: Annotated[Whole, Field(ge=1, le=10_000)]
    img_size: Annotated[int, _one_of(*networks.IMG_SIZES)]
    architecture: Annotated[str, _one_of(*networks.ARCHITECTURES)]
    width: Annotated[Whole, Field(ge=1, le=1024)]
    batch_size: Annotated[Whole, Field(ge=1, le=8192)]
    epochs: Annotated[Whole, Field(ge=1, le=1_000_000)]
    sample_size: Annotated[Whole, Field(ge=1, le=1024)]
    lr: Annotated[float, Field(gt=0, le=1)]
    beta1: Annotated[float, Field(ge=0, lt=1)]
    beta2: Annotated[float, Field(ge=0, lt=1)]
    real_label: Probability
    fake_label: Probability
    augment: Annotated[str, _one_of(*POLICIES)]
    instance_noise: Annotated[float, Field(ge=0, le=10)]
    ema: Annotated[float, Field(ge=0, lt=1)]
    seed: Annotated[Whole, Field(ge=0, lt=2**63)]
    device: Annotated[str, BeforeValidator(_known_device)]
    precision: Annotated[str, _one_of("auto", "fp32", "bf16")]  # after device: auto asks it

    @field_validator("precision", mode="before")
    @classmethod
    def _choose_precision(cls, value: Any, seen: ValidationInfo) -> Any:
        device = seen.data.get("device", "cpu")
        if value == "bf16" and device.startswith("mps"):
            raise ValueError("must be fp32 on mps.")
        if value != "auto":
            return value
        return "bf16" if _multiplies_bf16_fast(device) else "fp32"

    @model_validator(mode="after")
    def _labels_apart(self) -> Self:
        if self.real_label <= self.fake_label:
            raise ValueError(
                f"real_label ({self.real_label:g}) must be greater than fake_label "
                f"({self.fake_label:g})."
            )
        return self

    @classmethod
    def resolve(cls, **parameters: Any) -> Self:
        """Fill in the preset and check every value.

        Parameters
        ----------
        **parameters
            Any of the fields. ``None``, or leaving it out, means 'as the preset says'.

        Raises
        ------
        WorkbookError
            One sentence for each unknown name or impossible value, saying what is allowed.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        preset = str(given.get("preset", "quick")).strip().lower()
        if preset not in PRESETS:
            near = did_you_mean(preset, PRESETS)
            raise WorkbookError(
                f"preset must be one of {', '.join(PRESETS)}, not '{preset}'.{near}"
            )
        try:
            return cls(**{"dataset": "plein_air"} | PRESETS[preset] | given | {"preset": preset})
        except ValidationError as refusal:
            sentences = [_sentence(error) for error in refusal.errors()]
            raise WorkbookError(" ".join(sentences)) from None

    @property
    def prior(self) -> noise.Prior:
        """The noise prior as an object."""
        return noise.parse(self.noise)

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two runs the same: all but where the pictures lie and where it runs."""
        return self.model_dump(exclude={"dataset", "preset", "device"})


def _sentence(error: dict[str, Any]) -> str:
    """Say in plain words what pydantic found wrong."""
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        near = did_you_mean(name, TrainConfig.model_fields)
        known = ", ".join(TrainConfig.model_fields)
        return f"'{name}' is not a parameter.{near} There are: {known}."
    if error["type"] == "value_error":
        own_words = str(error["ctx"]["error"])
        return (
            own_words
            if not name or isinstance(error["ctx"]["error"], WorkbookError)
            else (f"{name} {own_words}")
        )
    what = error["msg"].removeprefix("Input ")
    return f"{name} {what[0].lower()}{what[1:]}, not '{error['input']}'."


def notebook_parameters(namespace: dict[str, Any]) -> dict[str, Any]:
    """Collect the parameters that a notebook has set, and any misspelt ones among them.

    papermill only warns of a parameter that the notebook does not have, and would train for
    hours without it. So the names assigned by the parameters cell and by the cell that
    papermill injected after it are read from IPython's history, and a name that is no
    parameter stays in the result, for :meth:`TrainConfig.resolve` to refuse.

    Parameters
    ----------
    namespace
        The notebook's ``globals()``, seen from the cell right after the parameters.
    """
    found = {name: namespace[name] for name in TrainConfig.model_fields if name in namespace}
    for source in reversed(namespace.get("In", [])[:-1]):
        names = _assigned(source)
        if not names:
            break
        found |= {name: namespace[name] for name in names if name in namespace}
    return found


def _assigned(source: str) -> list[str]:
    """Return the names a cell sets to plain values, or none if it does anything else."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return []
    names = []
    for statement in statements:
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        value = getattr(statement, "value", None)
        if not all(isinstance(t, ast.Name) for t in targets) or not _is_plain(value):
            return []
        names += [target.id for target in targets]
    return names


def _is_plain(value: ast.expr | None) -> bool:
    if value is None:
        return False
    try:
        ast.literal_eval(value)
    except ValueError:  # papermill writes infinity and NaN as float('inf')
        return isinstance(value, ast.Call) and ast.unparse(value.func) == "float"
    return True
