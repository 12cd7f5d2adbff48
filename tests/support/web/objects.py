"""A cluster as the page reads it: a Rollout that was rolled back, with all that belongs to it, and many others."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from support.kube.listing import ListingApi

Raw = dict[str, Any]

NOW: Final = datetime(2026, 11, 23, 14, 10, tzinfo=UTC)
RECORDS: Final = 45
API: Final = "/apis/serinus.dev/v1alpha1"


def at(minutes: float) -> str:
    """The time so many minutes after the run began, as the API server writes it."""
    begin = datetime(2026, 11, 23, 13, 37, tzinfo=UTC)
    return (begin + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def metadata(name: str, namespace: str = "ml", **more: Any) -> Raw:
    return {"name": name, "namespace": namespace, "uid": f"uid-{name}", "creationTimestamp": at(-9000), **more}


def rollout(name: str = "fraud", namespace: str = "ml", *, said: str = "", **status: Any) -> Raw:
    """A Rollout that was rolled back in its canary stage; ``said`` stands in every text that others may write."""
    stages = [
        {"name": "staging", "traffic": "0%"},
        {
            "name": "canary",
            "traffic": "5%",
            "duration": "30m",
            "abortOn": ["latency_p95 > 250ms", "error_rate > 1%"],
        },
        {"name": "production", "traffic": "100%", "bake": "1h", "abortOn": ["error_rate > 1%"]},
    ]
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": metadata(name, namespace, generation=7),
        "spec": {
            "model": name,
            "version": "2.3.1",
            "route": {"httpRoute": {"name": name, "ruleName": "predict"}},
            "stages": stages,
        },
        "status": {**_status(name, said), **status},
    }


def _traffic() -> list[Raw]:
    return [
        {"at": at(1), "desired": 0, "accepted": 0},
        {"at": at(2), "desired": 5, "accepted": 0},
        {"at": at(2.1), "desired": 5, "accepted": 5},
        *(
            {"at": at(3 + 3 * n), "desired": 5, "accepted": 5, "observed": 4.4 + n / 5, "requests": 812}
            for n in range(6)
        ),
        {"at": at(30.6), "desired": 0, "accepted": 5},
        {"at": at(30.7), "desired": 0, "accepted": 0},
    ]


def _status(name: str, said: str) -> Raw:
    points = [
        {
            "at": at(3 + 3 * number),
            "requests": 180 * (number + 1),
            "bad": 9 * number**2,
            "evidence": f"{1.9**number:.4g}",
        }
        for number in range(10)
    ]
    windows = [
        {"at": at(3 + 3 * number), "requests": 60, "bad": 0, "value": f"{0.002 + 0.0004 * (number % 4):g}"}
        for number in range(10)
    ]
    judged = {"verdict": "Breach", "requests": 1843, "at": at(30)}
    return {
        "observedGeneration": 7,
        "phase": "RolledBack",
        "reason": "MetricBreached",
        "summary": f"Serving 2.2.4 at 100%. 2.3.1 was rolled back at 14:07:31Z: latency_p95 412ms > 250ms.{said}",
        "nextAction": f"Nothing: 2.3.1 is not retried by itself.{said}",
        "stable": {
            "version": "2.2.4",
            "weight": 100,
            "since": at(-4000),
            "backend": {"name": f"{name}-v2-2-4", "port": 80},
        },
        "candidate": {
            "version": "2.3.1",
            "weight": 0,
            "since": at(0),
            "backend": {"name": f"{name}-v2-3-1", "port": 80},
        },
        "route": {"name": name, "ruleName": "predict"},
        "stage": {"index": 1, "name": "canary", "state": "Analyzing", "since": at(1), "stateSince": at(2)},
        "phaseSince": at(31),
        "run": 12,
        "runStartedAt": at(0),
        "requested": {"by": f"ada@example.org{said}", "author": f"lin{said}", "reason": f"retrained{said}"},
        "evidence": [
            {
                **judged,
                "name": "latency_p95",
                "condition": "latency_p95 > 250ms",
                "value": "37% over 250ms",
                "threshold": "250ms",
                "message": f"37% of 1,843 requests took longer than 250ms.{said}",
                "points": points,
            },
            {
                **judged,
                "name": "error_rate",
                "condition": "error_rate > 1%",
                "verdict": "Pass",
                "value": "0.21%",
                "threshold": "1%",
                "message": f"0.21% of 1,843 requests failed (4).{said}",
                "points": windows,
            },
            {
                **judged,
                "name": "drift_score",
                "condition": "drift_score > 0.3",
                "verdict": "Unknown",
                "cause": "NoSeries",
                "message": f"there is no series{said}",
            },
        ],
        "traffic": _traffic(),
        "tests": [{"name": "smoke", "result": "Passed", "message": f"200{said}", "at": at(1)}],
        "rollback": {
            "version": "2.3.1",
            "to": "2.2.4",
            "reason": "MetricBreached",
            "message": f"latency_p95 412ms > 250ms at 5% traffic{said}",
            "condition": "latency_p95 > 250ms",
            "value": "37% over 250ms",
            "requests": 1843,
            "atWeight": 5,
            "requestedBy": said[:500],
            "decidedAt": at(30.5),
            "trafficSafeAt": at(30.6),
        },
        "paused": {"reason": f"INC-4711{said}", "requestedBy": f"ada{said}", "at": at(20)},
        "quarantined": ["2.3.1"],
        "history": [
            {
                "run": 11,
                "version": "2.2.4",
                "result": "Promoted",
                "startedAt": at(-5000),
                "endedAt": at(-4000),
                "reason": f"all stages passed{said}",
            }
        ],
        "conditions": [
            _condition("Stalled", "True", "MetricBreached", f"latency_p95 412ms > 250ms{said}"),
            _condition("TrafficConfirmed", "True", "RouteAccepted", f"generation 31: 2.2.4 100%, 2.3.1 0%{said}"),
        ],
    }


def _condition(kind: str, status: str, reason: str, message: str) -> Raw:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 7,
        "lastTransitionTime": at(31),
    }


def route(name: str = "fraud", *, said: str = "") -> Raw:
    conditions = [
        _condition(kind, "True", "Said", "") | {"observedGeneration": 31} for kind in ("Accepted", "ResolvedRefs")
    ]
    backends = [
        {"name": f"{name}-v2-2-4", "port": 80, "weight": 19},
        {"name": f"{name}-v2-3-1", "port": 80, "weight": 1},
    ]
    return {
        "metadata": metadata(name, generation=31),
        "spec": {
            "parentRefs": [{"name": f"eg{said}"}],
            "rules": [{"name": "predict", "backendRefs": backends}],
        },
        "status": {"parents": [{"parentRef": {"name": f"eg{said}"}, "controllerName": "c", "conditions": conditions}]},
    }


def event(number: int, *, said: str = "") -> Raw:
    return {
        "metadata": metadata(f"fraud.{number}"),
        "type": "Warning" if number % 2 else "Normal",
        "reason": f"RollbackStarted{said}",
        "message": f"event {number}{said}",
        "eventTime": at(number),
        "series": None if number % 3 else {"count": 4, "lastObservedTime": at(number + 0.5)},
    }


def version(number: str, *, said: str = "", inputs: tuple[str, ...] = ("amount",)) -> Raw:
    columns = [{"name": column, "dtype": "float64"} for column in inputs]
    signature = {"profile": "columnar", "inputs": columns, "outputs": [{"name": "score", "dtype": "float32"}]}
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": metadata(
            f"fraud-v{number}", generation=1, annotations={"serinus.dev/yanked": said} if said else {}
        ),
        "spec": {
            "model": "fraud",
            "version": number,
            "signature": signature,
            "changes": f"what is new{said}",
        },
        "status": {
            "stage": "Canary",
            "traffic": "5%",
            "conditions": [_condition("Accepted", "True", "Accepted", said)],
        },
    }


def record(sequence: int, *, said: str = "") -> Raw:
    summary = {"production": "2.2.4", "candidate": "2.3.1", "traffic": "5%", "stage": "canary", "generation": 4}
    return {
        "metadata": metadata(
            f"fraud-{sequence:012d}", labels={"serinus.dev/model": "fraud", "serinus.dev/record-id": f"id-{sequence}"}
        ),
        "spec": {
            "id": f"id-{sequence}",
            "at": at(sequence),
            "event": "RolledBack" if sequence == RECORDS else "TrafficShifted",
            "version": "2.3.1",
            "traffic": f"{min(5, sequence - 25)}%" if sequence > 25 else "",
            "rollout": {"name": "fraud", "run": 12 if sequence > 25 else 11},
            "actor": {"name": f"serinus{said}", "kind": "Operator", "authentication": "None" if said else "Operator"},
            "reason": f"the plan{said}",
            "message": f"record {sequence}{said}",
            "format": 1,
            "sequence": sequence,
            "namespace": "ml",
            "model": "fraud",
            "recordedAt": at(sequence),
            "recordedBy": {"version": "0.1.0", "instance": "pod"},
            "before": summary,
            "after": summary,
            "previousHash": "sha256:" + "0" * 64,
            "hash": "sha256:" + "1" * 64,
        },
    }


def a_cluster(said: str = "", *, others: int = 0) -> ListingApi:
    """A cluster with the Rollout ``ml/fraud``, what belongs to it, and so many other Rollouts."""
    api = ListingApi()
    api.put(f"{API}/namespaces/ml/rollouts/fraud", rollout(said=said))
    api.put("/apis/gateway.networking.k8s.io/v1/namespaces/ml/httproutes/fraud", route(said=said))
    for number in range(6):
        api.put(f"/api/v1/namespaces/ml/events/fraud.{number}", event(number, said=said))
    for sequence in range(1, RECORDS + 1):
        api.put(f"{API}/namespaces/ml/auditrecords/fraud-{sequence:012d}", record(sequence, said=said))
    head = {"audit": {"sequence": RECORDS, "hash": "sha256:" + "1" * 64}}
    api.put(f"{API}/namespaces/ml/models/fraud", {"metadata": metadata("fraud"), "spec": {}, "status": head})
    for semver, inputs in (("2.2.4", ("amount",)), ("2.3.1", ("amount", "country"))):
        api.put(f"{API}/namespaces/ml/modelversions/fraud-v{semver}", version(semver, said=said, inputs=inputs))
    for number in range(others):
        api.put(f"{API}/namespaces/team-{number % 40}/rollouts/model-{number:05d}", other(number))
    return api


PHASES: Final = ("Healthy", "Healthy", "Healthy", "Progressing", "Paused", "Healthy", "RollingBack", "Pending")


def other(number: int) -> Raw:
    phase = PHASES[number % len(PHASES)]
    summary = f"Model {number} is {phase}."
    raw = rollout(f"model-{number:05d}", f"team-{number % 40}", phase=phase, reason=phase, summary=summary)
    raw["status"]["conditions"] = []
    return raw
