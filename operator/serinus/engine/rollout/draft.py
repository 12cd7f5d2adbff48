"""A decision in the making: a value that each step of the engine replaces by a fuller one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from msgspec import Struct, structs

from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import (
    MAX_HISTORY,
    CurrentStage,
    EvidenceStatus,
    PastRun,
    RolloutStatus,
    RunResult,
    Serving,
    StageState,
)
from serinus.api.texts import without_controls
from serinus.engine.analysis.assessment import Assessment
from serinus.engine.rollout.actions import RunHttpTest, RunJobTest
from serinus.engine.rollout.decision import Event, EventReason
from serinus.engine.rollout.modes import Idle, Mode, mode_of
from serinus.engine.rollout.observation import Observation
from serinus.engine.rollout.waiting import Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a decision rests on.

    Attributes:
        spec: the desired state; None where it cannot be read and was never seen before.
        observed: the facts around the Rollout.
        now: the time.
        judged: the assessment of each condition of the current stage, at this moment.
        evidence: the same as the status will show it, its figures at most a minute old.
        new_reason: the reason that stands on the Rollout, where no earlier act was recorded with it; else empty.
        new_override: why a command does without approval, where none was recorded with it; else empty.
    """

    spec: RolloutSpec | None
    observed: Observation
    now: datetime
    judged: tuple[Assessment, ...] = ()
    evidence: tuple[EvidenceStatus, ...] = ()
    new_reason: str = ""
    new_override: str = ""

    @property
    def written(self) -> tuple[Assessment, ...]:
        """The judgements of what the team wrote, without the guards."""
        return tuple(one for one in self.judged if not one.guard)

    def reason_for(self, by: str, token: str = "") -> str:
        """Return the reason that a person gave for an act; empty where there is none, or it is an earlier act's.

        A reason counts for who wrote it only, and once. A token that begins with it repeats it: ``serinus`` writes so.
        """
        actors = self.observed.actors
        if actors.reason_by not in {"", by}:
            return ""
        repeated = actors.reason if actors.reason and token.startswith(actors.reason) else ""
        return self.new_reason or repeated

    def override_for(self, by: str) -> str:
        """Return why this person does without the plan's approval; empty where the person does not."""
        return self.new_override if self.observed.actors.override_by == by else ""

    def why(self, by: str, token: str) -> str:
        """Return why a person acts: the override or the reason given beside the command, else the command's token."""
        return self.override_for(by) or self.reason_for(by, token) or token


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSituation(Situation):
    """A situation whose spec can be followed: ``plan`` is that spec."""

    plan: RolloutSpec


class Draft(Struct, frozen=True, kw_only=True):
    """The status so far, what happened on the way, and what is awaited.

    ``mode`` is derived from the status and the spec once for each draft. A Struct, because every step of a decision
    replaces the draft, and structs.replace costs a tenth of dataclasses.replace.
    """

    status: RolloutStatus
    spec: RolloutSpec | None
    events: tuple[Event, ...] = ()
    tests: tuple[RunHttpTest | RunJobTest, ...] = ()
    waiting: Waiting | None = None
    requeue_now: bool = False
    mode: Mode = Idle()

    def __post_init__(self) -> None:
        """Derive the mode."""
        structs.force_setattr(self, "mode", mode_of(self.status, self.spec))

    def with_event(  # noqa: PLR0913 - what an event says
        self,
        reason: EventReason,
        message: str,
        *,
        warning: bool = False,
        by: str = "",
        why: str = "",
        details: tuple[tuple[str, str], ...] = (),
        override: bool = False,
    ) -> Self:
        """Add an event; ``by`` and ``why`` where a person made it happen, ``override`` where without approval.

        ``details`` are for the audit trail.

        It names the run and the version: the API server folds events with equal texts into one.
        """
        status = self.status
        known = status.candidate is not None and status.run > 0 and not message.startswith("Run ")
        about = f"Run {status.run}, {status.candidate.version}: " if known and status.candidate is not None else ""
        details += (("override", "true"),) if override else ()
        told = without_controls(about + message)
        return structs.replace(self, events=(*self.events, Event(reason, told, warning, by, why, details)))

    def with_waiting(self, waiting: Waiting) -> Self:
        """Set what is awaited."""
        return structs.replace(self, waiting=waiting)

    def with_status(self, **changes: Any) -> Self:  # noqa: ANN401 - the fields of RolloutStatus, checked by msgspec
        """Change the status."""
        return structs.replace(self, status=structs.replace(self.status, **changes))

    def to_state(self, stage: CurrentStage, state: StageState, now: datetime) -> Self:
        """Move within the stage; what was held until now counts for the stage's held time."""
        held = stage.held_seconds + ((now - stage.held_since).total_seconds() if stage.held_since is not None else 0.0)
        moved = structs.replace(
            stage, state=state, state_since=now, held_since=None, held_seconds=held, state_held_seconds=0.0
        )
        return self.with_status(stage=moved)

    def end_run(
        self, candidate: Serving, result: RunResult, reason: str, now: datetime, *, decided_at: datetime | None = None
    ) -> Self:
        """Put the candidate's run, which ends now, into the history.

        A version that was promoted and is taken back afterwards is there a second time: with the time from the decision
        (``decided_at``) on, as its run was over.
        """
        status = self.status
        over = any(past.run == status.run for past in status.history)
        began = decided_at if over else status.run_started_at
        past = PastRun(
            run=status.run,
            version=candidate.version,
            result=result,
            started_at=began or now,
            ended_at=now,
            reason=reason,
        )
        return self.with_status(history=(past, *status.history)[:MAX_HISTORY])
