"""The operator and its CRDs, from the release before to this one, while runs are in every mode."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from demo.behaviour import Behaviour
from demo.cluster import Kubectl
from demo.observe import wait_for
from localcluster.api import Api
from localcluster.client import Cluster
from localcluster.settings import CHECKOUT
from serinus.api.names import Command
from serinus.api.rollout_status import Phase, StageState
from support.e2e.fixtures import BAD, GOOD, SPARE, STABLE, place_in, program_environment
from support.e2e.manifests import (
    ERRORS,
    MODEL,
    Manifest,
    backend_of,
    canary,
    endpoints,
    job_until,
    model_version,
    production,
    service,
    staging,
)
from support.e2e.operator import OperatorControl, setup_in
from support.e2e.place import LONG, Place, shares_seen
from support.e2e.servers import ModelServer
from support.e2e.watch import Seen
from support.earlier import EarlierRelease

_CRDS = CHECKOUT / "deploy" / "crds"
# Seven runs at a time on a machine of two cores: few requests, and no limit that a busy machine breaks.
_RATE = 20.0
_JUDGED: Manifest = {"abortOn": [ERRORS], "minRequests": 10}
_PATIENCE = 2 * LONG


@dataclass(frozen=True, slots=True)
class Case:
    """A run that the upgrade meets in one mode.

    Attributes:
        reach: brings it there.
        finish: what people do afterwards.
        stages: the plan.
        version: the candidate.
        shares: what the route gives the candidate, from the first to the last moment.
    """

    reach: Callable[[Place], Awaitable[object]]
    finish: Callable[[Place], Awaitable[object]]
    stages: Sequence[Manifest] = field(
        default_factory=lambda: (staging(), canary("5s", **_JUDGED), production(**_JUDGED))
    )
    version: str = GOOD
    shares: tuple[float, ...] = (0, 5, 100)


async def _nothing(_: Place) -> None:
    """It goes on by itself."""


async def _at_rest(place: Place) -> None:
    assert (await place.status()).phase is Phase.HEALTHY


async def _in_staging(place: Place) -> None:
    await place.want(GOOD)
    await place.until_stage("staging", StageState.TESTING)


async def _let_the_job_end(place: Place) -> None:
    _gate(place).touch()
    await place.until_stage("canary", StageState.ANALYZING, within=_PATIENCE)
    assert len(await place.all("Job")) == 1, "the test has run once"


def _gate(place: Place) -> Path:
    return place.folder / "gate"


async def _in_canary(place: Place) -> None:
    await place.want(GOOD)
    await place.until_stage("canary", StageState.ANALYZING, within=_PATIENCE)


async def _paused(place: Place) -> None:
    await _in_canary(place)
    await place.annotate(Command.PAUSE, "lunch")
    await place.until(lambda seen: seen.status.phase is Phase.PAUSED, what="a pause")


async def _resume(place: Place) -> None:
    await place.annotate(Command.RESUME, "back")


async def _awaiting_approval(place: Place) -> None:
    await place.want(GOOD)
    await place.until_stage("canary", StageState.AWAITING_APPROVAL, within=_PATIENCE)


async def _approve(place: Place) -> None:
    await place.annotate(Command.PROMOTE, "CAB-4711")


async def _rolled_back(place: Place) -> None:
    await place.servers[BAD].behave(Behaviour(failing_share=1.0, after_requests=5))
    await place.want(BAD)
    await place.until_ended(BAD, within=_PATIENCE)


async def _retry(place: Place) -> None:
    assert (await place.status()).quarantined == (BAD,)
    await place.servers[BAD].behave(Behaviour())
    await place.annotate(Command.RETRY, "mended")
    await place.until(lambda seen: seen.status.run == 2, what="the second run")


async def _baking(place: Place) -> None:
    await place.want(GOOD)
    await place.until_stage("production", StageState.ANALYZING, within=_PATIENCE)


def _cases(folder: Path) -> dict[str, Case]:
    gate = job_until(folder / "staging" / "gate")
    return {
        "at-rest": Case(_at_rest, lambda place: place.want(GOOD)),
        "staging": Case(_in_staging, _let_the_job_end, (staging(gate), canary("5s", **_JUDGED), production(**_JUDGED))),
        # Longer than the upgrade takes on a busy machine.
        "canary": Case(_in_canary, _nothing, (staging(), canary("60s", **_JUDGED), production(**_JUDGED))),
        "paused": Case(_paused, _resume, (staging(), canary("20s", **_JUDGED), production(**_JUDGED))),
        "approval": Case(
            _awaiting_approval,
            _approve,
            (staging(), canary("5s", **_JUDGED), production(approval="Required", **_JUDGED)),
        ),
        "rolled-back": Case(_rolled_back, _retry, version=BAD, shares=(0, 5, 0, 5, 100)),
        "bake": Case(_baking, _nothing, (staging(), canary("5s", **_JUDGED), production("60s", **_JUDGED))),
    }


@dataclass(frozen=True, slots=True)
class Run:
    """A case in its namespace, with all states of its route."""

    case: Case
    place: Place
    routes: Seen


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@asynccontextmanager
async def _standing(cluster: Cluster, servers: dict[str, ModelServer], folder: Path) -> AsyncIterator[dict[str, Run]]:
    """Create the team's objects of every case, with traffic."""
    async with Api(cluster.kubeconfig) as api, AsyncExitStack() as stack:
        runs = {}
        for name, case in _cases(folder).items():
            namespace = f"upgrade-{name}-{uuid.uuid4().hex[:6]}"
            place = await stack.enter_async_context(place_in(cluster, api, namespace, servers, _made(folder / name)))
            await place.stand(case.stages, STABLE, case.version)
            await stack.enter_async_context(place.traffic(_RATE))
            routes = await stack.enter_async_context(place.watching("HTTPRoute"))
            runs[name] = Run(case, place, routes)
        yield runs


async def _apply_crds(cluster: Cluster, folder: Path) -> None:
    kubectl = Kubectl(cluster.kubectl, program_environment(cluster))
    await kubectl.run(["apply", "--server-side", "--force-conflicts", "--filename", str(folder)])


@asynccontextmanager
async def _operator(environment: dict[str, str], cluster: Cluster, folder: Path) -> AsyncIterator[OperatorControl]:
    control = OperatorControl(environment, setup_in(cluster), folder)
    try:
        await control.start()
        yield control
    finally:
        await control.stop()


@pytest.fixture
def earlier(tmp_path: Path) -> EarlierRelease:
    return EarlierRelease.unpack(tmp_path / "earlier")


async def test_an_upgrade_moves_no_weight_and_every_run_goes_on(
    cluster: Cluster, servers: dict[str, ModelServer], earlier: EarlierRelease, tmp_path: Path
) -> None:
    environment = program_environment(cluster)
    async with AsyncExitStack() as stack:
        await _apply_crds(cluster, earlier.crds)
        before = await stack.enter_async_context(
            _operator(earlier.environment(environment), cluster, tmp_path / "before")
        )
        runs = await stack.enter_async_context(_standing(cluster, servers, tmp_path))
        await asyncio.gather(*(run.case.reach(run.place) for run in runs.values()))
        old = {name: await run.place.status() for name, run in runs.items()}

        await before.stop()
        await _apply_crds(cluster, _CRDS)
        await stack.enter_async_context(_operator(environment, cluster, tmp_path / "after"))
        await asyncio.gather(*(run.case.finish(run.place) for run in runs.values()))
        await asyncio.gather(*(run.place.until_ended(run.case.version, within=_PATIENCE) for run in runs.values()))

        shares = {name: shares_seen(run.routes, backend_of(run.case.version)) for name, run in runs.items()}
        assert shares == {name: list(run.case.shares) for name, run in runs.items()}
        for name, run in runs.items():
            status = await run.place.status()
            assert status.phase is Phase.HEALTHY, name
            expected = old[name].run + (1 if name in {"at-rest", "rolled-back"} else 0)
            assert status.run == expected, f"{name}: the run of before went on"


_NEWER_STAGE: Manifest = {"approval": "Committee"}
"""A word of a list that only a later release knows."""


@pytest.fixture
async def later_crds(cluster: Cluster, tmp_path: Path) -> AsyncIterator[None]:
    """The CRDs as a later release may have them: any field and any word is taken."""
    folder = tmp_path / "later"
    folder.mkdir()
    for file in sorted(_CRDS.glob("*.yaml")):
        crd = yaml.safe_load(file.read_text(encoding="utf-8"))
        for version in crd["spec"]["versions"]:
            for part in ("spec", "status"):
                _open(version["schema"]["openAPIV3Schema"]["properties"].get(part, {}))
        (folder / file.name).write_text(yaml.safe_dump(crd), encoding="utf-8")
    await _apply_crds(cluster, folder)
    yield
    await _apply_crds(cluster, _CRDS)


def _open(schema: Manifest) -> None:
    schema.pop("enum", None)
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        schema["x-kubernetes-preserve-unknown-fields"] = True
    for below in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        _open(below)


@pytest.fixture
async def older(cluster: Cluster, earlier: EarlierRelease, tmp_path: Path) -> AsyncIterator[OperatorControl]:
    environment = earlier.environment(program_environment(cluster))
    async with _operator(environment, cluster, tmp_path / "older") as control:
        yield control


@pytest.fixture
async def canary_of_bad(
    cluster: Cluster, servers: dict[str, ModelServer], later_crds: None, older: OperatorControl, tmp_path: Path
) -> AsyncIterator[Place]:
    """A run in its canary stage, which an operator of an earlier release watches."""
    async with (
        Api(cluster.kubeconfig) as api,
        place_in(cluster, api, f"newer-{uuid.uuid4().hex[:6]}", servers, tmp_path) as place,
    ):
        await place.stand((staging(), canary("10m", **_JUDGED), production(**_JUDGED)), STABLE, BAD)
        async with place.traffic():
            await place.want(BAD)
            await place.until_stage("canary", StageState.ANALYZING)
            yield place


_IN_CANARY = {backend_of(STABLE): 9500, backend_of(BAD): 500}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"shadow": {"version": "4.0.0"}}, "shadow"),
        ({"stages": [staging(), canary("10m", **_JUDGED), production(**_JUDGED) | _NEWER_STAGE]}, "Committee"),
    ],
    ids=["an unknown field", "an unknown word"],
)
async def test_an_older_operator_that_cannot_read_a_spec_says_so_and_goes_on_watching(
    canary_of_bad: Place, change: Manifest, named: str
) -> None:
    place = canary_of_bad
    await place.api.merge(f"{place.path('Rollout')}/{MODEL}", {"spec": change})
    status = await place.until(lambda seen: seen.status.phase is Phase.INVALID, what="Invalid")
    assert named in " ".join((status.summary, status.next_action, await place.until_event("SpecInvalid")))
    assert await place.weights() == _IN_CANARY
    await place.servers[BAD].behave(Behaviour(failing_share=1.0))
    await place.until(lambda seen: seen.status.rollback is not None, what="the rollback")
    await wait_for(
        place.weights, lambda weights: not weights.get(backend_of(BAD)), within=LONG, what="no traffic for the bad one"
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [({"phase": "Hibernating"}, "phase"), ({"stage": {"state": "Shadowing"}}, "stage.state")],
    ids=["an unknown phase", "an unknown state of a stage"],
)
async def test_an_older_operator_that_cannot_read_a_status_says_so_and_overwrites_nothing(
    canary_of_bad: Place, change: Manifest, named: str
) -> None:
    place = canary_of_bad
    await place.api.merge(f"{place.path('Rollout')}/{MODEL}/status", {"status": change})
    assert named in await place.until_event("StatusUnreadable")
    # It holds, whatever the metrics say: what it cannot read may be a rollback.
    await place.servers[BAD].behave(Behaviour(failing_share=1.0))
    counted = await place.counted(BAD)
    await wait_for(lambda: place.counted(BAD), lambda now: now > counted + 50, within=LONG, what="50 failures")
    stored = (await place.get("Rollout"))["status"]
    assert [stored["phase"], stored["stage"]["state"]].count("Hibernating") + (
        stored["stage"]["state"] == "Shadowing"
    ) == 1
    assert await place.weights() == _IN_CANARY


async def test_an_older_operator_gives_no_traffic_to_a_version_whose_spec_it_cannot_read(
    canary_of_bad: Place,
) -> None:
    place = canary_of_bad
    newer = model_version(place.namespace, SPARE)
    newer["spec"]["lineage"] = {"parent": STABLE}
    await place.create(service(place.namespace, backend_of(SPARE)))
    await place.create(endpoints(place.namespace, backend_of(SPARE), place.servers[SPARE].address))
    await place.create(newer)
    async with place.watching("HTTPRoute") as routes:
        await place.want(SPARE)
        status = await place.until(
            lambda seen: seen.current and seen.status.reason == "ModelVersionUnusable", what="ModelVersionUnusable"
        )
        assert "lineage" in status.next_action
        assert set(shares_seen(routes, backend_of(SPARE))) == {0}
