"""Fenced commands that need nothing but the files of their page are run, and each other kind of them has a test.

What needs more is run by the tests that ask for its kind of lines, most of it by tests/e2e/test_pages.py.
"""

import os
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from support.fenced.commands import ROOT
from support.fenced.folders import page_folder, run
from support.fenced.pages import LINES, lines_that_need
from support.fenced.runs import BEFORE, EXPECTED, PAGE_TESTS, STANDS_FOR, Line, Where, before, expected, where
from support.helm import find_helm

ANYWHERE: Final = lines_that_need(Where.ANYWHERE)
_ASKED: Final = re.compile(r"lines_that_need\(([^)]*)\)")


@pytest.mark.parametrize("line", ANYWHERE, ids=lambda line: line.place)
def test_a_command_that_needs_no_cluster_does_what_the_page_says(line: Line, tmp_path: Path) -> None:
    folder = page_folder(tmp_path, line.page)
    (folder / ".venv").symlink_to(sys.prefix)
    programs = f"{Path(sys.executable).parent}:{find_helm().program.parent}"
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    first = run(line, before(line) or "true", folder, environment)
    assert first.returncode == 0, first.stderr

    done = run(line, line.text, folder, environment)

    assert done.returncode in expected(line), done.stderr
    assert "Traceback" not in done.stderr


def test_commands_of_each_kind_are_on_the_pages() -> None:
    numbers = {kind: sum(where(line) is kind for line in LINES) for kind in Where}
    assert min(numbers.values()) > 0
    assert numbers[Where.ROLLED_BACK] > 90


def test_each_kind_has_a_test_that_takes_its_lines_from_the_pages() -> None:
    calls = (call for file in (ROOT / "tests").rglob("test_*.py") for call in _ASKED.findall(file.read_text("utf-8")))
    asked = {kind for call in calls for kind in re.findall(r"Where\.([A-Z_]+)", call)}
    # PAGE_TESTS has the tests of whole pages.
    assert asked == {kind.name for kind in Where} - {Where.WITH_ITS_PAGE.name}
    assert [test for test in PAGE_TESTS.values() if not (ROOT / test).is_file()] == []


@pytest.mark.parametrize("table", [BEFORE, EXPECTED, STANDS_FOR])
def test_each_pattern_is_on_a_page(table: dict[str, object]) -> None:
    assert [pattern for pattern in table if not any(re.search(pattern, line.text) for line in LINES)] == []
