"""Publishing events: never blocks a reconcile, is rate-limited, and counts repeated events."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from serinus.api.names import ObjectKey
from serinus.engine.rollout.decision import Event, EventReason
from serinus.errors import RefusedError
from serinus.kube.events import ApiEvents
from serinus.ports.cluster_state import Meta
from support.kube.clock import VirtualTime, settle
from support.kube.memory import MemoryApi

OWNER = Meta(key=ObjectKey("ml", "fraud"), uid="u-1", version=7)
STARTED = Event(EventReason.TRAFFIC_SHIFTED, "Stage canary began.")


class World:
    def __init__(self) -> None:
        self.time = VirtualTime()
        self.api = MemoryApi()
        self.events = ApiEvents(self.api, self.time, "pod-1", sleep=self.time.sleep)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    new = World()
    running = asyncio.create_task(new.events.run())
    yield new
    running.cancel()


async def test_an_event_has_its_reason_note_and_object(world: World) -> None:
    await world.events.publish(OWNER, Event(EventReason.ROLLBACK_STARTED, "2.3.1 is bad.", warning=True))
    await world.time.pass_time(1)
    (event,) = world.api.objects.values()
    assert (event["reason"], event["action"], event["note"], event["type"]) == (
        "RollbackStarted",
        "RollbackStarted",
        "2.3.1 is bad.",
        "Warning",
    )
    assert (event["reportingController"], event["reportingInstance"]) == ("serinus", "pod-1")
    assert event["eventTime"] == "2026-11-01T12:00:00.000000Z"
    assert event["regarding"] == {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "Rollout",
        "namespace": "ml",
        "name": "fraud",
        "uid": "u-1",
        "resourceVersion": "7",
    }


async def test_a_repetition_within_ten_minutes_is_a_series_and_later_a_new_event(world: World) -> None:
    for _ in range(3):
        await world.events.publish(OWNER, STARTED)
        await world.time.pass_time(590)
    (event,) = world.api.objects.values()
    assert event["series"]["count"] == 3
    await world.time.pass_time(11)
    await world.events.publish(OWNER, STARTED)
    await world.time.pass_time(1)
    assert len(world.api.objects) == 2


async def test_another_message_or_another_rollout_is_another_event(world: World) -> None:
    await world.events.publish(OWNER, STARTED)
    await world.events.publish(OWNER, Event(EventReason.TRAFFIC_SHIFTED, "Stage production began."))
    await world.events.publish(Meta(key=OWNER.key, uid="u-2", version=7), STARTED)
    await world.time.pass_time(1)
    assert len(world.api.objects) == 3


async def test_a_series_whose_event_has_expired_begins_anew(world: World) -> None:
    await world.events.publish(OWNER, STARTED)
    await world.time.pass_time(1)
    world.api.objects.clear()
    await world.events.publish(OWNER, STARTED)
    await world.time.pass_time(1)
    assert len(world.api.objects) == 1


async def test_no_more_than_ten_are_written_in_a_second(world: World) -> None:
    for number in range(50):
        await world.events.publish(OWNER, Event(EventReason.TRAFFIC_SHIFTED, f"{number} %"))
    await world.time.pass_time(0.95)
    assert len(world.api.objects) == 10
    await world.time.pass_time(10)
    assert len(world.api.objects) == 50


async def test_events_beyond_the_queue_are_dropped_and_counted() -> None:
    world = World()  # without a publisher
    for number in range(1005):
        await world.events.publish(OWNER, Event(EventReason.TRAFFIC_SHIFTED, f"{number} %"))
    assert world.events.dropped == 5


async def test_an_event_that_is_refused_stops_no_other(world: World) -> None:
    world.api.before.append(RefusedError("403"))
    await world.events.publish(OWNER, STARTED)
    await world.events.publish(OWNER, Event(EventReason.APPROVED, "Let in."))
    await world.time.pass_time(1)
    assert [event["reason"] for event in world.api.objects.values()] == ["Approved"]


async def test_a_message_over_the_api_servers_limit_is_shortened_by_whole_characters(world: World) -> None:
    await world.events.publish(OWNER, Event(EventReason.APPROVED, "ü" * 2000))
    await settle()
    (event,) = world.api.objects.values()
    assert len(event["note"].encode()) <= 1024
    assert event["note"].startswith("üüü")
    assert event["note"].endswith("ü…")
