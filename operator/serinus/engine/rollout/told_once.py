"""Events of one moment that are told as one: each is a write, and the last one says where the others have led."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from serinus.engine.rollout.decision import Event, EventReason

MAX_NOTE: Final = 1000
"""Bytes: what is longer is cut by the API server's limit, so that such events are told one by one."""

_STEPS: Final = frozenset({EventReason.TEST_PASSED, EventReason.ANALYSIS_PASSED, EventReason.TRAFFIC_SHIFTED})
_LEADS_ON: Final = _STEPS | {EventReason.AWAITING_APPROVAL, EventReason.ROLLOUT_PROMOTED}


def told_once(events: Iterable[Event]) -> tuple[Event, ...]:
    """Return the events to publish: a good step that another one follows at the same moment is told by that one.

    Nothing is left out: the last step's sentence comes first, then those of the steps before it. What went wrong, or
    what a person did, is always an event of its own. The audit trail has a record of each.
    """
    told: list[Event] = []
    for event in events:
        joined = _joined(told[-1], event) if told else None
        if joined is None:
            told.append(event)
        else:
            told[-1] = joined
    return tuple(told)


def _joined(before: Event, event: Event) -> Event | None:
    """Return one event for two; None where each is told by itself."""
    if before.reason not in _STEPS or event.reason not in _LEADS_ON or before.by or event.by:
        return None
    about, found, _ = event.message.partition(": ")
    earlier = before.message.removeprefix(f"{about}: ") if found and about.startswith("Run ") else before.message
    message = f"{event.message} {earlier}"
    return replace(event, message=message) if len(message.encode()) <= MAX_NOTE else None
