"""Which Rollouts and which models an object concerns: indexes over what the objects name."""

from collections.abc import Iterable
from typing import Final, assert_never

from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.route import RouteKind
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

_NONE: Final[frozenset[ObjectKey]] = frozenset()


class Relations:
    """What the records of the cache name, by namespace and name.

    Attributes:
        plans: the last spec of each Rollout that could be followed.
        by_model: the Rollouts of a model.
        versions: the ModelVersions of a model.
        slices: the EndpointSlices of a Service, with how many endpoints are ready.
        jobs: the Jobs that test the candidates of a Rollout.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.plans: dict[ObjectKey, RolloutSpec] = {}
        self.by_model: Index[tuple[str, str], None] = Index()
        self.versions: Index[tuple[str, str], ModelVersionRecord] = Index()
        self.slices: Index[tuple[str, str], int] = Index()
        self.jobs: Index[ObjectKey, JobRecord] = Index()
        self._by_namespace: Index[str, None] = Index()
        self._by_route: Index[tuple[str, str], None] = Index()
        self._by_service: Index[tuple[str, str], None] = Index()
        self._models: Index[tuple[str, str], str] = Index()

    def add(self, record: Record) -> None:
        """Relate a record to what it names."""
        key = record.meta.key
        match record:
            case RolloutRecord():
                if isinstance(record.spec, RolloutSpec):
                    self.plans[key] = record.spec
                elif record.spec.last is not None:
                    # No spec of it was followed in this process: what can be read of it guards its run.
                    self.plans.setdefault(key, record.spec.last)
                self._by_namespace.add(key.namespace, key, None)
                for index, name in self._named_by(record):
                    index.add((key.namespace, name), key, None)
            case ModelVersionRecord():
                self.versions.add((key.namespace, record.model), key, record)
                if record.backend is not None:
                    self._models.add((key.namespace, record.backend.name), key, record.model)
            case EndpointsRecord():
                self.slices.add((key.namespace, record.service), key, record.ready)
            case JobRecord():
                self.jobs.add(ObjectKey(key.namespace, record.rollout), key, record)
            case RouteRecord() | NamespaceRecord() | ModelRecord():
                pass
            case _:
                assert_never(record)

    def discard(self, record: Record) -> None:
        """Forget what a record named; the plan of a Rollout stays."""
        key = record.meta.key
        match record:
            case RolloutRecord():
                self._by_namespace.discard(key.namespace, key)
                for index, name in self._named_by(record):
                    index.discard((key.namespace, name), key)
            case ModelVersionRecord():
                self.versions.discard((key.namespace, record.model), key)
                if record.backend is not None:
                    self._models.discard((key.namespace, record.backend.name), key)
            case EndpointsRecord():
                self.slices.discard((key.namespace, record.service), key)
            case JobRecord():
                self.jobs.discard(ObjectKey(key.namespace, record.rollout), key)
            case RouteRecord() | NamespaceRecord() | ModelRecord():
                pass
            case _:
                assert_never(record)

    def concerned(self, record: Record) -> frozenset[ObjectKey]:
        """Return the Rollouts that a record concerns."""
        key = record.meta.key
        match record:
            case RolloutRecord():
                plan, route = self.plans.get(key), record.status.route
                # A conflict with the others of the same model or route may have come or gone.
                shared = self.sharing(key.namespace, plan) if plan is not None else _NONE
                if route is not None:
                    shared |= self._by_route.keys((key.namespace, _route_name(route.kind, route.name)))
                return frozenset({key}) | shared
            case JobRecord():
                return frozenset({ObjectKey(key.namespace, record.rollout)})
            case NamespaceRecord():
                return self._by_namespace.keys(key.name)
            case ModelVersionRecord():
                return self.by_model.keys((key.namespace, record.model))
            case ModelRecord():
                return self.by_model.keys((key.namespace, key.name))
            case RouteRecord():
                return self._by_route.keys((key.namespace, _route_name(record.kind, key.name)))
            case EndpointsRecord():
                models = set(self._models.values((key.namespace, record.service)))
                named = self._by_service.keys((key.namespace, record.service))
                return named.union(*(self.by_model.keys((key.namespace, model)) for model in models))
            case _:
                assert_never(record)

    def models_behind(self, record: Record) -> frozenset[ObjectKey]:
        """Return the models whose versions an object concerns, by namespace and model name."""
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

    def _named_by(self, record: RolloutRecord) -> Iterable[tuple[Index[tuple[str, str], None], str]]:
        """Return what a Rollout names: its model, its routes and, in the status, its Services.

        A run stays on the route that it began on, and a version with traffic concerns its Rollout without ModelVersion.
        """
        plan, status = self.plans.get(record.meta.key), record.status
        if plan is not None:
            yield self.by_model, plan.model
            yield self._by_route, _route_name(plan.route.rule.kind, plan.route.rule.name)
        if status.route is not None:
            yield self._by_route, _route_name(status.route.kind, status.route.name)
        for role in (status.stable, status.candidate):
            if role is not None and role.backend is not None:
                yield self._by_service, role.backend.name

    def sharing(self, namespace: str, plan: RolloutSpec) -> frozenset[ObjectKey]:
        """Return the Rollouts of this plan's model or route."""
        same_model = self.by_model.keys((namespace, plan.model))
        rule = plan.route.rule
        return same_model | self._by_route.keys((namespace, _route_name(rule.kind, rule.name)))


def _route_name(kind: RouteKind, name: str) -> str:
    """Return what identifies a route in its namespace."""
    return f"{kind.value}/{name}"
