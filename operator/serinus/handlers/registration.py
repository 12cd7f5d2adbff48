"""The handlers: one for each kind, each a few lines; and who kopf logs in as."""

from collections.abc import Awaitable, Callable, Iterable

import kopf

from serinus.handlers.dispatch import Sink, dispatch
from serinus.kube.connection import Connection
from serinus.kube.kinds import Source


def build_kopf_registry(
    sources: Iterable[Source], sink: Sink, log_in: Callable[[], Awaitable[Connection]]
) -> kopf.OperatorRegistry:
    """Return a registry of its own that watches these kinds, logging in anew whenever the API server says 401."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: object) -> kopf.ConnectionInfo:
        way = await log_in()
        return kopf.ConnectionInfo(
            server=way.server,
            ca_path=way.ca_path,
            insecure=way.insecure,
            certificate_path=way.certificate_path,
            private_key_path=way.private_key_path,
            scheme=way.scheme,
            token=way.token,
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
