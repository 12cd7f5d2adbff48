"""Hands each notification to all receivers, which do not know each other."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Self, assert_never

from serinus.engine.rollout.decision import Event, EventReason
from serinus.notification_settings import NotificationSettings, ReceiverKind, ReceiverSettings
from serinus.notifications.message import Message
from serinus.notifications.receiver import Channel, Receiver, Subscription
from serinus.notifications.slack import as_slack
from serinus.notifications.teams import as_teams
from serinus.notifications.transport import HttpTransport
from serinus.ports.acting import acting_for
from serinus.ports.notifications import Notification
from serinus.ports.services import Clock, Events
from serinus.telemetry import Telemetry

_PAUSE: Final = 0.1
# Slack allows one message a second for each webhook; Teams four.
_CHAT_PAUSE: Final = 1.0


class Notifications:
    """Implements the port ``Notifier``: ``notify`` queues, ``run`` sends."""

    def __init__(self, channels: Iterable[Channel], clock: Clock, telemetry: Telemetry, events: Events) -> None:
        """Prepare; nothing is sent before ``run``.

        Args:
            channels: the receivers.
            clock: the time.
            telemetry: the counters of what was sent.
            events: publishes a warning on a Rollout of which a receiver could not be told.
        """
        self._events = events
        self._warnings: asyncio.Queue[tuple[Notification, str]] = asyncio.Queue()
        self._receivers = tuple(
            Receiver(channel, clock, telemetry, partial(self._warn, channel.name)) for channel in channels
        )

    @classmethod
    def over_http(cls, settings: NotificationSettings, clock: Clock, telemetry: Telemetry, events: Events) -> Self:
        """Return the notifications of these settings."""
        channels = (_channel(receiver, settings.source, clock) for receiver in settings.receivers)
        return cls(channels, clock, telemetry, events)

    def notify(self, notification: Notification) -> None:
        """Queue a notification for each receiver that subscribes to it, and return at once."""
        for receiver in self._receivers:
            receiver.offer(notification)

    async def run(self) -> None:
        """Send until cancelled, each receiver by itself; what waits then is lost."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._publish())
                for receiver in self._receivers:
                    group.create_task(receiver.run())
        finally:
            await asyncio.gather(*(receiver.close() for receiver in self._receivers))

    def _warn(self, name: str, notification: Notification, problem: str) -> None:
        self._warnings.put_nowait((notification, f"The receiver {name} of notifications fails: {problem}. {_UNHARMED}"))

    async def _publish(self) -> None:
        while True:
            notification, message = await self._warnings.get()
            with acting_for(notification.model):
                event = Event(EventReason.NOTIFICATION_FAILED, message, warning=True)
                await self._events.publish(notification.owner, event)


_UNHARMED: Final = "The run and the audit trail are unaffected."


def _channel(settings: ReceiverSettings, source: str, clock: Clock) -> Channel:
    render, pause = _rendering(settings.type, source)
    return Channel(
        name=settings.name,
        subscription=Subscription(
            namespaces=frozenset(settings.namespaces),
            models=frozenset(settings.models),
            events=frozenset(settings.events),
        ),
        render=render,
        transport=HttpTransport(settings, clock),
        pause=pause,
    )


def _rendering(kind: ReceiverKind, source: str) -> tuple[Callable[[Notification], Message], float]:
    match kind:
        case ReceiverKind.CLOUDEVENTS:
            # The package takes 4 MiB, which only those need who have such a receiver.
            from serinus.notifications.cloudevents import as_cloudevent  # noqa: PLC0415

            return partial(as_cloudevent, source=source), _PAUSE
        case ReceiverKind.SLACK:
            return as_slack, _CHAT_PAUSE
        case ReceiverKind.TEAMS:
            return as_teams, _CHAT_PAUSE
        case _:
            assert_never(kind)
