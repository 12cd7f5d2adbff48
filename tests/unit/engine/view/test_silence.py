"""A version on trial that nobody watches any more is said to be so; one that is watched never is."""

from datetime import timedelta

import pytest

from serinus.api.names import Command
from serinus.api.rollout_status import CurrentStage, RolloutStatus, StageState
from serinus.engine.analysis.measurements import Batch
from serinus.engine.view.checks import Mark
from serinus.engine.view.explanation import explanation_of
from serinus.engine.view.rollout import view_of
from serinus.engine.view.silence import silence, silent_since
from support.builders import CANARY, ERRORS, NOW, PRODUCTION, STAGING, a_spec
from support.screens import SPEC, a_judgement, a_status, a_subject, rolled_back
from support.world import GOOD, NOTHING, World
from support.world_states import in_canary

LONG_AGO = NOW - timedelta(minutes=4)


def analyzing(since: timedelta, **fields: object) -> RolloutStatus:
    """A canary that nobody has judged yet; SPEC has it watch for half an hour."""
    began = NOW - since
    stage = CurrentStage(index=1, name="canary", state=StageState.ANALYZING, since=began, state_since=began)
    return a_status(**{"stage": stage, "evidence": (), **fields})


WATCH = SPEC.stages[1].watch.value


def test_figures_that_are_minutes_old_mean_that_nobody_watches() -> None:
    status = a_status(evidence=(a_judgement(ERRORS, at=LONG_AGO),), stage=analyzing(timedelta(minutes=9)).stage)

    assert silent_since(SPEC, status, NOW) == LONG_AGO
    assert silence(SPEC, status, NOW) == (
        f"Nothing has been judged since {LONG_AGO:%H:%M:%SZ} (4m ago): is the operator running? Until then 2.3.1 keeps "
        "5% and nothing rolls it back. Run serinus check."
    )


def test_a_stage_whose_time_is_over_and_that_goes_on_means_it_too() -> None:
    assert silent_since(SPEC, analyzing(WATCH + timedelta(seconds=59)), NOW) is None
    assert silent_since(SPEC, analyzing(WATCH + timedelta(seconds=61)), NOW) is not None


def test_a_plan_that_is_judged_seldom_is_given_more_time() -> None:
    seldom = a_spec("2.3.1", STAGING, {**CANARY, "duration": "2h"}, PRODUCTION, metrics={"interval": "5m"})
    status = a_status(evidence=(a_judgement(ERRORS, at=LONG_AGO),), stage=analyzing(timedelta(minutes=9)).stage)

    assert silent_since(seldom, status, NOW) is None


@pytest.mark.parametrize(
    "status",
    [
        a_status(),
        rolled_back(evidence=(a_judgement(ERRORS, at=LONG_AGO),)),
        analyzing(timedelta(days=1), reason="EvidencePending"),
        RolloutStatus(),
    ],
    ids=["judged a moment ago", "rolled back", "says what it waits for", "new"],
)
def test_others_are_not_said_to_be_unwatched(status: RolloutStatus) -> None:
    assert silence(SPEC, status, NOW) == ""


def test_every_screen_says_it() -> None:
    subject = a_subject(a_status(evidence=(a_judgement(ERRORS, at=LONG_AGO),)))
    view = view_of(subject, NOW)

    assert view.mark is Mark.WARNING
    assert view.next_action.startswith("Nothing has been judged since")
    assert explanation_of(subject, NOW).waits[0] == view.next_action


@pytest.mark.parametrize("quality", [GOOD, NOTHING, None, Batch(2, 0, 0, 0)], ids=["good", "idle", "down", "few"])
@pytest.mark.parametrize("command", [None, Command.PAUSE])
def test_a_version_that_is_watched_is_never_said_not_to_be(quality: Batch | None, command: Command | None) -> None:
    spec = a_spec("2.0.0", STAGING, {**CANARY, "duration": "5m"}, PRODUCTION)
    world: World = in_canary(spec=spec, quality={"2.0.0": GOOD})
    world.measure().settle()
    world.quality["2.0.0"] = quality
    if command is not None:
        world.command(command)
    for _ in range(60):
        world.measure().settle()
        assert silence(spec, world.status, world.now) == "", world.status.summary
