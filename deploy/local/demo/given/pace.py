"""How long the demo takes where Prometheus scrapes every 15 or 30 s. Pure."""

import math
from typing import Final

from demo.settings import Pace
from demo.traffic.load import MAX_SECONDS

NEEDED: Final = 600
"""Requests of a canary that show an error rate of at most 0.5 %: ceil(3 / 0.5%)."""

_CANARY_SHARE: Final = 0.05
_SCRAPES: Final = 4
"""No range is shorter than four scrapes, and so is what a stage waits for beside its requests."""

_STARTING: Final = 60.0
_TESTS: Final = 60.0
_SHORT_TESTS: Final = 15.0
_BEFORE_FAULTS: Final = 30


def pace_of(scrape: float, rate: float) -> Pace:
    """Return durations for this interval between scrapes and this rate, both generous about a slow cluster."""
    usual = Pace()
    stage = math.ceil(max(usual.stage, 2 * _canary(rate) + 4 * _SCRAPES * scrape))
    return Pace(
        canary=usual.canary,
        bake=usual.bake,
        stage=stage,
        servers=300.0,
        route=120.0,
        adoption=120.0,
        run=_TESTS + 2 * stage,
        load=MAX_SECONDS,
        poll=0.5,
        probe=min(5.0, max(usual.probe, scrape / 5)),
        settled=5.0,
        safe=max(usual.safe, _SCRAPES * scrape),
    )


def minutes(scrape: float, rate: float) -> int:
    """Return about how many minutes the demo takes."""
    usual = Pace()
    good = _SHORT_TESTS + max(usual.canary, _canary(rate)) + usual.bake + 2 * _SCRAPES * scrape
    bad = _SHORT_TESTS + _BEFORE_FAULTS / (_CANARY_SHARE * rate) + _SCRAPES * scrape
    return math.ceil((_STARTING + good + 2 * bad) / 60)


def _canary(rate: float) -> float:
    """Return the seconds until a canary has had enough requests."""
    return NEEDED / (_CANARY_SHARE * rate)
