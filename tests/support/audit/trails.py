"""Audit trails in memory to verify, tamper with and prune, and CLI commands on them."""

import asyncio
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import click
from hypothesis import strategies as st

from serinus.api.audit_record import AuditEvent, AuditRecordSpec
from serinus.api.model import Head, ModelSpec
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.cli.context import CliContext
from serinus.cli.main import invoke
from serinus.engine.audit.chain import record_hash
from serinus.engine.audit.head import apply
from serinus.errors import SerinusError
from serinus.ports.registry_store import RegistryStore
from serinus.registry.service import Registry
from support.registry.memory import Data, MemoryStore
from support.registry.place import BY, START, audit_entry, version_entry

MODEL: Final = ObjectKey("ml", "fraud")
VERSIONS: Final = ("1.0.0", "1.1.0", "2.0.0")


@dataclass(slots=True)
class TrailClock:
    """A clock that advances by a second at each reading."""

    at: datetime = START

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def monotonic(self) -> float:
        return 0.0


@dataclass(slots=True)
class Trail:
    """One registry in memory, its policy and its clock."""

    data: Data = field(default_factory=dict)
    clock: TrailClock = field(default_factory=TrailClock)
    policy: ModelSpec | None = None

    def open(self) -> MemoryStore:
        return MemoryStore(self.data, page_size=7)

    @property
    def registry(self) -> Registry:
        return Registry(self.open(), self.clock, BY)

    @property
    def records(self) -> dict[int, dict[str, Any]]:
        return self.data[MODEL].records

    @property
    def head(self) -> Head:
        return self.data[MODEL].head

    def context(self) -> CliContext:
        async def opened(url: str, namespaces: Sequence[str]) -> RegistryStore:
            return self.open()

        async def policy(model: ObjectKey) -> ModelSpec | None:
            return self.policy

        return CliContext(open_store=opened, read_policy=policy, clock=self.clock)

    def run(self, *words: str) -> int:
        """Run a command as the command line does: wrong usage gives exit status 2, a SerinusError 1."""
        try:
            return invoke(words, self.context())
        except click.UsageError as problem:
            print(problem.format_message())  # noqa: T201 - what the command line does
            return problem.exit_code
        except SerinusError as problem:
            print(f"serinus: {problem}")  # noqa: T201 - what the command line does
            return 1

    def copy(self) -> "Trail":
        return Trail(deepcopy(self.data), TrailClock(self.clock.at), self.policy)


Step = tuple[str, str]
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.sampled_from(["promote", "rollback", "fact", "release"]), st.sampled_from(VERSIONS)), max_size=12
)
"""Steps after the registration of the versions; rejected ones are ignored."""


async def write(trail: Trail, history: Sequence[Step], model: ObjectKey = MODEL) -> None:
    registry = trail.registry
    for version in VERSIONS:
        await registry.register(
            model, version_entry(model, version), audit_entry(AuditEvent.VERSION_REGISTERED, version=version)
        )
    for what, version in history:
        try:
            match what:
                case "promote":
                    await registry.promote(model, version, audit_entry())
                case "rollback":
                    await registry.rollback(model, audit_entry())
                case "release":
                    lifted = audit_entry(AuditEvent.QUARANTINE_LIFTED, version=version)
                    await registry.record(model, lifted)
                case _:
                    fact = audit_entry(AuditEvent.ANALYSIS_PASSED, version=version, details={"stage": "canary"})
                    await registry.record(model, fact)
        except SerinusError:
            continue


def a_trail(history: Sequence[Step] = (("promote", "1.0.0"), ("promote", "1.1.0"), ("rollback", ""))) -> Trail:
    trail = Trail()
    asyncio.run(write(trail, history))
    return trail


def rewritten(trail: Trail, first: int, **changed: Any) -> Trail:
    """Return the trail as an intruder with full write access would leave it: forged and consistent.

    All hashes and the head are recomputed from the forged content.
    """
    forged = trail.copy()
    data = forged.data[MODEL]
    head, previous = Head(), ""
    for number in sorted(data.records):
        content = data.records[number]
        if number == first:
            content |= changed
        content["previousHash"] = previous
        content["hash"] = record_hash(content)
        previous = content["hash"]
        head = apply(head, decode(AuditRecordSpec, content, "record"))
    data.head = head
    return forged
