"""Which lane a Rollout's next decision belongs in: the safety lane wherever it may take traffic from a version.

A write towards safety lowers the share of a version on trial, or of one that was rolled back. So every Rollout whose
status has a candidate goes through the safety lane, whatever happened to it: a breach, a failed test, a verdict on the
candidate, endpoints that are gone, somebody else's write to the route, a deletion. One list of causes, the engine's,
decides; there is no second one here that could lack a cause. Only where it is decided that a version must lose its
traffic, and the route gives it none, the lane has nothing to do: what follows is reported in the ordinary one.
"""

from enum import Enum
from typing import Final

from serinus.api.names import Command, ObjectKey
from serinus.api.rollout_status import RolloutStatus, Serving, TestResult
from serinus.engine.rollout.job_tests import known_test, never_ran
from serinus.engine.rollout.modes import Mode, RolledBack, RollingBack, Running, Stranded, mode_of
from serinus.engine.rollout.traffic.confirmation import route_in_use
from serinus.engine.rollout.traffic.facts import backend_key
from serinus.ports.cluster_state import RolloutRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from serinus.reconcile.rollouts.http_tests import HttpTestResults
from serinus.reconcile.rollouts.observe import contents_in, current_jobs, job_outcomes
from serinus.reconcile.rollouts.safety_memory import SafetyMemory

_TOWARDS_SAFETY: Final = (Command.ABORT, Command.ROLLBACK)


class Priority(Enum):
    """How a Rollout is queued."""

    URGENT = "urgent"
    """In the safety lane, before the others: it is known already that a version must lose its traffic."""
    AT_STAKE = "at stake"
    """In the safety lane: the next decision may take traffic from a version."""
    REPORT = "report"
    """In the ordinary lane, before the others: the traffic of a bad version was taken, its end is to be reported."""
    ORDINARY = "ordinary"
    """In no lane but the ordinary one: there is no version that could lose traffic."""


class Priorities:
    """Tells the priority of a Rollout from what is known of it now."""

    def __init__(
        self, cache: ClusterCache, tracker: AnalysisTracker, tests: HttpTestResults, memory: SafetyMemory
    ) -> None:
        """Decide by these."""
        self._cache = cache
        self._tracker = tracker
        self._tests = tests
        self._memory = memory

    def of(self, key: ObjectKey) -> Priority:
        """Return how a Rollout is queued; one that is gone is ordinary."""
        record = self._cache.rollout(key)
        if record is None:
            return Priority.ORDINARY
        mode = mode_of(record.status)
        condemned = self._condemned(record, mode)
        if condemned and not self._may_have_traffic(record, condemned):
            return Priority.ORDINARY if isinstance(mode, RolledBack) else Priority.REPORT
        if self._is_urgent(record, mode):
            return Priority.URGENT
        return Priority.AT_STAKE if record.status.candidate is not None else Priority.ORDINARY

    def _condemned(self, record: RolloutRecord, mode: Mode) -> str:
        """Return the version that must lose its traffic, by the status or by a verdict that it does not have yet.

        Empty where there is none, and while a deletion or a command may end what was decided.
        """
        if record.deleting or _is_requested(record):
            return ""
        if isinstance(mode, RollingBack | RolledBack):
            return mode.rollback.version
        verdict = self._memory.verdict(record)
        return verdict.version if verdict is not None else ""

    def _may_have_traffic(self, record: RolloutRecord, version: str) -> bool:
        """Return whether the route gives a version of the status traffic, or nobody knows that it gives none."""
        serving = next((one for one in _roles(record.status) if one.version == version), None)
        ref = route_in_use(self._cache.last_plan(record), record.status)
        if serving is None or serving.backend is None or ref is None:
            return True
        route = self._cache.route(record.meta.key.namespace, ref)
        if route is None:
            return True
        backend = backend_key(serving.backend)
        return any(entry.weight and entry.key.may_be(backend) for rule in route.rules for entry in rule.entries)

    def _is_urgent(self, record: RolloutRecord, mode: Mode) -> bool:
        return (
            isinstance(mode, RollingBack | Stranded)
            or _is_requested(record)
            or self._tracker.breached(record)
            or (isinstance(mode, Running) and self._has_failed_test(record))
        )

    def _has_failed_test(self, record: RolloutRecord) -> bool:
        ended = job_outcomes(current_jobs(self._cache, record, {})) | self._tests.outcomes(
            record.meta.uid, record.status, contents_in(self._cache, record)
        )
        return any(
            outcome.result is TestResult.FAILED and not never_ran(outcome, known_test(record.status, name))
            for name, outcome in ended.items()
        )


def _roles(status: RolloutStatus) -> tuple[Serving, ...]:
    return tuple(one for one in (status.candidate, status.stable) if one is not None)


def _is_requested(record: RolloutRecord) -> bool:
    commands, handled = record.commands, record.status.last_handled
    return any(verb.value in commands and commands[verb.value] != handled.get(verb.value) for verb in _TOWARDS_SAFETY)
