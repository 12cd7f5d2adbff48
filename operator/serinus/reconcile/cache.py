"""The newest known version of every object of the cluster, and which Rollouts each of them concerns."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.route import RouteKind, RuleId
from serinus.engine.rollout.traffic.capabilities import HTTP_ROUTE, RouterCapabilities
from serinus.ports.cluster_state import (
    ROUTE_RECORDS,
    EndpointsRecord,
    JobRecord,
    Listed,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
    Record,
    RolloutRecord,
    RouteRecord,
)
from serinus.reconcile.listing import Listing
from serinus.reconcile.relations import Relations

KINDS: Final[tuple[type[Record], ...]] = (
    NamespaceRecord,
    EndpointsRecord,
    ModelRecord,
    ModelVersionRecord,
    JobRecord,
    RolloutRecord,
)
"""The kinds that are always read. Rollouts come last, when what they refer to is known."""

HTTP_ROUTES: Final[Mapping[RouteKind, RouterCapabilities]] = {RouteKind.HTTP_ROUTE: HTTP_ROUTE}
"""The routes of an installation that switches on no other kind."""

_NONE: Final[frozenset[ObjectKey]] = frozenset()

_MOST_GONE: Final = 4096
"""So many deleted objects are remembered: those whose last write may not be answered yet."""


class ClusterCache:
    """The records by kind and key. An older version never replaces a newer one.

    Attributes:
        kinds: every kind, in the order in which a resync reads them.
        routers: the kinds of routes that are switched on, and what can be done with each.
    """

    def __init__(self, routers: Mapping[RouteKind, RouterCapabilities] = HTTP_ROUTES) -> None:
        """Begin empty."""
        self.routers = routers
        self.kinds: tuple[type[Record], ...] = (*KINDS[:-2], *(ROUTE_RECORDS[kind] for kind in routers), *KINDS[-2:])
        self._records: dict[type[Record], dict[ObjectKey, Record]] = {kind: {} for kind in self.kinds}
        self._relations = Relations()
        self._listings: list[Listing] = []
        self._newest_list = 0
        self._gone: dict[str, None] = {}

    # ---- writing -------------------------------------------------------------------------------

    def put(self, record: Record) -> frozenset[ObjectKey]:
        """Store a version of an object and return the Rollouts that it concerns; none where it brings nothing new."""
        key = record.meta.key
        previous = self._records[type(record)].get(key)
        if previous is not None and previous.meta.version >= record.meta.version:
            return _NONE
        concerned = _NONE
        if previous is not None:
            concerned = self._relations.concerned(previous)
            self._relations.discard(previous)
            if previous.meta.uid != record.meta.uid:
                # A new object of the same name: the plan of the deleted one is not its own.
                self._relations.plans.pop(key, None)
        self._records[type(record)][key] = record
        self._gone.pop(record.meta.uid, None)
        self._relations.add(record)
        if _is_own_write(previous, record):
            return _NONE
        return concerned | self._relations.concerned(record)

    def is_news(self, record: Record) -> bool:
        """Return whether a version is newer than the known one, and more than the registry's own write.

        A new production version is news all the same: its ModelVersion shows who promoted it.
        """
        previous = self._records[type(record)].get(record.meta.key)
        if previous is None:
            return True
        own = _is_own_write(previous, record) and not _promotes(previous, record)
        return previous.meta.version < record.meta.version and not own

    def drop(self, kind: type[Record], key: ObjectKey, uid: str) -> frozenset[ObjectKey]:
        """Remove an object that is gone, unless another one has its name now, and return the Rollouts concerned."""
        for listing in self._listings:
            if listing.kind is kind:
                listing.deleted_meanwhile.add(uid)
        record = self._records[kind].get(key)
        self._note_gone(uid or (record.meta.uid if record is not None else ""))
        if record is None or (uid and record.meta.uid != uid):
            return _NONE
        concerned = self._relations.concerned(record)
        del self._records[kind][key]
        self._relations.discard(record)
        if kind is RolloutRecord:
            self._relations.plans.pop(key, None)
        return concerned

    def _note_gone(self, uid: str) -> None:
        self._gone[uid] = None
        if len(self._gone) > _MOST_GONE:
            del self._gone[next(iter(self._gone))]

    def begin_listing(self, kind: type[Record]) -> Listing:
        """Begin to read a complete list of this kind; ``end_listing`` must follow."""
        records = self._records[kind]
        listing = Listing(
            kind=kind,
            known={key: record.meta.uid for key, record in records.items()},
            versions={key: record.meta.version for key, record in records.items()},
            newest=self._newest_list,
            deleted_meanwhile=set(),
        )
        self._listings.append(listing)
        return listing

    def end_listing(self, listing: Listing) -> None:
        """End a listing, whether the list was stored or could not be read."""
        self._listings.remove(listing)

    def note_list(self, listed: Listed) -> None:
        """Note how new a list was that is believed."""
        self._newest_list = listed.version if listed.version is not None else self._newest_list

    def vanished(self, listing: Listing, records: Iterable[Record]) -> tuple[ObjectKey, ...]:
        """Return the objects that the list should contain and does not: the watch missed their deletion."""
        listed = {record.meta.key for record in records}
        return tuple(
            key for key, uid in listing.known.items() if key not in listed and self.uid_of(listing.kind, key) == uid
        )

    def replaced(self, listing: Listing, records: Iterable[Record]) -> tuple[ObjectKey, ...]:
        """Return the objects whose name another one has in the list: the watch missed that they were made anew."""
        known = ((record.meta.key, record.meta.uid, listing.known.get(record.meta.key)) for record in records)
        return tuple(
            key for key, uid, before in known if before not in {None, uid} and self.uid_of(listing.kind, key) == before
        )

    def put_all(self, listing: Listing, records: Iterable[Record]) -> frozenset[ObjectKey]:
        """Store the members of the list and return the Rollouts concerned."""
        alive = [record for record in records if record.meta.uid not in listing.deleted_meanwhile]
        behind = frozenset(record.meta.key for record in alive if listing.is_behind(record))
        for key in behind:
            known = self._records[listing.kind].get(key)
            if known is not None and known.meta.version == listing.versions[key]:
                self._records[listing.kind][key] = replace(known, meta=replace(known.meta, version=0))
        return _NONE.union(*(self.put(record) for record in alive))

    # ---- reading -------------------------------------------------------------------------------

    def is_gone(self, uid: str) -> bool:
        """Return whether the object with this uid was dropped, and neither the watch nor a list has shown it since."""
        return uid in self._gone

    def rollout(self, key: ObjectKey) -> RolloutRecord | None:
        """Return a Rollout."""
        record = self._records[RolloutRecord].get(key)
        return record if isinstance(record, RolloutRecord) else None

    def rollouts(self) -> tuple[RolloutRecord, ...]:
        """Return all Rollouts."""
        return tuple(record for record in self._records[RolloutRecord].values() if isinstance(record, RolloutRecord))

    def rivals(self, key: ObjectKey, plan: RolloutSpec) -> tuple[RolloutRecord, ...]:
        """Return the other Rollouts of this plan's model or route."""
        rivals = (self.rollout(rival) for rival in self._relations.sharing(key.namespace, plan) - {key})
        return tuple(record for record in rivals if record is not None)

    def last_plan(self, record: RolloutRecord) -> RolloutSpec | None:
        """Return the last spec of this Rollout that could be followed."""
        if isinstance(record.spec, RolloutSpec):
            return record.spec
        known = self._records[RolloutRecord].get(record.meta.key)
        own = known is not None and known.meta.uid == record.meta.uid
        return (self._relations.plans.get(record.meta.key) if own else None) or record.spec.last

    def route(self, namespace: str, rule: RuleId) -> RouteRecord | None:
        """Return the route with this rule; None where it does not exist, or its kind is not switched on."""
        record = self._records.get(ROUTE_RECORDS[rule.kind], {}).get(ObjectKey(namespace, rule.name))
        return record if isinstance(record, RouteRecord) else None

    def uid_of(self, kind: type[Record], key: ObjectKey) -> str | None:
        """Return the uid of the object of this name; None where none is known."""
        record = self._records[kind].get(key)
        return record.meta.uid if record is not None else None

    def registered(self, kind: type[Record], key: ObjectKey, uid: str) -> ModelVersionRecord | ModelRecord | None:
        """Return this very ModelVersion or Model; None where it is of another kind, or another one has its name."""
        record = self._records[kind].get(key)
        own = isinstance(record, ModelVersionRecord | ModelRecord) and record.meta.uid == uid
        return record if own and isinstance(record, ModelVersionRecord | ModelRecord) else None

    def versions(self, namespace: str, model: str) -> tuple[ModelVersionRecord, ...]:
        """Return the model's ModelVersions."""
        return self._relations.versions.values((namespace, model))

    def model(self, namespace: str, model: str) -> ModelRecord | None:
        """Return a Model; None where it does not exist (yet)."""
        record = self._records[ModelRecord].get(ObjectKey(namespace, model))
        return record if isinstance(record, ModelRecord) else None

    def models(self) -> frozenset[ObjectKey]:
        """Return every model that has a Model or a ModelVersion."""
        records = (*self._records[ModelRecord].values(), *self._records[ModelVersionRecord].values())
        return _NONE.union(*map(self.models_behind, records))

    def rollouts_of(self, namespace: str, model: str) -> tuple[RolloutRecord, ...]:
        """Return the Rollouts of a model."""
        rollouts = (self.rollout(key) for key in self._relations.by_model.keys((namespace, model)))
        return tuple(record for record in rollouts if record is not None)

    def models_behind(self, record: Record) -> frozenset[ObjectKey]:
        """Return the models whose versions an object concerns, by namespace and model name."""
        return self._relations.models_behind(record)

    def ready_endpoints(self, namespace: str, service: str) -> int:
        """Return how many endpoints of a Service are ready."""
        return sum(self._relations.slices.values((namespace, service)))

    def freeze(self, namespace: str) -> str | None:
        """Return the namespace's reason to let nothing advance."""
        record = self._records[NamespaceRecord].get(ObjectKey("", namespace))
        return record.freeze if isinstance(record, NamespaceRecord) else None

    def terminating(self, namespace: str) -> bool:
        """Return whether the namespace is being deleted."""
        record = self._records[NamespaceRecord].get(ObjectKey("", namespace))
        return isinstance(record, NamespaceRecord) and record.terminating

    def served(self, namespace: str, model: str) -> frozenset[str]:
        """Return the versions of a model that have served well, as the registry's head knows them."""
        record = self.model(namespace, model)
        return record.served if record is not None else frozenset()

    def has_slices(self, namespace: str, service: str) -> bool:
        """Return whether any EndpointSlice of a Service exists."""
        return bool(self._relations.slices.keys((namespace, service)))

    def job(self, key: ObjectKey) -> JobRecord | None:
        """Return a Job by its own key."""
        record = self._records[JobRecord].get(key)
        return record if isinstance(record, JobRecord) else None

    def jobs(self, key: ObjectKey) -> tuple[JobRecord, ...]:
        """Return the Jobs that test this Rollout's candidates."""
        return self._relations.jobs.values(key)

    def counts(self) -> Mapping[str, int]:
        """Return how many objects of each kind are known, for the operator's own metrics."""
        return {kind.__name__.removesuffix("Record"): len(records) for kind, records in self._records.items()}


def _is_own_write(before: Record | None, after: Record) -> bool:
    """Return whether only the status of a Model has changed: the head, which the registry itself has written."""
    if not isinstance(before, ModelRecord) or not isinstance(after, ModelRecord):
        return False
    return (before.meta.uid, before.generation) == (after.meta.uid, after.generation)


def _promotes(before: Record, after: Record) -> bool:
    """Return whether the head of a Model shows another production version, or the same one promoted anew."""
    if not isinstance(before, ModelRecord) or not isinstance(after, ModelRecord):
        return False
    return before.production != after.production
