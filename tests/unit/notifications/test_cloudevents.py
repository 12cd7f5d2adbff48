"""Notifications as CloudEvents, read with the package of the CloudEvents project."""

import json
from datetime import datetime

from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from serinus.api.audit_record import AuditEntry
from serinus.api.parsing import decode
from serinus.notifications.cloudevents import as_cloudevent
from serinus.ports.notifications import EVENTS, UnrecordedEvent
from support.notifications import ALICE, AT, notification

GOLDEN = {
    "specversion": "1.0",
    "id": "6f1c2d3e-0000-5000-8000-000000000001",
    "source": "https://clusters.example/prod-eu",
    "type": "dev.serinus.rollout.RollbackStarted.v1",
    "subject": "/apis/serinus.dev/v1alpha1/namespaces/payments/rollouts/fraud-detector",
    "time": "2026-11-23T14:07:31.250000Z",
    "datacontenttype": "application/json",
    "data": {
        "namespace": "payments",
        "model": "fraud-detector",
        "id": "6f1c2d3e-0000-5000-8000-000000000001",
        "event": "RollbackStarted",
        "at": "2026-11-23T14:07:31.250Z",
        "version": "2.3.1",
        "to": "2.2.4",
        "traffic": "0%",
        "actor": {"name": "serinus", "kind": "Operator", "authentication": "Operator"},
        "message": "Run 12, 2.3.1: latency_p95 412ms > 200ms at 5% traffic (1,843 requests).",
        "rollout": {"name": "fraud-detector", "uid": "u-1", "generation": 3, "run": 12, "stage": "canary"},
        "evidence": [
            {
                "metric": "latency_p95",
                "condition": "latency_p95 > 200ms",
                "verdict": "Breach",
                "value": "412ms",
                "threshold": "> 200ms",
                "requests": 1843,
                "at": "2026-11-23T14:07:31.250Z",
                "source": "default",
                "query": "preset contour",
                "window": "1m",
            }
        ],
    },
}
SOURCE = "https://clusters.example/prod-eu"


def test_a_record_is_rendered_as_ever() -> None:
    assert json.loads(as_cloudevent(notification(), SOURCE).body) == GOLDEN


def test_the_package_of_the_cloudevents_project_reads_it() -> None:
    sent = as_cloudevent(notification(), SOURCE)
    event = from_http_event(HTTPMessage({"content-type": sent.content_type}, sent.body))
    assert event.get_id() == sent.id
    assert event.get_type() == "dev.serinus.rollout.RollbackStarted.v1"
    assert event.get_source() == SOURCE
    assert event.get_time() == AT
    assert event.get_specversion() == "1.0"
    assert event.get_data() == GOLDEN["data"]


def test_the_data_of_a_record_is_the_record() -> None:
    given = notification(actor=ALICE, reason="for the holidays")
    data = json.loads(as_cloudevent(given, "/serinus").body)["data"]
    assert (data.pop("namespace"), data.pop("model")) == ("payments", "fraud-detector")
    data["at"] = datetime.fromisoformat(data["at"])
    data["evidence"][0]["at"] = data["at"]
    assert decode(AuditEntry, data, "data") == given.facts


def test_an_event_that_is_no_record_has_fields_of_one_only() -> None:
    assert set(UnrecordedEvent.__struct_fields__) < set(AuditEntry.__struct_fields__)


def test_each_word_makes_a_type() -> None:
    assert {"RollbackStarted", "RolledBack", "AwaitingApproval", "MetricsUnavailable"} <= set(EVENTS)
    assert "NotificationFailed" not in EVENTS
    assert all(word.isalpha() for word in EVENTS)
