"""A table or tensor in, one figure out, which displays itself."""
