"""The command line: ``dcgan --help``, or ``python -m dcgan_utils --help``.

This file says what can be typed; `commands` does it. Each command checks what was typed before it
imports torch, so that ``--help`` and mistyped options and values are answered at once.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from typing import Any

from dcgan_utils import __version__, commands
from dcgan_utils.commands import loading

INTERRUPTED = commands.INTERRUPTED
_RESUMES = "Run the same command again to resume."


class _Parser(argparse.ArgumentParser):
    """Takes no abbreviated options, knows its own, and shows examples line by line."""

    def __init__(self, **settings: Any):
        self.options: list[str] = []
        settings |= {"allow_abbrev": False}
        super().__init__(**settings, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Add an argument as argparse does."""
        self.options += [name for name in names if name.startswith("--")]
        return super().add_argument(*names, **settings)


def _parser() -> tuple[_Parser, list[str]]:
    """Return the parser, and the names of its commands."""
    parser = _Parser(
        prog="dcgan",
        description="DCGANs on small image collections: what the noise does to the images.",
    )
    parser.add_argument("--version", action="version", version=f"dcgan {__version__}")
    parser.set_defaults(after_interrupt="", notebook="", own={})
    added = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    _add_train(added)
    _add_report(added)
    _add_study(added)
    _add_runs_table(added)
    _add_sample(added)
    _add_export(added)
    _add_page(added)
    _add_playground(added)
    _add_tensorboard(added)
    _add_benchmark(added)
    _add_clean(added)
    _add_notebooks(added)
    _add_lab(added)
    _add(
        added,
        "doctor",
        commands.doctor,
        "show what this installation has and can do, and its problems",
        [""],
    )
    return parser, [*added.choices]


def _add(
    added: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], int],
    purpose: str,
    examples: list[str],
    *,
    after_interrupt: str = "",
) -> _Parser:
    """Add a command; the examples are what is typed after its name."""
    lines = [f"  %(prog)s {example}".rstrip() for example in examples]
    command = added.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog="\n".join([f"example{'s' * (len(lines) > 1)}:", *lines]),
    )
    command.set_defaults(run=run, parser=command, after_interrupt=after_interrupt)
    return command


def _add_train(added: argparse._SubParsersAction) -> None:
    train = _add(
        added,
        "train",
        commands.train,
        "train a DCGAN, or resume the same training",
        ["plein_air", "~/images --noise gamma -p epochs 60", "images.zip --preset best -p seed 1"],
        after_interrupt=_RESUMES,
    )
    train.add_argument(
        "dataset", metavar="DATASET", help="a known name, a folder of images, or a zip"
    )
    train.add_argument(
        "--noise", help='noise distribution: uniform, normal, gamma, "N(0, 100)" ...'
    )
    train.add_argument(
        "--preset", default="quick", help="quick (the default), monet, pokemon or best"
    )
    _add_parameters(
        train, "train.ipynb", {"dataset": "DATASET", "noise": "--noise", "preset": "--preset"}
    )


def _add_report(added: argparse._SubParsersAction) -> None:
    report = _add(
        added,
        "report",
        commands.report,
        "explore the images, train once per noise distribution, compare, write HTML pages",
        ["", '--dataset ~/images --noises "normal,N(1, 1)" -p epochs 100', "--only eda,augment"],
        after_interrupt=_RESUMES,
    )
    report.add_argument(
        "--dataset",
        default="plein_air",
        help="a known name, a folder of images, or a zip; by default plein_air",
    )
    report.add_argument(
        "--noises",
        default="uniform,normal,gamma",
        help="noise distributions, separated by commas; by default uniform,normal,gamma",
    )
    report.add_argument(
        "--preset", default="quick", help="quick (the default), monet, pokemon or best"
    )
    report.add_argument(
        "--benchmark", action="store_true", help="measure the speed too: ten more minutes"
    )
    chapters = "eda, augment, train, compare, latent, details, capacity, benchmark"
    report.add_argument(
        "--only", metavar="CHAPTERS", help=f"build these, separated by commas: {chapters}"
    )
    report.add_argument("--skip", metavar="CHAPTERS", help="build all others")
    report.add_argument(
        "--also",
        metavar="CHAPTERS",
        help="on request: details (a page per training), capacity (can a generator copy an image?)",
    )
    _add_parameters(
        report, "train.ipynb", {"dataset": "--dataset", "noise": "--noises", "preset": "--preset"}
    )


def _add_study(added: argparse._SubParsersAction) -> None:
    study = _add(
        added,
        "study",
        commands.study,
        "train a grid of noises, seeds, architectures and collections, and compare the runs",
        ["grid.yaml", "grid.yaml --workers 2", "grid.yaml --scheduler tcp://10.0.0.1:8786"],
        after_interrupt=_RESUMES,
    )
    study.add_argument("grid", help="a YAML file; docs/study.md shows one")
    study.add_argument(
        "--scheduler", help="a Dask scheduler, tcp://host:8786; by default one is started here"
    )
    study.add_argument(
        "--workers",
        type=int,
        help="simultaneous trainings here; by default as many as the machine has room for",
    )


def _add_runs_table(added: argparse._SubParsersAction) -> None:
    runs = _add(
        added,
        "runs",
        commands.runs,
        "list all runs: their noise, seed, epochs, share between images, KID and state",
        ["", '"monet-*"'],
    )
    runs.add_argument(
        "pattern", nargs="?", metavar="PATTERN", help="only these: names, or a collection"
    )


def _add_sample(added: argparse._SubParsersAction) -> None:
    sample = _add(
        added,
        "sample",
        commands.sample,
        "generate new images from a run: one PNG each, or a grid",
        ["monet-gamma-s0-1a2b3c4d -n 1000 --to samples", '"monet-gamma-*" -n 64 --to grid.png'],
    )
    _add_run(sample)
    sample.add_argument("-n", type=_count, default=16, help="number of images; by default 16")
    sample.add_argument(
        "--to",
        required=True,
        metavar="PLACE",
        help="a folder, or the file of a grid if it ends in .png",
    )
    sample.add_argument(
        "--seed",
        type=int,
        default=0,
        help="the same seed gives the same images, however many; by default 0",
    )
    _add_epoch(sample)


def _add_export(added: argparse._SubParsersAction) -> None:
    export = _add(
        added,
        "export",
        commands.export,
        "write the generator of a run for other programs, as ONNX or safetensors",
        ["monet-gamma-s0-1a2b3c4d --to monet.onnx", '"monet-gamma-*" --to monet.safetensors'],
    )
    _add_run(export)
    export.add_argument("--to", required=True, metavar="FILE", help="FILE.onnx or FILE.safetensors")
    _add_epoch(export)


def _add_page(added: argparse._SubParsersAction) -> None:
    page = _add(
        added,
        "page",
        commands.page,
        "make one HTML page of an executed notebook; it opens without a network",
        ["out.ipynb", "out.ipynb --to training.html"],
    )
    page.add_argument("executed", metavar="NOTEBOOK", help="an executed notebook")
    page.add_argument("--to", metavar="FILE.html", help="by default it lies beside the notebook")


def _add_playground(added: argparse._SubParsersAction) -> None:
    playground = _add(
        added,
        "playground",
        commands.playground,
        "write a page in which trained generators draw, in any browser",
        ['"plein_air-*"', '"plein_air-*" --epochs 6'],
    )
    _add_runs(playground)
    playground.add_argument(
        "--output", help="the HTML file; by default reports/playground/<collection>.html"
    )
    playground.add_argument(
        "--epochs", type=int, default=1, metavar="N", help="N epochs of each run, with a slider"
    )


def _add_tensorboard(added: argparse._SubParsersAction) -> None:
    tensorboard = _add(
        added,
        "tensorboard",
        commands.tensorboard,
        "write what TensorBoard shows of finished runs: curves, images, measures",
        ['"monet-*"'],
    )
    _add_runs(tensorboard)


def _add_benchmark(added: argparse._SubParsersAction) -> None:
    benchmark = _add(
        added,
        "benchmark",
        commands.benchmark,
        "compare the speed with a textbook's training, and write a page",
        ["", "-p dataset ~/images -p repeats 3"],
        after_interrupt="The command will start over.",
    )
    _add_parameters(benchmark, "benchmark.ipynb", {})


def _add_clean(added: argparse._SubParsersAction) -> None:
    clean = _add(
        added,
        "clean",
        commands.clean,
        "show how much space can be freed, or free it",
        ["", "cache", "unfinished checkpoints --yes", '"monet-*-s3-*"'],
    )
    clean.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help="cache, unfinished (runs), checkpoints (of finished runs), or names of runs",
    )
    clean.add_argument("--yes", action="store_true", help="do not ask")


def _add_notebooks(added: argparse._SubParsersAction) -> None:
    notebooks = _add(
        added,
        "notebooks",
        commands.notebooks,
        "copy the notebooks into a folder, to edit them",
        ["my-notebooks"],
    )
    notebooks.add_argument("folder", metavar="DIR", help="what is there already stays as it is")


def _add_lab(added: argparse._SubParsersAction) -> None:
    lab = _add(
        added,
        "lab",
        commands.lab,
        "open JupyterLab with the notebooks",
        ["", "--no-browser --port 8890"],
    )
    lab.description += (
        ": copies of them in work/\n"
        "(without a checkout in notebooks/), which can be edited and saved at will. Its root\n"
        "is the folder of data/ and reports/. Other options are JupyterLab's."
    )


def _add_run(command: _Parser) -> None:
    command.add_argument(
        "name", metavar="RUN", help="a run's name or folder, or a pattern that fits one run"
    )


def _add_runs(command: _Parser) -> None:
    command.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="names, folders or patterns of runs, a collection, or a grid file",
    )


def _add_epoch(command: _Parser) -> None:
    command.add_argument(
        "--epoch", type=_count, help="one whose weights were kept; by default the last"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer, 1 or more, not '{text}'")
    return int(text)


def _add_parameters(command: _Parser, notebook: str, own: dict[str, str]) -> None:
    """Add ``-p``; some parameters have an option of their own."""
    command.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help=f"any other parameter of {notebook}, as for papermill; may be repeated",
    )
    command.set_defaults(notebook=notebook, own=own)


# --- Running ---


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
    parser, names = _parser()
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        parser.print_help()
        return 2
    if arguments[0] not in (*names, "-h", *parser.options):
        return _refuse(_unknown_command(arguments[0], names))
    options, others = parser.parse_known_args(arguments)
    if options.command == "lab":
        options.jupyter = others
    elif others:
        return _refuse(_unknown_option(options, others, arguments))
    try:
        return _run(options)
    except KeyboardInterrupt as stop:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it misses the kernel
        message = str(stop) or f"interrupted. {options.after_interrupt}".rstrip()
        print(f"\n{message[0].upper()}{message[1:]}", file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    with loading():
        from dcgan_utils.core.errors import WorkbookError

    try:
        return options.run(options)
    except WorkbookError as error:
        return _refuse(str(error))


def _refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def _unknown_command(word: str, names: list[str]) -> str:
    with loading():
        from dcgan_utils.core.errors import did_you_mean

    near = did_you_mean(word, names)
    return f"'{word}' is not a command.{near} Available: {', '.join(names)}."


def _unknown_option(options: argparse.Namespace, others: list[str], arguments: list[str]) -> str:
    """Say what to write instead of the first option, or word, that a command does not take."""
    with loading():
        from dcgan_utils.core.errors import did_you_mean

    word = next((other for other in others if other.startswith("-")), others[0])
    if not word.startswith("-"):
        return f"'{word}' is one word too many. Put names that contain spaces in quotes."
    option, _, value = word.partition("=")
    value = value or "".join(arguments[arguments.index(word) + 1 :][:1]) or "VALUE"
    parameters = commands.parameter_names(options)
    if (name := option.strip("-")) in parameters:
        return f"write '-p {name} {value}' instead of '{option}'."
    near = did_you_mean(option, [*options.parser.options, *(f"-p {name}" for name in parameters)])
    return f"'{option}' is not an option of '{options.command}'.{near} Its --help lists them."
