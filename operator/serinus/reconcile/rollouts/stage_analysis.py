"""What is known of one stage under way, and how each answer is folded into it: values only, nothing is asked here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from serinus.api.abort_condition import AbortCondition, Latency
from serinus.api.rollout import MetricsRef, RolloutSpec, Stage
from serinus.api.rollout_status import RolloutStatus
from serinus.api.verdict import Cause
from serinus.engine.analysis.assessment import Progress, learn_dispersion, update
from serinus.engine.analysis.measurements import Answer, CouldNotAsk, Counted, Question, Subject
from serinus.engine.rollout.modes import Running, mode_of
from serinus.ports.cluster_state import ModelVersionRecord, RolloutRecord

DISPERSION_MEMORY: Final = timedelta(hours=1)
"""How far back from the stage's beginning the stable version's own bursts are learnt from (design, section 5)."""

_IN_FLIGHT: Final = timedelta(seconds=1)
"""A request that was under way when the weight fell to 0 is counted when it ends."""


@dataclass(frozen=True, slots=True)
class StageId:
    """One visit of one run to one stage."""

    uid: str
    run: int
    index: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """One condition of the stage: what is asked of the candidate, and the same of the stable version."""

    candidate: Question
    stable: Question | None


@dataclass(frozen=True, slots=True)
class StageAnalysis:
    """What is known of a stage under way.

    Attributes:
        stage: which one.
        terms: the stage and the metrics of the plan, by which it is judged.
        source: where its metrics are.
        asked: its conditions.
        initial: its evidence before anything was asked.
        progress: its evidence now.
        replayed: its past has been read; until then ``progress`` only tells actors why not.
        learned: the stable version's bursts of the last hour are known.
        counts_from: answers count that came later; those before may hold requests of an earlier run of this version.
    """

    stage: StageId
    terms: tuple[Stage, MetricsRef]
    source: str
    asked: tuple[Asked, ...]
    initial: tuple[Progress, ...]
    progress: tuple[Progress, ...]
    replayed: bool
    learned: bool
    counts_from: datetime

    @property
    def questions(self) -> tuple[Question, ...]:
        """Everything that is asked for it."""
        return tuple(one for pair in self.asked for one in (pair.candidate, pair.stable) if one is not None)

    @property
    def breached(self) -> bool:
        """Whether a condition is breached: the Rollout is looked at before all others then."""
        return any(progress.breached_at is not None for progress in self.progress)


def visit_of(record: RolloutRecord) -> StageId | None:
    """Return the visit to a stage that is under way; None where no run is."""
    status = record.status
    if not isinstance(mode_of(status), Running) or status.stage is None:
        return None
    return StageId(record.meta.uid, status.run, status.stage.index, status.stage.since)


def subject_of(version: ModelVersionRecord | None, namespace: str) -> Subject | None:
    """Return what is asked about; None where the version is not there or serves nowhere."""
    if version is None or version.backend is None:
        return None
    return Subject(namespace, version.model, version.version, version.backend)


def question_of(plan: RolloutSpec, subject: Subject, condition: AbortCondition) -> Question:
    """Return what one condition wants to know of a version."""
    limit = condition.threshold if isinstance(condition.metric, Latency) else 0.0
    return Question(plan.metrics.source, plan.metrics.preset, subject, condition.metric, limit)


def counts_from(status: RolloutStatus, since: datetime, *, scrape_interval: timedelta, tick: timedelta) -> datetime:
    """Return from when on answers are about this stage's requests only.

    A version that is tried again right after its rollback must not be charged with the failures of the run before:
    they are scraped up to an interval later, and a tick looks back by its own length and by how long scrapes take.
    """
    version = status.candidate.version if status.candidate is not None else ""
    ended = next((past.ended_at for past in status.history if past.version == version), None)
    return since if ended is None else max(since, ended + 2 * scrape_interval + tick + _IN_FLIGHT)


def is_down(answer: Answer) -> bool:
    """Say whether the source did not answer, so that what happened meanwhile must be asked again."""
    return isinstance(answer, CouldNotAsk) and answer.cause is Cause.PROVIDER_DOWN


def with_answers(analysis: StageAnalysis, answers: Mapping[Question, Answer]) -> StageAnalysis:
    """Return the analysis with one tick's answers folded in."""
    return replace(
        analysis,
        progress=tuple(
            update(progress, answers[asked.candidate], answers[asked.stable] if asked.stable is not None else None)
            if answers[asked.candidate].at > analysis.counts_from
            else progress
            for progress, asked in zip(analysis.progress, analysis.asked, strict=True)
        ),
    )


def carried_over(analysis: StageAnalysis, before: StageAnalysis | None) -> StageAnalysis:
    """Return the analysis with the bursts that the run's stage before has learnt of the same conditions."""
    if (
        before is None
        or (before.stage.uid, before.stage.run) != (analysis.stage.uid, analysis.stage.run)
        or not before.learned
    ):
        return analysis
    known = {progress.condition: progress.dispersion for progress in before.progress}
    if any(
        one.condition not in known or known[one.condition].given != one.dispersion.given for one in analysis.initial
    ):
        return analysis
    initial = tuple(replace(one, dispersion=known[one.condition]) for one in analysis.initial)
    return replace(analysis, initial=initial, progress=initial, learned=True)


def with_baseline(analysis: StageAnalysis, answers: Mapping[Question, Sequence[Answer]]) -> StageAnalysis:
    """Return the analysis with the stable version's last hour before the stage; unchanged where it cannot be had."""
    initial, began = [], analysis.stage.since
    for progress, asked in zip(analysis.initial, analysis.asked, strict=True):
        hour = answers[asked.stable] if asked.stable is not None else ()
        earlier = [
            one.batch for one in hour if isinstance(one, Counted) and began - DISPERSION_MEMORY < one.at <= began
        ]
        initial.append(learn_dispersion(progress, earlier))
    untouched = analysis.progress == analysis.initial
    return replace(
        analysis, initial=tuple(initial), progress=tuple(initial) if untouched else analysis.progress, learned=True
    )


def replayed(analysis: StageAnalysis, answers: Mapping[Question, Sequence[Answer]]) -> StageAnalysis:
    """Return the analysis with everything since its stage began folded in, from its initial."""
    folded: list[Progress] = []
    for progress, asked in zip(analysis.initial, analysis.asked, strict=True):
        beside = {one.at: one for one in (answers[asked.stable] if asked.stable is not None else ())}
        found = progress
        for answer in answers[asked.candidate]:
            if answer.at > analysis.counts_from:
                found = update(found, answer, beside.get(answer.at))
        folded.append(found)
    return replace(analysis, progress=tuple(folded))
