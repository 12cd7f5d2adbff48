"""The whole histogram, which a comparison of latencies asks for."""

from datetime import timedelta
from math import inf

import pytest

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Counted, NoData
from serinus.metrics.answers import Tick
from serinus.metrics.bounds import Bounds
from serinus.metrics.health import Health
from serinus.metrics.plausible import Increments
from serinus.metrics.presets import PRESETS
from support.prometheus.questions import after, question

KEY = ("ml_fraud-2_80",)


def tick(buckets: dict[float, float]) -> Tick:
    return Tick(
        preset=PRESETS["contour"],
        at=after(60),
        evaluated=60.0,
        scrape_interval=timedelta(seconds=15),
        health=Health({KEY: 60.0}),
        requests=Increments(),
        buckets=Increments({KEY: buckets}),
        doubts={},
        bounds=Bounds.of([("100", 1), ("250", 1), ("+Inf", 1)], 0),
    )


def test_the_requests_above_every_bound_are_counted_in_seconds() -> None:
    found = tick({100.0: 70.0, 250.0: 95.0, inf: 100.0}).answer(question("latency_p95 > 1.2x stable"), KEY)
    assert isinstance(found, Counted)
    assert (found.total, found.above) == (100.0, ((0.1, 30.0), (0.25, 5.0)))


@pytest.mark.parametrize(
    ("buckets", "cause"),
    [({100.0: 70.0, inf: 100.0}, Cause.AMBIGUOUS), ({100.0: float("nan"), 250.0: 1.0, inf: 1.0}, Cause.NAN)],
)
def test_a_histogram_with_a_hole_is_no_data(buckets: dict[float, float], cause: Cause) -> None:
    found = tick(buckets).answer(question("latency_p95 > 1.2x stable"), KEY)
    assert isinstance(found, NoData)
    assert found.cause is cause
