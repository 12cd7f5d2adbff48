"""Every command line of README and docs."""

from typing import Final

from support.fenced.blocks import blocks_of
from support.fenced.commands import ROOT
from support.fenced.runs import Line, Where, lines_of, where

PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINES: Final = [line for page in PAGES for line in lines_of(list(blocks_of(page, ROOT)))]


def lines_that_need(*kinds: Where) -> list[Line]:
    """Return the lines that need one of these, in the order of the pages."""
    return [line for line in LINES if where(line) in kinds]
