"""HTTP tests of a candidate: one request and assertions on the response, over real HTTP on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from serinus.api.modelversion import BackendRef
from serinus.api.parsing import decode
from serinus.api.rollout_status import TestResult
from serinus.api.stage_tests import HttpCheck
from serinus.engine.rollout.observation import TestOutcome
from serinus.kube.httpchecks import ServiceChecks, service_url
from support.kube.scripted import Answer, Script, disconnect, hang, respond, respond_raw, scripted

BACKEND = BackendRef(name="fraud-v2", port=8080)


def check(**fields: Any) -> HttpCheck:
    return decode(HttpCheck, {"path": "/healthz", **fields}, "http")


@asynccontextmanager
async def candidate(*answers: Answer) -> AsyncIterator[tuple[ServiceChecks, Script, list[float]]]:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async with scripted(*answers) as server:
        yield ServiceChecks(lambda _namespace, _backend: server.url, pause), server, pauses


async def outcome(answer: Answer, **fields: Any) -> TestOutcome:
    async with candidate(answer) as (checks, _, _):
        return await checks.run("ml", BACKEND, check(**fields))


def test_a_service_is_reached_by_its_cluster_dns_name() -> None:
    assert service_url("ml", BACKEND) == "http://fraud-v2.ml.svc:8080"


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
            "GET /healthz: expected secret to be true, it is an object",
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
    assert result.result is TestResult.FAILED
    assert "expected a JSON body" in result.message
    assert "secret" not in result.message


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


@pytest.mark.parametrize(
    "backend",
    [BackendRef(name="pool", kind="InferencePool", group="inference.networking.k8s.io")],
)
async def test_a_backend_without_an_address_fails_and_recommends_a_job_test(backend: BackendRef) -> None:
    result = await ServiceChecks().run("ml", backend, check())
    assert result.result is TestResult.FAILED
    assert "use a job test" in result.message
