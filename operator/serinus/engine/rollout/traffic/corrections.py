"""How often somebody else's change of the route is put right: two controllers must not fight without end."""

from datetime import timedelta
from typing import Final, NamedTuple

from msgspec import structs

from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.waiting import Waiting, WaitReason

MOST_CORRECTIONS: Final = 3
CONTEST_PAUSE: Final = timedelta(minutes=1)
"""After so many corrections, each within this time of the one before, the next one waits for as long."""


class Correction(NamedTuple):
    """What is put right.

    Attributes:
        reason: of the event.
        message: what was put right, and whose change it was.
        contested: the same where it happens again and again.
        is_news: whether the event is published.
    """

    reason: EventReason
    message: str
    contested: str
    is_news: bool = True


def by_whom(written_by: str) -> str:
    """Return the field manager as part of a sentence, with a blank before it; empty where it is not known."""
    return f" by {written_by}" if written_by else ""


def correct(draft: Draft, correction: Correction, situation: Situation) -> tuple[Draft, bool]:
    """Count a correction of somebody else's write, and return whether the next one must wait.

    Two controllers that put each other right without end are worse than a wrong share: after some corrections in a row
    the operator waits between them, says so once and records no more of them.
    """
    memory, now = draft.status.route, situation.now
    if memory is None:
        return draft, False
    # A time that is still to come was noted before the clock was set back.
    corrected_at = min(memory.corrected_at, now) if memory.corrected_at is not None else None
    since = now - corrected_at if corrected_at is not None else None
    window = CONTEST_PAUSE if memory.corrections < MOST_CORRECTIONS else 2 * CONTEST_PAUSE
    in_a_row = memory.corrections if since is not None and since < window else 0
    if in_a_row < MOST_CORRECTIONS:
        draft = _counted(draft, in_a_row + 1, situation)
        if not correction.is_news:
            return draft, False
        return draft.with_event(correction.reason, correction.message, warning=True), False
    message = correction.contested
    if in_a_row == MOST_CORRECTIONS:
        draft = draft.with_event(EventReason.ROUTE_CONTESTED, message, warning=True)
    if since is not None and since < CONTEST_PAUSE and in_a_row > MOST_CORRECTIONS:
        until = (corrected_at or now) + CONTEST_PAUSE
        return draft.with_waiting(Waiting(WaitReason.ROUTE_CONTESTED, message, until=until)), True
    draft = _counted(draft, in_a_row + 1, situation)
    return draft.with_waiting(Waiting(WaitReason.ROUTE_CONTESTED, message)), in_a_row == MOST_CORRECTIONS


def _counted(draft: Draft, corrections: int, situation: Situation) -> Draft:
    memory = draft.status.route
    if memory is None:
        return draft
    return draft.with_status(route=structs.replace(memory, corrections=corrections, corrected_at=situation.now))
