"""Faults that come and go by chance, and calls that fail because of them."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from serinus.errors import AmbiguousError, ConflictError, RefusedError, SerinusError, TransientError
from support.fakes import TIMEOUT, Faults
from support.soak.facts import Fact, Trouble, Troubled

CALM: Final = 0.002
"""The share of calls that fail at any time."""

STORM: Final = 0.3
"""The share of calls that fail while the API server has trouble."""


class Weather:
    """Which faults are on, and for which models."""

    def __init__(self, now: Callable[[], float], tell: Callable[[Fact], None]) -> None:
        self._now, self._tell = now, tell
        self._on: Counter[tuple[Trouble, str]] = Counter()
        self._began: dict[Trouble, float] = {}
        self.begun: Counter[Trouble] = Counter()
        self.failed_calls: Counter[str] = Counter()

    def begin(self, kind: Trouble, model: str = "", *, seconds: float = 0.0) -> None:
        """Begin a fault; one that is on already gets deeper."""
        self._on[kind, model] += 1
        self.begun[kind] += 1
        if self._on[kind, model] == 1:
            self._began[kind] = self._now()
            self._tell(Troubled(self._now(), model, kind, on=True, seconds=seconds))

    def end(self, kind: Trouble, model: str = "") -> None:
        """End it as often as it was begun."""
        self._on[kind, model] -= 1
        if self._on[kind, model] == 0:
            del self._on[kind, model]
            self._tell(Troubled(self._now(), model, kind, on=False))

    def began(self, kind: Trouble) -> float:
        """Return when a fault that is on began; never where it is not on."""
        return self._began[kind] if self.is_on(kind) else float("inf")

    def is_on(self, kind: Trouble, model: str = "") -> bool:
        return (kind, model) in self._on


@dataclass
class Failures(Faults):
    """Calls of one port that fail by the weather; ``always`` and its like stay unused.

    Each subject has random numbers of its own, so that the order in which subjects are called changes nothing.
    """

    weather: Weather | None = None
    seed: tuple[int, ...] = ()
    streams: dict[str, np.random.Generator] = field(default_factory=dict)
    moves_routes: bool = False
    reads: bool = False

    def _rng(self, subject: str) -> np.random.Generator:
        if subject not in self.streams:
            self.streams[subject] = np.random.default_rng([*self.seed, *subject.encode()])
        return self.streams[subject]

    async def strike_before(self, subject: str) -> None:
        await asyncio.sleep(0)
        assert self.weather is not None
        rng = self._rng(subject)
        if self.moves_routes and self.weather.is_on(Trouble.ROUTER, subject):
            self.weather.failed_calls["403"] += 1
            raise RefusedError("403 forbidden")
        chance = STORM if self.weather.is_on(Trouble.API) else CALM
        if rng.random() >= chance:
            return
        kind = int(rng.integers(5))
        name = ("409", "429", "500", "503", "time-out")[kind]
        self.weather.failed_calls[name] += 1
        if name == "time-out":
            await asyncio.sleep(TIMEOUT)
        raise self._error(name)

    def _error(self, name: str) -> SerinusError:
        match name:
            case "409" if not self.reads:
                return ConflictError("409 changed by others")
            case "429" | "409":
                return TransientError("429 too many requests")
            case "503":
                return TransientError("503 unavailable")
            case _:
                return AmbiguousError(f"{name}: it may have been written")

    async def strike_after(self) -> None:
        assert self.weather is not None
        chance = STORM if self.weather.is_on(Trouble.API) else CALM
        if self._rng("answers").random() < chance / 3:
            self.weather.failed_calls["answer lost"] += 1
            raise AmbiguousError("the answer was lost; it was written")
