"""At most six queries a tick, whatever the number of rollouts, all evaluated at the same time.

Where counters have come, gone or fallen, and at the first tick, their increments are read in full: up to four more, for
each 500 backends.
"""

from datetime import timedelta

import pytest

from serinus.engine.analysis.measurements import Counted, NoData
from serinus.metrics import PrometheusSource
from support.prometheus.questions import after, question
from support.servers.faultproxy import FaultProxy

_CONDITIONS = (
    "error_rate > 1%",
    "client_error_rate > 5%",
    "latency_p95 > 200ms",
    "latency_p99 > 500ms",
    "unanswered_rate > 1%",
)


@pytest.mark.parametrize("subjects", [1, 50, 1000])
async def test_a_tick_is_five_queries_where_nobody_speaks_grpc(
    proxy: FaultProxy, through_proxy: PrometheusSource, subjects: int
) -> None:
    names = ["slow", *(f"model-{index}" for index in range(1, subjects))]
    asked = [question(condition, backend=name, model=name) for name in names for condition in _CONDITIONS]
    groups = -(-subjects // 500)
    for at, queries in ((275, 5 + 3 * groups), (285, 5), (295, 5), (305, 5)):
        proxy.requests.clear()
        answers = await through_proxy.ask(asked, after(at), after(at - 10))
        assert len(proxy.requests) == queries
    assert {request.form["time"] for request in proxy.requests} == {f"{after(304).timestamp():.3f}"}
    assert {request.method for request in proxy.requests} == {"POST"}
    assert {request.target for request in proxy.requests} == {"/api/v1/query"}
    assert len([answer for answer in answers.values() if isinstance(answer, Counted)]) == 4
    assert len([answer for answer in answers.values() if isinstance(answer, NoData)]) == 5 * subjects - 4


async def test_only_backends_whose_counters_changed_are_read_in_full(
    proxy: FaultProxy, through_proxy: PrometheusSource
) -> None:
    names = ["slow", "steady", "restarted"]
    asked = [question(condition, backend=name, model=name) for name in names for condition in _CONDITIONS[:3]]
    for at in (105, 115, 125):
        await through_proxy.ask(asked, after(at), after(at - 10))
    found: set[frozenset[str]] = set()
    for at in range(135, 345, 10):
        proxy.requests.clear()
        await through_proxy.ask(asked, after(at), after(at - 10))
        full = [request.form["query"] for request in proxy.requests if "last_over_time" in request.form["query"]]
        found |= {frozenset(name for name in names if name in query) for query in full}
    assert found == {frozenset({"restarted"})}


async def test_range_queries_are_paid_for_by_skipped_displays(
    proxy: FaultProxy, through_proxy: PrometheusSource
) -> None:
    asked = [question("error_rate > 1%", backend="slow"), question("latency_p95 > 200ms", backend="slow")]
    for at in (175, 185, 195):
        await through_proxy.ask(asked, after(at), after(at - 10))
    proxy.requests.clear()

    await through_proxy.replay(asked, after(100), after(200), timedelta(seconds=10))
    ranged = len([request for request in proxy.requests if request.target == "/api/v1/query_range"])
    queries = []
    for at in range(205, 255, 10):
        proxy.requests.clear()
        await through_proxy.ask(asked, after(at), after(at - 10))
        queries.append(len(proxy.requests))

    assert 0 < ranged < 5
    assert queries == [3] * ranged + [4] * (5 - ranged)


async def test_rates_alone_need_three_queries(proxy: FaultProxy, through_proxy: PrometheusSource) -> None:
    for at, queries in ((275, 3 + 1), (285, 3), (295, 3), (305, 3)):
        proxy.requests.clear()
        await through_proxy.ask([question(backend="steady")], after(at), after(at - 10))
        assert len(proxy.requests) == queries


async def test_without_questions_nothing_is_asked(proxy: FaultProxy, through_proxy: PrometheusSource) -> None:
    assert await through_proxy.ask([], after(305), after(295)) == {}
    assert proxy.requests == []


async def test_bucket_bounds_are_refreshed_after_ten_minutes(
    proxy: FaultProxy, through_proxy: PrometheusSource
) -> None:
    asked = [question("latency_p95 > 250ms", backend="slow")]
    for at, refreshes in ((5, 1), (305, 0), (595, 0), (606, 1)):
        proxy.requests.clear()
        await through_proxy.ask(asked, after(at), after(at - 10))
        assert (
            len([request for request in proxy.requests if request.form["query"].startswith("count by (le)")])
            == refreshes
        )
        assert len(proxy.requests) <= 5


async def test_a_limit_above_all_bounds_refreshes_them_after_a_minute(
    proxy: FaultProxy, through_proxy: PrometheusSource
) -> None:
    asked = [question("latency_p95 > 2s", backend="slow")]
    for at, refreshes in ((205, 1), (215, 0), (266, 1)):
        proxy.requests.clear()
        await through_proxy.ask(asked, after(at), after(at - 10))
        assert (
            len([request for request in proxy.requests if request.form["query"].startswith("count by (le)")])
            == refreshes
        )
