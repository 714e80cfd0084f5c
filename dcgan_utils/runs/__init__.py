"""One training and its folder: train, resume, sample, interpolate."""
