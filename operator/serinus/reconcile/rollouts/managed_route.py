"""What is known of the route of a Rollout as one that the operator makes; reads the cache, calls no port."""

from serinus.api.route import RuleId
from serinus.api.route_template import HttpRouteTemplate
from serinus.engine.rollout.traffic.confirmation import route_in_use
from serinus.engine.rollout.traffic.managed import ManagedRoute, ManagedState, differences, shape_of
from serinus.ports.cluster_state import RolloutRecord, RouteRecord
from serinus.reconcile.cache import ClusterCache


def managed_route(cache: ClusterCache, rollout: RolloutRecord) -> ManagedRoute | None:
    """Return what is known of the route in use; None where it is not managed."""
    ref, namespace = route_in_use(cache.last_plan(rollout), rollout.status), rollout.meta.key.namespace
    template = template_of(cache, rollout, ref) if ref is not None and ref.kind in cache.routers else None
    if ref is None or template is None:
        return None
    record = cache.route(namespace, ref)
    if record is None:
        return ManagedRoute(route=ref, state=ManagedState.MISSING)
    if record.shape is None or not is_made_for(rollout, record):
        return ManagedRoute(route=ref, state=ManagedState.FOREIGN)
    differs = differences(shape_of(template, namespace), record.shape)
    writer = record.shape.writer_of(differs)
    return ManagedRoute(route=ref, state=ManagedState.OURS, differs=differs, written_by=writer)


def template_of(cache: ClusterCache, rollout: RolloutRecord, ref: RuleId) -> HttpRouteTemplate | None:
    """Return what the operator makes a route of; None where it is not managed, or a run has yet to leave it."""
    plan = cache.last_plan(rollout)
    return plan.route.template if plan is not None and plan.route.rule == ref else None


def is_made_for(rollout: RolloutRecord, record: RouteRecord) -> bool:
    """Return whether the operator has made a route for this Rollout."""
    return record.made_for == rollout.meta.uid
