"""What the contract suite needs of each store of the registry, and the values that its stories are told with."""

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
    """The process is gone: nothing of ours may catch this."""


class Fault(StrEnum):
    """What happens to one request instead of being answered."""

    THROTTLED = "throttled"
    """The store says that there are too many requests; it does nothing."""
    TIMED_OUT_BEFORE = "timed out, nothing was done"
    TIMED_OUT_AFTER = "timed out, it was done"


class Place(Protocol):
    """One store and its data, which outlive every connection; the fixture closes what was opened.

    Requests are counted from 1 where they leave the adapter: one call of the client for each.
    """

    def open(self, *, page_size: int = PAGE) -> RegistryStore:
        """Return a new, independent connection on the same data, as another process would have."""

    def fresh_model(self) -> ObjectKey:
        """Return a model that nobody has used, where it could be stored; names derived from it are free as well."""

    def crashing(self, after: int) -> RegistryStore:
        """Return a connection that raises :class:`Crash` when its n-th request has been done, unseen."""

    def crashing_before(self, request: int) -> RegistryStore:
        """Return a connection that raises :class:`Crash` instead of sending its n-th request."""

    def failing(self, *faults: Fault | None) -> RegistryStore:
        """Return a connection whose first requests fail so, one by one; None lets one pass, as all that follow."""


START: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)
BY: Final = OperatorIdentity(version="0.0.0-test", instance="contract")
ALICE: Final = Actor(name="alice@example.com", kind=ActorKind.PERSON, authentication=Authentication.ADMISSION)


class CountingClock:
    """The port ``Clock``: each look is a millisecond after the last."""

    def __init__(self) -> None:
        self._looks = 0

    def now(self) -> datetime:
        self._looks += 1
        return START + timedelta(milliseconds=self._looks)

    def monotonic(self) -> float:
        return self._looks / 1000


def registry_on(store: RegistryStore) -> Registry:
    return Registry(store, CountingClock(), BY)


def audit_entry(event: AuditEvent = AuditEvent.POLICY_CHANGED, **fields: Any) -> AuditEntry:
    """Return something that happened, with an id of its own; a wish's event is set when it is granted."""
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
    """Return a version whose artifact has a digest of its own, trained on data sets with these digests."""
    fields: dict[str, Any] = {
        "model": model.name,
        "version": version,
        "artifact": Artifact(uri=f"s3://models/{model.name}/{version}", digest=digest_for(model, version)),
        "training_data": tuple(Dataset(uri=f"s3://data/{index}", digest=one) for index, one in enumerate(data)),
    }
    whole = ModelVersionSpec(**{**fields, **spec})
    return VersionEntry(spec=whole, spec_hash=spec_hash(whole), registered_at=START, labels=labels)


async def register(registry: Registry, model: ObjectKey, *versions: str, **entry: Any) -> None:
    """Make versions known."""
    for version in versions:
        told = audit_entry(AuditEvent.VERSION_REGISTERED, version=version)
        await registry.register(model, version_entry(model, version, **entry), told)


async def in_use(place: Place) -> ObjectKey:
    """Return a model of which 2.0.0 serves, 1.0.0 served well before and 3.0.0 is registered: five records."""
    model = place.fresh_model()
    registry = registry_on(place.open())
    await register(registry, model, "1.0.0", "2.0.0", "3.0.0")
    await registry.promote(model, "1.0.0", audit_entry())
    await registry.promote(model, "2.0.0", audit_entry())
    return model


async def step_on(store: RegistryStore, model: ObjectKey, told: AuditEntry, **fields: Any) -> Commit:
    """Return the step of an entry on the head as the store has it now."""
    head = await store.read_head(model)
    record, after = seal(head, told, model, by=BY, now=START)
    return replace(Commit(model=model, before=head, record=record, after=after), **fields)


@dataclass(frozen=True, slots=True)
class Seen:
    """A model as a new connection sees it."""

    head: Head
    trail: tuple[AuditRecordSpec, ...]

    def told(self, what: AuditEntry) -> list[int]:
        """Return the numbers of the records of an entry: exactly one, if all is well."""
        return [record.sequence for record in self.trail if record.id == what.id]

    @property
    def standing(self) -> tuple[object, ...]:
        """What two models of the same history have in common."""
        serving = self.head.production.version if self.head.production is not None else None
        return (serving, self.head.good, self.head.quarantined, self.head.generation, self.head.audit.sequence)


async def seen_whole(place: Place, model: ObjectKey) -> Seen:
    """Return a model after every check that a whole one passes: chain verified, numbered, and folded to the head."""
    registry = registry_on(place.open())
    verification = await registry.verify(model)
    assert verification.ok, verification.findings
    head = await registry.head(model)
    trail = tuple([record async for record in registry.history(model)])
    assert [record.sequence for record in trail] == list(range(1, len(trail) + 1))
    assert len({record.id for record in trail}) == len(trail), "an entry was recorded twice"
    assert fold(trail) == head
    return Seen(head, trail)
