"""Runs that are left for another version or by a deletion: nobody loses what serves, and nothing bad is kept unseen."""

from collections.abc import Callable

import pytest
from msgspec import structs

from serinus.api.audit_record import AuditEvent
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Phase, RunResult
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.decision import Decision
from serinus.engine.rollout.observation import AdmissionBlock
from serinus.engine.rollout.waiting import WaitReason
from support.builders import CANARY, PRODUCTION, STAGING, a_route, a_spec, a_version
from support.world import BAD, World
from support.world_states import in_canary, in_production

YANKED = AdmissionBlock(WaitReason.VERSION_YANKED, "It leaks card numbers.")


def without_a_stable_version() -> World:
    world = World(route=a_route({}), versions={"2.0.0": a_version("2.0.0")})
    while world.weight("2.0.0") != 10_000:
        world.measure().settle()
    return world


def with_a_stable_version_without_endpoints() -> World:
    world = in_production()
    world.versions["1.0.0"] = a_version("1.0.0", ready=0)
    world.settle()
    return world


def with_a_stable_version_that_was_yanked() -> World:
    world = in_production()
    world.versions["1.0.0"] = a_version("1.0.0", block=YANKED)
    world.settle()
    return world


ALONE = pytest.mark.parametrize(
    "alone",
    [without_a_stable_version, with_a_stable_version_without_endpoints, with_a_stable_version_that_was_yanked],
)


@ALONE
def test_another_version_leads_out_of_a_bad_one_that_serves_alone(alone: Callable[[], World]) -> None:
    world = alone()
    world.quality["2.0.0"] = BAD
    world.measure().settle()
    assert (world.status.reason, world.weight("2.0.0")) == ("NoRollbackTarget", 10_000)

    world.wish("3.0.0").run(Phase.HEALTHY)

    assert (world.weight("3.0.0"), world.weight("2.0.0") or 0) == (10_000, 0)
    assert world.status.last_known_good != "2.0.0"
    left = next(event.message for event in world.events if event.reason.value == "RolloutSuperseded")
    assert "2.0.0 keeps 100%, which nothing else could take" in left


@ALONE
def test_another_version_that_is_bad_too_goes_back_to_0(alone: Callable[[], World]) -> None:
    world = alone()
    world.quality |= {"2.0.0": BAD, "3.0.0": BAD}
    world.measure().settle()

    world.wish("3.0.0").run(Phase.ROLLED_BACK)

    assert (world.weight("2.0.0"), world.weight("3.0.0")) == (10_000, 0)


@ALONE
def test_a_deleted_rollout_keeps_what_serves_alone(alone: Callable[[], World]) -> None:
    world = alone()
    world.deleted = True

    world.settle()

    assert world.weight("2.0.0") == 10_000
    assert any("2.0.0 keeps 100%, which nothing else could take" in event.message for event in world.events)


@ALONE
def test_a_deleted_rollout_stays_while_its_bad_version_alone_answers(alone: Callable[[], World]) -> None:
    world = alone()
    world.quality["2.0.0"] = BAD
    world.measure().settle()
    world.deleted = True
    world.settle()
    assert (world.has_finalizer, world.weight("2.0.0")) == (True, 10_000)
    assert "2.0.0 is bad, has all the traffic, and no other version could take it" in world.status.next_action


def test_a_deleted_rollout_whose_bad_version_alone_answers_goes_once_another_one_can() -> None:
    world = with_a_stable_version_without_endpoints()
    world.quality["2.0.0"] = BAD
    world.measure().settle()
    world.deleted = True
    world.settle()

    world.versions["1.0.0"] = a_version("1.0.0")
    world.settle()

    assert (world.has_finalizer, world.weight("1.0.0"), world.weight("2.0.0")) == (False, 10_000, 0)


def test_a_good_candidate_is_not_left_for_a_stable_version_that_was_yanked() -> None:
    world = with_a_stable_version_that_was_yanked().wish("3.0.0")

    world.settle()

    assert (world.weight("2.0.0"), world.weight("1.0.0")) == (10_000, 0)
    assert "1.0.0, which would get all the traffic, is refused (VersionYanked)" in world.status.next_action


def writes(decision: Decision) -> list[SetWeights]:
    return [action for action in decision.actions if isinstance(action, SetWeights)]


def test_a_candidate_that_is_superseded_and_bad_is_rolled_back_first_in_the_safety_lane() -> None:
    world = in_canary()
    world.quality["2.0.0"] = BAD
    world.measure().wish("3.0.0")

    decision = world.look()

    assert [write.towards_safety for write in writes(decision)] == [True]
    assert world.status.quarantined == ("2.0.0",)
    world.run(Phase.HEALTHY)
    assert world.status.stable is not None
    assert world.status.stable.version == "3.0.0"


def test_a_good_candidate_that_is_superseded_stays_watched_until_its_weight_is_gone() -> None:
    """Its write waits in the ordinary queue; until it is done the stored status has the old run and its conditions."""
    world = in_canary().wish("3.0.0")
    decision = world.look(crash="before")
    assert [write.towards_safety for write in writes(decision)] == [False]
    assert decision.status.history[0].result is RunResult.SUPERSEDED

    world.quality["2.0.0"] = BAD
    world.measure()

    assert [write.towards_safety for write in writes(world.look())] == [True]
    assert world.weight("2.0.0") == 0


def test_a_bad_version_whose_target_came_back_when_it_is_superseded_is_drained_in_the_safety_lane() -> None:
    world = with_a_stable_version_without_endpoints()
    world.quality["2.0.0"] = BAD
    world.measure().settle()
    world.versions["1.0.0"] = a_version("1.0.0")
    world.wish("3.0.0")

    decision = world.look()

    assert [write.towards_safety for write in writes(decision)] == [True]
    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (10_000, 0)


def test_two_versions_wanted_within_a_second_and_back_again_begin_with_no_evidence_of_each_other() -> None:
    world = in_canary()
    for version in ("3.0.0", "4.0.0", "3.0.0"):
        world.wish(version).look()
        world.gateway()
        assert world.weight("2.0.0") in {None, 0}
        candidate = world.status.candidate
        assert candidate is not None
        assert (candidate.version, candidate.weight, world.status.evidence) == (version, 0, ())

    world.wish("1.0.0").settle()

    assert world.status.phase is Phase.HEALTHY
    assert {entry.weight for entry in world.route.entries} == {10_000}


def test_weight_that_somebody_gives_a_rolled_back_version_when_it_is_superseded_is_taken_in_the_safety_lane() -> None:
    world = in_canary()
    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)
    world.route = a_route({"1.0.0": 5000, "2.0.0": 5000}, generation=9, written_by="kubectl-edit")
    world.wish("3.0.0")

    decision = world.look()

    assert [write.towards_safety for write in writes(decision)] == [True]
    assert not world.weight("2.0.0")


@pytest.mark.parametrize("change", ["version", "plan"])
def test_the_record_of_a_superseded_run_names_that_run_and_its_stage(change: str) -> None:
    world = in_canary()
    if change == "version":
        world.wish("3.0.0")
    else:
        assert isinstance(world.spec, RolloutSpec)
        canary, *others = world.spec.stages[1:]
        renamed = structs.replace(canary, name="trial")
        world.spec = structs.replace(world.spec, stages=(world.spec.stages[0], renamed, *others))
    for _ in range(4):
        world.measure().settle()

    made = {record.id: record for _, _, decision in world.decisions for record in decision.status.records}
    told = [(record.event, record.rollout.run, record.rollout.stage) for record in made.values() if record.rollout]
    superseded = [one for one in told if one[0] is AuditEvent.RUN_SUPERSEDED]
    started = [run for event, run, _ in told if event is AuditEvent.ROLLOUT_STARTED]
    assert (superseded, started) == ([(AuditEvent.RUN_SUPERSEDED, 1, "canary")], [1, 2])


@pytest.mark.parametrize("waits", [False, True], ids=["the next run begins at once", "the next run waits"])
def test_the_record_of_a_superseded_run_tells_of_the_share_of_its_own_version(*, waits: bool) -> None:
    world = in_canary().wish("3.0.0")
    if waits:
        del world.versions["3.0.0"]
    world.settle()
    assert (world.status.candidate is None) == waits
    world.wish("3.0.0").settle()

    made = {record.id: record for _, _, decision in world.decisions for record in decision.status.records}
    (superseded,) = (record for record in made.values() if record.event is AuditEvent.RUN_SUPERSEDED)
    assert (superseded.version, superseded.traffic) == ("2.0.0", "0%")


# ---- stages with other shares ------------------------------------------------------------------


def shares(world: World, version: str, ticks: int) -> list[int]:
    """The weights that a version has one after the other."""
    found = [world.weight(version) or 0]
    for _ in range(ticks):
        world.settle().measure()
        if (weight := world.weight(version) or 0) != found[-1]:
            found.append(weight)
    return found


def test_a_stage_that_becomes_the_last_one_in_mid_run_is_not_passed_at_the_share_that_it_had() -> None:
    world = in_canary()
    world.spec = a_spec("2.0.0", STAGING, {**PRODUCTION, "name": "canary"})

    world.run(Phase.HEALTHY)

    assert [run.result for run in world.status.history] == [RunResult.PROMOTED, RunResult.SUPERSEDED]
    promoted = world.status.history[0]
    assert (promoted.ended_at - promoted.started_at).total_seconds() >= 300, "it was watched with all the traffic"


@pytest.mark.parametrize("traffic", ["2%", "50%"])
def test_a_share_that_is_edited_in_mid_stage_counts_before_the_next_stage_does(traffic: str) -> None:
    world = in_canary()
    world.spec = a_spec("2.0.0", STAGING, {**CANARY, "traffic": traffic}, PRODUCTION)

    assert shares(world, "2.0.0", 60)[-2:] == [100 * int(traffic.removesuffix("%")), 10_000]


def test_an_edited_share_takes_no_traffic_from_the_stage_before_it() -> None:
    world = in_canary()
    world.spec = a_spec("2.0.0", STAGING, CANARY, {**PRODUCTION, "name": "all"})

    assert shares(world, "2.0.0", 60) == [500, 10_000]
    assert world.status.run == 1
