"""The observed share of the requests is about the weights that the rule has now."""

from datetime import datetime, timedelta

from serinus.api.rollout_status import CurrentStage, RolloutStatus, Serving, StageState
from serinus.engine.analysis.measurements import Answer, Batch, Counted, Question
from serinus.engine.analysis.share import RequestShare
from serinus.ports.cluster_state import RolloutRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from support.builders import CANARY, PRODUCTION, STAGING
from support.fake_source import FakeSource, tick_and_catch_up
from support.records import key, model_version, rollout, route, spec_for
from support.virtual_loop import START

TICK = 1
PER_SECOND = 100.0


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Gateway(FakeSource):
    """Gives the candidate 5 %, and all of it until ``wrong_until``."""

    def __init__(self) -> None:
        super().__init__(scrape=timedelta(seconds=1))
        self.wrong_until = START

    def _answer(self, question: Question, at: datetime, since: datetime) -> Answer:
        right = 0.05 if at > self.wrong_until else 1.0
        part = right if question.subject.version == "2.0.0" else 1 - right
        requests = PER_SECOND * (at - since).total_seconds() * part
        return Counted(at=at, batch=Batch(requests, 0, 0, 0))


class Harness:
    """A canary that began at second 2, with a route."""

    def __init__(self, gateway: Gateway) -> None:
        self.cache = ClusterCache()
        self.tracker = AnalysisTracker(self.cache, {"default": gateway})
        stage = CurrentStage(index=1, name="canary", state=StageState.ANALYZING, since=at(2), state_since=at(3))
        status = RolloutStatus(
            run=1,
            stage=stage,
            stable=Serving(version="1.0.0", weight=95, since=START),
            candidate=Serving(version="2.0.0", weight=5, since=START),
        )
        for version in ("1.0.0", "2.0.0"):
            self.cache.put(model_version(version, "fraud"))
        plan = spec_for("fraud", "2.0.0", STAGING, {**CANARY, "burst": 1}, PRODUCTION)
        self.cache.put(rollout("fraud", status=status, version=11, spec=plan))
        self._writes = 1
        self.route_is_written()

    def route_is_written(self) -> None:
        self._writes += 1
        self.cache.put(route("fraud", version=self._writes, generation=self._writes))

    async def ticks(self, first: int, last: int) -> RequestShare:
        for seconds in range(first, last + 1, TICK):
            await tick_and_catch_up(self.tracker, at(seconds))
        return self.tracker.share(self.record)

    @property
    def record(self) -> RolloutRecord:
        record = self.cache.rollout(key("fraud"))
        assert record is not None
        return record


async def test_what_was_sent_before_the_weights_were_changed_does_not_count() -> None:
    gateway = Gateway()
    gateway.wrong_until = at(20)
    harness = Harness(gateway)
    assert (await harness.ticks(0, 19)).candidate == 200
    harness.route_is_written()
    # Two scrape intervals, a tick and a second later all that is counted was sent since.
    assert (await harness.ticks(20, 24)).total == 0
    share = await harness.ticks(25, 26)
    assert (round(share.candidate), round(share.total)) == (10, 200)


async def test_after_a_restart_the_weights_of_before_are_forgotten_with_the_next_requests() -> None:
    """The operator was killed after a weight was written and put back: the stage's past contains both."""
    gateway = Gateway()
    gateway.wrong_until = at(20)
    harness = Harness(gateway)
    assert (await harness.ticks(21, 21)).candidate > 100
    share = await harness.ticks(22, 24)
    assert (round(share.candidate), round(share.total)) == (10, 200)


async def test_a_wrong_share_survives_a_restart() -> None:
    gateway = Gateway()
    gateway.wrong_until = at(1000)
    share = await Harness(gateway).ticks(60, 60)
    assert (share.candidate, share.total) == (200, 200)


async def test_a_stage_that_has_just_begun_counts_nothing_of_the_one_before() -> None:
    gateway = Gateway()
    gateway.wrong_until = at(3)
    share = await Harness(gateway).ticks(0, 5)
    assert share.total == 0


async def test_a_rollout_without_a_stage_has_no_share() -> None:
    harness = Harness(Gateway())
    await harness.ticks(0, 30)
    harness.cache.put(rollout("fraud", status=RolloutStatus(), version=12))
    assert harness.tracker.share(harness.record) == RequestShare()
