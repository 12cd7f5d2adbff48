"""A decision in the making: a value that each step of the engine replaces by a fuller one."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from msgspec import structs

from serinus.api.rollout import RolloutSpec, Stage
from serinus.api.rollout_status import MAX_HISTORY, EvidenceStatus, PastRun, RolloutStatus, RunResult, StageState
from serinus.engine.analysis.assessment import Assessment
from serinus.engine.rollout.actions import RunHttpTest, RunJobTest
from serinus.engine.rollout.decision import Event, EventReason
from serinus.engine.rollout.observation import Observation


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why the Rollout does not go on right now.

    Attributes:
        reason: one stable CamelCase word, shown by ``kubectl get``.
        message: a full sentence: what is awaited, and who must act.
        until: when it goes on by itself, where that is known.
        stalled: it will not go on by itself.
    """

    reason: str
    message: str
    until: datetime | None = None
    stalled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a decision rests on, together.

    Attributes:
        spec: the wish; None where it cannot be read and was never seen before.
        observed: the world.
        now: the time.
        judged: the judgement of each condition of the current stage, at this moment.
        evidence: the same as the status will show it, its figures at most a minute old.
    """

    spec: RolloutSpec | None
    observed: Observation
    now: datetime
    judged: tuple[Assessment, ...] = ()
    evidence: tuple[EvidenceStatus, ...] = ()

    @property
    def plan(self) -> RolloutSpec:
        """The wish, where the caller has made sure that there is one."""
        assert self.spec is not None  # noqa: S101 - decide() holds a Rollout whose spec cannot be read
        return self.spec

    def why(self, token: str) -> str:
        """Return why a person acts: the reason given beside the command, else the command's own token."""
        return self.observed.actors.reason or token

    def stage(self, status: RolloutStatus) -> Stage | None:
        """Return the plan's stage that the run is in; None where the plan has no such stage any more."""
        current = status.stage
        if self.spec is None or current is None or current.index >= len(self.spec.stages):
            return None
        stage = self.spec.stages[current.index]
        return stage if stage.name == current.name else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The status so far, what happened on the way, and what is awaited."""

    status: RolloutStatus
    events: tuple[Event, ...] = ()
    tests: tuple[RunHttpTest | RunJobTest, ...] = ()
    waiting: Waiting | None = None
    requeue_now: bool = False

    def with_event(
        self, reason: EventReason, message: str, *, warning: bool = False, by: str = "", why: str = ""
    ) -> Self:
        """Add an event; ``by`` and ``why`` where a person made it happen."""
        return replace(self, events=(*self.events, Event(reason, message, warning, by, why)))

    def with_waiting(self, waiting: Waiting) -> Self:
        """Say what is awaited."""
        return replace(self, waiting=waiting)

    def with_status(self, **changes: Any) -> Self:  # noqa: ANN401 - the fields of RolloutStatus, checked by msgspec
        """Change the status."""
        return replace(self, status=structs.replace(self.status, **changes))

    def to_state(self, state: StageState, now: datetime) -> Self:
        """Move within the stage."""
        assert self.status.stage is not None  # noqa: S101 - only a run has states
        return self.with_status(stage=structs.replace(self.status.stage, state=state, state_since=now))

    def end_run(self, result: RunResult, reason: str, now: datetime) -> Self:
        """Put the run that ends now into the history."""
        status = self.status
        assert status.candidate is not None  # noqa: S101 - only a run with a candidate ends
        past = PastRun(
            run=status.run,
            version=status.candidate.version,
            result=result,
            started_at=status.run_started_at or now,
            ended_at=now,
            reason=reason,
        )
        return self.with_status(history=(past, *status.history)[:MAX_HISTORY])
