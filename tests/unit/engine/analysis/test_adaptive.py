"""The burst-adaptive e-process against exact expectations and a direct formula."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serinus.api.rollout import Sensitivity
from serinus.engine.analysis.adaptive import NO_EVIDENCE, AdaptiveEvidence, Block
from serinus.engine.analysis.likelihood import log_gamma
from serinus.engine.analysis.nulls import Null, grid, largest_burst
from serinus.engine.analysis.weights import starting_weight, unspent_weight
from support.examples import examples
from support.folding import alternatives, fold_block, log_likelihood

TOLERATED = 0.05
PLANNED = 5


def folded(
    blocks: Sequence[Block],
    *,
    tolerated: float = TOLERATED,
    planned: int = PLANNED,
    sensitivity: Sensitivity = Sensitivity.BALANCED,
) -> AdaptiveEvidence:
    evidence = NO_EVIDENCE
    for block in blocks:
        evidence = fold_block(evidence, block, tolerated=tolerated, planned=planned, sensitivity=sensitivity)
    return evidence


def chances(rate: float, burst: float, requests: int) -> list[float]:
    """Return the distribution of the bad count in closed form: beta-binomial, or binomial for a burst of 1."""
    if burst == 1:
        return [math.comb(requests, k) * rate**k * (1 - rate) ** (requests - k) for k in range(requests + 1)]
    correlation = min(0.95, (burst - 1) / (requests - 1))
    both = (1 - correlation) / correlation
    first, second = rate * both, (1 - rate) * both

    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    return [
        math.comb(requests, k) * math.exp(log_beta(k + first, requests - k + second) - log_beta(first, second))
        for k in range(requests + 1)
    ]


def expected(null: Null, sizes: Sequence[int], largest: float, sensitivity: Sensitivity) -> float:
    """Return the mean of the evidence over every outcome of these blocks under one hypothesis of the grid."""
    distributions = [chances(null.share * TOLERATED, null.size.burst(largest), size) for size in sizes]
    return math.fsum(
        math.prod(distribution[bad] for distribution, bad in zip(distributions, outcome, strict=True))
        * folded(
            [Block(size, bad, largest) for size, bad in zip(sizes, outcome, strict=True)], sensitivity=sensitivity
        ).value
        for outcome in itertools.product(*(range(size + 1) for size in sizes))
    )


def every_hypothesis() -> Iterator[tuple[Sensitivity, Null]]:
    for sensitivity in Sensitivity:
        for null in grid(sensitivity):
            yield sensitivity, null


@pytest.mark.parametrize(("sensitivity", "null"), list(every_hypothesis()), ids=str)
@pytest.mark.parametrize(("sizes", "largest"), [((20,), 20.0), ((8, 8), 4.0), ((4, 4, 4), 3.0), ((25, 6), 16.0)])
def test_under_every_hypothesis_of_the_grid_the_mean_of_the_evidence_is_at_most_one(
    sensitivity: Sensitivity, null: Null, sizes: tuple[int, ...], largest: float
) -> None:
    assert expected(null, sizes, largest, sensitivity) <= 1.0 + 1e-8


def test_the_evidence_against_a_single_hypothesis_is_a_martingale_but_for_its_cap() -> None:
    """Without the cap on good blocks, the mean for each row of the state is exactly one."""
    logarithms = np.array([log_likelihood([0.05, 0.025, 0.075], [1.0, 4.0, 2.0], 12, bad) for bad in range(13)])
    coefficients = np.array([math.comb(12, bad) for bad in range(13)])
    assert (np.exp(logarithms) * coefficients[:, np.newaxis]).sum(axis=0) == pytest.approx([1.0] * 3, abs=1e-9)


@given(
    requests=st.integers(20, 60),
    rate=st.floats(1e-4, 0.9),
    burst=st.floats(1.02, 30),
    data=st.data(),
)
def test_a_likelihood_is_that_of_the_closed_form(requests: int, rate: float, burst: float, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, requests))
    found = log_likelihood([rate], [burst], requests, bad)[0]
    direct = math.log(chances(rate, burst, requests)[bad]) - math.log(math.comb(requests, bad))
    assert found == pytest.approx(direct, rel=1e-7, abs=1e-7)


@given(st.floats(1e-9, 1e5))
def test_log_gamma_is_that_of_the_standard_library(value: float) -> None:
    assert log_gamma(np.array([value]))[0] == pytest.approx(math.lgamma(value), rel=1e-10, abs=1e-8)


def direct(blocks: Sequence[Block], sensitivity: Sensitivity) -> float:
    """Return the evidence by the formula of the documentation: a sum over onsets of means of products."""

    columns = len(alternatives(TOLERATED, 20))

    def ratio(null: Null, place: int, block: Block) -> float:
        requests, bad = int(block.requests), int(block.bad)
        rate, burst = alternatives(TOLERATED, requests)[place]
        low = chances(null.share * TOLERATED, null.size.burst(block.largest), requests)[bad]
        value = chances(rate, burst, requests)[bad] / low
        return min(1.0, value) if bad <= null.share * TOLERATED * requests else value

    def mixture(null: Null) -> float:
        return math.fsum(
            starting_weight(onset + 1, PLANNED)
            * math.fsum(math.prod(ratio(null, place, block) for block in blocks[onset:]) for place in range(columns))
            / columns
            for onset in range(len(blocks))
        )

    return min(mixture(null) for null in grid(sensitivity)) + unspent_weight(len(blocks), PLANNED)


some_blocks = st.lists(
    st.tuples(st.integers(20, 60), st.floats(0, 1), st.sampled_from([1.0, 3.0, 16.0])), min_size=1, max_size=7
).map(lambda drawn: [Block(n, float(round(share**3 * n)), largest) for n, share, largest in drawn])


@given(blocks=some_blocks, sensitivity=st.sampled_from(Sensitivity))
@settings(max_examples=examples(25))
def test_the_recursion_is_the_documented_formula(blocks: list[Block], sensitivity: Sensitivity) -> None:
    assert folded(blocks, sensitivity=sensitivity).value == pytest.approx(direct(blocks, sensitivity), rel=1e-6)


@given(blocks=some_blocks, requests=st.integers(20, 200), sensitivity=st.sampled_from(Sensitivity))
def test_a_block_without_a_bad_request_never_strengthens_the_evidence(
    blocks: list[Block], requests: int, sensitivity: Sensitivity
) -> None:
    before = folded(blocks, sensitivity=sensitivity)
    after = fold_block(before, Block(requests, 0, 8.0), tolerated=TOLERATED, planned=PLANNED, sensitivity=sensitivity)
    assert after.value <= before.value * (1 + 1e-12)


@pytest.mark.parametrize("sensitivity", Sensitivity)
@pytest.mark.parametrize("tolerated", [0.001, 0.005, 0.05, 0.5])
def test_a_steady_rate_that_is_worse_is_found_no_later(sensitivity: Sensitivity, tolerated: float) -> None:
    """One more bad request in one block may be a burst, but more of them in every block are a worse version."""

    def blocks_to_breach(bad: int) -> int:
        evidence = NO_EVIDENCE
        for count in range(1, 400):
            block = Block(100, bad, 16.0)
            evidence = fold_block(evidence, block, tolerated=tolerated, planned=480, sensitivity=sensitivity)
            if evidence.value >= 200:
                return count
        return 400

    first = math.ceil(100 * tolerated) + 1
    found = [blocks_to_breach(bad) for bad in (first, first + 2, (first + 100) // 2, 95)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 400


@given(blocks=some_blocks)
def test_a_sensitivity_that_guards_more_never_finds_more_evidence(blocks: list[Block]) -> None:
    fast = folded(blocks, sensitivity=Sensitivity.FAST).value
    careful = folded(blocks, sensitivity=Sensitivity.CAREFUL).value
    assert careful <= fast * (1 + 1e-12)


# The grammar of conditions allows nothing closer to 0 or 1.
@given(tolerated=st.floats(1e-11, 1 - 1e-11), blocks=some_blocks)
def test_evidence_is_a_positive_number_for_every_tolerated_rate(tolerated: float, blocks: list[Block]) -> None:
    value = folded([Block(1000 * n.requests, 1000 * n.bad, n.largest) for n in blocks], tolerated=tolerated).value
    assert math.isfinite(value)
    assert value > 0


def test_bursts_that_the_grid_guards_are_no_evidence_but_as_many_single_errors_are() -> None:
    def evidence(bad: Callable[[int], int]) -> float:
        return folded([Block(50, bad(k), 20.0) for k in range(400)], tolerated=0.005, planned=480).value

    assert evidence(lambda k: 20 if k % 100 == 50 else 0) < 1
    assert evidence(lambda _: 1) > 1e6


def test_an_outage_of_the_blip_that_two_large_ticks_share_is_no_breach_but_as_high_a_rate_is() -> None:
    def evidence(bad: Sequence[int]) -> float:
        return folded([Block(2500, x, 1024.0) for x in bad], tolerated=0.005, planned=480).value

    assert evidence([*[0] * 70, 490, 500]) < 100
    assert evidence([*[0] * 70, 490, 500, 500, 500]) > 1000


@pytest.mark.parametrize("rate", [0.15, 0.2, 0.3, 0.45, 0.75])
def test_a_rate_between_two_alternatives_is_found_in_large_blocks_too(rate: float) -> None:
    blocks = [*[Block(2500, 12, 1024.0)] * 60, *[Block(2500, round(2500 * rate), 1024.0)] * 9]
    assert folded(blocks, tolerated=0.05, planned=480).value > 400


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 10.0, 500.0])
def test_the_largest_burst_is_that_of_a_blip_rounded_up(rate: float) -> None:
    requests = max(3.0, 1 + 2 * rate)
    assert requests <= largest_burst(rate, 2.0) * (1 + 1e-9) <= 1.05 * requests


def test_evidence_is_one_before_the_first_block() -> None:
    assert NO_EVIDENCE.value == 1.0


@given(planned=st.integers(1, 3000), ticks=st.integers(0, 5000))
def test_spent_and_unspent_weights_sum_to_one(planned: int, ticks: int) -> None:
    spent = math.fsum(starting_weight(k, planned) for k in range(1, ticks + 1))
    assert spent + unspent_weight(ticks, planned) == pytest.approx(1.0, abs=1e-9)
    assert unspent_weight(ticks, planned) > 0
