"""Commands by annotation: each token is acted on once and acknowledged, whatever came of it."""

from dataclasses import dataclass
from typing import Final, assert_never

from msgspec import structs

from serinus.api.names import REASON_ANNOTATION, Command
from serinus.api.rollout_status import Pause, Rollback, RolloutStatus, StageApproval, StageState
from serinus.engine.analysis.text import clock
from serinus.engine.rollout import approvals
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.modes import Idle, Mode, RolledBack, RollingBack, Running, Settled, Stranded
from serinus.engine.rollout.observation import Observation
from serinus.engine.rollout.outbox import backlog
from serinus.engine.rollout.traffic.targets import choose_target

MAX_TOKEN: Final = 1024
_TOWARDS_SAFETY: Final = frozenset({Command.ABORT, Command.ROLLBACK})
_NEED_REASON: Final = frozenset({Command.PROMOTE, Command.RESUME, Command.RETRY})
"""An abort or a rollback never waits for a reason, and a pause harms nobody."""


@dataclass(frozen=True, slots=True)
class PendingCommands:
    """The commands that later steps of the decision answer, each with its token; None where there is none."""

    abort: str | None = None
    rollback: str | None = None
    retry: str | None = None

    @property
    def by_verb(self) -> dict[Command, str]:
        """The tokens by command."""
        tokens = {Command.ABORT: self.abort, Command.ROLLBACK: self.rollback, Command.RETRY: self.retry}
        return {verb: token for verb, token in tokens.items() if token is not None}


def forget_withdrawn(draft: Draft, situation: Situation) -> Draft:
    """Forget the token of a command whose annotation is gone: the same text set again is a new command."""
    handled, present = draft.status.last_handled, situation.observed.commands
    left = {verb: token for verb, token in handled.items() if verb in present}
    return draft if left == handled else draft.with_status(last_handled=left)


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
    """Apply and acknowledge the new commands that only touch the status, and return the rest, not acknowledged yet."""
    fresh = _fresh(draft.status, situation.observed)
    if not fresh:
        return draft, PendingCommands()
    draft, fresh = _with_reasons(draft, situation, fresh)
    # Resume before pause: where both are new, the run stays where it is.
    for verb, step in ((Command.RESUME, _resume), (Command.PAUSE, _pause), (Command.PROMOTE, _promote)):
        if verb in fresh:
            draft = acknowledged(step(draft, situation, fresh[verb]), verb, fresh[verb])
    return draft, PendingCommands(fresh.get(Command.ABORT), fresh.get(Command.ROLLBACK), fresh.get(Command.RETRY))


def acknowledged(draft: Draft, verb: Command, token: str) -> Draft:
    """Record that the command has had its effect, or that it was said why it has none."""
    return draft.with_status(last_handled={**draft.status.last_handled, verb.value: token})


def _with_reasons(draft: Draft, situation: Situation, fresh: dict[Command, str]) -> tuple[Draft, dict[Command, str]]:
    """Refuse the commands that lack the reason which the Model's policy wants."""
    if not situation.observed.policy.require.reason:
        return draft, fresh
    lacking = [verb for verb, token in fresh.items() if verb in _NEED_REASON and not _reason(verb, token, situation)]
    for verb in lacking:
        draft = acknowledged(_ignore(draft, situation, verb, _missing_reason(situation)), verb, fresh[verb])
    return draft, {verb: token for verb, token in fresh.items() if verb not in lacking}


def _reason(verb: Command, token: str, situation: Situation) -> str:
    actors = situation.observed.actors
    if verb is Command.PROMOTE:
        return situation.override_for(actors.approved_by) or situation.reason_for(actors.approved_by, token)
    return situation.reason_for(situation.observed.issuer_of(verb), token)


def _missing_reason(situation: Situation) -> str:
    ask = f"annotate the Rollout with {REASON_ANNOTATION} too, then ask anew"
    actors = situation.observed.actors
    if not actors.reason:
        return f"the Model's policy wants a reason: {ask}"
    if not situation.new_reason:
        return f"the Model's policy wants a reason of its own, and this one is recorded for an earlier act: {ask}"
    return f"the Model's policy wants a reason, and this one was written by {actors.reason_by}: {ask}"


def answer_rest(draft: Draft, before: Draft, situation: Situation, pending: PendingCommands) -> Draft:
    """Say why a command had no effect, and acknowledge it: nothing that a person asks for is swallowed.

    A retry that is given while the version is being rolled back waits until that is stored.

    Args:
        draft: after every step of the decision; an acknowledged command had its effect.
        before: with the mode in which the commands were given.
        situation: what the decision rests on.
        pending: the commands that the steps could have answered.
    """
    for verb, token in pending.by_verb.items():
        if draft.status.last_handled.get(verb.value) == token:
            continue
        if verb is Command.RETRY and RollingBack in {type(before.mode), type(draft.mode)}:
            draft = structs.replace(draft, requeue_now=draft.requeue_now or not isinstance(draft.mode, RollingBack))
            continue
        draft = acknowledged(
            _ignore(draft, situation, verb, _why_not(verb, before.mode, draft, situation)), verb, token
        )
    return draft


def _why_not(verb: Command, mode: Mode, draft: Draft, situation: Situation) -> str:
    if verb is Command.RETRY:
        if draft.waiting is not None and draft.waiting.reason.means_invalid:
            return f"nothing can be started now: {draft.waiting.message}"
        return "the wanted version has not been rolled back"
    match mode:
        case Running():
            return "the version is rolled back already, for another reason"
        case RolledBack() if verb is Command.ROLLBACK and situation.observed.rollback_to and draft.status.stable:
            return _no_target(draft.status.stable.version, draft, situation)
        case RolledBack(rollback=done) if verb is Command.ROLLBACK:
            return _already_back(done, draft, situation)
        case RollingBack() | RolledBack():
            return "the traffic is back already"
        case Stranded(candidate=bad) | Settled(stable=bad) if verb is Command.ROLLBACK:
            return _no_target(bad.version, draft, situation)
        case Stranded():
            return "there is no version that the traffic could go to: set spec.version, or spec.rollbackTo"
        case Idle() | Settled():
            return "no run is under way"
        case _:
            assert_never(mode)


def _no_target(bad: str, draft: Draft, situation: Situation) -> str:
    """Return why the traffic of ``bad`` goes nowhere: no version could take it, or not the one that was named."""
    asked = situation.observed.rollback_to
    choice = choose_target(situation.spec, draft.status, situation.observed, bad, asked)
    other = f". {choice.version} could take it: name that one" if choice.version is not None else ""
    if asked == bad:
        return f"{asked} serves already{other}"
    passed_over = dict(choice.passed_over)
    if asked in passed_over:
        return f"{asked} cannot take the traffic: it {passed_over.pop(asked)}{other or _others(passed_over)}"
    return f"no version that has served well could take the traffic{_others(passed_over)}"


def _already_back(done: Rollback, draft: Draft, situation: Situation) -> str:
    """Return why a rollback that names no version does not go further back: two people may ask for the same one."""
    said, stable = (
        f"the traffic is back already: {done.version} lost it at {clock(done.decided_at)}",
        draft.status.stable,
    )
    if stable is None:
        return said
    choice = choose_target(situation.spec, draft.status, situation.observed, stable.version)
    if choice.version is None:
        return said
    return f"{said}. To take it from {stable.version} as well, name the version: --to {choice.version}"


def _others(passed_over: dict[str, str]) -> str:
    return f" ({'; '.join(f'{version} {why}' for version, why in passed_over.items())})" if passed_over else ""


def _ignore(draft: Draft, situation: Situation, verb: Command, why: str) -> Draft:
    by = situation.observed.issuer_of(verb)
    return draft.with_event(EventReason.COMMAND_IGNORED, f"{verb.value} was ignored: {why}.", warning=True, by=by)


def _pause(draft: Draft, situation: Situation, token: str) -> Draft:
    by = situation.observed.issuer_of(Command.PAUSE)
    why = situation.reason_for(by, token) or token
    draft = draft.with_status(paused=Pause(reason=token, requested_by=by, at=situation.now))
    story = f"Paused by {by}: {token}. A breach still rolls back."
    return draft.with_event(EventReason.ROLLOUT_PAUSED, story, by=by, why=why)


def _resume(draft: Draft, situation: Situation, token: str) -> Draft:
    if draft.status.paused is None:
        return _ignore(draft, situation, Command.RESUME, "it is not paused")
    by = situation.observed.issuer_of(Command.RESUME)
    why = situation.reason_for(by, token) or token
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
    by = situation.observed.actors.approved_by
    why, override = situation.why(by, token), situation.override_for(by)
    refused = "" if override else approvals.refusal(status, situation)
    if refused:
        story = f"The approval does not count: {refused}."
        return draft.with_event(EventReason.APPROVAL_REFUSED, story, warning=True, by=by, why=why)
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
    if override:
        story = f"{by} let the run leave stage {run.stage.name} BY OVERRIDE, without the plan's approval: {override}."
    return draft.with_event(
        EventReason.APPROVED, story, warning=bool(override), by=by, why=why, override=bool(override)
    )
