"""Every right of the chart's roles is needed, and there is no other: asked of a real API server."""

import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final, assert_never

import pytest
import yaml

from demo.observe import serves, wait_for
from demo.operatorprocess import OperatorSetup
from localcluster.addresses import OPERATOR_METRICS
from localcluster.api import Api, Manifest
from localcluster.client import Cluster
from serinus.api.names import FINALIZER, Command
from support.e2e.fixtures import GOOD, STABLE, place_in, program_environment
from support.e2e.manifests import canary, healthy, production, staging
from support.e2e.operator import OperatorControl, setup_in
from support.e2e.place import LONG, Place
from support.e2e.servers import ModelServer
from support.kubectl import Kubectl
from support.release import Release, Right, installed
from support.rights import allowed_rights, every_right

_SERINUS: Final = "serinus.dev"
_GATEWAY: Final = "gateway.networking.k8s.io"
_ROLES: Final = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


class Sign(Enum):
    """What does not happen while a right is missing, and happens as soon as it is there."""

    PROMOTED = auto()
    EVENT = auto()
    SERIES = auto()
    STAGE_OF_VERSION = auto()
    HEAD_OF_MODEL = auto()
    FINALIZER = auto()
    REASON_OF_POD = auto()


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
    Right("patch", "rollouts", _SERINUS): Sign.FINALIZER,
    Right("get", "services"): Sign.PROMOTED,
    Right("list", "pods"): Sign.REASON_OF_POD,
    Right("create", "events", "events.k8s.io"): Sign.EVENT,
    Right("patch", "events", "events.k8s.io"): Sign.SERIES,
}
"""What the operator needs, and what fails without it."""

ALSO_GIVEN: Final[Mapping[Right, str]] = {}
"""What it is given besides, and why."""

_GIVEN_BY_KUBERNETES: Final = ("system:authenticated",)
_NO_IMAGE: Final = "example.org/check:1"


def _job(image: str) -> dict[str, Any]:
    container = {"name": "check", "image": image, "command": ["true"]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {"name": "contract", "job": {"timeout": "1m", "template": {"spec": {"template": {"spec": pod}}}}}


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
        """Return whether the operator's log has the API server's refusal of this right."""
        kind = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
        return f'User "{account}" cannot {right.verb} resource "{kind}"' in self.operator.log()

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
    environment = program_environment(cluster) | {"KUBECONFIG": str(release.kubeconfig(folder / "kubeconfig"))}
    settings = release.admin.within(release.name)(
        "get", "configmap", release.name, "-o", "jsonpath={.data.config\\.yaml}"
    )
    setup = with_settings(setup_in(cluster), yaml.safe_load(settings))
    async with Api(cluster.kubeconfig) as api:
        namespace = f"rights-{folder.name[-24:].strip('-_').replace('_', '-')}"
        async with place_in(cluster, api, namespace, servers, folder) as place:
            await place.stand(plan, STABLE, GOOD, adopted=False)
            await place.want(GOOD)
            async with place.traffic():
                operator = OperatorControl(environment, setup, folder / "operator")
                try:
                    await operator.start(ready=False)
                    yield Stage(release, place, operator)
                finally:
                    await operator.stop()


def with_settings(setup: OperatorSetup, settings: Mapping[str, Any]) -> OperatorSetup:
    """Return a setup with the chart's own settings, but the addresses of this process."""
    own = {"identity": "tried", "httpHost": OPERATOR_METRICS.partition(":")[0]}
    return OperatorSetup(
        prometheus_url=setup.prometheus_url,
        scrape_interval_seconds=setup.scrape_interval_seconds,
        identity="tried",
        leader_election=True,
        settings={**settings, **own, "httpPort": int(OPERATOR_METRICS.rpartition(":")[2])},
    )


@pytest.fixture
async def api(cluster: Cluster) -> AsyncIterator[Api]:
    async with Api(cluster.kubeconfig) as api:
        yield api


@asynccontextmanager
async def _without(api: Api, release: Release, right: Right) -> AsyncIterator[None]:
    """Take a right away from the operator's role for a while."""
    path = f"{_ROLES}/{release.name}"
    rules = (await api.request("GET", path))["rules"]
    await _write_rules(api, release, [part for rule in rules for part in _reduced(rule, right)], right, given=False)
    try:
        yield
    finally:
        await _write_rules(api, release, rules, right, given=True)


async def _write_rules(api: Api, release: Release, rules: list[Manifest], right: Right, *, given: bool) -> None:
    await api.merge(f"{_ROLES}/{release.name}", {"rules": rules})

    async def probe() -> bool:
        return right in await allowed_rights(api, release.account, (), [right], "default")

    await wait_for(probe, lambda has: has is given, within=LONG, what=f"{right} to be {given}")


def _reduced(rule: Manifest, right: Right) -> list[Manifest]:
    kind = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
    if right.group not in rule["apiGroups"] or kind not in rule["resources"] or right.verb not in rule["verbs"]:
        return [rule]
    others = [one for one in rule["resources"] if one != kind]
    verbs = [one for one in rule["verbs"] if one != right.verb]
    parts = [rule | {"resources": others}, rule | {"resources": [kind], "verbs": verbs}]
    return [part for part in parts if part["resources"] and part["verbs"]]


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
        await without.enter_async_context(_without(api, release, right))
        stage = await stack.enter_async_context(_stage(cluster, release, servers, tmp_path, sign))
        await wait_for(refused, bool, within=LONG, what=f"the refusal of {right}")
        assert not await stage.shows(sign)
        await without.aclose()
        await wait_for(shown, bool, within=LONG, what=f"{sign.name} with {right}")


async def test_the_operator_has_no_right_that_it_does_not_need(release: Release, api: Api) -> None:
    rights = await every_right(api)
    assert len(rights) > 1000
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{release.name}", *_GIVEN_BY_KUBERNETES)
    everybody = await allowed_rights(api, "nobody", _GIVEN_BY_KUBERNETES, rights, "default")
    given = await allowed_rights(api, release.account, groups, rights, "default") - everybody
    assert given == NEEDED.keys() | ALSO_GIVEN.keys()
