"""Synthetic requests: Poisson arrivals, of which some fail, are slow, refused or unanswered, singly or in bursts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import NormalDist
from typing import Final, NamedTuple, assert_never

import numpy as np
from numpy.typing import NDArray

from serinus.api.abort_condition import (
    AbortCondition,
    AbortRate,
    ClientErrorRate,
    ErrorRate,
    Latency,
    NamedQuery,
    PreemptionRate,
    Timing,
    TokensPerSecond,
    UnansweredRate,
)
from serinus.engine.analysis.measurements import Answer, Batch, Counted, Tail
from serinus.engine.simulation.plan import Key, key_of

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

SPREAD: Final = 0.4
"""Standard deviation of the logarithm of a response time: the 95th percentile is about twice the median."""

_NORMAL: Final = NormalDist()
_P95: Final = _NORMAL.inv_cdf(0.95)
_BOUNDS: Final = tuple(1.25**step for step in range(-12, 13))
"""Bucket bounds of a simulated histogram, as multiples of the stable version's 95th percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How good a version is.

    Attributes:
        errors: the share of its requests that fail.
        p95: the 95th percentile of its response times in seconds, which are distributed log-normally.
        client_errors: the share that is refused as the client's mistake.
        unanswered: the share that gets no complete answer.
        slow: the share of its requests over every latency limit; None for what follows from ``p95``.
    """

    errors: float = 0.0
    p95: float = 0.1
    client_errors: float = 0.0
    unanswered: float = 0.0
    slow: float | None = None

    def over(self, seconds: float) -> float:
        """Return the share of the requests that take longer than this."""
        if self.slow is not None:
            return self.slow
        return 1 - _NORMAL.cdf((math.log(seconds) - math.log(self.p95)) / SPREAD + _P95)

    def share(self, condition: AbortCondition) -> float:
        """Return the share of the requests that a condition counts as bad ones.

        Raises:
            ValueError: the condition is about a value, or about what a model server alone can tell.
        """
        match condition.metric:
            case ErrorRate():
                return self.errors
            case ClientErrorRate():
                return self.client_errors
            case UnansweredRate():
                return self.unanswered
            case Latency(timing=Timing.RESPONSE):
                return self.over(condition.threshold)
            case Latency() | PreemptionRate() | AbortRate() | TokensPerSecond() | NamedQuery() as metric:
                what = "the value of a named query" if isinstance(metric, NamedQuery) else "what a model server tells"
                raise ValueError(
                    f"{condition.name}: {what} cannot be made up from requests; take that line out with --set, or "
                    "simulate with --recording or --prometheus"
                )
            case _:
                assert_never(condition.metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The requests that are simulated.

    Attributes:
        per_second: requests a second to both versions together.
        candidate: how good the candidate is.
        stable: how good the stable version is.
        burst: how many bad requests come together.
    """

    per_second: float
    candidate: Quality
    stable: Quality
    burst: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn; ValueError names the figure."""
        if not 0 < self.per_second <= 1e6 or not 1 <= self.burst <= 1000:  # noqa: PLR2004 - named in the message
            raise ValueError(
                f"rate: {self.per_second:g}/s is not above 0 and at most 1,000,000/s, or bursts: "
                f"{self.burst} are not 1 to 1,000"
            )

    @property
    def guards_matter(self) -> bool:
        """Whether any request is bad by a guard; without one a guard never fails."""
        return any(one.client_errors > 0 or one.unanswered > 0 for one in (self.candidate, self.stable))


class _Counts(NamedTuple):
    """The bad requests of one tick by one question, a figure or a row of a histogram for each run."""

    bad: Floats
    above: Floats | None = None


class Drawn(NamedTuple):
    """One tick of many runs.

    Attributes:
        requests: the candidate's, one figure for each run.
        harmed: how many of them were bad by any condition.
        answers: for each condition the answers about candidate and stable version, a pair for each run.
    """

    requests: Floats
    harmed: Floats
    answers: tuple[list[tuple[Answer, Answer | None]], ...]


@dataclass(slots=True)
class Arrivals:
    """Draws the requests of many runs, tick by tick; a burst for which a tick has no room goes on in the next.

    Attributes:
        traffic: what is drawn.
        chance: the generator, which is the only source of randomness.
        runs: number of runs.
    """

    traffic: Traffic
    chance: np.random.Generator
    runs: int
    _rest: dict[tuple[Key, bool], Floats] = field(default_factory=dict)

    def draw(
        self, some: Places, conditions: Sequence[AbortCondition], at: datetime, *, share: float, seconds: float
    ) -> Drawn:
        """Draw one tick of some runs.

        Args:
            some: their numbers.
            conditions: what is counted.
            at: the end of the tick.
            share: the candidate's share of the traffic.
            seconds: length of the tick.
        """
        everything = self.traffic.per_second * seconds
        requests = self._requests(some, everything * share)
        ours = self._both(conditions, some, requests, stable=False)
        compared = [one for one in conditions if one.compared]
        beside = self._requests(some, everything * (1 - share)) if compared else requests
        theirs = self._both(compared, some, beside, stable=True)
        bounds = self._bounds
        pairs: list[list[tuple[Answer, Answer | None]]] = []
        for one in conditions:
            candidate = _answers(ours[key_of(one)], requests, at, bounds)
            stable = _answers(theirs[key_of(one)], beside, at, bounds) if one.compared else [None] * len(some)
            pairs.append(list(zip(candidate, stable, strict=True)))
        return Drawn(requests, _harmed(ours, requests), tuple(pairs))

    def _requests(self, some: Places, expected: float) -> Floats:
        return self.chance.poisson(expected, len(some)).astype(np.float64)

    def _both(
        self, conditions: Sequence[AbortCondition], some: Places, requests: Floats, *, stable: bool
    ) -> Mapping[Key, _Counts]:
        """Draw each question's bad requests once, whatever number of conditions asks it."""
        found: dict[Key, _Counts] = {}
        for one in conditions:
            if key_of(one) not in found:
                found[key_of(one)] = self._counts(one, some, requests, stable=stable)
        return found

    def _counts(self, one: AbortCondition, some: Places, requests: Floats, *, stable: bool) -> _Counts:
        quality, whole = self.traffic.stable if stable else self.traffic.candidate, requests.astype(np.int64)
        if one.compared and isinstance(one.metric, Latency):
            over = np.array([1.0, *(quality.over(bound) for bound in self._bounds), 0.0])
            buckets = self.chance.multinomial(whole, np.maximum(0.0, -np.diff(over)))
            return _Counts(np.zeros(len(some)), buckets[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:].astype(np.float64))
        share, size = quality.share(one), self.traffic.burst
        if size <= 1 or share >= 1:
            return _Counts(self.chance.binomial(whole, share).astype(np.float64))
        rest = self._rest.setdefault((key_of(one), stable), np.zeros(self.runs))
        wanted = rest[some] + size * self.chance.poisson(requests * share / size)
        bad = np.minimum(requests, wanted)
        rest[some] = wanted - bad
        return _Counts(bad)

    @property
    def _bounds(self) -> tuple[float, ...]:
        return tuple(self.traffic.stable.p95 * times for times in _BOUNDS)


def _answers(counts: _Counts, requests: Floats, at: datetime, bounds: Sequence[float]) -> list[Answer]:
    if counts.above is None:
        figures = zip(requests.tolist(), counts.bad.tolist(), strict=True)
        return [Counted(at=at, batch=Batch(n, x, x, x)) for n, x in figures]
    rows = zip(requests.tolist(), counts.above.tolist(), strict=True)
    return [Counted(at=at, batch=Batch(n, 0, 0, 0), above=_tail(bounds, row), total=n) for n, row in rows]


def _tail(bounds: Sequence[float], above: Sequence[float]) -> Tail:
    return tuple(zip(bounds, above, strict=True))


def _harmed(counts: Mapping[Key, _Counts], requests: Floats) -> Floats:
    """Return how many requests were bad at all: of several latency limits the lowest one says which were slow."""
    limits = [limit for metric, limit in counts if isinstance(metric, Latency) and limit > 0]
    bad = [
        found.bad
        for (metric, limit), found in counts.items()
        if not isinstance(metric, Latency) or (limits and limit == min(limits))
    ]
    return np.minimum(requests, np.sum(bad, axis=0)) if bad else np.zeros(len(requests))
