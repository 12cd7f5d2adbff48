"""Named queries of the administrator, against a real Prometheus."""

import pytest

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import CouldNotAsk, Measured, NoData
from serinus.metrics import PrometheusSource
from support.prometheus.questions import after, question
from support.prometheus.server import Prometheus
from support.prometheus.written_past import source
from support.servers.faultproxy import FaultProxy

_DRIFT = {"promql": 'drift{model="$model", version="$version"}'}
_GROUPED = {"promql": "max by (version) (drift)", "groupBy": "version"}


async def ask(url: str, query: dict[str, str], *versions: str) -> list[object]:
    metrics: PrometheusSource = source(url, queries={"figure": query})
    try:
        asked = [question("figure > 0.3", version=version) for version in versions]
        answers = await metrics.ask(asked, after(305), after(295))
        return [answers[each] for each in asked]
    finally:
        metrics.close()


@pytest.mark.parametrize(("query", "queries"), [(_DRIFT, 2), (_GROUPED, 1)], ids=["each", "grouped"])
async def test_every_version_gets_its_own_value(proxy: FaultProxy, query: dict[str, str], queries: int) -> None:
    answers = await ask(proxy.url, query, "1.0.0", "2.0.0")
    assert answers == [Measured(at=after(305), value=0.1), Measured(at=after(305), value=0.7)]
    assert len(proxy.requests) == queries


async def test_a_dot_in_a_version_matches_a_dot_only_even_in_a_regular_expression(prometheus: Prometheus) -> None:
    answers = await ask(prometheus.url, {"promql": "drift{version=~'$version|nothing'}"}, "2.0.0", "2.0")
    assert answers[0] == Measured(at=after(305), value=0.7)
    assert isinstance(answers[1], NoData)


async def test_a_scalar_is_a_value(prometheus: Prometheus) -> None:
    query = {"promql": 'scalar(drift{version="$version"}) * 2'}
    assert await ask(prometheus.url, query, "2.0.0") == [Measured(at=after(305), value=1.4)]


@pytest.mark.parametrize(
    ("promql", "version", "cause"),
    [
        ('drift{version="$version"}', "9.9.9", Cause.NO_SERIES),
        ('drift{version="$version"}', "nan", Cause.NAN),
        ('drift{version="$version"} * NaN', "2.0.0", Cause.NAN),
        ('score{version="$version"}', "2.0.0", Cause.AMBIGUOUS),
    ],
)
async def test_an_unusable_figure_has_a_cause(prometheus: Prometheus, promql: str, version: str, cause: Cause) -> None:
    (answer,) = await ask(prometheus.url, {"promql": promql}, version)
    assert isinstance(answer, NoData)
    assert answer.cause is cause


@pytest.mark.parametrize("promql", ['drift{version="$version"', 'drift{version="$version"}[5m]'])
async def test_a_query_that_prometheus_cannot_read_is_invalid(prometheus: Prometheus, promql: str) -> None:
    (answer,) = await ask(prometheus.url, {"promql": promql}, "2.0.0")
    assert isinstance(answer, CouldNotAsk)
    assert answer.cause is Cause.QUERY_INVALID


async def test_a_query_that_is_the_same_for_two_versions_is_ambiguous(prometheus: Prometheus) -> None:
    answers = await ask(prometheus.url, {"promql": 'max(drift{model="$model"})'}, "1.0.0", "2.0.0")
    assert {answer.cause for answer in answers if isinstance(answer, NoData)} == {Cause.AMBIGUOUS}
