"""Evidence that a version is worse than tolerated, valid however often one looks; and the certificate that it is not.

Both are means of likelihood ratios, so both are supermartingales under what they argue against, and Ville's inequality
bounds the chance that they ever grow large (docs/explanation/statistics.md has the formulae and their sources).
"""

import math
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

LEAST_BAD: Final = 3
"""Bad requests without which nothing is a breach, however strong the evidence."""

CERTIFICATE_NEEDED: Final = 20.0
"""1 / beta: a version that is not tolerable is certified with probability 5 % at most."""

_WORSE: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
_BETTER: Final = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
_WORST: Final = 0.95
_DOUBLED: Final = 2
_FIRST_TICK: Final = 0.5
_PLANNED_TICKS: Final = 0.4
_LATER_TICKS: Final = 0.1
_EXPONENT: Final = 700.0
_LARGEST: Final = 1e300
_NEWTON_STEPS: Final = 3


@dataclass(frozen=True, slots=True)
class Rate:
    """An alternative rate of bad requests: what each bad and each good request adds to the logarithm of its ratio."""

    bad: float
    good: float

    def exponent(self, requests: float, bad: float) -> float:
        """Return the logarithm of the likelihood ratio of so many requests against the tolerated rate."""
        # A rate of 0 is refuted by the first bad request, but says something where there is none: no 0 * -inf.
        return (bad * self.bad if bad else 0.0) + (requests - bad) * self.good


@dataclass(frozen=True, slots=True)
class Alternatives:
    """The rates that are weighed against one tolerated rate.

    ``onset`` is the one (twice the tolerated rate where there is such) that dates the beginning of a regression.
    """

    worse: tuple[Rate, ...]
    better: tuple[Rate, ...]
    onset: Rate


@lru_cache(maxsize=4096)
def alternatives(tolerated: float) -> Alternatives:
    """Return the alternatives to a tolerated proportion, strictly between 0 and 1.

    Raises:
        ValueError: it is not between 0 and 1.
    """
    if not 0 < tolerated < 1:
        raise ValueError(f"tolerated: {tolerated} is no proportion between 0 and 1")
    rates = sorted({min(_WORST, times * tolerated) for times in _WORSE})
    worse = [rate for rate in rates if rate > tolerated] or [(1 + tolerated) / 2]
    against = tuple(_rate(rate, tolerated) for rate in worse)
    better = tuple(_rate(times * tolerated, tolerated) for times in _BETTER)
    return Alternatives(against, better, against[min(_DOUBLED, len(against) - 1)])


def _rate(rate: float, tolerated: float) -> Rate:
    bad = math.log(rate / tolerated) if rate > 0 else -math.inf
    return Rate(bad, math.log1p(-rate) - math.log1p(-tolerated))


def _exp(exponent: float) -> float:
    return math.exp(max(-_EXPONENT, min(_EXPONENT, exponent)))


def starting_weight(tick: int, planned: int) -> float:
    """Return how likely it is held beforehand that a regression begins at this tick (from 1) of so many planned."""
    if tick == 1:
        return _FIRST_TICK
    return _PLANNED_TICKS / planned if tick <= planned else _LATER_TICKS * planned / ((tick - 1) * tick)


def unspent_weight(ticks: int, planned: int) -> float:
    """Return 1 less the weights of the first ``ticks`` ticks; its sum has a closed form."""
    if ticks == 0:
        return 1.0
    if ticks <= planned:
        return 1 - _FIRST_TICK - _PLANNED_TICKS * (ticks - 1) / planned
    return _PLANNED_TICKS / planned + _LATER_TICKS * planned / ticks


@dataclass(frozen=True, slots=True)
class Evidence:
    """The e-process of one condition.

    Attributes:
        ratios: for each worse rate, its likelihood ratio summed over the ticks at which it may have begun.
        ticks: the ticks with requests that are in it.
        value: the evidence E itself; 1 at the beginning.
    """

    ratios: tuple[float, ...]
    ticks: int = 0
    value: float = 1.0


def no_evidence(tolerated: float) -> Evidence:
    """Return what is known before the first request."""
    return Evidence((0.0,) * len(alternatives(tolerated).worse))


class Tick(NamedTuple):
    """The requests that are judged at once.

    Attributes:
        requests: how many; none say nothing.
        bad: how many of them were bad, at most ``requests``.
        burst: how many bad requests come together; must be known before this tick.
    """

    requests: float
    bad: float
    burst: float = 1.0


def fold(evidence: Evidence, tick: Tick, *, tolerated: float, planned: int) -> Evidence:
    """Weigh one tick against the tolerated proportion, in a stage that is planned to have so many."""
    requests, bad, burst = tick
    if requests <= 0:
        return evidence
    ticks = evidence.ticks + 1
    weight = starting_weight(ticks, planned)
    ratios: list[float] = []
    for ratio, rate in zip(evidence.ratios, alternatives(tolerated).worse, strict=True):
        # The hottest line of the operator: written out, it takes half the time of rate.exponent() and _exp().
        exponent = (bad * rate.bad + (requests - bad) * rate.good) / burst
        grown = (ratio + weight) * math.exp(max(-_EXPONENT, min(_EXPONENT, exponent)))
        ratios.append(min(_LARGEST, grown))
    return Evidence(tuple(ratios), ticks, sum(ratios) / len(ratios) + unspent_weight(ticks, planned))


@dataclass(frozen=True, slots=True)
class Onset:
    """The requests since the regression most probably began (Page's cumulative sum), to be told to people.

    Attributes:
        since: the tick after which it began; None for the beginning of the stage.
        requests: since then.
        bad: of those.
        score: the logarithm of the likelihood ratio since then; 0 where nothing speaks for a regression.
    """

    since: datetime | None = None
    requests: float = 0.0
    bad: float = 0.0
    score: float = 0.0


NO_ONSET: Final = Onset()


def advance_onset(onset: Onset, tick: Tick, *, tolerated: float, at: datetime) -> Onset:
    """Add the requests of the tick at ``at``, or begin anew after it where nothing speaks for a regression any more."""
    requests, bad, burst = tick
    if requests <= 0:
        return onset
    score = onset.score + alternatives(tolerated).onset.exponent(requests, bad) / burst
    if score <= 0:
        return Onset(since=at)
    return Onset(onset.since, onset.requests + requests, onset.bad + bad, score)


def certificate(tolerated: float, requests: float, possible: float) -> float:
    """Return the evidence that the rate is below the tolerated one; 20 is a certificate at 95 %.

    ``possible`` counts every request of the stage that may have been bad.
    """
    better = alternatives(tolerated).better
    return sum(_exp(rate.exponent(requests, possible)) for rate in better) / len(better)


def certificate_missing(tolerated: float, requests: float, possible: float) -> float | None:
    """Estimate how many more requests the certificate takes at the proportion seen so far; None where it never comes.

    Newton's method on the logarithm of the certificate, which is convex in the number of requests: from an
    overestimate (the best single alternative stands for all) it comes closer from above and never falls short.
    """
    better = alternatives(tolerated).better
    gains = [gain for gain in (rate.exponent(requests, possible) for rate in better) if gain > -math.inf]
    if max(gains) <= 0:
        return None
    wanted = math.log(CERTIFICATE_NEEDED * len(better))
    times = wanted / max(gains)
    for _ in range(_NEWTON_STEPS):
        terms = [_exp(times * gain) for gain in gains]
        total = sum(terms)
        slope = sum(gain * term for gain, term in zip(gains, terms, strict=True)) / total
        times -= (math.log(total) - wanted) / slope
    return max(1.0, (times - 1) * requests)
