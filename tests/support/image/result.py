"""Where the tests of the image leave it, and the figures of it."""

import json
from pathlib import Path
from typing import Final

from localcluster.settings import CHECKOUT

FOLDER: Final = CHECKOUT / ".installed"
ROOT: Final = FOLDER / "image"
_FIGURES: Final = FOLDER / "image.json"
_ENVIRONMENT: Final = FOLDER / "image-environment.json"


SERINUS: Final = "localhost/serinus:0.1.0"
"""The name of the image in its archive."""

NEXT: Final = "localhost/serinus:0.1.1"
"""The name of the same image in another archive, for an upgrade."""


def archive(name: str) -> Path:
    """Return the archive of an image: ``serinus``, ``serinus-next``, their ``base``, or ``pause``."""
    FOLDER.mkdir(exist_ok=True)
    return FOLDER / f"{name}.tar"


def keep_environment(environment: dict[str, str]) -> None:
    """Keep the variables that the image sets."""
    FOLDER.mkdir(exist_ok=True)
    _ENVIRONMENT.write_text(json.dumps(environment), encoding="utf-8")


def environment() -> dict[str, str]:
    """Return the variables that the image sets."""
    found: dict[str, str] = json.loads(_ENVIRONMENT.read_text(encoding="utf-8"))
    return found


def note(**figures: float) -> None:
    """Add figures to the file that has all of them."""
    FOLDER.mkdir(exist_ok=True)
    known = json.loads(_FIGURES.read_text(encoding="utf-8")) if _FIGURES.exists() else {}
    _FIGURES.write_text(json.dumps(known | figures, indent=2) + "\n", encoding="utf-8")


def root() -> Path:
    """Return the image's root file system; AssertionError where the tests of the image have not run."""
    assert ROOT.exists(), f"{ROOT} does not exist: run `pytest tests/installed/image` first, outside of the cluster"
    return ROOT
