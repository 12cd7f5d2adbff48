"""The analyses of the stages under way: queried together at each tick, updated by the engine, replayed after a restart.

Nothing here is stored: the metric source is the memory, and one range query brings it back. Every stage is asked about
from the first tick on; its past is read beside that (``catch_up``), so that no slow range query delays a live answer.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from msgspec.structs import replace as with_fields

from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import CurrentStage, RolloutStatus
from serinus.api.verdict import Cause
from serinus.engine.analysis.assessment import Progress, begin
from serinus.engine.analysis.false_aborts import conditions_in_run
from serinus.engine.analysis.guards import is_warming, judged_in
from serinus.engine.analysis.measurements import CouldNotAsk, Question
from serinus.engine.analysis.share import NO_REQUESTS, RequestShare
from serinus.engine.rollout.modes import stage_of
from serinus.engine.rollout.traffic.confirmation import route_in_use
from serinus.ports.cluster_state import ModelVersionRecord, RolloutRecord
from serinus.ports.services import MetricSource
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.catch_up import CatchUp
from serinus.reconcile.rollouts.metric_problems import MetricProblems
from serinus.reconcile.rollouts.news import News
from serinus.reconcile.rollouts.stage_analysis import (
    Asked,
    StageAnalysis,
    StageId,
    Terms,
    asked_of,
    begun_again,
    counts_from,
    earlier_run_ended,
    not_before,
    on_route,
    settled_after,
    subject_of,
    visit_of,
)
from serinus.reconcile.rollouts.stage_answers import take

SETTLED: Final = timedelta(milliseconds=250)
"""A source's ticks end at least this long before the present (metrics.scrape_delay), so the next one begins that much
earlier: it covers the whole of a stage that began while the last one was being queried."""

MAX_GAPS: Final = 4
"""From so many different times on a source is asked at one tick; what waits for longer is read like a past."""

AT_ONCE: Final = 200
"""The answers about so many stages are taken together; between two such parts the event loop does something else."""

MOST_LIVE: Final = 720
"""So many answers are kept for a stage whose past cannot be read; then it begins again."""


class AnalysisTracker:
    """The analysis of every stage under way, by Rollout."""

    def __init__(
        self,
        cache: ClusterCache,
        sources: Mapping[str, MetricSource],
        handles: Callable[[ObjectKey], bool] = lambda _: True,
    ) -> None:
        """Query these sources, by their names, for those Rollouts in the cache that this process ``handles``."""
        self._cache = cache
        self._sources = sources
        self._handles = handles
        self._analyses: dict[ObjectKey, StageAnalysis] = {}
        self._upcoming: dict[ObjectKey, RolloutRecord] = {}
        self._ahead: dict[ObjectKey, StageAnalysis] = {}
        self._last_tick: dict[str, datetime] = {}
        self._trusted_from: dict[str, datetime] = {}
        self._problems = MetricProblems(cache, sources)
        self._catch_up = CatchUp(self._analyses, sources)
        self._news = News()

    def readings(self, record: RolloutRecord) -> tuple[Progress, ...]:
        """Return the progress of each condition of the stage that the Rollout is in; empty before its first tick."""
        analysis = self._analyses.get(record.meta.key)
        if analysis is None or analysis.stage != visit_of(record) or analysis.terms != self._terms(record):
            return ()
        if analysis.caught_up or analysis.breached:
            return analysis.progress
        # Nothing passes before its past is known; a short time of reading it changes no status.
        return tuple(map(partial(_unread, analysis), analysis.initial)) if analysis.failures else ()

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
        return self._problems.of(record)

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
        self._problems.forget(key)
        self._news.forget(key)

    async def tick(self, source: str, now: datetime) -> Mapping[ObjectKey, bool]:
        """Query one source for all its stages and update their analyses.

        Returns:
            The Rollouts with news, each with whether it is urgent.
        """
        before = self._last_tick.get(source, now - self._sources[source].tick)
        self._look_ahead(source, before, now)
        self._update_stages(source, before, now)
        await self._ask(source, now, before)
        self._last_tick[source] = now
        self._catch_up.next_round(source)
        return self._news.of(self._analyses, source, now)

    async def catch_up(self, source: str) -> Mapping[ObjectKey, bool] | None:
        """Read the past of some stages that miss it, and return these Rollouts; None where nothing is due.

        Several calls may run at once: none reads what another one is reading.
        """
        return await self._catch_up.some(source)

    def clock_stepped(self, source: str, now: datetime) -> tuple[ObjectKey, ...]:
        """Begin the evidence of the stages under way anew: the times of what was read are not those of this clock.

        Returns:
            The Rollouts whose analyses these were.
        """
        self._trusted_from[source] = now
        self._last_tick.pop(source, None)
        begun_anew: dict[ObjectKey, None] = {}
        for book in (self._analyses, self._ahead):
            keys = [key for key, analysis in book.items() if analysis.source == source]
            begun_anew |= dict.fromkeys(keys)
            for key in keys:
                del book[key]
        return tuple(begun_anew)

    def _look_ahead(self, source: str, last_tick: datetime, now: datetime) -> None:
        """Begin an analysis for each stage that is anticipated, go on with those whose status was stored."""
        for key, upcoming in [*self._upcoming.items()]:
            stage, ahead, stored = visit_of(upcoming), self._ahead.get(key), self._cache.rollout(key)
            if stored is not None and visit_of(stored) == stage:
                self.arrive(key)
            elif stage is not None and (ahead is None or ahead.stage != stage):
                analysis = self._open(upcoming, stage, last_tick, now)
                if analysis is not None and analysis.source == source:
                    self._ahead[key] = self._on_route(upcoming, analysis, now)

    def _update_stages(self, source: str, last_tick: datetime, now: datetime) -> None:
        """Begin an analysis for each stage under way, drop those that are over."""
        for record in self._cache.rollouts():
            key = record.meta.key
            stage = visit_of(record) if self._handles(key) else None
            previous = self._analyses.get(key)
            if previous is not None and previous.stage == stage and previous.terms == self._terms(record):
                if previous.source == source:
                    self._analyses[key] = self._on_route(record, previous, now)
                continue
            analysis = self._open(record, stage, last_tick, now) if stage is not None else None
            if analysis is None:
                self._analyses.pop(key, None)
            elif analysis.source == source:
                self._analyses[key] = self._on_route(record, analysis, now)

    def _on_route(self, record: RolloutRecord, analysis: StageAnalysis, now: datetime) -> StageAnalysis:
        """Return the analysis with a share that is about the route as it is."""
        ref = route_in_use(self._cache.last_plan(record), record.status)
        route = self._cache.route(record.meta.key.namespace, ref) if ref else None
        source = self._sources[analysis.source]
        settled = settled_after(now, scrape_interval=source.scrape_interval, tick=source.tick)
        return on_route(analysis, route.generation if route is not None else 0, settled)

    def _terms(self, record: RolloutRecord) -> Terms | None:
        plan = self._cache.last_plan(record)
        stage = stage_of(plan, record.status.stage)
        return (stage, plan.metrics, plan.guards) if plan is not None and stage is not None else None

    def _open(
        self, record: RolloutRecord, stage_id: StageId, last_tick: datetime, now: datetime
    ) -> StageAnalysis | None:
        plan, terms, current = self._cache.last_plan(record), self._terms(record), record.status.stage
        if plan is None or terms is None or current is None:
            return None
        if not terms[0].abort_on or plan.metrics.source not in self._sources:
            return None
        stage = terms[0]
        known = self._cache.versions(record.meta.key.namespace, plan.model)
        versions = {version.version: version for version in known}
        asked, written = self._asked(record, plan, current, versions)
        if not asked:
            return None
        interval = self._sources[plan.metrics.source].scrape_interval
        count = conditions_in_run(plan)
        began = self._began(plan.metrics.source, stage_id, now)
        initial = tuple(
            begin(
                one.condition,
                stage,
                plan.metrics,
                conditions_in_run=count,
                scrape_interval=interval,
                guard=number >= written,
                since=began,
            )
            for number, one in enumerate(asked)
        )
        # The next tick covers the whole past of a stage that began around the last one.
        tick = self._sources[plan.metrics.source].tick
        new = last_tick - SETTLED < began <= last_tick + 2 * tick or began != stage_id.since
        ended = earlier_run_ended(record.status, asked[0].candidate.subject, versions)
        earlier = min(ended, now) if ended is not None else None
        return StageAnalysis(
            stage=stage_id,
            terms=terms,
            source=plan.metrics.source,
            asked=asked,
            initial=initial,
            progress=initial,
            began=began,
            counts_from=counts_from(earlier, began, scrape_interval=interval, tick=tick),
            until=(last_tick,) * len(asked),
            unread_until=None if new else last_tick,
            share_from=settled_after(began, scrape_interval=interval, tick=tick),
            not_before=not_before(earlier, began if stage.warmup and not is_warming(stage, current) else None),
        )

    def _began(self, source: str, stage: StageId, now: datetime) -> datetime:
        """Return when a stage began for its evidence: later than the status says where the clock was set since.

        Where in the metrics its beginning is, nobody knows then. A beginning that is long to come was written by a
        clock that was ahead, perhaps another process's; one within two ticks is waited for.
        """
        trusted = self._trusted_from.get(source)
        if trusted is not None and not trusted <= stage.since <= now:
            return trusted
        return stage.since if stage.since <= now + 2 * self._sources[source].tick else now

    def _asked(
        self,
        record: RolloutRecord,
        plan: RolloutSpec,
        current: CurrentStage,
        versions: Mapping[str, ModelVersionRecord],
    ) -> tuple[tuple[Asked, ...], int]:
        """Return the questions of what the team wrote for a stage, then those of the guards that can be answered.

        With them, how many of them are the team's.
        """
        namespace, status = record.meta.key.namespace, record.status
        candidate = subject_of(status.candidate, versions, ObjectKey(namespace, plan.model))
        stable = subject_of(status.stable, versions, ObjectKey(namespace, plan.model))
        if candidate is None:
            return (), 0
        written, guarding = judged_in(plan, current, status.baselines)
        asked = tuple(asked_of(plan, candidate, stable, condition) for condition in written)
        guards = tuple(asked_of(plan, candidate, stable, guard) for guard in guarding)
        problem_with = self._sources[plan.metrics.source].problem_with
        # A version that is the first one warms up, too.
        known = stable is not None or is_warming(plan.stages[current.index], current)
        return (*asked, *(one for one in guards if known and not problem_with(one.candidate))), len(asked)

    async def _ask(self, source: str, now: datetime, before: datetime) -> None:
        """Query what happened since each condition's last answer: mostly since the last tick.

        What is breached stays so: while hundreds of versions lose their traffic, the API server needs the cores that
        Prometheus would take.
        """
        self._drop_gaps(source, before)
        books = (self._analyses, self._ahead)
        analyses = [
            (key, one) for book in books for key, one in book.items() if one.source == source and not one.breached
        ]
        by_since: dict[datetime, set[Question]] = defaultdict(set)
        for _, analysis in analyses:
            for asked, since in analysis.due:
                by_since[since].update(asked.questions)
        asks = (self._sources[source].ask(questions, now, since) for since, questions in by_since.items())
        answered = dict(zip(by_since, await asyncio.gather(*asks), strict=True))
        answers = [
            (key, analysis, [asked.pair(answered[since]) for asked, since in analysis.due])
            for key, analysis in analyses
        ]
        for first in range(0, len(answers), AT_ONCE):
            take(books, answers[first : first + AT_ONCE], now)
            await asyncio.sleep(0)

    def _drop_gaps(self, source: str, before: datetime) -> None:
        """Let what has waited for an answer longest begin again, where too many times would have to be asked for."""
        analyses = {key: one for key, one in self._analyses.items() if one.source == source and not one.breached}
        times = sorted({since for analysis in analyses.values() for since in analysis.until}, reverse=True)
        oldest = times[MAX_GAPS - 1] if len(times) > MAX_GAPS else None
        for key, analysis in analyses.items():
            late = oldest is not None and min(analysis.until) < oldest
            if late or len(analysis.live) > MOST_LIVE:
                self._analyses[key] = begun_again(analysis, before)


def _unread(analysis: StageAnalysis, initial: Progress) -> Progress:
    """Return the progress that says why nothing is decided: the requests of the stage's past are not known."""
    message = (
        f"its requests since {analysis.began:%H:%M:%SZ} could not be read again ({analysis.problem}); "
        "a breach from now on is found all the same"
    )
    return with_fields(initial, latest=CouldNotAsk(at=analysis.began, cause=Cause.PROVIDER_DOWN, message=message))
