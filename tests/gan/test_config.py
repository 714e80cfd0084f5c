import pytest
import torch

from dcgan_utils.core import environment
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.gan import choices, networks
from dcgan_utils.gan.config import PRESETS, TrainConfig


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_complete(preset):
    resolved = TrainConfig.resolve(preset=preset, device="cpu")
    assert resolved.preset == preset
    assert None not in resolved.model_dump(exclude={"start_from"}).values()


def test_the_first_study_is_a_preset():
    monet = TrainConfig.resolve(preset="monet")
    assert (monet.img_size, monet.noise, monet.epochs) == (64, "normal(0, 1)", 400)
    assert (monet.real_label, monet.fake_label) == (0.8, 0.1)
    assert (monet.lr, monet.beta1, monet.beta2) == (2e-4, 0.5, 0.999)


def test_the_second_study_is_a_preset():
    pokemon = TrainConfig.resolve(preset="pokemon")
    assert (pokemon.architecture, pokemon.img_size, pokemon.epochs) == ("pokemon", 64, 700)
    assert (pokemon.batch_size, pokemon.noise_size, pokemon.sample_size) == (128, 100, 16)
    assert (pokemon.lr, pokemon.beta1, pokemon.beta2, pokemon.eps) == (2e-4, 0.5, 0.999, 1e-7)
    assert (pokemon.real_label, pokemon.fake_label, pokemon.augment) == (1, 0, "both")


@pytest.mark.parametrize(
    ("count", "policy"), [(300, "diffaugment"), (5000, "ada"), (50_000, "none")]
)
def test_auto_augments_small_collections(count, policy):
    automatic = TrainConfig.resolve(augment="auto")
    assert automatic.for_collection(count).augment == policy
    fixed = TrainConfig.resolve(augment="pil")
    assert fixed.for_collection(count) == fixed


def test_flags_come_as_text_from_papermill():
    assert TrainConfig.resolve(flip="true").flip is True
    with pytest.raises(WorkbookError, match="flip"):
        TrainConfig.resolve(flip="perhaps")


def test_none_means_as_the_preset_says():
    assert TrainConfig.resolve(epochs=None, preset="monet") == TrainConfig.resolve(preset="monet")
    assert TrainConfig.resolve(epochs=7, preset="monet").epochs == 7


def test_text_is_coerced():
    resolved = TrainConfig.resolve(epochs="60", img_size="32", lr="1e-3", dataset=2024, seed=7.0)
    assert (resolved.epochs, resolved.img_size, resolved.lr) == (60, 32, 1e-3)
    assert (resolved.dataset, resolved.seed) == ("2024", 7)


def test_noise_is_made_canonical():
    assert TrainConfig.resolve(noise="N(0, 100)").noise == "normal(0, 10)"
    assert TrainConfig.resolve(noise="gamma").prior.mean == 2


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"epoch": 5}, "'epoch' is not a parameter. Did you mean 'epochs'?"),
        ({"epochs": 0}, "epochs should be greater than or equal to 1, not '0'."),
        ({"epochs": "many"}, "epochs should be a valid integer"),
        ({"epochs": 1.5}, "epochs should be a valid integer"),
        ({"epochs": True}, "epochs must be an integer"),
        ({"img_size": 65}, "img_size must be one of 32, 64, 128, 256, not '65'."),
        ({"noise": "gama"}, "noise 'gama' is not known. Did you mean 'gamma'?"),
        ({"preset": "mone"}, "Did you mean 'monet'?"),
        ({"architecture": "stylegan"}, "architecture must be one of dcgan, resize, pokemon"),
        (
            {"augment": "flip"},
            "augment must be one of none, pil, layers, both, diffaugment, ada, auto",
        ),
        ({"kid_samples": 1}, "kid_samples must be 0, for none, or at least 2."),
        ({"lr": 0}, "lr should be greater than 0"),
        ({"lr": float("nan")}, "lr should be a finite number"),
        ({"ema": 1}, "ema should be less than 1"),
        ({"real_label": 1.2}, "real_label should be less than or equal to 1"),
        ({"real_label": 0.1}, "real_label (0.1) must be greater than fake_label (0.1)."),
        ({"seed": -1}, "seed should be greater than or equal to 0"),
        ({"precision": "fp16"}, "precision must be one of auto, fp32, bf16"),
        ({"device": "tpu"}, "device must be auto, cpu, cuda, cuda:0 ... or mps, not 'tpu'."),
        ({"device": "cuda:99"}, "device 'cuda:99' is not on this machine"),
        ({"dataset": ""}, "dataset must not be empty"),
        ({"fit": "padd"}, "fit must be one of crop, pad, stretch, not 'padd'. Did you mean 'pad'?"),
        ({"background": "whyte"}, "background='whyte' is not a colour"),
    ],
)
def test_wrong_values_are_refused_in_a_sentence(wrong, sentence):
    with pytest.raises(WorkbookError) as refusal:
        TrainConfig.resolve(**wrong)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_every_wrong_value_is_reported():
    with pytest.raises(WorkbookError, match=r"epochs.*width|width.*epochs"):
        TrainConfig.resolve(epochs=0, width=0)


@pytest.mark.parametrize(("fast", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_auto_takes_bf16_where_it_is_fast(monkeypatch, fast, chosen):
    monkeypatch.setattr(environment, "multiplies_bf16_fast", lambda device: fast)
    assert TrainConfig.resolve(precision="auto", device="cpu").precision == chosen
    assert TrainConfig.resolve(precision="fp32", device="cpu").precision == "fp32"


def test_the_cpu_needs_no_number():
    assert TrainConfig.resolve(device="cpu:0").device == "cpu"


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    resolved = TrainConfig.resolve(device="auto", precision="auto")
    assert (resolved.device, resolved.precision) == ("cuda", "bf16")
    assert TrainConfig.resolve(device="cuda:1").device == "cuda:1"
    with pytest.raises(WorkbookError, match="not on this machine"):
        TrainConfig.resolve(device="cuda:2")


def test_a_colour_is_the_same_however_it_is_written():
    codes = {TrainConfig.resolve(background=c).background for c in ("Blue", "#00F", "#0000ff")}
    assert codes == {"#0000ff"}
    loading = TrainConfig.resolve(fit="pad", background="blue", img_size=32).loading
    assert loading == {"img_size": 32, "fit": "pad", "background": "#0000ff"}


def test_identity_is_what_decides_the_result():
    one = TrainConfig.resolve(preset="quick", dataset="here", device="cpu")
    assert one.identity == one.model_copy(update={"dataset": "there"}).identity
    assert one.identity != one.model_copy(update={"seed": 1}).identity


@pytest.mark.parametrize(
    ("given", "expected"),
    [("true", True), (True, True), ("false", False), (False, False), ("auto", None), (None, None)],
)
@pytest.mark.parametrize("there", [True, False])
def test_tensorboard_is_written_where_it_is_installed(monkeypatch, given, expected, there):
    monkeypatch.setattr(environment, "has_tensorboard", lambda: there)
    if expected and not there:
        with pytest.raises(WorkbookError, match="tensorboard is true, but TensorBoard is not ins"):
            TrainConfig.resolve(tensorboard=given)
        return
    resolved = TrainConfig.resolve(tensorboard=given)
    assert resolved.tensorboard is (there if expected is None else expected)


def test_what_mps_cannot_do_is_refused(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert TrainConfig.resolve(device="mps", augment="diffaugment").device == "mps"
    with pytest.raises(WorkbookError, match="augment=both does not work on mps"):
        TrainConfig.resolve(device="mps", augment="both", precision="fp32")


STUDIED = {
    "start_from": None,
    "fit": "crop",
    "background": "#ffffff",
    "noise": "normal(0, 1)",
    "noise_size": 100,
    "architecture": "dcgan",
    "img_size": 64,
    "first_norm": "channel",
    "lr": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "eps": 1e-8,
    "real_label": 0.8,
    "fake_label": 0.1,
    "augment": "none",
    "flip": False,
    "instance_noise": 0,
    "layer_noise": 0,
    "ema": 0.999,
    "patience": 0,
    "kid_samples": 0,
    "show_epochs": (),
    "seed": 0,
}


@pytest.mark.parametrize(
    ("preset", "values"),
    [
        (
            "monet",
            {"width": 64, "batch_size": 64, "epochs": 400, "sample_size": 64},
        ),
        (
            "pokemon",
            {"width": 32, "batch_size": 128, "epochs": 700, "sample_size": 16}
            | {"architecture": "pokemon", "eps": 1e-7, "real_label": 1.0, "fake_label": 0.0}
            | {"augment": "both", "kid_samples": 300, "show_epochs": (600, 700)},
        ),
        (
            "quick",
            {"width": 16, "batch_size": 16, "epochs": 50, "sample_size": 32, "lr": 4e-4}
            | {"architecture": "resize", "augment": "ada", "flip": True}
            | {"noise_size": 16, "ema": 0.995},
        ),
        (
            "best",
            {"width": 32, "batch_size": 16, "epochs": 1000, "sample_size": 64}
            | {"architecture": "resize", "augment": "ada", "flip": True, "kid_samples": 300},
        ),
    ],
)
def test_presets_have_their_published_values(preset, values):
    here = {"device": "cpu", "precision": "fp32", "tensorboard": False}
    resolved = TrainConfig.resolve(preset=preset, **here).model_dump()
    named = {"dataset": "plein_air", "preset": preset, **here}
    assert resolved == named | STUDIED | values


@pytest.mark.parametrize(
    ("change", "decides"),
    [
        ({"dataset": "there"}, False),
        ({"preset": "monet"}, False),
        ({"device": "mps"}, False),
        ({"kid_samples": 7}, False),
        ({"show_epochs": (1,)}, False),
        ({"tensorboard": "other"}, False),
        ({"noise": "gamma(2, 1)"}, True),
        ({"epochs": 7}, True),
        ({"sample_size": 7}, True),
        ({"eps": 1e-7}, True),
        ({"ema": 0.5}, True),
        ({"patience": 7}, True),
        ({"flip": True}, True),
        ({"layer_noise": 0.1}, True),
        ({"augment": "ada"}, True),
        ({"precision": "bf16"}, True),
    ],
)
def test_what_decides_the_result_makes_another_run(change, decides):
    one = TrainConfig.resolve(preset="monet", device="cpu", precision="fp32")
    assert (one.identity != one.model_copy(update=change).identity) == decides


@pytest.mark.parametrize(
    ("device", "units", "capability", "fast"),
    [
        ("cpu", None, None, False),
        ("cpu", "amx", None, True),
        ("cpu", "avx512_bf16", None, True),
        ("cuda", None, (7, 5), False),
        ("cuda:1", None, (8, 0), True),
        ("mps", "amx", None, False),
    ],
)
def test_bf16_is_fast_where_it_is_native(monkeypatch, device, units, capability, fast):
    monkeypatch.setattr(environment, "bf16_units", lambda: units)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert environment.multiplies_bf16_fast(device) is fast


def test_a_collection_settles_auto_and_nothing_else():
    automatic = TrainConfig.resolve(augment="auto", device="cpu")
    changed = {name: value for name, value in automatic.model_dump().items() if name != "augment"}
    for count, policy in ((1999, "diffaugment"), (2000, "ada"), (20_001, "none")):
        assert automatic.for_collection(count).model_dump() == changed | {"augment": policy}


def test_every_architecture_that_can_be_chosen_has_networks():
    assert tuple(networks.ARCHITECTURES) == choices.ARCHITECTURES
