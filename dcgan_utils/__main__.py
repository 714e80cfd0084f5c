"""Run the command line: ``python -m dcgan_utils``."""

import sys

from dcgan_utils.cli import main

sys.exit(main())
