"""The GAN in plain PyTorch: priors, networks, augmentation, updates. It touches no file."""
