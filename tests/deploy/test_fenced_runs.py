"""Fenced commands that need nothing but the files of their page are run; those that no test runs have a reason.

What needs more is run by the tests that ask for its kind of lines, most of it by tests/e2e/test_pages.py.
"""

import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from support.fenced.blocks import Block, commands_of
from support.fenced.commands import ROOT
from support.fenced.folders import page_folder, run
from support.fenced.held import HELD
from support.fenced.pages import LINES, lines_that_need
from support.fenced.runs import BEFORE, EXPECTED, PAGE_TESTS, STANDS_FOR, Line, Where, before, expected, where
from support.helm import find_helm

ANYWHERE: Final = lines_that_need(Where.ANYWHERE)
_GROUPS: Final = {"serinus", "registry", "dynamodb", "audit", "kubectl", "helm", "argocd", "python", "make"}
"""Words before the verb."""

_ASKED: Final = re.compile(r"lines_that_need\(([^)]*)\)")

HELD_LINES: Final = lines_that_need(Where.HELD)


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
    assert numbers[Where.HELD] < len(LINES) / 8


def test_each_kind_has_a_test_that_takes_its_lines_from_the_pages() -> None:
    calls = (call for file in (ROOT / "tests").rglob("test_*.py") for call in _ASKED.findall(file.read_text("utf-8")))
    asked = {kind for call in calls for kind in re.findall(r"Where\.([A-Z_]+)", call)}
    # PAGE_TESTS has the tests of whole pages.
    assert asked == {kind.name for kind in Where} - {Where.WITH_ITS_PAGE.name}
    assert [test for test in PAGE_TESTS.values() if not (ROOT / test).is_file()] == []


@pytest.mark.parametrize("table", [HELD, BEFORE, EXPECTED, STANDS_FOR])
def test_each_pattern_is_on_a_page(table: dict[str, object]) -> None:
    assert [pattern for pattern in table if not any(re.search(pattern, line.text) for line in LINES)] == []


@pytest.mark.parametrize("line", HELD_LINES, ids=lambda line: line.place)
def test_a_command_that_is_held_is_run_by_the_tests_that_the_reason_names(line: Line) -> None:
    held = next(held for pattern, held in HELD.items() if re.search(pattern, line.text))
    text = "".join(map(_text, held.tests))
    verb = held.written or _verb(line)
    assert not held.tests or re.search(rf"(?<!\w){re.escape(verb)}(?!\w)", text), f"{verb} is not in {held.tests}"


@cache
def _text(name: str) -> str:
    path = ROOT / name
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    assert files, f"{name} is not there"
    return "".join(file.read_text(encoding="utf-8") for file in files)


def _verb(line: Line) -> str:
    """Return what a line's first program is asked to do, such as ``create-tables``; else the program."""
    words = next(iter(commands_of(Block(line.page, 1, "sh", line.text)))).words
    plain = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]
    return next((word for word in plain if word not in _GROUPS), plain[0])
