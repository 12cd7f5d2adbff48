"""Latencies judged by native histograms, on a real Prometheus 3; what Debian's Prometheus 2 cannot subtract is said.

The series are written by remote write, read tick by tick as the operator does, and once more as a replay. Of ten
requests a second eight take 20 ms, one 150 ms and one 400 ms.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from localcluster.programs.catalogue import PROMETHEUS_3
from localcluster.programs.provide import resolve
from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Batch, Coarse, CouldNotAsk, Counted, NoData
from serinus.metrics import PrometheusSource
from support.prometheus.questions import after, question
from support.prometheus.reading import by_replay, by_ticks
from support.prometheus.remote_write import Histogram, WrittenPast
from support.prometheus.server import Prometheus
from support.prometheus.written_past import source

Read = Callable[[PrometheusSource, str, str], Awaitable[list[Answer]]]

_TICK = 5
_TIMES = 202, 402
_OWN_BOUNDS = (100.0, 200.0, 250.0, 500.0)


def shown(seconds: float, *, schema: int = 3, life: int = 5000) -> Histogram:
    """Return what a target shows after so many seconds: these requests, and ``life`` slow ones from before."""
    return Histogram({20: round(8 * seconds), 150: round(seconds), 400: round(seconds) + life}, schema)


def own_bounds(seconds: float) -> Histogram:
    return Histogram({20: round(8 * seconds), 150: round(seconds), 400: round(seconds)}, bounds=_OWN_BOUNDS)


def add(
    past: WrittenPast, name: str, samples: Mapping[int, Histogram], *, pod: str = "envoy-0", begin: int = 0
) -> None:
    """Add a target; its other counters say ten requests a second from ``begin`` on."""
    labels = {"envoy_cluster_name": f"ml_{name}_80", "instance": pod, "pod": pod}
    first = min(samples)
    past.add("envoy_cluster_upstream_rq_total", labels, [(at, 10.0 * at) for at in range(begin, 601, 10)])
    responses = [(at, 10.0 * (at - first + 10)) for at in sorted(samples)]
    past.add("envoy_cluster_upstream_rq_xx", labels | {"envoy_response_code_class": "2"}, responses)
    past.add("envoy_cluster_upstream_rq_time", labels, sorted(samples.items()))


def written() -> WrittenPast:
    """Return the series of all scenarios."""
    past, times = WrittenPast(), range(0, 601, 10)
    add(past, "steady", {at: shown(at) for at in times})
    add(past, "coarser", {at: shown(at, schema=3 if at < 300 else 1) for at in times})
    add(past, "finer", {at: shown(at, schema=1 if at < 300 else 3) for at in times})
    add(past, "two-schemas", {at: shown(at, schema=3) for at in times})
    add(past, "two-schemas", {at: shown(at, schema=2) for at in times}, pod="envoy-1")
    add(past, "restarted", {at: shown(at) if at < 300 else shown(at - 298, life=0) for at in times})
    add(past, "dips", {at: shown(289.9) if at == 300 else shown(at) for at in times})
    add(past, "first-response", {at: shown(at - 290, life=0) for at in times if at >= 300})
    add(past, "new-envoy", {at: shown(at) for at in times})
    add(past, "new-envoy", {at: shown(at) for at in times if at >= 300}, pod="envoy-1", begin=300)
    add(past, "own-bounds", {at: own_bounds(at) for at in times})
    add(past, "shrinks", {at: Histogram({20: 9 * at, 400: 5000 + at if at < 300 else 4000}) for at in times})
    classic = {"envoy_cluster_name": "ml_classic_80", "instance": "envoy-0", "pod": "envoy-0"}
    past.add("envoy_cluster_upstream_rq_total", classic, [(at, 10.0 * at) for at in times])
    for bound, share in (("100", 8), ("200", 9), ("500", 10), ("+Inf", 10)):
        buckets = [(at, float(share * at)) for at in times]
        past.add("envoy_cluster_upstream_rq_time_bucket", classic | {"le": bound}, buckets)
    return past


def running(folder: Path, binary: Path | None) -> Prometheus:
    options = ["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"]
    return Prometheus(folder, options=options, binary=binary)


@pytest.fixture(scope="module")
def third(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with running(tmp_path_factory.mktemp("native"), resolve(PROMETHEUS_3)) as prometheus:
        written().write(prometheus.url)
        yield prometheus


@pytest.fixture
def metrics(third: Prometheus) -> Iterator[PrometheusSource]:
    made = source(third.url)
    yield made
    made.close()


async def _ticks(metrics: PrometheusSource, name: str, condition: str) -> list[Answer]:
    # Rates are asked as well, as they are in a stage: whether there were requests at all is known from them.
    asked, rated = question(condition, backend=name), question(backend=name)
    return await by_ticks(metrics, asked, _TIMES, tick=_TICK, beside=rated)


async def _replay(metrics: PrometheusSource, name: str, condition: str) -> list[Answer]:
    return await by_replay(metrics, question(condition, backend=name), _TIMES, tick=_TICK)


BOTH = pytest.mark.parametrize("read", [_ticks, _replay], ids=["ticks", "replay"])


def total(answers: list[Answer]) -> Batch:
    batches = [answer.batch for answer in answers if isinstance(answer, Counted)]
    return Batch(*(sum(each) for each in zip(*map(_figures, batches), strict=True)))


def _figures(batch: Batch) -> tuple[float, float, float, float]:
    return batch.requests, batch.certain, batch.likely, batch.possible


def doubts(answers: list[Answer]) -> list[str]:
    return [answer.message for answer in answers if isinstance(answer, NoData) and answer.cause is Cause.AMBIGUOUS]


@BOTH
@pytest.mark.parametrize(
    ("name", "requests", "slow"),
    [
        ("steady", 2000, 200),
        # The life before is 5,000 slow requests, none of which moves to another bucket.
        ("coarser", 2000, 200),
        ("finer", 2000, 200),
        ("two-schemas", 4000, 400),
        # What came between the last scrape and the restart is lost, 20 requests came between that and the next.
        ("restarted", 2000 - 80, 200 - 8),
        ("first-response", 1100, 110),
        # The first sample of a new target is its beginning.
        ("new-envoy", 2000 + 1000, 200 + 100),
        ("own-bounds", 2000, 200),
    ],
)
async def test_what_is_counted_is_what_there_was(
    metrics: PrometheusSource, name: str, requests: int, slow: int, read: Read
) -> None:
    answers = await read(metrics, name, "latency_p95 > 200ms")

    assert total(answers) == Batch(requests, slow, slow, slow)
    # A replay takes a backend without any response for one without series.
    assert {answer.cause for answer in answers if isinstance(answer, NoData | CouldNotAsk)} <= {Cause.NO_SERIES}
    assert len([answer for answer in answers if isinstance(answer, Counted)]) >= len(answers) // 2


@BOTH
async def test_the_bucket_around_the_limit_is_possibly_slow(metrics: PrometheusSource, read: Read) -> None:
    answers = await read(metrics, "steady", "latency_p95 > 150ms")

    found = total(answers)
    assert (found.requests, found.certain, found.possible) == (2000, 200, 400)
    # 152.2 ms and 139.6 ms: schema 3, upper end 2 ** (58 / 8).
    assert found.likely == pytest.approx(200 + 200 * (152.2185 - 150) / (152.2185 - 139.5858), rel=1e-3)
    # Before the first request the resolution is not known; after it, it is remembered.
    answered = [answer for answer in answers if isinstance(answer, Counted)]
    first = next(index for index, answer in enumerate(answered) if answer.batch.requests)
    around = Coarse(2.0 ** (57 / 8) / 1000, 2.0 ** (58 / 8) / 1000)
    assert {answer.coarse for answer in answered[first:]} == {around}


@BOTH
async def test_a_limit_that_is_a_bound_is_counted_exactly(metrics: PrometheusSource, read: Read) -> None:
    answers = await read(metrics, "steady", "latency_p95 > 128ms")

    assert total(answers) == Batch(2000, 400, 400, 400)
    assert {answer.coarse for answer in answers if isinstance(answer, Counted)} == {None}


@BOTH
async def test_a_dip_is_doubted_once(metrics: PrometheusSource, read: Read) -> None:
    answers = await read(metrics, "dips", "latency_p95 > 200ms")

    # The sample after the dip has the growth of both intervals, and one request more.
    assert total(answers).requests == 2000 + 1
    assert len(doubts(answers)) == 1


@BOTH
async def test_a_bucket_that_fell_while_the_count_grew_counts_neither_way(
    metrics: PrometheusSource, read: Read
) -> None:
    answers = await read(metrics, "shrinks", "latency_p95 > 200ms")

    assert len(doubts(answers)) == 1


async def test_a_comparison_counts_above_the_bounds_that_all_resolutions_have(metrics: PrometheusSource) -> None:
    answers = await _ticks(metrics, "coarser", "latency_p95 > 1.2x stable")

    whole = [answer for answer in answers if isinstance(answer, Counted)]
    assert sum(answer.total for answer in whole) == 2000
    above = {bound: sum(dict(answer.above)[bound] for answer in whole) for bound in (0.032, 0.128, 0.256, 0.512)}
    assert above == {0.032: 400, 0.128: 400, 0.256: 200, 0.512: 0}


async def test_a_comparison_needs_other_buckets_than_custom_ones(metrics: PrometheusSource) -> None:
    answers = await _ticks(metrics, "own-bounds", "latency_p95 > 1.2x stable")

    messages = {answer.message for answer in answers if isinstance(answer, NoData)}
    assert len(messages) == 1
    assert "always_scrape_classic_histograms: true" in messages.pop()


async def test_classic_and_native_histograms_are_judged_beside_each_other(metrics: PrometheusSource) -> None:
    native, classic = (
        question("latency_p95 > 200ms", backend="steady"),
        question("latency_p95 > 200ms", backend="classic"),
    )

    answers = await metrics.ask([native, classic], after(305), after(205))

    assert {answer.batch for answer in answers.values() if isinstance(answer, Counted)} == {Batch(1000, 100, 100, 100)}
    assert len(answers) == len([answer for answer in answers.values() if isinstance(answer, Counted)]) == 2


async def test_a_quantile_is_shown(metrics: PrometheusSource) -> None:
    asked = question("latency_p95 > 200ms", backend="steady")
    for at in (290, 295, 300):
        answer = (await metrics.ask([asked], after(at), after(at - 5)))[asked]
    assert isinstance(answer, Counted)
    assert answer.display == pytest.approx(0.4, rel=0.1)


async def test_what_prometheus_2_cannot_subtract_is_said(tmp_path: Path) -> None:
    with running(tmp_path, None) as second:
        written().write(second.url)
        metrics = source(second.url)
        try:
            answers = await _ticks(metrics, "steady", "latency_p95 > 200ms")
        finally:
            metrics.close()

    messages = {answer.message for answer in answers if isinstance(answer, NoData)}
    assert len(messages) == 1
    assert "scrape_classic_histograms: true" in messages.pop()
    assert total(answers).requests == 0
