import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serinus.engine.analysis.outright import NO_EVIDENCE, OutrightEvidence
from support.examples import examples
from support.folding import fold_failures

TOLERATED = 0.05
PLANNED = 5


def folded(
    ticks: list[tuple[float, float]], bursts: list[float], *, tolerated: float = TOLERATED, planned: int = PLANNED
) -> OutrightEvidence:
    evidence = NO_EVIDENCE
    for (requests, bad), burst in zip(ticks, bursts, strict=True):
        evidence = fold_failures(evidence, requests, bad, burst=burst, tolerated=tolerated, planned=planned)
    return evidence


def expected_evidence(*, rate: float, bursts: list[float], split: list[int], planned: int = PLANNED) -> float:
    """Return the mean of E over all 2^10 outcomes of ten requests that arrive in batches of these sizes."""
    mean = 0.0
    for outcomes in itertools.product((0, 1), repeat=sum(split)):
        rest, ticks = list(outcomes), []
        for size in split:
            ticks.append((float(size), float(sum(rest[:size]))))
            rest = rest[size:]
        bad = sum(outcomes)
        mean += rate**bad * (1 - rate) ** (len(outcomes) - bad) * folded(ticks, bursts, planned=planned).value
    return mean


ten_requests = st.sampled_from([[1] * 10, [10], [3, 7], [1, 2, 3, 4], [5, 5], [2] * 5, [4, 1, 1, 4]])


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
            * folded([(3.0, bad) for bad in outcome], [burst] * 6).value
            for outcome in outcomes
        )

    assert mean(3.0) == pytest.approx(1.0, abs=1e-9)
    assert mean(1.0) > 10


ticks_of_requests = st.lists(
    st.integers(1, 50).flatmap(lambda n: st.tuples(st.just(float(n)), st.integers(0, n).map(float))),
    min_size=1,
    max_size=30,
)


@given(ticks=ticks_of_requests, data=st.data())
def test_one_more_bad_request_never_weakens_the_evidence(ticks: list[tuple[float, float]], data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(ticks) - 1))
    requests, bad = ticks[which]
    worse = list(ticks)
    worse[which] = (requests, min(requests, bad + 1))
    ones = [1.0] * len(ticks)
    assert folded(worse, ones).value >= folded(ticks, ones).value


@given(ticks=ticks_of_requests, data=st.data())
def test_one_onset_is_indifferent_to_how_its_requests_are_cut_into_ticks(
    ticks: list[tuple[float, float]], data: st.DataObject
) -> None:
    """The mixture over onsets depends on the ticks; what a single onset contributes does not."""
    burst = data.draw(st.floats(1, 20))
    whole = (sum(requests for requests, _ in ticks), sum(bad for _, bad in ticks))

    def of_the_first_tick(cut: list[tuple[float, float]]) -> float:
        # With so many planned ticks, the later onsets have no weight.
        return folded(cut, [burst] * len(cut), planned=10**15).ratios[0]

    assert of_the_first_tick(ticks) == pytest.approx(of_the_first_tick([whole]), rel=1e-6, abs=1e-12)


# The grammar of conditions allows nothing closer to 0 or 1.
@given(tolerated=st.floats(1e-11, 1 - 1e-11), ticks=ticks_of_requests)
def test_evidence_is_a_positive_number_for_every_tolerated_rate(
    tolerated: float, ticks: list[tuple[float, float]]
) -> None:
    value = folded([(1000 * n, 1000 * x) for n, x in ticks], [1.0] * len(ticks), tolerated=tolerated).value
    assert math.isfinite(value)
    assert value > 0


def test_a_regression_in_the_middle_of_the_stage_needs_little_more_than_one_at_its_start() -> None:
    def ticks_to_breach(good: int) -> int:
        evidence = folded([(15.0, 0.0)] * good, [1.0] * good, tolerated=0.005, planned=480)
        for tick in range(1, 100):
            evidence = fold_failures(evidence, 15.0, 9.0, burst=1.0, tolerated=0.005, planned=480)
            if evidence.value >= 100:
                return tick
        raise AssertionError("never breached")

    assert ticks_to_breach(0) == 1
    assert ticks_to_breach(240) == 1


@pytest.mark.parametrize("tolerated", [0.0, 1.0, -0.1, math.nan])
def test_a_tolerated_rate_outside_0_and_1_is_refused_by_name(tolerated: float) -> None:
    with pytest.raises(ValueError, match="tolerated"):
        fold_failures(NO_EVIDENCE, 1, 1, burst=1.0, tolerated=tolerated, planned=1)
