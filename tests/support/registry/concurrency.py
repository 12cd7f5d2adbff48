"""Many concurrent clients on one model, and the invariants that must hold on any store."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from serinus.api.audit_record import AuditEntry, AuditEvent
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.errors import (
    AmbiguousError,
    ConflictError,
    NotFoundError,
    RefusedError,
    TransientError,
    VersionTakenError,
)
from serinus.ports.registry_store import RegistryStore
from serinus.registry.service import Registry
from support.registry.place import Place, audit_entry, register, registry_on, verified_model, version_entry

VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0", "2.1.1", "3.0.0-rc.1", "3.0.0")


@dataclass(slots=True)
class Ledger:
    """The results that the clients got, for comparison with the chain.

    Attributes:
        wanted: the number of changes of the production version that must succeed.
        moves: the number that has succeeded.
        recorded: the number that each successful entry got, by its id.
        refused: the ids of refused entries.
        retries: how often a client had to commit the same entry again.
        reads: the number of the reader's reads.
    """

    wanted: int
    moves: int = 0
    recorded: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    retries: int = 0
    reads: int = 0

    @property
    def done(self) -> bool:
        return self.moves >= self.wanted


async def crowd(  # noqa: PLR0913 - the crowd's size in its parts
    place: Place, model: ObjectKey, stores: Sequence[RegistryStore], *, clients: int, moves: int, seed: int = 4
) -> Ledger:
    """Run clients that promote and roll back until enough moves have succeeded, beside a reader; check the chain."""
    await register(registry_on(place.open()), model, *VERSIONS)
    ledger = Ledger(moves)
    await registry_on(stores[0]).promote(model, VERSIONS[0], audit_entry())
    async with asyncio.TaskGroup() as group:
        group.create_task(_watch(registry_on(place.open()), model, ledger))
        for number in range(clients):
            registry = registry_on(stores[number % len(stores)])
            group.create_task(_client(registry, model, ledger, Random(seed * 1000 + number)))  # noqa: S311 - a simulation
    await _compare_with_chain(place, model, ledger)
    return ledger


async def rivals(place: Place, model: ObjectKey) -> None:
    """Register four specs at once under one number, each from a process of its own: one is registered, once."""
    specs = [version_entry(model, "1.0.0", changes=f"build {number}") for number in range(4)]
    results = await asyncio.gather(
        *(
            registry_on(place.open()).register(model, entry, audit_entry(AuditEvent.VERSION_REGISTERED))
            for entry in specs
        ),
        return_exceptions=True,
    )
    taken = [result for result in results if isinstance(result, VersionTakenError)]
    assert (len(taken), results.count(1)) == (3, 1), results
    assert len((await verified_model(place, model)).trail) == 1


async def _client(registry: Registry, model: ObjectKey, ledger: Ledger, chance: Random) -> None:
    while not ledger.done:
        verb, version, generation = _next_request(await registry.head(model), chance)
        event = AuditEvent.QUARANTINE_LIFTED if verb == "lift" else AuditEvent.PROMOTED
        entry = audit_entry(event, version=version)
        try:
            await _commit(registry, model, ledger, entry, verb=verb, version=version, generation=generation)
        except RefusedError:
            ledger.refused.append(entry.id)
        else:
            ledger.moves += verb != "lift"


def _next_request(head: Head, chance: Random) -> tuple[str, str, int | None]:
    """Return a client's next request: mostly one that is valid unless another client is faster, rarely any other."""
    generation = head.generation if chance.random() < 0.5 else None
    if chance.random() < 0.05:
        return chance.choice(("promote", "back to")), chance.choice(VERSIONS), generation
    # The more versions are quarantined, the likelier one of them is released.
    if chance.random() < len(head.quarantined) / len(VERSIONS) / 2:
        return "lift", chance.choice(head.quarantined), None
    serving = head.production.version if head.production is not None else ""
    others = [version for version in VERSIONS if version not in (*head.quarantined, serving)]
    if not others:
        return "lift", chance.choice(head.quarantined), None
    if head.good and chance.random() < 0.5:
        # Only what has served can be gone back to.
        return chance.choice(("back", "back to")), chance.choice(head.good), generation
    return "promote", chance.choice(others), generation


async def _commit(  # noqa: PLR0913 - one request, in its parts
    registry: Registry,
    model: ObjectKey,
    ledger: Ledger,
    entry: AuditEntry,
    *,
    verb: str,
    version: str,
    generation: int | None,
) -> None:
    """Commit the same entry until it is stored or refused, as every client of the registry should."""
    while True:
        try:
            match verb:
                case "promote":
                    number = await registry.promote(model, version, entry, generation=generation)
                case "back":
                    number = await registry.rollback(model, entry, generation=generation)
                case "back to":
                    number = await registry.rollback(model, entry, to=version, generation=generation)
                case "lift":
                    number = await registry.record(model, entry)
                case other:
                    raise AssertionError(other)
        except (ConflictError, AmbiguousError, TransientError):
            ledger.retries += 1
        else:
            ledger.recorded[entry.id] = number
            return


async def _watch(registry: Registry, model: ObjectKey, ledger: Ledger) -> None:
    """Read repeatedly: there is always one registered production version, and nothing ever goes back."""
    before = Head()
    while not ledger.done:
        head = await registry.head(model)
        ledger.reads += 1
        assert head.production is not None, "a moment without a production version"
        assert head.production.version in VERSIONS
        assert head.production.version not in (*head.good, *head.quarantined)
        assert head.audit.sequence >= before.audit.sequence
        assert head.generation >= before.generation
        if head.generation == before.generation:
            assert head.production == before.production, "two production versions of one generation"
        try:
            entry = await registry.get(model, head.production.version)
        except NotFoundError as gone:
            raise AssertionError("what serves is not registered") from gone
        assert entry.digest == head.production.digest
        before = head
        await asyncio.sleep(0.01)  # between two reads, so that the clients can run


async def _compare_with_chain(place: Place, model: ObjectKey, ledger: Ledger) -> None:
    seen = await verified_model(place, model)
    stored = {record.id: record.sequence for record in seen.trail}
    assert ledger.recorded.items() <= stored.items(), "a record was lost, or has another number than its client got"
    first_steps = len(VERSIONS) + 1
    assert len(stored) == len(ledger.recorded) + first_steps, "there are records without a client's success"
    assert not stored.keys() & set(ledger.refused), "a refused request was recorded"
