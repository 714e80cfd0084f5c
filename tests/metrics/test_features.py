import urllib.error

import numpy as np
import pytest
import torch
from torchvision.models import _api, efficientnet_b0

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.painted import paint_scene
from dcgan_utils.metrics import features


def some(n=3, side=40, seed=0):
    return torch.randint(
        0, 256, (n, 3, side, side), dtype=torch.uint8, generator=stream(seed, "images")
    )


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(_api, "load_state_dict_from_url", refuse)


def test_features_are_finite_and_know_where_they_come_from(no_network):
    found = features.extract(some(), input_size=64)
    assert found.vectors.shape == (3, 1280)
    assert found.vectors.dtype == np.float32
    assert np.isfinite(found.vectors).all()
    assert (found.vectors.std(0) > 0).any(), "different images, different features"
    assert (found.extractor, found.input_size) == ("efficientnet_lite0", 64)


def test_features_do_not_depend_on_the_batch(monkeypatch):
    together = features.extract(some(5), input_size=64).vectors
    alone = features.extract(some(5)[3:4], input_size=64).vectors
    np.testing.assert_allclose(together[3:4], alone, atol=1e-3)
    monkeypatch.setattr(features, "BATCH", 2)
    monkeypatch.setattr(features, "PREPROCESSING", -1)  # another key in the cache
    np.testing.assert_allclose(
        features.extract(some(5), input_size=64).vectors, together, atol=1e-3
    )


def test_copies_have_the_same_features_to_the_last_bit():
    images = some(1).expand(40, -1, -1, -1)
    seen = []
    found = features.extract(images, input_size=32, on_batch=lambda *done: seen.append(done))
    assert len(np.unique(found.vectors, axis=0)) == 1
    assert found.vectors.shape == (40, 1280)
    assert seen == [(1, 1)], "a copy costs nothing"
    mixed = features.extract(some(3)[[2, 0, 2, 1]], input_size=64).vectors
    np.testing.assert_array_equal(mixed[0], mixed[2])
    np.testing.assert_allclose(
        mixed[[1, 3, 0]], features.extract(some(3), input_size=64).vectors, atol=1e-3
    )


def test_the_weights_are_those_of_a_trained_network():
    """By features the nearest image shows mostly the same subject; chance would be 1 in 8."""
    painted = [paint_scene(index, size=96) for index in range(1, 33)]
    images = torch.stack([torch.from_numpy(np.array(i)).permute(2, 0, 1) for i, _ in painted])
    subjects = np.array([label.subject for _, label in painted])
    vectors = features.extract(images).vectors
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (subjects[distances.argmin(1)] == subjects).mean() > 0.7


def test_the_second_time_comes_from_the_cache():
    calls = []
    first = features.extract(some(40), input_size=32, on_batch=lambda *done: calls.append(done))
    assert calls == [(32, 40), (40, 40)]
    again = features.extract(some(40), input_size=32, on_batch=lambda *done: pytest.fail("again"))
    np.testing.assert_array_equal(again.vectors, first.vectors)
    features.extract(some(40, seed=1), input_size=32, on_batch=lambda *done: calls.append(done))
    features.extract(some(40), input_size=48, on_batch=lambda *done: calls.append(done))
    assert len(calls) == 6


def test_efficientnet_b0_is_read_as_torchvision_gives_it(monkeypatch):
    """Its weights are a stand-in here: torchvision's own loader, with what it would download."""
    torch.manual_seed(0)
    network = efficientnet_b0().eval()
    monkeypatch.setattr(_api, "load_state_dict_from_url", lambda *a, **k: network.state_dict())
    found = features.extract(some(2, side=64), extractor="efficientnet_b0", input_size=64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    images = (some(2, side=64) / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.inference_mode():
        expected = network.avgpool(network.features(images)).flatten(1)
    np.testing.assert_allclose(found.vectors, expected.numpy(), atol=1e-4)


def test_weights_that_cannot_be_fetched_are_told(no_network):
    with pytest.raises(WorkbookError, match=r"no route to host.*or use efficientnet_lite0"):
        features.extract(some(), extractor="efficientnet_b0")


def test_an_unknown_extractor_is_refused():
    with pytest.raises(WorkbookError, match="Did you mean 'efficientnet_b0'"):
        features.extract(some(), extractor="efficientnet_b")
