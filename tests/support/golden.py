"""Texts that were looked at once and must stay as they were.

To change them on purpose: run the test with SERINUS_WRITE_GOLDEN=1, look at the difference in git, and commit it.
"""

import os
from pathlib import Path


def check_golden(path: Path, text: str) -> None:
    """Compare a text with the file; with the variable above write it instead, and fail, so that nobody forgets it."""
    if os.environ.get("SERINUS_WRITE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        raise AssertionError(f"{path} was written: look at it, and run again without SERINUS_WRITE_GOLDEN")
    assert text == path.read_text(encoding="utf-8"), f"{path}: see tests/support/golden.py"
