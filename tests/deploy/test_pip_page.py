"""The command line is installed from the checkout into a home of its own, as the README says."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from support.fenced.commands import ROOT
from support.fenced.folders import problem_of, run
from support.fenced.pages import lines_that_need
from support.fenced.runs import Where

LINES: Final = lines_that_need(Where.INDEX)
_SECONDS: Final = 570


def test_what_pip_installs_from_the_checkout_runs(tmp_path: Path) -> None:
    (line,) = LINES
    # How this machine reaches its index is in the environment; to compile all modules takes longer than to fetch them.
    environment = os.environ | {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PIP_NO_COMPILE": "1",
    }
    assert not line.files, "they would be written into the checkout"

    done = run(line, line.text, ROOT, environment, seconds=_SECONDS)

    assert problem_of(line, line.text, done, {0}) == ""
    for program in ("serinus", "kubectl-serinus"):
        words = [str(tmp_path / ".serinus/bin" / program), "version"]
        said = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert (said.returncode, said.stdout.startswith("0.")) == (0, True), said.stderr
