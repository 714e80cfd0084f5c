"""The GAN in plain PyTorch: priors, networks, augmentation, updates. It touches no file."""

from dcgan_utils.core.faces import lazy_face

__all__, __getattr__, __dir__ = lazy_face(
    __name__,
    {
        "augment": ["POLICIES"],
        "config": ["PRESETS", "TrainConfig"],
        "equilibrium": ["describe_equilibrium", "equilibrium_losses"],
        "model": ["DCGAN"],
        "networks": ["build_networks", "layer_table"],
        "priors": ["Prior", "parse", "parse_list"],
    },
)
