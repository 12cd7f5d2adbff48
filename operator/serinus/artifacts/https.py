"""Artifacts behind https://, only on hosts that the administrator names.

A tenant writes the URI, so every request is one that a tenant makes the operator send: the host must be listed, its
addresses are checked and the connection goes to the very address that was checked (a name that resolves differently the
second time leads nowhere), and a redirect may not leave the host. No proxy and no .netrc of the environment is used.
"""

import socket
import ssl
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from serinus.artifacts.fetch import CHUNK, ArtifactStat, Inspection, break_off, one_part, readable
from serinus.errors import NotFoundError, RefusedError, TransientError

Resolve = Callable[[str, int], Sequence[str]]
"""From host and port to addresses; OSError where there are none."""

_CONNECT_SECONDS: Final = 5.0
_MOST_REDIRECTS: Final = 3
_DEFAULT_PORT: Final = 443
_OK: Final = 200
_GONE: Final = frozenset({404, 410})
_DENIED: Final = frozenset({401, 403})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# RFC 6052: IPv4 addresses, private ones too, behind a translator.
_TRANSLATED: Final = ip_network("64:ff9b::/96")
# RFC 3986: what may stand in a path or query as it is; a percent sign begins an escape.
_SAFE: Final = "/%:@!$&'()*+,;=~-._?"


@dataclass(frozen=True, slots=True)
class AllowedHost:
    """One entry of ``httpsHosts``: ``host``, ``host:port``, or ``*.domain`` for all hosts below a domain.

    A host listed by its own name may have private addresses, for the administrator meant that host; one that only
    matches a ``*`` may not. Link-local addresses (a cloud's metadata service) only where the address itself is listed.
    """

    name: str
    port: int
    wildcard: bool

    @classmethod
    def parse(cls, text: str) -> "AllowedHost":
        """Read an entry.

        Raises:
            RefusedError: it is none.
        """
        try:
            parts = urlsplit(f"//{text}")
            name, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            name, port, parts = "", None, urlsplit("")
        if not name or parts.path or parts.query or parts.username is not None or "*" in name.removeprefix("*."):
            raise RefusedError(f"artifacts.httpsHosts: {text!r} is no host: write host, host:port or *.domain")
        return cls(name.removeprefix("*"), port or _DEFAULT_PORT, name.startswith("*."))

    def matches(self, host: str, port: int) -> bool:
        """Say whether this host is meant."""
        same = host.endswith(self.name) if self.wildcard else host == self.name
        return same and port == self.port

    def may_have(self, address: IPv4Address | IPv6Address) -> bool:
        """Say whether this host may be found at this address."""
        if self.name == str(address):
            return True
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            return False
        return address.is_global or not self.wildcard


def ask_system(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class HttpsStore:
    """``https://host/path``: one GET, of which only the head is read where that is enough."""

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        timeout: float,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = ask_system,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            hosts: which may be asked; see :class:`AllowedHost`.
            timeout: seconds that a server may be silent.
            tls: whom to trust; the system's certificates where it is not given.
            resolve: from host names to addresses.

        Raises:
            RefusedError: an entry of ``hosts`` is none.
        """
        self._hosts = tuple(map(AllowedHost.parse, hosts))
        self._timeout, self._resolve = timeout, resolve
        self._tls = tls or ssl.create_default_context()

    @contextmanager
    def sight(self, uri: str, look: Inspection) -> Iterator[ArtifactStat]:
        """Send the request and read the answer's head; see :class:`Store`."""
        parts = _split(uri)
        place = f"https://{parts.netloc}{parts.path}"
        for _ in range(1 + _MOST_REDIRECTS):
            look.check()
            with (
                closing(self._connect(parts, place)) as line,
                look.breakable(partial(break_off, line)),
                # The answer has a hold of its own on the connection, which ends only with both.
                closing(_answer(line, parts, place)) as answer,
            ):
                if answer.status not in _REDIRECTS:
                    yield _sight(answer, place)
                    return
                parts = _followed(parts, answer.getheader("Location", ""), place)
        raise RefusedError(f"{place} redirects more than {_MOST_REDIRECTS} times: name the final address")

    def _connect(self, parts: SplitResult, place: str) -> ssl.SSLSocket:
        host, port = _host(parts), parts.port or _DEFAULT_PORT
        with _mapped(place):
            line = socket.create_connection(
                (self._address(host, port, place), port), timeout=min(_CONNECT_SECONDS, self._timeout)
            )
            line.settimeout(self._timeout)
            return self._tls.wrap_socket(
                line,
                server_hostname=host,
                # It comes with the request, where the look can already be broken off.
                do_handshake_on_connect=False,
                # A body without a length ends where TLS says so, not where a connection breaks.
                suppress_ragged_eofs=False,
            )

    def _address(self, host: str, port: int, place: str) -> str:
        """Return the address to connect to; RefusedError where the host, or any address of it, is not allowed."""
        allowed = next((entry for entry in self._hosts if entry.matches(host, port)), None)
        if allowed is None:
            raise RefusedError(
                f"{place}: artifacts.httpsHosts does not list {host}:{port}: only listed hosts are asked"
            )
        found = self._resolve(host, port)
        for address in found:
            if not allowed.may_have(_plain(address)):
                raise RefusedError(
                    f"{place}: {host} has the address {address}, which is not public: list the host by its own name in "
                    "artifacts.httpsHosts if it is meant"
                )
        return found[0]


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError as problem:
        raise RefusedError("the artifact's uri is no address that can be read: write https://host/path") from problem
    if not parts.hostname:
        raise RefusedError("the artifact's uri names no host: write https://host/path")
    if parts.username is not None or parts.password is not None:
        raise RefusedError(f"https://{parts.hostname}{parts.path}: a uri must not hold credentials: leave them out")
    return parts


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").rstrip(".")


def _plain(text: str) -> IPv4Address | IPv6Address:
    """Return the address that is really meant: an IPv4 address may be written inside an IPv6 address."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _answer(line: ssl.SSLSocket, parts: SplitResult, place: str) -> HTTPResponse:
    target = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
    with _mapped(place):
        line.do_handshake()
        asked = HTTPSConnection(_host(parts), parts.port or _DEFAULT_PORT)
        asked.sock = line
        # Compressed bytes are not those that the digest is of.
        asked.request("GET", target, headers={"Accept-Encoding": "identity", "Connection": "close"})
        return asked.getresponse()


def _followed(parts: SplitResult, location: str, place: str) -> SplitResult:
    """Return where a redirect leads; RefusedError where it leaves the host."""
    target = _split(urljoin(parts.geturl(), location))
    if (target.scheme, _host(target), target.port) != (parts.scheme, _host(parts), parts.port):
        raise RefusedError(f"{place} redirects to another host: name the final address")
    return target


def _sight(answer: HTTPResponse, place: str) -> ArtifactStat:
    status = answer.status
    if status in _GONE:
        raise NotFoundError(f"{place} is not there (HTTP {status})")
    if status in _DENIED:
        raise TransientError(
            f"{place}: access is denied (HTTP {status}): let the operator read it, or sign the address"
        )
    if status != _OK:
        raise TransientError(f"{place}: the server did not answer as expected (HTTP {status}): check that it is up")
    if answer.getheader("Content-Encoding", "identity") != "identity":
        raise RefusedError(f"{place} comes compressed whatever is asked for, so its digest cannot be checked")
    etag = answer.getheader("ETag") or answer.getheader("Last-Modified") or ""
    return ArtifactStat(
        place=place,
        size=answer.length,
        mark=readable(f"ETag {etag}") if etag else "",
        parts=lambda: one_part(_chunks(answer, place)),
    )


def _chunks(answer: HTTPResponse, place: str) -> Generator[bytes, None, None]:
    expected, read = answer.length, 0
    while True:
        with _mapped(place):
            chunk = answer.read(CHUNK)
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
        raise TransientError(f"{place}: the server did not answer in time: check that it is up") from problem
    # ValueError: the system's resolver gives an address of a kind of its own.
    except (OSError, HTTPException, ValueError) as problem:
        raise TransientError(
            f"{place}: the server cannot be reached or broke off its answer ({type(problem).__name__})"
        ) from problem
