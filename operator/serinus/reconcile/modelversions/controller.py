"""Reconciles ModelVersions: verifies artifacts, records versions in the registry, writes the review into the status.

Works model by model beside the Rollouts' workers. A Rollout reads from the same AdmissionCache whether a version may
serve, so neither waits for the other.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID, uuid5

from msgspec import json, structs

from serinus.api.audit_record import AuditEntry, AuditEvent
from serinus.api.model import ModelSpec, Verification
from serinus.api.modelversion import Artifact, ModelVersionStatus
from serinus.api.names import UNVERIFIED, ObjectKey
from serinus.api.parsing import encode
from serinus.backoff import Backoff
from serinus.engine.rollout.observation import Actors
from serinus.engine.rollout.outbox import actor_of
from serinus.engine.versions.admission import RegistrationState, Review, verification_of
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.engine.versions.lifecycle import placements
from serinus.errors import NotFoundError, SerinusError, VersionTakenError
from serinus.ports.acting import acting_for
from serinus.ports.cluster_state import ModelRecord, ModelVersionRecord
from serinus.reconcile.background import BackgroundTasks
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from serinus.reconcile.modelversions.deletions import Deletions
from serinus.reconcile.modelversions.stage_writer import ECHO, StageWriter
from serinus.reconcile.modelversions.status import entry_of, idle_stage, next_status, pending_entries, policy_conditions
from serinus.reconcile.ports import Ports
from serinus.reconcile.workqueue import WorkQueue
from serinus.telemetry import VERSIONS

logger = logging.getLogger(__name__)

WORKERS: Final = 2
BACKOFF: Final = Backoff(first=1.0, longest=60.0)
VERIFY_AGAIN: Final = 600.0
"""Seconds until an artifact that differs from the spec is verified again: somebody may have replaced it."""

ARTIFACT_BACKOFF: Final = Backoff(BACKOFF.first, longest=VERIFY_AGAIN)

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
        self._actor_stamped = actor_stamped
        self._enqueue_rollouts = enqueue_rollouts
        self._queue = queue
        self._durations = ports.telemetry.reconciles.labels(VERSIONS)
        self._deletions = Deletions(ports.audit_log, ports.clock, _NAMESPACE)
        self._background = BackgroundTasks()
        self._pauses: dict[ObjectKey, float] = {}
        self._verifying: set[str] = set()
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
            self._background.cancel()

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
        outcomes, problem = [], None
        reviews = await self._compared(model)
        for version in self._cache.versions(model.namespace, model.name):
            if version.version in reviews:
                self._start_verification(model, version)
                recorded, failure = await self._record(model, version, reviews[version.version])
                yanked, unyanked = await self._record_yank(model, version)
                if self._admission.registration_of(version).yanked and unyanked is None:
                    # Somebody may have taken the yank back in the registry.
                    unyanked = await self._asked_again(model, version)
                failure = failure or unyanked
                problem = failure or problem
                outcomes.append((version, recorded, yanked, failure))
        # The registry's answers are part of the reviews.
        reviews = await self._compared(model)
        for version, recorded, yanked, failure in outcomes:
            if version.version in reviews:
                await self._write_status(version, reviews[version.version], recorded, yanked, failure)
        record = self._cache.model(model.namespace, model.name)
        if record is not None:
            await self._record_policy(record)
        if problem is not None:
            raise problem

    async def _compared(self, model: ObjectKey) -> Mapping[str, Review]:
        """Return the reviews when all schemas are compared, in another thread where that takes long."""
        while (due := self._admission.due(model)) is not None:
            self._admission.set_answers(model, await asyncio.to_thread(due.answers))
            self._enqueue_rollouts(model)
        return self._admission.reviews(model)

    # ---- the registry --------------------------------------------------------------------------

    async def _record(
        self, model: ObjectKey, version: ModelVersionRecord, review: Review
    ) -> tuple[tuple[str, ...], SerinusError | None]:
        """Record a version's pending entries, and return what is recorded now and what went wrong."""
        audit_log, telemetry = self._ports.audit_log, self._ports.telemetry
        recorded = list(version.status.recorded) if version.status.spec_hash == version.spec_hash else []
        recorded = [event for event in recorded if event != AuditEvent.VERSION_YANKED.value]
        for event, reason, details in pending_entries(version, review):
            if event.value in recorded:
                continue
            audit_entry = self._audit_entry(version, event, reason, details)
            try:
                if event is AuditEvent.VERSION_REGISTERED:
                    await audit_log.register(model, entry_of(version), audit_entry)
                    await self._ask_standing(model, version)
                else:
                    await audit_log.record(model, audit_entry)
            except VersionTakenError as refusal:
                self._registered(model, version, RegistrationState(taken=str(refusal)))
                return tuple(sorted(recorded)), None
            except SerinusError as failure:
                return tuple(sorted(recorded)), failure
            recorded.append(event.value)
            telemetry.records.labels(event.value).inc()
        return tuple(sorted(recorded)), None

    async def _ask_standing(self, model: ObjectKey, version: ModelVersionRecord) -> None:
        """Keep that the version is registered, and whether the records bar it although its object does not say so."""
        standing = await self._ports.audit_log.standing(model, version.version)
        inherited = standing.yanked if standing is not None and not version.yanked else ""
        self._registered(model, version, RegistrationState(yanked=inherited))

    async def _asked_again(self, model: ObjectKey, version: ModelVersionRecord) -> SerinusError | None:
        try:
            await self._ask_standing(model, version)
        except SerinusError as failure:
            return failure
        return None

    async def _record_yank(self, model: ObjectKey, version: ModelVersionRecord) -> tuple[str, SerinusError | None]:
        """Record that the version was yanked or the yank taken back, and return which yank the records have now."""
        recorded, wanted = version.status.yanked, version.yanked
        # An earlier release noted the event only, so that the reason is not known.
        noted = AuditEvent.VERSION_YANKED.value in version.status.recorded
        if version.status.spec_hash != version.spec_hash:
            recorded, noted = "", False
        if wanted == recorded and not noted:
            return recorded, None
        event = AuditEvent.VERSION_YANKED if wanted else AuditEvent.VERSION_UNYANKED
        audit_entry = self._audit_entry(version, event, wanted or version.actors.reason, {})
        try:
            await self._ports.audit_log.set_yanked(model, version.version, wanted, audit_entry)
            await self._ask_standing(model, version)
        except NotFoundError:
            logger.info("%s: %s was never registered, so it need not be yanked", model, version.version)
        except SerinusError as failure:
            return recorded, failure
        else:
            self._ports.telemetry.records.labels(event.value).inc()
        return wanted, None

    def _registered(self, model: ObjectKey, version: ModelVersionRecord, state: RegistrationState) -> None:
        """Keep what the registry has answered, and have everything reconciled that depends on it."""
        if self._admission.registration_of(version) == state:
            return
        self._admission.set_registration(version.meta.uid, state)
        self._enqueue_rollouts(model)
        if state.taken:
            # The refusal is a record, too.
            self.enqueue((model,))

    def _audit_entry(
        self, version: ModelVersionRecord, event: AuditEvent, reason: str, details: dict[str, str]
    ) -> AuditEntry:
        actors = version.actors if self._actor_stamped() else Actors(on_behalf_of=version.actors.on_behalf_of)
        own = event in {AuditEvent.ARTIFACT_VERIFIED, AuditEvent.ARTIFACT_FAILED, AuditEvent.VERSION_REJECTED}
        spec = version.spec
        digest = spec.artifact.digest if spec is not None and spec.artifact is not None else None
        return AuditEntry(
            id=str(uuid5(_NAMESPACE, f"{version.meta.uid}/{event.value}/{version.spec_hash}")),
            event=event,
            at=self._ports.clock.now(),
            version=version.version,
            digest=digest or "",
            spec_hash=version.spec_hash,
            actor=actor_of("" if own else actors.requested_by),
            on_behalf_of=None if own else actors.on_behalf_of,
            reason=reason[:4096],
            details=details,
        )

    async def _record_policy(self, record: ModelRecord) -> None:
        """Record that the Model's policy has changed, and say in its status where it cannot be enforced."""
        if record.problem:
            return
        conditions = policy_conditions(record, self._ports.clock.now(), actor_stamped=self._actor_stamped())
        if record.observed_generation != record.generation:
            await self._record_change_of_policy(record)
        elif conditions == record.conditions:
            return
        await self._ports.statuses.write_policy_seen(record.meta.key, record.generation, conditions)

    async def _record_change_of_policy(self, record: ModelRecord) -> None:
        by = record.actors.requested_by if self._actor_stamped() else UNVERIFIED
        policy = encode(record.policy)
        audit_entry = AuditEntry(
            id=str(uuid5(_NAMESPACE, f"{record.meta.uid}/policy/{record.generation}")),
            event=AuditEvent.POLICY_CHANGED,
            at=self._ports.clock.now(),
            actor=actor_of(by),
            on_behalf_of=record.actors.on_behalf_of,
            # Who wrote the reason stands beside it: one that an earlier change has left there is nobody's.
            reason=record.actors.reason if record.actors.reason_by in {"", by} else "",
            # A gap in the generations shows that the policy was something else in between.
            details={name: _text(value) for name, value in sorted(policy.items())}
            | {"generation": str(record.generation)},
        )
        # A Model that the operator has just created has no policy of its own yet.
        if record.policy != ModelSpec() or record.generation > 1:
            await self._ports.audit_log.record(record.meta.key, audit_entry)

    # ---- the status ----------------------------------------------------------------------------

    async def _write_status(
        self,
        version: ModelVersionRecord,
        review: Review,
        recorded: tuple[str, ...],
        yanked: str,
        failure: SerinusError | None,
    ) -> None:
        version = self._as_written(version)
        stage = version.status.stage if self._is_named(version) else idle_stage(version, review)
        ready, now = self._ready(version), self._ports.clock.now()
        registration = self._admission.registration_of(version)
        record = self._cache.model(version.meta.key.namespace, version.model)
        production = record.production if record is not None else None
        status = next_status(version, review, recorded, yanked, failure, registration, ready, stage, production, now)
        if status != version.status:
            # A stage that stays is not written: a Rollout may be giving it another one at this moment.
            stage = status.stage if status.stage != version.status.stage else ""
            await self._stages.write_review(version.meta.key, structs.replace(status, stage=stage))
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

    # ---- the artifact --------------------------------------------------------------------------

    def _start_verification(self, model: ObjectKey, version: ModelVersionRecord) -> None:
        """Verify the artifact in the background, where the policy asks for it and no result is known."""
        spec, uid = version.spec, version.meta.uid
        if spec is None or uid in self._verifying or self._admission.artifact_of(version) is not None:
            return
        mode = verification_of(spec, self._admission.policy(model), self._admission.verification)
        if mode is Verification.OFF:
            return
        self._verifying.add(uid)
        self._background.start(self._verify(model, uid, spec.artifact, mode))

    async def _verify(self, model: ObjectKey, uid: str, artifact: Artifact | None, mode: Verification) -> None:
        """Verify until the result can only change with the spec, or another process handles the model."""
        try:
            for pause in ARTIFACT_BACKOFF:
                if not self._ports.leadership.handles(model):
                    return
                finding = await self._verify_once(model.namespace, artifact, mode)
                self._admission.set_artifact(uid, finding)
                self.enqueue((model,))
                self._enqueue_rollouts(model)
                if finding.result in {ArtifactResult.VERIFIED, ArtifactResult.NO_DIGEST, ArtifactResult.UNSUPPORTED}:
                    return
                await asyncio.sleep(VERIFY_AGAIN if finding.final else pause)
        finally:
            self._verifying.discard(uid)

    async def _verify_once(self, namespace: str, artifact: Artifact | None, mode: Verification) -> ArtifactFinding:
        if artifact is None:
            return ArtifactFinding(ArtifactResult.MISSING, "spec.artifact is not given, and the Model asks for it.")
        return await self._ports.verifier.verify(namespace, artifact, mode)


def _model_of(record: ModelVersionRecord | ModelRecord) -> ObjectKey:
    key = record.meta.key
    return ObjectKey(key.namespace, record.model) if isinstance(record, ModelVersionRecord) else key


def _text(value: object) -> str:
    """Return a part of a policy as a record has it: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.encode(value, order="sorted").decode()
