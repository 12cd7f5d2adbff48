"""``python -m serinus`` is ``serinus``."""

import sys

from serinus.cli import main

sys.exit(main())
