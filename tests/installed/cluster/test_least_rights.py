"""Without any one of its rights the operator, run with the chart's account and settings, fails at something named.

That it has no others is shown in ``tests/deploy/cluster/test_no_other_rights.py``.
"""

import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final, assert_never

import pytest

from demo.observe import serves, wait_for
from localcluster.api import Api
from localcluster.client import Cluster
from serinus.api.names import FINALIZER, Command
from serinus.api.parsing import decode
from serinus.api.stage_tests import IntegrationTest
from serinus.engine.rollout.tested_content import content_of
from serinus.kube.jobs.names import name_of_job
from support.e2e.fixtures import GOOD, STABLE, place_in
from support.e2e.manifests import MODEL, canary, healthy, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import LONG, Place
from support.e2e.servers import ModelServer
from support.installed_operator import installed_operator
from support.kubectl import Kubectl
from support.operator_rights import API_SERVER_SLICE, BY_DEFAULT
from support.release import Release, Right, installed
from support.rights import RBAC, taken_away

_SERINUS: Final = "serinus.dev"
_GATEWAY: Final = "gateway.networking.k8s.io"


class Sign(Enum):
    """What does not happen while a right is missing, and happens as soon as it is there."""

    PROMOTED = auto()
    EVENT = auto()
    SERIES = auto()
    STAGE_OF_VERSION = auto()
    HEAD_OF_MODEL = auto()
    FINALIZER = auto()
    REASON_OF_POD = auto()
    JOB_IN_THE_WAY = auto()


_READING: Final = ("list", "watch")
NEEDED: Final[Mapping[Right, Sign]] = {
    **{Right(verb, kind, _SERINUS): Sign.PROMOTED for verb in _READING for kind in ("rollouts", "modelversions")},
    **{Right(verb, "httproutes", _GATEWAY): Sign.PROMOTED for verb in _READING},
    **{Right(verb, "endpointslices", "discovery.k8s.io"): Sign.PROMOTED for verb in _READING},
    **{Right(verb, "namespaces"): Sign.PROMOTED for verb in _READING},
    **{Right(verb, "models", _SERINUS): Sign.PROMOTED for verb in _READING},
    **{Right(verb, "jobs", "batch"): Sign.PROMOTED for verb in (*_READING, "create")},
    Right("patch", "rollouts", _SERINUS, "status"): Sign.PROMOTED,
    Right("patch", "httproutes", _GATEWAY): Sign.PROMOTED,
    Right("create", "models", _SERINUS): Sign.HEAD_OF_MODEL,
    Right("patch", "models", _SERINUS, "status"): Sign.HEAD_OF_MODEL,
    Right("create", "auditrecords", _SERINUS): Sign.HEAD_OF_MODEL,
    Right("patch", "modelversions", _SERINUS, "status"): Sign.STAGE_OF_VERSION,
    **{Right("get", kind, _SERINUS): Sign.HEAD_OF_MODEL for kind in ("models", "modelversions")},
    Right("list", "auditrecords", _SERINUS): Sign.HEAD_OF_MODEL,
    **{Right(verb, "rollouts", _SERINUS): Sign.FINALIZER for verb in ("get", "patch")},
    Right("get", "services"): Sign.PROMOTED,
    API_SERVER_SLICE: Sign.PROMOTED,
    Right("get", "jobs", "batch"): Sign.JOB_IN_THE_WAY,
    Right("list", "pods"): Sign.REASON_OF_POD,
    Right("create", "events", "events.k8s.io"): Sign.EVENT,
    Right("patch", "events", "events.k8s.io"): Sign.SERIES,
}
"""What the operator needs, and what fails without it."""

TRIED_ELSEWHERE: Final = frozenset({Right("get", "auditrecords", _SERINUS), Right("get", "httproutes", _GATEWAY)})
"""What it needs when somebody else has written in between: ``test_least_rights_of_options.py``."""

_NO_IMAGE: Final = "example.org/check:1"


def _job(image: str) -> dict[str, Any]:
    container = {"name": "check", "image": image, "command": ["true"]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {"name": "contract", "job": {"timeout": "10m", "template": {"spec": {"template": {"spec": pod}}}}}


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    admin = Kubectl(program=cluster.kubectl, kubeconfig=cluster.kubeconfig)
    source = f"--set=config.sources.default.url={cluster.prometheus_url}"
    with installed(admin, source, "--set=config.sources.default.scrapeInterval=1s") as release:
        yield release


@dataclass(frozen=True, slots=True)
class Stage:
    """An operator with the chart's account and settings, and a namespace with a new version that waits for it."""

    release: Release
    place: Place
    operator: OperatorControl

    async def provoke(self, sign: Sign) -> None:
        """Give a reason for what does not come by itself: an event that says the same again."""
        if sign is Sign.SERIES:
            await self.place.annotate(Command.RESUME, uuid.uuid4().hex)

    async def refused(self, right: Right, account: str) -> bool:
        """Return whether the operator tells of the API server's refusal of this right, in its log or of a test."""
        kind = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
        said = f'User "{account}" cannot {right.verb} resource "{kind}"'
        return said in self.operator.log() or any(said in test.message for test in (await self.place.status()).tests)

    async def shows(self, sign: Sign) -> bool:
        """Return whether the sign is there."""
        match sign:
            case Sign.PROMOTED:
                return serves(GOOD)(await self.place.view.rollout(self.place.key))
            case Sign.EVENT:
                return bool(await self.place.events())
            case Sign.SERIES:
                return any(event.get("series", {}).get("count", 1) > 1 for event in await self.place.all("Event"))
            case Sign.STAGE_OF_VERSION:
                versions = await self.place.all("ModelVersion")
                return all(version.get("status", {}).get("stage") for version in versions)
            case Sign.HEAD_OF_MODEL:
                models = await self.place.all("Model")
                return any(model.get("status", {}).get("production", {}).get("version") == GOOD for model in models)
            case Sign.FINALIZER:
                return FINALIZER in (await self.place.get("Rollout"))["metadata"].get("finalizers", [])
            case Sign.REASON_OF_POD:
                return "ErrImagePull" in (await self.place.status()).next_action
            case Sign.JOB_IN_THE_WAY:
                return any("is in the way" in test.message for test in (await self.place.status()).tests)
            case _:
                assert_never(sign)


@asynccontextmanager
async def _stage(
    cluster: Cluster, release: Release, servers: dict[str, ModelServer], folder: Path, sign: Sign
) -> AsyncIterator[Stage]:
    test = _job(_NO_IMAGE if sign is Sign.REASON_OF_POD else "localhost/process")
    # The finalizer is there while the candidate has traffic.
    duration = "10m" if sign is Sign.FINALIZER else "2s"
    plan = (staging(healthy(), test), canary(duration), production("2s"))
    async with Api(cluster.kubeconfig) as api:
        namespace = f"rights-{folder.name[-24:].strip('-_').replace('_', '-')}"
        async with place_in(cluster, api, namespace, servers, folder) as place:
            await place.stand(plan, STABLE, GOOD, adopted=False)
            await place.want(GOOD)
            async with place.traffic():
                if sign is Sign.JOB_IN_THE_WAY:
                    await _occupy_names_of_jobs(place, test)
                operator = installed_operator(cluster, release, folder / "operator")
                try:
                    await operator.start(ready=False)
                    yield Stage(release, place, operator)
                finally:
                    await operator.stop()


async def _occupy_names_of_jobs(place: Place, test: dict[str, Any]) -> None:
    """Make Jobs of the names that the operator would give those of the first runs."""
    uid = (await place.get("Rollout"))["metadata"]["uid"]
    spec = _job(_NO_IMAGE)["job"]["template"]["spec"]
    content = content_of(decode(IntegrationTest, test, "test"))
    for run in (1, 2):
        name = name_of_job(MODEL, uid, run, "staging", "contract", content)
        metadata = {"name": name, "namespace": place.namespace}
        await place.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})


@pytest.fixture
async def api(cluster: Cluster) -> AsyncIterator[Api]:
    async with Api(cluster.kubeconfig) as api:
        yield api


@pytest.mark.parametrize("right", NEEDED, ids=str)
async def test_without_a_right_something_fails_until_it_is_given(  # noqa: PLR0913, PLR0917 - fixtures
    cluster: Cluster, servers: dict[str, ModelServer], release: Release, api: Api, tmp_path: Path, right: Right
) -> None:
    sign = NEEDED[right]

    async def refused() -> bool:
        await stage.provoke(sign)
        return await stage.refused(right, release.account)

    async def shown() -> bool:
        await stage.provoke(sign)
        return await stage.shows(sign)

    async with AsyncExitStack() as stack:
        without = await stack.enter_async_context(AsyncExitStack())
        role = f"{RBAC}/clusterroles/{release.name}"
        await without.enter_async_context(taken_away(api, role, release.account, right, "default"))
        stage = await stack.enter_async_context(_stage(cluster, release, servers, tmp_path, sign))
        await wait_for(refused, bool, within=LONG, what=f"the refusal of {right}")
        assert not await stage.shows(sign)
        await without.aclose()
        await wait_for(shown, bool, within=LONG, what=f"{sign.name} with {right}")


def test_each_right_of_the_chart_is_tried() -> None:
    assert NEEDED.keys() | TRIED_ELSEWHERE == BY_DEFAULT
    assert not NEEDED.keys() & TRIED_ELSEWHERE
