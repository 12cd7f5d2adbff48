"""Kubernetes API client over one connection pool: explicit time-outs, bounded responses, typed errors."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec
from kubernetes.aio.client import ApiClient
from kubernetes.aio.config import ConfigException

from serinus.errors import AmbiguousError, ConfigurationError, RefusedError, SerinusError, TransientError
from serinus.kube.answers import Answer, error_of
from serinus.kube.connection import load_configuration, user_configuration
from serinus.kube.pages import PAGE, Page
from serinus.kube.priority_limiter import PriorityLimiter
from serinus.ports.services import Guard

T = TypeVar("T")

Raw = dict[str, Any]
"""One object or list as the API server sends it."""

Tracking = Callable[[], AbstractContextManager[None]]
"""What is entered while a write is under way: from before it is sent until it was answered."""

JSON: Final = "application/json"
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"

DEFAULT_TIMEOUT: Final = 10.0
_CONNECT_TIMEOUT: Final = 5.0
RESERVED: Final = 40
"""Requests in flight that only urgent callers may have: the workers of the safety lane, each with one, and the Lease.

Were there fewer, an admission webhook for routes that hangs could also keep the Lease from being renewed.
"""

ORDINARY: Final = 80
"""All others: as many as the workers of the Rollouts (at most 64, and four more), of the stages, reviews, events and
records, and a list have together, so that none of these keeps another from a slot."""

_MAX_BYTES: Final = 64 * 1024 * 1024
_CHUNK: Final = 256 * 1024
_TRIES: Final = 3
_MAX_PAUSE: Final = 5.0
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_READS: Final = frozenset({"GET", "HEAD"})
_USER_AGENT: Final = "serinus"


class Requests(Protocol):
    """The part of the client that the adapters of this package use."""

    async def request(  # noqa: PLR0913 - the parts of an HTTP request
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = JSON,
        query: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - bounds the wait for a slot and, separately, the call
        urgent: bool = False,
        guard: Guard | None = None,
        fenced: bool = True,
    ) -> Raw:
        """Send one request and return the decoded object; see :meth:`KubernetesClient.request`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One request; ``seconds`` bounds the wait for a slot and, separately, the call.

    ``permit`` is called immediately before each time that it is sent, and raises where it must not be; ``tracking``
    surrounds the call.
    """

    method: str
    target: str
    body: object
    content_type: str
    seconds: float
    urgent: bool
    permit: Guard
    tracking: Tracking

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.method in _READS

    def __str__(self) -> str:
        """Return method and target, for messages."""
        return f"{self.method} {self.target}"


class KubernetesClient:
    """Client of one API server, with a limit on the requests in flight, and a fence around every write."""

    def __init__(self, configuration: Any) -> None:  # noqa: ANN401 - the client library is untyped
        """Prepare the connections; nothing is sent."""
        configuration.connection_pool_maxsize = ORDINARY + RESERVED
        self._api = ApiClient(configuration)
        self._limiter = PriorityLimiter(ORDINARY + RESERVED, RESERVED)
        self._fence: Guard | None = None
        self._tracking: Tracking = nullcontext

    @classmethod
    async def open(cls, kubeconfig: Path | None = None) -> Self:
        """Connect by the given kubeconfig, else KUBECONFIG or ``~/.kube/config``, else the pod's service account.

        Raises:
            ConfigurationError: none of these exists, or it cannot be read.
        """
        return cls._of(await load_configuration(kubeconfig))

    @classmethod
    def for_user(cls, token: str, ca_path: Path) -> Self:
        """Connect to the pod's own API server with a user's token; raises and arguments as `user_configuration`."""
        return cls._of(user_configuration(token, ca_path))

    @classmethod
    def _of(cls, configuration: Any) -> Self:  # noqa: ANN401 - the client library is untyped
        try:
            return cls(configuration)
        except (OSError, TypeError, ValueError) as problem:
            # The TLS context is made of the certificates that the kubeconfig names or contains.
            raise ConfigurationError(f"the certificates of the kubeconfig cannot be used: {problem}") from problem

    @property
    def host(self) -> str:
        """The host name or address of the API server."""
        return urlsplit(self._api.configuration.host).hostname or ""

    def fence(self, may_write: Guard, tracking: Tracking = nullcontext) -> None:
        """Have this called before each write is sent, each retry included; it raises where nothing may be written.

        Every write of every adapter passes here, but those of the Lease itself, by which the leadership is won.
        ``tracking`` is entered while such a write is under way.
        """
        self._fence, self._tracking = may_write, tracking

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self.close()

    async def request(  # noqa: PLR0913 - the parts of an HTTP request
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = JSON,
        query: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - bounds the wait for a slot and, separately, the call
        urgent: bool = False,
        guard: Guard | None = None,
        fenced: bool = True,
    ) -> Raw:
        """Send one request and return the decoded object.

        Args:
            method: such as ``GET`` or ``PATCH``.
            path: from the root, such as ``/api/v1/namespaces``.
            body: sent as JSON; no body where it is None.
            content_type: of the body.
            query: parameters of the URL.
            timeout: seconds to wait for a slot, and again for the call.
            urgent: whether the request takes precedence over all that are not urgent.
            guard: called immediately before each time that the request is sent; it raises where it must not be.
            fenced: whether a write needs the leadership; only the Lease's own do not.

        Raises:
            NotFoundError: 404.
            ConflictError: 409, or a JSON Patch whose tests fail; AlreadyExistsError for a name that is taken.
            RefusedError: any other 4xx, with the API server's message; a response to a read over 64 MB.
            TransientError: not sent, 429, 410, or a read that failed: retry.
            AmbiguousError: a write that may have taken effect.
            NotLeaderError: a write of a process that does not lead; not sent.
        """
        request = _Request(
            method=method,
            target=f"{path}?{urlencode(query)}" if query else path,
            body=body,
            content_type=content_type,
            seconds=timeout,
            urgent=urgent,
            permit=self._permit_for(method, guard, fenced=fenced),
            tracking=self._tracking if fenced and method not in _READS else nullcontext,
        )
        return _decoded(_OBJECT, await self._content(request), request)

    async def read_page(self, path: str, query: Mapping[str, str], seconds: float) -> Page:
        """Read one page of a list; raises as :meth:`request` for a read."""
        request = _Request(
            method="GET",
            target=f"{path}?{urlencode(query)}",
            body=None,
            content_type=JSON,
            seconds=seconds,
            urgent=False,
            permit=self._permit_for("GET", None, fenced=False),
            tracking=nullcontext,
        )
        return _decoded(PAGE, await self._content(request), request)

    async def _content(self, request: _Request) -> bytes:
        """Send a request, again where the API server is too busy, and return what it answers."""
        for attempt in range(1, _TRIES + 1):
            answer = await self._attempt(request)
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
                break
            if attempt < _TRIES:
                await asyncio.sleep(min(answer.retry_after, _MAX_PAUSE))
        error = error_of(answer, str(request), write=not request.is_read)
        if error is not None:
            raise error
        return answer.content

    def _permit_for(self, method: str, guard: Guard | None, *, fenced: bool) -> Guard:
        fence = self._fence if fenced and method not in _READS else None

        def permit() -> None:
            for may_send in (fence, guard):
                if may_send is not None:
                    may_send()

        return permit

    async def _attempt(self, request: _Request) -> Answer:
        try:
            async with asyncio.timeout(request.seconds) as waiting, self._limiter.slot(urgent=request.urgent):
                waiting.reschedule(None)
                return await self._send(request)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as problem:
            raise TransientError(f"{request}: the API server cannot be reached: {problem}") from problem
        except aiohttp.ClientError as problem:
            raise _failed(request, f"the connection broke: {type(problem).__name__}: {problem}") from problem
        except TimeoutError as problem:
            if waiting.expired():
                message = f"{request}: no free slot within {request.seconds:g} s; not sent"
                raise TransientError(message) from problem
            raise _failed(request, f"no answer within {request.seconds:g} s") from problem

    async def _send(self, request: _Request) -> Answer:
        headers = {"Accept": JSON, "Content-Type": request.content_type, "User-Agent": _USER_AGENT}
        try:
            # This may re-read a token file or call an identity provider.
            async with asyncio.timeout(request.seconds):
                await self._api.update_params_for_auth(
                    headers, [], ["BearerToken"], request.target, request.method, request.body
                )
        except (ConfigException, OSError, TimeoutError) as problem:
            raise TransientError(f"{request}: no credentials: {problem}; not sent") from problem
        # The last thing before it is sent: another may have become leader while it waited for a slot or credentials.
        request.permit()
        with request.tracking():
            response = await self._api.rest_client.request(
                request.method,
                self._api.configuration.host + request.target,
                headers=headers,
                body=request.body,
                _request_timeout=aiohttp.ClientTimeout(total=request.seconds, sock_connect=_CONNECT_TIMEOUT),
            )
            return await _read(response.response, request)


async def _read(response: aiohttp.ClientResponse, request: _Request) -> Answer:
    content = bytearray()
    async with response:
        async for chunk in response.content.iter_chunked(_CHUNK):
            content += chunk
            if len(content) > _MAX_BYTES:
                response.close()
                message = f"{request}: the answer is over {_MAX_BYTES >> 20} MB: read in smaller pages"
                raise RefusedError(message) if request.is_read else AmbiguousError(message)
    return Answer(response.status, bytes(content), _retry_after(response.headers.get("Retry-After", "")))


def _decoded(decoder: "msgspec.json.Decoder[T]", content: bytes, request: _Request) -> T:
    try:
        return decoder.decode(content)
    except msgspec.DecodeError as problem:
        raise _failed(request, f"the answer is not a JSON object: {problem}") from problem


def _retry_after(header: str) -> float:
    # The API server sends whole seconds, never a date (apiserver, pkg/server/filters/maxinflight.go).
    return float(header) if header.isdecimal() else 1.0


def _failed(request: _Request, problem: str) -> SerinusError:
    message = f"{request}: {problem}"
    return TransientError(message) if request.is_read else AmbiguousError(f"{message}; it may have been written")
