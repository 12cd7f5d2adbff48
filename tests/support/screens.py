"""Rollouts for the screens: each in another state, with everything that a screen can say of it."""

from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import structs

from serinus.api.conditions import Condition, ConditionStatus, ConditionType
from serinus.api.names import ObjectKey
from serinus.api.parsing import encode
from serinus.api.rollout_status import (
    CurrentStage,
    EvidencePoint,
    EvidenceStatus,
    PastRun,
    Pause,
    Phase,
    Rollback,
    RollbackReason,
    RolloutStatus,
    RouteStatus,
    RunResult,
    Serving,
    StageState,
    TestResult,
    TestStatus,
    TrafficPoint,
    VersionRequest,
)
from serinus.api.verdict import Cause, Verdict
from serinus.engine.view.standing import Subject
from support.builders import CANARY, ERRORS, LATENCY, NOW, PRODUCTION, STAGING, a_backend, a_spec

LONG: Final = {**CANARY, "duration": "30m", "abortOn": [LATENCY, ERRORS]}
SPEC: Final = a_spec("2.3.1", STAGING, LONG, PRODUCTION)
BEGAN: Final = NOW - timedelta(minutes=29)
JUDGED: Final = NOW - timedelta(seconds=4)


def a_point(minutes: float, requests: int, bad: int, evidence: str | None, value: str | None = None) -> EvidencePoint:
    at = BEGAN + timedelta(minutes=minutes)
    return EvidencePoint(at=at, requests=requests, bad=bad, evidence=evidence, value=value)


def growing() -> tuple[EvidencePoint, ...]:
    """Evidence that grows from nothing to a breach."""
    figures = ("1", "0.8", "1.4", "3.1", "9.6", "40.2", "155", "698", "2310")
    return tuple(a_point(3 * place, 200 * place, 9 * place, figure) for place, figure in enumerate(figures))


def a_judgement(line: str, verdict: Verdict = Verdict.PASS, **fields: Any) -> EvidenceStatus:
    name, _, limit = line.partition(" ")
    return EvidenceStatus(
        **{
            "name": name,
            "condition": line,
            "verdict": verdict,
            "threshold": limit.lstrip("<>= "),
            "at": JUDGED,
            "value": "0.21%",
            "requests": 1843,
            "message": "0.21% of 1,843 requests failed (4); at most 0.5% may. 600 requests were needed.",
            "points": (a_point(1, 60, 0, "1"), a_point(10, 620, 1, "0.7"), a_point(28, 1843, 4, "0.4")),
            **fields,
        }
    )


def a_breach() -> EvidenceStatus:
    message = (
        "8.1% of 1,843 requests from 13:44:10Z to 13:59:31Z took longer than 200ms (150); at most 5% may "
        "(evidence 2,310, 700 are a breach)."
    )
    return a_judgement(LATENCY, Verdict.BREACH, value="412ms", message=message, points=growing())


def a_condition(kind: ConditionType, status: ConditionStatus, reason: str, message: str) -> Condition:
    return Condition(
        type=kind.value, status=status, reason=reason, message=message, observed_generation=7, last_transition_time=NOW
    )


CONFIRMED: Final = a_condition(
    ConditionType.TRAFFIC_CONFIRMED,
    ConditionStatus.TRUE,
    "RouteAccepted",
    "Every parent of the route has accepted 2.2.4 95%, 2.3.1 5%.",
)
HISTORY: Final = (
    PastRun(
        run=11,
        version="2.2.4",
        result=RunResult.PROMOTED,
        started_at=NOW - timedelta(days=3, hours=2),
        ended_at=NOW - timedelta(days=3),
        reason="Every stage passed.",
    ),
    PastRun(
        run=10,
        version="2.2.3",
        result=RunResult.ROLLED_BACK,
        started_at=NOW - timedelta(days=9, minutes=12),
        ended_at=NOW - timedelta(days=9),
        reason="error_rate > 0.5% was breached.",
    ),
    PastRun(
        run=9,
        version="2.2.2",
        result=RunResult.SUPERSEDED,
        started_at=NOW - timedelta(days=11, minutes=2),
        ended_at=NOW - timedelta(days=11),
        reason="2.2.3 was wanted instead.",
    ),
)


def a_status(**fields: Any) -> RolloutStatus:
    """A canary under analysis, all well so far."""
    return RolloutStatus(
        **{
            "observed_generation": 7,
            "phase": Phase.PROGRESSING,
            "reason": "Analyzing",
            "summary": "Serving 2.2.4 at 95%, trying 2.3.1 at 5% (run 12, stage 2 of 3, canary: Analyzing).",
            "next_action": "Stage canary watches until 14:01:00Z; 157 requests are missing.",
            "stable": Serving(version="2.2.4", weight=95, since=NOW - timedelta(days=3), backend=a_backend("2.2.4")),
            "candidate": Serving(version="2.3.1", weight=5, since=BEGAN, backend=a_backend("2.3.1")),
            "last_known_good": "2.2.2",
            "traffic": (
                TrafficPoint(at=BEGAN, desired=5, accepted=5),
                TrafficPoint(at=NOW - timedelta(seconds=4), desired=5, accepted=5, observed=4.9, requests=812),
            ),
            "route": RouteStatus(name="fraud", rule_name="predict"),
            "stage": CurrentStage(index=1, name="canary", state=StageState.ANALYZING, since=BEGAN, state_since=BEGAN),
            "phase_since": BEGAN - timedelta(minutes=2),
            "run": 12,
            "run_started_at": BEGAN - timedelta(minutes=2),
            "requested": VersionRequest(by="argocd-controller", author="ada@example.org"),
            "evidence": (
                a_judgement(
                    LATENCY,
                    Verdict.UNKNOWN,
                    cause=Cause.TOO_FEW_REQUESTS,
                    value="181ms",
                    message="157 requests are missing: they will be there in 1m 40s, at 14:01:40Z.",
                ),
                a_judgement(ERRORS),
                a_judgement("unanswered_rate > stable + 1%", guard=True, value="0%", points=()),
            ),
            "history": HISTORY,
            "conditions": (CONFIRMED,),
            **fields,
        }
    )


def rolled_back(**fields: Any) -> RolloutStatus:
    decided = NOW - timedelta(minutes=2)
    rollback = Rollback(
        version="2.3.1",
        to="2.2.4",
        reason=RollbackReason.METRIC_BREACHED,
        message=f"{LATENCY}: {a_breach().message}",
        condition=LATENCY,
        value="412ms",
        requests=1843,
        at_weight=5,
        decided_at=decided,
        traffic_safe_at=decided + timedelta(seconds=2),
    )
    return a_status(
        **{
            "quarantined": ("2.3.1",),
            "phase": Phase.ROLLED_BACK,
            "reason": "MetricBreached",
            "summary": f"Serving 2.2.4 at 100%. 2.3.1 was rolled back at 13:58:00Z: {rollback.message}",
            "next_action": "None. 2.3.1 is not retried by itself: set spec.version, or run "
            "kubectl serinus retry fraud.",
            "stable": Serving(version="2.2.4", weight=100, since=NOW - timedelta(days=3)),
            "candidate": Serving(version="2.3.1", weight=0, since=BEGAN, backend=a_backend("2.3.1")),
            "phase_since": decided,
            "rollback": rollback,
            "evidence": (a_breach(), a_judgement(ERRORS)),
            "conditions": (
                a_condition(
                    ConditionType.TRAFFIC_CONFIRMED,
                    ConditionStatus.TRUE,
                    "RouteAccepted",
                    "Every parent of the route has accepted 2.2.4 100%, 2.3.1 0%.",
                ),
            ),
            **fields,
        }
    )


def aborted() -> RolloutStatus:
    """A person has ended the run: no condition decided."""
    status = rolled_back()
    assert status.rollback is not None
    message = "Aborted by ada@example.org: INC-4711 (2026-11-23T13:58:00Z)."
    return structs.replace(
        status,
        reason="Aborted",
        summary=f"Serving 2.2.4 at 100%. 2.3.1 was rolled back at 13:58:00Z: {message[:-1]} at 5% traffic.",
        rollback=structs.replace(
            status.rollback,
            reason=RollbackReason.ABORTED,
            message=message,
            condition="",
            value="",
            requests=0,
            requested_by="ada@example.org",
        ),
        evidence=(a_judgement(LATENCY, value="181ms"), a_judgement(ERRORS)),
    )


def quarantined() -> RolloutStatus:
    """What served was rolled back by a person, and the version that is wanted was rolled back before."""
    message = "Rollback asked for by ada@example.org: INC-4711 (2026-11-23T13:58:00Z)."
    return a_status(
        phase=Phase.PAUSED,
        reason="Quarantined",
        quarantined=("2.3.1", "2.3.0"),
        summary="Serving 2.2.4 at 100% since 2026-11-23 13:58:00Z. "
        f"2.3.0 was rolled back at 13:58:00Z: {message} Wanted is 2.3.1.",
        next_action="2.3.1 was rolled back before: set spec.version to another one, or ask for a retry with "
        "kubectl serinus retry fraud.",
        stable=Serving(version="2.2.4", weight=100, since=NOW - timedelta(minutes=2)),
        candidate=None,
        stage=None,
        evidence=(),
        history=(
            PastRun(
                run=12,
                version="2.3.0",
                result=RunResult.ROLLED_BACK,
                started_at=BEGAN,
                ended_at=NOW - timedelta(minutes=2),
                reason=message,
            ),
        ),
    )


def healthy() -> RolloutStatus:
    return a_status(
        phase=Phase.HEALTHY,
        reason="Promoted",
        summary="Serving 2.3.1 at 100% since 2026-11-23 13:31:00Z.",
        next_action="None.",
        stable=Serving(version="2.3.1", weight=100, since=BEGAN),
        candidate=None,
        stage=None,
        evidence=(a_judgement(ERRORS),),
        phase_since=BEGAN,
    )


def awaiting_approval() -> RolloutStatus:
    return a_status(
        phase=Phase.PAUSED,
        reason="AwaitingApproval",
        next_action="A person must let the run into stage production: kubectl serinus promote fraud.",
        stage=CurrentStage(
            index=1,
            name="canary",
            state=StageState.AWAITING_APPROVAL,
            since=BEGAN,
            state_since=NOW - timedelta(minutes=5),
        ),
        evidence=(a_judgement(LATENCY, value="181ms"), a_judgement(ERRORS)),
    )


def paused() -> RolloutStatus:
    return a_status(
        phase=Phase.PAUSED,
        reason="Paused",
        next_action="A person must resume the run: kubectl serinus resume fraud.",
        paused=Pause(
            reason="INC-4711 (2026-11-23T13:50:00Z)", requested_by="ada@example.org", at=NOW - timedelta(minutes=10)
        ),
    )


def without_metrics() -> RolloutStatus:
    """The metric source is down: nothing can be judged."""
    down = "Prometheus cannot be reached: connection refused."
    return a_status(
        reason="ProviderDown",
        next_action=f"{down} No weight changes meanwhile.",
        evidence=(a_judgement(ERRORS, Verdict.UNKNOWN, cause=Cause.PROVIDER_DOWN, value="", message=down),),
        conditions=(
            a_condition(ConditionType.METRICS_AVAILABLE, ConditionStatus.FALSE, "ProviderDown", down),
            a_condition(
                ConditionType.TRAFFIC_CONFIRMED,
                ConditionStatus.FALSE,
                "RouteNotAccepted",
                "The gateway has not accepted generation 31 of the route.",
            ),
        ),
    )


def testing() -> RolloutStatus:
    return a_status(
        reason="Testing",
        next_action="The tests of stage staging are running.",
        candidate=Serving(version="2.3.1", weight=0, since=BEGAN),
        stage=CurrentStage(index=0, name="staging", state=StageState.TESTING, since=BEGAN, state_since=BEGAN),
        evidence=(),
        tests=(
            TestStatus(name="answers", result=TestResult.PASSED, at=NOW),
            TestStatus(name="contract", result=TestResult.RUNNING, message="ImagePullBackOff: no such image", at=NOW),
        ),
    )


def invalid() -> RolloutStatus:
    return a_status(
        phase=Phase.INVALID,
        reason="SpecInvalid",
        summary="Serving 2.2.4 at 100%. No run has begun.",
        next_action="spec.stages[1].traffic: write 5%.",
        candidate=None,
        stage=None,
        run=0,
        evidence=(),
        history=(),
        conditions=(),
    )


def hostile() -> RolloutStatus:
    """Texts that others wrote, with what could control a terminal, and wide characters."""
    escape = "\x1b[2J\x1b]0;owned\x07"
    return a_status(
        next_action=f"模型 {escape} \u202eevil",
        requested=VersionRequest(by=f"ada{escape}", author="漢字" * 40),
        paused=Pause(reason=f"{escape}x" * 20, requested_by="e\u0301ve", at=NOW),
        phase=Phase.PAUSED,
        reason="Paused",
    )


def a_subject(status: RolloutStatus, *, generation: int = 7, name: str = "fraud", **fields: Any) -> Subject:
    return Subject(
        **{
            "key": ObjectKey("ml-prod", name),
            "generation": generation,
            "created_at": NOW - timedelta(days=21),
            "spec": SPEC,
            "status": status,
            **fields,
        }
    )


STATES: Final = {
    "progressing": a_status,
    "rolled-back": rolled_back,
    "aborted": aborted,
    "quarantined": quarantined,
    "healthy": healthy,
    "awaiting-approval": awaiting_approval,
    "paused": paused,
    "without-metrics": without_metrics,
    "testing": testing,
    "hostile": hostile,
}


def an_object(status: RolloutStatus, *, name: str = "fraud", generation: int = 7) -> dict[str, Any]:
    """The Rollout as kubectl prints it."""
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "name": name,
            "namespace": "ml-prod",
            "generation": generation,
            "creationTimestamp": _text(NOW - timedelta(days=21)),
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": encode(SPEC),
        "status": encode(status),
    }


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
