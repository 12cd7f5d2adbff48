"""The cluster of the simulation: fakes that tell the oracle what happened, and that keep nothing they need not keep."""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from serinus.api.abort_condition import ErrorRate, Latency, parse_abort_condition
from serinus.api.audit_record import AuditEvent
from serinus.api.names import ObjectKey
from serinus.api.rollout import Approval, RolloutSpec, Stage
from serinus.ports.cluster_state import (
    EndpointsRecord,
    HttpRouteRecord,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
    Record,
    RolloutRecord,
)
from serinus.ports.registry_store import Commit
from support.fakes import FakeCluster
from support.registry.memory import MemoryStore
from support.soak.facts import (
    Commanded,
    Deleting,
    Endpoints,
    Fact,
    Frozen,
    Gone,
    PlannedStage,
    Quality,
    Recorded,
    StatusWritten,
    Weights,
    Wished,
    Yanked,
)
from support.soak.faults import Failures, Weather
from support.soak.traffic import Traffic

STANDING: Final = frozenset(
    {AuditEvent.VERSION_REGISTERED, AuditEvent.VERSION_YANKED, AuditEvent.VERSION_UNYANKED, AuditEvent.VERSION_REJECTED}
)
"""Records that say what a version is; all others are told to the oracle and not kept."""

IDS: Final = 300
"""Ids of records that are kept of each model: what is sent again is younger."""


class Forgetful(list[Any]):
    """A list of calls that stays empty."""

    def append(self, _item: object) -> None:
        return


def version_of(model: str, backend: str) -> str:
    """Return the version that a backend of a model is of."""
    return backend.removeprefix(f"{model}-v").replace("-", ".")


def planned(spec: RolloutSpec) -> tuple[PlannedStage, ...]:
    """Return a plan as the oracle reads it."""
    return tuple(_planned(stage) for stage in spec.stages)


def _planned(stage: Stage) -> PlannedStage:
    tolerated = {ErrorRate: 0.0, Latency: 0.0}
    for line in stage.abort_on:
        condition = parse_abort_condition(line)
        match condition.metric:
            case Latency(quantile):
                tolerated[Latency] = 1 - quantile
            case ErrorRate() if not condition.compared:
                tolerated[ErrorRate] = condition.threshold
    needs = [math.ceil(round(3 / proportion, 6)) for proportion in tolerated.values() if proportion]
    length = stage.bake or stage.duration
    return PlannedStage(
        name=stage.name,
        share=stage.traffic.parts / 100,
        watch=length.seconds if length is not None else 0.0,
        errors=tolerated[ErrorRate],
        slow=tolerated[Latency],
        requests=stage.min_requests or max(needs, default=0),
        approval=stage.approval is Approval.REQUIRED,
    )


class SoakStore(MemoryStore):
    """The registry's storage: tells the oracle each record, and shows the head in the Model as Kubernetes does."""

    def __init__(self, cluster: "SoakCluster") -> None:
        super().__init__({})
        self._cluster = cluster

    def _commit(self, step: Commit) -> None:
        known = step.record.id in self._of(step.model).numbers
        super()._commit(step)
        if known:
            return
        data, record = self._of(step.model), step.record
        if record.event not in STANDING:
            del data.records[record.sequence]
        while len(data.numbers) > IDS:
            del data.numbers[next(iter(data.numbers))]
        self._cluster.tell(Recorded(self._cluster.now(), step.model.name, record))
        self._cluster.show_head(step)

    def forget(self, model: ObjectKey, version: str) -> None:
        """Drop what is kept of a version whose object is gone for ever."""
        data = self._of(model)
        data.versions.pop(version, None)
        for number in [number for number, content in data.records.items() if content.get("version") == version]:
            del data.records[number]


class SoakCluster(FakeCluster):
    """The objects; every write is told to the oracle.

    Args:
        now: true time in seconds since the simulation began.
        tell: takes the facts.
    """

    def __init__(self, now: Callable[[], float], tell: Callable[[Fact], None]) -> None:
        super().__init__()
        self.now, self.tell = now, tell
        self.journal, self.lists = Forgetful(), Forgetful()
        self.store = SoakStore(self)
        self.registry = self.store
        self.qualities: dict[tuple[str, str], Quality] = {}
        self.by_operator = True
        self.traffic: Traffic | None = None

    def unfollow(self) -> None:
        """Let no watch see anything any more."""
        self._on_change = self._on_delete = None

    def use_weather(self, weather: Weather, failures: Failures) -> None:
        """Have the reads fail by the weather."""
        self.faults = failures
        self.weather = weather

    @contextmanager
    def somebody_else(self) -> Iterator[None]:
        """Write as a person or another controller does."""
        before, self.by_operator = self.by_operator, False
        try:
            yield
        finally:
            self.by_operator = before

    def put(self, record: Record) -> Record:
        before = self.objects.get((type(record), record.meta.key))
        stored = super().put(record)
        self._say(before, stored)
        return stored

    def remove(self, kind: type[Record], key: ObjectKey) -> None:
        uid = self.objects[kind, key].meta.uid
        super().remove(kind, key)
        if kind is RolloutRecord:
            self.tell(Gone(self.now(), key.name, uid))

    def show_head(self, step: Commit) -> None:
        """Write the head into the Model's status, as the registry in Kubernetes does."""
        model = self.objects.get((ModelRecord, step.model))
        if isinstance(model, ModelRecord):
            head = step.after
            served = frozenset([*head.good, *([head.production.version] if head.production else [])])
            self.put(replace(model, served=served, recorded=head.audit.sequence, production=head.production))

    def shares(self, route: HttpRouteRecord) -> dict[str, float]:
        """Return the percentage of each version."""
        entries = route.rules[0].entries
        total = sum(entry.weight for entry in entries) or 1
        model = route.meta.key.name
        return {version_of(model, entry.key.name): 100 * entry.weight / total for entry in entries}

    def _say(self, before: Record | None, after: Record) -> None:
        at, name = self.now(), after.meta.key.name
        match after:
            case HttpRouteRecord():
                self._say_route(before, after, at)
            case RolloutRecord():
                self._say_rollout(before if isinstance(before, RolloutRecord) else None, after, at)
            case ModelVersionRecord() if after.yanked and not (
                isinstance(before, ModelVersionRecord) and before.yanked
            ):
                self.tell(Yanked(at, after.model, after.version))
            case EndpointsRecord():
                model = after.service.partition("-v")[0]
                self.tell(Endpoints(at, model, version_of(model, after.service), after.ready))
            case NamespaceRecord():
                for kind, key in list(self.objects):
                    if kind is ModelRecord and key.namespace == name:
                        self.tell(Frozen(at, key.name, on=after.freeze is not None))
            case _:
                pass

    def _say_route(self, before: Record | None, after: HttpRouteRecord, at: float) -> None:
        if isinstance(before, HttpRouteRecord) and before.rules == after.rules:
            return
        shares, model = self.shares(after), after.meta.key.name
        if self.traffic is not None:
            known = {version: self.qualities[model, version] for version in shares}
            self.traffic.set_shares(model, shares, known, at)
        self.tell(Weights(at, model, shares, self.by_operator))

    def _say_rollout(self, before: RolloutRecord | None, after: RolloutRecord, at: float) -> None:
        name, uid = after.meta.key.name, after.meta.uid
        if (before is None or before.spec != after.spec) and isinstance(after.spec, RolloutSpec):
            self.tell(Wished(at, name, uid, after.spec.version, planned(after.spec)))
        for verb, token in after.commands.items():
            if before is None or before.commands.get(verb) != token:
                self.tell(Commanded(at, name, verb, token))
        if after.deleting and not (before is not None and before.deleting):
            self.tell(Deleting(at, name, uid))
        if before is not None and before.status != after.status:
            self.tell(StatusWritten(at, name, uid, after.status))

    async def end_trouble_of_gateway(self) -> None:
        """Accept every route as it is now."""
        self.accepting = True
        for (kind, _), record in list(self.objects.items()):
            if kind is HttpRouteRecord and isinstance(record, HttpRouteRecord):
                parents = tuple(replace(parent, observed_generation=record.generation) for parent in record.parents)
                if parents != record.parents:
                    self.put(replace(record, parents=parents))
        await asyncio.sleep(0)
