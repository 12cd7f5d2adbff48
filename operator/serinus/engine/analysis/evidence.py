"""The evidence that a version is worse than tolerated: the mean of two e-processes, updated at each tick.

The burst-adaptive one finds small regressions, in blocks of requests. The other one only looks for outright failure, at
every tick and whatever the traffic: its exponent is divided by the largest burst, so that an incident shorter than the
blip alone is never a breach. The mean of two e-processes is an e-process.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import numpy as np
from msgspec import Struct

from serinus.api.rollout import Sensitivity
from serinus.engine.analysis import adaptive, comparison, outright
from serinus.engine.analysis.adaptive import EMPTY_BLOCK, MIN_BLOCK, AdaptiveEvidence, Block
from serinus.engine.analysis.comparison import Pair, Reference
from serinus.engine.analysis.likelihood import Floats
from serinus.engine.analysis.nulls import largest_burst
from serinus.engine.analysis.outright import OutrightEvidence
from serinus.engine.analysis.worse import worse_rates

_AT_ONCE: Final = 128
"""Arrays of this many blocks stay in the processor's cache."""

T = TypeVar("T")

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


class Evidence(Struct, frozen=True):
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


class Addition(NamedTuple):
    """One tick of one condition.

    Attributes:
        evidence: before the tick.
        tick: its requests; there are some.
        per_second: the request rate of the ticks before.
        terms: what evidence is collected against.
        reference: the requests of the stable version, some as well; exactly where the terms have a margin.
    """

    evidence: Evidence
    tick: Counts
    per_second: float
    terms: Terms
    reference: Reference | None = None


class _Judged(NamedTuple):
    """Requests that are judged: a tick by the e-process of outright failure, a whole block by the other one."""

    block: Block
    reference: Reference | None
    terms: Terms

    @property
    def pair(self) -> Pair | None:
        """The requests beside those of the stable version; None where they are not compared."""
        if self.reference is None or self.terms.margin is None:
            return None
        return Pair(self.block, self.reference, self.terms.margin)


def fold(additions: Sequence[Addition]) -> list[Evidence]:
    """Add a tick to the evidence of each of many conditions; what is computed together changes nothing.

    Raises:
        ValueError: the terms have a margin without the requests of the stable version, or the other way round.
    """
    ticks = [_tick(addition) for addition in additions]
    failing = _look_for_failure([addition.evidence.outright for addition in additions], ticks)
    blocks = [_block(addition.evidence, tick) for addition, tick in zip(additions, ticks, strict=True)]
    whole = [place for place, block in enumerate(blocks) if _is_whole(block)]
    before = [additions[place].evidence.adaptive for place in whole]
    adaptive_evidence = dict(zip(whole, _look_for_worse(before, [blocks[place] for place in whole]), strict=True))
    return [
        Evidence(outright_evidence, adaptive_evidence[place])
        if place in adaptive_evidence
        else Evidence(outright_evidence, addition.evidence.adaptive, block.block, block.reference)
        for place, (outright_evidence, addition, block) in enumerate(zip(failing, additions, blocks, strict=True))
    ]


def _tick(addition: Addition) -> _Judged:
    terms, tick = addition.terms, addition.tick
    if (terms.margin is None) != (addition.reference is None):
        raise ValueError(f"margin: it is {terms.margin}, and the stable version's requests are {addition.reference}")
    block = Block(tick.requests, tick.bad, terms.bursts.largest(tick, addition.per_second))
    return _Judged(block, addition.reference, terms)


def _block(evidence: Evidence, tick: _Judged) -> _Judged:
    """Return the tick with those before that were too few for a block."""
    if evidence.pending.requests <= 0:
        return tick
    reference = tick.reference
    if reference is not None and evidence.reference is not None:
        reference = evidence.reference.plus(reference)
    return _Judged(evidence.pending.plus(tick.block), reference, tick.terms)


def _is_whole(judged: _Judged) -> bool:
    reference = judged.reference
    return judged.block.requests >= MIN_BLOCK and (reference is None or reference.requests >= MIN_BLOCK)


def _look_for_failure(evidence: Sequence[OutrightEvidence], ticks: Sequence[_Judged]) -> list[OutrightEvidence]:
    """Advance the e-processes of outright failure, those together that have as many rates."""

    def advance(places: Sequence[int]) -> list[OutrightEvidence]:
        together = [ticks[place] for place in places]
        planned = [tick.terms.planned for tick in together]
        return outright.advance([evidence[place] for place in places], _failing(together), planned)

    return _in_groups([_kind(tick, outright.exponents) for tick in ticks], advance, most=len(ticks))


def _failing(ticks: Sequence[_Judged]) -> Floats:
    pairs = [pair for tick in ticks if (pair := tick.pair) is not None]
    if pairs:
        return comparison.failing_logarithms(pairs)
    return np.array(
        [
            outright.logarithms(tick.block.requests, tick.block.bad, tick.block.largest, tick.terms.tolerated)
            for tick in ticks
        ]
    )


def _look_for_worse(evidence: Sequence[AdaptiveEvidence], blocks: Sequence[_Judged]) -> list[AdaptiveEvidence]:
    """Advance the burst-adaptive e-processes, those together that have the same hypotheses and as many alternatives."""

    def advance(places: Sequence[int]) -> list[AdaptiveEvidence]:
        together = [blocks[place] for place in places]
        planned = [block.terms.planned for block in together]
        return adaptive.advance([evidence[place] for place in places], _factors(together), planned)

    keys = [(_kind(block, worse_rates), block.terms.sensitivity) for block in blocks]
    return _in_groups(keys, advance, most=_AT_ONCE)


def _kind(judged: _Judged, rates: Callable[[float], Sequence[object]]) -> int:
    """Return how many alternatives a limit has; 0 for a comparison, which always has as many."""
    return 0 if judged.reference is not None else len(rates(judged.terms.tolerated))


def _in_groups(keys: Sequence[Hashable], advance: Callable[[Sequence[int]], list[T]], *, most: int) -> list[T]:
    """Return what ``advance`` makes of the places with the same key, at most so many at a time, in order of places."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        groups[key].append(place)
    found: dict[int, T] = {}
    for places in groups.values():
        for first in range(0, len(places), most):
            some = places[first : first + most]
            found.update(zip(some, advance(some), strict=True))
    return [found[place] for place in range(len(keys))]


def _factors(blocks: Sequence[_Judged]) -> Floats:
    sensitivity = blocks[0].terms.sensitivity  # of all: they are grouped by it
    pairs = [pair for block in blocks if (pair := block.pair) is not None]
    if pairs:
        return comparison.factors(pairs, sensitivity)
    return adaptive.factors([block.block for block in blocks], [block.terms.tolerated for block in blocks], sensitivity)
