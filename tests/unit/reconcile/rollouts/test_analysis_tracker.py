"""The analyses of the stages under way: few questions, no gap, and the same evidence after a restart."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from msgspec import structs

from serinus.api.abort_condition import NamedQuery
from serinus.api.rollout_status import CurrentStage, Rollback, RollbackReason, RolloutStatus, Serving, StageState
from serinus.engine.analysis.assessment import Progress
from serinus.engine.analysis.measurements import Answer, CouldNotAsk, Question
from serinus.ports.cluster_state import ModelVersionRecord, RolloutRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.analysis_tracker import MAX_GAPS, AnalysisTracker
from serinus.reconcile.rollouts.catch_up import MAX_READ, MAX_STEPS
from support.builders import CANARY, PRODUCTION, STAGING
from support.fake_source import FakeSource, everything, nothing, tick_and_catch_up
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


class TrackerHarness:
    """A cache and a tracker over one source, ticked by hand."""

    def __init__(self, source: FakeSource | None = None, cache: ClusterCache | None = None) -> None:
        self.source = source if source is not None else FakeSource()
        self.cache = cache if cache is not None else ClusterCache()
        self.tracker = AnalysisTracker(self.cache, {"default": self.source})
        self._version = 10

    def has(self, name: str = "fraud", status: RolloutStatus | None = None, **fields: Any) -> "TrackerHarness":
        """Put a Rollout and its two versions into the cache, or change it there."""
        self._version += 1
        for version in ("1.0.0", "2.0.0"):
            self.cache.put(model_version(version, name))
        self.cache.put(rollout(name, status=status or in_stage(), version=self._version, **fields))
        return self

    async def ticks(self, first: int, last: int) -> "TrackerHarness":
        for seconds in range(first, last + 1, TICK):
            await tick_and_catch_up(self.tracker, at(seconds))
        return self

    def record(self, name: str = "fraud") -> RolloutRecord:
        record = self.cache.rollout(key(name))
        assert record is not None
        return record

    def reading(self, name: str = "fraud") -> Progress:
        readings = self.tracker.readings(self.record(name))
        assert len(readings) == 1
        return readings[0]


def versions_of(questions: frozenset[Question]) -> set[str]:
    return {question.subject.version for question in questions}


def models_of(questions: frozenset[Question]) -> set[str]:
    return {question.subject.model for question in questions}


# ---- the number of questions -------------------------------------------------------------------


async def test_one_question_a_tick_to_the_source_however_many_rollouts_there_are() -> None:
    harness = await TrackerHarness().ticks(0, 0)
    for number in range(300):
        harness.has(f"m{number}")
    await harness.ticks(5, 50)
    assert len(harness.source.asks) == 10
    assert all(len(ask.questions) == 600 for ask in harness.source.asks), "candidate and stable of each"


async def test_the_ticks_join_without_gap_or_overlap() -> None:
    harness = (await TrackerHarness().ticks(0, 0)).has()
    await harness.ticks(5, 60)
    assert all(before.end == after.start for before, after in pairwise(harness.source.asks))


async def test_a_stage_that_began_after_the_last_tick_needs_no_replay_of_itself() -> None:
    harness = (await TrackerHarness().ticks(0, 0)).has(status=in_stage(since=2))
    await harness.ticks(5, 5)
    assert harness.source.replays == []
    assert harness.reading().requests == 250


async def test_nothing_is_asked_while_no_stage_has_conditions() -> None:
    harness = TrackerHarness().has(status=in_stage(index=0)).has("settled", status=RolloutStatus())
    await harness.ticks(0, 60)
    assert harness.source.asks == harness.source.replays == []
    assert harness.tracker.readings(harness.record()) == ()


async def test_after_a_restart_at_most_so_many_stages_are_replayed_at_one_tick() -> None:
    harness = TrackerHarness()
    for number in range(2 * MAX_READ + 1):
        harness.has(f"m{number}")
    await harness.ticks(100, 110)
    past = [replay for replay in harness.source.replays if "2.0.0" in versions_of(replay.questions)]
    assert [len(models_of(replay.questions)) for replay in past] == [MAX_READ, MAX_READ, 1]
    assert len(frozenset().union(*(models_of(replay.questions) for replay in past))) == 2 * MAX_READ + 1
    assert all(harness.reading(f"m{number}").requests > 0 for number in range(2 * MAX_READ + 1))


async def test_the_replay_of_a_long_stage_has_a_bounded_number_of_steps_and_loses_less_than_one_of_them() -> None:
    harness = TrackerHarness().has(status=in_stage(since=0))
    length = 3 * 3600
    await harness.ticks(length, length)
    past = next(replay for replay in harness.source.replays if "2.0.0" in versions_of(replay.questions))
    steps = (past.end - past.start) / timedelta(seconds=TICK * 3)
    assert steps <= MAX_STEPS
    step = (past.end - past.start) / MAX_STEPS
    # A step that began before the stage would bring requests from before it.
    assert 50 * (length - step.total_seconds()) < harness.reading().requests <= 50 * length


# ---- no gap ------------------------------------------------------------------------------------


def troubled(question: Question, when: datetime) -> float:
    """Errors in bursts, in the stable version as in the candidate; never many enough for a breach."""
    minute = int((when - START).total_seconds() // 60)
    return 0.012 if minute % 4 == (0 if question.subject.version == "1.0.0" else 1) else 0.0


async def an_undisturbed_one(until: int, source: FakeSource | None = None) -> TrackerHarness:
    harness = TrackerHarness(source)
    harness.source.bad = {"1.0.0": troubled, "2.0.0": troubled}
    await harness.ticks(0, 0)
    harness.has()
    return await harness.ticks(5, until)


@pytest.mark.parametrize("restarted_at", [10, 300, 3500])
async def test_after_a_restart_the_evidence_is_bit_for_bit_that_of_an_undisturbed_process(restarted_at: int) -> None:
    undisturbed = await an_undisturbed_one(restarted_at + 100)
    successor = TrackerHarness()
    successor.source.bad = undisturbed.source.bad
    successor.has()
    await successor.ticks(restarted_at, restarted_at + 100)
    assert successor.reading() == undisturbed.reading()


async def test_a_source_that_was_down_is_asked_for_the_whole_gap_at_once_afterwards() -> None:
    harness = (await TrackerHarness().ticks(0, 0)).has(status=in_stage(since=0.001))
    await harness.ticks(5, 60)
    harness.source.down = everything
    await harness.ticks(65, 180)
    assert isinstance(harness.reading().latest, CouldNotAsk)
    assert harness.reading().requests == 50 * 60
    harness.source.down, replays = nothing, len(harness.source.replays)
    await harness.ticks(185, 185)
    assert (harness.source.asks[-1].start, harness.source.asks[-1].end) == (at(60), at(185))
    assert harness.reading().requests == 50 * 185
    assert len(harness.source.replays) == replays


async def test_where_only_a_part_failed_just_that_part_is_asked_about_the_same_time_again() -> None:
    harness = await TrackerHarness().ticks(0, 0)
    for name in ("fraud", "churn"):
        harness.has(name)
    await harness.ticks(5, 60)
    harness.source.down = lambda question: question.subject.model == "fraud"
    await harness.ticks(65, 65)
    harness.source.down = nothing
    before, replays = len(harness.source.asks), len(harness.source.replays)
    await harness.ticks(70, 70)
    asked = {(ask.start, *models_of(ask.questions)) for ask in harness.source.asks[before:]}
    assert asked == {(at(60), "fraud"), (at(65), "churn")}
    await harness.ticks(75, 120)
    assert len(harness.source.asks) == before + 2 + 10, "together again"
    assert len(harness.source.replays) == replays
    assert harness.reading("churn").requests == harness.reading("fraud").requests == 50 * 120


async def test_what_fails_at_every_other_tick_loses_no_request() -> None:
    harness = (await TrackerHarness().ticks(0, 0)).has(status=in_stage(since=0.001))
    for seconds in range(5, 121, 5):
        harness.source.down = everything if seconds % 10 else nothing
        await harness.ticks(seconds, seconds)
    assert harness.reading().requests == 50 * 120


async def test_times_that_wait_for_an_answer_are_few() -> None:
    harness = await TrackerHarness().ticks(0, 0)
    late = {f"m{number}" for number in range(2 * MAX_GAPS)}
    for name in sorted(late):
        harness.has(name)
    await harness.ticks(5, 10)
    for number in range(2 * MAX_GAPS):
        # One more cannot be asked at each tick.
        failing = {f"m{other}" for other in range(number + 1)}
        harness.source.down = lambda question, failing=failing: question.subject.model in failing  # type: ignore[misc]
        before = len(harness.source.asks)
        await harness.ticks(15 + TICK * number, 15 + TICK * number)
        assert len(harness.source.asks) - before <= MAX_GAPS + 1
    harness.source.down = nothing
    last = 15 + 2 * TICK * MAX_GAPS
    await harness.ticks(last, last + 10 * TICK)
    assert {harness.reading(name).requests for name in late} == {50 * (last + 10 * TICK)}


async def test_stages_that_are_replayed_together_each_have_only_what_came_since_their_own_beginning() -> None:
    harness = TrackerHarness().has("fraud", status=in_stage(since=0)).has("churn", status=in_stage(since=200))
    await harness.ticks(300, 300)
    assert [harness.reading(name).requests for name in ("fraud", "churn")] == [50 * 300, 50 * 100]


async def test_a_replay_that_fails_is_tried_again_at_the_next_tick() -> None:
    harness = TrackerHarness().has()
    harness.source.down = everything
    await harness.ticks(300, 310)
    assert harness.reading().requests == 0
    assert isinstance(harness.reading().latest, CouldNotAsk), "the status shows why"
    harness.source.down = nothing
    await harness.ticks(315, 315)
    assert harness.reading().requests == 50 * 315


async def test_a_stage_that_began_in_an_outage_is_not_judged_by_what_happened_before_it() -> None:
    harness = (await TrackerHarness().ticks(0, 0)).has("other")
    await harness.ticks(5, 5)
    harness.source.down = everything
    await harness.ticks(10, 300)
    harness.source.down = nothing
    harness.has("fraud", status=in_stage(since=297))
    await harness.ticks(305, 305)
    assert harness.reading("other").requests == 50 * 305, "the whole gap is its own"
    assert harness.reading("fraud").requests == 50 * 2 * TICK


# ---- watched from the first tick on ----


async def test_a_stage_is_asked_about_at_the_first_tick_and_its_breach_is_found_before_its_past_is_read() -> None:
    harness = TrackerHarness()
    for number in range(1000):
        harness.has(f"m{number}", status=in_stage(since=-1000 * number))
    harness.source.bad = {"2.0.0": 1.0}
    found = await harness.tracker.tick("default", at(3600))
    assert harness.source.replays == []
    assert sum(len(models_of(ask.questions)) for ask in harness.source.asks) == 1000
    assert len(found) == sum(found.values()) == 1000


async def test_a_past_that_cannot_be_read_delays_nobody_and_goes_to_the_back() -> None:
    harness = TrackerHarness()
    for hour in range(5):
        harness.has(f"m{hour}", status=in_stage(since=3600 * hour))
    tried: list[frozenset[str]] = []

    async def replay(questions: Collection[Question], *_: object) -> Mapping[Question, Sequence[Answer]]:
        tried.append(frozenset(models_of(frozenset(questions))))
        if "m0" in tried[-1]:
            raise TimeoutError("hangs")
        return await answering(questions, *_)  # type: ignore[arg-type]

    answering = harness.source.replay
    harness.source.replay = replay  # type: ignore[method-assign, assignment]
    now = 3600 * 5
    await harness.tracker.tick("default", at(now))
    for _ in range(5):
        with suppress(TimeoutError):
            await harness.tracker.catch_up("default")
    assert {f"m{hour}" for hour in range(5)} <= frozenset().union(*tried)


async def test_nothing_passes_before_the_past_is_known_and_the_reading_says_why() -> None:
    harness = TrackerHarness().has(status=in_stage(since=0))
    await harness.tracker.tick("default", at(300))
    assert harness.tracker.readings(harness.record()) == (), "the status keeps what it has"
    harness.source.down = everything
    assert await harness.tracker.catch_up("default") == {key(): False}
    reading = harness.reading()
    assert isinstance(reading.latest, CouldNotAsk)
    assert "could not be read again" in reading.latest.message


async def test_after_the_clock_was_set_evidence_is_collected_anew() -> None:
    for step in (-600, 7200):
        harness = await (await TrackerHarness().ticks(0, 0)).has().ticks(5, 100)
        replays = len(harness.source.replays)
        harness.tracker.clock_stepped("default", at(100 + step))
        harness.source.bad = {"2.0.0": 1.0}
        await harness.ticks(100 + step, 110 + step)
        assert harness.reading().breached_at == at(105 + step)
        past = [replay for replay in harness.source.replays[replays:] if "2.0.0" in versions_of(replay.questions)]
        assert not past, "nobody knows where in the metrics the stage began"


# ---- analyses ----------------------------------------------------------------------------------


async def test_a_plan_that_is_changed_in_the_middle_of_a_stage_is_assessed_again_from_the_stages_beginning() -> None:
    harness = (await TrackerHarness().ticks(0, 0)).has()
    await harness.ticks(5, 100)
    stricter = {**CANARY, "abortOn": ["error_rate > 0.1%"]}
    harness.has(spec=spec_for("fraud", "2.0.0", STAGING, stricter, PRODUCTION))
    assert harness.tracker.readings(harness.record()) == (), "the old plan's evidence does not count for the new one"
    await harness.ticks(105, 105)
    assert harness.reading().condition.text == "error_rate > 0.1%"
    assert harness.reading().requests == 50 * 105


async def test_a_spoilt_spec_leaves_the_stage_guarded() -> None:
    harness = (await TrackerHarness().ticks(0, 0)).has()
    await harness.ticks(5, 100)
    harness.has(spec=MISSPELT)
    harness.source.bad = {"2.0.0": 1.0}
    assert await harness.tracker.tick("default", at(105)) == {key(): True}
    assert harness.reading().breached_at is not None


async def test_a_breach_is_urgent_and_survives_whatever_the_source_does_next() -> None:
    harness = await TrackerHarness().ticks(0, 0)
    harness.has("fraud").has("churn")
    await harness.ticks(5, 20)
    assert not harness.tracker.breached(harness.record())
    harness.source.bad = {"2.0.0": lambda question, _: 1.0 if question.subject.model == "fraud" else 0.0}
    assert await harness.tracker.tick("default", at(25)) == {key("fraud"): True}
    assert harness.tracker.breached(harness.record())
    harness.source.bad, harness.source.down = {}, lambda question: question.subject.model == "fraud"
    await harness.ticks(30, 30)
    harness.source.down = nothing
    await harness.ticks(35, 60)
    assert harness.reading().breached_at == at(25)


async def test_the_source_is_not_asked_about_what_is_breached_and_leaves_the_others_no_gap() -> None:
    harness = await TrackerHarness().ticks(0, 0)
    harness.has("fraud").has("churn")
    await harness.ticks(5, 20)
    harness.source.bad = {"2.0.0": lambda question, _: 1.0 if question.subject.model == "fraud" else 0.0}
    await harness.ticks(25, 25)
    asks = len(harness.source.asks)
    await harness.ticks(30, 120)
    assert {question.subject.model for ask in harness.source.asks[asks:] for question in ask.questions} == {"churn"}
    assert harness.reading("churn").requests == 50 * 120
    assert harness.reading("fraud").breached_at == at(25)


async def test_the_analysis_of_a_stage_that_is_over_is_dropped() -> None:
    harness = (await TrackerHarness().ticks(0, 0)).has()
    await harness.ticks(5, 20)
    gone = Rollback(
        version="2.0.0", to="1.0.0", reason=RollbackReason.ABORTED, message="x", at_weight=5, decided_at=at(20)
    )
    harness.has(status=structs.replace(in_stage(), rollback=gone))
    asked = len(harness.source.asks)
    assert await harness.tracker.tick("default", at(25)) == {}
    assert len(harness.source.asks) == asked
    assert harness.tracker.readings(harness.record()) == ()
    assert not harness.tracker.breached(harness.record())


async def test_what_is_forgotten_while_its_answer_is_under_way_stays_forgotten() -> None:
    harness = (await TrackerHarness().ticks(0, 0)).has()

    def forget(_question: Question) -> bool:
        harness.tracker.forget(key())
        return False

    harness.source.down = forget
    assert await harness.tracker.tick("default", at(5)) == {}


async def test_without_a_stable_version_only_the_candidate_is_asked_about() -> None:
    harness = TrackerHarness().has(status=structs.replace(in_stage(), stable=None))
    await harness.ticks(0, 20)
    assert {version for ask in harness.source.asks for version in versions_of(ask.questions)} == {"2.0.0"}


async def test_a_candidate_that_is_not_there_is_asked_about_as_soon_as_it_is() -> None:
    harness = TrackerHarness().has()
    harness.cache.drop(ModelVersionRecord, key("fraud-v2.0.0"), "")
    await harness.ticks(0, 20)
    assert harness.source.asks == []
    harness.has()
    await harness.ticks(25, 30)
    assert harness.reading().requests == 50 * 30


# ---- conditions that can never be measured -----------------------------------------------------


def test_an_unknown_source_is_named_with_those_that_there_are() -> None:
    harness = TrackerHarness().has(spec=spec_for("fraud", metrics={"source": "elsewhere"}))
    assert harness.tracker.problem(harness.record()) == (
        "There is no metric source elsewhere; the administrator has set up: default."
    )


async def test_an_unknown_source_is_never_asked() -> None:
    harness = TrackerHarness().has(spec=spec_for("fraud", metrics={"source": "elsewhere"}))
    await harness.ticks(0, 20)
    assert harness.source.asks == []


def test_a_condition_that_the_source_cannot_answer_is_named_in_its_own_words() -> None:
    stage = {**CANARY, "abortOn": ["error_rate > 1%", "drift > 0.2"]}
    harness = TrackerHarness().has(spec=spec_for("fraud", "2.0.0", STAGING, stage, PRODUCTION))
    harness.source.problem = lambda question: (
        "source default has no query drift" if isinstance(question.metric, NamedQuery) else ""
    )
    assert harness.tracker.problem(harness.record()) == "drift > 0.2: source default has no query drift."


@pytest.mark.parametrize(
    ("preset", "line", "blind"),
    [
        ("linkerd", "error_rate > 1%", True),
        ("vllm", "client_error_rate > 1%", True),
        ("vllm", "latency_p95 > 1s", False),
        ("contour", "error_rate > 1%", False),
        ("istio", "client_error_rate > 1%", False),
        # What it is, the source itself says.
        ("unknown", "error_rate > 1%", False),
    ],
)
@pytest.mark.parametrize("kind", ["grpcRoute", "httpRoute"])
def test_an_error_rate_that_does_not_see_how_a_grpc_call_ends_is_refused(
    kind: str, preset: str, line: str, *, blind: bool
) -> None:
    stage = {**CANARY, "abortOn": [line]}
    only = {**PRODUCTION, "abortOn": ["latency_p95 > 1s"]}
    route = {kind: {"name": "fraud", "ruleName": "predict"}}
    harness = TrackerHarness().has(
        spec=spec_for("fraud", "2.0.0", STAGING, stage, only, metrics={"preset": preset}, route=route)
    )
    said = harness.tracker.problem(harness.record())
    assert said.startswith(f"{line}: preset {preset} does not see which gRPC calls fail") == (
        blind and kind == "grpcRoute"
    )


def test_a_problem_that_needs_the_version_is_found_once_the_version_exists() -> None:
    harness = TrackerHarness().has()
    harness.source.problem = lambda _: "there is no preset contour"
    harness.cache.drop(ModelVersionRecord, key("fraud-v2.0.0"), "")
    assert harness.tracker.problem(harness.record()) == ""
    harness.cache.put(replace(model_version("2.0.0"), meta=meta("fraud-v2.0.0", version=99)))
    assert harness.tracker.problem(harness.record()) == "error_rate > 0.5%: there is no preset contour."


def test_a_rollout_that_was_never_readable_has_no_problem_with_its_metrics() -> None:
    harness = TrackerHarness().has(spec=MISSPELT)
    assert harness.tracker.problem(harness.record()) == ""
