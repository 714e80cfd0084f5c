import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers import FORKS, GAUGES, after_epoch, assert_equal_runs, some
from PIL import Image

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import runs_dir
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.load import load_dataset, synthetic_dataset
from dcgan_utils.data.statistics import share_between_images
from dcgan_utils.data.tensors import to_float
from dcgan_utils.gan import augment
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.runs import training
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.training import TrainingInterrupted, train


def dawdle(config, folder, run, steps):
    """Train slowly, and send the number of each step, at the end what stopped it."""
    step = DCGAN.train_step

    def slow_step(self, real):
        steps.send(self.steps)
        time.sleep(0.02)
        return step(self, real)

    DCGAN.train_step = slow_step
    try:
        train(config, load_dataset(folder, 32), folder=run)
    except TrainingInterrupted as stop:
        steps.send(str(stop))


def start(config, image_folder, run):
    """Start a training in a process of its own; return it, and the end of a pipe to hear it."""
    heard, steps = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=dawdle, args=(config, image_folder, run, steps))
    process.start()
    steps.close()
    return process, heard


def wait_for_step(heard, step):
    while heard.recv() != step:
        pass


def last_message(heard):
    said = None
    with suppress(EOFError):
        while True:
            said = heard.recv()
    return said


def test_a_run_leaves_what_the_contract_says(tiny, collection):
    rows = []
    run = train(tiny(epochs=3), collection, watchers=[after_epoch(rows.append)])
    history = run.history()
    assert history["epoch"].tolist() == [1, 2, 3] == [row["epoch"] for row in rows]
    assert list(history.columns) == [*GAUGES, "seconds"]
    assert history[["d_real", "d_fake"]].stack().between(0, 1).all()
    assert (history["seconds"] > 0).all()
    assert run.sampled_epochs() == [1, 2, 3]
    assert run.samples(3).shape == (6, 3, 32, 32)
    assert run.finished
    with Image.open(run.gif_path) as gif:
        assert gif.n_frames == 3


def test_a_finished_run_is_returned_at_once(tiny, collection):
    run = train(tiny(), collection)
    before = run.checkpoint_path.stat().st_mtime_ns
    never = after_epoch(lambda row: pytest.fail("trained again"))
    again = train(tiny(), collection, watchers=[never])
    assert again.folder == run.folder
    assert run.checkpoint_path.stat().st_mtime_ns == before


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_one_seed_gives_one_run(tiny, collection, tmp_path, precision):
    config = tiny(precision=precision)
    one = train(config, collection, folder=tmp_path / "one")
    other = train(config, collection, folder=tmp_path / "other")
    assert_equal_runs(one, other)
    different = train(tiny(precision=precision, seed=1), collection)
    assert not torch.equal(one.samples(2), different.samples(2))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"noise": "gamma"},
        {"precision": "bf16"},
        {"augment": "diffaugment", "instance_noise": 0.1, "noise": "student_t"},
        {"augment": "ada", "flip": True, "layer_noise": 0.1, "architecture": "pokemon"},
    ],
)
def test_a_killed_run_goes_on_bit_for_bit(tiny, image_folder, collection, tmp_path, changes):
    changes |= {"epochs": 4}
    undisturbed = train(tiny(**changes), collection, folder=tmp_path / "undisturbed")
    process, heard = start(tiny(**changes), image_folder, tmp_path / "killed")
    wait_for_step(heard, 7)  # three batches an epoch: in the middle of the third
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not Run(tmp_path / "killed").finished
    resumed = train(tiny(**changes), collection, folder=tmp_path / "killed")
    assert_equal_runs(undisturbed, resumed)


def test_a_run_goes_on_from_an_old_checkpoint_bit_for_bit(tiny, collection, tmp_path, monkeypatch):
    config = tiny(epochs=4)
    undisturbed = train(config, collection, folder=tmp_path / "undisturbed")
    monkeypatch.setattr(training, "SAVING_SHARE", 1e-9)  # nothing but the first and the last

    def fail(row):
        if row["epoch"] == 3:
            raise RuntimeError("the machine stops here")

    with pytest.raises(RuntimeError):
        train(config, collection, folder=tmp_path / "run", watchers=[after_epoch(fail)])
    run = Run(tmp_path / "run")
    assert run.load_checkpoint()["epoch"] == 1
    assert run.history()["epoch"].tolist() == [1, 2, 3]
    assert_equal_runs(undisturbed, train(config, collection, folder=run.folder))


@pytest.mark.slow
def test_ctrl_c_saves_in_mid_epoch_and_the_run_goes_on_bit_for_bit(
    tiny, image_folder, collection, tmp_path
):
    undisturbed = train(tiny(), collection, folder=tmp_path / "undisturbed")
    process, heard = start(tiny(), image_folder, tmp_path / "interrupted")
    wait_for_step(heard, 4)
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert "Run it again to resume." in last_message(heard)
    state = Run(tmp_path / "interrupted").load_checkpoint()
    assert state["epoch"] == 1
    assert 0 < state["seen"] < len(collection.images)
    resumed = train(tiny(), collection, folder=tmp_path / "interrupted")
    assert_equal_runs(undisturbed, resumed)


def test_ctrl_c_in_this_process_is_a_keyboard_interrupt(tiny, collection, tmp_path):
    handler = signal.getsignal(signal.SIGINT)

    def press(row):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted, match="epoch 2 of 2") as stop:
        train(tiny(), collection, folder=tmp_path / "run", watchers=[after_epoch(press)])
    assert isinstance(stop.value, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.slow
def test_a_run_in_training_is_refused_to_others(tiny, image_folder, collection, tmp_path):
    process, heard = start(tiny(epochs=50), image_folder, tmp_path / "run")
    wait_for_step(heard, 4)
    with pytest.raises(WorkbookError, match="being trained by another process"):
        train(tiny(epochs=50), collection, folder=tmp_path / "run")
    process.kill()
    process.join()
    with Run(tmp_path / "run").locked():
        pass  # a dead process holds no lock


def test_training_works_beside_the_main_thread(tiny, collection):
    runs = []
    thread = threading.Thread(target=lambda: runs.append(train(tiny(), collection)))
    thread.start()
    thread.join()
    assert runs[0].finished


def test_divergence_stops_with_epoch_batch_and_last_checkpoint(
    tiny, collection, tmp_path, monkeypatch
):
    from dcgan_utils.gan.model import DCGAN

    step = DCGAN.train_step

    def poisoned(self, real):
        if self.steps == 4:
            next(self.discriminator.parameters()).data.fill_(float("nan"))
        return step(self, real)

    monkeypatch.setattr(DCGAN, "train_step", poisoned)
    with pytest.raises(WorkbookError, match=r"epoch 2, batch 2.*Last good checkpoint: epoch 1"):
        train(tiny(), collection, folder=tmp_path / "run")
    state = Run(tmp_path / "run").load_checkpoint()
    assert state["epoch"] == 1
    assert all(t.isfinite().all() for t in state["model"]["discriminator"].values())


def test_a_weight_lost_in_the_last_batch_is_not_saved(tiny, collection, tmp_path, monkeypatch):
    from dcgan_utils.gan.model import DCGAN

    step = DCGAN.train_step

    def poisoned(self, real):
        losses = step(self, real)
        if self.steps == 3:
            next(self.generator.parameters()).data.fill_(float("inf"))
        return losses

    monkeypatch.setattr(DCGAN, "train_step", poisoned)
    with pytest.raises(
        WorkbookError, match=r"a weight is not a finite number.*Last good checkpoint: none"
    ):
        train(tiny(), collection, folder=tmp_path / "run")
    assert Run(tmp_path / "run").load_checkpoint() is None


@pytest.mark.parametrize("batch_size", [1, 3, 10, 64])
def test_any_batch_size_shows_every_image_once(tiny, collection, batch_size, monkeypatch):
    from dcgan_utils.gan.model import DCGAN

    shown, step = [], DCGAN.train_step

    def noting(self, real):
        shown.append(real)
        return step(self, real)

    monkeypatch.setattr(DCGAN, "train_step", noting)
    train(tiny(batch_size=batch_size, epochs=1), collection)
    seen = {tuple(image.flatten().tolist()) for batch in shown for image in batch}
    assert sum(map(len, shown)) == len(seen) == 10


def test_previews_come_from_one_noise_whatever_happens_else(tiny, collection):
    # A generator that learns nothing (tiny lr) must draw the same previews every epoch.
    run = train(tiny(lr=1e-12, ema=0.5, noise="uniform"), collection)
    first, second = run.samples(1).float(), run.samples(2).float()
    assert (first - second).abs().mean() < 1


def test_a_generator_that_repeats_itself_has_no_share(tiny, collection, monkeypatch):
    from dcgan_utils.runs import training

    monkeypatch.setattr(
        training._Loop, "_samples", lambda self: torch.zeros(6, 3, 32, 32, dtype=torch.uint8)
    )
    assert train(tiny(), collection).history()["share_between_images"].tolist() == [0, 0]


def test_one_image_is_enough(tiny, tmp_path):
    from dcgan_utils.data.load import load_dataset

    folder = tmp_path / "one"
    folder.mkdir()
    Image.new("RGB", (32, 32), "red").save(folder / "red.png")
    run = train(tiny(sample_size=1), load_dataset(folder, 32))
    assert run.finished
    history = run.history()
    assert history["share_between_images"].isna().all(), "nothing to compare the samples with"


def shown_batches(monkeypatch):
    """Return a list that receives, at each step, what is left of the noise and the batch."""
    shown, step = [], DCGAN.train_step

    def noting(self, real):
        shown.append((self.noise_scale, real))
        return step(self, real)

    monkeypatch.setattr(DCGAN, "train_step", noting)
    return shown


def test_noise_decays(tiny, collection, monkeypatch):
    shown = shown_batches(monkeypatch)
    train(tiny(instance_noise=0.4, epochs=4, batch_size=10), collection)
    assert [left for left, _ in shown] == pytest.approx([1.0, 0.75, 0.5, 0.25])


@pytest.mark.parametrize(("policy", "times"), [("none", 1), ("pil", 6), ("both", 6), ("layers", 1)])
def test_an_epoch_shows_the_copies_too(tiny, collection, monkeypatch, policy, times):
    shown = shown_batches(monkeypatch)
    train(tiny(augment=policy, epochs=1), collection)
    images = torch.cat([real for _, real in shown])
    assert len(images) == times * len(collection.images)
    assert len(images.flatten(1).unique(dim=0)) > (times - 1) * len(collection.images)


def test_flip_shows_about_half_the_images_mirrored(tiny, collection, monkeypatch):
    shown = shown_batches(monkeypatch)
    train(tiny(flip=True, epochs=4), collection)
    originals = {tuple(p.flatten().tolist()) for p in to_float(collection.images)}
    kept = [tuple(p.flatten().tolist()) in originals for _, real in shown for p in real]
    turned = [tuple(p.flip(2).flatten().tolist()) in originals for _, real in shown for p in real]
    assert all(a != b for a, b in zip(kept, turned, strict=True))
    assert 0.2 < sum(kept) / len(kept) < 0.8


def test_ada_notes_its_probability(tiny, collection, monkeypatch):
    monkeypatch.setattr(augment, "ADA_TARGET", -2)  # so that it always rises
    history = train(tiny(augment="ada"), collection).history()
    rises = len(collection.images) / augment.ADA_IMAGES
    assert history["augment_probability"].tolist() == pytest.approx([rises, 2 * rises])


def test_auto_is_settled_before_the_run_is_named(tiny, collection):
    run = train(tiny(augment="auto"), collection)
    assert run.config.augment == "diffaugment"
    assert train(tiny(augment="diffaugment"), collection).folder == run.folder


def test_patience_ends_a_training_whose_losses_have_diverged(
    tiny, collection, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        Run, "divergence_epoch", lambda self: 2 if len(self.history()) >= 2 else None
    )
    config = tiny(epochs=9, patience=3)
    run = train(config, collection, folder=tmp_path / "run")
    assert run.history()["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert run.finished
    assert run.load_checkpoint()["epoch"] == 5
    assert run.kept_epochs()[-1] == 5
    assert train(config, collection, folder=tmp_path / "run").history().equals(run.history())
    assert len(train(tiny(epochs=7), collection).history()) == 7


def test_an_ended_training_whose_animation_is_missing_is_not_trained_on(
    tiny, collection, tmp_path, monkeypatch
):
    monkeypatch.setattr(Run, "divergence_epoch", lambda self: 1)
    config = tiny(epochs=9, patience=2)
    run = train(config, collection, folder=tmp_path / "run")
    run.gif_path.unlink()
    assert len(train(config, collection, folder=tmp_path / "run").history()) == 3


def test_images_of_another_size_are_refused_at_once(tiny, collection):
    with pytest.raises(WorkbookError, match="loaded with img_size 32, and the config has 64"):
        train(tiny(img_size=64), collection)
    assert not runs_dir().exists()


# --- What an epoch shows and notes -----------------------------------------------------------


def noise_images(n, side=32):
    """Return a collection of noise."""
    files = tuple(f"{number}.png" for number in range(n))
    return synthetic_dataset(
        some(n, side), name="noise", files=files, source=Path("noise"), kind="PNG"
    )


def untrained(monkeypatch, losses=None):
    """Return a list that receives the batches; nothing is learned from them."""
    shown = []

    def note(model, images):
        shown.append(images.clone())
        return {"g_loss": losses[len(shown) - 1] if losses else 1.0}

    monkeypatch.setattr(training, "train_batch", note)
    return shown


def test_losses_of_an_epoch_are_means_over_its_images(tiny, collection, monkeypatch):
    untrained(monkeypatch, losses=[1.0, 2.0, 3.0, 4.0, 5.0, 9.0])  # of 4, 4 and 2 images
    history = train(tiny(batch_size=4, epochs=2), collection).history()
    assert history["g_loss"].tolist() == pytest.approx([1.8, 5.4])


@pytest.mark.parametrize("augment", ["none", "pil"])
def test_the_share_of_the_samples_is_relative_to_the_collection_s(
    tiny, collection, monkeypatch, augment
):
    untrained(monkeypatch)
    run = train(tiny(augment=augment, epochs=1), collection)
    samples, reals = map(share_between_images, (run.samples(1), collection.images))
    found = run.history()["share_between_images"][0]
    assert found == pytest.approx(samples / reals, rel=1e-5)


@pytest.mark.parametrize("architecture", ["dcgan", "resize", "pokemon"])
def test_the_share_of_the_first_layer_is_recorded(tiny, collection, monkeypatch, architecture):
    """Before training it is 1 / (1 + r^2), a fifth for N(2, 1)."""
    untrained(monkeypatch)
    config = tiny(
        architecture=architecture, noise="N(2, 1)", epochs=1, width=16, noise_size=100,
        sample_size=64,
    )  # fmt: skip
    found = train(config, collection).history()["first_layer_share"][0]
    assert found == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(("count", "every"), [(256, 1), (257, 2), (600, 3)])
def test_the_share_of_a_collection_is_measured_on_at_most_256_images(tiny, count, every):
    collection = noise_images(count)
    config = tiny()
    loop = training._Loop(config, collection, Run.create(config, collection))
    assert loop.real_share == share_between_images(collection.images[::every])


def test_flip_mirrors_each_image_with_probability_one_half(tiny, monkeypatch):
    shown, collection = untrained(monkeypatch), noise_images(1000)
    train(tiny(flip=True, epochs=2, batch_size=100), collection)
    rows = {tuple(image[0, 0].tolist()) for image in collection.images}
    shares = [
        sum(tuple(image[0, 0].tolist()) not in rows for image in batch) / len(batch)
        for batch in shown
    ]
    assert sum(shares) / len(shares) == pytest.approx(0.5, abs=0.03)
    assert 0.25 < min(shares) < max(shares) < 0.75, "image by image, not batch by batch"


def test_paired_runs_see_the_images_in_the_same_order(tiny, monkeypatch):
    shown, collection = untrained(monkeypatch), noise_images(12)
    for spec in ("normal", "gamma"):
        train(tiny(noise=spec, epochs=2, batch_size=12), collection)
    rng = stream(0, "order")
    first, second = (collection.images[torch.randperm(12, generator=rng)] for _ in range(2))
    for seen, expected in zip(shown, (first, second, first, second), strict=True):
        assert torch.equal(seen, expected)
    assert not torch.equal(first, second)


def test_previews_are_drawn_from_the_prior_with_a_seed_of_their_own(tiny, collection):
    config = tiny(noise="gamma", seed=3)
    loop = training._Loop(config, collection, Run.create(config, collection))
    expected = config.prior.sample(6, 8, generator=stream(3, "preview"))
    assert torch.equal(loop.fixed_noise, expected)


def test_writing_checkpoints_takes_at_most_a_twentieth_of_the_time(tiny, collection, monkeypatch):
    config = tiny()
    loop = training._Loop(config, collection, Run.create(config, collection))
    clock = iter([100.0, 103.0])
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    loop._save()
    assert loop.saving_due == pytest.approx(103 + 20 * 3)


def test_a_batch_reaches_the_model_between_minus_1_and_1(tiny):
    model, images = DCGAN(tiny()), some(4)
    images[0, 0, 0, :3] = torch.tensor([0, 255, 51], dtype=torch.uint8)
    seen = []
    model.train_step = lambda real: seen.append(real) or {"g_loss": torch.tensor(0.25)}
    assert training.train_batch(model, images) == {"g_loss": 0.25}
    assert seen[0][0, 0, 0, :3].tolist() == pytest.approx([-1, 1, -0.6])


def test_a_training_rounds_the_same_each_time():
    with training.reproducible():
        cudnn = torch.backends.cudnn
        settings = cudnn.enabled, cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32
    assert settings == (True, True, False, False)
