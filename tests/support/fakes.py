"""One fake for each port of the reconcilers: in memory, as the protocol says, with failures on demand.

``tests/contract/routers`` holds the fakes of the router and the status writer to the same suite as the adapters.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count

from msgspec import structs

from serinus.api.audit_record import AuditEntry
from serinus.api.conditions import Condition
from serinus.api.model import Verification
from serinus.api.modelversion import Artifact, BackendRef, ModelVersionStatus
from serinus.api.names import FIELD_MANAGER, ObjectKey
from serinus.api.rollout_status import RolloutStatus, TestResult
from serinus.api.route import RouteKind
from serinus.api.stage_tests import HttpCheck
from serinus.engine.audit.registrations import RegisteredVersion
from serinus.engine.rollout.actions import CreateRoute, RunJobTest, SetMirror, SetWeights, ShapeRoute
from serinus.engine.rollout.decision import Event
from serinus.engine.rollout.observation import TestOutcome
from serinus.engine.rollout.traffic.capabilities import HTTP_ROUTE, RouterCapabilities
from serinus.engine.rollout.traffic.facts import ParentFacts, RouteProblem
from serinus.engine.rollout.traffic.managed import shape_of
from serinus.engine.rollout.traffic.route_plan import Unplannable, choose_rule, plan_entries
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.engine.versions.catalogue import VersionEntry
from serinus.errors import AmbiguousError, ConflictError, NotFoundError, RefusedError, SerinusError
from serinus.ports.cluster_state import (
    HttpRouteRecord,
    JobRecord,
    Listed,
    Meta,
    ModelRecord,
    ModelVersionRecord,
    PodFacts,
    Record,
    RolloutRecord,
    RouteRecord,
    RouteRule,
)
from serinus.ports.services import Guard
from serinus.registry.service import Registry
from support.registry.memory import MemoryStore
from support.virtual_loop import LoopClock

TIMEOUT = 10.0
"""Seconds after which the real client gives up a call."""

PASSED = TestOutcome(TestResult.PASSED, "it passed")


@dataclass
class Faults:
    """What goes wrong with the next calls.

    Attributes:
        before: errors to raise instead of doing the next calls; None lets one pass.
        after: errors to raise after the next calls have been done: the answer is lost.
        always: an error for every call whose subject it names, until it is taken out.
        hanging: subjects whose calls never return.
        timing_out: subjects whose calls hang until the client gives up, ``TIMEOUT`` seconds later, undone.
        latency: seconds that every call takes, half of them before it has its effect.
    """

    before: deque[SerinusError | None] = field(default_factory=deque)
    after: deque[SerinusError | None] = field(default_factory=deque)
    always: dict[str, SerinusError] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    timing_out: Container[str] = field(default_factory=set)
    latency: float = 0.0

    async def strike_before(self, subject: str) -> None:
        await asyncio.sleep(self.latency / 2)  # every real call gives the others a turn
        if subject in self.hanging:
            await asyncio.Event().wait()
        if subject in self.timing_out:
            await asyncio.sleep(TIMEOUT - self.latency / 2)
            raise AmbiguousError(f"no answer within {TIMEOUT:g} s; it may have been written")
        if subject in self.always:
            raise self.always[subject]
        if self.before and (fault := self.before.popleft()) is not None:
            raise fault

    async def strike_after(self) -> None:
        if self.latency:
            await asyncio.sleep(self.latency / 2)
        if self.after and (fault := self.after.popleft()) is not None:
            raise fault


class FakeCluster:
    """The port ``Cluster``: the objects, with a watch that ``follow`` begins, and a journal of all that was written.

    Attributes:
        journal: every write as ``(what, name)``, in order.
        deaf: while set, the watch reports nothing.
        accepting: whether the Gateway accepts a route as soon as it is written.
        during_list: called while a list is under way, after its snapshot was taken.
        stale: what the next list of a kind is answered with, instead of what there is.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[type[Record], ObjectKey], Record] = {}
        self.journal: list[tuple[str, str]] = []
        self.lists: list[type[Record]] = []
        self.faults = Faults()
        self.deaf = False
        self.accepting = True
        self.during_list: Callable[[type[Record]], None] | None = None
        self.registry = MemoryStore({})
        self._versions = count(100)
        self._version = 100
        self.stale: dict[type[Record], Listed] = {}
        self.read_latency, self.reads_under_way = 0.0, 0
        self._on_change: Callable[[Record], None] | None = None
        self._on_delete: Callable[[type[Record], ObjectKey, str], None] | None = None

    def follow(
        self, on_change: Callable[[Record], None], on_delete: Callable[[type[Record], ObjectKey, str], None]
    ) -> None:
        self._on_change, self._on_delete = on_change, on_delete

    def put(self, record: Record) -> Record:
        """Store the object as somebody's write does."""
        self._version = next(self._versions)
        stored = replace(record, meta=replace(record.meta, version=self._version))
        self.objects[type(record), record.meta.key] = stored
        if self._on_change is not None and not self.deaf:
            asyncio.get_running_loop().call_soon(self._on_change, stored)
        return stored

    def delete(self, key: ObjectKey) -> None:
        """Delete a Rollout as a person does: with our finalizer it stays until that is taken off."""
        stored = self.rollout(key)
        if stored.has_finalizer:
            self.put(replace(stored, deleting=True))
        else:
            self.remove(RolloutRecord, key)

    def remove(self, kind: type[Record], key: ObjectKey) -> None:
        uid = self.objects.pop((kind, key)).meta.uid
        if self._on_delete is not None and not self.deaf:
            asyncio.get_running_loop().call_soon(self._on_delete, kind, key, uid)

    def rollout(self, key: ObjectKey) -> RolloutRecord:
        record = self.objects.get((RolloutRecord, key))
        if not isinstance(record, RolloutRecord):
            raise NotFoundError(f"Rollout {key}")
        return record

    def route(self, key: ObjectKey) -> HttpRouteRecord:
        record = self.objects.get((HttpRouteRecord, key))
        if not isinstance(record, HttpRouteRecord):
            raise NotFoundError(f"HTTPRoute {key}")
        return record

    def weight(self, route: ObjectKey, backend: str) -> int | None:
        """The weight of a backend; None where it is not in the rule."""
        entries = (entry for rule in self.route(route).rules for entry in rule.entries)
        return next((entry.weight for entry in entries if entry.key.name == backend), None)

    async def list_all(self, kind: type[Record]) -> Listed:
        await self.faults.strike_before(kind.__name__)
        self.lists.append(kind)
        if kind in self.stale:
            return self.stale.pop(kind)
        version = self._version
        snapshot = [record for (stored, _), record in self.objects.items() if stored is kind]
        if self.during_list is not None:
            self.during_list(kind)
            await asyncio.sleep(0.01)
        return Listed(snapshot, version)

    async def read_rollout(self, key: ObjectKey) -> RolloutRecord:
        await self.faults.strike_before(key.name)
        found = self.rollout(key)
        self.reads_under_way += 1
        await asyncio.sleep(self.read_latency)
        self.reads_under_way -= 1
        return found

    async def read_route(self, _kind: RouteKind, key: ObjectKey) -> HttpRouteRecord:
        await self.faults.strike_before(key.name)
        return self.route(key)


class FakeStatusWriter:
    """The port ``StatusWriter`` over a fake cluster; ``sent`` lists the Rollouts whose status was sent."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.faults = Faults()
        self.sent: list[str] = []

    async def write_rollout(self, meta: Meta, status: RolloutStatus, *, guard: Guard | None = None) -> RolloutRecord:
        if guard is not None:
            guard()
        self.sent.append(meta.key.name)
        await self.faults.strike_before(meta.key.name)
        stored = self._cluster.rollout(meta.key)
        if (stored.meta.uid, stored.meta.version) != (meta.uid, meta.version):
            raise ConflictError(f"Rollout {meta.key} has changed since it was read")
        if status.epoch < stored.status.epoch:
            raise RefusedError("status.epoch never falls: this writer has lost the leadership")
        written = self._cluster.put(replace(stored, status=status))
        assert isinstance(written, RolloutRecord)
        self._cluster.journal.append(("status", meta.key.name))
        await self.faults.strike_after()
        return written

    async def write_model_version(self, meta: Meta, *, stage: str, traffic: str) -> None:
        await self.faults.strike_before(meta.key.name)
        stored = self._cluster.objects.get((ModelVersionRecord, meta.key))
        if not isinstance(stored, ModelVersionRecord) or stored.meta.uid != meta.uid:
            raise NotFoundError(f"ModelVersion {meta.key}")
        self._cluster.put(replace(stored, status=structs.replace(stored.status, stage=stage, traffic=traffic)))
        self._cluster.journal.append(("modelversion", meta.key.name))

    async def write_review(self, meta: Meta, status: ModelVersionStatus, *, with_traffic: bool) -> None:
        await self.faults.strike_before(meta.key.name)
        stored = self._cluster.objects.get((ModelVersionRecord, meta.key))
        if not isinstance(stored, ModelVersionRecord) or stored.meta.uid != meta.uid:
            raise NotFoundError(f"ModelVersion {meta.key}")
        self._cluster.put(
            replace(
                stored,
                status=structs.replace(
                    status,
                    stage=status.stage or stored.status.stage,
                    traffic=status.traffic if with_traffic else stored.status.traffic,
                ),
            )
        )
        self._cluster.journal.append(("review", meta.key.name))

    async def write_policy_seen(self, meta: Meta, generation: int, conditions: tuple[Condition, ...] = ()) -> None:
        await self.faults.strike_before(meta.key.name)
        stored = self._cluster.objects.get((ModelRecord, meta.key))
        if not isinstance(stored, ModelRecord) or stored.meta.uid != meta.uid:
            raise NotFoundError(f"Model {meta.key}")
        self._cluster.put(replace(stored, observed_generation=generation, conditions=conditions))


class FakeRouter:
    """The port ``TrafficRouter`` over a fake cluster; ``sent`` lists the writes that were sent, by route."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.faults = Faults()
        self.sent: list[tuple[str, SetWeights]] = []
        self.capabilities: Mapping[RouteKind, RouterCapabilities] = {RouteKind.HTTP_ROUTE: HTTP_ROUTE}

    async def set_weights(
        self,
        namespace: str,
        action: SetWeights,
        *,
        guard: Guard | None = None,
        known: RouteRecord | None = None,  # noqa: ARG002 - the fake has the route itself
    ) -> HttpRouteRecord:
        name = action.route.name
        if guard is not None:
            guard()
        self.sent.append((name, action))
        await self.faults.strike_before(name)
        try:
            route = self._cluster.route(ObjectKey(namespace, name))
        except NotFoundError as problem:
            raise RefusedError(f"HTTPRoute {namespace}/{name} is not there") from problem
        keys = [{entry.key for entry in rule.entries} for rule in route.rules]
        naming = [place for place, found in enumerate(keys) if action.on_trial in found]
        position = choose_rule(action.route, [rule.name for rule in route.rules], route.owner, naming)
        if isinstance(position, RouteProblem):
            raise RefusedError(position.message)
        entries = plan_entries(route.rules[position].entries, action.shares, action.ours, action.filters_of)
        if isinstance(entries, Unplannable):
            raise RefusedError(entries.message)
        if entries == route.rules[position].entries:
            return route
        rules = list(route.rules)
        rules[position] = replace(rules[position], entries=entries)
        changed = replace(route, rules=tuple(rules), generation=route.generation + 1)
        written = self._cluster.put(_accepted(self._cluster, changed))
        assert isinstance(written, HttpRouteRecord)
        self._cluster.journal.append(("weights", name))
        await self.faults.strike_after()
        return written


def _accepted(cluster: FakeCluster, route: HttpRouteRecord) -> HttpRouteRecord:
    """Return the route as the gateway has accepted it, if it does."""
    if not cluster.accepting:
        return route
    parents = tuple(replace(parent, observed_generation=route.generation) for parent in route.parents)
    return replace(route, parents=parents)


class FakeManagedRoutes:
    """The port ``ManagedRoutes`` over a fake cluster; it shapes nothing: the fakes have no parents and matches."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.faults = Faults()

    async def create(self, owner: Meta, action: CreateRoute, *, guard: Guard | None = None) -> HttpRouteRecord:
        if guard is not None:
            guard()
        await self.faults.strike_before(action.route.name)
        entries = plan_entries((), action.shares, frozenset())
        assert not isinstance(entries, Unplannable)
        with suppress(NotFoundError):
            return self._cluster.route(ObjectKey(owner.key.namespace, action.route.name))
        record = HttpRouteRecord(
            meta=Meta(key=ObjectKey(owner.key.namespace, action.route.name), uid=f"made-{owner.uid}", version=0),
            generation=1,
            rules=(RouteRule("", entries),),
            parents=(ParentFacts("gateway", accepted=True, observed_generation=1),),
            owner="",
            written_by=FIELD_MANAGER,
            made_for=owner.uid,
            shape=shape_of(action.template, owner.key.namespace),
        )
        written = self._cluster.put(record)
        assert isinstance(written, HttpRouteRecord)
        self._cluster.journal.append(("route", action.route.name))
        await self.faults.strike_after()
        return written

    async def shape(self, owner: Meta, action: ShapeRoute, *, guard: Guard | None = None) -> HttpRouteRecord:
        if guard is not None:
            guard()
        await self.faults.strike_before(action.route.name)
        stored = self._cluster.route(ObjectKey(owner.key.namespace, action.route.name))
        shape = shape_of(action.template, owner.key.namespace)
        written = self._cluster.put(replace(stored, shape=shape, generation=stored.generation + 1))
        assert isinstance(written, HttpRouteRecord)
        self._cluster.journal.append(("shape", action.route.name))
        await self.faults.strike_after()
        return written

    async def mirror(self, owner: Meta, action: SetMirror, *, guard: Guard | None = None) -> HttpRouteRecord:
        if guard is not None:
            guard()
        await self.faults.strike_before(action.route.name)
        stored = self._cluster.route(ObjectKey(owner.key.namespace, action.route.name))
        (rule,) = stored.rules
        mirrors = () if action.mirror is None else (action.mirror,)
        changed = replace(stored, rules=(replace(rule, mirrors=mirrors),), generation=stored.generation + 1)
        written = self._cluster.put(_accepted(self._cluster, replace(changed, written_by=FIELD_MANAGER)))
        assert isinstance(written, HttpRouteRecord)
        self._cluster.journal.append(("mirror", action.route.name))
        await self.faults.strike_after()
        return written


class FakeFinalizers:
    """The port ``Finalizers`` over a fake cluster; an object that is being deleted goes with its last finalizer."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.faults = Faults()

    async def set(self, meta: Meta, *, present: bool) -> RolloutRecord:
        await self.faults.strike_before(meta.key.name)
        stored = self._cluster.rollout(meta.key)
        if stored.meta.uid != meta.uid:
            raise ConflictError(f"Rollout {meta.key} was recreated")
        if stored.has_finalizer == present:
            return stored
        if present and stored.deleting:
            raise RefusedError("no new finalizers can be added if the object is being deleted")
        self._cluster.journal.append(("finalizer" if present else "no finalizer", meta.key.name))
        written = self._cluster.put(replace(stored, has_finalizer=present))
        assert isinstance(written, RolloutRecord)
        if written.deleting and not present:
            self._cluster.remove(RolloutRecord, meta.key)
        await self.faults.strike_after()
        return written


class FakeJobs:
    """The port ``Jobs`` over a fake cluster.

    Attributes:
        outcome: how every Job ends at once, None for never.
        deadline: of every Job, in seconds.
        asked: the tests whose Job was asked for, in order.
        seen: what the pods of every Job show, or why they cannot be read.
        looked: the Jobs whose pods were read, in order.
    """

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.faults = Faults()
        self.outcome: TestOutcome | None = PASSED
        self.deadline = 600.0
        self.asked: list[str] = []
        self.seen: PodFacts | SerinusError = PodFacts(has_run=True)
        self.looked: list[str] = []
        self._made = count(1)

    async def ensure(self, owner: Meta, action: RunJobTest, noted: str = "") -> JobRecord:
        self.asked.append(action.identity.test)
        await self.faults.strike_before(owner.key.name)
        test = action.identity
        key = ObjectKey(owner.key.namespace, f"{owner.key.name}-{test.run}-{test.stage}-{test.test}")
        known = self._cluster.objects.get((JobRecord, key))
        if isinstance(known, JobRecord) and known.content != test.content:
            key = ObjectKey(key.namespace, f"{key.name}-{test.content}")
            known = self._cluster.objects.get((JobRecord, key))
        if isinstance(known, JobRecord):
            if noted not in {"", known.meta.uid}:
                raise RefusedError(f"Job {key} is in the way: it is not the one that Serinus created; delete it")
            return known
        job = JobRecord(
            meta=Meta(key=key, uid=f"uid-{next(self._made)}-{key.name}", version=0),
            rollout=owner.key.name,
            owner=owner.uid,
            run=test.run,
            stage=test.stage,
            test=test.test,
            outcome=self.outcome,
            content=test.content,
            containers=("main",),
            created_at=LoopClock().now(),
            deadline=self.deadline,
        )
        made = self._cluster.put(job)
        assert isinstance(made, JobRecord)
        self._cluster.journal.append(("job", key.name))
        return made

    async def pods(self, job: JobRecord) -> PodFacts:
        self.looked.append(job.meta.key.name)
        await asyncio.sleep(0)
        if isinstance(self.seen, SerinusError):
            raise self.seen
        return self.seen


class FakeChecks:
    """The port ``HttpChecks``; each check answers ``outcome``, or raises ``problem``, once ``open`` is set."""

    def __init__(self) -> None:
        self.outcome = PASSED
        self.problem: SerinusError | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.sent: list[str] = []

    async def run(self, namespace: str, backend: BackendRef, check: HttpCheck) -> TestOutcome:
        self.sent.append(f"{namespace}/{backend.name}{check.path}")
        await self.open.wait()
        if self.problem is not None:
            raise self.problem
        return self.outcome


class FakeEvents:
    """The port ``Events``; writes into the cluster's journal, so that the order can be seen."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.published: list[tuple[str, Event]] = []

    async def publish(self, owner: Meta, event: Event) -> None:
        self.published.append((owner.key.name, event))
        self._cluster.journal.append(("event", event.reason.value))


class FakeLeadership:
    """The port ``Leadership``; ``elsewhere`` are the models whose shards another process holds."""

    def __init__(self, epoch: int | None = 7) -> None:
        self.epoch = epoch
        self.elsewhere: set[ObjectKey] = set()
        self.outranked: list[int] = []

    @property
    def handles_all(self) -> bool:
        return not self.elsewhere

    def handles(self, model: ObjectKey, /) -> bool:
        return model not in self.elsewhere

    def epoch_of(self, model: ObjectKey, /) -> int | None:
        return self.epoch if model not in self.elsewhere else None

    def outrank(self, epoch: int, _model: ObjectKey, /) -> None:
        self.outranked.append(epoch)


class FakeVerifier:
    """The port ``ArtifactVerifier``: returns ``finding``, and remembers its calls."""

    def __init__(self) -> None:
        self.finding = ArtifactFinding(ArtifactResult.VERIFIED, "It is as the spec says.")
        self.asked: list[tuple[str, Verification]] = []
        self.namespaces: set[str] = set()

    async def verify(self, namespace: str, artifact: Artifact, how: Verification) -> ArtifactFinding:
        await asyncio.sleep(0)
        self.asked.append((artifact.uri, how))
        self.namespaces.add(namespace)
        return self.finding


class FakeAuditLog:
    """The port ``AuditLog`` over the real registry and a store in memory; ``problem`` is
    raised by every call, ``hanging`` keeps all from returning."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.problem: SerinusError | None = None
        self.hanging = False

    async def record(self, model: ObjectKey, audit_entry: AuditEntry) -> int:
        await self._refuse()
        return await self.registry.record(model, audit_entry)

    async def record_all(self, model: ObjectKey, entries: Sequence[AuditEntry]) -> int:
        await self._refuse()
        return await self.registry.record_all(model, entries)

    async def register(self, model: ObjectKey, entry: VersionEntry, audit_entry: AuditEntry) -> int:
        await self._refuse()
        return await self.registry.register(model, entry, audit_entry)

    async def set_yanked(self, model: ObjectKey, version: str, reason: str, audit_entry: AuditEntry) -> int:
        await self._refuse()
        return await self.registry.set_yanked(model, version, reason, audit_entry)

    async def standing(self, model: ObjectKey, version: str) -> RegisteredVersion | None:
        await self._refuse()
        return await self.registry.standing(model, version)

    async def _refuse(self) -> None:
        if self.hanging:
            await asyncio.Event().wait()
        if self.problem is not None:
            raise self.problem
