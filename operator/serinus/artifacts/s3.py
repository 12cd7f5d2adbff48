"""Artifacts in S3 or a compatible service, through boto3."""

import base64
import binascii
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
)
from botocore.response import StreamingBody
from urllib3.exceptions import HTTPError

from serinus.artifacts.fetch import (
    CHUNK,
    ArtifactFile,
    ArtifactStat,
    Inspection,
    abort_connection,
    check_count,
    readable,
    single_file,
)
from serinus.artifacts.s3_address import S3Address
from serinus.artifacts.s3_api import S3Api
from serinus.errors import ConflictError, NotFoundError, RefusedError, SerinusError, TransientError
from serinus.settings import S3Settings

_CONNECT_SECONDS: Final = 5.0
_MISSING: Final = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
_DENIED: Final = frozenset({"401", "403", "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
_CHANGED: Final = frozenset({"412", "PreconditionFailed"})
_ELSEWHERE: Final = frozenset({"301", "307", "PermanentRedirect", "AuthorizationHeaderMalformed"})
_SHA256_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class _State:
    """An object in one state of its content."""

    bucket: str
    key: str
    etag: str
    place: str


class S3Store:
    """``s3://bucket/key``, and ``s3://bucket/prefix/`` for all objects with this prefix, as a folder."""

    def __init__(self, settings: S3Settings, *, workers: int, page: int = 1000) -> None:
        """Initialize without sending a request, for this number of threads and keys in one page of a list."""
        self._settings, self._workers, self._page = settings, workers, page
        self._lock = Lock()
        self._created: S3Api | None = None

    def close(self) -> None:
        """Close its connections."""
        with self._lock:
            if self._created is not None:
                self._created.close()

    @contextmanager
    def stat(self, uri: str, inspection: Inspection) -> Iterator[ArtifactStat]:
        """Read the metadata of the object or the folder; see :class:`ArtifactStore`."""
        address = S3Address.parse(uri)
        bucket, key, place = address.bucket, address.key, address.place
        with _mapped(place):
            client = self._client()
        inspection.check()
        if key.endswith("/"):
            yield self._folder(client, bucket, key, place, inspection)
        else:
            yield _object(client, bucket, key, place, inspection)

    def _client(self) -> S3Api:
        with self._lock:
            if self._created is None:
                seconds = self._settings.timeout.seconds
                client: S3Api = boto3.session.Session().client(
                    "s3",
                    region_name=self._settings.region,
                    endpoint_url=self._settings.endpoint,
                    config=Config(
                        connect_timeout=min(_CONNECT_SECONDS, seconds),
                        read_timeout=seconds,
                        # The caller retries later: a store that is down must not block a worker.
                        retries={"total_max_attempts": 1},
                        max_pool_connections=self._workers,
                        # The bytes are hashed here anyway; boto3 would hash them again.
                        response_checksum_validation="when_required",
                        s3={"addressing_style": "path"} if self._settings.endpoint else {},
                    ),
                )
                self._created = client
            return self._created

    def _folder(self, client: S3Api, bucket: str, prefix: str, place: str, inspection: Inspection) -> ArtifactStat:
        objects: list[tuple[str, int, str]] = []
        with _mapped(place):
            pages = client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": self._page}):
                inspection.check()
                objects += [
                    (item["Key"], item["Size"], item["ETag"])
                    for item in page.get("Contents", ())
                    # Consoles create an empty object for a folder.
                    if not item["Key"].endswith("/")
                ]
                check_count(len(objects), place)
        if not objects:
            raise NotFoundError(f"{place} does not exist: no object has this prefix")

        def files() -> Generator[ArtifactFile, None, None]:
            for key, _, etag in sorted(objects):
                path = key.removeprefix(prefix)
                yield ArtifactFile(path, _chunks(client, _State(bucket, key, etag, f"{place} ({path})"), inspection))

        size = sum(size for _, size, _ in objects)
        return ArtifactStat(place=place, size=size, revision=f"{len(objects)} objects", files=files, folder=True)


def _object(client: S3Api, bucket: str, key: str, place: str, inspection: Inspection) -> ArtifactStat:
    with _mapped(place):
        head = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    etag, version = str(head["ETag"]), head.get("VersionId")
    revision = readable(f"ETag {etag}") + (f", version {readable(str(version))}" if version else "")
    return ArtifactStat(
        place=place,
        size=int(head["ContentLength"]),
        checksum=_checksum(head),
        revision=revision,
        files=lambda: single_file(_chunks(client, _State(bucket, key, etag, place), inspection)),
    )


def _checksum(head: Mapping[str, Any]) -> str | None:
    """Return S3's SHA-256 of the whole object; None where it has none, or, after a multipart upload, one of the parts.

    Not every service reports which it is, but all have the number of parts in the ETag.
    """
    text = str(head.get("ChecksumSHA256", ""))
    kind = head.get("ChecksumType") or ("COMPOSITE" if "-" in str(head["ETag"]) else "FULL_OBJECT")
    if not text or kind != "FULL_OBJECT":
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        # <base64>-<number of parts>: a composite checksum that is not declared as one.
        return None
    return f"sha256:{raw.hex()}" if len(raw) == _SHA256_BYTES else None


def _chunks(client: S3Api, state: _State, inspection: Inspection) -> Generator[bytes, None, None]:
    place = state.place
    with _mapped(place):
        # Without a version: the current content of the key is what will be served.
        body = client.get_object(Bucket=state.bucket, Key=state.key, IfMatch=state.etag)["Body"]
    with closing(body), inspection.abortable(lambda: _abort(body)):
        while True:
            with _mapped(place):
                chunk = body.read(CHUNK)
            if not chunk:
                return
            yield chunk


def _abort(body: StreamingBody) -> None:
    raw = body._raw_stream  # noqa: SLF001 - boto3 has no public way to abort a read; urllib3's response has
    connection = raw.connection
    if connection is not None and connection.sock is not None:
        abort_connection(connection.sock)
        return
    try:
        # After `Connection: close` the connection no longer has the socket; closing the body then closes it.
        raw.shutdown()
    except (ValueError, RuntimeError, OSError):
        # It is at its end already.
        return


@contextmanager
def _mapped(place: str) -> Iterator[None]:
    try:
        yield
    except ClientError as problem:
        raise _translated(problem, place) from problem
    except (NoCredentialsError, PartialCredentialsError) as problem:
        raise TransientError(f"{place}: there are no credentials for S3: give the operator's pod a role") from problem
    except ParamValidationError as problem:
        raise RefusedError(f"{place} is not the address of an S3 object: check the bucket's name") from problem
    except (ConnectTimeoutError, ReadTimeoutError) as problem:
        raise TransientError(f"{place}: S3 did not respond in time: check that it is up") from problem
    except (BotoCoreError, HTTPError, OSError, ValueError) as problem:
        # ValueError: the endpoint is not an address.
        raise TransientError(
            f"{place}: S3 cannot be reached or broke off its response ({type(problem).__name__}): "
            "check that it is up and artifacts.s3.endpoint"
        ) from problem


def _translated(problem: ClientError, place: str) -> SerinusError:
    """Translate an error response; the message contains its code only, as its text is the server's."""
    status = str(problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    code = readable(str(problem.response.get("Error", {}).get("Code", "")))
    known = {status, code}
    if known & _MISSING:
        return NotFoundError(f"{place} does not exist: no such object or bucket")
    if known & _CHANGED:
        return ConflictError(f"{place} changed while it was read")
    if known & _DENIED:
        return TransientError(
            f"{place}: S3 denied access (HTTP {status}): allow s3:GetObject on it, and s3:ListBucket on its bucket "
            "so that a missing object can be distinguished from a hidden one"
        )
    if known & _ELSEWHERE:
        return TransientError(f"{place} is in another region: set artifacts.s3.region to the bucket's")
    return TransientError(f"{place}: S3 did not respond as expected (HTTP {status}, {code})")
