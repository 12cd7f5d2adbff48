"""What is known of the cluster: the last sight of every object, and which Rollouts each of them concerns."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar, assert_never

from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.engine.observation import InvalidSpec
from serinus.ports import (
    EndpointsRecord,
    JobRecord,
    ModelVersionRecord,
    NamespaceRecord,
    Record,
    RolloutRecord,
    RouteRecord,
)

G = TypeVar("G")
R = TypeVar("R")
_Predicate = Callable[[RolloutSpec], bool]

KINDS: tuple[type[Record], ...] = (
    NamespaceRecord,
    EndpointsRecord,
    ModelVersionRecord,
    RouteRecord,
    JobRecord,
    RolloutRecord,
)
"""Every kind, in the order in which a resync reads them: the Rollouts come last, so they find their world complete."""


class Store:
    """The records by kind and key. An older sight never replaces a newer one."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._records: dict[type[Record], dict[ObjectKey, Record]] = {kind: {} for kind in KINDS}
        self._versions: dict[tuple[str, str], dict[ObjectKey, ModelVersionRecord]] = defaultdict(dict)
        self._models: dict[tuple[str, str], dict[ObjectKey, str]] = defaultdict(dict)
        self._slices: dict[tuple[str, str], dict[ObjectKey, int]] = defaultdict(dict)
        self._jobs: dict[ObjectKey, dict[ObjectKey, JobRecord]] = defaultdict(dict)
        self._by_namespace: dict[str, set[ObjectKey]] = defaultdict(set)
        self._plans: dict[ObjectKey, RolloutSpec] = {}

    def put(self, record: Record) -> frozenset[ObjectKey]:
        """Take in a sight of an object and return the Rollouts that it concerns; none where nothing new is seen."""
        held = self._records[type(record)].get(record.meta.key)
        if held is not None and held.meta.uid == record.meta.uid and held.meta.version >= record.meta.version:
            return frozenset()
        concerned = self._concerned(held) if held is not None else frozenset()
        if held is not None:
            self._forget(held)
        self._records[type(record)][record.meta.key] = record
        self._index(record)
        return concerned | self._concerned(record)

    def drop(self, kind: type[Record], key: ObjectKey, uid: str) -> frozenset[ObjectKey]:
        """Forget an object that is gone, unless another one has its name now, and return the Rollouts concerned."""
        held = self._records[kind].get(key)
        if held is None or (uid and held.meta.uid != uid):
            return frozenset()
        concerned = self._concerned(held)
        del self._records[kind][key]
        self._forget(held)
        return concerned

    def replace_all(self, kind: type[Record], records: Iterable[Record]) -> frozenset[ObjectKey]:
        """Take in a complete list of a kind: what it does not hold has vanished unseen."""
        seen = {record.meta.key: record for record in records}
        gone = [held.meta for key, held in self._records[kind].items() if key not in seen]
        concerned = [self.drop(kind, meta.key, meta.uid) for meta in gone]
        concerned += [self.put(record) for record in seen.values()]
        return frozenset().union(*concerned)

    def rollout(self, key: ObjectKey) -> RolloutRecord | None:
        """Return a Rollout."""
        found = self._records[RolloutRecord].get(key)
        return found if isinstance(found, RolloutRecord) else None

    def rollouts(self) -> tuple[RolloutRecord, ...]:
        """Return all Rollouts."""
        return tuple(record for record in self._records[RolloutRecord].values() if isinstance(record, RolloutRecord))

    def rollouts_in(self, namespace: str) -> tuple[RolloutRecord, ...]:
        """Return the Rollouts of a namespace."""
        found = (self.rollout(key) for key in self._by_namespace.get(namespace, ()))
        return tuple(record for record in found if record is not None)

    def last_plan(self, record: RolloutRecord) -> RolloutSpec | None:
        """Return the last spec of this Rollout that could be followed."""
        return record.spec if isinstance(record.spec, RolloutSpec) else self._plans.get(record.meta.key)

    def route(self, key: ObjectKey) -> RouteRecord | None:
        """Return a route."""
        found = self._records[RouteRecord].get(key)
        return found if isinstance(found, RouteRecord) else None

    def versions(self, namespace: str, model: str) -> tuple[ModelVersionRecord, ...]:
        """Return the model's ModelVersions."""
        return tuple(self._versions.get((namespace, model), {}).values())

    def ready_endpoints(self, namespace: str, service: str) -> int:
        """Return how many endpoints of a Service are ready."""
        return sum(self._slices.get((namespace, service), {}).values())

    def freeze(self, namespace: str) -> str | None:
        """Return the namespace's reason to let nothing advance."""
        found = self._records[NamespaceRecord].get(ObjectKey("", namespace))
        return found.freeze if isinstance(found, NamespaceRecord) else None

    def jobs(self, key: ObjectKey) -> tuple[JobRecord, ...]:
        """Return the Jobs that test this Rollout's candidates."""
        return tuple(self._jobs.get(key, {}).values())

    def counts(self) -> Mapping[str, int]:
        """Return how many objects of each kind are known, for the operator's own metrics."""
        return {kind.__name__.removesuffix("Record"): len(held) for kind, held in self._records.items()}

    def _index(self, record: Record) -> None:
        key = record.meta.key
        match record:
            case RolloutRecord():
                self._by_namespace[key.namespace].add(key)
                if not isinstance(record.spec, InvalidSpec):
                    self._plans[key] = record.spec
            case ModelVersionRecord():
                self._versions[key.namespace, record.model][key] = record
                if record.backend is not None:
                    self._models[key.namespace, record.backend.name][key] = record.model
            case EndpointsRecord():
                self._slices[key.namespace, record.service][key] = record.ready
            case JobRecord():
                self._jobs[ObjectKey(key.namespace, record.rollout)][key] = record
            case RouteRecord() | NamespaceRecord():
                pass
            case _:
                assert_never(record)

    def _forget(self, record: Record) -> None:
        key = record.meta.key
        match record:
            case RolloutRecord():
                if key not in self._records[RolloutRecord]:
                    self._by_namespace[key.namespace].discard(key)
                    self._plans.pop(key, None)
            case ModelVersionRecord():
                _discard(self._versions, (key.namespace, record.model), key)
                if record.backend is not None:
                    _discard(self._models, (key.namespace, record.backend.name), key)
            case EndpointsRecord():
                _discard(self._slices, (key.namespace, record.service), key)
            case JobRecord():
                _discard(self._jobs, ObjectKey(key.namespace, record.rollout), key)
            case RouteRecord() | NamespaceRecord():
                pass
            case _:
                assert_never(record)

    def _concerned(self, record: Record) -> frozenset[ObjectKey]:
        key = record.meta.key
        match record:
            case RolloutRecord():
                return frozenset({key}) | self._rivals(record)
            case JobRecord():
                return frozenset({ObjectKey(key.namespace, record.rollout)})
            case NamespaceRecord():
                return frozenset(self._by_namespace.get(key.name, ()))
            case ModelVersionRecord():
                return self._where(key.namespace, lambda plan: plan.model == record.model)
            case RouteRecord():
                return self._where(key.namespace, lambda plan: plan.route.http_route.name == key.name)
            case EndpointsRecord():
                models = frozenset(self._models.get((key.namespace, record.service), {}).values())
                return self._where(key.namespace, lambda plan: plan.model in models)
            case _:
                assert_never(record)

    def _rivals(self, record: RolloutRecord) -> frozenset[ObjectKey]:
        """Return the other Rollouts of the same model or route, whose conflict may have come or gone."""
        plan = self.last_plan(record)
        if plan is None:
            return frozenset()
        route = plan.route.http_route.name
        return self._where(
            record.meta.key.namespace, lambda other: other.model == plan.model or other.route.http_route.name == route
        )

    def _where(self, namespace: str, holds: _Predicate) -> frozenset[ObjectKey]:
        keys = self._by_namespace.get(namespace, ())
        return frozenset(key for key in keys if key in self._plans and holds(self._plans[key]))


def _discard(index: dict[G, dict[ObjectKey, R]], group: G, key: ObjectKey) -> None:
    members = index.get(group)
    if members is not None:
        members.pop(key, None)
        if not members:
            del index[group]
