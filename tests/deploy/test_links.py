"""Every link within the repository leads somewhere: a file, a folder, a heading."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = sorted(
    [*ROOT.glob("*.md"), *(page for folder in ("docs", "deploy", "examples") for page in (ROOT / folder).rglob("*.md"))]
)
LINK: Final = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
CODE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    dead = []
    for match in LINK.finditer(CODE.sub("", page.read_text(encoding="utf-8"))):
        file, _, anchor = match["target"].partition("#")
        if file.startswith(("http:", "https:")):
            continue
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            dead.append(match["target"])
    return dead


def test_every_link_within_the_repository_leads_somewhere() -> None:
    assert len(PAGES) > 20
    assert {str(page.relative_to(ROOT)): dead for page in PAGES if (dead := dead_links(page))} == {}


def test_a_dead_link_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# The end\n[a](page.md#the-end) [b](#the-beginning) [c](gone.md) [d](https://example.org)\n")

    assert dead_links(page) == ["#the-beginning", "gone.md"]
