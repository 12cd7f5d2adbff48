"""HTTP tests of a candidate: one request and assertions on the response, over real HTTP on loopback."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from serinus.api.modelversion import BackendRef
from serinus.api.parsing import decode
from serinus.api.rollout_status import TestResult
from serinus.api.stage_tests import HttpCheck
from serinus.engine.rollout.observation import TestOutcome
from serinus.errors import RefusedError, SerinusError, TransientError
from serinus.kube.httpchecks import ServiceChecks
from serinus.kube.service_endpoints import Endpoint, UnusableBackendError
from support.kube.scripted import Answer, Script, disconnect, hang, respond, respond_raw, scripted

BACKEND = BackendRef(name="fraud-v2", port=8080)


async def no_pause(_: float) -> None:
    await asyncio.sleep(0)


def check(**fields: Any) -> HttpCheck:
    return decode(HttpCheck, {"path": "/healthz", **fields}, "http")


class FixedEndpoints:
    """Returns these endpoints, or raises the problem instead; remembers how often it was asked."""

    def __init__(self, *endpoints: Endpoint, problem: Exception | None = None) -> None:
        self.endpoints, self.problem = endpoints, problem
        self.asked = 0

    @classmethod
    def at(cls, *urls: str) -> "FixedEndpoints":
        parts = [urlsplit(url) for url in urls]
        return cls(*(Endpoint(part.hostname or "", part.port or 0) for part in parts))

    async def of(self, namespace: str, backend: BackendRef) -> Sequence[Endpoint]:
        assert (namespace, backend) == ("ml", BACKEND)
        self.asked += 1
        if self.problem is not None:
            raise self.problem
        return self.endpoints


@asynccontextmanager
async def candidate(*answers: Answer) -> AsyncIterator[tuple[ServiceChecks, Script, list[float]]]:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async with scripted(*answers) as server:
        yield ServiceChecks(FixedEndpoints.at(server.url), pause), server, pauses


async def outcome(answer: Answer, **fields: Any) -> TestOutcome:
    async with candidate(answer) as (checks, _, _):
        return await checks.run("ml", BACKEND, check(**fields))


async def test_the_request_goes_to_the_endpoints_address_under_the_services_name() -> None:
    async with candidate(respond(200)) as (checks, server, _):
        await checks.run("ml", BACKEND, check())
        own = check(headers=[{"name": "host", "value": "fraud.example"}])
        await checks.run("ml", BACKEND, own)
    assert [headers["host"] for headers in server.headers] == ["fraud-v2.ml.svc:8080", "fraud.example"]


async def test_each_attempt_goes_to_another_endpoint_as_they_are_then() -> None:
    async with scripted(respond(503)) as first, scripted(respond(200)) as second:
        endpoints = FixedEndpoints.at(first.url, second.url)
        checks = ServiceChecks(endpoints, no_pause)
        result = await checks.run("ml", BACKEND, check(attempts=3))
    assert result.result is TestResult.PASSED
    assert (len(first.asked), len(second.asked), endpoints.asked) == (1, 1, 2)


async def test_without_a_ready_endpoint_at_any_attempt_nothing_is_said_of_the_candidate() -> None:
    endpoints = FixedEndpoints()
    with pytest.raises(TransientError, match="no endpoint of Service fraud-v2 is ready"):
        await ServiceChecks(endpoints, no_pause).run("ml", BACKEND, check(attempts=2))
    assert endpoints.asked == 2


async def test_a_wrong_answer_counts_though_no_endpoint_is_ready_at_the_next_attempt() -> None:
    async with scripted(respond(503)) as server:
        endpoints = FixedEndpoints.at(server.url)

        async def end(_: float) -> None:
            endpoints.endpoints = ()

        result = await ServiceChecks(endpoints, end).run("ml", BACKEND, check(attempts=2))
    message = "GET /healthz (the last of 2 attempts): expected status 200, got 503"
    assert result == TestOutcome(TestResult.FAILED, message)


async def test_a_backend_that_must_not_be_asked_fails_at_once() -> None:
    endpoints = FixedEndpoints(problem=UnusableBackendError("Service fraud-v2 is of type ExternalName"))
    result = await ServiceChecks(endpoints, no_pause).run("ml", BACKEND, check(attempts=3))
    assert result == TestOutcome(TestResult.FAILED, "GET /healthz: Service fraud-v2 is of type ExternalName")
    assert endpoints.asked == 1


@pytest.mark.parametrize("problem", [RefusedError("services is forbidden"), TransientError("no answer within 10 s")])
async def test_endpoints_that_cannot_be_read_say_nothing_of_the_candidate(problem: SerinusError) -> None:
    with pytest.raises(type(problem)):
        await ServiceChecks(FixedEndpoints(problem=problem), no_pause).run("ml", BACKEND, check())


async def test_a_redirect_is_not_followed() -> None:
    async with scripted(respond(200)) as elsewhere, candidate(respond(307, Location=elsewhere.url)) as (checks, _, _):
        result = await checks.run("ml", BACKEND, check())
    assert (result.result, elsewhere.asked) == (TestResult.FAILED, [])


async def test_the_request_is_sent_as_it_is_written() -> None:
    headers = [{"name": "X-Team", "value": "ml"}]
    async with candidate(respond(200)) as (checks, server, _):
        post = check(path="/v1/predict?x=a%20b", method="POST", headers=headers, body='{"amount": 3}')
        result = await checks.run("ml", BACKEND, post)
    assert result == TestOutcome(TestResult.PASSED, "POST /v1/predict?x=a%20b answered as expected")
    assert server.headers[0]["x-team"] == "ml"
    assert server.bodies == [{"amount": 3}]


@pytest.mark.parametrize(
    ("answer", "fields", "message"),
    [
        (respond(503), {}, "GET /healthz: expected status 200, got 503"),
        (respond(200), {"expect": {"status": [201, 204]}}, "GET /healthz: expected status 201 or 204, got 200"),
        (respond(302, Location="http://169.254.169.254/"), {}, "GET /healthz: expected status 200, got 302"),
        (
            respond(200, {"score": 1.5}),
            {"expect": {"json": ["score >= `0`", "score <= `1`"]}},
            "GET /healthz: expected score <= `1` to be true, it is false",
        ),
        (
            respond(200, {"secret": {"a": 1}}),
            {"expect": {"json": ["secret"]}},
            "GET /healthz: expected secret to be true, it is an object of 1 fields",
        ),
        (respond(200, {}), {"expect": {"json": ["score"]}}, "GET /healthz: expected score to be true, it is null"),
        (
            respond(200, {}),
            {"expect": {"json": ["score >="]}},
            "GET /healthz: the assertion score >= cannot be evaluated: IncompleteExpressionError",
        ),
        (respond_raw(b"x" * (2**20 + 1)), {}, "GET /healthz: the answer is over 1 MB"),
        (hang, {"timeout": "100ms"}, "GET /healthz: no whole answer within 100ms"),
    ],
)
async def test_an_unexpected_answer_fails_and_is_described(
    answer: Answer, fields: dict[str, Any], message: str
) -> None:
    assert await outcome(answer, **fields) == TestOutcome(TestResult.FAILED, message)


async def test_a_body_that_is_not_json_fails_without_being_shown() -> None:
    result = await outcome(respond_raw(b"<html>secret</html>"), expect={"json": ["score"]})
    assert result == TestOutcome(TestResult.FAILED, "GET /healthz: expected a JSON body, got 19 bytes that are none")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("ASIAEXAMPLEEXAMPLE12", "text of 20 characters"),
        ("", "text of 0 characters"),
        (4111, "a number"),
        (0.25, "a number"),
        (["ASIA"], "a list of 1"),
        ({"key": "ASIA"}, "an object of 1 fields"),
        (None, "null"),
        (False, "false"),
    ],
)
async def test_a_value_of_the_answer_is_told_by_type_and_length_only(value: object, kind: str) -> None:
    result = await outcome(respond(200, {"found": value}), expect={"json": ["found"]})
    assert result == TestOutcome(TestResult.FAILED, f"GET /healthz: expected found to be true, it is {kind}")


@pytest.mark.parametrize("answer", [b"SSH-2.0-geheim\r\n", b"HTTP/1.1 200 OK\r\ngeheim\r\n\r\n"])
async def test_what_is_no_answer_of_http_is_not_quoted(answer: bytes) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        endpoints = FixedEndpoints(Endpoint(*server.sockets[0].getsockname()))
        result = await ServiceChecks(endpoints, no_pause).run("ml", BACKEND, check())
    assert result.result is TestResult.FAILED
    assert "geheim" not in result.message


async def test_a_refused_connection_is_described() -> None:
    endpoints = FixedEndpoints(Endpoint("127.0.0.1", 1))
    result = await ServiceChecks(endpoints, no_pause).run("ml", BACKEND, check())
    assert result.message.startswith("GET /healthz: no answer: ")


async def test_an_answer_that_comes_too_late_fails_with_both_times() -> None:
    async def slowly(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.05)  # the latency under test
        return web.Response()

    result = await outcome(slowly, expect={"maxLatency": "10ms"})
    assert result.result is TestResult.FAILED
    assert "expected an answer within 10ms, it took " in result.message


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_candidate_that_hangs_up_fails_after_all_attempts(attempts: int) -> None:
    async with candidate(disconnect) as (checks, server, pauses):
        result = await checks.run("ml", BACKEND, check(attempts=attempts, method="POST"))
    assert result.result is TestResult.FAILED
    assert "no answer: ServerDisconnectedError" in result.message
    assert (len(server.asked), len(pauses)) == (attempts, attempts - 1)


async def test_one_good_answer_among_the_attempts_is_enough() -> None:
    async with candidate(respond(503), respond(200)) as (checks, server, _):
        result = await checks.run("ml", BACKEND, check(attempts=3))
    assert (result.result, len(server.asked)) == (TestResult.PASSED, 2)
