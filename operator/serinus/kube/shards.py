"""The shards that this process leads for: a Lease for each, spread evenly over the processes of the operator.

Who should hold which shard is decided by serinus.engine.sharding; the Lease of a shard says who does. A shard that is
handed back is fenced first, then the writes under way are waited for, then its Lease is released. A shard whose Lease
could not be renewed ends the process, as for a single leader.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

from serinus.api.names import ObjectKey
from serinus.engine.sharding import Assignment, SeenLease, assign, shard_of
from serinus.errors import AmbiguousError, SerinusError
from serinus.kube.client import Requests
from serinus.kube.lease import LeaseElection, LeaseTimes, unique_name
from serinus.kube.members import Membership
from serinus.ports.acting import INSTALLATION, UNNAMED, acted_for
from serinus.ports.services import Clock

_POLL: Final = 1.0
"""Seconds between two reads of a Lease that another process holds, and between two decisions."""

_RENEW_MEMBERSHIP: Final = 2.0
"""Seconds between two signs of life: so much later the others know that a process has left."""

_DRAIN_POLL: Final = 0.05

logger = logging.getLogger(__name__)


class ShardListener(Protocol):
    """What must know which models this process leads for; called in the event loop."""

    def forget_models(self, belongs: Callable[[ObjectKey], bool]) -> None:
        """Another process decides, or has decided, about these models: forget everything but the objects themselves."""

    def take_models(self, belongs: Callable[[ObjectKey], bool]) -> None:
        """From now on this process decides about these models: begin, as after a start."""


class _LostError(SerinusError):
    """A Lease was not handed back and is held no more."""


class _ShardLease(LeaseElection):
    """A candidate for the Lease of one shard, which takes it when it is told to."""

    wanted: Callable[[], bool]

    @property
    def seen(self) -> SeenLease:
        """The Lease as this process sees it."""
        now = self._clock.monotonic()
        if self.epoch is not None:
            return SeenLease(self.identity, now, self._times.duration)
        if self._observed is None or not self._observed.holder:
            return SeenLease()
        return SeenLease(self._observed.holder, now, self._free_in(self._observed))

    def _say_elected(self) -> None:
        logger.info("this process (%s) holds Lease %s, term %s", self._identity, self._key, self.epoch)

    def _is_wanted(self) -> bool:
        return self.wanted()

    def _until_next_try(self) -> float:
        """Look again when the Lease ends, not a moment later: the shard stands still."""
        ends = self._free_in(self._observed) if self._observed is not None else 0.0
        return min(self._times.retry_every, ends) or self._times.retry_every


@dataclass(slots=True)
class _Writes:
    """The writes of one shard.

    Attributes:
        under_way: how many were sent and are not answered.
        unclear_until: until when one that has failed may still take effect, in seconds of the monotonic clock.
    """

    under_way: int = 0
    unclear_until: float = 0.0


class ShardLeases:
    """Implements the port ``Leadership`` for one of several processes that share the models.

    Attributes:
        shards: how many there are, the same in every process.
    """

    def __init__(  # noqa: PLR0913 - the parts of an election
        self,
        client: Requests,
        clock: Clock,
        key: ObjectKey,
        identity: str,
        shards: int,
        *,
        times: LeaseTimes | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare a member of the operator whose common Lease has this key; the shards' are named after it."""
        times = times or LeaseTimes()
        times = replace(times, retry_every=min(times.retry_every, _POLL))
        signs = replace(times, renew_every=min(times.renew_every, _RENEW_MEMBERSHIP))
        self.shards = shards
        self._client, self._clock, self._key, self._times, self._sleep = client, clock, key, times, sleep
        self._name = unique_name(identity)
        self._membership = Membership(client, clock, key, self._name, shards, times=signs, sleep=sleep)
        self._leases = [self._lease(shard) for shard in range(shards)]
        self._held: set[int] = set()
        self._writes = [_Writes() for _ in range(shards)]

    # ---- the port ------------------------------------------------------------------------------

    @property
    def handles_all(self) -> bool:
        """Whether every model is this process's concern: not for ever, even where it holds all shards."""
        return False

    def handles(self, model: ObjectKey, /) -> bool:
        """Return whether this process holds the shard of a model."""
        return self.epoch_of(model) is not None

    def epoch_of(self, model: ObjectKey, /) -> int | None:
        """Return the term of the shard that a model belongs to; None where this process does not hold it."""
        membership = self._membership.epoch
        if membership is None or model == INSTALLATION:
            return membership
        if model == UNNAMED:
            return None
        shard = shard_of(model, self.shards)
        return self._leases[shard].epoch if shard in self._held else None

    def outrank(self, epoch: int, model: ObjectKey, /) -> None:
        """Raise the term of a model's shard above this epoch with the next renewal."""
        self._leases[shard_of(model, self.shards)].outrank(epoch)

    # ---- what others ask -----------------------------------------------------------------------

    @property
    def held(self) -> frozenset[int]:
        """The shards that this process holds now."""
        if self._membership.epoch is None:
            return frozenset()
        return frozenset(shard for shard in self._held if self._leases[shard].epoch is not None)

    @property
    def reached(self) -> bool:
        """Whether the last call for the common Lease was answered; makes a standby ready."""
        return self._membership.reached

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Count the block as a write under way, for which a shard that is handed back waits.

        A write without an answer may still take effect, so it counts for as long as a Lease lasts longer than its
        holder leads.
        """
        model = acted_for()
        writes = _Writes() if model == INSTALLATION else self._writes[shard_of(model, self.shards)]
        writes.under_way += 1
        try:
            yield
        except BaseException as problem:
            if not isinstance(problem, SerinusError) or isinstance(problem, AmbiguousError):
                margin = self._times.duration - self._times.give_up
                writes.unclear_until = self._clock.monotonic() + margin
            raise
        finally:
            writes.under_way -= 1

    # ---- running -------------------------------------------------------------------------------

    async def run(self, listener: ShardListener) -> None:
        """Take part, and return when a Lease is lost: the process must then exit.

        When cancelled, for instance on SIGTERM, it releases its Leases, so that others take over at once.
        """
        membership = asyncio.create_task(self._membership.run())
        try:
            await _while_running(membership, self._membership.elected())
            async with asyncio.TaskGroup() as group:
                group.create_task(_while_running(membership, asyncio.Event().wait()))
                for shard in range(self.shards):
                    group.create_task(self._take_and_hand_back(shard, listener))
        except* _LostError as lost:
            logger.error("%s", "; ".join(map(str, lost.exceptions)))  # noqa: TRY400 - a traceback adds nothing
        finally:
            self._held.clear()
            membership.cancel()
            await asyncio.wait({membership})

    async def _take_and_hand_back(self, shard: int, listener: ShardListener) -> None:
        def belongs(model: ObjectKey) -> bool:
            return shard_of(model, self.shards) == shard

        while True:
            lease = self._leases[shard] = self._lease(shard)
            running = asyncio.create_task(lease.run())
            try:
                await _while_running(running, lease.elected())
                listener.forget_models(belongs)
                self._held.add(shard)
                listener.take_models(belongs)
                await _while_running(running, self._until_wanted_elsewhere(shard))
                self._held.discard(shard)
                listener.forget_models(belongs)
                await _while_running(running, self._drained(shard))
            finally:
                self._held.discard(shard)
                running.cancel()
                await asyncio.wait({running})
            logger.info("shard %d was handed back", shard)

    async def _until_wanted_elsewhere(self, shard: int) -> None:
        while shard not in self._assignment().hand_back:
            await self._sleep(_POLL)

    async def _drained(self, shard: int) -> None:
        """Wait until no write of a shard is under way; the client bounds how long one lasts."""
        writes = self._writes[shard]
        while writes.under_way or self._clock.monotonic() < writes.unclear_until:
            await self._sleep(_DRAIN_POLL)

    def _lease(self, shard: int) -> _ShardLease:
        key = ObjectKey(self._key.namespace, shard_lease_name(self._key.name, shard))
        lease = _ShardLease(
            self._client, self._clock, key, self._name, times=self._times, sleep=self._sleep, unique=False
        )
        lease.wanted = lambda: shard in self._wanted()
        return lease

    def _wanted(self) -> frozenset[int]:
        assignment = self._assignment()
        return assignment.take | assignment.keep

    def _assignment(self) -> Assignment:
        """Return what this process should do about the shards now."""
        return assign(
            [lease.seen for lease in self._leases],
            self._membership.signs_of_life,
            self._name,
            now=self._clock.monotonic(),
            # Less than a Lease lasts by more than the time between two signs of life.
            alive_for=self._times.give_up,
        )


def shard_lease_name(name: str, shard: int) -> str:
    """Return the name of a shard's Lease; the chart allows exactly these."""
    return f"{name}-shard-{shard}"


async def _while_running(election: asyncio.Task[None], awaited: Coroutine[object, object, object]) -> None:
    """Wait for something as long as an election runs.

    Raises:
        _LostError: the election has ended.
    """
    waiting = asyncio.ensure_future(awaited)
    try:
        await asyncio.wait({election, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if not waiting.done():
        election.result()
        raise _LostError("a Lease of this process is lost")
    waiting.result()
