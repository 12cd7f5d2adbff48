"""Where a Rollout stands, for every phase."""

import pytest
from msgspec import structs

from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.rollout_status import Phase, RolloutStatus
from serinus.engine.view.standing import Standing, is_over, standing_of
from support.screens import (
    a_condition,
    a_status,
    a_subject,
    awaiting_approval,
    healthy,
    invalid,
    paused,
    rolled_back,
    without_metrics,
)

STALLED = a_condition(ConditionType.STALLED, ConditionStatus.TRUE, "StageTimedOut", "Stage canary has not passed.")
UNREADY = a_condition(ConditionType.BACKENDS_READY, ConditionStatus.FALSE, "NoReadyEndpoints", "2.3.1 has none.")

CASES = [
    (healthy(), Standing.HEALTHY, True),
    (structs.replace(healthy(), conditions=(UNREADY,)), Standing.WAITS, True),
    (a_status(), Standing.RUNNING, False),
    (a_status(conditions=(STALLED,)), Standing.WAITS, False),
    (a_status(reason="Frozen"), Standing.WAITS, False),
    (without_metrics(), Standing.RUNNING, False),
    (RolloutStatus(observed_generation=7), Standing.PENDING, False),
    (rolled_back(), Standing.FAILED, True),
    (rolled_back(phase=Phase.ROLLING_BACK), Standing.FAILED, False),
    (invalid(), Standing.FAILED, True),
    (paused(), Standing.WAITS, False),
    (awaiting_approval(), Standing.WAITS, False),
]


@pytest.mark.parametrize(("status", "standing", "over"), CASES)
def test_each_state_has_a_standing(status: RolloutStatus, standing: Standing, over: bool) -> None:  # noqa: FBT001
    subject = a_subject(status)
    assert (standing_of(subject), is_over(subject)) == (standing, over)


def test_every_phase_is_among_the_cases() -> None:
    assert {status.phase for status, _, _ in CASES} == set(Phase)


@pytest.mark.parametrize(("status", "standing", "over"), CASES)
def test_a_status_about_an_older_spec_is_pending(status: RolloutStatus, standing: Standing, over: bool) -> None:  # noqa: FBT001
    subject = a_subject(status, generation=8)
    assert (standing_of(subject), is_over(subject)) == (Standing.PENDING, False)
