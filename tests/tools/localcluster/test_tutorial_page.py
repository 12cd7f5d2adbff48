"""The tutorial's cluster that stays: its fenced commands are run in their order, and the demo is interrupted."""

import os
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localcluster import control
from localcluster.settings import CHECKOUT, STATE_VARIABLE
from support.fenced.folders import at_a_terminal, problem_of, run
from support.fenced.pages import lines_that_need
from support.fenced.runs import Line, Where
from support.localcluster import eventually

LINES: Final = lines_that_need(Where.CLUSTER_OF_ITS_OWN)
_INTERRUPTED: Final = frozenset({130, -signal.SIGINT})
_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal in the checkout, in which the virtual environment is active."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": "deploy/local",
            # The default is in the checkout, where a developer's own cluster may run.
            STATE_VARIABLE: str(self.folder / "state"),
        }

    def said(self, line: Line) -> str:
        """Run a line that works, and return what it printed."""
        done = run(line, line.text, CHECKOUT, self.environment)
        assert problem_of(line, line.text, done, {0}) == ""
        return done.stdout

    def interrupted(self, line: Line, after: str, ends: str) -> None:
        """Run a line, send Ctrl-C once it has printed something, and wait for its last words."""
        log = self.folder / "log"
        text = f"{line.text} --folder {self.folder / 'demo'}"
        with at_a_terminal(text, CHECKOUT, self.environment, log) as process:
            eventually(lambda: after in log.read_text() or process.poll() is not None, why=f"{line.place}: {after}")
            assert process.poll() is None, log.read_text()
            os.killpg(process.pid, signal.SIGINT)
            # What enters the namespaces ends by the signal itself: to a shell that is 130 as well.
            assert process.wait(_SECONDS) in _INTERRUPTED
            eventually(lambda: ends in log.read_text(), why=f"{line.place}: {ends}")


def _matching(pattern: str, lines: Sequence[Line] = LINES) -> list[Line]:
    return [line for line in lines if re.search(pattern, line.text)]


def test_a_cluster_that_stays_is_used_as_the_tutorial_says(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    (up,), (demo,), (down,) = _matching(r"localcluster up"), _matching(r"demo run$"), _matching(r"localcluster down")
    inside = [line for line in _matching(r"localcluster exec") if line is not demo]
    assert [up, demo, *inside, down] == LINES
    try:
        terminal.said(up)
        terminal.interrupted(demo, "Healthy", "interrupted: all programs of the demo are stopped")
        # Nobody types at the shell, which then ends at once.
        looked, _ = [terminal.said(line) for line in inside]
        assert "modelversion.serinus.dev/fraud-detector-v2.2.4" in looked
    finally:
        terminal.said(down)
    assert not control.running(tmp_path / "state")
