"""The fenced commands of README and docs that look at a cluster are run in one, in the order of the pages."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from demo.behaviour import Behaviour
from support.e2e.fixtures import BAD, STABLE
from support.e2e.manifests import MODEL, canary, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import Place
from support.fenced.blocks import blocks_of
from support.fenced.commands import ROOT
from support.fenced.runs import Line, Where, expected, lines_of, where

PLAN: Final = (staging(), canary("1m"), production())
FAILING: Final = Behaviour(failing_share=0.15)
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINES: Final = [
    line for page in PAGES for line in lines_of(list(blocks_of(page, ROOT))) if where(line) is Where.ROLLED_BACK
]
_NAMESPACE: Final = re.compile(r"(?<=-n )(ml|fraud|payments|NAMESPACE)\b|(?<=namespace )(ml|fraud)\b")


async def test_every_command_that_looks_at_a_rolled_back_rollout_works(
    operator: OperatorControl, place: Place, tmp_path: Path
) -> None:
    await place.stand(PLAN, STABLE, BAD)
    await place.servers[BAD].behave(FAILING)
    async with place.traffic():
        await place.want(BAD)
        await place.until_ended(BAD)
    await place.until_event("RollbackCompleted")

    environment = _in_namespace(place, tmp_path)
    # All of them, so that one run says what else is wrong.
    assert [problem for line in LINES if (problem := _problem(line, place, environment, tmp_path))] == []


def _in_namespace(place: Place, folder: Path) -> dict[str, str]:
    """Return an environment as a reader has it: the programs on PATH, the namespace in the kubeconfig."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_bytes(Path(place.environment["KUBECONFIG"]).read_bytes())
    path = f"{Path(sys.executable).parent}:{place.cluster.kubectl.parent}:{os.environ['PATH']}"
    environment = {**place.environment, "KUBECONFIG": str(kubeconfig), "PATH": path}
    words = ["kubectl", "config", "set-context", "--current", f"--namespace={place.namespace}"]
    subprocess.run(words, env=environment, check=True, capture_output=True, timeout=60)
    return environment


def _problem(line: Line, place: Place, environment: dict[str, str], folder: Path) -> str:
    text = _NAMESPACE.sub(place.namespace, line.text)
    text = re.sub(r"\b(NAME|ROUTE)\b", MODEL, text)
    done = subprocess.run(
        ["bash", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode in expected(line) and "Traceback" not in done.stderr:
        return ""
    return f"{line.place}: {text}: status {done.returncode}: {done.stderr.strip()[-500:]}"
