"""The evidence as the status shows it: refreshed once a minute, at a new verdict, and with the decision of a stage."""

from collections.abc import Sequence

from msgspec import structs

from serinus.api.rollout_status import EvidenceStatus
from serinus.engine.analysis.assessment import Assessment, Progress
from serinus.engine.analysis.growth import with_point
from serinus.engine.rollout.draft import Situation
from serinus.engine.rollout.intervals import REFRESH
from serinus.engine.rollout.outbox import shown


def settled(
    judged: Sequence[Assessment], readings: Sequence[Progress], held: Sequence[EvidenceStatus]
) -> tuple[EvidenceStatus, ...]:
    """Return the evidence to show: fresh at a new verdict, a first figure or after a minute, else as it was.

    Args:
        judged: the assessment of each condition; empty where no stage is assessed.
        readings: what they are assessments of, in the same order.
        held: the evidence that the status shows.
    """
    if not judged:
        return ()
    before = {one.condition: one for one in held}
    return tuple(
        _settled(assessment, progress, before.get(assessment.condition.text))
        for assessment, progress in zip(judged, readings, strict=True)
    )


def refreshed(situation: Situation, held: Sequence[EvidenceStatus]) -> tuple[EvidenceStatus, ...]:
    """Return the situation's evidence with the figures of this moment, for a status that is written anyway."""
    before = {one.condition: one for one in held}
    rows = zip(situation.evidence, situation.judged, situation.observed.readings, strict=True)
    return tuple(
        _fresh(assessment, progress, one) if one is before.get(one.condition) else one
        for one, assessment, progress in rows
    )


def _settled(judged: Assessment, progress: Progress, held: EvidenceStatus | None) -> EvidenceStatus:
    if (
        held is not None
        and (held.verdict, held.cause) == (judged.verdict, judged.cause)
        and bool(held.value) == bool(judged.value)
        # In either direction: the clock may have been set back.
        and -REFRESH < judged.at - held.at < REFRESH
    ):
        return held
    return _fresh(judged, progress, held)


def _fresh(judged: Assessment, progress: Progress, held: EvidenceStatus | None) -> EvidenceStatus:
    points = with_point(held.points if held is not None else (), progress)
    return structs.replace(shown(judged), points=points)
