"""The fenced commands that are whole suites are those that CI runs, word for word."""

import re
from pathlib import Path
from typing import Final

import pytest

from support.fenced.blocks import Block, commands_of
from support.fenced.commands import ROOT
from support.fenced.pages import lines_that_need
from support.fenced.runs import Line, Where

OF_CI: Final = lines_that_need(Where.CI)


def _run_by(script: Path) -> list[list[str]]:
    """Return the commands of a script that nothing decides about: those at the beginning of a line."""
    (*_, commands) = script.read_text(encoding="utf-8").rpartition("\nfi\n")
    assert not re.search(r"^(if|exit|case|for)\b", commands, re.MULTILINE)
    return [list(command.words) for command in commands_of(Block(script.name, 1, "sh", commands))]


@pytest.mark.parametrize("line", OF_CI, ids=lambda line: line.place)
def test_a_suite_that_a_page_names_is_run_by_ci(line: Line) -> None:
    (command,) = commands_of(Block(line.page, 1, "sh", line.text))
    assert command.words in _run_by(ROOT / ".ci" / "run")
