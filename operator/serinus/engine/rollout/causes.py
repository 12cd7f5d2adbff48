"""Why a version must lose its traffic: what was measured, tested, decided or asked for."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from serinus.api.abort_condition import Latency
from serinus.api.names import Command
from serinus.api.quantities import format_duration
from serinus.api.rollout import OnTimeout
from serinus.api.rollout_status import RollbackReason, RolloutStatus, StageState, TestResult
from serinus.api.stage_tests import IntegrationTest
from serinus.api.verdict import Verdict
from serinus.engine.analysis.assessment import Assessment
from serinus.engine.rollout.commands import PendingCommands
from serinus.engine.rollout.draft import Situation
from serinus.engine.rollout.job_tests import outcome_of
from serinus.engine.rollout.modes import Running
from serinus.engine.rollout.traffic.targets import choose_target
from serinus.engine.rollout.waiting import WaitReason

NOT_READY_LIMIT: Final = timedelta(seconds=30)
"""So long may a candidate have traffic and no ready endpoint: a rolling update of its pods takes less."""

_REFUSALS: Final = frozenset(
    {
        WaitReason.VERSION_YANKED,
        WaitReason.VERSION_TAKEN,
        WaitReason.SCHEMA_REJECTED,
        WaitReason.ARTIFACT_REJECTED,
        WaitReason.FACTS_MISSING,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackCause:
    """Why a version must lose its traffic."""

    reason: RollbackReason
    message: str
    judged: Assessment | None = None
    requested_by: str = ""
    why: str = ""
    asked_target: str = ""
    override: bool = False


def rollback_cause(
    run: Running, status: RolloutStatus, situation: Situation, pending: PendingCommands
) -> RollbackCause | None:
    """Return why the candidate is bad, or None: measurements first, then tests, facts, commands, time."""
    breach = next((one for one in situation.judged if one.verdict is Verdict.BREACH), None)
    if breach is not None:
        too = " The stable version is over the same limit too." if breach.stable_too else ""
        return RollbackCause(reason=RollbackReason.METRIC_BREACHED, message=_sentence(breach) + too, judged=breach)
    return (
        _failed_test(run, status, situation)
        or _refused(run, situation)
        or _without_endpoints(run, status, situation)
        or _asked(pending, situation)
        or _timed_out(run, status, situation)
    )


def _refused(run: Running, situation: Situation) -> RollbackCause | None:
    """Return the verdict on the candidate that was given after its run began; it stays in force during the run."""
    facts = situation.observed.versions.get(run.candidate.version)
    if facts is None:
        return None
    if facts.block is not None and facts.block.reason in _REFUSALS and not facts.block.temporary:
        return RollbackCause(reason=RollbackReason.CANDIDATE_REFUSED, message=facts.block.message)
    if facts.backend is not None and run.candidate.backend is not None and facts.backend != run.candidate.backend:
        message = f"The ModelVersion of {facts.version} was replaced and names another backend now."
        return RollbackCause(reason=RollbackReason.CANDIDATE_REFUSED, message=message)
    return None


def _without_endpoints(run: Running, status: RolloutStatus, situation: Situation) -> RollbackCause | None:
    """Return that the candidate has had traffic and no ready endpoint for too long.

    Where nothing else has endpoints either (a namespace that is scaled to zero) that says nothing of the version.
    """
    since = run.candidate.not_ready_since
    if since is None or situation.now - since < NOT_READY_LIMIT:
        return None
    if choose_target(situation.spec, status, situation.observed, run.candidate.version).version is None:
        return None
    seconds = NOT_READY_LIMIT.total_seconds()
    message = f"{run.candidate.version} has had no ready endpoint for {seconds:g}s while it has traffic."
    return RollbackCause(reason=RollbackReason.NO_READY_ENDPOINTS, message=message)


def _sentence(breach: Assessment) -> str:
    condition = breach.condition
    if isinstance(condition.metric, Latency) and "%" in breach.value:
        # Where no quantile is known that shows it, the share of slow requests does.
        return f"{condition.text}: {breach.value} ({breach.requests:,} requests)."
    return f"{condition.name} {breach.value} {condition.threshold_text} ({breach.requests:,} requests)."


def _failed_test(run: Running, status: RolloutStatus, situation: Situation) -> RollbackCause | None:
    stage = run.planned
    if stage is None or run.stage.state is not StageState.TESTING:
        return None
    for test in stage.tests:
        outcome = outcome_of(test.name, status, situation.observed)
        if outcome is not None and outcome.result is TestResult.FAILED:
            message = f"{kind_of(test)} test {test.name} failed in stage {stage.name}: {outcome.message}"
            return RollbackCause(reason=RollbackReason.TEST_FAILED, message=message)
    return None


def kind_of(test: IntegrationTest) -> str:
    """Return the kind of a test for a sentence."""
    return "HTTP" if test.http is not None else "Job"


def _asked(pending: PendingCommands, situation: Situation) -> RollbackCause | None:
    by = situation.observed.issuer_of(Command.ABORT)
    if pending.abort is not None:
        message, why = f"Aborted by {by}: {pending.abort}.", situation.reason_for(by, pending.abort) or pending.abort
        return RollbackCause(reason=RollbackReason.ABORTED, message=message, requested_by=by, why=why)
    return rollback_asked(pending.rollback, situation) if pending.rollback is not None else None


def rollback_asked(token: str, situation: Situation) -> RollbackCause:
    """Return what a person asks for by the command ``rollback``."""
    by = situation.observed.issuer_of(Command.ROLLBACK)
    return RollbackCause(
        reason=RollbackReason.ROLLBACK_REQUESTED,
        message=f"Rollback asked for by {by}: {token}.",
        requested_by=by,
        why=situation.why(by, token),
        asked_target=situation.observed.rollback_to,
        override=bool(situation.override_for(by)),
    )


def _timed_out(run: Running, status: RolloutStatus, situation: Situation) -> RollbackCause | None:
    stage = run.planned
    if stage is None or not has_timed_out(run, status, situation) or stage.on_timeout is not OnTimeout.ROLLBACK:
        return None
    message = f"Stage {stage.name} did not pass within {format_duration(stage.longest)} (onTimeout: Rollback)."
    return RollbackCause(reason=RollbackReason.STAGE_TIMED_OUT, message=message)


def has_timed_out(run: Running, status: RolloutStatus, situation: Situation) -> bool:
    """Return whether the stage has used its time; never while a person holds the run or is awaited."""
    stage, current = run.planned, run.stage
    if stage is None or status.paused is not None or situation.observed.freeze is not None:
        return False
    return current.state is not StageState.AWAITING_APPROVAL and current.elapsed(situation.now) >= stage.longest
