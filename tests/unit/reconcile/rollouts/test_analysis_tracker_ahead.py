"""A stage is asked about from its first tick on, also while the status that enters it is on its way."""

from dataclasses import replace
from datetime import datetime, timedelta

from serinus.api.rollout_status import CurrentStage, RolloutStatus, Serving, StageState
from serinus.engine.analysis.measurements import Question
from serinus.ports.cluster_state import RolloutRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from support.builders import CANARY, PRODUCTION, STAGING
from support.fake_source import FakeSource, everything, nothing, tick_and_catch_up
from support.records import key, meta, model_version, rollout, spec_for
from support.virtual_loop import START

RATE = 50.0


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def status_in(name: str, since: float) -> RolloutStatus:
    index = ("staging", "canary", "production").index(name)
    stage = CurrentStage(index=index, name=name, state=StageState.PREPARING, since=at(since), state_since=at(since))
    return RolloutStatus(
        run=1,
        stage=stage,
        stable=Serving(version="1.0.0", weight=95, since=START),
        candidate=Serving(version="2.0.0", weight=5, since=START),
    )


class Harness:
    """A run whose canary began at second 1, asked about every second."""

    def __init__(self) -> None:
        self.source, self.cache = FakeSource(rate=RATE, scrape=timedelta(seconds=1)), ClusterCache()
        self.tracker = AnalysisTracker(self.cache, {"default": self.source})
        for version in ("1.0.0", "2.0.0"):
            self.cache.put(model_version(version, "fraud"))
        burst = {"burst": 1}
        plan = spec_for("fraud", "2.0.0", STAGING, CANARY | burst, PRODUCTION | burst)
        self.cache.put(rollout("fraud", status=status_in("canary", 1), version=11, spec=plan))

    @property
    def record(self) -> RolloutRecord:
        record = self.cache.rollout(key("fraud"))
        assert record is not None
        return record

    async def ticks(self, first: int, last: int) -> None:
        for seconds in range(first, last + 1):
            await tick_and_catch_up(self.tracker, at(seconds))

    async def in_canary_until(self, last: int) -> None:
        """Tick from before the canary on."""
        stored = self.record
        self.cache.put(replace(stored, status=RolloutStatus(), meta=meta("fraud", version=12)))
        await tick_and_catch_up(self.tracker, at(0))
        self.cache.put(replace(stored, meta=meta("fraud", version=13)))
        await self.ticks(2, last)

    def stores(self, status: RolloutStatus) -> None:
        self.cache.put(replace(self.record, status=status, meta=meta("fraud", version=20)))
        self.tracker.arrive(key("fraud"))

    def requests(self) -> float:
        (reading,) = self.tracker.readings(self.record)
        return reading.requests


async def test_a_stage_whose_status_takes_seconds_to_be_stored_needs_no_replay_and_loses_no_request() -> None:
    harness = Harness()
    await harness.in_canary_until(10)
    after = status_in("production", 10.5)
    harness.tracker.anticipate(harness.record, after)
    await harness.ticks(11, 15)
    harness.stores(after)
    assert harness.requests() == 5 * RATE
    await harness.ticks(16, 16)
    assert harness.requests() == 6 * RATE
    assert harness.source.replays == []


async def test_the_stage_of_the_stored_status_is_asked_about_meanwhile() -> None:
    harness = Harness()
    await harness.in_canary_until(10)
    before = harness.requests()
    harness.tracker.anticipate(harness.record, status_in("production", 10.5))
    await harness.ticks(11, 13)
    assert harness.requests() == before + 3 * RATE
    harness.source.bad["2.0.0"] = 1.0
    await harness.ticks(14, 14)
    assert harness.tracker.breached(harness.record)


async def test_a_tick_that_finds_the_status_stored_goes_on_with_what_was_asked() -> None:
    harness = Harness()
    await harness.in_canary_until(10)
    after = status_in("production", 10.5)
    harness.tracker.anticipate(harness.record, after)
    await harness.ticks(11, 12)
    harness.cache.put(replace(harness.record, status=after, meta=meta("fraud", version=20)))
    await harness.ticks(13, 13)
    assert harness.requests() == 3 * RATE
    harness.tracker.arrive(key("fraud"))
    assert harness.requests() == 3 * RATE
    assert harness.source.replays == []


async def test_a_status_that_was_not_stored_leaves_nothing_and_the_next_attempt_begins_anew() -> None:
    harness = Harness()
    await harness.in_canary_until(10)
    harness.tracker.anticipate(harness.record, status_in("production", 10.5))
    await harness.ticks(11, 12)
    harness.tracker.arrive(key("fraud"))
    await harness.ticks(13, 13)
    assert len(harness.source.asks[-1].questions) == 2
    later = status_in("production", 13.5)
    harness.tracker.anticipate(harness.record, later)
    await harness.ticks(14, 14)
    harness.stores(later)
    assert harness.requests() == RATE
    assert harness.source.replays == []


async def test_what_an_outage_hid_of_an_anticipated_stage_is_asked_for_at_once_afterwards() -> None:
    harness = Harness()
    await harness.in_canary_until(10)
    after = status_in("production", 10.5)
    harness.tracker.anticipate(harness.record, after)
    harness.source.down = everything
    await harness.ticks(11, 13)
    harness.source.down = nothing
    await harness.ticks(14, 14)
    harness.stores(after)
    assert harness.requests() == 4 * RATE


async def test_the_stored_stage_makes_up_for_an_outage_of_before_which_the_anticipated_one_does_not_count() -> None:
    """Both ask the same question, from different times on."""
    harness = Harness()
    await harness.in_canary_until(10)
    before = harness.requests()
    harness.source.down = everything
    await harness.ticks(11, 12)
    after = status_in("production", 12.5)
    harness.tracker.anticipate(harness.record, after)
    harness.source.down = nothing
    await harness.ticks(13, 13)
    assert harness.requests() == before + 3 * RATE
    harness.stores(after)
    assert harness.requests() == RATE


async def test_a_status_that_is_stored_while_the_source_is_asked_loses_no_answer() -> None:
    """Otherwise the next tick would have to ask about the time of two, in queries of its own."""
    harness = Harness()
    await harness.in_canary_until(10)
    after = status_in("production", 10.5)
    harness.tracker.anticipate(harness.record, after)

    def store_meanwhile(_question: Question) -> bool:
        harness.source.down = nothing
        harness.stores(after)
        return False

    harness.source.down = store_meanwhile
    await harness.ticks(11, 11)
    assert harness.requests() == RATE
    asked = len(harness.source.asks)
    await harness.ticks(12, 12)
    assert [ask.start for ask in harness.source.asks[asked:]] == [at(11)]
    assert harness.requests() == 2 * RATE


async def test_a_status_that_enters_no_stage_anticipates_nothing() -> None:
    harness = Harness()
    await harness.in_canary_until(5)
    harness.tracker.anticipate(harness.record, harness.record.status)
    harness.tracker.anticipate(harness.record, RolloutStatus())
    await harness.ticks(6, 6)
    assert len(harness.source.asks[-1].questions) == 2


async def test_a_rollout_that_is_gone_is_not_asked_about_any_more() -> None:
    harness = Harness()
    await harness.in_canary_until(10)
    harness.tracker.anticipate(harness.record, status_in("production", 10.5))
    await harness.ticks(11, 11)
    gone = harness.record
    harness.cache.drop(RolloutRecord, key("fraud"), gone.meta.uid)
    harness.tracker.forget(key("fraud"))
    asked = len(harness.source.asks)
    await harness.ticks(12, 12)
    assert len(harness.source.asks) == asked
