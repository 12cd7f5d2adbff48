"""The queue and the worker of a receiver, in virtual time."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import pytest

from serinus.api.audit_record import AuditEvent
from serinus.errors import RefusedError, TransientError
from serinus.notifications.dispatcher import Notifications
from serinus.notifications.receiver import DOWN_AFTER, GIVE_UP_AFTER, LONGEST_ASKED, QUEUE, SAY_EVERY, TRIES, Channel
from serinus.notifications.transport import BusyError
from serinus.ports.cluster_state import Meta
from serinus.telemetry import Telemetry
from support.notifications import FakeTransport, channel, counted, new_telemetry, notification
from support.virtual_loop import LoopClock, in_virtual_time, until

DOWN = TransientError("HTTP 503")


@dataclass
class Warnings:
    """The port ``Events``: what was published."""

    published: list[tuple[str, str]]

    async def publish(self, owner: Meta, event: object) -> None:
        self.published.append((owner.key.name, str(getattr(event, "message", ""))))


@dataclass
class World:
    """Notifications that are being sent."""

    notifications: Notifications
    telemetry: Telemetry
    warnings: list[tuple[str, str]]

    def told(self, *ids: str, event: AuditEvent = AuditEvent.ROLLED_BACK) -> None:
        for one in ids:
            self.notifications.notify(notification(id=one, event=event))


@asynccontextmanager
async def sending(*channels: Channel) -> AsyncIterator[World]:
    telemetry, warnings = new_telemetry(), Warnings([])
    notifications = Notifications(channels, LoopClock(), telemetry, warnings)
    task = asyncio.create_task(notifications.run())
    try:
        yield World(notifications, telemetry, warnings.published)
        assert not task.done(), "the sending has ended by itself"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def ids(transport: FakeTransport) -> list[str]:
    return [message.id for message in transport.received]


@in_virtual_time
async def test_what_is_told_is_sent_once_and_in_order() -> None:
    transport = FakeTransport()
    async with sending(channel(transport)) as world:
        world.told("a", "b", "c")
        await until(lambda: len(transport.received) == 3, why="all to be sent")
        assert ids(transport) == [one for _, one in transport.tries] == ["a", "b", "c"]
        assert counted(world.telemetry, "delivered") == 3
        assert world.telemetry.notifications_queued.labels("oncall")._value.get() == 0
        assert world.warnings == []
    assert transport.closed


@in_virtual_time
async def test_a_failed_try_is_made_again_and_nothing_overtakes_it() -> None:
    transport = FakeTransport(deque([DOWN, DOWN, None]))
    async with sending(channel(transport)) as world:
        world.told("a", "b")
        await until(lambda: len(transport.received) == 2, why="both to be sent")
        assert [one for _, one in transport.tries] == ["a", "a", "a", "b"]
        (first, _), (second, _), (third, _), _ = transport.tries
        assert 0.7 <= second - first <= 1.3
        assert 1.4 <= third - second <= 2.6
        assert world.warnings == []


@in_virtual_time
async def test_a_notification_is_tried_so_often_and_no_more_and_the_next_one_as_well() -> None:
    transport = FakeTransport(always=DOWN)
    async with sending(channel(transport)) as world:
        world.told("a", "b")
        await until(lambda: counted(world.telemetry, "failed") == 2, why="both to be given up", within=3600)
        assert [one for _, one in transport.tries] == ["a"] * TRIES + ["b"] * TRIES
        first = [at for at, one in transport.tries if one == "a"]
        assert first[-1] - first[0] < GIVE_UP_AFTER
        assert counted(world.telemetry, "delivered") == 0


@in_virtual_time
async def test_what_is_refused_is_not_tried_again() -> None:
    transport = FakeTransport(deque([RefusedError("HTTP 404")]))
    async with sending(channel(transport)) as world:
        world.told("a", "b")
        await until(lambda: ids(transport) == ["b"], why="the next one to be sent")
        assert [one for _, one in transport.tries] == ["a", "b"]
        assert counted(world.telemetry, "failed") == 1


@pytest.mark.parametrize(("asked", "least"), [(30.0, 30.0), (3600.0, LONGEST_ASKED)])
def test_a_receiver_that_names_a_time_is_left_alone_until_then_within_a_bound(asked: float, least: float) -> None:
    @in_virtual_time
    async def story() -> None:
        transport = FakeTransport(deque([BusyError("HTTP 429", asked), None]))
        async with sending(channel(transport)) as world:
            world.told("a")
            await until(lambda: transport.received, why="it to be sent", within=600)
            (first, _), (second, _) = transport.tries
            assert second - first == pytest.approx(least)

    story()


@in_virtual_time
async def test_one_that_hangs_holds_no_other_one_up() -> None:
    dead, alive = FakeTransport(hanging=True), FakeTransport()
    async with sending(channel(dead, "dead"), channel(alive, "alive")) as world:
        world.told(*(str(number) for number in range(50)))
        await until(lambda: len(alive.received) == 50, why="all to be sent", within=10)
        assert len(dead.tries) == 1


@in_virtual_time
async def test_where_the_queue_is_full_the_oldest_is_dropped_counted_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "serinus.notifications")
    transport = FakeTransport(hanging=True)
    async with sending(channel(transport)) as world:
        world.told("first")
        await until(lambda: transport.tries, why="the first one to be tried")
        world.told(*(str(number) for number in range(QUEUE + 5)))
        assert counted(world.telemetry, "dropped") == 5
        assert world.telemetry.notifications_queued.labels("oncall")._value.get() == QUEUE
        (receiver,) = world.notifications._receivers
        assert receiver._queue[0].facts.id == "5"
    assert [record.getMessage() for record in caplog.records] == [
        "notifications: receiver oncall: queue full, 1 dropped"
    ]


@in_virtual_time
async def test_a_receiver_that_is_down_is_shown_at_once_and_then_now_and_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "serinus.notifications")
    transport = FakeTransport(always=DOWN)
    async with sending(channel(transport)) as world:
        up = world.telemetry.receiver_up.labels("oncall")._value
        assert up.get() == 1
        world.told(*(str(number) for number in range(100)))
        await until(lambda: world.warnings, why="a warning")
        assert len(transport.tries) == DOWN_AFTER
        assert up.get() == 0
        await asyncio.sleep(3 * SAY_EVERY)
        assert 3 <= len(world.warnings) <= 4
        name, sentence = world.warnings[0]
        assert name == "fraud-detector"
        assert sentence == (
            "The receiver oncall of notifications fails: HTTP 503. The run and the audit trail are unaffected."
        )
        transport.always = None
        await until(lambda: up.get() == 1, why="it to be up again", within=600)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "notifications: receiver oncall fails: HTTP 503"
    assert lines[-1] == "notifications: receiver oncall receives again"
    assert len(lines) == len(world.warnings) + 1


@in_virtual_time
async def test_a_defect_in_a_rendering_ends_nothing() -> None:
    transport = FakeTransport()
    whole = channel(transport)

    def broken(given: object) -> object:
        if getattr(given, "facts").id == "a":  # noqa: B009 - its type does not matter here
            raise ZeroDivisionError
        return whole.render(given)  # type: ignore[arg-type]

    async with sending(replace(whole, render=broken)) as world:  # type: ignore[arg-type]
        world.told("a", "b")
        await until(lambda: ids(transport) == ["b"], why="the next one to be sent")
        assert counted(world.telemetry, "failed") == 1


@pytest.mark.parametrize(
    ("subscription", "received"),
    [
        ({}, ["a", "b"]),
        ({"events": ["RolledBack"]}, ["a"]),
        ({"namespaces": ["payments"]}, ["a", "b"]),
        ({"namespaces": ["search"]}, []),
        ({"models": ["fraud-detector", "other"]}, ["a", "b"]),
        ({"models": ["other"]}, []),
        ({"namespaces": ["payments"], "models": ["fraud-detector"], "events": ["Promoted"]}, ["b"]),
    ],
)
def test_a_receiver_is_told_what_it_subscribes_to(subscription: dict[str, list[str]], received: list[str]) -> None:
    @in_virtual_time
    async def story() -> None:
        all_of_it, some = FakeTransport(), FakeTransport()
        async with sending(channel(all_of_it, "all"), channel(some, subscription=subscription)) as world:
            world.told("a")
            world.told("b", event=AuditEvent.PROMOTED)
            await until(lambda: len(all_of_it.received) == 2, why="all to be sent")
            await asyncio.sleep(1)
            assert ids(some) == received

    story()
