"""The conditions of a Rollout: each fact by itself, for kstatus, ArgoCD and ``kubectl wait``."""

import math
from typing import Final

from serinus.api.conditions import ConditionType
from serinus.api.rollout_status import EvidenceStatus, Phase
from serinus.api.verdict import Cause
from serinus.engine.analysis.assessment import Assessment
from serinus.engine.analysis.measurements import Coarse
from serinus.engine.conditions import FALSE, TRUE, UNKNOWN, ConditionUpdate
from serinus.engine.rollout.traffic.targets import Choice
from serinus.engine.rollout.waiting import Waiting

UNASKED: Final = {
    Cause.PROVIDER_DOWN,
    Cause.QUERY_INVALID,
    Cause.STALE,
    Cause.SCRAPE_INTERVAL_WRONG,
    Cause.NAN,
    Cause.AMBIGUOUS,
    Cause.NO_SERIES,
}
"""Causes of an Unknown verdict that say nothing of the version: the evidence itself could not be had."""


def kstatus_of(phase: Phase, reason: str, message: str, *, stalled: bool) -> tuple[ConditionUpdate, ...]:
    """Return Ready, Reconciling and Stalled (cli-utils, pkg/kstatus/README.md).

    Healthy is Ready; a run is Reconciling; what will not go on by itself is Stalled; a person's turn is Ready Unknown.
    """
    ready = {Phase.HEALTHY: TRUE, Phase.PAUSED: UNKNOWN}.get(phase, FALSE)
    stuck = stalled or phase in {Phase.ROLLED_BACK, Phase.INVALID}
    moving = not stuck and phase in {Phase.PENDING, Phase.PROGRESSING, Phase.ROLLING_BACK}
    return (
        ConditionUpdate(ConditionType.READY, ready, reason, message),
        ConditionUpdate(ConditionType.RECONCILING, TRUE if moving else FALSE, reason, message),
        ConditionUpdate(ConditionType.STALLED, TRUE if stuck else FALSE, reason, message),
    )


def traffic_confirmed(problem: Waiting | None, said: str) -> ConditionUpdate:
    """Say whether the data plane does what the status says."""
    if problem is None:
        return ConditionUpdate(ConditionType.TRAFFIC_CONFIRMED, TRUE, "RouteAccepted", said)
    status = UNKNOWN if problem.reason.transient else FALSE
    return ConditionUpdate(ConditionType.TRAFFIC_CONFIRMED, status, problem.reason, problem.message)


def nothing_to_confirm() -> ConditionUpdate:
    """Return that no share is the status's yet, whatever the route carries."""
    message = "No version of this model serves yet."
    return ConditionUpdate(ConditionType.TRAFFIC_CONFIRMED, UNKNOWN, "NothingToConfirm", message)


def metrics_available(evidence: tuple[EvidenceStatus, ...], problem: str, *, judging: bool) -> ConditionUpdate:
    """Say whether the evidence can be had."""
    kind = ConditionType.METRICS_AVAILABLE
    if problem:
        return ConditionUpdate(kind, FALSE, "MetricsInvalid", problem)
    if not judging:
        return ConditionUpdate(kind, UNKNOWN, "NothingToJudge", "No stage with conditions is under way.")
    for one in evidence:
        if one.cause in UNASKED and not one.guard:
            # A version that was never called has no series yet: that is no fault of the metrics.
            status = UNKNOWN if one.cause is Cause.NO_SERIES else FALSE
            return ConditionUpdate(kind, status, one.cause.value, f"{one.name}: {one.message}")
    return ConditionUpdate(kind, TRUE, "Answered", "Every condition of the stage has figures.")


def rollback_ready(choice: Choice, *, needed: bool) -> ConditionUpdate:
    """Return whether there is a version that could take all the traffic back at once."""
    kind, target = ConditionType.ROLLBACK_READY, choice.version
    passed = f" Passed over: {choice.reasons}." if choice.passed_over else ""
    if target is None and choice.unready is not None:
        return ConditionUpdate(kind, FALSE, "TargetNotReady", f"{choice.unready} has no ready endpoint.{passed}")
    if target is None:
        status = FALSE if needed else UNKNOWN
        message = f"No version is known that the traffic could go back to.{passed}"
        return ConditionUpdate(kind, status, "NoRollbackTarget", message)
    return ConditionUpdate(kind, TRUE, "TargetReady", f"{target} is ready to take all the traffic.{passed}")


def backends_ready(unready: tuple[str, ...]) -> ConditionUpdate:
    """Return whether every version with traffic has a ready endpoint."""
    kind = ConditionType.BACKENDS_READY
    if not unready:
        return ConditionUpdate(kind, TRUE, "EndpointsReady", "Every version with traffic has ready endpoints.")
    names = " AND ".join(unready)
    message = f"{names} {'HAS' if len(unready) == 1 else 'HAVE'} TRAFFIC AND NO READY ENDPOINTS: requests fail now."
    return ConditionUpdate(kind, FALSE, "NoReadyEndpoints", message)


def conditions_merged(merged: str) -> ConditionUpdate | None:
    """Report that lines of ``abortOn`` are one condition in two spellings, as earlier releases let them in."""
    if not merged:
        return None
    message = f"{merged}: it is judged once. Remove one of them; the API server refuses both in a new spec."
    return ConditionUpdate(ConditionType.CONDITIONS_MERGED, TRUE, "TwoSpellings", message)


def threshold_coarse(judged: tuple[Assessment, ...]) -> ConditionUpdate | None:
    """Say which limits are no bucket bounds, and what that means."""
    found = [(one.condition.text, one.coarse) for one in judged if one.coarse is not None]
    if not found:
        return None
    named = "; ".join(f"{text}: {_bounds(coarse)}" for text, coarse in found)
    message = f"{named}. Add the limit as a bucket bound to the data plane's histogram for an exact judgement."
    return ConditionUpdate(ConditionType.THRESHOLD_COARSE, TRUE, "LimitBetweenBuckets", message)


def _bounds(coarse: Coarse) -> str:
    upper = "+Inf" if math.isinf(coarse.upper) else f"{coarse.upper * 1000:g}ms"
    return f"the histogram's bounds are {coarse.lower * 1000:g}ms and {upper}"
