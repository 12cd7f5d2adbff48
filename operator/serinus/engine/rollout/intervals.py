"""How often figures in the status are refreshed. It loads nothing, so that the command line can know it too."""

from datetime import timedelta
from typing import Final

REFRESH: Final = timedelta(minutes=1)
"""How often the figures of a running stage's evidence are refreshed while the verdicts stay the same."""
