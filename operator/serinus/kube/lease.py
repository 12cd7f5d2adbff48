"""Leader election by a Lease whose term number fences every write.

The client library's own election is not used: it was seen to keep leading after it had lost the Lease. Safety rests on
two durations on the monotonic clock: a leader stops 10 s after the *start* of its last successful renewal, and no
candidate takes over before the Lease has been unchanged for its full 15 s.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from serinus.api.names import FIELD_MANAGER, LEASE, ObjectKey
from serinus.errors import ConflictError, NotFoundError, SerinusError
from serinus.kube.client import Requests
from serinus.kube.kinds import collection_path, object_path
from serinus.kube.times import micro_time
from serinus.ports.services import Clock

# A recreated Lease must start with a higher term than any before it, because status.epoch never decreases. So no term
# is below the number of seconds since this time, which fits int32 (leaseTransitions) until 2088.
_FIRST_TERM_AT: Final = datetime(2020, 1, 1, tzinfo=UTC)

_HIGHEST_TERM: Final = 2**30
"""No status raises the term beyond this: leaseTransitions is an int32, and must leave room for more terms."""

FREE: Final = {"holderIdentity": "", "leaseDurationSeconds": 1}
"""What the spec of a Lease says that its holder has released."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """All durations in seconds; ``give_up`` must be below ``duration`` by a margin for writes still in flight."""

    duration: float = 15.0
    renew_every: float = 4.0
    call: float = 3.0
    give_up: float = 10.0
    retry_every: float = 2.0

    def __post_init__(self) -> None:
        """Reject durations with which two processes could lead at once.

        Raises:
            ValueError: ``renew_every`` + ``call``, ``give_up`` and ``duration`` are not in ascending order.
        """
        if not self.renew_every + self.call < self.give_up < self.duration:
            raise ValueError("a Lease needs renew_every + call < give_up < duration")


@dataclass(frozen=True, slots=True)
class _ObservedLease:
    """The Lease as last read, when it was first read with these values, and whether it was deleted then."""

    raw: Mapping[str, Any]
    since: float
    gone: bool = False

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.raw.get("spec") or {}

    @property
    def holder(self) -> str:
        return str(self.spec.get("holderIdentity") or "")

    @property
    def term(self) -> int:
        return int(self.spec.get("leaseTransitions") or 0)

    @property
    def renewal(self) -> tuple[object, ...]:
        """The values that change with every renewal."""
        return (self.spec.get("renewTime"), self.term, self.holder)


@dataclass(frozen=True, slots=True)
class _Term:
    """A term of this process; ``until`` on the monotonic clock."""

    epoch: int
    until: float
    raw: Mapping[str, Any]


def unique_name(identity: str) -> str:
    """Return a name that no other process has, even one with the same identity."""
    return f"{identity}_{uuid4().hex[:8]}"


class LeadsForAll(ABC):
    """The part of the port ``Leadership`` that is the same for every process that leads for all models, or for none."""

    @property
    @abstractmethod
    def epoch(self) -> int | None:
        """The current term number; None while another process leads."""

    @property
    def handles_all(self) -> bool:
        """Whether every model is the concern of the one that leads: it is."""
        return True

    def handles(self, _model: ObjectKey, /) -> bool:
        """Return that every model is the concern of the one that leads."""
        return True

    def epoch_of(self, _model: ObjectKey, /) -> int | None:
        """Return the current term number, which is the same for every model."""
        return self.epoch


class LeaseElection(LeadsForAll):
    """Implements the port ``Leadership`` with a Lease; it leads once at most: who wants to lead again is a new one."""

    def __init__(  # noqa: PLR0913 - the parts of an election
        self,
        client: Requests,
        clock: Clock,
        key: ObjectKey,
        identity: str,
        *,
        times: LeaseTimes | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        unique: bool = True,
    ) -> None:
        """Prepare a candidate; a restarted process with the same identity is a different candidate.

        Unless its identity is made ``unique`` already: whoever has the same one holds the Lease as well.
        """
        self._client = client
        self._clock = clock
        self._key = key
        self._times = times or LeaseTimes()
        self._sleep = sleep
        self._identity = unique_name(identity) if unique else identity
        self._term: _Term | None = None
        self._observed: _ObservedLease | None = None
        self._elected = asyncio.Event()
        self._reached = False
        self._lowest_term = 0

    @property
    def identity(self) -> str:
        """The candidate's name in the Lease."""
        return self._identity

    @property
    def epoch(self) -> int | None:
        """The current term number; None when not leading, even if the process has not noticed its expiry yet."""
        term = self._term
        return term.epoch if term is not None and self._clock.monotonic() < term.until else None

    def outrank(self, epoch: int, _model: ObjectKey | None = None, /) -> None:
        """Raise the term above this epoch with the next renewal, which succeeds only if this process leads."""
        if epoch < self._lowest_term:
            return
        if epoch >= _HIGHEST_TERM:
            logger.error("a status has the epoch %d, which no term may exceed: correct it", epoch)
            return
        logger.warning("a status has the epoch %d: the term of this process is raised above it", epoch)
        self._lowest_term = epoch + 1

    @property
    def reached(self) -> bool:
        """Whether the last call for the Lease was answered; makes a standby ready."""
        return self._reached

    async def elected(self) -> None:
        """Wait until this process leads for the first time."""
        await self._elected.wait()

    async def run(self) -> None:
        """Campaign, lead, and return when the leadership is lost: the process must then exit.

        When cancelled, for instance on SIGTERM, it releases the Lease, so that another process takes over at once.
        """
        try:
            while not await self._attempt(self._campaign):
                await self._sleep(self._until_next_try())
            self._say_elected()
            self._elected.set()
            await self._lead()
        finally:
            await self._release()

    async def _lead(self) -> None:
        while (remaining := self._remaining()) > 0:
            await self._sleep(min(self._times.renew_every, remaining))
            while self._remaining() > 0 and not await self._attempt(self._renew):
                await self._sleep(min(self._times.call / 10, max(self._remaining(), 0.0)))
        logger.error("this process (%s) no longer leads: it stops writing", self._identity)
        self._term = None

    def _say_elected(self) -> None:
        logger.info("this process (%s) leads, term %s", self._identity, self.epoch)

    def _until_next_try(self) -> float:
        return self._times.retry_every

    def _is_wanted(self) -> bool:
        """Return whether this candidate may take the Lease once it is free."""
        return True

    def _remaining(self) -> float:
        return self._term.until - self._clock.monotonic() if self._term is not None else 0.0

    async def _attempt(self, step: Callable[[], Awaitable[bool]]) -> bool:
        """Run one step within the time-out of a call and return whether it succeeded; errors are logged."""
        try:
            async with asyncio.timeout(self._times.call):
                succeeded = await step()
                self._reached = True
                return succeeded
        except (SerinusError, TimeoutError) as problem:
            self._reached = False
            logger.warning("Lease %s: %s", self._key, str(problem) or "no answer in time")
            return False

    async def _campaign(self) -> bool:
        try:
            raw = await self._client.request("GET", object_path(LEASE, self._key), urgent=True)
        except NotFoundError:
            return not self._was_deleted_lately() and self._is_wanted() and await self._create()
        now = self._clock.monotonic()
        lease = _ObservedLease(raw, now)
        if self._observed is None or self._observed.gone or self._observed.renewal != lease.renewal:
            self._observed = lease
        self._observed = replace(self._observed, raw=raw)
        if lease.holder == self._identity and self._is_wanted():
            # The response to our own write was lost.
            return await self._write(lease.raw, lease.term)
        if self._free_in(self._observed) > 0 or not self._is_wanted():
            return False
        return await self._write(raw, max(lease.term + 1, self._first_term()), acquired=True)

    def _was_deleted_lately(self) -> bool:
        """Return whether a Lease that is gone was held by somebody who may lead still: they do not know it yet.

        They may have renewed it right before, so it counts as unchanged from when it was first missed.
        """
        lease = self._observed
        if lease is None or lease.holder in {"", self._identity}:
            return False
        if not lease.gone:
            lease = self._observed = replace(lease, since=self._clock.monotonic(), gone=True)
        return self._free_in(lease) > 0

    def _free_in(self, lease: _ObservedLease) -> float:
        """Return after how many seconds somebody else may take a Lease; 0 where nobody holds it."""
        duration = float(lease.spec.get("leaseDurationSeconds") or self._times.duration)
        ends = lease.since + max(duration, self._times.duration)
        return max(ends - self._clock.monotonic(), 0.0) if lease.holder else 0.0

    async def _create(self) -> bool:
        started = self._clock.monotonic()
        term = self._first_term()
        raw = await self._client.request(
            "POST",
            collection_path(LEASE, self._key.namespace),
            body=self._manifest(term),
            query={"fieldManager": FIELD_MANAGER},
            urgent=True,
            fenced=False,
        )
        self._term = _Term(term, started + self._times.give_up, raw)
        return True

    def _manifest(self, term: int) -> dict[str, Any]:
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._key.name, "namespace": self._key.namespace},
            "spec": self._spec(term, acquired=True),
        }

    async def _renew(self) -> bool:
        term = self._term
        if term is None:
            return False
        try:
            return await self._write(term.raw, term.epoch)
        except ConflictError:
            raw = await self._client.request("GET", object_path(LEASE, self._key), urgent=True)
        except NotFoundError:
            self._term = None
            raise
        if self._still_holds(raw):
            return await self._write(raw, term.epoch)
        return False

    def _still_holds(self, raw: Mapping[str, Any]) -> bool:
        """Return whether the Lease names this candidate; else it leads no more."""
        holder = _ObservedLease(raw, 0.0).holder
        if holder == self._identity:
            return True
        logger.error("Lease %s is lost, its holder is %s", self._key, holder or "nobody")
        self._term = None
        return False

    async def _write(self, raw: Mapping[str, Any], term: int, *, acquired: bool = False) -> bool:
        started = self._clock.monotonic()
        term = max(term, self._lowest_term)
        written = await self._put(raw, self._spec(term, acquired=acquired))
        self._term = _Term(term, started + self._times.give_up, written)
        return True

    async def _put(self, raw: Mapping[str, Any], spec: Mapping[str, Any]) -> Mapping[str, Any]:
        # With the resourceVersion in the metadata, a lost race is answered by 409.
        body = {**raw, "spec": {**(raw.get("spec") or {}), **spec}}
        return await self._client.request(
            "PUT",
            object_path(LEASE, self._key),
            body=body,
            query={"fieldManager": FIELD_MANAGER},
            urgent=True,
            fenced=False,
        )

    def _first_term(self) -> int:
        return int((self._clock.now() - _FIRST_TERM_AT).total_seconds())

    def _spec(self, term: int, *, acquired: bool) -> dict[str, Any]:
        now = micro_time(self._clock.now())
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": round(self._times.duration),
            "leaseTransitions": term,
            "renewTime": now,
        } | ({"acquireTime": now} if acquired else {})

    async def _release(self) -> None:
        term, self._term = self._term, None
        if term is None:
            return
        try:
            async with asyncio.timeout(self._times.call):
                await self._free(term.raw)
        except (SerinusError, TimeoutError) as problem:
            logger.warning("Lease %s was not released and will expire: %s", self._key, problem)

    async def _free(self, raw: Mapping[str, Any]) -> None:
        try:
            await self._put(raw, FREE)
        except ConflictError:
            # A renewal may have been under way when the candidate was cancelled.
            raw = await self._client.request("GET", object_path(LEASE, self._key), urgent=True)
            if self._still_holds(raw):
                await self._put(raw, FREE)
