"""Commands by annotation: each token is acted on once and acknowledged, whatever came of it."""

from dataclasses import dataclass, replace
from typing import Final

from serinus.api.names import REASON_ANNOTATION, Command
from serinus.api.rollout_status import Pause, RolloutStatus, StageApproval, StageState
from serinus.engine.rollout import approvals
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.modes import Running, Settled, Stranded
from serinus.engine.rollout.observation import Observation
from serinus.engine.rollout.outbox import backlog

MAX_TOKEN: Final = 1024
_TOWARDS_SAFETY: Final = frozenset({Command.ABORT, Command.ROLLBACK})
_NEED_REASON: Final = frozenset({Command.PROMOTE, Command.RESUME, Command.RETRY})
"""An abort or a rollback never waits for a reason, and a pause harms nobody."""


@dataclass(frozen=True, slots=True)
class PendingCommands:
    """The commands that later steps of the decision answer."""

    abort: str | None = None
    rollback: str | None = None
    retry: str | None = None


def _fresh(status: RolloutStatus, observed: Observation) -> dict[Command, str]:
    """Return the commands whose token has not been acted on; while the outbox is full only those towards safety."""
    given = {Command(verb): token[:MAX_TOKEN] for verb, token in observed.commands.items()}
    crowded = backlog(status) is not None
    return {
        verb: token
        for verb, token in given.items()
        if status.last_handled.get(verb.value) != token and (not crowded or verb in _TOWARDS_SAFETY)
    }


def apply_commands(draft: Draft, situation: Situation) -> tuple[Draft, PendingCommands]:
    """Acknowledge new commands, apply those that only touch the status, and return the pending rest."""
    fresh = _fresh(draft.status, situation.observed)
    if not fresh:
        return draft, PendingCommands()
    handled = {**draft.status.last_handled, **{verb.value: token for verb, token in fresh.items()}}
    draft = draft.with_status(last_handled=handled)
    draft, fresh = _with_reasons(draft, situation, fresh)
    # Resume before pause: where both are new, the run stays where it is.
    for verb, step in ((Command.RESUME, _resume), (Command.PAUSE, _pause), (Command.PROMOTE, _promote)):
        if verb in fresh:
            draft = step(draft, situation, fresh[verb])
    return _pending(draft, situation, fresh)


def _with_reasons(draft: Draft, situation: Situation, fresh: dict[Command, str]) -> tuple[Draft, dict[Command, str]]:
    """Leave out the commands that lack the reason which the Model's policy wants."""
    if not situation.observed.policy.require.reason or situation.observed.actors.reason:
        return draft, fresh
    for verb in [verb for verb in fresh if verb in _NEED_REASON]:
        why = f"the Model's policy wants a reason: annotate the Rollout with {REASON_ANNOTATION} too, then ask anew"
        draft = _ignore(draft, situation, verb, why)
    return draft, {verb: token for verb, token in fresh.items() if verb not in _NEED_REASON}


def _pending(draft: Draft, situation: Situation, fresh: dict[Command, str]) -> tuple[Draft, PendingCommands]:
    pending = PendingCommands(fresh.get(Command.ABORT), fresh.get(Command.ROLLBACK), fresh.get(Command.RETRY))
    if pending.abort is not None and not isinstance(draft.mode, Running | Stranded):
        draft = _ignore(draft, situation, Command.ABORT, "no run is under way")
        pending = replace(pending, abort=None)
    if pending.rollback is not None and not isinstance(draft.mode, Running | Stranded | Settled):
        draft = _ignore(draft, situation, Command.ROLLBACK, "the traffic is back already")
        pending = replace(pending, rollback=None)
    return draft, pending


def ignored_retry(draft: Draft, situation: Situation) -> Draft:
    """Say that there was nothing to retry."""
    return _ignore(draft, situation, Command.RETRY, "the wanted version has not been rolled back")


def ignored_rollback(draft: Draft, situation: Situation) -> Draft:
    """Say that there was nothing to roll back to."""
    why = "no earlier good version with a backend is known: set spec.rollbackTo"
    return _ignore(draft, situation, Command.ROLLBACK, why)


def _ignore(draft: Draft, situation: Situation, verb: Command, why: str) -> Draft:
    by = situation.observed.requested_by
    return draft.with_event(EventReason.COMMAND_IGNORED, f"{verb.value} was ignored: {why}.", warning=True, by=by)


def _pause(draft: Draft, situation: Situation, token: str) -> Draft:
    by, why = situation.observed.requested_by, situation.why(token)
    draft = draft.with_status(paused=Pause(reason=token, requested_by=by, at=situation.now))
    story = f"Paused by {by}: {token}. A breach still rolls back."
    return draft.with_event(EventReason.ROLLOUT_PAUSED, story, by=by, why=why)


def _resume(draft: Draft, situation: Situation, token: str) -> Draft:
    if draft.status.paused is None:
        return _ignore(draft, situation, Command.RESUME, "it is not paused")
    by, why = situation.observed.requested_by, situation.why(token)
    return draft.with_status(paused=None).with_event(EventReason.ROLLOUT_RESUMED, f"Resumed by {by}.", by=by, why=why)


def _promote(draft: Draft, situation: Situation, token: str) -> Draft:
    status, run = draft.status, draft.mode
    if not isinstance(run, Running):
        return _ignore(draft, situation, Command.PROMOTE, "no run is under way")
    if status.paused is not None:
        return _ignore(draft, situation, Command.PROMOTE, "the rollout is paused: resume it first")
    if run.stage.state not in {StageState.ANALYZING, StageState.AWAITING_APPROVAL}:
        why = f"stage {run.stage.name} is still {run.stage.state.value}"
        return _ignore(draft, situation, Command.PROMOTE, why)
    by, refused = situation.observed.actors.approved_by, approvals.refusal(status, situation)
    if refused:
        story = f"The approval does not count: {refused}."
        return draft.with_event(EventReason.APPROVAL_REFUSED, story, warning=True, by=by, why=situation.why(token))
    subject = approvals.subject_of(status, situation)
    approval = StageApproval(
        stage=run.stage.name,
        requested_by=by,
        token=token,
        at=situation.now,
        digest=subject.digest,
        spec_hash=subject.spec_hash,
    )
    draft = draft.with_status(approvals=(*status.approvals, approval)[-32:])
    story = f"{by} let the run leave stage {run.stage.name}: {token}."
    return draft.with_event(EventReason.APPROVED, story, by=by, why=situation.why(token))
