"""How a version misbehaves: pure, so that a test can tell beforehand which request is slow and which fails."""

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from demo.errors import DemoError

LONGEST: Final = 60.0

Seconds = Annotated[float, Meta(ge=0, le=LONGEST)]
Ratio = Annotated[float, Meta(ge=0, le=1)]

# The golden ratio's fractional part: its multiples spread evenly over 0..1 in any order of magnitude (Weyl), so that a
# share of 20 % is 20 % of every few requests, without chance and without a pattern such as "every fifth".
_SPREAD: Final = 0.6180339887498949
_JITTER: Final = 0.1


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a server does to its requests.

    Attributes:
        latency_seconds: how long a slow request takes, give or take a tenth.
        slow_share: the share of requests that are slow.
        failing_share: the share of requests that are answered 500.
        after_requests: how many requests are served well before any of it begins.
    """

    latency_seconds: Seconds = 0.0
    slow_share: Ratio = 1.0
    failing_share: Ratio = 0.0
    after_requests: Annotated[int, Meta(ge=0)] = 0


@dataclass(frozen=True, slots=True)
class Treatment:
    """What happens to one request: it waits (seconds), then it is answered or fails."""

    wait: float
    fails: bool


def treatment(behaviour: Behaviour, number: int) -> Treatment:
    """Say what happens to the request with this number, counted from 0."""
    if number < behaviour.after_requests:
        return Treatment(0.0, fails=False)
    failing, slow, jitter = (_spread(number, lane) for lane in range(3))
    wait = behaviour.latency_seconds * (1 - _JITTER + 2 * _JITTER * jitter) if slow < behaviour.slow_share else 0.0
    return Treatment(wait, failing < behaviour.failing_share)


def behaviour_of(raw: object) -> Behaviour:
    """Return the behaviour that the mapping describes.

    Raises:
        DemoError: a value is out of range; the message names its field.
    """
    try:
        return msgspec.convert(raw, Behaviour)
    except msgspec.ValidationError as problem:
        raise DemoError(f"this is no behaviour of a model server: {problem}") from problem


def _spread(number: int, lane: int) -> float:
    """Return a value in [0, 1) for this request; lanes are independent of each other."""
    return ((number + 1) * _SPREAD * (2 * lane + 1) + lane / 3) % 1.0
