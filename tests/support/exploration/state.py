"""A small world's state as a tuple of small numbers: cheap to copy, to compare and to keep a million of."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final

from serinus.api.names import Command

State = tuple[int, ...]

# The fields of a state, by position. ROUTE, GATE and WRITER are those of the route "fraud" and stand side by side;
# BESIDE stands for the same three of the route "fraud-b", which a spec may name instead.
SPEC, STATUS, ROUTE, GATE, WRITER, BESIDE, EVIDENCE, TESTS, COMMANDS, FLAGS, SEEN, HELD, FIGHTS = range(13)
CODES: Final = 13
"""The first of the versions' codes; the rest of the state is theirs."""

# Bits of FLAGS.
FROZEN, CONFLICT, DELETED, FINALIZER, TERMINATING, UNREADABLE, REGISTRY_DOWN, GONE = (1 << bit for bit in range(8))
# Bits of COMMANDS: which annotations are there; the rollback's target, counted from 1, stands above them.
VERBS: Final = tuple(Command)
BIT: Final = {verb: 1 << position for position, verb in enumerate(VERBS)}
TARGET: Final = len(VERBS)

NO_ROUTE, OWNED, NO_RULE = range(3)
"""Routes that cannot be written."""

STALE_FIELDS: Final = (SPEC, ROUTE, GATE, WRITER, BESIDE, COMMANDS)
"""What a process that misses watch events goes on to believe, beside the versions and some flags."""
STALE_FLAGS: Final = FROZEN | CONFLICT | DELETED | TERMINATING

Carried = tuple[int, int, int]
"""A route's rule: its number, what the gateway says of it, who wrote it last."""


def with_value(state: State, position: int, value: int) -> State:
    """Return the state with one number changed."""
    return (*state[:position], value, *state[position + 1 :])


def with_values(state: State, *changes: tuple[int, int]) -> State:
    """Return the state with some numbers changed."""
    changed = list(state)
    for position, value in changes:
        changed[position] = value
    return tuple(changed)


@dataclass(frozen=True, slots=True)
class Violation:
    """A law that a decision breaks, in words."""

    law: str
    problem: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision makes of a state.

    Attributes:
        following: by label, the states after it: whole, or cut off by a crash.
        quiet: it asks for nothing and changes nothing.
        applied: the laws whose premise was true.
        violations: the laws that it breaks.
    """

    following: tuple[tuple[str, State], ...]
    quiet: bool
    applied: frozenset[str] = frozenset()
    violations: tuple[Violation, ...] = ()

    @property
    def whole(self) -> State | None:
        """The state after everything was done; None where the Rollout is gone."""
        return self.following[-1][1] if self.following else None


@dataclass
class Table:
    """Objects by number, each once."""

    numbers: dict[Hashable, int] = field(default_factory=dict)
    objects: list[Any] = field(default_factory=list)

    def number(self, key: Hashable, value: object) -> int:
        found = self.numbers.get(key)
        if found is None:
            found = self.numbers[key] = len(self.objects)
            self.objects.append(value)
        return found
