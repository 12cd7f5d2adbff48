"""What is not queried: the past of a stage that has none."""

from datetime import timedelta

from serinus.api.rollout_status import CurrentStage, RolloutStatus, Serving, StageState
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from support.builders import CANARY, PRODUCTION, STAGING
from support.fake_source import FakeSource
from support.records import model_version, rollout, spec_for
from support.virtual_loop import START


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
    await tracker.tick("default", START)
    for version in ("1.0.0", "2.0.0"):
        cache.put(model_version(version, "fraud"))
    plan = spec_for("fraud", "2.0.0", STAGING, CANARY, PRODUCTION)
    cache.put(rollout("fraud", status=status, version=11, spec=plan))
    await tracker.tick("default", START + timedelta(seconds=5))

    assert source.replays == []
