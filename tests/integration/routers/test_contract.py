"""What holds of every router on a real API server: exact writes, and the laws of a run with the whole operator."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from serinus.api.modelversion import BackendRef
from serinus.api.names import Command, ObjectKey, model_version_name
from serinus.api.parsing import decode
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.actions import BackendShare, SetWeights
from serinus.engine.rollout.traffic.facts import backend_key
from serinus.errors import ConflictError, RefusedError
from serinus.kube.client import MERGE_PATCH, KubernetesClient
from serinus.kube.cluster import ApiCluster
from serinus.routers import Routers, load_router
from support.e2e.operator import OperatorControl
from support.kube.client import create, eventually
from support.routers.edits import EditedInBetween
from support.routers.planes import FOREIGN, MEMBERS, NEW, OLD, ROUTE, HttpRoutePlane, Plane
from support.routers.world import World, shares

Raw = dict[str, Any]


@pytest.fixture
def world(api: KubernetesClient, namespace: str, plane: Plane) -> World:
    return World(api, namespace, plane)


def start_of(plane: Plane) -> dict[str, int]:
    """Half of the traffic with the stable version, half with somebody else's, where the route can have such a backend.

    The new version stands in it only where the operator cannot add it.
    """
    new = {} if load_router(plane.kind.field).can.manages_backends else {NEW: 0}
    return {OLD: 50, **new, FOREIGN: 50} if plane.has_others else {OLD: 100, **new}


# ---- the write ---------------------------------------------------------------------------------


async def test_a_write_changes_our_shares_and_nothing_else(world: World) -> None:
    start = start_of(world.plane)
    before = await world.stand(start)
    await world.set(1000)
    after = await world.raw()
    assert world.plane.without_weights(after) == world.plane.without_weights(before)
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    found = world.plane.shares(after)
    assert found[NEW] == 10
    assert found.get(FOREIGN, 0) == start.get(FOREIGN, 0)


async def test_the_answer_is_what_a_read_gives_and_a_second_write_writes_nothing(world: World) -> None:
    await world.stand({OLD: 100, NEW: 0})
    first = await world.router.set_weights(world.namespace, shares(world.plane, 500))
    cluster = ApiCluster(world.api, routes=[load_router(world.plane.kind.field).source])
    read = await cluster.read_route(world.plane.kind, ObjectKey(world.namespace, ROUTE))
    assert (first.generation, first.rules) == (read.generation, read.rules)
    assert first.written_by == "serinus"
    again = await world.router.set_weights(world.namespace, shares(world.plane, 500))
    assert again.generation == first.generation


async def test_a_write_on_an_old_sight_of_the_route_reads_it_again(world: World) -> None:
    known = world.plane.record(await world.stand({OLD: 100, NEW: 0}))
    await world.drift({NEW: 30, OLD: 70})
    await world.router.set_weights(world.namespace, shares(world.plane, 0, safety=True), known=known)
    assert (await world.shares())[NEW] == 0


async def test_all_succeed_who_write_at_once(world: World) -> None:
    await world.stand({OLD: 100, NEW: 0})

    async def person() -> None:
        for number in range(10):
            change = {"metadata": {"annotations": {"edit": str(number)}}}
            await world.api.request("PATCH", world.path, body=change, content_type=MERGE_PATCH)

    async def operator(new: int) -> None:
        for _ in range(3):
            await world.set(new, safety=True)

    async with asyncio.TaskGroup() as all_at_once:
        all_at_once.create_task(person())
        all_at_once.create_task(operator(0))
        all_at_once.create_task(operator(500))
    await world.set(0, safety=True)
    assert (await world.shares())[NEW] == 0


async def test_an_abort_outlasts_nineteen_edits_and_a_promotion_gives_up_after_five(world: World) -> None:
    await world.stand({OLD: 80, NEW: 20})
    factory = load_router(world.plane.kind.field)
    busy = EditedInBetween(world.api, 19)
    await Routers(busy, [factory]).set_weights(world.namespace, shares(world.plane, 0, safety=True))
    assert (busy.left, (await world.shares())[NEW]) == (0, 0)
    busy = EditedInBetween(world.api, 100)
    with pytest.raises(ConflictError, match="changed by others 5 times"):
        await Routers(busy, [factory]).set_weights(world.namespace, shares(world.plane, 500))
    assert (await world.shares())[NEW] == 0


async def test_a_route_that_is_not_there_is_refused_with_what_to_do(world: World) -> None:
    remedy = f"is not there: create it, or name another in spec.route.{world.plane.kind.field}.name"
    with pytest.raises(RefusedError, match=remedy):
        await world.set(500)


async def test_a_route_of_another_controller_is_refused_by_that_ones_name(world: World) -> None:
    await world.stand({OLD: 100, NEW: 0})
    owner = {"apiVersion": "v1", "kind": "X", "name": "somebody", "uid": "u", "controller": True}
    change = {"metadata": {"ownerReferences": [owner]}}
    await world.api.request("PATCH", world.path, body=change, content_type=MERGE_PATCH)
    with pytest.raises(RefusedError, match="belongs to X/somebody"):
        await world.set(500)


async def test_a_share_that_the_route_cannot_express_is_refused(world: World) -> None:
    await world.stand({OLD: 100, NEW: 0})
    if world.router.capabilities[world.plane.kind].unit == 1:
        await world.set(50)
        assert (await world.shares())[NEW] == 0.5
        return
    with pytest.raises(RefusedError, match="least share that this kind of route can give"):
        await world.set(50)
    assert (await world.shares())[NEW] == 0


# ---- the laws of a run -------------------------------------------------------------------------


def version_manifest(plane: Plane, version: str) -> Raw:
    backend = plane.backend(version)
    subset = {"subset": backend.subset} if backend.subset else {}
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": model_version_name(ROUTE, version)},
        "spec": {
            "model": ROUTE,
            "version": version,
            "artifact": {"uri": f"test://{version}"},
            "serving": {"backendRef": {"name": backend.name, "port": 80, **subset}},
        },
    }


def rollout_manifest(plane: Plane, share: str = "10%") -> Raw:
    # A subset's requests cannot be told apart by the labels of a preset.
    condition = "error_rate > 1%" if not plane.backend(OLD).subset else "drift > 1"
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": ROUTE},
        "spec": {
            "model": ROUTE,
            "version": OLD,
            "route": plane.ref,
            "guards": "Off",
            "stages": [
                {"name": "staging", "traffic": "0%"},
                {"name": "canary", "traffic": share, "duration": "1h", "abortOn": [condition]},
                {"name": "production", "traffic": "100%", "bake": "1h", "abortOn": [condition]},
            ],
        },
    }


class Run(World):
    """The same with the versions, their endpoints and a Rollout."""

    rollouts: str

    async def team(self, share: str = "10%") -> None:
        self.rollouts = f"/apis/serinus.dev/v1alpha1/namespaces/{self.namespace}/rollouts"
        policy = {"apiVersion": "serinus.dev/v1alpha1", "kind": "Model", "metadata": {"name": ROUTE}}
        await create(self.api, policy | {"spec": {"versioning": {"allowMajorInPlace": True}}}, "models", self.namespace)
        for name in dict.fromkeys(self.plane.service(member) for member in MEMBERS):
            await self._service(name)
        for version in (OLD, NEW):
            await create(self.api, version_manifest(self.plane, version), "modelversions", self.namespace)
        await self.stand(start_of(self.plane))
        await create(self.api, rollout_manifest(self.plane, share), "rollouts", self.namespace)

    async def _service(self, name: str) -> None:
        port = {"name": "http", "port": 80}
        labels = {"kubernetes.io/service-name": name}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [port]}}
        endpoints = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": labels},
            "addressType": "IPv4",
            "ports": [port],
            "endpoints": [{"addresses": ["198.18.9.1"], "conditions": {"ready": True}}],
        }
        await create(self.api, service, "services", self.namespace)
        await create(self.api, endpoints, "endpointslices", self.namespace)

    async def patch(self, change: Raw) -> None:
        path = f"{self.rollouts}/{ROUTE}"
        await self.api.request("PATCH", path, body=change, content_type=MERGE_PATCH)

    async def status(self) -> RolloutStatus:
        raw = await self.api.request("GET", f"{self.rollouts}/{ROUTE}")
        return decode(RolloutStatus, raw.get("status", {}), "status")

    async def until(self, fits: Callable[[RolloutStatus], bool], why: str) -> RolloutStatus:
        async def probe() -> RolloutStatus | None:
            status = await self.status()
            return status if fits(status) else None

        try:
            return await eventually(probe, why=why)
        except AssertionError as problem:
            status = await self.status()
            raise AssertionError(f"{why}: {status.phase} {status.summary} {status.next_action}") from problem

    async def reasons(self) -> list[str]:
        events = (await self.api.request("GET", f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"))["items"]
        return [event["reason"] for event in events]


def confirmed(status: RolloutStatus) -> bool:
    return any(one.type == "TrafficConfirmed" and one.status.value == "True" for one in status.conditions)


@pytest.fixture
def run(operator: OperatorControl, api: KubernetesClient, namespace: str, plane: Plane) -> Run:
    return Run(api, namespace, plane)


async def test_a_run_keeps_the_laws(run: Run) -> None:
    """Adoption, foreign entries, confirmation, drift, no fight, containment and truth, in one life of a route."""
    await run.team()
    theirs = start_of(run.plane).get(FOREIGN, 0)
    rest = 100 - theirs
    adopted = await run.until(lambda one: one.stable is not None, "the adoption of the first version")
    assert adopted.stable is not None
    assert adopted.stable.version == OLD
    assert adopted.route is not None
    assert (adopted.route.kind, adopted.route.name) == (run.plane.kind, ROUTE)
    assert len(adopted.route.foreign) == (1 if theirs else 0)

    await run.patch({"spec": {"version": NEW}})
    in_canary = {OLD: rest - 10.0, NEW: 10.0} | ({FOREIGN: theirs} if theirs else {})
    await run.until_shares(in_canary, "the shares of the canary stage")
    await run.until(
        lambda one: one.candidate is not None and one.candidate.weight == 10 and confirmed(one),
        "a confirmed canary",
    )

    wrong = {OLD: rest - 40, NEW: 40}
    await run.drift(wrong)
    await run.until_shares(in_canary, "the correction of somebody's write")

    async def contested() -> bool:
        if await run.shares() == in_canary:
            await run.drift(wrong)
        return "RouteContested" in await run.reasons()

    await eventually(contested, why="no fight without end", within=180)
    await run.patch({"metadata": {"annotations": {Command.ABORT.annotation: "seen enough"}}})
    safe = {OLD: float(rest), NEW: 0.0} | ({FOREIGN: theirs} if theirs else {})

    async def is_safe() -> bool:
        found = await run.shares()
        return found.get(NEW, 0.0) == 0 and found == {member: safe[member] for member in found}

    await eventually(is_safe, why="no traffic for the version that was aborted")
    ended = await run.until(lambda one: one.phase.value == "RolledBack", "the end of the rollback")
    assert ended.stable is not None
    assert ended.stable.version == OLD
    assert "Serving 1.0.0" in ended.summary


async def test_a_plan_that_asks_for_more_than_the_route_can_do_is_refused_by_its_field(run: Run) -> None:
    await run.team(share="0.5%")
    await run.until(lambda one: one.stable is not None, "the adoption")
    await run.patch({"spec": {"version": NEW}})
    if load_router(run.plane.kind.field).can.unit == 1:
        await run.until(lambda one: one.candidate is not None, "the run")
        return
    status = await run.until(lambda one: one.reason == "BeyondRouter", "the refusal")
    assert "spec.stages[1].traffic" in status.next_action
    assert "write a multiple of 1%" in status.next_action
    assert (await run.shares()).get(NEW, 0) == 0


async def test_an_inference_pool_is_a_backend_like_any_other(
    api: KubernetesClient, kinds: None, namespace: str
) -> None:
    pools = f"/apis/inference.networking.k8s.io/v1/namespaces/{namespace}/inferencepools"
    for name in ("llm-v1", "llm-v2"):
        spec = {
            "selector": {"matchLabels": {"app": name}},
            "targetPorts": [{"number": 8000}],
            "endpointPickerRef": {"name": f"{name}-epp", "port": {"number": 9002}},
        }
        manifest = {"apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool", "metadata": {"name": name}}
        await api.request("POST", pools, body=manifest | {"spec": spec})
    pool = {"group": "inference.networking.k8s.io", "kind": "InferencePool"}
    route = HttpRoutePlane().manifest({})
    route["spec"]["rules"][1]["backendRefs"] = [{**pool, "name": "llm-v1", "weight": 1}]
    await create(api, route, "httproutes", namespace)
    refs = [BackendRef(name=name, group=pool["group"], kind=pool["kind"]) for name in ("llm-v1", "llm-v2")]
    action = SetWeights(
        route=HttpRoutePlane().id,
        shares=(BackendShare(refs[0], 9900), BackendShare(refs[1], 100)),
        ours=frozenset(map(backend_key, refs)),
    )
    await Routers(api, [load_router("httpRoute")]).set_weights(namespace, action)
    stored = await api.request("GET", f"{HttpRoutePlane().collection(namespace)}/{ROUTE}")
    assert stored["spec"]["rules"][1]["backendRefs"] == [
        {**pool, "name": "llm-v1", "weight": 9900},
        {**pool, "name": "llm-v2", "weight": 100},
    ]
