"""The facts of each version as the records hold them, whatever has become of its ModelVersion since.

A record of an earlier release holds no spec. Then the registry's entry is shown where its hash is the recorded one, and
marked where no record vouches for it; an entry that contradicts its record is not shown at all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from msgspec import DecodeError

from serinus.api.audit_record import AuditEvent, AuditRecordSpec
from serinus.engine.audit.registrations import RegisteredVersion, RegisteredVersions
from serinus.engine.versions.catalogue import VersionEntry, recorded_entry
from serinus.errors import InvalidObjectError


class FactsSource(StrEnum):
    """Where the facts of a version come from."""

    RECORD = "the record of its registration"
    PROVEN_ENTRY = "the registry's entry, whose hash is the recorded one"
    ENTRY = "the registry's entry as it is today; no record that is kept vouches for it"
    CONTRADICTED = "no source: the registry's entry has another hash than the record, and the record holds no facts"
    NOTHING = "no source: it is not in the registry, and the record holds no facts"


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """A version's facts and where they come from; ``entry`` is None where there are none to show."""

    entry: VersionEntry | None
    source: FactsSource


def facts_of(
    entries: Iterable[VersionEntry], records: Sequence[AuditRecordSpec], as_of: datetime
) -> Mapping[str, VersionFacts]:
    """Return the facts of every version that is registered or that a record registers, by version.

    Args:
        entries: the registry's, as they are today; those registered later than ``as_of`` are left out.
        records: up to ``as_of``, in order.
        as_of: the time that the report is about.
    """
    versions, first = RegisteredVersions(), dict[str, AuditRecordSpec]()
    for record in records:
        versions.add(record)
        if record.event is AuditEvent.VERSION_REGISTERED and record.version:
            first.setdefault(record.version, record)
    today = {entry.version: entry for entry in entries}
    return {
        version: facts
        for version in today.keys() | first.keys()
        if (facts := _facts(today.get(version), first.get(version), versions.get(version), as_of)) is not None
    }


def _facts(
    entry: VersionEntry | None, record: AuditRecordSpec | None, known: RegisteredVersion | None, as_of: datetime
) -> VersionFacts | None:
    held = _held(record, known)
    if held is not None:
        return VersionFacts(held, FactsSource.RECORD)
    if entry is None:
        return VersionFacts(None, FactsSource.NOTHING)
    recorded = known.spec_hash if known is not None else ""
    if recorded == entry.spec_hash:
        return VersionFacts(entry, FactsSource.PROVEN_ENTRY)
    if recorded:
        return VersionFacts(None, FactsSource.CONTRADICTED)
    return VersionFacts(entry, FactsSource.ENTRY) if entry.registered_at <= as_of else None


def _held(record: AuditRecordSpec | None, known: RegisteredVersion | None) -> VersionEntry | None:
    if record is None:
        return None
    try:
        return recorded_entry(record, yanked=known.yanked if known is not None else "")
    except (InvalidObjectError, DecodeError):
        return None  # a later release wrote it; the verification compares its hash
