"""Only the leader writes: every way to a write passes the fence, before each request and not once at the beginning."""

import ast
import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from msgspec import structs

import serinus
from serinus.api.audit_record import AuditEntry, AuditEvent, OperatorIdentity
from serinus.api.modelversion import ModelVersionStatus
from serinus.api.names import API_VERSION, ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.api.route import RouteKind, RuleId
from serinus.api.route_template import HttpRouteTemplate, ParentRef
from serinus.api.stage_tests import JobTest
from serinus.engine.rollout.actions import (
    BackendShare,
    CreateRoute,
    RunJobTest,
    SetMirror,
    SetWeights,
    ShapeRoute,
    TestRun,
)
from serinus.engine.rollout.decision import Event, EventReason
from serinus.engine.rollout.outbox import actor_of
from serinus.engine.rollout.traffic.facts import BackendKey, Mirror
from serinus.errors import NotLeaderError, RefusedError
from serinus.kube.client import KubernetesClient
from serinus.kube.events import ApiEvents, _QueuedEvent, _Series
from serinus.kube.fence import fence_of
from serinus.kube.finalizers import ApiFinalizers
from serinus.kube.jobs.api import ApiJobs
from serinus.kube.lease import LeaseElection
from serinus.kube.stamp_probe import StampProbe
from serinus.kube.status import ApiStatusWriter
from serinus.ports.acting import INSTALLATION, acting_for
from serinus.ports.cluster_state import Meta
from serinus.registry.fenced import FencedStore
from serinus.registry.kubernetes.heads import StoredHeads
from serinus.registry.kubernetes.mirror import MirroringAuditLog
from serinus.registry.kubernetes.reads import RegistryObjects
from serinus.registry.kubernetes.store import KubernetesStore
from serinus.registry.service import Registry
from serinus.routers.gateway_api import GatewayApiRouter
from serinus.routers.managed_http_route import ManagedHttpRoutes
from serinus.settings import Settings
from serinus.wiring import Operator
from support.fakes import FakeLeadership
from support.kube.clock import VirtualTime
from support.kube.memory import MemoryApi
from support.kube.objects import backend_ref, http_route, metadata
from support.kube.scripted import Answer, Script, client_of, respond, scripted, status
from support.records import backend, meta
from support.registry.memory import MemoryStore
from support.registry.place import version_entry

MODEL = ObjectKey("ml", "fraud")
OWNER: Meta = meta("fraud")
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENTRY = AuditEntry(id="a", event=AuditEvent.ROLLOUT_STARTED, at=AT, version="2.0.0", actor=actor_of(""))
SHARES = SetWeights(
    route=RuleId(RouteKind.HTTP_ROUTE, "fraud", "predict"),
    shares=(BackendShare(backend("fraud", "1.0.0"), 9500), BackendShare(backend("fraud", "2.0.0"), 500)),
    ours=frozenset(BackendKey("", "Service", backend("fraud", one).name, 80) for one in ("1.0.0", "2.0.0")),
)
TEMPLATE = HttpRouteTemplate(parent_refs=(ParentRef(name="another"),))
JOB = RunJobTest(
    identity=TestRun(run=1, stage="s", test="t", model="fraud", version="2.0.0", backend=backend("fraud", "2.0.0")),
    test=JobTest(template={"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}}),
)


def a_route() -> dict[str, object]:
    rule = {"name": "predict", "backendRefs": [backend_ref(backend("fraud", "1.0.0").name, 1)]}
    owner = {"apiVersion": API_VERSION, "kind": "Rollout", "name": "fraud", "uid": OWNER.uid, "controller": True}
    return http_route(rule, name="fraud") | {"metadata": metadata("fraud") | {"ownerReferences": [owner]}}


async def objects(request: web.Request) -> web.StreamResponse:
    """An API server that has a Rollout and its route, and takes every write."""
    if request.method == "GET" and "/httproutes/" in request.path:
        return web.json_response(a_route())
    if request.method == "GET" and "/rollouts/" in request.path:
        return web.json_response({"metadata": metadata("fraud", uid=OWNER.uid), "spec": {}})
    if request.method == "GET" and request.path.endswith("/auditrecords"):
        return web.json_response({"items": [], "metadata": {}})
    if request.method == "GET":
        return web.json_response({"message": "not there", "reason": "NotFound"}, status=404)
    return web.json_response(json.loads(await request.text() or "{}"))


def registry(client: KubernetesClient) -> Registry:
    return Registry(KubernetesStore(client), VirtualTime(), OperatorIdentity(version="test", instance="a"))


async def an_event(client: KubernetesClient) -> None:
    """The adapter drops what cannot be published, so its own writing is called."""
    events = ApiEvents(client, VirtualTime(), "a")
    await events.publish(OWNER, Event(EventReason.ROLLOUT_STARTED, "Run 1."))
    await events._write(events._queue.get_nowait())


async def a_repeated_event(client: KubernetesClient) -> None:
    events = ApiEvents(client, VirtualTime(), "a")
    queued = _QueuedEvent(OWNER, Event(EventReason.ROLLOUT_STARTED, "Run 1."), AT)
    await events._repeat(_Series("fraud.1", 1, 0.0), queued)


async def a_shown_head(client: KubernetesClient) -> None:
    """The mirror only logs what it could not show, so its own writing is called."""
    other = Registry(MemoryStore({}), VirtualTime(), OperatorIdentity(version="test", instance="a"))
    log = MirroringAuditLog(other, client)
    await log._write(MODEL, await other.head(MODEL))


Write = Callable[[KubernetesClient], Awaitable[object]]

WRITES: dict[str, Write] = {
    "routers.patching": lambda client: GatewayApiRouter(client).set_weights("ml", SHARES),
    "routers.managed_http_route: create": lambda client: ManagedHttpRoutes(client).create(
        OWNER, CreateRoute(route=SHARES.route, template=TEMPLATE, shares=SHARES.shares)
    ),
    "routers.managed_http_route: shape": lambda client: ManagedHttpRoutes(client).shape(
        OWNER, ShapeRoute(route=SHARES.route, template=TEMPLATE, ours=SHARES.ours)
    ),
    "routers.managed_http_route: mirror": lambda client: ManagedHttpRoutes(client).mirror(
        OWNER, SetMirror(route=SHARES.route, mirror=Mirror(next(iter(SHARES.ours)), 10_000), ours=SHARES.ours)
    ),
    "kube.finalizers": lambda client: ApiFinalizers(client).set(OWNER, present=True),
    "kube.jobs.api": lambda client: ApiJobs(client).ensure(OWNER, JOB),
    "kube.events: first": an_event,
    "kube.events: repeated": a_repeated_event,
    "kube.status: rollout": lambda client: ApiStatusWriter(client).write_rollout(OWNER, RolloutStatus()),
    "kube.status: stage": lambda client: ApiStatusWriter(client).write_model_version(OWNER, stage="x", traffic="y"),
    "kube.status: review": lambda client: ApiStatusWriter(client).write_review(
        OWNER, ModelVersionStatus(), with_traffic=False
    ),
    "kube.status: policy": lambda client: ApiStatusWriter(client).write_policy_seen(OWNER, 2),
    "kube.stamp_probe": lambda client: StampProbe(client, "ml", configured=True)._is_stamped(),
    "registry.kubernetes.store": lambda client: registry(client).record(MODEL, ENTRY),
    "registry.kubernetes.heads": lambda client: StoredHeads(client, RegistryObjects(client, 10)).create(MODEL),
    "registry.kubernetes.mirror": a_shown_head,
}


@pytest.mark.parametrize("name", WRITES)
async def test_no_write_of_a_process_that_does_not_lead_is_sent(name: str) -> None:
    async with scripted(objects) as server, client_of(server.url) as client:
        client.fence(fence_of(FakeLeadership(None)))
        with pytest.raises(NotLeaderError):
            await WRITES[name](client)
    assert [request for request in server.asked if not request.startswith("GET ")] == []


@pytest.mark.parametrize("name", WRITES)
async def test_the_same_writes_of_the_leader_are_sent(name: str) -> None:
    """Else the test above would pass for want of a write."""
    async with scripted(objects) as server, client_of(server.url) as client:
        client.fence(fence_of(FakeLeadership(7)))
        # Only the sending matters here: this server's answers are not those of a real one.
        await asyncio.gather(WRITES[name](client), return_exceptions=True)
    assert [request for request in server.asked if not request.startswith("GET ")] != []


class OneShard(FakeLeadership):
    """Leads for one model, as a process does that holds its shard, and takes part in the work as a whole."""

    def epoch_of(self, model: ObjectKey, /) -> int | None:
        return self.epoch if model in {MODEL, INSTALLATION} else None


@pytest.mark.parametrize("name", WRITES)
async def test_with_shards_a_write_is_sent_on_behalf_of_a_model_whose_shard_is_held_and_for_no_other(name: str) -> None:
    async with scripted(objects) as server, client_of(server.url) as client:
        client.fence(fence_of(OneShard()))
        with acting_for(ObjectKey("ml", "another")):
            if name != "kube.stamp_probe":
                with pytest.raises(NotLeaderError):
                    await WRITES[name](client)
        assert [request for request in server.asked if not request.startswith("GET ")] == []
        with acting_for(MODEL):
            await asyncio.gather(WRITES[name](client), return_exceptions=True)
        assert [request for request in server.asked if not request.startswith("GET ")] != []


async def test_an_event_is_written_on_behalf_of_the_model_for_which_it_was_published() -> None:
    """It waits in a queue of its own, whose task acts for nobody."""
    event = Event(EventReason.ROLLBACK_STARTED, "because")
    async with scripted(respond(201, {})) as server, client_of(server.url) as client:
        client.fence(fence_of(OneShard()))
        events = ApiEvents(client, VirtualTime(), "a", sleep=lambda _: asyncio.sleep(0))
        writing = asyncio.create_task(events.run())
        with acting_for(MODEL):
            await events.publish(OWNER, event)
        await events.publish(OWNER, replace(event, message="for nobody"))
        await events.drain()
        writing.cancel()
    assert len([request for request in server.asked if request.startswith("POST ")]) == 1


async def test_a_write_is_under_way_from_before_it_is_sent_until_it_was_answered_and_a_read_never_is() -> None:
    under_way, most = 0, 0

    @contextmanager
    def tracking() -> Iterator[None]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        yield
        under_way -= 1

    seen: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(under_way)
        return await respond(200, {})(request)

    async with scripted(answer) as server, client_of(server.url) as client:
        client.fence(fence_of(FakeLeadership(7)), tracking)
        await client.request("PATCH", "/x", body={})
        await client.request("GET", "/x")
        await client.request("PUT", "/x", body={}, fenced=False)
    assert (seen, under_way) == ([1, 0, 0], 0)


def requests_in(module: Path) -> list[ast.Call]:
    calls = (node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call))
    named = (call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "request")
    return [call for call in named if ast.unparse(call.func).rpartition(".")[0].endswith("client")]


def test_every_module_that_sends_writes_is_tried_above_and_only_the_lease_passes_the_fence() -> None:
    root = Path(serinus.__file__).parent
    writing, unfenced = set(), set()
    for module in root.rglob("*.py"):
        name = ".".join(module.relative_to(root).with_suffix("").parts)
        for call in requests_in(module) if name != "kube.client" else ():
            method = call.args[0]
            assert isinstance(method, ast.Constant), f"{name}: a method that cannot be read here"
            if method.value != "GET":
                writing.add(name)
            if any(keyword.arg == "fenced" for keyword in call.keywords):
                unfenced.add(name)
    assert unfenced == {"kube.lease"}
    assert writing - unfenced == {name.partition(":")[0] for name in WRITES}


async def test_the_operator_puts_the_fence_around_its_client_and_its_registry_before_anything_is_sent() -> None:
    async with scripted(objects) as server, client_of(server.url) as client:
        operator = Operator(Settings(), client)
        with pytest.raises(NotLeaderError):
            await client.request("PATCH", "/x", body={})
        with pytest.raises(NotLeaderError):
            await operator._registry.record(MODEL, ENTRY)
    assert [request for request in server.asked if not request.startswith("GET ")] == []


# ---- a store outside the cluster -----------------------------------------------------------------


async def test_a_registry_elsewhere_has_the_same_fence_before_each_try() -> None:
    leadership = FakeLeadership(7)
    store = FencedStore(MemoryStore({}), fence_of(leadership))
    outside = Registry(store, VirtualTime(), OperatorIdentity(version="test", instance="a"))
    assert await outside.record(MODEL, ENTRY) == 1
    leadership.epoch = None
    with pytest.raises(NotLeaderError):
        await outside.record(MODEL, structs.replace(ENTRY, id="b"))
    with pytest.raises(NotLeaderError):
        await outside.register(MODEL, version_entry(MODEL, "2.0.0"), structs.replace(ENTRY, id="c"))
    with pytest.raises(NotLeaderError):
        await store.remove_records(MODEL, 1)
    assert (await outside.head(MODEL)).audit.sequence == 1


# ---- a leader that stands still in the midst of a loop of retries ---------------------------------


@asynccontextmanager
async def leading(*answers: Answer) -> AsyncIterator[tuple[Script, KubernetesClient, LeaseElection, VirtualTime]]:
    """A client of a leader whose time only passes when a test lets it."""
    time = VirtualTime()
    election = LeaseElection(MemoryApi(), time, ObjectKey("serinus-system", "serinus"), "a", sleep=time.sleep)
    running = asyncio.create_task(election.run())
    await election.elected()
    async with scripted(*answers) as server, client_of(server.url) as client:
        client.fence(fence_of(election))
        yield server, client, election, time
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def after(freeze: Callable[[], None], answer: Answer) -> Answer:
    """The answer, before which the process is stopped for a while, as by SIGSTOP."""

    async def stopped(request: web.Request) -> web.StreamResponse:
        freeze()
        return await answer(request)

    return stopped


CONFLICT = status(409, "the object has been modified", "Conflict")
BUSY = respond(429, {}, **{"Retry-After": "0"})


@pytest.mark.parametrize("answer", [CONFLICT, BUSY], ids=["conflict", "too many requests"])
@pytest.mark.parametrize("direction", ["towards safety", "a raise"])
async def test_a_leader_that_is_stopped_in_the_midst_of_its_retries_sends_nothing_more(
    answer: Answer, direction: str
) -> None:
    clock: list[VirtualTime] = []
    route = respond(200, a_route())
    frozen = after(lambda: clock[0].freeze(20), answer)
    async with leading(route, frozen, route, respond(200, a_route())) as (server, client, election, time):
        clock.append(time)
        action = replace(SHARES, towards_safety=direction == "towards safety")
        with pytest.raises(NotLeaderError, match="does not lead any more"):
            await GatewayApiRouter(client).set_weights("ml", action)
        assert election.epoch is None
    assert [request.split()[0] for request in server.asked if "PATCH" in request] == ["PATCH"]


async def test_a_leader_that_is_cut_off_from_the_lease_stops_before_another_may_lead() -> None:
    async with leading(respond(200, a_route()), CONFLICT) as (_, client, election, time):
        assert isinstance(election._client, MemoryApi)
        election._client.before.extend([RefusedError("cut off")] * 1000)
        await time.pass_time(9.9)
        await client.request("PUT", "/x", body={})
        await time.pass_time(0.2)
        with pytest.raises(NotLeaderError):
            await client.request("PUT", "/x", body={})
        # Nobody else may take the Lease for another five seconds: what was sent before has ended by then.
        assert election.epoch is None
