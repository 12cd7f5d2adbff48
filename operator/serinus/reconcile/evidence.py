"""The evidence of the stages under way: asked for together at each tick, folded by the engine, rebuilt after a restart.

Nothing here is stored anywhere: the metric source is the memory, and one range query brings it back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from serinus.api.abort_condition import AbortCondition, Latency
from serinus.api.names import ObjectKey
from serinus.api.rollout import MetricsRef, RolloutSpec, Stage
from serinus.api.rollout_status import Cause, RolloutStatus
from serinus.engine.analysis import Progress, absorb, begin, learn_dispersion
from serinus.engine.evidence import Answer, CouldNotAsk, Counted, Question, Subject
from serinus.engine.transitions import Mode, mode_of
from serinus.ports import MetricSource, ModelVersionRecord, RolloutRecord
from serinus.reconcile.store import Store

DISPERSION_MEMORY: Final = timedelta(hours=1)
"""How far back the stable version's own bursts are learnt from (design, section 5)."""

DISPERSION_STEP: Final = timedelta(seconds=30)
"""In steps of at least so long: a burst is shorter, and an hour stays a small answer."""

MOST_STEPS: Final = 720
"""A replay has at most so many steps: the judgement is valid whatever the batches, so a long stage has longer ones."""

MOST_REPLAYED: Final = 100
"""So many stages are replayed at one tick; the others wait for the next one. Bounds memory after a restart."""


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
class StageEvidence:
    """What is known of a stage under way.

    Attributes:
        stage: which one.
        terms: the stage and the metrics of the plan, by which it is judged.
        source: where its metrics are.
        asked: its conditions.
        blank: its evidence before anything was asked.
        progress: its evidence now.
        replayed: its past has been read; until then ``progress`` only tells people why not.
        learned: the stable version's bursts of the last hour are known.
    """

    stage: StageId
    terms: tuple[Stage, MetricsRef]
    source: str
    asked: tuple[Asked, ...]
    blank: tuple[Progress, ...]
    progress: tuple[Progress, ...]
    replayed: bool
    learned: bool

    @property
    def questions(self) -> tuple[Question, ...]:
        """Everything that is asked for it."""
        return tuple(one for pair in self.asked for one in (pair.candidate, pair.stable) if one is not None)

    @property
    def breached(self) -> bool:
        """Whether a condition is breached: the Rollout is looked at before all others then."""
        return any(progress.breached_at is not None for progress in self.progress)


class EvidenceBook:
    """The evidence of every stage under way, by Rollout."""

    def __init__(self, store: Store, sources: Mapping[str, MetricSource]) -> None:
        """Ask these sources, by their names, about what the store knows."""
        self._store = store
        self._sources = sources
        self._pages: dict[ObjectKey, StageEvidence] = {}
        self._problems: dict[ObjectKey, tuple[RolloutSpec, str]] = {}
        self._last_tick: dict[str, datetime] = {}

    def readings(self, record: RolloutRecord) -> tuple[Progress, ...]:
        """Return the evidence of the stage that the Rollout is in; nothing before its first tick."""
        page = self._pages.get(record.meta.key)
        if page is None or page.stage != _stage_id(record):
            return ()
        return page.progress

    def problem(self, record: RolloutRecord) -> str:
        """Return why the Rollout's conditions can never be asked; empty where they can."""
        plan = self._store.last_plan(record)
        if plan is None:
            return ""
        key = record.meta.key
        held = self._problems.get(key)
        if held is None or held[0] is not plan:
            held = self._problems[key] = (plan, self._find_problem(record, plan))
        return held[1]

    def forget(self, key: ObjectKey) -> None:
        """Drop what was known of a Rollout that is gone."""
        self._pages.pop(key, None)
        self._problems.pop(key, None)

    async def tick(self, source: str, now: datetime) -> Mapping[ObjectKey, bool]:
        """Ask one source about all its stages and fold the answers in.

        Returns:
            The Rollouts with new evidence, each with whether it is urgent.
        """
        before = self._last_tick.get(source)
        self._turn_pages(source, before)
        await self._learn(source, now)
        await self._replay(source, now)
        if before is None or await self._ask(source, now, before):
            self._last_tick[source] = now
        return {key: page.breached for key, page in self._pages.items() if page.source == source}

    def _turn_pages(self, source: str, last_tick: datetime | None) -> None:
        """Open a page for each stage under way, close those that are over."""
        for record in self._store.rollouts():
            key, stage = record.meta.key, _stage_id(record)
            held = self._pages.get(key)
            if held is not None and held.stage == stage and held.terms == self._terms(record):
                continue
            page = self._open(record, stage, last_tick) if stage is not None else None
            if page is None:
                self._pages.pop(key, None)
            elif page.source == source:
                self._pages[key] = _inherit(page, held)

    def _terms(self, record: RolloutRecord) -> tuple[Stage, MetricsRef] | None:
        plan = self._store.last_plan(record)
        stage = _planned(plan, record.status)
        return (stage, plan.metrics) if plan is not None and stage is not None else None

    def _open(self, record: RolloutRecord, stage_id: StageId, last_tick: datetime | None) -> StageEvidence | None:
        plan = self._store.last_plan(record)
        stage = _planned(plan, record.status)
        if plan is None or stage is None or not stage.abort_on or plan.metrics.source not in self._sources:
            return None
        asked = self._asked(record, plan, plan.conditions[stage_id.index])
        interval = self._sources[plan.metrics.source].scrape_interval
        count = sum(len(conditions) for conditions in plan.conditions)
        blank = tuple(
            begin(condition, stage, plan.metrics, conditions_in_run=count, scrape_interval=interval)
            for condition in plan.conditions[stage_id.index]
        )
        # A stage that began after the last tick has no past that the next one would not ask for.
        new = last_tick is not None and stage_id.since > last_tick
        lone = all(pair.stable is None for pair in asked)
        terms = (stage, plan.metrics)
        page = StageEvidence(stage_id, terms, plan.metrics.source, asked, blank, blank, replayed=new, learned=lone)
        return page if asked else None

    def _asked(
        self, record: RolloutRecord, plan: RolloutSpec, conditions: Iterable[AbortCondition]
    ) -> tuple[Asked, ...]:
        namespace, status = record.meta.key.namespace, record.status
        versions = {version.version: version for version in self._store.versions(namespace, plan.model)}
        candidate = _subject(versions.get(status.candidate.version if status.candidate else ""), namespace)
        stable = _subject(versions.get(status.stable.version if status.stable else ""), namespace)
        if candidate is None:
            return ()
        return tuple(
            Asked(_question(plan, candidate, one), _question(plan, stable, one) if stable is not None else None)
            for one in conditions
        )

    async def _ask(self, source: str, now: datetime, since: datetime) -> bool:
        """Ask for what happened since; return whether the next tick counts from here.

        A source that is down altogether is asked for the whole time at once later; where only a part failed, that
        part's stages are replayed.
        """
        pages = {key: page for key, page in self._pages.items() if page.source == source and page.replayed}
        questions = {question for page in pages.values() for question in page.questions}
        if not questions:
            return True
        answers = await self._sources[source].ask(questions, now, since)
        failed = {question for question, answer in answers.items() if _is_down(answer)}
        for key, page in pages.items():
            if self._pages.get(key) is page:
                partly = len(failed) < len(questions) and not failed.isdisjoint(page.questions)
                self._pages[key] = replace(_absorbed(page, answers), replayed=not partly or page.breached)
        return len(failed) < len(questions)

    async def _learn(self, source: str, now: datetime) -> None:
        """Learn from the last hour how much the stable versions' errors come in bursts."""
        fresh = self._some(source, lambda page: not page.learned)
        questions = {pair.stable for page in fresh.values() for pair in page.asked if pair.stable is not None}
        if not questions:
            return
        step = max(DISPERSION_STEP, self._sources[source].tick)
        answers = await self._sources[source].replay(questions, now - DISPERSION_MEMORY, now, step)
        for key, page in fresh.items():
            if self._pages.get(key) is page:
                self._pages[key] = _learned(page, answers)

    async def _replay(self, source: str, now: datetime) -> None:
        """Read the past of the stages that this process has not followed from their beginning."""
        fresh = self._some(source, lambda page: not page.replayed)
        if not fresh:
            return
        length = now - min(page.stage.since for page in fresh.values())
        step = self._sources[source].tick
        step *= max(1, -(-length // (step * MOST_STEPS)))
        start = now - step * max(1, -(-length // step))
        questions = {question for page in fresh.values() for question in page.questions}
        answers = await self._sources[source].replay(questions, start, now, step)
        for key, page in fresh.items():
            if self._pages.get(key) is page:
                complete = not any(_is_down(one) for question in page.questions for one in answers[question])
                self._pages[key] = replace(_replayed(page, answers), replayed=complete)

    def _some(self, source: str, holds: Callable[[StageEvidence], bool]) -> dict[ObjectKey, StageEvidence]:
        found = [(key, page) for key, page in self._pages.items() if page.source == source and holds(page)]
        return dict(found[:MOST_REPLAYED])

    def _find_problem(self, record: RolloutRecord, plan: RolloutSpec) -> str:
        source = self._sources.get(plan.metrics.source)
        if source is None:
            known = ", ".join(sorted(self._sources)) or "none"
            return f"There is no metric source {plan.metrics.source}; the administrator has set up: {known}."
        versions = self._store.versions(record.meta.key.namespace, plan.model)
        subjects = [_subject(version, record.meta.key.namespace) for version in versions]
        wanted = next((one for one in subjects if one is not None and one.version == plan.version), None)
        if wanted is None:
            return ""
        for conditions in plan.conditions:
            for condition in conditions:
                problem = source.problem_with(_question(plan, wanted, condition))
                if problem:
                    return f"{condition.text}: {problem}."
        return ""


def _stage_id(record: RolloutRecord) -> StageId | None:
    status = record.status
    if mode_of(status) is not Mode.RUNNING or status.stage is None:
        return None
    return StageId(record.meta.uid, status.run, status.stage.index, status.stage.since)


def _planned(plan: RolloutSpec | None, status: RolloutStatus) -> Stage | None:
    current = status.stage
    if plan is None or current is None or current.index >= len(plan.stages):
        return None
    stage = plan.stages[current.index]
    return stage if stage.name == current.name else None


def _subject(version: ModelVersionRecord | None, namespace: str) -> Subject | None:
    if version is None or version.backend is None:
        return None
    return Subject(namespace, version.model, version.version, version.backend)


def _question(plan: RolloutSpec, subject: Subject, condition: AbortCondition) -> Question:
    limit = condition.threshold if isinstance(condition.metric, Latency) else 0.0
    return Question(plan.metrics.source, plan.metrics.preset, subject, condition.metric, limit)


def _is_down(answer: Answer) -> bool:
    return isinstance(answer, CouldNotAsk) and answer.cause is Cause.PROVIDER_DOWN


def _absorbed(page: StageEvidence, answers: Mapping[Question, Answer]) -> StageEvidence:
    return replace(
        page,
        progress=tuple(
            absorb(progress, answers[asked.candidate], answers[asked.stable] if asked.stable is not None else None)
            for progress, asked in zip(page.progress, page.asked, strict=True)
        ),
    )


def _inherit(page: StageEvidence, before: StageEvidence | None) -> StageEvidence:
    """Return the page with the bursts that the run's stage before has learnt of the same conditions."""
    if before is None or (before.stage.uid, before.stage.run) != (page.stage.uid, page.stage.run) or not before.learned:
        return page
    known = {progress.condition: progress.dispersion for progress in before.progress}
    if any(one.condition not in known or known[one.condition].given != one.dispersion.given for one in page.blank):
        return page
    blank = tuple(replace(one, dispersion=known[one.condition]) for one in page.blank)
    return replace(page, blank=blank, progress=blank, learned=True)


def _learned(page: StageEvidence, answers: Mapping[Question, Sequence[Answer]]) -> StageEvidence:
    """Return the page with the stable version's hour before the stage; an hour that could not be had is not awaited."""
    blank = []
    for progress, asked in zip(page.blank, page.asked, strict=True):
        hour = answers[asked.stable] if asked.stable is not None else ()
        earlier = [one.batch for one in hour if isinstance(one, Counted) and one.at <= page.stage.since]
        blank.append(learn_dispersion(progress, earlier))
    untouched = page.progress == page.blank
    return replace(page, blank=tuple(blank), progress=tuple(blank) if untouched else page.progress, learned=True)


def _replayed(page: StageEvidence, answers: Mapping[Question, Sequence[Answer]]) -> StageEvidence:
    """Return the page with everything since its stage began folded in, from its blank."""
    folded: list[Progress] = []
    for progress, asked in zip(page.blank, page.asked, strict=True):
        beside = {one.at: one for one in (answers[asked.stable] if asked.stable is not None else ())}
        found = progress
        for answer in answers[asked.candidate]:
            if answer.at > page.stage.since:
                found = absorb(found, answer, beside.get(answer.at))
        folded.append(found)
    return replace(page, progress=tuple(folded))
