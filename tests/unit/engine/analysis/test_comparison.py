"""The comparison with the stable version: its mean by enumeration, and whole histories with common outages."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.rollout import Judgement, Sensitivity
from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis.adaptive import Block
from serinus.engine.analysis.assessment import assess, update
from serinus.engine.analysis.comparison import Reference
from serinus.engine.analysis.evidence import NO_EVIDENCE, Bursts, Counts, Terms
from serinus.engine.analysis.likelihood import Floats
from serinus.engine.analysis.nulls import grid
from serinus.engine.analysis.progress import Progress
from support.analysis import a_stage, at, begun, counted, metrics_of
from support.folding import compared, failing, fold

COMPARED = "error_rate > stable + 0.5%"
CANDIDATE, STABLE = 5, 9


def binomial(requests: int, rate: float) -> list[float]:
    return [math.comb(requests, k) * rate**k * (1 - rate) ** (requests - k) for k in range(requests + 1)]


def mean_ratios(stable_rate: float, rate: float, *, expected: float, margin: float) -> Floats:
    """Return the mean of each likelihood ratio of the hypotheses of independent errors, over every outcome."""
    result = np.zeros(())
    for bad, stable_bad in itertools.product(range(CANDIDATE + 1), range(STABLE + 1)):
        chance = binomial(CANDIDATE, rate)[bad] * binomial(STABLE, stable_rate)[stable_bad]
        result = result + chance * compared(
            Block(CANDIDATE, bad, 4.0),
            Reference(STABLE, stable_bad, expected),
            margin=margin,
            sensitivity=Sensitivity.FAST,
        )
    return result


@pytest.mark.parametrize("margin", [0.0, 0.05])
@pytest.mark.parametrize("expected", [0.02, 0.2])
@pytest.mark.parametrize("stable_rate", [0.0, 0.005, 0.02, 0.2, 0.6, 0.95])
def test_whatever_the_stable_rate_is_no_ratio_exceeds_one_on_average(
    stable_rate: float, expected: float, margin: float
) -> None:
    for row, null in enumerate(grid(Sensitivity.FAST)):
        for part in (1.0, 0.3):
            rate = part * null.share * min(1.0, stable_rate + margin)
            assert mean_ratios(stable_rate, rate, expected=expected, margin=margin)[row].max() <= 1 + 1e-9


@pytest.mark.parametrize("margin", [0.0, 0.05])
@pytest.mark.parametrize("stable_rate", [0.0, 0.02, 0.2, 0.6, 0.95])
def test_no_ratio_of_outright_failure_exceeds_one_on_average(stable_rate: float, margin: float) -> None:
    rate = min(1.0, stable_rate + margin)
    means = np.zeros(3)
    for bad, stable_bad in itertools.product(range(CANDIDATE + 1), range(STABLE + 1)):
        chance = binomial(CANDIDATE, rate)[bad] * binomial(STABLE, stable_rate)[stable_bad]
        logarithms = failing(Block(CANDIDATE, bad, 1.0), Reference(STABLE, stable_bad, 0.02), margin=margin)
        means += chance * np.exp(logarithms)
    assert means.max() <= 1 + 1e-6


@given(bad=st.integers(0, 19), stable_bad=st.integers(0, 99), rate=st.floats(0.001, 0.5), margin=st.floats(0, 0.3))
def test_for_independent_errors_more_bad_requests_strengthen_and_more_of_the_stable_version_weaken(
    bad: int, stable_bad: int, rate: float, margin: float
) -> None:
    def ratios(candidate: int, stable: int) -> Floats:
        block, reference = Block(20, candidate, 1.0), Reference(100, stable, rate)
        return compared(block, reference, margin=margin, sensitivity=Sensitivity.FAST)

    now = ratios(bad, stable_bad)
    assert (ratios(bad + 1, stable_bad) >= now * (1 - 1e-9)).all()
    assert (ratios(bad, stable_bad + 1) <= now * (1 + 1e-9)).all()


@pytest.mark.parametrize(("margin", "reference"), [(None, Reference(10.0, 0.0, 0.01)), (0.005, None)])
def test_a_margin_needs_the_stable_versions_requests_and_they_need_a_margin(
    margin: float | None, reference: Reference | None
) -> None:
    terms = Terms(tolerated=0.005, planned=10, bursts=Bursts(blip=2.0), margin=margin)
    with pytest.raises(ValueError, match="margin"):
        fold(NO_EVIDENCE, Counts(10.0, 0.0, 5.0), 1.0, terms, reference)


def history(
    line: str,
    ticks: Sequence[tuple[tuple[int, int], tuple[int, int] | None]],
    judgement: Judgement = Judgement.SEQUENTIAL,
) -> Progress:
    progress = begun(a_stage(line, burst=None, judgement=judgement), conditions_in_run=2, metrics=metrics_of())
    for tick, (candidate, stable) in enumerate(ticks, start=1):
        progress = update(
            progress, counted(5 * tick, *candidate), None if stable is None else counted(5 * tick, *stable)
        )
    return progress


def test_a_common_outage_is_no_breach_of_a_comparison_but_of_a_limit() -> None:
    good, outage = ((50, 0), (950, 1)), ((50, 25), (950, 475))
    ticks = [*[good] * 200, *[outage] * 60, *[good] * 200]
    assert history(COMPARED, ticks).breached_at is None
    assert history("error_rate > 0.5%", ticks).breached_at is not None


def test_a_regression_is_found_beside_a_stable_version_with_errors_of_its_own() -> None:
    usual, worse = ((50, 1), (950, 19)), ((50, 5), (950, 19))
    progress = history(COMPARED, [*[usual] * 300, *[worse] * 60])
    judged = assess(progress, a_stage(COMPARED), at(1800))
    assert (judged.verdict, judged.value) == (Verdict.BREACH, "10%")
    assert "at most 2.5% may, 0.5% more than of the stable version's (evidence" in judged.message


def test_a_version_that_fails_outright_is_found_as_fast_as_by_a_limit() -> None:
    ticks = [*[((50, 0), (950, 1))] * 300, *[((50, 50), (950, 1))] * 4]
    breached = history(COMPARED, ticks).breached_at
    assert breached is not None
    assert breached <= at(1500 + 15)


def test_without_requests_of_the_stable_version_nothing_is_compared() -> None:
    progress = history(COMPARED, [((50, 50), None)] * 20)
    judged = assess(progress, a_stage(COMPARED), at(100))
    assert (judged.verdict, judged.cause) == (Verdict.UNKNOWN, Cause.NO_TRAFFIC)
    assert judged.message == "No answer of the stable version, with which error_rate is compared, has been counted."


def test_requests_wait_until_the_stable_version_has_some() -> None:
    late = history(COMPARED, [((50, 50), (0, 0)), ((0, 0), (950, 1))])
    together = history(COMPARED, [((50, 50), (950, 1))])
    assert late.evidence.value == pytest.approx(together.evidence.value, rel=0.5)
    assert late.evidence.value > 1


def test_a_comparison_passes_within_its_margin() -> None:
    progress = history(COMPARED, [((50, 1), (950, 19))] * 60)
    judged = assess(progress, a_stage(COMPARED), at(300))
    assert judged.verdict is Verdict.PASS
    assert judged.message == (
        "2% of 3,000 requests failed (60); at most 2.5% may, 0.5% more than of the stable version's."
        " 600 requests were needed."
    )


def test_an_observed_comparison_follows_the_window_of_the_stable_version() -> None:
    common = [*[((100, 1), (900, 9))] * 20, *[((100, 50), (900, 450))] * 40]
    assert history(COMPARED, common, judgement=Judgement.OBSERVED).breached_at is None
    alone = [*[((100, 1), (900, 9))] * 20, *[((100, 50), (900, 9))] * 40]
    assert history(COMPARED, alone, judgement=Judgement.OBSERVED).breached_at is not None
