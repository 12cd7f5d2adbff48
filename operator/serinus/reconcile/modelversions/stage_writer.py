"""Writes each ModelVersion's stage on every reconcile; a failed write is retried by the next."""

import logging
from collections.abc import Iterable

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.versions.lifecycle import VersionPlacement, next_placement
from serinus.errors import SerinusError
from serinus.ports.cluster_state import ModelVersionRecord
from serinus.ports.services import StatusWriter
from serinus.telemetry import Telemetry

logger = logging.getLogger(__name__)


class StageWriter:
    """Writes the stages that differ from the stored ones; remembers only writes that the watch has not shown yet."""

    def __init__(self, statuses: StatusWriter, telemetry: Telemetry) -> None:
        """Write through this port."""
        self._statuses = statuses
        self._telemetry = telemetry
        self._written: dict[ObjectKey, tuple[int, VersionPlacement]] = {}

    async def publish(self, versions: Iterable[ModelVersionRecord], status: RolloutStatus) -> None:
        """Write the stage and traffic of a model's versions; a failure is logged, the next reconcile tries again."""
        for version in versions:
            key, published = version.meta.key, VersionPlacement.parse(version.stage, version.traffic)
            placement = next_placement(status, version.version, published)
            if placement == published:
                self._written.pop(key, None)
            elif self._written.get(key) != (version.meta.version, placement):
                await self._write(version, placement)

    async def _write(self, version: ModelVersionRecord, placement: VersionPlacement) -> None:
        stage = placement.stage.value if placement.stage is not None else ""
        try:
            await self._statuses.write_model_version(version.meta.key, stage=stage, traffic=placement.traffic)
        except SerinusError as problem:
            logger.warning("%s: the stage could not be written: %s", version.meta.key, problem)
        else:
            self._written[version.meta.key] = (version.meta.version, placement)
            self._telemetry.writes.labels("modelversion").inc()
