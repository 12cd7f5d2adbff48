"""Lists of the whole cluster, and the life of the main loop."""

import asyncio

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import Phase
from serinus.api.route import RouteKind, RuleId
from serinus.errors import SerinusError, TransientError
from serinus.ports.cluster_state import EndpointsRecord, HttpRouteRecord, Record, RolloutRecord
from serinus.reconcile.cache import ClusterCache
from support.examples import examples
from support.records import key
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

_KINDS = ClusterCache().kinds


@in_virtual_time
async def test_nothing_is_decided_before_the_whole_cluster_could_be_listed() -> None:
    rig = Rig()
    rig.model()
    rig.cluster.faults.always["RolloutRecord"] = TransientError("no API server")
    rig.cluster.follow(rig.controller.on_change, rig.controller.on_delete)
    assert rig.cluster.journal == []
    failures: list[SerinusError] = [TransientError("not yet")] * 5
    rig.cluster.faults.always.clear()
    rig.cluster.faults.before.extend(failures)
    async with rig.running():
        assert rig.controller.synced.is_set()
        assert rig.clock.monotonic() > 1, "it waited between the tries"
        await rig.reaches_canary()


@in_virtual_time
async def test_a_deletion_that_the_watch_missed_is_found_by_the_next_list() -> None:
    rig = Rig()
    rig.model()
    async with rig.running(resync_every=60):
        await rig.reaches_canary()
        rig.cluster.deaf = True
        rig.cluster.remove(EndpointsRecord, ObjectKey("ml", "fraud-v1-0-0-abc"))
        await until(lambda: rig.cache.ready_endpoints("ml", "fraud-v1-0-0") == 0, why="the list to show it", within=61)


@in_virtual_time
async def test_a_watch_that_was_interrupted_causes_a_list_at_once() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        listed = len(rig.cluster.lists)
        rig.controller.on_relist(EndpointsRecord)
        await until(lambda: len(rig.cluster.lists) > listed, why="the list", within=1)
        assert rig.cluster.lists[listed:] == [EndpointsRecord]


@in_virtual_time
async def test_an_object_that_comes_up_while_a_list_is_read_is_not_forgotten() -> None:
    rig = Rig()
    rig.model()

    def another(kind: type[Record]) -> None:
        if kind is HttpRouteRecord and rig.controller.synced.is_set() and rig.cache.rollout(key("churn")) is None:
            rig.model("churn")

    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.during_list = another
        for each in _KINDS:
            rig.controller.on_relist(each)
        await until(lambda: (RolloutRecord, key("churn")) in rig.cluster.objects, why="the list to be under way")
        await rig.reaches_stage("canary", "churn", within=60)


@in_virtual_time
async def test_the_loop_ends_when_it_is_told_to_even_in_the_moment_of_a_restarted_watch() -> None:
    rig = Rig()
    async with rig.running():
        await until(lambda: rig.clock.monotonic() > 1, why="the loop to wait for its next list")
        rig.controller.on_relist(RolloutRecord)


@in_virtual_time
async def test_the_heart_beats_while_the_loop_lives() -> None:
    rig = Rig()
    async with rig.running():
        await until(lambda: rig.clock.monotonic() > 100, why="some time to pass", within=200)
        assert rig.clock.monotonic() - rig.controller.heartbeat <= 1


@in_virtual_time
async def test_timers_and_tasks_do_not_pile_up() -> None:
    rig = Rig()
    models = examples(30, developer=6)
    for number in range(models):
        rig.model(f"m{number}")
    async with rig.running():
        await rig.reaches(Phase.HEALTHY, f"m{models - 1}")
        await until(lambda: all(rig.status(f"m{n}").phase is Phase.HEALTHY for n in range(models)), why="all")
        await until(lambda: len(rig.background) == 0, why="no task to be left")
        assert len(rig.queue._timers) <= models
        assert rig.queue._retries == {}


@in_virtual_time
async def test_an_old_list_takes_nothing_for_deleted_and_sets_nothing_back() -> None:
    rig = Rig()
    empty = {kind: await rig.cluster.list_all(kind) for kind in _KINDS}
    rig.model()
    begun = {kind: await rig.cluster.list_all(kind) for kind in _KINDS}
    async with rig.running():
        await rig.reaches_canary()
        for old in (empty, begun):
            written = list(rig.cluster.journal)
            rig.cluster.stale |= old
            for kind in _KINDS:
                rig.controller.on_relist(kind)
            await until(lambda: not rig.cluster.stale, why="the lists", within=10)
            await asyncio.sleep(1)
            status = rig.status()
            assert (status.phase, rig.weight("2.0.0")) == (Phase.PROGRESSING, 500)
            assert [one for one in rig.cluster.journal[len(written) :] if one[0] == "weights"] == []
            recorded = [record.event.value async for record in rig.registry.history(key())]
            assert [event for event in recorded if event.endswith("Deleted")] == []
        await rig.reaches(Phase.HEALTHY)


@in_virtual_time
async def test_an_old_list_is_noticed_at_the_start_as_well() -> None:
    rig = Rig()
    rig.model()
    old = await rig.cluster.list_all(HttpRouteRecord)
    rig.model("churn")
    rig.cluster.stale[HttpRouteRecord] = old
    async with rig.running():
        assert rig.cache.route(key().namespace, RuleId(RouteKind.HTTP_ROUTE, "churn")) is not None
