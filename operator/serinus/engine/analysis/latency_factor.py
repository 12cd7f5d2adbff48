"""Comparison of latencies: ``latency_p95 > 1.2x stable`` as a comparison of proportions.

If the candidate is nowhere slower than the factor times the stable version, then for every latency L its proportion of
requests above the factor times L is at most the stable version's above L (stochastic order: Lindon, Sanden and
Shirikian, arXiv 2205.14762). L is the bucket bound nearest to the stable version's own quantile in the ticks before.
"""

import math
from bisect import bisect_left
from dataclasses import replace
from typing import Final

from serinus.engine.analysis.measurements import Batch, Counted, Tail

_ROUNDING: Final = 1e-9


def add(first: Tail, second: Tail) -> Tail:
    """Return the sum of two counts; the bounds that only one of them has are left out."""
    if not first:
        return second
    other = dict(second)
    return tuple((bound, count + other[bound]) for bound, count in first if bound in other)


def reference_bound(tail: Tail, requests: float, share: float) -> float | None:
    """Return the bound above which the proportion of these requests is nearest to a share; None without requests."""
    if requests <= 0:
        return None
    beyond = [(abs(math.log(count / requests / share)), bound) for bound, count in tail if count > 0]
    return min(beyond)[1] if beyond else (tail[0][0] if tail else None)


def above(answer: Counted, limit: float) -> Counted:
    """Return the answer with the requests above a latency in seconds as its bad ones."""
    requests, bounds = answer.total, [bound for bound, _ in answer.above]
    index = bisect_left(bounds, limit * (1 - _ROUNDING))
    certain = answer.above[index][1] if index < len(bounds) else 0.0
    exact = index < len(bounds) and bounds[index] <= limit * (1 + _ROUNDING)
    possible = certain if exact else answer.above[index - 1][1] if index else requests
    lower = bounds[index - 1] if index else 0.0
    share = (limit - lower) / (bounds[index] - lower) if index < len(bounds) else 0.0
    likely = certain if exact else possible - (possible - certain) * share
    return replace(answer, batch=Batch(requests, certain, likely, possible))
