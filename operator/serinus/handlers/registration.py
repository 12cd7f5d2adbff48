"""The kopf handlers, one for each kind, and kopf's login."""

from collections.abc import Awaitable, Callable, Iterable

import kopf

from serinus.handlers.dispatch import Sink, dispatch
from serinus.handlers.kopf_session import Sessions
from serinus.kube.connection import Connection
from serinus.kube.kinds import Source


def build_kopf_registry(
    sources: Iterable[Source], sink: Sink, log_in: Callable[[], Awaitable[Connection]], sessions: Sessions
) -> kopf.OperatorRegistry:
    """Return a kopf registry that watches these kinds, and logs in again whenever the API server answers 401."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: object) -> kopf.AiohttpSession:
        return sessions.open(await log_in())

    for source in sources:
        _watch(source, sink, registry)
    return registry


def _watch(source: Source, sink: Sink, registry: kopf.OperatorRegistry) -> None:
    kind = source.kind

    @kopf.on.event(
        group=kind.group,
        version=kind.version,
        plural=kind.plural,
        labels={source.label: kopf.PRESENT} if source.label else None,
        id=kind.plural,
        registry=registry,
    )
    async def on_event(event: kopf.RawEvent, **_: object) -> None:
        dispatch(source, event["type"], event["object"], sink)
