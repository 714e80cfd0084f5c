"""What leaves a run: images and generators as files. Needs the extra ``export``."""

import importlib
import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers import TINY
from PIL import Image
from safetensors import safe_open

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.data.load import load_dataset
from dcgan_utils.data.tensors import to_uint8
from dcgan_utils.gan import networks
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.runs import export, sampling
from dcgan_utils.runs.export import export_generator, write_images
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.training import train

# Another image for each vector, after few epochs; the prior draws other vectors if it draws fewer.
LIVELY = {"noise": "student_t(5)", "batch_size": 2, "lr": 0.05}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a run."""
    folder = tmp_path_factory.mktemp("collection")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 40, 40, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number}.png")
    config = TrainConfig.resolve(**TINY | LIVELY | {"dataset": str(folder)})
    place = tmp_path_factory.mktemp("runs") / "pics-s0"
    return train(config, load_dataset(folder, 32), folder=place).folder


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """Return the generator of the first epoch as ONNX; one export takes seconds."""
    path = tmp_path_factory.mktemp("exported") / "g.onnx"
    assert export_generator(trained, path, epoch=1) <= export.TOLERANCE
    return path


def read(path):
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def test_the_first_of_many_images_are_the_few_of_the_same_seed(trained, tmp_path):
    write_images(trained, 10, tmp_path / "few", seed=7)
    write_images(trained, 300, tmp_path / "many", seed=7)
    assert len([*(tmp_path / "many").iterdir()]) == 300
    for few in sorted((tmp_path / "few").iterdir()):
        assert np.abs(read(few) - read(tmp_path / "many" / few.name)).max() <= 1
    first, last = (tmp_path / "many" / f"pics-s0-s7-{n:05d}.png" for n in (0, 299))
    assert np.abs(read(first) - read(last)).max() > 10
    images = sampling.sample(Run(trained), 300, seed=7)
    assert np.abs(read(last) - images[299].permute(1, 2, 0).numpy()).max() <= 1


def test_images_of_another_seed_or_epoch_have_names_of_their_own(trained, tmp_path):
    for options in ({}, {"seed": 1}, {"epoch": 1}):
        write_images(trained, 2, tmp_path, **options)
    names = {path.name for path in tmp_path.iterdir()}
    stems = {"pics-s0-s0", "pics-s0-s1", "pics-s0-epoch1-s0"}
    assert names == {f"{stem}-0000{n}.png" for stem in stems for n in (0, 1)}


def test_a_name_that_ends_in_png_is_a_grid_of_all(trained, tmp_path):
    write_images(trained, 10, tmp_path / "new" / "grid.PNG")
    assert [*(tmp_path / "new").iterdir()] == [tmp_path / "new" / "grid.PNG"]
    drawn, gap = read(tmp_path / "new" / "grid.PNG"), 2
    assert drawn.shape == (3 * 32 + 2 * gap, 4 * 32 + 3 * gap, 3)
    sixth = sampling.sample(Run(trained), 10)[5].permute(1, 2, 0).numpy()
    assert np.abs(drawn[34:66, 34:66] - sixth).max() <= 1


def test_nothing_is_made_for_a_run_that_cannot_be_sampled(trained, tmp_path):
    with pytest.raises(WorkbookError, match="no weights of epoch 9"):
        write_images(trained, 2, tmp_path / "folder", epoch=9)
    with pytest.raises(WorkbookError, match="must be 1 or more, not 0"):
        write_images(trained, 0, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("n", [1, 5])
def test_onnx_draws_the_same_images_in_batches_of_any_size(trained, exported, n):
    session = onnxruntime.InferenceSession(exported)
    z = torch.randn(n, 8)
    (images,) = session.run(None, {"z": z.numpy()})
    assert images.shape == (n, 3, 32, 32)
    first, last = (sampling.load_generator(trained, epoch=epoch)(z) for epoch in (1, None))
    assert np.abs(images - first.numpy()).max() <= 1e-4
    assert np.abs(images - last.numpy()).max() > 0.01


def metadata_of(path):
    if path.suffix == ".onnx":
        return {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    with safe_open(path, "pt") as file:
        return file.metadata()


@pytest.mark.parametrize("ending", [".onnx", ".safetensors"])
def test_the_metadata_say_what_goes_in_and_comes_out(trained, exported, tmp_path, ending):
    path = exported
    if ending == ".safetensors":
        path = tmp_path / "g.safetensors"
        export_generator(trained, path, epoch=1)
    metadata = metadata_of(path)
    assert metadata["noise"] == "student_t(5)"
    assert (metadata["noise_size"], metadata["img_size"]) == ("8", "32")
    assert (metadata["run"], metadata["epoch"]) == ("pics-s0", "1")
    assert metadata["data_hash"] == Run(trained).about["data"]["data_hash"]
    assert "[-1, 1]" in metadata["output"]
    assert json.loads(metadata["config"])["width"] == 8
    for place in (str(trained.parent), Run(trained).config.dataset, "site-packages"):
        assert place.encode() not in path.read_bytes()


def test_no_path_of_what_a_run_started_from_leaves_the_machine(trained, tmp_path):
    run = Run(trained)
    run.config = run.config.model_copy(update={"start_from": "/home/me/weights.pt"})
    export_generator(run, tmp_path / "g.safetensors")
    assert b"/home/me" not in (tmp_path / "g.safetensors").read_bytes()


def test_safetensors_and_its_metadata_make_the_generator_again(trained, tmp_path):
    export_generator(trained, tmp_path / "g.safetensors")
    with safe_open(tmp_path / "g.safetensors", "pt") as file:
        config = TrainConfig.check(**json.loads(file.metadata()["config"]))
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    generator, _ = networks.build_networks(config.architecture, **config.sizes)
    generator.load_state_dict(weights)
    z = config.prior.sample(4, config.noise_size)
    with torch.no_grad():
        drawn = to_uint8(generator.eval()(z)).int()
    assert (drawn - sampling.draw(Run(trained), z).int()).abs().max() <= 1


def test_a_generator_that_onnxruntime_draws_otherwise_is_not_written(
    trained, exported, tmp_path, monkeypatch
):
    monkeypatch.setattr(export, "_as_onnx", lambda *_: exported.read_bytes())  # another epoch's
    with pytest.raises(WorkbookError, match="draws other images than PyTorch"):
        export_generator(trained, tmp_path / "new" / "g.onnx")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["g.pt", "g", "onnx"])
def test_other_endings_are_refused(trained, tmp_path, name):
    with pytest.raises(WorkbookError, match=r"must end in \.onnx or \.safetensors"):
        export_generator(trained, tmp_path / name)


def test_a_missing_package_is_named_with_its_extra(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(export._PACKAGES, ".onnx", ("onnx_is_not_here",))
    with pytest.raises(
        WorkbookError, match=r'onnx_is_not_here.*pip install "dcgan-utils\[export\]'
    ):
        export_generator(trained, tmp_path / "g.onnx")


def test_an_onnxscript_that_is_too_old_for_torch_is_named(trained, tmp_path, monkeypatch):
    def fail(*_, **__):
        importlib.import_module("onnxscript._framework_apis.torch_2_99")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(WorkbookError, match=r"does not fit torch .*--upgrade onnxscript"):
        export_generator(trained, tmp_path / "g.onnx")


def test_the_examples_of_the_readme_run(trained, exported, tmp_path, monkeypatch):
    (tmp_path / "generator.onnx").write_bytes(exported.read_bytes())
    export_generator(trained, tmp_path / "generator.safetensors")
    monkeypatch.chdir(tmp_path)
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    onnx, safetensors = [
        code for code in re.findall("```python\n(.*?)```", readme, re.S) if '"generator.' in code
    ]
    exec(onnx, seen := {})
    assert seen["images"].shape == (16, 3, 32, 32)
    exec(safetensors, seen)
    generator = sampling.load_generator(Run(trained), device="cpu")
    with torch.no_grad():
        z = torch.from_numpy(seen["z"])
        assert torch.equal(seen["generator"](z), generator(z))
