"""The certificate that a version is better than tolerated, and the most probable onset of a regression.

The certificate is a mean of likelihood ratios and therefore a supermartingale for a version that is not better; Ville's
inequality bounds the probability that it ever grows large. docs/explanation/statistics.md has the formulae and their
sources.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import Struct

MIN_BAD: Final = 3
"""Number of bad requests that a breach needs, however strong the evidence."""

ONSET_BURST: Final = 3.0
"""The number of errors that come together at most, as far as the onset of a regression is concerned."""

CERTIFICATE_NEEDED: Final = 20.0
"""1 / beta: an intolerable version is certified with a probability of at most 5 %."""

_BETTER: Final = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
_WORST: Final = 0.95
_DOUBLED: Final = 2.0
_MAX_EXPONENT: Final = 700.0
_NEWTON_STEPS: Final = 3


@dataclass(frozen=True, slots=True)
class Rate:
    """An alternative rate: what each bad and each good request adds to the logarithm of its likelihood ratio."""

    bad: float
    good: float

    def exponent(self, requests: float, bad: float) -> float:
        """Return the logarithm of the likelihood ratio of these requests against the tolerated rate."""
        # The rate 0 is refuted by the first bad request, but valid without one: avoid 0 * -inf.
        return (bad * self.bad if bad else 0.0) + (requests - bad) * self.good


@lru_cache(maxsize=4096)
def better_rates(tolerated: float) -> tuple[Rate, ...]:
    """Return the alternatives below a tolerated proportion, strictly between 0 and 1.

    Raises:
        ValueError: it is not between 0 and 1.
    """
    return tuple(_rate(times * tolerated, tolerated) for times in _BETTER)


@lru_cache(maxsize=4096)
def onset_rate(tolerated: float) -> Rate:
    """Return the alternative that dates the start of a regression: twice the tolerated proportion.

    Raises:
        ValueError: the proportion is not strictly between 0 and 1.
    """
    doubled = min(_WORST, _DOUBLED * tolerated)
    return _rate(doubled if doubled > tolerated else (1 + tolerated) / 2, tolerated)


def _rate(rate: float, tolerated: float) -> Rate:
    if not 0 < tolerated < 1:
        raise ValueError(f"tolerated: {tolerated} is not between 0 and 1")
    bad = math.log(rate / tolerated) if rate > 0 else -math.inf
    return Rate(bad, math.log1p(-rate) - math.log1p(-tolerated))


def _exp(exponent: float) -> float:
    return math.exp(max(-_MAX_EXPONENT, min(_MAX_EXPONENT, exponent)))


class Tick(NamedTuple):
    """The requests that are judged together.

    Attributes:
        requests: their number; a tick without requests changes nothing.
        bad: number of bad ones, at most ``requests``.
        burst: number of requests that fail together; must not depend on this tick.
    """

    requests: float
    bad: float
    burst: float = 1.0


class Onset(Struct, frozen=True):
    """The requests since the most probable start of a regression (Page's cumulative sum), for messages.

    Attributes:
        since: the tick after which it started; None for the beginning of the stage.
        requests: number of requests since then.
        bad: number of bad ones.
        score: logarithm of the likelihood ratio since then; 0 without any sign of a regression.
    """

    since: datetime | None = None
    requests: float = 0.0
    bad: float = 0.0
    score: float = 0.0


NO_ONSET: Final = Onset()


def advance_onset(onset: Onset, tick: Tick, *, tolerated: float, at: datetime) -> Onset:
    """Add the requests of the tick at ``at``, or reset to that time once there is no sign of a regression."""
    requests, bad, burst = tick
    if requests <= 0:
        return onset
    score = onset.score + onset_rate(tolerated).exponent(requests, bad) / burst
    if score <= 0:
        return Onset(since=at)
    return Onset(onset.since, onset.requests + requests, onset.bad + bad, score)


def certificate(tolerated: float, requests: float, possible: float) -> float:
    """Return the evidence that the rate is below the tolerated one; 20 is a certificate at 95 %.

    ``possible`` is the number of requests of the stage that may have been bad.
    """
    better = better_rates(tolerated)
    return sum(_exp(rate.exponent(requests, possible)) for rate in better) / len(better)


def certificate_missing(tolerated: float, requests: float, possible: float) -> float | None:
    """Estimate how many more requests the certificate needs at the current proportion; None if it is out of reach.

    Newton's method on the logarithm of the certificate, which is convex in the number of requests: starting from an
    overestimate (only the best single alternative), it converges from above and never underestimates.
    """
    better = better_rates(tolerated)
    gains = [gain for gain in (rate.exponent(requests, possible) for rate in better) if gain > -math.inf]
    if max(gains) <= 0:
        return None
    target = math.log(CERTIFICATE_NEEDED * len(better))
    times = target / max(gains)
    for _ in range(_NEWTON_STEPS):
        terms = [_exp(times * gain) for gain in gains]
        total = sum(terms)
        slope = sum(gain * term for gain, term in zip(gains, terms, strict=True)) / total
        times -= (math.log(total) - target) / slope
    return max(1.0, (times - 1) * requests)
