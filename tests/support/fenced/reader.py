"""A reader of the pages at a terminal, with a cluster."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from support.e2e.manifests import MODEL
from support.e2e.place import SOON, Place
from support.fenced.folders import page_folder, problem_of, run
from support.fenced.runs import STANDS_FOR, Line, before, expected, may_take_a_moment
from support.localcluster import eventually


@dataclass(frozen=True, slots=True)
class Reader:
    """Who pastes the commands of the pages.

    Attributes:
        place: the namespace that they are about.
        environment: the programs on PATH, and a kubeconfig whose current namespace it is.
        folder: where the folders of the pages are.
    """

    place: Place
    environment: Mapping[str, str]
    folder: Path

    @classmethod
    def of(cls, place: Place, folder: Path) -> Self:
        """Return a reader with the programs and a kubeconfig in a folder."""
        folder.mkdir()
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_bytes(Path(place.environment["KUBECONFIG"]).read_bytes())
        path = f"{Path(sys.executable).parent}:{place.cluster.kubectl.parent}:{os.environ['PATH']}"
        environment = {**place.environment, "KUBECONFIG": str(kubeconfig), "PATH": path}
        words = ["kubectl", "config", "set-context", "--current", f"--namespace={place.namespace}"]
        subprocess.run(words, env=environment, check=True, capture_output=True, timeout=60)
        return cls(place, environment, folder)

    def problem(self, line: Line) -> str:
        """Run a line after what its page takes to have been done; return what went wrong, empty where nothing did."""
        return self._wrong(line, before(line) or "true", frozenset({0})) or self._line_wrong(line)

    def does(self, text: str) -> None:
        """Run a command of the test's own; what comes of it does not matter."""
        self._pasted(Line("", "after", text), text)

    def _line_wrong(self, line: Line) -> str:
        statuses = expected(line)
        if may_take_a_moment(line):
            eventually(lambda: not self._wrong(line, line.text, statuses), within=SOON, why=line.place)
            return ""
        return self._wrong(line, line.text, statuses)

    def _wrong(self, line: Line, text: str, statuses: frozenset[int]) -> str:
        return problem_of(line, text, self._pasted(line, text), statuses)

    def _pasted(self, line: Line, text: str) -> subprocess.CompletedProcess[str]:
        folder = page_folder(self.folder, line.page)
        return run(line, self._replaced(text), folder, self.environment)

    def _replaced(self, text: str) -> str:
        meant = {
            "namespace": self.place.namespace,
            "model": MODEL,
            "prometheus": self.place.cluster.prometheus_url,
            "server": next(iter(self.place.servers.values())).address,
        }
        for pattern, written in STANDS_FOR.items():
            text = re.sub(pattern, written.format_map(meant), text)
        return text
