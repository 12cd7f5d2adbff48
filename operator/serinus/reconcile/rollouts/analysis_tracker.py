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
from serinus.engine.rollout.modes import stage_of
from serinus.ports.cluster_state import RolloutRecord
from serinus.ports.services import MetricSource
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.stage_analysis import (
    DISPERSION_MEMORY,
    Asked,
    StageAnalysis,
    StageId,
    carried_over,
    counts_from,
    is_down,
    question_of,
    replayed,
    subject_of,
    visit_of,
    with_answers,
    with_baseline,
)

SETTLED: Final = timedelta(milliseconds=250)
"""A source's ticks end at least so long before the present (metrics.scrape_delay), so the next one begins that much
earlier: it holds the whole of a stage that began while the last one was being asked."""

DISPERSION_STEP: Final = timedelta(seconds=30)
"""In steps of at least so long: a burst is shorter, and an hour stays a small answer."""

MOST_STEPS: Final = 720
"""A replay has at most so many steps: the judgement is valid whatever the batches, so a long stage has longer ones."""

MOST_REPLAYED: Final = 100
"""So many stages are replayed at one tick; the others wait for the next one. Bounds memory after a restart."""


class AnalysisTracker:
    """The evidence of every stage under way, by Rollout."""

    def __init__(self, store: ClusterCache, sources: Mapping[str, MetricSource]) -> None:
        """Ask these sources, by their names, about what the store knows."""
        self._store = store
        self._sources = sources
        self._analyses: dict[ObjectKey, StageAnalysis] = {}
        self._problems: dict[ObjectKey, tuple[RolloutSpec, str]] = {}
        self._last_tick: dict[str, datetime] = {}

    def readings(self, record: RolloutRecord) -> tuple[Progress, ...]:
        """Return the evidence of the stage that the Rollout is in; nothing before its first tick."""
        analysis = self._analyses.get(record.meta.key)
        if analysis is None or analysis.stage != visit_of(record) or analysis.terms != self._terms(record):
            return ()
        return analysis.progress

    def breached(self, record: RolloutRecord) -> bool:
        """Say whether a condition of the stage that the Rollout is in is breached."""
        analysis = self._analyses.get(record.meta.key)
        return analysis is not None and analysis.breached and analysis.stage == visit_of(record)

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
        self._analyses.pop(key, None)
        self._problems.pop(key, None)

    async def tick(self, source: str, now: datetime) -> Mapping[ObjectKey, bool]:
        """Ask one source about all its stages and fold the answers in.

        Returns:
            The Rollouts with new evidence, each with whether it is urgent.
        """
        before = self._last_tick.get(source)
        self._update_stages(source, before)
        await self._learn(source)
        await self._replay(source, now)
        if before is None or await self._ask(source, now, before):
            self._last_tick[source] = now
        return {key: analysis.breached for key, analysis in self._analyses.items() if analysis.source == source}

    def _update_stages(self, source: str, last_tick: datetime | None) -> None:
        """Open a analysis for each stage under way, close those that are over."""
        for record in self._store.rollouts():
            key, stage = record.meta.key, visit_of(record)
            held = self._analyses.get(key)
            if held is not None and held.stage == stage and held.terms == self._terms(record):
                continue
            analysis = self._open(record, stage, last_tick) if stage is not None else None
            if analysis is None:
                self._analyses.pop(key, None)
            elif analysis.source == source:
                self._analyses[key] = carried_over(analysis, held)

    def _terms(self, record: RolloutRecord) -> tuple[Stage, MetricsRef] | None:
        plan = self._store.last_plan(record)
        stage = stage_of(plan, record.status.stage)
        return (stage, plan.metrics) if plan is not None and stage is not None else None

    def _open(self, record: RolloutRecord, stage_id: StageId, last_tick: datetime | None) -> StageAnalysis | None:
        plan = self._store.last_plan(record)
        stage = stage_of(plan, record.status.stage)
        if plan is None or stage is None or not stage.abort_on or plan.metrics.source not in self._sources:
            return None
        asked = self._asked(record, plan, plan.conditions[stage_id.index])
        if not asked:
            return None
        interval = self._sources[plan.metrics.source].scrape_interval
        count = sum(len(conditions) for conditions in plan.conditions)
        initial = tuple(
            begin(condition, stage, plan.metrics, conditions_in_run=count, scrape_interval=interval)
            for condition in plan.conditions[stage_id.index]
        )
        # A stage that began around the last tick has no past that the next one would not ask for.
        tick = self._sources[plan.metrics.source].tick
        new = last_tick is not None and last_tick - SETTLED < stage_id.since <= last_tick + 2 * tick
        # Nothing is to be learnt where nothing serves beside the candidate, or where the stage says its bursts itself.
        known = all(pair.stable is None or one.dispersion.given for pair, one in zip(asked, initial, strict=True))
        return StageAnalysis(
            stage=stage_id,
            terms=(stage, plan.metrics),
            source=plan.metrics.source,
            asked=asked,
            initial=initial,
            progress=initial,
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
        analyses = {
            key: analysis for key, analysis in self._analyses.items() if analysis.source == source and analysis.replayed
        }
        questions = {question for analysis in analyses.values() for question in analysis.questions}
        if not questions:
            return True
        answers = await self._sources[source].ask(questions, now, since)
        failed = {question for question, answer in answers.items() if is_down(answer)}
        for key, analysis in analyses.items():
            if self._analyses.get(key) is analysis:
                partly = len(failed) < len(questions) and not failed.isdisjoint(analysis.questions)
                self._analyses[key] = replace(with_answers(analysis, answers), replayed=not partly or analysis.breached)
        return len(failed) < len(questions)

    async def _learn(self, source: str) -> None:
        """Learn from the hour before each stage how much the stable versions' errors come in bursts."""
        hours: dict[int, dict[ObjectKey, StageAnalysis]] = defaultdict(dict)
        for key, analysis in self._some(source, lambda analysis: not analysis.learned).items():
            hours[int(analysis.stage.since.timestamp() // DISPERSION_MEMORY.total_seconds())][key] = analysis
        for analyses in hours.values():
            await self._learn_hour(source, analyses)

    async def _learn_hour(self, source: str, analyses: Mapping[ObjectKey, StageAnalysis]) -> None:
        """Learn for stages that began within one hour, whenever that was."""
        questions = {
            pair.stable for analysis in analyses.values() for pair in analysis.asked if pair.stable is not None
        }
        began = [analysis.stage.since for analysis in analyses.values()]
        step = max(DISPERSION_STEP, self._sources[source].tick)
        answers = await self._sources[source].replay(questions, min(began) - DISPERSION_MEMORY, max(began), step)
        for key, analysis in analyses.items():
            if self._analyses.get(key) is analysis:
                self._analyses[key] = with_baseline(analysis, answers)

    async def _replay(self, source: str, now: datetime) -> None:
        """Read the past of the stages that this process has not followed from their beginning."""
        fresh = self._some(source, lambda analysis: not analysis.replayed)
        if not fresh:
            return
        length = now - min(analysis.stage.since for analysis in fresh.values())
        step = self._sources[source].tick
        step *= max(1, -(-length // (step * MOST_STEPS)))
        start = now - step * max(1, -(-length // step))
        questions = {question for analysis in fresh.values() for question in analysis.questions}
        answers = await self._sources[source].replay(questions, start, now, step)
        for key, analysis in fresh.items():
            if self._analyses.get(key) is analysis:
                complete = not any(is_down(one) for question in analysis.questions for one in answers[question])
                self._analyses[key] = replace(replayed(analysis, answers), replayed=complete)

    def _some(self, source: str, holds: Callable[[StageAnalysis], bool]) -> dict[ObjectKey, StageAnalysis]:
        found = [
            (key, analysis) for key, analysis in self._analyses.items() if analysis.source == source and holds(analysis)
        ]
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
