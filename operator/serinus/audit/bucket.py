"""One prefix of an S3 bucket, for objects that must persist: checkpoints and the archives of audit records.

boto3 is synchronous, so it runs in the bucket's own threads, every request with a time-out and every response with a
bound. Nothing is overwritten: an object is created or the request fails (``If-None-Match: *``).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from serinus.addresses import split_url
from serinus.audit.s3_api import Answer, S3Api
from serinus.errors import (
    AmbiguousError,
    ConfigurationError,
    ConflictError,
    NotFoundError,
    RefusedError,
    SerinusError,
    TransientError,
)
from serinus.ports.services import Guard
from serinus.settings import S3Settings

T = TypeVar("T")

MOST_BYTES: Final = 64 * 1024 * 1024
"""The largest object that is read into memory: a checkpoint of 200,000 models has half of that."""

_CHUNK: Final = 1024 * 1024
_THREADS: Final = 8
_CONNECT_SECONDS: Final = 5.0
_TRIES: Final = 3
_PARAMETERS: Final = frozenset({"region", "endpoint"})

_EXISTS: Final = frozenset({"PreconditionFailed", "412"})
_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchVersion", "404", "NotFound"})
# S3 API reference, error responses: a retry of the same request may succeed.
_RETRYABLE: Final = frozenset({"SlowDown", "ThrottlingException", "RequestLimitExceeded", "ConditionalRequestConflict"})
_FIRST_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Place:
    """A location in S3: the service, the bucket and the keys' prefix (empty, or ending with a slash)."""

    bucket: str
    prefix: str = ""
    s3: S3Settings = field(default_factory=S3Settings)

    def __str__(self) -> str:
        """The address without its parameters."""
        return f"s3://{self.bucket}/{self.prefix}"


def parse_place(url: str) -> Place:
    """Parse ``s3://bucket/prefix?region=…&endpoint=…``.

    Raises:
        ConfigurationError: the address has another form or an unknown parameter.
    """
    parts = split_url(url, url)
    if parts.scheme != "s3" or not parts.netloc:
        raise ConfigurationError(f"{url}: must be s3://bucket/prefix")
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(parameters) - _PARAMETERS):
        raise ConfigurationError(f"{url}: unknown parameter {unknown[0]}: known are region and endpoint")
    split_url(parameters.get("endpoint", ""), f"{url}: endpoint")
    prefix = parts.path.strip("/")
    settings = S3Settings(region=parameters.get("region") or None, endpoint=parameters.get("endpoint") or None)
    return Place(parts.netloc, f"{prefix}/" if prefix else "", settings)


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of an object: its name without the prefix, and whether a later version or a deletion hides it."""

    name: str
    version: str
    hidden: bool


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object's bytes, and the end of its Object Lock in COMPLIANCE mode; None where that is not reported."""

    content: bytes
    locked_until: datetime | None


class Bucket:
    """One prefix of one bucket."""

    def __init__(self, place: Place, *, page: int = 1000, may_write: Guard | None = None) -> None:
        """Initialize without sending a request or starting a thread.

        Args:
            place: the prefix.
            page: the number of names of one list.
            may_write: called immediately before each time that an object is sent, each retry of boto3 included, in one
                of the bucket's threads; it raises where nothing may be written.
        """
        self.place = place
        self._page = page
        self._may_write = may_write
        self._seconds = place.s3.timeout.seconds
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3")
        self._opening = Lock()
        self._client: S3Api | None = None

    async def close(self) -> None:
        """Stop the threads and close the connections."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def put_new(self, name: str, body: bytes | Path, *, locked_until: datetime | None = None) -> None:
        """Create an object.

        Args:
            name: its key without the prefix.
            body: its bytes, or the file that contains them.
            locked_until: the end of its Object Lock in COMPLIANCE mode, before which nobody can remove it.

        Raises:
            ConflictError: there is an object of this name.
            AmbiguousError: it may have been created.
            RefusedError, TransientError: see serinus.errors.
        """
        more: dict[str, Any] = {"ChecksumAlgorithm": "SHA256"}
        if locked_until is not None:
            more |= {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": locked_until}
        await self._run(lambda client: self._put(client, name, body, more), f"make {self.place}{name}", writes=True)

    async def get(self, name: str, version: str | None = None) -> Fetched:
        """Return an object, by default its latest version; NotFoundError if absent, RefusedError if too large."""
        return await self._run(lambda client: self._get(client, name, version), f"read {self.place}{name}")

    async def fetch(self, name: str, into: Path, most: int) -> None:
        """Write an object's bytes to a file; RefusedError if there are more than ``most``."""
        await self._run(lambda client: self._fetch(client, name, into, most), f"read {self.place}{name}")

    async def names(self, under: str = "", *, after: str = "") -> AsyncIterator[str]:
        """Yield the names of objects in order: those that begin with ``under`` and are greater than ``after``."""
        mark = after
        while True:
            page = await self._run(partial(self._list, under=under, after=mark), f"list {self.place}")
            for name in page:
                yield name
            if len(page) < self._page:
                return
            mark = page[-1]

    async def versions(self) -> AsyncIterator[ObjectVersion]:
        """Yield every version of every object, including overwritten and deleted ones."""
        key, version = "", ""
        while True:
            page, key, version = await self._run(
                partial(self._list_versions, key=key, version=version),
                f"list the versions in {self.place}",
            )
            for object_version in page:
                yield object_version
            if not key:
                return

    # ---- requests, in the threads --------------------------------------------------------------

    async def _run(self, call: Callable[[S3Api], T], doing: str, *, writes: bool = False) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: self._guarded(call, doing, writes=writes))

    def _guarded(self, call: Callable[[S3Api], T], doing: str, *, writes: bool) -> T:
        try:
            return call(self._open())
        except ClientError as problem:
            raise _translated(problem, doing, writes=writes) from problem
        except (NoCredentialsError, NoRegionError) as problem:
            raise RefusedError(f"cannot {doing}: {problem}; set the usual AWS variables or a profile") from problem
        except (BotoCoreError, OSError) as problem:
            kind = AmbiguousError if writes else TransientError
            raise kind(f"cannot {doing}: {problem}; check the endpoint and the network, then try again") from problem

    def _open(self) -> S3Api:
        with self._opening:
            if self._client is None:
                self._client = _client(self.place.s3, self._seconds, self._may_write)
            return self._client

    def _put(self, client: S3Api, name: str, body: bytes | Path, more: dict[str, Any]) -> None:
        target = {"Bucket": self.place.bucket, "Key": self.place.prefix + name, "IfNoneMatch": "*"}
        if isinstance(body, bytes):
            client.put_object(**target, **more, Body=body)
            return
        with body.open("rb") as file:
            client.put_object(**target, **more, Body=file)

    def _get(self, client: S3Api, name: str, version: str | None) -> Fetched:
        answer = self._get_object(client, name, version)
        content = b"".join(self._chunks(answer, MOST_BYTES, name))
        compliant = answer.get("ObjectLockMode") == "COMPLIANCE"
        return Fetched(content, answer.get("ObjectLockRetainUntilDate") if compliant else None)

    def _fetch(self, client: S3Api, name: str, into: Path, most: int) -> None:
        answer = self._get_object(client, name, None)
        with into.open("wb") as file:
            for chunk in self._chunks(answer, most, name):
                file.write(chunk)

    def _get_object(self, client: S3Api, name: str, version: str | None) -> Answer:
        target = {"Bucket": self.place.bucket, "Key": self.place.prefix + name}
        return client.get_object(**target, **({"VersionId": version} if version else {}))

    def _chunks(self, answer: dict[str, Any], most: int, name: str) -> Iterator[bytes]:
        """Yield the body, each 8 MiB within the time-out: a slow server must not block, but a large object may."""
        deadline, size = time.monotonic() + self._seconds, 0
        with answer["Body"] as body:
            while chunk := body.read(_CHUNK):
                size += len(chunk)
                if size > most:
                    raise RefusedError(f"{self.place}{name} has more than {most} bytes: Serinus did not write it")
                if time.monotonic() > deadline + self._seconds * (size // (8 * _CHUNK)):
                    raise TransientError(f"{self.place}{name} did not come within its time: try again")
                yield chunk

    def _list(self, client: S3Api, under: str, after: str) -> list[str]:
        prefix = self.place.prefix
        more = {"StartAfter": prefix + after} if after else {}
        answer = client.list_objects_v2(Bucket=self.place.bucket, Prefix=prefix + under, MaxKeys=self._page, **more)
        return [item["Key"].removeprefix(prefix) for item in answer.get("Contents", ())]

    def _list_versions(self, client: S3Api, key: str, version: str) -> tuple[list[ObjectVersion], str, str]:
        prefix = self.place.prefix
        more = {"KeyMarker": key, "VersionIdMarker": version} if key else {}
        answer = client.list_object_versions(Bucket=self.place.bucket, Prefix=prefix, MaxKeys=self._page, **more)
        versions = [
            ObjectVersion(item["Key"].removeprefix(prefix), item["VersionId"], hidden=not item["IsLatest"])
            for item in answer.get("Versions", ())
        ]
        return versions, answer.get("NextKeyMarker", ""), answer.get("NextVersionIdMarker", "")


def _client(settings: S3Settings, seconds: float, may_write: Guard | None) -> S3Api:
    # boto3 takes a third of a second to load, which a command without S3 must not wait for.
    import boto3  # noqa: PLC0415 - as said above
    from botocore.config import Config  # noqa: PLC0415 - as said above

    options = Config(
        connect_timeout=min(_CONNECT_SECONDS, seconds),
        read_timeout=seconds,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        max_pool_connections=_THREADS,
        # AWS has the bucket's name in the host; most other services support it in the path only.
        s3={"addressing_style": "path" if settings.endpoint else "auto"},
    )
    try:
        client = boto3.session.Session().client(
            "s3", region_name=settings.region, endpoint_url=settings.endpoint, config=options
        )
    except ValueError as problem:
        raise ConfigurationError(f"invalid S3 endpoint {settings.endpoint}: {problem}") from problem
    if may_write is not None:
        # The last event before a request is sent, and one that each retry has (botocore, Endpoint._do_get_response).
        client.meta.events.register("before-send.s3.PutObject", lambda **_: may_write())
    fenced: S3Api = client
    return fenced


def _translated(problem: ClientError, doing: str, *, writes: bool) -> SerinusError:
    error = problem.response.get("Error", {})
    code, status = str(error.get("Code", "")), problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    message = f"cannot {doing}: S3 says {code}: {error.get('Message', '')}".rstrip(": ")
    if code in _EXISTS:
        return ConflictError(f"{message}; it exists already")
    if code in _ABSENT:
        return NotFoundError(message)
    if code in _RETRYABLE:
        return TransientError(f"{message}; try again later")
    if status >= _FIRST_SERVER_ERROR:
        return (AmbiguousError if writes else TransientError)(f"{message}; try again")
    return RefusedError(f"{message}; check the bucket's name, its Object Lock and the permissions of these credentials")
