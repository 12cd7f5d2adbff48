"""Laws 11 and 12: they need what a history has counted, beside the decision itself.

Run time and corrections are counted here from what happened, not read from the status, which may be wrong about them.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from serinus.api.rollout_status import RolloutStatus, StageState
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.observation import InvalidSpec
from serinus.engine.rollout.traffic.facts import RouteFacts
from support.law_terms import Step, is_running, share_at

FOREIGN_WRITER: Final = "kubectl-edit"
"""The field manager of whoever edits a route in the tests' worlds."""

MOST_IN_A_ROW: Final = 3
WINDOW: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Counted:
    """What a history has counted up to a decision.

    Attributes:
        in_stage: for how long the run has been in its stage, held time left out.
        in_state: the same for the stage's state.
        corrections: corrections of foreign writes within the last minute.
    """

    in_stage: timedelta = timedelta(0)
    in_state: timedelta = timedelta(0)
    corrections: int = 0


def held_time_is_not_run_time(step: Step, counted: Counted) -> str | None:
    """Law 11: neither ``duration`` nor ``maxDuration`` is over before the stage has run for as long unheld."""
    before, after, planned = step.before, step.after, step.planned_stage
    if not is_running(before) or before.stage is None or planned is None:
        return None
    rolled_back = after.rollback is not None and after.rollback.reason.value == "StageTimedOut"
    timed_out = EventReason.STAGE_TIMED_OUT in step.events or rolled_back
    if timed_out and counted.in_stage < planned.longest:
        return f"timed out after {counted.in_stage} of run time; maxDuration is {planned.longest}"
    passed = EventReason.ANALYSIS_PASSED in step.events and before.stage.state is StageState.ANALYZING
    by_hand = after.approvals or before.approvals
    if passed and not by_hand and counted.in_state < planned.watch.value:
        return f"passed after {counted.in_state} of run time; duration is {planned.watch.value}"
    return "" if timed_out or (passed and not by_hand) else None


def no_fight(step: Step, counted: Counted) -> str | None:
    """Law 12: after three corrections within a minute the next one waits; a write towards safety does not count."""
    if not is_correction(step):
        return None
    return "a fourth correction of a foreign write within a minute" if counted.corrections >= MOST_IN_A_ROW else ""


HISTORY_LAWS: Final = (held_time_is_not_run_time, no_fight)


def is_correction(step: Step) -> bool:
    """Whether the decision puts right what somebody else wrote, for no other reason than that."""
    route, write = step.observed.route, step.write
    foreign = isinstance(route, RouteFacts) and route.written_by == FOREIGN_WRITER
    return foreign and write is not None and not write.towards_safety and _roles(step.before) == _roles(step.after)


def is_held(step: Step) -> bool:
    """Whether the decision leaves its run held: by a person, a freeze, a rival, or a spec that cannot be followed.

    Or by somebody who gave the version less than its stage has, as long as that is not put right.
    """
    after, observed, candidate = step.after, step.observed, step.after.candidate
    if candidate is not None and _share_of_ours(step, candidate.version) < candidate.weight / 100 * 0.9:
        return True
    waits = after.stage is not None and after.stage.state is StageState.AWAITING_APPROVAL
    hindered = observed.freeze is not None or bool(observed.conflict) or isinstance(step.spec, InvalidSpec)
    return after.paused is not None or waits or hindered


def _share_of_ours(step: Step, version: str) -> float:
    """The version's share of what the route gives the model's versions; others in the rule keep theirs."""
    roles = (step.after.stable, step.after.candidate)
    named = {*step.observed.versions, *(role.version for role in roles if role is not None)}
    ours = {step.key_of(one) for one in named}
    return share_at(tuple(entry for entry in step.written if entry.key in ours), step.key_of(version))


def enters(before: RolloutStatus, after: RolloutStatus) -> tuple[bool, bool]:
    """Whether the run has come into another stage, and into another state."""
    old, new = before.stage, after.stage
    if not is_running(before) or old is None or new is None:
        return True, True
    stage = (before.run, old.index) != (after.run, new.index)
    return stage, stage or old.state is not new.state


@dataclass(frozen=True, slots=True)
class Past:
    """What one history has counted so far; ``at`` is the time of the last count, None before the first."""

    at: datetime | None = None
    in_stage: timedelta = timedelta(0)
    in_state: timedelta = timedelta(0)
    held: bool = False
    corrected_at: tuple[datetime, ...] = ()

    def upto(self, now: datetime) -> "Past":
        """Count the time since the last count; a clock that was stepped back counts for nothing."""
        passed = max(timedelta(0), now - self.at) if self.at is not None and not self.held else timedelta(0)
        recent = tuple(at for at in self.corrected_at if timedelta(0) <= now - at < WINDOW)
        return replace(
            self, at=now, in_stage=self.in_stage + passed, in_state=self.in_state + passed, corrected_at=recent
        )

    @property
    def counted(self) -> Counted:
        return Counted(self.in_stage, self.in_state, len(self.corrected_at))

    def after(self, step: Step) -> "Past":
        """Count a decision whose status was stored."""
        corrected = (*self.corrected_at, step.now) if is_correction(step) else self.corrected_at
        if not is_running(step.after) or step.after.stage is None:
            return Past(at=step.now, corrected_at=corrected)
        stage, state = enters(step.before, step.after)
        zero = timedelta(0)
        return Past(
            at=step.now,
            in_stage=zero if stage else self.in_stage,
            in_state=zero if state else self.in_state,
            held=is_held(step),
            corrected_at=corrected,
        )


def _roles(status: RolloutStatus) -> tuple[str, str, float]:
    stable, candidate = status.stable, status.candidate
    return (
        stable.version if stable is not None else "",
        candidate.version if candidate is not None else "",
        candidate.weight if candidate is not None else 0.0,
    )
