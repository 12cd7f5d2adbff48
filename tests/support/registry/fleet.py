"""Random moves of one named cluster among several on one pair of tables, beside an oracle that knows what must come."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from serinus.api.audit_record import AuditEntry, AuditEvent
from serinus.api.names import ObjectKey
from serinus.errors import RefusedError
from serinus.ports.registry_store import RegistryStore
from support.dynamodb.place import DynamoDbPlace
from support.registry.place import Crash, audit_entry, registry_on, version_entry

VERSIONS: Final = ("1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0")
_VERBS: Final = ("promote", "promote", "promote", "back", "back to", "lift", "yank", "unyank", "fact")
_CRASHES: Final = 0.1
"""The share of moves in which the process dies at a random request, and another one makes the same move again."""

_REPEATS: Final = 0.15
"""The share of moves that are delivered again afterwards, by another process."""

_REFUSED: Final = 0.15
"""How likely a move that must be refused is made all the same."""

_REQUESTS: Final = 9


@dataclass(slots=True)
class Standing:
    """What a model must be in one cluster, by the oracle's own rules: it shares no code with the registry.

    Attributes:
        production: the production version; empty where there is none.
        good: earlier production versions, the last one first.
        trail: event, version and target of each record, in order.
    """

    production: str = ""
    good: list[str] = field(default_factory=list)
    quarantined: set[str] = field(default_factory=set)
    yanked: set[str] = field(default_factory=set)
    trail: list[tuple[AuditEvent, str, str]] = field(default_factory=list)

    def refuses(self, verb: str, version: str) -> bool:
        match verb:
            case "promote":
                return version == self.production or version in self.quarantined | self.yanked
            case "back":
                return not self.production or self._target() is None or self._target() in self.quarantined
            case "back to":
                # Only to what has served here and was not found bad.
                return version not in self.good or version in self.quarantined | self.yanked
            case _:
                return False

    def _target(self) -> str | None:
        return next((version for version in self.good if version not in self.yanked), None)

    def apply(self, verb: str, version: str) -> None:
        match verb:
            case "promote":
                self._note(AuditEvent.PROMOTED, version)
                self._serve(version)
            case "back" | "back to":
                target = version if verb == "back to" else self._target()
                assert target is not None
                bad = self.production
                self._note(AuditEvent.ROLLED_BACK, bad, target)
                self.quarantined.add(bad)
                self.good = [good for good in self.good if good != bad]
                self._serve(target)
            case "lift":
                self._note(AuditEvent.QUARANTINE_LIFTED, version)
                self.quarantined.discard(version)
            case "yank" if version not in self.yanked:
                self._note(AuditEvent.VERSION_YANKED, version)
                self.yanked.add(version)
            case "unyank" if version in self.yanked:
                self._note(AuditEvent.VERSION_UNYANKED, version)
                self.yanked.discard(version)
            case "fact":
                self._note(AuditEvent.TEST_PASSED, version)
            case _:
                pass

    def _serve(self, version: str) -> None:
        self.good = [good for good in self.good if good != version]
        if self.production and self.production not in self.quarantined:
            self.good.insert(0, self.production)
        self.production = version
        self.quarantined.discard(version)

    def _note(self, event: AuditEvent, version: str, to: str = "") -> None:
        self.trail.append((event, version, to))


class Cluster:
    """One cluster of the fleet: its operator's process dies now and then, and is replaced."""

    def __init__(self, place: DynamoDbPlace, name: str, seed: int, models: Iterable[ObjectKey]) -> None:
        self.name, self.identity = name, f"uid-of-{name}"
        self._place, self._chance = place, Random(seed)  # noqa: S311 - a simulation
        self.standings = {model: Standing() for model in models}
        self.moves = self.refused = self.crashes = self.repeats = 0
        self._store, self._standby = self.connect(), self.connect()

    def connect(self) -> RegistryStore:
        return self._place.open(cluster=self.name, identity=self.identity)

    async def begin(self) -> None:
        """Register all versions: both clusters register the same ones, each in a chain of its own."""
        for model, standing in self.standings.items():
            for version in VERSIONS:
                entry = audit_entry(AuditEvent.VERSION_REGISTERED, version=version)
                await registry_on(self._store).register(model, version_entry(model, version), entry)
                standing.trail.append((AuditEvent.VERSION_REGISTERED, version, ""))

    async def move(self) -> None:
        """Make one random move, through a crash or twice where chance has it, and compare its number."""
        model, verb, version = self._drawn()
        standing = self.standings[model]
        event = {"lift": AuditEvent.QUARANTINE_LIFTED, "fact": AuditEvent.TEST_PASSED}.get(verb, AuditEvent.PROMOTED)
        entry = audit_entry(event, version=version, actor=audit_entry().actor, reason=f"{self.name}: {verb} {version}")
        crashes, repeats = self._chance.random() < _CRASHES, self._chance.random() < _REPEATS
        last_request = self._chance.randint(1, _REQUESTS)
        self.moves += 1
        if standing.refuses(verb, version):
            self.refused += 1
            await self._refused(model, verb, version, entry)
            return
        if crashes:
            await self._crash(last_request, model, verb, version, entry)
        before = len(standing.trail)
        number = await self._request(self._store, model, verb, version, entry)
        standing.apply(verb, version)
        assert len(standing.trail) in {before, before + 1}
        if len(standing.trail) > before:
            assert number == len(standing.trail), f"{self.name}: {verb} {version} of {model} got another number"
        if repeats:
            self.repeats += 1
            assert await self._request(self._standby, model, verb, version, entry) == number

    def _drawn(self) -> tuple[ObjectKey, str, str]:
        """Return a model, a verb and a version: mostly what the registry must accept, sometimes what it must not."""
        while True:
            model, verb = self._chance.choice(list(self.standings)), self._chance.choice(_VERBS)
            version = self._chance.choice(VERSIONS)
            if not self.standings[model].refuses(verb, version) or self._chance.random() < _REFUSED:
                return model, verb, version

    async def _refused(self, model: ObjectKey, verb: str, version: str, entry: AuditEntry) -> None:
        try:
            number = await self._request(self._store, model, verb, version, entry)
        except RefusedError:
            return
        raise AssertionError(f"{self.name}: {verb} {version} of {model} became record {number}")

    async def _crash(self, request: int, model: ObjectKey, verb: str, version: str, entry: AuditEntry) -> None:
        """Let the operator die after this request of the move; its successor connects anew."""
        dying = self._place.crashing(request, cluster=self.name, identity=self.identity)
        try:
            await self._request(dying, model, verb, version, entry)
        except Crash:
            self.crashes += 1
        self._store = self.connect()

    @staticmethod
    async def _request(store: RegistryStore, model: ObjectKey, verb: str, version: str, entry: AuditEntry) -> int:
        registry = registry_on(store)
        match verb:
            case "promote":
                return await registry.promote(model, version, entry)
            case "back":
                return await registry.rollback(model, entry)
            case "back to":
                return await registry.rollback(model, entry, to=version)
            case "lift" | "fact":
                return await registry.record(model, entry)
            case "yank":
                return await registry.set_yanked(model, version, "the story wants it yanked", entry)
            case "unyank":
                return await registry.set_yanked(model, version, "", entry)
            case other:
                raise AssertionError(other)

    async def check(self) -> None:
        """Compare each head and chain with the oracle, through a new connection."""
        registry = registry_on(self.connect())
        for model, standing in self.standings.items():
            verification = await registry.verify(model)
            assert verification.ok, (self.name, model, verification.findings)
            head = verification.head
            serving = head.production.version if head.production is not None else ""
            assert serving == standing.production, f"{self.name}: {model} is not what its last move made it"
            assert set(head.quarantined) == standing.quarantined
            trail = [record async for record in registry.history(model)]
            assert [(one.event, one.version, one.to) for one in trail] == standing.trail
            assert {record.cluster for record in trail} == {self.name}
            assert head.audit.sequence == len(trail)
