"""Elects one leader by a Lease, whose term number fences every write.

The client library's own election is not used: it goes on leading after it has lost the Lease (design, section 4).
Safety rests on two lengths on the monotonic clock: a leader stops 10 s after the *start* of its last successful
renewal, and nobody takes over before the Lease has stood unchanged for its whole 15 s.
"""

import asyncio
import logging
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

# A Lease that is made anew must begin with a higher term than any before it, for status.epoch never falls. So no term
# is below the seconds since this moment, which int32 (leaseTransitions) holds until 2088.
_FIRST_TERM_AT: Final = datetime(2020, 1, 1, tzinfo=UTC)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """All lengths in seconds; ``give_up`` must leave a margin below ``duration`` for what is still on its way."""

    duration: float = 15.0
    renew_every: float = 4.0
    call: float = 3.0
    give_up: float = 10.0
    retry_every: float = 2.0

    def __post_init__(self) -> None:
        """Refuse lengths with which two could lead."""
        if not self.renew_every + self.call < self.give_up < self.duration:
            raise ValueError("a Lease needs renew_every + call < give_up < duration")


@dataclass(frozen=True, slots=True)
class _Seen:
    """The Lease as it was read, and when it was first seen so."""

    raw: Mapping[str, Any]
    since: float

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
    def stands(self) -> tuple[object, ...]:
        """What changes whenever its holder lives."""
        return (self.spec.get("renewTime"), self.term, self.holder)


@dataclass(frozen=True, slots=True)
class _Term:
    """A term of ours; ``until`` on the monotonic clock."""

    epoch: int
    until: float
    raw: Mapping[str, Any]


class LeaseElection:
    """The port ``Leadership`` by a Lease."""

    def __init__(  # noqa: PLR0913 - what an election consists of
        self,
        client: Requests,
        clock: Clock,
        key: ObjectKey,
        identity: str,
        *,
        times: LeaseTimes | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Stand for election; a process that starts again under the same identity is another candidate."""
        self._client = client
        self._clock = clock
        self._key = key
        self._times = times or LeaseTimes()
        self._sleep = sleep
        self._identity = f"{identity}_{uuid4().hex[:8]}"
        self._term: _Term | None = None
        self._seen: _Seen | None = None
        self._elected = asyncio.Event()
        self._reached = False

    @property
    def identity(self) -> str:
        """This candidate's name in the Lease."""
        return self._identity

    @property
    def epoch(self) -> int | None:
        """The number of our term, or None: also where this process was too slow to notice that its time is up."""
        term = self._term
        return term.epoch if term is not None and self._clock.monotonic() < term.until else None

    @property
    def reached(self) -> bool:
        """Whether the last call for the Lease was answered: a standby is ready then."""
        return self._reached

    async def elected(self) -> None:
        """Return when this process leads for the first time."""
        await self._elected.wait()

    async def run(self) -> None:
        """Stand for election, lead, and return when the leadership is lost: the process must then exit.

        When cancelled, for instance at SIGTERM, it gives the Lease back, so that another takes over at once.
        """
        try:
            while not await self._attempt(self._campaign):
                await self._sleep(self._times.retry_every)
            logger.info("this process (%s) leads, term %s", self._identity, self.epoch)
            self._elected.set()
            await self._lead()
        finally:
            await self._give_back()

    async def _lead(self) -> None:
        while (left := self._left()) > 0:
            await self._sleep(min(self._times.renew_every, left))
            while self._left() > 0 and not await self._attempt(self._renew):
                await self._sleep(min(self._times.call / 10, max(self._left(), 0.0)))
        logger.error("this process (%s) no longer leads: it stops writing", self._identity)
        self._term = None

    def _left(self) -> float:
        return self._term.until - self._clock.monotonic() if self._term is not None else 0.0

    async def _attempt(self, step: Callable[[], Awaitable[bool]]) -> bool:
        """Do one step within the time of a call; whatever fails is a failed try, nothing more."""
        try:
            async with asyncio.timeout(self._times.call):
                done = await step()
                self._reached = True
                return done
        except (SerinusError, TimeoutError) as problem:
            self._reached = False
            logger.warning("Lease %s: %s", self._key, str(problem) or "no answer in time")
            return False

    async def _campaign(self) -> bool:
        try:
            raw = await self._client.request("GET", object_path(LEASE, self._key), urgent=True)
        except NotFoundError:
            return await self._create()
        now = self._clock.monotonic()
        found = _Seen(raw, now)
        if self._seen is None or self._seen.stands != found.stands:
            self._seen = found
        self._seen = replace(self._seen, raw=raw)
        if found.holder == self._identity:
            # A write of ours whose answer was lost.
            return await self._hold(found.raw, found.term)
        length = float(found.spec.get("leaseDurationSeconds") or self._times.duration)
        if found.holder and now - self._seen.since < max(length, self._times.duration):
            return False
        return await self._hold(raw, max(found.term + 1, self._first_term()), taken=True)

    async def _create(self) -> bool:
        started = self._clock.monotonic()
        term = self._first_term()
        manifest = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._key.name, "namespace": self._key.namespace},
            "spec": self._spec(term, taken=True),
        }
        raw = await self._client.request(
            "POST",
            collection_path(LEASE, self._key.namespace),
            body=manifest,
            query={"fieldManager": FIELD_MANAGER},
            urgent=True,
        )
        self._term = _Term(term, started + self._times.give_up, raw)
        return True

    async def _renew(self) -> bool:
        term = self._term
        if term is None:
            return False
        try:
            return await self._hold(term.raw, term.epoch)
        except ConflictError:
            raw = await self._client.request("GET", object_path(LEASE, self._key), urgent=True)
        except NotFoundError:
            self._term = None
            raise
        found = _Seen(raw, 0.0)
        if (found.holder, found.term) == (self._identity, term.epoch):
            return await self._hold(raw, term.epoch)
        logger.error("Lease %s was taken by %s", self._key, found.holder or "nobody: it was given back")
        self._term = None
        return False

    async def _hold(self, raw: Mapping[str, Any], term: int, *, taken: bool = False) -> bool:
        started = self._clock.monotonic()
        written = await self._put(raw, self._spec(term, taken=taken))
        self._term = _Term(term, started + self._times.give_up, written)
        return True

    async def _put(self, raw: Mapping[str, Any], spec: Mapping[str, Any]) -> Mapping[str, Any]:
        # The resourceVersion in the metadata makes a lost race a 409.
        body = {**raw, "spec": {**(raw.get("spec") or {}), **spec}}
        return await self._client.request(
            "PUT", object_path(LEASE, self._key), body=body, query={"fieldManager": FIELD_MANAGER}, urgent=True
        )

    def _first_term(self) -> int:
        return int((self._clock.now() - _FIRST_TERM_AT).total_seconds())

    def _spec(self, term: int, *, taken: bool) -> dict[str, Any]:
        now = micro_time(self._clock.now())
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": round(self._times.duration),
            "leaseTransitions": term,
            "renewTime": now,
        } | ({"acquireTime": now} if taken else {})

    async def _give_back(self) -> None:
        term, self._term = self._term, None
        if term is None:
            return
        try:
            async with asyncio.timeout(self._times.call):
                await self._put(term.raw, {"holderIdentity": "", "leaseDurationSeconds": 1})
        except (SerinusError, TimeoutError) as problem:
            logger.warning("Lease %s was not given back and will run out: %s", self._key, problem)
