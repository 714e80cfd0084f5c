import pytest
import torch

from dcgan_utils import latent
from dcgan_utils.errors import WorkbookError
from dcgan_utils.runs import Run
from dcgan_utils.training import train


def test_samples_are_new_pictures_of_the_trained_generator(tiny, collection):
    run = train(tiny(noise="gamma"), collection)
    drawn = latent.sample(run, 5)
    assert drawn.shape == (5, 3, 32, 32)
    assert drawn.dtype == torch.uint8
    assert torch.equal(drawn, latent.sample(run, 5))
    assert not torch.equal(drawn, latent.sample(run, 5, seed=1))
    assert not torch.equal(drawn, run.samples(2)[:5])


def test_samples_come_from_the_prior_of_the_run(tiny, collection, monkeypatch):
    run = train(tiny(noise="exponential", noise_size=50), collection)
    seen = []
    generator = latent.load_generator(run)
    monkeypatch.setattr(
        latent, "load_generator", lambda run, device: lambda z: seen.append(z) or generator(z)
    )
    latent.sample(run, 300)
    z = torch.cat(seen)
    assert z.shape == (300, 50)
    assert z.min() >= 0
    assert z.mean().item() == pytest.approx(1, abs=0.05)


def test_the_generator_is_the_averaged_one_and_at_rest(tiny, collection):
    run = train(tiny(), collection)
    generator = latent.load_generator(run)
    stored = run.load_checkpoint()["model"]["ema"]
    assert all(torch.equal(value, stored[name]) for name, value in generator.state_dict().items())
    assert not generator.training


def test_a_run_without_checkpoint_is_told(tiny, collection):
    with pytest.raises(WorkbookError, match="no checkpoint yet"):
        latent.sample(Run.create(tiny(), collection), 4)
