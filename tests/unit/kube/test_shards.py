"""Shards over several processes, in virtual time: who leads for which, and never two at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec
import pytest

from serinus.api.names import SHARD_MEMBERS_ANNOTATION, ObjectKey
from serinus.engine.sharding import shard_of
from serinus.errors import AmbiguousError, ConflictError, NotLeaderError
from serinus.kube.fence import fence_of
from serinus.kube.lease import LeaseElection, LeaseTimes
from serinus.kube.members import Membership
from serinus.kube.shards import ShardLeases
from serinus.ports.acting import INSTALLATION, UNNAMED, acting_for
from support.kube.memory import MemoryApi, Raw
from support.virtual_loop import LoopClock, in_virtual_time, until

KEY = ObjectKey("serinus-system", "serinus")
PATH = "/apis/coordination.k8s.io/v1/namespaces/serinus-system/leases/serinus"
SHARDS, LEASE = 8, 15.0
MODELS = [ObjectKey("ml", f"model-{number}") for number in range(200)]
OF_SHARD = {shard_of(model, SHARDS): model for model in MODELS}


@dataclass
class Listener:
    """Remembers which shards were forgotten and taken, in order."""

    calls: list[tuple[str, int]] = field(default_factory=list)

    def forget_models(self, belongs: Callable[[ObjectKey], bool]) -> None:
        self.calls.append(("forget", self._shard(belongs)))

    def take_models(self, belongs: Callable[[ObjectKey], bool]) -> None:
        self.calls.append(("take", self._shard(belongs)))

    def _shard(self, belongs: Callable[[ObjectKey], bool]) -> int:
        (shard,) = {shard_of(model, SHARDS) for model in MODELS if belongs(model)}
        return shard


class Replica:
    """One process with a connection of its own."""

    def __init__(self, name: str, api: MemoryApi, shards: int = SHARDS) -> None:
        self.api, self.listener = api, Listener()
        self.shards = ShardLeases(api, LoopClock(), KEY, name, shards)
        self.task = asyncio.create_task(self.shards.run(self.listener))

    @property
    def held(self) -> frozenset[int]:
        return self.shards.held

    async def stop(self) -> None:
        """End the process as SIGTERM does."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def kill(self) -> None:
        """End the process as SIGKILL does: nothing is released."""
        self.api.before.extend([AmbiguousError("killed")] * 1000)
        await self.stop()


class World:
    """The Leases, and a check, ten times a second, that no shard is held by two."""

    def __init__(self) -> None:
        self.objects: dict[str, Raw] = {}
        self.replicas: list[Replica] = []
        self.epochs: dict[int, list[int]] = {shard: [] for shard in range(SHARDS)}

    def connection(self) -> MemoryApi:
        api = MemoryApi()
        api.objects = self.objects
        # Resource versions of different connections must differ.
        api._version = 1_000_000 * (len(self.replicas) + 1)
        return api

    def start(self, name: str, shards: int = SHARDS) -> Replica:
        replica = Replica(name, self.connection(), shards)
        self.replicas.append(replica)
        return replica

    async def watch(self) -> None:
        while True:
            for shard, model in OF_SHARD.items():
                epochs = [epoch for one in self.replicas if (epoch := one.shards.epoch_of(model)) is not None]
                assert len(epochs) <= 1, f"shard {shard} is held by two"
                if epochs and self.epochs[shard][-1:] != epochs:
                    self.epochs[shard] += epochs
            await asyncio.sleep(0.1)

    def spread(self) -> list[int]:
        return sorted(len(replica.held) for replica in self.replicas if not replica.task.done())

    async def until_spread(self, *counts: int, within: float) -> None:
        await until(lambda: self.spread() == sorted(counts), why=f"a spread of {counts}", within=within)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    new = World()
    watching = asyncio.create_task(new.watch())
    try:
        yield new
        assert not watching.done(), watching.exception()
        for shard, epochs in new.epochs.items():
            assert epochs == sorted(set(epochs)), f"the terms of shard {shard} do not rise: {epochs}"
    finally:
        watching.cancel()
        for replica in new.replicas:
            await replica.stop()


@in_virtual_time
async def test_three_replicas_share_the_shards_evenly_and_then_nothing_moves() -> None:
    async with world() as new:
        replicas = [new.start(name) for name in "abc"]
        await new.until_spread(2, 3, 3, within=10)
        held = [replica.held for replica in replicas]
        assert frozenset().union(*held) == frozenset(range(SHARDS))
        await asyncio.sleep(300)
        assert [replica.held for replica in replicas] == held


@pytest.mark.parametrize("after", [10 + 0.37 * step for step in range(11)])
def test_the_shards_of_a_replica_that_is_killed_are_taken_within_a_lease_and_two_seconds(after: float) -> None:
    """Whenever in the four seconds between two renewals it is killed."""

    @in_virtual_time
    async def story() -> None:
        async with world() as new:
            first, _, _ = (new.start(name) for name in "abc")
            await new.until_spread(2, 3, 3, within=10)
            await asyncio.sleep(after - asyncio.get_running_loop().time())
            await first.kill()
            await new.until_spread(4, 4, within=LEASE + 2)

    story()


@in_virtual_time
async def test_a_replica_that_ends_regularly_leaves_its_shards_to_the_others_at_once() -> None:
    async with world() as new:
        first, _, _ = (new.start(name) for name in "abc")
        await new.until_spread(2, 3, 3, within=10)
        await asyncio.sleep(7.3)
        await first.stop()
        await new.until_spread(4, 4, within=4)


@in_virtual_time
async def test_a_replica_that_is_cut_off_stops_before_its_shards_are_taken_and_ends() -> None:
    async with world() as new:
        first, _, _ = (new.start(name) for name in "abc")
        await new.until_spread(2, 3, 3, within=10)
        first.api.hanging = True
        await until(lambda: not first.held, why="the end of its terms", within=10)
        await until(first.task.done, why="the end of the process", within=10)
        assert first.task.exception() is None
        await new.until_spread(4, 4, within=LEASE)


@in_virtual_time
async def test_a_replica_whose_lease_of_one_shard_is_taken_from_it_ends_and_releases_the_others() -> None:
    async with world() as new:
        first, _ = new.start("a"), new.start("b")
        await new.until_spread(4, 4, within=10)
        path = f"{PATH}-shard-{min(first.held)}"
        lease = new.objects[path]
        MemoryApi.put(new.connection(), path, lease | {"spec": lease["spec"] | {"holderIdentity": "a person"}})
        await until(first.task.done, why="the end of the process", within=10)
        assert first.task.exception() is None
        await until(lambda: new.spread() == [7], why="the other seven", within=5)


@in_virtual_time
async def test_a_shard_is_forgotten_before_it_is_taken_and_when_it_is_left() -> None:
    async with world() as new:
        first = new.start("a")
        await new.until_spread(8, within=10)
        new.start("b")
        await new.until_spread(4, 4, within=10)
        left = frozenset(range(SHARDS)) - first.held
        calls = first.listener.calls
        assert calls[: 2 * SHARDS] == [(what, shard) for shard in range(SHARDS) for what in ("forget", "take")]
        assert sorted(calls[2 * SHARDS :]) == [("forget", shard) for shard in sorted(left)]


@in_virtual_time
async def test_a_shard_that_is_handed_back_while_its_lease_is_being_renewed_is_released_all_the_same() -> None:
    async with world() as new:
        first = new.start("a")
        await new.until_spread(8, within=10)
        second = new.start("b")
        await until(lambda: bool(second.shards._membership.epoch), why="the second member", within=5)
        # The next writes of the first one are applied, but it does not know by which resourceVersion.
        for shard in range(SHARDS):
            path = f"{PATH}-shard-{shard}"
            MemoryApi.put(first.api, path, new.objects[path])
        await new.until_spread(4, 4, within=6)


# ---- writes --------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_shard_is_released_after_its_last_write_and_fenced_before_it() -> None:
    async with world() as new:
        first = new.start("a")
        may_write = fence_of(first.shards)
        await new.until_spread(8, within=10)
        release = asyncio.Event()

        async def write(model: ObjectKey) -> None:
            with acting_for(model):
                may_write()
                with first.shards.writing():
                    await release.wait()

        writes = [asyncio.create_task(write(model)) for model in OF_SHARD.values()]
        await asyncio.sleep(0)
        second = new.start("b")
        await until(lambda: len(first.held) == 4, why="what is handed back to be fenced", within=10)
        left = frozenset(range(SHARDS)) - first.held
        for shard in left:
            with pytest.raises(NotLeaderError), acting_for(OF_SHARD[shard]):
                may_write()
        await asyncio.sleep(60)
        assert second.held == frozenset()
        release.set()
        await asyncio.gather(*writes)
        await until(lambda: second.held == left, why="the other one to take them", within=3)


@in_virtual_time
async def test_a_write_that_failed_may_still_take_effect_for_as_long_as_a_lease_lasts_beyond_its_term() -> None:
    async with world() as new:
        first = new.start("a")
        await new.until_spread(8, within=10)
        for model in OF_SHARD.values():
            with suppress(AmbiguousError), acting_for(model), first.shards.writing():
                raise AmbiguousError("no answer")
        failed = asyncio.get_running_loop().time()
        second = new.start("b")
        await until(lambda: bool(second.held), why="the other one to take its part", within=20)
        assert asyncio.get_running_loop().time() - failed >= 5
        await new.until_spread(4, 4, within=3)


@in_virtual_time
async def test_a_write_that_names_no_model_is_refused_and_one_that_changes_nothing_is_a_members() -> None:
    async with world() as new:
        first = new.start("a")
        may_write = fence_of(first.shards)
        with pytest.raises(NotLeaderError), acting_for(INSTALLATION):
            may_write()
        await new.until_spread(8, within=10)
        with pytest.raises(NotLeaderError):
            may_write()
        with acting_for(INSTALLATION):
            may_write()
        for model in MODELS:
            with acting_for(model):
                may_write()
        assert first.shards.epoch_of(UNNAMED) is None


@in_virtual_time
async def test_a_status_of_a_later_term_raises_the_term_of_its_shard_alone() -> None:
    async with world() as new:
        first = new.start("a")
        await new.until_spread(8, within=10)
        model, other = OF_SHARD[3], OF_SHARD[4]
        term, same = first.shards.epoch_of(model), first.shards.epoch_of(other)
        assert term is not None
        first.shards.outrank(term + 1000, model)
        await asyncio.sleep(6)
        assert (first.shards.epoch_of(model), first.shards.epoch_of(other)) == (term + 1001, same)


# ---- another number of shards --------------------------------------------------------------------


@in_virtual_time
async def test_processes_with_another_number_of_shards_or_none_wait_until_the_last_member_has_gone() -> None:
    """While the pods of a Deployment are replaced by others with another configuration."""
    async with world() as new:
        old = [new.start("a"), new.start("b")]
        await new.until_spread(4, 4, within=10)
        sole = LeaseElection(new.connection(), LoopClock(), KEY, "sole")
        running = asyncio.create_task(sole.run())
        other_api = new.connection()
        other_api._version = 9_000_000
        other = ShardLeases(other_api, LoopClock(), KEY, "c", 4)
        taking_part = asyncio.create_task(other.run(Listener()))
        await asyncio.sleep(60)
        await old[0].stop()
        await asyncio.sleep(60)
        assert (sole.epoch, other.held) == (None, frozenset())
        assert len(old[1].held) == 8
        await old[1].stop()
        await until(lambda: sole.epoch is not None or bool(other.held), why="one of them to lead", within=3)
        await asyncio.sleep(60)
        assert (sole.epoch is None) == bool(other.held)
        for task in (running, taking_part):
            task.cancel()
        await asyncio.gather(running, taking_part, return_exceptions=True)


@in_virtual_time
async def test_only_processes_with_the_same_number_of_shards_hold_the_common_lease_together() -> None:
    async with world() as new:
        members = {
            name: Membership(new.connection(), LoopClock(), KEY, name, shards, times=LeaseTimes())
            for name, shards in (("first", 6), ("same", 6), ("other", 8))
        }
        running = []
        for member in members.values():
            running.append(asyncio.create_task(member.run()))
            await asyncio.sleep(30)
        assert {name: member.epoch is not None for name, member in members.items()} == {
            "first": True,
            "same": True,
            "other": False,
        }
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@in_virtual_time
async def test_while_a_single_leader_leads_no_shard_is_taken_and_after_it_all_are() -> None:
    async with world() as new:
        sole = LeaseElection(new.connection(), LoopClock(), KEY, "sole")
        running = asyncio.create_task(sole.run())
        await sole.elected()
        term = sole.epoch
        replica = new.start("a")
        await asyncio.sleep(60)
        assert replica.held == frozenset()
        assert replica.shards.reached
        running.cancel()
        await asyncio.wait({running})
        await new.until_spread(8, within=3)
        epoch = replica.shards.epoch_of(MODELS[0])
        assert epoch is not None
        assert term is not None
        assert epoch > term


@in_virtual_time
async def test_members_write_their_annotation_anew_where_somebody_has_spoilt_it() -> None:
    async with world() as new:
        new.start("a")
        new.start("b")
        await new.until_spread(4, 4, within=10)
        lease = new.objects[PATH]
        spoilt = lease["metadata"] | {"annotations": {SHARD_MEMBERS_ANNOTATION: "["}}
        MemoryApi.put(new.connection(), PATH, lease | {"metadata": spoilt})
        await asyncio.sleep(5)
        annotations = new.objects[PATH]["metadata"]["annotations"]
        members = msgspec.json.decode(annotations[SHARD_MEMBERS_ANNOTATION])
        assert sorted(name[0] for name in members) == ["a", "b"]
        await new.until_spread(4, 4, within=10)


@in_virtual_time
async def test_a_renewal_that_another_member_was_faster_with_is_tried_again() -> None:
    async with world() as new:
        first = new.start("a")
        await new.until_spread(8, within=10)
        for _ in range(20):
            first.api.after.extend([ConflictError("somebody was faster")])
            await asyncio.sleep(1)
        assert not first.task.done()
        assert len(first.held) == 8
