"""What of a run's status may wait to be written, and what may not."""

from datetime import timedelta

import pytest
from msgspec import structs

from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.rollout_status import RolloutStatus, StageState
from serinus.api.verdict import Verdict
from serinus.engine.analysis.measurements import Batch
from serinus.engine.rollout.decision import Decision, Event, EventReason
from serinus.engine.rollout.intervals import REFRESH
from serinus.engine.rollout.write_delay import CHANGE, WORDING, write_delay
from support.world import BAD, GOOD, World

AT_ONCE = timedelta(0)


def in_canary() -> RolloutStatus:
    world = World()
    while world.status.stage is None or world.status.stage.state is not StageState.ANALYZING:
        world.settle().measure()
    return world.status


def of(
    before: RolloutStatus, after: RolloutStatus, events: tuple[Event, ...] = (), requeue_after: timedelta | None = None
) -> timedelta:
    return write_delay(before, Decision(status=after, events=events, requeue_after=requeue_after))


def test_sentences_and_figures_wait_longest() -> None:
    before = in_canary()
    after = structs.replace(before, summary="Serving.", next_action="None.", evidence=())
    assert of(before, after) == WORDING


def test_new_figures_wait_until_the_stored_ones_are_a_minute_old() -> None:
    world = World()
    while not world.status.evidence:
        world.settle().measure()
    before = world.status
    for age, delay in ((20, REFRESH), (59, REFRESH), (60, WORDING)):
        evidence = tuple(
            structs.replace(one, requests=1234, at=one.at + timedelta(seconds=age)) for one in before.evidence
        )
        assert of(before, structs.replace(before, evidence=evidence)) == delay


def test_a_first_figure_does_not_wait_for_a_minute_where_another_has_one_already() -> None:
    world = World()
    while not any(one.value for one in world.status.evidence):
        world.settle().measure()
    before = world.status
    first, *others = before.evidence
    silent = structs.replace(first, value="", requests=0)
    assert of(structs.replace(before, evidence=(silent, *others)), before) == WORDING
    later = structs.replace(first, requests=1234)
    assert of(before, structs.replace(before, evidence=(later, *others))) == REFRESH


def test_where_nothing_is_to_be_written_nothing_waits() -> None:
    before = in_canary()
    assert of(before, before) == AT_ONCE


def test_a_new_reason_waits_for_a_moment() -> None:
    before = in_canary()
    assert of(before, structs.replace(before, reason="NoSeries")) == CHANGE


def test_that_nothing_has_been_counted_yet_waits_like_a_figure() -> None:
    before = in_canary()
    assert before.reason == "Analyzing"
    silent = structs.replace(before, reason="NoTraffic")
    assert of(before, silent) == WORDING
    assert of(silent, before) == WORDING
    assert of(silent, structs.replace(before, reason="NoSeries")) == CHANGE


def test_a_condition_that_has_turned_waits_for_a_moment() -> None:
    before = in_canary()
    assert of(before, structs.replace(before, conditions=before.conditions[1:])) == CHANGE


def test_the_states_before_the_analysis_wait_for_a_moment() -> None:
    analyzing = in_canary()
    assert analyzing.stage is not None
    shifting, testing = (
        structs.replace(analyzing, stage=structs.replace(analyzing.stage, state=state))
        for state in (StageState.SHIFTING, StageState.TESTING)
    )
    assert of(shifting, testing) == CHANGE
    assert of(testing, analyzing) == AT_ONCE


def test_an_event_or_another_decision_due_at_once_is_never_kept_waiting() -> None:
    before = in_canary()
    after = structs.replace(before, summary="Serving.")
    assert of(before, after, events=(Event(EventReason.COMMAND_IGNORED, "No."),)) == AT_ONCE
    assert of(before, after, requeue_after=AT_ONCE) == AT_ONCE


@pytest.mark.parametrize(
    "fields",
    [
        {"observed_generation": 9},
        {"candidate": None},
        {"last_handled": {"pause": "now"}},
        {"records_made": 99},
        {"run": 9},
        {"stage": None},
        {"quarantined": ("9.9.9",)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_the_next_decision_rests_on_is_written_at_once(fields: dict[str, object]) -> None:
    before = in_canary()
    assert of(before, structs.replace(before, **fields)) == AT_ONCE


def test_a_condition_that_does_not_pass_any_more_is_not_kept_back_for_a_minute() -> None:
    world = World()
    while not world.status.evidence or any(one.verdict is not Verdict.PASS for one in world.status.evidence):
        world.settle().measure()
    world.quality["2.0.0"] = Batch(700, 30, 30, 30)
    before = world.settle().measure().status
    decision = world.look()
    assert any(one.verdict is not Verdict.PASS for one in decision.status.evidence)
    assert write_delay(before, decision) == WORDING


@pytest.mark.parametrize("quality", [GOOD, BAD], ids=["good", "bad"])
def test_no_status_of_a_whole_run_waits_with_a_weight_a_record_or_a_rollback(quality: Batch) -> None:
    world = World()
    for number in range(60):
        if number == 10:  # in mid-canary: by then something was only shown
            world.quality["2.0.0"] = quality
        world.settle().measure()
    waiting = [(before, decision.status) for before, _, decision in world.decisions if write_delay(before, decision)]
    assert waiting
    for before, after in waiting:
        assert (before.run, before.records_made) == (after.run, after.records_made)
        assert (before.candidate, before.stable, before.rollback) == (after.candidate, after.stable, after.rollback)


@pytest.mark.parametrize(
    ("status", "delay"), [(ConditionStatus.TRUE, WORDING), (ConditionStatus.FALSE, CHANGE)], ids=["come", "lost"]
)
def test_figures_that_have_come_are_no_change_to_act_on_and_lost_ones_are(
    status: ConditionStatus, delay: timedelta
) -> None:
    found = in_canary()
    before, after = (_with_metrics(found, one) for one in (ConditionStatus.UNKNOWN, status))
    assert of(before, after) == delay


def _with_metrics(status: RolloutStatus, available: ConditionStatus) -> RolloutStatus:
    conditions = tuple(
        structs.replace(one, status=available) if one.type == ConditionType.METRICS_AVAILABLE else one
        for one in status.conditions
    )
    return structs.replace(status, conditions=conditions)
