"""Ticks, blocks and bursts in time, as both e-processes see them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.engine.analysis.evidence import NO_EVIDENCE, Bursts, Counts, Evidence, Terms
from support.folding import fold

TERMS = Terms(tolerated=0.005, planned=480, bursts=Bursts(blip=2.0, shortest=15.0))


def folded(ticks: list[Counts], per_second: float, terms: Terms = TERMS) -> Evidence:
    evidence = NO_EVIDENCE
    for tick in ticks:
        evidence = fold(evidence, tick, per_second, terms)
    return evidence


def requests_to_breach(tick: Counts, per_second: float) -> float:
    evidence, requests = NO_EVIDENCE, 0.0
    while evidence.value < 200:
        evidence = fold(evidence, tick, per_second, TERMS)
        requests += tick.requests
    return requests


def test_evidence_is_one_before_the_first_request() -> None:
    assert NO_EVIDENCE.value == 1.0


def test_at_low_traffic_ticks_are_pooled_into_blocks() -> None:
    ticks = [Counts(3.0, 0.0, 5.0)] * 13
    assert [folded(ticks[:count], 0.6).adaptive.blocks for count in (6, 7, 13)] == [0, 1, 1]
    assert folded(ticks[:8], 0.6).pending.requests == 3


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.data())
def test_where_a_block_ends_depends_on_request_counts_alone(requests: list[int], data: st.DataObject) -> None:
    bad = [data.draw(st.integers(0, count)) for count in requests]
    good = folded([Counts(count, 0.0, 5.0) for count in requests], 1.0)
    failing = folded([Counts(count, x, 5.0) for count, x in zip(requests, bad, strict=True)], 1.0)
    assert (good.adaptive.blocks, good.pending.requests) == (failing.adaptive.blocks, failing.pending.requests)


@pytest.mark.parametrize(
    ("requests", "per_second", "most"),
    [(0.5, 0.1, 10), (3, 0.6, 12), (50, 10, 60), (500, 100, 500), (5000, 1000, 5000)],
)
def test_outright_failure_is_found_after_ten_requests_or_three_blips(
    requests: float, per_second: float, most: float
) -> None:
    found = requests_to_breach(Counts(requests, requests, 5.0), per_second)
    assert found <= most


def test_an_outage_shorter_than_the_blip_is_no_breach_at_any_traffic() -> None:
    for per_second in (0.5, 10.0, 500.0):
        tick = 5 * per_second
        clean, outage = Counts(tick, 0.0, 5.0), Counts(tick, min(tick, 2 * per_second), 5.0)
        evidence = folded([*[clean] * 400, outage, *[clean] * 400], per_second)
        assert evidence.value < 100
        assert folded([*[clean] * 400, outage], per_second).value < 100


def test_a_given_burst_overrides_the_blip() -> None:
    bursts = Bursts(blip=2.0, given=3, shortest=15.0)
    assert bursts.largest(Counts(1e6, 0.0, 5.0), 1e5) == 3.0


def test_traffic_that_has_just_risen_counts_for_the_largest_burst() -> None:
    bursts = Bursts(blip=2.0, shortest=15.0)
    assert bursts.largest(Counts(150.0, 0.0, 5.0), 0.1) == bursts.largest(Counts(0.0, 0.0, 5.0), 10.0)
    assert bursts.largest(Counts(150.0, 0.0, 5.0), 0.1) > bursts.largest(Counts(15.0, 0.0, 5.0), 2.0)


def test_while_no_rate_is_known_the_requests_may_have_come_in_a_part_of_a_scrape() -> None:
    bursts = Bursts(blip=2.0, shortest=15.0)
    assert bursts.largest(Counts(75.0, 0.0, 15.0), 0.0) == bursts.largest(Counts(0.0, 0.0, 5.0), 10.0)


def test_an_outage_of_the_blip_in_the_first_tick_is_no_breach_but_outright_failure_is() -> None:
    outage, failing = Counts(50.0, 20.0, 5.0), Counts(50.0, 50.0, 5.0)
    assert folded([outage], 0.0).value < 100
    assert folded([failing], 0.0).value > 1000


def test_the_largest_burst_does_not_depend_on_the_bad_requests() -> None:
    bursts = Bursts(blip=2.0)
    assert bursts.largest(Counts(50.0, 0.0, 5.0), 1.0) == bursts.largest(Counts(50.0, 50.0, 5.0), 1.0)
