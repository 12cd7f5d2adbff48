"""One run of a plan against recorded answers: what the operator would have decided, at which tick."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis.assessment import assess, update_all
from serinus.engine.analysis.measurements import Answer, Counted, lost
from serinus.engine.simulation.cluster import begun
from serinus.engine.simulation.outcomes import Ended, Outcome
from serinus.engine.simulation.plan import Key, SimulatedPlan, key_of
from serinus.engine.simulation.run import Run


@dataclass(frozen=True, slots=True)
class RecordedTick:
    """The answers of one tick.

    Attributes:
        at: the tick.
        answers: about candidate and stable version; None for a stable version that was not asked about.
    """

    at: datetime
    answers: Mapping[Key, tuple[Answer, Answer | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The judgement of one condition at one tick.

    Attributes:
        at: the tick.
        stage: the stage's name.
        condition: the line.
        guard: whether nobody wrote it.
        verdict: Pass, Breach or Unknown.
        cause: why it is Unknown.
        value: the metric with its unit; empty while unknown.
        requests: the candidate's requests of the stage so far.
        bad: how many of them were certainly bad.
        evidence: the evidence E; None where a window or a value is judged.
        needed: the evidence that is a breach.
        message: a full sentence.
    """

    at: datetime
    stage: str
    condition: str
    guard: bool
    verdict: Verdict
    cause: Cause | None
    value: str
    requests: float
    bad: float
    evidence: float | None
    needed: float
    message: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of a recording.

    Attributes:
        outcome: how the run ended.
        points: the judgement of each condition at each tick.
        decided_at: the tick of the decision; None without one.
        message: why it was rolled back, or what it still waits for, in the operator's words.
    """

    outcome: Outcome
    points: tuple[Point, ...]
    decided_at: datetime | None
    message: str


def replay(plan: SimulatedPlan, start: datetime, ticks: Sequence[RecordedTick]) -> Replay:
    """Run a plan against recorded ticks, oldest first, until it ends or they do.

    Args:
        plan: what is run.
        start: when the first stage began; ticks until then are left out.
        ticks: what was recorded.

    Raises:
        ValueError: no run of the plan begins, or there are no figures for one of its conditions.
    """
    run = Run.at_first_stage(plan, begun(plan.spec, start))
    points: list[Point] = []
    requests = harmed = 0.0
    for tick in ticks:
        if tick.at <= start:
            continue
        pairs = [tick.answers[key_of(one.condition)] for one in run.progress]
        updated = update_all(
            (one, lost(pair) or pair[0], pair[1]) for one, pair in zip(run.progress, pairs, strict=True)
        )
        run.take(tuple(updated), pairs)
        points.extend(_points(run, tick.at))
        served, bad = _served(tick)
        requests, harmed = requests + served, harmed + bad
        end = run.decide(tick.at)
        if end is not None:
            return _ended(end, start, points, requests=requests, harmed=harmed)
    status = run.cluster.status
    outcome = Outcome.undecided(status, requests=requests, harmed=harmed)
    return Replay(outcome, tuple(points), None, status.next_action)


def _ended(end: Ended, start: datetime, points: Sequence[Point], *, requests: float, harmed: float) -> Replay:
    rollback = end.status.rollback
    message = rollback.message if rollback is not None else end.status.summary
    return Replay(Outcome.of(end, start, requests=requests, harmed=harmed), tuple(points), end.at, message)


def _points(run: Run, at: datetime) -> Iterator[Point]:
    stage = run.plan.stage(run.cluster.status)
    if stage is None:
        return
    for progress in run.progress:
        judged = assess(progress, stage, at)
        yield Point(
            at=at,
            stage=stage.name,
            condition=progress.condition.text,
            guard=progress.guard,
            verdict=judged.verdict,
            cause=judged.cause,
            value=judged.value,
            requests=progress.requests,
            bad=progress.certain,
            evidence=progress.evidence.value if progress.rules.sequential else None,
            needed=progress.rules.needed,
            message=judged.message,
        )


def _served(tick: RecordedTick) -> tuple[float, float]:
    """Return the candidate's requests in a tick, and how many of them were bad by the metric that found most."""
    batches = [answer.batch for answer, _ in tick.answers.values() if isinstance(answer, Counted)]
    if not batches:
        return 0.0, 0.0
    return max(batch.requests for batch in batches), max(batch.certain for batch in batches)
