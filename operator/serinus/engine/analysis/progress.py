"""The state of one condition since its stage began, into which each tick's answers are folded."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from serinus.api.abort_condition import AbortCondition, Latency
from serinus.api.rollout import Judgement, MetricsRef, Stage
from serinus.engine.analysis import sequential
from serinus.engine.analysis.evidence import NO_EVIDENCE, Bursts, Evidence, Terms
from serinus.engine.analysis.false_aborts import FALSE_ABORTS_PER_RUN
from serinus.engine.analysis.measurements import Answer, Batch, Coarse, Measured, Tail
from serinus.engine.analysis.sequential import NO_ONSET, Onset
from serinus.engine.analysis.unanswered import NONE_OUTSTANDING, Outstanding
from serinus.engine.analysis.window import EMPTY_BATCH, EMPTY_WINDOW, NOT_HELD, HoldTimer, Window

MIN_IN_WINDOW: Final = 20
"""Requests that the window of the Observed judgement needs, where the stage has no minRequests."""

_NO_TIME: Final = timedelta(0)
_MISSED_SCRAPES: Final = 3
_TIME_CONSTANT: Final = 300.0
# From this likelihood ratio on, the stable version counts as over the limit as well.
_STABLE_TOO: Final = math.log(100)
# 1 - 0.9 is slightly less than 0.1: a share may exceed its limit by a rounding error.
ROUNDING: Final = 1 + 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How one condition is judged; fixed for the stage.

    Attributes:
        tolerated: the tolerated proportion of bad requests; None for a named query.
        terms: what evidence is collected against; None where the proportion over a window is judged.
        needed: the evidence that is a breach, 1/alpha.
        interval: the minimum time between two judgements.
        window: length of the window of the observed proportion.
        hold_for: how long a condition must hold to be a breach.
        min_in_window: requests that the window needs.
        fresh_for: the maximum age of the latest reading.
        max_gap: readings further apart than this have a gap between them.
    """

    tolerated: float | None
    terms: Terms | None
    needed: float
    interval: timedelta
    window: timedelta
    hold_for: timedelta
    min_in_window: int
    fresh_for: timedelta
    max_gap: timedelta

    @property
    def sequential(self) -> bool:
        """Whether all requests are judged by their evidence."""
        return self.terms is not None


class Pace(Struct, frozen=True):
    """Exponentially weighted request rate; both fields decay with a time constant of five minutes."""

    requests: float = 0.0
    seconds: float = 0.0

    def plus(self, requests: float, passed: timedelta) -> "Pace":
        """Add the requests of a period of this length."""
        decay = math.exp(-passed.total_seconds() / _TIME_CONSTANT)
        return Pace(self.requests * decay + requests, self.seconds * decay + passed.total_seconds())

    @property
    def per_second(self) -> float:
        """Requests a second; 0 before the first period."""
        return self.requests / self.seconds if self.seconds > 0 else 0.0


NO_PACE: Final = Pace()


class Level(Struct, frozen=True):
    """Exponentially weighted numbers of requests and of bad ones, with a time constant of five minutes."""

    requests: float = 0.0
    bad: float = 0.0

    def plus(self, batch: Batch, passed: timedelta) -> "Level":
        """Add the requests of a period of this length."""
        decay = math.exp(-passed.total_seconds() / _TIME_CONSTANT)
        return Level(self.requests * decay + batch.requests, self.bad * decay + batch.possible)

    def rate(self, guess: float) -> float:
        """Return the proportion of bad requests; the guess, which is never 0 or 1, until there are many requests."""
        return (self.bad + 1) / (self.requests + 1 / guess)


NO_LEVEL: Final = Level()


class StableBaseline(Struct, frozen=True):
    """The stable version's requests since the stage began.

    Attributes:
        latest: its last answer.
        requests: number of its requests.
        bad: number of those that were likely bad.
        pending: requests that the candidate has not been compared with yet.
        level: the requests that it has been compared with, and how many were bad, with more weight on recent ones.
        window: its requests of the last ``rules.window``.
        tail: its requests above every bucket bound, where latencies are compared.
        tail_requests: the requests of that histogram.
        onset: requests since it most probably became worse than tolerated itself.
        outstanding: its requests without an answer, where the condition is about them.
    """

    latest: Answer | None = None
    requests: float = 0.0
    bad: float = 0.0
    pending: Batch = EMPTY_BATCH
    level: Level = NO_LEVEL
    window: Window = EMPTY_WINDOW
    tail: Tail = ()
    tail_requests: float = 0.0
    onset: Onset = NO_ONSET
    outstanding: Outstanding = NONE_OUTSTANDING


NO_BASELINE: Final = StableBaseline()


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """The figures at the time of the breach; later answers do not change them.

    Attributes:
        since: when the regression most probably began; None for the beginning of the stage.
        requests: number of requests since then, or in the window.
        bad: number of those that were certainly bad.
        evidence: the evidence E.
        held: how long the condition had held.
        value: a named query's value, or the metric's display value.
        limit: the tolerated proportion at that time; None for a named query.
        stable_too: whether the stable version exceeded the same limit.
    """

    since: datetime | None
    requests: float
    bad: float
    evidence: float
    held: timedelta
    value: float | None
    limit: float | None
    stable_too: bool


class Progress(Struct, frozen=True, kw_only=True):
    """The state of one condition since its stage began.

    Attributes:
        condition: the judged condition.
        rules: how it is judged.
        guard: whether nobody wrote it: then it passes without evidence, too, unless it looks like a breach.
        since: when its stage began; None where that does not matter.
        evidence: the e-process of the sequential judgement.
        requests: the candidate's requests; ``certain``, ``likely`` and ``possible`` count the bad ones.
        earlier: how many of the requests were counted from a sample before the stage began: they may have been served
            at the weight of the stage before, so they count for a breach and not for what a stage needs to pass.
        stable_requests: the stable version's requests in the same time.
        breached_at: time of the first breach; a breach is final.
        breach: the figures of that breach.
        coarse: the bucket bounds around a latency limit that is not a bound itself.
        latest: the last answer.
        last_counted_at: time of the last usable answer, from which the next one counts.
        judged_at: time of the last judgement.
        pending: requests not judged yet, because ``metrics.interval`` has not passed since ``judged_at``.
        onset: the requests since the most probable start of a regression.
        stable: the stable version's requests in the same time.
        outstanding: the candidate's requests without an answer, where the condition is about them.
        window: the requests of the last ``rules.window``.
        hold_timer: how long the condition has held.
        pace: the candidate's request rate.
    """

    condition: AbortCondition
    rules: Rules
    guard: bool = False
    since: datetime | None = None
    evidence: Evidence = NO_EVIDENCE
    requests: float = 0.0
    earlier: float = 0.0
    certain: float = 0.0
    likely: float = 0.0
    possible: float = 0.0
    stable_requests: float = 0.0
    breached_at: datetime | None = None
    breach: Breach | None = None
    coarse: Coarse | None = None
    latest: Answer | None = None
    last_counted_at: datetime | None = None
    judged_at: datetime | None = None
    pending: Batch = EMPTY_BATCH
    onset: Onset = NO_ONSET
    stable: StableBaseline = NO_BASELINE
    outstanding: Outstanding = NONE_OUTSTANDING
    window: Window = EMPTY_WINDOW
    hold_timer: HoldTimer = NOT_HELD
    pace: Pace = NO_PACE

    @property
    def own_requests(self) -> float:
        """The requests of this stage alone."""
        return self.requests - self.earlier

    @property
    def limit(self) -> float | None:
        """The tolerated proportion; of a comparison the stable version's and the margin, None without its requests."""
        if not self.condition.compared or self.rules.tolerated is None:
            return self.rules.tolerated
        total = self.stable.window.total
        figures = (self.stable.requests, self.stable.bad) if self.rules.sequential else (total.requests, total.likely)
        return None if figures[0] <= 0 else figures[1] / figures[0] + (_margin(self.condition) or 0.0)

    @property
    def stable_too(self) -> bool:
        """Whether the stable version currently exceeds the same limit."""
        latest, onset = self.stable.latest, self.stable.onset
        if isinstance(latest, Measured):
            return self.condition.operator.holds(latest.value, self.condition.threshold)
        return onset.bad >= sequential.MIN_BAD and onset.score >= _STABLE_TOO


def begin(  # noqa: PLR0913 - what a condition is judged by
    condition: AbortCondition,
    stage: Stage,
    metrics: MetricsRef,
    *,
    conditions_in_run: int,
    scrape_interval: timedelta,
    guard: bool = False,
    since: datetime | None = None,
) -> Progress:
    """Return the progress of a condition at the start of its stage.

    Args:
        condition: a line of the stage's ``abortOn``, or a guard.
        stage: how the condition is judged and for how long.
        metrics: the minimum time between two judgements, and the window.
        conditions_in_run: number of conditions over all stages, which share the probability of a false abort.
        scrape_interval: how often the metric source reads new values.
        guard: whether nobody wrote the condition.
        since: when the stage began; None where its requests cannot be mistaken for those of another one.

    Raises:
        ValueError: ``conditions_in_run`` is below 1, or ``scrape_interval`` not above 0.
    """
    if conditions_in_run < 1 or scrape_interval <= _NO_TIME:
        raise ValueError(f"conditions_in_run: {conditions_in_run} < 1, or scrape_interval: {scrape_interval} <= 0")
    interval = metrics.interval.value if metrics.interval is not None else _NO_TIME
    missed = _MISSED_SCRAPES * scrape_interval
    rules = Rules(
        tolerated=condition.tolerated,
        terms=_terms(condition, stage, scrape_interval, max(scrape_interval, interval), guard=guard),
        needed=conditions_in_run / FALSE_ABORTS_PER_RUN,
        # A guard looks for what is plain: it is judged once for each scrape, not at each of its three ticks.
        interval=max(interval, scrape_interval) if guard else interval,
        window=metrics.window.value,
        hold_for=stage.for_.value,
        min_in_window=stage.min_requests or MIN_IN_WINDOW,
        fresh_for=max(missed, interval),
        max_gap=max(missed, interval + scrape_interval),
    )
    return Progress(condition=condition, rules=rules, guard=guard, since=since)


def _terms(
    condition: AbortCondition, stage: Stage, scrape_interval: timedelta, tick: timedelta, *, guard: bool
) -> Terms | None:
    """Return what evidence is collected against; None where a window is judged instead."""
    if (stage.judgement is not Judgement.SEQUENTIAL and not guard) or condition.tolerated is None:
        return None
    return Terms(
        tolerated=condition.tolerated,
        margin=_margin(condition),
        planned=max(1, round(stage.watch.value / tick)),
        bursts=Bursts(
            blip=stage.blip.value.total_seconds(), given=stage.burst, shortest=scrape_interval.total_seconds()
        ),
        sensitivity=stage.sensitivity,
    )


def _margin(condition: AbortCondition) -> float | None:
    """Return by how much the stable version's proportion may be exceeded; a factor of a latency is counted instead."""
    if not condition.compared:
        return None
    return 0.0 if isinstance(condition.metric, Latency) else condition.threshold
