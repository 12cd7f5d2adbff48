"""One Rollout as an on-call engineer reads it: what serves, what is tried, why, and what comes next."""

from datetime import datetime

from msgspec import Struct

from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import (
    PastRun,
    Pause,
    Phase,
    Rollback,
    RolloutStatus,
    RunResult,
    StageState,
    TestResult,
)
from serinus.engine.analysis.text import clock, span
from serinus.engine.rollout.waiting import WaitReason
from serinus.engine.view.checks import CheckView, Mark, checks_of
from serinus.engine.view.silence import silence
from serinus.engine.view.stages import StageView, TrafficView, stages_of, traffic_of
from serinus.engine.view.standing import Standing, Subject, standing_of

_SHOWN_RUNS = 3


class VersionView(Struct, frozen=True, kw_only=True):
    """A version and its role.

    Attributes:
        role: Serving, Trying or Wanted.
        version: its number; empty where no version serves.
        weight: percent of the traffic; None where it has no weight of its own.
        facts: such as ``since 2026-11-20 10:02Z``.
    """

    role: str
    version: str
    weight: float | None
    facts: tuple[str, ...] = ()


class TestView(Struct, frozen=True, kw_only=True):
    """A test of the current stage."""

    __test__ = False  # pytest collects names that begin with Test

    name: str
    mark: Mark
    result: str
    message: str


class RunView(Struct, frozen=True, kw_only=True):
    """A run that has ended."""

    run: int
    version: str
    mark: Mark
    result: str
    reason: str
    started_at: datetime
    ended_at: datetime

    @property
    def took(self) -> str:
        """How long it was."""
        return span(self.ended_at - self.started_at)


class CommandView(Struct, frozen=True, kw_only=True):
    """A command that makes sense now, and what it does."""

    line: str
    effect: str


class RolloutView(Struct, frozen=True, kw_only=True):
    """Everything that a screen says of one Rollout; ``judged_at`` is when its evidence was judged last."""

    namespace: str
    name: str
    standing: Standing
    mark: Mark
    phase: str
    reason: str
    phase_since: datetime | None
    generation: int
    observed: bool
    judged_at: datetime | None
    summary: str
    versions: tuple[VersionView, ...]
    why: tuple[str, ...]
    next_action: str
    stages: tuple[StageView, ...]
    traffic: TrafficView
    checks: tuple[CheckView, ...]
    tests: tuple[TestView, ...]
    history: tuple[RunView, ...]
    commands: tuple[CommandView, ...]


_MARKS = {
    Standing.WAITS: Mark.HELD,
    Standing.FAILED: Mark.BAD,
    Standing.RUNNING: Mark.ACTIVE,
    Standing.PENDING: Mark.ACTIVE,
    Standing.HEALTHY: Mark.GOOD,
}


def view_of(subject: Subject, now: datetime) -> RolloutView:
    """Return what there is to say of the Rollout at ``now`` (UTC)."""
    spec, status, standing = subject.spec, subject.status, standing_of(subject)
    judged = [one.at for one in status.evidence]
    unwatched = silence(spec, status, now) if subject.observed else ""
    return RolloutView(
        namespace=subject.key.namespace,
        name=subject.key.name,
        standing=standing,
        mark=Mark.WARNING if unwatched else _MARKS[standing],
        phase=status.phase.value,
        reason=status.reason,
        phase_since=status.phase_since,
        generation=subject.generation,
        observed=subject.observed,
        judged_at=max(judged) if judged else None,
        summary=status.summary,
        versions=_versions(spec, status, now),
        why=_why(subject),
        next_action=unwatched or _next_action(subject),
        stages=stages_of(spec, status, standing, now),
        traffic=traffic_of(spec, status),
        checks=checks_of(spec, status),
        tests=tuple(_test(one.name, one.result, one.message) for one in status.tests),
        history=tuple(run_view(run) for run in status.history),
        commands=_commands(subject, standing),
    )


def run_view(run: PastRun) -> RunView:
    """Return a past run as it is shown."""
    marks = {RunResult.PROMOTED: Mark.GOOD, RunResult.ROLLED_BACK: Mark.BAD}
    return RunView(
        run=run.run,
        version=run.version,
        mark=marks.get(run.result, Mark.NONE),
        result=run.result.value,
        reason=run.reason,
        started_at=run.started_at,
        ended_at=run.ended_at,
    )


# ---- versions ---------------------------------------------------------------------------------------


def _versions(spec: RolloutSpec | None, status: RolloutStatus, now: datetime) -> tuple[VersionView, ...]:
    stable, candidate = status.stable, status.candidate
    serving = VersionView(role="Serving", version="", weight=None, facts=("no version serves yet",))
    if stable is not None:
        since = f"since {_day_and_time(stable.since, now)}"
        serving = VersionView(role="Serving", version=stable.version, weight=stable.weight, facts=(since,))
    if candidate is not None:
        role = "Trying" if status.rollback is None else "Wanted"
        wanted = VersionView(
            role=role, version=candidate.version, weight=candidate.weight, facts=_facts_of_run(status, now)
        )
        return serving, wanted
    if spec is not None and (stable is None or spec.version != stable.version):
        return serving, VersionView(role="Wanted", version=spec.version, weight=None)
    return (serving,)


def _facts_of_run(status: RolloutStatus, now: datetime) -> tuple[str, ...]:
    rollback, asked = status.rollback, status.requested
    facts = [f"was at {rollback.at_weight:g}%"] if rollback is not None else []
    if status.run:
        facts.append(f"run {status.run}")
    if status.run_started_at is not None:
        facts.append(f"began {_day_and_time(status.run_started_at, now)}")
    if asked is not None and asked.by:
        facts.append(f"wanted by {asked.by}")
    if asked is not None and asked.author:
        facts.append(f"for {asked.author}")
    return tuple(facts)


def _day_and_time(at: datetime, now: datetime) -> str:
    """Return a time of today as ``14:07Z``, of another day with its date (UTC)."""
    return f"{at:%H:%MZ}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%MZ}"


# ---- why, and what comes next -----------------------------------------------------------------------


def _why(subject: Subject) -> tuple[str, ...]:
    status = subject.status
    if status.rollback is not None and status.phase in {Phase.ROLLED_BACK, Phase.ROLLING_BACK, Phase.PAUSED}:
        return why_rolled_back(status.rollback) + _why_paused(status.paused)
    if status.reason == WaitReason.QUARANTINED.value and status.history:
        last = status.history[0]
        if last.result is RunResult.ROLLED_BACK and subject.spec is not None and last.version != subject.spec.version:
            return (f"{last.version} was rolled back at {clock(last.ended_at)}: {last.reason}",)
    if status.paused is not None:
        return _why_paused(status.paused)
    if subject.spec_problem:
        return (subject.spec_problem,)
    return ()


def _why_paused(pause: Pause | None) -> tuple[str, ...]:
    if pause is None:
        return ()
    by = f" by {pause.requested_by}" if pause.requested_by else ""
    return (f"Paused{by} at {clock(pause.at)}: {pause.reason}",)


def why_rolled_back(rollback: Rollback) -> tuple[str, ...]:
    """Return why a version lost its traffic, who asked, and when the traffic was safe."""
    asked = f", requested by {rollback.requested_by}" if rollback.requested_by else ""
    word = rollback.reason.value
    what = rollback.message if rollback.message.startswith(word) else f"{word}: {rollback.message}"
    when = f"decided {clock(rollback.decided_at)}"
    if rollback.traffic_safe_at is None:
        return (what, f"{when}{asked}; the gateway has not accepted it yet")
    took = span(rollback.traffic_safe_at - rollback.decided_at)
    return (what, f"{when}{asked}, traffic safe {clock(rollback.traffic_safe_at)} ({took})")


def _next_action(subject: Subject) -> str:
    if not subject.observed:
        known = subject.status.observed_generation
        shown = f"what is shown is about generation {known}." if known > 0 else "is it running?"
        return f"The operator has not seen generation {subject.generation} yet: {shown}"
    return subject.status.next_action


def _test(name: str, result: TestResult, message: str) -> TestView:
    marks = {
        TestResult.RUNNING: Mark.ACTIVE,
        TestResult.PASSED: Mark.GOOD,
        TestResult.FAILED: Mark.BAD,
        TestResult.NOT_RUN: Mark.WARNING,
    }
    return TestView(name=name, mark=marks[result], result=result.value, message=message)


# ---- what can be done -------------------------------------------------------------------------------


def _commands(subject: Subject, standing: Standing) -> tuple[CommandView, ...]:
    status, name = subject.status, subject.key.name
    where = f"{name} -n {subject.key.namespace}"

    def command(words: str, effect: str) -> CommandView:
        return CommandView(line=f"kubectl serinus {words}", effect=effect)

    explain = command(f"explain {where}", "why, with the queries")
    resume = (command(f"resume {where}", "let the next run begin"),) if status.paused is not None else ()
    if status.phase is Phase.ROLLED_BACK or status.reason == WaitReason.QUARANTINED.value:
        wanted = subject.spec.version if subject.spec is not None else ""
        retried = (command(f"retry {where}", f"run {wanted} again"),) if wanted in status.quarantined else ()
        return explain, *retried, *resume
    if status.phase is Phase.ROLLING_BACK:
        return (explain,)
    if status.paused is not None:
        stop = (command(f"abort {where}", "roll back"),) if status.candidate is not None else ()
        return command(f"resume {where}", "continue"), *stop
    if status.stage is not None and status.rollback is None:
        on = command(f"promote {where}", "leave the stage")
        held = (on,) if status.stage.state is StageState.AWAITING_APPROVAL else ()
        return *held, explain, command(f"pause {where}", "hold here"), command(f"abort {where}", "roll back")
    if standing is Standing.HEALTHY and status.last_known_good:
        return (command(f"rollback {where}", f"serve {status.last_known_good} again"),)
    return () if standing is Standing.HEALTHY else (explain,)


def shown_history(view: RolloutView) -> tuple[RunView, ...]:
    """Return the runs that a screen about one Rollout shows."""
    return view.history[:_SHOWN_RUNS]
