"""DCGANs on small image collections: the package behind the notebooks.

Modules are imported one by one (``from dcgan_utils.gan.noise import parse``), so that
``import dcgan_utils`` itself costs nothing.
"""

import os

# On Linux the threads of torch wait for each other by spinning. With a busy program on one of two
# cores a training step took 3 to 6 times as long with the default as with this shorter wait; on
# an idle machine the two were equal. It counts only if it is set before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

__version__ = "0.1.0"
