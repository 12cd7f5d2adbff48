"""Kubernetes API client over one connection pool: explicit time-outs, bounded responses, typed errors."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio.client import ApiClient
from kubernetes.aio.config import ConfigException

from serinus.errors import AmbiguousError, RefusedError, SerinusError, TransientError
from serinus.kube.answers import Answer, error_of
from serinus.kube.connection import load_configuration
from serinus.kube.priority_limiter import PriorityLimiter

Raw = dict[str, Any]
"""One object or list as the API server sends it."""

JSON: Final = "application/json"
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"

DEFAULT_TIMEOUT: Final = 10.0
_CONNECT_TIMEOUT: Final = 5.0
_IN_FLIGHT: Final = 16
_RESERVED: Final = 4
_MAX_BYTES: Final = 64 * 1024 * 1024
_CHUNK: Final = 256 * 1024
_TRIES: Final = 3
_MAX_PAUSE: Final = 5.0
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
    ) -> Raw:
        """Send one request and return the decoded object; see :meth:`KubernetesClient.request`."""


class KubernetesClient:
    """Client of one API server, with a limit on the requests in flight."""

    def __init__(self, configuration: Any) -> None:  # noqa: ANN401 - the client library is untyped
        """Prepare the connections; nothing is sent."""
        configuration.connection_pool_maxsize = _IN_FLIGHT
        self._api = ApiClient(configuration)
        self._limiter = PriorityLimiter(_IN_FLIGHT, _RESERVED)

    @classmethod
    async def open(cls, kubeconfig: Path | None = None) -> Self:
        """Connect by the given kubeconfig, else KUBECONFIG or ``~/.kube/config``, else the pod's service account.

        Raises:
            ConfigurationError: none of these exists, or it cannot be read.
        """
        return cls(await load_configuration(kubeconfig))

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

        Raises:
            NotFoundError: 404.
            ConflictError: 409, or a JSON Patch whose tests fail; AlreadyExistsError for a name that is taken.
            RefusedError: any other 4xx, with the API server's message; a response to a read over 64 MB.
            TransientError: not sent, 429, 410, or a read that failed: retry.
            AmbiguousError: a write that may have taken effect.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        for attempt in range(1, _TRIES + 1):
            answer = await self._attempt(method, target, body, content_type, timeout, urgent=urgent)
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
                break
            if attempt < _TRIES:
                await asyncio.sleep(min(answer.retry_after, _MAX_PAUSE))
        error = error_of(answer, f"{method} {target}", write=method not in _READS)
        if error is not None:
            raise error
        try:
            decoded: Raw = msgspec.json.decode(answer.content, type=dict)
        except msgspec.DecodeError as problem:
            raise _failed(method, f"{method} {target}: the answer is not a JSON object: {problem}") from problem
        return decoded

    async def _attempt(  # noqa: PLR0913 - the parts of an HTTP request
        self,
        method: str,
        target: str,
        body: object,
        content_type: str,
        seconds: float,
        *,
        urgent: bool,
    ) -> Answer:
        request = f"{method} {target}"
        try:
            async with asyncio.timeout(seconds) as waiting, self._limiter.slot(urgent=urgent):
                waiting.reschedule(None)
                return await self._send(method, target, body, content_type, seconds)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as problem:
            raise TransientError(f"{request}: the API server cannot be reached: {problem}") from problem
        except aiohttp.ClientError as problem:
            raise _failed(method, f"{request}: the connection broke: {type(problem).__name__}: {problem}") from problem
        except TimeoutError as problem:
            if waiting.expired():
                raise TransientError(f"{request}: no free slot within {seconds:g} s; not sent") from problem
            raise _failed(method, f"{request}: no answer within {seconds:g} s") from problem

    async def _send(self, method: str, target: str, body: object, content_type: str, seconds: float) -> Answer:
        headers = {"Accept": JSON, "Content-Type": content_type, "User-Agent": _USER_AGENT}
        try:
            # This may re-read a token file or call an identity provider.
            async with asyncio.timeout(seconds):
                await self._api.update_params_for_auth(headers, [], ["BearerToken"], target, method, body)
        except (ConfigException, OSError, TimeoutError) as problem:
            raise TransientError(f"{method} {target}: no credentials: {problem}; not sent") from problem
        response = await self._api.rest_client.request(
            method,
            self._api.configuration.host + target,
            headers=headers,
            body=body,
            _request_timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_TIMEOUT),
        )
        return await _read(response.response, method, target)


async def _read(response: aiohttp.ClientResponse, method: str, target: str) -> Answer:
    content = bytearray()
    async with response:
        async for chunk in response.content.iter_chunked(_CHUNK):
            content += chunk
            if len(content) > _MAX_BYTES:
                response.close()
                message = f"{method} {target}: the answer is over {_MAX_BYTES >> 20} MB: read in smaller pages"
                raise RefusedError(message) if method in _READS else AmbiguousError(message)
    return Answer(response.status, bytes(content), _retry_after(response.headers.get("Retry-After", "")))


def _retry_after(header: str) -> float:
    # The API server sends whole seconds, never a date (apiserver, pkg/server/filters/maxinflight.go).
    return float(header) if header.isdecimal() else 1.0


def _failed(method: str, message: str) -> SerinusError:
    return TransientError(message) if method in _READS else AmbiguousError(f"{message}; it may have been written")
