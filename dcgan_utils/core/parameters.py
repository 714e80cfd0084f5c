"""Parameters of notebooks: validated before anything runs, with plain error messages."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)

from dcgan_utils.core.errors import WorkbookError, did_you_mean


class Parameters(BaseModel):
    """The validated parameters of a notebook; immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __str__(self) -> str:
        """Return names and values, one per line."""
        return aligned(dict(self))

    @classmethod
    def resolve(cls, /, **values: Any) -> Self:
        """Validate every value, and decide what ``auto`` means on this machine.

        Raises
        ------
        WorkbookError
            With one sentence for each unknown name or invalid value that says what is allowed.
        """
        cls.check(**values)
        return cls._validated(values)

    @classmethod
    def check(cls, /, **values: Any) -> Self:
        """Validate every value as `resolve` does, but without torch, which takes seconds to import.

        So mistyped values are refused at once. What ``auto`` means is left open: in the result
        such a device is the CPU, and such a precision is fp32.
        """
        return cls._validated(values, context=_AUTO_IS_OPEN)

    @classmethod
    def _completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values to validate: subclasses may add some."""
        return values

    @classmethod
    def _validated(cls, values: dict[str, Any], context: dict[str, bool] | None = None) -> Self:
        try:
            return cls.model_validate(cls._completed(values), context=context)
        except ValidationError as refusal:
            sentences = [_refusal(error, cls.model_fields) for error in refusal.errors()]
            raise WorkbookError(" ".join(sentences)) from None

    @classmethod
    def text_fields(cls) -> set[str]:
        """Return the parameters that may be any text, such as the name of a folder."""
        marks = (*Named.__metadata__, *NameOrNumber.__metadata__)
        return {
            name
            for name, field in cls.model_fields.items()
            if field.annotation == Named | None or any(mark in field.metadata for mark in marks)
        }


def aligned(values: Mapping[str, Any]) -> str:
    """Return names and values, one pair per line, with the values in one column."""
    width = max(map(len, values))
    return "\n".join(f"{name:{width}}  {value}" for name, value in values.items())


# What pydantic says in words of its own.
_RULES = {"dict_type": "should hold names with values", "int_parsing_size": "should be smaller"}


def _refusal(error: dict[str, Any], known: dict[str, Any]) -> str:
    """Describe in plain words what pydantic found wrong."""
    name = _shortened(".".join(map(str, error["loc"])))
    if error["type"] == "extra_forbidden":
        near = did_you_mean(name, known)
        return f"'{name}' is not a parameter.{near} Available: {', '.join(known)}."
    if error["type"] == "missing":
        return f"{name} is missing."
    if error["type"] == "value_error":
        reason = error["ctx"]["error"]
        is_sentence = not name or isinstance(reason, WorkbookError)
        return str(reason) if is_sentence else f"{name} {reason}"
    rule = _RULES.get(error["type"], error["msg"].removeprefix("Input "))
    rule = re.sub(r", (unable to|got a) .*", "", rule)
    return f"{name} {rule[0].lower()}{rule[1:]}, not '{_shortened(error['input'])}'."


def _shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


# --- Types ---


_AUTO_IS_OPEN = {"auto_is_open": True}  # a context of validation


def auto_is_open(info: ValidationInfo) -> bool:
    """Return whether this is `Parameters.check`, which does not ask torch what ``auto`` means."""
    return info.context == _AUTO_IS_OPEN


def one_of(*allowed: Any) -> BeforeValidator:
    """Return a validator that accepts one of a few values; numbers may come as text."""

    def check(value: Any) -> Any:
        for choice in allowed:
            if value == choice or (isinstance(value, str) and value.strip() == str(choice)):
                return choice
        names = [str(choice) for choice in allowed]
        near = did_you_mean(str(value), names)
        raise ValueError(f"must be one of {', '.join(names)}, not '{_shortened(value)}'.{near}")

    return BeforeValidator(check)


def _text(value: Any) -> str:
    """Accept text and paths; an integer is a name too, such as that of a folder called 2024."""
    if isinstance(value, bool) or not isinstance(value, str | int | os.PathLike):
        raise ValueError(f"must be a text, not {_shortened(value)}: put it in quotes.")
    if not str(value).strip():
        raise ValueError("must not be empty.")
    return str(value)


def _text_or_number(value: Any) -> str | int:
    """Keep an integer, which may be a position or a name."""
    return value if type(value) is int else _text(value)


def _known_device(value: Any, info: ValidationInfo) -> str:
    name = str(value).strip().lower()
    if name == "auto":
        return "cpu" if auto_is_open(info) else _best_device()
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdecimal()):
        raise ValueError(f"must be auto, cpu, cuda, cuda:0 ... or mps, not '{value}'.")
    if int(index or 0) >= _count_devices(kind):
        raise ValueError(f"'{value}' is not on this machine; use auto for the best device here.")
    return name if kind == "cuda" else kind


def _best_device() -> str:
    """Return ``"cuda"`` if there is one, else ``"cpu"``: never mps, which is untested."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _count_devices(kind: str) -> int:
    if kind == "cpu":
        return 1
    import torch

    return torch.cuda.device_count() if kind == "cuda" else int(torch.backends.mps.is_available())


def _no_bool(value: Any) -> Any:
    """Refuse a bool, which pydantic would accept as 0 or 1."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number, not {value}.")
    return value


def _integer(value: Any) -> Any:
    """Refuse a bool, and a text that pydantic would misread: it takes ``"0-4"`` as -4.

    ``60.0``, ``"60"`` and ``"60.0"`` are 60.
    """
    if isinstance(value, bool):
        raise ValueError(f"must be an integer, not {value}.")
    if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?[0-9_]+(\.0*)?\s*", value):
        raise ValueError(f"should be a valid integer, not '{_shortened(value)}'.")
    return value


def _split_commas(value: Any) -> Any:
    """Split ``"128, 64"`` into two values; a single one may be a number."""
    pieces = value if isinstance(value, tuple | list) else str(value).strip("()[] ").split(",")
    texts = (piece.strip() if isinstance(piece, str) else piece for piece in pieces)
    return tuple(piece for piece in texts if piece != "")


Integer = Annotated[int, BeforeValidator(_integer)]
Number = Annotated[float, BeforeValidator(_no_bool)]
Named = Annotated[str, BeforeValidator(_text)]
NameOrNumber = Annotated[str | int, BeforeValidator(_text_or_number)]
Device = Annotated[str, BeforeValidator(_known_device)]
Seed = Annotated[Integer, Field(ge=0, lt=2**63)]
CommaSeparated = BeforeValidator(_split_commas)
