"""Breadth first through every state of a small world: nothing left out, each state decided on once."""

import time
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from serinus.engine.rollout.decide import decide
from support import laws
from support.builders import NOW
from support.exploration import machine as m
from support.exploration.machine import Machine, State, Violation
from support.exploration.moves import MOVES, gateway
from support.exploration.worlds import SmallWorld

UNKNOWN: Final = 0xFFFFFFFF


@dataclass
class Report:
    """What was found in one world.

    Attributes:
        complete: every reachable state was visited; else the search ended at its limit.
        violations: each kind once, with the shortest history that leads to it.
    """

    world: str
    states: int = 0
    transitions: int = 0
    depth: int = 0
    statuses: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    complete: bool = False
    checked_at_rest: int = 0
    modes: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[Violation, tuple[str, ...]]] = field(default_factory=list)


class Search:
    """The visited states of one world."""

    def __init__(self, world: SmallWorld) -> None:
        self.world, self.machine = world, world.machine()
        self.moves = [(name, MOVES[name]) for name in world.moves]
        self.names: list[str] = [name for name, _ in self.moves]
        self._numbers = {name: number for number, name in enumerate(self.names)}
        self.seen: dict[State, int] = {}
        self.order: list[State] = []
        self.parents, self.by = array("I"), array("H")
        self.calm = array("I")
        self.report = Report(world.name)
        self._kinds: set[tuple[str, str]] = set()

    def run(self, most: int, seconds: float) -> Report:
        """Visit the states of the world, up to so many or for so long."""
        began = time.monotonic()
        cpu = time.process_time()
        for start in self.world.starts(self.machine):
            self._add(start, UNKNOWN, 0)
        report, at, level_end = self.report, 0, len(self.order)
        while at < len(self.order):
            if at % 1024 == 0 and time.monotonic() - began > seconds:
                break
            if at == level_end:
                report.depth, level_end = report.depth + 1, len(self.order)
            self._expand(at, most)
            at += 1
        report.complete = at == len(self.order) and len(self.order) < most
        report.states, report.statuses = len(self.order), len(self.machine.statuses.objects)
        self._check_rest(at)
        report.seconds = time.monotonic() - began
        report.cpu = time.process_time() - cpu
        return report

    def _add(self, state: State, parent: int, by: int) -> int:
        found = self.seen.get(state)
        if found is None:
            found = self.seen[state] = len(self.order)
            self.order.append(state)
            self.parents.append(parent)
            self.by.append(by)
        return found

    def _label(self, name: str) -> int:
        if name not in self._numbers:
            self._numbers[name] = len(self.names)
            self.names.append(name)
        return self._numbers[name]

    def _expand(self, at: int, most: int) -> None:
        state, machine, full = self.order[at], self.machine, len(self.order) >= most
        outcome = machine.look(state)
        if outcome.violation is not None:
            self._found(outcome.violation, (*self.history(at), "look"))
        looked = UNKNOWN
        for label, following in outcome.following:
            looked = self._follow(following, at, self._label(label), full=full)
        self.report.transitions += len(outcome.following)
        if outcome.quiet:
            calmed = _calmed(machine, state)
            looked = at if calmed == state else self._follow(calmed, at, self._label(_CALM), full=full)
        self.calm.append(looked)
        if state[m.FLAGS] & m.GONE:
            self.moves_of_gone(at, state, full=full)
            return
        for number, (_, move) in enumerate(self.moves):
            following_state = move(machine, state)
            if following_state is not None and following_state != state:
                self.report.transitions += 1
                self._follow(following_state, at, number, full=full)

    def moves_of_gone(self, at: int, state: State, *, full: bool) -> None:
        name = "the Rollout is created again"
        if name in self._numbers:
            following = MOVES[name](self.machine, state)
            if following is not None:
                self._follow(following, at, self._numbers[name], full=full)

    def _follow(self, state: State, parent: int, by: int, *, full: bool) -> int:
        return self.seen.get(state, UNKNOWN) if full else self._add(state, parent, by)

    def _found(self, violation: Violation, history: tuple[str, ...]) -> None:
        kind = (violation.law, violation.problem)
        if kind not in self._kinds and len(self._kinds) < 40:
            self._kinds.add(kind)
            self.report.violations.append((violation, history))

    def history(self, at: int) -> tuple[str, ...]:
        """Return the moves that lead to a state, the shortest way."""
        names: list[str] = []
        while self.parents[at] != UNKNOWN:
            names.append(self.names[self.by[at]])
            at = self.parents[at]
        return tuple(reversed(names))

    # ---- what a calm world comes to --------------------------------------------------------------

    def _check_rest(self, expanded: int) -> None:
        """Follow each state's calm successors to their end: a rest that keeps the laws, never a circle."""
        ended = bytearray(expanded)
        for start in range(expanded):
            path, at = [], start
            while at != UNKNOWN and at < expanded and not ended[at]:
                ended[at] = 2
                path.append(at)
                following = self.calm[at]
                if following == at:
                    self._rest(at)
                    break
                if following != UNKNOWN and following < expanded and ended[following] == 2:
                    self._found(Violation("comes_to_rest", "it goes round in a circle"), self.history(at))
                    break
                at = following
            for one in path:
                ended[one] = 1
        self.report.checked_at_rest = expanded

    def _rest(self, at: int) -> None:
        violation = at_rest(self.machine, self.order[at])
        if violation is not None:
            self._found(violation, self.history(at))


_CALM: Final = "all is calm"


def _calmed(machine: Machine, state: State) -> State:
    """Return the state as it becomes by itself: watch events come, the gateway answers, the registry takes records."""
    if state[m.SEEN]:
        return MOVES["watch events come again"](machine, state) or state
    if state[m.FLAGS] & m.GONE:
        return state
    accepted = gateway(machine, state)
    if accepted is not None and accepted != state:
        return accepted
    if state[m.FLAGS] & m.REGISTRY_DOWN:
        return MOVES["the registry is back"](machine, state) or state
    return state


def at_rest(machine: Machine, state: State) -> Violation | None:
    """Return what is wrong with a state in which nothing will change by itself any more."""
    if state[m.FLAGS] & (m.GONE | m.UNREADABLE):
        return None
    status, entries = machine.status(state), machine.entries(state)
    spec, before, observed = machine.observe(state)
    if observed.deleted:
        writable = entries is not None
        return Violation("deletion_ends", "a deleted Rollout keeps its finalizer") if writable else None
    fresh = [verb for verb in observed.commands if before.last_handled.get(verb) != observed.commands[verb]]
    if fresh:
        return Violation("every_token_answered", f"{', '.join(fresh)} is never answered")
    rollback = status.rollback
    if rollback is None or entries is None:
        return None
    step = laws.Step(spec, before, observed, NOW, decide(spec, before, observed, NOW))
    key = step.key_of(rollback.version)
    beside = any(entry.weight for entry in entries if entry.key != key)
    if laws.weight_at(entries, key) and beside:
        return Violation("nothing_bad_has_weight", f"{rollback.version} keeps weight beside others")
    strange = laws._unknown_weight(step)
    if laws.is_rolling_back(status) and not strange:
        return Violation("rollback_ends", "a rollback is never complete")
    return None


def replay(world: SmallWorld, history: Iterator[str] | tuple[str, ...]) -> list[Violation]:
    """Return the violations along a history, its last state's rest included: what a pasted history is run by."""
    machine = world.machine()
    state, found = next(iter(world.starts(machine))), []
    for name in history:
        if name in MOVES:
            state = MOVES[name](machine, state) or state
            continue
        if name == _CALM:
            state = _calmed(machine, state)
            continue
        outcome = machine.look(state)
        found += [outcome.violation] if outcome.violation is not None else []
        state = dict(outcome.following).get(name, state)
    for _ in range(50):
        outcome = machine.look(state)
        found += [outcome.violation] if outcome.violation is not None else []
        following = _calmed(machine, state) if outcome.quiet else dict(outcome.following)["look"]
        if following == state:
            violation = at_rest(machine, state)
            return [*found, violation] if violation is not None else found
        state = following
    return [*found, Violation("comes_to_rest", "it never comes to rest")]
