"""A version that is tried again right after its rollback is judged by the requests of its new run only."""

from dataclasses import replace
from datetime import datetime, timedelta

from serinus.api.rollout_status import CurrentStage, PastRun, RolloutStatus, RunResult, Serving, StageState
from serinus.api.verdict import Cause
from serinus.engine.analysis.assessment import Progress
from serinus.engine.analysis.measurements import Answer, Batch, Counted, NoData, Question
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from support.builders import CANARY, PRODUCTION, STAGING
from support.fake_source import FakeSource, tick_and_catch_up
from support.records import key, model_version, rollout, spec_for
from support.virtual_loop import START

TICK, SCRAPE = 5, 15
ENDED = START + timedelta(seconds=10)


def retried(version: str = "2.0.0") -> RolloutStatus:
    """The second run is in its canary stage a moment after the first one, of this version, was rolled back."""
    since = ENDED + timedelta(milliseconds=200)
    past = PastRun(run=1, version=version, result=RunResult.ROLLED_BACK, started_at=START, ended_at=ENDED)
    return RolloutStatus(
        run=2,
        stage=CurrentStage(index=1, name="canary", state=StageState.ANALYZING, since=since, state_since=since),
        stable=Serving(version="1.0.0", weight=95, since=START),
        candidate=Serving(version="2.0.0", weight=5, since=since),
        history=(past,),
    )


async def readings(
    source: FakeSource, status: RolloutStatus, ticks: int, *, restarted: bool = False, shared: str = ""
) -> Progress:
    """The evidence of the one condition after so many ticks; a restarted process has seen none of them but the last."""
    cache = ClusterCache()
    tracker = AnalysisTracker(cache, {"default": source})
    for version in ("1.0.0", "2.0.0"):
        cache.put(model_version(version, "fraud"))
    if shared:
        cache.put(replace(model_version(shared, "fraud"), backend=model_version("2.0.0", "fraud").backend))
    plan = spec_for("fraud", "2.0.0", STAGING, {**CANARY, "burst": 1}, PRODUCTION)
    if not restarted:
        await tick_and_catch_up(tracker, ENDED)
    cache.put(rollout("fraud", status=status, version=11, spec=plan))
    for number in range(ticks if restarted else 1, ticks + 1):
        await tick_and_catch_up(tracker, ENDED + timedelta(seconds=number * TICK))
    record = cache.rollout(key("fraud"))
    assert record is not None
    (progress,) = tracker.readings(record)
    return progress


def failing_until_scraped() -> FakeSource:
    """Every request of the first run failed; the last of them are scraped an interval after its end."""
    source = FakeSource(scrape=timedelta(seconds=SCRAPE))
    source.bad["2.0.0"] = lambda _, at: 1.0 if at <= ENDED + timedelta(seconds=SCRAPE + TICK) else 0.0
    return source


async def test_the_failures_of_the_run_before_are_not_counted_again() -> None:
    for restarted in (False, True):
        progress = await readings(failing_until_scraped(), retried(), 20, restarted=restarted)
        assert progress.breached_at is None
        assert progress.requests > 0


async def test_failures_of_its_own_are_counted_as_ever() -> None:
    source = FakeSource(scrape=timedelta(seconds=SCRAPE))
    source.bad["2.0.0"] = 1.0
    assert (await readings(source, retried(), 20)).breached_at is not None


async def test_the_end_of_another_versions_run_delays_nothing() -> None:
    source = FakeSource(scrape=timedelta(seconds=SCRAPE))
    source.bad["2.0.0"] = 1.0
    assert (await readings(source, retried("1.5.0"), 1)).breached_at is not None


async def test_the_failures_of_another_version_with_the_same_service_are_not_counted() -> None:
    for restarted in (False, True):
        progress = await readings(failing_until_scraped(), retried("1.5.0"), 20, restarted=restarted, shared="1.5.0")
        assert progress.breached_at is None
        assert progress.requests > 0


class Unscraped(FakeSource):
    """Scrapes fail from the end of the first run for three minutes; the first one after that brings its last failures.

    Attributes:
        knows: whether answers say from which sample they count.
    """

    OUTAGE = timedelta(minutes=3)

    def __init__(self, *, knows: bool) -> None:
        super().__init__(scrape=timedelta(seconds=SCRAPE))
        self.knows = knows

    def _answer(self, question: Question, at: datetime, since: datetime) -> Answer:
        over = ENDED + self.OUTAGE
        if at <= over:
            return NoData(at=at, cause=Cause.STALE, message="the newest sample is old")
        spans = since <= over
        bad = 100.0 if spans and question.subject.version == "2.0.0" else 0.0
        begun = ENDED if spans else since
        return Counted(at=at, batch=Batch(250.0, bad, bad, bad), begun=begun if self.knows else None)


async def test_an_outage_of_the_scrapes_between_two_runs_does_not_bring_the_failures_of_the_first() -> None:
    for restarted in (False, True):
        progress = await readings(Unscraped(knows=True), retried(), 60, restarted=restarted)
        assert progress.breached_at is None
        assert progress.requests > 0
    # The same counts, from a source that does not know where they begin.
    assert (await readings(Unscraped(knows=False), retried(), 60)).breached_at is not None


async def test_an_outage_within_a_run_loses_nothing() -> None:
    progress = await readings(Unscraped(knows=True), retried("1.5.0"), 60)
    assert progress.breached_at is not None
