"""One training and its folder: train, resume, sample, interpolate."""

from dcgan_utils.core.faces import lazy_face

__all__, __getattr__, __dir__ = lazy_face(
    __name__,
    {
        "interpolation": [],
        "run": ["Run", "find_runs"],
        "sampling": ["collection_of", "draw", "load_generator", "load_pair", "most_real", "sample"],
        "training": ["Watcher", "train"],
    },
)
