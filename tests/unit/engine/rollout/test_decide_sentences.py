"""What a person reads: what is awaited is what comes last, and nobody is told that nothing is needed where it is."""

import re

import pytest

from serinus.api.names import Command
from serinus.api.rollout_status import Phase
from serinus.engine.analysis.assessment import update
from serinus.engine.analysis.measurements import Batch, Coarse, Counted
from support.builders import CANARY, LATENCY, PRODUCTION, STAGING, a_spec, a_stage
from support.world import GOOD, NOTHING, World
from support.world_states import in_canary

FEW = Batch(15, 0, 0, 0)
"""One request a second, where a scrape takes 15 s."""

SHORT = {**CANARY, "duration": "1m"}


def test_missing_requests_that_come_after_the_watch_are_what_is_awaited_with_their_time() -> None:
    world = in_canary(spec=a_spec("2.0.0", STAGING, SHORT, PRODUCTION), quality={"2.0.0": FEW})
    world.measure().settle()
    assert "no requests are coming in" not in world.status.next_action
    world.measure().settle()
    assert world.status.reason == "TooFewRequests"
    assert "585 requests are missing" in world.status.next_action
    assert "Stage canary watches until 14:01:00Z" in world.status.next_action

    for _ in range(4):  # the figures of the evidence are refreshed once a minute
        world.measure().settle()

    assert "missing: at the present 1 requests/s they will be there in 8m" in world.status.next_action


def test_of_several_conditions_the_one_that_is_decided_last_is_awaited() -> None:
    world = in_canary(spec=a_spec("2.0.0", STAGING, SHORT, PRODUCTION), quality={"2.0.0": Batch(2, 0, 0, 0)})
    world.measure().settle()
    world.measure().settle()

    # latency_p95 needs 20 requests and stands first in the plan.
    assert "of 2 requests failed" in world.status.next_action
    assert "598 requests are missing" in world.status.next_action


def test_missing_requests_that_come_before_the_end_of_the_watch_are_no_news() -> None:
    world = in_canary(quality={"2.0.0": Batch(60, 0, 0, 0)})
    for _ in range(3):
        world.measure().settle()

    assert world.status.reason == "Analyzing"
    assert world.status.next_action.startswith("Stage canary watches until 14:1")


def test_a_version_that_nobody_calls_is_said_at_once() -> None:
    world = in_canary(quality={"2.0.0": NOTHING})
    world.measure().settle()

    assert world.status.reason == "NoTraffic"
    assert "needs 600" in world.status.next_action


def test_metrics_that_cannot_be_had_are_what_is_awaited_also_while_the_stage_watches() -> None:
    world = in_canary(quality={"2.0.0": GOOD})
    world.measure().settle()
    assert world.status.reason == "Analyzing"
    world.quality["2.0.0"] = None

    world.measure().settle()

    assert world.status.reason == "ProviderDown"
    assert "no answer" in world.status.next_action
    world.quality["2.0.0"] = GOOD
    world.measure().settle()
    assert world.status.reason == "Analyzing"


def test_a_limit_between_two_bucket_bounds_names_the_bound_that_is_missing() -> None:
    watch = {**a_stage("canary", "5%", duration="10m"), "abortOn": [LATENCY]}
    world = in_canary(spec=a_spec("2.0.0", STAGING, watch, PRODUCTION))
    key = world._stage_key()
    assert key is not None
    between = Counted(at=world.now, batch=Batch(1000, 0, 400, 1000), coarse=Coarse(0.1, 0.25))
    world.evidence[key] = tuple(update(one, between, None) for one in world._readings(key))

    world.settle()

    assert world.status.reason == "Undecided"
    assert "Add 200ms as a bucket bound" in world.status.next_action
    assert "chance" not in world.status.next_action


@pytest.mark.parametrize("seconds", [14, 15])
def test_a_gateway_that_does_not_take_the_weights_of_a_rollback_is_a_persons_business(seconds: int) -> None:
    world = in_canary()
    world.gateway_accepts = False
    world.command(Command.ABORT)
    world.look()
    world.look()
    assert world.status.phase is Phase.ROLLING_BACK
    assert "nothing is needed" not in world.status.next_action

    decision = world.pass_time(seconds=seconds).look()

    assert ("2.0.0 MAY STILL HAVE ITS TRAFFIC" in decision.status.next_action) == (seconds >= 15)
    if seconds < 15:
        assert decision.requeue_after is not None
        assert decision.requeue_after.total_seconds() == 1
    world.settle()
    world.gateway_accepts = True
    world.run(Phase.ROLLED_BACK)
    assert "MAY STILL" not in world.status.next_action


def test_the_same_stage_of_two_runs_gives_two_events() -> None:
    world = World(spec=a_spec("2.0.0", STAGING, CANARY, PRODUCTION)).run(Phase.HEALTHY)
    world.wish("3.0.0").run(Phase.HEALTHY)
    world.wish("2.0.0").run(Phase.HEALTHY)

    texts = [event.message for event in world.events if event.reason.value != "WeightDriftCorrected"]

    assert len(texts) == len(set(texts))
    assert [text for text in texts if "Stage staging passed" in text] == [
        f"Run {run}, {version}: Stage staging passed." for run, version in ((1, "2.0.0"), (2, "3.0.0"), (3, "2.0.0"))
    ]
    assert world.status.run == 3


def test_while_a_weight_is_written_the_shares_are_those_of_the_route_and_what_is_wanted_stands_beside_them() -> None:
    world = in_canary(spec=a_spec("2.0.0", STAGING, SHORT, PRODUCTION))
    wanted: list[str] = []
    while world.status.stage is not None:
        world.look()
        shares = [float(share) for share in re.findall(r"at ([\d.]+)%", world.status.summary)]
        assert sum(shares) == 100, world.status.summary
        wanted += re.findall(r"at 5%, wanted (\d+)%, \(run 1, stage 3 of 3, production: \w+\)", world.status.summary)
        world.gateway()
        world.measure()
    assert wanted == ["100"]
