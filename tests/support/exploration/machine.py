"""A small world as a tuple of small numbers, and what one decision makes of it.

A state is cheap to copy, to compare and to keep a million of; the objects that its numbers stand for are made once.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from msgspec import structs

from serinus.api.names import Command
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus, StageState
from serinus.engine.analysis.share import NO_REQUESTS
from serinus.engine.rollout import approvals, outbox
from serinus.engine.rollout.actions import RunHttpTest, RunJobTest, SetFinalizer, SetWeights
from serinus.engine.rollout.decide import decide
from serinus.engine.rollout.decision import Decision, EventReason
from serinus.engine.rollout.observation import (
    AuditFacts,
    InvalidSpec,
    Observation,
    RouteEntry,
    RouteFacts,
    RouteProblem,
    backend_key,
)
from serinus.engine.rollout.traffic.confirmation import route_in_use
from serinus.engine.rollout.traffic.route_plan import Unplannable, plan_entries
from support import laws
from support.builders import NOW
from support.exploration import facts
from support.exploration.canonical import TICK, canonical, key_of
from support.world import ADA, LAX

State = tuple[int, ...]

# The fields of a state, by position.
SPEC, STATUS, ROUTE, GATE, WRITER, EVIDENCE, TESTS, COMMANDS, FLAGS, SEEN, HELD, FIGHTS = range(12)
CODES: Final = 12
"""The first of the versions' codes; the rest of the state is theirs."""

# Bits of FLAGS.
FROZEN, CONFLICT, DELETED, FINALIZER, TERMINATING, UNREADABLE, REGISTRY_DOWN, GONE = (1 << bit for bit in range(8))
# Bits of COMMANDS: which annotations are there; the rollback's target, counted from 1, stands above them.
VERBS: Final = tuple(Command)
BIT: Final = {verb: 1 << position for position, verb in enumerate(VERBS)}
TARGET: Final = len(VERBS)

NO_ROUTE, OWNED = 0, 1
"""Routes that cannot be written."""
STALE_FIELDS: Final = (SPEC, ROUTE, GATE, WRITER, COMMANDS, FLAGS)
"""What a process that misses watch events goes on to believe, beside the versions."""
_STALE_FLAGS: Final = FROZEN | CONFLICT | DELETED | TERMINATING


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
        violation: the law that it breaks; None where it keeps all.
    """

    following: tuple[tuple[str, State], ...]
    quiet: bool
    violation: Violation | None = None


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


class Machine:
    """The objects behind the numbers of one world's states, and the engine at work on them.

    Args:
        specs: the specs that can be wanted, each valid.
        versions: how many of the three versions there are.
        served: the versions that the registry's head knows to have served.
        crashes: whether each write of a decision may be the last before a restart.
    """

    def __init__(
        self,
        specs: tuple[RolloutSpec, ...],
        versions: int = 2,
        served: frozenset[str] = frozenset(),
        *,
        crashes: bool = False,
    ) -> None:
        self.specs: list[RolloutSpec | InvalidSpec] = [*specs]
        self.specs += [InvalidSpec("spec.stages", "spoilt", last=spec) for spec in specs]
        self.specs.append(InvalidSpec("spec.stages", "spoilt"))
        self.valid = len(specs)
        self.versions, self.served, self.crashes = versions, served, crashes
        self.statuses, self.routes, self.snapshots = Table(), Table(), Table()
        self.routes.number("missing", facts.MISSING)
        self.routes.number("owned", facts.OWNED)
        self.snapshots.number((), ())
        self._readings: dict[Hashable, Any] = {}
        _hash_each_plan_once()
        self._shifted: dict[Hashable, int] = {}

    # ---- numbers and objects -------------------------------------------------------------------

    def start(self, status: RolloutStatus, entries: tuple[RouteEntry, ...], spec: int = 0) -> State:
        """Return the state of a world at rest around this status and route."""
        numbers = [0] * (CODES + self.versions)
        numbers[SPEC], numbers[STATUS], numbers[ROUTE] = spec, self.status_number(status), self.route_number(entries)
        return tuple(numbers)

    def status_number(self, status: RolloutStatus, now_offset: timedelta = timedelta(0)) -> int:
        plain = canonical(status, NOW + now_offset)
        return self.statuses.number(key_of(plain), plain)

    def route_number(self, entries: tuple[RouteEntry, ...]) -> int:
        return self.routes.number(entries, entries)

    def status(self, state: State) -> RolloutStatus:
        found: RolloutStatus = self.statuses.objects[state[STATUS]]
        return found

    def entries(self, state: State) -> tuple[RouteEntry, ...] | None:
        """The rule's entries; None where there is no rule to write."""
        return self.routes.objects[state[ROUTE]] if state[ROUTE] > OWNED else None

    def plan(self, state: State) -> RolloutSpec | None:
        spec = self.specs[state[SPEC]]
        return spec.last if isinstance(spec, InvalidSpec) else spec

    def shifted(self, number: int, ticks: int) -> int:
        """Return the same status so many ticks later."""
        key = (number, ticks)
        if key not in self._shifted:
            self._shifted[key] = self.status_number(self.statuses.objects[number], TICK * ticks)
        return self._shifted[key]

    def changed(self, number: int, name: str, change: Callable[[RolloutStatus], RolloutStatus]) -> int:
        """Return the status after a change that somebody else than the engine made."""
        key = (number, name)
        if key not in self._shifted:
            self._shifted[key] = self.status_number(change(self.statuses.objects[number]))
        return self._shifted[key]

    # ---- one decision --------------------------------------------------------------------------

    def seen(self, state: State) -> State:
        """Return the state as the operator believes it to be."""
        if not state[SEEN]:
            return state
        old: State = self.snapshots.objects[state[SEEN]]
        believed = list(state)
        for position in (*STALE_FIELDS[:-1], *range(CODES, len(state))):
            believed[position] = old[position]
        believed[FLAGS] = (state[FLAGS] & ~_STALE_FLAGS) | (old[FLAGS] & _STALE_FLAGS)
        return tuple(believed)

    def observe(self, state: State) -> tuple[RolloutSpec | InvalidSpec, RolloutStatus, Observation]:
        """Return what a decision in this state rests on."""
        state = self.seen(state)
        spec, status = self.specs[state[SPEC]], self.status(state)
        plan, codes, flags, given = self.plan(state), state[CODES:], state[FLAGS], state[COMMANDS]
        planned = self._stage(status, plan)
        commands = {}
        for verb in VERBS:
            if given & BIT[verb]:
                commands[verb.value] = "x"
        target = given >> TARGET
        route: RouteFacts | RouteProblem = (
            facts.route_of(self.routes.objects[state[ROUTE]], state[GATE], state[WRITER])
            if state[ROUTE] > OWNED
            else self.routes.objects[state[ROUTE]]
        )
        if route_in_use(plan, status) is None:
            route = facts.NO_PLAN
        taken = frozenset() if flags & REGISTRY_DOWN else frozenset(record.id for record in status.records)
        return (
            spec,
            status,
            Observation(
                name="fraud",
                generation=1,
                route=route,
                deleted=bool(flags & DELETED),
                commands=commands,
                rollback_to=facts.VERSIONS[target - 1] if target else "",
                uid="uid-fraud",
                actors=ADA,
                policy=LAX,
                audit=AuditFacts(recorded=taken),
                freeze="quarter end" if flags & FROZEN else None,
                conflict="other" if flags & CONFLICT else "",
                status_problem="it was written by a newer release" if flags & UNREADABLE else "",
                has_finalizer=bool(flags & FINALIZER),
                namespace_terminating=bool(flags & TERMINATING),
                served=self.served if plan is not None else frozenset(),
                endpoints=facts.endpoints_of(codes),
                missing=facts.missing_of(codes),
                versions=facts.versions_of(codes) if plan is not None else {},
                tests=facts.tests_of(state[TESTS], tuple(test.name for test in planned[0].tests)) if planned else {},
                readings=self._readings_of(status, plan, planned, state[EVIDENCE]),
                share=self._share_of(status, planned, state[EVIDENCE]),
            ),
        )

    @staticmethod
    def _stage(status: RolloutStatus, plan: RolloutSpec | None):  # type: ignore[no-untyped-def]  # noqa: ANN205
        """Return the planned stage of the run and its index; None where no run is under way."""
        stage = status.stage
        if plan is None or stage is None or not laws.is_running(status) or stage.index >= len(plan.stages):
            return None
        planned = plan.stages[stage.index]
        return (planned, stage.index) if planned.name == stage.name else None

    def _readings_of(self, status, plan, planned, code: int):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        if planned is None or not planned[0].abort_on:
            return ()
        key = (id(plan), planned[1], code, status.candidate.weight)
        if key not in self._readings:
            self._readings[key] = facts.readings_of(plan, planned[1], code, status.candidate.weight)
        return self._readings[key]

    @staticmethod
    def _share_of(status, planned, code: int):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN205
        if planned is None or not planned[0].abort_on:
            return NO_REQUESTS
        return facts.share_of(code, status.candidate.weight)

    def look(self, state: State) -> Outcome:
        """Return what one decision makes of this state."""
        if state[FLAGS] & GONE:
            return Outcome((), quiet=True)
        spec, before, observed = self.observe(state)
        decision = decide(spec, before, observed, NOW)
        step = laws.Step(spec, before, observed, NOW, decision)
        found = laws.broken(step)
        violation = Violation(*found) if found is not None else None
        after = self.status_number(decision.status)
        following = []
        current, failed = state, False
        for number, action in enumerate(decision.actions, 1):
            acted = self._act(current, action)
            if acted is None:
                failed = True
                break
            current = acted
            if self.crashes:
                cut = self._forgetful(current)
                following.append((f"crash after write {number}", cut))
                following.append((f"no write after write {number}", current))
        if failed or observed.status_problem:
            done = current
        else:
            done = self._written(current, state, after, before, decision)
            violation = violation or self._history_law(state, done, step)
        following.append(("look", done))
        quiet = done == state and not decision.actions
        return Outcome(tuple(following), quiet, violation)

    def _act(self, state: State, action: object) -> State | None:
        """Return the state after a write; None where it is refused."""
        match action:
            case SetWeights(shares=shares, ours=ours, filters_of=filters):
                entries = self.entries(state)
                if entries is None:
                    return None
                planned = plan_entries(entries, shares, ours, filters)
                if isinstance(planned, Unplannable):
                    return None
                changed = list(state)
                if planned != entries:
                    changed[ROUTE], changed[GATE] = self.route_number(planned), facts.Gate.BEHIND
                    changed[WRITER] = 0
                self._refresh_route(changed)
                return tuple(changed)
            case SetFinalizer(present=present):
                flags = state[FLAGS] | FINALIZER if present else state[FLAGS] & ~FINALIZER
                if flags & DELETED and not present:
                    flags |= GONE
                return _with(state, FLAGS, flags)
            case RunHttpTest() | RunJobTest():
                return _with(state, TESTS, facts.TestState.RUNNING) if not state[TESTS] else state
            case _:
                raise AssertionError(action)

    def _refresh_route(self, changed: list[int]) -> None:
        """What the API server answers to a write is believed from then on."""
        if changed[SEEN]:
            old = list(self.snapshots.objects[changed[SEEN]])
            for position in (ROUTE, GATE, WRITER):
                old[position] = changed[position]
            changed[SEEN] = self.snapshots.number(tuple(old), tuple(old))

    def _forgetful(self, state: State) -> State:
        """Return the state after a restart: what only the process knew is gone, what it missed is seen."""
        changed = list(state)
        changed[EVIDENCE] = changed[SEEN] = 0
        if self.valid <= changed[SPEC] < 2 * self.valid:
            changed[SPEC] = 2 * self.valid
        return tuple(changed)

    restart = _forgetful

    def _written(self, current: State, state: State, after: int, before: RolloutStatus, decision: Decision) -> State:
        """Return the state once the decision's status is stored."""
        if current[FLAGS] & GONE:
            return current
        changed = list(current)
        changed[STATUS] = after
        status = decision.status
        old, new = before.stage, status.stage
        same = old is not None and new is not None and (before.run, old.index) == (status.run, new.index)
        if not same or not laws.is_running(status):
            changed[EVIDENCE] = changed[TESTS] = 0
        changed[HELD] = self._held(state, before, status)
        changed[FIGHTS] = self._fights(state, before, decision)
        return tuple(changed)

    # ---- what the laws of histories need -------------------------------------------------------
    # HELD: run time of the stage in ticks, run time of its state, and whether the last look left it held.

    def _held(self, state: State, before: RolloutStatus, after: RolloutStatus) -> int:
        if not laws.is_running(after) or after.stage is None:
            return 0
        stage, run = state[HELD] & 7, state[HELD] >> 3 & 7
        old = before.stage
        if not laws.is_running(before) or old is None or (before.run, old.index) != (after.run, after.stage.index):
            stage = run = 0
        elif old.state is not after.stage.state:
            run = 0
        seen = self.seen(state)
        held = (
            after.paused is not None
            or after.stage.state is StageState.AWAITING_APPROVAL
            or bool(seen[FLAGS] & (FROZEN | CONFLICT))
            or seen[SPEC] >= self.valid
        )
        return stage | run << 3 | held << 6

    @staticmethod
    def later(held: int, ticks: int) -> int:
        """Return HELD after so many ticks: held time does not count."""
        if held >> 6:
            return held
        return min(7, (held & 7) + ticks) | min(7, (held >> 3 & 7) + ticks) << 3

    @staticmethod
    def _fights(state: State, before: RolloutStatus, decision: Decision) -> int:
        """FIGHTS: corrections of foreign writes within a minute, and the ticks since the first of them."""
        count, ticks = state[FIGHTS] & 7, state[FIGHTS] >> 3
        writes = [action for action in decision.actions if isinstance(action, SetWeights)]
        same = _roles(before) == _roles(decision.status)
        if writes and state[WRITER] and same and not writes[0].towards_safety:
            return min(7, count + 1) | ticks << 3
        return state[FIGHTS]

    def _history_law(self, state: State, done: State, step: laws.Step) -> Violation | None:
        problem = held_time_is_not_run_time(state[HELD] & 7, state[HELD] >> 3 & 7, step)
        if problem:
            return Violation("held_time_is_not_run_time", problem)
        if done[FIGHTS] & 7 > 3:
            return Violation("no_fight", "a fourth correction of a foreign write within a minute")
        if done[FLAGS] & GONE:
            problem = self.left_behind(done)
            return Violation("outbox_kept", problem) if problem else None
        return None

    def left_behind(self, state: State) -> str:
        """Return what nobody looks after any more once the Rollout is gone; empty where nothing is left."""
        status, entries = self.status(state), self.entries(state)
        if status.records and state[FLAGS] & REGISTRY_DOWN and not state[FLAGS] & TERMINATING:
            return "the Rollout is gone and a record was not delivered"
        candidate = status.candidate
        if candidate is None or candidate.backend is None or entries is None:
            return ""
        key = backend_key(candidate.backend)
        rest = any(entry.weight for entry in entries if entry.key != key)
        served = status.stable is not None and status.stable.version == candidate.version
        if laws.weight_at(entries, key) and rest and not served:
            return f"the Rollout is gone and {candidate.version} has weight"
        return ""


def _hash_each_plan_once() -> None:
    """Hash each of a world's few specs once: SHA-256 for every record takes longer than deciding."""
    plain = outbox.plan_hash
    if plain.__module__ != outbox.__name__:
        return
    known: dict[int, tuple[RolloutSpec, str]] = {}

    def plan_hash(spec: RolloutSpec) -> str:
        if id(spec) not in known:
            known[id(spec)] = (spec, plain(spec))
        return known[id(spec)][1]

    for module in (outbox, approvals):
        module.__dict__["plan_hash"] = plan_hash


def held_time_is_not_run_time(stage_ticks: int, state_ticks: int, step: laws.Step) -> str:
    """Law 11: neither ``duration`` nor ``maxDuration`` is over before the stage has run for as long unheld."""
    before, after, planned = step.before, step.after, step.planned_stage
    if not laws.is_running(before) or before.stage is None or planned is None:
        return ""
    timed_out = EventReason.STAGE_TIMED_OUT in step.events
    rolled_back = after.rollback is not None and after.rollback.reason.value == "StageTimedOut"
    if (timed_out or rolled_back) and before.rollback is None and TICK * stage_ticks < planned.longest:
        return f"timed out after {TICK * stage_ticks} of run time; maxDuration is {planned.longest}"
    passed = EventReason.ANALYSIS_PASSED in step.events and before.stage.state is StageState.ANALYZING
    if passed and not after.approvals and not before.approvals and TICK * state_ticks < planned.watch.value:
        return f"passed after {TICK * state_ticks} of run time; duration is {planned.watch.value}"
    return ""


def _roles(status: RolloutStatus) -> tuple[str, str, float]:
    stable, candidate = status.stable, status.candidate
    return (
        stable.version if stable is not None else "",
        candidate.version if candidate is not None else "",
        candidate.weight if candidate is not None else 0.0,
    )


def _with(state: State, position: int, value: int) -> State:
    return (*state[:position], value, *state[position + 1 :])


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
