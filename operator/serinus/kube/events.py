"""Publishes Kubernetes Events from a bounded queue: repeated ones as a series, never more than ten a second."""

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
from serinus.ports.cluster_state import Meta
from serinus.ports.services import Clock

_SERIES_WINDOW: Final = 600.0
_REMEMBERED: Final = 5000
_QUEUED: Final = 1000
_PAUSE: Final = 0.1
# The API server's limits (kubernetes, pkg/apis/core/validation/events.go).
_LONGEST_NOTE: Final = 1024
_LONGEST_NAME: Final = 253

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Happened:
    owner: Meta
    event: Event
    at: datetime


@dataclass(slots=True)
class _Series:
    """A published event; ``last`` in seconds of the monotonic clock."""

    name: str
    count: int
    last: float


class ApiEvents:
    """The port ``Events``; ``run`` publishes what ``publish`` takes in."""

    def __init__(
        self,
        client: Requests,
        clock: Clock,
        instance: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Publish as this instance of the operator; ``sleep`` waits between two writes."""
        self._client = client
        self._clock = clock
        self._instance = instance
        self._sleep = sleep
        self._waiting: asyncio.Queue[_Happened] = asyncio.Queue(_QUEUED)
        self._published: OrderedDict[tuple[str, str, str], _Series] = OrderedDict()
        self.dropped = 0

    async def publish(self, owner: Meta, event: Event) -> None:
        """Take an event in; returns at once, and counts it in ``dropped`` where a thousand others wait."""
        try:
            self._waiting.put_nowait(_Happened(owner, event, self._clock.now()))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Publish until cancelled; one that fails is logged and lost."""
        while True:
            happened = await self._waiting.get()
            try:
                await self._write(happened)
            except SerinusError as problem:
                key, reason = happened.owner.key, happened.event.reason
                logger.warning("event %s of Rollout %s was not published: %s", reason, key, problem)
            finally:
                self._waiting.task_done()
            await self._sleep(_PAUSE)

    async def drain(self) -> None:
        """Return when all that was taken in so far has been tried."""
        await self._waiting.join()

    async def _write(self, happened: _Happened) -> None:
        identity = (happened.owner.uid, happened.event.reason, happened.event.message)
        now = self._clock.monotonic()
        series = self._published.get(identity)
        if series is not None and now - series.last <= _SERIES_WINDOW:
            try:
                await self._repeat(series, happened)
            except NotFoundError:
                del self._published[identity]
            else:
                series.count, series.last = series.count + 1, now
                self._published.move_to_end(identity)
                return
        name = await self._begin(happened)
        self._published[identity] = _Series(name, 1, now)
        self._published.move_to_end(identity)
        while len(self._published) > _REMEMBERED:
            self._published.popitem(last=False)

    async def _repeat(self, series: _Series, happened: _Happened) -> None:
        await self._client.request(
            "PATCH",
            object_path(EVENT, ObjectKey(happened.owner.key.namespace, series.name)),
            body={"series": {"count": series.count + 1, "lastObservedTime": micro_time(happened.at)}},
            content_type=MERGE_PATCH,
        )

    async def _begin(self, happened: _Happened) -> str:
        manifest = _manifest(happened, self._instance)
        await self._client.request(
            "POST",
            collection_path(EVENT, happened.owner.key.namespace),
            body=manifest,
            query={"fieldManager": FIELD_MANAGER},
        )
        name: str = manifest["metadata"]["name"]
        return name


def _manifest(happened: _Happened, instance: str) -> dict[str, Any]:
    key, event, suffix = happened.owner.key, happened.event, f".{uuid4().hex[:16]}"
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": key.name[: _LONGEST_NAME - len(suffix)] + suffix, "namespace": key.namespace},
        "eventTime": micro_time(happened.at),
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
            "uid": happened.owner.uid,
            "resourceVersion": str(happened.owner.version),
        },
    }


def _shortened(note: str) -> str:
    whole = note.encode()
    # The limit counts bytes; a character cut in two is left out.
    return note if len(whole) < _LONGEST_NOTE else whole[: _LONGEST_NOTE - 4].decode(errors="ignore") + "…"
