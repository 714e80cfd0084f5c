"""A grid of trainings: priors x seeds x architectures x collections.

It is a YAML file::

    name: noise-study            # folder in reports/ for the comparison; may be a path
    collections: [plein_air]
    noises: [uniform, normal, gamma, "N(1, 1)", standardized(gamma)]
    seeds: [0, 1, 2]
    also: [{noise: gamma, first_norm: unit}]    # runs beside the grid, with every seed
    architectures: [dcgan]
    parameters: {preset: monet, epochs: 200, width: 32}    # any others of train.ipynb
    samples: 300                 # images of each run that are measured
    looks: [3, 5]                # numbers of seeds after which the claims are judged
    label_column: subject        # of labels.csv, for mode coverage; default: the first that fits
    resources: {GPU: 1}          # what a run needs from a Dask worker; usually nothing

Names need no quotes: ``007``, ``on`` and ``2024-01-01`` are texts here, unlike in YAML 1.1.
"""

from __future__ import annotations

import contextlib
import logging
import re
import textwrap
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import expand_path, notebooks_dir
from dcgan_utils.core.parameters import Integer, Named, Number, Parameters, Seed
from dcgan_utils.data.sources import Location, locate
from dcgan_utils.gan import priors
from dcgan_utils.gan.config import Architecture, TrainConfig
from dcgan_utils.runs.run import run_name
from dcgan_utils.runs.transfer import locate_source

logger = logging.getLogger(__name__)
_EXAMPLE = "One to start from is grid.yaml, which 'dcgan notebooks DIR' copies."


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _as_written(value: Any) -> Any:
    """Return a number as the text it was: `_PlainLoader` makes no number of ``007`` or ``1e3``."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value


Text = Annotated[Named, BeforeValidator(_as_written)]


def _priors(value: Any) -> tuple[str, ...]:
    """Read noises, joined first: YAML splits an unquoted N(0, 1) into two items."""
    return tuple(str(prior) for prior in priors.parse_list(", ".join(map(str, _listed(value)))))


_FOLDER = re.compile(r"\w[\w .+-]{0,59}(/\w[\w .+-]{0,59})*")


def _folder_name(value: str) -> str:
    if not _FOLDER.fullmatch(value):
        shown = textwrap.shorten(value, 100, placeholder=" ...") or value[:100]
        raise ValueError(
            "must be the name of a folder below reports/, of at most 60 letters, digits, blanks "
            f"and . + - _ that begin with a letter or digit, not '{shown}'."
        )
    return value


class Grid(Parameters):
    """What a grid file says; immutable."""

    name: Annotated[Text, AfterValidator(_folder_name)] = "study"
    collections: Annotated[tuple[Text, ...], BeforeValidator(_listed), Field(min_length=1)]
    noises: Annotated[tuple[str, ...], BeforeValidator(_priors)]
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(_listed), Field(min_length=1)] = (0,)
    architectures: Annotated[
        tuple[Architecture, ...],
        BeforeValidator(_listed),
        Field(min_length=1),
    ] = ("dcgan",)
    also: Annotated[tuple[dict[str, Any], ...], BeforeValidator(_listed)] = ()
    parameters: dict[str, Any] = Field({})
    looks: Annotated[tuple[Annotated[Integer, Field(ge=2)], ...], BeforeValidator(_listed)] = ()
    samples: Annotated[Integer, Field(ge=6, le=100_000)] = 300
    label_column: Text | None = None
    resources: dict[str, Number] = Field({})

    @model_validator(mode="before")
    @classmethod
    def _nothing_empty_or_former(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in {*cls.model_fields} - {"label_column"}:
            if name in values and values[name] is None:
                raise ValueError(f"{name} is empty: write its value there, or remove the line.")
        if "kinds" in values:
            raise ValueError("'kinds' is not a parameter. Did you mean 'label_column'?")
        return values

    @model_validator(mode="after")
    def _nothing_twice(self) -> Grid:
        for name in ("collections", "seeds", "architectures"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                shown = textwrap.shorten(", ".join(map(str, values)), 100, placeholder=" ...")
                raise ValueError(f"{name} repeats a value: {shown}.")
        for name in ("dataset", "noise", "seed", "architecture"):
            if name in self.parameters:
                raise ValueError(f"parameters: '{name}' has its own list in a grid.")
        for name in (name for own in self.also for name in own):
            if name not in ("noise", "first_norm"):
                raise ValueError(
                    f"also: runs beside the grid differ in noise and first_norm, not in '{name}'. "
                    "Make another grid for them."
                )
        return self

    @model_validator(mode="after")
    def _looks_increase(self) -> Grid:
        if list(self.looks) != sorted({*self.looks}) or max(self.looks, default=0) > len(
            self.seeds
        ):
            raise ValueError(
                f"looks must be increasing numbers of seeds, at most {len(self.seeds)} here, not "
                f"{', '.join(map(str, self.looks))}."
            )
        return self

    @property
    def arms(self) -> list[dict[str, Any]]:
        """The parameters of each arm: the priors, and the runs beside them."""
        return [{"noise": noise} for noise in self.noises] + list(self.also)


_NULL, _MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"


class _PlainLoader(yaml.SafeLoader):
    """Reads plain values as they are written.

    YAML 1.1 makes bools, octals, sexagesimals and dates of ``on``, ``007``, ``12:30`` and
    ``2024-01-01``. Here they are texts; a number is what Python would write in the same way.
    Aliases are refused, since a few lines of them can expand to billions, and so are keys that are
    given twice, of which the last would count.
    """

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in (_NULL, _MERGE)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed here: write the values out")
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse a key that is given twice; one that overrides a merged mapping's is allowed."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.YAMLError(
                    f"'{key.value}' is given twice, again in line {key.start_mark.line + 1}"
                )
            seen.add(key.value)
        super().flatten_mapping(node)

    def construct_text_or_number(self, node: yaml.ScalarNode) -> str | int | float:
        """Return the number that a plain scalar is, if it is one and written in the usual way."""
        text = self.construct_scalar(node)
        for number in (int, float) if node.style is None else ():
            with contextlib.suppress(ValueError):
                if str(number(text)) == text:
                    return number(text)
        return text


_PlainLoader.add_constructor("tag:yaml.org,2002:str", _PlainLoader.construct_text_or_number)


def load_grid(path: str | Path) -> Grid:
    """Read a grid file and check every value.

    Parameters
    ----------
    path
        The file; if there is none, the file of that name beside the notebooks.

    Raises
    ------
    WorkbookError
        If it cannot be read, is not valid YAML, or holds an unknown or impossible value.
    """
    path = expand_path(path)
    try:
        if not path.exists() and (notebooks_dir() / path).exists():
            path = notebooks_dir() / path
            logger.warning("The grid is '%s'.", path)
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        is_other_text = isinstance(error, UnicodeDecodeError)
        why = "it is not UTF-8" if is_other_text else getattr(error, "strerror", None) or error
        raise WorkbookError(f"the grid '{path}' cannot be read ({why}). {_EXAMPLE}") from error
    try:
        content = yaml.load(text, _PlainLoader)
    except Exception as error:  # YAML's own, and those of its dates, numbers and depths
        reason = " ".join(str(error).split())[:300]
        raise WorkbookError(f"the grid '{path}' is not valid YAML ({reason}).") from error
    if not isinstance(content, dict):
        raise WorkbookError(
            f"the grid '{path}' should be a list of names with values, such as "
            f"'collections: [plein_air]'. {_EXAMPLE}"
        )
    return Grid.resolve(**{str(name): value for name, value in content.items()})


# --- Tasks ---


@dataclass(frozen=True)
class Task:
    """One run of the grid.

    Attributes
    ----------
    run : str
        Name of its folder.
    collection, architecture, noise, first_norm, seed
        What distinguishes it from the others.
    epochs : int
        How many it will have when it is finished.
    parameters : dict
        Of ``train.ipynb``.
    settings : dict
        What it shares with the other runs of its study; see `record.settings_of`.
    """

    run: str
    collection: str
    architecture: str
    noise: str
    first_norm: str
    seed: int
    epochs: int
    parameters: dict[str, Any] = field(hash=False)
    settings: dict[str, Any] = field(hash=False)

    def __str__(self) -> str:
        """Return what distinguishes it from the others."""
        norm = "" if self.first_norm == "channel" else f", first_norm {self.first_norm}"
        return f"{self.collection}, {self.architecture}, {self.noise}{norm}, seed {self.seed}"


def check_grid(grid: Grid) -> list[Location]:
    """Check every arm's parameters, and locate the collections; neither image nor torch is loaded.

    Raises
    ------
    WorkbookError
        If a collection is missing, or a parameter is wrong.
    """
    places = [locate(collection) for collection in grid.collections]
    names = [place.name for place in places]
    if len(set(names)) < len(names) or grid.name in names:
        raise WorkbookError(
            f"the collections {', '.join(names)} and the study '{grid.name}' need different names: "
            "rename a folder, or the study."
        )
    for architecture, arm in product(grid.architectures, grid.arms):
        parameters = grid.parameters | arm | {"architecture": architecture}
        locate_source(TrainConfig.check(**_possible_here(parameters)).start_from)
    return places


def tasks(grid: Grid) -> list[Task]:
    """Return the runs of a grid, all arms of the first seed before the next seed.

    Each collection is loaded here, and painted if necessary, before any worker needs it. The
    precision ``auto`` is decided here, so that different workers agree.

    Raises
    ------
    WorkbookError
        If a collection is missing, a parameter is wrong, or a run is there twice; nothing has been
        trained then.
    """
    from dcgan_utils.data.labels import classes_of
    from dcgan_utils.data.load import load_dataset
    from dcgan_utils.study.record import settings_of

    found, places = [], check_grid(grid)
    shared, common = _resolved(grid.parameters), dict(grid.parameters)
    if shared.start_from is not None:  # so that workers find it from their own directories
        common["start_from"] = locate_source(shared.start_from)
    for place in places:
        source = place.source
        dataset = load_dataset(source, **shared.loading)
        classes_of(dataset, grid.label_column)
        for architecture, seed, arm in product(grid.architectures, grid.seeds, grid.arms):
            own = arm | {"dataset": source, "architecture": architecture, "seed": seed}
            config = _resolved(common | own).for_collection(len(dataset.images))
            parameters = common | own | {"precision": config.precision}
            which = (place.name, architecture, config.noise, config.first_norm, seed)
            settings = settings_of(config, dataset.data_hash)
            task = Task(run_name(config, dataset), *which, config.epochs, parameters, settings)
            if task.run in {other.run for other in found}:
                raise WorkbookError(f"'also' repeats {task}: leave it out.")
            found.append(task)
    return found


def _resolved(parameters: dict[str, Any]) -> TrainConfig:
    return TrainConfig.resolve(**_possible_here(parameters))


def _possible_here(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters, with the device of this machine where the workers have a GPU."""
    elsewhere = str(parameters.get("device", "auto")).startswith("cuda")
    return parameters | ({"device": "auto"} if elsewhere else {})
