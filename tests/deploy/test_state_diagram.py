"""The page of states is what the transition tables say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_diagram_is_generated_from_the_tables() -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "tools/generate_state_diagram.py"], capture_output=True, check=True, text=True
    ).stdout

    committed = (ROOT / "docs/reference/state-diagram.md").read_text(encoding="utf-8")

    assert committed == made, "run: make crds"
