"""One training and its folder: train, resume, sample, interpolate."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["interpolation"],
    submod_attrs={
        "export": ["export_generator", "write_images"],
        "run": ["Run", "find_run", "find_runs", "latest_run"],
        "sampling": ["collection_of", "draw", "load_generator", "load_pair", "most_real", "sample"],
        "table": ["runs_table"],
        "training": ["Watcher", "train", "train_each"],
        "transfer": ["locate_source"],
    },
)
