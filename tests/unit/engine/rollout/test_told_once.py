"""Which events are told as one."""

import pytest

from serinus.engine.rollout.decision import Event, EventReason
from serinus.engine.rollout.told_once import MAX_NOTE, told_once

TEST = Event(EventReason.TEST_PASSED, "Run 1, 2.0.0: Test contract of stage staging: it passed")
PASSED = Event(EventReason.ANALYSIS_PASSED, "Run 1, 2.0.0: Stage staging passed.")
SHIFTED = Event(EventReason.TRAFFIC_SHIFTED, "Run 1, 2.0.0: 2.0.0 has 5%.")
PROMOTED = Event(EventReason.ROLLOUT_PROMOTED, "2.0.0 serves 100%.")
STARTED = Event(EventReason.ROLLOUT_STARTED, "Run 1: 1.0.0 -> 2.0.0.", by="ada")
BREACH = Event(EventReason.ROLLBACK_STARTED, "Run 1, 2.0.0: Stage canary: error_rate 50% > 5%.", warning=True)


def test_the_steps_of_one_moment_are_one_event_that_says_all_of_them_the_last_one_first() -> None:
    (told,) = told_once((TEST, PASSED, SHIFTED))
    assert told.reason is EventReason.TRAFFIC_SHIFTED
    assert told.message == (
        "Run 1, 2.0.0: 2.0.0 has 5%. Stage staging passed. Test contract of stage staging: it passed"
    )


def test_a_promotion_says_which_stage_has_passed_of_which_run() -> None:
    (told,) = told_once((PASSED, PROMOTED))
    assert (told.reason, told.message) == (
        EventReason.ROLLOUT_PROMOTED,
        "2.0.0 serves 100%. Run 1, 2.0.0: Stage staging passed.",
    )


@pytest.mark.parametrize(
    "events",
    [
        (),
        (STARTED,),
        (STARTED, TEST),
        (PASSED, STARTED),
        (PASSED, BREACH),
        (BREACH, PROMOTED),
        (Event(EventReason.TEST_PASSED, "x" * MAX_NOTE), PASSED),
    ],
)
def test_all_else_is_told_one_by_one(events: tuple[Event, ...]) -> None:
    assert told_once(events) == events
