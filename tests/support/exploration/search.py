"""Breadth first through every state of a small world: nothing left out, each state decided on once."""

import time
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from support.exploration import state as m
from support.exploration.looks import Looks
from support.exploration.machine import Machine
from support.exploration.moves import MOVES, gateway, wants
from support.exploration.state import State, Violation
from support.exploration.symmetry import Symmetry
from support.exploration.worlds import SmallWorld

UNKNOWN: Final = 0xFFFFFFFF
CREATED_AGAIN: Final = "the Rollout is created again"
CALM: Final = "all is calm"


@dataclass
class Report:
    """What was found in one world.

    Attributes:
        depth: the most moves from the beginning to a state whose decision was checked.
        complete: every reachable state was visited; else the search ended at its limit.
        sights: so many different decisions were taken; states that look alike to the operator share one.
        applied: by law, the states in which it was checked and its premise was true.
        violations: each kind once, with the shortest history that leads to it.
    """

    world: str
    states: int = 0
    looked: int = 0
    rests: int = 0
    transitions: int = 0
    depth: int = 0
    statuses: int = 0
    sights: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    complete: bool = False
    applied: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[Violation, tuple[str, ...]]] = field(default_factory=list)


class Search:
    """The visited states of one world."""

    def __init__(self, world: SmallWorld) -> None:
        self.world, self.machine = world, world.machine()
        self.looks = Looks(self.machine)
        self.symmetry = Symmetry(self.machine, world.alike) if world.alike is not None else None
        wishes = list(world.specs()) if self.machine.valid > 1 else []
        self.by_name = {name: MOVES[name] for name in world.moves}
        self.by_name |= {name: wants(index) for index, name in enumerate(wishes)}
        self.moves = list(self.by_name.values())
        self.names: list[str] = list(self.by_name)
        self._numbers = {name: number for number, name in enumerate(self.names)}
        self.seen: dict[State, int] = {}
        self.order: list[State] = []
        self.parents, self.by = array("I"), array("H")
        self.calm = array("I")
        self.report = Report(world.name)
        self._applied: Counter[frozenset[str]] = Counter()
        self._kinds: set[tuple[str, str]] = set()

    def run(self, most: int, seconds: float, until: str = "") -> Report:
        """Visit the states of the world, up to so many or for so long, or until this law is broken."""
        began, cpu = time.monotonic(), time.process_time()
        for start in self.world.starts(self.machine):
            self._add(start, UNKNOWN, 0)
        report, at, level_end = self.report, 0, len(self.order)
        while at < len(self.order):
            if at % 1024 == 0 and time.monotonic() - began > seconds:
                break
            if until and any(violation.law == until for violation, _ in report.violations):
                break
            if at == level_end:
                report.depth, level_end = report.depth + 1, len(self.order)
            self._expand(at, most)
            at += 1
        report.complete = at == len(self.order) and len(self.order) < most
        self._check_rest(at)
        report.states, report.looked = len(self.order), at
        report.statuses, report.sights = len(self.machine.statuses.objects), len(self.looks.sights)
        for laws, count in self._applied.items():
            report.applied.update(dict.fromkeys(laws, count))
        report.seconds, report.cpu = time.monotonic() - began, time.process_time() - cpu
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
        outcome = self.looks.look(state)
        self._applied[outcome.applied] += 1
        for violation in outcome.violations:
            self._found(violation, (*self.history(at), "look"))
        looked = UNKNOWN
        for label, following in outcome.following:
            looked = self._follow(following, at, self._label(label), full=full)
        self.report.transitions += len(outcome.following)
        if outcome.quiet:
            calmed = _calmed(machine, state)
            looked = at if calmed == state else self._follow(calmed, at, self._label(CALM), full=full)
        self.calm.append(looked)
        if state[m.FLAGS] & m.GONE:
            if CREATED_AGAIN in self._numbers:
                self._move(at, state, self._numbers[CREATED_AGAIN], full=full)
            return
        for number in range(len(self.moves)):
            self._move(at, state, number, full=full)

    def _move(self, at: int, state: State, number: int, *, full: bool) -> None:
        following = self.moves[number](self.machine, state)
        if following is not None and following != state:
            self.report.transitions += 1
            self._follow(following, at, number, full=full)

    def _follow(self, state: State, parent: int, by: int, *, full: bool) -> int:
        if self.symmetry is not None:
            state = self.symmetry.merged(state)
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
        self.report.applied["comes_to_rest"] = expanded

    def _rest(self, at: int) -> None:
        self.report.rests += 1
        applied, violations = self.looks.at_rest(self.order[at])
        self._applied[applied] += 1
        for violation in violations:
            self._found(violation, self.history(at))


def _calmed(machine: Machine, state: State) -> State:
    """Return the state as it becomes by itself: watch events come, the gateway answers, the registry takes records."""
    if state[m.SEEN]:
        return MOVES["watch events come again"](machine, state) or state
    if state[m.FLAGS] & m.GONE:
        return state
    for beside in (False, True):
        accepted = gateway(machine, state, beside=beside)
        if accepted is not None and accepted != state:
            return accepted
    if state[m.FLAGS] & m.REGISTRY_DOWN:
        return MOVES["the registry is back"](machine, state) or state
    return state


def replay(world: SmallWorld, history: Iterator[str] | tuple[str, ...]) -> list[Violation]:
    """Return the violations along a history, its last state's rest included: what a pasted history is run by."""
    search = Search(world)
    machine, looks, found = search.machine, search.looks, list[Violation]()
    state = next(iter(world.starts(machine)))
    for name in history:
        outcome = looks.look(state)
        found += outcome.violations
        if name in search.by_name:
            state = search.by_name[name](machine, state) or state
        elif name == CALM:
            state = _calmed(machine, state)
        else:
            state = dict(outcome.following).get(name, state)
        state = search.symmetry.merged(state) if search.symmetry is not None else state
    for _ in range(50):
        outcome = looks.look(state)
        found += outcome.violations
        following = _calmed(machine, state) if outcome.quiet else outcome.whole
        if following is None or following == state:
            return [*found, *looks.at_rest(state)[1]]
        state = following
    return [*found, Violation("comes_to_rest", "it never comes to rest")]
