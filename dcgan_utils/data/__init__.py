"""Image collections: a name, folder or zip in; one validated uint8 tensor and a report out."""

from dcgan_utils.core.faces import lazy_face

__all__, __getattr__, __dir__ = lazy_face(
    __name__,
    {
        "decode": ["COPIES"],
        "duplicates": ["describe_duplicates", "find_duplicates"],
        "labels": ["categories", "classes_of", "read_labels"],
        "load": ["Dataset", "LoadReport", "load_copies", "load_dataset"],
        "statistics": [
            "describe_horizon",
            "describe_round_canvases",
            "find_horizon",
            "find_round_canvases",
            "pixel_statistics",
            "pixel_vectors",
            "sharpness",
        ],
        "tensors": ["to_float", "to_uint8"],
    },
)
