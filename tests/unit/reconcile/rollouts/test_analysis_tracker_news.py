"""For which Rollouts a tick is news: only for these a decision is made."""

from datetime import timedelta

import pytest

from serinus.api.rollout_status import RolloutStatus
from serinus.ports.cluster_state import RolloutRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from support.builders import CANARY, PRODUCTION, STAGING
from support.fake_source import FakeSource, everything, nothing
from support.records import key, model_version, rollout, spec_for
from support.virtual_loop import START
from support.world import World

TICK = 5


def in_canary() -> RolloutStatus:
    world = World()
    while world.status.stage is None or world.status.stage.name != "canary":
        world.settle().measure()
    return world.status


class Told:
    """A Rollout in its canary stage, and the ticks that were news for it."""

    def __init__(self, *, judgement: str = "Sequential") -> None:
        self.source, cache = FakeSource(), ClusterCache()
        self.tracker = AnalysisTracker(cache, {"default": self.source})
        status = in_canary()
        assert status.stage is not None
        self.now, self.record = status.stage.since, self._put(cache, status, judgement)

    @staticmethod
    def _put(cache: ClusterCache, status: RolloutStatus, judgement: str) -> RolloutRecord:
        for version in ("1.0.0", "2.0.0"):
            cache.put(model_version(version))
        stages = (STAGING, {**CANARY, "judgement": judgement}, PRODUCTION)
        record = rollout(spec=spec_for("fraud", "2.0.0", *stages), status=status)
        cache.put(record)
        return record

    async def ticks(self, count: int) -> list[int]:
        """Tick so often; return the numbers of the ticks that were news, from 1."""
        found = []
        for number in range(1, count + 1):
            self.now += timedelta(seconds=TICK)
            if key() in await self.tracker.tick("default", self.now):
                found.append(number)
        return found


async def test_new_requests_are_news_only_where_a_verdict_changes_with_them() -> None:
    told = Told()
    # The first answers, and then each of the two conditions has the requests that it needs.
    assert await told.ticks(10) == [1, 3, 8]
    assert await told.ticks(24) == [4, 10, 16, 22]


async def test_without_any_traffic_a_decision_is_made_twice_a_minute() -> None:
    told = Told()
    told.source.share = lambda _: 0.0
    assert await told.ticks(19) == [1, 7, 13, 19]


async def test_that_the_source_does_not_answer_is_news_once_and_that_it_does_again() -> None:
    told = Told()
    await told.ticks(10)
    told.source.down = everything
    assert await told.ticks(3) == [1]
    told.source.down = nothing
    assert await told.ticks(3) == [1]


async def test_a_window_that_has_become_empty_is_news() -> None:
    told = Told(judgement="Observed")
    await told.ticks(8)
    told.source.share = lambda _: 0.0
    assert len(await told.ticks(24)) >= 2
    assert await told.ticks(2) == []


async def test_a_share_that_contradicts_the_weights_is_news() -> None:
    told = Told()
    told.source.share = lambda question: 0.05 if question.subject.version == "2.0.0" else 0.95
    await told.ticks(120)
    told.source.share = lambda _: 0.5
    assert await told.ticks(4) == [1]


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_a_breach_is_news_every_ten_seconds(share: float) -> None:
    told = Told()
    told.source.bad = {"2.0.0": 1.0}
    await told.ticks(3)
    assert told.tracker.breached(told.record)
    told.source.share = lambda _: share
    found = await told.ticks(6)
    assert found in ([1, 3, 5], [2, 4, 6])


async def test_a_clock_that_was_set_back_is_news() -> None:
    told = Told()
    told.source.share = lambda _: 0.0
    await told.ticks(2)
    told.now = START
    assert await told.ticks(1) == [1]


async def test_what_is_forgotten_is_news_when_it_comes_again() -> None:
    told = Told()
    told.source.share = lambda _: 0.0
    await told.ticks(2)
    told.tracker.forget(key())
    assert await told.ticks(1) == [1]
