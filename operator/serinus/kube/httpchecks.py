"""Runs HTTP tests: one request to the candidate's Service and assertions on the response."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import jmespath
import msgspec
from jmespath.exceptions import JMESPathError
from yarl import URL

from serinus.api.modelversion import BackendRef
from serinus.api.rollout_status import TestResult
from serinus.api.stage_tests import HttpCheck, HttpExpectation
from serinus.engine.rollout.observation import TestOutcome

_MAX_BYTES: Final = 1024 * 1024
_MAX_SHOWN_VALUE: Final = 40
_RETRY_PAUSE: Final = 1.0

Locate = Callable[[str, BackendRef], str]
"""Returns the root URL of a backend in a namespace, such as ``http://fraud-v2.ml.svc:80``."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    millis: float


class _UnusableError(Exception):
    """The response cannot be evaluated; the message says why."""


def service_url(namespace: str, backend: BackendRef) -> str:
    """Return the cluster-internal URL of a Service."""
    return f"http://{backend.name}.{namespace}.svc:{backend.port}"


class ServiceChecks:
    """Implements the port ``HttpChecks``; uses no cookies, redirects or proxies."""

    def __init__(self, locate: Locate = service_url, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Send to the URL that ``locate`` returns; ``sleep`` is called between two attempts."""
        self._locate = locate
        self._sleep = sleep

    async def run(self, namespace: str, backend: BackendRef, check: HttpCheck) -> TestOutcome:
        """Send the request up to ``attempts`` times and check the response; no response is a failed test.

        Never raises.
        """
        if (backend.group, backend.kind) != ("", "Service") or backend.port is None:
            return TestOutcome(
                TestResult.FAILED, f"{backend.kind} {backend.name} is not a Service with a port: use a job test"
            )
        request = f"{check.method} {check.path}"
        url = URL(self._locate(namespace, backend) + check.path, encoded=True)
        problem = ""
        for attempt in range(1, check.attempts + 1):
            problem = await self._problem(url, check)
            if not problem:
                return TestOutcome(TestResult.PASSED, f"{request} answered as expected")
            if attempt < check.attempts:
                await self._sleep(_RETRY_PAUSE)
        tries = f" (the last of {check.attempts} attempts)" if check.attempts > 1 else ""
        return TestOutcome(TestResult.FAILED, f"{request}{tries}: {problem}")

    async def _problem(self, url: URL, check: HttpCheck) -> str:
        try:
            return _mismatch(await _send(url, check), check.expect)
        except TimeoutError:
            return f"no whole answer within {check.timeout}"
        except aiohttp.ClientError as problem:
            return f"no answer: {type(problem).__name__}: {problem}"
        except _UnusableError as problem:
            return str(problem)


async def _send(url: URL, check: HttpCheck) -> _Answer:
    timeout = aiohttp.ClientTimeout(total=check.timeout.seconds)
    # A session for each check: a test must use a new connection, and checks are few.
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        started = time.perf_counter()
        async with session.request(
            check.method,
            url,
            headers=[(header.name, header.value) for header in check.headers],
            data=check.body.encode() if check.body else None,
            allow_redirects=False,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(64 * 1024):
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise _UnusableError("the answer is over 1 MB")
            return _Answer(response.status, bytes(body), (time.perf_counter() - started) * 1000)


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
    except msgspec.DecodeError as problem:
        return f"expected a JSON body: {problem}"
    return next(filter(None, (_unmet(expression, body) for expression in expect.json)), "")


def _unmet(expression: str, body: object) -> str:
    try:
        result = jmespath.search(expression, body)
    except (JMESPathError, ArithmeticError, RecursionError) as problem:
        return f"the assertion {expression} cannot be evaluated: {type(problem).__name__}"
    return "" if result is True else f"expected {expression} to be true, it is {_shown(result)}"


def _shown(value: Any) -> str:  # noqa: ANN401 - whatever a JMESPath expression yields
    """Describe a value without revealing the body: short scalars verbatim, everything else by type."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    encoded = msgspec.json.encode(value).decode()
    return encoded if len(encoded) <= _MAX_SHOWN_VALUE else f"text of {len(encoded)} characters"
