"""Polling with a deadline and a descriptive error. Used by the director and by tests."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from demo.cluster import ClusterView, RolloutView
from demo.errors import CouldNotAskError, DemoError
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import Phase, RolloutStatus

T = TypeVar("T")

POLL_SECONDS: Final = 0.1
"""Seconds between two reads, and so the resolution of times measured by polling."""


async def wait_for(  # noqa: PLR0913 - all but two are keywords
    read: Callable[[], Awaitable[T]],
    fits: Callable[[T], bool],
    *,
    within: float,
    what: str,
    describe: Callable[[T], str] = str,
    every: float = POLL_SECONDS,
) -> T:
    """Poll until the value fits, and return it.

    Args:
        read: reads the value; a CouldNotAskError is retried, any other error is raised.
        fits: whether the value is the awaited one.
        within: seconds until the deadline.
        what: what is awaited, for the message.
        describe: formats the last value for the message.
        every: seconds between two reads.

    Raises:
        DemoError: the deadline has passed; the message describes the last value.
    """
    deadline = time.monotonic() + within
    last = "nothing"
    while True:
        try:
            value = await read()
        except CouldNotAskError as problem:
            last = str(problem)
        else:
            if fits(value):
                return value
            last = describe(value)
        if time.monotonic() >= deadline:
            raise DemoError(f"{what} did not happen within {within:g} s; last value: {last}")
        await asyncio.sleep(every)


async def wait_for_rollout(
    view: ClusterView, key: ObjectKey, fits: Callable[[RolloutView], bool], *, within: float, what: str
) -> RolloutView:
    """Poll a Rollout until it fits, and return it.

    Raises:
        DemoError: the deadline has passed; the message contains the Rollout's own summary.
    """
    return await wait_for(lambda: view.rollout(key), fits, within=within, what=what, describe=describe)


def serves(version: str) -> Callable[[RolloutView], bool]:
    """Return a predicate: this version is desired, has been promoted, and serves all traffic."""

    def fits(rollout: RolloutView) -> bool:
        stable = rollout.status.stable
        return (
            rollout.current
            and rollout.desired == version
            and rollout.status.phase is Phase.HEALTHY
            and stable is not None
            and stable.version == version
        )

    return fits


def was_rolled_back(version: str) -> Callable[[RolloutView], bool]:
    """Return a predicate: this version is desired, and its rollback is complete."""

    def fits(rollout: RolloutView) -> bool:
        rollback = rollout.status.rollback
        return (
            rollout.current
            and rollout.desired == version
            and rollout.status.phase is Phase.ROLLED_BACK
            and rollback is not None
            and rollback.version == version
        )

    return fits


def ended(version: str) -> Callable[[RolloutView], bool]:
    """Return a predicate: the run of this version has ended, successfully or not."""
    good, bad = serves(version), was_rolled_back(version)
    return lambda rollout: good(rollout) or bad(rollout) or (rollout.current and rollout.status.phase is Phase.INVALID)


def describe(rollout: RolloutView) -> str:
    """Return the position and summary of a Rollout in one line."""
    return f"{position(rollout.status)}: {rollout.status.summary or 'no summary'}"


def position(status: RolloutStatus) -> str:
    """Return the phase and, during a run, the stage and its state."""
    stage = status.stage
    under_way = status.phase in {Phase.PENDING, Phase.PROGRESSING, Phase.PAUSED}
    if stage is None or not under_way:
        return status.phase.value
    return f"{status.phase.value} · {stage.name} · {stage.state.value}"
