"""What the commands of the command line do; `cli` says how they are written.

Each takes what was typed and returns the exit code. It checks that before it imports torch.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from dcgan_utils.report.site import Page
    from dcgan_utils.runs.run import Run
    from dcgan_utils.runs.storage import Leftover

INTERRUPTED = 130  # exit code after Ctrl-C, by the convention of shells


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """End at once on Ctrl-C while modules are imported: torch would abort with a stack trace."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def train(options: argparse.Namespace) -> int:
    """Train one run, as ``train.ipynb`` does, without Jupyter."""
    with loading():
        from dcgan_utils.data.sources import locate
        from dcgan_utils.gan.config import TrainConfig
        from dcgan_utils.runs.transfer import locate_source

    given = _parameters(options) | {"preset": options.preset, "noise": options.noise}
    locate_source(TrainConfig.check(dataset=options.dataset, **given).start_from)
    locate(options.dataset)
    with loading():
        from dcgan_utils import notebook
        from dcgan_utils.runs.table import describe

        importlib.import_module("dcgan_utils.runs.training")
    run = notebook.train(options.dataset, **given)
    share = describe(run)["share"]
    _say(f"The run: {run.folder} (share between images {share:.2f}; real ones have 1)")
    _say(f"Next: dcgan sample {shlex.quote(run.name)} -n 64 --to samples.png")
    return 0


def report(options: argparse.Namespace) -> int:
    """Build a report."""
    with loading():
        from dcgan_utils.report.configs import check_report, choose_chapters

    parameters = _parameters(options)
    also = ",".join(filter(None, [options.also, "benchmark" if options.benchmark else ""])) or None
    choose_chapters(options.only, options.skip, also)
    check_report(options.dataset, options.noises, options.preset, parameters)
    with loading():
        from dcgan_utils import live
        from dcgan_utils.report.build import build_report, plan_report

    live.show_steps()
    plan = plan_report(
        options.dataset,
        options.noises,
        preset=options.preset,
        parameters=parameters,
        only=options.only,
        skip=options.skip,
        also=also,
    )
    _say(plan.about)
    with loading():  # what a training imports
        _say(plan.timetable.describe_whole())
    describe, number = plan.timetable.describe, plan.timetable.number
    with live.Status(describe) as status:
        index, pages = build_report(
            plan,
            on_chapter=lambda chapter: status.update(describe(), at_once=True),
            on_page=lambda chapter, page: status.say(f"{number(chapter)} {_outcome(page)}"),
        )
    _say(f"\nThe report: {index}")
    return 1 if any(page.failed for page in pages) else 0


def benchmark(options: argparse.Namespace) -> int:
    """Measure the speed."""
    with loading():
        from dcgan_utils.data.sources import locate
        from dcgan_utils.report.configs import BenchmarkConfig

    parameters = _parameters(options)
    locate(BenchmarkConfig.check(**parameters).dataset)
    with loading():
        from dcgan_utils import live
        from dcgan_utils.report.build import build_benchmark

    with live.Status(_so_far("The benchmark, about ten minutes")):
        page = build_benchmark(parameters)
    _say(_outcome(page))
    _say(f"\nThe page: {page.html}")
    return 1 if page.failed else 0


def study(options: argparse.Namespace) -> int:
    """Train a grid."""
    with loading():
        from dcgan_utils.core.errors import WorkbookError
        from dcgan_utils.study.grid import check_grid, load_grid

    grid = load_grid(options.grid)
    if options.workers is not None and options.workers < 1:
        raise WorkbookError("--workers must be 1 or more.")
    if options.workers is not None and options.scheduler is not None:
        raise WorkbookError("--workers is for trainings here; a scheduler has its own workers.")
    check_grid(grid)
    with loading():
        from dcgan_utils import live
        from dcgan_utils.report.build import build_study

    live.show_steps()
    table = live.train_grid(grid, scheduler=options.scheduler, workers=options.workers)
    with live.Status(_so_far("The pages")) as status:
        index, pages = build_study(grid, table, on_page=lambda page: status.say(_outcome(page)))
    finished = (table["failed"] == "").sum()
    _say(f"\n{finished} of {len(table)} runs are finished. The pages: {index}")
    return 1 if finished < len(table) or any(page.failed for page in pages) else 0


def runs(options: argparse.Namespace) -> int:
    """List the runs."""
    with loading():
        from dcgan_utils.core.files import runs_dir
        from dcgan_utils.runs.table import runs_table

    table = runs_table(options.pattern)
    if table.empty:
        _say(f"There are no runs yet in '{runs_dir()}'. 'dcgan train plein_air' makes one.")
        return 0
    epochs = table["epochs"].astype(str) + "/" + table["of"].astype(str)
    when = table["when"].dt.strftime("%Y-%m-%d %H:%M")
    shown = table.assign(epochs=epochs.where(table["of"].notna()), when=when).drop(columns="of")
    shown = shown.rename(columns={"kid": "KID"}).astype(object).where(shown.notna().to_numpy(), "")
    _say(shown.to_string(index=False, float_format="{:.3f}".format))
    return 0


def sample(options: argparse.Namespace) -> int:
    """Write new images of a run."""
    run = _named_run(options)
    with loading():
        from dcgan_utils import live
        from dcgan_utils.runs.export import write_images

        importlib.import_module("torch")
    live.show_steps()
    place = write_images(run, options.n, options.to, seed=options.seed, epoch=options.epoch)
    _say(f"Written: {options.n} images of seed {options.seed} in {place}")
    return 0


def export(options: argparse.Namespace) -> int:
    """Write the generator of a run."""
    run = _named_run(options)
    with loading():
        from dcgan_utils.core.files import expand_path
        from dcgan_utils.runs.export import check_export, export_generator

        check_export(options.to)
        importlib.import_module("torch")
    difference = export_generator(run, options.to, epoch=options.epoch)
    path = expand_path(options.to)
    checked = "" if difference is None else f"; onnxruntime draws the same to {difference:.1g}"
    _say(f"Written: {path} ({path.stat().st_size / 1e6:.1f} MB{checked})")
    return 0


def _named_run(options: argparse.Namespace) -> Run:
    """Return the run that the options name, once it is certain that it has the epoch."""
    with loading():
        from dcgan_utils.runs.run import find_run

    run = find_run(options.name)
    if options.epoch is not None:
        run.require_weights(options.epoch)
    return run


def page(options: argparse.Namespace) -> int:
    """Make a page of an executed notebook."""
    with loading():
        from dcgan_utils.report.site import page_of

    written = page_of(options.executed, options.to).html
    _say(f"The page: {written} ({written.stat().st_size / 1e6:.1f} MB)")
    return 0


def clean(options: argparse.Namespace) -> int:
    """Show what can be removed, or remove what is named."""
    with loading():
        from dcgan_utils.core.errors import WorkbookError
        from dcgan_utils.runs.storage import KINDS, choose_leftovers, list_leftovers, remove

    chosen = choose_leftovers(options.what) if options.what else list_leftovers()
    if options.what and not options.yes and not sys.stdin.isatty():
        raise WorkbookError("nothing was removed, since nobody can be asked here: give --yes.")
    if not chosen:
        _say("There is nothing to remove.")
        return 0
    for kind, purpose in {**KINDS, "run": "named"}.items():
        _say_leftovers(f"{kind} ({purpose})", [one for one in chosen if one.kind == kind])
    if not options.what:
        _say(f"To remove: dcgan clean {', or '.join(KINDS)}, or names of runs.")
        return 0
    if not (options.yes or _agreed("Remove all this? [y/N] ")):
        _say("Nothing was removed.")
        return 0
    for leftover in chosen:
        remove(leftover)
    _say("Removed.")
    return 0


def _agreed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        return False


def _say_leftovers(title: str, leftovers: list[Leftover]) -> None:
    if leftovers:
        _say(f"{title}: {sum(leftover.size for leftover in leftovers) / 1e6:.1f} MB")
    for leftover in leftovers:
        _say(f"{leftover.size / 1e6:10.1f} MB  {leftover.name}")


def playground(options: argparse.Namespace) -> int:
    """Write a page in which generators draw."""
    with loading():
        from dcgan_utils.core.files import expand_path, report_dir, report_name

    runs, grids = _named_runs(options)
    with loading():
        from dcgan_utils.report.playground import write_playground

    if options.output:
        path = expand_path(options.output)
    else:
        data = runs[0].about["data"]
        stem = Path(grids[0]).stem if grids else report_name(data["name"], Path(data["source"]))
        path = report_dir("playground") / f"{stem}.html"
    path = write_playground(runs, path, epochs=options.epochs)
    _say(f"The page: {path} ({path.stat().st_size / 1e6:.1f} MB, generators: {len(runs)})")
    return 0


def tensorboard(options: argparse.Namespace) -> int:
    """Export runs for TensorBoard."""
    with loading():
        from dcgan_utils.core.environment import has_tensorboard

    # Where TensorBoard is not installed, the import says so, whatever the runs are.
    runs, _ = _named_runs(options) if has_tensorboard() else ([], [])
    with loading():
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
    with loading():
        from dcgan_utils.runs.run import find_runs
        from dcgan_utils.study.grid import check_grid, load_grid, tasks

    files = [name for name in options.runs if name.endswith((".yaml", ".yml"))]
    grids = [load_grid(file) for file in files]
    for grid in grids:
        check_grid(grid)
    names = [name for name in options.runs if name not in files]
    runs = find_runs(",".join(names)) if names else []
    if grids:
        with loading():
            importlib.import_module("torch")  # which `tasks` takes
        names += [task.run for grid in grids for task in tasks(grid)]
        runs = find_runs(",".join(names))
    return runs, files


def notebooks(options: argparse.Namespace) -> int:
    """Copy the notebooks into a folder."""
    from dcgan_utils.core.files import copy_notebooks, expand_path

    folder = expand_path(options.folder)
    copied, kept = copy_notebooks(folder)
    if copied:
        _say(f"Copied into '{folder}': {', '.join(copied)}.")
    if kept:
        _say(f"Already in '{folder}', and left as they are: {', '.join(kept)}.")
    return 0


def lab(options: argparse.Namespace) -> int:
    """Open JupyterLab at ``start.ipynb``, on copies of the notebooks that can be edited.

    Its root is the home folder, so that reports can be opened from it too.
    """
    from dcgan_utils.core.environment import needs_extra
    from dcgan_utils.core.files import copy_notebooks, home, is_installed, outdated_copies

    with needs_extra("lab"):
        from jupyterlab.labapp import LabApp
    folder = "notebooks" if is_installed() else "work"  # a checkout's own would show up in git
    copy_notebooks(home() / folder)
    if old := outdated_copies(home() / folder):
        _say(
            f"Older than this version's, in '{home() / folder}': {', '.join(old)}. Delete or "
            "rename a copy to get the new one."
        )
    os.environ["DCGAN_HOME"] = str(home())  # else a kernel would take the notebooks' folder for it
    start = f"/lab/tree/{folder}/start.ipynb"
    own = [f"--ServerApp.root_dir={home()}", f"--LabApp.default_url={start}"]
    LabApp.launch_instance([*own, *options.jupyter])
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Say what this installation has and can do."""
    with loading():
        from dcgan_utils.report.doctor import examine

    findings = examine()
    for finding in findings:
        _say(f"{finding.topic:10} {finding.message}")
        if finding.advice:
            _say(f"{'':10} -> {finding.advice}")
    return 1 if any(finding.advice for finding in findings) else 0


def parameter_names(options: argparse.Namespace) -> list[str]:
    """Return the parameters that a command takes by ``-p``."""
    if options.notebook == "train.ipynb":
        from dcgan_utils.gan.config import TrainConfig as Config
    elif options.notebook == "benchmark.ipynb":
        from dcgan_utils.report.configs import BenchmarkConfig as Config
    else:
        return []
    return [name for name in Config.model_fields if name not in options.own]


def _parameters(options: argparse.Namespace) -> dict[str, str]:
    from dcgan_utils.core.errors import WorkbookError

    names = [name for name, _ in options.parameter]
    for name in names:
        if name in options.own:
            raise WorkbookError(f"write {options.own[name]} instead of '-p {name}'.")
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
