"""The fenced commands of README and docs that need a cluster are run in one, as a reader would paste them.

Those that look are run beside a Rollout that was rolled back, in the order of the pages; each that changes a Rollout
has one of its own.
"""

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from demo.behaviour import Behaviour
from localcluster.client import Cluster
from serinus.api.rollout_status import StageState
from support.e2e.fixtures import BAD, GOOD, STABLE, place_in
from support.e2e.manifests import canary, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import SOON, Place
from support.e2e.policies import policies_applied
from support.e2e.servers import ModelServer
from support.fenced.folders import page_folder
from support.fenced.pages import lines_that_need
from support.fenced.reader import Reader
from support.fenced.runs import AFTER, Line, Where, comes_last, where
from support.kubectl import Kubectl
from support.servers.locked_bucket import CREDENTIALS, a_bucket, cloud_server

FAILING: Final = Behaviour(failing_share=0.15)
LOOKING: Final = sorted(lines_that_need(Where.ROLLED_BACK), key=comes_last)
CHANGING: Final = lines_that_need(Where.UNDER_WAY, Where.AT_GATE)
PLANS: Final[Mapping[Where, Sequence[dict[str, Any]]]] = {
    Where.UNDER_WAY: (staging(), canary("10m"), production()),
    Where.AT_GATE: (staging(), canary("10m", approval="Required"), production()),
}
_TUTORIAL: Final = "docs/tutorial.md"
_OLD, _NEXT, _BAD = "2.2.4", "2.3.0", "2.3.1"


@pytest.fixture(scope="module", autouse=True)
def policies(cluster: Cluster) -> Iterator[None]:
    """The pages take the chart to be installed."""
    with policies_applied(Kubectl(program=cluster.kubectl, kubeconfig=cluster.kubeconfig)):
        yield


@pytest.fixture
def locked_buckets() -> Iterator[dict[str, str]]:
    """Run S3 with the buckets of the pages, and yield the variables that lead the commands to it."""
    with cloud_server() as endpoint:
        for name in ("audit-checkpoints", "audit-lock"):
            a_bucket(endpoint, name)
        yield CREDENTIALS | {"AWS_ENDPOINT_URL_S3": endpoint}


@pytest.fixture
def served(servers: dict[str, ModelServer]) -> dict[str, ModelServer]:
    """The processes that answer for the versions of the pages."""
    return {_OLD: servers[STABLE], _NEXT: servers[GOOD], _BAD: servers[BAD]}


async def test_every_command_that_looks_at_a_rolled_back_rollout_works(
    operator: OperatorControl,
    place: Place,
    served: dict[str, ModelServer],
    locked_buckets: dict[str, str],
    tmp_path: Path,
) -> None:
    place = replace(place, servers=served, environment=place.environment | locked_buckets)
    await place.stand((staging(), canary("1m"), production()), _OLD, _NEXT, _BAD)
    await served[_BAD].behave(FAILING)
    async with place.traffic():
        await place.want(_BAD)
        await place.until_ended(_BAD)
    await place.until_event("RollbackCompleted")

    reader = Reader.of(place, tmp_path / "reader")
    # What the demo leaves: the same program wrote it.
    demo = page_folder(reader.folder, _TUTORIAL) / ".demo"
    demo.mkdir()
    shutil.copy(place.folder / "requests.csv", demo)
    try:
        # All of them, so that one run says what else is wrong.
        assert [problem for line in LOOKING if (problem := reader.problem(line))] == []
    finally:
        for text in AFTER:
            reader.does(text)


async def test_every_command_that_changes_a_rollout_works(
    operator: OperatorControl, place: Place, served: dict[str, ModelServer], tmp_path: Path
) -> None:
    problems = await asyncio.gather(*(_changed(line, replace(place, servers=served), tmp_path) for line in CHANGING))
    assert [problem for problem in problems if problem] == []


async def _changed(line: Line, place: Place, folder: Path) -> str:
    async with _of_its_own(place, folder) as own:
        await own.stand(PLANS[where(line)], _OLD, _NEXT, _BAD)
        await own.want(_BAD)
        gated = where(line) is Where.AT_GATE
        name, state = ("staging", StageState.AWAITING_APPROVAL) if gated else ("canary", StageState.ANALYZING)
        await own.until_stage(name, state)
        problem = await asyncio.to_thread(Reader.of(own, own.folder / "reader").problem, line)
        if gated and not problem:
            await own.until(lambda seen: bool(seen.status.approvals), within=SOON, what=f"the approval by {line.text}")
        return problem


@asynccontextmanager
async def _of_its_own(place: Place, folder: Path) -> AsyncIterator[Place]:
    name = f"pages-{uuid.uuid4().hex[:6]}"
    (folder / name).mkdir()
    async with place_in(place.cluster, place.api, name, place.servers, folder / name) as own:
        yield own
