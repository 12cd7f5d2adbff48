"""What the page reads of the cluster: each read with a bound on its size and its time, shared by all who look."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from serinus.api.names import MODEL, MODEL_VERSION, ROLLOUT, Kind, ObjectKey
from serinus.engine.rollout.traffic.confirmation import route_in_use
from serinus.errors import InvalidObjectError, NotFoundError, SerinusError
from serinus.kube.client import Requests
from serinus.kube.kinds import collection_path, object_path
from serinus.kube.records import model_record, model_version_record, rollout_record
from serinus.ports.cluster_state import ModelRecord, ModelVersionRecord, RolloutRecord, RouteRecord
from serinus.ports.services import Clock
from serinus.registry.kubernetes.reads import RegistryObjects
from serinus.routers import load_router
from serinus.web.cached import Read, Shared, SharedByKey
from serinus.web.events import EventRow, event_rows
from serinus.web.listing import RolloutRow, ordered, row_of
from serinus.web.rollout_view import plan_of
from serinus.web.trail import TrailPage, numbers_of, trail_page

MOST_ROLLOUTS: Final = 20_000
MOST_VERSIONS: Final = 1000
_PAGE: Final = 500
_EVENTS_READ: Final = "500"
_LIST_TIMEOUT: Final = 30.0
_LIST_FRESH: Final = 2.0
_OBJECT_FRESH: Final = 1.0
_REMEMBERED: Final = 256
_TOGETHER: Final = 5
"""Records of the audit trail that are read at once."""

_CORE_EVENT: Final = Kind("", "v1", "Event", "events")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RolloutList:
    """The Rollouts that were read, in order; ``left_out`` where there are more than the page keeps."""

    rows: tuple[RolloutRow, ...]
    namespaces: tuple[str, ...]
    left_out: bool
    unreadable: int


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """A part of a page: its value, or why it could not be read, so that one part does not hide the others."""

    value: T | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that the page of one Rollout shows."""

    record: RolloutRecord
    route: Part[RouteRecord]
    events: Part[tuple[EventRow, ...]]
    trail: Part[TrailPage]
    versions: Part[tuple[ModelVersionRecord, ...]]


class ClusterReader:
    """Reads through one client, with its user's rights; nothing is ever written."""

    def __init__(self, client: Requests, clock: Clock, namespace: str = "") -> None:
        """Read this namespace only; all of them where it is empty."""
        self._client = client
        self._clock = clock
        self._namespace = namespace
        self._list = Shared(self._read_rollouts, clock, _LIST_FRESH)
        self._facts: SharedByKey[Facts] = SharedByKey(clock, _OBJECT_FRESH, _REMEMBERED)
        self._registry = RegistryObjects(client, _PAGE)

    async def close(self) -> None:
        """Stop a list that is being read."""
        await self._list.close()

    async def rollouts(self) -> Read[RolloutList]:
        """Return the list as it was read last; raises as the client where there is none yet."""
        return await self._list.get()

    def covers(self, key: ObjectKey) -> bool:
        """Return whether the page shows this namespace."""
        return not self._namespace or key.namespace == self._namespace

    async def facts(self, key: ObjectKey, before: int | None) -> Facts:
        """Return what the page of one Rollout shows, at most a second old.

        Args:
            key: the Rollout.
            before: the audit trail is shown below this record; None for the newest records.

        Raises:
            NotFoundError: there is no such Rollout.
            SerinusError: as the client, where the Rollout itself cannot be read.
        """

        async def read() -> Facts:
            return await self._read_facts(key, before)

        return await self._facts.get((key, before), read)

    async def _read_facts(self, key: ObjectKey, before: int | None) -> Facts:
        record = rollout_record(await self._client.request("GET", object_path(ROLLOUT, key)))
        route, events, trail, versions = await asyncio.gather(
            _part(lambda: self._route(record)),
            _part(lambda: self._events(record)),
            _part(lambda: self._trail(record.model, before)),
            _part(lambda: self.versions(record.model)),
        )
        return Facts(record=record, route=route, events=events, trail=trail, versions=versions)

    async def _route(self, record: RolloutRecord) -> RouteRecord | None:
        rule = route_in_use(plan_of(record), record.status)
        if rule is None:
            return None
        source = load_router(rule.kind.field).source
        path = object_path(source.kind, ObjectKey(record.meta.key.namespace, rule.name))
        route = source.parse(await self._client.request("GET", path))
        return route if isinstance(route, RouteRecord) else None

    async def _events(self, record: RolloutRecord) -> tuple[EventRow, ...]:
        key = record.meta.key
        selector = (
            f"involvedObject.kind={ROLLOUT.kind},involvedObject.name={key.name},involvedObject.uid={record.meta.uid}"
        )
        answer = await self._client.request(
            "GET",
            collection_path(_CORE_EVENT, key.namespace),
            query={"fieldSelector": selector, "limit": _EVENTS_READ},
        )
        return event_rows(answer.get("items") or ())

    async def _trail(self, model: ObjectKey, before: int | None) -> TrailPage:
        snapshot = await self._registry.model(model) if model.name else None
        audit = snapshot.head.audit if snapshot is not None else None
        last, pruned = (audit.sequence, audit.pruned_through) if audit is not None else (0, 0)
        numbers = numbers_of(last, pruned, before)
        slots = asyncio.Semaphore(_TOGETHER)

        async def record(number: int) -> Any:  # noqa: ANN401 - as the registry has it
            async with slots:
                return await self._registry.record(model, number)

        records = await asyncio.gather(*(record(number) for number in numbers))
        return trail_page(zip(numbers, records, strict=True), last, pruned, numbers)

    async def versions(self, model: ObjectKey) -> tuple[ModelVersionRecord, ...]:
        """Return the versions of a model, of at most ``MOST_VERSIONS`` in its namespace; raises as the client."""
        raws, _ = await self._read_all(MODEL_VERSION, model.namespace, MOST_VERSIONS)
        return tuple(record for record in map(_version, raws) if record is not None and record.model == model.name)

    async def policy(self, model: ObjectKey) -> ModelRecord | None:
        """Return the Model; None where there is none; raises as the client."""
        try:
            return model_record(await self._client.request("GET", object_path(MODEL, model)))
        except NotFoundError:
            return None

    async def _read_rollouts(self) -> RolloutList:
        rows: list[RolloutRow] = []
        unreadable, now = 0, self._clock.now()

        def take(raw: dict[str, Any]) -> None:
            nonlocal unreadable
            try:
                rows.append(row_of(raw, now))
            except InvalidObjectError:
                unreadable += 1

        left_out = await self._each(ROLLOUT, self._namespace, MOST_ROLLOUTS, take)
        return RolloutList(ordered(rows), tuple(sorted({row.key.namespace for row in rows})), left_out, unreadable)

    async def _read_all(self, kind: Kind, namespace: str, most: int) -> tuple[list[dict[str, Any]], bool]:
        raws: list[dict[str, Any]] = []
        left_out = await self._each(kind, namespace, most, raws.append)
        return raws, left_out

    async def _each(self, kind: Kind, namespace: str, most: int, take: Callable[[dict[str, Any]], None]) -> bool:
        """Hand out each object of a kind, page by page; return whether there are more than ``most``."""
        query, read = {"limit": str(_PAGE)}, 0
        while True:
            page = await self._client.request(
                "GET", collection_path(kind, namespace), query=query, timeout=_LIST_TIMEOUT
            )
            for raw in page.get("items") or ():
                if read >= most:
                    return True
                take(raw)
                read += 1
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return False
            query = {"limit": str(_PAGE), "continue": token}


async def _part(read: Callable[[], Awaitable[T | None]]) -> Part[T]:
    try:
        return Part(await read())
    except SerinusError as problem:
        return Part(None, str(problem))


def _version(raw: dict[str, Any]) -> ModelVersionRecord | None:
    try:
        return model_version_record(raw)
    except InvalidObjectError:
        return None
