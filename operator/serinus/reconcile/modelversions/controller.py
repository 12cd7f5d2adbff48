"""Reconciles ModelVersions: verifies artifacts, records versions in the registry, writes the review into the status.

Works model by model beside the Rollouts' workers. A Rollout reads from the same AdmissionCache whether a version may
serve, so neither waits for the other.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

from msgspec import structs

from serinus.api.modelversion import ModelVersionStatus
from serinus.api.names import ObjectKey
from serinus.backoff import Backoff
from serinus.engine.versions.admission import RegistrationState, Review
from serinus.engine.versions.lifecycle import placements
from serinus.errors import SerinusError
from serinus.ports.acting import acting_for
from serinus.ports.cluster_state import ModelRecord, ModelVersionRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from serinus.reconcile.modelversions.deletions import Deletions
from serinus.reconcile.modelversions.recording import Recorded, VersionRecorder
from serinus.reconcile.modelversions.stage_writer import ECHO, StageWriter
from serinus.reconcile.modelversions.status import idle_stage, next_status
from serinus.reconcile.modelversions.verification import ArtifactVerification
from serinus.reconcile.ports import Ports
from serinus.reconcile.workqueue import WorkQueue
from serinus.telemetry import VERSIONS

logger = logging.getLogger(__name__)

WORKERS: Final = 2
BACKOFF: Final = Backoff(first=1.0, longest=60.0)
_NAMESPACE: Final = UUID("0c1f5a3e-7d0a-5c55-8a1e-2f64cf1d9b20")


class ModelVersionController:
    """One queue of models; a model is reconciled by one worker at a time."""

    def __init__(  # noqa: PLR0913 - the parts that it works with
        self,
        ports: Ports,
        cache: ClusterCache,
        admission: AdmissionCache,
        *,
        stages: StageWriter,
        actor_stamped: Callable[[], bool],
        enqueue_rollouts: Callable[[ObjectKey], None],
        queue: WorkQueue,
    ) -> None:
        """``enqueue_rollouts`` has the Rollouts of a model reconciled; ``stages`` has the placements to write."""
        self._ports = ports
        self._cache = cache
        self._admission = admission
        self._stages = stages
        self._enqueue_rollouts = enqueue_rollouts
        self._queue = queue
        self._durations = ports.telemetry.reconciles.labels(VERSIONS)
        self._deletions = Deletions(ports.audit_log, ports.clock, _NAMESPACE)
        self._recorder = VersionRecorder(
            ports, admission, actor_stamped=actor_stamped, namespace=_NAMESPACE, answered=self._answered
        )
        self._verification = ArtifactVerification(ports, admission, self._verified)
        self._pauses: dict[ObjectKey, float] = {}
        self._written: dict[ObjectKey, tuple[int, ModelVersionStatus]] = {}

    def enqueue(self, models: Iterable[ObjectKey]) -> None:
        """Have the versions of these models reconciled soon."""
        for model in models:
            self._queue.add(model)

    def on_delete(self, record: ModelVersionRecord | ModelRecord) -> None:
        """Have the deletion of a ModelVersion or a Model recorded."""
        if not self._ports.leadership.handles(_model_of(record)):
            return
        model = self._deletions.add(record)
        if model is not None:
            self.enqueue((model,))

    def forget(self, model: ObjectKey) -> None:
        """Forget everything about a model that another process handles."""
        self._deletions.forget(model)
        self._pauses.pop(model, None)
        for version in self._cache.versions(model.namespace, model.name):
            self._admission.forget(version.meta.uid)
            self._stages.forget(version.meta.key)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(WORKERS):
                    group.create_task(self._work())
        finally:
            self._verification.cancel()

    async def _work(self) -> None:
        while True:
            model = await self._queue.take()
            started = self._ports.clock.monotonic()
            try:
                with acting_for(model):
                    await self._reconcile(model)
            except SerinusError as problem:
                logger.warning("%s: model versions not fully reconciled: %s", model, problem)
                self._retry(model)
            except Exception as problem:  # a bug with one model must not end the work on the others
                self._ports.telemetry.failures.labels(type(problem).__name__).inc()
                logger.exception("%s: reconciling the model versions failed", model)
                self._retry(model)
            else:
                self._pauses.pop(model, None)
            finally:
                self._durations.observe(self._ports.clock.monotonic() - started)
                self._queue.done(model)

    def _retry(self, model: ObjectKey) -> None:
        pause = self._pauses.get(model, BACKOFF.first)
        self._pauses[model] = BACKOFF.after(pause)
        asyncio.get_running_loop().call_later(pause, self.enqueue, (model,))

    async def _reconcile(self, model: ObjectKey) -> None:
        if self._ports.leadership.epoch_of(model) is None:
            return
        await self._deletions.record(model)
        reviews = await self._compared(model)
        known = [one for one in self._cache.versions(model.namespace, model.name) if one.version in reviews]
        outcomes = []
        for version in known:
            self._verification.start(model, version)
            outcomes.append(await self._recorder.record(model, version, reviews[version.version]))
        # The registry's answers are part of the reviews.
        reviews = await self._compared(model)
        for recorded in outcomes:
            if recorded.version.version in reviews:
                await self._write_status(recorded, reviews[recorded.version.version])
        record = self._cache.model(model.namespace, model.name)
        if record is not None:
            await self._recorder.record_policy(record)
        problem = next((one.problem for one in reversed(outcomes) if one.problem is not None), None)
        if problem is not None:
            raise problem

    async def _compared(self, model: ObjectKey) -> Mapping[str, Review]:
        """Return the reviews when all schemas are compared, in another thread where that takes long."""
        while (due := self._admission.due(model)) is not None:
            self._admission.set_answers(model, await asyncio.to_thread(due.answers))
            self._enqueue_rollouts(model)
        return self._admission.reviews(model)

    def _answered(self, model: ObjectKey, state: RegistrationState) -> None:
        self._enqueue_rollouts(model)
        if state.taken:
            # The refusal is a record, too.
            self.enqueue((model,))

    def _verified(self, model: ObjectKey) -> None:
        self.enqueue((model,))
        self._enqueue_rollouts(model)

    # ---- the status ----------------------------------------------------------------------------

    async def _write_status(self, recorded: Recorded, review: Review) -> None:
        version = self._as_written(recorded.version)
        stage = version.status.stage if self._is_named(version) else idle_stage(version, review)
        ready, now = self._ready(version), self._ports.clock.now()
        registration = self._admission.registration_of(version)
        record = self._cache.model(version.meta.key.namespace, version.model)
        production = record.production if record is not None else None
        status = next_status(
            *(version, review, recorded.events, recorded.yanked, recorded.problem),
            *(registration, ready, stage, production, now),
        )
        if status != version.status:
            # A stage that stays is not written: a Rollout may be giving it another one at this moment.
            stage = status.stage if status.stage != version.status.stage else ""
            await self._stages.write_review(version.meta, structs.replace(status, stage=stage))
            self._written[version.meta.key] = version.meta.version, status
            asyncio.get_running_loop().call_later(ECHO, self._written.pop, version.meta.key, None)

    def _as_written(self, version: ModelVersionRecord) -> ModelVersionRecord:
        """Return the version with the status that was written last, where the watch has not shown that write yet."""
        seen, status = self._written.get(version.meta.key, (None, version.status))
        return replace(version, status=status) if seen == version.meta.version else version

    def _is_named(self, version: ModelVersionRecord) -> bool:
        """Return whether the status of a Rollout determines the version's stage."""
        rollouts = self._cache.rollouts_of(version.meta.key.namespace, version.model)
        return any(version.version in placements(record.status) for record in rollouts)

    def _ready(self, version: ModelVersionRecord) -> int | None:
        backend = version.backend
        if backend is None or backend.group or backend.kind != "Service":
            return None
        return self._cache.ready_endpoints(version.meta.key.namespace, backend.name)


def _model_of(record: ModelVersionRecord | ModelRecord) -> ObjectKey:
    key = record.meta.key
    return ObjectKey(key.namespace, record.model) if isinstance(record, ModelVersionRecord) else key
