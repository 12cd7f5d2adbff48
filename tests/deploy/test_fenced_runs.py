"""Fenced commands that need nothing but the checkout are run; those that no test runs are held with a reason.

What needs a cluster is run by tests/e2e/test_pages.py.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from support.fenced.blocks import blocks_of
from support.fenced.commands import ROOT
from support.fenced.runs import HELD, Line, Where, expected, lines_of, where

PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINES: Final = [line for page in PAGES for line in lines_of(list(blocks_of(page, ROOT)))]
ANYWHERE: Final = [line for line in LINES if where(line) is Where.ANYWHERE]


@pytest.mark.parametrize("line", ANYWHERE, ids=lambda line: line.place)
def test_a_command_that_needs_no_cluster_does_what_the_page_says(line: Line, tmp_path: Path) -> None:
    programs = Path(sys.executable).parent
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", line.text], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode in expected(line), done.stderr
    assert "Traceback" not in done.stderr


def test_commands_of_each_kind_are_on_the_pages() -> None:
    numbers = {kind: sum(where(line) is kind for line in LINES) for kind in Where}
    assert numbers[Where.ANYWHERE] > 3
    assert numbers[Where.ROLLED_BACK] > 40


def test_each_reason_to_hold_a_command_has_one() -> None:
    assert [pattern for pattern in HELD if not any(re.search(pattern, line.text) for line in LINES)] == []


def test_the_tests_that_the_reasons_name_are_there() -> None:
    named = {path for reason in HELD.values() for path in re.findall(r"tests/[\w./-]*\w", reason)}
    assert len(named) > 10
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
