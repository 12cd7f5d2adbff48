"""A Rollout whose stored status cannot be read: it is held, said so, and nothing is overwritten."""

from dataclasses import replace

from serinus.api.rollout_status import RolloutStatus
from support.records import key
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

PROBLEM = "status.history[0].result: Invalid enum value 'Vanished'"


def spoil(rig: Rig) -> None:
    """As an operator of another release has written it."""
    rig.cluster.put(replace(rig.cluster.rollout(key()), status=RolloutStatus(), status_problem=PROBLEM))


@in_virtual_time
async def test_a_status_that_cannot_be_read_is_said_now_and_then_and_nothing_is_written() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        await until(lambda: not rig.status().records, why="the records to be delivered")
        await until(lambda: rig.published()["2.0.0"] == ("Canary", "5%"), why="the stages to be published")
        rig.cluster.journal.clear()
        rig.events.published.clear()
        spoil(rig)
        rig.source.bad = {"2.0.0": 1.0}
        began = rig.clock.monotonic()
        await until(lambda: rig.clock.monotonic() > began + 1000, why="a quarter of an hour", within=1100)
        assert [entry for entry in rig.cluster.journal if entry[0] != "event"] == []
        assert rig.weight("2.0.0") == 500
        said = [event for _, event in rig.events.published]
        assert {event.reason.value for event in said} == {"StatusUnreadable"}
        assert 3 <= len(said) <= 4
        assert PROBLEM in said[0].message
        assert b'serinus_reconcile_errors_total{reason="StatusUnreadable"}' in rig.telemetry.render()


@in_virtual_time
async def test_a_status_that_can_be_read_again_goes_on_where_it_was() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        status = rig.status()
        spoil(rig)
        await until(lambda: rig.events.published[-1][1].reason.value == "StatusUnreadable", why="it to be said")
        rig.cluster.put(replace(rig.cluster.rollout(key()), status=status, status_problem=""))
        await until(lambda: rig.weight("2.0.0") == 10_000, why="the run to go on", within=700)
        assert rig.status().run == 1


@in_virtual_time
async def test_a_deleted_rollout_with_a_status_that_cannot_be_read_stays_until_it_can() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        status = rig.status()
        spoil(rig)
        rig.cluster.delete(key())
        began = rig.clock.monotonic()
        await until(lambda: rig.clock.monotonic() > began + 60, why="a minute", within=100)
        assert rig.cluster.rollout(key()).has_finalizer
        rig.cluster.put(replace(rig.cluster.rollout(key()), status=status, status_problem=""))
        await until(lambda: not rig.weight("2.0.0"), why="the candidate to be drained", within=5)
