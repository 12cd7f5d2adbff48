from datetime import timedelta

import pytest

from serinus.api.abort_condition import parse_abort_condition
from serinus.engine.analysis import text
from support.analysis import START


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1843, "1,843"), (0, "0"), (0.41, "0.41"), (12.345, "12.3"), (1234.5, "1,234"), (float("inf"), "infinite")],
)
def test_numbers_have_three_digits_or_commas(value: float, expected: str) -> None:
    assert text.number(value) == expected


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0, "0%"), (1, "100%"), (0.005, "0.5%"), (0.0021, "0.21%"), (0.3333, "33.3%"), (0.00001, "0.001%"), (0.2, "20%")],
)
def test_ratios_are_percentages(ratio: float, expected: str) -> None:
    assert text.percent(ratio) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.412, "412ms"), (0.0004, "0.4ms"), (1, "1s"), (1.2345, "1.23s"), (float("inf"), "infinite")],
)
def test_latencies_are_milliseconds_below_a_second(seconds: float, expected: str) -> None:
    assert text.latency(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0s"),
        (-3, "0s"),
        (0.2, "1s"),
        (45, "45s"),
        (450, "7m 30s"),
        (7200, "2h"),
        (7501, "2h 5m"),
        (90_001, "1d 1h"),
    ],
)
def test_spans_have_their_two_largest_units(seconds: float, expected: str) -> None:
    assert text.span(timedelta(seconds=seconds)) == expected


@pytest.mark.parametrize(
    ("missing", "per_second", "expected"),
    [
        (457, 0.5, "at the present 0.5 requests/s they will be there in 15m 14s, at 14:15:14Z"),
        (10**9, 1.0, "at the present rate not within 30 days"),
        (1, 0.0, "no requests are coming in at present"),
    ],
)
def test_an_arrival_is_a_time_where_there_is_one(missing: float, per_second: float, expected: str) -> None:
    assert text.arrival(missing, per_second, START) == expected


@pytest.mark.parametrize(("value", "expected"), [(12.34, "12.3"), (1e6, "over 1,000,000"), (1e300, "over 1,000,000")])
def test_evidence_beyond_a_million_is_not_spelt_out(value: float, expected: str) -> None:
    assert text.evidence(value) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("latency_p95 > 200ms", "took longer than 200ms"),
        ("e2e_latency_p95 > 5s", "took longer than 5s"),
        ("ttft_p95 > 800ms", "had no token for longer than 800ms"),
        ("tpot_p95 > 60ms", "took longer for each token than 60ms"),
        ("queue_time_p95 > 1s", "waited longer than 1s"),
        ("preemption_rate > 1%", "were started again after a preemption"),
        ("abort_rate > 1%", "ended before their answer was complete"),
    ],
)
def test_a_bad_request_is_told_by_what_was_wrong_with_it(line: str, expected: str) -> None:
    assert text.fault(parse_abort_condition(line)) == expected
