"""Desired audit entries and status of a ModelVersion, from its review. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from msgspec import structs

from serinus.api.audit_record import AuditEvent
from serinus.api.conditions import Condition, ConditionType
from serinus.api.model import ProductionVersion
from serinus.api.modelversion import ModelVersionStatus, VersionStage
from serinus.engine.conditions import FALSE, TRUE, UNKNOWN, ConditionUpdate, apply_updates
from serinus.engine.rollout.waiting import WaitReason
from serinus.engine.versions.admission import RegistrationState, Review
from serinus.engine.versions.catalogue import VersionEntry
from serinus.engine.versions.schema_changes import schema_details
from serinus.errors import SerinusError
from serinus.ports.cluster_state import ModelRecord, ModelVersionRecord

_NO_STAMP: Final = (
    "spec.approvals.fourEyes cannot be enforced, and approves nothing: the API server does not stamp who acts. "
    "Install the chart's actor stamp (Kubernetes 1.36 or newer; in 1.34 and 1.35 turn on the feature gate "
    "MutatingAdmissionPolicy and its API v1beta1), or leave fourEyes out."
)


def entry_of(version: ModelVersionRecord) -> VersionEntry:
    """Return a version as the registry stores it."""
    assert version.spec is not None  # noqa: S101 - a version that cannot be read has no review
    return VersionEntry(
        spec=version.spec,
        spec_hash=version.spec_hash,
        registered_at=version.created_at,
        labels=version.labels,
        yanked=version.yanked,
    )


def pending_entries(version: ModelVersionRecord, review: Review) -> Iterable[tuple[AuditEvent, str, dict[str, str]]]:
    """Yield the event, reason and details of every audit entry that a version should have, in order."""
    details = schema_details(review.compatibility)
    conditions = {update.kind: update for update in review.findings}
    artifact, accepted = conditions[ConditionType.ARTIFACT_VERIFIED], conditions[ConditionType.ACCEPTED]
    if review.block is None or review.block.temporary or review.block.reason is WaitReason.VERSION_YANKED:
        yield AuditEvent.VERSION_REGISTERED, version.actors.reason, details
    else:
        yield AuditEvent.VERSION_REJECTED, accepted.message, {**details, "rule": accepted.reason}
    if review.waived:
        yield AuditEvent.SCHEMA_WAIVED, version.waiver, details
    if review.metrics_acknowledged:
        yield AuditEvent.WORSE_METRICS_ACCEPTED, version.worse_metrics, {}
    if version.unsafe_rollback:
        yield AuditEvent.UNSAFE_ROLLBACK_ACCEPTED, version.unsafe_rollback, {}
    if artifact.status is TRUE:
        yield AuditEvent.ARTIFACT_VERIFIED, artifact.message, {}
    if artifact.status is FALSE:
        yield AuditEvent.ARTIFACT_FAILED, artifact.message, {}


def next_status(  # noqa: PLR0913, PLR0917 - what a status is made of
    version: ModelVersionRecord,
    review: Review,
    recorded: tuple[str, ...],
    yanked: str,
    failure: SerinusError | None,
    registration: RegistrationState,
    ready: int | None,
    stage: str,
    production: ProductionVersion | None,
    now: datetime,
) -> ModelVersionStatus:
    """Return the desired status of a version; its traffic stays as it is."""
    updates = (*review.findings, _recorded(registration, failure), _serving(version, ready))
    return structs.replace(
        _promoted(version, production),
        observed_generation=version.generation,
        stage=stage,
        spec_hash=version.spec_hash,
        compatibility=review.compatibility,
        recorded=recorded,
        yanked=yanked,
        conditions=apply_updates(version.status.conditions, updates, version.generation, now),
    )


def _promoted(version: ModelVersionRecord, production: ProductionVersion | None) -> ModelVersionStatus:
    """Return the status with its promotion as the head has it; one that does not serve any more keeps the last."""
    if production is None or production.version != version.version:
        return version.status
    return structs.replace(
        version.status,
        promoted_at=production.promoted_at,
        promoted_by=production.promoted_by,
        promoted_because=production.promoted_because,
    )


def _recorded(registration: RegistrationState, failure: SerinusError | None) -> ConditionUpdate:
    kind = ConditionType.RECORDED
    if registration.taken:
        return ConditionUpdate(kind, FALSE, WaitReason.VERSION_TAKEN.value, registration.taken)
    if failure is None:
        return ConditionUpdate(kind, TRUE, "Recorded", "The registry knows the version.")
    return ConditionUpdate(kind, FALSE, "RegistryUnavailable", f"The registry has not accepted it yet: {failure}")


def idle_stage(version: ModelVersionRecord, review: Review) -> str:
    """Return the stage of a version that no Rollout names; a stage that came from a Rollout stays."""
    idle = {"", VersionStage.REGISTERED.value, VersionStage.QUARANTINED.value}
    if version.status.stage not in idle:
        return version.status.stage
    blocked = review.block is not None and not review.block.temporary
    return (VersionStage.QUARANTINED if blocked else VersionStage.REGISTERED).value


def _serving(version: ModelVersionRecord, ready: int | None) -> ConditionUpdate:
    kind = ConditionType.SERVING_READY
    if version.backend is None:
        return ConditionUpdate(kind, UNKNOWN, "NoBackend", "The ModelVersion has no spec.serving.backendRef.")
    name = version.backend.name
    if ready is None:
        return ConditionUpdate(
            kind, UNKNOWN, "CannotCount", f"{name} is not a Service: its endpoints cannot be counted."
        )
    # Without the count, which changes all the time: every new message would be another write.
    if ready:
        return ConditionUpdate(kind, TRUE, "EndpointsReady", f"{name} has a ready endpoint.")
    return ConditionUpdate(kind, FALSE, "NoEndpoints", f"{name} has no ready endpoint.")


def policy_conditions(record: ModelRecord, now: datetime, *, actor_stamped: bool) -> tuple[Condition, ...]:
    """Return the conditions of a Model; one that was never in doubt says nothing.

    Four eyes compare two names, and where the API server stamps none there is no name that could be believed.
    """
    if record.policy.approvals.four_eyes and not actor_stamped:
        update = ConditionUpdate(ConditionType.ACCEPTED, FALSE, "ActorStampMissing", _NO_STAMP)
    elif record.conditions:
        update = ConditionUpdate(ConditionType.ACCEPTED, TRUE, "PolicyEnforced", "The policy is enforced.")
    else:
        return ()
    return apply_updates(record.conditions, (update,), record.generation, now)
