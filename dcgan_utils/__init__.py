"""DCGANs on small picture collections: the package behind the notebooks.

Modules are imported one by one (``from dcgan_utils.noise import parse``), so that
``import dcgan_utils`` itself costs nothing.
"""

__version__ = "0.1.0"
