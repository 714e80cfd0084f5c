"""What a training may choose among. Parameters are checked against it without importing torch."""

IMG_SIZES = (32, 64, 128, 256)
ARCHITECTURES = ("dcgan", "resize", "pokemon")  # `networks.ARCHITECTURES` has their networks
FIRST_NORMS = ("channel", "unit")
POLICIES = ("none", "pil", "layers", "both", "diffaugment", "ada", "auto")
