"""The writes that make a managed route, and that put right what it has of its template; weights are not theirs."""

from dataclasses import replace
from typing import assert_never

from serinus.api.names import FIELD_MANAGER
from serinus.api.quantities import WEIGHT_SCALE, Share
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.api.route_template import HttpRouteTemplate
from serinus.engine.rollout.actions import BackendShare, CreateRoute, SetMirror, ShapeRoute
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.modes import Idle
from serinus.engine.rollout.traffic.capabilities import GATEWAY_API
from serinus.engine.rollout.traffic.confirmation import planned
from serinus.engine.rollout.traffic.corrections import Correction, by_whom, correct
from serinus.engine.rollout.traffic.facts import RouteFacts, backend_key
from serinus.engine.rollout.traffic.managed import ManagedRoute, ManagedState
from serinus.engine.rollout.traffic.route_plan import Unplannable, unnameable
from serinus.engine.rollout.traffic.targets import on_trial, our_backends, place_of, shares_for
from serinus.engine.rollout.traffic.weights import must_not_rise
from serinus.engine.rollout.waiting import WaitReason

_NOTHING: RouteFacts = RouteFacts(generation=0, entries=(), parents=())
"""The rule of a route that is not there: nobody has any traffic."""

Written = tuple[CreateRoute | ShapeRoute | SetMirror, ...]


def route_writes(draft: Draft, before: RolloutStatus, situation: Situation) -> tuple[Draft, Written]:
    """Return the write that makes a managed route, or puts it right; none where there is nothing to do."""
    observed, spec = situation.observed, situation.spec
    managed = observed.managed
    if managed is None or spec is None or spec.route.template is None:
        return draft, ()
    if observed.deleted or observed.conflict or observed.namespace_terminating:
        return draft, ()
    match managed.state:
        case ManagedState.FOREIGN:
            return draft, ()
        case ManagedState.MISSING:
            return _create(draft, before, situation, spec, managed)
        case ManagedState.OURS:
            return _put_right(draft, before, situation, spec.route.template, managed)
        case _:
            assert_never(managed.state)


def _create(
    draft: Draft, before: RolloutStatus, situation: Situation, spec: RolloutSpec, managed: ManagedRoute
) -> tuple[Draft, Written]:
    template = spec.route.template
    if template is None:
        return draft, ()
    title = f"{managed.route.kind.value} {managed.route.name}"
    if isinstance(draft.mode, Idle):
        # Only where nothing else is missing: a version that cannot start needs no route.
        if draft.waiting is None or draft.waiting.reason is not WaitReason.ROUTE_MISSING:
            return draft, ()
        action = CreateRoute(route=managed.route, template=template, shares=_prepared(spec, situation))
        return draft.with_event(EventReason.ROUTE_CREATED, f"{title} is made of its template."), (action,)
    shares = _safe_shares(draft, before, situation)
    if shares is None:
        return draft, ()
    told = ", ".join(f"{share.backend.name} {Share.of_parts(share.parts)}" for share in shares)
    message = f"{title} was not there any more: it is made anew, with {told or 'no backend'}."
    action = CreateRoute(route=managed.route, template=template, shares=shares)
    return draft.with_event(EventReason.ROUTE_CREATED, message, warning=True), (action,)


def _prepared(spec: RolloutSpec, situation: Situation) -> tuple[BackendShare, ...]:
    """Return the backend of the wanted version, without traffic: a rule without backends resolves nothing."""
    facts = situation.observed.versions.get(spec.version)
    if facts is None or facts.backend is None:
        return ()
    key = backend_key(facts.backend)
    if unnameable(key, GATEWAY_API) or key in situation.observed.missing:
        return ()
    return (BackendShare(facts.backend, 0),)


def _safe_shares(draft: Draft, before: RolloutStatus, situation: Situation) -> tuple[BackendShare, ...] | None:
    """Return the shares that the status stands for; a version on trial that must not rise now gets none.

    In a route that is not there it has no traffic, so that any share is a rise. What it does not get, the stable
    version does. None where the rule cannot have these shares.
    """
    wanted = planned(situation.spec, draft.status, situation.observed, _NOTHING, before)
    if isinstance(wanted, Unplannable):
        return None
    shares = shares_for(situation.spec, draft.status, situation.observed)
    candidate, stable = draft.status.candidate, draft.status.stable
    if candidate is None or not must_not_rise(wanted, _NOTHING, before, draft, situation):
        return shares
    trial = place_of(candidate.version, draft.status, situation.observed)
    shares = tuple(
        replace(share, parts=0) if trial is not None and backend_key(share.backend) == trial.key else share
        for share in shares
    )
    place = place_of(stable.version, draft.status, situation.observed) if stable is not None else None
    left = WEIGHT_SCALE - sum(share.parts for share in shares)
    return tuple(
        replace(share, parts=share.parts + left)
        if place is not None and backend_key(share.backend) == place.key
        else share
        for share in shares
    )


def _put_right(
    draft: Draft, before: RolloutStatus, situation: Situation, template: HttpRouteTemplate, managed: ManagedRoute
) -> tuple[Draft, Written]:
    if not managed.differs:
        return draft, ()
    observed = situation.observed
    # With another generation it is the template that was edited.
    if before.observed_generation == observed.generation and managed.written_by != FIELD_MANAGER:
        draft, contested = correct(draft, _correction(managed), situation)
        if contested:
            return draft, ()
    action = ShapeRoute(
        route=managed.route,
        template=template,
        ours=our_backends(observed, draft.status, before),
        on_trial=on_trial(before),
    )
    return draft, (action,)


def _correction(managed: ManagedRoute) -> Correction:
    who = by_whom(managed.written_by)
    parts = ", ".join(managed.differs)
    return Correction(
        EventReason.ROUTE_CORRECTED,
        f"The route's {parts} were changed{who}: put right by spec.route.httpRoute.template.",
        f"The route's {parts} are changed again and again{who}: they are put right once a minute. "
        "Change spec.route.httpRoute.template instead.",
    )
