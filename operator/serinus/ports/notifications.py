"""Notifications of what happened to Rollouts, for receivers outside the cluster: best effort, beside every decision."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID, uuid5

from serinus.api.audit_record import Actor, AuditEntry, Evidence, RolloutReference
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.api.schema import Model
from serinus.engine.rollout.decision import Event, EventReason
from serinus.engine.rollout.outbox import RECORDED, actor_of
from serinus.ports.cluster_state import Meta, RolloutRecord

_NAMESPACE: Final = UUID("1d0d8c8e-7d5b-5b0e-8f6a-2c9b1f5a7e63")
_LONGEST: Final = 4096
_NEVER: Final = frozenset({EventReason.NOTIFICATION_FAILED, EventReason.CLOCK_STEPPED})
"""The first tells that a receiver is down, and would be one more notification to it; the second is of the operator."""

EVENTS: Final = tuple(
    sorted(
        {kind.value for kind in RECORDED.values()}
        | {reason.value for reason in EventReason if reason not in RECORDED and reason not in _NEVER}
    )
)
"""The words of all notifications: those of the audit trail, and the reasons of the events that it does not keep."""


class UnrecordedEvent(Model, frozen=True, kw_only=True):
    """An event that is not an audit record, with the fields that a record of it would have."""

    id: str
    event: str
    at: datetime
    version: str = ""
    traffic: str = ""
    to: str = ""
    actor: Actor
    reason: str = ""
    message: str = ""
    rollout: RolloutReference | None = None
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One thing that happened to a Rollout.

    Attributes:
        owner: the Rollout.
        model: its model.
        facts: what happened; its id is the same however often the notification is sent.
    """

    owner: Meta
    model: ObjectKey
    facts: AuditEntry | UnrecordedEvent

    @property
    def event(self) -> str:
        """The word of the event, one of ``EVENTS``."""
        return str(self.facts.event)


class Notifier(Protocol):
    """Sends notifications to the receivers that subscribe to them."""

    def notify(self, notification: Notification) -> None:
        """Queue a notification and return at once; never raises and never waits. It may be lost."""


class NoReceivers:
    """The port ``Notifier`` of an installation without receivers."""

    def notify(self, notification: Notification, /) -> None:
        """Do nothing."""


def unrecorded(
    record: RolloutRecord, after: RolloutStatus, at: datetime, events: Iterable[Event]
) -> Iterable[UnrecordedEvent]:
    """Yield those events of a decision that are not audit records.

    Args:
        record: the Rollout that the decision was about. Its resource version is part of the ids, so that the same
            decision about the same object has the same ids.
        after: the status that was decided.
        at: when it was decided.
        events: the events of the decision.
    """
    subject = after.candidate or after.stable
    for number, event in enumerate(events):
        if event.reason in RECORDED or event.reason in _NEVER:
            continue
        yield UnrecordedEvent(
            id=str(uuid5(_NAMESPACE, f"{record.meta.uid}/{record.meta.version}/{number}/{event.reason.value}")),
            event=event.reason.value,
            at=at,
            version=subject.version if subject is not None else "",
            traffic=f"{after.candidate.weight:g}%" if after.candidate is not None else "",
            actor=actor_of(event.by),
            reason=event.why[:_LONGEST],
            message=event.message[:_LONGEST],
            rollout=RolloutReference(
                name=record.meta.key.name,
                uid=record.meta.uid,
                generation=record.generation,
                run=after.run,
                stage=after.stage.name if after.stage is not None else "",
            ),
        )
