"""The evidence that a version is worse than tolerated: the mean of two e-processes, updated at each tick.

The burst-adaptive one finds small regressions, in blocks of requests. The other one only looks for outright failure, at
every tick and whatever the traffic: its exponent is divided by the largest burst, so that an incident shorter than the
blip alone is never a breach. The mean of two e-processes is an e-process.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from serinus.api.rollout import Sensitivity
from serinus.engine.analysis import adaptive, comparison, outright
from serinus.engine.analysis.adaptive import EMPTY_BLOCK, MIN_BLOCK, AdaptiveEvidence, Block
from serinus.engine.analysis.comparison import Reference
from serinus.engine.analysis.nulls import largest_burst
from serinus.engine.analysis.outright import OutrightEvidence

_PARTS: Final = 2.0
"""The first requests of a stage count as those of this part of the shortest time."""


class Counts(NamedTuple):
    """The requests of a tick, and the time in which they came.

    Attributes:
        requests: their number; a tick without requests changes nothing.
        bad: number of bad ones, at most ``requests``.
        seconds: time since the previous tick.
    """

    requests: float
    bad: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursts:
    """How many errors may come together.

    Attributes:
        blip: the length in seconds of an incident that is tolerated.
        given: their number, where the stage sets it; overrides ``blip``.
        shortest: the time in seconds that counts represent at least: counters arrive once per scrape.
    """

    blip: float
    given: int | None = None
    shortest: float = 1.0

    def largest(self, counts: Counts, per_second: float) -> float:
        """Return the largest burst to expect among these requests.

        It depends on request counts alone, never on which of them were bad: the rate before, or that of these requests
        where it is higher, as after a rise of the traffic. While no rate is known, the requests count as those of a
        part of the shortest time: the traffic of a stage begins between two scrapes.
        """
        if self.given is not None:
            return float(self.given)
        seconds = max(counts.seconds, self.shortest) if per_second > 0 else self.shortest / _PARTS
        return largest_burst(max(per_second, counts.requests / seconds), self.blip)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The state of one condition's evidence.

    Attributes:
        outright: the e-process that looks for outright failure.
        adaptive: the burst-adaptive e-process.
        pending: the requests of a block that is not complete.
        reference: those of the stable version, where it is compared with.
    """

    outright: OutrightEvidence = outright.NO_EVIDENCE
    adaptive: AdaptiveEvidence = adaptive.NO_EVIDENCE
    pending: Block = EMPTY_BLOCK
    reference: Reference | None = None

    @property
    def value(self) -> float:
        """The evidence E; 1 initially."""
        return (self.outright.value + self.adaptive.value) / 2


NO_EVIDENCE: Final = Evidence()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What evidence is collected against; fixed for the stage.

    Attributes:
        tolerated: the tolerated proportion.
        margin: the tolerated excess over the stable version's proportion; None where it is not compared with.
        planned: the number of ticks that the stage is planned to have.
        bursts: how many errors may come together.
        sensitivity: which tolerable versions are guarded.
    """

    tolerated: float
    planned: int
    bursts: Bursts
    sensitivity: Sensitivity = Sensitivity.BALANCED
    margin: float | None = None


def fold(evidence: Evidence, tick: Counts, per_second: float, terms: Terms) -> Evidence:
    """Add one tick.

    Args:
        evidence: before the tick.
        tick: its requests.
        per_second: the request rate of the ticks before.
        terms: what evidence is collected against.
    """
    if tick.requests <= 0:
        return evidence
    burst = terms.bursts.largest(tick, per_second)
    failing = outright.fold(
        evidence.outright, tick.requests, tick.bad, burst=burst, tolerated=terms.tolerated, planned=terms.planned
    )
    block = Block(tick.requests, tick.bad, burst)
    if evidence.pending.requests > 0:
        block = evidence.pending.plus(block)
    if block.requests < MIN_BLOCK:
        return Evidence(failing, evidence.adaptive, block)
    worse = adaptive.fold(
        evidence.adaptive, block, tolerated=terms.tolerated, planned=terms.planned, sensitivity=terms.sensitivity
    )
    return Evidence(failing, worse, EMPTY_BLOCK)


def fold_comparison(
    evidence: Evidence, tick: Counts, per_second: float, terms: Terms, reference: Reference
) -> Evidence:
    """Add one tick of both versions; ``reference`` is the stable version's, and both have requests.

    Raises:
        ValueError: the terms have no margin.
    """
    if terms.margin is None:
        raise ValueError("margin: it is None, so that nothing is compared")
    burst = terms.bursts.largest(tick, per_second)
    added = Block(tick.requests, tick.bad, burst)
    logarithms = comparison.failing_logarithms(added, reference, margin=terms.margin, rates=outright.FAILING)
    failing = outright.advance(evidence.outright, logarithms, planned=terms.planned)
    block = evidence.pending.plus(added)
    beside = reference if evidence.reference is None else evidence.reference.plus(reference)
    if min(block.requests, beside.requests) < MIN_BLOCK:
        return Evidence(failing, evidence.adaptive, block, beside)
    factors = comparison.factors(block, beside, margin=terms.margin, sensitivity=terms.sensitivity)
    return Evidence(failing, adaptive.advance(evidence.adaptive, factors, planned=terms.planned))
