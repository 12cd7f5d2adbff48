"""A version as the registry knows it: its spec, what identifies it, and the questions that a list answers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import rfc8785

from serinus.api.model import Head
from serinus.api.modelversion import ModelVersionSpec, VersionStage
from serinus.api.parsing import encode
from serinus.engine.audit.chain import digest_of
from serinus.engine.audit.head import version_stage
from serinus.engine.semver import parse_version
from serinus.errors import InvalidObjectError


def spec_hash(spec: ModelVersionSpec) -> str:
    """Return SHA-256 of the spec's canonical JSON: two specs that say the same have the same.

    Raises:
        InvalidObjectError: it holds a number that no JSON number says exactly (RFC 8785: beyond 2^53).
    """
    try:
        return digest_of(encode(spec))
    except rfc8785.CanonicalizationError as problem:
        raise InvalidObjectError("spec", f"it has no canonical form: {problem}") from problem


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionEntry:
    """One registered version.

    Attributes:
        spec: what the ModelVersion says.
        spec_hash: of exactly that.
        labels: for selection.
        registered_at: when, aware, UTC.
        yanked: why it must never serve again; empty where it may.
    """

    spec: ModelVersionSpec
    spec_hash: str
    registered_at: datetime
    labels: tuple[tuple[str, str], ...] = ()
    yanked: str = ""

    @property
    def version(self) -> str:
        """Its version, without a leading v."""
        return self.spec.version

    @property
    def digest(self) -> str:
        """Its artifact's digest; empty where it has none."""
        return (self.spec.artifact.digest or "") if self.spec.artifact is not None else ""

    @property
    def data_digests(self) -> frozenset[str]:
        """The digests of the data that it was trained on."""
        return frozenset(dataset.digest for dataset in self.spec.training_data if dataset.digest is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which versions are wanted; what is not given does not matter.

    Attributes:
        stage: where they stand.
        digest: the artifact's digest.
        data_digest: the digest of a data set that they were trained on.
        major: the major line.
        labels: labels that they must have.
    """

    stage: VersionStage | None = None
    digest: str | None = None
    data_digest: str | None = None
    major: int | None = None
    labels: tuple[tuple[str, str], ...] = ()


def select(entries: Iterable[VersionEntry], head: Head, query: Query) -> list[VersionEntry]:
    """Return the entries that the query wants, in the order of SemVer, the newest first."""
    found = [entry for entry in entries if _wanted(entry, head, query)]
    return sorted(found, key=lambda entry: parse_version(entry.version), reverse=True)


def _wanted(entry: VersionEntry, head: Head, query: Query) -> bool:
    return (
        (query.stage is None or version_stage(head, entry.version) is query.stage)
        and (query.digest is None or entry.digest == query.digest)
        and (query.data_digest is None or query.data_digest in entry.data_digests)
        and (query.major is None or parse_version(entry.version).major == query.major)
        and set(query.labels) <= set(entry.labels)
    )
