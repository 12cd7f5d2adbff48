"""Runs HTTP tests: one request to a ready endpoint of the candidate's Service and assertions on the response.

The messages are shown to whoever may read the Rollout, and its author wrote the assertions. So they say what was
expected and of which type and length the answer was, never a part of it: else any test would read the whole answer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp
import jmespath
import msgspec
from jmespath.exceptions import JMESPathError
from yarl import URL

from serinus.api.modelversion import BackendRef
from serinus.api.rollout_status import TestResult
from serinus.api.stage_tests import HttpCheck, HttpExpectation
from serinus.engine.rollout.observation import TestOutcome
from serinus.errors import TransientError
from serinus.kube.service_endpoints import Endpoint, UnusableBackendError

_MAX_BYTES: Final = 1024 * 1024
_RETRY_PAUSE: Final = 1.0

_HOST: Final = "Host"


class Endpoints(Protocol):
    """Tells where the requests of a test may go; see :class:`ServiceEndpoints`."""

    async def of(self, namespace: str, backend: BackendRef) -> Sequence[Endpoint]:
        """Return the ready endpoints; raises UnusableBackendError, RefusedError, TransientError."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    millis: float


class _UnusableError(Exception):
    """The response cannot be evaluated; the message says why."""


def service_host(namespace: str, backend: BackendRef) -> str:
    """Return the cluster-internal DNS name of a Service with its port, as in the header Host."""
    return f"{backend.name}.{namespace}.svc:{backend.port}"


class ServiceChecks:
    """Implements the port ``HttpChecks``; uses no cookies, redirects or proxies, and resolves no name."""

    def __init__(self, endpoints: Endpoints, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Send to what ``endpoints`` returns; ``sleep`` is called between two attempts."""
        self._endpoints = endpoints
        self._sleep = sleep

    async def run(self, namespace: str, backend: BackendRef, check: HttpCheck) -> TestOutcome:
        """Send the request up to ``attempts`` times, to one endpoint after the other, and check the response.

        No response is a failed test. An attempt at which no endpoint is ready sends nothing, and says nothing of the
        candidate: its pods may be starting, or being moved to another node.

        Raises:
            RefusedError: nothing was sent, as the endpoints may not be read.
            TransientError: nothing was sent, as the endpoints cannot be read now, or none was ready at any attempt.
        """
        request, host = f"{check.method} {check.path}", service_host(namespace, backend)
        problem = ""
        for attempt in range(check.attempts):
            if attempt:
                await self._sleep(_RETRY_PAUSE)
            try:
                # For each attempt: an endpoint that has ended may have given its address to another pod.
                endpoints = await self._endpoints.of(namespace, backend)
            except UnusableBackendError as reason:
                return TestOutcome(TestResult.FAILED, f"{request}: {reason}")
            if not endpoints:
                continue
            problem = await _problem(endpoints[attempt % len(endpoints)], host, check)
            if not problem:
                return TestOutcome(TestResult.PASSED, f"{request} answered as expected")
        if not problem:
            raise TransientError(f"no endpoint of Service {backend.name} is ready: see why its pods are not")
        tries = f" (the last of {check.attempts} attempts)" if check.attempts > 1 else ""
        return TestOutcome(TestResult.FAILED, f"{request}{tries}: {problem}")


async def _problem(endpoint: Endpoint, host: str, check: HttpCheck) -> str:
    """Return what is wrong with the answer of one endpoint; empty where nothing is."""
    url = URL(f"http://{endpoint.authority}{check.path}", encoded=True)
    try:
        return _mismatch(await _send(url, host, check), check.expect)
    except TimeoutError:
        return f"no whole answer within {check.timeout}"
    except aiohttp.ClientConnectorError as problem:
        return f"no answer: {problem.os_error.strerror or type(problem).__name__}"
    except aiohttp.ClientError as problem:
        # Its text may quote the answer, such as a status line that is none.
        return f"no answer: {type(problem).__name__}"
    except _UnusableError as problem:
        return str(problem)


async def _send(url: URL, host: str, check: HttpCheck) -> _Answer:
    timeout = aiohttp.ClientTimeout(total=check.timeout.seconds)
    # A session for each check: a test must use a new connection, and checks are few.
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        started = time.perf_counter()
        async with session.request(
            check.method,
            url,
            headers=_headers(host, check),
            data=check.body.encode() if check.body else None,
            allow_redirects=False,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(64 * 1024):
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise _UnusableError("the answer is over 1 MB")
            return _Answer(response.status, bytes(body), (time.perf_counter() - started) * 1000)


def _headers(host: str, check: HttpCheck) -> list[tuple[str, str]]:
    """Return the check's own headers, and the Service's name as Host unless they have another one."""
    own = [(header.name, header.value) for header in check.headers]
    named = any(name.lower() == _HOST.lower() for name, _ in own)
    return own if named else [(_HOST, host), *own]


def _mismatch(answer: _Answer, expect: HttpExpectation) -> str:
    """Return the first unmet expectation; empty where the response meets all."""
    if answer.status not in expect.status:
        statuses = " or ".join(map(str, expect.status))
        return f"expected status {statuses}, got {answer.status}"
    if expect.max_latency is not None and answer.millis > expect.max_latency.seconds * 1000:
        return f"expected an answer within {expect.max_latency}, it took {answer.millis:.0f}ms"
    if not expect.json:
        return ""
    try:
        body = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return f"expected a JSON body, got {len(answer.body)} bytes that are none"
    return next(filter(None, (_unmet(expression, body) for expression in expect.json)), "")


def _unmet(expression: str, body: object) -> str:
    try:
        result = jmespath.search(expression, body)
    except (JMESPathError, ArithmeticError, RecursionError) as problem:
        return f"the assertion {expression} cannot be evaluated: {type(problem).__name__}"
    return "" if result is True else f"expected {expression} to be true, it is {_kind(result)}"


def _kind(value: object) -> str:
    """Return the type of a JSON value, and the length where it has one."""
    match value:
        case None:
            return "null"
        case bool():
            return "false"
        case int() | float():
            return "a number"
        case str():
            return f"text of {len(value)} characters"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"an object of {len(value)} fields"
        case _:
            return "another value"
