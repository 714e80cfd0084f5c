"""The GAN in plain PyTorch: priors, networks, augmentation, updates. It touches no file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "augment": ["POLICIES"],
        "config": ["PRESETS", "TrainConfig"],
        "equilibrium": ["describe_equilibrium", "equilibrium_losses"],
        "model": ["DCGAN"],
        "networks": ["build_networks", "layer_table"],
        "priors": ["Prior", "parse", "parse_list"],
    },
)
