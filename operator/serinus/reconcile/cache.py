"""What is known of the cluster: the last sight of every object, and which Rollouts each of them concerns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.ports.cluster_state import (
    EndpointsRecord,
    JobRecord,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
    Record,
    RolloutRecord,
    RouteRecord,
)
from serinus.reconcile.index import Index

KINDS: Final[tuple[type[Record], ...]] = (
    NamespaceRecord,
    EndpointsRecord,
    ModelRecord,
    ModelVersionRecord,
    RouteRecord,
    JobRecord,
    RolloutRecord,
)
"""Every kind, in the order in which a resync reads them: the Rollouts come last, so they find their world complete."""

_NONE: Final[frozenset[ObjectKey]] = frozenset()


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of one kind while it is being read: what it cannot know, because it is older than what the watch tells.

    Attributes:
        kind: what is listed.
        known: the uids of the objects known when the reading began: only these can have vanished unseen.
        deleted_meanwhile: the uids of the objects that were deleted meanwhile: the list does not bring them back.
    """

    kind: type[Record]
    known: Mapping[ObjectKey, str]
    deleted_meanwhile: set[str]


class ClusterCache:
    """The records by kind and key. An older sight never replaces a newer one."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._records: dict[type[Record], dict[ObjectKey, Record]] = {kind: {} for kind in KINDS}
        self._plans: dict[ObjectKey, RolloutSpec] = {}
        self._by_namespace: Index[str, None] = Index()
        self._by_model: Index[tuple[str, str], None] = Index()
        self._by_route: Index[tuple[str, str], None] = Index()
        self._versions: Index[tuple[str, str], ModelVersionRecord] = Index()
        self._models: Index[tuple[str, str], str] = Index()
        self._slices: Index[tuple[str, str], int] = Index()
        self._jobs: Index[ObjectKey, JobRecord] = Index()
        self._listings: list[Listing] = []

    # ---- taking in -----------------------------------------------------------------------------

    def put(self, record: Record) -> frozenset[ObjectKey]:
        """Take in a sight of an object and return the Rollouts that it concerns; none where nothing new is seen."""
        key = record.meta.key
        held = self._records[type(record)].get(key)
        if held is not None and held.meta.version >= record.meta.version:
            return _NONE
        concerned = _NONE
        if held is not None:
            concerned = self._concerned(held)
            self._forget(held)
            if held.meta.uid != record.meta.uid:
                # A namesake: the plan of the one that is gone says nothing of it.
                self._plans.pop(key, None)
        self._records[type(record)][key] = record
        self._index(record)
        if _says_nothing_new(held, record):
            return _NONE
        return concerned | self._concerned(record)

    def is_news(self, record: Record) -> bool:
        """Say whether a sight is newer than what is known, and not only of the registry's own writing."""
        held = self._records[type(record)].get(record.meta.key)
        if held is None:
            return True
        return held.meta.version < record.meta.version and not _says_nothing_new(held, record)

    def drop(self, kind: type[Record], key: ObjectKey, uid: str) -> frozenset[ObjectKey]:
        """Forget an object that is gone, unless another one has its name now, and return the Rollouts concerned."""
        for listing in self._listings:
            if listing.kind is kind:
                listing.deleted_meanwhile.add(uid)
        held = self._records[kind].get(key)
        if held is None or (uid and held.meta.uid != uid):
            return _NONE
        concerned = self._concerned(held)
        del self._records[kind][key]
        self._forget(held)
        if kind is RolloutRecord:
            self._plans.pop(key, None)
        return concerned

    def begin_listing(self, kind: type[Record]) -> Listing:
        """Say that a complete list of this kind is about to be read; ``end_listing`` must follow."""
        listing = Listing(kind, {key: held.meta.uid for key, held in self._records[kind].items()}, set())
        self._listings.append(listing)
        return listing

    def end_listing(self, listing: Listing) -> None:
        """Say that the list has been taken in, or could not be read."""
        self._listings.remove(listing)

    def vanished(self, listing: Listing, records: Iterable[Record]) -> tuple[ObjectKey, ...]:
        """Return what the list should hold and does not: it was deleted unseen."""
        seen = {record.meta.key for record in records}
        held = self._records[listing.kind]
        return tuple(
            key for key, uid in listing.known.items() if key not in seen and key in held and held[key].meta.uid == uid
        )

    def put_all(self, listing: Listing, records: Iterable[Record]) -> frozenset[ObjectKey]:
        """Take in the members of the list and return the Rollouts concerned."""
        alive = (record for record in records if record.meta.uid not in listing.deleted_meanwhile)
        return _NONE.union(*(self.put(record) for record in alive))

    # ---- asking --------------------------------------------------------------------------------

    def rollout(self, key: ObjectKey) -> RolloutRecord | None:
        """Return a Rollout."""
        found = self._records[RolloutRecord].get(key)
        return found if isinstance(found, RolloutRecord) else None

    def rollouts(self) -> tuple[RolloutRecord, ...]:
        """Return all Rollouts."""
        return tuple(record for record in self._records[RolloutRecord].values() if isinstance(record, RolloutRecord))

    def rivals(self, key: ObjectKey, plan: RolloutSpec) -> tuple[RolloutRecord, ...]:
        """Return the other Rollouts of this plan's model or HTTPRoute."""
        found = (self.rollout(rival) for rival in self._sharing(key.namespace, plan) - {key})
        return tuple(record for record in found if record is not None)

    def last_plan(self, record: RolloutRecord) -> RolloutSpec | None:
        """Return the last spec of this Rollout that could be followed."""
        if isinstance(record.spec, RolloutSpec):
            return record.spec
        return record.spec.last or self._plans.get(record.meta.key)

    def route(self, key: ObjectKey) -> RouteRecord | None:
        """Return a route."""
        found = self._records[RouteRecord].get(key)
        return found if isinstance(found, RouteRecord) else None

    def uid_of(self, kind: type[Record], key: ObjectKey) -> str | None:
        """Return which object has this name, as far as is known."""
        found = self._records[kind].get(key)
        return found.meta.uid if found is not None else None

    def versions(self, namespace: str, model: str) -> tuple[ModelVersionRecord, ...]:
        """Return the model's ModelVersions."""
        return self._versions.values((namespace, model))

    def model(self, namespace: str, model: str) -> ModelRecord | None:
        """Return a Model; None where it does not exist (yet)."""
        found = self._records[ModelRecord].get(ObjectKey(namespace, model))
        return found if isinstance(found, ModelRecord) else None

    def rollouts_of(self, namespace: str, model: str) -> tuple[RolloutRecord, ...]:
        """Return the Rollouts of a model."""
        found = (self.rollout(key) for key in self._by_model.keys((namespace, model)))
        return tuple(record for record in found if record is not None)

    def models_behind(self, record: Record) -> frozenset[ObjectKey]:
        """Return the models whose versions an object says something of, by namespace and model name."""
        namespace = record.meta.key.namespace
        match record:
            case ModelVersionRecord():
                return frozenset({ObjectKey(namespace, record.model)}) if record.model else _NONE
            case ModelRecord():
                return frozenset({record.meta.key})
            case EndpointsRecord():
                models = self._models.values((namespace, record.service))
                return frozenset(ObjectKey(namespace, model) for model in models)
            case RolloutRecord() | RouteRecord() | JobRecord() | NamespaceRecord():
                return _NONE
            case _:
                assert_never(record)

    def ready_endpoints(self, namespace: str, service: str) -> int:
        """Return how many endpoints of a Service are ready."""
        return sum(self._slices.values((namespace, service)))

    def freeze(self, namespace: str) -> str | None:
        """Return the namespace's reason to let nothing advance."""
        found = self._records[NamespaceRecord].get(ObjectKey("", namespace))
        return found.freeze if isinstance(found, NamespaceRecord) else None

    def jobs(self, key: ObjectKey) -> tuple[JobRecord, ...]:
        """Return the Jobs that test this Rollout's candidates."""
        return self._jobs.values(key)

    def counts(self) -> Mapping[str, int]:
        """Return how many objects of each kind are known, for the operator's own metrics."""
        return {kind.__name__.removesuffix("Record"): len(held) for kind, held in self._records.items()}

    # ---- inside --------------------------------------------------------------------------------

    def _index(self, record: Record) -> None:
        key = record.meta.key
        match record:
            case RolloutRecord():
                if isinstance(record.spec, RolloutSpec):
                    self._plans[key] = record.spec
                self._by_namespace.add(key.namespace, key, None)
                plan = self._plans.get(key)
                if plan is not None:
                    self._by_model.add((key.namespace, plan.model), key, None)
                    self._by_route.add((key.namespace, plan.route.http_route.name), key, None)
            case ModelVersionRecord():
                self._versions.add((key.namespace, record.model), key, record)
                if record.backend is not None:
                    self._models.add((key.namespace, record.backend.name), key, record.model)
            case EndpointsRecord():
                self._slices.add((key.namespace, record.service), key, record.ready)
            case JobRecord():
                self._jobs.add(ObjectKey(key.namespace, record.rollout), key, record)
            case RouteRecord() | NamespaceRecord() | ModelRecord():
                pass
            case _:
                assert_never(record)

    def _forget(self, record: Record) -> None:
        key = record.meta.key
        match record:
            case RolloutRecord():
                self._by_namespace.discard(key.namespace, key)
                plan = self._plans.get(key)
                if plan is not None:
                    self._by_model.discard((key.namespace, plan.model), key)
                    self._by_route.discard((key.namespace, plan.route.http_route.name), key)
            case ModelVersionRecord():
                self._versions.discard((key.namespace, record.model), key)
                if record.backend is not None:
                    self._models.discard((key.namespace, record.backend.name), key)
            case EndpointsRecord():
                self._slices.discard((key.namespace, record.service), key)
            case JobRecord():
                self._jobs.discard(ObjectKey(key.namespace, record.rollout), key)
            case RouteRecord() | NamespaceRecord() | ModelRecord():
                pass
            case _:
                assert_never(record)

    def _concerned(self, record: Record) -> frozenset[ObjectKey]:
        key = record.meta.key
        match record:
            case RolloutRecord():
                plan = self._plans.get(key)
                # A conflict with the others of the same model or route may have come or gone.
                return frozenset({key}) | (self._sharing(key.namespace, plan) if plan is not None else _NONE)
            case JobRecord():
                return frozenset({ObjectKey(key.namespace, record.rollout)})
            case NamespaceRecord():
                return self._by_namespace.keys(key.name)
            case ModelVersionRecord():
                return self._by_model.keys((key.namespace, record.model))
            case ModelRecord():
                return self._by_model.keys((key.namespace, key.name))
            case RouteRecord():
                return self._by_route.keys((key.namespace, key.name))
            case EndpointsRecord():
                models = set(self._models.values((key.namespace, record.service)))
                return _NONE.union(*(self._by_model.keys((key.namespace, model)) for model in models))
            case _:
                assert_never(record)

    def _sharing(self, namespace: str, plan: RolloutSpec) -> frozenset[ObjectKey]:
        same_model = self._by_model.keys((namespace, plan.model))
        return same_model | self._by_route.keys((namespace, plan.route.http_route.name))


def _says_nothing_new(before: Record | None, now: Record) -> bool:
    """Say whether only the status of a Model has changed: the head, which the registry itself has written."""
    if not isinstance(before, ModelRecord) or not isinstance(now, ModelRecord):
        return False
    return (before.meta.uid, before.generation) == (now.meta.uid, now.generation)
