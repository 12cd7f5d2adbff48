"""Counters as real stores show them: they dip, are renamed, appear twice, or lose their past. None is counted wrongly.

Each scenario is written into a real Prometheus, read tick by tick as the operator does, and once more as a replay. The
requests that were counted are compared with those that there were: docs/reference/metrics-presets.md has the table.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import pytest

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Counted, NoData
from serinus.metrics import PrometheusSource
from support.prometheus.questions import Samples, add_buckets, add_classes, add_presence, after, question, steadily
from support.prometheus.server import History, Prometheus
from support.prometheus.written_past import source

Read = Callable[[PrometheusSource, str, str], Awaitable[list[Answer]]]

_TICK = 5
_FIRST, _LAST = 202, 402
"""The ticks of the stage: from 202 s to 402 s after the start of the history."""


@dataclass(frozen=True)
class Truth:
    """What happened between the first and the last tick.

    Attributes:
        requests: how many requests there were.
        lost: how many of them are not counted.
        bad: how many of those that are counted failed.
        doubtful: ticks that are not counted at all, each once for a scrape.
    """

    requests: float
    lost: float = 0.0
    bad: float = 0.0
    doubtful: bool = False


def _series(history: History, name: str, samples: Samples, bad: float = 1000.0, *, pod: str = "envoy-0") -> None:
    """Add a target with an eventful past: a thousand failures of an earlier run."""
    history_of = list(samples)
    add_presence(history, name, history_of, pod=pod)
    add_classes(history, name, {"2": history_of, "5": [(at, bad) for at, _ in history_of]}, pod=pod)
    add_buckets(history, name, {"250": history_of, "+Inf": [(at, count + bad) for at, count in history_of]}, pod=pod)


def _dip(history: History, name: str, to: Callable[[float], float]) -> None:
    """Let a deduplicating querier show one sample of the other replica: ``to`` makes it of the sample before."""
    samples = list(steadily(10, start=78_000))
    samples[30] = (samples[30][0], to(samples[29][1]))
    _series(history, name, samples)


def past() -> History:
    """Return the series of all scenarios."""
    history = History()
    _series(history, "clean", steadily(10, start=5000))
    _dip(history, "dip-by-one", lambda value: value - 1)
    _dip(history, "dip-by-half", lambda value: value / 2)
    _few_failures(history)
    _series(history, "relabelled", steadily(10, end=290, start=5000), pod="envoy-0")
    _series(history, "relabelled", steadily(10, begin=300, start=8000), pod="envoy-0-renamed")
    _series(history, "new-envoy", steadily(10, start=5000))
    _series(history, "new-envoy", steadily(5, begin=300, start=25), bad=0, pod="envoy-1")
    _series(history, "emptied", steadily(10, begin=300, start=8000))
    beyond = float(2**53)
    _series(history, "beyond-2-53", steadily(1000, start=beyond))
    _new_version(history)
    _fails_late(history)
    _restarts(history)
    _twice(history)
    return history


def _new_version(history: History) -> None:
    """A version that gets its first requests in the outage: each second scrape shows two more failures."""
    requests = list(steadily(10, begin=300, start=10))
    failures = [(at, 5 + 2 * ((at - 300) // 20)) for at, _ in requests]
    add_presence(history, "new-version", requests)
    add_classes(history, "new-version", {"2": requests, "5": failures})
    slow = [(at, count + bad) for (at, count), (_, bad) in zip(requests, failures, strict=True)]
    add_buckets(history, "new-version", {"250": requests, "+Inf": slow})


def _fails_late(history: History) -> None:
    """One whose target was scraped before it failed: all failures are in the first value of their series."""
    requests = list(steadily(10, begin=300, start=10))
    failures = [(at, 30) for at, _ in requests if at >= 310]
    add_presence(history, "fails-late", requests)
    add_classes(history, "fails-late", {"2": requests, "5": failures})
    slow = [(at, count + (30 if at >= 310 else 0)) for at, count in requests]
    add_buckets(history, "fails-late", {"250": requests, "+Inf": slow})


def _restarts(history: History) -> None:
    """A process that restarts every minute, beside one that does not: after each restart it has had 20 requests."""
    _series(history, "restarts", steadily(10, start=5000))
    often = [(at, 20 + (at % 60) * 5) for at in range(0, 601, 10)]
    add_presence(history, "restarts", often, pod="envoy-1")
    add_classes(history, "restarts", {"2": often, "5": [(at, 0) for at, _ in often]}, pod="envoy-1")
    add_buckets(history, "restarts", {"250": often, "+Inf": often}, pod="envoy-1")


def _few_failures(history: History) -> None:
    """A version that has failed four times in an earlier run: one sample shows three of them."""
    good = list(steadily(10, start=500))
    add_presence(history, "few-failures", good)
    failed = [(at, 3 if at == 300 else 4) for at, _ in good]
    add_classes(history, "few-failures", {"2": good, "5": failed})


def _twice(history: History) -> None:
    """Two replicas of Prometheus, both in one store."""
    for replica in ("a", "b"):
        for series in ("envoy_cluster_upstream_rq_total", "envoy_cluster_upstream_rq_xx"):
            labels = {"envoy_cluster_name": "ml_twice_80", "instance": "10.0.0.1:8002", "replica": replica}
            more = {"envoy_response_code_class": "2"} if series.endswith("xx") else {}
            history.add(series, labels | more, steadily(10, start=5000))


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with Prometheus(tmp_path_factory.mktemp("dirty"), history=past()) as running:
        yield running


@pytest.fixture
def metrics(dirty: Prometheus) -> Iterator[PrometheusSource]:
    made = source(dirty.url)
    yield made
    made.close()


TRUTHS = {
    "clean": Truth(2000),
    # The sample after the dip has the growth of both intervals, and one request more.
    "dip-by-one": Truth(2000 + 1, doubtful=True),
    "dip-by-half": Truth(2000, lost=200, doubtful=True),
    # What came between the last scrape of the old series and the first one of the new is lost.
    "relabelled": Truth(2000, lost=100),
    "new-envoy": Truth(2000 + 525, lost=25),
    "emptied": Truth(1000),
    "beyond-2-53": Truth(200_000),
    # At 240 s, 300 s and 360 s there were 20 requests since the restart; between the restarts it grows by 5 a second.
    "restarts": Truth(2000 + 150 + (20 + 250) + (20 + 250) + (20 + 200)),
}


async def _ticks(metrics: PrometheusSource, name: str, condition: str) -> list[Answer]:
    asked = question(condition, backend=name)
    ticks = pairwise(range(_FIRST, _LAST + 1, _TICK))
    return [(await metrics.ask([asked], after(at), after(since)))[asked] for since, at in ticks]


async def _replay(metrics: PrometheusSource, name: str, condition: str) -> list[Answer]:
    asked = question(condition, backend=name)
    return list((await metrics.replay([asked], after(_FIRST), after(_LAST), timedelta(seconds=_TICK)))[asked])


AFTER_AN_OUTAGE = {
    "clean": Truth(2000),
    "relabelled": Truth(2000, lost=100),
    "new-envoy": Truth(2000 + 525, lost=25),
    # Nothing is there at the last tick before the outage.
    "emptied": Truth(1000),
    # What the version failed at before its first scrape may be from an earlier run; what came after it is its own.
    "new-version": Truth(1000 + 10, bad=10),
    "fails-late": Truth(1000 + 30, bad=30),
}


async def _around_an_outage(metrics: PrometheusSource, name: str, condition: str) -> list[Answer]:
    """Ask as where nothing was answered for a hundred seconds: the tick after them is about all of them."""
    asked = question(condition, backend=name)
    times = [at for at in range(_FIRST, _LAST + 1, _TICK) if not 252 < at < 352]
    return [(await metrics.ask([asked], after(at), after(since)))[asked] for since, at in pairwise(times)]


async def _one_long_step(metrics: PrometheusSource, name: str, condition: str) -> list[Answer]:
    """Replay a stage that is so long that its steps are, too."""
    asked = question(condition, backend=name)
    return list((await metrics.replay([asked], after(_FIRST), after(_LAST), timedelta(seconds=_LAST - _FIRST)))[asked])


@pytest.mark.parametrize("condition", ["error_rate > 1%", "latency_p95 > 250ms"])
@pytest.mark.parametrize(
    ("read", "name"),
    [*((_around_an_outage, name) for name in AFTER_AN_OUTAGE), (_one_long_step, "new-version")],
)
async def test_a_long_tick_counts_what_a_new_series_has_shown_in_it(
    metrics: PrometheusSource, name: str, condition: str, read: Read
) -> None:
    answers = await read(metrics, name, condition)
    counted = [answer.batch for answer in answers if isinstance(answer, Counted)]
    truth = AFTER_AN_OUTAGE[name]

    assert sum(batch.requests for batch in counted) == pytest.approx(truth.requests - truth.lost, abs=1)
    assert sum(batch.certain for batch in counted) == truth.bad


@pytest.mark.parametrize("condition", ["error_rate > 1%", "latency_p95 > 250ms"])
@pytest.mark.parametrize("read", [_ticks, _replay], ids=["ticks", "replay"])
@pytest.mark.parametrize("name", TRUTHS)
async def test_what_is_counted_is_what_there_was(
    metrics: PrometheusSource, name: str, condition: str, read: Read
) -> None:
    answers = await read(metrics, name, condition)
    counted = [answer.batch for answer in answers if isinstance(answer, Counted)]
    truth = TRUTHS[name]

    assert sum(batch.certain for batch in counted) == truth.bad
    assert sum(batch.requests for batch in counted) == pytest.approx(truth.requests - truth.lost, abs=1)
    doubts = [answer for answer in answers if isinstance(answer, NoData) and answer.cause is Cause.AMBIGUOUS]
    assert bool(doubts) == truth.doubtful


async def test_a_counter_that_dips_is_said_with_both_figures(metrics: PrometheusSource) -> None:
    answers = await _ticks(metrics, "dip-by-one", "error_rate > 1%")

    messages = {answer.message for answer in answers if isinstance(answer, NoData)}
    assert len(messages) == 1
    assert "from 80,900 to 80,899, while at most 310 requests are plausible" in messages.pop()


@pytest.mark.parametrize("read", [_ticks, _replay], ids=["ticks", "replay"])
async def test_a_dip_of_few_failures_is_not_taken_for_a_restart(metrics: PrometheusSource, read: Read) -> None:
    answers = await read(metrics, "few-failures", "error_rate > 1%")

    counted = [answer.batch for answer in answers if isinstance(answer, Counted)]
    # The return to the value before is growth like any other.
    assert sum(batch.certain for batch in counted) == 1
    assert sum(batch.requests for batch in counted) == pytest.approx(2000 - 100 + 1, abs=1)
    assert len([answer for answer in answers if isinstance(answer, NoData)]) == 1


@pytest.mark.parametrize("read", [_ticks, _replay], ids=["ticks", "replay"])
async def test_two_replicas_in_one_store_are_not_added_up(metrics: PrometheusSource, read: Read) -> None:
    answers = await read(metrics, "twice", "error_rate > 1%")

    assert {answer.cause for answer in answers if isinstance(answer, NoData)} == {Cause.AMBIGUOUS}
    assert not [answer for answer in answers if isinstance(answer, Counted)]
    assert {"2 equal series" in answer.message for answer in answers if isinstance(answer, NoData)} == {True}
