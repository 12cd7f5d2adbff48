"""What an earlier demo has left in a cluster that stays."""

import os
from pathlib import Path

from demo.cluster import Kubectl
from demo.local.stage import clear

_PROGRAM = """#!/bin/sh
echo "$@" >> {asked}
"""


async def test_the_servers_of_an_earlier_demo_go_with_its_objects(tmp_path: Path) -> None:
    """They count their requests, and have turned slow or bad after some: no version would be good at first."""
    asked, program = tmp_path / "asked", tmp_path / "kubectl"
    program.write_text(_PROGRAM.format(asked=asked))
    program.chmod(0o755)

    await clear(Kubectl(program, os.environ), tmp_path)

    removed = [line for line in asked.read_text().splitlines() if line.startswith("delete ")]
    for kind in ("rollouts.serinus.dev", "modelversions.serinus.dev", "deployments"):
        assert any(kind in line and " --all " in line for line in removed), kind
    # The next ones must not be mixed with pods that are still going.
    assert any("deployments" in line and "--cascade=foreground" in line for line in removed)
