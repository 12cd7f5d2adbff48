"""The evidence of stages under way: few questions, no gap, and after a restart the same evidence as without it."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from msgspec import structs

from serinus.api.abort_condition import NamedQuery
from serinus.api.rollout_status import CurrentStage, Rollback, RollbackReason, RolloutStatus, Serving, StageState
from serinus.engine.analysis.assessment import Progress
from serinus.engine.analysis.measurements import CouldNotAsk, Question
from serinus.ports.cluster_state import ModelVersionRecord, RolloutRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.analysis_tracker import MOST_REPLAYED, MOST_STEPS, AnalysisTracker
from serinus.reconcile.rollouts.stage_analysis import DISPERSION_MEMORY
from support.builders import CANARY, PRODUCTION, STAGING
from support.fake_source import FakeSource, everything, nothing
from support.records import MISSPELT, key, meta, model_version, rollout, spec_for
from support.virtual_loop import START

TICK = 5


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def in_stage(since: float = 2, index: int = 1, run: int = 1) -> RolloutStatus:
    names = ("staging", "canary", "production")
    stage = CurrentStage(
        index=index, name=names[index], state=StageState.ANALYZING, since=at(since), state_since=at(since)
    )
    return RolloutStatus(
        run=run,
        stage=stage,
        stable=Serving(version="1.0.0", weight=95, since=START),
        candidate=Serving(version="2.0.0", weight=5, since=START),
    )


class Desk:
    """A store and a tracker over one source, and ticks by hand."""

    def __init__(self, source: FakeSource | None = None, store: ClusterCache | None = None) -> None:
        self.source = source if source is not None else FakeSource()
        self.store = store if store is not None else ClusterCache()
        self.tracker = AnalysisTracker(self.store, {"default": self.source})
        self._version = 10

    def has(self, name: str = "fraud", status: RolloutStatus | None = None, **fields: Any) -> "Desk":
        """Put a Rollout and its two versions into the store, or change it."""
        self._version += 1
        for version in ("1.0.0", "2.0.0"):
            self.store.put(model_version(version, name))
        self.store.put(rollout(name, status=status or in_stage(), version=self._version, **fields))
        return self

    async def ticks(self, first: int, last: int) -> "Desk":
        for seconds in range(first, last + 1, TICK):
            await self.tracker.tick("default", at(seconds))
        return self

    def record(self, name: str = "fraud") -> RolloutRecord:
        found = self.store.rollout(key(name))
        assert found is not None
        return found

    def reading(self, name: str = "fraud") -> Progress:
        readings = self.tracker.readings(self.record(name))
        assert len(readings) == 1
        return readings[0]


def versions_of(questions: frozenset[Question]) -> set[str]:
    return {question.subject.version for question in questions}


def models_of(questions: frozenset[Question]) -> set[str]:
    return {question.subject.model for question in questions}


# ---- how much is asked -------------------------------------------------------------------------


async def test_one_question_a_tick_to_the_source_however_many_rollouts_there_are() -> None:
    desk = await Desk().ticks(0, 0)
    for number in range(300):
        desk.has(f"m{number}")
    await desk.ticks(5, 50)
    assert len(desk.source.asks) == 10
    assert all(len(ask.questions) == 600 for ask in desk.source.asks), "candidate and stable of each"


async def test_the_ticks_join_without_gap_or_overlap() -> None:
    desk = (await Desk().ticks(0, 0)).has()
    await desk.ticks(5, 60)
    assert all(before.end == after.start for before, after in pairwise(desk.source.asks))


async def test_a_stage_that_began_after_the_last_tick_needs_no_replay_of_itself() -> None:
    desk = (await Desk().ticks(0, 0)).has(status=in_stage(since=2))
    await desk.ticks(5, 5)
    assert [versions_of(replay.questions) for replay in desk.source.replays] == [{"1.0.0"}], "the stable one's bursts"
    assert desk.reading().requests == 250


async def test_nothing_is_asked_while_no_stage_has_conditions() -> None:
    desk = Desk().has(status=in_stage(index=0)).has("settled", status=RolloutStatus())
    await desk.ticks(0, 60)
    assert desk.source.asks == desk.source.replays == []
    assert desk.tracker.readings(desk.record()) == ()


async def test_after_a_restart_at_most_so_many_stages_are_replayed_at_one_tick() -> None:
    desk = Desk()
    for number in range(2 * MOST_REPLAYED + 1):
        desk.has(f"m{number}")
    await desk.ticks(100, 110)
    past = [replay for replay in desk.source.replays if "2.0.0" in versions_of(replay.questions)]
    assert [len(models_of(replay.questions)) for replay in past] == [MOST_REPLAYED, MOST_REPLAYED, 1]
    assert len(frozenset().union(*(models_of(replay.questions) for replay in past))) == 2 * MOST_REPLAYED + 1
    assert all(desk.reading(f"m{number}").requests > 0 for number in range(2 * MOST_REPLAYED + 1))


async def test_the_replay_of_a_long_stage_has_a_bounded_number_of_steps_and_loses_no_request() -> None:
    desk = Desk().has(status=in_stage(since=0))
    length = 3 * 3600
    await desk.ticks(length, length)
    past = next(replay for replay in desk.source.replays if "2.0.0" in versions_of(replay.questions))
    steps = (past.end - past.start) / timedelta(seconds=TICK * 3)
    assert steps <= MOST_STEPS
    assert desk.reading().requests == 50 * length


# ---- no gap ------------------------------------------------------------------------------------


def troubled(question: Question, when: datetime) -> float:
    """Errors in bursts, in the stable version as in the candidate; never many enough for a breach."""
    minute = int((when - START).total_seconds() // 60)
    return 0.012 if minute % 4 == (0 if question.subject.version == "1.0.0" else 1) else 0.0


async def an_undisturbed_one(until: int, source: FakeSource | None = None) -> Desk:
    desk = Desk(source)
    desk.source.bad = {"1.0.0": troubled, "2.0.0": troubled}
    await desk.ticks(0, 0)
    desk.has()
    return await desk.ticks(5, until)


@pytest.mark.parametrize("restarted_at", [10, 300, 3500])
async def test_after_a_restart_the_evidence_is_bit_for_bit_that_of_an_undisturbed_process(restarted_at: int) -> None:
    undisturbed = await an_undisturbed_one(restarted_at + 100)
    successor = Desk()
    successor.source.bad = undisturbed.source.bad
    successor.has()
    await successor.ticks(restarted_at, restarted_at + 100)
    assert undisturbed.reading().dispersion.burst != 3, "bursts are known, else this would show little"
    assert successor.reading() == undisturbed.reading()


async def test_a_restart_late_in_a_stage_still_learns_bursts_from_the_hour_before_the_stage() -> None:
    desk = Desk().has(status=in_stage(since=0))
    two_hours = 7200
    await desk.ticks(two_hours, two_hours)
    learning = next(replay for replay in desk.source.replays if versions_of(replay.questions) == {"1.0.0"})
    assert (learning.start, learning.end) == (START - DISPERSION_MEMORY, START)


async def test_a_source_that_was_down_is_asked_for_the_whole_gap_at_once_afterwards() -> None:
    desk = (await Desk().ticks(0, 0)).has(status=in_stage(since=0.001))
    await desk.ticks(5, 60)
    desk.source.down = everything
    await desk.ticks(65, 180)
    assert isinstance(desk.reading().latest, CouldNotAsk)
    assert desk.reading().requests == 50 * 60
    desk.source.down, replays = nothing, len(desk.source.replays)
    await desk.ticks(185, 185)
    assert (desk.source.asks[-1].start, desk.source.asks[-1].end) == (at(60), at(185))
    assert desk.reading().requests == 50 * 185
    assert len(desk.source.replays) == replays


async def test_where_only_a_part_failed_just_that_part_is_replayed_and_nobody_misses_a_request() -> None:
    desk = await Desk().ticks(0, 0)
    for name in ("fraud", "churn"):
        desk.has(name)
    await desk.ticks(5, 60)
    desk.source.down = lambda question: question.subject.model == "fraud"
    await desk.ticks(65, 65)
    desk.source.down = nothing
    before = len(desk.source.replays)
    await desk.ticks(70, 120)
    assert [models_of(replay.questions) for replay in desk.source.replays[before:]] == [{"fraud"}]
    undisturbed = await (await Desk().ticks(0, 0)).has("fraud").ticks(5, 120)
    assert desk.reading("fraud") == undisturbed.reading("fraud")
    assert desk.reading("churn").requests == desk.reading("fraud").requests


async def test_stages_that_are_replayed_together_each_have_only_what_came_since_their_own_beginning() -> None:
    desk = Desk().has("fraud", status=in_stage(since=0)).has("churn", status=in_stage(since=200))
    await desk.ticks(300, 300)
    assert [desk.reading(name).requests for name in ("fraud", "churn")] == [50 * 300, 50 * 100]


async def test_a_replay_that_fails_is_tried_again_at_the_next_tick() -> None:
    desk = Desk().has()
    desk.source.down = everything
    await desk.ticks(300, 310)
    assert desk.reading().requests == 0
    assert isinstance(desk.reading().latest, CouldNotAsk), "people are told why"
    desk.source.down = nothing
    await desk.ticks(315, 315)
    assert desk.reading().requests == 50 * 315


async def test_a_stage_that_began_in_an_outage_is_not_judged_by_what_happened_before_it() -> None:
    desk = (await Desk().ticks(0, 0)).has("other")
    await desk.ticks(5, 5)
    desk.source.down = everything
    await desk.ticks(10, 300)
    desk.source.down = nothing
    desk.has("fraud", status=in_stage(since=297))
    await desk.ticks(305, 305)
    assert desk.reading("other").requests == 50 * 305, "the whole gap is its own"
    assert desk.reading("fraud").requests == 50 * 2 * TICK


# ---- analyses -------------------------------------------------------------------------------------


async def test_bursts_are_learnt_once_a_run_and_the_next_stage_inherits_them() -> None:
    desk = await an_undisturbed_one(300)
    learnt, replays = desk.reading().dispersion, len(desk.source.replays)
    desk.has(status=in_stage(since=301, index=2))
    await desk.ticks(305, 305)
    assert len(desk.source.replays) == replays
    assert desk.reading().dispersion.older == learnt.older
    assert desk.reading().requests == 250, "but its requests are its own"


async def test_the_next_run_learns_anew() -> None:
    desk = await an_undisturbed_one(300)
    replays = len(desk.source.replays)
    desk.has(status=in_stage(since=301, run=2))
    await desk.ticks(305, 305)
    assert len(desk.source.replays) == replays + 1


async def test_a_stage_whose_bursts_are_given_inherits_none() -> None:
    desk = await an_undisturbed_one(300)
    bursty = spec_for("fraud", "2.0.0", STAGING, CANARY, {**PRODUCTION, "burst": 5})
    desk.has(status=in_stage(since=301, index=2), spec=bursty)
    await desk.ticks(305, 305)
    assert desk.reading().dispersion.burst == 5


async def test_a_plan_that_is_changed_in_the_middle_of_a_stage_is_judged_anew_from_the_stages_beginning() -> None:
    desk = (await Desk().ticks(0, 0)).has()
    await desk.ticks(5, 100)
    stricter = {**CANARY, "abortOn": ["error_rate > 0.1%"]}
    desk.has(spec=spec_for("fraud", "2.0.0", STAGING, stricter, PRODUCTION))
    assert desk.tracker.readings(desk.record()) == (), "the old plan's evidence does not speak for the new one"
    await desk.ticks(105, 105)
    assert desk.reading().condition.text == "error_rate > 0.1%"
    assert desk.reading().requests == 50 * 105


async def test_a_spoilt_spec_leaves_the_stage_guarded() -> None:
    desk = (await Desk().ticks(0, 0)).has()
    await desk.ticks(5, 100)
    desk.has(spec=MISSPELT)
    desk.source.bad = {"2.0.0": 1.0}
    found = await desk.tracker.tick("default", at(105))
    assert found == {key(): True}
    assert desk.reading().breached_at is not None


async def test_a_breach_is_urgent_and_survives_whatever_the_source_does_next() -> None:
    desk = await Desk().ticks(0, 0)
    desk.has("fraud").has("churn")
    await desk.ticks(5, 20)
    assert not desk.tracker.breached(desk.record())
    desk.source.bad = {"2.0.0": lambda question, _: 1.0 if question.subject.model == "fraud" else 0.0}
    assert await desk.tracker.tick("default", at(25)) == {key("fraud"): True, key("churn"): False}
    assert desk.tracker.breached(desk.record())
    desk.source.bad, desk.source.down = {}, lambda question: question.subject.model == "fraud"
    assert await desk.tracker.tick("default", at(30)) == {key("fraud"): True, key("churn"): False}
    desk.source.down = nothing
    await desk.ticks(35, 60)
    assert desk.reading().breached_at == at(25)


async def test_the_page_of_a_stage_that_is_over_is_closed() -> None:
    desk = (await Desk().ticks(0, 0)).has()
    await desk.ticks(5, 20)
    gone = Rollback(
        version="2.0.0", to="1.0.0", reason=RollbackReason.ABORTED, message="x", at_weight=5, decided_at=at(20)
    )
    desk.has(status=structs.replace(in_stage(), rollback=gone))
    asked = len(desk.source.asks)
    assert await desk.tracker.tick("default", at(25)) == {}
    assert len(desk.source.asks) == asked
    assert desk.tracker.readings(desk.record()) == ()
    assert not desk.tracker.breached(desk.record())


async def test_what_is_forgotten_while_its_answer_is_under_way_stays_forgotten() -> None:
    desk = (await Desk().ticks(0, 0)).has()

    def forget(_question: Question) -> bool:
        desk.tracker.forget(key())
        return False

    desk.source.down = forget
    assert await desk.tracker.tick("default", at(5)) == {}


async def test_without_a_stable_version_only_the_candidate_is_asked_about() -> None:
    desk = Desk().has(status=structs.replace(in_stage(), stable=None))
    await desk.ticks(0, 20)
    assert {version for ask in desk.source.asks for version in versions_of(ask.questions)} == {"2.0.0"}


async def test_a_candidate_that_is_not_there_is_asked_about_as_soon_as_it_is() -> None:
    desk = Desk().has()
    desk.store.drop(ModelVersionRecord, key("fraud-v2.0.0"), "")
    await desk.ticks(0, 20)
    assert desk.source.asks == []
    desk.has()
    await desk.ticks(25, 30)
    assert desk.reading().requests == 50 * 30


# ---- what can never be asked -------------------------------------------------------------------


def test_an_unknown_source_is_named_with_those_that_there_are() -> None:
    desk = Desk().has(spec=spec_for("fraud", metrics={"source": "elsewhere"}))
    assert desk.tracker.problem(desk.record()) == (
        "There is no metric source elsewhere; the administrator has set up: default."
    )


async def test_an_unknown_source_is_never_asked() -> None:
    desk = Desk().has(spec=spec_for("fraud", metrics={"source": "elsewhere"}))
    await desk.ticks(0, 20)
    assert desk.source.asks == []


def test_a_condition_that_the_source_cannot_answer_is_named_in_its_own_words() -> None:
    stage = {**CANARY, "abortOn": ["error_rate > 1%", "drift > 0.2"]}
    desk = Desk().has(spec=spec_for("fraud", "2.0.0", STAGING, stage, PRODUCTION))
    desk.source.problem = lambda question: (
        "source default has no query drift" if isinstance(question.metric, NamedQuery) else ""
    )
    assert desk.tracker.problem(desk.record()) == "drift > 0.2: source default has no query drift."


def test_what_cannot_be_said_before_the_version_is_there_is_said_once_it_is() -> None:
    desk = Desk().has()
    desk.source.problem = lambda _: "there is no preset contour"
    desk.store.drop(ModelVersionRecord, key("fraud-v2.0.0"), "")
    assert desk.tracker.problem(desk.record()) == ""
    desk.store.put(replace(model_version("2.0.0"), meta=meta("fraud-v2.0.0", version=99)))
    assert desk.tracker.problem(desk.record()) == "error_rate > 0.5%: there is no preset contour."


def test_a_rollout_that_was_never_readable_has_no_problem_with_its_metrics() -> None:
    desk = Desk().has(spec=MISSPELT)
    assert desk.tracker.problem(desk.record()) == ""
