import email.message
import hashlib
import io
import urllib.error
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import torch

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.seeds import stream
from dcgan_utils.data.painted import paint_scene
from dcgan_utils.metrics import features
from dcgan_utils.metrics.evaluation import evaluate

DOWNLOAD = "torchvision.models._api.load_state_dict_from_url"


def some(n=3, side=40, seed=0):
    return torch.randint(
        0, 256, (n, 3, side, side), dtype=torch.uint8, generator=stream(seed, "images")
    )


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(DOWNLOAD, refuse)


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


def test_copies_have_the_same_features_to_the_last_bit(heard):
    images = some(1).expand(40, -1, -1, -1)
    found = features.extract(images, input_size=32)
    assert len(np.unique(found.vectors, axis=0)) == 1
    assert found.vectors.shape == (40, 1280)
    assert heard[-1] == ("features of images", 1, 1), "a copy costs nothing"
    mixed = features.extract(some(3)[[2, 0, 2, 1]], input_size=64).vectors
    np.testing.assert_array_equal(mixed[0], mixed[2])
    np.testing.assert_allclose(
        mixed[[1, 3, 0]], features.extract(some(3), input_size=64).vectors, atol=1e-3
    )


@pytest.mark.slow
def test_the_weights_are_those_of_a_trained_network():
    """By features the nearest image shows mostly the same subject; chance would be 1 in 8."""
    painted = [paint_scene(index, size=96) for index in range(1, 33)]
    images = torch.stack([torch.from_numpy(np.array(i)).permute(2, 0, 1) for i, _ in painted])
    subjects = np.array([label.subject for _, label in painted])
    vectors = features.extract(images).vectors
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (subjects[distances.argmin(1)] == subjects).mean() > 0.7


PLACES = {224: [0, 7, 11, 12, 13, 25, 28, 29], 64: [2, 9, 17, 21, 36, 40, 42, 54]}


@pytest.mark.parametrize(
    ("side", "input_size", "expected"),
    [
        (64, 224, [2.52474, 2.45172, 0.63588, 0.87337, 1.45625, 0.69555, 0.56549, 1.01330]),
        (256, 64, [2.46389, 3.46130, 4.11216, 0.67343, 3.06011, 3.12566, 0.34567, 2.45169]),
    ],
    ids=["enlarged", "reduced"],
)
def test_the_features_of_a_fixed_image_stay_what_they_were(side, input_size, expected):
    """Another scale, order of colours or way to resize would move every published number."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    image = torch.stack([255 * x // (side - 1), 255 * y // (side - 1), x * y % 256])
    found = features.extract(image.to(torch.uint8)[None], input_size=input_size).vectors[0]
    np.testing.assert_allclose(found[PLACES[input_size]], expected, rtol=1e-3)


class Means(torch.nn.Module):
    """Stands for a network: tells the mean of each colour as it is handed over."""

    def forward(self, images):
        return images.mean((2, 3))


@pytest.mark.parametrize(
    ("extractor", "mean", "std"),
    [
        ("efficientnet_lite0", (127, 127, 127), (128, 128, 128)),
        ("efficientnet_b0", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    ],
)
def test_each_network_is_given_the_scale_it_was_trained_on(monkeypatch, extractor, mean, std):
    recipe = replace(features.EXTRACTORS[extractor], load=Means)
    monkeypatch.setitem(features.EXTRACTORS, extractor, recipe)
    levels = torch.tensor([10, 100, 250], dtype=torch.uint8)
    image = levels[None, :, None, None].expand(1, 3, 8, 8)
    found = features.extract(image, extractor=extractor, input_size=16).vectors[0]
    expected = (levels.numpy() - np.array(mean)) / std
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_features_are_of_the_default_network_at_its_own_size():
    found = features.extract(some(1))
    assert (found.extractor, found.input_size) == ("efficientnet_lite0", 224)


@pytest.mark.parametrize(
    "changed", ["nothing", "pixels", "extractor", "input size", "preprocessing", "package"]
)
def test_features_are_kept_under_all_that_they_were_made_with(monkeypatch, changed):
    runs = []

    def run(recipe, images, numbers, *others):
        runs.append(recipe)
        return np.zeros((len(numbers), 1280), np.float32)

    monkeypatch.setattr(features, "_run", run)
    other = replace(features.EXTRACTORS[features.DEFAULT])
    monkeypatch.setitem(features.EXTRACTORS, "other", other)
    images, options = some(), {"input_size": 64}
    features.extract(images, **options)
    if changed == "pixels":
        images = images.flip(1)
    elif changed == "extractor":
        options["extractor"] = "other"
    elif changed == "input size":
        options["input_size"] = 65
    elif changed == "preprocessing":
        monkeypatch.setattr(features, "PREPROCESSING", features.PREPROCESSING + 1)
    elif changed == "package":
        monkeypatch.setattr(features, "version", lambda package: f"another {package}")
    features.extract(images, **options)
    assert len(runs) == (1 if changed == "nothing" else 2)


def test_the_second_time_comes_from_the_cache(heard):
    first = features.extract(some(40), input_size=32)
    assert heard == [("features of images", done, 40) for done in (0, 32, 40)]
    again = features.extract(some(40), input_size=32)
    np.testing.assert_array_equal(again.vectors, first.vectors)
    assert len(heard) == 3, "nothing to do"
    features.extract(some(40, seed=1), input_size=32)
    features.extract(some(40), input_size=48)
    assert len(heard) == 9


def test_efficientnet_b0_is_read_as_torchvision_gives_it(monkeypatch):
    """Its weights are a stand-in here: torchvision's own loader, with what it would download."""
    from torchvision.models import efficientnet_b0

    features._load_b0.cache_clear()
    torch.manual_seed(0)
    network = efficientnet_b0().eval()
    monkeypatch.setattr(DOWNLOAD, lambda *a, **k: network.state_dict())
    found = features.extract(some(2, side=64), extractor="efficientnet_b0", input_size=64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    images = (some(2, side=64) / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.inference_mode():
        expected = network.avgpool(network.features(images)).flatten(1)
    np.testing.assert_allclose(found.vectors, expected.numpy(), atol=1e-4)


def test_weights_that_cannot_be_fetched_are_reported(no_network):
    features._load_b0.cache_clear()
    with pytest.raises(WorkbookError, match=r"no route to host.*or use efficientnet_lite0"):
        features.extract(some(), extractor="efficientnet_b0")


# --- FID's Inception -------------------------------------------------------------------------


def random_inception(monkeypatch):
    """Return torch_fidelity's network with random weights."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    torch.manual_seed(0)
    with monkeypatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *a: None)
        network = module.FeatureExtractorInceptionV3("random", ["2048"])
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)  # so that the features do not vanish
    return network.eval()


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Return where FID's weights are looked for; they are expected to begin as a file does."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    features._load_inception.cache_clear()

    def expect(content):
        digest = hashlib.sha256(content).hexdigest()[:8]
        url = f"https://nowhere.example/weights-inception-2015-12-05-{digest}.pth"
        monkeypatch.setattr(module, "URL_INCEPTION_V3", url)
        return tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2]

    yield expect
    features._load_inception.cache_clear()


@pytest.mark.slow
def test_inception_is_what_torch_fidelity_computes(weights, monkeypatch):
    """The weights are a stand-in here: torch_fidelity's own network reads them from the file."""
    network, buffer = random_inception(monkeypatch), io.BytesIO()
    torch.save(network.state_dict(), buffer)
    path = weights(buffer.getvalue())
    path.parent.mkdir(parents=True)
    path.write_bytes(buffer.getvalue())
    images = some(3)
    found = features.extract(images, extractor="inception")
    assert found.vectors.shape == (3, 2048)
    assert (found.extractor, found.input_size) == ("inception", 299)
    with torch.inference_mode():
        (expected,) = network(images)
    assert expected.std(0).max() > 1e-4, "the images differ"
    np.testing.assert_allclose(found.vectors, expected.numpy(), rtol=1e-3, atol=1e-5)
    measures = evaluate(some(12), some(12, seed=1), seed=0, extractor="inception")
    assert measures["extractor"] == "inception"
    assert measures["fid"] != evaluate(some(12), some(12, seed=1), seed=0)["fid"]


def test_inception_asks_for_its_package(monkeypatch):
    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(features, "version", missing)
    for call in (features.require_extractor, lambda name: features.extract(some(), extractor=name)):
        with pytest.raises(WorkbookError, match=r'pip install "dcgan-utils\[inception\]"'):
            call("inception")


def test_inception_that_cannot_be_fetched_says_where_to_put_it(weights, monkeypatch):
    path = weights(b"the weights")

    def refuse(*args, **options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(WorkbookError, match="no route to host") as refusal:
        features.require_extractor("inception")
    assert f"put '{path.name}' into '{path.parent}'" in str(refusal.value)


def test_other_weights_than_fid_s_are_refused(weights):
    path = weights(b"the weights")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"other weights")
    with pytest.raises(WorkbookError, match="does not hold the weights of FID's Inception"):
        features.require_extractor("inception")
    assert path.exists(), "what a user put there is not deleted"


def test_a_download_of_other_weights_is_refused(weights, monkeypatch):
    path = weights(b"the weights")

    class Answer(io.BytesIO):
        def info(self):
            return email.message.Message()

    monkeypatch.setattr("torch.hub.urlopen", lambda request: Answer(b"other"))
    with pytest.raises(WorkbookError, match=r"downloaded \(invalid hash value"):
        features.require_extractor("inception")
    assert not path.exists()
    monkeypatch.setattr("torch.hub.urlopen", lambda request: Answer(b"the weights"))
    assert features._fetch_inception().read_bytes() == b"the weights"


def test_weights_of_inception_that_would_execute_code_are_refused(weights, tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("trapped").touch, ())

    buffer = io.BytesIO()
    torch.save({"a": Trap()}, buffer)
    path = weights(buffer.getvalue())
    path.parent.mkdir(parents=True)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(Exception, match="Weights only load failed"):
        features.require_extractor("inception")
    assert not (tmp_path / "trapped").exists()


def test_inception_has_one_input_size(monkeypatch):
    monkeypatch.setattr(features, "version", lambda package: "1")
    with pytest.raises(WorkbookError, match="inception scales images to 299 px itself"):
        features.extract(some(), extractor="inception", input_size=224)


def test_an_unknown_extractor_is_refused():
    with pytest.raises(WorkbookError, match="Did you mean 'efficientnet_b0'"):
        features.extract(some(), extractor="efficientnet_b")
