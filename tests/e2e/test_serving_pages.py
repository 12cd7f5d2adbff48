"""The fenced commands that serve until Ctrl-C are started, asked, and interrupted as at a terminal."""

import os
import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from localcluster.client import Cluster
from support.fenced.folders import at_a_terminal, page_folder
from support.fenced.pages import lines_that_need
from support.fenced.runs import Line, Where
from support.localcluster import eventually, fetch
from support.servers.ready import free_port

SERVING: Final = lines_that_need(Where.SERVES)
_END_SECONDS: Final = 60
_DYNAMODB: Final = "localcluster.programs.dynamodb"


@dataclass(frozen=True, slots=True)
class Served:
    """What a command serves: where, what it answers with which word in it, and its status after Ctrl-C."""

    address: str
    answers: int
    word: str
    ends: int


_SERVED: Final[Mapping[str, Served]] = {
    # docs/reference/command-line.md has the status.
    r"^serinus web *#": Served("http://127.0.0.1:8321/", 200, "Rollouts", 130),
    r"^serinus web -n payments --port 9000": Served("http://127.0.0.1:9000/", 200, "Rollouts", 130),
    # A request without a signature.
    r"programs\.dynamodb": Served("http://127.0.0.1:{port}", 400, "MissingAuthenticationToken", 0),
}
"""By a pattern of command lines."""


@pytest.mark.parametrize("line", SERVING, ids=lambda line: line.place)
def test_a_command_that_serves_answers_until_ctrl_c(cluster: Cluster, line: Line, tmp_path: Path) -> None:
    # The cluster has a program on the port that DynamoDB Local takes by default.
    port = free_port()
    text = line.text.replace(_DYNAMODB, f"{_DYNAMODB} --port {port}")
    served = next(one for pattern, one in _SERVED.items() if re.search(pattern, line.text))
    address = served.address.format(port=port)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(cluster.kubeconfig),
    }
    log = tmp_path / "log"
    with at_a_terminal(text, page_folder(tmp_path, line.page), environment, log) as process:
        eventually(lambda: address in log.read_text() or process.poll() is not None, why=f"{address} in its output")
        assert process.poll() is None, log.read_text()
        answered, page = fetch(address)
        assert answered == served.answers
        assert served.word in page
        # A terminal sends it to all processes of the foreground.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(_END_SECONDS) == served.ends, log.read_text()
    assert fetch(address) == (0, "")
