"""A small server that streams tokens and has vLLM's metrics: real requests and times, invented words.

POST /v1/chat/completions  {"prompt": "…", "max_tokens": 20}
  -> 200 text/event-stream: one ``data:`` line for each token, then ``data: [DONE]``; header x-served-by: 1.1.0
GET  /healthz              -> 200
GET  /metrics              -> vLLM's names, labels and bounds (vllm/v1/metrics/loggers.py)
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from demo.portable.server import POD_IP, SERVED_BY

MODEL: Final = "helpdesk"
PORT: Final = 8000
PATH: Final = "/v1/chat/completions"

_MAX_BODY_BYTES: Final = 16_384
_GRACE_SECONDS: Final = 3.0
_WORDS: Final = ("Restart", "the", "router,", "wait", "a", "minute", "and", "try", "again.")
_LABELS: Final = ("model_name", "engine")
_FIRST_TOKEN_BOUNDS: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_TOKEN_BOUNDS: Final = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
_REQUEST_BOUNDS: Final = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request."""

    prompt: Annotated[str, Meta(max_length=8000)]
    max_tokens: Annotated[int, Meta(ge=1, le=1000)] = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a version answers.

    Attributes:
        first: seconds until the first token.
        each: seconds for each further token.
        late: the seconds until the first token once ``after`` requests were answered.
        after: number of requests that are answered with ``first``.
    """

    first: float = 0.05
    each: float = 0.01
    late: float = 0.05
    after: int = 0

    def first_of(self, number: int) -> float:
        """Return the seconds until the first token of the request with this number, counted from 0."""
        return self.first if number < self.after else self.late


class Metrics:
    """vLLM's metrics of one engine."""

    def __init__(self) -> None:
        """Begin at zero, as vLLM does: each series is there before the first request."""
        self.registry = CollectorRegistry()

        def histogram(name: str, bounds: Sequence[float]) -> Histogram:
            made = Histogram(f"vllm:{name}", name, _LABELS, buckets=bounds, registry=self.registry)
            return made.labels(MODEL, "0")

        def counter(name: str) -> Counter:
            return Counter(f"vllm:{name}", name, _LABELS, registry=self.registry).labels(MODEL, "0")

        self.first = histogram("time_to_first_token_seconds", _FIRST_TOKEN_BOUNDS)
        self.token = histogram("inter_token_latency_seconds", _TOKEN_BOUNDS)
        self.per_token = histogram("request_time_per_output_token_seconds", _TOKEN_BOUNDS)
        self.whole = histogram("e2e_request_latency_seconds", _REQUEST_BOUNDS)
        self.queue = histogram("request_queue_time_seconds", _REQUEST_BOUNDS)
        self.generated = counter("generation_tokens")
        self.preempted = counter("num_preemptions")
        self.running = Gauge("vllm:num_requests_running", "running", _LABELS, registry=self.registry).labels(MODEL, "0")
        finished = Counter("vllm:request_success", "finished", (*_LABELS, "finished_reason"), registry=self.registry)
        self.finished = {reason: finished.labels(MODEL, "0", reason) for reason in ("stop", "length", "abort", "error")}
        responses = ("handler", "method", "status")
        self.responses = Counter("http_requests", "responses", responses, registry=self.registry)

    def text(self) -> bytes:
        """Return them in Prometheus' text format."""
        return generate_latest(self.registry)


class TokenServer:
    """Serves one version."""

    def __init__(self, version: str, pace: Pace) -> None:
        self._version, self._pace = version, pace
        self._answered = 0
        self.metrics = Metrics()

    def application(self) -> web.Application:
        """Return the application for clients, the kubelet and Prometheus."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        routes = (web.post(PATH, self._complete), web.get("/healthz", self._health), web.get("/metrics", self._scrape))
        app.add_routes(routes)
        return app

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            prompt = msgspec.json.decode(await request.read(), type=Prompt)
        except msgspec.DecodeError as problem:
            self.metrics.responses.labels(PATH, "POST", "4xx").inc()
            return web.json_response({"error": str(problem)}, status=400, headers={SERVED_BY: self._version})
        number, self._answered = self._answered, self._answered + 1
        self.metrics.running.inc()
        try:
            response = await self._stream(request, prompt.max_tokens, number)
        except (ConnectionResetError, asyncio.CancelledError):
            self.metrics.finished["abort"].inc()
            raise
        finally:
            self.metrics.running.dec()
        self.metrics.responses.labels(PATH, "POST", "2xx").inc()
        return response

    async def _stream(self, request: web.Request, tokens: int, number: int) -> web.StreamResponse:
        began = time.monotonic()
        self.metrics.queue.observe(0.0)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", SERVED_BY: self._version})
        await response.prepare(request)
        first = last = began
        for index in range(tokens):
            await asyncio.sleep(self._pace.each if index else self._pace.first_of(number))
            await response.write(_event({"token": _WORDS[index % len(_WORDS)]}))
            now = time.monotonic()
            self.metrics.generated.inc()
            if index:
                self.metrics.token.observe(now - last)
            else:
                first = now
                self.metrics.first.observe(now - began)
            last = now
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        self.metrics.finished["length"].inc()
        self.metrics.whole.observe(last - began)
        if tokens > 1:
            self.metrics.per_token.observe((last - first) / (tokens - 1))
        return response

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"model": MODEL, "version": self._version})

    async def _scrape(self, _: web.Request) -> web.Response:
        return web.Response(body=self.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})


def _event(body: object) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


@asynccontextmanager
async def listening(server: TokenServer, host: str, port: int) -> AsyncIterator[None]:
    """Serve until the block ends; streams under way go on for a moment."""
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=_GRACE_SECONDS)
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    pace = Pace(late=options.late_first_token, after=options.after_requests)
    async with listening(TokenServer(options.version, pace), options.host, options.port):
        print(f"{MODEL} {options.version} serves on {options.host}:{options.port}", flush=True)
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve one version until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m demo.llm.server", description="Stream tokens, as vLLM does.")
    pod = os.environ.get(POD_IP)
    parser.add_argument("--version", required=True, help="such as 1.1.0")
    parser.add_argument("--host", default=pod, required=not pod, help=f"the address to listen on; default ${POD_IP}")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--late-first-token", type=float, default=Pace().late, metavar="SECONDS")
    parser.add_argument("--after-requests", type=int, default=0, help="number of requests to answer fast first")
    asyncio.run(_serve(parser.parse_args(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
