"""One condition at a time, where the product computes the evidence of many together."""

import numpy as np

from serinus.api.rollout import Sensitivity
from serinus.engine.analysis import adaptive, comparison, evidence, outright
from serinus.engine.analysis.adaptive import AdaptiveEvidence, Block
from serinus.engine.analysis.comparison import Pair, Reference
from serinus.engine.analysis.evidence import Addition, Counts, Evidence, Terms
from serinus.engine.analysis.likelihood import Floats, log_likelihoods
from serinus.engine.analysis.outright import OutrightEvidence
from serinus.engine.analysis.worse import worse_rates


def fold(
    before: Evidence, tick: Counts, per_second: float, terms: Terms, reference: Reference | None = None
) -> Evidence:
    """Add one tick."""
    return evidence.fold([Addition(before, tick, per_second, terms, reference)])[0]


def fold_block(
    before: AdaptiveEvidence, block: Block, *, tolerated: float, planned: int, sensitivity: Sensitivity
) -> AdaptiveEvidence:
    """Add one block to the burst-adaptive e-process."""
    return adaptive.advance([before], adaptive.factors([block], [tolerated], sensitivity), [planned])[0]


def fold_failures(  # noqa: PLR0913 - the counts of a tick and what they are judged by
    before: OutrightEvidence, requests: float, bad: float, *, burst: float, tolerated: float, planned: int
) -> OutrightEvidence:
    """Add one tick to the e-process of outright failure."""
    ratios = np.array([outright.logarithms(requests, bad, burst, tolerated)])
    return outright.advance([before], ratios, [planned])[0]


def compared(block: Block, reference: Reference, *, margin: float, sensitivity: Sensitivity) -> Floats:
    """Return the likelihood ratios of one comparison: hypotheses, alternatives."""
    result: Floats = comparison.factors([Pair(block, reference, margin)], sensitivity)[0]
    return result


def failing(block: Block, reference: Reference, *, margin: float) -> list[float]:
    """Return the logarithms of the likelihood ratios of outright failure in one comparison."""
    found: list[float] = comparison.failing_logarithms([Pair(block, reference, margin)])[0].tolist()
    return found


def log_likelihood(rates: list[float], bursts: list[float], requests: float, bad: float) -> Floats:
    """Return the logarithms of the likelihoods of one block, for a rate beside each burst."""
    result: Floats = log_likelihoods(
        np.array([rates]), np.array([bursts]), np.array([[float(requests)]]), np.array([[float(bad)]])
    )[0]
    return result


def alternatives(tolerated: float, requests: float) -> list[tuple[float, float]]:
    """Return the pairs of a rate and a burst of a worse version, by the words of docs/explanation/statistics.md."""
    wide = max(1.0, requests / 50)
    return [(rate, burst * (wide if rate >= 0.1 else 1.0)) for burst in (1.0, 4.0) for rate in worse_rates(tolerated)]
