"""docs/security.md: every test that the page names exists, every threat names one, and every attacker is there."""

import re
from pathlib import Path
from typing import Final

import pytest

PAGE: Final = Path("docs/security.md")
_NAMED: Final = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
ATTACKERS: Final = (
    *("A tenant", "An approver", "The GitOps account", "A stolen operator token", "Malicious or broken metrics"),
    *("A receiver of notifications", "A malicious registry table", "Another cluster", "What it is made of"),
)


def threats() -> dict[str, list[str]]:
    """Return the rows of the table of threats of each section."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        section.partition("\n")[0]: re.findall(r"^\| (?!Threat \||---)(.+) \|$", table[1], re.MULTILINE)
        for section in sections
        if (table := re.search(r"^(\| Threat \|(?:.*\n)+?)(?:\n|\Z)", section, re.MULTILINE))
    }


@pytest.mark.parametrize(("file", "function"), _NAMED.findall(PAGE.read_text(encoding="utf-8")))
def test_a_test_that_the_page_names_exists(file: str, function: str) -> None:
    content = Path(file).read_text(encoding="utf-8")
    wanted = rf"{function}\b" if function else "test_"
    assert re.search(rf"^ *(async )?def {wanted}", content, re.MULTILINE)


def test_every_attacker_has_threats() -> None:
    assert tuple(threats()) == ATTACKERS


def test_every_threat_names_a_test_in_its_last_column() -> None:
    rows = [row for found in threats().values() for row in found]
    assert len(rows) > 40
    assert [row for row in rows if not _NAMED.search(row.rpartition(" | ")[2])] == []
