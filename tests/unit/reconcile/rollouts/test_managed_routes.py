"""The whole operator with a managed route on fakes: made, put right, made anew, and left alone where it is not ours."""

from dataclasses import replace
from typing import Any

from serinus.api.names import Command
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Phase
from serinus.engine.rollout.traffic.managed import RouteShape, shape_of
from serinus.errors import RefusedError
from serinus.ports.cluster_state import HttpRouteRecord, RolloutRecord, RouteRule
from support.records import NAMESPACE, key, route, spec_for
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

OWNER = "uid-ml-fraud"


def a_plan(**template: Any) -> RolloutSpec:
    raw = {"parentRefs": [{"name": "public"}], "hostnames": ["a.example"], **template}
    return spec_for("fraud", route={"httpRoute": {"name": "fraud", "managed": True, "template": raw}})


def shape(spec: RolloutSpec) -> RouteShape:
    assert spec.route.template is not None
    return shape_of(spec.route.template, NAMESPACE)


def managed_route(**fields: Any) -> HttpRouteRecord:
    """The route as the operator has made it; 1.0.0 serves."""
    rules = (RouteRule("", route().rules[0].entries),)
    return route(**{"rules": rules, "made_for": OWNER, "shape": shape(a_plan()), "written_by": "serinus", **fields})


def managed() -> Rig:
    rig = Rig()
    record = rig.model()
    rig.cluster.put(replace(record, spec=a_plan()))
    rig.cluster.put(managed_route())
    return rig


def writes(rig: Rig, what: str) -> int:
    return [done for done, _ in rig.cluster.journal].count(what)


async def a_minute(rig: Rig) -> None:
    now = rig.clock.monotonic()
    await until(lambda: rig.clock.monotonic() > now + 60, why="a minute", within=61)


@in_virtual_time
async def test_the_first_version_gets_a_route_and_goes_through_all_stages() -> None:
    rig = managed()
    rig.cluster.remove(HttpRouteRecord, key())
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        assert rig.weight("2.0.0") == 10_000
        assert (writes(rig, "route"), writes(rig, "shape")) == (1, 0)


@in_virtual_time
async def test_a_route_that_is_as_its_template_says_is_not_written_beside_its_weights() -> None:
    rig = managed()
    async with rig.running(resync_every=60):
        await rig.reaches(Phase.HEALTHY)
        assert (writes(rig, "route"), writes(rig, "shape")) == (0, 0)
    written = len(rig.cluster.journal)
    successor = Rig(rig.cluster, rig.source, epoch=8)
    async with successor.running(resync_every=30):
        await a_minute(successor)
    after = {done for done, _ in rig.cluster.journal[written:]}
    assert after & {"route", "shape", "weights"} == set()


@in_virtual_time
async def test_a_route_that_is_deleted_in_mid_canary_comes_back_with_the_share_of_the_stage() -> None:
    rig = managed()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.remove(HttpRouteRecord, key())
        await until(lambda: writes(rig, "route") == 1, why="the new route", within=5)
        await until(lambda: (rig.weight("1.0.0"), rig.weight("2.0.0")) == (9_500, 500), why="the shares", within=60)
        await rig.reaches(Phase.HEALTHY)
        assert writes(rig, "route") == 1


@in_virtual_time
async def test_an_abort_in_a_route_made_anew_takes_the_traffic_again() -> None:
    rig = managed()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.remove(HttpRouteRecord, key())
        await until(lambda: writes(rig, "route") == 1 and rig.weight("2.0.0"), why="the new route", within=60)
        rig.cluster.put(replace(rig.cluster.rollout(key()), commands={Command.ABORT.value: "seen enough"}))
        await until(lambda: rig.weight("2.0.0") == 0, why="no traffic", within=2)
        await rig.reaches(Phase.ROLLED_BACK)


@in_virtual_time
async def test_a_template_that_is_refused_does_not_keep_a_rollback_out_of_the_status() -> None:
    rig = managed()
    async with rig.running():
        await rig.reaches_canary()
        rig.managed_routes.faults.always["fraud"] = RefusedError("a webhook says no")
        edited = replace(rig.cluster.rollout(key()), spec=a_plan(hostnames=["b.example"]), generation=2)
        rig.cluster.put(edited)
        await until(lambda: "a webhook says no" in rig.status().next_action, why="the status to say so", within=10)
        rig.cluster.put(replace(rig.cluster.rollout(key()), commands={Command.ABORT.value: "seen enough"}))
        await until(lambda: rig.weight("2.0.0") == 0, why="no traffic", within=2)
        await rig.reaches(Phase.ROLLED_BACK, within=60)
        rig.managed_routes.faults.always.clear()
        await until(lambda: writes(rig, "shape") == 1, why="the template's hostname", within=400)
        assert rig.cluster.route(key()).shape == shape(a_plan(hostnames=["b.example"]))


@in_virtual_time
async def test_what_is_missing_is_said_where_the_operator_may_not_make_routes() -> None:
    rig = managed()
    rig.cluster.remove(HttpRouteRecord, key())
    rig.managed_routes.faults.always["fraud"] = RefusedError("set rbac.managedRoutes in the values of the chart")
    async with rig.running():
        await until(lambda: "set rbac.managedRoutes" in rig.status().next_action, why="the remedy", within=10)
        rig.managed_routes.faults.always.clear()
        await rig.reaches(Phase.HEALTHY)


@in_virtual_time
async def test_a_route_that_the_watch_has_not_shown_yet_is_not_said_to_be_made() -> None:
    rig = managed()
    rig.cluster.remove(HttpRouteRecord, key())
    async with rig.running():
        rig.cluster.deaf = True
        theirs = rig.cluster.put(managed_route(made_for="", shape=None, written_by="kubectl"))
        await until(lambda: rig.status().reason == "RouteNotManaged", why="the reason", within=30)
        assert rig.cluster.route(key()) == theirs
        assert ("event", "RouteCreated") not in rig.cluster.journal


@in_virtual_time
async def test_a_foreign_route_is_left_alone_before_a_run_and_during_one() -> None:
    rig = managed()
    theirs = rig.cluster.put(managed_route(made_for="", shape=None, written_by="kubectl"))
    async with rig.running():
        await until(lambda: rig.status().reason == "RouteNotManaged", why="the reason", within=5)
        await a_minute(rig)
        assert rig.cluster.route(key()) == theirs

        rig.cluster.put(managed_route())
        await rig.reaches_canary()
        found = rig.cluster.route(key())
        theirs = rig.cluster.put(replace(found, made_for="another", generation=found.generation + 1))
        await until(lambda: rig.status().reason == "RouteNotManaged", why="the reason", within=5)
        await a_minute(rig)
        assert rig.cluster.route(key()) == theirs

        rig.cluster.put(replace(rig.cluster.rollout(key()), commands={Command.ABORT.value: "seen enough"}))
        await until(lambda: rig.weight("2.0.0") == 0, why="no traffic for the version that is given up", within=2)


@in_virtual_time
async def test_a_rollout_that_is_deleted_without_its_route_leaves_all_traffic_with_the_stable_version() -> None:
    """With --cascade=orphan the garbage collector takes the ownerReference off while the finalizer is still on."""
    rig = managed()
    async with rig.running():
        await rig.reaches_stage("production")
        await until(lambda: rig.weight("2.0.0") == 10_000, why="all traffic on trial")
        rig.cluster.put(replace(rig.cluster.route(key()), made_for=""))
        rig.cluster.delete(key())
        await until(lambda: (RolloutRecord, key()) not in rig.cluster.objects, why="the Rollout to go", within=30)
        assert (rig.weight("1.0.0"), rig.weight("2.0.0")) in {(10_000, 0), (10_000, None)}
        assert writes(rig, "route") == 0


def shadowed_plan() -> RolloutSpec:
    raw = {"parentRefs": [{"name": "public"}], "hostnames": ["a.example"]}
    shadow = {"name": "shadow", "traffic": "0%", "mirror": "10%", "duration": "30m", "abortOn": ["error_rate > 1%"]}
    end = {"name": "production", "traffic": "100%", "abortOn": ["error_rate > 1%"]}
    route_of_plan = {"httpRoute": {"name": "fraud", "managed": True, "template": raw}}
    return spec_for("fraud", route=route_of_plan, stages=[shadow, end])


def shadowed() -> Rig:
    rig = managed()
    rig.cluster.put(replace(rig.cluster.rollout(key()), spec=shadowed_plan()))
    return rig


def copied_to(rig: Rig) -> list[str]:
    return [mirror.key.name for rule in rig.cluster.route(key()).rules for mirror in rule.mirrors]


@in_virtual_time
async def test_copies_begin_with_their_stage_and_end_with_an_abort() -> None:
    rig = shadowed()
    async with rig.running():
        await until(lambda: rig.status().candidate is not None and copied_to(rig), why="copies", within=60)
        assert copied_to(rig) == ["fraud-v2-0-0"]
        assert rig.weight("2.0.0") == 0
        rig.cluster.put(replace(rig.cluster.rollout(key()), commands={Command.ABORT.value: "seen enough"}))
        await rig.reaches(Phase.ROLLED_BACK)
        assert copied_to(rig) == []


@in_virtual_time
async def test_copies_that_cannot_be_ended_do_not_keep_a_rollback_out_of_the_status_and_end_later() -> None:
    rig = shadowed()
    async with rig.running(resync_every=60):
        await until(lambda: copied_to(rig), why="copies", within=60)
        rig.managed_routes.faults.always["fraud"] = RefusedError("a webhook says no")
        rig.cluster.put(replace(rig.cluster.rollout(key()), commands={Command.ABORT.value: "seen enough"}))
        await rig.reaches(Phase.ROLLED_BACK, within=60)
        assert copied_to(rig) == ["fraud-v2-0-0"]
        rig.managed_routes.faults.always.clear()
        await until(lambda: copied_to(rig) == [], why="no copies", within=400)


@in_virtual_time
async def test_another_process_goes_on_with_the_copies_without_a_write() -> None:
    rig = shadowed()
    async with rig.running():
        await until(lambda: rig.status().stage is not None and copied_to(rig), why="copies", within=60)
        await a_minute(rig)
    written = writes(rig, "mirror")
    successor = Rig(rig.cluster, rig.source, epoch=8)
    async with successor.running(resync_every=30):
        await a_minute(successor)
    assert (writes(rig, "mirror"), copied_to(rig)) == (written, ["fraud-v2-0-0"])
