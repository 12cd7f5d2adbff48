"""The chart of the candidate's share: what was desired, what the gateway had accepted, what was observed."""

from datetime import timedelta

from serinus.api.rollout_status import TrafficPoint
from serinus.web.traffic import HEIGHT, traffic_chart
from support.builders import NOW
from support.screens import BEGAN, a_status, healthy, rolled_back

POINTS = (
    TrafficPoint(at=BEGAN, desired=0, accepted=0),
    TrafficPoint(at=BEGAN + timedelta(minutes=10), desired=5, accepted=0),
    TrafficPoint(at=BEGAN + timedelta(minutes=11), desired=5, accepted=5),
    TrafficPoint(at=BEGAN + timedelta(minutes=12), desired=5, accepted=5, observed=4.9, requests=812),
)


def test_the_lines_follow_the_points_up_to_now() -> None:
    chart = traffic_chart(a_status(traffic=POINTS), NOW)
    assert chart is not None
    assert [step.y for step in chart.desired] == [HEIGHT, 0, 0, 0]
    assert [step.y for step in chart.accepted] == [HEIGHT, HEIGHT, 0, 0]
    assert (chart.desired[0].x1, chart.desired[-1].x2) == (0, 100)
    assert len(chart.observed) == 1
    assert 0 < chart.observed[0].y < HEIGHT / 2
    assert chart.top == "5%"


def test_it_is_told_in_a_sentence() -> None:
    chart = traffic_chart(a_status(traffic=POINTS), NOW)
    assert chart is not None
    assert chart.summary.startswith("Share of the candidate in run 12 (UTC): ")
    assert "desired 5%, accepted 0%; " in chart.summary
    assert chart.summary.endswith(" Last observed: 4.9% of 812 requests.")


def test_a_run_that_is_over_ends_with_its_last_point() -> None:
    for status in (rolled_back(traffic=POINTS), healthy()):
        chart = traffic_chart(status, NOW + timedelta(days=3))
        assert chart is None or chart.accepted[-1].x2 - chart.accepted[-1].x1 == 0


def test_without_points_there_is_no_chart() -> None:
    assert traffic_chart(a_status(traffic=()), NOW) is None
    assert traffic_chart(rolled_back(traffic=POINTS[:1]), NOW) is None


def test_a_share_that_nobody_has_accepted_yet_draws_no_accepted_line() -> None:
    points = (TrafficPoint(at=BEGAN, desired=0), TrafficPoint(at=BEGAN + timedelta(minutes=1), desired=5))
    chart = traffic_chart(a_status(traffic=points), NOW)
    assert chart is not None
    assert (chart.accepted, len(chart.desired)) == ((), 2)
    assert [row.accepted for row in chart.rows] == ["-", "-"]
