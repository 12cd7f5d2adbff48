"""docs/explanation/controls.md: every test that the page names exists, and every row names one."""

import re
from pathlib import Path
from typing import Final

import pytest

PAGE: Final = Path("docs/explanation/controls.md")
CLUSTER: Final = Path("tests/deploy/cluster")
_NAMED: Final = re.compile(r"`((?:tests/[\w/]+/)?\w+\.py)(?:::(\w+))?`")


def named() -> list[tuple[str, str]]:
    """Return the file and the function of each test on the page."""
    return _NAMED.findall(PAGE.read_text())


def rows() -> list[str]:
    """Return the rows of the tables whose last column says where something is tried."""
    found, inside = [], False
    for line in PAGE.read_text().splitlines():
        inside = line.startswith("|") and (inside or line.endswith("| Tried in |"))
        if inside and not line.startswith(("| Who tries to", "|---")):
            found.append(line)
    return found


def file_of(name: str) -> Path:
    return Path(name) if "/" in name else CLUSTER / name


@pytest.mark.parametrize(("name", "function"), named())
def test_a_test_that_the_page_names_exists(name: str, function: str) -> None:
    content = file_of(name).read_text()
    assert re.search(rf"^ *(async )?def {function or 'test_'}", content, re.MULTILINE)


def test_every_row_names_a_test() -> None:
    found = rows()
    assert len(found) > 25
    assert [row for row in found if not re.search(r"\.py::test_\w+`", row.rpartition("|")[0].rpartition("|")[2])] == []


def test_the_matrix_is_that_of_the_test() -> None:
    """Each act of the test is a row, with ✗ where the test expects a refusal and ``may`` where it does not."""
    source = (CLUSTER / "test_people_and_controls.py").read_text()
    acts = re.findall(r'^    "([^"]+)": Act\(', source, re.MULTILINE)
    matrix = PAGE.read_text().partition("## Everybody tries everything")[2].partition("\n## ")[0]
    lines = [line for line in matrix.splitlines() if re.match(r"\| [a-z]", line)]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == acts
    cells = [cell.strip() for line in lines for cell in line.split("|")[2:7]]
    assert [cell for cell in cells if cell != "✗" and not cell.startswith("may")] == []
