"""Notifications for tests, and receivers in memory."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry

from serinus.api.audit_record import (
    Actor,
    ActorKind,
    AuditEntry,
    AuditEvent,
    Authentication,
    Evidence,
    RolloutReference,
)
from serinus.api.names import ObjectKey
from serinus.api.verdict import Verdict
from serinus.notifications.message import Message
from serinus.notifications.receiver import Channel, Subscription
from serinus.ports.cluster_state import Meta
from serinus.ports.notifications import Notification
from serinus.telemetry import Telemetry

AT = datetime(2026, 11, 23, 14, 7, 31, 250_000, tzinfo=UTC)
BREACH = Evidence(
    metric="latency_p95",
    condition="latency_p95 > 200ms",
    verdict=Verdict.BREACH,
    value="412ms",
    threshold="> 200ms",
    requests=1843,
    at=AT,
    source="default",
    query="preset contour",
    window="1m",
)
OPERATOR = Actor(name="serinus", kind=ActorKind.OPERATOR, authentication=Authentication.OPERATOR)
ALICE = Actor(name="alice@example.com", kind=ActorKind.PERSON, authentication=Authentication.ADMISSION)


def entry(**fields: Any) -> AuditEntry:
    """The record of a rollback that begins, with other fields on demand."""
    usual: dict[str, Any] = {
        "id": "6f1c2d3e-0000-5000-8000-000000000001",
        "event": AuditEvent.ROLLBACK_STARTED,
        "at": AT,
        "version": "2.3.1",
        "to": "2.2.4",
        "traffic": "0%",
        "actor": OPERATOR,
        "message": "Run 12, 2.3.1: latency_p95 412ms > 200ms at 5% traffic (1,843 requests).",
        "rollout": RolloutReference(name="fraud-detector", uid="u-1", generation=3, run=12, stage="canary"),
        "evidence": (BREACH,),
    }
    return AuditEntry(**(usual | fields))


def notification(
    name: str = "fraud-detector", model: str = "fraud-detector", namespace: str = "payments", **fields: Any
) -> Notification:
    """A notification of that record."""
    meta = Meta(key=ObjectKey(namespace, name), uid="u-1", version=7)
    return Notification(owner=meta, model=ObjectKey(namespace, model), facts=entry(**fields))


@dataclass
class Collector:
    """The port ``Notifier``: keeps what it is given."""

    given: list[Notification] = field(default_factory=list)

    def notify(self, notification: Notification) -> None:
        self.given.append(notification)

    @property
    def ids(self) -> list[str]:
        return [one.facts.id for one in self.given]

    @property
    def words(self) -> list[str]:
        return [one.event for one in self.given]


@dataclass
class FakeTransport:
    """The transport of one receiver: what it answers to the next tries, else to all.

    Attributes:
        answers: errors of the next tries; None lets one pass.
        always: the error of all other tries; None lets them pass.
        hanging: whether no try ever ends.
        tries: when each try was, in virtual seconds, and of which message.
    """

    answers: deque[Exception | None] = field(default_factory=deque)
    always: Exception | None = None
    hanging: bool = False
    tries: list[tuple[float, str]] = field(default_factory=list)
    received: list[Message] = field(default_factory=list)
    closed: bool = False

    async def send(self, message: Message) -> None:
        self.tries.append((asyncio.get_running_loop().time(), message.id))
        if self.hanging:
            await asyncio.Event().wait()
        problem = self.answers.popleft() if self.answers else self.always
        if problem is not None:
            raise problem
        self.received.append(message)

    async def close(self) -> None:
        self.closed = True


def plain(notification: Notification) -> Message:
    """Render nothing but the id."""
    return Message(notification.facts.id, "text/plain", b"")


def channel(
    transport: FakeTransport, name: str = "oncall", subscription: Mapping[str, Sequence[str]] | None = None
) -> Channel:
    """A channel to this transport; the subscription as in the settings."""
    sets = {kind: frozenset(names) for kind, names in (subscription or {}).items()}
    return Channel(name=name, subscription=Subscription(**sets), render=plain, transport=transport, pause=0.1)


def counted(telemetry: Telemetry, result: str, receiver: str = "oncall") -> float:
    """How many notifications ended so."""
    return float(telemetry.notifications.labels(receiver, result)._value.get())


def new_telemetry() -> Telemetry:
    """Metrics of their own."""
    return Telemetry(CollectorRegistry())
