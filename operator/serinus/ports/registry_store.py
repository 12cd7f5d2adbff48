"""The port of the registry's storage: one adapter for each kind of store, one contract suite for all."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.engine.audit.chain import ChainOwner, StoredRecord
from serinus.engine.audit.contents import StoredContents
from serinus.engine.audit.registrations import RegisteredVersion
from serinus.engine.versions.catalogue import Query, VersionEntry


@dataclass(frozen=True, slots=True)
class Yank:
    """A version that must never serve, for this reason; or, where the reason is empty, may serve again."""

    version: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One step of a model's history, stored atomically.

    Attributes:
        model: the model.
        before: the head that it was decided on: if the head has changed since, nothing is stored.
        record: the next link of the chain.
        after: the head that it leads to.
        serves: a version that must be registered, with ``digest`` and not yanked, or nothing is stored; empty where
            the step does not depend on one.
        digest: its artifact's digest.
        registers: a version that is registered by this step; None for all other steps.
        yanks: a registered version that this step yanks, or whose yank it takes back; None for all other steps.
        head_later: the step that follows is committed next: a store that writes its head apart from the record may
            leave the head to that one.
        stored: the head in the store, where earlier steps have left it behind ``before``; None where it is ``before``.
    """

    model: ObjectKey
    before: Head
    record: AuditRecordSpec
    after: Head
    serves: str = ""
    digest: str = ""
    registers: VersionEntry | None = None
    yanks: Yank | None = None
    head_later: bool = False
    stored: Head | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """What is stored again after a loss: all of it follows from the chain and its archive.

    Attributes:
        before: the head that is replaced; None where there is none, or none that can be read.
        head: the fold of the chain.
        records: those that the store has lost, in order.
        versions: those that a store that owns its versions has lost or shows differently, with what the records say.
    """

    before: Head | None
    head: Head
    records: tuple[AuditRecordSpec, ...] = ()
    versions: tuple[tuple[VersionEntry, RegisteredVersion], ...] = ()


class RegistryStore(Protocol):
    """Stores heads, versions and audit records.

    Every method raises TransientError where the store is unavailable and RefusedError where it rejects the request.
    """

    async def read_head(self, model: ObjectKey) -> Head:
        """Return the model's head, strongly consistent, in one request; an empty one for an unknown model."""

    async def read_version(self, model: ObjectKey, version: str) -> VersionEntry | None:
        """Return one version, strongly consistent; None where it is not registered."""

    async def read_registered(self, model: ObjectKey, head: Head, version: str) -> RegisteredVersion | None:
        """Return what the records up to this head say of a version, strongly consistent; None where they do not.

        Unlike ``read_version`` it does not depend on what somebody has made of the version's object since.
        """

    def list_versions(self, model: ObjectKey, query: Query) -> AsyncIterator[VersionEntry]:
        """Yield the model's versions, page by page, in no promised order.

        The query may be used to read less; the caller selects again.
        """

    def find_versions(self, query: Query) -> AsyncIterator[tuple[ObjectKey, VersionEntry]]:
        """Yield the versions of all models that have the query's digest or data digest; eventually consistent."""

    def list_models(self) -> AsyncIterator[tuple[ObjectKey, Head]]:
        """Yield all models with their heads; eventually consistent."""

    async def owner(self) -> ChainOwner:
        """Return the cluster whose heads and chains these are.

        Raises:
            ConfigurationError: the store has those of several clusters, and none is named.
        """

    async def clusters(self) -> tuple[str, ...]:
        """Return the names of all clusters that have heads in the store; none where it is a cluster's own."""

    async def check_owner(self) -> None:
        """Raise ClusterTakenError where the name of this cluster belongs to another one; write nothing."""

    async def commit(self, step: Commit) -> None:
        """Store the step: record, head and registered version together.

        Idempotent: committing the same record id again changes nothing, however often and from wherever.

        Raises:
            ConflictError: the head is no longer ``before``: read it, decide again.
            NotFoundError: ``serves`` or ``yanks`` is not registered.
            RefusedError: ``serves`` has another digest or is yanked; the step is too large for the store.
            VersionTakenError: ``registers`` or ``serves`` is registered with another spec.
            AmbiguousError: it may have been stored: commit it again.
        """

    async def find_record(self, model: ObjectKey, head: Head, record_id: str) -> int | None:
        """Return the sequence number of the record with this id, or None; ``head`` may save the request."""

    def read_records(
        self, model: ObjectKey, *, after: int = 0, through: int | None = None
    ) -> AsyncIterator[StoredRecord]:
        """Yield the chain's records after ``after`` up to ``through`` in order, page by page, strongly consistent."""

    async def inspect(self, model: ObjectKey) -> StoredContents:
        """Return everything that the store shows of a model beside its chain, with its contradictions.

        It never fails because of what is stored: what cannot be read is a defect.
        """

    def list_chains(self) -> AsyncIterator[ObjectKey]:
        """Yield each model that has a record, whether or not it has a head; reads the whole audit trail."""

    async def restore(self, model: ObjectKey, restoration: Restoration) -> None:
        """Store what is missing or differs, the head last; repeating it changes nothing more.

        Raises:
            ConflictError: somebody has written the head meanwhile: read everything again.
            RefusedError: the store does not let the head go back, or this role may not write it.
            AmbiguousError: some of it may be stored: restore again.
        """

    async def remove_records(self, model: ObjectKey, through: int) -> int:
        """Delete the records up to this one, which the head must show as pruned, and return how many were deleted."""

    async def close(self) -> None:
        """Release connections and threads."""
