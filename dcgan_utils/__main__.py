"""Run the command line: ``python -m dcgan_utils``."""

import sys


def run() -> int:
    """Run one command; see `cli.main`, which is imported here so that Ctrl-C is caught meanwhile."""
    try:
        from dcgan_utils.cli import main

        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(run())
