"""Weights that a training begins with: those of another run, or of a file.

A block of a network (a convolution with its normalisation) is taken as a whole, if all its shapes
fit. Blocks are matched from the image on: the first of the discriminators, the last of the
generators. So networks for another size of images share the blocks of the highest resolutions,
which know textures and edges.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_utils.core.environment import needs_extra
from dcgan_utils.core.errors import WorkbookError, did_you_mean, first_line
from dcgan_utils.core.files import expand_path, runs_dir
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.runs import checkpoint
from dcgan_utils.runs.run import Run, incompatible_state_as_error, run_folder, run_folders

if TYPE_CHECKING:
    import torch

    from dcgan_utils.gan.model import DCGAN

Weights = dict[str, "torch.Tensor"]
NETWORKS = ("generator", "ema", "discriminator")
_ADVICE = "Give a run, or a file 'checkpoint.pt' or 'weights/epoch_....pt' of a run folder."


@dataclass(frozen=True)
class Start:
    """The weights that a training begins with, as far as they fit its networks.

    Attributes
    ----------
    source : str
        The config's ``start_from``.
    epoch : int or None
        After which they were saved, if that is known.
    weights_hash : str
        Of all weights of the source.
    weights : dict
        Those that fit: by network, then by name as in its state dict.
    left_out : tuple of str
        What begins anew: names of blocks, or of a network that the source does not have.
    """

    source: str
    epoch: int | None
    weights_hash: str
    weights: dict[str, Weights]
    left_out: tuple[str, ...]

    @property
    def about(self) -> dict[str, Any]:
        """What the run folder records."""
        return {"source": self.source, "epoch": self.epoch, "weights_hash": self.weights_hash}

    def __str__(self) -> str:
        """Say where the weights are from, and what was not taken."""
        after = "" if self.epoch is None else f" after epoch {self.epoch}"
        left = f"Not taken, begun anew: {', '.join(self.left_out)}" if self.left_out else "All fit"
        return f"It begins with the weights of '{self.source}'{after}. {left}."

    def apply(self, model: DCGAN) -> None:
        """Copy the weights into a model that has not been trained."""
        for name, weights in self.weights.items():
            getattr(model, name).load_state_dict(weights, strict=False)


def locate_source(start_from: str | None) -> str | None:
    """Return a text that means the same run or file of weights from any working directory.

    No weights are loaded, and no torch. A source that is gone is accepted if a run has begun with
    it, since that run can resume without it.

    Raises
    ------
    WorkbookError
        If there is no such run or file, or the run has no weights yet.
    """
    if start_from is None:
        return None
    folder, path = run_folder(start_from), expand_path(start_from)
    if folder is not None:
        run = Run(folder)
        if not (run.checkpoint_path.exists() or run.kept_epochs()):
            raise WorkbookError(f"start_from: the run '{run.name}' has no weights; train it first.")
        return folder.name if folder.parent == runs_dir() else str(folder.resolve())
    if path.is_file():
        return str(path.resolve())
    if any(_began_with(folder, start_from) for folder in run_folders()):
        return start_from
    raise _missing(start_from)


def _began_with(folder: Path, start_from: str) -> bool:
    try:
        return Run(folder).about["config"].get("start_from") == start_from
    except WorkbookError:
        return False


def _missing(start_from: str) -> WorkbookError:
    near = did_you_mean(start_from, [folder.name for folder in run_folders()])
    return WorkbookError(
        f"start_from '{start_from}' is neither a run nor a file of weights.{near} Runs are in "
        f"'{runs_dir()}'."
    )


def load_start(config: TrainConfig) -> Start:
    """Load the weights that ``config.start_from`` names, as far as they fit the config's networks.

    Of a run they are those of its latest checkpoint: both networks in training, and the EMA
    generator. If only the EMA generator's weights are left, or a file holds no others, both
    generators begin with these, and the discriminator begins anew. Optimisers always do.

    Raises
    ------
    WorkbookError
        If there is no such run or file, it cannot be read, or no block fits.
    """
    epoch, networks = _load(config.start_from)
    weights, left_out = {}, []
    with _foreign_as_error(config.start_from):
        for name, own in _shapes(config).items():
            if name not in networks:
                left_out.append(f"the {name}, which the source does not have")
                continue
            weights[name], others = _fitting(networks[name], own, reverse=name != "discriminator")
            left_out += [f"{name}.{block}" for block in others if name != "ema"]
        weights_hash = _hash(networks)
    if not any(weights.values()):
        raise WorkbookError(
            f"start_from: no block of '{config.start_from}' fits networks of architecture "
            f"{config.architecture}, width {config.width} and img_size {config.img_size}: give "
            "those that it was trained with."
        )
    return Start(config.start_from, epoch, weights_hash, weights, tuple(left_out))


def _load(start_from: str) -> tuple[int | None, dict[str, Weights]]:
    """Return the epoch, if that is known, and the weights of the networks."""
    folder, path = run_folder(start_from), expand_path(start_from)
    if folder is not None:
        run = Run(folder)
        if (state := run.load_checkpoint()) is not None:
            with incompatible_state_as_error(run):
                return _parts(state)
        epoch, weights = run.latest_weights()
        return epoch, {"generator": weights, "ema": weights}
    if not path.is_file():
        raise _missing(start_from)
    state = _read(path)
    if "model" in state:
        with _foreign_as_error(start_from):
            return _parts(state)
    return None, {"generator": state, "ema": state}


def _parts(state: dict[str, Any]) -> tuple[int, dict[str, Weights]]:
    return operator.index(state["epoch"]), {name: state["model"][name] for name in NETWORKS}


def _read(path: Path) -> dict[str, Any]:
    if path.suffix.lower() != ".safetensors":
        return checkpoint.load(path, _ADVICE)
    with needs_extra("export"):
        from safetensors.torch import load_file
    with _foreign_as_error(str(path)):
        return load_file(path)


@contextmanager
def _foreign_as_error(source: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if checkpoint.is_out_of_memory(error):
            raise
        raise WorkbookError(
            f"start_from: '{source}' does not hold the weights of a generator that was trained "
            f"here ({first_line(error)}). {_ADVICE}"
        ) from error


def _shapes(config: TrainConfig) -> dict[str, Weights]:
    """Return tensors without content in the shapes of the config's networks."""
    import torch

    from dcgan_utils.gan.networks import build_networks

    with torch.device("meta"):
        generator, discriminator = build_networks(config.architecture, **config.sizes)
    shapes = generator.state_dict()
    return {"generator": shapes, "ema": shapes, "discriminator": discriminator.state_dict()}


def _fitting(theirs: Weights, own: Weights, *, reverse: bool) -> tuple[Weights, list[str]]:
    """Return the weights of the blocks that fit, by our names, and the names of the other blocks.

    With ``reverse`` the last blocks are matched, else the first.
    """
    direction = -1 if reverse else 1
    blocks = zip_longest(_blocks(own)[::direction], _blocks(theirs)[::direction])
    taken, others = {}, []
    for mine, source in (pair for pair in blocks if pair[0] is not None):
        (name, wanted), (_, found) = mine, source or ("", {})
        if {part: w.shape for part, w in wanted.items()} != {p: w.shape for p, w in found.items()}:
            others.append(name)
            continue
        taken |= {f"{name}.{part}": weights for part, weights in found.items()}
    return taken, others[::direction]


def _blocks(weights: Weights) -> list[tuple[str, Weights]]:
    """Return the name of each block, such as ``blocks.0``, and its weights."""
    blocks: dict[str, Weights] = {}
    for name, tensor in weights.items():
        room, number, part = name.split(".", 2)
        blocks.setdefault(f"{room}.{number}", {})[part] = tensor
    return [*blocks.items()]


def _hash(networks: dict[str, Weights]) -> str:
    from dcgan_utils.core.cache import content_hash

    digest = hashlib.blake2b(digest_size=16)
    for network, weights in networks.items():
        for name, tensor in sorted(weights.items()):
            digest.update(f"{network}.{name} {content_hash(tensor.numpy())}".encode())
    return digest.hexdigest()
