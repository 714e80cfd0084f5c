"""What knows nothing of images and runs: errors, files, seeds, parameters."""
