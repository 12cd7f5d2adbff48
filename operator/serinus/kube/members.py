"""The Lease that the processes of one operator hold together where there are several shards, and who they are.

Its name is that of the single leader's Lease, and its holder is named after the number of shards. So a process with
another number of shards, or of a release without any, never leads at the same time: it would find other models in each
shard. While one group of pods replaces the other, the new one waits until the last of the old has gone.

Each member renews the Lease and notes a sign of life in an annotation of it. When one was given is measured by the
clock of whoever reads it, as for any Lease.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from serinus.api.names import LEASE, SHARD_MEMBERS_ANNOTATION, ObjectKey
from serinus.errors import ConflictError, SerinusError
from serinus.kube.client import Requests
from serinus.kube.kinds import object_path
from serinus.kube.lease import FREE, LeaseElection, LeaseTimes
from serinus.kube.times import micro_time
from serinus.ports.services import Clock

_TRIES: Final = 5
"""So often one renewal is tried: the members write to one object."""

logger = logging.getLogger(__name__)


class Membership(LeaseElection):
    """This process as one of those that hold the Lease together: it leads while it is a member."""

    def __init__(  # noqa: PLR0913 - the parts of an election
        self,
        client: Requests,
        clock: Clock,
        key: ObjectKey,
        member: str,
        shards: int,
        *,
        times: LeaseTimes,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare to become a member under this name, which no other process has."""
        super().__init__(client, clock, key, f"{shards} shards", times=times, sleep=sleep, unique=False)
        self._member = member
        self._signs: dict[str, tuple[object, float]] = {}

    @property
    def signs_of_life(self) -> Mapping[str, float]:
        """When each member was first seen with its last sign of life, in seconds of the monotonic clock."""
        return {member: seen for member, (_, seen) in self._signs.items()}

    def _manifest(self, term: int) -> dict[str, Any]:
        manifest = super()._manifest(term)
        # From the beginning: a member without a sign of life would not keep the last of the others from releasing.
        return manifest | {"metadata": manifest["metadata"] | {"annotations": self._annotation({})}}

    def _say_elected(self) -> None:
        logger.info("this process (%s) is a member of the operator with %s", self._member, self._identity)

    async def _renew(self) -> bool:
        for _ in range(_TRIES):
            raw = await self._read()
            if self._term is None or not self._still_holds(raw):
                return False
            try:
                return await self._write(raw, self._term.epoch)
            except ConflictError:
                continue
        return False

    async def _put(self, raw: Mapping[str, Any], spec: Mapping[str, Any]) -> Mapping[str, Any]:
        written = await super()._put(_annotated(raw, self._annotation(self._others(raw))), spec)
        self._see(written)
        return written

    async def _read(self) -> Mapping[str, Any]:
        raw = await self._client.request("GET", object_path(LEASE, self._key), urgent=True)
        self._see(raw)
        return raw

    def _see(self, raw: Mapping[str, Any]) -> None:
        now = self._clock.monotonic()
        before = self._signs
        self._signs = {
            member: before[member] if member in before and before[member][0] == sign else (sign, now)
            for member, sign in _members_in(raw).items()
        }

    def _others(self, raw: Mapping[str, Any]) -> dict[str, object]:
        """Return the other members with their signs of life, but those that have given none for a whole Lease."""
        self._see(raw)
        now = self._clock.monotonic()
        return {
            member: sign
            for member, (sign, seen) in self._signs.items()
            if member != self._member and now - seen < self._times.duration
        }

    def _annotation(self, others: Mapping[str, object]) -> dict[str, str]:
        members = dict(others) | {self._member: micro_time(self._clock.now())}
        return {SHARD_MEMBERS_ANNOTATION: msgspec.json.encode(members, order="sorted").decode()}

    async def _release(self) -> None:
        """Leave; the last member releases the Lease."""
        term, self._term = self._term, None
        if term is None:
            return
        try:
            async with asyncio.timeout(self._times.call):
                while not await self._leave():
                    logger.debug("Lease %s: another member has written it", self._key)
        except (SerinusError, TimeoutError) as problem:
            logger.warning("Lease %s was not left, its other members will notice: %s", self._key, problem)

    async def _leave(self) -> bool:
        raw = await self._read()
        if (raw.get("spec") or {}).get("holderIdentity") != self._identity:
            return True
        others = self._others(raw)
        released = {} if others else FREE
        members = {SHARD_MEMBERS_ANNOTATION: msgspec.json.encode(others, order="sorted").decode()}
        try:
            await super()._put(_annotated(raw, members), released)
        except ConflictError:
            return False
        return True


def _annotated(raw: Mapping[str, Any], annotations: Mapping[str, str]) -> dict[str, Any]:
    metadata = raw.get("metadata") or {}
    return {**raw, "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), **annotations}}}


def _members_in(raw: Mapping[str, Any]) -> dict[str, object]:
    """Return the members that the Lease names; none where somebody has made its annotation unreadable."""
    annotations = (raw.get("metadata") or {}).get("annotations") or {}
    try:
        return msgspec.json.decode(annotations.get(SHARD_MEMBERS_ANNOTATION, "{}"), type=dict[str, object])
    except msgspec.DecodeError:
        logger.warning("the annotation %s cannot be read: its members will write it anew", SHARD_MEMBERS_ANNOTATION)
        return {}
