"""An artifact server on loopback that misbehaves on demand, with or without TLS."""

import contextlib
import ipaddress
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serinus.artifacts.fetch import abort_connection

NAME = "models.example.test"
"""The certificate is valid for this name and for 127.0.0.1."""

_ZEROS = bytes(256 * 1024)


class Then(Enum):
    """What the server does after the body."""

    END = auto()
    HANG = auto()
    """Keeps the connection open and sends nothing."""
    ZEROS = auto()
    """Sends zero bytes until the client disconnects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A response. ``length``: value of Content-Length; None for the body's length, -1 for no such header."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    then: Then = Then.END
    silent: bool = False
    """Sends nothing, not even a status line."""
    keep: bool = False
    """Omits ``Connection: close``."""


class ArtifactServer:
    """Serves ``replies`` by path; ``gone`` is set when a client has disconnected in the middle of a body."""

    def __init__(self, *, tls: bool) -> None:
        self.replies: dict[str, Reply] = {}
        self.heads: dict[str, Reply] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.sending = threading.Event()
        self.gone = threading.Event()
        self._closing = threading.Event()
        self._connections: set[socket.socket] = set()
        self._server = _server(self, tls=tls)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"

    @contextlib.contextmanager
    def running(self) -> Iterator["ArtifactServer"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self._closing.set()
            for connection in list(self._connections):
                abort_connection(connection)
            self._server.shutdown()
            thread.join(10)
            self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        self.asked.append(f"{handler.command} {handler.path}")
        self.headers.append({name.lower(): value for name, value in handler.headers.items()})
        replies = self.heads if handler.command == "HEAD" and path in self.heads else self.replies
        reply = replies.get(path, Reply(status=404))
        self._connections.add(handler.connection)
        try:
            self._send(handler, reply)
        except OSError:
            self.gone.set()
        finally:
            self._connections.discard(handler.connection)

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        handler.close_connection = True
        if reply.silent:
            self.sending.set()
            self._closing.wait(30)
            return
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        length = len(reply.body) if reply.length is None else reply.length
        if length >= 0:
            handler.send_header("Content-Length", str(length))
        if not reply.keep:
            handler.send_header("Connection", "close")
        handler.end_headers()
        if handler.command == "HEAD":
            return
        handler.wfile.write(reply.body)
        handler.wfile.flush()
        self.sending.set()
        match reply.then:
            case Then.END:
                return
            case Then.HANG:
                self._wait_for_disconnect(handler)
            case Then.ZEROS:
                while not self._closing.is_set():
                    handler.wfile.write(_ZEROS)

    def _wait_for_disconnect(self, handler: BaseHTTPRequestHandler) -> None:
        handler.connection.settimeout(0.05)
        while not self._closing.is_set():
            try:
                left = handler.connection.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                left = True
            if left:
                self.gone.set()
                return


def _server(owner: ArtifactServer, *, tls: bool) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            owner.answer(self)

        def do_HEAD(self) -> None:
            owner.answer(self)

        def log_message(self, *_: object) -> None:
            """Suppress the access log."""

    class Server(ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, *_: object) -> None:
            """Ignore errors: tests let clients distrust the certificate or disconnect."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write("".join(_certificate()))
            file.flush()
            context.load_cert_chain(file.name)
        # The handshake takes place in the connection's own thread.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


def trusting() -> ssl.SSLContext:
    """Return a TLS context that trusts only this server."""
    return ssl.create_default_context(cadata=_certificate()[1])


@cache
def _certificate() -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    names = [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()
