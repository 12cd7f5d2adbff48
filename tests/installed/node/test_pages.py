"""What README and docs have typed about the operator's pods, as they have it."""

from pathlib import Path

import pytest

from localcluster.client import Cluster
from support.fenced.folders import page_folder, run
from support.fenced.pages import lines_that_need
from support.fenced.runs import Line, Where
from support.realnode.installation import Installation


@pytest.mark.parametrize("line", lines_that_need(Where.NODE), ids=lambda line: line.place)
def test_a_command_about_the_pods_does_what_the_page_says(
    line: Line, cluster: Cluster, serinus: Installation, tmp_path: Path
) -> None:
    name = serinus.release.name
    # The pages' release is "serinus", in the namespace "serinus-system".
    command = line.text.replace("serinus-system", name).replace("deployment/serinus", f"deployment/{name}")
    command = command.replace("helm test serinus", f"helm test {name}").replace("NAME", "fraud-detector")
    programs = f"{cluster.kubectl.parent}:{serinus.release.helm.program.parent}:/usr/bin:/bin"
    environment = {"PATH": programs, "KUBECONFIG": str(cluster.kubeconfig), "HOME": "/nonexistent"}
    done = run(line, command, page_folder(tmp_path, line.page), environment, seconds=180)
    # A healthy operator has logged nothing of what grep looks for.
    found_nothing = "| grep" in command and done.returncode == 1 and not done.stderr
    # Nor has it an earlier container.
    no_earlier = "--previous" in command and "previous terminated container" in done.stderr
    assert done.returncode == 0 or found_nothing or no_earlier, done.stdout + done.stderr
