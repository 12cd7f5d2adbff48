"""Where the tests of the image leave it, and the figures of it."""

import json
from pathlib import Path
from typing import Final

from localcluster.settings import CHECKOUT

FOLDER: Final = CHECKOUT / ".installed"
ROOT: Final = FOLDER / "image"
_FIGURES: Final = FOLDER / "image.json"


def note(**figures: float) -> None:
    """Add figures to the file that has all of them."""
    FOLDER.mkdir(exist_ok=True)
    known = json.loads(_FIGURES.read_text(encoding="utf-8")) if _FIGURES.exists() else {}
    _FIGURES.write_text(json.dumps(known | figures, indent=2) + "\n", encoding="utf-8")


def root() -> Path:
    """Return the image's root file system; AssertionError where the tests of the image have not run."""
    assert ROOT.exists(), f"{ROOT} does not exist: run `pytest tests/installed/image` first, outside of the cluster"
    return ROOT
