"""The epoch loop: a config, images and a run folder in, a trained run out."""

from __future__ import annotations

import contextlib
import logging
import math
import operator
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from dcgan_utils.core.errors import PlainMessage, WorkbookError
from dcgan_utils.core.files import warn_if_not_writable, write_gif
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.load import Dataset, load_copies
from dcgan_utils.data.statistics import share_between_images, share_of_collection
from dcgan_utils.data.tensors import make_grid, to_float, to_uint8
from dcgan_utils.gan.augment import COPYING
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.runs.checkpoint import epochs_to_keep, is_out_of_memory
from dcgan_utils.runs.run import Run, incompatible_state_as_error, run_folder, run_name
from dcgan_utils.runs.sampling import draw
from dcgan_utils.runs.transfer import Start, load_start

logger = logging.getLogger(__name__)
SAVING_SHARE = 1 / 20  # of the training time, at most, is spent on writing checkpoints

FRAMES = 240  # of the animation, at most
FRAME_IMAGES = 16  # shown in each frame


class Watcher(contextlib.AbstractContextManager):
    """Watches a training; what a subclass does not care about it leaves as it is here.

    It is entered once the training is about to begin, and left when it ends; then ``__exit__`` is
    given what stopped it, if anything did. Images are uint8, shape ``(sample_size, 3, H, W)``.
    """

    def start(self, run: Run, epoch: int, samples: torch.Tensor) -> None:
        """Learn of the run, the epochs it has completed before, and what it draws now."""

    def batch(self, done: float) -> None:
        """Learn how many epochs are done, with a fraction; called after each batch."""

    def epoch(self, row: dict[str, float], samples: torch.Tensor) -> None:
        """Learn of one more epoch: its row of the history, and what the run draws now."""

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        """Learn that the training has ended, and by which error, if any."""


class TrainingInterrupted(PlainMessage, KeyboardInterrupt):
    """Raised after Ctrl-C or the notebook's stop button, once the state is saved."""


def train(
    config: TrainConfig,
    dataset: Dataset,
    *,
    folder: str | Path | None = None,
    watchers: Sequence[Watcher] = (),
) -> Run:
    """Train a DCGAN, or resume an earlier training with the same config and images.

    On the same machine, a resumed run equals an uninterrupted one bit for bit. This is tested on
    the CPU. It does not hold on a GPU with ``augment`` layers or both, because torch adds up
    their gradients in any order there. A finished run is returned at once. Ctrl-C saves the
    state. A process that is killed loses the epochs since the last checkpoint; writing
    checkpoints takes up to a twentieth of the time. With ``config.start_from``, both networks
    begin with the weights of another run (see `transfer.load_start`), which is needed only then.

    Parameters
    ----------
    config
        Resolved parameters.
    dataset
        From ``load_dataset(config.dataset, **config.loading)``; the images are kept in memory.
    folder
        The run folder; the default is `run.run_name` in ``reports/runs``.
    watchers
        They hear of each batch and epoch; a finished run has none. With
        ``config.tensorboard``, the run's folder for TensorBoard is written too.

    Returns
    -------
    Run
        With history, samples of every epoch, checkpoint and animation. If ``config.patience`` is
        not 0, the training ends early when the losses have been diverged for that many epochs
        (see `equilibrium.divergence_epoch`).

    Raises
    ------
    WorkbookError
        If the images were loaded otherwise than the config says, if ``config.start_from`` names no
        weights that fit, if a loss or a weight is no longer finite, if memory runs out, if
        ``folder`` contains another run or one whose checkpoint was deleted, or if another process
        is training it.
    TrainingInterrupted
        After Ctrl-C; the state is saved, even within an epoch.
    """
    config = config.for_collection(len(dataset.images))
    _refuse_other_squares(config, dataset)
    start = _start(config, run_folder(folder or run_name(config, dataset)))
    run = Run.create(config, dataset, folder=folder, start=start and start.about)
    if start is not None and start.about != run.about.get("start"):
        logger.warning(
            "'%s' has other weights now than '%s' began with. To begin with the new ones, give "
            "them another name.",
            *(start.source, run.name),
        )
    if run.finished:
        logger.info("%s is already finished: nothing to train.", run.name)
        _ensure_preview(run)
        return run
    with run.locked(), reproducible(), _friendly_out_of_memory(config, len(dataset.images)):
        watchers = [*watchers, *_for_tensorboard(config)]
        loop = _Loop(config, dataset, run, watchers, start)
        with contextlib.ExitStack() as stack, _deferred_interrupt() as interrupted:
            for watcher in watchers:
                stack.enter_context(watcher)
            loop.start()
            while not loop.ended:
                loop.run_epoch(interrupted)
        _ensure_preview(run)
        frames = _frames(run)
        with warn_if_not_writable():
            write_gif(run.gif_path, frames)
    return run


def _start(config: TrainConfig, begun: Path | None) -> Start | None:
    """Load the weights to begin with; a run that has begun can do without them."""
    if config.start_from is None:
        return None
    try:
        return load_start(config)
    except WorkbookError:
        if begun is None:
            raise
        return None


def _refuse_other_squares(config: TrainConfig, dataset: Dataset) -> None:
    loaded = {"img_size": dataset.images.shape[-1], **dataset.options}
    for name, value in config.loading.items():
        if loaded.get(name, value) != value:
            raise WorkbookError(
                f"the images were loaded with {name} {loaded[name]}, and the config has {value}: "
                "load them with load_dataset(config.dataset, **config.loading)."
            )


def _for_tensorboard(config: TrainConfig) -> list[Watcher]:
    """Return what writes for TensorBoard, if that is wanted; only then is it imported."""
    if not config.tensorboard:
        return []
    try:
        from dcgan_utils.runs.tensorboard import TensorBoard
    except WorkbookError as error:
        logger.warning("Nothing is written for TensorBoard: %s", error)
        return []
    return [TensorBoard()]


def reproducible() -> contextlib.AbstractContextManager:
    """Return a context in which cuDNN is deterministic and fp32 is not rounded to TF32.

    By default, cuDNN may choose another algorithm in each run.
    """
    return torch.backends.cudnn.flags(
        enabled=True, deterministic=True, benchmark=False, allow_tf32=False
    )


def train_each(
    configs: Sequence[TrainConfig],
    dataset: Dataset,
    *,
    watchers: Callable[[], Sequence[Watcher]] = tuple,
) -> tuple[dict[str, Run], dict[str, str]]:
    """Train one run per config; one that fails does not keep the others from being trained.

    Parameters
    ----------
    configs
        They differ in their noise.
    dataset
        As for `train`.
    watchers
        Called before each training.

    Returns
    -------
    trained : dict of Run
        By label of the prior.
    failed : dict of str
        Why a training failed, by label of the prior.

    Raises
    ------
    WorkbookError
        If all of them fail.
    TrainingInterrupted
        After Ctrl-C; the same call goes on.
    """
    trained, failed = {}, {}
    for config in configs:
        label = config.prior.label
        try:
            trained[label] = train(config, dataset, watchers=watchers())
        except WorkbookError as error:
            failed[label] = str(error)
            logger.warning("%s: %s", label, error)
    if not trained:
        raise WorkbookError("; ".join(f"{label}: {why}" for label, why in failed.items()))
    return trained, failed


def train_batch(model: DCGAN, images: torch.Tensor) -> dict[str, float]:
    """Update both networks on one batch.

    Parameters
    ----------
    model
        It is changed in place.
    images
        uint8, shape ``(n, 3, img_size, img_size)``, on the model's device.

    Returns
    -------
    dict of float
        Losses and outputs of the discriminator, named as by `DCGAN.train_step`.
    """
    real = to_float(images).contiguous(memory_format=model.memory_format)
    losses = model.train_step(real)
    values = torch.stack(list(losses.values())).tolist()  # one transfer from the device
    return dict(zip(losses, values, strict=True))


class _Loop:
    """The state of a training, which the checkpoint stores, and one epoch as a method."""

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        run: Run,
        watchers: Sequence[Watcher] = (),
        start: Start | None = None,
    ):
        self.config, self.run, self.watchers = config, run, watchers
        self.model = DCGAN(config)
        images = load_copies(dataset) if config.augment in COPYING else dataset.images
        self.images = images.to(self.model.device)
        self.order_rng = stream(config.seed, "order")
        self.flip_rng = stream(config.seed, "flip")
        self.fixed_noise = _fixed_noise(config, self.model.device)
        self.real_share = share_of_collection(dataset.images)
        self.epoch = 0  # complete epochs
        self.seen = 0  # images shown in the current epoch
        self.order = torch.arange(len(self.images))
        self.totals: dict[str, float] = {}
        self.seconds = 0.0
        self.saved_epoch = 0
        self.saving_due = 0.0  # the first epoch is always saved
        self.kept_epochs = set(epochs_to_keep(config.epochs))
        self._resume(start)

    def _resume(self, start: Start | None) -> None:
        state = self.run.load_checkpoint()
        if state is not None:
            with incompatible_state_as_error(self.run):
                self._restore(state)
            logger.info("%s resumes from epoch %d.", self.run.name, self.epoch)
        else:
            self.epoch = self._epochs_without_checkpoint()
        self.run.forget_after(self.epoch)
        if state is None and not self.epoch and self.config.start_from is not None:
            start = start or load_start(self.config)
            start.apply(self.model)
            logger.info("%s: %s", self.run.name, start)
            self._save()  # so that it can resume without the source

    def _epochs_without_checkpoint(self) -> int:
        """Return 0, or all epochs if only the checkpoint of a complete training was deleted."""
        self.epoch = max([0, *self.run.sampled_epochs(), *self.run.kept_epochs()])
        if self.epoch <= 1:  # the checkpoint of the first epoch is written after its samples
            return 0
        if not self.ended:
            raise WorkbookError(
                f"the run '{self.run.name}' has {self.epoch} epochs, but its checkpoint was "
                f"deleted, so it cannot resume. Delete the folder '{self.run.folder}' to start "
                "over."
            )
        return self.epoch

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.order_rng.set_state(state["order_rng"])
        self.flip_rng.set_state(state["flip_rng"])
        self.epoch, self.seen = operator.index(state["epoch"]), operator.index(state["seen"])
        self.order, n = state["order"], len(self.images)
        is_permutation = torch.equal(self.order.sort().values, torch.arange(n))
        in_range = 0 <= self.epoch <= self.config.epochs and 0 <= self.seen <= n
        if not (in_range and is_permutation):
            raise ValueError(self.epoch)
        self.totals = {name: float(total) for name, total in state["totals"].items()}
        self.seconds = float(state["seconds"])
        self.saved_epoch = self.epoch

    @property
    def ended(self) -> bool:
        """Whether all epochs are done, or the losses have been diverged for ``patience`` epochs."""
        if self.epoch >= self.config.epochs:
            return True
        diverged = self.run.divergence_epoch() if self.config.patience else None
        return diverged is not None and self.epoch - diverged >= self.config.patience

    def _save(self) -> None:
        started = time.perf_counter()
        self.run.save_checkpoint(
            {
                "epoch": self.epoch,
                "seen": self.seen,
                "order": self.order,
                "totals": self.totals,
                "seconds": self.seconds,
                "order_rng": self.order_rng.get_state(),
                "flip_rng": self.flip_rng.get_state(),
                "model": self.model.state_dict(),
            }
        )
        ended = time.perf_counter()
        self.saved_epoch, self.saving_due = self.epoch, ended + (ended - started) / SAVING_SHARE

    def start(self) -> None:
        """Tell the watchers where the training stands."""
        if self.watchers:
            samples = self._samples()
            for watcher in self.watchers:
                watcher.start(self.run, self.epoch, samples)

    def run_epoch(self, interrupted: Callable[[], bool]) -> None:
        """Train on all images once, then write samples, history and, if due, a checkpoint.

        The checkpoint of the last epoch is always written.
        """
        started = time.perf_counter() - self.seconds
        if self.seen == 0:
            self.order = torch.randperm(len(self.images), generator=self.order_rng)
            self.totals = {}
        self.model.noise_scale = 1 - self.epoch / self.config.epochs
        while self.seen < len(self.images):
            self._run_batch()
            for watcher in self.watchers:
                watcher.batch(self.epoch + self.seen / len(self.images))
            if interrupted():
                self.seconds = time.perf_counter() - started
                self._save()
                raise TrainingInterrupted(
                    f"interrupted in epoch {self.epoch + 1} of {self.config.epochs}. The state is "
                    f"saved in '{self.run.folder}'. Run it again to resume."
                )
        if not self.model.is_finite():
            raise self._diverged("a weight")
        self.epoch, self.seen = self.epoch + 1, 0
        samples = self._samples()
        row = {"epoch": self.epoch}
        row |= {name: total / len(self.images) for name, total in self.totals.items()}
        if self.config.augment == "ada":
            row["augment_probability"] = self.model.augment_probability
        row |= self._shares(samples)
        row["seconds"] = time.perf_counter() - started
        self.seconds = 0.0
        self.run.save_samples(self.epoch, samples)
        self.run.log_epoch(row)
        ended = self.ended
        if ended or self.epoch in self.kept_epochs:
            self.run.save_weights(self.epoch, self.model.ema.state_dict())
        if ended or time.perf_counter() >= self.saving_due:
            self._save()
        for watcher in self.watchers:
            watcher.epoch(row, samples)

    def _run_batch(self) -> None:
        chosen = self.order[self.seen : self.seen + self.config.batch_size]
        batch = self.images[chosen.to(self.images.device)]
        if self.config.flip:
            mirrored = torch.rand(len(batch), 1, 1, 1, generator=self.flip_rng) < 0.5
            batch = torch.where(mirrored.to(batch.device), batch.flip(3), batch)
        losses = train_batch(self.model, batch)
        self.seen += len(chosen)
        for name, value in losses.items():
            if not math.isfinite(value):
                raise self._diverged(name)
            self.totals[name] = self.totals.get(name, 0.0) + value * len(chosen)

    def _diverged(self, what: str) -> WorkbookError:
        batch = math.ceil(self.seen / self.config.batch_size)
        last = f"epoch {self.saved_epoch}" if self.saved_epoch else "none"
        return WorkbookError(
            f"training diverged: {what} is not a finite number "
            f"(epoch {self.epoch + 1}, batch {batch}). Last good checkpoint: {last}. "
            "Try a smaller lr, precision=fp32 or other labels."
        )

    @torch.no_grad()
    def _samples(self) -> torch.Tensor:
        return to_uint8(self.model.ema(self.fixed_noise))

    @torch.no_grad()
    def _shares(self, samples: torch.Tensor) -> dict[str, float]:
        """Return the share between images in the first layer, and in the samples (real: 1)."""
        first = self.model.ema.first_feature_map(self.fixed_noise)
        share = share_between_images(samples) / self.real_share if self.real_share else math.nan
        return {
            "first_layer_share": share_between_images(first),
            "share_between_images": share,
        }


@contextlib.contextmanager
def _friendly_out_of_memory(config: TrainConfig, images: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        batch = min(config.batch_size, images)
        smaller = [f"batch_size {batch // 2}"] if batch > 1 else []
        smaller += [f"width {config.width // 2}"] if config.width > 1 else []
        raise WorkbookError(
            f"there is not enough memory on {config.device} for batches of {batch} "
            f"images at {config.img_size} px and width {config.width}: try "
            f"{' or '.join(smaller) or 'a smaller img_size'}. What was saved before is intact."
        ) from error


@contextlib.contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Defer Ctrl-C until the batch is complete; a second Ctrl-C interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # only the main thread receives signals
        return
    pressed = False

    def defer(number, frame):
        nonlocal pressed
        if pressed:
            signal.default_int_handler(number, frame)
        pressed = True

    previous = signal.signal(signal.SIGINT, defer)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, previous)
    if pressed:  # after the last batch, so the loop has not reacted to it
        raise KeyboardInterrupt


def _fixed_noise(config: TrainConfig, device: torch.device) -> torch.Tensor:
    """Return the latent vectors from which each epoch's samples are drawn."""
    rng = stream(config.seed, "preview")
    return config.prior.sample(config.sample_size, config.noise_size, generator=rng, device=device)


def _ensure_preview(run: Run) -> None:
    """Draw the last samples again if all samples were deleted."""
    if not run.sampled_epochs():
        epoch, _ = run.latest_weights()
        run.save_samples(epoch, draw(run, _fixed_noise(run.config, torch.device("cpu"))))


def _frames(run: Run) -> list[Image.Image]:
    """Return the frames of the animation: the first images in a square, the epoch below."""
    frames = []
    for epoch in run.sampled_epochs(FRAMES):
        tiles = run.samples(epoch)[:FRAME_IMAGES]
        grid = make_grid(tiles, math.ceil(math.sqrt(len(tiles))), gap=2)
        image = Image.fromarray(grid.numpy())
        frame = Image.new("RGB", (image.width, image.height + 16), "white")
        frame.paste(image)
        ImageDraw.Draw(frame).text((4, image.height + 2), f"epoch {epoch}", fill="black")
        frames.append(frame.quantize(128, dither=Image.Dither.NONE))
    return frames
