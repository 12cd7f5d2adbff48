"""Runs ``serinus report`` on a registry that a test has filled."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from serinus.api.model import ModelSpec
from serinus.api.names import ObjectKey
from serinus.cli.context import CliContext
from serinus.cli.main import invoke
from serinus.ports.registry_store import RegistryStore
from support.audit.history_builder import History
from support.registry.memory import MemoryStore

TABLES = "dynamodb://serinus?namespace=payments"


@dataclass(frozen=True)
class StoppedClock:
    at: datetime

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Auditor:
    """A user at a terminal, with a registry of these histories."""

    histories: tuple[History, ...]
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    policy: ModelSpec | None = None

    def ask(self, *words: str, registry: str = TABLES) -> int:
        clock = StoppedClock(max(history.now for history in self.histories))
        context = CliContext(open_store=self._open, read_policy=self._read, clock=clock)
        return invoke(["report", *words, "--registry", registry], context)

    async def _open(self, url: str, namespaces: Sequence[str]) -> RegistryStore:
        self.asked.append((url, tuple(namespaces)))
        return MemoryStore({history.model: history.data() for history in self.histories})

    async def _read(self, _: ObjectKey) -> ModelSpec | None:
        return self.policy
