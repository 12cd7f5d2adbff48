"""Counts for the operator's own metrics what the step from one written status to the next says has happened."""

from serinus.api.rollout_status import Rollback, RollbackReason, RolloutStatus
from serinus.engine.rollout.modes import RolledBack, mode_of
from serinus.reconcile.rollouts.safety_memory import has_begun
from serinus.telemetry import Telemetry


def count_changes(telemetry: Telemetry, before: RolloutStatus, after: RolloutStatus) -> None:
    """Count rollbacks, ended runs, judgements and corrections: nothing else is known of them afterwards."""
    _count_rollback(telemetry, before, after)
    if after.history and after.history[:1] != before.history[:1]:
        run = after.history[0]
        telemetry.runs.labels(run.result.value).inc()
        telemetry.run_seconds.labels(run.result.value).observe((run.ended_at - run.started_at).total_seconds())
    judged = {one.condition: one.at for one in before.evidence}
    for one in after.evidence:
        if judged.get(one.condition) != one.at:
            telemetry.checks.labels(one.name, one.verdict.value).inc()
    corrected_at = after.route.corrected_at if after.route is not None else None
    if corrected_at is not None and (before.route is None or before.route.corrected_at != corrected_at):
        telemetry.drift_corrections.inc()


def _count_rollback(telemetry: Telemetry, before: RolloutStatus, after: RolloutStatus) -> None:
    rollback = after.rollback
    if rollback is None or before.rollback == rollback:
        return
    if has_begun(before.rollback, rollback):
        telemetry.rollbacks.labels(rollback.reason.value).inc()
    safe_at = rollback.traffic_safe_at
    if safe_at is None or not isinstance(mode_of(after), RolledBack):
        return
    telemetry.rollback_seconds.observe((safe_at - rollback.decided_at).total_seconds())
    judged_at = next((one.at for one in after.evidence if _shows(one.condition, rollback)), None)
    if judged_at is not None:
        telemetry.breach_seconds.observe((safe_at - judged_at).total_seconds())


def _shows(condition: str, rollback: Rollback) -> bool:
    return rollback.reason is RollbackReason.METRIC_BREACHED and condition == rollback.condition
