"""Which Rollouts overtake all others: those whose next decision may take traffic from a bad version."""

from typing import Final

from serinus.api.names import Command, ObjectKey
from serinus.api.rollout_status import TestResult
from serinus.engine.rollout.job_tests import known_test, never_ran
from serinus.engine.rollout.modes import RollingBack, Running, Stranded, mode_of
from serinus.ports.cluster_state import RolloutRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from serinus.reconcile.rollouts.http_tests import HttpTestResults
from serinus.reconcile.rollouts.observe import job_outcomes

_TOWARDS_SAFETY: Final = (Command.ABORT, Command.ROLLBACK)


def is_urgent(cache: ClusterCache, tracker: AnalysisTracker, tests: HttpTestResults, key: ObjectKey) -> bool:
    """Return whether the next decision about this Rollout may be a rollback."""
    record = cache.rollout(key)
    if record is None:
        return False
    return (
        isinstance(mode_of(record.status), RollingBack | Stranded)
        or _is_requested(record)
        or tracker.breached(record)
        or _has_failed_test(cache, tests, record)
    )


def _is_requested(record: RolloutRecord) -> bool:
    commands, handled = record.commands, record.status.last_handled
    return any(verb.value in commands and commands[verb.value] != handled.get(verb.value) for verb in _TOWARDS_SAFETY)


def _has_failed_test(cache: ClusterCache, tests: HttpTestResults, record: RolloutRecord) -> bool:
    if not isinstance(mode_of(record.status), Running):
        return False
    ended = job_outcomes(cache, record) | tests.outcomes(record.meta.uid, record.status)
    return any(
        outcome.result is TestResult.FAILED and not never_ran(outcome, known_test(record.status, name))
        for name, outcome in ended.items()
    )
