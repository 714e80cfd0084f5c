"""Image collections: a name, folder or zip in; one validated uint8 tensor and a report out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "decode": ["COPIES"],
        "duplicates": ["describe_duplicates", "duplicate_table", "find_duplicates"],
        "labels": ["categories", "classes_of", "read_labels"],
        "load": ["Dataset", "LoadReport", "fit_example", "load_copies", "load_dataset"],
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
