"""HTTPRoutes as teams write them: ports, filters, doubled backends, foreign ones, strangers, a route made anew."""

from dataclasses import replace

import pytest

from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.modelversion import BackendRef
from serinus.api.names import Command
from serinus.api.rollout_status import Phase
from serinus.engine.rollout.traffic.capabilities import RouterCapabilities
from serinus.engine.rollout.traffic.facts import RouteEntry, RouteProblem, backend_key
from serinus.engine.rollout.waiting import WaitReason
from support.builders import a_key, a_route, a_version
from support.world import BAD, World
from support.world_states import condition, in_canary

HEADER = '[{"requestHeaderModifier":{"set":[{"name":"x-model-key","value":"1"}]},"type":"RequestHeaderModifier"}]'


def on_ports(serving: int) -> World:
    """Two versions on two ports of one Service; the rule gives one of them the traffic."""
    refs = {"1.0.0": BackendRef(name="fraud", port=8080), "2.0.0": BackendRef(name="fraud", port=8081)}
    versions = {version: a_version(version, backend=ref) for version, ref in refs.items()}
    entry = RouteEntry(backend_key(BackendRef(name="fraud", port=serving)), 1)
    return World(versions=versions, route=replace(a_route({}), entries=(entry,)))


def weights(world: World) -> dict[str, int]:
    return {entry.key.label: entry.weight for entry in world.route.entries}


def test_two_ports_of_one_service_are_two_versions() -> None:
    world = on_ports(8080)
    world.settle()
    assert world.status.stable is not None
    assert world.status.stable.version == "1.0.0"
    assert "Serving 2.0.0" not in world.status.summary

    world.run(Phase.HEALTHY)

    assert weights(world) == {"fraud:8080": 0, "fraud:8081": 10_000}
    assert any(observed.route.entries[1:] for _, observed, _ in world.decisions)  # type: ignore[union-attr]


def test_a_version_on_another_port_of_the_service_is_rolled_back_to_its_own() -> None:
    world = on_ports(8080)
    while not weights(world).get("fraud:8081"):
        world.measure().settle()
    world.quality["2.0.0"] = BAD

    world.measure().run(Phase.ROLLED_BACK)

    assert weights(world) == {"fraud:8080": 10_000, "fraud:8081": 0}


def test_a_route_that_serves_another_port_than_every_modelversion_names_is_not_adopted() -> None:
    world = on_ports(9090)

    world.settle()

    assert (world.status.stable, world.status.reason) == (None, "ForeignBackends")
    assert "fraud:9090" in world.status.next_action
    assert "name and port" in world.status.next_action


def test_a_version_on_another_kind_of_backend_than_the_route_knows_does_not_start() -> None:
    pool = BackendRef(group="inference.networking.k8s.io", kind="InferencePool", name="fraud")
    versions = {"1.0.0": a_version("1.0.0"), "2.0.0": a_version("2.0.0", backend=pool, ready=None)}
    world = World(versions=versions, route=a_route({"1.0.0": 1}, can=RouterCapabilities(services_only=True)))
    world.settle()
    assert (world.status.run, world.status.reason) == (0, "BeyondRouter")
    assert "serving.backendRef.kind: httpRoute knows only Services, not InferencePool" in world.status.next_action


@pytest.mark.parametrize(
    ("stable", "candidate", "reason"),
    [
        ("v1", "", "SameBackend"),
        ("", "v2", "SameBackend"),
        ("v1", "v1", "SameBackend"),
        ("v1", "v2", "RouteNotAccepted"),
    ],
)
def test_a_service_without_a_subset_is_the_backend_of_every_subset(stable: str, candidate: str, reason: str) -> None:
    subsets = {"1.0.0": stable, "2.0.0": candidate}
    refs = {version: BackendRef(name="fraud", port=80, subset=subset) for version, subset in subsets.items()}
    versions = {version: a_version(version, backend=ref, ready=None) for version, ref in refs.items()}
    entry = RouteEntry(backend_key(refs["1.0.0"]), 1)
    world = World(versions=versions, served=frozenset({"1.0.0"}))
    world.route = replace(a_route({}), entries=(entry,), can=RouterCapabilities(subsets=True))
    for _ in range(3):
        world.look()
    assert world.status.reason == reason
    assert world.status.run == (0 if reason == "SameBackend" else 1)


def with_a_filter() -> World:
    serving = RouteEntry(a_key("1.0.0"), 1, HEADER)
    return World(route=replace(a_route({}), entries=(serving,)))


def test_the_filters_of_the_entry_that_serves_are_carried_through_promotion_and_rollback() -> None:
    world = with_a_filter().run(Phase.HEALTHY)
    assert {entry.key: entry.filters for entry in world.route.entries if entry.weight} == {a_key("2.0.0"): HEADER}

    world.command(Command.ROLLBACK).run(Phase.ROLLED_BACK)

    assert {entry.key: entry.filters for entry in world.route.entries if entry.weight} == {a_key("1.0.0"): HEADER}


def test_a_third_version_has_the_filters_although_the_first_is_gone() -> None:
    world = with_a_filter().run(Phase.HEALTHY).wish("3.0.0").run(Phase.HEALTHY)

    assert {entry.filters for entry in world.route.entries} == {HEADER}


def test_a_run_does_not_start_on_two_entries_with_other_filters() -> None:
    world = with_a_filter()
    world.route = replace(world.route, entries=(*world.route.entries, RouteEntry(a_key("2.0.0"), 0, "")))

    world.settle()

    assert (world.status.run, world.status.reason) == (0, "FiltersDiffer")
    assert "fraud-v2-0-0:80" in world.status.next_action


def test_a_backend_that_stands_in_the_rule_twice_holds_the_run_and_loses_nothing() -> None:
    twice = (RouteEntry(a_key("1.0.0"), 9, ""), RouteEntry(a_key("1.0.0"), 1, HEADER))
    world = World(route=replace(a_route({}), entries=twice))

    world.settle()

    assert world.status.reason == "DuplicateBackend"
    assert "fraud-v1-0-0:80 more than once" in world.status.next_action
    assert world.route.entries[:2] == twice


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
def test_a_backend_that_is_doubled_in_mid_run_does_not_hold_up_a_rollback(version: str) -> None:
    world = in_canary()
    double = next(entry for entry in world.route.entries if entry.key == a_key(version))
    world.route = replace(world.route, entries=(*world.route.entries, double), generation=9)
    world.quality["2.0.0"] = BAD
    world.measure()

    for _ in range(5):
        world.look()
        world.gateway()

    assert not any(entry.weight for entry in world.route.entries if entry.key == a_key("2.0.0"))


def beside_a_foreign_backend(**fields: object) -> World:
    return in_canary(route=a_route({"1.0.0": 8000, "legacy": 2000}), **fields)


def test_a_foreign_backend_is_named_with_its_share_wherever_shares_are_told() -> None:
    world = beside_a_foreign_backend()

    assert "Serving 1.0.0 at 75% (also fraud-vlegacy:80 20%), trying 2.0.0 at 5%" in world.status.summary
    told = next(one for one in world.status.conditions if one.type == ConditionType.TRAFFIC_CONFIRMED)
    assert (told.status, "fraud-vlegacy:80 20%" in told.message) == (ConditionStatus.TRUE, True)
    world.run(Phase.HEALTHY)
    assert "Serving 2.0.0 at 80% (also fraud-vlegacy:80 20%)" in world.status.summary


def test_a_foreign_backend_without_a_service_does_not_hold_up_a_rollback() -> None:
    world = beside_a_foreign_backend()
    world.missing |= {a_key("legacy")}
    world.gateway()
    world.quality["2.0.0"] = BAD

    world.measure().run(Phase.ROLLED_BACK)

    assert (world.weight("2.0.0"), world.weight("legacy")) == (0, 2000)
    assert condition(world, ConditionType.TRAFFIC_CONFIRMED)[0] is ConditionStatus.FALSE, "users meet the broken one"
    world.missing = frozenset()
    world.gateway()
    world.settle()
    assert condition(world, ConditionType.TRAFFIC_CONFIRMED)[0] is ConditionStatus.TRUE


def test_a_stranger_in_the_rule_is_named_and_nothing_advances_until_it_is_gone() -> None:
    world = in_canary()
    kept = world.route.entries
    world.route = replace(world.route, entries=(*kept, *a_route({"stranger": 500}).entries), generation=9)
    for _ in range(60):
        world.measure().settle()
    assert world.status.stage is not None
    assert (world.status.stage.name, world.status.reason) == ("canary", "UnknownBackend")
    assert "fraud-vstranger:80" in world.status.next_action


REMOVALS = (
    RouteProblem(WaitReason.ROUTE_MISSING, "HTTPRoute fraud does not exist in namespace ml: apply it."),
    RouteProblem(WaitReason.NO_SUCH_RULE, "HTTPRoute fraud has no rule predict."),
    RouteProblem(WaitReason.ROUTE_OWNED_BY_OTHER, "HTTPRoute fraud belongs to InferenceService/fraud."),
)


@pytest.mark.parametrize("problem", REMOVALS, ids=lambda problem: problem.reason.value)
@pytest.mark.parametrize("bad", [False, True])
def test_a_route_that_is_gone_is_named_and_the_run_goes_on_when_it_is_back(problem: RouteProblem, *, bad: bool) -> None:
    world = in_canary()
    world.route = problem  # type: ignore[assignment]
    if bad:
        world.command(Command.ABORT)
    for _ in range(4):
        world.look()
    assert problem.message.rstrip(".") in world.status.summary
    assert problem.message in world.status.next_action or not bad
    assert condition(world, ConditionType.TRAFFIC_CONFIRMED)[0] is ConditionStatus.FALSE

    world.route = a_route({"1.0.0": 9500, "2.0.0": 500}, generation=1, written_by="argocd")
    world.run(Phase.ROLLED_BACK if bad else Phase.HEALTHY)

    assert world.weight("2.0.0") == (0 if bad else 10_000)


def test_weight_that_a_person_took_while_no_operator_ran_is_given_back_unless_the_run_was_aborted() -> None:
    """docs/how-to/break-glass.md: first the command, then the route."""
    by_hand = a_route({"1.0.0": 9500, "2.0.0": 0}, generation=9, written_by="kubectl-patch")
    forgotten, aborted = in_canary(), in_canary()
    for world in (forgotten, aborted):
        world.measure().settle()
        world.route = replace(by_hand, parents=world.route.parents)
    aborted.command(Command.ABORT, "INC-4711")

    for world in (forgotten, aborted):
        world.measure().settle()

    assert (forgotten.status.phase, forgotten.weight("2.0.0")) == (Phase.PROGRESSING, 500)
    assert "WeightDriftCorrected" in forgotten.reasons()
    assert (aborted.status.phase, aborted.weight("2.0.0")) == (Phase.ROLLED_BACK, 0)
    assert "WeightDriftCorrected" not in aborted.reasons()


def test_a_version_that_a_person_took_out_of_production_while_no_operator_ran_stays_out_after_a_rollback() -> None:
    world = World().run(Phase.HEALTHY)
    by_hand = a_route({"1.0.0": 10_000, "2.0.0": 0}, generation=9, written_by="kubectl-patch")
    world.route = replace(by_hand, parents=world.route.parents)

    world.command(Command.ROLLBACK, "INC-4711").measure().settle()

    assert (world.status.phase, world.weight("1.0.0"), world.weight("2.0.0")) == (Phase.ROLLED_BACK, 10_000, 0)
    assert "WeightDriftCorrected" not in world.reasons()
