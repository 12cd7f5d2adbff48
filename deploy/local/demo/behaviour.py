"""How a version misbehaves, as its server is told while it runs.

:func:`demo.portable.server.treatment` says which request is slow and which fails: pure and deterministic, so that tests
know.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from demo.errors import DemoError

MAX_LATENCY_SECONDS: Final = 60.0

Seconds = Annotated[float, Meta(ge=0, le=MAX_LATENCY_SECONDS)]
Ratio = Annotated[float, Meta(ge=0, le=1)]


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


def behaviour_of(raw: object) -> Behaviour:
    """Return the behaviour described by a mapping.

    Raises:
        DemoError: a value is out of range; the message names its field.
    """
    try:
        return msgspec.convert(raw, Behaviour)
    except msgspec.ValidationError as problem:
        raise DemoError(f"invalid behaviour of a model server: {problem}") from problem
