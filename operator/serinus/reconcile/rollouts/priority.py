"""Which lane a Rollout's next decision belongs in: the safety lane wherever it may take traffic from a version.

A write towards safety lowers the share of a version on trial, or of one that was rolled back. So every Rollout whose
status has a candidate goes through the safety lane, whatever happened to it: a breach, a failed test, a verdict on the
candidate, endpoints that are gone, somebody else's write to the route, a deletion. One list of causes, the engine's,
decides; there is no second one here that could lack a cause.
"""

from enum import Enum
from typing import Final

from serinus.api.names import Command, ObjectKey
from serinus.api.rollout_status import TestResult
from serinus.engine.rollout.job_tests import known_test, never_ran
from serinus.engine.rollout.modes import RollingBack, Running, Stranded, mode_of
from serinus.ports.cluster_state import RolloutRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from serinus.reconcile.rollouts.http_tests import HttpTestResults
from serinus.reconcile.rollouts.observe import current_jobs, job_outcomes

_TOWARDS_SAFETY: Final = (Command.ABORT, Command.ROLLBACK)


class Priority(Enum):
    """How a Rollout is queued."""

    URGENT = "urgent"
    """In the safety lane, before the others: it is known already that a version must lose its traffic."""
    AT_STAKE = "at stake"
    """In the safety lane: the next decision may take traffic from a version."""
    ORDINARY = "ordinary"
    """In no lane but the ordinary one: there is no version that could lose traffic."""


class Priorities:
    """Tells the priority of a Rollout from what is known of it now."""

    def __init__(self, cache: ClusterCache, tracker: AnalysisTracker, tests: HttpTestResults) -> None:
        """Decide by these."""
        self._cache = cache
        self._tracker = tracker
        self._tests = tests

    def of(self, key: ObjectKey) -> Priority:
        """Return how a Rollout is queued; one that is gone is ordinary."""
        record = self._cache.rollout(key)
        if record is None:
            return Priority.ORDINARY
        if self._is_urgent(record):
            return Priority.URGENT
        return Priority.AT_STAKE if record.status.candidate is not None else Priority.ORDINARY

    def _is_urgent(self, record: RolloutRecord) -> bool:
        return (
            isinstance(mode_of(record.status), RollingBack | Stranded)
            or _is_requested(record)
            or self._tracker.breached(record)
            or self._has_failed_test(record)
        )

    def _has_failed_test(self, record: RolloutRecord) -> bool:
        if not isinstance(mode_of(record.status), Running):
            return False
        ended = job_outcomes(current_jobs(self._cache, record, {})) | self._tests.outcomes(
            record.meta.uid, record.status
        )
        return any(
            outcome.result is TestResult.FAILED and not never_ran(outcome, known_test(record.status, name))
            for name, outcome in ended.items()
        )


def _is_requested(record: RolloutRecord) -> bool:
    commands, handled = record.commands, record.status.last_handled
    return any(verb.value in commands and commands[verb.value] != handled.get(verb.value) for verb in _TOWARDS_SAFETY)
