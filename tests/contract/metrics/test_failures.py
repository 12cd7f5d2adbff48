"""Every failure of a source is an answer with a cause, never a figure."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, CouldNotAsk, Counted, NoData
from serinus.metrics import PrometheusSource
from support.prometheus.questions import after, question
from support.prometheus.written_past import source
from support.servers.faultproxy import (
    Change,
    Drip,
    Fault,
    FaultProxy,
    Hang,
    Oversize,
    Pass,
    Request,
    Reset,
    Status,
    Truncate,
    warned,
)

_SECRET = b'{"status":"error","error":"secret figures"}'
_SHORT_TIMEOUT = {"timeout": "500ms"}


async def ask_both(metrics: PrometheusSource, *, at: float = 305) -> list[Answer]:
    asked = [question(backend="slow"), question("latency_p95 > 250ms", backend="slow")]
    answers = await metrics.ask(asked, after(at), after(at - 10))
    return [answers[each] for each in asked]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Hang(), Cause.PROVIDER_DOWN),
        (Reset(), Cause.PROVIDER_DOWN),
        (Status(503, _SECRET), Cause.PROVIDER_DOWN),
        (Status(500, _SECRET), Cause.PROVIDER_DOWN),
        (Status(429, _SECRET, (("Retry-After", "60"),)), Cause.PROVIDER_DOWN),
        (Status(401, _SECRET), Cause.PROVIDER_DOWN),
        (Status(404, _SECRET), Cause.PROVIDER_DOWN),
        (Status(302, _SECRET, (("Location", "http://198.51.100.1/"),)), Cause.PROVIDER_DOWN),
        (Status(200, b"<html>secret</html>"), Cause.PROVIDER_DOWN),
        (Truncate(40), Cause.PROVIDER_DOWN),
        (Drip(0.05), Cause.PROVIDER_DOWN),
        (Oversize(33 * 1024 * 1024), Cause.PROVIDER_DOWN),
        (Status(400, _SECRET), Cause.QUERY_INVALID),
        (Status(422, _SECRET), Cause.QUERY_INVALID),
    ],
    ids=lambda value: f"{type(value).__name__}{getattr(value, 'code', '')}" if not isinstance(value, Cause) else "",
)
async def test_a_source_that_fails_could_not_be_asked(proxy: FaultProxy, fault: Fault, cause: Cause) -> None:
    metrics = source(proxy.url, **({} if isinstance(fault, Oversize) else _SHORT_TIMEOUT))
    proxy.always(fault)
    try:
        for answer in await ask_both(metrics):
            assert isinstance(answer, CouldNotAsk), answer
            assert answer.cause is cause
            assert answer.at == after(305)
            assert "secret" not in answer.message
            assert "figures" not in answer.message
    finally:
        metrics.close()


async def test_an_unreachable_source_could_not_be_asked(proxy: FaultProxy) -> None:
    async with FaultProxy("127.0.0.1", 1) as closed:
        url = closed.url
    metrics = source(url)
    try:
        answers = await ask_both(metrics)
        assert {answer.cause for answer in answers if isinstance(answer, CouldNotAsk)} == {Cause.PROVIDER_DOWN}
    finally:
        metrics.close()


async def test_a_source_that_hangs_is_given_up_at_its_deadline(proxy: FaultProxy) -> None:
    metrics = source(proxy.url, **_SHORT_TIMEOUT)
    proxy.always(Hang())
    try:
        begin = time.monotonic()
        await ask_both(metrics)
        # One time-out for the bounds, one for the queries after them.
        assert time.monotonic() - begin < 1.5
    finally:
        metrics.close()


async def test_a_source_recovers_after_an_outage(proxy: FaultProxy, through_proxy: PrometheusSource) -> None:
    proxy.always(Status(503))
    assert all(isinstance(answer, CouldNotAsk) for answer in await ask_both(through_proxy, at=295))
    proxy.always(Pass())
    answers = await ask_both(through_proxy)
    assert [answer.batch.requests for answer in answers if isinstance(answer, Counted)] == [120, 100]


async def test_backends_that_cannot_be_read_in_full_do_not_keep_the_others_from_being_read(
    proxy: FaultProxy, through_proxy: PrometheusSource
) -> None:
    names = ["slow", "steady", *(f"other-{number}" for number in range(998))]
    asked = {name: question(backend=name, model=name) for name in names}

    def refuse_one_group(request: Request) -> Fault:
        query = request.form["query"]
        return Status(503) if "last_over_time" in query and "ml_other-0_80" in query else Pass()

    proxy.plan = refuse_one_group
    first = await through_proxy.ask(asked.values(), after(285), after(275))
    proxy.always(Pass())
    second = await through_proxy.ask(asked.values(), after(295), after(285))

    assert {type(first[asked[name]]) for name in ("slow", "steady")} == {Counted}
    assert isinstance(first[asked["other-0"]], CouldNotAsk)
    assert {type(second[asked[name]]) for name in ("slow", "steady")} == {Counted}
    assert isinstance(second[asked["other-0"]], NoData)


async def test_nothing_is_retried_inside_a_tick(proxy: FaultProxy, through_proxy: PrometheusSource) -> None:
    proxy.always(Status(503))
    await through_proxy.ask([question(backend="steady")], after(305), after(295))
    assert len(proxy.requests) == len({request.form["query"] for request in proxy.requests}) > 0


@pytest.mark.parametrize(
    "fault",
    [warned("store 10.0.0.1 did not answer"), Change(lambda answer: answer | {"isPartial": True})],
    ids=["Thanos", "VictoriaMetrics"],
)
async def test_an_answer_that_may_be_incomplete_is_asked_for_again(
    proxy: FaultProxy, through_proxy: PrometheusSource, fault: Fault
) -> None:
    proxy.always(fault)
    for answer in await ask_both(through_proxy):
        assert isinstance(answer, CouldNotAsk), answer
        assert answer.cause is Cause.PROVIDER_DOWN
        assert "incomplete" in answer.message


async def test_query_infos_are_logged_and_change_nothing(
    proxy: FaultProxy, through_proxy: PrometheusSource, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "serinus.metrics")
    proxy.always(Change(lambda answer: answer | {"infos": ["PromQL info: might not be a counter"]}))
    assert all(isinstance(answer, Counted) for answer in await ask_both(through_proxy))
    assert "might not be a counter" in caplog.text


async def test_remarks_on_the_query_among_the_warnings_change_nothing(
    proxy: FaultProxy, through_proxy: PrometheusSource
) -> None:
    # Prometheus 2.48 to 2.52: https://github.com/prometheus/prometheus/issues/14135
    proxy.always(warned("PromQL info: metric might not be a counter, name does not end in _total/_sum/_count"))
    assert all(isinstance(answer, Counted) for answer in await ask_both(through_proxy))


@pytest.mark.parametrize(
    ("fails", "kinds"), [("upstream_rq_xx", [CouldNotAsk, Counted]), ('le="', [Counted, CouldNotAsk])]
)
async def test_a_failed_query_affects_only_its_own_answers(
    proxy: FaultProxy, through_proxy: PrometheusSource, fails: str, kinds: list[type[Answer]]
) -> None:
    await ask_both(through_proxy, at=295)
    proxy.plan = fail_increments_of(fails)
    assert [type(answer) for answer in await ask_both(through_proxy)] == kinds


def fail_increments_of(text: str) -> Callable[[Request], Fault]:
    def plan(request: Request) -> Fault:
        query = request.form["query"]
        wanted = "upstream_rq_xx" if text == "upstream_rq_xx" else "rq_time_bucket"
        return Status(422) if "offset" in query and wanted in query else Pass()

    return plan


async def test_display_queries_never_delay_a_verdict(proxy: FaultProxy, through_proxy: PrometheusSource) -> None:
    await ask_both(through_proxy, at=295)
    proxy.plan = lambda request: Hang() if "rate(" in request.form["query"] else Pass()
    begin = time.monotonic()
    answers = await ask_both(through_proxy)
    assert time.monotonic() - begin < 2
    assert [answer.display for answer in answers if isinstance(answer, Counted)] == [None, None]
    proxy.plan = lambda request: Status(422) if "rate(" in request.form["query"] else Pass()
    assert all(isinstance(answer, Counted) for answer in await ask_both(through_proxy, at=315))


async def test_while_all_threads_hang_nothing_piles_up(proxy: FaultProxy) -> None:
    metrics = source(proxy.url, **_SHORT_TIMEOUT)
    proxy.always(Hang())
    try:
        asked = [question(backend=f"b-{index}") for index in range(50)]
        ticks = [metrics.ask(asked, after(300 + tick), after(299 + tick)) for tick in range(40)]
        for answers in await asyncio.gather(*ticks):
            assert all(isinstance(answer, CouldNotAsk) for answer in answers.values())
        assert len(proxy.requests) <= 8
    finally:
        metrics.close()


async def test_credentials_in_the_url_are_used_but_never_shown(proxy: FaultProxy) -> None:
    metrics = source(proxy.url.replace("http://", "http://reader:hunter2@"))
    try:
        await ask_both(metrics)
        assert {request.headers["authorization"] for request in proxy.requests} == {"Basic cmVhZGVyOmh1bnRlcjI="}
        proxy.always(Status(503))
        assert not [answer for answer in await ask_both(metrics) if "hunter2" in str(answer)]
    finally:
        metrics.close()


async def test_a_token_is_read_again_when_its_file_changes(proxy: FaultProxy, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    metrics = source(proxy.url, bearerTokenFile=str(token))
    try:
        await ask_both(metrics)
        assert {request.headers["authorization"] for request in proxy.requests} == {"Bearer first"}
        proxy.requests.clear()
        renewed = tmp_path / "renewed"
        renewed.write_text("other\n")
        renewed.replace(token)
        await ask_both(metrics)
        assert {request.headers["authorization"] for request in proxy.requests} == {"Bearer other"}
        token.unlink()
        for answer in await ask_both(metrics):
            assert isinstance(answer, CouldNotAsk)
            assert "bearerTokenFile" in answer.message
    finally:
        metrics.close()


async def test_the_proxy_of_the_environment_is_not_used(
    through_proxy: PrometheusSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert all(isinstance(answer, Counted) for answer in await ask_both(through_proxy))
