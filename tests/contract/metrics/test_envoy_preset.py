"""The Envoy preset against a real Envoy: responses, refused connections, time-outs, no healthy host."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from localcluster.programs.catalogue import PROMETHEUS_3
from localcluster.programs.provide import resolve
from serinus.engine.analysis.measurements import Answer, Batch, Counted, NoData, Question
from support.prometheus.envoy import Upstream, running_envoy
from support.prometheus.questions import question
from support.prometheus.server import Prometheus
from support.prometheus.written_past import source
from support.servers.ready import free_port

_DEADLINE_SECONDS = 90.0


@pytest.fixture
async def model() -> AsyncIterator[int]:
    """A model server: /good answers, /good/slow takes a quarter of a second, /good/wrong is 422, the rest too long."""

    async def serve(request: web.Request) -> web.Response:
        path = request.path
        await asyncio.sleep(0.24 if path.endswith("slow") else 5 if path.startswith("/hanging") else 0)
        return web.Response(status=422 if path.endswith("wrong") else 200)

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    yield site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    await runner.cleanup()


KINDS = {
    "classic": "",
    "native": "scrape_native_histograms: true, params: {histogram_buckets: [prometheusnative]}, ",
    "custom-buckets": "convert_classic_histograms_to_nhcb: true, ",
}
"""By kind of histogram, what is set in the scrape config; all but the classic ones need a Prometheus 3."""


@pytest.mark.parametrize("kind", KINDS)
async def test_the_preset_counts_the_requests_that_envoy_counted(tmp_path: Path, model: int, kind: str) -> None:
    ports = {"good": model, "hanging": model, "refusing": free_port(), "empty": None, "idle": model}
    clusters = {name: Upstream(port, timeout="2s") for name, port in ports.items()}
    async with running_envoy(tmp_path, clusters) as gateway:
        listen = gateway.port
        with Prometheus(
            tmp_path,
            targets=[f"127.0.0.1:{gateway.admin}"],
            path="/stats/prometheus",
            job=KINDS[kind],
            binary=resolve(PROMETHEUS_3) if KINDS[kind] else None,
        ) as prometheus:
            metrics = source(prometheus.url, scrapeInterval="1s")
            try:
                errors = {name: question(backend=name, model=name) for name in clusters}
                slow = question("latency_p95 > 200ms", backend="good", model="good")
                wrong = question("client_error_rate > 1%", backend="good", model="good")
                asked = [*errors.values(), slow, wrong]

                async def ask() -> dict[Question, Answer]:
                    return dict(await metrics.ask(asked, datetime.now(UTC), begin))

                begin = datetime.now(UTC)
                await until(ask, lambda answers: isinstance(answers[errors["idle"]], Counted))
                # From here on Prometheus knows the targets, as it does when a stage begins.
                begin = datetime.now(UTC)
                await call(
                    listen, ["good/"] * 6 + ["good/slow"] * 2 + ["good/wrong"] + ["hanging/", "refusing/", "empty/"]
                )
                failed = Batch(1, 1, 1, 1)
                expected = {
                    errors["good"]: Batch(9, 0, 0, 0),
                    errors["hanging"]: failed,
                    errors["refusing"]: failed,
                    errors["empty"]: failed,
                    errors["idle"]: Batch(0, 0, 0, 0),
                    slow: Batch(9, 2, 2, 2),
                    wrong: Batch(9, 1, 1, 1),
                }
                # A scrape may come between the queries of one tick: all of them are awaited.
                answers = await until(ask, lambda answers: batches(answers) == expected)
            finally:
                metrics.close()
    assert batches(answers) == expected


async def until(
    ask: Callable[[], Awaitable[dict[Question, Answer]]],
    holds: Callable[[dict[Question, Answer]], bool],
) -> dict[Question, Answer]:
    """Ask until the condition holds; return the last answers where it does not in time."""
    deadline = asyncio.get_running_loop().time() + _DEADLINE_SECONDS
    while True:
        answers = await ask()
        if holds(answers) or asyncio.get_running_loop().time() > deadline:
            return answers
        await asyncio.sleep(0.2)


async def call(port: int, paths: list[str]) -> None:
    async with aiohttp.ClientSession() as client:
        for path in paths:
            async with client.get(f"http://127.0.0.1:{port}/{path}") as response:
                await response.read()


def batches(answers: dict[Question, Answer]) -> dict[Question, Batch | str]:
    return {asked: batch(answer) for asked, answer in answers.items()}


def batch(answer: Answer) -> Batch | str:
    match answer:
        case Counted(batch=counted):
            return counted
        case NoData(message=message):
            return message
        case _:
            return str(answer)
