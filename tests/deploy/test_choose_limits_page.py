"""The outputs of docs/how-to/choose-limits.md are what the program prints."""

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from serinus.cli import main

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs/how-to/choose-limits.md").read_text(encoding="utf-8")
EXAMPLES: Final = re.findall(r"^```console\n\$ serinus (?P<words>.+)\n(?P<output>(?:.*\n)*?)```$", PAGE, re.MULTILINE)
RECORDING: Final = re.findall(r"^```json\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)


def test_the_page_has_examples_and_a_recording() -> None:
    assert len(EXAMPLES) == 4
    assert len(RECORDING) == 1


@pytest.mark.parametrize(("words", "output"), EXAMPLES, ids=[f"example {number}" for number in range(1, 5)])
def test_an_example_prints_what_the_page_shows(
    words: str, output: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recording.jsonl").write_text(RECORDING[0], encoding="utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)

    assert main(shlex.split(words)) == 0

    assert capsys.readouterr().out == output
