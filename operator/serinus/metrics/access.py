"""How a metric source is to be asked: whom to trust, and what proves who asks.

Everything is in files, which other programs (a kubelet, a sidecar) replace while the operator runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests
from requests.auth import HTTPBasicAuth

from serinus.errors import TransientError

_MOST_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Files that a source needs.

    Attributes:
        token: with a bearer token; None for none.
        user: the user of basic authentication; None for none. It needs ``password``.
        password: with the user's password.
        authorities: the certificates (PEM) of those whom the source's certificate is checked against; None for those
            that come with Serinus.
        certificate: the client's own certificate (PEM), for servers that ask for one; it needs ``key``.
        key: the private key of ``certificate`` (PEM), not encrypted.
    """

    token: Path | None = None
    user: str | None = None
    password: Path | None = None
    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def prepare(self, session: requests.Session) -> None:
        """Let a session use the certificates. They are read for each new connection, so replaced ones are used then."""
        if self.authorities is not None:
            session.verify = str(self.authorities)
        if self.certificate is not None and self.key is not None:
            session.cert = (str(self.certificate), str(self.key))

    def unreadable(self) -> str:
        """Return which certificate or key cannot be read, with the name of its field; empty where all can."""
        fields = {"tls.caFile": self.authorities, "tls.certFile": self.certificate, "tls.keyFile": self.key}
        for name, path in fields.items():
            try:
                if path is not None:
                    path.open("rb").close()
            except OSError:
                return f"the file {path} cannot be read: mount it, or correct {name}"
        return ""


class Credentials:
    """What a request says of who asks. A file is read again when it has changed."""

    def __init__(self, access: Access) -> None:
        """Read nothing yet."""
        self._token = _Secret(access.token, "bearerTokenFile") if access.token is not None else None
        self._password = _Secret(access.password, "basicAuth.passwordFile") if access.password is not None else None
        self._user = access.user

    def headers(self) -> Mapping[str, str]:
        """Return the header with the token, if there is one; TransientError where its file cannot be read."""
        return {"Authorization": f"Bearer {self._token.text('ascii')}"} if self._token is not None else {}

    def basic(self) -> HTTPBasicAuth | None:
        """Return user and password, if there are any; TransientError where the password cannot be read."""
        if self._user is None or self._password is None:
            return None
        # As bytes: requests would take a text for Latin-1.
        return HTTPBasicAuth(self._user.encode(), self._password.text("utf-8").encode())


class _Secret:
    """A short text in a file that another program (a kubelet, a sidecar) replaces."""

    def __init__(self, path: Path, field: str) -> None:
        self._path, self._field = path, field
        self._file_version: tuple[int, int, int] | None = None
        self._text = ""

    def text(self, encoding: str) -> str:
        """Return the text without white space around it; TransientError where it cannot be read."""
        try:
            stat = self._path.stat()
            file_version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if file_version != self._file_version:
                with self._path.open("rb") as file:
                    self._text = file.read(_MOST_BYTES).decode(encoding).strip()
                self._file_version = file_version
        except (OSError, UnicodeDecodeError) as problem:
            raise TransientError(
                f"the file {self._path} cannot be read: mount it, or correct {self._field}"
            ) from problem
        return self._text
