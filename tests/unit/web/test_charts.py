"""The geometry of the evidence charts, for any points that a status may hold."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.rollout_status import EvidencePoint, EvidenceStatus
from serinus.api.verdict import Verdict
from serinus.web.charts import HEIGHT, evidence_chart
from support.builders import NOW

FIGURES = st.one_of(st.none(), st.sampled_from(["0", "1", "-3.5", "1e999", "1e300", "0.002", "12345678"]))


def judged(*points: EvidencePoint, condition: str = "error_rate > 1%") -> EvidenceStatus:
    return EvidenceStatus(name="error_rate", condition=condition, verdict=Verdict.PASS, at=NOW, points=points)


def point(seconds: int, *, evidence: str | None = None, value: str | None = None) -> EvidencePoint:
    return EvidencePoint(at=NOW + timedelta(seconds=seconds), evidence=evidence, value=value)


@given(
    points=st.lists(st.tuples(st.integers(0, 10_000), FIGURES, FIGURES), max_size=20),
    needed=st.one_of(st.none(), st.floats(1, 1e6)),
    decided=st.one_of(st.none(), st.integers(-100, 20_000)),
    condition=st.sampled_from(["error_rate > 1%", "latency_p95 > 1.2x stable", "drift < 3", "no condition"]),
)
def test_every_chart_stays_inside_its_frame(
    points: list[tuple[int, str | None, str | None]], needed: float | None, decided: int | None, condition: str
) -> None:
    given_points = (point(seconds, evidence=evidence, value=value) for seconds, evidence, value in points)
    at = NOW + timedelta(seconds=decided) if decided is not None else None
    chart = evidence_chart(judged(*given_points, condition=condition), needed, at)
    if chart is None:
        return
    assert chart.dots
    assert all(0 <= dot.x <= 100 and 0 <= dot.y <= HEIGHT for dot in chart.dots)
    assert chart.limit_y is None or 0 <= chart.limit_y <= HEIGHT
    assert chart.decision_x is None or 0 <= chart.decision_x <= 100
    assert len(chart.segments) == len(chart.dots) - 1


def test_a_value_above_its_limit_is_drawn_above_its_line() -> None:
    chart = evidence_chart(judged(point(0, value="0.002"), point(60, value="0.03")), None, None)
    assert chart is not None
    assert chart.limit_y is not None
    assert chart.dots[0].y > chart.limit_y > chart.dots[1].y
    assert (chart.limit, chart.dots[1].shown) == ("limit 1%", "3%")


def test_evidence_that_reaches_what_is_needed_is_drawn_at_the_line_of_the_limit() -> None:
    chart = evidence_chart(
        judged(point(0, evidence="1"), point(60, evidence="700")), 700.0, NOW + timedelta(seconds=90)
    )
    assert chart is not None
    assert chart.limit_y == chart.dots[1].y
    assert chart.decision_x == 100.0
    assert chart.dots[1].x == pytest.approx(66.7, abs=0.1)


def test_without_figures_there_is_no_chart() -> None:
    assert evidence_chart(judged(), 700.0, None) is None
    assert evidence_chart(judged(point(0)), 700.0, None) is None
