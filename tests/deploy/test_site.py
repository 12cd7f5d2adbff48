"""The site of the documentation: no warning, every page in its navigation, nothing loaded from elsewhere."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

_ROOT: Final = Path(__file__).resolve().parents[2]
_LOADED: Final = re.compile(
    r"<(?:script|img|iframe|source)[^>]*\ssrc=\"https?://|<link[^>]*\srel=\"(?:stylesheet|preload)[^>]*href=\"https?://"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(_ROOT / "docs", folder / "docs")
    shutil.copy(_ROOT / "zensical.toml", folder)
    program = Path(sys.executable).with_name("zensical")
    done = subprocess.run(
        [str(program), "build", "--strict"], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / ".site"


def test_every_page_is_in_the_navigation_once() -> None:
    nav = tomllib.loads((_ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    pages = sorted(str(path.relative_to(_ROOT / "docs")) for path in (_ROOT / "docs").rglob("*.md"))
    assert sorted(_pages(nav)) == pages


def _pages(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        if isinstance(entry, str):
            yield entry
            continue
        for below in entry.values():
            yield from _pages(below if isinstance(below, list) else [below])


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("index.html"))
    assert len(pages) > 30
    assert not [str(page) for page in pages if _LOADED.search(page.read_text(encoding="utf-8"))]
