"""Which requests were left without an answer, told from counters that are not read at one moment.

Requests that were sent and neither ended nor are under way had no answer. The counters behind that number are read one
after the other while requests go on, so it may be a few too high at any moment; a moment later it is not. Only what it
has been for a while counts, as a request and as a bad one. It may also be too low: Envoy counts a request as ended when
its answer begins, and as under way until the answer ends. So answers that take long hide as many that never come.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from serinus.engine.analysis.measurements import Batch, Counted


@dataclass(frozen=True, slots=True)
class Outstanding:
    """The number of requests without an answer since the stage began.

    Attributes:
        recent: the number at the latest answers, the oldest first.
        counted: how many of them have been counted.
    """

    recent: tuple[tuple[datetime, float], ...] = ()
    counted: float = 0.0


NONE_OUTSTANDING: Final = Outstanding()


def settle(before: Outstanding, answer: Counted, settled: timedelta) -> tuple[Outstanding, Counted]:
    """Return the answer with the requests that have certainly had no answer among its bad ones.

    Args:
        before: what is known from the answers before.
        answer: of the candidate or of the stable version; ``open`` is what changes since the last one.
        settled: how long the number must have been there to count.
    """
    number = answer.open + (before.recent[-1][1] if before.recent else 0.0)
    earlier = before.recent or ((answer.at, 0.0),)
    since = answer.at - settled
    # The last one before that time tells what the number was when it began.
    outdated = sum(at <= since for at, _ in earlier)
    recent = (*earlier[max(0, outdated - 1) :], (answer.at, number))
    new = max(0.0, min(value for _, value in recent) - before.counted)
    requests, bad = answer.batch.requests + new, answer.batch.certain + new
    outstanding = Outstanding(recent, before.counted + new)
    return outstanding, replace(answer, batch=Batch(requests, bad, bad, bad), open=0.0)
