import pytest
import torch

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.metrics import features
from dcgan_utils.report.configs import BenchmarkConfig, EdaConfig, StudyConfig

# --- The exploration -----------------------------------------------------------------------


def test_the_exploration_has_defaults_for_everything():
    resolved = EdaConfig.resolve(k="12", img_size="64", dataset=2024)
    assert (resolved.k, resolved.img_size, resolved.dataset) == (12, 64, "2024")
    assert resolved.other is None
    assert resolved.device in ("cpu", "cuda")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"cluster_on": "pixel"}, "cluster_on must be one of pixels, features, not 'pixel'. Did"),
        ({"extractor": "vgg"}, "extractor must be one of efficientnet_lite0, efficientnet_b0"),
        ({"k": 0}, "k should be greater than or equal to 1"),
        ({"cluster": 10}, "cluster (10) must be less than k (10)"),
        ({"img_size": 2000}, "img_size should be less than or equal to 512"),
        ({"other": " "}, "other must not be empty"),
        ({"neighbors": 5}, "'neighbors' is not a parameter. Did you mean 'n_neighbors'?"),
        ({"device": "tpu"}, "device must be auto, cpu"),
    ],
)
def test_impossible_explorations_are_refused_in_one_sentence(wrong, sentence):
    with pytest.raises(WorkbookError) as refusal:
        EdaConfig.resolve(**wrong)
    assert sentence in str(refusal.value)


# --- The study -----------------------------------------------------------------------------


def test_a_study_s_workers_are_here_or_of_a_scheduler():
    assert StudyConfig.resolve(workers="2").workers == 2
    with pytest.raises(WorkbookError, match="a scheduler has its own workers"):
        StudyConfig.resolve(workers=2, scheduler="tcp://10.0.0.1:8786")


# --- The benchmark ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sizes"), [("128, 64", (128, 64)), (64, (64,)), ((8, 4), (8, 4)), ("64", (64,))]
)
def test_batch_sizes_may_be_one_or_several(given, sizes):
    assert BenchmarkConfig.resolve(batch_sizes=given).batch_sizes == sizes


@pytest.mark.parametrize("wrong", ["", "64, many", "0", 6.5, None])
def test_wrong_batch_sizes_are_refused(wrong):
    with pytest.raises(WorkbookError, match="batch_sizes"):
        BenchmarkConfig.resolve(batch_sizes=wrong)


def test_the_benchmark_does_not_take_mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(WorkbookError, match="device string should match"):
        BenchmarkConfig.resolve(device="mps")


def test_the_benchmark_trains_the_first_study_with_changes():
    config = BenchmarkConfig.resolve(batch_sizes="32", width=8, seed=3, precision="fp32")
    training = config.training(epochs=5)
    assert (training.batch_size, training.width, training.seed) == (32, 8, 3)
    assert (training.epochs, training.real_label, training.precision) == (5, 0.8, "fp32")


def test_eda_takes_every_extractor():
    for extractor in features.EXTRACTORS:
        assert EdaConfig.resolve(extractor=extractor).extractor == extractor
    assert EdaConfig().extractor == features.DEFAULT
