"""Artifacts behind https://, only on hosts that the administrator allows.

A tenant writes the URI and thus controls the operator's requests (SSRF): the host must be listed, its addresses are
checked and the connection goes to the address that was checked (a second resolution with another result has no effect),
and a redirect may not leave the host. Proxies and .netrc of the environment are ignored.
"""

import socket
import ssl
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from serinus.addresses import effective_address
from serinus.artifacts.fetch import CHUNK, ArtifactStat, Inspection, abort_connection, readable, single_file
from serinus.errors import NotFoundError, RefusedError, TransientError

Resolve = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host and port; OSError where there are none."""

_CONNECT_SECONDS: Final = 5.0
_MOST_REDIRECTS: Final = 3
_DEFAULT_PORT: Final = 443
_OK: Final = 200
_GONE: Final = frozenset({404, 410})
_DENIED: Final = frozenset({401, 403})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# RFC 3986: the characters that need no escape in a path or query; a percent sign begins an escape.
_SAFE: Final = "/%:@!$&'()*+,;=~-._?"


@dataclass(frozen=True, slots=True)
class AllowedHost:
    """One entry of ``httpsHosts``: ``host``, ``host:port``, or ``*.domain`` for all hosts below a domain.

    A host listed by its own name may have private addresses, because the administrator chose that host; a host that
    only matches a ``*`` may not. Link-local addresses (a cloud's metadata service) must be listed themselves.
    """

    name: str
    port: int
    wildcard: bool

    @classmethod
    def parse(cls, text: str) -> "AllowedHost":
        """Parse an entry.

        Raises:
            RefusedError: it is invalid.
        """
        try:
            parts = urlsplit(f"//{text}")
            name, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            name, port, parts = "", None, urlsplit("")
        if not name or parts.path or parts.query or parts.username is not None or "*" in name.removeprefix("*."):
            raise RefusedError(f"artifacts.httpsHosts: invalid host {text!r}: write host, host:port or *.domain")
        return cls(name.removeprefix("*"), port or _DEFAULT_PORT, name.startswith("*."))

    def matches(self, host: str, port: int) -> bool:
        """Return whether the entry applies to this host and port."""
        same = host.endswith(self.name) if self.wildcard else host == self.name
        return same and port == self.port

    def may_have(self, address: IPv4Address | IPv6Address) -> bool:
        """Return whether the host may have this address."""
        if self.name == str(address):
            return True
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            return False
        return address.is_global or not self.wildcard


def ask_system(host: str, port: int) -> Sequence[str]:
    """Resolve a host by the system's resolver."""
    return [str(address[0]) for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class HttpsStore:
    """``https://host/path``: one GET, whose body is read only where needed."""

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        timeout: float,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = ask_system,
    ) -> None:
        """Initialize without sending a request.

        Args:
            hosts: the allowed hosts; see :class:`AllowedHost`.
            timeout: seconds without data after which a server counts as down.
            tls: the trusted certificates; by default the system's.
            resolve: resolves host names.

        Raises:
            RefusedError: an entry of ``hosts`` is invalid.
        """
        self._hosts = tuple(map(AllowedHost.parse, hosts))
        self._timeout, self._resolve = timeout, resolve
        self._tls = tls or ssl.create_default_context()

    @contextmanager
    def stat(self, uri: str, inspection: Inspection) -> Iterator[ArtifactStat]:
        """Send the request and read the response's headers; see :class:`ArtifactStore`."""
        parts = _split(uri)
        place = f"https://{parts.netloc}{parts.path}"
        for _ in range(1 + _MOST_REDIRECTS):
            inspection.check()
            with (
                closing(self._connect(parts, place)) as connection,
                inspection.abortable(partial(abort_connection, connection)),
                # The response has its own reference to the connection, which closes only with both.
                closing(_response(connection, parts, place)) as response,
            ):
                if response.status not in _REDIRECTS:
                    yield _stat(response, place)
                    return
                parts = _redirected(parts, response.getheader("Location", ""), place)
        raise RefusedError(f"{place} redirects more than {_MOST_REDIRECTS} times: name the final address")

    def _connect(self, parts: SplitResult, place: str) -> ssl.SSLSocket:
        host, port = _host(parts), parts.port or _DEFAULT_PORT
        with _mapped(place):
            connection = socket.create_connection(
                (self._address(host, port, place), port), timeout=min(_CONNECT_SECONDS, self._timeout)
            )
            connection.settimeout(self._timeout)
            return self._tls.wrap_socket(
                connection,
                server_hostname=host,
                # The handshake is part of the request, where the inspection can already be ended.
                do_handshake_on_connect=False,
                # A body without a length ends with TLS's closure alert, not with a broken connection.
                suppress_ragged_eofs=False,
            )

    def _address(self, host: str, port: int, place: str) -> str:
        """Return the address to connect to; RefusedError if the host, or any address of it, is not allowed."""
        allowed = next((entry for entry in self._hosts if entry.matches(host, port)), None)
        if allowed is None:
            raise RefusedError(
                f"{place}: artifacts.httpsHosts does not list {host}:{port}: only listed hosts are allowed"
            )
        addresses = self._resolve(host, port)
        for address in addresses:
            if not allowed.may_have(effective_address(address)):
                raise RefusedError(
                    f"{place}: {host} has the address {address}, which is not public: list the host by its own name in "
                    "artifacts.httpsHosts to allow it"
                )
        return addresses[0]


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError as problem:
        raise RefusedError("the artifact's uri is not a valid address: write https://host/path") from problem
    if not parts.hostname:
        raise RefusedError("the artifact's uri names no host: write https://host/path")
    if parts.username is not None or parts.password is not None:
        raise RefusedError(f"https://{parts.hostname}{parts.path}: a uri must not contain credentials: leave them out")
    return parts


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").rstrip(".")


def _response(connection: ssl.SSLSocket, parts: SplitResult, place: str) -> HTTPResponse:
    target = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
    with _mapped(place):
        connection.do_handshake()
        client = HTTPSConnection(_host(parts), parts.port or _DEFAULT_PORT)
        client.sock = connection
        # The digest is that of the uncompressed bytes.
        client.request("GET", target, headers={"Accept-Encoding": "identity", "Connection": "close"})
        return client.getresponse()


def _redirected(parts: SplitResult, location: str, place: str) -> SplitResult:
    """Return the target of a redirect; RefusedError if it leaves the host."""
    target = _split(urljoin(parts.geturl(), location))
    if (target.scheme, _host(target), target.port) != (parts.scheme, _host(parts), parts.port):
        raise RefusedError(f"{place} redirects to another host: name the final address")
    return target


def _stat(response: HTTPResponse, place: str) -> ArtifactStat:
    status = response.status
    if status in _GONE:
        raise NotFoundError(f"{place} does not exist (HTTP {status})")
    if status in _DENIED:
        raise TransientError(
            f"{place}: access is denied (HTTP {status}): let the operator read it, or sign the address"
        )
    if status != _OK:
        raise TransientError(f"{place}: the server did not respond as expected (HTTP {status}): check that it is up")
    if response.getheader("Content-Encoding", "identity") != "identity":
        raise RefusedError(f"{place} is sent compressed in any case, so its digest cannot be checked")
    etag = response.getheader("ETag") or response.getheader("Last-Modified") or ""
    return ArtifactStat(
        place=place,
        size=response.length,
        revision=readable(f"ETag {etag}") if etag else "",
        files=lambda: single_file(_chunks(response, place)),
    )


def _chunks(response: HTTPResponse, place: str) -> Generator[bytes, None, None]:
    expected, read = response.length, 0
    while True:
        with _mapped(place):
            chunk = response.read(CHUNK)
        if not chunk:
            break
        read += len(chunk)
        yield chunk
    if expected is not None and read < expected:
        raise TransientError(f"{place}: the server broke off after {read:,} of {expected:,} bytes: check that it is up")


@contextmanager
def _mapped(place: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as problem:
        raise TransientError(f"{place}: the server's certificate is not trusted: {problem.verify_message}") from problem
    except socket.gaierror as problem:
        raise TransientError(
            f"{place}: the host's name cannot be resolved: check it, and the cluster's DNS"
        ) from problem
    except TimeoutError as problem:
        raise TransientError(f"{place}: the server did not respond in time: check that it is up") from problem
    # ValueError: the system's resolver returns an address in another format.
    except (OSError, HTTPException, ValueError) as problem:
        raise TransientError(
            f"{place}: the server cannot be reached or broke off its response ({type(problem).__name__})"
        ) from problem
