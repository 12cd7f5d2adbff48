"""Who gets the traffic back, and which targets are refused: only versions that have served well."""

from dataclasses import replace

import pytest
from msgspec import structs

from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.names import Command
from serinus.api.rollout_status import Phase
from serinus.engine.rollout.observation import AdmissionBlock
from serinus.engine.rollout.traffic.capabilities import RouterCapabilities
from serinus.engine.rollout.waiting import WaitReason
from support.builders import a_backend, a_route, a_spec, a_version
from support.world import BAD, World
from support.world_states import condition, in_canary

YANKED = AdmissionBlock(WaitReason.VERSION_YANKED, "It leaks card numbers.")
OTHER_BYTES = AdmissionBlock(WaitReason.ARTIFACT_REJECTED, "Its bytes are not those of its digest.")


def with_a_quarantined_version() -> World:
    """1.0.0 serves; 1.5.0 has served and was then rolled back by a person."""
    world = World(spec=a_spec("1.5.0"), versions={v: a_version(v) for v in ("1.0.0", "1.5.0", "2.0.0")})
    world.run(Phase.HEALTHY).command(Command.ROLLBACK, "leaks card numbers").run(Phase.ROLLED_BACK)
    del world.commands[Command.ROLLBACK]
    assert world.status.quarantined == ("1.5.0",)
    return world


def test_a_rollback_to_that_names_a_quarantined_version_stops_the_run_before_it_starts() -> None:
    world = with_a_quarantined_version().wish("2.0.0", rollbackTo="1.5.0")

    world.settle()

    assert (world.status.run, world.status.reason) == (1, "RollbackTargetUnfit")
    assert "1.5.0 was rolled back itself" in world.status.next_action


def test_a_rollback_to_that_becomes_a_quarantined_version_in_mid_run_is_passed_over() -> None:
    world = with_a_quarantined_version().wish("2.0.0")
    while not world.weight("2.0.0"):
        world.measure().settle()
    world.wish("2.0.0", rollbackTo="1.5.0")
    world.quality["2.0.0"] = BAD

    world.measure().run(Phase.ROLLED_BACK)

    assert (world.weight("1.0.0"), world.weight("1.5.0")) == (10_000, 0)
    assert any("Passed over: 1.5.0 was rolled back itself." in event.message for event in world.events)


@pytest.mark.parametrize("block", [YANKED, OTHER_BYTES])
def test_a_version_that_must_never_serve_again_does_not_get_the_traffic_back(block: AdmissionBlock) -> None:
    world = with_a_quarantined_version()
    world.status = structs.replace(world.status, quarantined=(), last_known_good="1.5.0")
    world.versions["1.5.0"] = a_version("1.5.0", block=block)
    world.wish("2.0.0", rollbackTo="1.5.0").settle()
    assert world.status.reason == "RollbackTargetUnfit"

    world.wish("2.0.0")
    while not world.weight("2.0.0"):
        world.measure().settle()
    world.wish("2.0.0", rollbackTo="1.5.0").quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)
    assert not world.weight("1.5.0")


def test_a_rollback_to_that_is_the_candidate_itself_is_refused_in_these_words() -> None:
    world = World(spec=a_spec("2.0.0", rollbackTo="2.0.0"))

    world.settle()

    assert (world.status.run, world.status.reason) == (0, "RollbackTargetUnfit")
    assert "spec.rollbackTo: 2.0.0 is the version on trial" in world.status.next_action


def test_a_rollback_to_that_never_served_is_refused_before_the_start_and_passed_over_later() -> None:
    world = World(versions={v: a_version(v) for v in ("0.9.0", "1.0.0", "2.0.0")}).wish("2.0.0", rollbackTo="0.9.0")
    world.settle()
    assert (world.status.run, world.status.reason) == (0, "RollbackTargetUnfit")

    world = in_canary(versions={v: a_version(v) for v in ("0.9.0", "1.0.0", "2.0.0")})
    world.wish("2.0.0", rollbackTo="0.9.0").quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)
    assert (world.weight("1.0.0"), world.weight("0.9.0")) == (10_000, 0)


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("1.5.0", "1.5.0 cannot take the traffic: it was rolled back itself"),
        ("0.9.0", "0.9.0 cannot take the traffic: it has never served"),
        ("0.8.0", "0.8.0 cannot take the traffic: it has no ready endpoint"),
        ("9.9.9", "9.9.9 cannot take the traffic: it has never served"),
        ("2.0.0", "2.0.0 serves already"),
    ],
)
def test_a_rollback_of_what_serves_goes_to_the_version_that_is_named_or_nowhere(target: str, why: str) -> None:
    world = with_a_quarantined_version()
    world.versions |= {"0.9.0": a_version("0.9.0"), "0.8.0": a_version("0.8.0", ready=0)}
    world.served = frozenset({"0.8.0"})
    world.wish("2.0.0").run(Phase.HEALTHY)
    world.rollback_to = target

    world.command(Command.ROLLBACK).settle()

    assert (world.status.phase, world.weight("2.0.0")) == (Phase.HEALTHY, 10_000)
    ignored = world.events[-1]
    assert ignored.reason.value == "CommandIgnored"
    assert f"rollback was ignored: {why}. 1.0.0 could take it: name that one." in ignored.message


def test_after_a_rollback_a_version_that_cannot_take_the_traffic_is_refused_by_name() -> None:
    world = with_a_quarantined_version()
    world.rollback_to = "9.9.9"

    world.command(Command.ROLLBACK).settle()

    assert (world.status.phase, world.weight("1.0.0")) == (Phase.ROLLED_BACK, 10_000)
    assert "rollback was ignored: 9.9.9 cannot take the traffic: it has never served (" in world.events[-1].message


def test_a_second_rollback_goes_further_back_only_to_a_version_that_is_named() -> None:
    """Two people may ask for the same rollback; the status afterwards is about the version that lost its traffic."""
    world = in_canary(versions={v: a_version(v) for v in ("0.9.0", "1.0.0", "2.0.0")})
    world.served = frozenset({"0.9.0"})
    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)
    assert world.status.evidence

    world.command(Command.ROLLBACK).settle()

    assert world.weight("1.0.0") == 10_000
    assert "the traffic is back already: 2.0.0 lost it at " in world.events[-1].message
    assert "To take it from 1.0.0 as well, name the version: --to 0.9.0." in world.events[-1].message

    world.rollback_to = "0.9.0"
    seen = len(world.decisions)
    world.command(Command.ROLLBACK, "again").settle()

    assert world.weight("0.9.0") == 10_000
    stored = [decision.status for _, _, decision in world.decisions[seen:]]
    back = [status for status in stored if status.rollback is not None and status.rollback.to == "0.9.0"]
    assert back
    for status in back:
        assert (status.stage, status.evidence) == (None, ())
        assert status.candidate is not None
        assert status.candidate.version == "1.0.0"


def test_a_rollback_in_mid_run_ends_the_run_even_where_the_version_that_is_named_is_unfit() -> None:
    """The version on trial is asked away: what serves beside it is proven."""
    world = in_canary()
    world.rollback_to = "9.9.9"

    world.command(Command.ROLLBACK).run(Phase.ROLLED_BACK)

    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (10_000, 0)
    for said in (world.status.summary, next(one.message for one in world.events if "RollbackStarted" in one.reason)):
        assert said.count("9.9.9 was asked for, but it cannot take the traffic") == 1


def test_the_status_says_why_what_served_was_taken_back_although_another_version_is_wanted() -> None:
    world = with_a_quarantined_version()
    world.versions["0.9.0"] = a_version("0.9.0")
    world.served = frozenset({"0.9.0"})
    world.rollback_to = "0.9.0"

    world.command(Command.ROLLBACK, "wrong scores").settle()

    assert world.weight("0.9.0") == 10_000
    assert "1.0.0 was rolled back at" in world.status.summary
    assert "wrong scores" in world.status.summary


def stranded() -> World:
    world = World(route=a_route({}), versions={"2.0.0": a_version("2.0.0")})
    while world.weight("2.0.0") != 10_000:
        world.measure().settle()
    world.quality["2.0.0"] = BAD
    world.measure().settle()
    assert world.status.reason == "NoRollbackTarget"
    return world


def test_a_person_leads_a_stranded_version_out_to_one_that_has_served() -> None:
    world = stranded()
    world.versions |= {"0.9.0": a_version("0.9.0"), "0.8.0": a_version("0.8.0")}
    world.served = frozenset({"0.8.0", "0.9.0"})
    world.rollback_to = "0.9.0"

    world.command(Command.ROLLBACK, "on call").run(Phase.ROLLED_BACK)

    assert (world.weight("0.9.0"), world.weight("2.0.0")) == (10_000, 0)
    assert not world.weight("0.8.0")
    begun = next(event for event in world.events if event.reason.value == "RollbackStarted")
    assert (begun.by, begun.why.partition("-")[0]) == ("ada@example.org", "on call")
    assert "Rollback asked for by ada@example.org" in begun.message
    rollback = world.status.rollback
    assert rollback is not None
    assert (rollback.reason.value, rollback.requested_by) == ("MetricBreached", "ada@example.org")


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("", "no version that has served well could take the traffic"),
        ("0.9.0", "0.9.0 cannot take the traffic: it has never served"),
        ("7.7.7", "7.7.7 cannot take the traffic: it has never served"),
    ],
)
def test_a_rollback_of_a_stranded_version_that_has_no_effect_is_answered(target: str, why: str) -> None:
    world = stranded()
    world.versions["0.9.0"] = a_version("0.9.0")
    world.rollback_to = target

    world.command(Command.ROLLBACK).settle()

    assert world.weight("2.0.0") == 10_000
    assert world.reasons()[-1] == "CommandIgnored"
    assert f"rollback was ignored: {why}" in world.events[-1].message


def test_what_serves_beside_a_bad_version_serves_alone_where_no_version_is_fit() -> None:
    world = in_canary()
    world.versions["1.0.0"] = a_version("1.0.0", block=YANKED)
    world.quality["2.0.0"] = BAD

    world.measure().run(Phase.ROLLED_BACK)

    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (10_000, 0)
    assert any("1.0.0 KEEPS SERVING ALTHOUGH IT IS NOT FIT TO" in event.message for event in world.events)
    assert condition(world, ConditionType.ROLLBACK_READY)[0] is not ConditionStatus.TRUE


def test_a_target_that_loses_its_endpoints_while_the_traffic_goes_back_is_replaced() -> None:
    world = in_canary(versions={v: a_version(v) for v in ("0.9.0", "1.0.0", "2.0.0")})
    world.served = frozenset({"0.9.0"})
    world.quality["2.0.0"] = BAD
    world.gateway_accepts = False
    world.measure().look()
    world.versions["1.0.0"] = a_version("1.0.0", ready=0)
    world.settle()
    assert world.weight("0.9.0") == 10_000
    assert "RollbackTargetChanged" in world.reasons()

    world.gateway_accepts = True
    world.run(Phase.ROLLED_BACK)


@pytest.mark.parametrize("served", [frozenset({"1.10.0"}), frozenset({"1.9.0"}), frozenset[str]()])
def test_of_two_versions_on_the_backend_that_serves_only_the_one_that_has_served_is_adopted(
    served: frozenset[str],
) -> None:
    both = {v: replace(a_version(v), backend=a_backend("1.9.0")) for v in ("1.9.0", "1.10.0")}
    world = World(route=a_route({"1.9.0": 1}), versions={**both, "2.0.0": a_version("2.0.0")}, served=served)

    world.settle()

    if served:
        assert world.status.stable is not None
        assert {world.status.stable.version} == served
    else:
        assert (world.status.stable, world.status.reason) == (None, "SameBackend")


LISTED = RouterCapabilities(unit=100, manages_backends=False)
"""As of an InferenceService, whose author lists the predictors."""


def beside_an_unlisted_one(**fields: object) -> World:
    """1.0.0 serves and 2.0.0 is wanted; 0.9.0 has served well and is ready, but the route does not list it."""
    versions = {version: a_version(version) for version in ("0.9.0", "1.0.0", "2.0.0")}
    route = a_route({"1.0.0": 10_000, "2.0.0": 0}, can=LISTED)
    return World(versions=versions, served=frozenset({"0.9.0"}), route=route).wish("2.0.0", **fields)


def test_a_rollback_to_that_the_route_does_not_list_is_refused_before_the_start() -> None:
    world = beside_an_unlisted_one(rollbackTo="0.9.0")
    world.settle()
    assert (world.status.run, world.status.reason) == (0, "RollbackTargetUnfit")
    assert "spec.rollbackTo: 0.9.0 is not listed in the route" in world.status.next_action


@pytest.mark.parametrize("asked", [False, True])
def test_a_target_that_the_route_does_not_list_is_passed_over(*, asked: bool) -> None:
    world = beside_an_unlisted_one()
    while not world.weight("2.0.0"):
        world.measure().settle()
    if asked:
        world.rollback_to = "0.9.0"
        world.command(Command.ROLLBACK)
    else:
        world.wish("2.0.0", rollbackTo="0.9.0")
        world.quality["2.0.0"] = BAD

    world.measure().run(Phase.ROLLED_BACK)

    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (10_000, 0)
    assert any("Passed over: 0.9.0 is not listed in the route." in event.message for event in world.events)


def test_a_stable_version_that_was_taken_from_the_list_holds_the_run_and_is_not_gone_back_to() -> None:
    world = beside_an_unlisted_one()
    while not world.weight("2.0.0"):
        world.measure().settle()
    world.route = replace(a_route({"2.0.0": 10_000}, can=LISTED, generation=9), written_by="kubectl-edit")
    world.measure().settle()

    assert condition(world, ConditionType.ROLLBACK_READY)[0] is ConditionStatus.FALSE
    assert world.weight("2.0.0") == 10_000
