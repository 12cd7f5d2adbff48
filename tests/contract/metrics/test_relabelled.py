"""Targets whose labels change and change back: what was counted under the other labels is not counted again.

The series are written by remote write into a real Prometheus, with the markers that end a series, read tick by tick as
the operator does, and once more as a replay: docs/reference/metrics-presets.md has the table.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Counted, NoData
from serinus.metrics import PrometheusSource
from support.prometheus.questions import after, question
from support.prometheus.reading import by_replay, by_ticks
from support.prometheus.remote_write import WrittenPast
from support.prometheus.server import Prometheus
from support.prometheus.written_past import source

Read = Callable[[PrometheusSource, str, str], Awaitable[list[Answer]]]

_TICK, _SCRAPE = 5, 10
_TIMES = 202, 902
_END = 1200


@dataclass(frozen=True)
class Labels:
    """A set of labels of a target.

    Attributes:
        node: the one that changes.
        instance: which target it is.
    """

    node: str
    instance: str = "10.0.0.1:8002"


BEFORE, MEANWHILE = Labels("before"), Labels("meanwhile")
OTHER = Labels("before", instance="10.0.0.2:8002")


def add(
    past: WrittenPast, name: str, labels: Labels, *times: range, restarted: int = _END, ends_after: int = _SCRAPE
) -> None:
    """Add a target that has had ten requests a second since 500 s ago, one of which fails and is slow.

    Args:
        past: where to add it.
        name: the backend.
        labels: of the target.
        times: when it is scraped under these labels, each range followed by the marker that ends a series.
        restarted: when its process was restarted.
        ends_after: how long after the last sample the marker comes. A Prometheus whose configuration is reloaded writes
            it a scrape after the first sample under other labels; where a scrape has failed it is there at once.
    """
    of_cluster = {"envoy_cluster_name": f"ml_{name}_80", "node": labels.node, "instance": labels.instance}

    def counted(rate: float) -> Iterable[tuple[float, float | None]]:
        for scraped in times:
            yield from ((at, float(rate * (at - (restarted if at >= restarted else -500)))) for at in scraped)
            yield (scraped[-1] + ends_after, None)

    past.add("envoy_cluster_upstream_rq_total", of_cluster, counted(10))
    for code, rate in (("2", 9), ("5", 1)):
        past.add("envoy_cluster_upstream_rq_xx", of_cluster | {"envoy_response_code_class": code}, counted(rate))
    for bound, rate in (("250", 9), ("+Inf", 10)):
        past.add("envoy_cluster_upstream_rq_time_bucket", of_cluster | {"le": bound}, counted(rate))


def away(past: WrittenPast, name: str, end: int, *, ends_after: int = _SCRAPE) -> None:
    """Let a target have other labels from 300 s to ``end``; the process and its counters go on."""
    add(past, name, BEFORE, range(0, 300, 10), range(end, _END, 10), ends_after=ends_after)
    add(past, name, MEANWHILE, range(300, end, 10), ends_after=ends_after)


def written() -> WrittenPast:
    """Return the series of all scenarios."""
    past = WrittenPast()
    for minutes in (2, 5, 9):
        away(past, f"back-after-{minutes}", 300 + minutes * 60)
    away(past, "back-after-a-scrape", 310)
    away(past, "seen-twice", 600, ends_after=22)
    away(past, "one-of-two", 600)
    add(past, "one-of-two", OTHER, range(0, _END, 10))
    add(past, "back-after-a-gap", BEFORE, range(0, 300, 10), range(600, _END, 10))
    add(past, "back-after-a-gap", MEANWHILE, range(300, 500, 10))
    # After the change a scrape fails, at 400 s.
    add(past, "failed-scrape", BEFORE, range(0, 300, 10))
    add(past, "failed-scrape", MEANWHILE, range(300, 400, 10), range(410, _END, 10))
    # The process restarts at 395 s.
    add(past, "restarted", BEFORE, range(0, 300, 10), range(600, _END, 10), restarted=395)
    add(past, "restarted", MEANWHILE, range(300, 600, 10), restarted=395)
    add(past, "gap", BEFORE, range(0, 300, 10), range(600, _END, 10))
    add(past, "gap-of-one", BEFORE, range(0, 300, 10), range(600, _END, 10))
    add(past, "gap-of-one", OTHER, range(0, _END, 10))
    return past


@pytest.fixture(scope="module")
def relabelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    options = ["--web.enable-remote-write-receiver"]
    with Prometheus(tmp_path_factory.mktemp("relabelled"), options=options) as prometheus:
        written().write(prometheus.url)
        yield prometheus


@pytest.fixture
def metrics(relabelled: Prometheus) -> Iterator[PrometheusSource]:
    made = source(relabelled.url)
    yield made
    made.close()


async def _ticks(metrics: PrometheusSource, name: str, condition: str) -> list[Answer]:
    return await by_ticks(metrics, question(condition, backend=name), _TIMES, tick=_TICK)


async def _replay(metrics: PrometheusSource, name: str, condition: str) -> list[Answer]:
    return await by_replay(metrics, question(condition, backend=name), _TIMES, tick=_TICK)


@dataclass(frozen=True)
class Truth:
    """What happened: requests and failures from the first tick to the last, and how many of both are not counted."""

    requests: int = 7000
    lost: int = 0
    doubtful: bool = False


TRUTHS = {
    # What came between the last scrape of one set of labels and the first one of the other, there and back.
    "back-after-a-scrape": Truth(lost=200),
    "back-after-2": Truth(lost=200),
    "back-after-5": Truth(lost=200),
    "back-after-9": Truth(lost=200),
    # As long as both sets are there, every request seems to come twice.
    "seen-twice": Truth(lost=400, doubtful=True),
    "one-of-two": Truth(14_000, lost=200),
    # From 490 s to 600 s it was not scraped.
    "back-after-a-gap": Truth(lost=100 + 1100),
    "failed-scrape": Truth(lost=100 + 200),
    # At 400 s there are 50 requests since the restart; the 50 before it are lost.
    "restarted": Truth(lost=250),
    # The labels stay the same.
    "gap": Truth(),
    "gap-of-one": Truth(14_000),
}


@pytest.mark.parametrize("condition", ["error_rate > 1%", "latency_p95 > 250ms"])
@pytest.mark.parametrize("read", [_ticks, _replay], ids=["ticks", "replay"])
@pytest.mark.parametrize("name", TRUTHS)
async def test_what_was_counted_under_other_labels_is_not_counted_again(
    metrics: PrometheusSource, name: str, condition: str, read: Read
) -> None:
    answers = await read(metrics, name, condition)
    counted = [answer.batch for answer in answers if isinstance(answer, Counted)]
    truth = TRUTHS[name]

    assert sum(batch.requests for batch in counted) == pytest.approx(truth.requests - truth.lost, abs=1)
    assert sum(batch.certain for batch in counted) == pytest.approx((truth.requests - truth.lost) / 10, abs=1)
    doubts = [answer for answer in answers if isinstance(answer, NoData) and answer.cause is Cause.AMBIGUOUS]
    assert bool(doubts) == truth.doubtful


@pytest.mark.parametrize("read", [_ticks, _replay], ids=["ticks", "replay"])
async def test_counts_after_a_gap_say_from_which_sample_they_count(metrics: PrometheusSource, read: Read) -> None:
    answers = await read(metrics, "gap", "error_rate > 1%")

    counted = [answer for answer in answers if isinstance(answer, Counted) and answer.batch.requests]
    begun = {answer.at: answer.begun for answer in counted}
    (over,) = (answer.at for answer in counted if answer.batch.requests > 100)
    assert begun[over] == after(290)
    # Each other one counts from the sample before.
    others = {at - start for at, start in begun.items() if at != over and start is not None}
    assert max(others) < timedelta(seconds=2 * _SCRAPE)
    assert len(begun) == len(counted) > 30
