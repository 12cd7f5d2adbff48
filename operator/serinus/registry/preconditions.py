"""What the records say before a step: whether a number is free, a yank is a change, a good version may serve."""

from dataclasses import replace
from typing import Final
from uuid import UUID, uuid5

from msgspec import structs

from serinus.api.audit_record import AuditEntry
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.engine.audit.head import ChangeRequest, RollBack
from serinus.engine.audit.registrations import RegisteredVersion
from serinus.engine.versions.catalogue import VersionEntry
from serinus.errors import NotFoundError, VersionTakenError
from serinus.ports.registry_store import RegistryStore, Yank

_YANKS: Final = UUID("7b0e3f5c-3a9d-5b61-9a55-0f4a8c1d2e77")
"""The UUID namespace of yanks: the same change of a version has the same id, whoever makes it."""


async def registered_entry(store: RegistryStore, model: ObjectKey, version: str) -> VersionEntry:
    """Return a version as it is stored; NotFoundError where it is not registered."""
    entry = await store.read_version(model, version)
    if entry is None:
        raise NotFoundError(f"{model.name} {version} is not registered in {model.namespace or 'the registry'}")
    return entry


async def yank_entry(
    store: RegistryStore, model: ObjectKey, head: Head, audit_entry: AuditEntry, yanks: Yank
) -> tuple[AuditEntry, int]:
    """Return the entry of the next change of a yank; the number of the last one where there is nothing to change.

    The id follows from the number of the change: two processes that make the same change make one record.
    """
    known = await store.read_registered(model, head, yanks.version)
    if known is None:
        raise NotFoundError(f"{model} {yanks.version} is not registered: apply its ModelVersion, or register it")
    if known.yanked == yanks.reason:
        return audit_entry, known.yank_record or head.audit.sequence
    change = f"{model}/{yanks.version}/yank/{known.yank_changes + 1}"
    entry = structs.replace(audit_entry, id=str(uuid5(_YANKS, change)), digest=known.digest, spec_hash=known.spec_hash)
    return entry, 0


async def passing_over_yanked(
    store: RegistryStore, model: ObjectKey, head: Head, request: ChangeRequest
) -> ChangeRequest:
    """Return a rollback without a target with the good versions that are yanked: it passes over them."""
    if not isinstance(request, RollBack) or request.to is not None:
        return request
    passed_over = []
    for version in head.good:
        known = await store.read_registered(model, head, version)
        if known is None or not known.yanked:
            break
        passed_over.append(version)
    return replace(request, passed_over=tuple(passed_over))


async def registered_as(store: RegistryStore, model: ObjectKey, head: Head, entry: VersionEntry) -> int:
    """Return the record that registers exactly this version already; 0 where one must be written.

    Raises:
        VersionTakenError: the number is registered with another spec.
    """
    known = await store.read_registered(model, head, entry.version)
    if known is None or not known.spec_hash:
        return 0
    if known.spec_hash != entry.spec_hash:
        raise VersionTakenError(_taken(model, known, entry.spec_hash))
    stored = await store.read_version(model, entry.version)
    return known.sequence if stored is not None and stored.spec_hash == entry.spec_hash else 0


def _taken(model: ObjectKey, known: RegisteredVersion, spec_hash: str) -> str:
    """Return why a version's number is taken, with the remedy."""
    record = f" by record {known.sequence}" if known.sequence else ""
    return (
        f"{model} {known.version} is registered with another spec{record}: {known.spec_hash}, not {spec_hash}, and a "
        "version never changes: give the new build a new version"
    )
