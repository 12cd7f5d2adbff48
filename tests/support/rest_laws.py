"""What must be true of a world at rest: nothing changes by itself any more, and everybody who answers has answered.

``step`` is the decision that is taken again and again there.
"""

from collections.abc import Callable
from typing import Final

from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.traffic.facts import RouteEntry, RouteFacts, backend_key
from support import laws
from support.law_terms import Step, fit_targets, fresh_tokens, is_rolling_back, is_stranded, share_at, weight_at


def deletion_ends(step: Step) -> str | None:
    """Law 10: a Rollout that is deleted goes, as long as its route can be written and its records are taken.

    It stays while a version that was found bad alone answers: nobody would take the traffic from it any more.
    """
    if not step.observed.deleted or not isinstance(step.observed.route, RouteFacts):
        return None
    trial = step.before.candidate
    key = step.key_of(trial.version) if trial is not None else None
    alone = weight_at(step.entries, key) and not any(entry.weight for entry in step.entries if entry.key != key)
    if trial is not None and alone and is_stranded(step.before) and not fit_targets(step, trial.version):
        return None
    return "a deleted Rollout keeps its finalizer" if step.observed.has_finalizer else ""


def every_token_answered(step: Step) -> str | None:
    """Law 7: no command is left waiting."""
    if step.observed.deleted or not step.observed.commands:
        return None
    left = sorted(fresh_tokens(step))
    return f"{', '.join(left)} is never answered" if left else ""


def nothing_bad_has_weight(step: Step) -> str | None:
    """Law 1: a version that was rolled back has no weight beside others."""
    rollback = step.before.rollback
    if rollback is None or step.observed.deleted or not isinstance(step.observed.route, RouteFacts):
        return None
    key = step.key_of(rollback.version)
    beside = any(entry.weight for entry in step.entries if entry.key != key)
    return f"{rollback.version} keeps weight beside others" if weight_at(step.entries, key) and beside else ""


def rollback_ends(step: Step) -> str | None:
    """The modes' table: a rollback is complete, unless somebody gives weight to a backend that nobody knows."""
    status = step.before
    if status.rollback is None or step.observed.deleted or not isinstance(step.observed.route, RouteFacts):
        return None
    if not is_rolling_back(status):
        return ""
    return "" if laws.unknown_weight(step) else "a rollback is never complete"


REST_LAWS: Final[tuple[Callable[[Step], str | None], ...]] = (
    deletion_ends,
    every_token_answered,
    nothing_bad_has_weight,
    rollback_ends,
)


def nothing_left_behind(
    status: RolloutStatus, entries: tuple[RouteEntry, ...] | None, *, delivered: bool, forced: bool
) -> str | None:
    """Law 10: once the Rollout is gone, no record is lost and no version on trial has weight.

    Args:
        status: the last one.
        entries: the rule; None where it is not there.
        delivered: the registry takes records.
        forced: the namespace is being deleted too, and the registry with it.
    """
    if status.records and not delivered and not forced:
        return "the Rollout is gone and a record was not delivered"
    candidate = status.candidate
    if candidate is None or candidate.backend is None or entries is None:
        return None
    key = backend_key(candidate.backend)
    rest = any(entry.weight for entry in entries if entry.key != key)
    served = status.stable is not None and status.stable.version == candidate.version
    if share_at(entries, key) and rest and not served:
        return f"the Rollout is gone and {candidate.version} has weight"
    return ""
