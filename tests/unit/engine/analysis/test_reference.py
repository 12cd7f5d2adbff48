"""The judge beside a direct implementation of the documented formulae, number by number and without arrays.

The product computes many conditions at once; the evidence must not depend on that.
"""

import math
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serinus.api.rollout import Sensitivity
from serinus.engine.analysis import adaptive, outright
from serinus.engine.analysis.adaptive import Block
from serinus.engine.analysis.comparison import Reference
from serinus.engine.analysis.evidence import NO_EVIDENCE, Addition, Bursts, Counts, Terms
from serinus.engine.analysis.evidence import fold as fold_together
from serinus.engine.analysis.nulls import Null, grid
from serinus.engine.analysis.weights import starting_weight, unspent_weight
from support.examples import examples
from support.folding import alternatives, compared, failing, fold, fold_block

PLANNED = 30
CLOSE = 1e-9

counts = st.tuples(st.integers(20, 3000), st.floats(0, 1)).map(
    lambda drawn: (drawn[0], round(drawn[1] ** 4 * drawn[0]))
)
some_sensitivity = st.sampled_from(Sensitivity)


def log_likelihood(rate: float, burst: float, requests: float, bad: float) -> float:
    """Return the logarithm of the beta-binomial likelihood without its coefficient; binomial for a burst of 1."""
    if burst < 1.01:
        return bad * math.log(rate) + (requests - bad) * math.log1p(-rate)
    correlation = min(0.95, (burst - 1) / (requests - 1))
    both = (1 - correlation) / correlation
    first, second = rate * both, (1 - rate) * both
    gammas = (both, -requests - both, -first, -second, bad + first, requests - bad + second)
    return math.fsum(math.copysign(1, value) * math.lgamma(abs(value)) for value in gammas)


def mixture(ratios: Sequence[Sequence[Sequence[float]]]) -> float:
    """Return the least mixture over onsets: ratios for each block, hypothesis and alternative."""
    totals = []
    for row in range(len(ratios[0])):
        running = [0.0] * len(ratios[0][0])
        for number, block in enumerate(ratios, start=1):
            weight = starting_weight(number, PLANNED)
            running = [min(1e200, (value + weight) * ratio) for value, ratio in zip(running, block[row], strict=True)]
        totals.append(math.fsum(running) / len(running))
    return min(totals) + unspent_weight(len(ratios), PLANNED)


def limit_ratios(block: Block, tolerated: float, sensitivity: Sensitivity) -> list[list[float]]:
    def ratio(null: Null, rate: float, burst: float) -> float:
        size = null.size.burst(block.largest)
        low = log_likelihood(null.share * tolerated, size, block.requests, block.bad)
        exponent = log_likelihood(rate, burst, block.requests, block.bad) - low
        no_worse = null.share >= block.bad / (tolerated * block.requests)
        return math.exp(min(0.0 if no_worse else 200.0, exponent))

    worse = alternatives(tolerated, block.requests)
    return [[ratio(null, rate, burst) for rate, burst in worse] for null in grid(sensitivity)]


@given(
    drawn=st.lists(counts, min_size=1, max_size=12),
    tolerated=st.sampled_from([0.001, 0.005, 0.05, 0.4]),
    largest=st.sampled_from([1.0, 3.0, 21.7, 1008.0]),
    sensitivity=some_sensitivity,
)
@settings(max_examples=examples(25))
def test_the_evidence_against_a_limit_is_that_of_the_formulae(
    drawn: list[tuple[int, int]], tolerated: float, largest: float, sensitivity: Sensitivity
) -> None:
    blocks = [Block(float(requests), float(bad), largest) for requests, bad in drawn]
    found = adaptive.NO_EVIDENCE
    for block in blocks:
        found = fold_block(found, block, tolerated=tolerated, planned=PLANNED, sensitivity=sensitivity)
    direct = mixture([limit_ratios(block, tolerated, sensitivity) for block in blocks])
    assert found.value == pytest.approx(direct, rel=1e-7)


@pytest.mark.parametrize("bad", [0.0, 15.0, 16.0, 17.0, 40.0, 99.0, 100.0, 12.5])
def test_counts_at_the_ends_of_a_group_and_between_whole_numbers_have_their_own_likelihood(bad: float) -> None:
    block = Block(100.0, bad, 21.0)
    found = fold_block(adaptive.NO_EVIDENCE, block, tolerated=0.05, planned=PLANNED, sensitivity=Sensitivity.BALANCED)
    assert found.value == pytest.approx(mixture([limit_ratios(block, 0.05, Sensitivity.BALANCED)]), rel=CLOSE)


def comparison_ratio(block: Block, reference: Reference, null: Null, wanted: float, margin: float) -> float:
    """Return one cell, by the formulae of docs/explanation/statistics.md."""
    rate, tolerated = reference.rate, min(0.9, reference.rate + margin)
    nothing, burst = null.share * tolerated, null.size.burst(block.largest)
    strength = reference.requests / block.requests * tolerated * (1 - nothing) / (1 - rate)
    worse = min(wanted if wanted > tolerated else 0.95, nothing + 0.8 * strength)
    lower = rate - rate * (worse - nothing) / strength
    candidate = block.bad * math.log(worse) + (block.requests - block.bad) * math.log1p(-worse)
    good = reference.requests - reference.bad
    stable = reference.bad * math.log(lower / rate) + good * math.log((1 - lower) / (1 - rate))
    low = log_likelihood(nothing, burst, block.requests, block.bad)
    return math.exp(max(-200.0, min(200.0, candidate - low + stable / burst)))


some_pairs = st.builds(
    lambda mine, others, largest, rate: (
        Block(float(mine[0]), float(mine[1]), largest),
        Reference(float(others[0]), float(others[1]), rate),
    ),
    counts,
    counts,
    st.sampled_from([1.0, 3.0, 21.7]),
    st.floats(1e-6, 0.9),
)
margins = st.sampled_from([0.0, 1e-6, 0.005, 0.1, 0.5])


@given(pair=some_pairs, margin=margins, sensitivity=some_sensitivity)
def test_the_ratios_of_a_comparison_are_those_of_the_formulae(
    pair: tuple[Block, Reference], margin: float, sensitivity: Sensitivity
) -> None:
    block, reference = pair
    found = compared(block, reference, margin=margin, sensitivity=sensitivity)
    tolerated = min(0.9, reference.rate + margin)
    wanted = [*(min(0.95, times * tolerated) for times in (1.5, 2.5, 5, 12, 40)), 0.35, 0.95]
    for row, null in zip(found, grid(sensitivity), strict=True):
        direct = [comparison_ratio(block, reference, null, each, margin) for each in wanted]
        assert row.tolist() == pytest.approx(direct, rel=1e-7)


def nearest(rate: float, requests: float, reference: Reference, margin: float) -> float:
    low, high = reference.rate, rate - margin
    if high <= low:
        return low
    for _ in range(200):
        middle = (low + high) / 2
        candidate = middle + margin
        slope = requests * (candidate - rate) / (candidate * (1 - candidate))
        slope += reference.requests * (middle - reference.rate) / (middle * (1 - middle))
        low, high = (middle, high) if slope < 0 else (low, middle)
    return low


@given(pair=some_pairs, margin=margins)
@example(pair=(Block(20.0, 0.0, 1.0), Reference(20.0, 0.0, 0.9)), margin=0.1)
def test_the_nearest_point_is_that_of_a_bisection(pair: tuple[Block, Reference], margin: float) -> None:
    block, reference = pair
    found = failing(block, reference, margin=margin)
    for logarithm, worse in zip(found, outright.FAILING, strict=True):
        stable = nearest(worse, block.requests, reference, margin)
        candidate = min(1 - 1e-9, stable + margin)
        parts = (
            (block.bad, worse, candidate),
            (block.requests - block.bad, 1 - worse, 1 - candidate),
            (reference.bad, reference.rate, stable),
            (reference.requests - reference.bad, 1 - reference.rate, 1 - stable),
        )
        direct = math.fsum(number * math.log(above / below) for number, above, below in parts) / block.largest
        assert logarithm == pytest.approx(0.0 if candidate >= worse else direct, rel=CLOSE, abs=1e-7)


@pytest.mark.parametrize("margin", [None, 0.005])
def test_evidence_that_grows_without_end_stays_finite(margin: float | None) -> None:
    terms = Terms(tolerated=0.005, planned=PLANNED, bursts=Bursts(blip=0.1), margin=margin)
    evidence = NO_EVIDENCE
    for _ in range(200):
        reference = None if margin is None else Reference(1000.0, 1.0, 0.001)
        evidence = fold(evidence, Counts(1000.0, 900.0, 5.0), 10.0, terms, reference)
    assert 1e200 <= evidence.value < math.inf


terms_of = st.builds(
    lambda tolerated, margin, sensitivity, given: Terms(
        tolerated=tolerated,
        planned=PLANNED,
        bursts=Bursts(blip=2.0, given=given, shortest=15.0),
        sensitivity=sensitivity,
        margin=margin,
    ),
    st.sampled_from([0.001, 0.005, 0.05, 0.4, 0.97]),
    st.sampled_from([None, 0.0, 0.005, 0.1]),
    some_sensitivity,
    st.sampled_from([None, 1, 20]),
)


@st.composite
def some_additions(draw: st.DrawFn) -> list[Addition]:
    """Return ticks of many conditions of every kind, each with some evidence before."""
    additions = []
    for _ in range(draw(st.integers(1, 40))):
        terms, evidence = draw(terms_of), NO_EVIDENCE
        for _ in range(draw(st.integers(1, 3))):
            requests, bad = draw(counts)
            others, others_bad = draw(counts)
            reference = None if terms.margin is None else Reference(float(others), float(others_bad), 0.01)
            tick = Counts(requests / draw(st.sampled_from([1, 7, 150])), bad / 150, 5.0)
            addition = Addition(evidence, tick, draw(st.sampled_from([0.0, 0.5, 10.0])), terms, reference)
            evidence = fold(*addition)
        additions.append(addition)
    return additions


@given(additions=some_additions())
@settings(max_examples=examples(40))
def test_what_is_computed_together_is_the_same_as_alone_to_the_bit(additions: list[Addition]) -> None:
    """An analysis that is replayed after a restart stands beside others than before it."""
    assert fold_together(additions) == [fold(*addition) for addition in additions]
    assert fold_together(additions[::-1]) == [fold(*addition) for addition in additions[::-1]]
