"""Waiting for what must happen, with a deadline and a reason when it does not. Tests use it as the director does."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from demo.cluster import ClusterView, RolloutView
from demo.errors import CouldNotAskError, DemoError
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import Phase, RolloutStatus

T = TypeVar("T")

GLANCE: Final = 0.1
"""Seconds between two looks; what is measured by looking is this exact."""


async def wait_for(  # noqa: PLR0913 - a wait is all of these, and all but two by name
    look: Callable[[], Awaitable[T]],
    fits: Callable[[T], bool],
    *,
    within: float,
    what: str,
    describe: Callable[[T], str] = str,
    every: float = GLANCE,
) -> T:
    """Look until what is seen fits, and return it.

    Args:
        look: reads the world; after a CouldNotAskError it looks again, any other error is the caller's.
        fits: says whether this is it.
        within: seconds until the deadline.
        what: what is waited for, for the message.
        describe: how the message says what was seen last.
        every: seconds between two looks.

    Raises:
        DemoError: the deadline is over; the message says what was seen last.
    """
    deadline = time.monotonic() + within
    last = "nothing"
    while True:
        try:
            seen = await look()
        except CouldNotAskError as problem:
            last = str(problem)
        else:
            if fits(seen):
                return seen
            last = describe(seen)
        if time.monotonic() >= deadline:
            raise DemoError(f"{what} did not happen within {within:g} s; seen last: {last}")
        await asyncio.sleep(every)


async def wait_for_rollout(
    view: ClusterView, key: ObjectKey, fits: Callable[[RolloutView], bool], *, within: float, what: str
) -> RolloutView:
    """Look at a Rollout until it fits, and return it.

    Raises:
        DemoError: the deadline is over; the message has the Rollout's own summary.
    """
    return await wait_for(lambda: view.rollout(key), fits, within=within, what=what, describe=describe)


def serves(version: str) -> Callable[[RolloutView], bool]:
    """Return the test for: this version is wanted, has been promoted, and serves all of the traffic."""

    def fits(seen: RolloutView) -> bool:
        stable = seen.status.stable
        return (
            seen.current
            and seen.wanted == version
            and seen.status.phase is Phase.HEALTHY
            and stable is not None
            and stable.version == version
        )

    return fits


def was_rolled_back(version: str) -> Callable[[RolloutView], bool]:
    """Return the test for: this version is wanted, but was rolled back, and that is complete."""

    def fits(seen: RolloutView) -> bool:
        rollback = seen.status.rollback
        return (
            seen.current
            and seen.wanted == version
            and seen.status.phase is Phase.ROLLED_BACK
            and rollback is not None
            and rollback.version == version
        )

    return fits


def ended(version: str) -> Callable[[RolloutView], bool]:
    """Return the test for: the run of this version is over, well or badly."""
    good, bad = serves(version), was_rolled_back(version)
    return lambda seen: good(seen) or bad(seen) or (seen.current and seen.status.phase is Phase.INVALID)


def describe(seen: RolloutView) -> str:
    """Say in one line where a Rollout stands."""
    return f"{where(seen.status)}: {seen.status.summary or 'no summary'}"


def where(status: RolloutStatus) -> str:
    """Say in a few words where a run stands."""
    stage = status.stage
    under_way = status.phase in {Phase.PENDING, Phase.PROGRESSING, Phase.PAUSED}
    if stage is None or not under_way:
        return status.phase.value
    return f"{status.phase.value} · {stage.name} · {stage.state.value}"
