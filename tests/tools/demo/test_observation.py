"""Polling with deadlines, the live terminal line, and counting queries per tick."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

from demo.acts import QueryMeter
from demo.cluster import RolloutView
from demo.director import _section
from demo.errors import CouldNotAskError, DemoError
from demo.metrics.prometheus import Counts, Probe
from demo.observe import ended, position, serves, wait_for, was_rolled_back
from demo.terminal import Style, Terminal
from serinus.api.abort_condition import parse_abort_condition
from serinus.api.rollout_status import (
    CurrentStage,
    Phase,
    Rollback,
    RollbackReason,
    RolloutStatus,
    Serving,
    StageState,
)

NOW = datetime(2026, 11, 23, 14, 7, 31, tzinfo=UTC)


async def test_a_wait_returns_the_first_value_that_fits() -> None:
    numbers = iter(range(10))

    async def read() -> int:
        return next(numbers)

    assert await wait_for(read, lambda n: n == 3, within=5, what="three", every=0) == 3


async def test_a_wait_that_times_out_reports_the_last_value() -> None:
    async def read() -> int:
        return 7

    with pytest.raises(DemoError, match=r"eight did not happen within 0 s; last value: 7"):
        await wait_for(read, lambda n: n == 8, within=0, what="eight")


async def test_a_failed_read_is_retried() -> None:
    answers: Iterator[CouldNotAskError | int] = iter([CouldNotAskError("down"), CouldNotAskError("down"), 1])

    async def read() -> int:
        answer = next(answers)
        if isinstance(answer, CouldNotAskError):
            raise answer
        return answer

    assert await wait_for(read, lambda n: n == 1, within=5, what="an answer", every=0) == 1


async def test_an_exited_program_ends_the_wait_at_once() -> None:
    async def read() -> int:
        raise DemoError("the operator ended with status 1")

    with pytest.raises(DemoError, match="ended with status 1"):
        await wait_for(read, lambda n: n == 1, within=60, what="an answer")


def a_rollout(phase: Phase, *, observed: int = 3, desired: str = "2.3.1", stable: str = "2.3.1") -> RolloutView:
    rollback = Rollback(
        version="2.3.1",
        to="2.3.0",
        reason=RollbackReason.METRIC_BREACHED,
        message="",
        at_weight=5,
        decided_at=NOW,
    )
    status = RolloutStatus(
        observed_generation=observed,
        phase=phase,
        stable=Serving(version=stable, weight=100, since=NOW),
        rollback=rollback if phase is Phase.ROLLED_BACK else None,
    )
    return RolloutView(desired, 3, status)


@pytest.mark.parametrize(
    ("rollout", "good", "bad"),
    [
        (a_rollout(Phase.HEALTHY), True, False),
        (a_rollout(Phase.HEALTHY, observed=2), False, False),
        (a_rollout(Phase.HEALTHY, stable="2.3.0"), False, False),
        (a_rollout(Phase.HEALTHY, desired="2.3.2"), False, False),
        (a_rollout(Phase.PROGRESSING), False, False),
        (a_rollout(Phase.ROLLED_BACK), False, True),
        (a_rollout(Phase.ROLLED_BACK, observed=2), False, False),
        (a_rollout(Phase.ROLLED_BACK, desired="2.3.2"), False, False),
    ],
)
def test_a_run_has_ended_only_when_the_status_is_about_the_desired_version(
    rollout: RolloutView, *, good: bool, bad: bool
) -> None:
    assert serves("2.3.1")(rollout) is good
    assert was_rolled_back("2.3.1")(rollout) is bad
    assert ended("2.3.1")(rollout) is (good or bad)


def analysing(state: StageState = StageState.ANALYZING) -> RolloutStatus:
    stage = CurrentStage(index=1, name="canary", state=state, since=NOW, state_since=NOW)
    return RolloutStatus(phase=Phase.PROGRESSING, stage=stage)


def test_a_position_names_the_stage_only_during_a_run() -> None:
    assert position(analysing()) == "Progressing · canary · Analyzing"
    assert position(RolloutStatus(phase=Phase.ROLLED_BACK, stage=analysing().stage)) == "RolledBack"


class Prometheus:
    """A fake Prometheus that counts its queries."""

    def __init__(self) -> None:
        self.received = 0
        self.answer: object = {}
        self.status = 200

    async def query(self, _: web.Request) -> web.Response:
        self.received += 1
        return web.json_response({"data": {"result": self.answer}}, status=self.status)

    async def metrics(self, _: web.Request) -> web.Response:
        head = "prometheus_http_requests_total"
        lines = [
            f'{head}{{code="200",handler="/api/v1/query"}} {self.received}',
            f'{head}{{code="200",handler="/api/v1/query_range"}} 0',
            f'{head}{{code="200",handler="/metrics"}} 1000',
        ]
        return web.Response(text="\n".join(lines) + "\n")


@pytest.fixture
async def prometheus() -> AsyncIterator[tuple[Prometheus, Probe]]:
    server = Prometheus()
    app = web.Application()
    app.add_routes([web.get("/api/v1/query", server.query), web.get("/metrics", server.metrics)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession() as session:
        yield server, Probe(session, f"http://127.0.0.1:{port}")
    await runner.cleanup()


ERRORS = parse_abort_condition("error_rate > 0.5%")


async def test_counters_are_read_and_a_missing_one_is_zero(prometheus: tuple[Prometheus, Probe]) -> None:
    server, probe = prometheus
    server.answer = [{"metric": {"what": "requests"}, "value": [0, "42"]}]

    assert await probe.counts(ERRORS, "demo_x_80") == Counts(42, 0)


SLOWNESS = parse_abort_condition("latency_p95 > 200ms")


@pytest.mark.parametrize(
    ("bounds", "bad"),
    [
        # Only what is over the first bound from the limit on is certainly too slow.
        ({"100": 30, "250": 36, "+Inf": 42}, 6),
        ({"100.0": 30, "200.0": 33, "250.0": 36, "+Inf": 42}, 9),
        ({}, 0),
    ],
)
async def test_requests_over_the_first_bound_from_the_limit_on_are_slow(
    prometheus: tuple[Prometheus, Probe], bounds: dict[str, int], bad: int
) -> None:
    server, probe = prometheus
    within = [{"metric": {"what": "within", "le": le}, "value": [0, str(count)]} for le, count in bounds.items()]
    server.answer = [{"metric": {"what": "requests"}, "value": [0, "42"]}, *within]

    assert await probe.counts(SLOWNESS, "demo_x_80") == Counts(42, bad)


async def test_a_single_value_is_read_and_none_where_there_is_no_series(prometheus: tuple[Prometheus, Probe]) -> None:
    server, probe = prometheus
    server.answer = [{"metric": {}, "value": [0, "7"]}]
    assert await probe.value("sum(x)") == 7
    server.answer = []
    assert await probe.value("sum(x)") is None


@pytest.mark.parametrize(("status", "answer"), [(503, []), (200, [{"metric": {}}]), (200, "none")])
async def test_an_unusable_answer_of_prometheus_raises_could_not_ask(
    prometheus: tuple[Prometheus, Probe], status: int, answer: object
) -> None:
    server, probe = prometheus
    server.status, server.answer = status, answer

    with pytest.raises(CouldNotAskError):
        await probe.counts(ERRORS, "demo_x_80")


async def test_only_queries_of_others_during_analysis_are_counted(
    prometheus: tuple[Prometheus, Probe],
) -> None:
    server, probe = prometheus
    server.answer = []
    meter = QueryMeter(probe, tick=1000.0)

    await meter.record(analysing(StageState.TESTING))
    server.received += 50
    await meter.record(analysing())
    server.received += 3
    await probe.counts(ERRORS, "demo_x_80")
    await meter.record(analysing())

    # Much less than one tick has passed, which counts as one.
    assert meter.per_tick == pytest.approx(3.0, abs=0.2)


async def test_without_any_analysis_there_are_no_queries_per_tick(
    prometheus: tuple[Prometheus, Probe],
) -> None:
    assert QueryMeter(prometheus[1], tick=1.0).per_tick == 0.0


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_plain_lines_without_a_live_line() -> None:
    out = io.StringIO()
    terminal = Terminal(out, {})
    terminal.line("promoted", Style.GREEN)
    terminal.show("500 req/s")

    assert out.getvalue() == " 0:00.0  promoted\n"


def test_a_terminal_gets_colours_and_a_live_line_that_is_removed_at_the_end() -> None:
    out = Tty()
    terminal = Terminal(out, {"TERM": "xterm"})
    terminal.line("promoted", Style.GREEN)
    terminal.show("500 req/s")
    terminal.close()

    assert "\x1b[32mpromoted\x1b[0m" in out.getvalue()
    assert "500 req/s" in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[2K")


def test_no_color_disables_colours_but_not_the_live_line() -> None:
    out = Tty()
    terminal = Terminal(out, {"TERM": "xterm", "NO_COLOR": "1"})
    terminal.line("promoted", Style.GREEN)
    terminal.show("500 req/s")

    assert "\x1b[3" not in out.getvalue()
    assert "500 req/s" in out.getvalue()


def test_the_status_section_is_extracted_from_kubectl_describe() -> None:
    text = "Name:  x\nSpec:\n  Model:  y\nStatus:\n  Phase:  Healthy\nEvents:\n  many\n"

    assert _section(text, "Status:", "Events:") == "Status:\n  Phase:  Healthy\n"
    assert _section("Name:  x\n", "Status:", "Events:") == "Name:  x\n"


async def test_a_wait_can_be_interrupted() -> None:
    reads = 0

    async def read() -> int:
        nonlocal reads
        reads += 1
        return reads

    waiting = asyncio.create_task(wait_for(read, lambda n: n == 1000, within=60, what="many reads", every=0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert reads < 1000
