"""The analysis of one stage under way, and how answers update it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from serinus.api.abort_condition import AbortCondition, Latency
from serinus.api.names import ObjectKey
from serinus.api.rollout import Guards, MetricsRef, RolloutSpec, Stage
from serinus.api.rollout_status import RolloutStatus, Serving
from serinus.engine.analysis.assessment import Progress
from serinus.engine.analysis.measurements import Answer, Question, Subject
from serinus.engine.analysis.share import NO_REQUESTS, RequestShare
from serinus.engine.rollout.modes import Running, mode_of
from serinus.ports.cluster_state import ModelVersionRecord, RolloutRecord

_IN_FLIGHT: Final = timedelta(seconds=1)
"""How long a request may take that was under way when the weight fell to 0; it is counted when it ends."""


@dataclass(frozen=True, slots=True)
class StageId:
    """One visit of one run to one stage."""

    uid: str
    run: int
    index: int
    since: datetime


Terms = tuple[Stage, MetricsRef, Guards]
"""By what a stage is assessed: where one of them changes, its analysis begins anew."""


Pair = tuple[Answer, Answer | None]
"""The answers about candidate and stable version to one condition; None where there is no stable version."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The questions of one condition of the stage: about the candidate, and the same about the stable version."""

    condition: AbortCondition
    candidate: Question
    stable: Question | None

    @property
    def questions(self) -> tuple[Question, ...]:
        """All questions of the condition."""
        return (self.candidate,) if self.stable is None else (self.candidate, self.stable)

    def pair(self, answers: Mapping[Question, Answer]) -> Pair:
        """Return its answers among these."""
        return answers[self.candidate], answers[self.stable] if self.stable is not None else None


@dataclass(frozen=True, slots=True)
class StageAnalysis:
    """The analysis of a stage under way.

    Attributes:
        stage: which one.
        terms: by what it is assessed.
        source: the name of its metric source.
        asked: its conditions: those of ``abortOn``, then the guards.
        initial: the progress of each condition before the first answer.
        progress: the progress of each condition now.
        began: when the stage began by the clock that its answers are read with.
        counts_from: only later answers count; earlier ones may include requests of an earlier run of this version.
        not_before: counts from a sample before this time may be of an earlier run or of the warm-up; None where there
            was neither.
        until: by condition, up to when the source has answered; the next question begins there.
        unread_until: what happened before this time is still to be read; None where nothing is.
        live: the answers of the ticks so far, kept until all of the past is known; then they are judged again after it.
        failures: how often in a row the past could not be read.
        problem: why not, the last time.
        share: the requests to candidate and stable version since the weights last changed.
        share_from: only later answers count for the share; earlier ones may include requests under other weights.
        generation: the route's generation that the share is about; 0 before it is known.
    """

    stage: StageId
    terms: Terms
    source: str
    asked: tuple[Asked, ...]
    initial: tuple[Progress, ...]
    progress: tuple[Progress, ...]
    began: datetime
    counts_from: datetime
    until: tuple[datetime, ...]
    unread_until: datetime | None
    share_from: datetime
    live: tuple[tuple[Pair, ...], ...] = ()
    failures: int = 0
    problem: str = ""
    share: RequestShare = NO_REQUESTS
    generation: int = 0
    not_before: datetime | None = None

    @property
    def questions(self) -> tuple[Question, ...]:
        """All questions of its conditions."""
        return tuple(question for asked in self.asked for question in asked.questions)

    @property
    def due(self) -> Iterator[tuple[Asked, datetime]]:
        """The questions of each condition, and from when on they are to be asked next."""
        return zip(self.asked, self.until, strict=True)

    @property
    def caught_up(self) -> bool:
        """Whether nothing of its past is missing."""
        return self.unread_until is None

    @property
    def breached(self) -> bool:
        """Whether a condition is breached: the Rollout is urgent then."""
        return any(progress.breached_at is not None for progress in self.progress)


def visit_of(record: RolloutRecord) -> StageId | None:
    """Return the visit to a stage that is under way; None where no run is."""
    return visit_in(record.status, record.meta.uid)


def visit_in(status: RolloutStatus, uid: str) -> StageId | None:
    """Return the visit that a status of the Rollout with this uid is in; None where no run is under way."""
    mode = mode_of(status)
    if not isinstance(mode, Running):
        return None
    return StageId(uid, status.run, mode.stage.index, mode.stage.since)


def subject_of(serving: Serving | None, versions: Mapping[str, ModelVersionRecord], model: ObjectKey) -> Subject | None:
    """Return the subject of the questions about a version that the status names; None where it has no backend.

    The status remembers the backend: a version with traffic is watched whatever became of its ModelVersion.
    """
    if serving is None:
        return None
    record = versions.get(serving.version)
    backend = serving.backend or (record.backend if record is not None else None)
    return Subject(model.namespace, model.name, serving.version, backend) if backend is not None else None


def question_of(plan: RolloutSpec, subject: Subject, condition: AbortCondition) -> Question:
    """Return the question of one condition about a version."""
    limit = condition.threshold if isinstance(condition.metric, Latency) and not condition.compared else 0.0
    return Question(plan.metrics.source, plan.metrics.preset, subject, condition.metric, limit)


def asked_of(plan: RolloutSpec, candidate: Subject, stable: Subject | None, condition: AbortCondition) -> Asked:
    """Return the questions of one condition about both versions."""
    beside = question_of(plan, stable, condition) if stable is not None else None
    return Asked(condition, question_of(plan, candidate, condition), beside)


def counts_from(ended: datetime | None, since: datetime, *, scrape_interval: timedelta, tick: timedelta) -> datetime:
    """Return the time after which answers are about this stage's requests only.

    A version that is retried right after its rollback must not be charged with the failures of the run before.

    Args:
        ended: the end of the earlier run on this backend; None where there was none.
        since: when the stage began.
        scrape_interval: how often the targets are scraped.
        tick: how often they are asked about.
    """
    return since if ended is None else max(since, settled_after(ended, scrape_interval=scrape_interval, tick=tick))


def not_before(ended: datetime | None, warm: datetime | None = None) -> datetime | None:
    """Return the time of the first sample that has all requests of what came before; None where nothing did.

    An outage of the scrapes that begins with the end of the earlier run on this backend, or in the warm-up, and ends in
    this stage brings the requests of both in one answer, however late.

    Args:
        ended: the end of the earlier run; None where there was none.
        warm: the end of the stage's warm-up, which is its beginning; None where it has none.
    """
    if ended is None:
        return warm
    return ended + _IN_FLIGHT if warm is None else max(ended + _IN_FLIGHT, warm)


def earlier_run_ended(
    status: RolloutStatus, subject: Subject, versions: Mapping[str, ModelVersionRecord]
) -> datetime | None:
    """Return when the latest run ended that was on the candidate's backend; None where there was none.

    It was this version's, or that of another one with the same Service.
    """
    for past in status.history:
        record = versions.get(past.version)
        if past.version == subject.version or (record is not None and record.backend == subject.backend):
            return past.ended_at
    return None


def settled_after(change: datetime, *, scrape_interval: timedelta, tick: timedelta) -> datetime:
    """Return the time after which answers contain no request that was sent before a change of the route.

    Requests are scraped up to an interval after they have ended, and a tick reaches back by its own length and by the
    time that scrapes take.
    """
    return change + 2 * scrape_interval + tick + _IN_FLIGHT


def on_route(analysis: StageAnalysis, generation: int, settled: datetime) -> StageAnalysis:
    """Return the analysis with a share that is about the route as it is: one that was changed is counted anew."""
    if analysis.generation == generation:
        return analysis
    if not analysis.generation:
        # The past of a stage that is replayed: since when the route is as it is cannot be told.
        return replace(analysis, generation=generation)
    return replace(analysis, generation=generation, share=NO_REQUESTS, share_from=settled)


def begun_again(analysis: StageAnalysis, since: datetime) -> StageAnalysis:
    """Return the analysis as that of a stage whose past has not been read: it is live from this time on."""
    return replace(
        analysis, progress=analysis.initial, until=(since,) * len(analysis.asked), unread_until=since, live=()
    )
