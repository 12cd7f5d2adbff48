"""What a real Envoy tells of requests that had no complete answer, and what is counted of it.

The table of docs/reference/metrics-presets.md.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from demo.observe import wait_for
from serinus.api.abort_condition import parse_abort_condition
from serinus.api.rollout import MetricsRef
from serinus.engine.analysis.assessment import Progress, begin, update
from serinus.engine.analysis.measurements import Counted
from serinus.metrics import PrometheusSource
from support.analysis import a_stage
from support.prometheus.envoy import Upstream, running_envoy
from support.prometheus.questions import question
from support.prometheus.server import Prometheus
from support.prometheus.written_past import source
from support.servers.faulty_model import Fault, faulty_model
from support.servers.grpc_model import Broken, grpc_model
from support.servers.ready import free_port

_REQUESTS: Final = 10
_PATIENCE: Final = 0.25
"""Seconds after which the clients of slow and hanging backends go away."""

_LONG: Final = 5.0
_DEADLINE: Final = 40.0
_CONDITIONS: Final = ("error_rate > 1%", "unanswered_rate > 1%", "client_error_rate > 1%")


@dataclass(frozen=True, slots=True)
class Case:
    """What happens to ten requests, and how many of them each condition counts as bad."""

    path: str
    upstream: Upstream
    errors: int = 0
    unanswered: int = 0
    refused: int = 0
    patience: float = _LONG
    grpc: bool = False
    at_once: bool = False


def cases(http: int, grpc: int) -> dict[str, Case]:
    """Return the cases by the name of their backend."""
    plain, calls = Upstream(http), Upstream(grpc, http2=True)
    ten = _REQUESTS
    return {
        "good": Case(Fault.NONE, plain),
        "hangs": Case(Fault.HANG, plain, unanswered=ten, patience=_PATIENCE),
        "hangs-with-time-out": Case(Fault.HANG, Upstream(http, timeout="0.1s"), errors=ten, unanswered=ten),
        "resets-before": Case(Fault.RESET, plain, errors=ten, unanswered=ten),
        "resets-in-body": Case(Fault.RESET_IN_BODY, plain, unanswered=ten),
        "ends-short": Case(Fault.SHORT_BODY, plain, unanswered=ten),
        "ends-chunks-early": Case(Fault.UNENDED_CHUNKS, plain, unanswered=ten),
        "resets-then-answers": Case(Fault.RESET_THEN_GOOD, Upstream(http, retries=1), unanswered=ten),
        "refuses-connections": Case(Fault.NONE, Upstream(free_port()), errors=ten, unanswered=ten),
        "no-endpoint": Case(Fault.NONE, Upstream(None), errors=ten, unanswered=ten),
        # One connection, one waiting request: the others are answered with 503 by Envoy.
        "overloaded": Case(Fault.SLOW, Upstream(http, most=1), at_once=True),
        "slow-and-clients-leave": Case(Fault.SLOW, plain, unanswered=ten, patience=_PATIENCE),
        "streams-and-clients-leave": Case(Fault.STREAM, plain, patience=_PATIENCE),
        "answers-500": Case(Fault.ERROR, plain, errors=ten),
        "answers-401": Case(Fault.REFUSE, plain, refused=ten),
        "grpc-ok": Case("status-0", calls, grpc=True),
        "grpc-internal": Case("status-13", calls, errors=ten, grpc=True),
        "grpc-internal-at-once": Case("status-13-at-once", calls, errors=ten, grpc=True),
        "grpc-invalid-argument": Case("status-3", calls, refused=ten, grpc=True),
        "grpc-no-endpoint": Case("status-0", Upstream(None, http2=True), errors=ten, unanswered=ten, grpc=True),
        "grpc-hangs": Case(Broken.HANG, calls, unanswered=ten, patience=_PATIENCE, grpc=True),
        "grpc-resets-in-body": Case(Broken.RESET_IN_BODY, calls, unanswered=ten, grpc=True),
    }


async def test_what_is_counted_of_requests_without_a_complete_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(faulty_model())
        port = await stack.enter_async_context(grpc_model())
        tried = cases(model.port, port)
        upstreams = {name: case.upstream for name, case in tried.items()}
        gateway = await stack.enter_async_context(running_envoy(tmp_path, upstreams))
        targets = [f"127.0.0.1:{gateway.admin}"]
        prometheus = stack.enter_context(Prometheus(tmp_path, targets=targets, path="/stats/prometheus"))
        metrics = source(prometheus.url, scrapeInterval="1s")
        stack.callback(metrics.close)
        watched = Watched(metrics, tuple(tried))
        await wait_for(watched.look, known, within=_DEADLINE, what="series of every backend", describe=told)
        # Prometheus has seen a call of gRPC: from then on the failures of the model are asked for.
        await call(gateway.port, "grpc-ok", tried["grpc-ok"])
        await wait_for(
            watched.look, lambda seen: seen["grpc-ok"][0].requests >= _REQUESTS, within=_DEADLINE, what="a call"
        )
        answered = {name: await call(gateway.port, name, case) for name, case in tried.items()}
        expected = {name: (case.errors, case.unanswered, case.refused) for name, case in tried.items()}
        turned_away = answered["overloaded"].count("503")
        assert turned_away >= _REQUESTS // 2
        expected["overloaded"] = (turned_away, turned_away, 0)

        def fits(seen: Mapping[str, Sequence[Progress]]) -> bool:
            return bad_of(seen) == expected

        await wait_for(watched.look, fits, within=_DEADLINE, what=f"{expected}", describe=told)
        # What is not there yet would have come by now.
        enough = datetime.now(UTC) + timedelta(seconds=4)
        seen = await wait_for(
            watched.look, lambda _: datetime.now(UTC) > enough, within=_DEADLINE, what="four more scrapes"
        )
    assert bad_of(seen) == expected
    with capsys.disabled():
        print(f"\n  {'of ten requests':28}{'5xx':>6}{'unanswered':>12}{'4xx':>6}")  # noqa: T201 - the docs' table
        for name, counted in bad_of(seen).items():
            print(f"  {name:28}{counted[0]:6}{counted[1]:12}{counted[2]:6}")  # noqa: T201


def bad_of(seen: Mapping[str, Sequence[Progress]]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(round(one.certain) for one in conditions) for name, conditions in seen.items()}


def told(seen: Mapping[str, Sequence[Progress]]) -> str:
    return str(bad_of(seen))


def known(seen: Mapping[str, Sequence[Progress]]) -> bool:
    return all(isinstance(one.latest, Counted) for conditions in seen.values() for one in conditions)


class Watched:
    """The progress of three conditions about each backend, updated at every look."""

    def __init__(self, metrics: PrometheusSource, names: Sequence[str]) -> None:
        self._metrics = metrics
        self._asked = {
            (name, line): question(line, backend=name, model="grpc" if "grpc" in name else name)
            for name in names
            for line in _CONDITIONS
        }
        self._progress = {
            (name, line): begin(
                parse_abort_condition(line),
                a_stage(line),
                MetricsRef(),
                conditions_in_run=1,
                scrape_interval=timedelta(seconds=1),
            )
            for name, line in self._asked
        }
        self._since = datetime.now(UTC)

    async def look(self) -> dict[str, list[Progress]]:
        now = datetime.now(UTC)
        answers = await self._metrics.ask(list(self._asked.values()), now, self._since)
        self._since = now
        for key, progress in self._progress.items():
            self._progress[key] = update(progress, answers[self._asked[key]], None)
        names = dict.fromkeys(name for name, _ in self._progress)
        return {name: [self._progress[name, line] for line in _CONDITIONS] for name in names}


async def call(port: int, name: str, case: Case) -> list[str]:
    """Send the case's requests, and return the statuses of the answers."""
    requests = (one_call(port, f"/{name}/{case.path}", case) for _ in range(_REQUESTS))
    if case.at_once or case.patience < _LONG:
        return await asyncio.gather(*requests)
    return [await request for request in requests]


async def one_call(port: int, path: str, case: Case) -> str:
    """Send one request on a connection of its own, and leave when the client's patience is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    kind = "content-type: application/grpc\r\nte: trailers\r\n" if case.grpc else ""
    body = "\0\0\0\0\0" if case.grpc else ""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n{kind}\r\n"
    try:
        writer.write((head + body).encode())
        with suppress(TimeoutError, ConnectionError):
            answer = await asyncio.wait_for(reader.read(), case.patience)
            return answer.split(b" ", 2)[1].decode() if answer else ""
        return ""
    finally:
        writer.transport.abort()
