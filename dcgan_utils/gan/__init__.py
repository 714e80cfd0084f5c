"""The GAN in plain PyTorch: priors, networks, augmentation, updates. It touches no file."""

from dcgan_utils.gan.augment import POLICIES
from dcgan_utils.gan.config import PRESETS, TrainConfig
from dcgan_utils.gan.equilibrium import describe_equilibrium, equilibrium_losses
from dcgan_utils.gan.model import DCGAN
from dcgan_utils.gan.networks import build_networks, layer_table
from dcgan_utils.gan.priors import Prior, parse, parse_list

__all__ = [
    "DCGAN",
    "POLICIES",
    "PRESETS",
    "Prior",
    "TrainConfig",
    "build_networks",
    "describe_equilibrium",
    "equilibrium_losses",
    "layer_table",
    "parse",
    "parse_list",
]
