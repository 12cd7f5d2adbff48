"""Leader election in virtual time: who leads when, for every behaviour of the API server."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from serinus.api.names import ObjectKey
from serinus.errors import AmbiguousError, ConflictError, TransientError
from serinus.kube.lease import LeaseElection, LeaseTimes
from support.kube.clock import VirtualTime, settle
from support.kube.memory import MemoryApi

KEY = ObjectKey("serinus-system", "serinus")
PATH = "/apis/coordination.k8s.io/v1/namespaces/serinus-system/leases/serinus"


class World:
    """One Lease and its candidates, each of which may have a connection with its own faults."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.api = MemoryApi()
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, name: str, api: MemoryApi | None = None) -> LeaseElection:
        election = LeaseElection(api or self.api, self.time, KEY, name, sleep=self.time.sleep)
        self.tasks.append(asyncio.create_task(election.run()))
        await settle()
        return election

    def connection(self) -> MemoryApi:
        """Return another connection to the same objects, with its own faults."""
        connection = MemoryApi()
        connection.objects = self.api.objects
        connection._version = 10_000
        return connection


@pytest.fixture
async def world() -> AsyncIterator[World]:
    new = World()
    yield new
    for task in new.tasks:
        task.cancel()
    await asyncio.gather(*new.tasks, return_exceptions=True)


async def test_the_first_candidate_leads_and_keeps_leading(world: World) -> None:
    first = await world.start("a")
    term = first.epoch
    assert term is not None
    for _ in range(100):
        await world.time.pass_time(1)
        assert first.epoch == term


async def test_the_second_candidate_waits_for_a_full_lease_without_renewal(world: World) -> None:
    connection = world.connection()
    first = await world.start("a", connection)
    second = await world.start("b")
    await world.time.pass_time(8.1)  # renewed at 4 and 8
    term = first.epoch
    assert term is not None

    connection.before.extend([TransientError("down")] * 100_000)

    await world.time.pass_time(9.8)
    assert (first.epoch, second.epoch) == (term, None)
    await world.time.pass_time(0.5)
    assert (first.epoch, second.epoch) == (None, None)  # it stops ten seconds after the last renewal
    await world.time.pass_time(7)
    assert first.epoch is None
    assert second.epoch is not None
    assert second.epoch > term


async def test_a_leader_whose_process_was_stopped_does_not_lead_when_it_resumes(world: World) -> None:
    leader = await world.start("a")
    assert leader.epoch is not None
    world.time.freeze(10.0)
    assert leader.epoch is None


async def test_a_leader_that_lost_the_lease_returns(world: World) -> None:
    leader = await world.start("a")
    lease = world.api.objects[PATH]
    world.api.put(PATH, {**lease, "spec": {**lease["spec"], "holderIdentity": "other", "leaseTransitions": 1}})
    await world.time.pass_time(4)
    assert leader.epoch is None
    assert world.tasks[0].done()


async def test_a_renewal_whose_answer_was_lost_does_not_end_the_term(world: World) -> None:
    leader = await world.start("a")
    term = leader.epoch
    world.api.after.append(AmbiguousError("504"))
    await world.time.pass_time(60)
    assert leader.epoch == term


async def test_an_acquisition_whose_answer_was_lost_is_detected(world: World) -> None:
    world.api.after.append(AmbiguousError("504"))
    leader = await world.start("a")
    assert leader.epoch is None
    await world.time.pass_time(2)
    assert leader.epoch is not None


async def test_only_one_of_two_simultaneous_candidates_creates_the_lease(world: World) -> None:
    first, second = await world.start("a"), await world.start("b")
    await world.time.pass_time(1)
    assert [first.epoch is None, second.epoch is None].count(False) == 1


async def test_a_race_for_an_expired_lease_is_decided_by_its_version(world: World) -> None:
    old = {"metadata": {"name": "serinus"}, "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 15}}
    world.api.put(PATH, old)
    loser = world.connection()
    first = await world.start("a", loser)
    loser.before.extend([None] * 8 + [ConflictError("somebody was faster")])
    await world.time.pass_time(16.5)
    assert first.epoch is None
    assert any(call.startswith("PUT") for call in loser.calls)


async def test_a_process_that_stops_releases_the_lease(world: World) -> None:
    first = await world.start("a")
    second = await world.start("b")
    term = first.epoch
    world.tasks[0].cancel()
    await settle()
    assert first.epoch is None
    await world.time.pass_time(2)
    assert term is not None
    assert second.epoch is not None
    assert second.epoch > term


async def test_a_restarted_process_with_the_same_name_is_another_candidate(world: World) -> None:
    first = await world.start("a")
    again = await world.start("a")
    await world.time.pass_time(1)
    assert first.identity != again.identity
    assert again.epoch is None


async def test_a_deleted_lease_ends_the_term_and_the_next_one_is_higher(world: World) -> None:
    first = await world.start("a")
    term = first.epoch
    await world.time.pass_time(5)
    del world.api.objects[PATH]
    await world.time.pass_time(4)
    assert first.epoch is None
    second = await world.start("b")
    assert term is not None
    assert second.epoch is not None
    assert second.epoch > term


async def test_a_hanging_call_does_not_prolong_the_leadership() -> None:
    world = World()
    election = LeaseElection(
        world.api, world.time, KEY, "a", times=LeaseTimes(call=0.05, renew_every=4.0), sleep=world.time.sleep
    )
    running = asyncio.create_task(election.run())
    await settle()
    assert election.epoch is not None
    world.api.hanging = True
    await world.time.pass_time(9.9)
    leading = [election.epoch is not None]
    world.time.freeze(0.2)
    leading.append(election.epoch is not None)
    assert leading == [True, False]
    world.api.hanging = False
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_term_is_raised_above_an_epoch_that_a_status_has_with_the_next_renewal(world: World) -> None:
    leader = await world.start("a")
    term = leader.epoch
    assert term is not None
    leader.outrank(term + 1000)
    assert leader.epoch == term
    await world.time.pass_time(4)
    assert leader.epoch == term + 1001
    assert world.api.objects[PATH]["spec"]["leaseTransitions"] == term + 1001
    await world.time.pass_time(60)
    assert leader.epoch == term + 1001


async def test_a_raised_term_whose_answer_was_lost_does_not_end_it(world: World) -> None:
    leader = await world.start("a")
    term = leader.epoch
    assert term is not None
    leader.outrank(term + 1)
    world.api.after.append(AmbiguousError("504"))
    await world.time.pass_time(8)
    assert leader.epoch == term + 2


async def test_a_deposed_leader_cannot_raise_its_term(world: World) -> None:
    connection = world.connection()
    first = await world.start("a", connection)
    second = await world.start("b")
    connection.before.extend([TransientError("down")] * 500)
    await world.time.pass_time(16)
    assert second.epoch is not None
    first.outrank(second.epoch)
    connection.before.clear()
    await world.time.pass_time(16)
    assert first.epoch is None
    assert world.api.objects[PATH]["spec"]["holderIdentity"] == second.identity


async def test_an_epoch_that_no_lease_can_express_raises_nothing(world: World) -> None:
    leader = await world.start("a")
    term = leader.epoch
    leader.outrank(2**31 - 2)
    await world.time.pass_time(60)
    assert leader.epoch == term


@pytest.mark.parametrize("wrong", [{"give_up": 15.0}, {"renew_every": 8.0}, {"call": 7.0}])
def test_durations_with_which_two_could_lead_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="renew_every"):
        LeaseTimes(**wrong)


async def test_a_deleted_lease_is_not_taken_while_its_holder_may_still_lead(world: World) -> None:
    first, second = await world.start("a"), await world.start("b")
    await world.time.pass_time(5)
    del world.api.objects[PATH]

    for _ in range(200):
        await world.time.pass_time(0.1)
        assert first.epoch is None or second.epoch is None
    assert second.epoch is not None
