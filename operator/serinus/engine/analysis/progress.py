"""What is known of one condition since its stage began: a value that each tick's answers are folded into."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from serinus.api.abort_condition import AbortCondition
from serinus.api.rollout import Judgement, MetricsRef, Stage
from serinus.engine.analysis import sequential
from serinus.engine.analysis.dispersion import Dispersion
from serinus.engine.analysis.measurements import Answer, Batch, Coarse, Measured
from serinus.engine.analysis.sequential import NO_ONSET, Evidence, Onset
from serinus.engine.analysis.window import EMPTY_WINDOW, NOT_HELD, NOTHING, HoldTimer, Window

FALSE_ABORTS_PER_RUN: Final = 0.01
"""Alpha: how likely a run of a tolerable version ends in an abort, all its conditions together."""

LEAST_IN_WINDOW: Final = 20
"""Observed: requests in the window without which its value says nothing, where the stage names no minRequests."""

_NO_TIME: Final = timedelta(0)
_MISSED_SCRAPES: Final = 3
_MEMORY: Final = 300.0
# The stable version counts as over the limit itself from a hundredfold likelihood ratio on.
_STABLE_TOO: Final = math.log(100)
# 1 - 0.9 is a little less than 0.1: a share may stand above its limit by the rounding of both.
ROUNDING: Final = 1 + 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the stage and the metric source say of one condition's judgement, once and for all.

    Attributes:
        tolerated: the proportion of bad requests that is still good; None for a named query.
        sequential: judged by the evidence of all requests, else by what is observed over a window.
        needed: the evidence of a breach, 1/alpha.
        planned: the ticks that the stage is planned to have.
        interval: the least time between two judgements.
        window: of the observed proportion.
        hold_for: how long a condition must be seen to hold.
        least_in_window: requests without which the window says nothing.
        fresh_for: how old the latest reading may be.
        unbroken: readings further apart than this have a gap between them.
    """

    tolerated: float | None
    sequential: bool
    needed: float
    planned: int
    interval: timedelta
    window: timedelta
    hold_for: timedelta
    least_in_window: int
    fresh_for: timedelta
    unbroken: timedelta


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast requests come in, with the last five minutes counting most: what both fields say is decayed alike."""

    requests: float = 0.0
    seconds: float = 0.0

    def plus(self, requests: float, passed: timedelta) -> "Pace":
        """Add the requests of so long a time."""
        kept = math.exp(-passed.total_seconds() / _MEMORY)
        return Pace(self.requests * kept + requests, self.seconds * kept + passed.total_seconds())

    @property
    def per_second(self) -> float:
        """Requests a second; 0 where nothing is known."""
        return self.requests / self.seconds if self.seconds > 0 else 0.0


NO_PACE: Final = Pace()


@dataclass(frozen=True, slots=True)
class StableBaseline:
    """What is known of the stable version since the stage began.

    Attributes:
        latest: its last answer.
        requests: all of its requests.
        pending: those that nothing has been learned from yet.
        onset: those since it most probably became worse than tolerated itself.
    """

    latest: Answer | None = None
    requests: float = 0.0
    pending: Batch = NOTHING
    onset: Onset = NO_ONSET


UNHEARD: Final = StableBaseline()


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """What was seen when the condition was breached; it is kept as it was, whatever comes later.

    Attributes:
        since: when the regression most probably began; None for the beginning of the stage.
        requests: since then, or in the window.
        bad: those of them that were certainly bad.
        evidence: the evidence E.
        held: for how long the condition had been seen to hold.
        value: a named query's value, or the metric's display value.
        stable_too: the stable version was over the same limit.
    """

    since: datetime | None
    requests: float
    bad: float
    evidence: float
    held: timedelta
    value: float | None
    stable_too: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Everything known of one condition since its stage began.

    Attributes:
        condition: what is judged.
        rules: how.
        requests: of the candidate since the stage began; ``certain``, ``likely`` and ``possible`` are the bad ones.
        stable_requests: of the stable version in the same time.
        breached_at: the tick of the first breach; a breach stays one.
        breach: what was seen then.
        coarse: the bucket bounds around a latency limit that is none itself.
        latest: the last answer.
        last_counted_at: the time of the last usable answer: the next one counts from there.
        pending: requests that are not judged yet, because ``metrics.interval`` has not passed since ``judged_at``.
        stable: what is known of the stable version in the same time.
    """

    condition: AbortCondition
    rules: Rules
    evidence: Evidence
    dispersion: Dispersion
    requests: float = 0.0
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
    pending: Batch = NOTHING
    onset: Onset = NO_ONSET
    stable: StableBaseline = UNHEARD
    window: Window = EMPTY_WINDOW
    holding: HoldTimer = NOT_HELD
    pace: Pace = NO_PACE

    @property
    def stable_too(self) -> bool:
        """The stable version is over the same limit at present."""
        latest, onset = self.stable.latest, self.stable.onset
        if isinstance(latest, Measured):
            return self.condition.operator.holds(latest.value, self.condition.threshold)
        return onset.bad >= sequential.LEAST_BAD and onset.score >= _STABLE_TOO


def begin(
    condition: AbortCondition, stage: Stage, metrics: MetricsRef, *, conditions_in_run: int, scrape_interval: timedelta
) -> Progress:
    """Return what is known of a condition when its stage begins: nothing.

    Args:
        condition: a line of the stage's ``abortOn``.
        stage: says how it is judged and for how long.
        metrics: the least time between two judgements, and the window.
        conditions_in_run: over all stages; they share the chance of a false abort.
        scrape_interval: how often the metric source reads new values.

    Raises:
        ValueError: ``conditions_in_run`` is below 1, or ``scrape_interval`` not above 0.
    """
    if conditions_in_run < 1 or scrape_interval <= _NO_TIME:
        raise ValueError(f"conditions_in_run: {conditions_in_run} < 1, or scrape_interval: {scrape_interval} <= 0")
    interval = metrics.interval.value if metrics.interval is not None else _NO_TIME
    missed = _MISSED_SCRAPES * scrape_interval
    rules = Rules(
        tolerated=condition.tolerated,
        sequential=stage.judgement is Judgement.SEQUENTIAL and condition.tolerated is not None,
        needed=conditions_in_run / FALSE_ABORTS_PER_RUN,
        planned=max(1, round(stage.watch.value / max(scrape_interval, interval))),
        interval=interval,
        window=metrics.window.value,
        hold_for=stage.for_.value,
        least_in_window=stage.min_requests or LEAST_IN_WINDOW,
        fresh_for=max(missed, interval),
        unbroken=max(missed, interval + scrape_interval),
    )
    nothing = Evidence(()) if rules.tolerated is None else sequential.no_evidence(rules.tolerated)
    return Progress(condition=condition, rules=rules, evidence=nothing, dispersion=Dispersion(given=stage.burst))
