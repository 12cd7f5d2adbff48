"""Writes signed checkpoints of all audit chains to a bucket with Object Lock.

Anybody who can write the registry can rewrite a whole chain; but nobody can remove objects from the bucket, and only
the operator's key can sign a checkpoint.
"""

import asyncio
import base64
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NoReturn

from serinus.api.model import ChainHead
from serinus.api.names import ObjectKey
from serinus.audit.bucket import MOST_BYTES, Bucket, Place
from serinus.audit.signing_keys import PublicKeys, fingerprint, load_private_key
from serinus.backoff import Backoff
from serinus.engine.audit.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    canonical,
    checkpoint_of,
    hash_in_name,
    object_name,
    signing_payload,
    time_in_name,
    time_part,
)
from serinus.errors import AmbiguousError, ConflictError, RefusedError, SerinusError
from serinus.ports.registry_store import RegistryStore
from serinus.ports.services import Clock, Guard
from serinus.settings import CheckpointSettings

_LOG: Final = logging.getLogger(__name__)

_TRIES: Final = 3
_FIRST_PAUSE: Final = 5.0
_MILLISECOND: Final = 1000
_LOOK_BACK: Final = (timedelta(days=2), timedelta(days=60))
"""The periods in which the previous checkpoint is searched before all names are listed."""


@dataclass(frozen=True, slots=True)
class WrittenCheckpoint:
    """A stored checkpoint: its name, its time and the number of its chains."""

    name: str
    at: datetime
    chains: int


class Checkpoints:
    """Writes the checkpoints of all audit chains."""

    def __init__(self, settings: CheckpointSettings, may_write: Guard | None = None) -> None:
        """Read the key, without sending a request.

        Args:
            settings: the bucket, the key and the retention.
            may_write: called before each time that a checkpoint is sent: of several processes only the leader writes.

        Raises:
            ConfigurationError: the key cannot be read.
        """
        self._key = load_private_key(Path(settings.key_file))
        self._retention = timedelta(days=settings.retention_days)
        self.bucket = Bucket(place_of(settings), may_write=may_write)

    @property
    def keys(self) -> PublicKeys:
        """The public key of the signing key."""
        public = self._key.public_key()
        return {fingerprint(public): public}

    async def close(self) -> None:
        """Release connections and threads."""
        await self.bucket.close()

    async def write(
        self, heads: Iterable[tuple[ObjectKey, ChainHead]], at: datetime, *, cluster: str = ""
    ) -> WrittenCheckpoint:
        """Sign the heads of all chains and store them as one object that nobody can change or remove.

        Args:
            heads: the ends of all chains.
            at: the time, aware, UTC; truncated to milliseconds.
            cluster: the cluster whose chains they are; empty where the registry is a cluster's own.

        Raises:
            AmbiguousError, TransientError: it may have been written, or was not: retry with a later time.
            RefusedError: the bucket refuses it, such as one without Object Lock.
            NotLeaderError: this process does not lead any more; not sent.
        """
        moment = at.replace(microsecond=at.microsecond // _MILLISECOND * _MILLISECOND)
        last = await self.last(moment)
        previous = (hash_in_name(last) or "") if last else ""
        checkpoint = checkpoint_of(heads, moment, previous, cluster=cluster)
        name, body = object_name(checkpoint), canonical(self._signed(checkpoint))
        if len(body) > MOST_BYTES:
            raise RefusedError(f"a checkpoint of {len(checkpoint.heads)} chains is too large: split the registry")
        await self._put(name, body, moment + self._retention)
        return WrittenCheckpoint(name, moment, len(checkpoint.heads))

    async def last(self, now: datetime) -> str | None:
        """Return the name of the latest checkpoint; None where there is none."""
        for after in (*(time_part(now - period) for period in _LOOK_BACK), ""):
            names = [name async for name in self.bucket.names(after=after) if hash_in_name(name)]
            if names:
                return names[-1]
        return None

    def _signed(self, checkpoint: Checkpoint) -> SignedCheckpoint:
        signature = base64.b64encode(self._key.sign(signing_payload(checkpoint))).decode("ascii")
        return SignedCheckpoint(checkpoint=checkpoint, key=next(iter(self.keys)), signature=signature)

    async def _put(self, name: str, body: bytes, locked_until: datetime) -> None:
        """Create the object; an ambiguous attempt is repeated, and an existing identical object is a success."""
        for attempt in range(1, _TRIES + 1):
            try:
                await self.bucket.put_new(name, body, locked_until=locked_until)
            except ConflictError:
                # The name contains the content's hash, and Ed25519 signatures are deterministic.
                if (await self.bucket.get(name)).content == body:
                    return
                advice = "check who else writes there"
                raise RefusedError(f"{self.bucket.place}{name} exists with another content: {advice}") from None
            except AmbiguousError:
                if attempt == _TRIES:
                    raise
            else:
                return


def place_of(settings: CheckpointSettings) -> Place:
    """Return the location of the checkpoints."""
    prefix = settings.prefix.strip("/")
    return Place(settings.bucket, f"{prefix}/" if prefix else "", settings.s3)


async def keep_checkpoints(
    store: RegistryStore, checkpoints: Checkpoints, clock: Clock, interval: timedelta
) -> NoReturn:
    """Write a checkpoint every interval, for ever; a failure is logged and retried with a growing pause.

    The first is due one interval after the latest in the bucket: a process that keeps restarting must not fill the
    bucket with objects that nobody can remove.
    """
    backoff = Backoff(_FIRST_PAUSE, longest=max(interval.total_seconds(), _FIRST_PAUSE))
    pause = backoff.first
    while True:
        try:
            await asyncio.sleep(await _due_in(checkpoints, clock, interval))
            heads = [(model, head.audit) async for model, head in store.list_models()]
            cluster = (await store.owner()).cluster
            written = await checkpoints.write(heads, clock.now(), cluster=cluster)
        except SerinusError as problem:
            _LOG.warning("no checkpoint of the audit trail was written: %s. Trying again in %g s", problem, pause)
        except Exception:  # noqa: BLE001 - a bug in the checkpoints must not end the operator
            _LOG.exception("no checkpoint of the audit trail was written. Trying again in %g s", pause)
        else:
            _LOG.info("checkpoint %s%s of %d chains", checkpoints.bucket.place, written.name, written.chains)
            pause = backoff.first
            continue
        await asyncio.sleep(pause)
        pause = backoff.after(pause)


async def _due_in(checkpoints: Checkpoints, clock: Clock, interval: timedelta) -> float:
    now = clock.now()
    last = await checkpoints.last(now)
    at = time_in_name(last) if last else None
    return max((at + interval - now).total_seconds(), 0.0) if at is not None else 0.0
