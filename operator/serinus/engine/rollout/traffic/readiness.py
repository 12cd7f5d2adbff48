"""Which versions with traffic have no ready endpoints, and since when."""

from msgspec import structs

from serinus.api.rollout_status import RolloutStatus, Serving
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.observation import Observation
from serinus.engine.rollout.traffic.targets import place_of

_ALL = 100


def track_readiness(draft: Draft, situation: Situation) -> Draft:
    """Note in the status since when a version with traffic has had no ready endpoint; report when that begins."""
    status = draft.status
    for role, serving, has_traffic in _roles(status):
        unready, known = has_traffic and _is_unready(serving, status, situation.observed), serving.not_ready_since
        # A time that is still to come was noted before the clock was set back: its limit would be reached too late.
        since = min(known or situation.now, situation.now) if unready else None
        if since == known:
            continue
        draft = draft.with_status(**{role: structs.replace(serving, not_ready_since=since)})
        if unready and known is None:
            message = f"{serving.version} HAS TRAFFIC AND NO READY ENDPOINTS."
            draft = draft.with_event(EventReason.BACKEND_NOT_READY, message, warning=True)
    return draft


def unready_backends(status: RolloutStatus, observed: Observation) -> tuple[str, ...]:
    """Return the versions that have traffic and no ready endpoint."""
    return tuple(
        serving.version for _, serving, traffic in _roles(status) if traffic and _is_unready(serving, status, observed)
    )


def _roles(status: RolloutStatus) -> tuple[tuple[str, Serving, bool], ...]:
    candidate, stable = status.candidate, status.stable
    on_trial = candidate.weight if candidate is not None else 0.0
    roles = [("candidate", candidate, on_trial > 0)] if candidate is not None else []
    roles += [("stable", stable, on_trial < _ALL)] if stable is not None else []
    return tuple(roles)


def _is_unready(serving: Serving, status: RolloutStatus, observed: Observation) -> bool:
    place = place_of(serving.version, status, observed)
    return place is not None and not place.is_ready
