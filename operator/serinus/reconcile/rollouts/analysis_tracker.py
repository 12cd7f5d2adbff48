"""The analyses of the stages under way: queried together at each tick, updated by the engine, replayed after a restart.

Nothing here is stored: the metric source is the memory, and one range query brings it back.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from serinus.api.abort_condition import AbortCondition
from serinus.api.names import ObjectKey
from serinus.api.rollout import MetricsRef, RolloutSpec, Stage
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.analysis.assessment import Progress, begin
from serinus.engine.analysis.measurements import Subject
from serinus.engine.analysis.share import NO_REQUESTS, RequestShare
from serinus.engine.rollout.modes import stage_of
from serinus.engine.rollout.traffic.confirmation import route_in_use
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
    on_route,
    question_of,
    replayed,
    settled_after,
    subject_of,
    visit_of,
    with_answers,
    with_baseline,
)

SETTLED: Final = timedelta(milliseconds=250)
"""A source's ticks end at least this long before the present (metrics.scrape_delay), so the next one begins that much
earlier: it covers the whole of a stage that began while the last one was being queried."""

DISPERSION_STEP: Final = timedelta(seconds=30)
"""The shortest step of that query: a burst is shorter, and an hour stays a small answer."""

MAX_STEPS: Final = 720
"""A replay has at most this many steps: the assessment is valid for any batches, so a long stage has longer ones."""

MAX_REPLAYED: Final = 100
"""This many stages are replayed at one tick; the others wait for the next one. Bounds memory after a restart."""


class AnalysisTracker:
    """The analysis of every stage under way, by Rollout."""

    def __init__(self, cache: ClusterCache, sources: Mapping[str, MetricSource]) -> None:
        """Query these sources, by their names, for the Rollouts in the cache."""
        self._cache = cache
        self._sources = sources
        self._analyses: dict[ObjectKey, StageAnalysis] = {}
        self._upcoming: dict[ObjectKey, RolloutRecord] = {}
        self._ahead: dict[ObjectKey, StageAnalysis] = {}
        self._problems: dict[ObjectKey, tuple[RolloutSpec, str]] = {}
        self._last_tick: dict[str, datetime] = {}

    def readings(self, record: RolloutRecord) -> tuple[Progress, ...]:
        """Return the progress of each condition of the stage that the Rollout is in; empty before its first tick."""
        analysis = self._analyses.get(record.meta.key)
        if analysis is None or analysis.stage != visit_of(record) or analysis.terms != self._terms(record):
            return ()
        return analysis.progress

    def share(self, record: RolloutRecord) -> RequestShare:
        """Return the requests to the candidate and the stable version since the weights last changed."""
        analysis = self._analyses.get(record.meta.key)
        if analysis is None or analysis.stage != visit_of(record):
            return NO_REQUESTS
        return analysis.share

    def breached(self, record: RolloutRecord) -> bool:
        """Return whether a condition of the stage that the Rollout is in is breached."""
        analysis = self._analyses.get(record.meta.key)
        return analysis is not None and analysis.breached and analysis.stage == visit_of(record)

    def problem(self, record: RolloutRecord) -> str:
        """Return why the Rollout's conditions can never be measured; empty where they can."""
        plan = self._cache.last_plan(record)
        if plan is None:
            return ""
        key = record.meta.key
        cached = self._problems.get(key)
        if cached is not None and cached[0] is plan:
            return cached[1]
        problem = self._find_problem(record, plan)
        if problem is not None:
            self._problems[key] = (plan, problem)
        return problem or ""

    def anticipate(self, record: RolloutRecord, status: RolloutStatus) -> None:
        """Ask about the stage that this status enters from the next tick on; ``arrive`` must follow.

        The weights are written before the status, and a status may take seconds: a stage that was asked about only from
        then on would need a range query for the time between. The stage of the stored status is asked about as before.
        """
        upcoming = replace(record, status=status)
        if visit_of(upcoming) not in {None, visit_of(record)}:
            self._upcoming[record.meta.key] = upcoming

    def arrive(self, key: ObjectKey) -> None:
        """Go on with the stage that was anticipated where its status was stored; drop it where it was not."""
        self._upcoming.pop(key, None)
        ahead, record = self._ahead.pop(key, None), self._cache.rollout(key)
        current = self._analyses.get(key)
        if ahead is None or record is None or visit_of(record) != ahead.stage:
            return
        if current is None or current.stage != ahead.stage:
            self._analyses[key] = ahead

    def forget(self, key: ObjectKey) -> None:
        """Drop the analysis of a Rollout that is gone."""
        self._upcoming.pop(key, None)
        self._ahead.pop(key, None)
        self._analyses.pop(key, None)
        self._problems.pop(key, None)

    async def tick(self, source: str, now: datetime) -> Mapping[ObjectKey, bool]:
        """Query one source for all its stages and update their analyses.

        Returns:
            The Rollouts with new answers, each with whether it is urgent.
        """
        before = self._last_tick.get(source)
        self._look_ahead(source, now, before)
        self._update_stages(source, now, before)
        await self._learn(source)
        await self._replay(source, now)
        if before is None or await self._ask(source, now, before):
            self._last_tick[source] = now
        return {key: analysis.breached for key, analysis in self._analyses.items() if analysis.source == source}

    def _look_ahead(self, source: str, now: datetime, last_tick: datetime | None) -> None:
        """Begin an analysis for each stage that is anticipated, go on with those whose status was stored."""
        for key, upcoming in [*self._upcoming.items()]:
            stage, ahead, stored = visit_of(upcoming), self._ahead.get(key), self._cache.rollout(key)
            if stored is not None and visit_of(stored) == stage:
                self.arrive(key)
            elif stage is not None and (ahead is None or ahead.stage != stage):
                analysis = self._open(upcoming, stage, last_tick)
                if analysis is not None and analysis.source == source:
                    self._ahead[key] = self._on_route(upcoming, carried_over(analysis, self._analyses.get(key)), now)

    def _update_stages(self, source: str, now: datetime, last_tick: datetime | None) -> None:
        """Begin an analysis for each stage under way, drop those that are over."""
        for record in self._cache.rollouts():
            key, stage = record.meta.key, visit_of(record)
            previous = self._analyses.get(key)
            if previous is not None and previous.stage == stage and previous.terms == self._terms(record):
                if previous.source == source:
                    self._analyses[key] = self._on_route(record, previous, now)
                continue
            analysis = self._open(record, stage, last_tick) if stage is not None else None
            if analysis is None:
                self._analyses.pop(key, None)
            elif analysis.source == source:
                self._analyses[key] = self._on_route(record, carried_over(analysis, previous), now)

    def _on_route(self, record: RolloutRecord, analysis: StageAnalysis, now: datetime) -> StageAnalysis:
        """Return the analysis with a share that is about the route as it is."""
        ref = route_in_use(self._cache.last_plan(record), record.status)
        route = self._cache.route(ObjectKey(record.meta.key.namespace, ref.http_route.name)) if ref else None
        source = self._sources[analysis.source]
        settled = settled_after(now, scrape_interval=source.scrape_interval, tick=source.tick)
        return on_route(analysis, route.generation if route is not None else 0, settled)

    def _terms(self, record: RolloutRecord) -> tuple[Stage, MetricsRef] | None:
        plan = self._cache.last_plan(record)
        stage = stage_of(plan, record.status.stage)
        return (stage, plan.metrics) if plan is not None and stage is not None else None

    def _open(self, record: RolloutRecord, stage_id: StageId, last_tick: datetime | None) -> StageAnalysis | None:
        plan = self._cache.last_plan(record)
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
        # The next tick covers the whole past of a stage that began around the last one.
        tick = self._sources[plan.metrics.source].tick
        new = last_tick is not None and last_tick - SETTLED < stage_id.since <= last_tick + 2 * tick
        # Nothing is to be learned where no stable version serves, or where the stage sets ``burst`` itself.
        known = all(
            pair.stable is None or progress.dispersion.given for pair, progress in zip(asked, initial, strict=True)
        )
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
            share_from=settled_after(stage_id.since, scrape_interval=interval, tick=tick),
        )

    def _asked(
        self, record: RolloutRecord, plan: RolloutSpec, conditions: Iterable[AbortCondition]
    ) -> tuple[Asked, ...]:
        namespace, status = record.meta.key.namespace, record.status
        versions = {version.version: version for version in self._cache.versions(namespace, plan.model)}
        candidate = subject_of(status.candidate, versions, ObjectKey(namespace, plan.model))
        stable = subject_of(status.stable, versions, ObjectKey(namespace, plan.model))
        if candidate is None:
            return ()
        return tuple(
            Asked(
                question_of(plan, candidate, condition),
                question_of(plan, stable, condition) if stable is not None else None,
            )
            for condition in conditions
        )

    async def _ask(self, source: str, now: datetime, since: datetime) -> bool:
        """Query what happened since; return whether the next tick begins here.

        A source that is down altogether is queried for the whole time at once later; where only some questions failed,
        the stages of these are replayed.
        """
        books = (self._analyses, self._ahead)
        of_source = ((key, analysis) for book in books for key, analysis in book.items() if analysis.source == source)
        analyses = [(key, analysis) for key, analysis in of_source if analysis.replayed]
        questions = {question for _, analysis in analyses for question in analysis.questions}
        if not questions:
            return True
        answers = await self._sources[source].ask(questions, now, since)
        failed = {question for question, answer in answers.items() if is_down(answer)}
        for key, analysis in analyses:
            partly = len(failed) < len(questions) and not failed.isdisjoint(analysis.questions)
            updated = replace(with_answers(analysis, answers), replayed=not partly or analysis.breached)
            for book in books:
                if book.get(key) is analysis:
                    book[key] = updated
        return len(failed) < len(questions)

    async def _learn(self, source: str) -> None:
        """Learn from the hour before each stage how much the stable version's errors come in bursts."""
        hours: dict[int, dict[ObjectKey, StageAnalysis]] = defaultdict(dict)
        for key, analysis in self._first(source, lambda analysis: not analysis.learned).items():
            hours[int(analysis.stage.since.timestamp() // DISPERSION_MEMORY.total_seconds())][key] = analysis
        for analyses in hours.values():
            await self._learn_hour(source, analyses)

    async def _learn_hour(self, source: str, analyses: Mapping[ObjectKey, StageAnalysis]) -> None:
        """Learn for stages that began within the same hour."""
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
        """Query the past of the stages that this process has not followed from their beginning."""
        fresh = self._first(source, lambda analysis: not analysis.replayed)
        if not fresh:
            return
        length = now - min(analysis.stage.since for analysis in fresh.values())
        step = self._sources[source].tick
        step *= max(1, -(-length // (step * MAX_STEPS)))
        start = now - step * max(1, -(-length // step))
        questions = {question for analysis in fresh.values() for question in analysis.questions}
        answers = await self._sources[source].replay(questions, start, now, step)
        for key, analysis in fresh.items():
            if self._analyses.get(key) is analysis:
                complete = not any(is_down(answer) for question in analysis.questions for answer in answers[question])
                self._analyses[key] = replace(replayed(analysis, answers), replayed=complete)

    def _first(self, source: str, condition: Callable[[StageAnalysis], bool]) -> dict[ObjectKey, StageAnalysis]:
        of_source = ((key, analysis) for key, analysis in self._analyses.items() if analysis.source == source)
        return dict(islice(((key, analysis) for key, analysis in of_source if condition(analysis)), MAX_REPLAYED))

    def _find_problem(self, record: RolloutRecord, plan: RolloutSpec) -> str | None:
        """Return the problem, empty where there is none; None where that is open because the version does not exist."""
        source = self._sources.get(plan.metrics.source)
        if source is None:
            available = ", ".join(sorted(self._sources)) or "none"
            return f"There is no metric source {plan.metrics.source}; the administrator has set up: {available}."
        model = ObjectKey(record.meta.key.namespace, plan.model)
        backend = next((one.backend for one in self._cache.versions(*model) if one.version == plan.version), None)
        if backend is None:
            return None
        desired = Subject(model.namespace, model.name, plan.version, backend)
        for conditions in plan.conditions:
            for condition in conditions:
                problem = source.problem_with(question_of(plan, desired, condition))
                if problem:
                    return f"{condition.text}: {problem}."
        return ""
