"""How a version misbehaves: pure and deterministic, so that tests know which request is slow and which fails."""

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from demo.errors import DemoError

MAX_LATENCY_SECONDS: Final = 60.0

Seconds = Annotated[float, Meta(ge=0, le=MAX_LATENCY_SECONDS)]
Ratio = Annotated[float, Meta(ge=0, le=1)]

# The fractional part of the golden ratio: its multiples are evenly distributed over 0..1 on every scale (Weyl), so that
# 20 % means 20 % of any short run of requests, without randomness and without a pattern such as "every fifth".
_SPREAD: Final = 0.6180339887498949
_JITTER: Final = 0.1


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How a server treats its requests.

    Attributes:
        latency_seconds: duration of a slow request, plus or minus 10 %.
        slow_share: the share of slow requests.
        failing_share: the share of requests that are answered 500.
        after_requests: number of requests that are served normally first.
    """

    latency_seconds: Seconds = 0.0
    slow_share: Ratio = 1.0
    failing_share: Ratio = 0.0
    after_requests: Annotated[int, Meta(ge=0)] = 0


@dataclass(frozen=True, slots=True)
class Treatment:
    """The treatment of one request: it waits (seconds), then it is answered or fails."""

    wait: float
    fails: bool


def treatment(behaviour: Behaviour, number: int) -> Treatment:
    """Return the treatment of the request with this number, counted from 0."""
    if number < behaviour.after_requests:
        return Treatment(0.0, fails=False)
    failing, slow, jitter = (_spread(number, lane) for lane in range(3))
    wait = behaviour.latency_seconds * (1 - _JITTER + 2 * _JITTER * jitter) if slow < behaviour.slow_share else 0.0
    return Treatment(wait, failing < behaviour.failing_share)


def behaviour_of(raw: object) -> Behaviour:
    """Return the behaviour described by a mapping.

    Raises:
        DemoError: a value is out of range; the message names its field.
    """
    try:
        return msgspec.convert(raw, Behaviour)
    except msgspec.ValidationError as problem:
        raise DemoError(f"invalid behaviour of a model server: {problem}") from problem


def _spread(number: int, lane: int) -> float:
    """Return a value in [0, 1) for this request; the lanes are independent of each other."""
    return ((number + 1) * _SPREAD * (2 * lane + 1) + lane / 3) % 1.0
