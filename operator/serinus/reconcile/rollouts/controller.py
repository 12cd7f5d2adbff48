"""The operator's main loop: takes in the events of the watch, runs the ticks and the workers of the Rollouts."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from serinus.api.names import ObjectKey
from serinus.engine.rollout.traffic.confirmation import route_in_use
from serinus.errors import AmbiguousError, ConflictError, NotFoundError, OvertakenError, SerinusError
from serinus.ports.acting import acting_for
from serinus.ports.cluster_state import ROUTE_RECORDS, JobRecord, Record, RolloutRecord
from serinus.ports.services import MetricSource
from serinus.reconcile.early_events import EarlyEvents
from serinus.reconcile.modelversions.controller import ModelVersionController
from serinus.reconcile.rollouts.clock_steps import ClockSteps
from serinus.reconcile.rollouts.informer import Informer
from serinus.reconcile.rollouts.observe import spec_of
from serinus.reconcile.rollouts.queue import RETRY, RolloutQueue
from serinus.reconcile.rollouts.reconciler import RolloutReconciler
from serinus.reconcile.rollouts.safety_lane import SafetyLane
from serinus.telemetry import ORDINARY

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)

_AT_ONCE: Final = 100
"""Records that are stored or enqueued before the event loop does something else."""

URGENT_WORKERS: Final = 4
"""Ordinary workers that take only what the safety lane has handed over after a write, so that its status comes soon."""

CATCH_UPS: Final = 2
"""So many groups of stages have their past read at once: a source has as many threads for range queries."""


LONGEST_REST: Final = 2.0
"""Seconds: after a tick the source is left alone for as long as it took, at most so long. Ticks of a thousand canaries
would follow on each other else, and keep a core of Prometheus and most of this process's busy."""


class RolloutController:
    """Runs until it is cancelled; ``on_change``, ``on_delete`` and ``on_relist`` are called in its event loop.

    Attributes:
        synced: set once the whole cluster has been listed.
        heartbeat: the monotonic time of the loop's last sign of life, in seconds.
    """

    def __init__(  # noqa: PLR0913 - the parts that it runs
        self,
        reconciler: RolloutReconciler,
        lane: SafetyLane,
        queue: RolloutQueue,
        informer: Informer,
        model_versions: ModelVersionController,
        *,
        workers: int,
    ) -> None:
        """``workers`` bounds the concurrent reconciles of Rollouts that are not urgent."""
        self._reconciler = reconciler
        self._lane = lane
        self._ports, self._cache = reconciler.ports, reconciler.cache
        self._queue = queue
        self._informer = informer
        self._model_versions = model_versions
        self._workers = workers
        self._durations = self._ports.telemetry.reconciles.labels(ORDINARY)
        self._relist_wanted = asyncio.Event()
        self._to_relist: set[type[Record]] = set()
        self._early = EarlyEvents()
        self.synced = asyncio.Event()
        self.heartbeat = self._ports.clock.monotonic()

    # ---- the watch -----------------------------------------------------------------------------

    def on_change(self, record: Record) -> None:
        """An object was added or modified."""
        if not self._early.holds(type(record), record.meta.key, partial(self._on_change, record)):
            self._on_change(record)

    def _on_change(self, record: Record) -> None:
        """Take in an object; another one that had its name is gone, also where nobody has told that."""
        kind, key = type(record), record.meta.key
        uid = self._cache.uid_of(kind, key)
        if uid not in {None, record.meta.uid} and self._cache.is_news(record):
            self._on_delete(kind, key, uid)
        self._informer.on_change(record)

    def on_delete(self, kind: type[Record], key: ObjectKey, uid: str) -> None:
        """An object was deleted."""
        if not self._early.holds(kind, key, partial(self._on_delete, kind, key, uid)):
            self._on_delete(kind, key, uid)

    def _on_delete(self, kind: type[Record], key: ObjectKey, uid: str) -> None:
        record = self._cache.rollout(key) if kind is RolloutRecord else None
        if record is not None:
            # With the last plan that could be followed, which the cache forgets with the Rollout.
            record = replace(record, spec=spec_of(self._cache, record))
        job = self._cache.job(key) if kind is JobRecord else None
        if job is not None and job.meta.uid == uid and self._handles(job):
            self._reconciler.jobs.keep_outcome(job)
        registered = self._cache.registered(kind, key, uid)
        if registered is not None:
            self._model_versions.on_delete(registered)
        self._queue.enqueue_all(self._cache.drop(kind, key, uid))
        if record is not None and self._cache.rollout(key) is None:
            self._queue.forget(key)
            if self._ports.leadership.handles(record.model):
                self._reconciler.on_delete(record)
            else:
                self._reconciler.forget(record)

    def _handles(self, job: JobRecord) -> bool:
        return self._reconciler.decider.ownership.handles(ObjectKey(job.meta.key.namespace, job.rollout))

    def on_relist(self, kind: type[Record]) -> None:
        """A new watch of this kind begins here: list it once more."""
        self._to_relist.add(kind)
        self._relist_wanted.set()

    # ---- running -------------------------------------------------------------------------------

    async def run(self, resync_every: float) -> None:
        """List the cluster, then reconcile until cancelled; ``resync_every`` in seconds."""
        # The list begins now, so it has what the watches that have begun before do not tell of.
        self._relist_wanted.clear()
        self._to_relist.clear()
        await self._resync(self._cache.kinds)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work(only_urgent=False))
            for _ in range(URGENT_WORKERS):
                group.create_task(self._work(only_urgent=True))
            for name, source in self._ports.sources.items():
                ticked = tuple(asyncio.Event() for _ in range(CATCH_UPS))
                group.create_task(self._tick(name, source, ticked))
                for event in ticked:
                    group.create_task(self._catch_up(name, event))
            group.create_task(self._lane.run())
            group.create_task(self._reconciler.stages.run())
            group.create_task(self._model_versions.run())
            group.create_task(self._keep_in_sync(resync_every))
            group.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            self.heartbeat = self._ports.clock.monotonic()
            await asyncio.sleep(1)

    async def _keep_in_sync(self, every: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + every
        while True:
            try:
                async with asyncio.timeout_at(due):
                    # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the event.
                    await self._relist_wanted.wait()
            except TimeoutError:
                logger.debug("periodic resync")
                kinds, due = self._cache.kinds, loop.time() + every
            else:
                kinds = tuple(kind for kind in self._cache.kinds if kind in self._to_relist)
            self._relist_wanted.clear()
            self._to_relist.clear()
            await self._resync(kinds)

    async def _resync(self, kinds: tuple[type[Record], ...]) -> None:
        """List these kinds; nothing is decided before all of them were listed once."""
        for pause in RETRY:
            try:
                for kind in kinds:
                    await self._list(kind)
            except SerinusError as problem:
                logger.warning("the cluster could not be listed: %s; trying again in %g s", problem, pause)
                await asyncio.sleep(pause)
            else:
                if kinds == self._cache.kinds:
                    self._ports.telemetry.resyncs.inc()
                    self._early.release()
                    self.synced.set()
                return

    async def _list(self, kind: type[Record]) -> None:
        listing = self._cache.begin_listing(kind)
        try:
            listed = await self._ports.cluster.list_all(kind)
            if not listing.precedes(listed):
                logger.warning("the API server has answered with an old list of %s; listing again", kind.__name__)
                # A stale answer is not given twice: if this one is old too, the store was set back to a backup.
                listed = await self._ports.cluster.list_all(kind)
            self._cache.note_list(listed)
            for key in self._cache.vanished(listing, listed.records):
                self._on_delete(kind, key, listing.known[key])
            for part in _parts(listed.records):
                # At once with what takes their place: nothing is decided on a cluster without either.
                for key in self._cache.replaced(listing, part):
                    self._on_delete(kind, key, listing.known[key])
                self._informer.on_list(listing, part)
                await asyncio.sleep(0)
        finally:
            self._cache.end_listing(listing)
        if kind is RolloutRecord:
            for known in _parts(self._cache.rollouts()):
                self._queue.enqueue_all(record.meta.key for record in known)
                await asyncio.sleep(0)

    async def _tick(self, name: str, source: MetricSource, ticked: Collection[asyncio.Event]) -> None:
        """Query the source at every tick, and enqueue the Rollouts whose analysis has new answers."""
        clock, telemetry = self._ports.clock, self._ports.telemetry
        due = clock.monotonic()
        steps = ClockSteps(self._ports, self._cache, self._reconciler.tracker, name)
        while True:
            started = clock.monotonic()
            now = clock.now()
            try:
                steps.check(now, started)
                self._queue.enqueue_all(await self._reconciler.tracker.tick(name, now))
                await steps.say()
            except Exception as problem:  # a bug in one tick must not end the watch over everything else
                telemetry.failures.labels(type(problem).__name__).inc()
                logger.exception("source %s: the tick failed", name)
            telemetry.ticks.labels(name).inc()
            telemetry.tick_seconds.labels(name).observe(clock.monotonic() - started)
            for event in ticked:
                event.set()
            ended = clock.monotonic()
            due = max(due + source.tick.total_seconds(), ended + min(ended - started, LONGEST_REST))
            await asyncio.sleep(due - clock.monotonic())

    async def _catch_up(self, name: str, ticked: asyncio.Event) -> None:
        """Read what the analyses of one source miss, beside the ticks."""
        while True:
            try:
                found = await self._reconciler.tracker.catch_up(name)
            except Exception as problem:  # as for a tick
                self._ports.telemetry.failures.labels(type(problem).__name__).inc()
                logger.exception("source %s: the past could not be read", name)
                found = None
            if found is not None:
                self._queue.enqueue_all(found)
                continue
            await ticked.wait()
            ticked.clear()

    # ---- reconciling ---------------------------------------------------------------------------

    async def _work(self, *, only_urgent: bool) -> None:
        while True:
            key = await self._queue.take(only_urgent=only_urgent)
            started = self._ports.clock.monotonic()
            try:
                await self._reconcile(key)
            finally:
                self._durations.observe(self._ports.clock.monotonic() - started)
                self._queue.done(key)

    async def _reconcile(self, key: ObjectKey) -> None:
        try:
            with acting_for(self._reconciler.decider.model_of(key)):
                requeue_after = await self._reconciler.reconcile(key)
        except OvertakenError as problem:
            logger.info("%s", problem)
            self._queue.enqueue(key)
        except (ConflictError, AmbiguousError, NotFoundError) as problem:
            logger.info("%s: %s; re-reading", key, problem)
            await self._reread(key)
            self._retry(key, problem)
        except SerinusError as problem:
            logger.warning("%s: %s", key, problem)
            self._retry(key, problem)
        except Exception as problem:  # a bug with one Rollout must not end the work on the others
            logger.exception("%s: the reconcile failed", key)
            self._retry(key, problem)
        else:
            self._queue.succeeded(key)
            if requeue_after is not None:
                self._queue.requeue_after(key, requeue_after.total_seconds())

    def _retry(self, key: ObjectKey, problem: Exception) -> None:
        self._ports.telemetry.failures.labels(type(problem).__name__).inc()
        self._queue.retry(key, conflict=isinstance(problem, ConflictError))

    async def _reread(self, key: ObjectKey) -> None:
        """Read the Rollout and its route again: the cache may be wrong about both."""
        record, cluster = self._cache.rollout(key), self._ports.cluster
        ref = route_in_use(self._cache.last_plan(record), record.status) if record is not None else None
        await self._read(RolloutRecord, key, cluster.read_rollout)
        if ref is not None and ref.kind in self._cache.routers:
            where = ObjectKey(key.namespace, ref.name)
            await self._read(ROUTE_RECORDS[ref.kind], where, partial(cluster.read_route, ref.kind))

    async def _read(self, kind: type[Record], key: ObjectKey, read: Callable[[ObjectKey], Awaitable[Record]]) -> None:
        uid = self._cache.uid_of(kind, key)
        try:
            record = await read(key)
            if uid != record.meta.uid or not self._cache.is_gone(uid):
                # Else it was deleted before the answer came.
                self._on_change(record)
        except NotFoundError:
            logger.info("%s %s is gone", kind.__name__.removesuffix("Record"), key)
            if uid is not None:
                self._on_delete(kind, key, uid)
        except SerinusError as problem:
            logger.warning("%s: re-reading failed: %s", key, problem)


def _parts(records: Sequence[R]) -> Iterator[Sequence[R]]:
    """Divide records into parts between which the event loop has a turn."""
    return (records[first : first + _AT_ONCE] for first in range(0, len(records), _AT_ONCE))
