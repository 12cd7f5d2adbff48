"""What the receivers of notifications are told of a run, and that they change nothing in it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.rollout_status import Phase
from serinus.errors import RefusedError, TransientError
from serinus.notifications.dispatcher import Notifications
from serinus.notifications.transport import BusyError
from serinus.ports.cluster_state import RolloutRecord
from support.builders import CANARY, PRODUCTION, STAGING
from support.fakes import FakeCluster, FakeEvents
from support.notifications import Collector, FakeTransport, channel, new_telemetry
from support.records import key
from support.rig import Rig
from support.virtual_loop import LoopClock, in_virtual_time, until

DOWN = TransientError("the registry cannot be reached")


async def trail(rig: Rig) -> list[AuditRecordSpec]:
    """The records of the run; those of versions are not announced."""
    records = [record async for record in rig.registry.history(key())]
    return [record for record in records if not record.event.value.startswith("Version")]


async def all_recorded(rig: Rig) -> None:
    await until(lambda: not rig.status().records, why="all to be recorded", within=300)


@in_virtual_time
async def test_each_record_of_a_run_is_announced_once_with_its_id_and_in_order() -> None:
    told = Collector()
    rig = Rig(notifier=told)
    rig.source.bad = {"2.0.0": 1.0}
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.ROLLED_BACK)
        await all_recorded(rig)
        records = await trail(rig)
        assert told.ids == [record.id for record in records]
        assert told.words[-2:] == ["RollbackStarted", "RolledBack"]
        last = told.given[-1]
        assert (last.model, last.owner.key) == (key(), key())
        assert (last.facts.version, last.facts.to) == ("2.0.0", "1.0.0")


@in_virtual_time
async def test_a_rollback_is_announced_while_the_registry_is_down() -> None:
    told = Collector()
    rig = Rig(notifier=told)
    rig.source.bad = {"2.0.0": 1.0}
    rig.audit_log.problem = DOWN
    rig.model(registered=True)
    async with rig.running():
        await rig.reaches(Phase.ROLLED_BACK)
        assert {"RollbackStarted", "RolledBack"} <= set(told.words)
        await asyncio.sleep(600)
        rig.audit_log.problem = None
        await all_recorded(rig)
        assert told.ids == [record.id for record in await trail(rig)]


@in_virtual_time
async def test_a_successor_announces_what_waits_with_the_same_ids_so_that_each_record_was_announced() -> None:
    told, more = Collector(), Collector()
    first = Rig(notifier=told)
    first.model(registered=True)
    async with first.running():
        await first.reaches_stage("canary")
        first.audit_log.problem = DOWN
        await first.reaches_stage("production")
        waiting = [record.id for record in first.status().records]
    second = Rig(first.cluster, first.source, epoch=8, notifier=more)
    async with second.running():
        await second.reaches(Phase.HEALTHY)
        await all_recorded(second)
        assert waiting
        assert more.ids[: len(waiting)] == waiting
        assert len(more.ids) == len(set(more.ids))
        assert set(told.ids) | set(more.ids) == {record.id for record in await trail(second)}


@in_virtual_time
async def test_an_event_that_is_no_record_is_announced_too() -> None:
    told = Collector()
    rig = Rig(notifier=told)
    rig.model("fraud", STAGING, CANARY, {**PRODUCTION, "approval": "Required"})
    async with rig.running():
        await until(lambda: "AwaitingApproval" in told.words, why="a person to be asked", within=36_000)
        asked = next(one for one in told.given if one.event == "AwaitingApproval")
        assert asked.facts.version == "2.0.0"
        assert asked.facts.rollout is not None
        assert (asked.facts.rollout.run, asked.facts.rollout.stage) == (1, "canary")
        assert asked.facts.id not in {record.id for record in await trail(rig)}
        published = [event.reason.value for _, event in rig.events.published]
        assert told.words.count("AwaitingApproval") == published.count("AwaitingApproval")


@in_virtual_time
async def test_the_end_of_a_rollout_that_is_gone_is_announced() -> None:
    told = Collector()
    rig = Rig(notifier=told)
    rig.audit_log.problem = DOWN
    rig.model(registered=True)
    async with rig.running():
        await rig.reaches_canary()
        before = list(told.ids)
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.cache.rollout(key()) is None, why="it to be gone")
        await until(lambda: "RunCancelled" in told.words, why="its end to be announced")
        assert len(told.ids) == len(set(told.ids))
        assert told.ids[: len(before)] == before


@in_virtual_time
async def test_a_status_older_than_the_last_one_announces_nothing_again() -> None:
    told = Collector()
    rig = Rig(notifier=told)
    rig.audit_log.problem = DOWN
    rig.model(registered=True)
    async with rig.running():
        await rig.reaches_stage("canary")
        older = rig.cluster.rollout(key())
        await rig.reaches_stage("production")
        before = list(told.ids)
        rig.reconciler.attend(older)
        rig.reconciler.attend(rig.cluster.rollout(key()))
        assert told.ids == before


Failing = Callable[[], FakeTransport]
RECEIVERS: dict[str, Failing] = {
    "hangs": lambda: FakeTransport(hanging=True),
    "fails": lambda: FakeTransport(always=TransientError("HTTP 503")),
    "refuses": lambda: FakeTransport(always=RefusedError("HTTP 404")),
    "is busy": lambda: FakeTransport(always=BusyError("HTTP 429", 3600.0)),
    "has a defect": lambda: FakeTransport(always=ZeroDivisionError()),
    "receives": FakeTransport,
}


def written(receivers: Sequence[str], *, bad: bool, registry_down: bool) -> tuple[list[object], list[str]]:
    """What the operator has written in a run, in order and with its times; and what the warnings were."""
    outcome: list[object] = []
    warnings: list[str] = []

    @in_virtual_time
    async def story() -> None:
        cluster = FakeCluster()
        channels = [channel(RECEIVERS[name](), f"receiver-{place}") for place, name in enumerate(receivers)]
        notifications = Notifications(channels, LoopClock(), new_telemetry(), FakeEvents(cluster))
        rig = Rig(cluster, notifier=notifications)
        rig.source.bad = {"2.0.0": 1.0} if bad else {}
        rig.audit_log.problem = DOWN if registry_down else None
        rig.model(registered=True)
        sending = asyncio.create_task(notifications.run())
        async with rig.running():
            await rig.reaches(Phase.ROLLED_BACK if bad else Phase.HEALTHY)
            rig.audit_log.problem = None
            await all_recorded(rig)
            assert not sending.done()
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        warnings.extend(name for _, name in cluster.journal if name == "NotificationFailed")
        writes = [entry for entry in cluster.journal if entry != ("event", "NotificationFailed")]
        # The stages of two versions are written at the same time, by two tasks.
        in_order = [entry for entry in writes if entry[0] != "modelversion"]
        outcome.extend([in_order, Counter(writes), rig.status(), await trail(rig), rig.clock.now()])

    story()
    return outcome, warnings


@settings(max_examples=15, deadline=None)
@given(
    receivers=st.lists(st.sampled_from(sorted(RECEIVERS)), min_size=1, max_size=3),
    registry_down=st.booleans(),
)
def test_whatever_receivers_do_a_rollback_is_written_the_same_at_the_same_times(
    receivers: list[str], *, registry_down: bool
) -> None:
    without, silence = written([], bad=True, registry_down=registry_down)
    with_them, warnings = written(receivers, bad=True, registry_down=registry_down)
    assert with_them == without
    assert silence == []
    assert bool(warnings) <= bool({"fails", "refuses", "is busy"} & set(receivers))


def test_whatever_receivers_do_a_promotion_is_written_the_same_at_the_same_times() -> None:
    without, _ = written([], bad=False, registry_down=False)
    with_them, warnings = written(sorted(RECEIVERS), bad=False, registry_down=False)
    assert with_them == without
    assert warnings
