"""Runs the command line: ``python -m serinus`` is equivalent to ``serinus``."""

import sys

from serinus.cli import main

sys.exit(main())
