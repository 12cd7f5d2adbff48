"""A client of MLflow's REST API (2.0, of MLflow 3.17), with typed responses bounded in time and size."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import quote, unquote

import msgspec
import requests
from requests.auth import AuthBase, HTTPBasicAuth

from serinus.addresses import split_url
from serinus.errors import ConfigurationError, NotFoundError, RefusedError, TransientError
from serinus.mlflow.reference import Reference
from serinus.mlflow.responses import (
    File,
    FilesAnswer,
    LoggedAnswer,
    LoggedModel,
    PlaceAnswer,
    Run,
    RunAnswer,
    VersionAnswer,
    VersionInfo,
    logged_model_of,
)

T = TypeVar("T")

MOST_BYTES: Final = 8 * 1024 * 1024
MOST_MODEL_FILE_BYTES: Final = 1024 * 1024
_CHUNK: Final = 256 * 1024
_CONNECT_SECONDS: Final = 5.0
_OK, _NOT_FOUND, _BAD_REQUEST = 200, 404, 400
_DENIED: Final = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials for MLflow; sent to the tracking server only and never logged or stored."""

    user: str = ""
    password: str = ""
    token: str = ""

    def __repr__(self) -> str:
        """Hide the credentials."""
        return "Login(…)"


class _Authorization(AuthBase):
    """Prefers user and password to a token, as MLflow does; also keeps requests from using .netrc."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        login = self._login
        if login.user and login.password:
            HTTPBasicAuth(login.user, login.password)(request)
        elif login.token:
            request.headers["Authorization"] = f"Bearer {login.token}"
        return request


class Tracking:
    """One tracking server. Every method blocks for at most the time-out."""

    def __init__(
        self,
        uri: str,
        login: Login,
        *,
        timeout: float = 30.0,
        certificates: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Initialize without sending a request.

        Args:
            uri: its address with its path prefix, if any; may contain a user and a password.
            login: the credentials; those of the URI take precedence.
            timeout: seconds for one complete response.
            certificates: a file of trusted certificates, instead of the system's.
            monotonic: a monotonic clock, in seconds.

        Raises:
            ConfigurationError: the URI is not that of a server.
        """
        parts = split_url(uri, "the tracking URI")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(
                "the tracking URI must be http://… or https://…: a file or database is not supported"
            )
        if parts.username and parts.password:
            login = Login(unquote(parts.username), unquote(parts.password))
        self.place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self._session = requests.Session()
        self._session.auth = _Authorization(login)
        if certificates:
            self._session.verify = certificates
        self._timeout, self._monotonic = timeout, monotonic

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    def version(self, reference: Reference) -> VersionInfo:
        """Return the registered version.

        Raises (like all methods here):
            NotFoundError: MLflow has nothing of this name.
            RefusedError: access is denied.
            TransientError: no valid response within the limits of time and size.
        """
        if reference.logged:
            return self._logged_version(reference)
        name, what = {"name": reference.name}, str(reference)
        try:
            if not reference.alias:
                query = {**name, "version": reference.version}
                return self._request(VersionAnswer, "model-versions/get", query, what).model_version
            return self._by_alias(reference, what)
        except NotFoundError as problem:
            if not reference.in_catalog:
                raise
            raise NotFoundError(
                f"{problem}. {reference.name} is a name of Unity Catalog, whose models a tracking server does not "
                "have: download the model's folder, and name its file to serinus import mlmodel"
            ) from problem

    def _by_alias(self, reference: Reference, what: str) -> VersionInfo:
        def ask(alias: str) -> VersionInfo:
            query = {"name": reference.name, "alias": alias}
            return self._request(VersionAnswer, "registered-models/alias", query, what).model_version

        try:
            return ask(reference.alias)
        except NotFoundError:
            # Unity Catalog keeps aliases in small letters, MLflow as they were given.
            if reference.alias == reference.alias.lower():
                raise
            return ask(reference.alias.lower())

    def _logged_version(self, reference: Reference) -> VersionInfo:
        info = self.logged_model(reference.logged).info
        return VersionInfo(name=info.name, version="", source=str(reference), run_id=info.source_run_id, tags=info.tags)

    def run(self, run_id: str) -> Run:
        """Return a run."""
        return self._request(RunAnswer, "runs/get", {"run_id": run_id}, f"run {run_id}").run

    def logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model (MLflow 3)."""
        path = f"logged-models/{quote(model_id, safe='')}"
        return self._request(LoggedAnswer, path, {}, f"logged model {model_id}").model

    def place_of(self, version: VersionInfo) -> str:
        """Return the URI of the folder with a version's files."""
        if version.version:
            query = {"name": version.name, "version": version.version}
            place = self._request(PlaceAnswer, "model-versions/get-download-uri", query, _uri_of(version)).artifact_uri
            if not logged_model_of(place):
                return place
        # The files of a version that was made from a logged model are where those of the logged model are.
        return self.logged_model(version.logged_model).info.artifact_uri

    def model_file(self, version: VersionInfo) -> bytes:
        """Return a version's MLmodel file through the server, independent of its artifact store."""
        if not version.version:
            return self._logged_file(version)
        query = {"name": version.name, "version": version.version, "path": "MLmodel"}
        what = f"the MLmodel of {_uri_of(version)}"
        try:
            with self.get("model-versions/get-artifact", query, what) as response:
                return self._read(response, MOST_MODEL_FILE_BYTES, what)
        except (NotFoundError, TransientError):
            # A server that does not resolve the version's source, a logged model, to its files.
            if not version.logged_model:
                raise
            return self._logged_file(version)

    def _logged_file(self, version: VersionInfo) -> bytes:
        path = f"ajax-api/2.0/mlflow/logged-models/{quote(version.logged_model, safe='')}/artifacts/files"
        what = f"the MLmodel of {_uri_of(version)}"
        with self.get(path, {"artifact_file_path": "MLmodel"}, what) as response:
            return self._read(response, MOST_MODEL_FILE_BYTES, what)

    def folder(self, path: str) -> list[File]:
        """Return the entries of a folder that the server proxies (``mlflow-artifacts:``)."""
        what = f"the folder {path}"
        with self.get("api/2.0/mlflow-artifacts/artifacts", {"path": path}, what) as response:
            return self._decode(FilesAnswer, self._read(response, MOST_BYTES, what), what).files

    def get(self, path: str, query: Mapping[str, str], what: str) -> requests.Response:
        """Send a GET; the caller reads the body and closes the response."""
        try:
            response = self._session.get(
                f"{self.place}/{path}",
                params=dict(query),
                timeout=(min(_CONNECT_SECONDS, self._timeout), self._timeout),
                # A redirect could send the credentials elsewhere.
                allow_redirects=False,
                stream=True,
            )
        except (requests.RequestException, OSError, ValueError) as problem:
            raise TransientError(f"MLflow at {self.place} {_kind(problem)}") from problem
        try:
            self._check(response, what)
        except BaseException:
            response.close()
            raise
        return response

    def _request(self, kind: type[T], path: str, query: Mapping[str, str], what: str) -> T:
        with self.get(f"api/2.0/mlflow/{path}", query, what) as response:
            return self._decode(kind, self._read(response, MOST_BYTES, what), what)

    def _read(self, response: requests.Response, most: int, what: str) -> bytes:
        deadline, content = self._monotonic() + self._timeout, bytearray()
        try:
            for chunk in response.iter_content(_CHUNK):
                content += chunk
                if len(content) > most:
                    raise TransientError(f"MLflow at {self.place}: {what} is over {most >> 20} MiB")
                if self._monotonic() > deadline:
                    raise TransientError(f"MLflow at {self.place}: {what} did not arrive within {self._timeout:g} s")
        except (requests.RequestException, OSError, ValueError) as problem:
            raise TransientError(f"MLflow at {self.place} {_kind(problem)}") from problem
        return bytes(content)

    def _decode(self, kind: type[T], content: bytes, what: str) -> T:
        try:
            # Older servers write 64-bit numbers as text, like protobuf's JSON.
            return msgspec.json.decode(content, type=kind, strict=False)
        except msgspec.DecodeError as problem:
            raise TransientError(
                f"the response of {self.place} for {what} is not MLflow's: check the tracking URI"
            ) from problem

    def _check(self, response: requests.Response, what: str) -> None:
        status = response.status_code
        if status == _OK:
            return
        if status in _DENIED:
            raise RefusedError(
                f"MLflow at {self.place} denies access to {what} (HTTP {status}): set MLFLOW_TRACKING_TOKEN, or "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
        # An unknown alias is a bad request (3.17).
        if status in {_NOT_FOUND, _BAD_REQUEST}:
            raise NotFoundError(
                f"MLflow at {self.place} has no {what}: check the name, the version and the tracking URI"
            )
        raise TransientError(f"MLflow at {self.place} did not respond for {what} as expected (HTTP {status})")


def _uri_of(version: VersionInfo) -> str:
    return f"models:/{version.name}/{version.version}" if version.version else version.source


def _kind(problem: Exception) -> str:
    match problem:
        case requests.exceptions.SSLError():
            return "has a certificate that is not trusted: check the tracking URI and the trusted certificates"
        case requests.Timeout():
            return "did not respond in time: check that it is up"
        case requests.exceptions.ChunkedEncodingError() | requests.exceptions.ContentDecodingError():
            return "broke off its response: check that it is up"
        case _:
            return "cannot be reached: check that it is up and the tracking URI"
