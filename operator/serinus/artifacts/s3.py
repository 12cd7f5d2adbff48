"""Artifacts in S3 or in what speaks like it, through boto3."""

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
from urllib3.exceptions import HTTPError

from serinus.artifacts.fetch import (
    CHUNK,
    ArtifactFile,
    ArtifactStat,
    Inspection,
    break_off,
    check_count,
    one_part,
    readable,
)
from serinus.errors import ConflictError, NotFoundError, RefusedError, TransientError
from serinus.settings import S3Settings

_CONNECT_SECONDS: Final = 5.0
_MISSING: Final = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
_DENIED: Final = frozenset({"401", "403", "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
_CHANGED: Final = frozenset({"412", "PreconditionFailed"})
_ELSEWHERE: Final = frozenset({"301", "307", "PermanentRedirect", "AuthorizationHeaderMalformed"})
_SHA256_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class _State:
    """An object in the state in which it was seen."""

    bucket: str
    key: str
    etag: str
    place: str


class S3Store:
    """``s3://bucket/key``, and ``s3://bucket/prefix/`` for all objects whose keys begin so, as a folder."""

    def __init__(self, settings: S3Settings, *, workers: int, page: int = 1000) -> None:
        """Prepare for so many threads, and lists of so many keys an answer; nothing is asked yet."""
        self._settings, self._workers, self._page = settings, workers, page
        self._lock = Lock()
        self._made: Any = None

    def close(self) -> None:
        """Close its connections."""
        with self._lock:
            if self._made is not None:
                self._made.close()

    @contextmanager
    def sight(self, uri: str, look: Inspection) -> Iterator[ArtifactStat]:
        """Find the object or the folder; see :class:`Store`."""
        # A key may hold a question mark, but a presigned address that was pasted here must not get into a message.
        place = uri.partition("?")[0]
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if not bucket or not key:
            raise RefusedError(f"{place} names no object: write s3://bucket/key")
        with _asked(place):
            client = self._client()
        look.check()
        if key.endswith("/"):
            yield self._folder(client, bucket, key, place, look)
        else:
            yield _object(client, bucket, key, place, look)

    def _client(self) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes when it runs
        with self._lock:
            if self._made is None:
                seconds = self._settings.timeout.seconds
                self._made = boto3.session.Session().client(
                    "s3",
                    region_name=self._settings.region,
                    endpoint_url=self._settings.endpoint,
                    config=Config(
                        connect_timeout=min(_CONNECT_SECONDS, seconds),
                        read_timeout=seconds,
                        # Who asked asks again, later: a worker must not be held by a store that is down.
                        retries={"total_max_attempts": 1},
                        max_pool_connections=self._workers,
                        # The bytes are hashed here anyway; boto3 would do it once more.
                        response_checksum_validation="when_required",
                        s3={"addressing_style": "path"} if self._settings.endpoint else {},
                    ),
                )
            return self._made

    def _folder(self, client: Any, bucket: str, prefix: str, place: str, look: Inspection) -> ArtifactStat:  # noqa: ANN401 - boto3's
        files: list[tuple[str, int, str]] = []
        size = {"PageSize": self._page}
        with _asked(place):
            lists = client.get_paginator("list_objects_v2")
            for page in lists.paginate(Bucket=bucket, Prefix=prefix, PaginationConfig=size):
                look.check()
                files += [
                    (item["Key"], item["Size"], item["ETag"])
                    for item in page.get("Contents", ())
                    # Consoles make an empty object for a folder.
                    if not item["Key"].endswith("/")
                ]
                check_count(len(files), place)
        if not files:
            raise NotFoundError(f"{place} is not there: no object's key begins so")

        def parts() -> Generator[ArtifactFile, None, None]:
            for key, _, etag in sorted(files):
                path = key.removeprefix(prefix)
                yield ArtifactFile(path, _chunks(client, _State(bucket, key, etag, f"{place} ({path})"), look))

        return ArtifactStat(
            place=place, size=sum(size for _, size, _ in files), mark=f"{len(files)} objects", parts=parts, folder=True
        )


def _object(client: Any, bucket: str, key: str, place: str, look: Inspection) -> ArtifactStat:  # noqa: ANN401 - boto3's
    with _asked(place):
        head = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    etag, version = str(head["ETag"]), head.get("VersionId")
    mark = readable(f"ETag {etag}") + (f", version {readable(str(version))}" if version else "")
    return ArtifactStat(
        place=place,
        size=int(head["ContentLength"]),
        checksum=_checksum(head),
        mark=mark,
        parts=lambda: one_part(_chunks(client, _State(bucket, key, etag, place), look)),
    )


def _checksum(head: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 of the whole object, where S3 keeps one: that of a multipart upload is one of its parts'.

    Not every store says which it is, but all give the number of parts in the ETag.
    """
    text = str(head.get("ChecksumSHA256", ""))
    kind = head.get("ChecksumType") or ("COMPOSITE" if "-" in str(head["ETag"]) else "FULL_OBJECT")
    if not text or kind != "FULL_OBJECT":
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        # <base64>-<number of parts>: a composite that does not say so.
        return None
    return f"sha256:{raw.hex()}" if len(raw) == _SHA256_BYTES else None


def _chunks(client: Any, state: _State, look: Inspection) -> Generator[bytes, None, None]:  # noqa: ANN401 - boto3's
    place = state.place
    with _asked(place):
        # Without a version: what the key leads to now is what will be served.
        body = client.get_object(Bucket=state.bucket, Key=state.key, IfMatch=state.etag)["Body"]
    with closing(body), look.breakable(lambda: _break_off(body)):
        while True:
            with _asked(place):
                chunk = body.read(CHUNK)
            if not chunk:
                return
            yield chunk


def _break_off(body: Any) -> None:  # noqa: ANN401 - boto3's
    # boto3 shows no way to end a read, urllib3's response below it does.
    raw = body._raw_stream  # noqa: SLF001 - as said above
    connection = raw.connection
    if connection is not None and connection.sock is not None:
        break_off(connection.sock)
        return
    try:
        # After `Connection: close` the connection has let go of its socket; closing the body then closes it.
        raw.shutdown()
    except (ValueError, RuntimeError, OSError):
        # It is at its end already.
        return


@contextmanager
def _asked(place: str) -> Iterator[None]:
    try:
        yield
    except ClientError as problem:
        raise _answered(problem, place) from problem
    except (NoCredentialsError, PartialCredentialsError) as problem:
        raise TransientError(f"{place}: there are no credentials for S3: give the operator's pod a role") from problem
    except ParamValidationError as problem:
        raise RefusedError(f"{place} is no address of an S3 object: check the bucket's name") from problem
    except (ConnectTimeoutError, ReadTimeoutError) as problem:
        raise TransientError(f"{place}: S3 did not answer in time: check that it is up") from problem
    except (BotoCoreError, HTTPError, OSError, ValueError) as problem:
        # ValueError: an endpoint that is no address.
        raise TransientError(
            f"{place}: S3 cannot be reached or broke off its answer ({type(problem).__name__}): "
            "check that it is up and artifacts.s3.endpoint"
        ) from problem


def _answered(problem: ClientError, place: str) -> Exception:
    """Say what an error answer means; only its code is told, for its text is the server's."""
    status = str(problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    code = readable(str(problem.response.get("Error", {}).get("Code", "")))
    known = {status, code}
    if known & _MISSING:
        return NotFoundError(f"{place} is not there: no such object or bucket")
    if known & _CHANGED:
        return ConflictError(f"{place} changed while it was looked at")
    if known & _DENIED:
        return TransientError(
            f"{place}: S3 denied access (HTTP {status}): allow s3:GetObject on it, and s3:ListBucket on its bucket "
            "so that a missing object is told from a hidden one"
        )
    if known & _ELSEWHERE:
        return TransientError(f"{place} is in another region: set artifacts.s3.region to the bucket's")
    return TransientError(f"{place}: S3 did not answer as expected (HTTP {status}, {code})")
