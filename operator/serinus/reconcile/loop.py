"""The operator's main loop: takes in what the cluster does, keeps the ticks, and gives every Rollout its looks."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Final

from serinus.api.names import ObjectKey
from serinus.engine.actions import RunHttpTest
from serinus.engine.transitions import Mode, mode_of
from serinus.errors import AmbiguousError, ConflictError, NotFoundError, SerinusError
from serinus.ports import Cluster, Meta, MetricSource, Record, RolloutRecord
from serinus.reconcile.rollout import Shell, let_go, reconcile
from serinus.reconcile.store import KINDS
from serinus.reconcile.workqueue import WorkQueue

logger = logging.getLogger(__name__)

URGENT_WORKERS: Final = 4
"""Workers that take urgent looks only, so that writes that hang elsewhere never hold up an abort."""

FIRST_RETRY: Final = 0.2
LONGEST_RETRY: Final = 15.0


class Loop:
    """Runs until it is stopped. ``seen``, ``gone`` and ``restarted`` are called in its event loop."""

    def __init__(self, shell: Shell, cluster: Cluster, sources: Mapping[str, MetricSource], *, workers: int) -> None:
        """Look at Rollouts through this shell; ``workers`` bounds the looks at a time."""
        self._shell = shell
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

    def seen(self, record: Record) -> None:
        """An object is like this now."""
        self._look_at(self._shell.store.put(record))

    def gone(self, kind: type[Record], key: ObjectKey, uid: str) -> None:
        """An object was deleted."""
        self._drop(kind, key, uid)

    def restarted(self) -> None:
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
            group.create_task(self._keep_in_sync(resync_every))
            group.create_task(self._heart())

    async def _heart(self) -> None:
        while True:
            self.beat = self._shell.clock.monotonic()
            await asyncio.sleep(1)

    async def _keep_in_sync(self, every: float) -> None:
        while True:
            try:
                await asyncio.wait_for(self._resync_wanted.wait(), every)
            except TimeoutError:
                logger.debug("resync by the clock")
            self._resync_wanted.clear()
            await self._resync()

    async def _resync(self) -> None:
        """List every kind; until the first time that works, nothing is decided."""
        pause = FIRST_RETRY
        while True:
            try:
                for kind in KINDS:
                    before = self._shell.store.known(kind)
                    self._take_in(kind, await self._cluster.list_all(kind), before)
            except SerinusError as problem:
                logger.warning("the cluster could not be listed: %s; trying again in %g s", problem, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_RETRY)
            else:
                self._shell.telemetry.resyncs.inc()
                self.synced.set()
                return

    def _take_in(self, kind: type[Record], records: Sequence[Record], before: frozenset[tuple[ObjectKey, str]]) -> None:
        store = self._shell.store
        if kind is RolloutRecord:
            kept = {record.meta.key for record in records}
            for key, uid in before:
                if key not in kept:
                    self._drop(kind, key, uid)
        self._look_at(store.replace_all(kind, records, before))
        if kind is RolloutRecord:
            self._look_at(frozenset(record.meta.key for record in store.rollouts()))

    async def _keep_ticks(self, name: str, source: MetricSource) -> None:
        """Ask the source at every tick, and look at the Rollouts whose evidence has grown."""
        clock, telemetry = self._shell.clock, self._shell.telemetry
        due = clock.monotonic()
        while True:
            started = clock.monotonic()
            try:
                for key, urgent in (await self._shell.book.tick(name, clock.now())).items():
                    await self._queue.add(key, urgent=urgent)
            except SerinusError as problem:
                logger.warning("source %s: the tick failed: %s", name, problem)
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
        try:
            self.seen(await self._cluster.read_rollout(key))
            if plan is not None:
                self.seen(await self._cluster.read_route(ObjectKey(key.namespace, plan.route.http_route.name)))
        except NotFoundError:
            logger.info("%s: it or its route is gone", key)
        except SerinusError as problem:
            logger.warning("%s: could not be read anew: %s", key, problem)

    def _retry(self, key: ObjectKey, problem: Exception) -> None:
        self._shell.telemetry.failures.labels(type(problem).__name__).inc()
        pause = self._retries.get(key, FIRST_RETRY)
        self._retries[key] = min(2 * pause, LONGEST_RETRY)
        self._look_later(key, 0 if isinstance(problem, ConflictError) else pause)

    def _look_at(self, keys: frozenset[ObjectKey]) -> None:
        for key in keys:
            self._start(self._queue.add(key, urgent=self._is_urgent(key)))

    def _is_urgent(self, key: ObjectKey) -> bool:
        record = self._shell.store.rollout(key)
        return record is not None and mode_of(record.status) in {Mode.ROLLING_BACK, Mode.STRANDED}

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
            await self._queue.add(owner.key)

    def _drop(self, kind: type[Record], key: ObjectKey, uid: str) -> None:
        record = self._shell.store.rollout(key) if kind is RolloutRecord else None
        self._look_at(self._shell.store.drop(kind, key, uid))
        if record is not None and self._shell.store.rollout(key) is None:
            self._cancel_timer(key)
            self._retries.pop(key, None)
            self._shell.book.forget(key)
            self._start(self._let_go(record))

    async def _let_go(self, record: RolloutRecord) -> None:
        try:
            await let_go(self._shell, record)
        except SerinusError as problem:
            logger.warning("%s was deleted, but its candidate may still have traffic: %s", record.meta.key, problem)

    def _start(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
