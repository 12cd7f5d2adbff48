"""What is asked about a stage that warms up, and that its evidence begins anew after it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from serinus.api.abort_condition import Latency, TokensPerSecond
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import CurrentStage, RolloutStatus, Serving, StageState
from serinus.engine.analysis.assessment import Progress
from serinus.engine.analysis.measurements import Answer, Counted, Measured, Question
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from support.builders import CANARY, PRODUCTION, STAGING
from support.fake_source import FakeSource, tick_and_catch_up
from support.records import key, model_version, rollout, spec_for
from support.virtual_loop import START

_PLAN = spec_for("fraud", "2.0.0", STAGING, {**CANARY, "warmup": {"requests": 100}}, PRODUCTION)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def _status(state: StageState, since: float, **fields: Any) -> RolloutStatus:
    stage = CurrentStage(index=1, name="canary", state=state, since=at(since), state_since=at(since))
    serving = Serving(version="2.0.0", weight=5, since=START)
    stable = Serving(version="1.0.0", weight=95, since=START)
    return structs.replace(RolloutStatus(run=1, stage=stage, stable=stable, candidate=serving), **fields)


def _has(cache: ClusterCache, status: RolloutStatus, version: int) -> None:
    for number in ("1.0.0", "2.0.0"):
        cache.put(model_version(number, "fraud"))
    cache.put(rollout("fraud", status=status, version=version, spec=_PLAN))


async def _read(status: RolloutStatus) -> list[tuple[str, bool, float]]:
    cache, source = ClusterCache(), FakeSource()
    tracker = AnalysisTracker(cache, {"default": source})
    _has(cache, status, 11)
    for seconds in (5, 10, 15):
        await tick_and_catch_up(tracker, at(seconds))
    record = cache.rollout(key("fraud"))
    assert record is not None
    return [(one.condition.text, one.guard, one.requests) for one in tracker.readings(record)]


async def test_a_stage_that_warms_up_is_asked_whether_it_fails_outright_and_nothing_else() -> None:
    for state in (StageState.SHIFTING, StageState.TESTING, StageState.WARMING_UP):
        found = await _read(_status(state, since=2))
        assert [(line, guard) for line, guard, _ in found] == [
            ("error_rate > 50%", True),
            ("unanswered_rate > 50%", True),
        ]
        assert found[0][2] > 0


async def test_a_first_version_is_asked_about_too() -> None:
    assert len(await _read(_status(StageState.WARMING_UP, since=2, stable=None))) == 2


async def test_after_it_the_stages_own_conditions_are_asked_about_from_then_on() -> None:
    cache, source = ClusterCache(), FakeSource()
    tracker = AnalysisTracker(cache, {"default": source})
    _has(cache, _status(StageState.WARMING_UP, since=2), 11)
    for seconds in (5, 10):
        await tick_and_catch_up(tracker, at(seconds))
    warm = tracker.readings(record) if (record := cache.rollout(key("fraud"))) is not None else ()
    _has(cache, _status(StageState.ANALYZING, since=10), 12)
    for seconds in (15, 20):
        await tick_and_catch_up(tracker, at(seconds))
    record = cache.rollout(key("fraud"))
    assert record is not None
    readings = tracker.readings(record)
    assert [one.condition.text for one in readings if not one.guard] == ["error_rate > 0.5%"]
    # Ten seconds of requests, not twenty.
    assert 0 < readings[0].requests <= warm[0].requests * 2
    assert readings[0].since == at(10)


class Reaching(FakeSource):
    """Its answers tell from when on they count: the scrape before the tick, or the beginning of a value's window."""

    def _answer(self, question: Question, at: datetime, since: datetime) -> Answer:
        if isinstance(question.metric, TokensPerSecond):
            slow = (WARM - (at - WINDOW)) / WINDOW
            return Measured(at=at, value=50 - 48 * max(0.0, min(1.0, slow)), begun=at - WINDOW)
        answer = super()._answer(question, at, since)
        return replace(answer, begun=since - self.scrape_interval) if isinstance(answer, Counted) else answer


WARM, WINDOW = at(12), timedelta(seconds=60)


async def _after_the_warm_up(plan: RolloutSpec, source: FakeSource, ticks: int, *, restarted: bool) -> Progress:
    cache = ClusterCache()
    tracker = AnalysisTracker(cache, {"default": source})
    for number in ("1.0.0", "2.0.0"):
        cache.put(model_version(number, "fraud"))
    if not restarted:
        cache.put(rollout("fraud", status=_status(StageState.WARMING_UP, since=2), version=11, spec=plan))
        for seconds in (5, 10):
            await tick_and_catch_up(tracker, at(seconds))
    cache.put(rollout("fraud", status=_status(StageState.ANALYZING, since=12), version=12, spec=plan))
    for tick in range(ticks if restarted else 1, ticks + 1):
        await tick_and_catch_up(tracker, at(10 + 5 * tick))
    record = cache.rollout(key("fraud"))
    assert record is not None
    return tracker.readings(record)[0]


@pytest.mark.parametrize("restarted", [False, True])
async def test_requests_of_the_warm_up_that_are_scraped_after_it_are_not_counted(*, restarted: bool) -> None:
    source = Reaching()
    source.bad["2.0.0"] = lambda _, moment: 1.0 if moment <= at(30) else 0.0
    progress = await _after_the_warm_up(_PLAN, source, 20, restarted=restarted)
    assert progress.breached_at is None
    assert progress.requests > 0


async def test_a_value_over_a_time_in_which_the_version_was_cold_is_not_held_against_it() -> None:
    conditions = {"abortOn": ["tokens_per_second < 40"], "for": "20s", "warmup": {"readyFor": "2m"}}
    plan = spec_for("fraud", "2.0.0", STAGING, {**CANARY, **conditions}, PRODUCTION, metrics={"preset": "vllm"})
    progress = await _after_the_warm_up(plan, Reaching(), 30, restarted=False)
    assert isinstance(progress.latest, Measured)
    assert progress.breached_at is None


@pytest.mark.parametrize(("warmup", "refused"), [({"requests": 200}, True), ({"readyFor": "2m"}, False)])
async def test_requests_that_nothing_counts_are_a_problem_before_the_start(
    warmup: dict[str, Any], *, refused: bool
) -> None:
    """As with the preset kserve, which tells response times only."""
    source, cache = FakeSource(), ClusterCache()
    source.problem = lambda question: "" if isinstance(question.metric, Latency) else "kserve has no such series"
    canary = {**CANARY, "abortOn": ["latency_p95 > 200ms"], "warmup": warmup}
    production = {**PRODUCTION, "abortOn": ["latency_p95 > 200ms"]}
    cache.put(model_version("2.0.0", "fraud"))
    cache.put(rollout("fraud", version=11, spec=spec_for("fraud", "2.0.0", STAGING, canary, production)))
    record = cache.rollout(key("fraud"))
    assert record is not None
    problem = AnalysisTracker(cache, {"default": source}).problem(record)
    assert problem == (
        "spec.stages[1].warmup.requests: nothing counts them: kserve has no such series. Write readyFor instead."
        if refused
        else ""
    )
