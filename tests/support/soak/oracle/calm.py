"""How long nothing has been in the way of the operator, and what it owes meanwhile."""

from collections.abc import Collection
from dataclasses import dataclass, field

from support.soak.facts import Trouble, Troubled


class Calm:
    """The faults that are on, and when each ended last."""

    def __init__(self) -> None:
        self._on: set[tuple[Trouble, str]] = set()
        self._ended: dict[tuple[Trouble, str], float] = {}
        self.steps: list[tuple[float, float]] = []
        self.clock_set: list[float] = []

    def take(self, fact: Troubled) -> None:
        if fact.on:
            self._on.add((fact.kind, fact.model))
        else:
            self._on.discard((fact.kind, fact.model))
            self._ended[fact.kind, fact.model] = fact.at
        if fact.kind is Trouble.CLOCK:
            self.clock_set = [*self.clock_set[-20:], fact.at]
        if fact.kind is Trouble.CLOCK and fact.on:
            self.steps = [*self.steps[-20:], (fact.at, fact.seconds)]

    def since(self, kinds: Collection[Trouble], model: str, now: float) -> float:
        """Return since when none of these faults has been on for the model; ``now`` where one is."""
        if any(kind in kinds and whose in {"", model} for kind, whose in self._on):
            return now
        ended = (at for (kind, whose), at in self._ended.items() if kind in kinds and whose in {"", model})
        return max(ended, default=0.0)


@dataclass(slots=True)
class Debt:
    """Something that the operator must do within a time.

    Attributes:
        since: when it could have begun.
        patience: seconds of calm within which it must be done.
        excuses: the faults that stop the clock.
        claim: what is wrong where it is not done.
    """

    rule: str
    claim: str
    since: float
    patience: float
    excuses: frozenset[Trouble]

    def is_late(self, calm: Calm, model: str, now: float) -> bool:
        return now - max(self.since, calm.since(self.excuses, model, now)) > self.patience


@dataclass(slots=True)
class Debts:
    """What the operator owes to one model, by a key."""

    model: str
    calm: Calm
    open: dict[tuple[str, ...], Debt] = field(default_factory=dict)

    def add(self, key: tuple[str, ...], debt: Debt) -> None:
        self.open.setdefault(key, debt)

    def pay(self, key: tuple[str, ...], now: float) -> Debt | None:
        """Close a debt; return it where it was paid too late."""
        debt = self.open.pop(key, None)
        return debt if debt is not None and debt.is_late(self.calm, self.model, now) else None

    def drop_one(self, key: tuple[str, ...]) -> None:
        """Forget one debt: another has taken its place."""
        self.open.pop(key, None)

    def drop(self, *prefixes: str) -> None:
        """Forget the debts of these kinds; all without any."""
        for key in [key for key in self.open if not prefixes or key[0] in prefixes]:
            del self.open[key]

    def overdue(self, now: float) -> list[Debt]:
        """Return and close what is late."""
        late = [key for key, debt in self.open.items() if debt.is_late(self.calm, self.model, now)]
        return [self.open.pop(key) for key in late]
