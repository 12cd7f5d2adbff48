"""Many clients on one model at once, and what must hold however they meet: the concurrency proof, on any store."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from serinus.api.audit_record import AuditEntry, AuditEvent
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.errors import AmbiguousError, ConflictError, NotFoundError, RefusedError, TransientError
from serinus.ports.registry_store import RegistryStore
from serinus.registry.service import Registry
from support.registry.place import Place, audit_entry, register, registry_on, seen_whole

VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0", "2.1.1", "3.0.0-rc.1", "3.0.0")


@dataclass(slots=True)
class Ledger:
    """What the clients were told, to be held against what the chain says.

    Attributes:
        wanted: how many moves of the production version are to succeed.
        moves: how many have.
        told: the number that each successful audit_entry got, by its id.
        refused: the ids of wishes that were refused.
        overtaken: how often a client had to tell the same audit_entry again.
        reads: how often the reader has looked.
    """

    wanted: int
    moves: int = 0
    told: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    overtaken: int = 0
    reads: int = 0

    @property
    def done(self) -> bool:
        return self.moves >= self.wanted


async def crowd(  # noqa: PLR0913 - the crowd's size in its parts
    place: Place, model: ObjectKey, stores: Sequence[RegistryStore], *, clients: int, moves: int, seed: int = 4
) -> Ledger:
    """Let clients promote and roll back until so many moves have succeeded, under a reader's eyes; check the end."""
    await register(registry_on(place.open()), model, *VERSIONS)
    ledger = Ledger(moves)
    await registry_on(stores[0]).promote(model, VERSIONS[0], audit_entry())
    async with asyncio.TaskGroup() as group:
        group.create_task(_watch(registry_on(place.open()), model, ledger))
        for number in range(clients):
            registry = registry_on(stores[number % len(stores)])
            group.create_task(_client(registry, model, ledger, Random(seed * 1000 + number)))  # noqa: S311 - a story
    await _held_against_the_chain(place, model, ledger)
    return ledger


async def _client(registry: Registry, model: ObjectKey, ledger: Ledger, chance: Random) -> None:
    while not ledger.done:
        wish, version, generation = _next_wish(await registry.head(model), chance)
        event = AuditEvent.QUARANTINE_LIFTED if wish == "lift" else AuditEvent.PROMOTED
        told = audit_entry(event, version=version)
        try:
            await _insist(registry, model, ledger, told, wish=wish, version=version, generation=generation)
        except RefusedError:
            ledger.refused.append(told.id)
        else:
            ledger.moves += wish != "lift"


def _next_wish(head: Head, chance: Random) -> tuple[str, str, int | None]:
    """Return what a client wants who has just looked: mostly what can be had, if nobody is faster; seldom nonsense."""
    generation = head.generation if chance.random() < 0.5 else None
    if chance.random() < 0.05:
        return chance.choice(("promote", "back to")), chance.choice(VERSIONS), generation
    # The more versions are put away, the likelier somebody lets one of them out again.
    if chance.random() < len(head.quarantined) / len(VERSIONS) / 2:
        return "lift", chance.choice(head.quarantined), None
    serving = head.production.version if head.production is not None else ""
    others = [version for version in VERSIONS if version not in (*head.quarantined, serving)]
    if not others:
        return "lift", chance.choice(head.quarantined), None
    return chance.choice(("promote", "promote", "back", "back to")), chance.choice(others), generation


async def _insist(  # noqa: PLR0913 - one wish, in its parts
    registry: Registry,
    model: ObjectKey,
    ledger: Ledger,
    told: AuditEntry,
    *,
    wish: str,
    version: str,
    generation: int | None,
) -> None:
    """Tell the same entry until it is stored or refused, as every client of the registry should."""
    while True:
        try:
            match wish:
                case "promote":
                    number = await registry.promote(model, version, told, generation=generation)
                case "back":
                    number = await registry.rollback(model, told, generation=generation)
                case "back to":
                    number = await registry.rollback(model, told, to=version, generation=generation)
                case "lift":
                    number = await registry.record(model, told)
                case other:
                    raise AssertionError(other)
        except (ConflictError, AmbiguousError, TransientError):
            ledger.overtaken += 1
        else:
            ledger.told[told.id] = number
            return


async def _watch(registry: Registry, model: ObjectKey, ledger: Ledger) -> None:
    """Read as fast as the store answers: one registered production version each time, and nothing ever goes back."""
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
        await asyncio.sleep(0.01)  # between two looks, so that the clients get their turn


async def _held_against_the_chain(place: Place, model: ObjectKey, ledger: Ledger) -> None:
    seen = await seen_whole(place, model)
    stored = {record.id: record.sequence for record in seen.trail}
    assert ledger.told.items() <= stored.items(), "a record was lost, or has another number than its client was told"
    first_steps = len(VERSIONS) + 1
    assert len(stored) == len(ledger.told) + first_steps, "something was recorded that no client was told of"
    assert not stored.keys() & set(ledger.refused), "a refused wish was recorded"
