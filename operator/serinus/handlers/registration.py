"""The kopf handlers, one for each kind, and kopf's login."""

from collections.abc import Awaitable, Callable, Iterable

import kopf

from serinus.handlers.dispatch import Sink, dispatch
from serinus.kube.connection import Connection
from serinus.kube.kinds import Source


def build_kopf_registry(
    sources: Iterable[Source], sink: Sink, log_in: Callable[[], Awaitable[Connection]]
) -> kopf.OperatorRegistry:
    """Return a kopf registry that watches these kinds, and logs in again whenever the API server answers 401."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: object) -> kopf.ConnectionInfo:
        connection = await log_in()
        return kopf.ConnectionInfo(
            server=connection.server,
            ca_path=connection.ca_path,
            insecure=connection.insecure,
            certificate_path=connection.certificate_path,
            private_key_path=connection.private_key_path,
            scheme=connection.scheme,
            token=connection.token,
            trust_env=True,
        )

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
