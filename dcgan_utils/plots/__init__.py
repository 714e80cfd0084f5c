"""Figures: arrays and tables in, one `Figure` out, which displays itself with its description."""

from dcgan_utils.plots.cloud import image_cloud
from dcgan_utils.plots.clusters import (
    cluster_sizes,
    explained_variance,
    k_criteria,
    scatter_plane,
    thumbnails,
)
from dcgan_utils.plots.files import dimensions, file_sizes, round_canvases
from dcgan_utils.plots.images import (
    captioned,
    image_grid,
    image_rows,
    labelled_grids,
    samples_over_epochs,
    samples_side_by_side,
)
from dcgan_utils.plots.looks import prior_color, prior_mark
from dcgan_utils.plots.pixels import (
    channel_histograms,
    horizon_line,
    statistics_in_colour,
    statistics_of_each_colour,
)
from dcgan_utils.plots.projector import export_projector
from dcgan_utils.plots.study import (
    benchmark_turns,
    differences_to_reference,
    kid_bars,
    losses_overlaid,
    measures_by_ratio,
    memory_over_epochs,
    noise_evidence,
    shares_by_dose,
    shares_over_epochs,
    step_profile,
    variance_shares,
)
from dcgan_utils.plots.style import BLUE, ORANGE, Figure, palette, save_figure
from dcgan_utils.plots.training import (
    distance_over_epochs,
    losses,
    network_diagram,
    noise_density,
    probabilities,
    quality_over_epochs,
    training_so_far,
)

__all__ = [
    "BLUE", "ORANGE", "Figure", "benchmark_turns", "captioned", "channel_histograms",
    "cluster_sizes", "differences_to_reference", "dimensions", "distance_over_epochs",
    "explained_variance", "export_projector", "file_sizes", "horizon_line",
    "image_cloud", "image_grid", "image_rows", "k_criteria", "kid_bars", "labelled_grids", "losses",
    "losses_overlaid", "measures_by_ratio", "memory_over_epochs", "network_diagram",
    "noise_density", "noise_evidence", "palette", "prior_color", "prior_mark", "probabilities",
    "quality_over_epochs", "round_canvases", "samples_over_epochs", "samples_side_by_side",
    "save_figure", "scatter_plane", "shares_by_dose", "shares_over_epochs",
    "statistics_in_colour", "statistics_of_each_colour", "step_profile", "thumbnails",
    "training_so_far", "variance_shares",
]  # fmt: skip
