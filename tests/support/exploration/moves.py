"""What everybody else can do: each move takes a state and returns the next one, or None where it changes nothing.

The names are the words of a history that a person can paste.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from msgspec import structs

from serinus.api.names import Command
from serinus.api.rollout_status import RolloutStatus, StageState
from serinus.engine.rollout.outbox import BACKLOG
from serinus.engine.rollout.traffic.facts import RouteEntry
from support.builders import a_key
from support.exploration import facts
from support.exploration import state as m
from support.exploration.canonical import OLDEST
from support.exploration.facts import Evidence, Gate, TestState, VersionCode
from support.exploration.looks import later
from support.exploration.machine import Machine
from support.exploration.state import State
from support.law_terms import is_running

Move = Callable[[Machine, State], State | None]
MOVES: Final[dict[str, Move]] = {}


def _named(name: str) -> Callable[[Move], Move]:
    def keep(move: Move) -> Move:
        MOVES[name] = move
        return move

    return keep


# ---- the operator's process ----------------------------------------------------------------------


@_named("restart")
def _restart(machine: Machine, state: State) -> State:
    return machine.restarted(state)


@_named("watch events stop")
def _gap(machine: Machine, state: State) -> State | None:
    if state[m.SEEN]:
        return None
    return m.with_values(state, (m.SEEN, machine.snapshot(state)))


@_named("watch events come again")
def _no_gap(_: Machine, state: State) -> State | None:
    return m.with_values(state, (m.SEEN, 0)) if state[m.SEEN] else None


# ---- the gateway ---------------------------------------------------------------------------------


def gateway(machine: Machine, state: State, *, beside: bool = False) -> State | None:
    """Take a route as it stands; a Service that does not exist is said whatever its weight."""
    entries = machine.entries(state, beside=beside)
    if entries is None:
        return None
    broken = facts.missing_of(state[m.CODES :])
    gate = Gate.UNRESOLVED if any(entry.key in broken for entry in entries) else Gate.ACCEPTED
    number, _, writer = machine.carried(state, beside=beside)
    return machine.with_carried(state, (number, int(gate), writer), beside=beside)


MOVES["the gateway accepts"] = gateway
MOVES["the gateway accepts the other route"] = partial(gateway, beside=True)


@_named("the gateway refuses")
def _refuse(machine: Machine, state: State) -> State | None:
    return m.with_values(state, (m.GATE, Gate.REFUSED)) if machine.entries(state) is not None else None


@_named("the gateway cannot resolve a backend")
def _unresolved(machine: Machine, state: State) -> State | None:
    return m.with_values(state, (m.GATE, Gate.UNRESOLVED)) if machine.entries(state) is not None else None


# ---- the route -----------------------------------------------------------------------------------

Rewrite = Callable[[tuple[RouteEntry, ...]], tuple[RouteEntry, ...]]


def _foreign_write(name: str, rewrite: Rewrite, *, beside: bool = False) -> None:
    def move(machine: Machine, state: State) -> State | None:
        entries = machine.entries(state, beside=beside)
        if entries is None:
            return None
        changed = rewrite(entries)
        if changed == entries:
            return None
        return machine.with_carried(state, (machine.route_number(changed), int(Gate.BEHIND), 1), beside=beside)

    MOVES[name] = move


def _raised(version: str) -> Rewrite:
    def rewrite(entries: tuple[RouteEntry, ...]) -> tuple[RouteEntry, ...]:
        return facts.with_weight(entries, a_key(version), 5000)

    return rewrite


def _twice(entries: tuple[RouteEntry, ...]) -> tuple[RouteEntry, ...]:
    found = [entry for entry in entries if entry.key == a_key("2.0.0")]
    return (*entries, replace(found[0], weight=1000)) if len(found) == 1 else entries


for _version in facts.VERSIONS:
    _foreign_write(f"somebody gives {_version} weight", _raised(_version))
    _foreign_write(f"somebody removes {_version}'s entry", lambda entries, v=_version: facts.without(entries, a_key(v)))  # type: ignore[misc]
_foreign_write("somebody adds a stranger", lambda entries: facts.with_weight(entries, facts.STRANGER, 1000))
_foreign_write("somebody removes the stranger", lambda entries: facts.without(entries, facts.STRANGER))
_foreign_write("Git puts 1.0.0 back alone", lambda _: (RouteEntry(a_key("1.0.0"), 1),))
_foreign_write("somebody empties the rule", lambda _: ())
_foreign_write("somebody names 2.0.0 twice", _twice)
_foreign_write("somebody gives 2.0.0 weight on the other route", _raised("2.0.0"), beside=True)


def _route_becomes(name: str, number: int, *, beside: bool = False) -> None:
    def move(machine: Machine, state: State) -> State | None:
        gone = (number, 0, 0)
        return (
            machine.with_carried(state, gone, beside=beside) if machine.carried(state, beside=beside) != gone else None
        )

    MOVES[name] = move


_route_becomes("the route is deleted", m.NO_ROUTE)
_route_becomes("another controller owns the route", m.OWNED)
_route_becomes("the rule is deleted", m.NO_RULE)
_route_becomes("the other route is deleted", m.NO_ROUTE, beside=True)


def _comes_again(name: str, entries: tuple[RouteEntry, ...], *, beside: bool = False) -> None:
    def move(machine: Machine, state: State) -> State | None:
        if machine.entries(state, beside=beside) is not None:
            return None
        return machine.with_carried(state, (machine.route_number(entries), int(Gate.BEHIND), 1), beside=beside)

    MOVES[name] = move


_PLAIN: Final = (RouteEntry(a_key("1.0.0"), 1),)
_comes_again("the route is created again", _PLAIN)
_comes_again("the rule is created again", _PLAIN)
_comes_again("the route comes from a backup", (RouteEntry(a_key("1.0.0"), 9500), RouteEntry(a_key("2.0.0"), 500)))
_comes_again("the other route is created", _PLAIN, beside=True)


# ---- ModelVersions and Services ------------------------------------------------------------------

_WORDS: Final = {
    VersionCode.READY: "is well",
    VersionCode.EMPTY: "has no endpoints",
    VersionCode.GONE: "is deleted",
    VersionCode.GONE_EMPTY: "is deleted and scaled to zero",
    VersionCode.YANKED: "is yanked",
    VersionCode.REPLACED: "is replaced",
    VersionCode.NO_SERVICE: "loses its Service",
    VersionCode.CHECKED: "is checked again",
    VersionCode.REJECTED: "has other bytes",
    VersionCode.BARRED: "is barred",
    VersionCode.CLEANED: "has no bytes any more",
}


def _version_becomes(index: int, code: VersionCode) -> None:
    position = m.CODES + index

    def move(machine: Machine, state: State) -> State | None:
        if index >= machine.versions or state[position] == code:
            return None
        return m.with_values(state, (position, int(code)))

    MOVES[f"{facts.VERSIONS[index]} {_WORDS[code]}"] = move


for _index in range(len(facts.VERSIONS)):
    for _code in VersionCode:
        _version_becomes(_index, _code)


# ---- people --------------------------------------------------------------------------------------


def _gives(verb: Command, target: int) -> Move:
    name = f"new {verb.value}"

    def anew(status: RolloutStatus) -> RolloutStatus:
        return structs.replace(status, last_handled={**status.last_handled, verb.value: "y"})

    def move(machine: Machine, state: State) -> State | None:
        given, status = state[m.COMMANDS], machine.status(state)
        handled = status.last_handled.get(verb.value)
        if given & m.BIT[verb] and handled != "x" and verb is not Command.ROLLBACK:
            return None
        if verb is Command.ROLLBACK:
            given = given & ((1 << m.TARGET) - 1) | target << m.TARGET
        number = machine.changed(state[m.STATUS], name, anew) if handled == "x" else state[m.STATUS]
        return m.with_values(state, (m.COMMANDS, given | m.BIT[verb]), (m.STATUS, number))

    return move


def _withdraws(verb: Command) -> Move:
    def move(_: Machine, state: State) -> State | None:
        given = state[m.COMMANDS]
        if not given & m.BIT[verb]:
            return None
        given &= ~m.BIT[verb]
        if verb is Command.ROLLBACK:
            given &= (1 << m.TARGET) - 1
        return m.with_values(state, (m.COMMANDS, given))

    return move


for _verb in Command:
    MOVES[_verb.value] = _gives(_verb, 0)
    MOVES[f"{_verb.value} is withdrawn"] = _withdraws(_verb)
for _index, _version in enumerate(facts.VERSIONS, 1):
    MOVES[f"rollback to {_version}"] = _gives(Command.ROLLBACK, _index)


def _flag(name: str, bit: int, *, on: bool) -> None:
    def move(_: Machine, state: State) -> State | None:
        flags = state[m.FLAGS] | bit if on else state[m.FLAGS] & ~bit
        return m.with_values(state, (m.FLAGS, flags)) if flags != state[m.FLAGS] else None

    MOVES[name] = move


_flag("frozen", m.FROZEN, on=True)
_flag("thawed", m.FROZEN, on=False)
_flag("a rival keeps the route", m.CONFLICT, on=True)
_flag("the rival is gone", m.CONFLICT, on=False)
_flag("the status cannot be read", m.UNREADABLE, on=True)
_flag("the status can be read again", m.UNREADABLE, on=False)
_flag("the registry is down", m.REGISTRY_DOWN, on=True)
_flag("the registry is back", m.REGISTRY_DOWN, on=False)


@_named("the Rollout is deleted")
def _delete(_: Machine, state: State) -> State | None:
    flags = state[m.FLAGS]
    if flags & (m.DELETED | m.GONE):
        return None
    flags |= m.DELETED | (0 if flags & m.FINALIZER else m.GONE)
    return m.with_values(state, (m.FLAGS, flags))


@_named("the namespace is deleted")
def _terminate(machine: Machine, state: State) -> State | None:
    deleted = _delete(machine, state)
    return m.with_values(deleted, (m.FLAGS, deleted[m.FLAGS] | m.TERMINATING)) if deleted is not None else None


@_named("the Rollout is created again")
def _create(machine: Machine, state: State) -> State | None:
    if not state[m.FLAGS] & m.GONE:
        return None
    left = m.DELETED | m.GONE | m.FINALIZER | m.UNREADABLE | m.TERMINATING
    changed = machine.start(RolloutStatus(), ())
    keep = [m.ROUTE, m.GATE, m.WRITER, m.BESIDE, *range(m.CODES, len(state))]
    pairs = [(position, state[position]) for position in keep]
    return m.with_values(changed, *pairs, (m.FLAGS, state[m.FLAGS] & ~left))


@_named("an older release wrote the status")
def _downgrade(machine: Machine, state: State) -> State:
    # What it leaves out of the status, it does not know either: it does not see that the run is held.
    return m.with_values(
        state,
        (m.STATUS, machine.changed(state[m.STATUS], "older", older)),
        (m.HELD, state[m.HELD] & (1 << 6) - 1),
    )


def older(status: RolloutStatus) -> RolloutStatus:
    """Return the status as the release before this one would have written it: no backends, no route, no held time."""
    stable, candidate, stage = status.stable, status.candidate, status.stage
    return structs.replace(
        status,
        stable=structs.replace(stable, backend=None, not_ready_since=None) if stable is not None else None,
        candidate=structs.replace(candidate, backend=None, not_ready_since=None) if candidate is not None else None,
        route=None,
        stage=structs.replace(stage, held_since=None) if stage is not None else None,
    )


@_named("records pile up")
def _pile(machine: Machine, state: State) -> State | None:
    def crowded(status: RolloutStatus) -> RolloutStatus:
        return structs.replace(status, records=status.records * BACKLOG)

    if not machine.status(state).records or not state[m.FLAGS] & m.REGISTRY_DOWN:
        return None
    return m.with_values(state, (m.STATUS, machine.changed(state[m.STATUS], "crowded", crowded)))


def wants(index: int) -> Move:
    """Return the change to another spec that can be read."""

    def move(machine: Machine, state: State) -> State | None:
        return m.with_values(state, (m.SPEC, index)) if index < machine.valid and state[m.SPEC] != index else None

    return move


@_named("the spec cannot be read")
def _spoil(machine: Machine, state: State) -> State | None:
    return m.with_values(state, (m.SPEC, state[m.SPEC] + machine.valid)) if state[m.SPEC] < machine.valid else None


@_named("the spec can be read again")
def _mend(machine: Machine, state: State) -> State | None:
    if state[m.SPEC] < machine.valid:
        return None
    return m.with_values(state, (m.SPEC, 0 if state[m.SPEC] == 2 * machine.valid else state[m.SPEC] - machine.valid))


# ---- what is measured and tested -------------------------------------------------------------------


def _measures(code: Evidence) -> Move:
    def move(machine: Machine, state: State) -> State | None:
        status, plan = machine.status(state), machine.plan(state)
        if state[m.EVIDENCE] in {code, Evidence.BREACH} or not is_running(status) or plan is None:
            return None
        planned = machine.planned(status, plan)
        if planned is None or not planned[0].abort_on:
            return None
        return m.with_values(state, (m.EVIDENCE, int(code)))

    return move


for _code2, _word in {
    Evidence.GOOD: "it is good",
    Evidence.BREACH: "it is bad",
    Evidence.NO_TRAFFIC: "no traffic",
    Evidence.DOWN: "Prometheus is down",
    Evidence.STALE: "the answers are late",
    Evidence.AMBIGUOUS: "the answers are partial",
    Evidence.OTHER_SHARE: "the gateway ignores the weights",
}.items():
    MOVES[_word] = _measures(_code2)


def _tests_end(code: TestState) -> Move:
    def move(machine: Machine, state: State) -> State | None:
        stage = machine.status(state).stage
        if state[m.TESTS] != TestState.RUNNING or stage is None or stage.state is not StageState.TESTING:
            return None
        return m.with_values(state, (m.TESTS, int(code)))

    return move


MOVES["the test passes"] = _tests_end(TestState.PASSED)
MOVES["the test fails"] = _tests_end(TestState.FAILED)


# ---- time ------------------------------------------------------------------------------------------


def _passes(ticks: int) -> Move:
    def move(machine: Machine, state: State) -> State:
        held = later(state[m.HELD], ticks) if ticks > 0 else state[m.HELD]
        count, age = state[m.FIGHTS] & 7, (state[m.FIGHTS] >> 3) + max(0, ticks)
        fights = 0 if age >= 2 or not count else count | age << 3
        number = machine.shifted(state[m.STATUS], ticks)
        return m.with_values(state, (m.STATUS, number), (m.HELD, held), (m.FIGHTS, fights))

    return move


MOVES["31 s pass"] = _passes(1)
MOVES["the clock steps back"] = _passes(-1)
MOVES["the clock steps forward"] = _passes(OLDEST)
