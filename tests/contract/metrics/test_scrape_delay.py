"""A live Prometheus whose scrapes take longer than a tick: no request is lost."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from serinus.engine.analysis.measurements import Counted, NoData
from serinus.metrics import PrometheusSource
from support.prometheus.questions import question
from support.prometheus.server import Exporter, Prometheus
from support.prometheus.written_past import source

_SCRAPES = 9
_DEADLINE_SECONDS = 40.0


def exposition(count: int) -> str:
    labels = 'envoy_cluster_name="ml_fraud-2_80",envoy_response_code_class="2"'
    return f"envoy_cluster_upstream_rq_xx{{{labels}}} {count}\n"


async def test_a_scrape_that_takes_longer_than_a_tick_loses_no_request(tmp_path: Path) -> None:
    # Each scrape finds ten more requests and takes 0.7 s, while a tick is 0.3 s.
    with Exporter() as exporter:
        exporter.text, exporter.seconds = exposition(0), 0.7
        with Prometheus(tmp_path, targets=[exporter.target], scrape_interval="1s") as prometheus:
            metrics = source(prometheus.url, scrapeInterval="1s")
            try:
                counted = await count_live(metrics, exporter)
            finally:
                metrics.close()
    assert counted == 10 * _SCRAPES


async def count_live(metrics: PrometheusSource, exporter: Exporter) -> float:
    """Ask in ticks until the requests of all scrapes are counted and no more arrive; return the sum."""
    asked, counted, known = question(), 0.0, False
    deadline, idle_until = time.monotonic() + _DEADLINE_SECONDS, float("inf")
    since = datetime.now(UTC)
    while time.monotonic() < min(deadline, idle_until):
        await asyncio.sleep(0.3)  # the tick itself, not a wait for something
        at = datetime.now(UTC)
        answer = (await metrics.ask([asked], at, since))[asked]
        since = at
        assert isinstance(answer, Counted | NoData), answer
        counted += answer.batch.requests if isinstance(answer, Counted) else 0
        # Count only after the first scrape has been read: until then the assumed delay applies.
        known = known or (isinstance(answer, Counted) and exporter.scrapes >= 3)
        exposed = min(exporter.scrapes - 3, _SCRAPES) * 10 if known else 0
        exporter.text = exposition(max(exposed, 0))
        if exposed == 10 * _SCRAPES:
            idle_until = min(idle_until, time.monotonic() + 4)
    return counted
