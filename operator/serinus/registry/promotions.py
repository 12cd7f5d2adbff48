"""Who made a version the production version last, when and why, from the head or from the records."""

from serinus.api.audit_record import PROMOTED_BECAUSE, PROMOTED_BY, AuditRecordSpec
from serinus.api.model import Head, ProductionVersion
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.ports.registry_store import RegistryStore


async def last_promotion(store: RegistryStore, model: ObjectKey, head: Head, version: str) -> ProductionVersion | None:
    """Return the last promotion of a version; None where no kept record makes it the production version.

    One that the head does not tell is searched in the whole chain.

    Raises:
        InvalidObjectError: a record cannot be decoded.
        TransientError, RefusedError: see serinus.errors.
    """
    serving = head.production
    if serving is not None and serving.version == version and serving.promoted_by:
        return serving
    found: ProductionVersion | None = None
    async for stored in store.read_records(model, after=head.audit.pruned_through, through=head.audit.sequence):
        record = decode(AuditRecordSpec, dict(stored.content), f"record {stored.sequence}")
        if record.after.production == version != record.before.production:
            found = _promotion(record)
    return found


def _promotion(record: AuditRecordSpec) -> ProductionVersion:
    return ProductionVersion(
        version=record.after.production,
        digest=record.digest,
        since=record.at,
        promoted_by=record.details.get(PROMOTED_BY, record.actor.name),
        promoted_because=record.details.get(PROMOTED_BECAUSE, "") or record.reason or record.message,
    )
