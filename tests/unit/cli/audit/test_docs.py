"""The documentation of the audit trail: every command on it parses, every finding is explained."""

import re
import shlex
from pathlib import Path

import pytest

from serinus.engine.audit.chain import ChainFault
from serinus.settings import load_settings
from support.command_lines import usage_error

PAGES = Path("docs/how-to")


def commands(page: Path) -> list[str]:
    return [line.removeprefix("$ ") for line in page.read_text().splitlines() if line.startswith("$ serinus ")]


@pytest.mark.parametrize("name", ["audit.md", "retention.md"])
def test_every_command_on_the_page_parses(name: str) -> None:
    found = commands(PAGES / name)
    assert len(found) > 3
    for line in found:
        assert usage_error(shlex.split(line, comments=True)[1:]) == "", line


def test_every_finding_is_explained_on_the_page() -> None:
    page = (PAGES / "audit.md").read_text()
    assert not [fault.value for fault in ChainFault if not re.search(rf"\b{fault.value}\b", page)]


def test_the_configuration_on_the_page_is_valid(tmp_path: Path) -> None:
    lines = (PAGES / "audit.md").read_text().splitlines()
    begin = next(number for number, line in enumerate(lines) if line.strip() == "audit:")
    block = lines[begin : begin + 1 + next(n for n, line in enumerate(lines[begin:]) if line.strip() == "```") - 1]
    config = tmp_path / "config.yaml"
    config.write_text("\n".join(line.removeprefix("   ") for line in block))
    checkpoints = load_settings(config, {}).audit.checkpoints
    assert checkpoints is not None
    assert checkpoints.retention_days == 2555
