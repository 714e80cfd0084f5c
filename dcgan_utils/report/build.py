"""The report, the study and the benchmark: notebooks are executed, then made into pages."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from filelock import FileLock

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import (
    ensure_dir,
    friendly_write_errors,
    home,
    report_dir,
    report_name,
    runs_dir,
    write_csv,
)
from dcgan_utils.data.load import image_files, load_dataset
from dcgan_utils.data.sources import locate
from dcgan_utils.gan import priors
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.gan.priors import Prior
from dcgan_utils.report.configs import BenchmarkConfig
from dcgan_utils.report.playground import write_playground
from dcgan_utils.report.site import PLAYGROUND, Link, Page, make_page, write_index, write_site
from dcgan_utils.runs.run import Run, run_name
from dcgan_utils.study.grid import Grid
from dcgan_utils.study.record import Record
from dcgan_utils.study.schedule import execute_notebook

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


def build_page(
    name: str,
    output: Path,
    parameters: dict[str, Any],
    *,
    title: str,
    summary: str = "",
    stream: TextIO | None = None,
) -> Page:
    """Execute one notebook and write the page of its executed copy.

    Parameters
    ----------
    name, output, parameters, stream
        As for `execute_notebook`; the page gets the name of ``output``, ending in ``.html``.
    title, summary
        For the page and the index.

    Raises
    ------
    WorkbookError
        If there is no such notebook, no kernel, or the copy or the page cannot be written. A
        notebook that fails raises nothing: its page shows the error.
    """
    began = time.perf_counter()
    failed = execute_notebook(name, output, parameters, stream=stream)
    seconds = time.perf_counter() - began
    return make_page(output, title=title, summary=summary, seconds=seconds, failed=failed)


# --- A report ---


_LEAD = (
    "The collection itself, and what augmentation does to it; one DCGAN per noise distribution, "
    "all else equal; how much detail a generator can draw at all; a walk through the latent "
    "space; and all runs compared."
)
_BRIEF_CAPACITY = {"copies": 512, "epochs": 20, "batch_size": 16}  # about a minute


@dataclass
class _Report:
    """A report while it is built: where it goes, and the pages written so far."""

    name: str
    folder: Path
    stream: TextIO | None
    on_page: Callable[[Page], None] | None
    pages: list[Page] = field(default_factory=list)

    def add(
        self, notebook: str, values: dict[str, Any], *, title: str, summary: str, stem: str = ""
    ) -> Page:
        """Build one more page and write the index anew."""
        output = self.folder / f"{stem or notebook}.ipynb"
        page = build_page(
            notebook, output, values, title=title, summary=summary, stream=self.stream
        )
        self.pages.append(page)
        write_index(self.folder, self.name, self.pages, lead=_LEAD)
        if self.on_page is not None:
            self.on_page(page)
        return page


def build_report(
    dataset: str = "plein_air",
    noises: str = "uniform,normal,gamma",
    *,
    preset: str = "quick",
    parameters: dict[str, Any] | None = None,
    benchmark: dict[str, Any] | None = None,
    stream: TextIO | None = None,
    on_page: Callable[[Page], None] | None = None,
) -> tuple[Path, list[Page]]:
    """Explore a collection, train once per prior, compare the runs: ``reports/<dataset>/``.

    Parameters
    ----------
    dataset
        As `load.load_dataset` takes it.
    noises
        Specs separated by commas.
    preset, parameters
        Passed on to ``train.ipynb``.
    benchmark
        Parameters of ``benchmark.ipynb``, which then measures the speed at the end, in about ten
        minutes; ``None`` leaves it out.
    stream
        Where the notebooks' text output is copied while they run.
    on_page
        Called with each page once it is written.

    Returns
    -------
    index : Path
        The page that links the others.
    pages : list of Page
        In order; those that failed say why.

    Raises
    ------
    WorkbookError
        If the input is wrong; nothing has been trained then.
    """
    source = locate(dataset).source
    given = {**(parameters or {}), "preset": preset, "dataset": source}
    chosen = priors.parse_list(noises)
    configs = [TrainConfig.resolve(**given, noise=str(prior)) for prior in chosen]
    first = configs[0]
    common = {"dataset": source, "seed": first.seed, "device": first.device}
    images = load_dataset(source, first.img_size)
    name = report_name(images.name, images.source)
    if benchmark is not None:
        own = {"precision": given.get("precision", "auto"), "output": name}
        benchmark = common | own | benchmark
        BenchmarkConfig.resolve(**benchmark)
        image_files(source, first.img_size)
    runs = {
        prior: run_name(config.for_collection(len(images.images)), images)
        for prior, config in zip(chosen, configs, strict=True)
    }
    report = _Report(images.name, ensure_dir(report_dir(name)), stream, on_page)
    _add_collection(report, common, first.img_size)
    trained = _add_trainings(report, given, runs)
    _add_capacity(report, common, first)
    measured = {"samples": max(6, min(len(images.images), 200)), "device": first.device}
    _add_comparison(report, measured, trained, first.seed)
    if benchmark is not None:
        report.add("benchmark", benchmark, **_BENCHMARK)
    _add_playground(report, trained)
    return write_site(report.folder, report.name, report.pages, lead=_LEAD), report.pages


def _add_collection(report: _Report, common: dict[str, Any], img_size: int) -> None:
    report.add(
        "eda",
        common,
        title="The collection",
        summary=f"What is in {report.name}: images, pixels, clusters, maps.",
    )
    report.add(
        "augment",
        common | {"img_size": img_size},
        title="Augmentation",
        summary="What each kind of augmentation does to one image.",
    )


def _add_trainings(report: _Report, given: dict[str, Any], runs: dict[Prior, str]) -> list[str]:
    """Train once per prior, and return the names of the runs that succeeded."""
    trained = []
    for prior, run in runs.items():
        page = report.add(
            "train",
            given | {"noise": str(prior)},
            title=f"Training with {prior.label}",
            summary=f"A DCGAN trained on {report.name}, its noise of mean {prior.mean:.3g} and "
            f"standard deviation {prior.std:.3g}.",
            stem=f"train-{prior.slug}",
        )
        if not page.failed:
            trained.append(run)
    return trained


def _add_capacity(report: _Report, common: dict[str, Any], config: TrainConfig) -> None:
    report.add(
        "capacity",
        common | _BRIEF_CAPACITY | {"img_size": config.img_size, "width": config.width},
        title="Capacity",
        summary="Can the second study's generator reproduce one image exactly?",
    )


def _add_comparison(
    report: _Report, measured: dict[str, Any], trained: Sequence[str], seed: int
) -> None:
    if trained:
        report.add(
            "latent",
            measured | {"run": trained[0], "seed": seed},
            title="A walk through the latent space",
            summary="Along a vector, between vectors, to the nearest training images.",
        )
    if len(trained) > 1:
        report.add(
            "compare",
            measured | {"runs": ",".join(trained), "output": report.folder.name},
            title="The noises compared",
            summary="Prediction, samples side by side, measures, and the study's claims.",
        )


def _add_playground(report: _Report, trained: Sequence[str]) -> None:
    """Put the trained generators into a page to play with; the report can do without it."""
    path = report.folder / PLAYGROUND
    try:
        path.unlink(missing_ok=True)
        if trained:
            write_playground([Run(name) for name in trained], path, pages=report.pages)
    except (WorkbookError, OSError) as error:
        logger.warning("There is no playground: %s", error)


# --- The benchmark ---


_BENCHMARK = {
    "title": "How fast it is",
    "summary": "This training compared with a textbook's, and with what the machine can do.",
}


def build_benchmark(parameters: dict[str, Any], *, stream: TextIO | None = None) -> Page:
    """Execute ``benchmark.ipynb``; write its page and its tables into ``reports/benchmark/``.

    Parameters
    ----------
    parameters
        Of the notebook.
    stream
        Where the notebook's text output is copied while it runs.

    Raises
    ------
    WorkbookError
        If a parameter is wrong, or the folder cannot be made.
    """
    config = BenchmarkConfig.resolve(**parameters)
    image_files(locate(config.dataset).source, config.img_size)
    output = ensure_dir(report_dir("benchmark")) / "benchmark.ipynb"
    return build_page("benchmark", output, parameters, stream=stream, **_BENCHMARK)


# --- A study ---


def build_study(
    grid: Grid,
    table: pd.DataFrame,
    *,
    stream: TextIO | None = None,
    on_page: Callable[[Page], None] | None = None,
) -> tuple[Path, list[Page]]:
    """Write the page of every run of a grid, their comparison, and ``reports/<name>/``.

    Parameters
    ----------
    grid, table
        The grid, and what `run_grid` returned for it.
    stream
        Where the notebooks' text output is copied while they run.
    on_page
        Called with the page of each comparison once it is written: one for each collection and
        architecture with two finished runs or more.

    Returns
    -------
    index : Path
        The page that links the others.
    pages : list of Page
        The comparisons; those that failed say why.
    """
    name = report_name(grid.name, f"the study {grid.name}")
    folder = ensure_dir(report_dir(name))
    finished, pages = table[table["failed"] == ""], []
    with friendly_write_errors(folder), FileLock(folder / ".lock"):
        write_csv(table, folder / "runs.csv", index=False)
        for row in table.itertuples():
            _update_run_page(row)
        for which, runs in finished.groupby(["collection", "architecture"], sort=False):
            if len(runs) > 1:
                pages.append(_build_comparison(grid, name, which, runs, stream))
                if on_page is not None:
                    on_page(pages[-1])
        lead = (
            f"{len(finished)} of {len(table)} trainings are finished: {len(grid.arms)} arms with "
            f"up to {len(grid.seeds)} seeds each. Runs with the same seed see the images in the "
            "same order."
        )
        links = [_link_to_run(folder, row) for row in table.itertuples()]
        links = [link for link in links if (folder / link.href).exists()]
        return write_site(folder, grid.name, pages, lead=lead, links=links), pages


def _update_run_page(row: Any) -> None:
    """Write the page of a run unless it is up to date; a failed run has none."""
    notebook = runs_dir() / row.run / "train.ipynb"
    html = notebook.with_suffix(".html")
    if not notebook.exists():  # it is recorded, and its folder is gone
        return
    if row.failed:
        html.unlink(missing_ok=True)
    elif not html.exists() or html.stat().st_mtime_ns < notebook.stat().st_mtime_ns:
        label = priors.parse(row.noise).label
        make_page(notebook, title=f"Training with {label}, seed {row.seed}")


def _build_comparison(
    grid: Grid, output: str, which: tuple[str, str], runs: pd.DataFrame, stream: TextIO | None
) -> Page:
    collection, architecture = which
    record = Record(report_dir(output), f"{collection}-{architecture}")
    names = record.path.relative_to(home()).as_posix() if record.names() else ",".join(runs["run"])
    parameters = {"runs": names, "samples": grid.samples, "output": output}
    if grid.looks:
        parameters["looks"] = ", ".join(map(str, grid.looks))
    if grid.label_column:
        parameters["label_column"] = grid.label_column
    return build_page(
        "compare",
        report_dir(output) / f"compare-{collection}-{architecture}.ipynb",
        parameters,
        title=f"{collection}, {architecture}: which noise?",
        summary=f"{len(runs)} trainings of {architecture} on {collection}, compared.",
        stream=stream,
    )


def _link_to_run(folder: Path, row: Any) -> Link:
    """Return the page of a run, relative to the study's folder."""
    title = f"{row.collection}, {row.architecture}, {row.noise}, seed {row.seed}"
    page = runs_dir() / row.run / ("train.ipynb" if row.failed else "train.html")
    return Link(title, Path(os.path.relpath(page, folder)).as_posix(), row.failed)
