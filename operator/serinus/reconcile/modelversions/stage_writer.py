"""Writes the stage of each ModelVersion, in a queue of its own: no reconcile of a Rollout ever waits for it."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from msgspec import structs

from serinus.api.modelversion import ModelVersionStatus
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.backoff import Backoff
from serinus.engine.versions.lifecycle import VersionPlacement, next_placement
from serinus.errors import NotFoundError, SerinusError
from serinus.ports.acting import UNNAMED, acting_for
from serinus.ports.cluster_state import Meta, ModelVersionRecord
from serinus.ports.services import StatusWriter
from serinus.reconcile.workqueue import WorkQueue
from serinus.telemetry import Telemetry

logger = logging.getLogger(__name__)

WORKERS: Final = 4
BACKOFF: Final = Backoff(first=0.5, longest=30.0)

GATHER: Final = 3.0
"""Seconds that a new stage waits, so that the status is written once for all that changes within moments.

Longer than the outbox gathers records: what the registry answers to a promotion is written with the stage.
"""

ECHO: Final = 10.0
"""Seconds within which the watch shows a write. What it shows meanwhile may be older, such as somebody else's write to
the same object; what still differs afterwards is written again."""


class StageWriter:
    """Writes the stages that differ from the stored ones; of a version whose write waits only the newest is written."""

    def __init__(self, statuses: StatusWriter, telemetry: Telemetry) -> None:
        """Write through this port."""
        self._statuses = statuses
        self._telemetry = telemetry
        self._queue = WorkQueue()
        self._wanted: dict[ObjectKey, VersionPlacement] = {}
        self._models: dict[ObjectKey, ObjectKey] = {}
        self._metas: dict[ObjectKey, Meta] = {}
        self._written: dict[ObjectKey, tuple[VersionPlacement, float]] = {}
        self._pauses: dict[ObjectKey, float] = {}
        self._gathering: set[ObjectKey] = set()

    def __len__(self) -> int:
        """How many versions it remembers something of: none once the watch has shown every write."""
        return len({*self._wanted, *self._written, *self._pauses})

    def publish(self, versions: Iterable[ModelVersionRecord], status: RolloutStatus) -> None:
        """Have the stage and traffic of a model's versions written soon, where they are not what is stored."""
        for version in versions:
            key, published = version.meta.key, VersionPlacement.parse(version.stage, version.traffic)
            if not self._is_known(version.meta):
                # Another object has the name: what was written to the former one is not in its status.
                self.forget(key)
            self._metas[key] = version.meta
            # What was written last is what is stored, also where the watch shows something older: a version whose
            # Rollout is deleted meanwhile would keep the share that it had, as nobody publishes it again.
            stored = self._written_lately(key) or published
            wanted = next_placement(status, version.version, stored)
            if wanted == stored == published:
                self.forget(key)
            elif wanted == stored:
                self._wanted.pop(key, None)
            elif self._wanted.get(key) != wanted:
                self._wanted[key] = wanted
                self._models[key] = ObjectKey(key.namespace, version.model)
                if key not in self._gathering:
                    self._gathering.add(key)
                    asyncio.get_running_loop().call_later(GATHER, self._gathered, key)

    def _gathered(self, key: ObjectKey) -> None:
        self._gathering.discard(key)
        self._queue.add(key)

    async def write_review(self, meta: Meta, status: ModelVersionStatus) -> None:
        """Write the status of a version, its stage only where it has one, with the placement that waits to be written.

        Raises:
            SerinusError: nothing was written; the placement is written by itself.
        """
        key = meta.key
        placement = self._wanted.pop(key, None) if self._is_known(meta) else None
        if placement is not None:
            stage = placement.stage.value if placement.stage is not None else ""
            status = structs.replace(status, stage=stage, traffic=placement.traffic)
        try:
            await self._statuses.write_review(meta, status, with_traffic=placement is not None)
        except SerinusError:
            if placement is not None and key in self._models:
                self._wanted.setdefault(key, placement)
                self._queue.add(key)
            raise
        self._telemetry.writes.labels("modelversion").inc()
        if placement is not None:
            self._written[key] = placement, asyncio.get_running_loop().time()

    def _written_lately(self, key: ObjectKey) -> VersionPlacement | None:
        placement, at = self._written.get(key, (None, 0.0))
        return placement if asyncio.get_running_loop().time() - at < ECHO else None

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                await self._write(key)
            finally:
                self._queue.done(key)

    async def _write(self, key: ObjectKey) -> None:
        wanted, meta = self._wanted.get(key), self._metas.get(key)
        if wanted is None or meta is None:
            return
        stage = wanted.stage.value if wanted.stage is not None else ""
        try:
            with acting_for(self._models.get(key, UNNAMED)):
                await self._statuses.write_model_version(meta, stage=stage, traffic=wanted.traffic)
        except NotFoundError:
            # Where another one has the name by now, what is wanted of it is in the queue.
            if self._is_known(meta):
                self.forget(key)
        except SerinusError as problem:
            logger.warning("%s: the stage could not be written: %s; retrying", key, problem)
            self._retry(key)
        else:
            self._telemetry.writes.labels("modelversion").inc()
            self._pauses.pop(key, None)
            if self._wanted.get(key) == wanted:
                del self._wanted[key]
            self._written[key] = wanted, asyncio.get_running_loop().time()

    def _retry(self, key: ObjectKey) -> None:
        pause = self._pauses.get(key, BACKOFF.first)
        self._pauses[key] = BACKOFF.after(pause)
        asyncio.get_running_loop().call_later(pause, self._queue.add, key)

    def forget(self, key: ObjectKey) -> None:
        """Forget what is to be written of a version, and what was."""
        for part in (self._wanted, self._models, self._metas, self._written, self._pauses):
            part.pop(key, None)

    def _is_known(self, meta: Meta) -> bool:
        """Return whether no other object of this name is the one that is known."""
        return self._metas.get(meta.key, meta).uid == meta.uid
