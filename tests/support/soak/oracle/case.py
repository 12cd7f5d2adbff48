"""One model before the oracle: its state, and what was found wrong."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from support.soak.facts import METRICS, WRITES, Trouble
from support.soak.oracle import bounds
from support.soak.oracle.calm import Debt
from support.soak.oracle.state import EXACT, Model, Trial


@dataclass(frozen=True, slots=True)
class Finding:
    """A wrong outcome.

    Attributes:
        at: seconds since the simulation began.
        rule: the name of the broken rule.
    """

    at: float
    model: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.at / 3600:.3f} h {self.model} {self.rule}: {self.message}"


@dataclass(slots=True)
class Case:
    """One model, and where findings and counts go."""

    model: Model
    report: Callable[[Finding], None]
    counts: Counter[str]

    def find(self, at: float, rule: str, message: str) -> None:
        self.report(Finding(at, self.model.name, rule, message))

    def owe(self, key: tuple[str, ...], claim: str, at: float, patience: float, excuses: frozenset[Trouble]) -> None:
        """The operator must do this; ``pay`` says that it has."""
        self.model.debts.add(key, Debt(key[0], claim, at, patience, excuses))

    def pay(self, key: tuple[str, ...], at: float) -> None:
        late = self.model.debts.pay(key, at)
        if late is not None:
            self.find(at, late.rule, f"{late.claim}: only now, {at - late.since:.0f} s later")

    def owe_safety(self, version: str, why: str, at: float, *, by_evidence: bool) -> None:
        """The version must lose its weight, unless nothing else could take it."""
        patience = bounds.SAFE_BY_EVIDENCE if by_evidence else bounds.SAFE_BY_COMMAND
        excuses = WRITES | (METRICS | {Trouble.GATEWAY} if by_evidence else frozenset())
        if self.model.shares.get(version, 0.0) > EXACT:
            self.owe(("safe weight", version), f"{version} must lose its traffic: {why}", at, patience, excuses)

    @property
    def trial(self) -> Trial | None:
        return self.model.trial
