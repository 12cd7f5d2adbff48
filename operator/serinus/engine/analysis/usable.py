"""What of an answer can be judged: invalid figures are no data, and some counts must be told from others first."""

import math
from dataclasses import replace
from typing import TypeVar, assert_never

from msgspec.structs import replace as with_fields

from serinus.api.abort_condition import AbortCondition, Latency, UnansweredRate, Value
from serinus.api.verdict import Cause
from serinus.engine.analysis import latency_factor
from serinus.engine.analysis.measurements import Answer, CouldNotAsk, Counted, Measured, NoData
from serinus.engine.analysis.progress import Progress
from serinus.engine.analysis.unanswered import settle
from serinus.engine.analysis.window import EMPTY_BATCH

Given = TypeVar("Given", Answer, Answer | None)


def in_question(progress: Progress, candidate: Answer, stable: Answer | None) -> tuple[Progress, Answer, Answer | None]:
    """Return the answers with what the condition calls bad among their bad requests."""
    condition = progress.condition
    if condition.compared and isinstance(condition.metric, Latency):
        return progress, _in_proportions(progress, candidate), _in_proportions(progress, stable, factor=1.0)
    if isinstance(condition.metric, UnansweredRate):
        return _with_unanswered(progress, candidate, stable)
    return progress, candidate, stable


def _in_proportions(progress: Progress, answer: Given, factor: float | None = None) -> Given:
    """Return the answer of a comparison of latencies with the requests above its bound as the bad ones.

    The bound is that of the ticks before, times the condition's factor for the candidate. Until it is known, nothing is
    compared.
    """
    condition = progress.condition
    if not isinstance(answer, Counted):
        return answer
    tolerated = progress.rules.tolerated or 0.0
    bound = latency_factor.reference_bound(progress.stable.tail, progress.stable.tail_requests, tolerated)
    if bound is None:
        return replace(answer, batch=EMPTY_BATCH)
    return latency_factor.above(answer, bound * (condition.threshold if factor is None else factor))


def _with_unanswered(
    progress: Progress, candidate: Answer, stable: Answer | None
) -> tuple[Progress, Answer, Answer | None]:
    """Return the answers with the requests that have certainly had no answer among the bad ones."""
    settled, baseline = progress.rules.fresh_for, progress.stable
    if isinstance(candidate, Counted):
        outstanding, candidate = settle(progress.outstanding, candidate, settled)
        progress = with_fields(progress, outstanding=outstanding)
    if isinstance(stable, Counted) and (baseline.latest is None or stable.at > baseline.latest.at):
        outstanding, stable = settle(baseline.outstanding, stable, settled)
        progress = with_fields(progress, stable=with_fields(baseline, outstanding=outstanding))
    return progress, candidate, stable


def usable(condition: AbortCondition, answer: Answer) -> Answer:
    """Return the answer, or NoData if its figures cannot be judged."""
    match answer:
        case Counted(at=at, batch=batch):
            if isinstance(condition.metric, Value):
                return NoData(at=at, cause=Cause.QUERY_INVALID, message=f"{condition.name} gave counts, not a value")
            if 0 <= batch.certain <= batch.likely <= batch.possible <= batch.requests < math.inf:
                return answer
            figures = (batch.requests, batch.certain, batch.likely, batch.possible)
            largest = max(figures)
            if not math.isfinite(sum(figures)) or min(figures) < 0:
                return NoData(at=at, cause=Cause.NAN, message=f"invalid counts of {condition.name}: {batch}")
            # The series are scraped at slightly different times: a total may lack a request already counted as bad.
            return answer if largest == batch.requests else replace(answer, batch=with_fields(batch, requests=largest))
        case Measured(at=at, value=value):
            if not isinstance(condition.metric, Value):
                return NoData(at=at, cause=Cause.QUERY_INVALID, message=f"{condition.name} gave a value, not counts")
            if math.isnan(value):
                return NoData(at=at, cause=Cause.NAN, message=f"the value of {condition.name} is not a number")
            return answer
        case NoData() | CouldNotAsk():
            return answer
        case _:
            assert_never(answer)
