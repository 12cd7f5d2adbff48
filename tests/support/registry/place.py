"""The interface of the contract suite to each store of the registry, and builders of its test data."""

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, Protocol

from serinus.api.audit_record import (
    Actor,
    ActorKind,
    AuditEntry,
    AuditEvent,
    AuditRecordSpec,
    Authentication,
    OperatorIdentity,
)
from serinus.api.model import Head
from serinus.api.modelversion import Artifact, Dataset, ModelVersionSpec
from serinus.api.names import ObjectKey
from serinus.engine.audit.head import fold, seal
from serinus.engine.versions.catalogue import VersionEntry, spec_hash
from serinus.ports.registry_store import Commit, RegistryStore
from serinus.registry.service import Registry

PAGE: Final = 100


class Crash(BaseException):
    """The process has died: no code of ours may catch this."""


class Fault(StrEnum):
    """The ways in which one request fails."""

    THROTTLED = "throttled"
    """The store refuses the request because of too many; it does nothing."""
    TIMED_OUT_BEFORE = "timed out, nothing was done"
    TIMED_OUT_AFTER = "timed out, it was done"


class Place(Protocol):
    """One store and its data, which outlive every connection; the fixture closes all connections.

    Requests are counted from 1 where they leave the adapter: one for each call of the client.
    """

    def open(self, *, page_size: int = PAGE) -> RegistryStore:
        """Return a new, independent connection on the same data, as another process would have."""

    def fresh_model(self) -> ObjectKey:
        """Return an unused model that could be stored; names derived from it are unused as well."""

    def crashing(self, after: int) -> RegistryStore:
        """Return a connection that raises :class:`Crash` after its n-th request, whose response is lost."""

    def crashing_before(self, request: int) -> RegistryStore:
        """Return a connection that raises :class:`Crash` instead of sending its n-th request."""

    def failing(self, *faults: Fault | None) -> RegistryStore:
        """Return a connection whose first requests have these faults; None, and all later requests, succeed."""


START: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)
BY: Final = OperatorIdentity(version="0.0.0-test", instance="contract")
ALICE: Final = Actor(name="alice@example.com", kind=ActorKind.PERSON, authentication=Authentication.ADMISSION)


class CountingClock:
    """The port ``Clock``: advances by a millisecond at each reading."""

    def __init__(self) -> None:
        self._readings = 0

    def now(self) -> datetime:
        self._readings += 1
        return START + timedelta(milliseconds=self._readings)

    def monotonic(self) -> float:
        return self._readings / 1000


def registry_on(store: RegistryStore) -> Registry:
    return Registry(store, CountingClock(), BY)


def audit_entry(event: AuditEvent = AuditEvent.POLICY_CHANGED, **fields: Any) -> AuditEntry:
    """Return an entry with a unique id; the event of a change request is set when it is accepted."""
    usual = {"id": str(uuid.uuid4()), "event": event, "at": START, "actor": ALICE, "reason": "the story wants it"}
    return AuditEntry(**{**usual, **fields})


def digest_for(*what: object) -> str:
    return f"sha256:{sha256(repr(what).encode()).hexdigest()}"


def version_entry(
    model: ObjectKey,
    version: str,
    *,
    labels: tuple[tuple[str, str], ...] = (),
    data: tuple[str, ...] = (),
    **spec: Any,
) -> VersionEntry:
    """Return a version whose artifact has a unique digest, trained on data sets with these digests."""
    fields: dict[str, Any] = {
        "model": model.name,
        "version": version,
        "artifact": Artifact(uri=f"s3://models/{model.name}/{version}", digest=digest_for(model, version)),
        "training_data": tuple(Dataset(uri=f"s3://data/{index}", digest=digest) for index, digest in enumerate(data)),
    }
    full = ModelVersionSpec(**{**fields, **spec})
    return VersionEntry(spec=full, spec_hash=spec_hash(full), registered_at=START, labels=labels)


async def register(registry: Registry, model: ObjectKey, *versions: str, **fields: Any) -> None:
    """Register versions with these fields."""
    for version in versions:
        entry = audit_entry(AuditEvent.VERSION_REGISTERED, version=version)
        await registry.register(model, version_entry(model, version, **fields), entry)


async def in_use(place: Place) -> ObjectKey:
    """Return a model with 2.0.0 in production, 1.0.0 as its good predecessor and 3.0.0 registered: five records."""
    model = place.fresh_model()
    registry = registry_on(place.open())
    await register(registry, model, "1.0.0", "2.0.0", "3.0.0")
    await registry.promote(model, "1.0.0", audit_entry())
    await registry.promote(model, "2.0.0", audit_entry())
    return model


async def step_on(store: RegistryStore, model: ObjectKey, entry: AuditEntry, **fields: Any) -> Commit:
    """Return the step that records an entry on the current head."""
    head = await store.read_head(model)
    record, after = seal(head, entry, model, by=BY, now=START, cluster=(await store.owner()).cluster)
    return replace(Commit(model=model, before=head, record=record, after=after), **fields)


@dataclass(frozen=True, slots=True)
class VerifiedModel:
    """A model as read by a new connection."""

    head: Head
    trail: tuple[AuditRecordSpec, ...]

    def sequences_of(self, entry: AuditEntry) -> list[int]:
        """Return the numbers of the records of an entry, which must be exactly one."""
        return [record.sequence for record in self.trail if record.id == entry.id]

    @property
    def summary(self) -> tuple[object, ...]:
        """The state that two models with the same history have in common."""
        serving = self.head.production.version if self.head.production is not None else None
        return (serving, self.head.good, self.head.quarantined, self.head.generation, self.head.audit.sequence)


async def verified_model(place: Place, model: ObjectKey) -> VerifiedModel:
    """Return a model after checking that its chain verifies, is numbered without gaps and folds to the head."""
    registry = registry_on(place.open())
    verification = await registry.verify(model)
    assert verification.ok, verification.findings
    head = await registry.head(model)
    trail = tuple([record async for record in registry.history(model)])
    assert [record.sequence for record in trail] == list(range(1, len(trail) + 1))
    assert len({record.id for record in trail}) == len(trail), "an entry was recorded twice"
    assert fold(trail) == head
    return VerifiedModel(head, trail)
