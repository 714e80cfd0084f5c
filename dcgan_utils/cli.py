"""The command line: ``dcgan --help``, or ``python -m dcgan_utils --help``.

Each command checks what was typed before it imports torch, so that ``--help`` and mistyped options
and values are answered at once.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan_utils import __version__

if TYPE_CHECKING:
    from dcgan_utils.report.site import Page
    from dcgan_utils.runs.run import Run

INTERRUPTED = 130  # exit code after Ctrl-C, by the convention of shells
_RESUMES = "Run the same command again to resume."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dcgan",
        description="DCGANs on small image collections: what the noise does to the images.",
    )
    parser.add_argument("--version", action="version", version=f"dcgan {__version__}")
    parser.set_defaults(after_interrupt="")
    commands = parser.add_subparsers(dest="command", title="commands")
    _add_report(commands)
    _add_benchmark(commands)
    _add_study(commands)
    _add_playground(commands)
    _add_tensorboard(commands)
    doctor = commands.add_parser(
        "doctor", help="show what this installation has and can do, and its problems"
    )
    doctor.set_defaults(run=_doctor)
    _add_notebooks(commands)
    _add_lab(commands)
    return parser


def _add_report(commands: argparse._SubParsersAction) -> None:
    report = commands.add_parser(
        "report",
        help="explore the images, train once per noise distribution, compare, write HTML pages",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    report.add_argument(
        "--dataset", default="plein_air", help="a known name, a folder of images, or a zip"
    )
    report.add_argument(
        "--noises",
        default="uniform,normal,gamma",
        help="noise distributions, separated by commas",
    )
    report.add_argument("--preset", default="quick", help="quick, monet, pokemon or best")
    report.add_argument(
        "--benchmark", action="store_true", help="measure the speed too: ten more minutes"
    )
    chapters = "eda, augment, train, capacity, latent, compare, benchmark"
    report.add_argument(
        "--only", metavar="CHAPTERS", help=f"build these, separated by commas: {chapters}"
    )
    report.add_argument("--skip", metavar="CHAPTERS", help="build all others")
    _add_parameters(report, "train.ipynb")
    report.set_defaults(after_interrupt=_RESUMES, run=_report)


def _add_benchmark(commands: argparse._SubParsersAction) -> None:
    benchmark = commands.add_parser(
        "benchmark", help="compare the speed with a textbook's training, and write a page"
    )
    _add_parameters(benchmark, "benchmark.ipynb")
    benchmark.set_defaults(after_interrupt="The command will start over.", run=_benchmark)


def _add_study(commands: argparse._SubParsersAction) -> None:
    study = commands.add_parser(
        "study",
        help="train a grid of noises, seeds, architectures and collections, and compare the runs",
    )
    study.add_argument("grid", help="a YAML file; the README shows one")
    study.add_argument(
        "--scheduler", help="a Dask scheduler, tcp://host:8786; by default one is started here"
    )
    study.add_argument(
        "--workers",
        type=int,
        help="simultaneous trainings here; by default as many as the machine has room for",
    )
    study.set_defaults(after_interrupt=_RESUMES, run=_study)


def _add_playground(commands: argparse._SubParsersAction) -> None:
    playground = commands.add_parser(
        "playground", help="write a page in which trained generators draw, in any browser"
    )
    _add_runs(playground)
    playground.add_argument(
        "--output", help="the HTML file; by default reports/playground/<collection>.html"
    )
    playground.set_defaults(run=_playground)


def _add_tensorboard(commands: argparse._SubParsersAction) -> None:
    tensorboard = commands.add_parser(
        "tensorboard",
        help="write what TensorBoard shows of finished runs: curves, images, measures",
        epilog='example: dcgan tensorboard "monet-*"',
    )
    _add_runs(tensorboard)
    tensorboard.set_defaults(run=_tensorboard)


def _add_notebooks(commands: argparse._SubParsersAction) -> None:
    notebooks = commands.add_parser(
        "notebooks",
        help="copy the notebooks into a folder, to edit them",
        epilog="example: dcgan notebooks my-notebooks",
    )
    notebooks.add_argument("folder", metavar="DIR", help="what is there already stays as it is")
    notebooks.set_defaults(run=_notebooks)


def _add_lab(commands: argparse._SubParsersAction) -> None:
    lab = commands.add_parser(
        "lab",
        help="open JupyterLab with the notebooks",
        description="Open JupyterLab with the notebooks. Installed without a checkout, it copies "
        "them into ./notebooks first. Other options are JupyterLab's.",
        epilog="example: dcgan lab --no-browser --port 8890",
    )
    lab.set_defaults(run=_lab)


def _add_runs(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="names, folders or patterns of runs, a collection, or a grid file",
    )


def _add_parameters(command: argparse.ArgumentParser, notebook: str) -> None:
    command.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help=f"any other parameter of {notebook}, as for papermill; may be repeated",
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0; 1 if a notebook failed or the doctor found a problem, 2 if the input was wrong, 130
        after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal may lack letters of the names it shows
            stream.reconfigure(errors="replace")
    parser = _parser()
    options, others = parser.parse_known_args(arguments)
    if options.command == "lab":
        options.jupyter = others
    elif others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    if options.command is None:
        parser.print_help()
        return 2
    try:
        return _run(options)
    except KeyboardInterrupt:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it misses the kernel
        print(f"\nInterrupted. {options.after_interrupt}".rstrip(), file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    with _loading():
        from dcgan_utils.core.errors import WorkbookError

    try:
        return options.run(options)
    except WorkbookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """End at once on Ctrl-C while modules are imported: torch would abort with a stack trace."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# --- Commands ---


def _report(options: argparse.Namespace) -> int:
    with _loading():
        from dcgan_utils.core.errors import WorkbookError
        from dcgan_utils.report.configs import check_report, choose_chapters

    parameters = _parameters(options)
    own = {"dataset": "--dataset", "noise": "--noises", "preset": "--preset"}
    for name in parameters:
        if name in own:
            raise WorkbookError(f"write {own[name]} instead of '-p {name}'.")
    choose_chapters(options.only, options.skip, benchmark=options.benchmark)
    check_report(options.dataset, options.noises, options.preset, parameters)
    with _loading():
        from dcgan_utils import live
        from dcgan_utils.report.build import build_report, plan_report

    live.show_steps()
    report = plan_report(
        options.dataset,
        options.noises,
        preset=options.preset,
        parameters=parameters,
        benchmark={} if options.benchmark else None,
        only=options.only,
        skip=options.skip,
    )
    _say(report.about)
    with _loading():  # what a training imports
        _say(report.timetable.describe_whole())
    describe, number = report.timetable.describe, report.timetable.number
    with live.Status(describe) as status:
        index, pages = build_report(
            report,
            on_chapter=lambda chapter: status.update(describe(), at_once=True),
            on_page=lambda chapter, page: status.say(f"{number(chapter)} {_outcome(page)}"),
        )
    _say(f"\nThe report: {index}")
    return 1 if any(page.failed for page in pages) else 0


def _benchmark(options: argparse.Namespace) -> int:
    with _loading():
        from dcgan_utils.data.sources import locate
        from dcgan_utils.report.configs import BenchmarkConfig

    parameters = _parameters(options)
    locate(BenchmarkConfig.check(**parameters).dataset)
    with _loading():
        from dcgan_utils import live
        from dcgan_utils.report.build import build_benchmark

    with live.Status(_so_far("The benchmark, about ten minutes")):
        page = build_benchmark(parameters)
    _say(_outcome(page))
    _say(f"\nThe page: {page.html}")
    return 1 if page.failed else 0


def _study(options: argparse.Namespace) -> int:
    with _loading():
        from dcgan_utils.core.errors import WorkbookError
        from dcgan_utils.study.grid import check_grid, load_grid

    grid = load_grid(options.grid)
    if options.workers is not None and options.workers < 1:
        raise WorkbookError("--workers must be 1 or more.")
    if options.workers is not None and options.scheduler is not None:
        raise WorkbookError("--workers is for trainings here; a scheduler has its own workers.")
    check_grid(grid)
    with _loading():
        from dcgan_utils import live
        from dcgan_utils.report.build import build_study

    live.show_steps()
    table = live.train_grid(grid, scheduler=options.scheduler, workers=options.workers)
    with live.Status(_so_far("The pages")) as status:
        index, pages = build_study(grid, table, on_page=lambda page: status.say(_outcome(page)))
    finished = (table["failed"] == "").sum()
    _say(f"\n{finished} of {len(table)} runs are finished. The pages: {index}")
    return 1 if finished < len(table) or any(page.failed for page in pages) else 0


def _playground(options: argparse.Namespace) -> int:
    with _loading():
        from dcgan_utils.core.files import expand_path, report_dir, report_name

    runs, grids = _named_runs(options)
    with _loading():
        from dcgan_utils.report.playground import write_playground

    if options.output:
        path = expand_path(options.output)
    else:
        data = runs[0].about["data"]
        stem = Path(grids[0]).stem if grids else report_name(data["name"], Path(data["source"]))
        path = report_dir("playground") / f"{stem}.html"
    path = write_playground(runs, path)
    _say(f"The page: {path} ({path.stat().st_size / 1e6:.1f} MB, generators: {len(runs)})")
    return 0


def _tensorboard(options: argparse.Namespace) -> int:
    with _loading():
        from dcgan_utils.core.environment import has_tensorboard

    # Where TensorBoard is not installed, the import says so, whatever the runs are.
    runs, _ = _named_runs(options) if has_tensorboard() else ([], [])
    with _loading():
        from dcgan_utils.runs.tensorboard import GRIDS, export

    for run in runs:
        with run.locked():
            folder = export(run)
    place = Path(os.path.commonpath([run.folder.resolve().parent for run in runs]))
    written = folder if len(runs) == 1 else f"tensorboard/ in the folders of {len(runs)} runs"
    command = f"tensorboard --logdir {shlex.quote(str(place))} --samples_per_plugin images={GRIDS}"
    _say(f"Written: {written}. To look at it: {command}")
    return 0


def _named_runs(options: argparse.Namespace) -> tuple[list[Run], list[str]]:
    """Return the runs that the options name, and which of the names are grid files."""
    with _loading():
        from dcgan_utils.runs.run import find_runs
        from dcgan_utils.study.grid import check_grid, load_grid, tasks

    files = [name for name in options.runs if name.endswith((".yaml", ".yml"))]
    grids = [load_grid(file) for file in files]
    for grid in grids:
        check_grid(grid)
    names = [name for name in options.runs if name not in files]
    runs = find_runs(",".join(names)) if names else []
    if grids:
        with _loading():
            importlib.import_module("torch")  # which `tasks` takes
        names += [task.run for grid in grids for task in tasks(grid)]
        runs = find_runs(",".join(names))
    return runs, files


def _doctor(options: argparse.Namespace) -> int:
    with _loading():
        from dcgan_utils.report.doctor import examine

    findings = examine()
    for finding in findings:
        _say(f"{finding.topic:10} {finding.message}")
        if finding.advice:
            _say(f"{'':10} -> {finding.advice}")
    return 1 if any(finding.advice for finding in findings) else 0


def _notebooks(options: argparse.Namespace) -> int:
    from dcgan_utils.core.files import copy_notebooks, expand_path

    folder = expand_path(options.folder)
    copied, kept = copy_notebooks(folder)
    if copied:
        _say(f"Copied into '{folder}': {', '.join(copied)}.")
    if kept:
        _say(f"Already in '{folder}', and left as they are: {', '.join(kept)}.")
    return 0


def _lab(options: argparse.Namespace) -> int:
    from dcgan_utils.core.environment import needs_extra
    from dcgan_utils.core.files import copy_notebooks, home, is_installed, notebooks_dir

    with needs_extra("lab"):
        from jupyterlab.labapp import LabApp
    folder = notebooks_dir()
    if is_installed():
        folder = Path("notebooks")
        copy_notebooks(folder)
    os.environ["DCGAN_HOME"] = str(home())  # else a kernel would take the notebooks' folder for it
    LabApp.launch_instance([str(folder), *options.jupyter])
    return 0


def _parameters(options: argparse.Namespace) -> dict[str, str]:
    from dcgan_utils.core.errors import WorkbookError

    names = [name for name, _ in options.parameter]
    for name in names:
        if names.count(name) > 1:
            raise WorkbookError(f"'-p {name}' is given twice.")
    return dict(options.parameter)


def _say(line: str) -> None:
    print(line, flush=True)


def _outcome(page: Page) -> str:
    from dcgan_utils.core.progress import clock

    state = f"FAILED: {page.failed}" if page.failed else f"done after {clock(page.seconds)}"
    return f"{page.title}: {state}"


def _so_far(what: str) -> Callable[[], str]:
    """Return a function that describes how long something has taken."""
    from dcgan_utils.core.progress import clock

    began = time.perf_counter()
    return lambda: f"{what}: {clock(time.perf_counter() - began)} so far"
