"""The report, the study and the benchmark: notebooks are executed, then made into pages."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from dcgan_utils.report.chapters import Chapter, Timetable
from dcgan_utils.report.configs import BenchmarkConfig, choose_chapters
from dcgan_utils.report.opening import open_report, open_study
from dcgan_utils.report.playground import draw_cover, write_playground
from dcgan_utils.report.site import (
    PLAYGROUND,
    Link,
    Opening,
    Page,
    make_page,
    write_beside,
    write_index,
    write_site,
)
from dcgan_utils.runs.run import Run, is_finished, run_name
from dcgan_utils.runs.transfer import locate_source
from dcgan_utils.study.grid import Grid
from dcgan_utils.study.record import Record
from dcgan_utils.study.schedule import execute_notebook, is_complete, require_lab

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
) -> Page:
    """Execute one notebook and write the page of its executed copy.

    Parameters
    ----------
    name, output, parameters
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
    failed = execute_notebook(name, output, parameters)
    seconds = time.perf_counter() - began
    return make_page(output, title=title, summary=summary, seconds=seconds, failed=failed)


# --- A report ---


_NEEDS = {"latent": 1, "compare": 2}  # trained runs, at least
_BRIEF_CAPACITY = {"copies": 512, "epochs": 20, "batch_size": 16}  # about a minute


@dataclass
class Report:
    """A report that is planned, and checked, but not built.

    Attributes
    ----------
    name
        Of the collection.
    folder
        Where it goes.
    about
        What it is about, in one or two lines: the collection, the noises, the parameters.
    chapters
        All that it may have, in reading order.
    trained
        Names of the runs that are trained.
    timetable
        The chapters that are to be built, and how long they take.
    """

    name: str
    folder: Path
    about: str
    chapters: list[Chapter]
    trained: list[str]
    timetable: Timetable

    def values(self, chapter: Chapter) -> dict[str, Any]:
        """Return the parameters of a chapter, with the runs that are trained by now."""
        runs = {"latent": {"run": self.trained[:1]}, "compare": {"runs": self.trained}}
        shown = {name: ",".join(which) for name, which in runs.get(chapter.notebook, {}).items()}
        return chapter.values | shown


def plan_report(
    dataset: str = "plein_air",
    noises: str = "uniform,normal,gamma",
    *,
    preset: str = "quick",
    parameters: dict[str, Any] | None = None,
    only: str | None = None,
    skip: str | None = None,
    also: str | None = None,
    benchmark: dict[str, Any] | None = None,
) -> Report:
    """Plan a report: explore a collection, train once per prior, compare the runs.

    Parameters
    ----------
    dataset
        As `load.load_dataset` takes it.
    noises
        Specs separated by commas.
    preset, parameters
        Passed on to ``train.ipynb``.
    only, skip
        Names of chapters separated by commas: those that are built, or those that are not. They
        are ``eda``, ``augment``, ``train``, ``compare``, ``latent``, and on request ``details``
        (one page per training), ``capacity`` and ``benchmark`` (ten minutes). Without ``train``,
        the others show runs that are trained already.
    also
        Chapters on request that are built beside the others.
    benchmark
        Parameters of ``benchmark.ipynb``.

    Raises
    ------
    WorkbookError
        If the input is wrong, a chapter that was asked for needs runs that are not trained, or the
        extra ``lab`` is not installed.
    """
    require_lab()
    chosen = choose_chapters(only, skip, also)
    source = locate(dataset).source
    given = {**(parameters or {}), "preset": preset, "dataset": source}
    if start_from := locate_source(TrainConfig.check(**given).start_from):
        given["start_from"] = start_from
    noise = priors.parse_list(noises)
    configs = [TrainConfig.resolve(**given, noise=str(prior)) for prior in noise]
    first = configs[0]
    common = {"dataset": source, "seed": first.seed, "device": first.device}
    images = load_dataset(source, **first.loading)
    count = len(images.images)
    speed = common | {"precision": given.get("precision", "auto")} | (benchmark or {})
    if "benchmark" in chosen:
        BenchmarkConfig.resolve(**speed)
        image_files(source, first.img_size)
    configs = [config.for_collection(count) for config in configs]
    named = {run_name(config, images): config for config in configs}
    trained, missing = [], []
    if "train" not in chosen:
        trained = [run for run in named if is_finished(run)]
        missing = [config.prior.label for run, config in named.items() if run not in trained]
    there = len(named) - len(missing)
    lacking = [name for name, needs in _NEEDS.items() if name in chosen and needs > there]
    if lacking and (only is not None or chosen == {*lacking}):
        raise _needs_runs(lacking[0], len(named), missing)
    name = report_name(images.name, images.source)  # makes a folder, so all is checked before
    measured = {"samples": max(6, min(count, 200)), "device": first.device, "seed": first.seed}
    chapters = [
        *_about_collection(images.name, common, first),
        _trainings(images.name, given, named),
        *_about_runs(measured, name),
        *(
            _details(given, config.prior, {} if "train" in chosen else {run: config})
            for run, config in named.items()
        ),
        _capacity(common, first),
        Chapter("benchmark", {"output": name} | speed, **_BENCHMARK),
    ]
    todo = [chapter for chapter in chapters if chapter.name in chosen.difference(lacking)]
    about = (
        f"{images.name}: {count} images; noises {', '.join(prior.label for prior in noise)}; "
        f"{_describe_parameters(first)}"
    )
    if missing and {*_NEEDS} & chosen:
        about += f"\nNot trained yet, so not shown: {', '.join(missing)}"
    folder = ensure_dir(report_dir(name))
    return Report(images.name, folder, about, chapters, trained, Timetable(todo, count))


def _needs_runs(chapter: str, noises: int, missing: Sequence[str]) -> WorkbookError:
    """Return the error that a chapter has too few trained runs."""
    if noises < _NEEDS[chapter]:
        return WorkbookError(f"'{chapter}' needs {_NEEDS[chapter]} noises or more.")
    return WorkbookError(
        f"'{chapter}' needs trained runs, at least {_NEEDS[chapter]}, and with these "
        f"parameters these are missing: {', '.join(missing)}. '--only train' trains them, "
        f"'--only train,{chapter}' does both."
    )


def _describe_parameters(config: TrainConfig) -> str:
    """Name the preset, and the parameters that differ from it."""
    values = config.model_dump(exclude={"dataset", "noise"})
    usual = TrainConfig.resolve(preset=config.preset).model_dump()
    own = [f"{name} {value}" for name, value in values.items() if value != usual[name]]
    return ", ".join([f"preset {config.preset}", *own])


def _about_collection(name: str, common: dict[str, Any], config: TrainConfig) -> list[Chapter]:
    return [
        Chapter(
            "eda",
            common | {"fit": config.fit, "background": config.background},
            title="The collection",
            summary=f"What is in {name}: images, pixels, clusters, maps.",
        ),
        Chapter(
            "augment",
            common | {"img_size": config.img_size},
            title="Augmentation",
            summary="What each kind of augmentation does to one image.",
        ),
    ]


def _trainings(name: str, given: dict[str, Any], runs: Mapping[str, TrainConfig]) -> Chapter:
    """Return the chapter that trains: all noises side by side, or the only one."""
    noises = [str(config.prior) for config in runs.values()]
    if len(noises) > 1:
        return Chapter(
            "trainings",
            given | {"noises": ", ".join(noises)},
            name="train",
            title="The trainings",
            summary=f"One DCGAN per noise, trained on {name}: how they learn, side by side.",
            runs=runs,
        )
    return Chapter(
        "train",
        given | {"noise": noises[0]},
        title="The training",
        summary=f"A DCGAN, trained on {name}: networks, losses, and images over time.",
        runs=runs,
    )


def _details(given: dict[str, Any], prior: Prior, runs: Mapping[str, TrainConfig]) -> Chapter:
    """Return the chapter about one training, step by step; ``runs`` are those it trains."""
    return Chapter(
        "train",
        given | {"noise": str(prior)},
        name="details",
        title=f"Training with {prior.label}",
        summary="This training alone: networks, losses, and images over time.",
        stem=f"train-{prior.slug}",
        runs=runs,
    )


def _capacity(common: dict[str, Any], config: TrainConfig) -> Chapter:
    return Chapter(
        "capacity",
        common | _BRIEF_CAPACITY | {"img_size": config.img_size, "width": config.width},
        title="Capacity",
        summary="Can the second study's generator reproduce one image exactly?",
    )


def _about_runs(measured: dict[str, Any], output: str) -> list[Chapter]:
    return [
        Chapter(
            "compare",
            measured | {"output": output},
            title="Which noise?",
            summary="Prediction, samples side by side, measures, and the study's claims.",
            needs=_NEEDS["compare"],
        ),
        Chapter(
            "latent",
            measured,
            title="A walk through the latent space",
            summary="Along a vector, between vectors, to the nearest training images.",
            needs=_NEEDS["latent"],
        ),
    ]


def build_report(
    report: Report,
    *,
    on_chapter: Callable[[Chapter], None] | None = None,
    on_page: Callable[[Chapter, Page], None] | None = None,
) -> tuple[Path, list[Page]]:
    """Build a report from `plan_report` in ``reports/<dataset>/``.

    Parameters
    ----------
    report
        It is changed: it learns which runs are trained.
    on_chapter
        Called with each chapter when it begins.
    on_page
        Called with each chapter and its page, once that is written.

    Returns
    -------
    index : Path
        The page that links the others.
    pages : list of Page
        In reading order; those that failed say why. Chapters that were not chosen have the pages
        that an earlier report made of them with the same parameters.
    """
    pages: dict[Chapter, Page] = {}
    for chapter in report.timetable.chapters:
        if chapter.needs > len(report.trained):  # trainings have failed
            continue
        report.timetable.begin(chapter)
        if on_chapter is not None:
            on_chapter(chapter)
        page = pages[chapter] = _build_chapter(report, chapter)
        write_index(report.folder, report.name, [*pages.values()], _opening(report, pages.values()))
        ended = [run for run in chapter.runs if is_finished(run)]
        report.trained += [run for run in ended if run not in report.trained]
        report.timetable.end(page)
        if on_page is not None:
            on_page(chapter, page)
    for chapter in report.chapters:
        if chapter not in report.timetable.chapters and (page := _earlier_page(report, chapter)):
            pages[chapter] = page
    ordered = [pages[chapter] for chapter in report.chapters if chapter in pages]
    write_beside(report.folder, report.name, ordered)  # the playground's menu leads to it
    _add_playground(report, ordered)
    return write_site(report.folder, report.name, ordered, _opening(report, ordered)), ordered


def _opening(report: Report, pages: Iterable[Page]) -> Opening:
    exists = (report.folder / PLAYGROUND).exists()
    return open_report(report.name, report.timetable.images, [*pages], has_playground=exists)


def _build_chapter(report: Report, chapter: Chapter) -> Page:
    return build_page(
        chapter.notebook,
        report.folder / chapter.copy,
        report.values(chapter),
        title=chapter.title,
        summary=chapter.summary,
    )


def _earlier_page(report: Report, chapter: Chapter) -> Page | None:
    """Return the page that an earlier report made of a chapter with the same parameters."""
    import nbformat

    notebook = report.folder / chapter.copy
    if not is_complete(notebook):
        return None
    stored = nbformat.read(notebook, as_version=4).metadata["papermill"].get("parameters")
    if stored != report.values(chapter):
        return None
    return make_page(notebook, title=chapter.title, summary=chapter.summary)


def _add_playground(report: Report, pages: Sequence[Page]) -> None:
    """Put the trained generators into a page to play with; the report can do without it."""
    path = report.folder / PLAYGROUND
    try:
        path.unlink(missing_ok=True)
        if report.trained:
            runs = [Run(name) for name in report.trained]
            epochs = min(6, *(len(run.kept_epochs()) for run in runs))
            path.with_suffix(".jpg").write_bytes(draw_cover(runs[0]))  # the index shows both
            write_playground(runs, path, epochs=max(1, epochs), pages=pages)
    except (WorkbookError, OSError) as error:
        logger.warning("There is no playground: %s", error)


# --- The benchmark ---


_BENCHMARK = {
    "title": "How fast it is",
    "summary": "This training compared with a textbook's, and with what the machine can do.",
}


def build_benchmark(parameters: dict[str, Any]) -> Page:
    """Execute ``benchmark.ipynb``; write its page and its tables into ``reports/benchmark/``.

    Parameters
    ----------
    parameters
        Of the notebook.

    Raises
    ------
    WorkbookError
        If a parameter is wrong, the folder cannot be made, or the extra ``lab`` is not installed.
    """
    require_lab()
    config = BenchmarkConfig.resolve(**parameters)
    image_files(locate(config.dataset).source, config.img_size)
    output = ensure_dir(report_dir("benchmark")) / "benchmark.ipynb"
    return build_page("benchmark", output, parameters, **_BENCHMARK)


# --- A study ---


def build_study(
    grid: Grid,
    table: pd.DataFrame,
    *,
    on_page: Callable[[Page], None] | None = None,
) -> tuple[Path, list[Page]]:
    """Write the page of every run of a grid, their comparison, and ``reports/<name>/``.

    Parameters
    ----------
    grid, table
        The grid, and what `run_grid` returned for it.
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
                pages.append(_build_comparison(grid, name, which, runs))
                if on_page is not None:
                    on_page(pages[-1])
        about = (
            f"{len(finished)} of {len(table)} trainings are finished: {len(grid.arms)} arms with "
            f"up to {len(grid.seeds)} seeds each. Runs with the same seed see the images in the "
            "same order."
        )
        links = [_link_to_run(folder, row) for row in table.itertuples()]
        links = [link for link in links if (folder / link.href).exists()]
        return write_site(folder, grid.name, pages, open_study(about, pages), links=links), pages


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


def _build_comparison(grid: Grid, output: str, which: tuple[str, str], runs: pd.DataFrame) -> Page:
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
    )


def _link_to_run(folder: Path, row: Any) -> Link:
    """Return the page of a run, relative to the study's folder."""
    title = f"{row.collection}, {row.architecture}, {row.noise}, seed {row.seed}"
    page = runs_dir() / row.run / ("train.ipynb" if row.failed else "train.html")
    return Link(title, Path(os.path.relpath(page, folder)).as_posix(), row.failed)
