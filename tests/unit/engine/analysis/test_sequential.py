import itertools
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serinus.engine.analysis.sequential import (
    CERTIFICATE_NEEDED,
    Evidence,
    Onset,
    Tick,
    advance_onset,
    certificate,
    certificate_missing,
    fold,
    no_evidence,
    starting_weight,
    unspent_weight,
)
from support.examples import examples

START = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
TOLERATED = 0.05
PLANNED = 5


def folded(ticks: list[Tick], *, tolerated: float = TOLERATED, planned: int = PLANNED) -> Evidence:
    evidence = no_evidence(tolerated)
    for tick in ticks:
        evidence = fold(evidence, tick, tolerated=tolerated, planned=planned)
    return evidence


def expected_evidence(*, rate: float, bursts: list[float], split: list[int], planned: int = PLANNED) -> float:
    """Return the mean of E over all 2^10 outcomes of ten requests that arrive in batches of these sizes."""
    mean = 0.0
    for outcomes in itertools.product((0, 1), repeat=sum(split)):
        rest, ticks = list(outcomes), []
        for size, burst in zip(split, bursts, strict=True):
            ticks.append(Tick(size, sum(rest[:size]), burst))
            rest = rest[size:]
        bad = sum(outcomes)
        mean += rate**bad * (1 - rate) ** (len(outcomes) - bad) * folded(ticks, planned=planned).value
    return mean


ten_requests = st.sampled_from([[1] * 10, [10], [3, 7], [1, 2, 3, 4], [5, 5], [2] * 5, [4, 1, 1, 4]])


def test_evidence_is_one_before_the_first_request() -> None:
    assert no_evidence(TOLERATED).value == 1.0


def test_at_the_tolerated_rate_evidence_of_independent_requests_is_a_martingale() -> None:
    assert expected_evidence(rate=TOLERATED, bursts=[1.0] * 10, split=[1] * 10) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.049])
def test_below_the_tolerated_rate_evidence_shrinks_on_average(rate: float) -> None:
    assert expected_evidence(rate=rate, bursts=[1.0] * 10, split=[1] * 10) < 1.0


@given(split=ten_requests, planned=st.integers(1, 20), rate=st.sampled_from([0.0, 0.01, 0.03, TOLERATED]))
@settings(max_examples=examples(15))
def test_however_the_requests_are_cut_into_ticks_the_bound_holds(split: list[int], planned: int, rate: float) -> None:
    mean = expected_evidence(rate=rate, bursts=[1.0] * len(split), split=split, planned=planned)
    assert mean <= 1.0 + 1e-9


@given(split=ten_requests, data=st.data())
@settings(max_examples=examples(15))
def test_a_burst_that_changes_from_tick_to_tick_keeps_the_bound(split: list[int], data: st.DataObject) -> None:
    bursts = data.draw(st.lists(st.floats(1, 20), min_size=len(split), max_size=len(split)))
    assert expected_evidence(rate=TOLERATED, bursts=bursts, split=split) <= 1.0 + 1e-9


def test_requests_that_fail_three_at_a_time_keep_the_bound_with_a_burst_of_three_only() -> None:
    def mean(burst: float) -> float:
        outcomes = itertools.product((0, 3), repeat=6)
        return sum(
            math.prod(TOLERATED if bad else 1 - TOLERATED for bad in outcome)
            * folded([Tick(3, bad, burst) for bad in outcome]).value
            for outcome in outcomes
        )

    assert mean(3.0) == pytest.approx(1.0, abs=1e-9)
    assert mean(1.0) > 10


ticks_of_requests = st.lists(
    st.integers(0, 50).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=30
)


@given(ticks=ticks_of_requests, data=st.data())
def test_one_more_bad_request_never_weakens_the_evidence(ticks: list[tuple[int, int]], data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(ticks) - 1))
    requests, bad = ticks[which]
    worse = list(ticks)
    worse[which] = (requests, min(requests, bad + 1))
    before = folded([Tick(*tick) for tick in ticks]).value
    assert folded([Tick(*tick) for tick in worse]).value >= before


# The grammar of conditions allows nothing closer to 0 or 1.
@given(tolerated=st.floats(1e-11, 1 - 1e-11), ticks=ticks_of_requests)
def test_evidence_is_a_positive_number_for_every_tolerated_rate(tolerated: float, ticks: list[tuple[int, int]]) -> None:
    value = folded([Tick(1000 * n, 1000 * x) for n, x in ticks], tolerated=tolerated).value
    assert math.isfinite(value)
    assert value > 0


@given(planned=st.integers(1, 3000), ticks=st.integers(0, 5000))
def test_spent_and_unspent_weights_sum_to_one(planned: int, ticks: int) -> None:
    spent = math.fsum(starting_weight(k, planned) for k in range(1, ticks + 1))
    assert spent + unspent_weight(ticks, planned) == pytest.approx(1.0, abs=1e-9)
    assert unspent_weight(ticks, planned) > 0


def test_a_tick_without_requests_changes_nothing() -> None:
    evidence = folded([Tick(10, 1)])
    assert fold(evidence, Tick(0, 0), tolerated=TOLERATED, planned=PLANNED) is evidence


def test_a_regression_in_the_middle_of_the_stage_needs_little_more_than_one_at_its_start() -> None:
    def ticks_to_breach(good: int) -> int:
        evidence = folded([Tick(15, 0)] * good, tolerated=0.005, planned=480)
        for tick in range(1, 100):
            evidence = fold(evidence, Tick(15, 3), tolerated=0.005, planned=480)
            if evidence.value >= 100:
                return tick
        raise AssertionError("never breached")

    assert ticks_to_breach(0) == 1
    assert ticks_to_breach(240) == 2


@pytest.mark.parametrize("tolerated", [0.0, 1.0, -0.1, math.nan])
def test_a_tolerated_rate_outside_0_and_1_is_refused_by_name(tolerated: float) -> None:
    with pytest.raises(ValueError, match="tolerated"):
        no_evidence(tolerated)


# ---- the certificate --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tolerated", "possible", "requests"),
    [(0.005, 0, 736), (0.005, 1, 1304), (0.005, 2, 1741), (0.05, 0, 72), (0.05, 3, 211)],
)
def test_the_certificate_needs_the_documented_number_of_requests(
    tolerated: float, possible: int, requests: int
) -> None:
    assert certificate(tolerated, requests, possible) >= CERTIFICATE_NEEDED
    assert certificate(tolerated, requests - 1, possible) < CERTIFICATE_NEEDED


def test_a_version_at_the_tolerated_rate_is_certified_no_more_often_than_a_martingale_allows() -> None:
    def chance(bad: int) -> float:
        return math.comb(60, bad) * TOLERATED**bad * (1 - TOLERATED) ** (60 - bad)

    mean = math.fsum(chance(bad) * certificate(TOLERATED, 60, bad) for bad in range(61))
    assert mean == pytest.approx(1.0, abs=1e-9)


@given(requests=st.integers(1, 100_000), share=st.floats(0, 1))
def test_the_requests_that_a_certificate_is_said_to_lack_are_enough(requests: int, share: float) -> None:
    possible = share * requests
    missing = certificate_missing(TOLERATED, requests, possible)
    if missing is None:
        assert share > 0.3 * TOLERATED
    else:
        grown = (requests + missing) / requests
        assert certificate(TOLERATED, grown * requests, grown * possible) >= CERTIFICATE_NEEDED * (1 - 1e-6)


# ---- the onset --------------------------------------------------------------------------------


def test_the_onset_is_dated_to_the_last_tick_that_spoke_for_the_version() -> None:
    onset = Onset()
    for tick in range(1, 101):
        onset = advance_onset(onset, Tick(10, 0), tolerated=0.005, at=START + timedelta(seconds=5 * tick))
    for tick in range(101, 104):
        onset = advance_onset(onset, Tick(10, 4), tolerated=0.005, at=START + timedelta(seconds=5 * tick))
    assert (onset.since, onset.requests, onset.bad) == (START + timedelta(seconds=500), 30, 12)


def test_a_regression_from_the_first_request_has_its_onset_at_the_beginning() -> None:
    onset = advance_onset(Onset(), Tick(10, 10), tolerated=0.005, at=START)
    assert (onset.since, onset.requests, onset.bad) == (None, 10, 10)
