"""Takes in ModelVersions: has their bytes looked at, tells the registry of them, and says on each what is found.

Works model by model beside the looks at Rollouts; what a look needs of it (may this version serve?) it reads from
the same reviews, so neither waits for the other.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from msgspec import structs

from serinus.api.audit_record import AuditEntry, AuditEvent
from serinus.api.model import ModelSpec, Verification
from serinus.api.names import UNVERIFIED, ObjectKey
from serinus.api.parsing import encode
from serinus.backoff import Backoff
from serinus.engine.rollout.observation import Actors
from serinus.engine.rollout.outbox import actor_of
from serinus.engine.versions.admission import Review, verification_of
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.engine.versions.lifecycle import placements
from serinus.errors import NotFoundError, SerinusError
from serinus.ports.cluster_state import ModelRecord, ModelVersionRecord
from serinus.ports.services import ArtifactVerifier, AuditLog, Clock, Leadership, StatusWriter
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from serinus.reconcile.modelversions.status import entry_of, idle_stage, next_status, pending_entries
from serinus.reconcile.workqueue import WorkQueue
from serinus.telemetry import Telemetry

logger = logging.getLogger(__name__)

WORKERS: Final = 2
BACKOFF: Final = Backoff(first=1.0, longest=60.0)
LOOK_AGAIN: Final = 600.0
"""Seconds until an artifact that was not as the spec says is looked at again: somebody may have mended it."""

ARTIFACT_BACKOFF: Final = Backoff(BACKOFF.first, longest=LOOK_AGAIN)

_NAMESPACE: Final = UUID("0c1f5a3e-7d0a-5c55-8a1e-2f64cf1d9b20")


@dataclass(frozen=True, slots=True)
class Outside:
    """The ports that the desk needs."""

    ledger: AuditLog
    statuses: StatusWriter
    verifier: ArtifactVerifier
    leadership: Leadership
    clock: Clock
    telemetry: Telemetry


class ModelVersionController:
    """One queue of models; a model is worked on by one worker at a time."""

    def __init__(
        self,
        store: ClusterCache,
        reviews: AdmissionCache,
        outside: Outside,
        *,
        actor_stamped: bool,
        look: Callable[[ObjectKey], None],
    ) -> None:
        """``look`` asks for a look at the Rollouts of a model."""
        self._store, self._reviews = store, reviews
        self._ledger, self._statuses, self._verifier = outside.ledger, outside.statuses, outside.verifier
        self._leadership, self._clock, self._telemetry = outside.leadership, outside.clock, outside.telemetry
        self._actor_stamped = actor_stamped
        self._look = look
        self._queue = WorkQueue()
        self._pauses: dict[ObjectKey, float] = {}
        self._looking: set[str] = set()
        self._tasks: set[asyncio.Task[object]] = set()

    def notice(self, models: Iterable[ObjectKey]) -> None:
        """Look at these models' versions soon."""
        for model in models:
            self._start(self._queue.add(model))

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(WORKERS):
                    group.create_task(self._work())
        finally:
            for task in self._tasks:
                task.cancel()

    async def _work(self) -> None:
        while True:
            model = await self._queue.take()
            try:
                await self._attend(model)
            except SerinusError as problem:
                logger.warning("%s: its versions are not all taken in yet: %s", model, problem)
                self._again(model)
            except Exception as problem:  # a bug with one model must not end the work on the others
                self._telemetry.failures.labels(type(problem).__name__).inc()
                logger.exception("%s: its versions could not be looked at", model)
                self._again(model)
            else:
                self._pauses.pop(model, None)
            finally:
                await self._queue.done(model)

    def _again(self, model: ObjectKey) -> None:
        pause = self._pauses.get(model, BACKOFF.first)
        self._pauses[model] = BACKOFF.after(pause)
        asyncio.get_running_loop().call_later(pause, self.notice, (model,))

    async def _attend(self, model: ObjectKey) -> None:
        if self._leadership.epoch is None:
            return
        reviews, problem = self._reviews.of(model), None
        for version in self._store.versions(model.namespace, model.name):
            found = reviews.get(version.version)
            if found is None:
                continue
            self._have_looked_at(model, version)
            recorded, failure = await self._tell(model, version, found)
            problem = failure or problem
            await self._say(version, found, recorded, failure)
        record = self._store.model(model.namespace, model.name)
        if record is not None:
            await self._tell_policy(record)
        if problem is not None:
            raise problem

    # ---- the registry --------------------------------------------------------------------------

    async def _tell(
        self, model: ObjectKey, version: ModelVersionRecord, found: Review
    ) -> tuple[tuple[str, ...], SerinusError | None]:
        """Tell the registry what it does not know yet of a version, and return what it knows now."""
        recorded = list(version.status.recorded) if version.status.spec_hash == version.spec_hash else []
        for event, reason, details in pending_entries(version, found):
            if event.value in recorded:
                continue
            audit_entry = self._happening(version, event, reason, details)
            try:
                if event is AuditEvent.VERSION_REGISTERED:
                    await self._ledger.register(model, entry_of(version), audit_entry)
                else:
                    await self._ledger.record(model, audit_entry)
                if event is AuditEvent.VERSION_YANKED:
                    await self._ledger.set_yanked(model, version.version, version.yanked)
            except NotFoundError:
                logger.info("%s: %s was never registered, so it need not be yanked", model, version.version)
            except SerinusError as failure:
                return tuple(sorted(recorded)), failure
            recorded.append(event.value)
            self._telemetry.records.labels(event.value).inc()
        return tuple(sorted(recorded)), None

    def _happening(
        self, version: ModelVersionRecord, event: AuditEvent, reason: str, details: dict[str, str]
    ) -> AuditEntry:
        actors = version.actors if self._actor_stamped else Actors(on_behalf_of=version.actors.on_behalf_of)
        own = event in {AuditEvent.ARTIFACT_VERIFIED, AuditEvent.ARTIFACT_FAILED, AuditEvent.VERSION_REJECTED}
        spec = version.spec
        digest = spec.artifact.digest if spec is not None and spec.artifact is not None else None
        return AuditEntry(
            id=str(uuid5(_NAMESPACE, f"{version.meta.uid}/{event.value}/{version.spec_hash}")),
            event=event,
            at=self._clock.now(),
            version=version.version,
            digest=digest or "",
            spec_hash=version.spec_hash,
            actor=actor_of("" if own else actors.requested_by),
            on_behalf_of=None if own else actors.on_behalf_of,
            reason=reason[:4096],
            details=details,
        )

    async def _tell_policy(self, record: ModelRecord) -> None:
        """Tell the registry that the team's policy is another one than before."""
        if record.observed_generation == record.generation or record.problem:
            return
        by = record.actors.requested_by if self._actor_stamped else UNVERIFIED
        policy = encode(record.policy)
        audit_entry = AuditEntry(
            id=str(uuid5(_NAMESPACE, f"{record.meta.uid}/policy/{record.generation}")),
            event=AuditEvent.POLICY_CHANGED,
            at=self._clock.now(),
            actor=actor_of(by),
            on_behalf_of=record.actors.on_behalf_of,
            reason=record.actors.reason,
            details={name: str(value) for name, value in sorted(policy.items())},
        )
        # A Model that the operator has just made says nothing yet.
        if record.policy != ModelSpec() or record.generation > 1:
            await self._ledger.record(record.meta.key, audit_entry)
        await self._statuses.write_policy_seen(record.meta.key, record.generation)

    # ---- what is said --------------------------------------------------------------------------

    async def _say(
        self, version: ModelVersionRecord, found: Review, recorded: tuple[str, ...], failure: SerinusError | None
    ) -> None:
        stage = version.status.stage if self._is_named(version) else idle_stage(version, found)
        status = next_status(version, found, recorded, failure, self._ready(version), stage, self._clock.now())
        if status != version.status:
            # A stage that stays is not written: a Rollout may be giving it another one at this moment.
            stage = status.stage if status.stage != version.status.stage else ""
            await self._statuses.write_review(version.meta.key, structs.replace(status, stage=stage))
            self._telemetry.writes.labels("modelversion").inc()

    def _is_named(self, version: ModelVersionRecord) -> bool:
        """Say whether a Rollout has a word on where the version stands."""
        rollouts = self._store.rollouts_of(version.meta.key.namespace, version.model)
        return any(version.version in placements(record.status) for record in rollouts)

    def _ready(self, version: ModelVersionRecord) -> int | None:
        backend = version.backend
        if backend is None or backend.group or backend.kind != "Service":
            return None
        return self._store.ready_endpoints(version.meta.key.namespace, backend.name)

    # ---- the bytes -----------------------------------------------------------------------------

    def _have_looked_at(self, model: ObjectKey, version: ModelVersionRecord) -> None:
        """Have the artifact looked at beside everything else, where the policy wants it and nobody has yet."""
        spec, uid = version.spec, version.meta.uid
        if spec is None or uid in self._looking or self._reviews.artifact_of(version) is not None:
            return
        how = verification_of(spec, self._reviews.policy(model), self._reviews.verification)
        if how is Verification.OFF:
            return
        self._looking.add(uid)
        self._start(self._look_at_bytes(model, version, how))

    async def _look_at_bytes(self, model: ObjectKey, version: ModelVersionRecord, how: Verification) -> None:
        assert version.spec is not None  # noqa: S101 - the caller has looked
        try:
            for pause in ARTIFACT_BACKOFF:
                found = await self._found(version, how)
                self._reviews.note_artifact(version.meta.uid, found)
                self.notice((model,))
                self._look(model)
                if found.result in {ArtifactResult.VERIFIED, ArtifactResult.NO_DIGEST, ArtifactResult.UNSUPPORTED}:
                    return
                await asyncio.sleep(LOOK_AGAIN if found.final else pause)
        finally:
            self._looking.discard(version.meta.uid)

    async def _found(self, version: ModelVersionRecord, how: Verification) -> ArtifactFinding:
        assert version.spec is not None  # noqa: S101 - likewise
        if version.spec.artifact is None:
            return ArtifactFinding(ArtifactResult.MISSING, "spec.artifact is not given, and the Model asks for it.")
        return await self._verifier.verify(version.spec.artifact, how)

    def _start(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
