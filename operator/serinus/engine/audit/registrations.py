"""What the records of a chain say of each version: its spec for ever, and whether it is yanked.

The first ``VersionRegistered`` of a number decides. A ``RecordsPruned`` record repeats what the records say that
retention has removed, so that a number is not free again afterwards.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Final

from serinus.api.audit_record import AuditEvent, AuditRecordSpec, Registration, StandingVersion

REPEATED: Final = "versions"
"""The detail of a RecordsPruned record with the number of the versions that it repeats, also where there are none."""

_LONGEST_REASON: Final = 256
_NO_REASON: Final = "no reason was given"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """What the records say of one version.

    Attributes:
        version: its number.
        sequence: the record of its first registration; 0 where that record is not known.
        spec_hash: SHA-256 of its spec's canonical JSON; empty where the record of an earlier release does not say.
        digest: its artifact's digest; empty where it has none, or where the record does not say.
        labels: its labels when it was registered; None where the record does not say.
        registered_at: when its ModelVersion was made; None where the record does not say.
        holds_spec: whether the record holds the whole spec.
        yanked: why it must never serve; empty where it may.
        yank_changes: how often it was yanked or the yank was taken back.
        yank_record: the record of the last such change; 0 where that record is not known.
    """

    version: str
    sequence: int = 0
    spec_hash: str = ""
    digest: str = ""
    labels: Mapping[str, str] | None = None
    registered_at: datetime | None = None
    holds_spec: bool = False
    yanked: str = ""
    yank_changes: int = 0
    yank_record: int = 0


class RegisteredVersions:
    """The versions of one model as the fold of its records, in order.

    Attributes:
        complete: whether they are all the versions that were ever registered: from the first record on, or from a
            RecordsPruned record on that repeats the removed ones.
    """

    def __init__(self, *, complete: bool = True) -> None:
        """Begin with no record."""
        self._versions: dict[str, RegisteredVersion] = {}
        self.complete = complete

    def add(self, record: AuditRecordSpec) -> None:
        """Apply the next record; events that say nothing of versions change nothing."""
        for carried in record.standing:
            self._versions[carried.version] = _carried(carried, self._versions.get(carried.version))
        self.complete = self.complete or repeats_all(record)
        known = self._versions.get(record.version)
        match record.event:
            case AuditEvent.VERSION_REGISTERED if known is None or not (known.sequence or known.spec_hash):
                yanks = known or RegisteredVersion(version=record.version)
                self._versions[record.version] = replace(
                    _registered(record),
                    yanked=yanks.yanked,
                    yank_changes=yanks.yank_changes,
                    yank_record=yanks.yank_record,
                )
            case AuditEvent.VERSION_YANKED:
                reason = record.reason or record.message or _NO_REASON
                self._yank(known or RegisteredVersion(version=record.version), reason, record.sequence)
            case AuditEvent.VERSION_UNYANKED if known is not None:
                self._yank(known, "", record.sequence)
            case _:
                pass

    def _yank(self, known: RegisteredVersion, reason: str, sequence: int) -> None:
        changes = known.yank_changes + 1
        self._versions[known.version] = replace(known, yanked=reason, yank_changes=changes, yank_record=sequence)

    def get(self, version: str) -> RegisteredVersion | None:
        """Return what the records say of a version; None where they do not mention it."""
        return self._versions.get(version)

    def all(self) -> Iterable[RegisteredVersion]:
        """Return every version that the records mention as registered or yanked."""
        return self._versions.values()

    def standing(self) -> tuple[StandingVersion, ...]:
        """Return all versions in the form in which a RecordsPruned record repeats them."""
        return tuple(
            StandingVersion(
                version=one.version,
                spec_hash=one.spec_hash,
                digest=one.digest,
                yanked=one.yanked[:_LONGEST_REASON],
                yank_changes=one.yank_changes,
            )
            for one in sorted(self._versions.values(), key=lambda one: one.version)
        )


def _registered(record: AuditRecordSpec) -> RegisteredVersion:
    registration = record.registration
    return RegisteredVersion(
        version=record.version,
        sequence=record.sequence,
        spec_hash=record.spec_hash,
        digest=record.digest,
        labels=registration.labels if registration is not None else None,
        registered_at=registration.registered_at if registration is not None else None,
        holds_spec=registration is not None,
    )


def repeats_all(record: AuditRecordSpec) -> bool:
    """Return whether a record repeats what the removed ones say of versions; an earlier release's does not."""
    return record.event is AuditEvent.RECORDS_PRUNED and REPEATED in record.details


def _carried(carried: StandingVersion, known: RegisteredVersion | None) -> RegisteredVersion:
    """Return a version as of a RecordsPruned record, with what the records that are kept say beyond that."""
    known = known or RegisteredVersion(version=carried.version)
    return replace(
        known,
        spec_hash=known.spec_hash or carried.spec_hash,
        digest=known.digest or carried.digest,
        yanked=carried.yanked,
        yank_changes=carried.yank_changes,
    )


def text_hash(registration: Registration) -> str:
    """Return SHA-256 of the spec that a record holds, which is the version's spec hash."""
    return f"sha256:{sha256(registration.spec.encode()).hexdigest()}"
