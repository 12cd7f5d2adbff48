"""What is not queried: the bursts that a stage sets itself, and the past of a stage that has none."""

from datetime import timedelta

import pytest

from serinus.api.rollout_status import CurrentStage, RolloutStatus, Serving, StageState
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from support.builders import CANARY, PRODUCTION, STAGING
from support.fake_source import FakeSource, tick_and_catch_up
from support.records import model_version, rollout, spec_for
from support.virtual_loop import START


@pytest.mark.parametrize(("fields", "questions"), [({}, 1), ({"burst": 5}, 0)], ids=["learned", "given"])
async def test_the_stable_versions_past_is_read_only_where_the_stage_does_not_name_its_bursts(
    fields: dict[str, int], questions: int
) -> None:
    since = START + timedelta(seconds=2)
    stage = CurrentStage(index=1, name="canary", state=StageState.ANALYZING, since=since, state_since=since)
    status = RolloutStatus(
        run=1,
        stage=stage,
        stable=Serving(version="1.0.0", weight=95, since=START),
        candidate=Serving(version="2.0.0", weight=5, since=START),
    )
    source, cache = FakeSource(), ClusterCache()
    tracker = AnalysisTracker(cache, {"default": source})
    await tick_and_catch_up(tracker, START)
    for version in ("1.0.0", "2.0.0"):
        cache.put(model_version(version, "fraud"))
    plan = spec_for("fraud", "2.0.0", STAGING, {**CANARY, **fields}, PRODUCTION)
    cache.put(rollout("fraud", status=status, version=11, spec=plan))
    for seconds in (5, 10):
        await tick_and_catch_up(tracker, START + timedelta(seconds=seconds))

    assert len(source.replays) == questions


async def test_a_stage_that_began_while_the_last_tick_was_being_asked_needs_no_replay() -> None:
    since = START + timedelta(milliseconds=-100)
    stage = CurrentStage(index=1, name="canary", state=StageState.ANALYZING, since=since, state_since=since)
    status = RolloutStatus(
        run=1,
        stage=stage,
        stable=Serving(version="1.0.0", weight=95, since=START),
        candidate=Serving(version="2.0.0", weight=5, since=START),
    )
    source, cache = FakeSource(), ClusterCache()
    tracker = AnalysisTracker(cache, {"default": source})
    await tick_and_catch_up(tracker, START)
    for version in ("1.0.0", "2.0.0"):
        cache.put(model_version(version, "fraud"))
    plan = spec_for("fraud", "2.0.0", STAGING, {**CANARY, "burst": 1}, PRODUCTION)
    cache.put(rollout("fraud", status=status, version=11, spec=plan))
    await tick_and_catch_up(tracker, START + timedelta(seconds=5))

    assert source.replays == []
