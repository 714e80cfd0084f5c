import copy
import shutil

import pytest
import torch
from helpers import after_epoch, equal_states
from PIL import Image

from dcgan_utils.core import environment
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.load import load_dataset
from dcgan_utils.data.tensors import to_float, to_uint8
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.report import playground
from dcgan_utils.runs import interpolation, sampling, training
from dcgan_utils.runs.run import Run
from dcgan_utils.runs.training import train


def test_a_run_gets_its_images_back_as_it_saw_them(tiny, tmp_path):
    (tmp_path / "wide").mkdir()
    for number in range(4):
        Image.new("RGB", (64, 32), (60 * number, 0, 0)).save(tmp_path / "wide" / f"{number}.png")
    padded = load_dataset(tmp_path / "wide", 32, fit="pad", background="blue")
    run = train(tiny(epochs=1, fit="pad", background="#00f"), padded)
    assert torch.equal(sampling.collection_of(run).images, padded.images)
    beside, _ = sampling.load_pair(str(tmp_path / "wide"), run.name, 64)
    assert torch.equal(beside.images, padded.images), "compared with what it was trained on"
    both = sampling.load_pair(*[str(tmp_path / "wide")] * 2, 32, fit="pad", background="blue")
    assert all(torch.equal(side.images, padded.images) for side in both)


def test_samples_are_new_images_of_the_trained_generator(tiny, collection):
    run = train(tiny(noise="gamma"), collection)
    drawn = sampling.sample(run, 5)
    assert drawn.shape == (5, 3, 32, 32)
    assert drawn.dtype == torch.uint8
    assert torch.equal(drawn, sampling.sample(run, 5))
    assert not torch.equal(drawn, sampling.sample(run, 5, seed=1))
    assert not torch.equal(drawn, run.samples(2)[:5])


def test_samples_come_from_the_prior_of_the_run(tiny, collection, monkeypatch):
    run = train(tiny(noise="exponential", noise_size=50), collection)
    seen = []
    generator = sampling.load_generator(run)
    monkeypatch.setattr(
        sampling, "load_generator", lambda run, **where: lambda z: seen.append(z) or generator(z)
    )
    sampling.sample(run, 300)
    z = torch.cat(seen)
    assert z.shape == (300, 50)
    assert z.min() >= 0
    assert z.mean().item() == pytest.approx(1, abs=0.05)


def test_the_generator_is_the_averaged_one_and_at_rest(tiny, collection):
    run = train(tiny(), collection)
    generator = sampling.load_generator(run)
    stored = run.load_checkpoint()["model"]["ema"]
    assert all(torch.equal(value, stored[name]) for name, value in generator.state_dict().items())
    assert not generator.training


def test_images_of_a_kept_epoch_are_those_drawn_then(tiny, collection):
    run = train(tiny(epochs=3), collection)
    fixed = run.config.prior.sample(6, 8, generator=stream(0, "preview"))
    for epoch in (1, 2, 3):
        generator = sampling.load_generator(run, epoch=epoch)
        drawn = to_uint8(generator(fixed)).int()
        # In half precision: at most a level or two off.
        assert (drawn - run.samples(epoch).int()).abs().max() <= 2
    assert not torch.equal(sampling.sample(run, 6, epoch=1), sampling.sample(run, 6, epoch=3))
    with pytest.raises(WorkbookError, match=r"no weights of epoch 7. Kept: 1, 2, 3"):
        sampling.sample(run, 6, epoch=7)


@pytest.mark.parametrize("architecture", ["dcgan", "pokemon"])
def test_the_most_real_are_those_that_the_discriminator_finds_most_real(
    tiny, collection, architecture
):
    run = train(tiny(architecture=architecture), collection)
    drawn, best = sampling.sample(run, 40), sampling.most_real(run, 5, out_of=40)
    model = DCGAN(run.config)
    model.load_state_dict(run.load_checkpoint()["model"])
    with torch.no_grad():
        logits = model.discriminator.eval()(to_float(drawn))
    expected = drawn[logits.topk(5).indices]
    assert torch.equal(best, expected)


def test_images_drawn_in_bf16_are_the_same_to_the_eye(tiny, collection, monkeypatch):
    run = train(tiny(precision="bf16"), collection)
    monkeypatch.setattr(environment, "multiplies_bf16_fast", lambda device: True)
    fast = sampling.sample(run, 40).int()
    monkeypatch.setattr(environment, "multiplies_bf16_fast", lambda device: False)
    exact = sampling.sample(run, 40).int()
    assert not torch.equal(fast, exact), "the first were not drawn in bf16"
    assert (fast - exact).abs().max() <= 4


def test_a_run_without_checkpoint_is_reported(tiny, collection):
    with pytest.raises(WorkbookError, match="no checkpoint yet"):
        sampling.sample(Run.create(tiny(), collection), 4)


# --- Two collections ------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["name", "folder"])
def test_what_a_run_draws_stands_beside_its_collection(tiny, collection, named):
    run = train(tiny(), collection)
    other = run.name if named == "name" else str(run.folder)
    reals, generated = sampling.load_pair(str(collection.source), other, 128, seed=5)
    assert reals == collection, "at the size that the run was trained at"
    assert torch.equal(generated.images, sampling.sample(run, len(reals.images), seed=5))
    assert generated.name == run.name
    assert len(set(generated.files)) == len(generated.report.sizes) == len(reals.images)
    assert generated.data_hash != reals.data_hash


def test_two_collections_of_one_name_can_be_told_apart(image_folder, tmp_path):
    twin = tmp_path / "elsewhere" / image_folder.name
    shutil.copytree(image_folder, twin)
    one, other = sampling.load_pair(str(image_folder), str(twin), 16)
    assert torch.equal(one.images, other.images)
    assert (one, one.name) == (load_dataset(image_folder, 16), "ten-images")
    assert other.name == "ten-images (other)"


def test_a_folder_with_a_config_is_not_yet_a_run(image_folder):
    (image_folder / "config.json").write_text("{}")
    _, other = sampling.load_pair(str(image_folder), str(image_folder), 16)
    assert len(other.images) == 10


def test_another_collection_that_is_not_there_is_reported(image_folder):
    with pytest.raises(WorkbookError, match="'nowhere' is not a known collection"):
        sampling.load_pair(str(image_folder), "nowhere", 16)


def test_the_images_of_a_run_are_found_again(tiny, image_folder, collection, caplog):
    run = train(tiny(dataset=str(image_folder)), collection)
    assert sampling.collection_of(run) == collection
    assert not caplog.text
    (image_folder / "00.png").unlink()
    assert len(sampling.collection_of(run).images) == 9
    assert "are not those that" in caplog.text
    shutil.rmtree(image_folder)
    with pytest.raises(WorkbookError, match="no folder or zip"):
        sampling.collection_of(run)


def test_images_that_moved_are_found_by_their_name(tiny, image_folder, collection, home):
    run = train(tiny(dataset="data/moved"), collection)
    (home / "data").mkdir(exist_ok=True)
    image_folder.rename(home / "data" / "moved")
    assert sampling.collection_of(run).data_hash == collection.data_hash


# --- The averaged generator -----------------------------------------------------------------


def test_the_averaged_generator_is_what_is_drawn_and_kept(tiny, collection, monkeypatch):
    models, states = [], {}

    class Noted(DCGAN):
        def __init__(self, config):
            super().__init__(config)
            models.append(self)

    def note(row):
        networks = models[0].ema, models[0].generator
        states[row["epoch"]] = [copy.deepcopy(network).eval() for network in networks]

    monkeypatch.setattr(training, "DCGAN", Noted)
    run = train(tiny(epochs=3, batch_size=2, lr=0.05), collection, watchers=[after_epoch(note)])
    fixed = run.config.prior.sample(6, 8, generator=stream(0, "preview"))
    new = run.config.prior.sample(6, 8, generator=stream(5, "sample"))
    for epoch, (average, raw) in states.items():
        assert_levels(run.samples(epoch), to_uint8(average(fixed)), but_not=to_uint8(raw(fixed)))
        kept = run.load_weights(epoch)
        for name, weight in average.state_dict().items():
            halved = weight.half().float() if weight.ndim > 1 else weight
            assert torch.equal(kept[name], halved), name
        average.load_state_dict(kept)
        for drawn in (
            sampling.sample(run, 6, seed=5, epoch=epoch),
            sampling.draw(run, new, epoch=epoch),
        ):
            assert_levels(drawn, to_uint8(average(new)), but_not=to_uint8(raw(new)))
    average, raw = states[3]
    assert_levels(
        sampling.sample(run, 6, seed=5), to_uint8(average(new)), but_not=to_uint8(raw(new))
    )
    last = models[0].ema.state_dict()
    assert equal_states(dict(run.load_weights()), dict(last))
    assert equal_states(dict(sampling.load_generator(run).state_dict()), dict(last))


def assert_levels(images, expected, *, but_not):
    """Check the pixels to a level or two, and that this tells the two generators apart."""
    assert (images.int() - expected.int()).abs().max() <= 2
    assert (images.int() - but_not.int()).abs().max() > 10


def test_the_playground_and_the_walks_load_the_same_generator():
    assert playground.load_generator is sampling.load_generator
    assert interpolation.sampling is sampling


def test_a_run_in_single_precision_is_drawn_in_it(tiny, collection, monkeypatch):
    run = train(tiny(), collection)
    plain = sampling.sample(run, 20)
    monkeypatch.setattr(environment, "multiplies_bf16_fast", lambda device: True)
    assert torch.equal(sampling.sample(run, 20), plain)


def test_many_vectors_are_drawn_in_their_order(tiny, collection):
    run = train(tiny(epochs=3, batch_size=2, lr=0.05), collection)
    z = run.config.prior.sample(300, 8, generator=stream(0, "sample"))
    drawn, some = sampling.sample(run, 300), [0, 255, 256, 299]
    assert drawn.shape == (300, 3, 32, 32)
    assert_levels(drawn[some], sampling.draw(run, z[some]), but_not=drawn[some].flip(0))
