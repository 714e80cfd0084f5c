"""The small command line: ``python -m dcgan_utils --help``."""

from __future__ import annotations

import argparse
import sys

from dcgan_utils.errors import WorkbookError
from dcgan_utils.report import Page, build_benchmark, build_report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dcgan_utils", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser(
        "report",
        help="explore, train once a noise distribution, compare, and write an HTML report",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    report.add_argument(
        "--dataset", default="plein_air", help="a known name, a folder of pictures, or a zip"
    )
    report.add_argument(
        "--noises", default="uniform,normal,gamma", help="noise distributions, by commas"
    )
    report.add_argument("--preset", default="quick", help="quick, monet, pokemon or best")
    report.add_argument(
        "--benchmark", action="store_true", help="measure the speed too: ten minutes more"
    )
    benchmark = commands.add_parser(
        "benchmark", help="measure the speed beside a textbook's training, and write a page"
    )
    report.set_defaults(after_a_stop="The same command goes on from the last saved epoch.")
    benchmark.set_defaults(after_a_stop="The same command begins anew.")
    for command, notebook in ((report, "train.ipynb"), (benchmark, "benchmark.ipynb")):
        command.add_argument(
            "-p",
            "--parameter",
            nargs=2,
            action="append",
            default=[],
            metavar=("NAME", "VALUE"),
            help=f"any other parameter of {notebook}, as for papermill; may be repeated",
        )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0, or 1 if a notebook failed, 2 if the input was wrong, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    run = _benchmark if options.command == "benchmark" else _report
    try:
        return run(options, _parameters(options))
    except WorkbookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nStopped. {options.after_a_stop}", file=sys.stderr)
        return 130


def _report(options: argparse.Namespace, parameters: dict[str, str]) -> int:
    own = {"dataset": "--dataset", "noise": "--noises", "preset": "--preset"}
    for name in parameters:
        if name in own:
            raise WorkbookError(f"'-p {name}' is given as {own[name]} here.")
    index, pages = build_report(
        options.dataset,
        options.noises,
        preset=options.preset,
        parameters=parameters,
        benchmark={} if options.benchmark else None,
        stream=sys.stdout,
        on_page=_tell,
    )
    print(f"\nThe report lies in {index}")
    return 1 if any(page.failed for page in pages) else 0


def _benchmark(options: argparse.Namespace, parameters: dict[str, str]) -> int:
    page = build_benchmark(parameters, stream=sys.stdout)
    _tell(page)
    print(f"\nThe page lies in {page.html}")
    return 1 if page.failed else 0


def _parameters(options: argparse.Namespace) -> dict[str, str]:
    names = [name for name, _ in options.parameter]
    for name in names:
        if names.count(name) > 1:
            raise WorkbookError(f"'-p {name}' is given twice.")
    return dict(options.parameter)


def _tell(page: Page) -> None:
    state = f"FAILED: {page.failed}" if page.failed else "done"
    print(f"{page.title}: {state} after {page.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
