"""A replay after a restart returns the same counts as the live ticks."""

from datetime import timedelta

import pytest

from serinus.engine.analysis.measurements import Answer, CouldNotAsk, Counted, Measured, NoData
from serinus.metrics import PrometheusSource
from support.prometheus.questions import after, question
from support.prometheus.server import Prometheus
from support.prometheus.written_past import source
from support.servers.faultproxy import FaultProxy, Pass, Status

_STEP = timedelta(seconds=3)


@pytest.mark.parametrize("backend", ["busy", "restarted", "late-errors", "scraped-again", "slow", "unheard-of"])
@pytest.mark.parametrize("condition", ["error_rate > 1%", "latency_p95 > 200ms"])
async def test_a_replay_counts_the_same_as_the_ticks(metrics: PrometheusSource, backend: str, condition: str) -> None:
    asked = question(condition, backend=backend)
    replayed = (await metrics.replay([asked], after(202), after(402), _STEP))[asked]
    live = [(await metrics.ask([asked], after(at), after(at - 3)))[asked] for at in range(205, 403, 3)]
    assert [answer.at for answer in replayed] == [answer.at for answer in live]
    assert [counts(answer) for answer in replayed] == [counts(answer) for answer in live]


def counts(answer: Answer) -> tuple[float, ...]:
    """Return the counts; zero for a step without data, whatever the cause."""
    if not isinstance(answer, Counted):
        assert isinstance(answer, NoData)
        return (0, 0, 0, 0)
    batch = answer.batch
    return tuple(round(count, 6) for count in (batch.requests, batch.certain, batch.likely, batch.possible))


async def test_the_next_tick_continues_where_the_replay_ended(metrics: PrometheusSource) -> None:
    asked = question(backend="busy")
    replayed = (await metrics.replay([asked], after(202), after(300), _STEP))[asked]
    last = replayed[-1].at
    assert last == after(298)
    tick = (await metrics.ask([asked], after(402), last))[asked]
    whole = (await metrics.ask([asked], after(402), after(298)))[asked]
    assert counts(tick) == counts(whole)
    assert counts(tick)[0] > 0


async def test_a_replay_over_an_outage_counts_each_request_once(metrics: PrometheusSource) -> None:
    asked = question(backend="after-the-outage")
    replayed = (await metrics.replay([asked], after(300), after(2700), timedelta(seconds=10)))[asked]
    assert sum(counts(answer)[0] for answer in replayed) == 1.5 * 2400


async def test_a_long_replay_is_split_below_the_step_limit_of_prometheus(
    proxy: FaultProxy, through_proxy: PrometheusSource
) -> None:
    asked = question(backend="steady")
    replayed = (await through_proxy.replay([asked], after(10), after(7010), timedelta(milliseconds=500)))[asked]
    assert len(replayed) == 14_000
    assert len(proxy.requests) == 1 + 2
    assert sum(counts(answer)[0] for answer in replayed) == pytest.approx(9.7 * 600)


async def test_a_replay_of_many_backends_is_split_into_small_responses(
    proxy: FaultProxy, through_proxy: PrometheusSource
) -> None:
    asked = [question(backend=f"model-{index}", model=f"model-{index}") for index in range(1000)]
    replayed = await through_proxy.replay(asked, after(0), after(500), timedelta(seconds=5))
    assert {len(answers) for answers in replayed.values()} == {100}
    assert len(proxy.requests) == 1 + 4


async def test_a_failure_ends_the_replay(proxy: FaultProxy, through_proxy: PrometheusSource) -> None:
    asked = question(backend="steady")
    # The first is an instant query, whether labels changed in this time.
    proxy.plan = lambda _: Pass() if len(proxy.requests) <= 2 else Status(503)
    answers = (await through_proxy.replay([asked], after(0), after(7000), timedelta(milliseconds=250)))[asked]
    assert len(answers) == 28_000
    assert len(proxy.requests) == 1 + 2
    assert isinstance(answers[9_999], Counted | NoData)
    assert isinstance(answers[10_000], CouldNotAsk)
    assert isinstance(answers[-1], CouldNotAsk)


async def test_a_named_query_is_replayed_too(prometheus: Prometheus) -> None:
    metrics = source(prometheus.url, queries={"drift": {"promql": "drift", "groupBy": "version"}})
    try:
        asked = question("drift > 0.3", version="2.0.0")
        answers = (await metrics.replay([asked], after(100), after(130), timedelta(seconds=10)))[asked]
        assert answers == [Measured(at=after(at), value=0.7) for at in (110, 120, 130)]
    finally:
        metrics.close()


async def test_a_replay_shorter_than_a_step_is_empty(metrics: PrometheusSource) -> None:
    asked = question(backend="steady")
    assert (await metrics.replay([asked], after(300), after(302), _STEP))[asked] == []


async def test_an_unanswerable_question_is_not_replayed(proxy: FaultProxy, through_proxy: PrometheusSource) -> None:
    asked = question(preset="no-such-plane")
    answers = (await through_proxy.replay([asked], after(100), after(109), _STEP))[asked]
    assert [answer.at for answer in answers] == [after(103), after(106), after(109)]
    assert all(isinstance(answer, CouldNotAsk) for answer in answers)
    assert proxy.requests == []


async def test_a_step_shorter_than_a_millisecond_is_refused(metrics: PrometheusSource) -> None:
    with pytest.raises(ValueError, match="1ms"):
        await metrics.replay([], after(0), after(1), timedelta(microseconds=10))
