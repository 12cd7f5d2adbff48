"""Requests without an answer, told from counters that are new, were absent or fell: as many as can be known.

Like ``test_dirty_data``: each scenario is written into a real Prometheus, and read tick by tick and as a replay.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Final

import pytest

from serinus.engine.analysis.measurements import Answer, Counted
from serinus.metrics import PrometheusSource
from support.prometheus.questions import Samples, add_lifecycle, after, question, steadily
from support.prometheus.server import History, Prometheus
from support.prometheus.written_past import source

Read = Callable[[PrometheusSource, str], Awaitable[list[Answer]]]

_TICK: Final = 5
_FIRST, _LAST = 202, 402
_RESET: Final = "upstream_rq_rx_reset"


def past() -> History:
    """Return the series of all scenarios."""
    history = History()
    # One request a second is never answered, one is; one is broken off each two seconds.
    half = steadily(0.5)
    add_lifecycle(history, "known", sent=steadily(2), ended=steadily(1), broken={_RESET: half})
    new = {"sent": steadily(2, begin=300, start=20), "ended": steadily(1, begin=300, start=10)}
    add_lifecycle(history, "new-version", **new, broken={_RESET: steadily(0.5, begin=300, start=5)})
    # Its requests are under way for a while before their clients go away: 100 at first, none at the end.
    going = [(at, max(0, 100 - 2 * (at - 300))) for at, _ in steadily(1, begin=300)]
    still = steadily(0, begin=300)
    hung = steadily(0, begin=300, start=100)
    add_lifecycle(history, "waits-long", sent=hung, ended=still, active=going, broken={_RESET: still})
    # The target's breaks are counted from the first one on.
    later: Samples = [(at, 30) for at, _ in steadily(1, begin=320)]
    add_lifecycle(history, "breaks-late", **new, broken={"upstream_rq_timeout": steadily(0, begin=300), _RESET: later})
    # Not scraped for six minutes, while Prometheus answered.
    absent = {
        name: [*steadily(rate, end=100, start=5000), *steadily(rate, begin=460, start=5000 + rate * 460)]
        for name, rate in {"sent": 2.0, "ended": 1.0, "broken": 0.5}.items()
    }
    add_lifecycle(
        history, "scraped-again", sent=absent["sent"], ended=absent["ended"], broken={_RESET: absent["broken"]}
    )
    return history


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with Prometheus(tmp_path_factory.mktemp("dirty"), history=past()) as running:
        yield running


@pytest.fixture
def metrics(dirty: Prometheus) -> Iterator[PrometheusSource]:
    made = source(dirty.url)
    yield made
    made.close()


@dataclass(frozen=True)
class Truth:
    """What happened between the first and the last tick, as far as it can be known."""

    ended: float
    open: float
    broken: float


async def _around_an_outage(metrics: PrometheusSource, name: str) -> list[Answer]:
    """Ask as where nothing was answered for a hundred seconds: the tick after them is about all of them."""
    asked = question("unanswered_rate > 1%", backend=name)
    times = [at for at in range(_FIRST, _LAST + 1, _TICK) if not 252 < at < 352]
    return [(await metrics.ask([asked], after(at), after(since)))[asked] for since, at in pairwise(times)]


async def _one_long_step(metrics: PrometheusSource, name: str) -> list[Answer]:
    """Replay a stage that is so long that its steps are, too."""
    asked = question("unanswered_rate > 1%", backend=name)
    return list((await metrics.replay([asked], after(_FIRST), after(_LAST), timedelta(seconds=_LAST - _FIRST)))[asked])


TRUTHS: Final[Mapping[str, Truth]] = {
    "known": Truth(ended=200, open=200, broken=100),
    # What the version did before its first scrape may be from an earlier run; what came after it is its own.
    "new-version": Truth(ended=100, open=100, broken=50),
    "waits-long": Truth(ended=0, open=0, broken=0),
    "breaks-late": Truth(ended=100, open=100, broken=30),
}


@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize("read", [_around_an_outage, _one_long_step], ids=["ticks", "replay"])
async def test_a_long_tick_counts_what_a_new_version_left_without_an_answer(
    metrics: PrometheusSource, name: str, read: Read
) -> None:
    counted = [answer for answer in await read(metrics, name) if isinstance(answer, Counted)]

    assert sum(answer.batch.requests for answer in counted) == pytest.approx(TRUTHS[name].ended, abs=1)
    assert sum(answer.open for answer in counted) == pytest.approx(TRUTHS[name].open, abs=1)
    assert sum(answer.batch.certain for answer in counted) == pytest.approx(TRUTHS[name].broken, abs=1)


async def test_what_no_scrape_showed_for_minutes_counts_when_the_target_is_scraped_again(
    metrics: PrometheusSource,
) -> None:
    asked = question("unanswered_rate > 1%", backend="scraped-again")
    answers = [(await metrics.ask([asked], after(at), after(at - 5)))[asked] for at in range(57, 502, 5)]
    counted = [answer for answer in answers if isinstance(answer, Counted)]

    # From the scrape at 50 s to the one at 490 s.
    assert sum(answer.open for answer in counted) == pytest.approx(440, abs=1)
    assert sum(answer.batch.requests for answer in counted) == pytest.approx(440, abs=1)
    assert sum(answer.batch.certain for answer in counted) == pytest.approx(220, abs=1)
