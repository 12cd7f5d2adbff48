"""The evidence of the stages under way: asked for together at each tick, folded by the engine, rebuilt after a restart.

Nothing here is stored anywhere: the metric source is the memory, and one range query brings it back.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from serinus.api.abort_condition import AbortCondition
from serinus.api.names import ObjectKey
from serinus.api.rollout import MetricsRef, RolloutSpec, Stage
from serinus.engine.analysis.assessment import Progress, begin
from serinus.ports.services import MetricSource, RolloutRecord
from serinus.reconcile.cache import Store
from serinus.reconcile.rollouts.stage_analysis import (
    DISPERSION_MEMORY,
    Asked,
    StageEvidence,
    StageId,
    absorbed,
    counts_from,
    inherited,
    is_down,
    question_of,
    rebuilt,
    stage_of,
    subject_of,
    taught,
    visit_of,
)

SETTLED: Final = timedelta(milliseconds=250)
"""A source's ticks end at least so long before the present (metrics.settle), so the next one begins that much earlier:
it holds the whole of a stage that began while the last one was being asked."""

DISPERSION_STEP: Final = timedelta(seconds=30)
"""In steps of at least so long: a burst is shorter, and an hour stays a small answer."""

MOST_STEPS: Final = 720
"""A replay has at most so many steps: the judgement is valid whatever the batches, so a long stage has longer ones."""

MOST_REPLAYED: Final = 100
"""So many stages are replayed at one tick; the others wait for the next one. Bounds memory after a restart."""


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
        if page is None or page.stage != visit_of(record) or page.terms != self._terms(record):
            return ()
        return page.progress

    def breached(self, record: RolloutRecord) -> bool:
        """Say whether a condition of the stage that the Rollout is in is breached."""
        page = self._pages.get(record.meta.key)
        return page is not None and page.breached and page.stage == visit_of(record)

    def problem(self, record: RolloutRecord) -> str:
        """Return why the Rollout's conditions can never be asked; empty where they can."""
        plan = self._store.last_plan(record)
        if plan is None:
            return ""
        key = record.meta.key
        held = self._problems.get(key)
        if held is not None and held[0] is plan:
            return held[1]
        found = self._find_problem(record, plan)
        if found is not None:
            self._problems[key] = (plan, found)
        return found or ""

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
        await self._learn(source)
        await self._replay(source, now)
        if before is None or await self._ask(source, now, before):
            self._last_tick[source] = now
        return {key: page.breached for key, page in self._pages.items() if page.source == source}

    def _turn_pages(self, source: str, last_tick: datetime | None) -> None:
        """Open a page for each stage under way, close those that are over."""
        for record in self._store.rollouts():
            key, stage = record.meta.key, visit_of(record)
            held = self._pages.get(key)
            if held is not None and held.stage == stage and held.terms == self._terms(record):
                continue
            page = self._open(record, stage, last_tick) if stage is not None else None
            if page is None:
                self._pages.pop(key, None)
            elif page.source == source:
                self._pages[key] = inherited(page, held)

    def _terms(self, record: RolloutRecord) -> tuple[Stage, MetricsRef] | None:
        plan = self._store.last_plan(record)
        stage = stage_of(plan, record.status)
        return (stage, plan.metrics) if plan is not None and stage is not None else None

    def _open(self, record: RolloutRecord, stage_id: StageId, last_tick: datetime | None) -> StageEvidence | None:
        plan = self._store.last_plan(record)
        stage = stage_of(plan, record.status)
        if plan is None or stage is None or not stage.abort_on or plan.metrics.source not in self._sources:
            return None
        asked = self._asked(record, plan, plan.conditions[stage_id.index])
        if not asked:
            return None
        interval = self._sources[plan.metrics.source].scrape_interval
        count = sum(len(conditions) for conditions in plan.conditions)
        blank = tuple(
            begin(condition, stage, plan.metrics, conditions_in_run=count, scrape_interval=interval)
            for condition in plan.conditions[stage_id.index]
        )
        # A stage that began around the last tick has no past that the next one would not ask for.
        tick = self._sources[plan.metrics.source].tick
        new = last_tick is not None and last_tick - SETTLED < stage_id.since <= last_tick + 2 * tick
        # Nothing is to be learnt where nothing serves beside the candidate, or where the stage says its bursts itself.
        known = all(pair.stable is None or one.dispersion.given for pair, one in zip(asked, blank, strict=True))
        return StageEvidence(
            stage=stage_id,
            terms=(stage, plan.metrics),
            source=plan.metrics.source,
            asked=asked,
            blank=blank,
            progress=blank,
            replayed=new,
            learned=known,
            counts_from=counts_from(record.status, stage_id.since, scrape_interval=interval, tick=tick),
        )

    def _asked(
        self, record: RolloutRecord, plan: RolloutSpec, conditions: Iterable[AbortCondition]
    ) -> tuple[Asked, ...]:
        namespace, status = record.meta.key.namespace, record.status
        versions = {version.version: version for version in self._store.versions(namespace, plan.model)}
        candidate = subject_of(versions.get(status.candidate.version if status.candidate else ""), namespace)
        stable = subject_of(versions.get(status.stable.version if status.stable else ""), namespace)
        if candidate is None:
            return ()
        return tuple(
            Asked(question_of(plan, candidate, one), question_of(plan, stable, one) if stable is not None else None)
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
        failed = {question for question, answer in answers.items() if is_down(answer)}
        for key, page in pages.items():
            if self._pages.get(key) is page:
                partly = len(failed) < len(questions) and not failed.isdisjoint(page.questions)
                self._pages[key] = replace(absorbed(page, answers), replayed=not partly or page.breached)
        return len(failed) < len(questions)

    async def _learn(self, source: str) -> None:
        """Learn from the hour before each stage how much the stable versions' errors come in bursts."""
        hours: dict[int, dict[ObjectKey, StageEvidence]] = defaultdict(dict)
        for key, page in self._some(source, lambda page: not page.learned).items():
            hours[int(page.stage.since.timestamp() // DISPERSION_MEMORY.total_seconds())][key] = page
        for pages in hours.values():
            await self._learn_hour(source, pages)

    async def _learn_hour(self, source: str, pages: Mapping[ObjectKey, StageEvidence]) -> None:
        """Learn for stages that began within one hour, whenever that was."""
        questions = {pair.stable for page in pages.values() for pair in page.asked if pair.stable is not None}
        began = [page.stage.since for page in pages.values()]
        step = max(DISPERSION_STEP, self._sources[source].tick)
        answers = await self._sources[source].replay(questions, min(began) - DISPERSION_MEMORY, max(began), step)
        for key, page in pages.items():
            if self._pages.get(key) is page:
                self._pages[key] = taught(page, answers)

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
                complete = not any(is_down(one) for question in page.questions for one in answers[question])
                self._pages[key] = replace(rebuilt(page, answers), replayed=complete)

    def _some(self, source: str, holds: Callable[[StageEvidence], bool]) -> dict[ObjectKey, StageEvidence]:
        found = [(key, page) for key, page in self._pages.items() if page.source == source and holds(page)]
        return dict(found[:MOST_REPLAYED])

    def _find_problem(self, record: RolloutRecord, plan: RolloutSpec) -> str | None:
        """Return the problem, or None where nobody can say yet because the version is not there."""
        source = self._sources.get(plan.metrics.source)
        if source is None:
            known = ", ".join(sorted(self._sources)) or "none"
            return f"There is no metric source {plan.metrics.source}; the administrator has set up: {known}."
        versions = self._store.versions(record.meta.key.namespace, plan.model)
        subjects = [subject_of(version, record.meta.key.namespace) for version in versions]
        wanted = next((one for one in subjects if one is not None and one.version == plan.version), None)
        if wanted is None:
            return None
        for conditions in plan.conditions:
            for condition in conditions:
                problem = source.problem_with(question_of(plan, wanted, condition))
                if problem:
                    return f"{condition.text}: {problem}."
        return ""
