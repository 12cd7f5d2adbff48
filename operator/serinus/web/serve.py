"""Runs the page on a socket until a signal ends it."""

import socket
from collections.abc import Callable, Collection
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from serinus.clock import SystemClock
from serinus.errors import ConfigurationError, SerinusError
from serinus.kube.client import KubernetesClient
from serinus.web.app import build_app
from serinus.web.reader import ClusterReader
from serinus.web.stream import MOST_STREAMS, Streams
from serinus.web.users import UserReaders

_CONNECTIONS: Final = MOST_STREAMS + 100
_KEEP_ALIVE: Final = 10
_SHUTDOWN: Final = 2
_LARGEST_HEAD: Final = 16 * 1024


class NotServedError(SerinusError):
    """The address cannot be listened on."""


def check_loopback(address: str) -> None:
    """Raise ConfigurationError for an address that others on the network reach."""
    try:
        local = address == "localhost" or ip_address(address).is_loopback
    except ValueError:
        local = False
    if not local:
        raise ConfigurationError(
            f"--address {address}: the page shows all that your kubeconfig may read, to everyone who reaches it: give "
            "an address of this machine such as 127.0.0.1, and reach it from elsewhere by ssh -L"
        )


def hosts_of(address: str, port: int) -> tuple[str, ...]:
    """Return the values of the Host header by which a browser on this machine asks for the page."""
    names = {"localhost", "127.0.0.1", "[::1]", f"[{address}]" if ":" in address else address}
    return tuple(sorted(f"{name}:{port}" for name in names))


async def serve(address: str, port: int, namespace: str, announce: Callable[[str], None]) -> None:
    """Serve the page of the kubeconfig's cluster until SIGINT or SIGTERM.

    Args:
        address: of this machine.
        port: 0 for any free one.
        namespace: the only namespace that is shown; empty for all.
        announce: is called with the page's address once it is served.

    Raises:
        ConfigurationError: the address is not local, or there is no usable kubeconfig.
        NotServedError: the port is taken, or may not be listened on.
    """
    check_loopback(address)
    clock = SystemClock()
    with listening(address, port) as listener:
        chosen = int(listener.getsockname()[1])
        async with await KubernetesClient.open() as client:
            reader = ClusterReader(client, clock, namespace)
            streams = Streams(clock)
            app = build_app(reader, clock, hosts_of(address, chosen), streams)
            announce(f"http://{f'[{address}]' if ':' in address else address}:{chosen}/")
            try:
                await PageServer(app, streams).serve(sockets=[listener])
            finally:
                await reader.close()


async def serve_users(address: str, port: int, hosts: Collection[str], ca_path: Path) -> None:
    """Serve the page inside a cluster until SIGTERM: each request is answered with the rights of its own token.

    Args:
        address: to listen on.
        port: to listen on.
        hosts: the values of the Host header by which the page is reached, such as ``serinus.example.com``.
        ca_path: the certificates that the API server's is checked against.

    Raises:
        ConfigurationError: no host is given, or this is not a pod.
        NotServedError: the port is taken, or may not be listened on.
    """
    if not hosts:
        raise ConfigurationError("--in-cluster needs --host: the names by which browsers reach the page")
    # Says at once what would else be said to the first user.
    await KubernetesClient.for_user("", ca_path).close()
    clock = SystemClock()
    streams, readers = Streams(clock), UserReaders(lambda token: KubernetesClient.for_user(token, ca_path), clock)
    with listening(address, port) as listener:
        try:
            await PageServer(build_app(readers.of, clock, hosts, streams), streams).serve(sockets=[listener])
        finally:
            await readers.close()


class PageServer(uvicorn.Server):
    """The server, which ends the live streams before it waits for its connections."""

    def __init__(self, app: ASGIApp, streams: Streams) -> None:
        """Serve this application, whose live pages are these streams."""
        super().__init__(_configuration(app))
        self._streams = streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop serving."""
        self._streams.close()
        await super().shutdown(sockets)


def listening(address: str, port: int) -> socket.socket:
    """Return a socket that listens; NotServedError where the port is taken or may not be listened on."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family)
    except (OSError, OverflowError) as problem:
        raise NotServedError(f"{address}:{port} cannot be listened on ({problem}): choose another --port") from problem


def _configuration(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        http="h11",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_SHUTDOWN,
        h11_max_incomplete_event_size=_LARGEST_HEAD,
    )
