import hashlib
import json
import os
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import runs_dir, write_gif
from dcgan_utils.data.load import synthetic_dataset
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.runs import checkpoint
from dcgan_utils.runs.checkpoint import epochs_to_keep
from dcgan_utils.runs.run import Run, find_runs, latest_run, run_name


@pytest.fixture
def run(tiny, collection):
    return Run.create(tiny(), collection)


def test_name_tells_collection_noise_and_seed(tiny, collection):
    name = run_name(tiny(noise="N(1, 1)", seed=3), collection)
    assert name.startswith("ten-images-normal_1_1-s3-")


def test_name_depends_on_what_decides_the_result(tiny, collection, image_folder, tmp_path):
    from dcgan_utils.data.load import load_dataset

    base = run_name(tiny(), collection)
    assert base == run_name(tiny(dataset=str(tmp_path), preset="monet", ema=0.99), collection)
    assert base != run_name(tiny(lr=1e-3), collection)
    Image.new("RGB", (40, 40)).save(image_folder / "00.png")
    assert base != run_name(tiny(), load_dataset(image_folder, 32))


def test_a_run_without_later_parameters_has_their_former_values(run, tiny, collection):
    path = run.folder / "config.json"
    about = json.loads(path.read_text())
    for name in ("fit", "background", "start_from"):
        del about["config"][name]
    path.write_text(json.dumps(about))
    assert Run.create(tiny(), collection).config == tiny()
    with pytest.raises(WorkbookError, match="fit is crop there and pad here"):
        Run.create(tiny(fit="pad"), collection, folder=run.folder)


def test_the_same_config_opens_the_same_run(run, tiny, collection):
    assert run.folder.parent == runs_dir()
    assert Run.create(tiny(), collection).folder == run.folder
    assert Run(run.name).config == run.config == tiny()


def test_another_config_in_the_folder_is_refused_with_the_difference(run, tiny, collection):
    with pytest.raises(WorkbookError) as refusal:
        Run.create(tiny(lr=0.01, noise="gamma"), collection, folder=run.folder)
    assert "lr is 0.0002 there and 0.01 here" in str(refusal.value)
    assert "noise is normal(0, 1) there and gamma(2, 1) here" in str(refusal.value)
    assert "epochs" not in str(refusal.value)


def test_config_tells_versions_and_data(run, collection):
    about = json.loads((run.folder / "config.json").read_text())
    assert about["data"]["data_hash"] == collection.data_hash
    assert about["environment"]["torch"] == torch.__version__


def test_a_run_from_a_gpu_opens_here(run):
    about = json.loads((run.folder / "config.json").read_text())
    about["config"]["device"] = "cuda:7"
    (run.folder / "config.json").write_text(json.dumps(about))
    assert Run(run.folder).config.device in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"config": 3}', "{}"])
def test_a_folder_that_is_no_run_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WorkbookError, match="is not a run folder"):
        Run(tmp_path)
    with pytest.raises(WorkbookError, match="is not a run folder"):
        Run(tmp_path / "nowhere")


def test_history_round_trips_exactly(run):
    assert run.history().empty
    run.log_epoch({"epoch": 1, "g_loss": 0.1 + 0.2})
    run.log_epoch({"epoch": 2, "g_loss": 1e-17})
    assert run.history()["g_loss"].tolist() == [0.1 + 0.2, 1e-17]


def test_forgetting_drops_later_epochs_and_half_lines(run):
    for epoch in (1, 2, 3):
        run.log_epoch({"epoch": epoch, "g_loss": epoch / 3})
    with (run.folder / "history.csv").open("a") as file:
        file.write("4")
    for epoch in (1, 2, 3):
        run.save_weights(epoch, {"weight": torch.zeros(2, 2)})
        run.save_samples(epoch, torch.zeros(6, 3, 32, 32, dtype=torch.uint8))
    run.forget_after(2)
    assert run.sampled_epochs() == run.kept_epochs() == [1, 2]
    assert run.history()["epoch"].tolist() == [1, 2]
    assert run.history()["g_loss"].tolist() == [1 / 3, 2 / 3]
    run.forget_after(0)
    assert run.history().empty


@pytest.mark.parametrize("n", [1, 2, 6, 9, 16, 25, 30, 64])
def test_samples_round_trip(tiny, collection, tmp_path, n):
    run = Run.create(tiny(sample_size=n), collection)
    images = torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8)
    run.save_samples(7, images)
    assert torch.equal(run.samples(7), images)
    assert run.sampled_epochs() == [7]


def test_sampled_epochs_are_spread_evenly(run):
    for epoch in range(1, 12):
        run.save_samples(epoch, torch.zeros(6, 3, 32, 32, dtype=torch.uint8))
    assert run.sampled_epochs(3) == [1, 6, 11]
    assert run.sampled_epochs() == list(range(1, 12))


def test_checkpoint_round_trips_and_leaves_nothing_beside(run):
    assert run.load_checkpoint() is None
    run.save_checkpoint({"epoch": 1, "weights": torch.arange(3)})
    run.save_checkpoint({"epoch": 2, "weights": torch.arange(3)})
    assert run.load_checkpoint()["epoch"] == 2
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "checkpoint-before.pt",
        "checkpoint.pt",
        "config.json",
        "samples",
    ]


def test_a_failed_write_leaves_the_former_checkpoint(run):
    run.save_checkpoint({"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        run.save_checkpoint({"epoch": 2, "no plain type": lambda: None})
    assert run.load_checkpoint() == {"epoch": 1}
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "checkpoint.pt",
        "config.json",
        "samples",
    ]


def test_a_folder_that_cannot_be_written_is_reported(run, tiny, collection, tmp_path):
    run.save_checkpoint({"epoch": 1})
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkbookError, match=r"cannot be written.*/file' is not a folder"):
        Run.create(tiny(), collection, folder=tmp_path / "file" / "run")
    run.folder.rename(tmp_path / "gone")
    with pytest.raises(WorkbookError, match="cannot be written"):
        run.save_checkpoint({"epoch": 2})
    with pytest.raises(WorkbookError, match="cannot be written"):
        run.log_epoch({"epoch": 1})


def test_a_checkpoint_with_code_in_it_is_refused_unread(run, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    torch.save({"epoch": Evil()}, run.checkpoint_path)
    with pytest.raises(WorkbookError, match="cannot be read"):
        run.load_checkpoint()
    assert not (tmp_path / "evil").exists()


def test_a_damaged_checkpoint_is_reported(run):
    run.checkpoint_path.write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(WorkbookError, match="is damaged"):
        run.load_checkpoint()


def test_gif_has_all_frames_and_ends_the_run(run):
    assert not run.finished
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)) for _ in range(5)]
    write_gif(run.gif_path, frames)
    with Image.open(run.gif_path) as gif:
        assert gif.n_frames == 5
    assert run.finished


def test_runs_are_found_by_name_pattern_and_collection(tiny, collection):
    uniform, gamma = (Run.create(tiny(noise=n), collection) for n in ("uniform", "gamma"))
    assert [r.name for r in find_runs("ten-images")] == sorted([uniform.name, gamma.name])
    assert [r.name for r in find_runs("*gamma*")] == [gamma.name]
    assert [r.name for r in find_runs(f"{uniform.name}, {gamma.folder}")] == [
        uniform.name,
        gamma.name,
    ]
    assert len(find_runs(f"{uniform.name},{uniform.name},ten-images")) == 2


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_runs_are_found_however_letters_are_composed(tiny, collection, form):
    run = Run.create(tiny(), replace(collection, name="été"))
    for pattern in (run.name, "été-*", "été"):
        assert [r.name for r in find_runs(unicodedata.normalize(form, pattern))] == [run.name]


def test_a_run_without_an_epoch_counts_only_if_it_is_named(tiny, collection):
    begun, idle = (Run.create(tiny(noise=n), collection) for n in ("uniform", "gamma"))
    begun.log_epoch({"epoch": 1, "g_loss": 0.5, "seconds": 90.0})
    assert begun.minutes == 1.5
    assert [run.name for run in find_runs("ten-images")] == [begun.name]
    assert [run.name for run in find_runs("*")] == [begun.name]
    assert [run.name for run in find_runs(idle.name)] == [idle.name]


def test_numbers_that_are_none_are_written_as_json_knows_them(run):
    run.save_metrics({"kid": 0.5, "fid": float("nan"), "extractor": "x"})
    text = (run.folder / "metrics.json").read_text()
    assert json.loads(text) == {"kid": 0.5, "fid": None, "extractor": "x"}
    assert "NaN" not in text


def test_runs_that_are_not_there_are_reported(run):
    with pytest.raises(WorkbookError, match=f"matches 'monet'. Available: {run.name}"):
        find_runs("monet")
    with pytest.raises(WorkbookError, match="no run is named"):
        find_runs(" , ")


# --- Weights kept along the way ------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "count", "some"),
    [(1, 1, [1]), (16, 16, [1, 2, 3]), (25, 13, [2, 24, 25]), (400, 16, [25, 400]),
     (700, 14, [50, 600, 700]), (301, 16, [20, 300, 301])],
)  # fmt: skip
def test_weights_are_kept_at_round_epochs_and_at_the_end(epochs, count, some):
    kept = epochs_to_keep(epochs)
    assert len(kept) == count
    assert set(some) <= set(kept)
    assert kept[-1] == epochs
    assert all(1 <= len(epochs_to_keep(n)) <= 17 for n in range(1, 3000))


def test_kept_weights_come_back(run):
    weights = {
        "weight": torch.randn(4, 3),
        "running_var": torch.tensor([1e6, 1e-6]),
        "num_batches_tracked": torch.tensor(7),
    }
    run.save_weights(20, weights)
    run.save_weights(5, weights)
    assert run.kept_epochs() == [5, 20]
    back = run.load_weights(20)
    assert torch.allclose(back["weight"], weights["weight"], rtol=1e-3)
    assert torch.equal(back["running_var"], weights["running_var"])
    assert back["num_batches_tracked"] == 7
    assert {w.dtype for w in back.values()} == {torch.float32, torch.int64}


def test_damaged_weights_are_reported(run):
    run.save_weights(5, {"weight": torch.zeros(2, 2)})
    (run.folder / "weights" / "epoch_0005.pt").write_bytes(b"broken")
    with pytest.raises(WorkbookError, match=r"is damaged.*Choose another"):
        run.load_weights(5)


def test_a_run_knows_where_its_losses_diverged(tiny, collection):
    run = Run.create(tiny(real_label=1.0, fake_label=0.0), collection)
    assert run.divergence_epoch() is None
    for epoch in range(1, 41):
        loss = 0.6 if epoch <= 20 else 0.01
        run.log_epoch({"epoch": epoch, "d_loss_real": loss, "d_loss_fake": loss, "g_loss": 1.0})
        if epoch == 20:
            assert run.describe_divergence().startswith("**The losses did not diverge.**")
    assert 21 < run.divergence_epoch() <= 30
    text = run.describe_divergence()
    assert text.startswith(f"**The losses diverged at epoch {run.divergence_epoch()}.**")
    assert "on average over 10 epochs" in text


def test_a_run_of_version_0_1_0_is_refused_in_one_sentence(run):
    about = json.loads((run.folder / "config.json").read_text())
    del about["format"]
    (run.folder / "config.json").write_text(json.dumps(about))
    with pytest.raises(
        WorkbookError, match=r"older version, such as 0\.1\.0, .* delete the folder"
    ):
        Run(run.folder)


def test_copies_make_the_window_of_the_divergence_shorter(tiny, collection):
    run = Run.create(tiny(real_label=1.0, fake_label=0.0, augment="pil"), collection)
    for epoch in range(1, 7):
        loss = 0.6 if epoch <= 3 else 0.01
        run.log_epoch({"epoch": epoch, "d_loss_real": loss, "d_loss_fake": loss, "g_loss": 1.0})
    assert run.divergence_epoch() == 5


@pytest.mark.parametrize(
    ("share", "sentence"),
    [
        (0.9, "variance that lies between them is **0.90** times that of real images."),
        (0.5, "is **0.50** times that of real images."),
        (0.4, "**That is less than half: the generator repeats itself.**"),
        (float("nan"), "The real images do not vary."),
    ],
)
def test_the_last_epoch_is_described(run, share, sentence):
    run.log_epoch({"epoch": 1, "d_real": 0.7, "d_fake": 0.25, "share_between_images": share})
    text = run.describe_last_epoch()
    assert text.startswith("After the last epoch D(x) is **0.70** for real images on average")
    assert text.endswith(sentence)


def test_metrics_are_read_as_they_were_written(run):
    assert run.metrics() == {}
    run.save_metrics({"kid": 0.5, "fid": float("nan"), "how": {"epochs": 2}})
    assert run.metrics() == {"kid": 0.5, "fid": None, "how": {"epochs": 2}}
    for content in ("", "[1]", "{", "[" * 100_000):
        (run.folder / "metrics.json").write_text(content)
        assert run.metrics() == {}


# Parameters that the first runs did not have.
LATER = ("first_norm", "fit", "background", "start_from")


@pytest.mark.parametrize(
    "own", [{"first_norm": "unit"}, {"fit": "pad"}, {"background": "red"}, {"start_from": "run"}]
)
def test_later_parameters_are_part_of_a_run_s_name_only_where_they_are_unusual(
    tiny, collection, own
):
    identity = tiny().identity | {"data_hash": collection.data_hash}
    usual = {name: value for name, value in identity.items() if name not in LATER}
    digest = hashlib.blake2b(json.dumps(usual, sort_keys=True).encode(), digest_size=4)
    name = run_name(tiny(), collection)
    assert name.endswith(digest.hexdigest()), "as before there were such parameters"
    assert run_name(tiny(**own), collection) != name


@pytest.mark.parametrize(
    ("epochs", "kept"),
    [
        (1, [1]),
        (16, list(range(1, 17))),
        (17, [2, 4, 6, 8, 10, 12, 14, 16, 17]),
        (25, [*range(2, 25, 2), 25]),
        (33, [5, 10, 15, 20, 25, 30, 33]),
        (160, list(range(10, 161, 10))),
        (161, [*range(20, 161, 20), 161]),
        (400, list(range(25, 401, 25))),
        (401, [50, 100, 150, 200, 250, 300, 350, 400, 401]),
        (700, list(range(50, 701, 50))),
        (1000, list(range(100, 1001, 100))),
    ],
)
def test_the_epochs_that_are_kept(epochs, kept):
    assert epochs_to_keep(epochs) == kept


def test_only_weights_of_several_axes_are_halved(run):
    weights = {
        "kernel": torch.tensor([[1 / 3, 1e-3]]),
        "bias": torch.tensor([1 / 3]),
        "count": torch.tensor(70_000),
    }
    run.save_weights(1, weights)
    stored = checkpoint.load(run.folder / "weights" / "epoch_0001.pt", "")
    assert [w.dtype for w in stored.values()] == [torch.float16, torch.float32, torch.int64]
    back = run.load_weights(1)
    assert back["kernel"].tolist() == torch.tensor([[1 / 3, 1e-3]]).half().float().tolist()
    assert torch.equal(back["bias"], weights["bias"])
    assert torch.equal(back["count"], weights["count"])


@pytest.mark.parametrize(
    ("policy", "window"),
    [("none", 10), ("layers", 10), ("diffaugment", 10), ("ada", 10), ("pil", 2), ("both", 2)],
)
def test_the_window_of_the_parting_is_ten_passes(tiny, collection, policy, window):
    assert Run.create(tiny(augment=policy), collection).divergence_window == window


@pytest.mark.parametrize(
    ("real_label", "fake_label", "d_loss", "parted"),
    [
        # The lead is 0.8 where the sum of both losses is a fifth of 2 log 2: 0.2773.
        (1.0, 0.0, 0.275, 10),
        (1.0, 0.0, 0.280, None),
        # With the study's labels it is 0.8 at 0.8255 + (1.3763 - 0.8255) / 5 = 0.9357.
        (0.8, 0.1, 0.933, 10),
        (0.8, 0.1, 0.938, None),
    ],
)
def test_losses_part_by_the_sum_of_both_and_by_the_labels(
    tiny, collection, real_label, fake_label, d_loss, parted
):
    run = Run.create(tiny(real_label=real_label, fake_label=fake_label), collection)
    for epoch in range(1, 11):
        real, fake = 0.25 * d_loss, 0.75 * d_loss
        run.log_epoch({"epoch": epoch, "d_loss_real": real, "d_loss_fake": fake})
    assert run.divergence_epoch() == parted


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"preset": "quick"}, "ramp-normal-s0-7a5c9e1a"),
        ({"preset": "monet"}, "ramp-normal-s0-9498ea68"),
        ({"preset": "pokemon"}, "ramp-normal-s0-fea96aea"),
        ({"preset": "best"}, "ramp-normal-s0-0cbbc02d"),
        ({"preset": "monet", "noise": "N(1, 1)", "seed": 3}, "ramp-normal_1_1-s3-bb8324e4"),
    ],
)
def test_runs_on_disk_keep_their_names(changes, name):
    ramp = torch.arange(96, dtype=torch.uint8).reshape(2, 3, 4, 4)
    collection = synthetic_dataset(
        ramp, name="ramp", files=("a", "b"), source=Path("ramp"), kind="PNG"
    )
    assert collection.data_hash == "757383b1a6755fc8b9097a5cb1c4172c"
    assert run_name(TrainConfig.resolve(precision="fp32", **changes), collection) == name


def test_the_latest_run_is_the_one_whose_history_was_written_last(tiny, collection):
    for noise, hours in (("normal", 2), ("gamma", 0), ("uniform", 1)):
        run = Run.create(tiny(noise=noise), collection)
        run.log_epoch({"epoch": 1, "g_loss": 0.5, "seconds": 1.0})
        for name in ("history.csv", "config.json"):
            os.utime(run.folder / name, (hours * 3600, hours * 3600))
    assert latest_run("ten-images").config.noise == "normal(0, 1)"
    assert latest_run("ten-images-[gu]*").config.noise == "uniform(-1, 1)"
    with pytest.raises(WorkbookError, match="no run"):
        latest_run("nowhere")
