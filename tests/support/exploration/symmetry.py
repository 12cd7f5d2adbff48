"""Two versions that differ in nothing but their names: a state and the one with the names exchanged are one.

Which of the two stands for both is told by what they hold, not by their numbers, so that a pasted history leads to the
same states in another process.
"""

from typing import Any

import msgspec
from msgspec import structs

from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.observation import InvalidSpec
from serinus.engine.rollout.traffic.facts import RouteEntry, RouteProblem, backend_key
from support.builders import a_key
from support.exploration import facts
from support.exploration.canonical import key_of
from support.exploration.machine import Machine
from support.exploration.state import BESIDE, CODES, COMMANDS, ROUTE, SEEN, SPEC, STATUS, TARGET, State

_PLACEHOLDER = b"\x00"


class Symmetry:
    """The exchange of two versions' names in one world's states.

    Args:
        machine: the world's objects; its specs must hold each wish for the one version also for the other.
        alike: the two versions.
    """

    def __init__(self, machine: Machine, alike: tuple[str, str]) -> None:
        self.machine, self.alike = machine, alike
        self.codes = tuple(CODES + facts.VERSIONS.index(version) for version in alike)
        self.targets = tuple(facts.VERSIONS.index(version) + 1 for version in alike)
        self.specs = [self._spec(number) for number in range(len(machine.specs))]
        self._statuses: dict[int, int] = {}
        self._routes: dict[int, int] = {}
        self._besides: dict[int, int] = {}
        self._snapshots: dict[int, int] = {}

    def merged(self, state: State) -> State:
        """Return the one of the two states that stands for both."""
        other = self.exchanged(state)
        if other == state:
            return state
        return min(state, other, key=self._content)

    def exchanged(self, state: State) -> State:
        """Return the state with the names exchanged."""
        changed = list(state)
        one, two = self.codes
        changed[one], changed[two] = state[two], state[one]
        changed[SPEC] = self.specs[state[SPEC]]
        changed[STATUS] = self._once(self._statuses, state[STATUS], self._status)
        changed[ROUTE] = self._once(self._routes, state[ROUTE], self._route)
        changed[BESIDE] = self._once(self._besides, state[BESIDE], self._beside)
        target = state[COMMANDS] >> TARGET
        if target in self.targets:
            given = state[COMMANDS] & (1 << TARGET) - 1
            changed[COMMANDS] = given | self._other(self.targets, target) << TARGET
        changed[SEEN] = self._once(self._snapshots, state[SEEN], self._snapshot)
        return tuple(changed)

    def _content(self, state: State) -> tuple[Any, ...]:
        plain = (state[SPEC], *state[CODES:], state[COMMANDS])
        objects = (
            key_of(self.machine.statuses.objects[state[STATUS]]),
            repr(self.machine.routes.objects[state[ROUTE]]),
            repr(self._rule_beside(state[BESIDE])),
        )
        seen = self.machine.snapshots.objects[state[SEEN]]
        return (plain, objects, self._content(seen) if seen else ())

    def _rule_beside(self, number: int) -> object:
        rule, *rest = self.machine.besides.objects[number]
        return (self.machine.routes.objects[rule], rest)

    def _other_version(self, version: str) -> str:
        return str(self._other(self.alike, version)) if version in self.alike else version

    @staticmethod
    def _other(pair: tuple[Any, ...], one: object) -> Any:
        return pair[1] if one == pair[0] else pair[0]

    @staticmethod
    def _once(known: dict[int, int], number: int, exchange: Any) -> int:
        if number not in known:
            known[number] = other = exchange(number)
            known[other] = number
        return known[number]

    def _renamed(self, text: bytes) -> bytes:
        pairs = [[version.encode() for version in self.alike]]
        pairs += [[a_key(version).name.encode() for version in self.alike]]
        for one, two in pairs:
            text = text.replace(one, _PLACEHOLDER).replace(two, one).replace(_PLACEHOLDER, two)
        return text

    def _spec(self, number: int) -> int:
        spec = self.machine.specs[number]
        plain = spec.last if isinstance(spec, InvalidSpec) else spec
        if plain is None:
            return number
        back = self._other_version(plain.rollback_to) if plain.rollback_to is not None else None
        wanted = structs.replace(plain, version=self._other_version(plain.version), rollback_to=back)
        found = [index for index in range(self.machine.valid) if self.machine.specs[index] == wanted]
        if not found:
            message = f"no spec is {wanted.version}'s counterpart: {self.alike} are not alike"
            raise ValueError(message)
        return found[0] + (self.machine.valid if isinstance(spec, InvalidSpec) else 0)

    def _status(self, number: int) -> int:
        status = self.machine.statuses.objects[number]
        return self.machine.status_number(
            msgspec.json.decode(self._renamed(msgspec.json.encode(status)), type=RolloutStatus)
        )

    def _route(self, number: int) -> int:
        entries = self.machine.routes.objects[number]
        if isinstance(entries, RouteProblem):
            return number
        keys: dict[Any, Any] = {}
        for key_for in (a_key, _other_key):
            one, two = (key_for(version) for version in self.alike)
            keys |= {one: two, two: one}
        return self.machine.route_number(
            tuple(RouteEntry(keys.get(entry.key, entry.key), entry.weight, entry.filters) for entry in entries)
        )

    def _beside(self, number: int) -> int:
        rule, gate, writer = self.machine.besides.objects[number]
        carried = (self._once(self._routes, rule, self._route), gate, writer)
        return self.machine.besides.number(carried, carried)

    def _snapshot(self, number: int) -> int:
        if not number:
            return 0
        exchanged = self.exchanged(self.machine.snapshots.objects[number])
        return self.machine.snapshots.number(exchanged, exchanged)


def _other_key(version: str) -> Any:
    return backend_key(facts.OTHER_BACKENDS[version])
