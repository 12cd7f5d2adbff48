"""One receiver of notifications: a bounded queue, one worker, tries with a bound."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from serinus.backoff import Backoff
from serinus.errors import RefusedError, SerinusError, TransientError
from serinus.notifications.message import Message
from serinus.notifications.transport import BusyError, Transport
from serinus.ports.notifications import Notification
from serinus.ports.services import Clock
from serinus.telemetry import Telemetry

logger = logging.getLogger(__name__)

QUEUE: Final = 1000
"""Notifications that may wait for one receiver; then the oldest one is dropped."""

TRIES: Final = 8
GIVE_UP_AFTER: Final = 300.0
"""Seconds after its first try after which a notification is not tried again."""

BACKOFF: Final = Backoff(first=1.0, longest=60.0, jitter=0.3)
LONGEST_ASKED: Final = 120.0
"""Seconds that a receiver may ask for with Retry-After; what waits behind the notification would be dropped."""

DOWN_AFTER: Final = 3
"""So many failed tries in a row mean that the receiver is down; so does a notification that is given up."""

SAY_EVERY: Final = 600.0
"""Seconds between two warnings about one receiver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What a receiver is told of; an empty set stands for everything."""

    namespaces: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()

    def covers(self, notification: Notification) -> bool:
        """Return whether the receiver is told of this."""
        return (
            (not self.namespaces or notification.model.namespace in self.namespaces)
            and (not self.models or notification.model.name in self.models)
            and (not self.events or notification.event in self.events)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """How a receiver is told.

    Attributes:
        name: the receiver's name.
        subscription: what it is told of.
        render: returns the message of a notification.
        transport: sends messages to it.
        pause: seconds between two messages, so that a flood of them neither busies the process nor is refused.
    """

    name: str
    subscription: Subscription
    render: Callable[[Notification], Message]
    transport: Transport
    pause: float


class Receiver:
    """The queue of one receiver and the worker that empties it."""

    def __init__(
        self, channel: Channel, clock: Clock, telemetry: Telemetry, on_down: Callable[[Notification, str], None]
    ) -> None:
        """Begin with an empty queue; ``on_down`` is called with a reason, at most every ``SAY_EVERY`` seconds."""
        self._channel, self._clock, self._on_down = channel, clock, on_down
        self._queue: deque[Notification] = deque()
        self._filled = asyncio.Event()
        self._failed_tries, self._unsaid_drops = 0, 0
        self._down = False
        self._said_at, self._drop_said_at = float("-inf"), float("-inf")
        name, sent = channel.name, telemetry.notifications
        # Made at once, so that a receiver that was never told anything has its zeros.
        self._delivered, self._failed = sent.labels(name, "delivered"), sent.labels(name, "failed")
        self._dropped = sent.labels(name, "dropped")
        self._queued, self._up = telemetry.notifications_queued.labels(name), telemetry.receiver_up.labels(name)
        self._up.set(1)

    def offer(self, notification: Notification) -> None:
        """Queue a notification that the receiver subscribes to; where the queue is full, drop the oldest one."""
        if not self._channel.subscription.covers(notification):
            return
        if len(self._queue) >= QUEUE:
            self._queue.popleft()
            self._drop()
        self._queue.append(notification)
        self._queued.set(len(self._queue))
        self._filled.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            while not self._queue:
                self._filled.clear()
                await self._filled.wait()
            notification = self._queue.popleft()
            self._queued.set(len(self._queue))
            try:
                await self._deliver(notification)
            except Exception:
                # A defect in a rendering must not end the operator, which keeps bad versions without traffic.
                self._failed.inc()
                logger.exception("notifications: %s not sent to %s", notification.event, self._channel.name)
            await asyncio.sleep(self._channel.pause)

    async def close(self) -> None:
        """Close its connections; what waits is lost."""
        await self._channel.transport.close()

    async def _deliver(self, notification: Notification) -> None:
        """Try until it is received, refused, or tried for long enough."""
        message, until = self._channel.render(notification), self._clock.monotonic() + GIVE_UP_AFTER
        pauses = iter(BACKOFF)
        for attempt in range(1, TRIES + 1):
            try:
                await self._channel.transport.send(message)
            except RefusedError as problem:
                self._give_up(notification, str(problem))
                return
            except TransientError as problem:
                pause = _pause(problem, pauses)
                self._failed_tries += 1
                if attempt == TRIES or self._clock.monotonic() + pause > until:
                    self._give_up(notification, str(problem))
                    return
                if self._failed_tries >= DOWN_AFTER:
                    self._is_down(notification, str(problem))
            else:
                self._is_up()
                return
            await asyncio.sleep(pause)

    def _is_up(self) -> None:
        self._delivered.inc()
        self._up.set(1)
        if self._down:
            logger.info("notifications: receiver %s receives again", self._channel.name)
        self._failed_tries, self._down = 0, False

    def _give_up(self, notification: Notification, problem: str) -> None:
        self._failed.inc()
        logger.debug("%s: %s not sent to %s", notification.owner.key, notification.event, self._channel.name)
        self._is_down(notification, problem)

    def _is_down(self, notification: Notification, problem: str) -> None:
        self._up.set(0)
        self._down = True
        now = self._clock.monotonic()
        if now - self._said_at < SAY_EVERY:
            return
        self._said_at = now
        logger.warning("notifications: receiver %s fails: %s", self._channel.name, problem)
        self._on_down(notification, problem)

    def _drop(self) -> None:
        self._dropped.inc()
        self._unsaid_drops += 1
        now = self._clock.monotonic()
        if now - self._drop_said_at < SAY_EVERY:
            return
        logger.warning("notifications: receiver %s: queue full, %d dropped", self._channel.name, self._unsaid_drops)
        self._drop_said_at, self._unsaid_drops = now, 0


def _pause(problem: SerinusError, pauses: Iterator[float]) -> float:
    """Return the seconds until the next try: by the backoff, or longer where the receiver asks for it."""
    asked = min(problem.seconds, LONGEST_ASKED) if isinstance(problem, BusyError) else 0.0
    return max(next(pauses), asked)
