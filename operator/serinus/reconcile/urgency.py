"""Which looks overtake all others: those that may take traffic from a bad version."""

from typing import Final

from serinus.api.names import Command, ObjectKey
from serinus.api.rollout_status import TestResult
from serinus.engine.transitions import Mode, mode_of
from serinus.ports import RolloutRecord
from serinus.reconcile.evidence import EvidenceBook
from serinus.reconcile.observe import job_outcomes
from serinus.reconcile.store import Store
from serinus.reconcile.testdesk import TestDesk

_TOWARDS_SAFETY: Final = (Command.ABORT, Command.ROLLBACK)


def is_urgent(store: Store, book: EvidenceBook, desk: TestDesk, key: ObjectKey) -> bool:
    """Say whether the next decision about this Rollout may be a rollback."""
    record = store.rollout(key)
    if record is None:
        return False
    return (
        mode_of(record.status) in {Mode.ROLLING_BACK, Mode.STRANDED}
        or _is_asked_for(record)
        or book.breached(record)
        or _has_failed_test(store, desk, record)
    )


def _is_asked_for(record: RolloutRecord) -> bool:
    given, handled = record.commands, record.status.last_handled
    return any(verb.value in given and given[verb.value] != handled.get(verb.value) for verb in _TOWARDS_SAFETY)


def _has_failed_test(store: Store, desk: TestDesk, record: RolloutRecord) -> bool:
    if mode_of(record.status) is not Mode.RUNNING:
        return False
    ended = (*job_outcomes(store, record).values(), *desk.outcomes(record.meta.uid, record.status).values())
    return any(outcome.result is TestResult.FAILED for outcome in ended)
