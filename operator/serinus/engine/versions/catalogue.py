"""A registered version, the hash that identifies its spec, and the filters of a list query."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import rfc8785
from msgspec import json

from serinus.api.audit_record import AuditRecordSpec, Registration
from serinus.api.model import Head
from serinus.api.modelversion import ModelVersionSpec, VersionStage
from serinus.api.parsing import decode, encode
from serinus.engine.audit.chain import digest_of
from serinus.engine.semver import parse_version
from serinus.engine.versions.lifecycle import version_stage
from serinus.errors import InvalidObjectError


def spec_hash(spec: ModelVersionSpec) -> str:
    """Return SHA-256 of the spec's canonical JSON (RFC 8785): equal specs have equal hashes.

    Raises:
        InvalidObjectError: the spec contains a number that JSON cannot represent exactly (RFC 8785: beyond 2^53).
    """
    try:
        return digest_of(encode(spec))
    except rfc8785.CanonicalizationError as problem:
        raise InvalidObjectError("spec", f"it has no canonical form: {problem}") from problem


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionEntry:
    """One registered version.

    Attributes:
        spec: the ModelVersion's spec.
        spec_hash: SHA-256 of the spec's canonical JSON.
        labels: its labels, for selection.
        registered_at: the time of registration, aware, UTC.
        yanked: why it must never serve again; empty where it may.
    """

    spec: ModelVersionSpec
    spec_hash: str
    registered_at: datetime
    labels: tuple[tuple[str, str], ...] = ()
    yanked: str = ""

    @property
    def version(self) -> str:
        """The version number, without a leading v."""
        return self.spec.version

    @property
    def digest(self) -> str:
        """The artifact's digest; empty where it has none."""
        return (self.spec.artifact.digest or "") if self.spec.artifact is not None else ""

    @property
    def data_digests(self) -> frozenset[str]:
        """The digests of its training data."""
        return frozenset(dataset.digest for dataset in self.spec.training_data if dataset.digest is not None)


def registration_of(entry: VersionEntry) -> Registration:
    """Return a version's facts in the form in which the record of its registration holds them."""
    spec = rfc8785.dumps(encode(entry.spec)).decode()
    return Registration(spec=spec, labels=dict(entry.labels), registered_at=entry.registered_at)


def recorded_entry(record: AuditRecordSpec, *, yanked: str = "") -> VersionEntry | None:
    """Return the version that a VersionRegistered record holds; None where an earlier release wrote it.

    Raises:
        InvalidObjectError: the spec in it does not decode.
    """
    held = record.registration
    if held is None:
        return None
    return VersionEntry(
        spec=decode(ModelVersionSpec, json.decode(held.spec), "registration.spec"),
        spec_hash=record.spec_hash,
        registered_at=held.registered_at,
        labels=tuple(sorted(held.labels.items())),
        yanked=yanked,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Filters of a list query; a version must match all that are set.

    Attributes:
        stage: the version's stage.
        digest: the artifact's digest.
        data_digest: the digest of one of its training data sets.
        major: the major version number.
        labels: labels that it must have.
    """

    stage: VersionStage | None = None
    digest: str | None = None
    data_digest: str | None = None
    major: int | None = None
    labels: tuple[tuple[str, str], ...] = ()


def select(entries: Iterable[VersionEntry], head: Head, query: Query) -> list[VersionEntry]:
    """Return the entries that match the query in SemVer order, newest first."""
    matching = [entry for entry in entries if _matches(entry, head, query)]
    return sorted(matching, key=lambda entry: parse_version(entry.version), reverse=True)


def _matches(entry: VersionEntry, head: Head, query: Query) -> bool:
    return (
        (query.stage is None or version_stage(head, entry.version) is query.stage)
        and (query.digest is None or entry.digest == query.digest)
        and (query.data_digest is None or query.data_digest in entry.data_digests)
        and (query.major is None or parse_version(entry.version).major == query.major)
        and set(query.labels) <= set(entry.labels)
    )
