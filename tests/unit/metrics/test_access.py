"""A source that asks for a certificate, a password or a token gets it; what is wrong is said by the field's name."""

import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serinus.errors import ConfigurationError, InvalidObjectError, TransientError
from serinus.metrics.access import Access
from serinus.metrics.transport import Transport
from support.prometheus.written_past import source

_ANSWER: Final = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}).encode()
_PEM: Final = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority that issues certificates into a folder."""

    name: x509.Name
    key: ec.EllipticCurvePrivateKey
    folder: Path

    @property
    def file(self) -> Path:
        """Its own certificate."""
        return self.folder / "authority.crt"

    def issue(self, name: str) -> Pair:
        """Issue a certificate for this machine's loopback."""
        key = ec.generate_private_key(ec.SECP256R1())
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        certificate = _builder(name, self.name, key).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        pair.certificate.write_bytes(certificate.sign(self.key, hashes.SHA256()).public_bytes(_PEM))
        form = serialization.PrivateFormat.PKCS8
        pair.key.write_bytes(key.private_bytes(_PEM, form, serialization.NoEncryption()))
        return pair


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(hours=1))


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """A new authority."""
    key, folder = ec.generate_private_key(ec.SECP256R1()), tmp_path_factory.mktemp("certificates")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    builder = _builder("authority", name, key)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    made = Issuer(name, key, folder)
    made.file.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(_PEM))
    return made


@contextmanager
def _server(issuer: Issuer | None, seen: list[str], *, asks: bool = False) -> Iterator[str]:
    """Answer every query with no series: with TLS where there is an issuer, mTLS where it asks for a certificate."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.send_header("Content-Length", str(len(_ANSWER)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(_ANSWER)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: the client's refusal is what is tried."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if issuer is not None:
            own, tls = issuer.issue("server"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(own.certificate, own.key)
            if asks:
                tls.verify_mode = ssl.CERT_REQUIRED
                tls.load_verify_locations(issuer.file)
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"{'https' if issuer else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _ask(url: str, access: Access) -> None:
    transport = Transport(url, 5.0, access)
    try:
        assert transport.instant("up", "1").samples == []
    finally:
        transport.close()


def test_a_private_authority_is_trusted_where_its_file_is_named(issuer: Issuer) -> None:
    seen: list[str] = []
    with _server(issuer, seen) as url:
        _ask(url, Access(authorities=issuer.file))
        with pytest.raises(TransientError, match=r"not trusted: check the url and tls\.caFile"):
            _ask(url, Access())
    assert seen == [""]


def test_the_environment_names_no_other_authorities(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(issuer.file))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(issuer.file))
    with _server(issuer, []) as url, pytest.raises(TransientError, match="not trusted"):
        _ask(url, Access())


def test_a_client_shows_its_certificate_where_it_is_asked_for_one(issuer: Issuer) -> None:
    own, seen = issuer.issue("client"), list[str]()
    with _server(issuer, seen, asks=True) as url:
        _ask(url, Access(authorities=issuer.file, certificate=own.certificate, key=own.key))
        with pytest.raises(TransientError):
            _ask(url, Access(authorities=issuer.file))
    assert seen == [""]


def test_the_key_of_another_certificate_is_said(issuer: Issuer) -> None:
    one, other = issuer.issue("one"), issuer.issue("other")
    with (
        _server(issuer, [], asks=True) as url,
        pytest.raises(TransientError, match="did not agree on TLS: check the url and the files of tls"),
    ):
        _ask(url, Access(authorities=issuer.file, certificate=one.certificate, key=other.key))


@pytest.mark.parametrize("field", ["tls.caFile", "tls.certFile", "tls.keyFile"])
def test_a_file_that_is_not_there_is_named_with_its_field(issuer: Issuer, field: str) -> None:
    own = issuer.issue("client")
    files = {"tls.caFile": issuer.file, "tls.certFile": own.certificate, "tls.keyFile": own.key}
    files[field] = issuer.folder / "gone"
    access = Access(authorities=files["tls.caFile"], certificate=files["tls.certFile"], key=files["tls.keyFile"])
    with _server(issuer, []) as url, pytest.raises(TransientError, match=f"gone cannot be read: .*{field}"):
        _ask(url, access)


def test_a_password_is_sent_and_read_again_when_its_file_changes(tmp_path: Path) -> None:
    password, seen = tmp_path / "password", list[str]()
    password.write_text("erstes Päßwort\n", encoding="utf-8")
    with _server(None, seen) as url:
        transport = Transport(url, 5.0, Access(user="serinus", password=password))
        transport.instant("up", "1")
        renewed = tmp_path / "renewed"
        renewed.write_text("other", encoding="utf-8")
        renewed.replace(password)
        transport.instant("up", "1")
        password.unlink()
        with pytest.raises(TransientError, match=r"basicAuth\.passwordFile"):
            transport.instant("up", "1")
        transport.close()
    sent = [b64encode(f"serinus:{word}".encode()).decode() for word in ("erstes Päßwort", "other")]
    assert seen == [f"Basic {one}" for one in sent]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"basicAuth": {"username": "a", "passwordFile": "/p"}, "bearerTokenFile": "/t"}, "basicAuth"),
        ({"basicAuth": {"username": "a:b", "passwordFile": "/p"}}, "basicAuth.username"),
        ({"basicAuth": {"username": "a"}}, "basicAuth"),
        ({"tls": {"certFile": "/c"}}, "tls.keyFile"),
        ({"tls": {"keyFile": "/k"}}, "tls.certFile"),
        ({"tls": {"insecure": True}}, "insecure"),
    ],
)
def test_settings_that_cannot_work_are_refused_naming_the_field(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidObjectError, match=field):
        source("https://prometheus.example", **settings)


def test_certificates_without_tls_are_refused() -> None:
    with pytest.raises(InvalidObjectError, match=r"sources\.default\.tls: certificates have no effect"):
        source("http://prometheus.example", tls={"caFile": "/ca"})


def test_two_users_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="basicAuth another one"):
        source("https://one@prometheus.example", basicAuth={"username": "other", "passwordFile": "/p"})
