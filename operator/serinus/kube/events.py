"""Publishes Kubernetes Events from a bounded queue: repeated ones as a series, at most ten a second."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from serinus.api.names import API_VERSION, EVENT, FIELD_MANAGER, ObjectKey
from serinus.engine.rollout.decision import Event
from serinus.errors import NotFoundError, SerinusError
from serinus.kube.client import MERGE_PATCH, Requests
from serinus.kube.kinds import collection_path, object_path
from serinus.kube.times import micro_time
from serinus.ports.acting import UNNAMED, acted_for, acting_for
from serinus.ports.cluster_state import Meta
from serinus.ports.services import Clock

_SERIES_WINDOW: Final = 600.0
_REMEMBERED: Final = 5000
_QUEUED: Final = 1000
_PAUSE: Final = 0.1
# The API server's limits (kubernetes, pkg/apis/core/validation/events.go).
_MAX_NOTE_BYTES: Final = 1024
_MAX_NAME: Final = 253

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _QueuedEvent:
    owner: Meta
    event: Event
    at: datetime
    model: ObjectKey = UNNAMED


@dataclass(slots=True)
class _Series:
    """A published event; ``last`` in seconds of the monotonic clock."""

    name: str
    count: int
    last: float


class ApiEvents:
    """Implements the port ``Events``: ``publish`` queues, ``run`` writes."""

    def __init__(
        self,
        client: Requests,
        clock: Clock,
        instance: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Publish as this instance of the operator; ``sleep`` is called between two writes."""
        self._client = client
        self._clock = clock
        self._instance = instance
        self._sleep = sleep
        self._queue: asyncio.Queue[_QueuedEvent] = asyncio.Queue(_QUEUED)
        self._published: OrderedDict[tuple[str, str, str], _Series] = OrderedDict()
        self.dropped = 0

    async def publish(self, owner: Meta, event: Event) -> None:
        """Queue an event and return at once; if the queue is full, drop it and increment ``dropped``."""
        try:
            self._queue.put_nowait(_QueuedEvent(owner, event, self._clock.now(), acted_for()))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Publish until cancelled; an event that cannot be written is logged and dropped."""
        while True:
            queued = await self._queue.get()
            try:
                with acting_for(queued.model):
                    await self._write(queued)
            except SerinusError as problem:
                key, reason = queued.owner.key, queued.event.reason
                logger.warning("event %s of Rollout %s not published: %s", reason, key, problem)
            finally:
                self._queue.task_done()
            await self._sleep(_PAUSE)

    async def drain(self) -> None:
        """Wait until every queued event has been tried."""
        await self._queue.join()

    async def _write(self, queued: _QueuedEvent) -> None:
        identity = (queued.owner.uid, queued.event.reason, queued.event.message)
        now = self._clock.monotonic()
        series = self._published.get(identity)
        if series is not None and now - series.last <= _SERIES_WINDOW:
            try:
                await self._repeat(series, queued)
            except NotFoundError:
                del self._published[identity]
            else:
                series.count, series.last = series.count + 1, now
                self._published.move_to_end(identity)
                return
        name = await self._create(queued)
        self._published[identity] = _Series(name, 1, now)
        self._published.move_to_end(identity)
        while len(self._published) > _REMEMBERED:
            self._published.popitem(last=False)

    async def _repeat(self, series: _Series, queued: _QueuedEvent) -> None:
        await self._client.request(
            "PATCH",
            object_path(EVENT, ObjectKey(queued.owner.key.namespace, series.name)),
            body={"series": {"count": series.count + 1, "lastObservedTime": micro_time(queued.at)}},
            content_type=MERGE_PATCH,
        )

    async def _create(self, queued: _QueuedEvent) -> str:
        manifest = _manifest(queued, self._instance)
        await self._client.request(
            "POST",
            collection_path(EVENT, queued.owner.key.namespace),
            body=manifest,
            query={"fieldManager": FIELD_MANAGER},
        )
        name: str = manifest["metadata"]["name"]
        return name


def _manifest(queued: _QueuedEvent, instance: str) -> dict[str, Any]:
    key, event, suffix = queued.owner.key, queued.event, f".{uuid4().hex[:16]}"
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": key.name[: _MAX_NAME - len(suffix)] + suffix, "namespace": key.namespace},
        "eventTime": micro_time(queued.at),
        "reportingController": FIELD_MANAGER,
        "reportingInstance": instance[:128],
        "action": str(event.reason),
        "reason": str(event.reason),
        "type": "Warning" if event.warning else "Normal",
        "note": _shortened(event.message),
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": "Rollout",
            "namespace": key.namespace,
            "name": key.name,
            "uid": queued.owner.uid,
            "resourceVersion": str(queued.owner.version),
        },
    }


def _shortened(note: str) -> str:
    encoded = note.encode()
    # The limit is in bytes; a character cut in half is dropped.
    return note if len(encoded) < _MAX_NOTE_BYTES else encoded[: _MAX_NOTE_BYTES - 4].decode(errors="ignore") + "…"
