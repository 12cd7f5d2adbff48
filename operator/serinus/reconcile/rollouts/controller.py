"""The operator's main loop: takes in what the cluster does, keeps the ticks, and gives every Rollout its looks."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Final

from serinus.api.names import ObjectKey
from serinus.backoff import Backoff
from serinus.engine.rollout.actions import RunHttpTest
from serinus.errors import AmbiguousError, ConflictError, NotFoundError, RefusedError, SerinusError
from serinus.ports.cluster_state import Meta, Record, RolloutRecord, RouteRecord
from serinus.ports.services import Cluster, MetricSource
from serinus.reconcile.cache import KINDS
from serinus.reconcile.modelversions.controller import ModelVersionController
from serinus.reconcile.rollouts.observe import spec_of
from serinus.reconcile.rollouts.priority import is_urgent
from serinus.reconcile.rollouts.reconciler import Shell, let_go, reconcile
from serinus.reconcile.workqueue import WorkQueue

logger = logging.getLogger(__name__)

URGENT_WORKERS: Final = 4
"""Workers that take urgent looks only, so that writes that hang elsewhere never hold up an abort."""

BACKOFF: Final = Backoff(first=0.2, longest=15.0)

CONFLICTS_FROM: Final = 1.0
"""The first conflicts are retried at once; from this pause on somebody else writes all the time, and we wait too."""


class RolloutController:
    """Runs until it is stopped. ``seen``, ``gone`` and ``restarted`` are called in its event loop."""

    def __init__(
        self,
        shell: Shell,
        desk: ModelVersionController,
        cluster: Cluster,
        sources: Mapping[str, MetricSource],
        *,
        workers: int,
    ) -> None:
        """Look at Rollouts through this shell, at ModelVersions through the desk; ``workers`` bounds the looks."""
        self._shell = shell
        self._desk = desk
        self._cluster = cluster
        self._sources = sources
        self._workers = workers
        self._queue = WorkQueue()
        self._timers: dict[ObjectKey, asyncio.TimerHandle] = {}
        self._retries: dict[ObjectKey, float] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._resync_wanted = asyncio.Event()
        self.synced = asyncio.Event()
        self.beat = shell.clock.monotonic()

    # ---- what the watch tells ------------------------------------------------------------------

    def on_change(self, record: Record) -> None:
        """An object is like this now."""
        store = self._shell.store
        behind = store.models_behind(record) if store.is_news(record) else frozenset()
        self._look_at(store.put(record))
        self._desk.notice(behind)

    def on_delete(self, kind: type[Record], key: ObjectKey, uid: str) -> None:
        """An object was deleted."""
        self._drop(kind, key, uid)

    def on_relist(self) -> None:
        """The watch was interrupted: list everything anew."""
        self._resync_wanted.set()

    # ---- running -------------------------------------------------------------------------------

    async def run(self, resync_every: float) -> None:
        """Look at Rollouts until cancelled; ``resync_every`` in seconds."""
        await self._resync()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work(only_urgent=False))
            for _ in range(URGENT_WORKERS):
                group.create_task(self._work(only_urgent=True))
            for name, source in self._sources.items():
                group.create_task(self._keep_ticks(name, source))
            group.create_task(self._desk.run())
            group.create_task(self._keep_in_sync(resync_every))
            group.create_task(self._heart())

    async def _heart(self) -> None:
        while True:
            self.beat = self._shell.clock.monotonic()
            await asyncio.sleep(1)

    async def _keep_in_sync(self, every: float) -> None:
        while True:
            try:
                # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the event.
                async with asyncio.timeout(every):
                    await self._resync_wanted.wait()
            except TimeoutError:
                logger.debug("resync by the clock")
            self._resync_wanted.clear()
            await self._resync()

    async def _resync(self) -> None:
        """List every kind; until the first time that works, nothing is decided."""
        for pause in BACKOFF:
            try:
                for kind in KINDS:
                    await self._list(kind)
            except SerinusError as problem:
                logger.warning("the cluster could not be listed: %s; trying again in %g s", problem, pause)
                await asyncio.sleep(pause)
            else:
                self._shell.telemetry.resyncs.inc()
                self.synced.set()
                return

    async def _list(self, kind: type[Record]) -> None:
        store = self._shell.store
        listing = store.begin_listing(kind)
        try:
            records = await self._cluster.list_all(kind)
            for key in store.vanished(listing, records):
                self._drop(kind, key, listing.known[key])
            news = [record for record in records if store.is_news(record)]
            self._look_at(store.put_all(listing, records))
            self._desk.notice(frozenset().union(*(store.models_behind(record) for record in news)))
        finally:
            store.end_listing(listing)
        if kind is RolloutRecord:
            self._look_at(frozenset(record.meta.key for record in store.rollouts()))

    async def _keep_ticks(self, name: str, source: MetricSource) -> None:
        """Ask the source at every tick, and look at the Rollouts whose evidence has grown."""
        clock, telemetry = self._shell.clock, self._shell.telemetry
        due = clock.monotonic()
        while True:
            started = clock.monotonic()
            try:
                for key, urgent in (await self._shell.tracker.tick(name, clock.now())).items():
                    await self._queue.add(key, urgent=urgent)
            except Exception as problem:  # a bug in one tick must not end the watch over everything else
                telemetry.failures.labels(type(problem).__name__).inc()
                logger.exception("source %s: the tick failed", name)
            telemetry.ticks.labels(name).inc()
            telemetry.tick_seconds.labels(name).observe(clock.monotonic() - started)
            due = max(due + source.tick.total_seconds(), clock.monotonic())
            await asyncio.sleep(due - clock.monotonic())

    # ---- looks ---------------------------------------------------------------------------------

    async def _work(self, *, only_urgent: bool) -> None:
        while True:
            key = await self._queue.take(only_urgent=only_urgent)
            try:
                await self._look(key)
            finally:
                await self._queue.done(key)

    async def _look(self, key: ObjectKey) -> None:
        self._cancel_timer(key)
        try:
            again = await reconcile(self._shell, key)
        except (ConflictError, AmbiguousError, NotFoundError) as problem:
            logger.info("%s: %s; reading it anew", key, problem)
            await self._read_anew(key)
            self._retry(key, problem)
        except SerinusError as problem:
            logger.warning("%s: %s", key, problem)
            self._retry(key, problem)
        except Exception as problem:  # a bug in one look must not end the others
            logger.exception("%s: the look failed", key)
            self._retry(key, problem)
        else:
            self._retries.pop(key, None)
            if again is not None:
                self._look_later(key, again.total_seconds())

    async def _read_anew(self, key: ObjectKey) -> None:
        """Believe nothing of what was known of the Rollout and its route."""
        store = self._shell.store
        record = store.rollout(key)
        plan = store.last_plan(record) if record is not None else None
        await self._read(RolloutRecord, key, self._cluster.read_rollout)
        if plan is not None:
            await self._read(
                RouteRecord, ObjectKey(key.namespace, plan.route.http_route.name), self._cluster.read_route
            )

    async def _read(self, kind: type[Record], key: ObjectKey, read: Callable[[ObjectKey], Awaitable[Record]]) -> None:
        uid = self._shell.store.uid_of(kind, key)
        try:
            self.on_change(await read(key))
        except NotFoundError:
            logger.info("%s %s is gone", kind.__name__.removesuffix("Record"), key)
            if uid is not None:
                self._drop(kind, key, uid)
        except SerinusError as problem:
            logger.warning("%s: could not be read anew: %s", key, problem)

    def _retry(self, key: ObjectKey, problem: Exception) -> None:
        self._shell.telemetry.failures.labels(type(problem).__name__).inc()
        pause = self._retries.get(key, BACKOFF.first)
        self._retries[key] = BACKOFF.after(pause)
        at_once = isinstance(problem, ConflictError) and pause < CONFLICTS_FROM
        self._look_later(key, 0 if at_once else pause)

    def _look_at(self, keys: frozenset[ObjectKey]) -> None:
        for key in keys:
            self._start(self._queue.add(key, urgent=self._is_urgent(key)))

    def _is_urgent(self, key: ObjectKey) -> bool:
        shell = self._shell
        return is_urgent(shell.store, shell.tracker, shell.desk, key)

    def _look_later(self, key: ObjectKey, seconds: float) -> None:
        self._cancel_timer(key)
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(seconds, lambda: self._look_at(frozenset({key})))

    def _cancel_timer(self, key: ObjectKey) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    # ---- beside the looks ----------------------------------------------------------------------

    def begin_http_test(self, owner: Meta, action: RunHttpTest) -> None:
        """Run an HTTP test beside the looks and look again when it has ended."""
        self._start(self._http_test(owner, action))

    async def _http_test(self, owner: Meta, action: RunHttpTest) -> None:
        if await self._shell.desk.run(owner, action):
            self._look_at(frozenset({owner.key}))

    def _drop(self, kind: type[Record], key: ObjectKey, uid: str) -> None:
        store = self._shell.store
        record = store.rollout(key) if kind is RolloutRecord else None
        if record is not None:
            # With the last plan that could be followed, which the store forgets with the Rollout.
            record = replace(record, spec=spec_of(store, record))
        self._look_at(store.drop(kind, key, uid))
        if record is not None and store.rollout(key) is None:
            self._cancel_timer(key)
            self._retries.pop(key, None)
            self._shell.tracker.forget(key)
            self._shell.desk.forget_all(record.meta.uid)
            self._shell.relay.forget(record)
            self._start(self._let_go(record))

    async def _let_go(self, record: RolloutRecord) -> None:
        """Take the traffic from the candidate of a deleted Rollout; nobody else would ever do it."""
        key, pauses = record.meta.key, iter(BACKOFF)
        while self._shell.store.rollout(key) is None:
            try:
                await let_go(self._shell, record)
            except (RefusedError, NotFoundError) as problem:
                logger.warning("%s was deleted; its candidate's traffic cannot be taken back: %s", key, problem)
            except SerinusError as problem:
                logger.warning("%s was deleted; its candidate may still have traffic: %s; trying again", key, problem)
                await asyncio.sleep(next(pauses))
                continue
            return

    def look(self, key: ObjectKey) -> None:
        """Look at a Rollout soon: something that it rests on has changed."""
        self._look_at(frozenset({key}))

    def look_at_model(self, model: ObjectKey) -> None:
        """Look at the Rollouts of a model soon."""
        rollouts = self._shell.store.rollouts_of(model.namespace, model.name)
        self._look_at(frozenset(record.meta.key for record in rollouts))

    def begin(self, work: Coroutine[object, object, object]) -> None:
        """Do something beside the looks."""
        self._start(work)

    def _start(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
