"""What a person asked for by annotation: each token is acted on once and acknowledged, whatever came of it."""

from dataclasses import dataclass, replace

from serinus.api.names import Command
from serinus.api.rollout_status import Pause, RolloutStatus, StageApproval, StageState
from serinus.engine.decision import EventReason
from serinus.engine.draft import Draft, Situation
from serinus.engine.observation import Observation
from serinus.engine.transitions import Mode, mode_of

MAX_TOKEN = 1024


@dataclass(frozen=True, slots=True)
class Wishes:
    """The commands that later steps of the decision answer."""

    abort: str | None = None
    rollback: str | None = None
    retry: str | None = None


def pending(status: RolloutStatus, observed: Observation) -> dict[Command, str]:
    """Return the commands whose token has not been acted on."""
    given = {Command(verb): token[:MAX_TOKEN] for verb, token in observed.commands.items()}
    return {verb: token for verb, token in given.items() if status.last_handled.get(verb.value) != token}


def obey(draft: Draft, situation: Situation) -> tuple[Draft, Wishes]:
    """Acknowledge every new command, do those that only change what the status says, and return the rest as wishes."""
    fresh = pending(draft.status, situation.observed)
    if not fresh:
        return draft, Wishes()
    handled = {**draft.status.last_handled, **{verb.value: token for verb, token in fresh.items()}}
    draft = draft.with_status(last_handled=handled)
    # Resume before pause: where both are new, the run stays where it is.
    for verb, step in ((Command.RESUME, _resume), (Command.PAUSE, _pause), (Command.PROMOTE, _promote)):
        if verb in fresh:
            draft = step(draft, situation, fresh[verb])
    return _wishes(draft, fresh)


def _wishes(draft: Draft, fresh: dict[Command, str]) -> tuple[Draft, Wishes]:
    mode = mode_of(draft.status)
    wishes = Wishes(fresh.get(Command.ABORT), fresh.get(Command.ROLLBACK), fresh.get(Command.RETRY))
    if wishes.abort is not None and mode not in {Mode.RUNNING, Mode.STRANDED}:
        draft, wishes = _ignore(draft, Command.ABORT, "no run is under way"), replace(wishes, abort=None)
    if wishes.rollback is not None and mode not in {Mode.RUNNING, Mode.STRANDED, Mode.SETTLED}:
        draft, wishes = _ignore(draft, Command.ROLLBACK, "the traffic is back already"), replace(wishes, rollback=None)
    return draft, wishes


def ignored_retry(draft: Draft) -> Draft:
    """Say that there was nothing to retry."""
    return _ignore(draft, Command.RETRY, "the wanted version has not been rolled back")


def ignored_rollback(draft: Draft) -> Draft:
    """Say that there was nothing to roll back to."""
    return _ignore(draft, Command.ROLLBACK, "no earlier good version with a backend is known: set spec.rollbackTo")


def _ignore(draft: Draft, verb: Command, why: str) -> Draft:
    return draft.say(EventReason.COMMAND_IGNORED, f"{verb.value} was ignored: {why}.", warning=True)


def _pause(draft: Draft, situation: Situation, token: str) -> Draft:
    by = situation.observed.requested_by
    draft = draft.with_status(paused=Pause(reason=token, requested_by=by, at=situation.now))
    return draft.say(EventReason.ROLLOUT_PAUSED, f"Paused by {by}: {token}. A breach still rolls back.")


def _resume(draft: Draft, situation: Situation, _token: str) -> Draft:
    if draft.status.paused is None:
        return _ignore(draft, Command.RESUME, "it is not paused")
    return draft.with_status(paused=None).say(
        EventReason.ROLLOUT_RESUMED, f"Resumed by {situation.observed.requested_by}."
    )


def _promote(draft: Draft, situation: Situation, token: str) -> Draft:
    status = draft.status
    if mode_of(status) is not Mode.RUNNING or status.stage is None:
        return _ignore(draft, Command.PROMOTE, "no run is under way")
    if status.paused is not None:
        return _ignore(draft, Command.PROMOTE, "the rollout is paused: resume it first")
    if status.stage.state not in {StageState.ANALYZING, StageState.AWAITING_APPROVAL}:
        return _ignore(draft, Command.PROMOTE, f"stage {status.stage.name} is still {status.stage.state.value}")
    by = situation.observed.requested_by
    approval = StageApproval(stage=status.stage.name, requested_by=by, token=token, at=situation.now)
    draft = draft.with_status(approvals=(*status.approvals, approval)[-32:])
    return draft.say(EventReason.APPROVED, f"{by} let the run leave stage {status.stage.name}: {token}.")


def approved_since_state_began(status: RolloutStatus) -> bool:
    """Say whether a person promoted the run in its present state: the clock and the gate are then passed."""
    stage = status.stage
    return stage is not None and any(
        approval.stage == stage.name and approval.at >= stage.state_since for approval in status.approvals
    )
