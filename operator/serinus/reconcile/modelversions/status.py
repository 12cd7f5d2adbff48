"""What the registry and a ModelVersion's status shall say of a version, given what is found of it. Asks nobody."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import structs

from serinus.api.audit_record import AuditEvent
from serinus.api.conditions import ConditionType
from serinus.api.modelversion import ModelVersionStatus, VersionStage
from serinus.engine.conditions import FALSE, TRUE, UNKNOWN, ConditionUpdate, apply_updates
from serinus.engine.rollout.waiting import WaitReason
from serinus.engine.versions.admission import Review, schema_details
from serinus.engine.versions.catalogue import VersionEntry
from serinus.errors import SerinusError
from serinus.ports.cluster_state import ModelVersionRecord


def entry_of(version: ModelVersionRecord) -> VersionEntry:
    """Return a version as the registry keeps it."""
    assert version.spec is not None  # noqa: S101 - only what could be read is told
    return VersionEntry(
        spec=version.spec,
        spec_hash=version.spec_hash,
        registered_at=version.created_at,
        labels=version.labels,
        yanked=version.yanked,
    )


def pending_entries(version: ModelVersionRecord, found: Review) -> Iterable[tuple[AuditEvent, str, dict[str, str]]]:
    """Yield what the audit trail shall hold of a version, in order."""
    details = schema_details(found.compatibility)
    artifact = next(one for one in found.findings if one.kind is ConditionType.ARTIFACT_VERIFIED)
    accepted = next(one for one in found.findings if one.kind is ConditionType.ACCEPTED)
    if found.block is None or found.block.temporary or found.block.reason is WaitReason.VERSION_YANKED:
        yield AuditEvent.VERSION_REGISTERED, version.actors.reason, details
    else:
        yield AuditEvent.VERSION_REJECTED, accepted.message, {**details, "rule": accepted.reason}
    if found.waived:
        yield AuditEvent.SCHEMA_WAIVED, version.waiver, details
    if version.unsafe_rollback:
        yield AuditEvent.UNSAFE_ROLLBACK_ACCEPTED, version.unsafe_rollback, {}
    if artifact.status is TRUE:
        yield AuditEvent.ARTIFACT_VERIFIED, artifact.message, {}
    if artifact.status is FALSE:
        yield AuditEvent.ARTIFACT_FAILED, artifact.message, {}
    if version.yanked:
        yield AuditEvent.VERSION_YANKED, version.yanked, {}


def next_status(  # noqa: PLR0913, PLR0917 - what a status is made of
    version: ModelVersionRecord,
    found: Review,
    recorded: tuple[str, ...],
    failure: SerinusError | None,
    ready: int | None,
    stage: str,
    now: datetime,
) -> ModelVersionStatus:
    """Return what shall be said of a version; its traffic stays as it is."""
    known = ConditionUpdate(
        ConditionType.RECORDED,
        TRUE if failure is None else FALSE,
        "Recorded" if failure is None else "RegistryUnavailable",
        "The registry knows the version." if failure is None else f"The registry does not take it yet: {failure}",
    )
    findings = (*found.findings, known, _serving(version, ready))
    return structs.replace(
        version.status,
        observed_generation=version.generation,
        stage=stage,
        spec_hash=version.spec_hash,
        compatibility=found.compatibility,
        recorded=recorded,
        conditions=apply_updates(version.status.conditions, findings, version.generation, now),
    )


def idle_stage(version: ModelVersionRecord, found: Review) -> str:
    """Return where a version stands that no Rollout names: what a Rollout has said of it once, stays."""
    resting = {"", VersionStage.REGISTERED.value, VersionStage.QUARANTINED.value}
    if version.status.stage not in resting:
        return version.status.stage
    block = found.block is not None and not found.block.temporary
    return (VersionStage.QUARANTINED if block else VersionStage.REGISTERED).value


def _serving(version: ModelVersionRecord, ready: int | None) -> ConditionUpdate:
    kind = ConditionType.SERVING_READY
    if version.backend is None:
        return ConditionUpdate(kind, UNKNOWN, "NoBackend", "It says nothing of spec.serving.backendRef.")
    name = version.backend.name
    if ready is None:
        return ConditionUpdate(kind, UNKNOWN, "CannotCount", f"{name} is no Service whose endpoints could be counted.")
    # How many there are changes all the time; whether there is one seldom does.
    if ready:
        return ConditionUpdate(kind, TRUE, "EndpointsReady", f"{name} has a ready endpoint.")
    return ConditionUpdate(kind, FALSE, "NoEndpoints", f"{name} has no ready endpoint.")
