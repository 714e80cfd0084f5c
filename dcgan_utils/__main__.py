"""Run the command line: ``dcgan``, or ``python -m dcgan_utils``."""

import sys


def run() -> int:
    """Run one command; `cli.main` is imported here, so that Ctrl-C is caught meanwhile."""
    try:
        from dcgan_utils.cli import main

        code = main()
    except KeyboardInterrupt:
        code = 130
    # If Ctrl-C met code within an `exec`, as modules have it, Python would end by the signal
    # although it was caught. Another `exec` makes it forget that.
    exec("")
    return code


if __name__ == "__main__":
    sys.exit(run())
